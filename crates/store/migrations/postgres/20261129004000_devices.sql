-- Telephones and gateways that register with us, and where each was registered last: a process that died without a word is
-- followed by one that knows them.

CREATE TABLE devices (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    label TEXT COLLATE "C" NOT NULL,
    username TEXT COLLATE "C" NOT NULL,
    domain TEXT COLLATE "C" NOT NULL,
    password TEXT COLLATE "C",
    agent_id TEXT COLLATE "C",
    workflow_id TEXT COLLATE "C" REFERENCES workflows (id) ON DELETE SET NULL,
    caller_id TEXT COLLATE "C",
    bindings_max BIGINT NOT NULL CHECK (bindings_max BETWEEN 1 AND 16),
    calls_max BIGINT NOT NULL CHECK (calls_max >= 0),
    is_active BIGINT NOT NULL CHECK (is_active IN (0, 1)),
    settings TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (domain, username),
    UNIQUE (id, tenant_id),
    FOREIGN KEY (agent_id, tenant_id) REFERENCES agents (id, tenant_id),
    FOREIGN KEY (workflow_id, tenant_id) REFERENCES workflows (id, tenant_id)
);
CREATE INDEX devices_by_creation ON devices (tenant_id, created_at, id);

CREATE TABLE device_bindings (
    device_id TEXT COLLATE "C" NOT NULL,
    tenant_id TEXT COLLATE "C" NOT NULL,
    contact TEXT COLLATE "C" NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    instance TEXT COLLATE "C",
    protocol TEXT COLLATE "C" NOT NULL CHECK (protocol IN ('udp', 'tcp', 'tls')),
    source TEXT COLLATE "C" NOT NULL,
    call_id TEXT COLLATE "C" NOT NULL,
    sequence BIGINT NOT NULL,
    user_agent TEXT COLLATE "C",
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (device_id, contact),
    FOREIGN KEY (device_id, tenant_id) REFERENCES devices (id, tenant_id) ON DELETE CASCADE
);

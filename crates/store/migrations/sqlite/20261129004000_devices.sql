-- Telephones and gateways that register with us, and where each was registered last: a process that died without a word is
-- followed by one that knows them.

CREATE TABLE devices (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    label TEXT NOT NULL,
    username TEXT NOT NULL,
    domain TEXT NOT NULL,
    password TEXT,
    agent_id TEXT,
    workflow_id TEXT REFERENCES workflows (id) ON DELETE SET NULL,
    caller_id TEXT,
    bindings_max BIGINT NOT NULL CHECK (bindings_max BETWEEN 1 AND 16),
    calls_max BIGINT NOT NULL CHECK (calls_max >= 0),
    is_active BIGINT NOT NULL CHECK (is_active IN (0, 1)),
    settings TEXT NOT NULL,
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
    device_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    contact TEXT NOT NULL,
    path TEXT NOT NULL,
    instance TEXT,
    protocol TEXT NOT NULL CHECK (protocol IN ('udp', 'tcp', 'tls')),
    source TEXT NOT NULL,
    call_id TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    user_agent TEXT,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (device_id, contact),
    FOREIGN KEY (device_id, tenant_id) REFERENCES devices (id, tenant_id) ON DELETE CASCADE
);

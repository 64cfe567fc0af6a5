-- SIP credentials live in one table. A phone line with SIP settings is backed by the row of the same id, which is also the salt of
-- its password. The names and the defaults let the statements that operators know from the system before run as they are written:
-- without id, tenant, version and times, with a clear password (it is sealed when the accounts are loaded next).

CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    last BIGINT NOT NULL
);
INSERT INTO counters (name, last) VALUES ('sip_accounts', 0), ('workflows', 0);

CREATE TABLE sip_accounts (
    id TEXT NOT NULL DEFAULT '' PRIMARY KEY,
    tenant_id TEXT NOT NULL DEFAULT 'default' REFERENCES tenants (id),
    label TEXT NOT NULL,
    trunk_uri TEXT NOT NULL,
    username TEXT,
    password TEXT,
    contact_host TEXT,
    contact_port BIGINT CHECK (contact_port BETWEEN 1 AND 65535),
    contact_transport TEXT DEFAULT 'udp' CHECK (LOWER(contact_transport) IN ('udp', 'tcp', 'tls')),
    is_default BIGINT NOT NULL DEFAULT false,
    is_active BIGINT NOT NULL DEFAULT true,
    registrar TEXT,
    outbound_proxy TEXT,
    realm TEXT,
    expires_s BIGINT CHECK (expires_s BETWEEN 10 AND 86400),
    caller_id_form TEXT,
    caller_id_number TEXT,
    codecs TEXT,
    srtp TEXT,
    weight BIGINT NOT NULL DEFAULT 1 CHECK (weight BETWEEN 0 AND 1000),
    backup_account_id TEXT REFERENCES sip_accounts (id) ON DELETE SET NULL,
    calls_max BIGINT NOT NULL DEFAULT 0 CHECK (calls_max >= 0),
    provider_profile TEXT,
    settings TEXT NOT NULL DEFAULT '{}',
    version BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)),
    updated_at BIGINT NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)),
    UNIQUE (id, tenant_id),
    FOREIGN KEY (backup_account_id, tenant_id) REFERENCES sip_accounts (id, tenant_id)
);
CREATE INDEX sip_accounts_by_creation ON sip_accounts (tenant_id, created_at, id);
CREATE UNIQUE INDEX sip_accounts_one_default ON sip_accounts (tenant_id) WHERE is_default;

-- A route from phone numbers and a SIP account to an agent, in versions.
CREATE TABLE workflows (
    id TEXT NOT NULL DEFAULT '' PRIMARY KEY,
    tenant_id TEXT NOT NULL DEFAULT 'default' REFERENCES tenants (id),
    slug TEXT NOT NULL,
    name TEXT NOT NULL DEFAULT '',
    description TEXT,
    is_active BIGINT NOT NULL DEFAULT true,
    version BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)),
    updated_at BIGINT NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)),
    UNIQUE (tenant_id, slug),
    UNIQUE (id, tenant_id)
);
CREATE INDEX workflows_by_creation ON workflows (tenant_id, created_at, id);

-- The active one of a workflow is the one that calls follow.
CREATE TABLE workflow_definitions (
    workflow_id TEXT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    tenant_id TEXT NOT NULL DEFAULT 'default',
    is_active BIGINT NOT NULL DEFAULT false,
    sip_account_id TEXT REFERENCES sip_accounts (id) ON DELETE SET NULL,
    agent_id TEXT,
    phone_numbers TEXT NOT NULL DEFAULT '[]',
    ring_timeout_s BIGINT CHECK (ring_timeout_s BETWEEN 0 AND 120),
    distribution TEXT NOT NULL DEFAULT 'selected',
    author TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)),
    updated_at BIGINT NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)),
    PRIMARY KEY (workflow_id, version),
    FOREIGN KEY (workflow_id, tenant_id) REFERENCES workflows (id, tenant_id) ON DELETE CASCADE,
    FOREIGN KEY (sip_account_id, tenant_id) REFERENCES sip_accounts (id, tenant_id),
    FOREIGN KEY (agent_id, tenant_id) REFERENCES agents (id, tenant_id)
);
CREATE UNIQUE INDEX workflow_definitions_one_active ON workflow_definitions (workflow_id) WHERE is_active;
CREATE INDEX idx_workflow_definitions_sip_account ON workflow_definitions (sip_account_id);

-- The settings that the system before kept in one row. Nothing is taken from them but by `allo migrate`.
CREATE TABLE IF NOT EXISTS app_settings (
    sip_trunk_uri TEXT,
    sip_trunk_username TEXT,
    sip_trunk_password TEXT,
    sip_contact_host TEXT,
    sip_contact_port BIGINT,
    sip_contact_transport TEXT
);

CREATE TRIGGER sip_accounts_number AFTER INSERT ON sip_accounts WHEN NEW.id = '' BEGIN
    UPDATE counters SET last = last + 1 WHERE name = 'sip_accounts';
    UPDATE sip_accounts SET id = (SELECT CAST(last AS TEXT) FROM counters WHERE name = 'sip_accounts') WHERE id = '';
END;
CREATE TRIGGER workflows_number AFTER INSERT ON workflows WHEN NEW.id = '' BEGIN
    UPDATE counters SET last = last + 1 WHERE name = 'workflows';
    UPDATE workflows SET id = (SELECT CAST(last AS TEXT) FROM counters WHERE name = 'workflows') WHERE id = '';
END;
-- The account that becomes the default takes it from the one that was.
CREATE TRIGGER sip_accounts_default_new BEFORE INSERT ON sip_accounts WHEN NEW.is_default BEGIN
    UPDATE sip_accounts SET is_default = false, version = version + 1 WHERE tenant_id = NEW.tenant_id AND is_default AND id <> NEW.id;
END;
CREATE TRIGGER sip_accounts_default_set BEFORE UPDATE OF is_default ON sip_accounts WHEN NEW.is_default AND NOT OLD.is_default BEGIN
    UPDATE sip_accounts SET is_default = false, version = version + 1 WHERE tenant_id = NEW.tenant_id AND is_default AND id <> NEW.id;
END;

-- What phone lines had of their own.
INSERT INTO sip_accounts (id, tenant_id, label, trunk_uri, username, password, contact_transport, is_active, version, created_at, updated_at)
SELECT id, tenant_id, phone_number,
    'sip:' || COALESCE(NULLIF(json_extract(settings, '$.sipUsername'), ''), phone_number) || COALESCE('@' || NULLIF(json_extract(settings, '$.sipDomain'), ''), ''),
    COALESCE(NULLIF(json_extract(settings, '$.sipAuthUsername'), ''), NULLIF(json_extract(settings, '$.sipUsername'), '')), sip_password_enc,
    CASE LOWER(NULLIF(json_extract(settings, '$.sipTransport'), '')) WHEN 'tcp' THEN 'tcp' WHEN 'tls' THEN 'tls' ELSE 'udp' END,
    is_active = 1, 1, created_at, updated_at
FROM phone_lines WHERE provider = 'sip' AND (sip_password_enc IS NOT NULL OR NULLIF(json_extract(settings, '$.sipUsername'), '') IS NOT NULL);
ALTER TABLE phone_lines DROP COLUMN sip_password_enc;

CREATE INDEX calls_by_line ON calls (tenant_id, line, started_at);

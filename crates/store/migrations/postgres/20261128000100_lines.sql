-- SIP credentials live in one table. A phone line with SIP settings is backed by the row of the same id, which is also the salt of
-- its password. The names and the defaults let the statements that operators know from the system before run as they are written:
-- without id, tenant, version and times, with a clear password (it is sealed when the accounts are loaded next).

CREATE TABLE counters (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    last BIGINT NOT NULL
);
INSERT INTO counters (name, last) VALUES ('sip_accounts', 0), ('workflows', 0);

CREATE TABLE sip_accounts (
    id TEXT COLLATE "C" NOT NULL DEFAULT '' PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL DEFAULT 'default' REFERENCES tenants (id),
    label TEXT COLLATE "C" NOT NULL,
    trunk_uri TEXT COLLATE "C" NOT NULL,
    username TEXT COLLATE "C",
    password TEXT COLLATE "C",
    contact_host TEXT COLLATE "C",
    contact_port BIGINT CHECK (contact_port BETWEEN 1 AND 65535),
    contact_transport TEXT COLLATE "C" DEFAULT 'udp' CHECK (LOWER(contact_transport) IN ('udp', 'tcp', 'tls')),
    is_default BOOLEAN NOT NULL DEFAULT false,
    is_active BOOLEAN NOT NULL DEFAULT true,
    registrar TEXT COLLATE "C",
    outbound_proxy TEXT COLLATE "C",
    realm TEXT COLLATE "C",
    expires_s BIGINT CHECK (expires_s BETWEEN 10 AND 86400),
    caller_id_form TEXT COLLATE "C",
    caller_id_number TEXT COLLATE "C",
    codecs TEXT COLLATE "C",
    srtp TEXT COLLATE "C",
    weight BIGINT NOT NULL DEFAULT 1 CHECK (weight BETWEEN 0 AND 1000),
    backup_account_id TEXT COLLATE "C" REFERENCES sip_accounts (id) ON DELETE SET NULL,
    calls_max BIGINT NOT NULL DEFAULT 0 CHECK (calls_max >= 0),
    provider_profile TEXT COLLATE "C",
    settings TEXT COLLATE "C" NOT NULL DEFAULT '{}',
    version BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL DEFAULT ((EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT),
    updated_at BIGINT NOT NULL DEFAULT ((EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT),
    UNIQUE (id, tenant_id),
    FOREIGN KEY (backup_account_id, tenant_id) REFERENCES sip_accounts (id, tenant_id)
);
CREATE INDEX sip_accounts_by_creation ON sip_accounts (tenant_id, created_at, id);
CREATE UNIQUE INDEX sip_accounts_one_default ON sip_accounts (tenant_id) WHERE is_default;

-- A route from phone numbers and a SIP account to an agent, in versions.
CREATE TABLE workflows (
    id TEXT COLLATE "C" NOT NULL DEFAULT '' PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL DEFAULT 'default' REFERENCES tenants (id),
    slug TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL DEFAULT '',
    description TEXT COLLATE "C",
    is_active BOOLEAN NOT NULL DEFAULT true,
    version BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL DEFAULT ((EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT),
    updated_at BIGINT NOT NULL DEFAULT ((EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT),
    UNIQUE (tenant_id, slug),
    UNIQUE (id, tenant_id)
);
CREATE INDEX workflows_by_creation ON workflows (tenant_id, created_at, id);

-- The active one of a workflow is the one that calls follow.
CREATE TABLE workflow_definitions (
    workflow_id TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    tenant_id TEXT COLLATE "C" NOT NULL DEFAULT 'default',
    is_active BOOLEAN NOT NULL DEFAULT false,
    sip_account_id TEXT COLLATE "C" REFERENCES sip_accounts (id) ON DELETE SET NULL,
    agent_id TEXT COLLATE "C",
    phone_numbers TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    ring_timeout_s BIGINT CHECK (ring_timeout_s BETWEEN 0 AND 120),
    distribution TEXT COLLATE "C" NOT NULL DEFAULT 'selected',
    author TEXT COLLATE "C" NOT NULL DEFAULT '',
    note TEXT COLLATE "C" NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL DEFAULT ((EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT),
    updated_at BIGINT NOT NULL DEFAULT ((EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT),
    PRIMARY KEY (workflow_id, version),
    FOREIGN KEY (workflow_id, tenant_id) REFERENCES workflows (id, tenant_id) ON DELETE CASCADE,
    FOREIGN KEY (sip_account_id, tenant_id) REFERENCES sip_accounts (id, tenant_id),
    FOREIGN KEY (agent_id, tenant_id) REFERENCES agents (id, tenant_id)
);
CREATE UNIQUE INDEX workflow_definitions_one_active ON workflow_definitions (workflow_id) WHERE is_active;
CREATE INDEX idx_workflow_definitions_sip_account ON workflow_definitions (sip_account_id);

-- The settings that the system before kept in one row. Nothing is taken from them but by `allo migrate`.
CREATE TABLE IF NOT EXISTS app_settings (
    sip_trunk_uri TEXT COLLATE "C",
    sip_trunk_username TEXT COLLATE "C",
    sip_trunk_password TEXT COLLATE "C",
    sip_contact_host TEXT COLLATE "C",
    sip_contact_port BIGINT,
    sip_contact_transport TEXT COLLATE "C"
);

CREATE FUNCTION take_number() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE counters SET last = last + 1 WHERE name = TG_TABLE_NAME RETURNING last::text INTO NEW.id;
    RETURN NEW;
END
$$;
CREATE TRIGGER sip_accounts_number BEFORE INSERT ON sip_accounts FOR EACH ROW WHEN (NEW.id = '') EXECUTE FUNCTION take_number();
CREATE TRIGGER workflows_number BEFORE INSERT ON workflows FOR EACH ROW WHEN (NEW.id = '') EXECUTE FUNCTION take_number();
-- The account that becomes the default takes it from the one that was.
CREATE FUNCTION take_default() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sip_accounts SET is_default = false, version = version + 1 WHERE tenant_id = NEW.tenant_id AND is_default AND id <> NEW.id;
    RETURN NEW;
END
$$;
CREATE TRIGGER sip_accounts_take_default BEFORE INSERT OR UPDATE OF is_default ON sip_accounts FOR EACH ROW WHEN (NEW.is_default) EXECUTE FUNCTION take_default();

-- What phone lines had of their own.
INSERT INTO sip_accounts (id, tenant_id, label, trunk_uri, username, password, contact_transport, is_active, version, created_at, updated_at)
SELECT id, tenant_id, phone_number,
    'sip:' || COALESCE(NULLIF(settings::json ->> 'sipUsername', ''), phone_number) || COALESCE('@' || NULLIF(settings::json ->> 'sipDomain', ''), ''),
    COALESCE(NULLIF(settings::json ->> 'sipAuthUsername', ''), NULLIF(settings::json ->> 'sipUsername', '')), sip_password_enc,
    CASE LOWER(NULLIF(settings::json ->> 'sipTransport', '')) WHEN 'tcp' THEN 'tcp' WHEN 'tls' THEN 'tls' ELSE 'udp' END,
    is_active = 1, 1, created_at, updated_at
FROM phone_lines WHERE provider = 'sip' AND (sip_password_enc IS NOT NULL OR NULLIF(settings::json ->> 'sipUsername', '') IS NOT NULL);
ALTER TABLE phone_lines DROP COLUMN sip_password_enc;

CREATE INDEX calls_by_line ON calls (tenant_id, line, started_at);

-- Encrypted values inside of agents, their tools and versions, which hold references to them. The salt is the id of the agent.
CREATE TABLE agent_secrets (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    agent_id TEXT NOT NULL,
    value_enc TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX agent_secrets_by_tenant ON agent_secrets (tenant_id);

-- A version may be changed once: when what stood in clear in it is sealed.
ALTER TABLE agent_versions ADD COLUMN is_sealed BIGINT NOT NULL DEFAULT 0;
DROP TRIGGER agent_versions_no_update;
CREATE TRIGGER agent_versions_no_update BEFORE UPDATE ON agent_versions
WHEN NOT (OLD.is_sealed = 0 AND NEW.is_sealed = 1 AND NEW.agent_id = OLD.agent_id AND NEW.version = OLD.version
    AND NEW.tenant_id = OLD.tenant_id AND NEW.at = OLD.at AND NEW.author = OLD.author AND NEW.note = OLD.note AND NEW.name = OLD.name)
BEGIN SELECT RAISE(ABORT, 'agent_versions is append-only'); END;

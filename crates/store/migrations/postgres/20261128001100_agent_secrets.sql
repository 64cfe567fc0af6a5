-- Encrypted values inside of agents, their tools and versions, which hold references to them. The salt is the id of the agent.
CREATE TABLE agent_secrets (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    agent_id TEXT COLLATE "C" NOT NULL,
    value_enc TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX agent_secrets_by_tenant ON agent_secrets (tenant_id);

-- A version may be changed once: when what stood in clear in it is sealed.
ALTER TABLE agent_versions ADD COLUMN is_sealed BIGINT NOT NULL DEFAULT 0;
DROP TRIGGER agent_versions_no_change ON agent_versions;
CREATE TRIGGER agent_versions_no_change BEFORE DELETE OR TRUNCATE ON agent_versions FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER agent_versions_no_update BEFORE UPDATE ON agent_versions FOR EACH ROW
WHEN (NOT (OLD.is_sealed = 0 AND NEW.is_sealed = 1 AND NEW.agent_id = OLD.agent_id AND NEW.version = OLD.version
    AND NEW.tenant_id = OLD.tenant_id AND NEW.at = OLD.at AND NEW.author = OLD.author AND NEW.note = OLD.note AND NEW.name = OLD.name))
EXECUTE FUNCTION append_only();

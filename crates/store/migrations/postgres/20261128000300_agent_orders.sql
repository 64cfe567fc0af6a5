-- What operators ordered of agents, and where agents that were discovered come from. An agent without a row runs.

CREATE TABLE agent_orders (
    agent_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    stopped BIGINT NOT NULL CHECK (stopped IN (0, 1)),
    version BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    FOREIGN KEY (agent_id, tenant_id) REFERENCES agents (id, tenant_id)
);

CREATE TABLE agent_sources (
    source TEXT COLLATE "C" NOT NULL,
    source_id TEXT COLLATE "C" NOT NULL,
    agent_id TEXT COLLATE "C" NOT NULL UNIQUE,
    tenant_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (source, source_id),
    FOREIGN KEY (agent_id, tenant_id) REFERENCES agents (id, tenant_id)
);

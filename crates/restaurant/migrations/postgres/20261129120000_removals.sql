-- Restaurants that were removed, and whose agent at the voice server has to go after them. No reference: their row is gone.
CREATE TABLE restaurant_removals (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C",
    agent_id TEXT COLLATE "C",
    attempts BIGINT NOT NULL DEFAULT 0,
    next_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

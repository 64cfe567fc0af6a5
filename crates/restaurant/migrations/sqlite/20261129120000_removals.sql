-- Restaurants that were removed, and whose agent at the voice server has to go after them. No reference: their row is gone.
CREATE TABLE restaurant_removals (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    account_id TEXT,
    agent_id TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);

-- Text is compared by its bytes, as SQLite does, whatever the server's language: pages then follow each other in the same order.
-- Money is whole micro-units of the currency, flags are 0 or 1. A reference to a row of a tenant names the tenant as well, so
-- that the database itself refuses one that points into another's.

ALTER TABLE processes ADD COLUMN host TEXT COLLATE "C" NOT NULL DEFAULT '';

ALTER TABLE tenants ADD COLUMN email TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE tenants ADD COLUMN is_active BIGINT NOT NULL DEFAULT 1;
ALTER TABLE tenants ADD COLUMN currency TEXT COLLATE "C" NOT NULL DEFAULT 'EUR';
ALTER TABLE tenants ADD COLUMN settings TEXT COLLATE "C" NOT NULL DEFAULT '{}';
ALTER TABLE tenants ADD COLUMN balance_micro BIGINT;
ALTER TABLE tenants ADD COLUMN budget_daily_micro BIGINT;
ALTER TABLE tenants ADD COLUMN calls_max BIGINT;
ALTER TABLE tenants ADD COLUMN webhook_secret_enc TEXT COLLATE "C";
ALTER TABLE tenants ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE tenants ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;
UPDATE tenants SET updated_at = created_at;
CREATE INDEX tenants_by_creation ON tenants (created_at, id);

CREATE TABLE final_customers (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    name TEXT COLLATE "C" NOT NULL,
    email TEXT COLLATE "C",
    phone TEXT COLLATE "C",
    currency TEXT COLLATE "C" NOT NULL,
    cost_margin_pct DOUBLE PRECISION NOT NULL,
    balance_micro BIGINT,
    is_active BIGINT NOT NULL CHECK (is_active IN (0, 1)),
    settings TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (id, tenant_id)
);
CREATE INDEX final_customers_by_creation ON final_customers (tenant_id, created_at, id);

CREATE TABLE agents (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    final_customer_id TEXT COLLATE "C",
    name TEXT COLLATE "C" NOT NULL,
    is_active BIGINT NOT NULL CHECK (is_active IN (0, 1)),
    pause_reason TEXT COLLATE "C",
    settings TEXT COLLATE "C" NOT NULL,
    api_token_hash TEXT COLLATE "C" UNIQUE,
    api_token_prefix TEXT COLLATE "C",
    public_token TEXT COLLATE "C" UNIQUE,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    UNIQUE (id, tenant_id),
    FOREIGN KEY (final_customer_id, tenant_id) REFERENCES final_customers (id, tenant_id)
);
CREATE INDEX agents_by_creation ON agents (tenant_id, created_at, id);
CREATE INDEX agents_by_final_customer ON agents (final_customer_id);

CREATE TABLE tools (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    agent_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    sort_order BIGINT NOT NULL,
    is_enabled BIGINT NOT NULL CHECK (is_enabled IN (0, 1)),
    config TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (agent_id, name),
    FOREIGN KEY (agent_id, tenant_id) REFERENCES agents (id, tenant_id)
);

-- What an agent was at each of its versions. Never changed: calls name the version that they began with.
CREATE TABLE agent_versions (
    agent_id TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    tenant_id TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    author TEXT COLLATE "C" NOT NULL,
    note TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    settings TEXT COLLATE "C" NOT NULL,
    tools TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (agent_id, version),
    FOREIGN KEY (agent_id, tenant_id) REFERENCES agents (id, tenant_id)
);

CREATE TABLE phone_lines (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    agent_id TEXT COLLATE "C" NOT NULL,
    phone_number TEXT COLLATE "C" NOT NULL UNIQUE,
    provider TEXT COLLATE "C" NOT NULL,
    is_active BIGINT NOT NULL CHECK (is_active IN (0, 1)),
    settings TEXT COLLATE "C" NOT NULL,
    sip_password_enc TEXT COLLATE "C",
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    FOREIGN KEY (agent_id, tenant_id) REFERENCES agents (id, tenant_id)
);
CREATE INDEX phone_lines_by_creation ON phone_lines (tenant_id, created_at, id);
CREATE INDEX phone_lines_by_agent ON phone_lines (agent_id);

CREATE TABLE faqs (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    agent_id TEXT COLLATE "C" NOT NULL,
    question TEXT COLLATE "C" NOT NULL,
    answer TEXT COLLATE "C",
    category TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL CHECK (status IN ('pending', 'answered', 'ignored')),
    caller_phone TEXT COLLATE "C",
    ask_count BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (agent_id, question),
    FOREIGN KEY (agent_id, tenant_id) REFERENCES agents (id, tenant_id)
);
CREATE INDEX faqs_by_creation ON faqs (tenant_id, created_at, id);

-- Of one agent, or of all agents of the tenant.
CREATE TABLE blocked_numbers (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    agent_id TEXT COLLATE "C",
    phone_number TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C",
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    FOREIGN KEY (agent_id, tenant_id) REFERENCES agents (id, tenant_id)
);
CREATE UNIQUE INDEX blocked_numbers_once ON blocked_numbers (tenant_id, phone_number, COALESCE(agent_id, ''));
CREATE INDEX blocked_numbers_by_creation ON blocked_numbers (tenant_id, created_at, id);

-- Without a tenant: of the operator of the node.
CREATE TABLE users (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" REFERENCES tenants (id),
    email TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL,
    password_hash TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL CHECK (role IN ('owner', 'admin', 'operator', 'viewer')),
    is_active BIGINT NOT NULL CHECK (is_active IN (0, 1)),
    last_login_at BIGINT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX users_by_creation ON users (tenant_id, created_at, id);

CREATE TABLE api_keys (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" REFERENCES tenants (id),
    agent_id TEXT COLLATE "C",
    name TEXT COLLATE "C" NOT NULL,
    prefix TEXT COLLATE "C" NOT NULL,
    hash TEXT COLLATE "C" NOT NULL UNIQUE,
    role TEXT COLLATE "C" NOT NULL CHECK (role IN ('owner', 'admin', 'operator', 'viewer')),
    scopes TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT,
    revoked_at BIGINT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    FOREIGN KEY (agent_id, tenant_id) REFERENCES agents (id, tenant_id)
);
CREATE INDEX api_keys_by_creation ON api_keys (tenant_id, created_at, id);

-- Who did what. Rows are added, never changed or removed.
CREATE TABLE audit_log (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C",
    at BIGINT NOT NULL,
    actor_kind TEXT COLLATE "C" NOT NULL,
    actor_id TEXT COLLATE "C" NOT NULL,
    actor_name TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C",
    request_id TEXT COLLATE "C",
    action TEXT COLLATE "C" NOT NULL,
    entity TEXT COLLATE "C" NOT NULL,
    entity_id TEXT COLLATE "C" NOT NULL,
    detail TEXT COLLATE "C"
);
CREATE INDEX audit_log_by_time ON audit_log (tenant_id, at, id);

-- A request that changes something, by the key that its client gave it; the owner is a tenant, or empty for the node's operator.
CREATE TABLE idempotency_keys (
    owner TEXT COLLATE "C" NOT NULL,
    idempotency_key TEXT COLLATE "C" NOT NULL,
    request_hash TEXT COLLATE "C" NOT NULL,
    status BIGINT,
    headers TEXT COLLATE "C",
    body TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (owner, idempotency_key)
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);

ALTER TABLE calls ADD COLUMN agent_id TEXT COLLATE "C";
ALTER TABLE calls ADD COLUMN agent_version BIGINT;
ALTER TABLE calls ADD COLUMN final_customer_id TEXT COLLATE "C";
ALTER TABLE calls ADD COLUMN carrier TEXT COLLATE "C";
ALTER TABLE calls ADD COLUMN carrier_call_id TEXT COLLATE "C";
ALTER TABLE calls ADD COLUMN outcome TEXT COLLATE "C";
ALTER TABLE calls ADD COLUMN costs TEXT COLLATE "C";
ALTER TABLE calls ADD COLUMN cost_micro BIGINT;
ALTER TABLE calls ADD COLUMN currency TEXT COLLATE "C";
ALTER TABLE calls ADD COLUMN context TEXT COLLATE "C";
ALTER TABLE calls ADD COLUMN model TEXT COLLATE "C";
CREATE INDEX calls_by_agent ON calls (agent_id, started_at DESC, id DESC);
CREATE INDEX calls_by_carrier ON calls (carrier_call_id);

-- A tool that runs: its row is there before its request leaves.
CREATE TABLE tool_runs (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    agent_id TEXT COLLATE "C",
    call_id TEXT COLLATE "C" NOT NULL,
    process_id TEXT COLLATE "C" NOT NULL,
    tool_call_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    arguments TEXT COLLATE "C" NOT NULL,
    request TEXT COLLATE "C",
    idempotency_key TEXT COLLATE "C" NOT NULL UNIQUE,
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('begun', 'done', 'failed')),
    attempts BIGINT NOT NULL,
    status BIGINT,
    output TEXT COLLATE "C",
    cost_micro BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    CHECK ((ended_at IS NULL) = (state = 'begun'))
);
CREATE INDEX tool_runs_by_call ON tool_runs (call_id, started_at, id);
CREATE INDEX tool_runs_begun ON tool_runs (process_id) WHERE state = 'begun';

-- What has to reach somebody else, at least once.
CREATE TABLE outbox (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    agent_id TEXT COLLATE "C",
    call_id TEXT COLLATE "C",
    kind TEXT COLLATE "C" NOT NULL,
    url TEXT COLLATE "C" NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    last_status BIGINT,
    last_error TEXT COLLATE "C",
    claimed_until BIGINT,
    ended_at BIGINT,
    UNIQUE (call_id, kind)
);
CREATE INDEX outbox_due ON outbox (next_attempt_at) WHERE state = 'pending';
CREATE INDEX outbox_by_creation ON outbox (tenant_id, created_at, id);

-- Every change of a balance. Rows are added, never changed or removed. The account is a tenant or a final customer; a reference
-- (a call, a payment) is booked once.
CREATE TABLE transactions (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    final_customer_id TEXT COLLATE "C",
    account TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    reference TEXT COLLATE "C",
    amount_micro BIGINT NOT NULL,
    currency TEXT COLLATE "C" NOT NULL,
    balance_micro BIGINT,
    note TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    UNIQUE (account, kind, reference),
    FOREIGN KEY (final_customer_id, tenant_id) REFERENCES final_customers (id, tenant_id)
);
CREATE INDEX transactions_by_time ON transactions (tenant_id, account, at, id);

CREATE TABLE plans (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    name TEXT COLLATE "C" NOT NULL,
    price_micro BIGINT NOT NULL,
    currency TEXT COLLATE "C" NOT NULL,
    period TEXT COLLATE "C" NOT NULL CHECK (period IN ('once', 'month', 'year')),
    settings TEXT COLLATE "C" NOT NULL,
    is_active BIGINT NOT NULL CHECK (is_active IN (0, 1)),
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (id, tenant_id)
);
CREATE INDEX plans_by_creation ON plans (tenant_id, created_at, id);

CREATE TABLE subscriptions (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    final_customer_id TEXT COLLATE "C" NOT NULL,
    plan_id TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('active', 'cancelled')),
    starts_at BIGINT NOT NULL,
    ends_at BIGINT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    FOREIGN KEY (final_customer_id, tenant_id) REFERENCES final_customers (id, tenant_id),
    FOREIGN KEY (plan_id, tenant_id) REFERENCES plans (id, tenant_id)
);
CREATE INDEX subscriptions_by_creation ON subscriptions (tenant_id, created_at, id);

-- Of the node: what models cost, from a day on. A model takes the longest prefix of its name.
CREATE TABLE price_tables (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    model_prefix TEXT COLLATE "C" NOT NULL,
    valid_from BIGINT NOT NULL,
    currency TEXT COLLATE "C" NOT NULL,
    prices TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (model_prefix, valid_from)
);

CREATE TABLE chat_sessions (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    agent_id TEXT COLLATE "C" NOT NULL,
    agent_version BIGINT NOT NULL,
    visitor TEXT COLLATE "C",
    context TEXT COLLATE "C",
    outcome TEXT COLLATE "C",
    costs TEXT COLLATE "C",
    cost_micro BIGINT,
    currency TEXT COLLATE "C",
    ended_at BIGINT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (id, tenant_id),
    FOREIGN KEY (agent_id, tenant_id) REFERENCES agents (id, tenant_id)
);
CREATE INDEX chat_sessions_by_creation ON chat_sessions (tenant_id, created_at, id);

CREATE TABLE chat_messages (
    session_id TEXT COLLATE "C" NOT NULL REFERENCES chat_sessions (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    role TEXT COLLATE "C" NOT NULL CHECK (role IN ('user', 'assistant', 'tool', 'system')),
    content TEXT COLLATE "C" NOT NULL,
    detail TEXT COLLATE "C",
    at BIGINT NOT NULL,
    PRIMARY KEY (session_id, seq)
);

CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$;
CREATE TRIGGER audit_log_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER transactions_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON transactions FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER agent_versions_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON agent_versions FOR EACH STATEMENT EXECUTE FUNCTION append_only();

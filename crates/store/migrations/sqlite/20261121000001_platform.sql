-- Money is whole micro-units of the currency, flags are 0 or 1. A reference to a row of a tenant names the tenant as well, so
-- that the database itself refuses one that points into another's.

ALTER TABLE processes ADD COLUMN host TEXT NOT NULL DEFAULT '';

ALTER TABLE tenants ADD COLUMN email TEXT NOT NULL DEFAULT '';
ALTER TABLE tenants ADD COLUMN is_active BIGINT NOT NULL DEFAULT 1;
ALTER TABLE tenants ADD COLUMN currency TEXT NOT NULL DEFAULT 'EUR';
ALTER TABLE tenants ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
ALTER TABLE tenants ADD COLUMN balance_micro BIGINT;
ALTER TABLE tenants ADD COLUMN budget_daily_micro BIGINT;
ALTER TABLE tenants ADD COLUMN calls_max BIGINT;
ALTER TABLE tenants ADD COLUMN webhook_secret_enc TEXT;
ALTER TABLE tenants ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE tenants ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;
UPDATE tenants SET updated_at = created_at;
CREATE INDEX tenants_by_creation ON tenants (created_at, id);

CREATE TABLE final_customers (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    email TEXT,
    phone TEXT,
    currency TEXT NOT NULL,
    cost_margin_pct DOUBLE PRECISION NOT NULL,
    balance_micro BIGINT,
    is_active BIGINT NOT NULL CHECK (is_active IN (0, 1)),
    settings TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (id, tenant_id)
);
CREATE INDEX final_customers_by_creation ON final_customers (tenant_id, created_at, id);

CREATE TABLE agents (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    final_customer_id TEXT,
    name TEXT NOT NULL,
    is_active BIGINT NOT NULL CHECK (is_active IN (0, 1)),
    pause_reason TEXT,
    settings TEXT NOT NULL,
    api_token_hash TEXT UNIQUE,
    api_token_prefix TEXT,
    public_token TEXT UNIQUE,
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
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    name TEXT NOT NULL,
    sort_order BIGINT NOT NULL,
    is_enabled BIGINT NOT NULL CHECK (is_enabled IN (0, 1)),
    config TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (agent_id, name),
    FOREIGN KEY (agent_id, tenant_id) REFERENCES agents (id, tenant_id)
);

-- What an agent was at each of its versions. Never changed: calls name the version that they began with.
CREATE TABLE agent_versions (
    agent_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    tenant_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    author TEXT NOT NULL,
    note TEXT NOT NULL,
    name TEXT NOT NULL,
    settings TEXT NOT NULL,
    tools TEXT NOT NULL,
    PRIMARY KEY (agent_id, version),
    FOREIGN KEY (agent_id, tenant_id) REFERENCES agents (id, tenant_id)
);

CREATE TABLE phone_lines (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    phone_number TEXT NOT NULL UNIQUE,
    provider TEXT NOT NULL,
    is_active BIGINT NOT NULL CHECK (is_active IN (0, 1)),
    settings TEXT NOT NULL,
    sip_password_enc TEXT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    FOREIGN KEY (agent_id, tenant_id) REFERENCES agents (id, tenant_id)
);
CREATE INDEX phone_lines_by_creation ON phone_lines (tenant_id, created_at, id);
CREATE INDEX phone_lines_by_agent ON phone_lines (agent_id);

CREATE TABLE faqs (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    question TEXT NOT NULL,
    answer TEXT,
    category TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'answered', 'ignored')),
    caller_phone TEXT,
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
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    agent_id TEXT,
    phone_number TEXT NOT NULL,
    reason TEXT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    FOREIGN KEY (agent_id, tenant_id) REFERENCES agents (id, tenant_id)
);
CREATE UNIQUE INDEX blocked_numbers_once ON blocked_numbers (tenant_id, phone_number, COALESCE(agent_id, ''));
CREATE INDEX blocked_numbers_by_creation ON blocked_numbers (tenant_id, created_at, id);

-- Without a tenant: of the operator of the node.
CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT REFERENCES tenants (id),
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'operator', 'viewer')),
    is_active BIGINT NOT NULL CHECK (is_active IN (0, 1)),
    last_login_at BIGINT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX users_by_creation ON users (tenant_id, created_at, id);

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT REFERENCES tenants (id),
    agent_id TEXT,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'operator', 'viewer')),
    scopes TEXT NOT NULL,
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
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT,
    at BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    address TEXT,
    request_id TEXT,
    action TEXT NOT NULL,
    entity TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    detail TEXT
);
CREATE INDEX audit_log_by_time ON audit_log (tenant_id, at, id);

-- A request that changes something, by the key that its client gave it; the owner is a tenant, or empty for the node's operator.
CREATE TABLE idempotency_keys (
    owner TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    status BIGINT,
    headers TEXT,
    body TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (owner, idempotency_key)
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);

ALTER TABLE calls ADD COLUMN agent_id TEXT;
ALTER TABLE calls ADD COLUMN agent_version BIGINT;
ALTER TABLE calls ADD COLUMN final_customer_id TEXT;
ALTER TABLE calls ADD COLUMN carrier TEXT;
ALTER TABLE calls ADD COLUMN carrier_call_id TEXT;
ALTER TABLE calls ADD COLUMN outcome TEXT;
ALTER TABLE calls ADD COLUMN costs TEXT;
ALTER TABLE calls ADD COLUMN cost_micro BIGINT;
ALTER TABLE calls ADD COLUMN currency TEXT;
ALTER TABLE calls ADD COLUMN context TEXT;
ALTER TABLE calls ADD COLUMN model TEXT;
CREATE INDEX calls_by_agent ON calls (agent_id, started_at DESC, id DESC);
CREATE INDEX calls_by_carrier ON calls (carrier_call_id);

-- A tool that runs: its row is there before its request leaves.
CREATE TABLE tool_runs (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    agent_id TEXT,
    call_id TEXT NOT NULL,
    process_id TEXT NOT NULL,
    tool_call_id TEXT NOT NULL,
    name TEXT NOT NULL,
    arguments TEXT NOT NULL,
    request TEXT,
    idempotency_key TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('begun', 'done', 'failed')),
    attempts BIGINT NOT NULL,
    status BIGINT,
    output TEXT,
    cost_micro BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    CHECK ((ended_at IS NULL) = (state = 'begun'))
);
CREATE INDEX tool_runs_by_call ON tool_runs (call_id, started_at, id);
CREATE INDEX tool_runs_begun ON tool_runs (process_id) WHERE state = 'begun';

-- What has to reach somebody else, at least once.
CREATE TABLE outbox (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    agent_id TEXT,
    call_id TEXT,
    kind TEXT NOT NULL,
    url TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    last_status BIGINT,
    last_error TEXT,
    claimed_until BIGINT,
    ended_at BIGINT,
    UNIQUE (call_id, kind)
);
CREATE INDEX outbox_due ON outbox (next_attempt_at) WHERE state = 'pending';
CREATE INDEX outbox_by_creation ON outbox (tenant_id, created_at, id);

-- Every change of a balance. Rows are added, never changed or removed. The account is a tenant or a final customer; a reference
-- (a call, a payment) is booked once.
CREATE TABLE transactions (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    final_customer_id TEXT,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    reference TEXT,
    amount_micro BIGINT NOT NULL,
    currency TEXT NOT NULL,
    balance_micro BIGINT,
    note TEXT NOT NULL,
    at BIGINT NOT NULL,
    UNIQUE (account, kind, reference),
    FOREIGN KEY (final_customer_id, tenant_id) REFERENCES final_customers (id, tenant_id)
);
CREATE INDEX transactions_by_time ON transactions (tenant_id, account, at, id);

CREATE TABLE plans (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    price_micro BIGINT NOT NULL,
    currency TEXT NOT NULL,
    period TEXT NOT NULL CHECK (period IN ('once', 'month', 'year')),
    settings TEXT NOT NULL,
    is_active BIGINT NOT NULL CHECK (is_active IN (0, 1)),
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (id, tenant_id)
);
CREATE INDEX plans_by_creation ON plans (tenant_id, created_at, id);

CREATE TABLE subscriptions (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    final_customer_id TEXT NOT NULL,
    plan_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'cancelled')),
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
    id TEXT NOT NULL PRIMARY KEY,
    model_prefix TEXT NOT NULL,
    valid_from BIGINT NOT NULL,
    currency TEXT NOT NULL,
    prices TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (model_prefix, valid_from)
);

CREATE TABLE chat_sessions (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    agent_version BIGINT NOT NULL,
    visitor TEXT,
    context TEXT,
    outcome TEXT,
    costs TEXT,
    cost_micro BIGINT,
    currency TEXT,
    ended_at BIGINT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (id, tenant_id),
    FOREIGN KEY (agent_id, tenant_id) REFERENCES agents (id, tenant_id)
);
CREATE INDEX chat_sessions_by_creation ON chat_sessions (tenant_id, created_at, id);

CREATE TABLE chat_messages (
    session_id TEXT NOT NULL REFERENCES chat_sessions (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('user', 'assistant', 'tool', 'system')),
    content TEXT NOT NULL,
    detail TEXT,
    at BIGINT NOT NULL,
    PRIMARY KEY (session_id, seq)
);

CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;
CREATE TRIGGER transactions_no_update BEFORE UPDATE ON transactions BEGIN SELECT RAISE(ABORT, 'transactions is append-only'); END;
CREATE TRIGGER transactions_no_delete BEFORE DELETE ON transactions BEGIN SELECT RAISE(ABORT, 'transactions is append-only'); END;
CREATE TRIGGER agent_versions_no_update BEFORE UPDATE ON agent_versions BEGIN SELECT RAISE(ABORT, 'agent_versions is append-only'); END;
CREATE TRIGGER agent_versions_no_delete BEFORE DELETE ON agent_versions BEGIN SELECT RAISE(ABORT, 'agent_versions is append-only'); END;

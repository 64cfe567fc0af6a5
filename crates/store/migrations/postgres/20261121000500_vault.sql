-- Text is compared by its bytes, as SQLite does.
-- What the database knows of its encryption key: a check value, and while keys are exchanged each of the two keys encrypted with
-- the other.
CREATE TABLE vault (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Encrypted values of an account: keys of its voice engines and carriers. The id is `tenant:purpose`, the salt of the encryption.
CREATE TABLE account_secrets (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    purpose TEXT COLLATE "C" NOT NULL,
    value_enc TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (tenant_id, purpose)
);

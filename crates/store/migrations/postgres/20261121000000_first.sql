-- Text is compared by its bytes, as SQLite does, whatever the server's language: pages then follow each other in the same order.
-- Times are microseconds since 1970-01-01 UTC. JSON is text.

CREATE TABLE tenants (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);

-- One row for each process that takes calls. Its heartbeat says until when it lived.
CREATE TABLE processes (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    pid BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    heartbeat_at BIGINT NOT NULL,
    stopped_at BIGINT
);

CREATE TABLE calls (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    process_id TEXT COLLATE "C" NOT NULL REFERENCES processes (id),
    direction TEXT COLLATE "C" NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    from_party TEXT COLLATE "C" NOT NULL,
    to_party TEXT COLLATE "C" NOT NULL,
    line TEXT COLLATE "C" NOT NULL,
    agent TEXT COLLATE "C" NOT NULL,
    sip_call_id TEXT COLLATE "C",
    started_at BIGINT NOT NULL,
    answered_at BIGINT,
    ended_at BIGINT,
    reason TEXT COLLATE "C",
    ended_by TEXT COLLATE "C",
    verdict TEXT COLLATE "C",
    statistics TEXT COLLATE "C",
    recording_path TEXT COLLATE "C",
    CHECK ((ended_at IS NULL) = (reason IS NULL))
);

CREATE INDEX calls_by_start ON calls (tenant_id, started_at DESC, id DESC);
CREATE INDEX calls_unfinished ON calls (process_id) WHERE ended_at IS NULL;

CREATE TABLE call_events (
    call_id TEXT COLLATE "C" NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    wall BIGINT NOT NULL,
    type TEXT COLLATE "C" NOT NULL,
    event TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (call_id, seq)
);

CREATE TABLE transcript (
    call_id TEXT COLLATE "C" NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    role TEXT COLLATE "C" NOT NULL CHECK (role IN ('caller', 'agent', 'system')),
    item TEXT COLLATE "C",
    text TEXT COLLATE "C" NOT NULL,
    at_ms BIGINT NOT NULL,
    interrupted_at_ms BIGINT,
    PRIMARY KEY (call_id, seq),
    UNIQUE (call_id, item, role)
);

-- Times are microseconds since 1970-01-01 UTC. JSON is text.

CREATE TABLE tenants (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- One row for each process that takes calls. Its heartbeat says until when it lived.
CREATE TABLE processes (
    id TEXT NOT NULL PRIMARY KEY,
    pid BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    heartbeat_at BIGINT NOT NULL,
    stopped_at BIGINT
);

CREATE TABLE calls (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    process_id TEXT NOT NULL REFERENCES processes (id),
    direction TEXT NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    from_party TEXT NOT NULL,
    to_party TEXT NOT NULL,
    line TEXT NOT NULL,
    agent TEXT NOT NULL,
    sip_call_id TEXT,
    started_at BIGINT NOT NULL,
    answered_at BIGINT,
    ended_at BIGINT,
    reason TEXT,
    ended_by TEXT,
    verdict TEXT,
    statistics TEXT,
    recording_path TEXT,
    CHECK ((ended_at IS NULL) = (reason IS NULL))
);

CREATE INDEX calls_by_start ON calls (tenant_id, started_at DESC, id DESC);
CREATE INDEX calls_unfinished ON calls (process_id) WHERE ended_at IS NULL;

CREATE TABLE call_events (
    call_id TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    wall BIGINT NOT NULL,
    type TEXT NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (call_id, seq)
);

CREATE TABLE transcript (
    call_id TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('caller', 'agent', 'system')),
    item TEXT,
    text TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    interrupted_at_ms BIGINT,
    PRIMARY KEY (call_id, seq),
    UNIQUE (call_id, item, role)
);

-- What guests, staff, printers and other programs are sent of what happened, each at least once.

CREATE TABLE restaurant_notices (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject_id TEXT,
    channel TEXT NOT NULL,
    target TEXT NOT NULL,
    subject TEXT,
    body TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER NOT NULL,
    claimed_until INTEGER,
    gives_up_at INTEGER NOT NULL,
    last_error TEXT,
    ended_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (event_id, channel, target)
) STRICT;

CREATE INDEX restaurant_notices_due ON restaurant_notices (state, next_at);
CREATE INDEX restaurant_notices_new ON restaurant_notices (restaurant_id, created_at);
CREATE INDEX restaurant_notices_subject ON restaurant_notices (subject_id);
CREATE INDEX restaurant_events_unread ON restaurant_events (published_at, created_at);
-- What happened before there was anybody to tell.
UPDATE restaurant_events SET published_at = created_at WHERE published_at IS NULL;

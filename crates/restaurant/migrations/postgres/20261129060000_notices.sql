-- What guests, staff, printers and other programs are sent of what happened, each at least once.

CREATE TABLE restaurant_notices (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    event_id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    subject_id TEXT COLLATE "C",
    channel TEXT COLLATE "C" NOT NULL,
    target TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C",
    body TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL DEFAULT 'pending',
    attempts BIGINT NOT NULL DEFAULT 0,
    next_at BIGINT NOT NULL,
    claimed_until BIGINT,
    gives_up_at BIGINT NOT NULL,
    last_error TEXT COLLATE "C",
    ended_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (event_id, channel, target)
);

CREATE INDEX restaurant_notices_due ON restaurant_notices (state, next_at);
CREATE INDEX restaurant_notices_new ON restaurant_notices (restaurant_id, created_at);
CREATE INDEX restaurant_notices_subject ON restaurant_notices (subject_id);
CREATE INDEX restaurant_events_unread ON restaurant_events (published_at, created_at);
-- What happened before there was anybody to tell.
UPDATE restaurant_events SET published_at = created_at WHERE published_at IS NULL;

-- The list of the calls of all tenants, newest first.
CREATE INDEX calls_by_start_of_all ON calls (started_at DESC, id DESC);

-- Where a delivery goes (scheme, host and port of its URL), so that a slow receiver is set aside without reading the others.
ALTER TABLE outbox ADD COLUMN destination TEXT NOT NULL DEFAULT '';

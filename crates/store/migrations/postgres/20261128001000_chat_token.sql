-- Who began a chat with a public token goes on with it by a token of the chat's own; only its hash is kept.
ALTER TABLE chat_sessions ADD COLUMN token_hash TEXT COLLATE "C";
-- Open chats by their last change: the ones that nobody goes on with are ended.
CREATE INDEX chat_sessions_open ON chat_sessions (updated_at) WHERE ended_at IS NULL;

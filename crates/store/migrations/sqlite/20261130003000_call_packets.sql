-- Packets of the audio of calls, where the settings keep them (`rtp.capture`): blocks as `store::packet` writes them, in base64.
CREATE TABLE call_packets (
    call_id TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    block TEXT NOT NULL,
    PRIMARY KEY (call_id, seq)
);

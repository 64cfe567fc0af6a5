-- The password for the TURN server that relays the audio of an account, sealed with the id of the row and `turn`.
ALTER TABLE sip_accounts ADD COLUMN turn_password TEXT COLLATE "C";

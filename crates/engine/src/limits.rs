//! Named limits of the engine that are not settings.

use std::time::Duration;

/// Commands waiting for the SIP driver.
pub const DRIVER_COMMANDS_MAX: usize = 4_096;
/// Events of one leg waiting for its call task; full ends the call with `EndReason::Overload`.
pub const LEG_EVENTS_MAX: usize = 256;
/// Requests of operators waiting for one call task.
pub const CALL_COMMANDS_MAX: usize = 16;
/// Replies of tool runs waiting for one call task.
pub const TOOL_REPLIES_MAX: usize = 32;
/// What may change something and still runs when its call ends is awaited this long.
pub const RUNS_AFTER_END_WITHIN: Duration = Duration::from_secs(30);
/// Longest wait for the session's data and for the checks while the phone rings.
pub const SESSION_DATA_WITHIN: Duration = Duration::from_secs(8);
/// Frames of the caller kept for the engine while the disclosure is played; the oldest are lost beyond. 15 s, which is what the
/// engine's queue takes at once.
pub const HELD_FRAMES_MAX: usize = 750;
/// Frames of all stream connections waiting for the SIP driver.
pub const STREAM_EVENTS_MAX: usize = 1_024;
/// Messages waiting to be written to one stream connection; full closes it.
pub const STREAM_WRITES_MAX: usize = 128;
/// Largest SIP datagram or read from a stream connection, bytes.
pub const SIP_MESSAGE_BYTES_MAX: usize = 65_535;
/// TLS handshake of a SIP connection.
pub const TLS_HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// The HTTP request of a SIP connection by WebSocket.
pub const WEBSOCKET_REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// Certificates, and names, that a line may list as its own.
pub const CERTIFICATES_PER_LINE_MAX: usize = 16;
/// Authorities that a line may name for them.
pub const AUTHORITIES_PER_LINE_MAX: usize = 16;
/// Bytes of their PEM.
pub const AUTHORITIES_BYTES_MAX: usize = 64 * 1_024;
/// Bytes of a name in a certificate: the longest name of DNS, with the scheme of a URI.
pub const CERTIFICATE_NAME_BYTES_MAX: usize = 260;
/// Certificates that a peer shows which are kept: its own and those of its issuers.
/// More would let a stranger's chain cost many signatures to look at: each order of the issuers is a way.
pub const CHAIN_CERTIFICATES_MAX: usize = 4;
/// Bytes of them together; those beyond are not kept.
pub const CHAIN_BYTES_MAX: usize = 32 * 1_024;
/// Outgoing connection of SIP over a stream.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Receive buffer asked for each SIP UDP socket, bytes: a burst of a few thousand messages fits.
pub const SIP_UDP_BUFFER_BYTES: usize = 4 * 1_024 * 1_024;
/// One name resolution, all its queries together.
pub const RESOLVE_WITHIN: Duration = Duration::from_secs(3);
/// How long the last good answer of a name is used while its servers fail.
pub const RESOLVED_KEPT: Duration = Duration::from_secs(3_600);
/// Names whose last good answer is kept.
pub const RESOLVED_NAMES_MAX: usize = 1_024;
/// Resolutions at the same time.
pub const RESOLUTIONS_MAX: usize = 256;
/// Unknown sources whose rates are remembered (in each of two generations).
pub const RATED_SOURCES_MAX: usize = 8_192;
/// New calls a second that unknown sources may begin, all together. Each that is refused is remembered for half a minute: this
/// many fill a sixth of the table of transactions, and known sources have the rest.
pub const UNKNOWN_CALLS_PER_S_MAX: u32 = 100;
/// Wrong passwords of one unknown source within [`WRONG_PASSWORDS_WITHIN`] before it is banned.
pub const WRONG_PASSWORDS_MAX: u32 = 10;
/// See [`WRONG_PASSWORDS_MAX`].
pub const WRONG_PASSWORDS_WITHIN: Duration = Duration::from_secs(300);
/// How long a banned source is not answered.
pub const BANNED_FOR: Duration = Duration::from_secs(900);
/// Sources whose wrong passwords are remembered; beyond it the oldest is forgotten.
pub const WRONG_PASSWORD_SOURCES_MAX: usize = 4_096;
/// Bytes of an engine's answer to the WebSocket handshake.
pub const HANDSHAKE_BYTES_MAX: usize = 16 * 1_024;
/// Traces kept for INVITEs that are not dispatched yet.
pub const EARLY_TRACES_MAX: usize = 64;
/// Refused calls of unknown sources that are stored in a minute; further ones are counted only.
pub const REFUSALS_STORED_PER_MINUTE_MAX: u32 = 60;
/// The same where refusals of known lines (overload, draining) are among them.
pub const REFUSALS_OF_LINES_STORED_PER_MINUTE_MAX: u32 = 600;
/// Retry-After of a call that a line's or a tenant's rate refuses, seconds: within one there is room again, and RFC 3261 section 21.5.4 has
/// the other side send nothing at all until then.
pub const RATE_RETRY_AFTER_S: u32 = 1;
/// Lines with figures of their own in `/metrics`; the calls of others are counted together.
pub const MEASURED_LINES_MAX: usize = 1_000;
/// Refused calls whose end is awaited at the same time.
pub const REFUSALS_OPEN_MAX: usize = 1_024;
/// Entries waiting for the journal's writer, all calls together.
pub const JOURNAL_QUEUE_MAX: usize = 16_384;
/// Below this many free places in the journal's queue RTP statistics are dropped (and counted).
pub const JOURNAL_RESERVE: usize = 4_096;
/// Entries that one call keeps while the journal's queue is full.
pub const JOURNAL_HELD_MAX: usize = 4_096;
/// Bytes of packets of one call that are kept (`rtp.capture`): two hours of headers, a quarter of an hour of whole packets of G.711 in both
/// directions. What comes afterwards is counted.
pub const CAPTURED_BYTES_MAX: usize = 16 * 1_024 * 1_024;
/// Bytes of packets of all calls together that wait to be written; beyond it they are lost, and counted.
pub const CAPTURED_WAITING_MAX: usize = 64 * 1_024 * 1_024;
/// Longest time an entry waits for its batch.
pub const JOURNAL_BATCH_WITHIN: Duration = Duration::from_millis(200);
/// Blocks (of one second) waiting for the recorder, all calls together.
pub const RECORDER_QUEUE_MAX: usize = 1_024;
/// A call that is ending does not say any more whether it can be listened to.
pub const LISTEN_WITHIN: Duration = Duration::from_secs(2);
/// Those who listen to one call at the same time.
pub const LISTENERS_MAX: usize = 8;
/// Frames (of 20 ms) that a listener may be behind; what comes then is lost for it.
pub const LISTENER_FRAMES_MAX: usize = 250;
/// People whom one call may call for its caller: each is a second leg.
pub const SECOND_LEGS_MAX: usize = 8;
/// Parking places of one account: callers who wait in them at the same time.
pub const PARKING_PLACES_MAX: u16 = 99;
/// Keys of a code that come later than this after each other are no code: they are the caller's.
pub const KEYS_OF_CODE_WITHIN: Duration = Duration::from_secs(2);
/// Whoever parked by telephone is told the place, and leaves this long after it at the latest.
pub const PLACE_TOLD_WITHIN: Duration = Duration::from_secs(10);
/// A telephone of the house that comes into a running call is connected within this time, or is let go.
pub const CONNECTED_WITHIN: Duration = Duration::from_secs(35);
/// Messages of such a telephone that are kept for the journal of the call.
pub const COMING_MESSAGES_MAX: usize = 64;
/// Sound that may wait towards a telephone that listens, ms; what would wait longer is left out.
pub const OVERHEARD_MS_MAX: u32 = 400;
/// How long the side of a telephone that listened is given to end its leg.
pub const LEFT_WITHIN: Duration = Duration::from_secs(1);
/// Times that people of the house may come into one call by themselves.
pub const PEOPLE_MAX: usize = 64;
/// A person's page by WebSocket that sends no sound for this long is gone, ms; one by WebRTC says so itself.
pub const PERSON_SILENT_MS_MAX: u32 = 10_000;
/// A call that is ending does not say any more whether a person can come.
pub const PERSON_ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Longest announcement to a second leg, ms; the session gives it up later than this ([`call::limits::ANNOUNCEMENT_MS_MAX`]).
pub const ANNOUNCEMENT_AUDIO_MS_MAX: usize = 60_000;
/// The sound of an announcement is made within this time, counted from the call of the second leg.
pub const ANNOUNCEMENT_MADE_WITHIN: Duration = Duration::from_secs(30);
/// A person who has answered waits so long for an announcement that is still being made.
pub const ANNOUNCEMENT_WAIT: Duration = Duration::from_secs(5);
/// Longest sound of first words that is kept, bytes (30 s).
pub const GREETING_BYTES_MAX: usize = 240_000;
/// Shortest sound of first words that is taken for one, bytes (200 ms).
pub const GREETING_BYTES_MIN: usize = 1_600;
/// Sounds of first words that are kept; the one that was not used for longest goes first.
pub const GREETINGS_MAX: usize = 1_000;
/// A sound of first words that is not used for this long is deleted.
pub const GREETINGS_KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Pages whose offer was answered and that are not connected yet; a further one is told to come by WebSocket.
pub const PAGES_WAITING_MAX: usize = 64;
/// How long a page whose offer was answered may take to be connected.
pub const PAGE_CONNECTED_WITHIN: Duration = Duration::from_secs(10);
/// Interval of the RTP statistics in the journal.
pub const STATISTICS_EVERY: Duration = Duration::from_secs(5);
/// A carrier's stream must have come this long after the longest ringing.
pub const STREAM_AFTER_RING_WITHIN: Duration = Duration::from_secs(30);
/// Largest WebSocket message taken from an engine, bytes.
pub const ENGINE_MESSAGE_BYTES_MAX: usize = wire::realtime::MESSAGE_BYTES_MAX;
/// Transcript lines carried over to a new engine session.
pub const REPLAY_ITEMS_MAX: usize = 200;
/// How long an agent that is active, and not in use yet, is awaited when a chat begins.
pub const CHAT_AGENT_WITHIN: Duration = Duration::from_secs(2);
/// Open chats of one agent; a further one is refused.
pub const CHATS_OPEN_MAX: u32 = 500;
/// Chats that somebody writes in at the same time, all agents together.
pub const CHATS_LIVE_MAX: usize = 500;
/// Messages of one chat, of both sides and of tools.
pub const CHAT_MESSAGES_MAX: usize = 400;
/// Longest message of a visitor, in characters.
pub const CHAT_MESSAGE_CHARS_MAX: usize = 4_000;
/// Events of one turn waiting for whoever listens; beyond it the listener is left (the words are in the store).
pub const CHAT_EVENTS_MAX: usize = 1_024;
/// Commands waiting for one chat.
pub const CHAT_COMMANDS_MAX: usize = 4;
/// An engine's connection in which nobody writes for this long is closed; the chat goes on with the next message.
pub const CHAT_ENGINE_IDLE_MAX: Duration = Duration::from_secs(90);
/// A chat in which nothing happens for this long has ended.
pub const CHAT_IDLE_MAX: Duration = Duration::from_secs(1_800);
/// Longest chat.
pub const CHAT_DURATION_MAX: Duration = Duration::from_secs(24 * 3_600);
/// How often chats that nobody goes on with are looked for.
pub const CHAT_SWEEP_EVERY: Duration = Duration::from_secs(30);
/// How long turns under way may take when the process goes down.
pub const CHATS_PARK_WITHIN: Duration = Duration::from_secs(5);
/// Changes of registrations that a slow watcher may be behind.
pub const REGISTRATION_CHANGES_MAX: usize = 4_096;
/// Changes of devices' bindings that whoever keeps them may be behind.
pub const DEVICE_CHANGES_MAX: usize = 4_096;
/// Calls that are over and whose traces wait to be made; those that find no place are lost, and counted.
pub const TRACES_WAITING_MAX: usize = 1_024;

//! The named limits of a session. Everything that could grow or wait has one.

/// Tool calls accepted in one call; `end_call` is exempt, so that the model can always hang up.
pub const TOOL_CALLS_MAX: usize = 20;
/// Time allowed to an external tool unless its specification says otherwise.
pub const TOOL_DEADLINE_MS_DEFAULT: u32 = 10_000;
/// The session gives a tool up this long after its deadline, should the shell stay silent.
pub const TOOL_GRACE_MS: u64 = 500;
/// Longest arguments of a tool call.
pub const TOOL_ARGUMENTS_BYTES_MAX: usize = 16 * 1024;
/// Digits typed for one tool at most.
pub const SECURE_DIGITS_MAX: usize = 64;
/// Secure input that a person switched on ends by itself after this long.
pub const SECURE_MS_MAX: u64 = 120_000;
/// The last words before a transfer may take this long to be played.
pub const TRANSFER_DRAIN_MS_MAX: u64 = 8_000;
/// The other side must have taken the caller, or refused, within this time.
pub const TRANSFER_MS_MAX: u64 = 60_000;
/// How long a second leg rings where nobody says it.
pub const TRANSFER_RING_MS_DEFAULT: u32 = 25_000;
/// What a second leg is told before it is joined is over, or given up, this long after its answer.
pub const ANNOUNCEMENT_MS_MAX: u64 = 75_000;
/// How long a second leg is asked to accept where nobody says it.
pub const SCREEN_MS_DEFAULT: u32 = 15_000;
/// Longest time in which a second leg may accept.
pub const SCREEN_MS_MAX: u32 = 60_000;
/// The caller's side has taken the place of ours towards a person who accepted, or refused, within this time: both wait.
pub const HANDING_MS_MAX: u64 = 10_000;
/// Once the person's side has left, what became of it is known within this time.
pub const HANDED_MS_MAX: u64 = 4_000;
/// Longest ringing of a second leg.
pub const TRANSFER_RING_MS_MAX: u32 = 120_000;
/// The disclosure is protected at most this long after the answer.
pub const DISCLOSURE_MS_MAX: u64 = 20_000;
/// Who answered a call of ours must be known this long after the answer, whatever the shell says: its own bound is shorter.
pub const ANSWERER_MS_MAX: u64 = 35_000;
/// A message for an answering machine waits at most this long for the end of its greeting, whatever the shell says.
pub const MACHINE_MS_MAX: u64 = 125_000;
/// A message for an answering machine takes at most this long.
pub const MESSAGE_MS_MAX: u64 = 90_000;
/// Prepared words whose end is not reported are taken as heard this long after it.
pub const WELCOME_GRACE_MS: u64 = 5_000;
/// Deepest nesting of a tool call's arguments.
pub const TOOL_ARGUMENTS_DEPTH_MAX: usize = 32;
/// Longest tool output handed to the model; the rest is cut.
pub const TOOL_OUTPUT_BYTES_MAX: usize = 16 * 1024;
/// Most keypad tones in one `send_dtmf`.
pub const SEND_DTMF_DIGITS_MAX: usize = 32;

/// Keypad tones kept before they are handed to the model.
pub const KEYPAD_DIGITS_MAX: usize = 32;
/// Keypad tones closer than this belong together.
pub const KEYPAD_GAP_MS: u64 = 1_500;

/// Items followed at the same time, in the playout queue and in the transcript each.
pub const ITEMS_MAX: usize = 64;
/// Speech remembered as our own echo.
pub const ECHO_ITEMS_MAX: usize = 16;
/// Cancelled responses remembered, to ignore what still arrives of them.
pub const CANCELLED_RESPONSES_MAX: usize = 16;
/// Messages kept while the engine is away.
pub const NOTES_MAX: usize = 16;
/// How long a caller waits in a parking place where nobody says it.
pub const PARKING_MS_DEFAULT: u32 = 120_000;
/// Longest time in a parking place.
pub const PARKING_MS_MAX: u32 = 3_600_000;
/// Longest name of a person who comes into a call, bytes.
pub const PERSON_NAME_BYTES_MAX: usize = 320;
/// Longest text kept of one item.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;
/// An item with no sign of life for this long is taken as played.
pub const ITEM_OPEN_MS_MAX: u64 = 300_000;

/// Speech of the caller whose end is not reported for this long is taken as over.
pub const SPEECH_MS_MAX: u64 = 180_000;
/// Speech that was followed by neither words nor a response for this long was a noise.
pub const FALSE_INTERRUPTION_MS: u64 = 2_000;
/// A reply to the caller is owed for this long; then it is the caller's turn again.
pub const REPLY_OWED_MS_MAX: u64 = 6_000;
/// Dead air is never longer than this, whatever the settings say.
pub const DEAD_AIR_MS_MAX: u64 = 2_000;
/// An engine that owes speech and stays silent for this long is taken as lost.
pub const ENGINE_STALL_MS_MAX: u64 = 12_000;
/// Responses that fail one after the other before the engine is taken as lost; twice as many, through a reconnection, and it
/// is given up (an exhausted credit lets sessions open and every response fail).
pub const RESPONSE_FAILURES_MAX: u8 = 2;
/// An engine session that lived this long, or was heard, counts as one that works: the attempts count from one again.
pub const ENGINE_STABLE_MS: u64 = 10_000;
/// First wait between two connection attempts; it doubles.
pub const RECONNECT_BACKOFF_MS: u64 = 250;
/// A rotation that takes longer is a loss.
pub const ROTATION_MS_MAX: u64 = 10_000;
/// A goodbye decided by the house, and an apology, wait this long for the current speech, then cut it.
pub const GOODBYE_WAIT_MS_MAX: u64 = 4_000;
/// Goodbyes asked of the model in one call.
pub const GOODBYE_ASKS_MAX: u8 = 2;
/// The goodbye of a process that goes down.
pub const SHUTDOWN_GOODBYE_MS_MAX: u64 = 5_000;
/// A local apology takes at most this long.
pub const APOLOGY_MS_MAX: u64 = 12_000;
/// The leg must be over this long after the hang-up; then the session ends by itself.
pub const HANG_UP_WAIT_MS_MAX: u64 = 5_000;
/// Rounds in which one input may set off further steps.
pub const SETTLE_ROUNDS_MAX: usize = 16;

/// Cuts a text at a length, on a character boundary.
pub(crate) fn cut_text(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let mut end = bytes_max;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

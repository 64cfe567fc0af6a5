//! Every bound of this room. Sources: reliability.md 3 (tool reply, calls of a conversation), contracts.md 3 (timeouts).

/// Bytes of one template text.
pub const TEMPLATE_BYTES_MAX: usize = 128 * 1024;
/// Placeholders in one template text.
pub const PLACEHOLDERS_MAX: usize = 256;
/// Filters behind one path.
pub const FILTERS_MAX: usize = 8;
/// Steps of one path (`data.a.b[0]` has four).
pub const PATH_STEPS_MAX: usize = 16;
/// Depth of a JSON template, of arguments and of session data.
pub const JSON_DEPTH_MAX: usize = 32;
/// Values in a JSON template.
pub const TEMPLATE_NODES_MAX: usize = 2_000;
/// Bytes of what a body or a text evaluates to.
pub const OUTPUT_BYTES_MAX: usize = 512 * 1024;
/// Bytes of an evaluated address.
pub const URL_BYTES_MAX: usize = 8 * 1024;
/// Headers of one request.
pub const HEADERS_MAX: usize = 32;
/// Bytes of one header value.
pub const HEADER_BYTES_MAX: usize = 4 * 1024;
/// Tools of one agent.
pub const TOOLS_MAX: usize = 128;
/// Pre-steps of one tool.
pub const PRE_STEPS_MAX: usize = 4;
/// Bytes of a tool's description.
pub const DESCRIPTION_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a JSON Schema.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// Bytes of the arguments of one tool call.
pub const ARGUMENTS_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a tool's reply that are read.
pub const REPLY_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a tool's output that the model sees.
pub const MODEL_OUTPUT_BYTES_MAX: usize = 16 * 1024;
/// Bytes of the answer of a session URL.
pub const SESSION_BYTES_MAX: usize = 1024 * 1024;
/// Keys of the context store.
pub const CONTEXT_KEYS_MAX: usize = 256;
/// Bytes of the context store as JSON.
pub const CONTEXT_BYTES_MAX: usize = 512 * 1024;
/// FAQ entries that enter a prompt.
pub const FAQ_ENTRIES_MAX: usize = 200;
/// Bytes of all FAQ entries in a prompt.
pub const FAQ_BYTES_MAX: usize = 32 * 1024;
/// Identifiers that a call remembers from the replies of its tools.
pub const SEEN_IDS_MAX: usize = 512;
/// Tool runs of one call, unless the agent says less or more.
pub const TOOL_RUNS_DEFAULT: u32 = 20;
/// The most an agent may allow.
pub const TOOL_RUNS_MAX: u32 = 200;
/// Tool calls whose round trips are remembered at once.
pub const RUNS_PENDING_MAX: usize = 64;
/// Confirmations that are remembered in one call.
pub const CONFIRMATIONS_MAX: usize = 64;
/// Wrong confirmation codes before no further one is read in this call.
pub const CODE_ATTEMPTS_MAX: u32 = 3;
/// Milliseconds a tool may take, unless it says otherwise.
pub const TOOL_TIMEOUT_MS_DEFAULT: u32 = 10_000;
/// The most a tool may ask for.
pub const TOOL_TIMEOUT_MS_MAX: u32 = 60_000;
/// Milliseconds for a session URL.
pub const SESSION_TIMEOUT_MS: u32 = 10_000;
/// Milliseconds for a pre-call check: the caller hears the ringing meanwhile.
pub const PRE_CALL_TIMEOUT_MS: u32 = 3_000;
/// Pre-call checks of one agent.
pub const PRE_CALL_CHECKS_MAX: usize = 8;
/// Outcome rules of one agent.
pub const OUTCOME_RULES_MAX: usize = 64;
/// Characters of an AI disclosure.
pub const DISCLOSURE_CHARS_MAX: usize = 400;
/// Longest greeting that is said as it is, in characters (about 30 s of speech).
pub const CACHED_GREETING_CHARS_MAX: usize = 400;
/// Lines of the transcript that `transcript_summary` holds, and characters of each.
pub const SUMMARY_LINES: usize = 6;
/// Characters of a line in `transcript_summary`.
pub const SUMMARY_LINE_CHARS: usize = 100;
/// Lines of the transcript in the call-end body.
pub const TRANSCRIPT_LINES_MAX: usize = 2_000;
/// Characters of a caller's display name.
pub const CALLER_NAME_CHARS_MAX: usize = 64;
/// Engines in a chain of fallbacks.
pub const ENGINES_MAX: usize = 3;
/// Characters of what a target's `announce` says before it is filled in.
pub const ANNOUNCE_CHARS_MAX: usize = 500;
/// Characters of an announcement, filled in; what is longer is cut (about 45 s of speech).
pub const ANNOUNCEMENT_CHARS_MAX: usize = 600;
/// Characters of the model's summary in an announcement.
pub const SUMMARY_CHARS_MAX: usize = 300;

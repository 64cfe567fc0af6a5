//! Fuzz targets of the pure crates. Each is a plain function that takes bytes and panics where a promise is broken.
//!
//! Two harnesses call them: `replay` runs every file of the corpus on a stable toolchain (`tests/corpus.rs`, part of `make test`), and
//! the libFuzzer binaries in `fuzz_targets/` look for new inputs (`scripts/fuzz run TARGET SECONDS`).

pub mod bytes;
pub mod replay;
pub mod targets;

/// One target by its name, which is also the name of its folder in `corpus/`.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
}

macro_rules! table {
    ($($name:ident),* $(,)?) => {
        /// Every target.
        pub const TARGETS: &[Target] = &[
            $(Target { name: stringify!($name), run: targets::$name::target }),*
        ];
    };
}

table![
    agent_template,
    call_script,
    digest,
    dtmf,
    gemini_message,
    media_stream,
    realtime_event,
    rtcp,
    rtp,
    sdp,
    sip_message,
    sip_stream_framing,
    sip_user_agent,
    srtp,
    stun,
    twilio_stream,
];

//! Media of one leg, sans-IO: RTP, RTCP, SRTP, ordering, concealment, playout and pacing of telephone audio (G.711, G.722, Opus, G.729, AMR-WB).
//!
//! The crate owns no socket, no clock and no thread. A shell feeds datagrams and time into a [`Stream`] and carries out what it
//! asks for; for a carrier that plays by itself (Media Streams) there is [`Feed`]. Methods come in four kinds, and the rule is *one mutation, then drain every `poll_…` to `None`*:
//! inputs (`handle_…`), commands (`start`, `playout().push(…)`, `send_dtmf`…), outputs (`poll_…`), readings (`statistics`…).
//!
//! Towards the engine a frame is available the moment it is in order; towards the caller one frame leaves every 20 ms by absolute
//! deadlines. What a peer sends never panics and is never an error: it is an event or a counted drop.
#![forbid(unsafe_code)]

mod amr;
pub mod answering;
mod coder;
mod comfort_noise;
mod company;
pub mod conceal;
pub mod dtmf;
pub mod echo;
pub mod feed;
pub mod frame;
pub mod g711;
pub mod g722;
mod g729;
pub mod gain;
pub mod jitter;
pub mod keypad_tones;
mod keys;
mod latch;
pub mod level;
pub mod mix;
mod opus;
pub mod playout;
pub mod quality;
mod receiver;
mod reception;
mod recording;
pub mod reform;
pub mod resample;
pub mod rtcp;
pub mod rtp;
pub mod srtp;
pub mod statistics;
pub mod stream;
pub mod tone;
pub mod treatment;
mod voice;

pub use amr::AmrTerms;
pub use answering::{Answerer, AnsweringDetector, AnsweringEvent, AnsweringTerms};
pub use echo::{EchoTail, Heard};
pub use feed::{COMPANY_LEAD_MS, Feed, Position};
pub use frame::{CallerFrame, Codec, Direction, Form, Lane, Law, RecordingFrame};
pub use gain::Gain;
pub use keys::{KeyWay, Keypad};
pub use mix::Mixer;
pub use opus::OpusTerms;
pub use playout::{Background, ItemKey, Played, Playout, PlayoutEvent, PlayoutFull};
pub use reform::Reform;
pub use srtp::{SrtpConfig, SrtpSuite};
pub use statistics::{RemoteReports, Spread, Statistics};
pub use stream::{
    DtmfError, LatchPolicy, PathReport, Stream, StreamConfig, StreamEvent, TRANSMIT_BYTES_MAX,
    Transmit,
};
pub use treatment::Treatment;

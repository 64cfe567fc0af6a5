//! The engine room: sockets, clocks and tasks around the pure rooms.
//!
//! [`Engine::start`] opens the SIP sockets, registers the accounts of the lines and answers calls. One task owns the SIP
//! user agent and its sockets; one task per call owns that call's RTP sockets, its WebSocket to the voice engine, and the
//! pure state machines (`media::Stream`, `wire::realtime::Conversation`, `call::Session`). Between them there are only
//! bounded channels. Policy lives in the pure rooms: what is here is glue.
//!
//! The engine reads no file and no environment variable; everything comes in [`config::Config`].

mod admission;
pub mod agents;
mod books;
mod call_task;
mod calls;
mod certificate;
mod chat;
pub mod client_certificate;
pub mod config;
mod devices;
pub mod directory;
mod dispatch;
mod engine;
mod engine_audio;
pub mod engine_choice;
mod engine_link;
pub mod engine_test;
mod greetings;
mod hep;
mod house_codes;
mod journal;
mod leg;
pub mod limits;
pub mod line_test;
mod listening;
mod live;
mod load;
mod log;
mod metrics;
pub mod nat;
mod parking;
mod person;
pub mod provider;
mod quality;
mod random;
mod realtime_client;
mod recorder;
mod refusal;
mod registrations;
mod resolver;
mod routes;
mod rtp_ports;
pub mod selection;
mod sip_driver;
mod sip_socket;
mod sip_websocket;
mod sounds;
mod stir;
mod stream_socket;
pub mod switchboard;
mod tls;
mod trace;
mod traces;
mod veil;
mod web_pipe;

pub use admission::Ban;
pub use books::left_of;
pub use calls::placing::Promise;
pub use certificate::CertificateFacts;
pub use chat::{ChatError, ChatEvent, Chats, NewChat, Visitor};
pub use config::Config;
pub use devices::{DeviceBinding, DeviceChange};
pub use engine::{
    Addresses, BeginStreamError, DrainReport, Engine, OperatorCommand, PageCall, PageError,
    PlaceByWorkflow, PlaceCall, PlaceCallError, PlacedByWorkflow, Readiness, RegistrationChange,
    RegistrationStatus, StartError, StreamCall, StreamLine, wait_in_seconds,
};
pub use leg::carrier::{CarrierControl, CarrierProgress};
pub use leg::page::OfferError;
pub use listening::{ListenError, Listener};
pub use live::{LIVE_EVENTS_MAX, LiveCall, LiveEvent, LiveEventKind, LiveState, Timings};
pub use log::set_language as set_log_language;
pub use media::AnsweringTerms;
pub use media::rtcp::VoipMetrics;
pub use person::{
    CalledState, HandBack, Invitation, LiveCalled, LiveParked, LivePerson, ParkWish, Person,
    PersonError,
};
pub use quality::{Figure, LegQuality, WayQuality};
pub use routes::{MayCall, RouteAnswer};
pub use sip::{AccountConfig, Protocol as SipProtocol, RegistrationFailure, RegistrationState};
pub use stream_socket::{NotStarted, StreamIo, StreamSocket};
pub use wire::twilio::Dialect as CarrierDialect;

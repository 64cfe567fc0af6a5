//! The targets, one file each.

pub mod agent_template;
pub mod call_script;
pub mod digest;
pub mod dtmf;
pub mod gemini_message;
pub mod media_stream;
pub mod realtime_event;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod sip_message;
pub mod sip_stream_framing;
pub mod sip_user_agent;
pub mod srtp;
pub mod stun;
pub mod twilio_stream;

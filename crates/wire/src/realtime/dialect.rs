//! Which spelling of the protocol a server speaks, and what it can do.

/// The spelling of the protocol on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The Realtime GA protocol: OpenAI, Azure (`/openai/v1`), and the compatible servers of today.
    Ga,
    /// The retired beta protocol. OpenAI closes such connections (code 4000); only for old
    /// self-hosted servers.
    Beta,
}

/// What a dialect can do; the conversation's rules ask this, not the name of the dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The server reports the caller's turns (speech started, speech stopped, committed).
    pub turn_events: bool,
    /// The server accepts the truncation of an item to what was heard.
    pub truncate: bool,
    /// The client asks for responses itself (a greeting, after a tool's output) and may cancel them.
    pub response_control: bool,
}

impl Dialect {
    /// What a server of this dialect can do.
    #[must_use]
    pub fn capabilities(self) -> Capabilities {
        match self {
            Self::Ga | Self::Beta => Capabilities {
                turn_events: true,
                truncate: true,
                response_control: true,
            },
        }
    }
}

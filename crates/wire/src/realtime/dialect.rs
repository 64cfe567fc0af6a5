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

/// Where a server expects the voice and the turn detection in `session.update`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionShape {
    /// `session.audio.output.voice`, `session.audio.input.turn_detection` (OpenAI, Azure).
    Nested,
    /// `session.voice`, `session.turn_detection` beside `session.audio` with the formats alone (xAI).
    Flat,
}

/// How one server spells the protocol. The differences are values, so that a self-hosted server is a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spelling {
    /// Names of events and fields.
    pub dialect: Dialect,
    /// Where voice and turn detection are.
    pub shape: SessionShape,
    /// G.711 formats carry `rate` (xAI wants it, OpenAI rejects it).
    pub g711_rate: bool,
    /// The settings that OpenAI added beside the common ones: noise reduction, transcription of the caller, semantic turn
    /// detection, idle timeout, reasoning, truncation, tracing, speed, tool choice. Off for servers that do not know them.
    pub openai_settings: bool,
}

impl Spelling {
    /// OpenAI, and Azure at its GA path.
    pub const OPENAI: Self = Self {
        dialect: Dialect::Ga,
        shape: SessionShape::Nested,
        g711_rate: false,
        openai_settings: true,
    };
    /// The beta protocol: Azure's preview, and old self-hosted servers.
    pub const BETA: Self = Self {
        dialect: Dialect::Beta,
        shape: SessionShape::Flat,
        g711_rate: false,
        openai_settings: true,
    };
    /// xAI Grok Voice.
    pub const XAI: Self = Self {
        dialect: Dialect::Ga,
        shape: SessionShape::Flat,
        g711_rate: true,
        openai_settings: false,
    };

    /// What a server of this spelling can do.
    #[must_use]
    pub fn capabilities(self) -> Capabilities {
        self.dialect.capabilities()
    }
}

impl From<Dialect> for Spelling {
    fn from(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Ga => Self::OPENAI,
            Dialect::Beta => Self::BETA,
        }
    }
}

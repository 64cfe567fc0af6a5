//! What differs between carriers, as data.

/// Whose dialect a stream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// Twilio Media Streams, and the bridges and carriers that copy them.
    Twilio,
    /// Telnyx media streaming, bidirectional in RTP mode.
    Telnyx,
    /// Plivo audio streaming.
    Plivo,
    /// Exotel voice streaming.
    Exotel,
    /// Vonage voice WebSocket: bare binary audio.
    Vonage,
    /// A page of ours: bare binary audio, and Telnyx's messages beside it. No carrier: it is announced by no webhook.
    Browser,
}

/// How audio is written in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// G.711 µ-law at 8 kHz.
    Pcmu,
    /// G.711 A-law at 8 kHz.
    Pcma,
    /// Signed 16-bit samples, little endian, 8 kHz.
    L16,
}

impl Encoding {
    /// Bytes of one sample.
    #[must_use]
    pub const fn bytes_per_sample(self) -> usize {
        match self {
            Self::Pcmu | Self::Pcma => 1,
            Self::L16 => 2,
        }
    }

    /// The encoding of a carrier's name for it, at 8 kHz.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let name = name.trim();
        let bare = name
            .strip_prefix("audio/")
            .unwrap_or(name)
            .split(';')
            .next()
            .unwrap_or_default();
        if ["x-mulaw", "mulaw", "pcmu", "ulaw", "basic"]
            .iter()
            .any(|known| bare.eq_ignore_ascii_case(known))
        {
            Some(Self::Pcmu)
        } else if ["x-alaw", "alaw", "pcma"]
            .iter()
            .any(|known| bare.eq_ignore_ascii_case(known))
        {
            Some(Self::Pcma)
        } else if ["x-l16", "l16", "raw/slin", "slin", "base64", "pcm"]
            .iter()
            .any(|known| bare.eq_ignore_ascii_case(known))
        {
            Some(Self::L16)
        } else {
            None
        }
    }
}

impl Dialect {
    /// All carriers.
    pub const ALL: [Self; 5] = [
        Self::Twilio,
        Self::Telnyx,
        Self::Plivo,
        Self::Exotel,
        Self::Vonage,
    ];

    /// Its name in paths, settings and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Twilio => "twilio",
            Self::Telnyx => "telnyx",
            Self::Plivo => "plivo",
            Self::Exotel => "exotel",
            Self::Vonage => "vonage",
            Self::Browser => "browser",
        }
    }

    /// The dialect of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|dialect| dialect.name().eq_ignore_ascii_case(name))
    }

    /// What the audio is in when `start` does not say it.
    #[must_use]
    pub const fn encoding(self) -> Encoding {
        match self {
            Self::Twilio | Self::Telnyx | Self::Plivo => Encoding::Pcmu,
            Self::Exotel | Self::Vonage | Self::Browser => Encoding::L16,
        }
    }

    /// Shortest audio in a message, ms: what the carrier takes, or what is worth a message.
    pub(super) const fn chunk_ms(self) -> u32 {
        match self {
            Self::Twilio | Self::Telnyx | Self::Plivo | Self::Vonage | Self::Browser => 20,
            // 3.2 kB at least.
            Self::Exotel => 200,
        }
    }

    /// Longest audio in a message, ms.
    pub(super) const fn chunk_ms_max(self) -> u32 {
        match self {
            Self::Twilio | Self::Telnyx | Self::Plivo | Self::Browser => super::CHUNK_MS_MAX,
            Self::Exotel => 200,
            Self::Vonage => 20,
        }
    }

    /// Whether audio is the whole of a binary message.
    pub(super) const fn is_binary(self) -> bool {
        match self {
            Self::Vonage | Self::Browser => true,
            Self::Twilio | Self::Telnyx | Self::Plivo | Self::Exotel => false,
        }
    }

    /// Whether the carrier says when audio was played.
    pub(super) const fn has_marks(self) -> bool {
        match self {
            Self::Twilio | Self::Telnyx | Self::Plivo | Self::Exotel | Self::Browser => true,
            Self::Vonage => false,
        }
    }
}

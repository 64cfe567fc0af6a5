//! Whose service is stood in for, and where they differ.

/// A service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI Realtime (GA).
    #[default]
    OpenAi,
    /// Azure OpenAI at its GA path: another path, the key in `api-key`, the model is a deployment, no `api-version`.
    Azure,
    /// xAI Grok Voice: begins with `conversation.created`, the session is flat, G.711 wants its rate.
    Xai,
    /// Gemini Live.
    Gemini,
}

impl Dialect {
    /// By the name of the command line: `openai`, `azure`, `xai`, `gemini`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "openai" => Some(Self::OpenAi),
            "azure" => Some(Self::Azure),
            "xai" => Some(Self::Xai),
            "gemini" => Some(Self::Gemini),
            _ => None,
        }
    }

    /// Path of the WebSocket address.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::OpenAi | Self::Xai => "/v1/realtime",
            Self::Azure => "/openai/v1/realtime",
            Self::Gemini => {
                "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
            }
        }
    }

    /// Whether this is a path of the service.
    pub(super) fn serves(self, path: &str) -> bool {
        match self {
            Self::OpenAi | Self::Xai | Self::Azure => path == self.path(),
            // The developer API in its versions, and Vertex.
            Self::Gemini => {
                (path.contains("/ws/google.ai.generativelanguage.")
                    || path.contains("/ws/google.cloud.aiplatform."))
                    && (path.ends_with("BidiGenerateContent")
                        || path.ends_with("BidiGenerateContentConstrained"))
            }
        }
    }
}

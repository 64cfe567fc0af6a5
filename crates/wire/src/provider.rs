//! The vendors that are known by name: where each is, how it takes its key, which dialect it speaks.
//!
//! A server that is not listed is [`Provider::Custom`]: its address, its header and its [`Spelling`] are settings.

use crate::realtime::{AudioFormat, Spelling};

/// A known vendor of realtime voice engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// OpenAI Realtime (GA).
    OpenAi,
    /// Azure OpenAI at its GA path; the model is the name of the deployment.
    Azure,
    /// Azure OpenAI's preview of the beta protocol, deprecated by its vendor.
    AzurePreview,
    /// xAI Grok Voice.
    Xai,
    /// Gemini Live by the developer API.
    Gemini,
    /// Gemini Live by Vertex AI, with a bearer token.
    Vertex,
    /// A self-hosted server that speaks as OpenAI does.
    Custom,
}

/// The protocol that an engine speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OpenAI Realtime in one of its spellings.
    Realtime(Spelling),
    /// Gemini Live (BidiGenerateContent).
    Gemini,
}

/// Where a server expects its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// In a header, after a scheme; an empty scheme sends the bare key.
    Header {
        /// Name of the header.
        name: &'static str,
        /// Word before the key.
        scheme: &'static str,
    },
    /// In the query of the address.
    Query {
        /// Name of the parameter.
        name: &'static str,
    },
}

const GEMINI_PATH: &str =
    "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent";
const GEMINI_TOKEN_PATH: &str =
    "/ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContentConstrained";
const VERTEX_PATH: &str = "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent";
const AZURE_PREVIEW_VERSION: &str = "2025-04-01-preview";
/// How ephemeral keys of the Gemini developer API begin.
const GEMINI_TOKEN_PREFIX: &str = "auth_tokens/";

impl Protocol {
    /// Formats of linear audio, the caller's and the agent's, for engines that do not take the telephone's own or are set
    /// to take this.
    #[must_use]
    pub fn linear_formats(self) -> (AudioFormat, AudioFormat) {
        match self {
            Self::Realtime(_) => (AudioFormat::Pcm24k, AudioFormat::Pcm24k),
            Self::Gemini => (AudioFormat::Pcm16k, AudioFormat::Pcm24k),
        }
    }

    /// Whether the engine takes and gives G.711, so that a telephone's audio passes as it is.
    #[must_use]
    pub fn speaks_g711(self) -> bool {
        match self {
            Self::Realtime(_) => true,
            Self::Gemini => false,
        }
    }
}

impl Provider {
    /// By the name that settings use: `openai`, `azure`, `azure-preview`, `xai`, `gemini`, `vertex`, `custom`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "openai" => Self::OpenAi,
            "azure" => Self::Azure,
            "azure-preview" => Self::AzurePreview,
            "xai" => Self::Xai,
            "gemini" => Self::Gemini,
            "vertex" => Self::Vertex,
            "custom" => Self::Custom,
            _ => return None,
        })
    }

    /// The name that settings use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Azure => "azure",
            Self::AzurePreview => "azure-preview",
            Self::Xai => "xai",
            Self::Gemini => "gemini",
            Self::Vertex => "vertex",
            Self::Custom => "custom",
        }
    }

    /// The protocol that it speaks.
    #[must_use]
    pub fn protocol(self) -> Protocol {
        match self {
            Self::OpenAi | Self::Azure | Self::Custom => Protocol::Realtime(Spelling::OPENAI),
            Self::AzurePreview => Protocol::Realtime(Spelling::BETA),
            Self::Xai => Protocol::Realtime(Spelling::XAI),
            Self::Gemini | Self::Vertex => Protocol::Gemini,
        }
    }

    /// Where it expects this key. Azure takes `Authorization: Bearer` for Entra tokens too: a setting.
    #[must_use]
    pub fn key_place(self, key: &str) -> KeyPlace {
        const BEARER: KeyPlace = KeyPlace::Header {
            name: "authorization",
            scheme: "Bearer",
        };
        match self {
            Self::OpenAi | Self::Xai | Self::Vertex | Self::Custom => BEARER,
            Self::Azure | Self::AzurePreview => KeyPlace::Header {
                name: "api-key",
                scheme: "",
            },
            Self::Gemini if key.starts_with(GEMINI_TOKEN_PREFIX) => KeyPlace::Header {
                name: "authorization",
                scheme: "Token",
            },
            Self::Gemini => KeyPlace::Header {
                name: "x-goog-api-key",
                scheme: "",
            },
        }
    }

    /// The model when none is named; `None` where it is the name of a deployment.
    #[must_use]
    pub fn default_model(self) -> Option<&'static str> {
        match self {
            Self::OpenAi => Some("gpt-realtime-2.1"),
            Self::Xai => Some("grok-voice-latest"),
            Self::Gemini => Some("gemini-3.8-live"),
            Self::Azure | Self::AzurePreview | Self::Vertex | Self::Custom => None,
        }
    }

    /// The WebSocket address. `url` may be empty (the vendor's own), a host with or without scheme, or a full address,
    /// whose path then stays as it is. `None` where a host is needed.
    #[must_use]
    pub fn address(self, url: &str, model: &str, key: &str) -> Option<String> {
        let url = match (url.trim(), self) {
            ("", Self::OpenAi) => "wss://api.openai.com",
            ("", Self::Xai) => "wss://api.x.ai",
            ("", Self::Gemini) => "wss://generativelanguage.googleapis.com",
            ("", _) => return None,
            (given, _) => given,
        };
        let (scheme, rest) = url.split_once("://").unwrap_or(("wss", url));
        let scheme = match scheme {
            "http" | "ws" => "ws",
            _ => "wss",
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, path) = match place.split_once('/') {
            Some((host, path)) if !path.is_empty() => (host, format!("/{path}")),
            Some((host, _)) => (host, String::new()),
            None => (place, String::new()),
        };
        let path = if path.is_empty() {
            self.path(key).to_owned()
        } else {
            path
        };
        let mut query = query.to_owned();
        let has = |query: &str, name: &str| {
            query
                .split('&')
                .any(|pair| pair.split('=').next() == Some(name))
        };
        let mut add = |name: &str, value: &str| {
            if !value.is_empty() && !has(&query, name) {
                if !query.is_empty() {
                    query.push('&');
                }
                query.push_str(name);
                query.push('=');
                query.push_str(&percent_encoded(value));
            }
        };
        match self {
            Self::OpenAi | Self::Azure | Self::Xai | Self::Custom => {
                // An old address may name a deployment itself.
                if !url.contains("deployment=") {
                    add("model", model);
                }
            }
            Self::AzurePreview => {
                add("api-version", AZURE_PREVIEW_VERSION);
                add("deployment", model);
            }
            Self::Gemini | Self::Vertex => {}
        }
        let mark = if query.is_empty() { "" } else { "?" };
        Some(format!("{scheme}://{host}{path}{mark}{query}"))
    }

    fn path(self, key: &str) -> &'static str {
        match self {
            Self::OpenAi | Self::Xai | Self::Custom => "/v1/realtime",
            Self::Azure => "/openai/v1/realtime",
            Self::AzurePreview => "/openai/realtime",
            Self::Gemini if key.starts_with(GEMINI_TOKEN_PREFIX) => GEMINI_TOKEN_PATH,
            Self::Gemini => GEMINI_PATH,
            Self::Vertex => VERTEX_PATH,
        }
    }
}

/// A value for the query of an address (RFC 3986 section 2.3: only unreserved characters stay).
#[must_use]
pub fn percent_encoded(value: &str) -> String {
    value
        .bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_vendor_has_its_address() {
        let address =
            |provider: Provider, url: &str, model: &str| provider.address(url, model, "k").unwrap();
        assert_eq!(
            address(Provider::OpenAi, "", "gpt-realtime-2.1"),
            "wss://api.openai.com/v1/realtime?model=gpt-realtime-2.1"
        );
        assert_eq!(
            address(Provider::Azure, "https://r.openai.azure.com/", "my deploy"),
            "wss://r.openai.azure.com/openai/v1/realtime?model=my%20deploy"
        );
        assert_eq!(
            address(Provider::AzurePreview, "r.openai.azure.com", "d"),
            "wss://r.openai.azure.com/openai/realtime?api-version=2025-04-01-preview&deployment=d"
        );
        assert_eq!(
            address(Provider::Xai, "", "grok-voice-latest"),
            "wss://api.x.ai/v1/realtime?model=grok-voice-latest"
        );
        assert_eq!(
            address(Provider::Gemini, "", "gemini-3.8-live"),
            format!("wss://generativelanguage.googleapis.com{GEMINI_PATH}")
        );
        assert_eq!(
            address(
                Provider::Vertex,
                "wss://europe-west1-aiplatform.googleapis.com",
                "m"
            ),
            format!("wss://europe-west1-aiplatform.googleapis.com{VERTEX_PATH}")
        );
        assert_eq!(
            address(Provider::Custom, "ws://10.0.0.7:8080/rt?x=1", "m"),
            "ws://10.0.0.7:8080/rt?x=1&model=m"
        );
        assert_eq!(
            address(Provider::OpenAi, "wss://h/v1/realtime?model=own", "other"),
            "wss://h/v1/realtime?model=own"
        );
        assert_eq!(Provider::Azure.address("", "d", ""), None);
    }

    #[test]
    fn ephemeral_keys_of_gemini_have_their_own_place() {
        let key = "auth_tokens/abc";
        let url = Provider::Gemini.address("", "m", key).unwrap();
        assert!(url.ends_with("v1alpha.GenerativeService.BidiGenerateContentConstrained"));
        assert_eq!(
            Provider::Gemini.key_place(key),
            KeyPlace::Header {
                name: "authorization",
                scheme: "Token"
            }
        );
    }

    #[test]
    fn names_go_there_and_back() {
        for name in [
            "openai",
            "azure",
            "azure-preview",
            "xai",
            "gemini",
            "vertex",
            "custom",
        ] {
            assert_eq!(Provider::from_name(name).map(Provider::name), Some(name));
        }
        assert_eq!(Provider::from_name("beta"), None);
    }
}

//! The HTTP side of a WebSocket connection: what the service refuses before it upgrades.

use serde_json::json;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::Dialect;

/// Longest request head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The fixed text of RFC 6455, section 1.3.
const WEBSOCKET_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A request for a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

/// Why a request is refused: status, code and message of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: Option<&'static str>,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, code: Option<&'static str>, message: &str) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }
}

impl Request {
    /// Reads a request up to the end of its head.
    pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<Self> {
        let mut head = Vec::new();
        // Byte by byte, so that nothing of what follows is taken; once for each connection.
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() >= HEAD_BYTES_MAX {
                return Err(std::io::ErrorKind::InvalidData.into());
            }
            head.push(stream.read_u8().await?);
        }
        Self::parse(&String::from_utf8_lossy(&head)).ok_or(std::io::ErrorKind::InvalidData.into())
    }

    fn parse(head: &str) -> Option<Self> {
        let mut lines = head.split("\r\n");
        let mut words = lines.next()?.split(' ');
        if words.next()? != "GET" {
            return None;
        }
        let target = words.next()?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned()))
            .collect();
        Some(Self {
            path: path.to_owned(),
            query,
            headers,
        })
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut query = self.query.iter();
        query
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The subprotocols that the client offers.
    fn protocols(&self) -> impl Iterator<Item = &str> {
        let offered = self.header("sec-websocket-protocol").unwrap_or_default();
        offered.split(',').map(str::trim)
    }

    /// Whether a client of Google's services gave the key: in a header, in the query, or as a token.
    pub(super) fn google_key_is(&self, key: Option<&str>) -> bool {
        let Some(key) = key else { return true };
        let authorization = self.header("authorization").unwrap_or_default();
        let token = authorization
            .strip_prefix("Bearer ")
            .or(authorization.strip_prefix("Token "));
        [self.header("x-goog-api-key"), self.parameter("key"), token]
            .into_iter()
            .flatten()
            .any(|given| given == key)
    }

    /// The key of a client of Azure: `api-key` as a header or in the query, or a bearer token.
    fn azure_key(&self) -> Option<&str> {
        self.header("api-key")
            .or(self.parameter("api-key"))
            .or_else(|| self.header("authorization")?.strip_prefix("Bearer "))
    }

    /// The key of the client: a bearer token, or a subprotocol as browsers give it.
    fn key(&self) -> Option<&str> {
        let bearer = self.header("authorization");
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
        bearer.or_else(|| {
            self.protocols()
                .find_map(|one| one.strip_prefix("openai-insecure-api-key."))
        })
    }

    /// Whether the client asked for the beta protocol.
    pub(super) fn beta(&self) -> bool {
        self.header("openai-beta").is_some()
            || self
                .protocols()
                .any(|one| one.starts_with("openai-beta.realtime"))
    }

    /// What the service refuses.
    pub(super) fn check(&self, key: Option<&str>, dialect: Dialect) -> Result<(), Refusal> {
        if !dialect.serves(&self.path) {
            let message = format!("Invalid URL (GET {})", self.path);
            return Err(Refusal::new(404, None, &message));
        }
        let wanted = |name: &str, value: &str| {
            let given = self.header(name).map(str::to_lowercase);
            given.is_some_and(|given| given.contains(value))
        };
        if !wanted("upgrade", "websocket")
            || !wanted("connection", "upgrade")
            || !wanted("sec-websocket-version", "13")
            || self.header("sec-websocket-key").is_none()
        {
            return Err(Refusal::new(400, None, "This is a WebSocket address."));
        }
        if dialect == Dialect::Gemini {
            // A wrong key is told by a closure, and the model comes with the setup.
            return Ok(());
        }
        if dialect == Dialect::Azure && self.parameter("api-version").is_some() {
            let message = "api-version query parameter is not allowed when using /v1 path";
            return Err(Refusal::new(400, Some("BadRequest"), message));
        }
        let given = match dialect {
            Dialect::Azure => self.azure_key(),
            Dialect::OpenAi | Dialect::Xai | Dialect::Gemini => self.key(),
        };
        match (given, key) {
            (None, Some(_)) => Err(Refusal::new(
                401,
                None,
                "Missing bearer or basic authentication in header",
            )),
            (Some(given), Some(known)) if given != known => Err(Refusal::new(
                401,
                Some("invalid_api_key"),
                "Incorrect API key provided.",
            )),
            (_, _) => match self.parameter("model") {
                Some(model) if !model.is_empty() => Ok(()),
                Some(_) | None if dialect == Dialect::Xai => Ok(()),
                Some(_) | None => Err(Refusal::new(
                    400,
                    Some("missing_model"),
                    "You must provide a model parameter.",
                )),
            },
        }
    }
}

/// Answers with an HTTP error and the service's JSON.
pub(super) async fn refuse<S: AsyncWrite + Unpin>(
    stream: &mut S,
    refusal: &Refusal,
) -> std::io::Result<()> {
    let kind = match refusal.status {
        429 => "insufficient_quota",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    let body = json!({"error": {"message": refusal.message, "type": kind,
        "param": null, "code": refusal.code}})
    .to_string();
    let retry = if matches!(refusal.status, 429 | 503) {
        "Retry-After: 1\r\n"
    } else {
        ""
    };
    let reason = match refusal.status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Refused",
    };
    let head = format!(
        "HTTP/1.1 {} {reason}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{retry}Connection: close\r\n\r\n",
        refusal.status,
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

/// Answers 101.
pub(super) async fn upgrade<S: AsyncWrite + Unpin>(
    stream: &mut S,
    request: &Request,
) -> std::io::Result<()> {
    let key = request.header("sec-websocket-key").unwrap_or_default();
    let digest = Sha1::digest(format!("{key}{WEBSOCKET_GUID}").as_bytes());
    let accept = base64_simd::STANDARD.encode_to_string(digest.as_slice());
    let protocol = if request.protocols().any(|one| one == "realtime") {
        "Sec-WebSocket-Protocol: realtime\r\n"
    } else {
        ""
    };
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{protocol}\r\n"
    );
    stream.write_all(head.as_bytes()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, more: &str) -> Request {
        Request::parse(&format!(
            "GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        ))
        .unwrap()
    }

    fn status(request: &Request) -> u16 {
        request
            .check(Some("sk-1"), Dialect::OpenAi)
            .err()
            .map_or(101, |refusal| refusal.status)
    }

    #[test]
    fn keys_paths_and_models_are_checked() {
        let good = "Authorization: Bearer sk-1\r\n";
        assert_eq!(status(&request("/v1/realtime?model=m", good)), 101);
        assert_eq!(
            status(&request(
                "/v1/realtime?model=m",
                "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.sk-1\r\n"
            )),
            101
        );
        assert_eq!(
            status(&request(
                "/v1/realtime?model=m",
                "Authorization: Bearer sk-2\r\n"
            )),
            401
        );
        assert_eq!(status(&request("/v1/realtime?model=m", "")), 401);
        assert_eq!(status(&request("/v1/realtimes?model=m", good)), 404);
        assert_eq!(status(&request("/v1/realtime", good)), 400);
    }

    #[tokio::test]
    async fn the_accept_value_is_that_of_the_rfc() {
        let mut answer = Vec::new();
        upgrade(&mut answer, &request("/v1/realtime?model=m", ""))
            .await
            .unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }
}

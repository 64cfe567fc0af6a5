//! Requests that become a WebSocket: the handshake of RFC 6455. What is spoken then is the engine's.

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use sha1::{Digest as _, Sha1};
use std::time::Duration;

/// Of RFC 6455, section 1.3.
const WEBSOCKET_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// How long the connection may take to change its protocol.
const UPGRADED_WITHIN: Duration = Duration::from_secs(10);

fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

/// Whether a request wants to become a WebSocket.
pub fn is_websocket(headers: &HeaderMap) -> bool {
    text(headers, header::UPGRADE).eq_ignore_ascii_case("websocket")
        && text(headers, header::SEC_WEBSOCKET_VERSION) == "13"
        && !text(headers, header::SEC_WEBSOCKET_KEY).is_empty()
}

/// Answers the handshake, and hands the connection over once it is one. 426 where the request is none.
pub fn websocket<F>(
    request: &mut Request,
    then: impl FnOnce(TokioIo<Upgraded>) -> F + Send + 'static,
) -> Response
where
    F: Future<Output = ()> + Send + 'static,
{
    if !is_websocket(request.headers()) {
        return StatusCode::UPGRADE_REQUIRED.into_response();
    }
    let key = text(request.headers(), header::SEC_WEBSOCKET_KEY);
    let digest = Sha1::digest(format!("{key}{WEBSOCKET_GUID}").as_bytes());
    let accept = base64_simd::STANDARD.encode_to_string(digest);
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        if let Ok(Ok(upgraded)) = tokio::time::timeout(UPGRADED_WITHIN, upgrade).await {
            then(TokioIo::new(upgraded)).await;
        }
    });
    let headers = [
        (header::CONNECTION, "Upgrade".to_owned()),
        (header::UPGRADE, "websocket".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[tokio::test]
    async fn the_handshake_of_the_standard_is_answered() {
        let mut request = Request::get("/")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .body(Body::empty())
            .unwrap();
        let response = websocket(&mut request, |_| async {});
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        // RFC 6455, section 1.3.
        assert_eq!(
            response.headers()[header::SEC_WEBSOCKET_ACCEPT],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        let mut plain = Request::get("/").body(Body::empty()).unwrap();
        let response = websocket(&mut plain, |_| async {});
        assert_eq!(response.status(), StatusCode::UPGRADE_REQUIRED);
    }
}

//! The little HTTP that a carrier needs towards a webhook.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest answer that is read, bytes (a document is 64 kB at most).
const ANSWER_BYTES_MAX: u64 = 128 * 1_024;

/// Host with port, and path, of an address.
pub(super) fn split(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let at = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(at);
    let port = if matches!(scheme, "https" | "wss") {
        443
    } else {
        80
    };
    let host = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    };
    let path = if path.is_empty() { "/" } else { path };
    Some((host, path.to_owned()))
}

/// Sends a form; the status and the body of the answer.
pub(super) async fn post(
    url: &str,
    host_header: Option<&str>,
    headers: &[(&'static str, String)],
    body: &str,
) -> io::Result<(u16, String)> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let (host, path) = split(url).ok_or_else(invalid)?;
    let mut stream = TcpStream::connect(&host).await?;
    let shown = host_header.unwrap_or(&host);
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: {shown}\r\nUser-Agent: TwilioProxy/1.1\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += "\r\n";
    request += body;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut answer)
        .await?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(invalid)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(invalid)?;
    Ok((status, body.to_owned()))
}

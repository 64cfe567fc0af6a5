//! The floor for Media Streams: the least that a bridge between two WebSockets can do. A message becomes a message, both ways; nothing
//! is checked, paced or remembered.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_websockets::{ClientBuilder, Message, ServerBuilder};

use crate::echo::field;
use crate::{say, tls};

/// Serves until it is killed; prints its webhook first.
pub(crate) async fn serve(options: &BTreeMap<String, String>) -> std::io::Result<()> {
    let engine = options.get("engine").cloned().unwrap_or_default();
    let connector = options
        .get("ca")
        .map(|path| tls::connector(path))
        .transpose()?;
    let listener = TcpListener::bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).await?;
    let address = listener.local_addr()?;
    say(&format!("http://{address}/incoming-call"));
    let engine = Arc::new((engine, connector));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection(stream, address, Arc::clone(&engine)));
    }
}

type Engine = Arc<(String, Option<TlsConnector>)>;

async fn connection(mut stream: TcpStream, address: SocketAddr, engine: Engine) {
    let mut peeked = [0; 5];
    if stream.peek(&mut peeked).await.is_err() {
        return;
    }
    if peeked.starts_with(b"POST") {
        let mut buffer = [0; 4_096];
        let _ = stream.read(&mut buffer).await;
        let body = format!(
            r#"<Response><Connect><Stream url="ws://{address}/media-stream" /></Connect></Response>"#
        );
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let _ = stream.write_all(answer.as_bytes()).await;
        return;
    }
    let _ = bridge(stream, &engine).await;
}

const UPDATE: &str = r#"{"type":"session.update","session":{"type":"realtime","audio":{"input":{"format":{"type":"audio/pcmu"}},"output":{"format":{"type":"audio/pcmu"}}}}}"#;

async fn bridge(stream: TcpStream, engine: &Engine) -> Option<()> {
    let (_, mut caller) = ServerBuilder::new().accept(stream).await.ok()?;
    let (url, connector) = (&engine.0, &engine.1);
    let tcp = tls::connect(url, connector.as_ref()).await.ok()?;
    let builder = ClientBuilder::new().uri(url).ok()?;
    let (mut model, _) = builder.connect_on(tcp).await.ok()?;
    model.send(Message::text(UPDATE)).await.ok()?;
    let mut id = String::new();
    loop {
        tokio::select! {
            message = caller.next() => {
                let message = message?.ok()?;
                let text = message.as_text()?;
                if let Some(payload) = field(text, "\"payload\":\"") {
                    let append = format!(r#"{{"type":"input_audio_buffer.append","audio":"{payload}"}}"#);
                    model.send(Message::text(append)).await.ok()?;
                } else if let Some(stream) = field(text, "\"streamSid\":\"") {
                    stream.clone_into(&mut id);
                }
            }
            message = model.next() => {
                let message = message?.ok()?;
                if let Some(delta) = message.as_text().and_then(|text| field(text, "\"delta\":\"")) {
                    let media = format!(r#"{{"event":"media","streamSid":"{id}","media":{{"payload":"{delta}"}}}}"#);
                    caller.send(Message::text(media)).await.ok()?;
                }
            }
        }
    }
}

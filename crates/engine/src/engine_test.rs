//! The test of an engine: address, key, model and the agent's settings, up to the session being accepted. Nothing is said.

use std::sync::Arc;
use std::time::Instant;

use call::EngineFailure;
use catalog::Message;
use media::{Form, Law};
use tokio_rustls::TlsConnector;
use wire::realtime::EngineEvent;

use crate::config::AgentConfig;
use crate::engine_link::{EngineLink, LinkEvent, Which};
use crate::realtime_client::Target;
use crate::tls;
use store::journal::engine_failure;

/// Opens a session as a call of this agent would, and closes it. The message says whether the engine took the key, the
/// model and the settings, or what is wrong; never an error by itself. Bounded by the engine's own connection time.
pub async fn run(agent: &AgentConfig, extra_ca_pem: &[u8]) -> Message {
    let mut agent = agent.clone();
    // One engine is asked; the caller asks the second one by itself.
    agent.fallback = None;
    let realtime = &agent.engine.realtime;
    let Some(target) = Target::new(realtime).map(Arc::new) else {
        return Message::new("engine_unreachable").with("detail", "the address cannot be used");
    };
    let client = match tls::client(extra_ca_pem) {
        Ok(client) => client,
        Err(error) => return Message::new("engine_unreachable").with("detail", error.to_string()),
    };
    let connector = TlsConnector::from(client);
    let begun = Instant::now();
    let mut link = EngineLink::new(
        &agent,
        Arc::clone(&target),
        None,
        connector,
        Form::G711(Law::Pcmu),
    );
    link.connect(begun, Which::Current, &[]);
    let message = loop {
        if let Some(message) = news(&mut link, begun) {
            break message;
        }
        link.flush();
        let due = link.poll_timeout().unwrap_or(begun);
        let event = tokio::select! {
            event = std::future::poll_fn(|cx| link.poll(Instant::now(), cx)) => Some(event),
            () = tokio::time::sleep_until(due.into()) => link.check(Instant::now()),
        };
        if let Some(LinkEvent::Lost {
            failure,
            detail,
            status,
            ..
        }) = event
        {
            // What the engine said before it closed explains the loss.
            break news(&mut link, begun).unwrap_or_else(|| lost(&link, failure, &detail, status));
        }
    };
    link.close(Which::Current);
    message
}

/// What the session says by now.
fn news(link: &mut EngineLink, begun: Instant) -> Option<Message> {
    loop {
        let event = link.conversation(Which::Current)?.poll_event()?;
        if let EngineEvent::Ready = event {
            let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            return Some(
                Message::new("engine_test_ok")
                    .with("engine", link.describe())
                    .with("after", took),
            );
        } else if let EngineEvent::Refused {
            code,
            message,
            param,
        } = event
        {
            if is_model(&code) || param.as_deref() == Some("model") {
                return Some(model(link, &message));
            }
            let detail = format!("{code}: {message} {}", param.unwrap_or_default());
            return Some(Message::new("engine_rejected").with("detail", detail.trim()));
        }
    }
}

fn is_model(code: &str) -> bool {
    code == "model_not_found" || code == "invalid_model"
}

fn model(link: &EngineLink, detail: &str) -> Message {
    Message::new("engine_test_model")
        .with("model", link.model())
        .with("detail", detail)
}

fn lost(link: &EngineLink, failure: EngineFailure, detail: &str, status: Option<u16>) -> Message {
    if status == Some(404) || detail.contains("model_not_found") {
        return model(link, detail);
    }
    let target = link.target();
    let mut message =
        Message::new(format!("engine_{}", engine_failure(failure))).with("detail", detail);
    if let Some(status) = status {
        message = message.with("status", status);
    }
    if let EngineFailure::Closed { code: Some(code) } = failure {
        message = message.with("close_code", code);
    }
    if let EngineFailure::Refused = failure {
        message = message.with("key", catalog::redact::key_tail(target.key().expose()));
    } else if let EngineFailure::Unreachable = failure {
        message = message.with("host", target.host());
    }
    message
}

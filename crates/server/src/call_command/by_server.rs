//! The call of the running server, asked for and watched by its interfaces.

use super::{GOODBYE_WITHIN, Outcome, PlaceArguments, Showing};
use crate::server_client::{Interface, ServerClient};
use crate::shutdown::Signals;
use agent::Method;
use catalog::Message;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How often the server is asked.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Places the call and follows it to its end.
pub(super) async fn call(
    client: &ServerClient,
    arguments: &PlaceArguments,
    showing: Showing,
    signals: &mut Signals,
) -> Result<Outcome, Message> {
    let mut body = json!({ "to": arguments.number.as_deref().unwrap_or_default() });
    if let (Some(agent), None) = (&arguments.agent, &arguments.line) {
        // The server takes one of the agent's lines that may call the number.
        body["agentId"] = json!(agent);
    } else {
        body["line"] = json!(line(client, arguments).await?);
    }
    let placed = client
        .ask(Interface::Platform, Method::Post, "/api/calls", Some(&body))
        .await;
    let refused = |cause: String| Message::new("api_call_refused").with("cause", cause);
    let (status, answer) = placed.ok_or_else(|| refused("platform".to_owned()))?;
    let Some(id) = answer["id"].as_str().filter(|_| status < 300) else {
        let text = answer["detail"].as_str().or(answer["title"].as_str());
        return Err(refused(text.unwrap_or_default().to_owned()));
    };
    let begun = Instant::now();
    let limit = Duration::from_secs(u64::from(arguments.duration));
    let mut watching = Watching {
        client,
        showing,
        id: id.to_owned(),
        answered: false,
        ringing: false,
        instructions: arguments.instructions.clone(),
        lines: 0,
    };
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut told: Option<Instant> = None;
    loop {
        tokio::select! {
            _ = look.tick() => {
                if let Some(record) = watching.look().await {
                    return Ok(watching.over(&record).await);
                }
            }
            () = signals.next() => {
                showing.say("🧹", &Message::new("place_hanging_up"));
                watching.hang_up().await;
                told.get_or_insert_with(Instant::now);
            }
        }
        if arguments.duration > 0 && told.is_none() && begun.elapsed() >= limit {
            showing.say("⏱️ ", &Message::new("place_time_over"));
            watching.hang_up().await;
            told = Some(Instant::now());
        }
        if told.is_some_and(|told| told.elapsed() > GOODBYE_WITHIN) {
            return Err(Message::new("place_lost"));
        }
    }
}

/// The line that was named, or the only one.
async fn line(client: &ServerClient, arguments: &PlaceArguments) -> Result<String, Message> {
    if let Some(line) = &arguments.line {
        return Ok(line.clone());
    }
    let registrations = client.get("/api/registrations").await;
    let rows = registrations
        .as_ref()
        .and_then(|answer| answer["registrations"].as_array());
    let names: Vec<&str> = rows
        .into_iter()
        .flatten()
        .filter_map(|row| row["line"].as_str())
        .collect();
    match names.as_slice() {
        [] => Err(Message::new("config_no_line")),
        [only] => Ok((*only).to_owned()),
        several => Err(Message::new("place_which_line").with("lines", several.join(", "))),
    }
}

struct Watching<'a> {
    client: &'a ServerClient,
    showing: Showing,
    id: String,
    ringing: bool,
    answered: bool,
    instructions: Option<String>,
    lines: usize,
}

impl Watching<'_> {
    /// Shows what is new; the record once the call is over.
    async fn look(&mut self) -> Option<Value> {
        let record = self.client.get(&format!("/api/calls/{}", self.id)).await;
        let record = record.unwrap_or(Value::Null);
        if !std::mem::replace(&mut self.ringing, true) {
            self.showing.say("📞", &Message::new("place_placed"));
        }
        if record["answeredAt"].is_string() && !std::mem::replace(&mut self.answered, true) {
            self.showing.say("✅", &Message::new("place_answered"));
            if let Some(text) = self.instructions.take() {
                let path = format!("/api/calls/{}/instruct", self.id);
                let body = json!({ "text": text });
                let post = Method::Post;
                self.client
                    .ask(Interface::Platform, post, &path, Some(&body))
                    .await;
            }
        }
        let transcript = format!("/api/calls/{}/transcript", self.id);
        let lines = self.client.get(&transcript).await.unwrap_or(Value::Null);
        let lines = lines["transcript"].as_array().cloned().unwrap_or_default();
        for row in lines.iter().skip(self.lines) {
            let text = row["text"].as_str().unwrap_or_default();
            match row["role"].as_str().unwrap_or_default() {
                "caller" | "user" => self.showing.said(true, text),
                "agent" | "assistant" => self.showing.said(false, text),
                _ => {}
            }
        }
        self.lines = self.lines.max(lines.len());
        record["endedAt"].is_string().then_some(record)
    }

    async fn hang_up(&self) {
        let path = format!("/api/calls/{}", self.id);
        self.client
            .ask(Interface::Admin, Method::Delete, &path, None)
            .await;
    }

    async fn over(&self, record: &Value) -> Outcome {
        let path = format!("/api/calls/{}/explanation", self.id);
        let language = self.showing.terminal.language.code();
        let explanation = self.client.get(&format!("{path}?lang={language}")).await;
        let verdict = &record["verdict"];
        let code = verdict["code"].as_str().unwrap_or_default();
        let severity = catalog::entry(code).map(|entry| entry.severity);
        let text = explanation
            .as_ref()
            .and_then(|explanation| explanation["verdict"]["text"].as_str())
            .or(verdict["text"].as_str());
        Outcome::Over {
            answered: record["answeredAt"].is_string(),
            wrong: severity.is_none_or(|severity| severity >= catalog::Severity::Warning),
            verdict: text.unwrap_or_default().to_owned(),
            explanation: explanation.unwrap_or(Value::Null),
        }
    }
}

//! The end of a call, as the voice side tells it: the record, what came of it, and what is linked to it, in one write.
//!
//! A webhook may come twice, and after the rows that it speaks of or before: the same call is one record, and a second telling
//! changes nothing but what it adds.

use ::store::{ChangeError, Statement, Tx};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::api::app::App;
use crate::api::people::note_message;
use crate::api::refusal::Refusal;
use crate::api::who::Who;
use crate::phone::spellings;
use crate::store::rows::{Filter, hold_house, insert, insert_as, list_in, update};
use crate::store::{HouseScope, Set, record, settle, tables};

/// Lines of the transcript in an automatic message.
const LINES: usize = 6;
/// Characters of each.
const LINE_CHARACTERS: usize = 100;

/// What is linked to a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each may be so beside the others"
)]
pub(super) struct Came {
    transferred: bool,
    order: bool,
    reservation: bool,
    message: bool,
    spoke: bool,
    failed: bool,
}

impl Came {
    /// The outcome: what weighs most comes first.
    pub(super) fn outcome(self) -> &'static str {
        match self {
            Self {
                transferred: true, ..
            } => "transferred",
            Self { order: true, .. } => "order_placed",
            Self {
                reservation: true, ..
            } => "reservation_placed",
            Self { message: true, .. } => "message_left",
            Self { failed: true, .. } => "error",
            Self { spoke: true, .. } => "info_only",
            Self { .. } => "abandoned",
        }
    }
}

/// Writes the end of a call down; the id of its record.
pub(super) async fn receive(
    app: &App,
    scope: &HouseScope,
    who: &Who,
    body: &Value,
) -> Result<String, Refusal> {
    let members = members(body, who);
    let call = members.get("voiceCallId").and_then(Value::as_str);
    let call = call.map(str::to_owned);
    let sets = record::read(&tables::CALLS, &members, true)?;
    let mut tx = app.db.begin().await?;
    let written = async {
        hold_house(&mut tx, scope).await?;
        let row = put(&mut tx, scope, call.as_deref(), sets).await?;
        let id = row["id"].as_str().unwrap_or_default().to_owned();
        link(&mut tx, scope, &id, &row).await?;
        release(&mut tx, scope, call.as_deref()).await?;
        let came = came(&mut tx, scope, &id, body).await?;
        let outcome = match row["outcome"].as_str() {
            _ if body["outcome"] == "in_progress" => "in_progress",
            _ => came.outcome(),
        };
        let set = json!({ "outcome": outcome });
        let set = record::read(&tables::CALLS, &object(set), false)?;
        update(&mut tx, scope, &tables::CALLS, &id, set).await?;
        let message = if outcome == "info_only" {
            automatic(&mut tx, scope, &id, &row).await?
        } else {
            None
        };
        let event =
            json!({ "kind": "call.ended", "subjectId": id, "payload": { "outcome": outcome } });
        let event = record::read(&tables::EVENTS, &object(event), true)?;
        insert(&mut tx, scope, &tables::EVENTS, event).await?;
        Ok::<_, Refusal>((id, outcome, message))
    };
    let written = written.await;
    let (id, outcome, message) = settle(tx, written).await?;
    let ended = json!({ "id": id, "outcome": outcome });
    app.tell(scope.restaurant(), "call.ended", ended);
    if let Some(message) = message {
        app.tell(scope.restaurant(), "message.created", message);
    }
    Ok(id)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

/// The members of a record that the body has.
fn members(body: &Value, who: &Who) -> Map<String, Value> {
    let context = &body["finalContext"];
    let first = |values: &[&Value]| {
        let found = values.iter().find(|value| !value.is_null());
        found.map_or(Value::Null, |value| (*value).clone())
    };
    let tokens = &body["costs"]["tokens"];
    let mut call = first(&[&body["callId"], &context["call_id"], &context["callId"]]);
    if let (true, Some(named)) = (call.is_null(), &who.call) {
        call = named.as_str().into();
    }
    let mut started = body["startedAt"].clone();
    if started.is_null() {
        started = record::iso(Timestamp::now()).into();
    }
    let members = json!({
        "voiceCallId": call,
        "callerNumber": first(&[&body["callerPhone"], &body["callerNumber"], &context["caller_phone"]]),
        "customerId": first(&[&context["customer_id"], &body["customerId"]]),
        "startedAt": started,
        "endedAt": body["endedAt"],
        "durationSec": body["durationSec"],
        "inputTokens": tokens["inputTokens"],
        "outputTokens": tokens["outputTokens"],
        "inputAudioTokens": tokens["inputAudioTokens"],
        "outputAudioTokens": tokens["outputAudioTokens"],
        "costAi": body["costs"]["costTotal"],
        "costCurrency": body["costs"]["costCurrency"],
        "aiModel": body["aiModel"],
        "transcript": body["transcript"],
        "toolCalls": body["toolCalls"],
    });
    let mut members = object(members);
    members.retain(|_, value| !value.is_null());
    members
}

/// The record: under the voice side's own id, by which orders and messages name it.
async fn put(
    tx: &mut Tx,
    scope: &HouseScope,
    call: Option<&str>,
    sets: Vec<Set>,
) -> Result<Value, Refusal> {
    let Some(call) = call else {
        let row = insert(tx, scope, &tables::CALLS, sets).await?;
        return Ok(Value::Object(row));
    };
    let filter = Filter::default().with("voice_call_id = ", call).first(1);
    let mut known = list_in(tx, scope, &tables::CALLS, filter).await?;
    if known.is_empty() {
        let filter = Filter::default().with("id = ", call).first(1);
        known = list_in(tx, scope, &tables::CALLS, filter).await?;
    }
    if let Some(id) = known.first().and_then(|row| row["id"].as_str()) {
        let row = update(tx, scope, &tables::CALLS, id, sets).await?;
        return row.map(Value::Object).ok_or_else(Refusal::unknown);
    }
    let mut taken = Statement::new("SELECT id FROM restaurant_calls WHERE id = ");
    taken.bind(call);
    let row = if tx.row(taken, "call").await?.is_some() {
        insert(tx, scope, &tables::CALLS, sets).await?
    } else {
        insert_as(tx, scope, &tables::CALLS, call, sets).await?
    };
    Ok(Value::Object(row))
}

const LINKED: &[(&str, &str)] = &[
    ("restaurant_orders", "customer_phone"),
    ("restaurant_reservations", "customer_phone"),
    ("restaurant_messages", "caller_phone"),
];

/// A call that is over keeps no table: the caller of a call that broke may ring again.
async fn release(tx: &mut Tx, scope: &HouseScope, call: Option<&str>) -> Result<(), ChangeError> {
    let Some(call) = call else { return Ok(()) };
    let mut over = Statement::new("DELETE FROM restaurant_holds WHERE ");
    scope.limit(&mut over);
    over.with(" AND call_id = ", call);
    tx.run(over, "hold").await?;
    Ok(())
}

/// What the same caller left meanwhile without naming the call is of this call.
async fn link(tx: &mut Tx, scope: &HouseScope, id: &str, row: &Value) -> Result<(), ChangeError> {
    let caller = row["callerNumber"].as_str().unwrap_or_default();
    let time = |name: &str| row[name].as_str().and_then(|text| text.parse().ok());
    let (Some(from), Some(to)): (Option<Timestamp>, Option<Timestamp>) =
        (time("startedAt"), time("endedAt"))
    else {
        return Ok(());
    };
    if caller.trim().is_empty() {
        return Ok(());
    }
    for (table, phone) in LINKED {
        let mut statement = Statement::new("UPDATE ");
        statement.push(table).with(" SET call_id = ", id);
        statement.push(" WHERE ");
        scope.limit(&mut statement);
        statement.push(" AND call_id IS NULL");
        statement.with(" AND created_at >= ", from);
        statement.with(" AND created_at <= ", to);
        statement.push(" AND ").push(phone).push(" IN (");
        for (index, spelling) in spellings(caller).into_iter().enumerate() {
            statement.with(if index == 0 { "" } else { ", " }, spelling);
        }
        statement.push(")");
        tx.run(statement, "call").await?;
    }
    Ok(())
}

async fn has(tx: &mut Tx, scope: &HouseScope, words: &str, id: &str) -> Result<bool, ChangeError> {
    let mut statement = Statement::new("SELECT id FROM ");
    statement.push(words).push(" AND ");
    scope.limit(&mut statement);
    statement.with(" AND call_id = ", id).push(" LIMIT 1");
    Ok(tx.row(statement, "call").await?.is_some())
}

/// What came of the call: the rows say it, the tools that the voice side lists where there is none.
async fn came(
    tx: &mut Tx,
    scope: &HouseScope,
    id: &str,
    body: &Value,
) -> Result<Came, ChangeError> {
    let told = &body["outcome"];
    let called = |name: &str| {
        let calls = body["toolCalls"].as_array();
        calls.is_some_and(|calls| {
            calls
                .iter()
                .any(|call| call["name"] == name && succeeded(call))
        })
    };
    let lines = body["transcript"].as_array();
    let spoke = |line: &Value| line["role"] == "user" && line["content"].as_str().is_some();
    Ok(Came {
        transferred: told == "transferred" || called("transfer_call"),
        order: has(
            tx,
            scope,
            "restaurant_orders WHERE status <> 'cancelled'",
            id,
        )
        .await?
            || called("confirm_order"),
        reservation: has(
            tx,
            scope,
            "restaurant_reservations WHERE status <> 'cancelled'",
            id,
        )
        .await?
            || called("confirm_reservation"),
        message: has(tx, scope, "restaurant_messages WHERE is_automatic = 0", id).await?
            || called("leave_message"),
        spoke: lines.is_some_and(|lines| lines.iter().any(spoke)),
        failed: told == "error" || told == "no_balance",
    })
}

fn succeeded(call: &Value) -> bool {
    let no = |value: &Value| value == false || value == "false";
    !(no(&call["success"]) || no(&call["result"]["success"]) || call["error"].is_string())
}

/// A conversation that ended with nothing leaves a message: somebody may want to call back. Once for each call.
async fn automatic(
    tx: &mut Tx,
    scope: &HouseScope,
    id: &str,
    row: &Value,
) -> Result<Option<Value>, Refusal> {
    let known = Filter::default().with("call_id = ", id).first(1);
    if !list_in(tx, scope, &tables::MESSAGES, known)
        .await?
        .is_empty()
    {
        return Ok(None);
    }
    let message = json!({
        "callId": id, "callerPhone": row["callerNumber"], "category": "info_request",
        "content": last_lines(&row["transcript"]), "isAutomatic": true,
    });
    let sets = record::read(&tables::MESSAGES, &object(message), true)?;
    let made = insert(tx, scope, &tables::MESSAGES, sets).await?;
    note_message(tx, scope, &made).await?;
    Ok(Some(Value::Object(made)))
}

fn last_lines(transcript: &Value) -> String {
    let lines = transcript.as_array().cloned().unwrap_or_default();
    let from = lines.len().saturating_sub(LINES);
    let texts: Vec<String> = lines[from..]
        .iter()
        .map(|line| {
            let role = line["role"].as_str().unwrap_or_default();
            let content = line["content"].as_str().unwrap_or_default();
            let cut: String = content.chars().take(LINE_CHARACTERS).collect();
            format!("{role}: {cut}")
        })
        .collect();
    texts.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_weighs_most_is_the_outcome() {
        let mut came = Came::default();
        assert_eq!(came.outcome(), "abandoned");
        came.spoke = true;
        assert_eq!(came.outcome(), "info_only");
        came.message = true;
        assert_eq!(came.outcome(), "message_left");
        came.reservation = true;
        assert_eq!(came.outcome(), "reservation_placed");
        came.order = true;
        assert_eq!(came.outcome(), "order_placed");
        came.transferred = true;
        assert_eq!(came.outcome(), "transferred");
    }

    #[test]
    fn the_last_lines_are_cut() {
        let line = |text: &str| json!({ "role": "user", "content": text });
        let lines: Vec<Value> = (0..8)
            .map(|n| line(&format!("{n}{}", "é".repeat(200))))
            .collect();
        let text = last_lines(&Value::Array(lines));
        assert_eq!(text.lines().count(), LINES);
        assert!(text.starts_with("user: 2é"));
        assert_eq!(
            text.lines().next().unwrap().chars().count(),
            6 + LINE_CHARACTERS
        );
    }
}

//! Conversations at the level of tool calls: what a model asks, the request that the pack makes of it, the answer, the rows.
//!
//! The tables are the files of `tests/scenarios`; each runs on SQLite, and on PostgreSQL where `ALLO_TEST_POSTGRES` names one. An
//! expected text `~…` is contained, `*` is present, `null` is absent; members that are not named are not compared.

#[path = "../../store/tests/common/place.rs"]
mod place;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use restaurant::desk::{Asker, Reply};
use serde_json::{Map, Value, json};
use world::{World, databases};

const PACK: &str = include_str!("../pack/tools.json");
const TABLES: &[(&str, &str)] = &[
    ("availability", include_str!("scenarios/availability.json")),
    ("orders", include_str!("scenarios/orders.json")),
    ("reservations", include_str!("scenarios/reservations.json")),
    (
        "conversations",
        include_str!("scenarios/conversations.json"),
    ),
];

/// A call: its context is kept from tool to tool.
#[derive(Clone)]
struct Call {
    context: Map<String, Value>,
    phone: String,
}

impl Call {
    fn new(id: &str, phone: &str, map: &Value) -> Self {
        let mut context = Map::new();
        context.insert("call_id".to_owned(), id.into());
        context.insert("caller_phone".to_owned(), phone.into());
        context.insert("item_map".to_owned(), map.clone());
        Self {
            context,
            phone: phone.to_owned(),
        }
    }
}

/// A template's value: `={{path}}` keeps its type, what is not known is left out.
fn render(template: &Value, arguments: &Value, call: &Call, house: &str) -> Option<Value> {
    let Value::String(text) = template else {
        return Some(template.clone());
    };
    let Some(path) = text
        .strip_prefix("={{")
        .and_then(|text| text.strip_suffix("}}"))
    else {
        return Some(template.clone());
    };
    let found = match path.split_once('.') {
        Some(("config", "restaurantId")) => Some(json!(house)),
        Some(("$ai", name)) => arguments.get(name).cloned(),
        Some(("ctx", path)) => {
            let pointer = format!("/{}", path.replace('.', "/"));
            Value::Object(call.context.clone())
                .pointer(&pointer)
                .cloned()
        }
        _ => panic!("a template of the pack that the test does not know: {text}"),
    };
    found.filter(|value| !value.is_null())
}

fn request(tool: &Value, arguments: &Value, call: &Call, house: &str) -> Value {
    let mut body = Map::new();
    for (name, template) in tool["http"]["bodyTemplate"]
        .as_object()
        .into_iter()
        .flatten()
    {
        if let Some(value) = render(template, arguments, call, house) {
            body.insert(name.clone(), value);
        }
    }
    Value::Object(body)
}

/// What the routes do with a tool's request.
async fn send(world: &World, tool: &str, body: &Value, call: &Call, now: jiff::Timestamp) -> Reply {
    let desk = world.desk();
    let asker = Asker {
        voice: true,
        caller: (!call.phone.is_empty()).then(|| call.phone.clone()),
        call: call
            .context
            .get("call_id")
            .and_then(Value::as_str)
            .map(str::to_owned),
        key: None,
        ..Asker::default()
    };
    let scope = &world.scope;
    let body = body.clone();
    match tool {
        "check_availability" => desk.check_availability(scope, &asker, body, now).await,
        "confirm_order" => desk.confirm_order(scope, &asker, body, now).await,
        "confirm_reservation" => desk.create_reservation(scope, &asker, body, now).await,
        "check_order_status" => desk.order_status(scope, &asker, &call.phone, now).await,
        "cancel_order" => {
            desk.cancel_order(scope, &asker, body["order_number"].as_i64(), now)
                .await
        }
        "lookup_reservation" => {
            desk.lookup_reservations(scope, &asker, &call.phone, now)
                .await
        }
        "cancel_reservation" => {
            let members = body.as_object().cloned().unwrap_or_default();
            desk.change_reservation(scope, &asker, &members, now).await
        }
        other => panic!("no such tool here: {other}"),
    }
    .unwrap_or_else(|error| panic!("{tool}: {error}"))
}

fn matches(expected: &Value, found: &Value, place: &str, faults: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(members), _) => {
            for (name, value) in members {
                let found = found.get(name).unwrap_or(&Value::Null);
                matches(value, found, &format!("{place}.{name}"), faults);
            }
        }
        (Value::Array(parts), Value::Array(others)) if parts.len() == others.len() => {
            for (index, (part, other)) in parts.iter().zip(others).enumerate() {
                matches(part, other, &format!("{place}[{index}]"), faults);
            }
        }
        (Value::String(text), Value::String(other)) if text.starts_with('~') => {
            if !other.contains(&text[1..]) {
                faults.push(format!("{place}: `{other}` does not hold `{}`", &text[1..]));
            }
        }
        (Value::String(text), other) if text == "*" && !other.is_null() => {}
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
        (expected, found) if expected == found => {}
        (expected, found) => faults.push(format!("{place}: expected {expected}, found {found}")),
    }
}

/// The steps of a scenario: its own list, or itself.
fn steps(scenario: &Value) -> Vec<Value> {
    match scenario.get("steps").and_then(Value::as_array) {
        Some(steps) => steps.clone(),
        None => vec![scenario.clone()],
    }
}

/// A reply's member into the arguments of a later step: `"<order_id"` takes it from the last reply.
fn resolve(value: &Value, last: &Value) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix('<') {
            Some(pointer) => last
                .pointer(&format!("/{}", pointer.replace('.', "/")))
                .cloned()
                .unwrap_or_default(),
            None => value.clone(),
        },
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), resolve(value, last)))
            .collect(),
        Value::Array(parts) => parts.iter().map(|part| resolve(part, last)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

struct Runner {
    tools: BTreeMap<String, Value>,
    world: Arc<World>,
    calls: BTreeMap<String, Call>,
    map: Value,
    last: Value,
    faults: Vec<String>,
}

impl Runner {
    fn call(&mut self, step: &Value) -> Call {
        let who = step
            .get("who")
            .and_then(Value::as_str)
            .unwrap_or("ada")
            .to_owned();
        let number = match who.as_str() {
            "ada" => "+33611111111",
            "bob" => "+33622222222",
            "hidden" => "",
            other => other,
        };
        let id = format!(
            "call-{who}-{}",
            step.get("call").and_then(Value::as_str).unwrap_or("1")
        );
        let map = &self.map;
        self.calls
            .entry(id.clone())
            .or_insert_with(|| Call::new(&id, number, map))
            .clone()
    }

    async fn run(&mut self, step: &Value, now: jiff::Timestamp) {
        if let Some(change) = step.get("change") {
            return self.world.change(change).await;
        }
        let name = step["tool"].as_str().expect("a tool");
        let tool = self.tools.get(name).expect("a tool of the pack").clone();
        let arguments = resolve(step.get("args").unwrap_or(&Value::Null), &self.last);
        let mut call = self.call(step);
        let callers = step.get("callers").and_then(Value::as_u64).unwrap_or(0);
        if callers > 0 {
            return self.crowd(step, &tool, &arguments, callers, now).await;
        }
        let body = request(&tool, &arguments, &call, self.world.scope.restaurant());
        if let Some(expected) = step.get("request") {
            matches(expected, &body, "request", &mut self.faults);
        }
        for _ in 0..step.get("times").and_then(Value::as_u64).unwrap_or(1) {
            let reply = send(&self.world, name, &body, &call, now).await;
            self.last = reply.body.clone();
            if let Some(status) = step.get("status").and_then(Value::as_u64) {
                matches(
                    &json!(status),
                    &json!(reply.status),
                    "status",
                    &mut self.faults,
                );
            }
        }
        if let Some(expected) = step.get("expect") {
            matches(expected, &self.last, "answer", &mut self.faults);
        }
        if name == "check_availability" {
            call.context
                .insert("last_availability_check".to_owned(), self.last.clone());
            for (context, member) in [
                ("customer_delivery_lat", "customerLat"),
                ("customer_delivery_lng", "customerLng"),
            ] {
                if let Some(value) = self.last.get(member) {
                    call.context.insert(context.to_owned(), value.clone());
                }
            }
        }
        let id = call.context["call_id"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        self.calls.insert(id, call);
    }

    /// Many at the same time: each its own caller, or (`"same": true`) the same request over and over.
    async fn crowd(
        &mut self,
        step: &Value,
        tool: &Value,
        arguments: &Value,
        callers: u64,
        now: jiff::Timestamp,
    ) {
        let name = step["tool"].as_str().unwrap_or_default().to_owned();
        let same = step.get("same") == Some(&Value::Bool(true));
        let mut tasks = tokio::task::JoinSet::new();
        for index in 0..callers {
            let mut call = self.call(step);
            if !same {
                call.phone = format!("+3370000{index:04}");
                call.context
                    .insert("call_id".to_owned(), format!("crowd-{index}").into());
                call.context
                    .insert("caller_phone".to_owned(), call.phone.clone().into());
            }
            let body = request(tool, arguments, &call, self.world.scope.restaurant());
            let (world, name) = (Arc::clone(&self.world), name.clone());
            tasks.spawn(async move { send(&world, &name, &body, &call, now).await });
        }
        let mut won = 0;
        while let Some(reply) = tasks.join_next().await {
            let reply = reply.expect("a caller");
            let yes = reply.status < 400
                && reply.body.get("success") != Some(&Value::Bool(false))
                && reply.body.get("available") != Some(&Value::Bool(false));
            won += u64::from(yes);
        }
        if let Some(expected) = step.get("won") {
            matches(expected, &json!(won), "won", &mut self.faults);
        }
    }
}

async fn run(
    database: &store::Store,
    tools: &BTreeMap<String, Value>,
    scenario: &Value,
) -> Vec<String> {
    let world = Arc::new(World::new(database, scenario.get("house")).await);
    let map = world
        .desk()
        .menu(&world.scope)
        .await
        .expect("a menu")
        .item_map();
    let mut runner = Runner {
        tools: tools.clone(),
        world,
        calls: BTreeMap::new(),
        map,
        last: Value::Null,
        faults: Vec::new(),
    };
    // A Saturday evening, unless the scenario says another time.
    let mut now = world::at("2026-11-28T20:00");
    if let Some(at) = scenario.get("at").and_then(Value::as_str) {
        now = world::at(at);
    }
    for (index, step) in steps(scenario).iter().enumerate() {
        if let Some(at) = step.get("at").and_then(Value::as_str) {
            now = world::at(at);
        }
        let before = runner.faults.len();
        runner.run(step, now).await;
        if let Some(rows) = step.get("rows").and_then(Value::as_object) {
            for (table, expected) in rows {
                let found = runner.world.rows(table).await;
                let found = if expected.is_number() {
                    json!(found.len())
                } else {
                    json!(found)
                };
                matches(
                    expected,
                    &found,
                    &format!("rows.{table}"),
                    &mut runner.faults,
                );
            }
        }
        for fault in &mut runner.faults[before..] {
            *fault = format!(
                "step {}: {fault}\n    last answer: {}",
                index + 1,
                runner.last
            );
        }
    }
    runner.faults
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn conversations_come_out_as_written() {
    let tools: Vec<Value> = serde_json::from_str(PACK).expect("the pack");
    let tools: BTreeMap<String, Value> = tools
        .into_iter()
        .map(|tool| (tool["name"].as_str().unwrap_or_default().to_owned(), tool))
        .collect();
    let mut faults = Vec::new();
    let mut count = 0;
    for database in databases().await {
        for (file, text) in TABLES {
            let scenarios: Vec<Value> =
                serde_json::from_str(text).unwrap_or_else(|error| panic!("{file}: {error}"));
            for scenario in &scenarios {
                count += 1;
                let name = scenario["name"].as_str().expect("a name");
                for fault in run(&database.store, &tools, scenario).await {
                    faults.push(format!("{file}: {name}: {fault}"));
                }
            }
        }
    }
    assert!(count >= 120, "{count} scenarios");
    assert!(
        faults.is_empty(),
        "{} of {count}:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// Sixty confirmations at the same moment, each call's twice, some of a dish that is sold out: one order a call, numbered without a
/// gap, and the kitchen never cooks more than it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn confirmations_at_once_are_weighed_one_after_another() {
    const CALLS: usize = 30;
    let now = world::at("2026-11-28T20:00");
    for database in databases().await {
        let house = json!({"kitchenCapacity": 3});
        let world = Arc::new(World::new(&database.store, Some(&house)).await);
        let mut tasks = tokio::task::JoinSet::new();
        for caller in (0..CALLS).chain(0..CALLS) {
            let world = Arc::clone(&world);
            tasks.spawn(async move {
                let asker = Asker {
                    voice: true,
                    caller: Some(format!("+337000000{caller:02}")),
                    call: Some(format!("call-{caller}")),
                    ..Asker::default()
                };
                let dish = if caller % 5 == 4 { "Quatre fromages" } else { "Margherita" };
                let body = json!({"order_type": "pickup", "items": [{"name": dish, "quantity": 1}], "total": 9.9});
                let reply = world.desk().confirm_order(&world.scope, &asker, body, now).await;
                (caller, reply.expect("an answer").body)
            });
        }
        let mut answers: BTreeMap<usize, Vec<Value>> = BTreeMap::new();
        for (caller, body) in tasks.join_all().await {
            answers.entry(caller).or_default().push(body);
        }
        let mut numbers = Vec::new();
        for (caller, answers) in &answers {
            if caller % 5 == 4 {
                assert!(
                    answers
                        .iter()
                        .all(|answer| answer["code"] == "item_unavailable")
                );
                continue;
            }
            assert_eq!(
                answers[0]["order_id"], answers[1]["order_id"],
                "{answers:?}"
            );
            let repeated = answers.iter().filter(|answer| answer["repeated"] == true);
            assert_eq!(repeated.count(), 1, "{answers:?}");
            numbers.extend(answers[0]["order_number"].as_u64());
        }
        numbers.sort_unstable();
        let placed = CALLS - CALLS / 5;
        assert_eq!(
            numbers,
            (1..=u64::try_from(placed).unwrap()).collect::<Vec<_>>()
        );
        let orders = world.rows("orders").await;
        let at = |row: &Value, name: &str| world::at(row[name].as_str().unwrap());
        let spans: Vec<_> = orders
            .iter()
            .map(|row| (at(row, "cookStartAt"), at(row, "handoffAt")))
            .collect();
        for (from, _) in &spans {
            let cooking = spans
                .iter()
                .filter(|(begun, done)| begun <= from && from < done);
            assert!(cooking.count() <= 3, "{spans:?}");
        }
        for table in ["orders", "lines", "events", "customers"] {
            assert_eq!(world.rows(table).await.len(), placed, "{table}");
        }
    }
}

//! Prints what templates and tool calls cost, in microseconds: `cargo run --release -p agent --example bench`.
//!
//! The restaurant of the tests: 12 tools, a session with a context. Each figure is the median of 21 rounds, printed with the
//! fastest and the slowest.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example prints, and fails by panicking"
)]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::sync::Arc;
use std::time::Instant;

use agent::template::{Place, Rules, Scope, Tree, UrlTemplate};
use agent::{
    AgentSettings, CallBrain, CallFacts, Definition, Direction, ToolConfig, ToolReply, compile,
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

const AGENT: &str = include_str!("../tests/data/restaurant_agent.json");
const TOOLS: &str = include_str!("../tests/data/restaurant_tools.json");
const SESSION: &str = include_str!("../tests/data/session.json");
const ROUNDS: usize = 21;
const RUNS: u32 = 500;

fn measure(what: &str, mut run: impl FnMut()) {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            for _ in 0..RUNS {
                run();
            }
            begun.elapsed().as_secs_f64() * 1e6 / f64::from(RUNS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!(
        "{what:<44} {:>9.2} µs   ({:.2} to {:.2})",
        rounds[ROUNDS / 2],
        rounds[0],
        rounds[ROUNDS - 1]
    );
}

/// As `measure`, on something made anew for each run, outside of the time.
fn measure_on<T>(what: &str, make: impl Fn() -> T, mut run: impl FnMut(&mut T)) {
    let mut runs: Vec<f64> = (0..RUNS)
        .map(|_| {
            let mut on = make();
            let begun = Instant::now();
            run(&mut on);
            begun.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    let last = runs.len() - 1;
    println!(
        "{what:<44} {:>9.2} µs   ({:.2} to {:.2})",
        runs[last / 2],
        runs[0],
        runs[last]
    );
}

fn definition() -> Definition {
    let tools: Vec<Value> = serde_json::from_str(TOOLS).unwrap();
    Definition {
        name: "Chez Marcel".to_owned(),
        settings: AgentSettings::parse(&serde_json::from_str(AGENT).unwrap()).unwrap(),
        tools: tools
            .iter()
            .map(|tool| ToolConfig::parse(tool).unwrap())
            .collect(),
        ..Definition::default()
    }
}

fn main() {
    let rules = Rules {
        place: Place::ToolReply,
        compat: false,
    };
    let members = |value: Value| value.as_object().unwrap().clone();
    let (config, context, none) = (
        members(json!({"restaurantId": "5b9c6f1e-0d3a-4c55-9a6e-1f2b3c4d5e6f"})),
        members(
            json!({"caller_phone": "+33612345678", "item_map": {"1": {"id": "0f8e", "name": "Margherita"}}}),
        ),
        Map::new(),
    );
    let zone = jiff::tz::TimeZone::UTC;
    let scope = Scope {
        base_url: Some("http://localhost:3000"),
        config: &config,
        context: &context,
        data: &none,
        agent: &none,
        variables: &none,
        pre: None,
        arguments: None,
        reply: None,
        zone: &zone,
    };
    let body = json!({"restaurantId": "={{config.restaurantId}}", "phone": "={{ctx.caller_phone}}", "map": "={{ctx.item_map}}", "none": "={{ctx.none}}", "status": "confirmed"});
    measure("compile a body of five members", || {
        std::hint::black_box(Tree::compile(&body, "", rules).unwrap());
    });
    let tree = Tree::compile(&body, "", rules).unwrap();
    measure("evaluate it", || {
        std::hint::black_box(tree.value(&scope).unwrap());
    });
    let url = UrlTemplate::compile("={{BASE_URL}}/api/orders/status?restaurantId={{config.restaurantId}}&phone={{ctx.caller_phone}}", rules).unwrap();
    measure("evaluate an address with two values", || {
        std::hint::black_box(url.evaluate(&scope, &[]).unwrap());
    });
    calls();
}

fn calls() {
    measure("compile an agent with 12 tools", || {
        std::hint::black_box(compile(definition()).unwrap());
    });
    let agent = Arc::new(compile(definition()).unwrap());
    let now: Timestamp = "2026-11-21T10:00:30Z".parse().unwrap();
    let facts = CallFacts {
        call_id: "call-1".to_owned(),
        caller_phone: Some("+33612345678".to_owned()),
        called_number: None,
        direction: Direction::Inbound,
        started_at: now,
        caller_verified: false,
        carrier: "sip".to_owned(),
        carrier_call_id: None,
        caller_name: None,
        caller_attestation: None,
    };
    let reply = |body: &str| ToolReply::Http {
        status: 200,
        body: body.to_owned(),
    };
    let session = reply(SESSION);
    let begin = || {
        let mut brain = CallBrain::new(Arc::clone(&agent), facts.clone());
        brain.apply_session(&session).unwrap();
        brain.agent_said("x");
        brain.heard_caller("x");
        brain
    };
    measure("begin a call: facts, session, context", || {
        std::hint::black_box(begin());
    });
    let brain = begin();
    measure("instructions", || {
        std::hint::black_box(brain.instructions(now));
    });
    let arguments = r#"{"mode":"delivery","requested_time":"19:30","customer_address":"3 rue de la République"}"#;
    let answer = reply(
        r#"{"available":true,"estimatedTimeISO":"2026-11-21T18:30:00.000Z","customerLat":43.2969,"customerLng":5.3733,"apiCosts":0.01}"#,
    );
    let prepare = |brain: &mut CallBrain| brain.prepare("1", "check_availability", arguments, now);
    measure_on("prepare a tool call", begin, |brain| {
        std::hint::black_box(prepare(brain));
    });
    let prepared = || {
        let mut brain = begin();
        prepare(&mut brain);
        brain
    };
    measure_on("finish it: reply, context, output", prepared, |brain| {
        std::hint::black_box(brain.finish("1", &answer, now));
    });
}

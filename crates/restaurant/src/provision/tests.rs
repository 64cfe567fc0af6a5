//! Runs against a model of a voice server, whole and with each accident at each place.
#![allow(
    clippy::unwrap_used,
    clippy::struct_excessive_bools,
    clippy::too_many_lines,
    reason = "tests fail by panicking, and a model of a server is one table"
)]

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::*;

/// What a server of others may lack.
#[derive(Clone, Copy, Default)]
struct Lacks {
    keys: bool,
    tool_list: bool,
    brain: bool,
    customers: bool,
    tokens: bool,
}

#[derive(Default)]
struct Server {
    lacks: Lacks,
    accounts: Vec<Value>,
    customers: Vec<Value>,
    agents: Vec<Value>,
    tools: Vec<Value>,
    lines: Vec<Value>,
    answered: BTreeMap<String, Answer>,
    ids: u32,
    log: Vec<String>,
}

fn answer(status: u16, body: Value) -> Answer {
    Answer {
        status,
        body,
        next_cursor: None,
    }
}

impl Server {
    fn id(&mut self) -> String {
        self.ids += 1;
        format!("id-{}", self.ids)
    }

    fn ask(&mut self, request: &Request) -> Answer {
        let path = request.path.split('?').next().unwrap();
        self.log.push(format!("{:?} {path}", request.method));
        if let Some(key) = request.key.as_ref().filter(|_| !self.lacks.keys)
            && let Some(before) = self.answered.get(key)
        {
            return before.clone();
        }
        let answer = self.run(request, path);
        if let Some(key) = &request.key
            && answer.status == 201
        {
            self.answered.insert(key.clone(), answer.clone());
        }
        answer
    }

    fn run(&mut self, request: &Request, path: &str) -> Answer {
        let mut body = request.body.clone().unwrap_or(Value::Null);
        let parts: Vec<&str> = path.trim_start_matches("/api/").split('/').collect();
        let absent = answer(404, Value::Null);
        match (request.method, parts.as_slice()) {
            (Method::Get, ["accounts"]) => answer(200, json!(self.accounts)),
            (Method::Get, ["agents"]) => answer(200, json!({ "agents": self.agents })),
            (Method::Get, ["final-customers"]) if !self.lacks.customers => {
                answer(200, json!(self.customers))
            }
            (Method::Get, ["agents", _, "tools"]) if !self.lacks.tool_list => {
                answer(200, json!(self.tools))
            }
            (Method::Get, ["agents", _, "phone-lines"]) => answer(200, json!(self.lines)),
            (Method::Post, ["accounts"]) => {
                body["id"] = json!(self.id());
                self.accounts.push(body.clone());
                answer(201, body)
            }
            (Method::Post, ["final-customers"]) if !self.lacks.customers => {
                body["id"] = json!(self.id());
                self.customers.push(body.clone());
                answer(201, body)
            }
            (Method::Post, ["agents"]) => {
                body["id"] = json!(self.id());
                body["publicToken"] = json!("pub");
                self.agents.push(body.clone());
                body["apiToken"] = json!("tok");
                answer(201, body)
            }
            (Method::Post, ["agents", _, "rotate-token"]) if !self.lacks.tokens => {
                answer(200, json!({ "apiToken": "tok2" }))
            }
            (Method::Put, ["agents", id]) => {
                match self
                    .agents
                    .iter_mut()
                    .find(|agent| agent["id"] == json!(id))
                {
                    Some(agent) => {
                        for (name, value) in body.as_object().unwrap() {
                            agent[name] = value.clone();
                        }
                        answer(200, agent.clone())
                    }
                    None => absent,
                }
            }
            (Method::Post, ["agents", _, "tools"]) => {
                body["id"] = json!(self.id());
                self.tools.push(body.clone());
                answer(201, body)
            }
            (Method::Put, ["agents", _, "tools", id]) => {
                let tool = self.tools.iter_mut().find(|tool| tool["id"] == json!(id));
                *tool.unwrap() = body;
                answer(200, json!({}))
            }
            (Method::Delete, ["agents", _, "tools", id]) => {
                self.tools.retain(|tool| tool["id"] != json!(id));
                answer(204, Value::Null)
            }
            (Method::Put, ["agents", _, "brain"]) if !self.lacks.brain => {
                self.tools = body["tools"].as_array().unwrap().clone();
                answer(200, json!({}))
            }
            (Method::Post, ["agents", _, "phone-lines"]) => {
                self.lines
                    .retain(|line| line["phoneNumber"] != body["phoneNumber"]);
                body["id"] = json!(self.id());
                self.lines.push(body.clone());
                answer(201, body)
            }
            (Method::Put, ["agents", _, "phone-lines", id]) => {
                let line = self.lines.iter_mut().find(|line| line["id"] == json!(id));
                line.unwrap()["isActive"] = body["isActive"].clone();
                answer(200, json!({}))
            }
            _ => absent,
        }
    }

    fn assert_complete(&self) {
        assert_eq!(self.accounts.len(), 1, "accounts");
        assert_eq!(self.agents.len(), 1, "agents");
        let mut names: Vec<&str> = self.tools.iter().map(pack::name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!((names.len(), self.tools.len()), (12, 12), "tools");
        assert!(self.customers.len() <= 1, "customers");
    }
}

fn row() -> Value {
    json!({"id": "r-1", "name": "Pizza Bella", "aiVoice": "coral", "timezone": "Europe/Paris", "deliveryEnabled": true,
        "transferEnabled": true, "transferPhoneNumber": "+33400000000"})
}

fn wanted(row: &Value) -> Wanted {
    wanted_at(row, "http://localhost:3000")
}

fn wanted_at(row: &Value, callback_url: &str) -> Wanted {
    let site = Site {
        callback_url: callback_url.to_owned(),
        account_name: "AlloResto".to_owned(),
        account_email: "contact@alloresto.example".to_owned(),
    };
    let mut fields = Map::new();
    fields.insert("phoneNumber".to_owned(), json!("+33412345678"));
    fields.insert("provider".to_owned(), json!("sip"));
    let line = Line {
        fields,
        password: Some("secret".to_owned()),
    };
    Wanted::of(row, vec![line], &site)
}

/// What happens to the n-th request of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Accident {
    /// It never arrives.
    Lost,
    /// It is done, and the answer never arrives.
    Unheard,
    /// It is done and answered; the process dies before anything is written.
    Forgotten,
    /// It is refused.
    Refused(u16),
}

/// One run; the facts are written after each answer, as the shell does.
fn run(
    server: &mut Server,
    row: &Value,
    kept: &mut Known,
    accident: Option<(usize, Accident)>,
) -> Next {
    let mut run = Run::new(wanted(row), kept.clone());
    for place in 0.. {
        let request = match run.due() {
            Next::Ask(request) => request,
            end @ (Next::Done | Next::Stopped(_)) => return end,
        };
        match accident
            .filter(|(at, _)| *at == place)
            .map(|(_, what)| what)
        {
            None => {
                let answer = server.ask(&request);
                run.answered(&request, &answer);
                *kept = run.known().clone();
            }
            Some(Accident::Lost) => run.failed(&request, "unreachable"),
            Some(Accident::Unheard) => {
                server.ask(&request);
                run.failed(&request, "timed_out");
            }
            Some(Accident::Forgotten) => {
                server.ask(&request);
                return Next::Done;
            }
            Some(Accident::Refused(status)) => {
                run.answered(&request, &answer(status, Value::Null));
                *kept = run.known().clone();
            }
        }
    }
    unreachable!()
}

#[test]
fn the_contracts_sequence_makes_everything_once() {
    let mut server = Server::default();
    let mut known = Known::default();
    assert_eq!(run(&mut server, &row(), &mut known, None), Next::Done);
    server.assert_complete();
    assert!(known.is_complete(&wanted(&row())));
    assert_eq!(known.agent_token.as_deref(), Some("tok"));
    assert_eq!(server.agents[0]["config"]["transferEnabled"], json!(true));
    let asked = server.log.len();
    assert_eq!(run(&mut server, &row(), &mut known, None), Next::Done);
    assert_eq!(server.log.len(), asked, "a complete one asks nothing");
}

#[test]
fn whatever_happens_at_whichever_place_one_agent_with_twelve_tools_is_there_in_the_end() {
    for lacks in [
        Lacks::default(),
        Lacks {
            keys: true,
            ..Lacks::default()
        },
        Lacks {
            customers: true,
            tokens: true,
            ..Lacks::default()
        },
        Lacks {
            tool_list: true,
            ..Lacks::default()
        },
        Lacks {
            tool_list: true,
            brain: true,
            ..Lacks::default()
        },
    ] {
        for accident in [
            Accident::Lost,
            Accident::Unheard,
            Accident::Forgotten,
            Accident::Refused(500),
            Accident::Refused(429),
        ] {
            for place in 0..24 {
                let mut server = Server {
                    lacks,
                    ..Server::default()
                };
                let mut known = Known::default();
                run(&mut server, &row(), &mut known, Some((place, accident)));
                for _ in 0..3 {
                    run(&mut server, &row(), &mut known, None);
                }
                server.assert_complete();
                assert!(
                    known.is_complete(&wanted(&row())),
                    "{accident:?} at {place}: {known:?}"
                );
            }
        }
    }
}

#[test]
fn a_change_is_one_request_with_what_changed() {
    let mut server = Server::default();
    let mut known = Known::default();
    run(&mut server, &row(), &mut known, None);
    let mut changed = row();
    changed["aiVoice"] = json!("sage");
    let Next::Ask(request) = Run::new(wanted(&changed), known.clone()).due() else {
        panic!("a change is sent");
    };
    assert_eq!(
        (request.step, request.body),
        (Step::SyncAgent, Some(json!({"aiVoice": "sage"})))
    );
    let before = server.log.len();
    run(&mut server, &changed, &mut known, None);
    assert_eq!(server.log.len(), before + 1);
    assert_eq!(server.agents[0]["aiVoice"], json!("sage"));
}

#[test]
fn an_agent_follows_the_back_office_to_its_new_address() {
    let mut server = Server::default();
    let mut known = Known::default();
    run(&mut server, &row(), &mut known, None);
    let before = server.log.len();
    let moved = wanted_at(&row(), "https://office.example/");
    assert!(!known.is_complete(&moved));
    let Next::Ask(request) = Run::new(moved, known.clone()).due() else {
        panic!("a change is sent");
    };
    assert_eq!(request.step, Step::SyncAgent);
    let body = request.body.expect("the addresses");
    assert_eq!(body.as_object().map(Map::len), Some(2));
    assert_eq!(body["apiBaseUrl"], json!("https://office.example"));
    assert!(
        body["externalSessionUrl"]
            .as_str()
            .is_some_and(|url| url.starts_with("=https://office.example/api/ai?"))
    );
    assert_eq!(server.log.len(), before);
}

#[test]
fn an_agent_that_was_deleted_there_is_made_anew() {
    let mut server = Server::default();
    let mut known = Known::default();
    run(&mut server, &row(), &mut known, None);
    server.agents.clear();
    server.tools.clear();
    let mut changed = row();
    changed["name"] = json!("Pizza Bellissima");
    run(&mut server, &changed, &mut known, None);
    server.assert_complete();
    assert!(known.is_complete(&wanted(&changed)));
}

#[test]
fn doubles_of_a_tool_are_removed_and_wrong_ones_mended() {
    let mut server = Server::default();
    let mut known = Known::default();
    run(&mut server, &row(), &mut known, None);
    let mut double = server.tools[3].clone();
    double["id"] = json!("other");
    server.tools.push(double);
    server.tools[5]["description"] = json!("wrong");
    known.pack = None;
    run(&mut server, &row(), &mut known, None);
    server.assert_complete();
    assert_ne!(server.tools[5]["description"], json!("wrong"));
}

#[test]
fn a_key_that_may_make_no_account_uses_the_one_that_it_sees() {
    let mut run = Run::new(wanted(&row()), Known::default());
    let Next::Ask(find) = run.due() else { panic!() };
    run.answered(
        &find,
        &answer(200, json!([{"id": "acct-9", "name": "Another"}])),
    );
    let Next::Ask(make) = run.due() else { panic!() };
    assert_eq!(make.step, Step::MakeAccount);
    run.answered(&make, &answer(403, Value::Null));
    assert_eq!(run.known().account.as_deref(), Some("acct-9"));
}

#[test]
fn the_repaired_pack_forwards_dates_services_and_offers_and_proves_the_caller() {
    let tools = tools();
    assert_eq!(tools.len(), 12);
    let body = |place: usize, name: &str| tools[place]["http"]["bodyTemplate"][name].clone();
    assert_eq!(body(0, "requestedDate"), json!("={{$ai.requested_date}}"));
    assert_eq!(body(2, "serviceId"), json!("={{$ai.service_id}}"));
    assert_eq!(body(2, "offerId"), json!("={{$ai.offer_id}}"));
    assert_eq!(body(9, "callerPhone"), json!("={{ctx.caller_phone}}"));
    for place in [6, 8] {
        assert!(
            tools[place]["http"]["url"]
                .as_str()
                .unwrap()
                .ends_with("phone={{ctx.caller_phone}}")
        );
    }
}

//! The next request, given what is known: pure. A run begins at what earlier runs learned, looks before it makes anything, and
//! ends complete or says where it stopped. Whatever was lost on the way (an answer, the process) costs a look, never a double.
//!
//! The sequence is the contract's (accounts, final customers, agents, tools, phone lines), so that it works against a stranger's
//! server: what that server does not have (a list, final customers, new tokens) is gone round, and every POST carries an
//! `Idempotency-Key` that stays the same until it is answered.

use serde_json::{Map, Value, json};

use super::known::Known;
use super::pack;
use super::reply::{Answer, identity, items, text};
use super::wanted::Wanted;

/// Most pages of a list that are read.
pub(super) const PAGES_MAX: usize = 40;
/// Entries of a page that are asked for.
const PAGE: u32 = 500;
/// Most requests of one run.
pub const REQUESTS_MAX: usize = 120;

/// HTTP method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
}

/// One request to the voice server.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What it is for.
    pub step: Step,
    /// Method.
    pub method: Method,
    /// Path and query, from `/api`.
    pub path: String,
    /// JSON body.
    pub body: Option<Value>,
    /// `Idempotency-Key`.
    pub key: Option<String>,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Looks for the account by its name.
    FindAccount,
    /// Makes the account.
    MakeAccount,
    /// Looks for the final customer.
    FindCustomer,
    /// Makes the final customer.
    MakeCustomer,
    /// Looks for the agent of the restaurant.
    FindAgent,
    /// Makes the agent.
    MakeAgent,
    /// Asks for a token of an agent whose own was never heard.
    NewToken,
    /// Sends changed fields of the agent.
    SyncAgent,
    /// Looks which tools are there.
    FindTools,
    /// Makes the tool of this place in the pack.
    MakeTool(usize),
    /// Replaces the tool of this place in the pack.
    MendTool(usize),
    /// Removes a tool that is there twice.
    RemoveTool,
    /// Sets prompt and tools at once, where the server does not list tools.
    SetBrain,
    /// Looks which lines are there.
    FindLines,
    /// Makes or changes the line of this place.
    SetLine(usize),
    /// Removes a line of a restaurant that is gone.
    RemoveLine,
    /// Removes the agent of a restaurant that is gone.
    RemoveAgent,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// This request.
    Ask(Request),
    /// Nothing: all is there.
    Done,
    /// Nothing in this run.
    Stopped(Stop),
}

/// Where a run stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// At which step.
    pub step: Step,
    /// Why: a status, or a label of the connection's failure.
    pub cause: String,
}

/// What a list said, while a run lasts.
#[derive(Clone, Debug, Default)]
enum Seen<T> {
    #[default]
    Unread,
    Reading(T, String, usize),
    Read(T),
    /// The server has no such list.
    Absent,
}

/// The lists that a run reads.
#[derive(Clone, Copy)]
enum List {
    Accounts,
    Customers,
    Agents,
    Tools,
    Lines,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    wanted: Wanted,
    known: Known,
    accounts: Seen<Vec<Value>>,
    customers: Seen<Vec<Value>>,
    agents: Seen<Vec<Value>>,
    tools: Seen<Vec<Value>>,
    lines: Seen<Vec<Value>>,
    no_brain: bool,
    token_refused: bool,
    mended: Vec<usize>,
    lines_set: usize,
    asked: usize,
    stop: Option<Stop>,
}

impl Run {
    /// A run from what is known.
    pub fn new(wanted: Wanted, known: Known) -> Self {
        Self {
            wanted,
            known,
            accounts: Seen::Unread,
            customers: Seen::Unread,
            agents: Seen::Unread,
            tools: Seen::Unread,
            lines: Seen::Unread,
            no_brain: false,
            token_refused: false,
            mended: Vec::new(),
            lines_set: 0,
            asked: 0,
            stop: None,
        }
    }

    /// What is known now.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// The next request.
    pub fn due(&mut self) -> Next {
        if let Some(stop) = &self.stop {
            return Next::Stopped(stop.clone());
        }
        let Some(request) = self.request() else {
            return Next::Done;
        };
        self.asked += 1;
        if self.asked > REQUESTS_MAX {
            self.stop(request.step, "too_many_requests".to_owned());
            return self.due();
        }
        Next::Ask(request)
    }

    fn request(&self) -> Option<Request> {
        let Some(account) = &self.known.account else {
            return Some(self.about_account());
        };
        if self.known.final_customer.is_none() && self.known.agent.is_none() {
            return Some(self.about_customer(account));
        }
        let Some(agent) = &self.known.agent else {
            return Some(self.about_agent(account));
        };
        if self.known.agent_token.is_none() && !self.token_refused {
            let path = format!("/api/agents/{agent}/rotate-token");
            return Some(plain(Step::NewToken, Method::Post, path, Some(json!({}))));
        }
        self.about_fields(agent)
            .or_else(|| self.about_tools(agent))
            .or_else(|| self.about_lines(agent))
    }

    fn about_account(&self) -> Request {
        match &self.accounts {
            Seen::Unread => list(Step::FindAccount, "/api/accounts", &[], None),
            Seen::Reading(_, cursor, _) => {
                list(Step::FindAccount, "/api/accounts", &[], Some(cursor))
            }
            Seen::Read(_) | Seen::Absent => Request {
                step: Step::MakeAccount,
                method: Method::Post,
                path: "/api/accounts".to_owned(),
                body: Some(self.wanted.account.clone()),
                key: Some(format!(
                    "account-{}",
                    text(&self.wanted.account, "name").unwrap_or_default()
                )),
            },
        }
    }

    fn about_customer(&self, account: &str) -> Request {
        let of = [("accountId", account)];
        match &self.customers {
            Seen::Unread => list(Step::FindCustomer, "/api/final-customers", &of, None),
            Seen::Reading(_, cursor, _) => list(
                Step::FindCustomer,
                "/api/final-customers",
                &of,
                Some(cursor),
            ),
            Seen::Read(_) | Seen::Absent => {
                let mut body = self.wanted.customer.clone();
                body["accountId"] = json!(account);
                Request {
                    step: Step::MakeCustomer,
                    method: Method::Post,
                    path: "/api/final-customers".to_owned(),
                    body: Some(body),
                    key: Some(self.key("customer")),
                }
            }
        }
    }

    fn about_agent(&self, account: &str) -> Request {
        let of = [("accountId", account)];
        match &self.agents {
            Seen::Unread => list(Step::FindAgent, "/api/agents", &of, None),
            Seen::Reading(_, cursor, _) => list(Step::FindAgent, "/api/agents", &of, Some(cursor)),
            Seen::Read(_) | Seen::Absent => {
                let mut body = Map::new();
                body.insert("accountId".to_owned(), json!(account));
                if let Some(customer) = self.final_customer() {
                    body.insert("finalCustomerId".to_owned(), json!(customer));
                }
                body.extend(self.wanted.fields.clone());
                body.extend(self.wanted.constant.clone());
                Request {
                    step: Step::MakeAgent,
                    method: Method::Post,
                    path: "/api/agents".to_owned(),
                    body: Some(Value::Object(body)),
                    key: Some(self.key("agent")),
                }
            }
        }
    }

    fn final_customer(&self) -> Option<&str> {
        self.known
            .final_customer
            .as_deref()
            .filter(|id| !id.is_empty())
    }

    /// What changed of the fields since they were sent; an agent that was found gets them all.
    fn about_fields(&self, agent: &str) -> Option<Request> {
        let sent = self.known.synced.as_ref();
        let mut changed: Map<String, Value> = self
            .wanted
            .fields
            .iter()
            .filter(|(name, value)| sent.and_then(|sent| sent.get(*name)) != Some(*value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        for name in sent.into_iter().flat_map(Map::keys) {
            if !self.wanted.fields.contains_key(name) {
                changed.insert(name.clone(), Value::Null);
            }
        }
        if sent.is_none() {
            changed.extend(self.wanted.constant.clone());
        }
        (!changed.is_empty()).then(|| {
            plain(
                Step::SyncAgent,
                Method::Put,
                format!("/api/agents/{agent}"),
                Some(Value::Object(changed)),
            )
        })
    }

    fn about_tools(&self, agent: &str) -> Option<Request> {
        if self.known.pack.as_deref() == Some(self.wanted.pack.as_str()) {
            return None;
        }
        let path = format!("/api/agents/{agent}/tools");
        match &self.tools {
            Seen::Unread => Some(list(Step::FindTools, &path, &[], None)),
            Seen::Reading(_, cursor, _) => Some(list(Step::FindTools, &path, &[], Some(cursor))),
            Seen::Absent if !self.no_brain => Some(self.brain(agent)),
            Seen::Absent => self
                .wanted
                .tools
                .iter()
                .position(|tool| !self.known.tools.iter().any(|made| made == pack::name(tool)))
                .map(|place| self.make_tool(&path, place)),
            Seen::Read(there) => self.next_tool(&path, there),
        }
    }

    fn brain(&self, agent: &str) -> Request {
        plain(
            Step::SetBrain,
            Method::Put,
            format!("/api/agents/{agent}/brain"),
            Some(json!({
                "prompt": self.wanted.constant.get("basePrompt"),
                "tools": self.wanted.tools,
                "version": self.wanted.pack,
            })),
        )
    }

    fn make_tool(&self, path: &str, place: usize) -> Request {
        let tool = &self.wanted.tools[place];
        Request {
            step: Step::MakeTool(place),
            method: Method::Post,
            path: path.to_owned(),
            body: Some(tool.clone()),
            key: Some(self.key(pack::name(tool))),
        }
    }

    /// The first tool that is missing, there twice, or not as the pack has it.
    fn next_tool(&self, path: &str, there: &[Value]) -> Option<Request> {
        for (place, tool) in self.wanted.tools.iter().enumerate() {
            let mut same = there
                .iter()
                .filter(|other| pack::name(other) == pack::name(tool));
            let Some(first) = same.next() else {
                return Some(self.make_tool(path, place));
            };
            if let Some(id) = same.next().and_then(identity) {
                let path = format!("{path}/{id}");
                return Some(plain(Step::RemoveTool, Method::Delete, path, None));
            }
            if !covers(first, tool)
                && !self.mended.contains(&place)
                && let Some(id) = identity(first)
            {
                let path = format!("{path}/{id}");
                return Some(plain(
                    Step::MendTool(place),
                    Method::Put,
                    path,
                    Some(tool.clone()),
                ));
            }
        }
        None
    }

    fn about_lines(&self, agent: &str) -> Option<Request> {
        if self.known.lines.as_deref() == Some(self.wanted.lines_mark.as_str()) {
            return None;
        }
        let path = format!("/api/agents/{agent}/phone-lines");
        let there = match &self.lines {
            Seen::Unread if !self.wanted.lines.is_empty() => {
                return Some(list(Step::FindLines, &path, &[], None));
            }
            Seen::Reading(_, cursor, _) => {
                return Some(list(Step::FindLines, &path, &[], Some(cursor)));
            }
            Seen::Read(there) => there.as_slice(),
            Seen::Unread | Seen::Absent => &[],
        };
        let place = self.lines_set;
        let line = self.wanted.lines.get(place)?;
        let mut body = line.fields.clone();
        if let Some(password) = &line.password {
            body.insert("sipPassword".to_owned(), json!(password));
        }
        let number = line.fields.get("phoneNumber");
        let found = there
            .iter()
            .find(|other| other.get("phoneNumber") == number)
            .and_then(identity);
        let (method, path) = match found {
            Some(id) => (Method::Put, format!("{path}/{id}")),
            None => (Method::Post, path),
        };
        Some(plain(
            Step::SetLine(place),
            method,
            path,
            Some(Value::Object(body)),
        ))
    }

    fn key(&self, of: &str) -> String {
        format!("{}-{}-{of}", self.wanted.restaurant, self.known.generation)
    }

    fn stop(&mut self, step: Step, cause: String) {
        self.stop = Some(Stop { step, cause });
    }

    /// Nobody answered: this run ends. What was asked for may have happened; the next run looks.
    pub fn failed(&mut self, request: &Request, label: &str) {
        self.stop(request.step, label.to_owned());
    }

    /// The answer to the request that [`Self::due`] gave.
    pub fn answered(&mut self, request: &Request, answer: &Answer) {
        match request.step {
            Step::FindAccount => self.listed(List::Accounts, request.step, answer),
            Step::FindCustomer => self.listed(List::Customers, request.step, answer),
            Step::FindAgent => self.listed(List::Agents, request.step, answer),
            Step::FindTools => self.listed(List::Tools, request.step, answer),
            Step::FindLines => self.listed(List::Lines, request.step, answer),
            Step::MakeAccount => match (answer.is_success(), identity(&answer.body)) {
                (true, Some(id)) => self.known.account = Some(id.to_owned()),
                // A key that belongs to one account may make none: the account that it sees is the one.
                _ => match self.only_account() {
                    Some(id) => self.known.account = Some(id),
                    None => self.refused(request.step, answer),
                },
            },
            Step::MakeCustomer => match (answer.is_success(), identity(&answer.body)) {
                (true, Some(id)) => self.known.final_customer = Some(id.to_owned()),
                _ if answer.is_absent() => self.known.final_customer = Some(String::new()),
                _ => self.refused(request.step, answer),
            },
            Step::MakeAgent => self.agent_made(answer),
            Step::NewToken => {
                if let Some(token) = text(&answer.body, "apiToken").filter(|_| answer.is_success())
                {
                    self.known.agent_token = Some(token.to_owned());
                } else if answer.status >= 500 || answer.status == 429 {
                    self.refused(request.step, answer);
                } else {
                    self.token_refused = true;
                }
            }
            Step::SyncAgent => self.settle(request.step, answer, |run| {
                run.known.synced = Some(run.wanted.fields.clone());
            }),
            Step::MakeTool(place) => self.tool_made(place, answer),
            Step::MendTool(place) => self.settle(request.step, answer, |run| {
                run.mended.push(place);
            }),
            // The list is read again: two of them looked at the same time.
            Step::RemoveTool => self.settle(request.step, answer, |run| run.tools = Seen::Unread),
            Step::SetBrain if answer.is_absent() => self.no_brain = true,
            Step::SetBrain => self.settle(request.step, answer, |run| {
                run.known.pack = Some(run.wanted.pack.clone());
            }),
            // A restaurant that is gone has no run.
            Step::RemoveLine | Step::RemoveAgent => {}
            Step::SetLine(_) => self.settle(request.step, answer, |run| run.lines_set += 1),
        }
        self.close();
    }

    /// Notes what is complete.
    fn close(&mut self) {
        let Some(agent) = self.known.agent.clone() else {
            return;
        };
        let tools_read = matches!(self.tools, Seen::Read(_)) || self.no_brain;
        if tools_read && self.about_tools(&agent).is_none() {
            self.known.pack = Some(self.wanted.pack.clone());
        }
        if self.known.pack.is_some() && self.stop.is_none() && self.about_lines(&agent).is_none() {
            self.known.lines = Some(self.wanted.lines_mark.clone());
        }
    }

    fn only_account(&self) -> Option<String> {
        match &self.accounts {
            Seen::Read(accounts) if accounts.len() == 1 => {
                accounts.first().and_then(identity).map(str::to_owned)
            }
            Seen::Read(_) | Seen::Unread | Seen::Reading(..) | Seen::Absent => None,
        }
    }

    fn agent_made(&mut self, answer: &Answer) {
        let id = identity(&answer.body).filter(|_| answer.is_success());
        let Some(id) = id else {
            // The final customer is gone there: it is looked for again, next time.
            if matches!(answer.status, 404 | 422) && self.final_customer().is_some() {
                self.known.final_customer = None;
            }
            return self.refused(Step::MakeAgent, answer);
        };
        self.known.agent = Some(id.to_owned());
        self.known.agent_token = text(&answer.body, "apiToken").map(str::to_owned);
        self.known.public_token = text(&answer.body, "publicToken").map(str::to_owned);
        // A repeated answer may be of an earlier request with other fields: then they are sent again.
        let as_sent = self
            .wanted
            .fields
            .iter()
            .all(|(name, value)| answer.body.get(name).is_none_or(|said| covers(said, value)));
        self.known.synced = as_sent.then(|| self.wanted.fields.clone());
    }

    fn tool_made(&mut self, place: usize, answer: &Answer) {
        let tool = self.wanted.tools[place].clone();
        if answer.is_success() {
            self.known.tools.push(pack::name(&tool).to_owned());
            if let Seen::Read(there) = &mut self.tools {
                there.push(tool);
            }
        } else if answer.status == 409 && matches!(self.tools, Seen::Absent) {
            self.known.tools.push(pack::name(&tool).to_owned());
        } else {
            self.refused(Step::MakeTool(place), answer);
        }
    }

    fn settle(&mut self, step: Step, answer: &Answer, done: impl FnOnce(&mut Self)) {
        if answer.is_success() {
            done(self);
        } else if step == Step::SyncAgent && matches!(answer.status, 404 | 410) {
            self.known.agent_vanished();
            self.agents = Seen::Unread;
            self.tools = Seen::Unread;
            self.lines = Seen::Unread;
        } else {
            self.refused(step, answer);
        }
    }

    fn refused(&mut self, step: Step, answer: &Answer) {
        // Tools or lines of an agent that is gone: the next run asks for the agent itself.
        let of_agent = matches!(step, Step::MakeTool(_) | Step::FindTools | Step::SetLine(_));
        if of_agent && answer.status == 404 {
            self.known.synced = None;
        }
        self.stop(step, answer.cause());
    }

    fn list(&mut self, list: List) -> &mut Seen<Vec<Value>> {
        match list {
            List::Accounts => &mut self.accounts,
            List::Customers => &mut self.customers,
            List::Agents => &mut self.agents,
            List::Tools => &mut self.tools,
            List::Lines => &mut self.lines,
        }
    }

    fn listed(&mut self, list: List, step: Step, answer: &Answer) {
        if answer.is_absent() {
            *self.list(list) = Seen::Absent;
            return;
        }
        if !answer.is_success() {
            return self.refused(step, answer);
        }
        let slot = self.list(list);
        let (mut all, pages) = match std::mem::take(slot) {
            Seen::Reading(all, _, pages) => (all, pages + 1),
            Seen::Unread | Seen::Read(_) | Seen::Absent => (Vec::new(), 1),
        };
        all.extend(items(&answer.body));
        *slot = match &answer.next_cursor {
            Some(cursor) if pages < PAGES_MAX => Seen::Reading(all, cursor.clone(), pages),
            _ => Seen::Read(all),
        };
        self.found(step);
    }

    /// Takes what a list has that is ours.
    fn found(&mut self, step: Step) {
        match (step, &self.accounts, &self.customers, &self.agents) {
            (Step::FindAccount, Seen::Read(all), ..) => {
                let name = self.wanted.account.get("name");
                let ours = all.iter().find(|account| account.get("name") == name);
                self.known.account = ours.and_then(identity).map(str::to_owned);
            }
            (Step::FindCustomer, _, Seen::Read(all), _) => {
                let ours = all.iter().find(|customer| {
                    customer
                        .pointer("/settings/restaurantId")
                        .and_then(Value::as_str)
                        == Some(self.wanted.restaurant.as_str())
                });
                self.known.final_customer = ours.and_then(identity).map(str::to_owned);
            }
            (Step::FindAgent, _, _, Seen::Read(all)) => {
                let ours = all.iter().find(|agent| {
                    agent
                        .pointer("/config/restaurantId")
                        .and_then(Value::as_str)
                        == Some(self.wanted.restaurant.as_str())
                });
                if let Some(agent) = ours {
                    self.known.agent = identity(agent).map(str::to_owned);
                    self.known.public_token = text(agent, "publicToken").map(str::to_owned);
                }
            }
            _ => {}
        }
    }
}

pub(super) fn plain(step: Step, method: Method, path: String, body: Option<Value>) -> Request {
    Request {
        step,
        method,
        path,
        body,
        key: None,
    }
}

pub(super) fn list(step: Step, path: &str, of: &[(&str, &str)], cursor: Option<&str>) -> Request {
    let mut query = form(of);
    // The first request is the contract's own; a server that pages says so by its cursor.
    if let Some(cursor) = cursor {
        query.push(format!("limit={PAGE}"));
        query.extend(form(&[("cursor", cursor)]));
    }
    let path = if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", query.join("&"))
    };
    plain(step, Method::Get, path, None)
}

fn form(pairs: &[(&str, &str)]) -> Vec<String> {
    pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", super::reply::encoded(value)))
        .collect()
}

/// Whether what is there says all that is wanted; it may say more.
fn covers(there: &Value, wanted: &Value) -> bool {
    match (there, wanted) {
        (Value::Object(there), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, value)| there.get(name).is_some_and(|there| covers(there, value))),
        (Value::Number(there), Value::Number(wanted)) => there.as_f64() == wanted.as_f64(),
        (there, wanted) => there == wanted,
    }
}

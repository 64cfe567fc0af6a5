//! Random worlds: three user agents, an exchange, a bad network, clocks that differ, processes that sleep, shells that do
//! anything at any time. A seed is a world for ever.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::mem::discriminant;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sip::{
    AccountConfig, AccountId, CommandError, EndCause, Event, InviteId, OutgoingInvite, Protocol,
    RegistrationState, Rejection, TableSizes, UserAgent,
};

use super::exchange::Exchange;
use super::model::{Did, Invariant, Model, Violation};
use super::net::{Clock, Dice, Faults, SIDES};
use super::{Net, Side, sdp};

const EXCHANGE: &str = "198.51.100.1:5060";
const ACCOUNT: AccountId = AccountId(1);
/// Sides that the exchange knows, both under the name `house`.
const REGISTERED: [Side; 2] = [Side::A, Side::B];
/// Things that happen in one world.
const ROUNDS: u32 = 120;

pub(crate) struct World {
    seed: u64,
    net: Net,
    dice: Dice,
    model: Model,
    exchange: Option<Rc<RefCell<Exchange>>>,
    read: usize,
    /// Kinds of ends so far.
    ends: Vec<String>,
    /// What was sent and told is kept to the end, to be looked at by a person. A world that keeps nothing that was judged stays in
    /// the processor's cache.
    keeps_all: bool,
}

/// What came of a world: the kinds of ends, or what was broken.
pub(crate) type Outcome = Result<Vec<String>, Vec<Violation>>;

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut net = Net::with(seed, |side, config| {
            if side == Side::C {
                config.session.expires_s = 120;
            }
        });
        let is_calm = dice.chance(250);
        if !is_calm {
            net.faults = Faults {
                loss: dice.below(4) * 80,
                duplication: dice.below(3) * 100,
                delay_ms_max: dice.below(4) * 150,
            };
        }
        if dice.chance(500) {
            for clock in &mut net.clocks {
                let ppm = i64::try_from(dice.below(40_001)).unwrap() - 20_000;
                *clock = Clock { ppm };
            }
        }
        let exchange = dice
            .chance(500)
            .then(|| Exchange::install(&mut net, EXCHANGE));
        if let Some(exchange) = &exchange {
            exchange.borrow_mut().asks_callers = dice.chance(300);
            for side in REGISTERED {
                let mut config = AccountConfig::new("sip:house@198.51.100.1", "house", "secret");
                config.keep_alive = sip::KeepAlive::Off;
                net.act(side, |agent, now| agent.set_account(now, ACCOUNT, config));
            }
        }
        Self {
            seed,
            net,
            dice,
            model: Model::new(is_calm),
            exchange,
            read: 0,
            ends: Vec::new(),
            keeps_all: wishes("ALLO_STORY") || wishes("ALLO_PRINTS"),
        }
    }

    fn act(
        &mut self,
        key: (Side, InviteId),
        did: Did,
        command: impl FnOnce(&mut UserAgent, std::time::Instant) -> Result<(), CommandError>,
    ) {
        self.model.catch_up(&self.net);
        if self.net.act(key.0, command).is_ok() {
            self.model.did(key, did);
        }
        self.model.catch_up(&self.net);
    }

    fn side(&mut self) -> Side {
        SIDES[usize::try_from(self.dice.below(3)).unwrap()]
    }

    fn call(&mut self) {
        let (from, to) = (self.side(), self.side());
        let offer = (!self.dice.chance(250)).then(|| sdp("offer"));
        let has_offer = offer.is_some();
        self.model.catch_up(&self.net);
        let invite = if self.exchange.is_some() && self.dice.chance(500) {
            let account = REGISTERED.contains(&from).then_some(ACCOUNT);
            let wish = OutgoingInvite {
                account,
                to: "sip:house@198.51.100.1".to_owned(),
                offer,
                ..OutgoingInvite::default()
            };
            self.net
                .act(from, |agent, now| agent.invite(now, wish))
                .unwrap()
        } else if from != to {
            let protocol = [Protocol::Udp, Protocol::Udp, Protocol::Tcp]
                [usize::try_from(self.dice.below(3)).unwrap()];
            self.net.call(from, to, protocol, offer)
        } else {
            return;
        };
        self.model.calls(&self.net, (from, invite), has_offer);
    }

    /// The shells answer what they were told, or do not.
    fn react(&mut self) {
        self.model.catch_up(&self.net);
        while self.read < self.net.events.len() {
            let (side, event) = &self.net.events[self.read];
            let side = *side;
            self.read += 1;
            match event {
                Event::IncomingInvite(incoming) => {
                    let key = (side, incoming.invite);
                    self.decide(key);
                }
                Event::Offer { invite, .. } | Event::OfferRequested { invite } => {
                    let key = (side, *invite);
                    if self.dice.chance(800) {
                        self.answer_offer(key);
                    } else if self.dice.chance(500) {
                        self.act(key, Did::RejectOffer, |agent, now| {
                            agent.reject_offer(now, key.1, 488)
                        });
                    }
                }
                Event::Accepted { invite, .. } => {
                    let key = (side, *invite);
                    if self.dice.chance(900) {
                        self.answer_offer(key);
                    }
                }
                _ => {}
            }
        }
    }

    fn answer_offer(&mut self, key: (Side, InviteId)) {
        self.act(key, Did::AnswerOffer, |agent, now| {
            agent.answer_offer(now, key.1, sdp("answer"))
        });
    }

    fn answer(&mut self, key: (Side, InviteId)) {
        self.act(key, Did::Answer, |agent, now| {
            agent.answer(now, key.1, sdp("answer"))
        });
    }

    fn decide(&mut self, key: (Side, InviteId)) {
        match self.dice.below(10) {
            0 => {
                let rejection = Rejection {
                    status: 486,
                    reason: None,
                    retry_after_s: None,
                };
                self.act(key, Did::Reject(486), |agent, now| {
                    agent.reject(now, key.1, rejection)
                });
            }
            1 => self.act(key, Did::Reject(0), |agent, now| {
                agent.drop_invite(now, key.1);
                Ok(())
            }),
            2 => {}
            3..6 => {
                let early = self.dice.chance(500).then(|| sdp("early"));
                let status = if early.is_some() { 183 } else { 180 };
                let _ = self
                    .net
                    .act(key.0, |agent, now| agent.ring(now, key.1, status, early));
            }
            _ => self.answer(key),
        }
    }

    /// The weather changes: who is cut off, asleep, down.
    fn weather(&mut self) {
        if self.model.is_calm {
            return;
        }
        if self.net.cut.is_some() {
            if self.dice.chance(150) {
                self.net.cut = None;
            }
        } else if self.dice.chance(30) {
            let nth = usize::try_from(self.dice.below(3)).unwrap();
            self.net.cut = Some((SIDES[nth], SIDES[(nth + 1) % 3]));
        }
        if self.dice.chance(20) {
            let side = self.side();
            let nap = Duration::from_millis(self.dice.below(20_000));
            self.net.asleep[side.index()] = Some(self.net.now + nap);
        }
        if self.dice.chance(20) {
            self.net.break_streams();
        }
        let Some(exchange) = self.exchange.clone() else {
            return;
        };
        let mut exchange = exchange.borrow_mut();
        if exchange.is_down && self.dice.chance(150) {
            let forgets = self.dice.chance(500);
            exchange.restart(self.net.now, forgets);
        } else if self.dice.chance(20) {
            exchange.is_down = true;
        }
        if self.dice.chance(60) {
            let fault = [
                (503, Some(("Retry-After", "7"))),
                (423, Some(("Min-Expires", "310"))),
                (500, None),
            ][usize::try_from(self.dice.below(3)).unwrap()];
            exchange.faults.push_back(fault);
        }
    }

    /// One shell does something to one of its invites.
    fn meddle(&mut self) {
        let live = self.model.live();
        let nth = self.dice.below(u64::try_from(live.len()).unwrap());
        let Some(key) = live.get(usize::try_from(nth).unwrap()).copied() else {
            return;
        };
        match self.dice.below(8) {
            0 | 1 => self.hang_up(key),
            2 | 3 => self.answer(key),
            4 | 5 => self.act(key, Did::Reinvite, |agent, now| {
                agent.reinvite(now, key.1, sdp("change"))
            }),
            6 => {
                let _ = self.net.act(key.0, |agent, now| {
                    agent.send_info(now, key.1, "text/plain", b"hello".to_vec())
                });
            }
            _ => {
                let _ = self
                    .net
                    .act(key.0, |agent, now| agent.ring(now, key.1, 180, None));
            }
        }
    }

    fn hang_up(&mut self, key: (Side, InviteId)) {
        self.act(key, Did::HangUp, |agent, now| {
            agent.hang_up(now, key.1, None)
        });
    }

    fn run_for(&mut self, time: Duration) {
        self.net.run_for(time);
        self.react();
        self.model.catch_up(&self.net);
        if self.model.is_calm {
            self.model.check_pairs(self.net.now, false);
        }
        self.note_ends();
    }

    /// Notes the ends that were judged, and forgets what was sent and told.
    fn note_ends(&mut self) {
        let ends = self.net.events.iter().filter_map(|(_, event)| match event {
            Event::Ended { cause, .. } => Some(kind(cause)),
            _ => None,
        });
        if self.keeps_all {
            self.ends = ends.collect();
            return;
        }
        self.ends.extend(ends);
        self.net.forget();
        self.model.forget();
        self.read = 0;
    }

    fn run_for_s(&mut self, seconds: u64) {
        for _ in 0..seconds.div_ceil(20) {
            self.run_for(Duration::from_secs(20));
        }
    }

    pub(crate) fn run(mut self) -> Outcome {
        for _ in 0..ROUNDS {
            if self.dice.chance(300) {
                self.call();
            }
            self.meddle();
            self.weather();
            let pause = Duration::from_millis(self.dice.below(900));
            self.run_for(pause);
            self.check_bounds();
        }
        // A while of sessions that nobody touches, in the same weather; a network that is cut may stay so.
        self.run_for_s(600);
        self.heal();
        // Longer than a session without refresh may go on, and than an account may wait.
        self.run_for_s(2_100);
        self.model.check_pairs(self.net.now, true);
        self.check_bindings(0);
        let before = self.lapsed();
        self.run_for_s(900);
        self.check_bindings(self.lapsed() - before);
        for key in self.model.one_of_each_call() {
            self.hang_up(key);
        }
        self.run_for_s(40);
        self.model.check_end();
        self.leave();
        self.note_ends();
        if wishes("ALLO_PRINTS") {
            eprintln!("world {} {:016x}", self.seed, self.print());
        }
        if !self.model.violations.is_empty() {
            if wishes("ALLO_STORY") {
                eprintln!("{}", self.story());
            }
            return Err(self.model.violations);
        }
        Ok(self.ends)
    }

    /// A number of everything that was sent and told, and when: the same on two builds that behave alike.
    fn print(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for ((side, text), at) in self.net.wire.iter().zip(&self.net.wire_at) {
            (side, text, *at - self.net.start).hash(&mut hasher);
        }
        for (side, event) in &self.net.events {
            match event {
                Event::Registration { state, .. } => discriminant(state).hash(&mut hasher),
                told => format!("{side:?} {told:?}").hash(&mut hasher),
            }
        }
        for violation in &self.model.violations {
            format!("{:?}", violation.invariant).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Every message with its second, side, call and branch.
    fn story(&self) -> String {
        let rows = self.net.wire.iter().zip(&self.net.wire_at);
        let rows = rows.map(|((side, text), at)| {
            let second = (*at - self.net.start).as_secs_f64();
            let line = text.lines().next().unwrap_or_default();
            let field = |name: &str| {
                text.lines()
                    .find(|row| row.starts_with(name))
                    .unwrap_or_default()
            };
            let (call, cseq, via) = (field("Call-ID"), field("CSeq"), field("Via"));
            format!("{second:.3} {side:?} {line} | {call} | {cseq} | {via}")
        });
        rows.collect::<Vec<_>>().join("\n")
    }

    fn heal(&mut self) {
        self.net.cut = None;
        self.net.faults = Faults::default();
        self.net.asleep = [None; 3];
        if let Some(exchange) = &self.exchange {
            let mut exchange = exchange.borrow_mut();
            exchange.faults.clear();
            if exchange.is_down {
                exchange.restart(self.net.now, false);
            }
        }
    }

    fn lapsed(&self) -> usize {
        let Some(exchange) = &self.exchange else {
            return 0;
        };
        let mut exchange = exchange.borrow_mut();
        exchange.sweep(self.net.now);
        exchange.lapsed
    }

    fn broken(&mut self, invariant: Invariant, what: String) {
        self.model.violations.push(Violation { invariant, what });
    }

    /// In good weather, and after long enough, every account is registered, and the exchange knows of each.
    fn check_bindings(&mut self, lapsed: usize) {
        let Some(exchange) = self.exchange.clone() else {
            return;
        };
        let bindings = exchange.borrow().bindings.len();
        if bindings != REGISTERED.len() || lapsed > 0 {
            let what = format!("{bindings} bindings, {lapsed} lapsed");
            self.broken(Invariant::Binding, what);
        }
        for side in REGISTERED {
            let state = self.net.agent(side).registration(ACCOUNT);
            if !matches!(state, Some(RegistrationState::Registered { .. })) {
                self.broken(Invariant::Binding, format!("{side:?} is {state:?}"));
            }
        }
    }

    /// No table is larger than what goes on explains.
    fn check_bounds(&mut self) {
        for side in SIDES {
            let sizes = self.net.agent(side).table_sizes();
            let transactions = sizes.client_transactions + sizes.server_transactions;
            let deadlines = 3 * transactions + 9 * sizes.invites + sizes.connections + 2;
            // A key, a merge and the use of a stream for each; an address for each stream.
            let indices = 3 * transactions + sizes.connections;
            if sizes.deadlines > deadlines || sizes.indices > indices {
                self.broken(Invariant::Memory, format!("{side:?} {sizes:?}"));
            }
        }
    }

    /// The accounts are removed, every timer runs out, and nothing is left.
    fn leave(&mut self) {
        if self.exchange.is_some() {
            for side in REGISTERED {
                self.net
                    .act(side, |agent, now| agent.remove_account(now, ACCOUNT));
            }
        }
        self.net.run_for(Duration::from_secs(1_300));
        self.model.catch_up(&self.net);
        if let Some(exchange) = self.exchange.clone()
            && !exchange.borrow().bindings.is_empty()
        {
            self.broken(Invariant::Binding, "a removed account is bound".to_owned());
        }
        for side in SIDES {
            let sizes = self.net.agent(side).table_sizes();
            for (invariant, left) in leftovers(&sizes) {
                if left > 0 {
                    self.broken(invariant, format!("left at {side:?}: {sizes:?}"));
                }
            }
        }
    }
}

fn leftovers(sizes: &TableSizes) -> [(Invariant, usize); 3] {
    [
        (
            Invariant::Transactions,
            sizes.client_transactions + sizes.server_transactions + sizes.queries,
        ),
        (
            Invariant::Dialogs,
            sizes.invites + sizes.live_invites + sizes.dialogs,
        ),
        (
            Invariant::Memory,
            sizes.connections + sizes.deadlines + sizes.indices,
        ),
    ]
}

fn wishes(variable: &str) -> bool {
    std::env::var_os(variable).is_some()
}

/// The variant of a cause without its details.
fn kind(cause: &EndCause) -> String {
    let text = format!("{cause:?}");
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}

/// Threads to use: `ALLO_WORKERS`, else one for every processor.
fn workers() -> usize {
    let wish = std::env::var("ALLO_WORKERS").ok();
    let wish = wish.and_then(|text| text.parse().ok());
    wish.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Runs the worlds of these seeds; how often each kind of end came up.
///
/// # Panics
/// With the first world that breaks a promise.
pub(crate) fn run_worlds(seeds: std::ops::Range<u64>) -> BTreeMap<String, usize> {
    let next = AtomicU64::new(seeds.start);
    let kinds = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..workers() {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    match std::panic::catch_unwind(|| World::new(seed).run()) {
                        Ok(Ok(seen)) => {
                            let mut kinds = kinds.lock().unwrap();
                            for kind in seen {
                                *kinds.entry(kind).or_default() += 1;
                            }
                        }
                        Ok(Err(violations)) => {
                            let all: Vec<_> = violations.iter().map(|one| one.invariant).collect();
                            let first = &violations[0];
                            panic!(
                                "seed {seed}: {:?}: {}\nall: {all:?}",
                                first.invariant, first.what
                            )
                        }
                        Err(panic) => {
                            eprintln!("seed {seed}");
                            std::panic::resume_unwind(panic);
                        }
                    }
                }
            });
        }
    });
    kinds.into_inner().unwrap()
}

//! What the agents may put on the wire, whatever the network does to it.

use std::collections::{BTreeMap, HashMap, HashSet};

use std::time::{Duration, Instant};

use super::Side;
use super::model::{Invariant, Violation};

/// Copies of one message: repetitions by timer, and one for each copy of what it answers, each of which may come twice.
const COPIES_MAX: u32 = 40;

/// How long a server transaction remembers its answer at least, on a clock that may run fast: 64*T1; T4 once a refused
/// INVITE is acknowledged; not at all over a stream, where a request comes once.
fn remembered(fields: &Fields<'_>, status: u16) -> Duration {
    Duration::from_secs(match (fields.is_datagram, fields.method) {
        (false, _) => 0,
        (true, "INVITE") if status >= 300 => 4,
        (true, _) => 31,
    })
}

/// A dialog as one side sends in it: side, Call-ID, From tag.
type Sender = (Side, String, String);

#[derive(Debug, Default)]
pub(crate) struct WireRules {
    read: usize,
    copies: HashMap<(Side, String), u32>,
    /// Final answers by side, branch and method.
    finals: HashMap<(Side, String, String), (u16, Instant)>,
    /// Requests that were seen, by side, branch and method.
    requests: HashSet<(Side, String, String)>,
    /// CSeq numbers and their methods.
    numbers: BTreeMap<Sender, BTreeMap<u32, String>>,
    /// The highest CSeq number that was answered 2xx.
    obeyed: BTreeMap<Sender, u32>,
}

/// The fields of a message that the rules look at.
#[derive(Debug, Default)]
struct Fields<'a> {
    is_datagram: bool,
    branch: &'a str,
    call_id: &'a str,
    from_tag: &'a str,
    sequence: u32,
    method: &'a str,
}

impl<'a> Fields<'a> {
    fn of(text: &'a str) -> Self {
        let mut fields = Self::default();
        for row in text.lines().skip(1) {
            if row.is_empty() {
                break;
            }
            if let Some(via) = row.strip_prefix("Via: ") {
                if fields.branch.is_empty() {
                    fields.branch = param(via, ";branch=");
                    fields.is_datagram = via.starts_with("SIP/2.0/UDP");
                }
            } else if let Some(call_id) = row.strip_prefix("Call-ID: ") {
                fields.call_id = call_id;
            } else if let Some(from) = row.strip_prefix("From: ") {
                fields.from_tag = param(from, ";tag=");
            } else if let Some(cseq) = row.strip_prefix("CSeq: ") {
                let (sequence, method) = cseq.split_once(' ').unwrap_or_default();
                fields.sequence = sequence.parse().unwrap_or(0);
                fields.method = method;
            }
        }
        fields
    }
}

fn param<'a>(text: &'a str, name: &str) -> &'a str {
    let value = text.split_once(name).map_or("", |(_, rest)| rest);
    value.split(';').next().unwrap_or_default()
}

impl WireRules {
    /// Judges what was sent since the last time.
    pub(crate) fn read(&mut self, wire: &[(Side, String)], at: &[Instant]) -> Vec<Violation> {
        let mut found = Vec::new();
        for ((side, text), at) in wire.iter().zip(at).skip(self.read) {
            // Keep-alives of streams.
            if text.trim().is_empty() {
                continue;
            }
            let line = text.lines().next().unwrap_or_default();
            let fields = Fields::of(text);
            let broken = match line.strip_prefix("SIP/2.0 ") {
                Some(rest) => self.response(*side, &fields, rest, *at),
                None => self.request(*side, &fields),
            };
            let copies = self
                .copies
                .entry((*side, format!("{line} {}", fields.branch)))
                .or_default();
            *copies += 1;
            let storm = (*copies == COPIES_MAX + 1).then_some(Invariant::Storm);
            for invariant in broken.into_iter().chain(storm) {
                let what = format!("{side:?} sends {text}");
                found.push(Violation { invariant, what });
            }
        }
        self.read = wire.len();
        found
    }

    fn response(
        &mut self,
        side: Side,
        fields: &Fields<'_>,
        rest: &str,
        at: Instant,
    ) -> Option<Invariant> {
        let status: u16 = rest.get(..3)?.parse().ok()?;
        let key = (side, fields.branch.to_owned(), fields.method.to_owned());
        // A request that was on its way for longer than its transaction lasts is a new one.
        if let Some((known, since)) = self.finals.get(&key)
            && (*known == status || at - *since < remembered(fields, *known))
        {
            return (*known != status).then_some(Invariant::OneAnswer);
        }
        if status < 200 {
            return None;
        }
        self.finals.insert(key, (status, at));
        if status >= 300 {
            return None;
        }
        let sender = (side, fields.call_id.to_owned(), fields.from_tag.to_owned());
        let highest = self.obeyed.entry(sender).or_default();
        // An INVITE or UPDATE may wait for the shell while later requests are answered.
        let is_late = matches!(fields.method, "BYE" | "INFO") && fields.sequence < *highest;
        *highest = (*highest).max(fields.sequence);
        is_late.then_some(Invariant::Sequence)
    }

    fn request(&mut self, side: Side, fields: &Fields<'_>) -> Option<Invariant> {
        let key = (side, fields.branch.to_owned(), fields.method.to_owned());
        if matches!(fields.method, "ACK" | "CANCEL") || !self.requests.insert(key) {
            return None;
        }
        let sender = (side, fields.call_id.to_owned(), fields.from_tag.to_owned());
        let numbers = self.numbers.entry(sender).or_default();
        // The same request may go to another target, or over another stream, with a new branch.
        if let Some(method) = numbers.get(&fields.sequence) {
            return (method != fields.method).then_some(Invariant::Sequence);
        }
        let highest = numbers.last_key_value().map_or(0, |(number, _)| *number);
        numbers.insert(fields.sequence, fields.method.to_owned());
        (fields.sequence < highest).then_some(Invariant::Sequence)
    }
}

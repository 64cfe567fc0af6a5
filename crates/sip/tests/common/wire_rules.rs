//! What the agents may put on the wire, whatever the network does to it.

use std::collections::{BTreeMap, HashMap};

use std::time::{Duration, Instant};

use super::Side;
use super::model::{Invariant, Violation};

/// Copies of one message: repetitions by timer, and one for each copy of what it answers, each of which may come twice.
const COPIES_MAX: u32 = 40;
/// Copies of one packet that the network delivers at most, as far as an ACK for each goes.
const ACKS_PER_COPY: u32 = 4;

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

/// What one side sent with one branch.
#[derive(Debug)]
struct Sent {
    side: Side,
    /// First lines, and how often each went out.
    copies: Vec<(String, u32)>,
    methods: Vec<OfMethod>,
}

/// What it sent for one method.
#[derive(Debug)]
struct OfMethod {
    method: String,
    /// The final answer.
    answer: Option<(u16, Instant)>,
    /// A request was seen.
    is_asked: bool,
}

impl Sent {
    fn method(&mut self, method: &str) -> &mut OfMethod {
        let known = self.methods.iter().position(|known| known.method == method);
        let at = known.unwrap_or_else(|| {
            self.methods.push(OfMethod {
                method: method.to_owned(),
                answer: None,
                is_asked: false,
            });
            self.methods.len() - 1
        });
        &mut self.methods[at]
    }
}

#[derive(Debug, Default)]
pub(crate) struct WireRules {
    read: usize,
    /// By branch, one for each side.
    sent: HashMap<String, Vec<Sent>>,
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
    to_tag: &'a str,
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
            } else if let Some(to) = row.strip_prefix("To: ") {
                fields.to_tag = param(to, ";tag=");
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
            let copies = self.copies(*side, fields.branch, line);
            // Each copy of a final answer is acknowledged, and the network makes copies of them.
            let is_ack = fields.method == "ACK" && line.starts_with("ACK ");
            let most = COPIES_MAX * if is_ack { ACKS_PER_COPY } else { 1 };
            let storm = (copies == most + 1).then_some(Invariant::Storm);
            for invariant in broken.into_iter().chain(storm) {
                let what = format!("{side:?} sends {text}");
                found.push(Violation { invariant, what });
            }
        }
        self.read = wire.len();
        found
    }

    /// What was read is there no more.
    pub(crate) fn forget(&mut self) {
        self.read = 0;
    }

    fn sent(&mut self, side: Side, branch: &str) -> &mut Sent {
        if !self.sent.contains_key(branch) {
            self.sent.insert(branch.to_owned(), Vec::new());
        }
        let all = self.sent.get_mut(branch).unwrap();
        let known = all.iter().position(|sent| sent.side == side);
        let at = known.unwrap_or_else(|| {
            all.push(Sent {
                side,
                copies: Vec::new(),
                methods: Vec::new(),
            });
            all.len() - 1
        });
        &mut all[at]
    }

    /// How often this went out, this time included.
    fn copies(&mut self, side: Side, branch: &str, line: &str) -> u32 {
        let copies = &mut self.sent(side, branch).copies;
        if let Some((_, count)) = copies.iter_mut().find(|(known, _)| known == line) {
            *count += 1;
            return *count;
        }
        copies.push((line.to_owned(), 1));
        1
    }

    fn response(
        &mut self,
        side: Side,
        fields: &Fields<'_>,
        rest: &str,
        at: Instant,
    ) -> Option<Invariant> {
        let status: u16 = rest.get(..3)?.parse().ok()?;
        let answer = &mut self.sent(side, fields.branch).method(fields.method).answer;
        // A request that was on its way for longer than its transaction lasts is a new one.
        if let Some((known, since)) = *answer
            && (known == status || at - since < remembered(fields, known))
        {
            return (known != status).then_some(Invariant::OneAnswer);
        }
        // A CANCEL that means nothing is refused without memory (RFC 3261 section 8.2.7); what it means may come behind it.
        let is_forgotten = fields.method == "CANCEL" && status == 481;
        if status < 200 || is_forgotten {
            return None;
        }
        *answer = Some((status, at));
        if status >= 300 {
            return None;
        }
        // Each dialog has numbers of its own, also where an INVITE that came twice made two of them.
        let of = format!("{} {}", fields.from_tag, fields.to_tag);
        let sender = (side, fields.call_id.to_owned(), of);
        let highest = self.obeyed.entry(sender).or_default();
        // An INVITE or UPDATE may wait for the shell while later requests are answered.
        let is_late = matches!(fields.method, "BYE" | "INFO") && fields.sequence < *highest;
        *highest = (*highest).max(fields.sequence);
        is_late.then_some(Invariant::Sequence)
    }

    fn request(&mut self, side: Side, fields: &Fields<'_>) -> Option<Invariant> {
        if matches!(fields.method, "ACK" | "CANCEL") {
            return None;
        }
        let of_method = self.sent(side, fields.branch).method(fields.method);
        if std::mem::replace(&mut of_method.is_asked, true) {
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

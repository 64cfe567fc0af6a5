//! A SIP message as the journal keeps it.

use sip::{Protocol, Trace};
use store::Event;
use store::journal::SipMessage;

/// Longest text kept of one message, bytes.
const TEXT_BYTES_MAX: usize = 8 * 1_024;

/// The journal's event. The user agent has redacted secrets already.
pub(crate) fn event(trace: &Trace) -> Event {
    let kept = trace
        .message
        .get(..TEXT_BYTES_MAX)
        .unwrap_or(&trace.message);
    let text = String::from_utf8_lossy(kept).into_owned();
    let start_line = text.lines().next().unwrap_or_default().to_owned();
    let cseq = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case("cseq")
            .then(|| value.trim().to_owned())
    });
    Event::SipMessage(SipMessage {
        sent: trace.sent,
        protocol: protocol(trace.protocol).to_owned(),
        local: trace.local.to_string(),
        remote: trace.remote.to_string(),
        start_line,
        cseq: cseq.unwrap_or_default(),
        retransmission: trace.retransmission,
        text,
    })
}

pub(crate) const fn protocol(protocol: Protocol) -> &'static str {
    protocol.name()
}

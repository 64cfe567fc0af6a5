//! The SIP messages of the call as a ladder between the peer and us.

use std::fmt::Write;

use serde::Serialize;

use crate::journal::{JournalEntry, SipMessage};

/// Width of an arrow, in characters.
const ARROW_WIDTH: usize = 44;

/// Most rows of the text form.
const ROWS_MAX: usize = 200;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LadderRow {
    /// When, in milliseconds since the call began.
    pub at_ms: u64,
    /// We sent it.
    pub sent: bool,
    /// Method, or status and its words.
    pub label: String,
    /// Method of the request that it belongs to.
    pub method: String,
    /// It carries a session description.
    pub sdp: bool,
    /// It was sent or received before.
    pub retransmission: bool,
    /// `udp`, `tcp` or `tls`.
    pub protocol: String,
    /// The peer's address.
    pub remote: String,
}

pub(super) fn ladder(events: &[JournalEntry]) -> Vec<LadderRow> {
    events
        .iter()
        .filter_map(|entry| Some(row(entry.at_ms, entry.event.as_sip_message()?)))
        .collect()
}

fn row(at_ms: u64, message: &SipMessage) -> LadderRow {
    let cseq_method = message.cseq.rsplit(' ').next().unwrap_or_default();
    let (label, method) = match message.start_line.strip_prefix("SIP/2.0 ") {
        Some(status) => (status, cseq_method),
        None => {
            let method = message.start_line.split(' ').next().unwrap_or_default();
            (method, method)
        }
    };
    LadderRow {
        at_ms,
        sent: message.sent,
        label: label.to_owned(),
        method: method.to_owned(),
        sdp: message.text.contains("\nv=0"),
        retransmission: message.retransmission,
        protocol: message.protocol.clone(),
        remote: message.remote.clone(),
    }
}

/// The ladder in ASCII, one message a line.
pub(super) fn draw(rows: &[LadderRow], peer: &str) -> String {
    let mut out = String::new();
    let first = rows.first();
    let from = first.map_or("", |row| row.remote.as_str());
    let protocol = first.map_or("", |row| row.protocol.as_str());
    let head = format!("{peer} {from} {protocol}");
    let _ = writeln!(
        out,
        "{:>10}  {:<width$}allo",
        "",
        head.trim_end(),
        width = ARROW_WIDTH + 2
    );
    for row in rows.iter().take(ROWS_MAX) {
        let mut label = row.label.clone();
        if row.label.starts_with(|c: char| c.is_ascii_digit())
            && !row.method.is_empty()
            && row.method != "INVITE"
        {
            let _ = write!(label, " ({})", row.method);
        }
        if row.sdp {
            label.push_str(" +SDP");
        }
        if row.retransmission {
            label.push_str(" again");
        }
        let label: String = label
            .chars()
            .map(|c| {
                if c.is_ascii_graphic() || c == ' ' {
                    c
                } else {
                    '?'
                }
            })
            .take(ARROW_WIDTH - 8)
            .collect();
        let dashes = "-".repeat(ARROW_WIDTH.saturating_sub(label.len() + 6));
        let arrow = if row.sent {
            format!("<--- {label} {dashes}")
        } else {
            format!("--- {label} {dashes}>")
        };
        let elsewhere = if row.remote == from {
            String::new()
        } else {
            format!("  {}", row.remote)
        };
        let _ = writeln!(
            out,
            "{:>10}  |{arrow}|{elsewhere}",
            super::text::clock(row.at_ms)
        );
    }
    if rows.len() > ROWS_MAX {
        let _ = writeln!(out, "{:>10}  … {}", "", rows.len() - ROWS_MAX);
    }
    out
}

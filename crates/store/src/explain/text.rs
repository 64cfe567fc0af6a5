//! The explanation for a terminal.

use std::fmt::Write;

use catalog::{Language, Message, Numbers, redact, render_with};

use super::timing::Timings;
use super::verdict::speech_codecs;
use super::{Explanation, PlayedItem, SdpFact, Sound, ToolRun, Turn, ladder};
use crate::journal::PlayoutPhase;

/// Longest line of the timeline, in characters.
const LINE_CHARS_MAX: usize = 160;

/// Milliseconds as `m:ss.mmm`.
pub(super) fn clock(ms: u64) -> String {
    format!("{}:{:02}.{:03}", ms / 60_000, ms / 1_000 % 60, ms % 1_000)
}

struct Page {
    out: String,
    language: Language,
    numbers: Numbers,
}

impl Page {
    fn words(&self, message: &Message) -> String {
        render_with(message, self.language, self.numbers).text
    }

    fn word(&self, code: &'static str) -> String {
        self.words(&Message::new(code))
    }

    /// One named value; what a peer wrote into it keeps to its line.
    fn field(&mut self, title: &'static str, value: &str) {
        if !value.is_empty() {
            let value = value.replace(char::is_control, " ");
            let _ = writeln!(self.out, "  {:<14} {value}", self.word(title));
        }
    }

    /// A chapter, when it has lines.
    fn chapter(&mut self, title: &'static str, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        let _ = write!(self.out, "\n{}\n", self.word(title));
        for line in lines {
            let _ = writeln!(self.out, "  {line}");
        }
    }

    fn phone(&self, text: &str) -> String {
        match self.numbers {
            Numbers::Masked => redact::phone(text),
            Numbers::Shown => text.to_owned(),
        }
    }
}

pub(super) fn text(explanation: &Explanation, language: Language, numbers: Numbers) -> String {
    let mut page = Page {
        out: String::new(),
        language,
        numbers,
    };
    head(&mut page, explanation);
    let why: Vec<String> = explanation
        .why
        .iter()
        .map(|fact| page.words(fact))
        .collect();
    page.chapter("label_why", &why);
    let timings = timing_lines(&page, &explanation.timings, &explanation.turns);
    page.chapter("label_timings", &timings);
    let sdp: Vec<String> = explanation
        .sdp
        .iter()
        .flat_map(|fact| sdp_lines(&page, fact))
        .collect();
    page.chapter("label_sdp", &sdp);
    let sound = explanation
        .sound
        .as_ref()
        .map(|sound| sound_lines(&page, sound))
        .unwrap_or_default();
    page.chapter("label_rtp", &sound);
    let turns: Vec<String> = explanation
        .turns
        .iter()
        .map(|turn| turn_line(&page, turn))
        .collect();
    page.chapter("label_turns", &turns);
    let tools: Vec<String> = explanation
        .tools
        .iter()
        .map(|run| tool_line(&page, run))
        .collect();
    page.chapter("label_tools", &tools);
    let played: Vec<String> = explanation
        .playout
        .iter()
        .map(|item| played_line(&page, item))
        .collect();
    page.chapter("label_playout", &played);
    let timeline: Vec<String> = explanation
        .timeline
        .iter()
        .filter(|line| !line.detail)
        .map(|line| {
            format!(
                "{:>9}  {}",
                clock(line.at_ms),
                shortened(&page.words(&line.message))
            )
        })
        .collect();
    page.chapter("label_timeline", &timeline);
    if !explanation.ladder.is_empty() {
        let drawn = ladder::draw(&explanation.ladder, &page.word("label_peer"));
        let _ = write!(page.out, "\n{}\n{drawn}", page.word("label_ladder"));
    }
    page.out
}

fn head(page: &mut Page, explanation: &Explanation) {
    let rendered = render_with(&explanation.verdict, page.language, page.numbers);
    let _ = writeln!(page.out, "{}", rendered.text);
    if let Some(remedy) = rendered.remedy {
        let _ = writeln!(page.out, "{} {remedy}", page.word("label_remedy"));
    }
    let who = page.word(who_code(&explanation.who));
    let _ = writeln!(page.out);
    page.field(
        "label_who",
        &format!("{who} ({})", explanation.verdict.code),
    );
    let call = &explanation.call;
    page.field("label_call", &call.id);
    page.field("label_from", &page.phone(&call.from));
    page.field("label_to", &page.phone(&call.to));
    page.field("label_line", &call.line);
    page.field("label_agent_name", &call.agent);
    page.field("label_started", &call.started_at.to_string());
    page.field(
        "label_duration",
        &call.duration_ms().map(clock).unwrap_or_default(),
    );
    page.field(
        "label_recording",
        call.recording_path.as_deref().unwrap_or_default(),
    );
}

pub(super) fn who_code(who: &str) -> &'static str {
    match who {
        "caller" => "who_caller",
        "agent" => "who_agent",
        "operator" => "who_operator",
        "network" => "who_network",
        "engine" => "who_engine",
        "system" => "who_system",
        _ => "who_nobody",
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LINE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn timing_lines(page: &Page, timings: &Timings, turns: &[Turn]) -> Vec<String> {
    let steps = [
        ("timing_invite_to_ring", timings.invite_to_ring_ms),
        ("timing_invite_to_answer", timings.invite_to_answer_ms),
        (
            "timing_answer_to_first_audio",
            timings.answer_to_first_audio_ms,
        ),
        (
            "timing_answer_to_first_packet",
            timings.answer_to_first_packet_ms,
        ),
    ];
    let mut lines: Vec<String> = steps
        .into_iter()
        .filter_map(|(code, ms)| Some(page.words(&Message::new(code).with("value", ms?))))
        .collect();
    let mut latencies: Vec<u64> = turns.iter().filter_map(|turn| turn.latency_ms).collect();
    latencies.sort_unstable();
    if let (Some(median), Some(worst)) = (latencies.get(latencies.len() / 2), latencies.last()) {
        let message = Message::new("timing_turns")
            .with("count", latencies.len())
            .with("median", *median)
            .with("worst", *worst);
        lines.push(page.words(&message));
    }
    lines
}

fn sdp_lines(page: &Page, fact: &SdpFact) -> Vec<String> {
    let decision = &fact.decision;
    if !decision.accepted {
        let refusal = decision.refusal.clone().unwrap_or_default();
        let message = Message::new("sdp_refused")
            .with("refusal", refusal)
            .with("offered", speech_codecs(&decision.offered).join(", "));
        return vec![format!(
            "{:>9}  {}",
            clock(fact.at_ms),
            page.words(&message)
        )];
    }
    let accepted = Message::new("sdp_accepted")
        .with("codec", decision.codec.clone().unwrap_or_default())
        .with("offered", speech_codecs(&decision.offered).join(", "))
        .with("direction", &decision.direction);
    let details = Message::new("sdp_details")
        .with("local", decision.local.clone().unwrap_or_default())
        .with("remote", decision.remote.clone().unwrap_or_default())
        .with("srtp", decision.srtp.clone().unwrap_or_default())
        .with(
            "tones",
            if decision.telephone_event {
                "yes"
            } else {
                "no"
            },
        );
    vec![
        format!("{:>9}  {}", clock(fact.at_ms), page.words(&accepted)),
        format!("{:>9}  {}", "", page.words(&details)),
    ]
}

fn decimal(value: f64, language: Language) -> String {
    let text = format!("{value:.1}");
    match language {
        Language::Fr => text.replace('.', ","),
        Language::En => text,
    }
}

fn sound_lines(page: &Page, sound: &Sound) -> Vec<String> {
    let figures = &sound.statistics;
    let counts = Message::new("rtp_counts")
        .with("sent", figures.packets_sent)
        .with("received", figures.packets_received)
        .with("lost", figures.packets_lost)
        .with("late", figures.packets_late);
    let number = |value: Option<f64>| {
        value
            .map(|value| decimal(value, page.language))
            .unwrap_or_default()
    };
    let percent = figures
        .remote_loss
        .map(|loss| format!("{} %", decimal(loss * 100.0, page.language)));
    let quality = Message::new("rtp_quality")
        .with("jitter", decimal(figures.jitter_ms, page.language))
        .with("mos", number(figures.mos))
        .with("round_trip", number(figures.round_trip_ms))
        .with("remote_loss", percent.unwrap_or_default());
    let mut lines = vec![page.words(&counts), page.words(&quality)];
    if figures.refused > 0 {
        lines.push(page.words(&Message::new("rtp_refused").with("count", figures.refused)));
    }
    lines
}

fn turn_line(page: &Page, turn: &Turn) -> String {
    let message = match turn.latency_ms {
        Some(latency) => Message::new("turn").with("latency", latency),
        None => Message::new("turn_unanswered"),
    };
    let message = message.with("text", turn.text.clone().unwrap_or_default());
    format!(
        "{:>9}  {}",
        clock(turn.stopped_at_ms),
        shortened(&page.words(&message))
    )
}

fn tool_line(page: &Page, run: &ToolRun) -> String {
    let message = match run.outcome.as_deref() {
        Some("ok") => Message::new("tool_ok"),
        Some(outcome) => Message::new("tool_failed").with("outcome", outcome),
        None => Message::new("tool_open"),
    };
    let message = message.with("name", &run.name);
    let message = match run.took_ms {
        Some(took) => message.with("took", took),
        None => message,
    };
    format!("{:>9}  {}", clock(run.at_ms), page.words(&message))
}

fn played_line(page: &Page, item: &PlayedItem) -> String {
    let message = match item.phase {
        PlayoutPhase::Finished => Message::new("playout_whole"),
        PlayoutPhase::Cleared => Message::new("playout_cut"),
        PlayoutPhase::Started => Message::new("playout_open"),
    };
    let message = message
        .with("item", &item.item)
        .with("played", item.played_ms);
    let at = item.started_at_ms.map(clock).unwrap_or_default();
    format!("{at:>9}  {}", page.words(&message))
}

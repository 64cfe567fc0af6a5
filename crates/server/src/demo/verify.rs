//! Whether the demo's conversation was right: said, heard, recorded, explained.

use call::CallId;
use catalog::Message;
use standin::caller::{EndedBy, Outcome, Report};
use standin::scenario::Prepared;
use std::path::Path;
use std::time::Duration;
use store::{CallRecord, Store, TenantScope, TranscriptLine};

/// How far a voice in the recording may be from where the telephone sent or heard it.
const ALIGNMENT_MS_MAX: u32 = 400;
/// A frame louder than this is voice.
const VOICE_LEVEL_MIN: f64 = 300.0;

/// The record of a call once it is finished.
///
/// # Errors
/// When it is not finished in time or cannot be read.
pub(crate) async fn finished_record(
    store: &Store,
    scope: &TenantScope,
    call: &CallId,
    within: Duration,
) -> Result<CallRecord, Message> {
    let deadline = tokio::time::Instant::now() + within;
    let mut interval = tokio::time::interval(Duration::from_millis(20));
    loop {
        let record = store.call(scope, call).await.map_err(|error| {
            Message::new("start_failed").with("cause", crate::serve::causes(&error))
        })?;
        match record {
            Some(record) if record.end.is_some() => return Ok(record),
            _ if tokio::time::Instant::now() > deadline => {
                return Err(Message::new("demo_no_record").with("id", call.as_str()));
            }
            _ => {
                interval.tick().await;
            }
        }
    }
}

/// Everything that is not as the scenario has it.
pub(crate) fn mistakes(
    prepared: &Prepared,
    report: &Report,
    record: &CallRecord,
    transcript: &[TranscriptLine],
) -> Vec<String> {
    let mut mistakes = Vec::new();
    let mut wrong = |what: &str, found: String| mistakes.push(format!("{what}: {found}"));
    if report.outcome != Outcome::Completed {
        wrong("outcome", format!("{:?}", report.outcome));
    }
    if report.ended_by != Some(EndedBy::Agent) {
        wrong("ended by", format!("{:?}", report.ended_by));
    }
    let scenario = &prepared.scenario;
    let expected: Vec<&str> = scenario
        .steps
        .iter()
        .filter_map(|step| step.say.as_deref())
        .filter_map(|id| {
            scenario
                .utterances
                .iter()
                .find(|utterance| utterance.id == id)
        })
        .map(|utterance| utterance.text.as_str())
        .collect();
    let heard: Vec<&str> = transcript
        .iter()
        .filter(|line| line.role == "caller")
        .map(|line| line.text.as_str())
        .collect();
    if heard != expected {
        wrong("caller's words", format!("{heard:?}"));
    }
    let said: Vec<&TranscriptLine> = transcript
        .iter()
        .filter(|line| line.role == "agent")
        .collect();
    // The sentence that says that a machine speaks may come before.
    if !said
        .iter()
        .take(2)
        .any(|line| line.text == scenario.agent.greeting.text())
    {
        wrong("greeting", format!("{:?}", said.first()));
    }
    if !said
        .iter()
        .any(|line| line.interrupted_at_ms.is_some_and(|ms| ms > 0))
    {
        wrong("interruption", "none".to_owned());
    }
    if said
        .last()
        .is_none_or(|line| line.interrupted_at_ms.is_some())
    {
        wrong("goodbye", format!("{:?}", said.last()));
    }
    let end = record.end.as_ref();
    if end.is_none_or(|end| end.reason != "agent_hung_up" || end.ended_by != "agent") {
        wrong(
            "end of the record",
            format!("{:?}", end.map(|end| &end.reason)),
        );
    }
    match record
        .recording_path
        .as_deref()
        .map(|path| recording_mistake(Path::new(path), report))
    {
        Some(None) => {}
        Some(Some(mistake)) => wrong("recording", mistake),
        None => wrong("recording", "none".to_owned()),
    }
    mistakes
}

/// Compares the recording with what the telephone sent and heard; what is wrong with it, if anything.
fn recording_mistake(path: &Path, report: &Report) -> Option<String> {
    let (caller, agent) = match lanes(path) {
        Ok(lanes) => lanes,
        Err(error) => return Some(error.to_string()),
    };
    let said: Vec<(u32, u32)> = report
        .said
        .iter()
        .map(|said| (said.started_ms, said.ended_ms))
        .collect();
    let heard: Vec<(u32, u32)> = report
        .heard
        .iter()
        .map(|heard| (heard.started_ms, heard.ended_ms))
        .collect();
    // The recording begins with the answer as the server sees it, the telephone's clock with the ACK: one shift for both.
    lane_mistake("caller", &caller, &said).or_else(|| lane_mistake("agent", &agent, &heard))
}

fn lane_mistake(lane: &str, samples: &[i16], spans: &[(u32, u32)]) -> Option<String> {
    for (start, end) in spans
        .iter()
        .filter(|(start, end)| end.saturating_sub(*start) > 2 * ALIGNMENT_MS_MAX)
    {
        let inner = (start + ALIGNMENT_MS_MAX, end - ALIGNMENT_MS_MAX);
        if level(samples, inner) < VOICE_LEVEL_MIN {
            return Some(format!(
                "{lane} lane: no voice at {}-{} ms",
                inner.0, inner.1
            ));
        }
    }
    let last = spans.iter().map(|(_, end)| *end).max().unwrap_or(0);
    let recorded_ms = samples.len() / 8;
    if recorded_ms + (ALIGNMENT_MS_MAX as usize) < last as usize {
        return Some(format!(
            "{lane} lane: {recorded_ms} ms recorded, {last} ms spoken"
        ));
    }
    None
}

fn level(samples: &[i16], span_ms: (u32, u32)) -> f64 {
    let from = (span_ms.0 as usize * 8).min(samples.len());
    let to = (span_ms.1 as usize * 8).min(samples.len());
    let span = &samples[from..to];
    if span.is_empty() {
        return 0.0;
    }
    let energy: f64 = span
        .iter()
        .map(|sample| f64::from(*sample) * f64::from(*sample))
        .sum();
    let count = u32::try_from(span.len()).unwrap_or(u32::MAX);
    (energy / f64::from(count)).sqrt()
}

fn lanes(path: &Path) -> Result<(Vec<i16>, Vec<i16>), hound::Error> {
    let mut reader = hound::WavReader::open(path)?;
    if reader.spec().channels != 2 {
        return Err(hound::Error::Unsupported);
    }
    let samples: Vec<i16> = reader.samples::<i16>().collect::<Result<_, _>>()?;
    Ok(samples
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .unzip())
}

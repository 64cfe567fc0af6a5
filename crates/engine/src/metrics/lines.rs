//! The figures of each line: calls begun, ended and going on, and how its registration stands.
//!
//! A line has figures while it exists, and until its last call is over; calls by no line of their own, and those of lines beyond
//! [`MEASURED_LINES_MAX`], are counted together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::limits::MEASURED_LINES_MAX;

/// Label of what has no figures of its own.
const OTHER: &str = "other";
/// Labels of the states of a registration.
const STATES: [&str; 4] = ["registered", "registering", "unregistered", "failed"];

#[derive(Debug, Default)]
struct Figures {
    /// By direction.
    begun: BTreeMap<&'static str, u64>,
    /// By direction and reason.
    ended: BTreeMap<(&'static str, &'static str), u64>,
    active: i64,
    registration: Option<&'static str>,
    /// The line is gone; its calls are not.
    is_gone: bool,
}

/// The figures of all lines.
#[derive(Debug, Default)]
pub(crate) struct LineMetrics(Mutex<BTreeMap<String, Figures>>);

/// A call that goes on, counted with its line until it is dropped.
#[derive(Debug)]
pub(crate) struct ActiveCall {
    lines: Arc<LineMetrics>,
    /// Where it is counted.
    under: String,
}

impl Drop for ActiveCall {
    fn drop(&mut self) {
        let mut all = self.lines.lock();
        let Some(figures) = all.get_mut(&self.under) else {
            return;
        };
        figures.active -= 1;
        if figures.is_gone && figures.active == 0 {
            all.remove(&self.under);
        }
    }
}

impl LineMetrics {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Figures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the lines that there are in the place of those before.
    pub(crate) fn keep<'a>(&self, lines: impl Iterator<Item = &'a str>) {
        let lines: BTreeSet<&str> = lines.collect();
        let mut all = self.lock();
        all.retain(|name, figures| {
            figures.is_gone = name != OTHER && !lines.contains(name.as_str());
            !figures.is_gone || figures.active > 0
        });
        for line in lines {
            if all.len() >= MEASURED_LINES_MAX {
                return;
            }
            if !all.contains_key(line) {
                all.insert(line.to_owned(), Figures::default());
            }
        }
    }

    /// A call of a line begins.
    pub(crate) fn begun(self: &Arc<Self>, line: &str, direction: &'static str) -> ActiveCall {
        let under = self.count(line, |figures| {
            *figures.begun.entry(direction).or_default() += 1;
            figures.active += 1;
        });
        ActiveCall {
            lines: Arc::clone(self),
            under,
        }
    }

    /// A call of a line is over, or was refused.
    pub(crate) fn ended(&self, line: &str, direction: &'static str, reason: &'static str) {
        self.count(line, |figures| {
            *figures.ended.entry((direction, reason)).or_default() += 1;
        });
    }

    /// The registration of a line stands otherwise.
    pub(crate) fn registration(&self, line: &str, state: &'static str) {
        if let Some(figures) = self.lock().get_mut(line) {
            figures.registration = Some(state);
        }
    }

    /// Changes the figures of a line, or those of the others; the name that they are under.
    fn count(&self, line: &str, change: impl FnOnce(&mut Figures)) -> String {
        let mut all = self.lock();
        if let Some(figures) = all.get_mut(line) {
            change(figures);
            return line.to_owned();
        }
        change(all.entry(OTHER.to_owned()).or_default());
        OTHER.to_owned()
    }
}

impl Collector for LineMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all = self.lock();
        let mut figure = |name, help, kind: MetricType, encode: &Encode<'_>| -> fmt::Result {
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for (line, figures) in all.iter() {
                encode(line, figures, &mut family)?;
            }
            Ok(())
        };
        let begun = "Calls begun, by line and direction";
        figure(
            "line_calls_begun",
            begun,
            MetricType::Counter,
            &encode_begun,
        )?;
        let ended = "Calls ended or refused, by line, direction and end reason";
        figure(
            "line_calls_ended",
            ended,
            MetricType::Counter,
            &encode_ended,
        )?;
        let active = "Calls now, by line";
        figure(
            "line_calls_active",
            active,
            MetricType::Gauge,
            &encode_active,
        )?;
        let state = "Whether the registration of a line is in this state";
        figure("line_registration", state, MetricType::Gauge, &encode_state)
    }
}

type Family<'a> = prometheus_client::encoding::MetricEncoder<'a>;
type Encode<'a> = dyn Fn(&str, &Figures, &mut Family<'_>) -> fmt::Result + 'a;

fn encode_begun(line: &str, figures: &Figures, family: &mut Family<'_>) -> fmt::Result {
    for (direction, count) in &figures.begun {
        let labels = [("line", line), ("direction", direction)];
        let mut sample = family.encode_family(&labels)?;
        sample.encode_counter::<NoLabelSet, u64, u64>(count, None)?;
    }
    Ok(())
}

fn encode_ended(line: &str, figures: &Figures, family: &mut Family<'_>) -> fmt::Result {
    for ((direction, reason), count) in &figures.ended {
        let labels = [("line", line), ("direction", direction), ("reason", reason)];
        let mut sample = family.encode_family(&labels)?;
        sample.encode_counter::<NoLabelSet, u64, u64>(count, None)?;
    }
    Ok(())
}

fn encode_active(line: &str, figures: &Figures, family: &mut Family<'_>) -> fmt::Result {
    let labels = [("line", line)];
    family.encode_family(&labels)?.encode_gauge(&figures.active)
}

fn encode_state(line: &str, figures: &Figures, family: &mut Family<'_>) -> fmt::Result {
    let Some(now) = figures.registration else {
        return Ok(());
    };
    for state in STATES {
        let labels = [("line", line), ("state", state)];
        let is_now = i64::from(state == now);
        family.encode_family(&labels)?.encode_gauge(&is_now)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    /// The samples of the lines' figures, in the order of the text.
    fn samples(metrics: &Metrics) -> Vec<String> {
        let text = metrics.text();
        let rows = text
            .lines()
            .filter_map(|row| row.strip_prefix("allo_line_"));
        rows.map(str::to_owned).collect()
    }

    #[test]
    fn a_line_has_figures_while_it_is_there_and_until_its_last_call_is_over() {
        let metrics = Metrics::new();
        let lines = &metrics.lines;
        lines.keep(["a"].into_iter());
        let call = lines.begun("a", "inbound");
        lines.ended("a", "inbound", "rate_limited");
        lines.registration("a", "failed");
        assert_eq!(
            samples(&metrics),
            [
                r#"calls_begun_total{line="a",direction="inbound"} 1"#,
                r#"calls_ended_total{line="a",direction="inbound",reason="rate_limited"} 1"#,
                r#"calls_active{line="a"} 1"#,
                r#"registration{line="a",state="registered"} 0"#,
                r#"registration{line="a",state="registering"} 0"#,
                r#"registration{line="a",state="unregistered"} 0"#,
                r#"registration{line="a",state="failed"} 1"#,
            ]
        );
        lines.keep(std::iter::empty());
        assert!(samples(&metrics).contains(&r#"calls_active{line="a"} 1"#.to_owned()));
        drop(call);
        assert!(
            samples(&metrics).is_empty(),
            "it is gone with its last call"
        );
    }

    #[test]
    fn lines_beyond_the_most_and_calls_of_none_are_counted_together() {
        let metrics = Metrics::new();
        let names: Vec<String> = (0..MEASURED_LINES_MAX + 50)
            .map(|number| format!("{number:05}"))
            .collect();
        metrics.lines.keep(names.iter().map(String::as_str));
        let _last = metrics.lines.begun(names.last().expect("one"), "inbound");
        let page = metrics.lines.begun("browser", "inbound");
        let active: Vec<String> = samples(&metrics)
            .into_iter()
            .filter(|row| row.starts_with("calls_active"))
            .collect();
        assert_eq!(active.len(), MEASURED_LINES_MAX + 1);
        assert_eq!(
            active.last().map(String::as_str),
            Some(r#"calls_active{line="other"} 2"#)
        );
        // A line that comes to have figures of its own takes none of the others' calls with it.
        metrics.lines.keep(["browser"].into_iter());
        drop(page);
        assert_eq!(
            samples(&metrics)[1..],
            [
                r#"calls_active{line="browser"} 0"#,
                r#"calls_active{line="other"} 1"#
            ]
        );
    }
}

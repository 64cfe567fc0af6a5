//! Who answered a call of ours: the callee's sound is listened to from the answer on, until it is known.

use std::time::{Duration, Instant};

use call::Input;
use media::frame::FRAME_SAMPLES_MAX;
use media::resample::Rate;
use media::{Answerer, AnsweringDetector, AnsweringEvent, AnsweringTerms, Form};

use super::CallTask;
use crate::live::LiveEventKind;
use crate::metrics::Metrics;

/// Events that one detection has at most: the verdict, and a machine's beep or the end of its greeting.
const FOUND_MAX: usize = 2;

/// See the module.
pub(super) struct Answerers {
    terms: AnsweringTerms,
    running: Option<Running>,
}

struct Running {
    detector: AnsweringDetector,
    rate: Rate,
    since: Instant,
    found: [Option<AnsweringEvent>; FOUND_MAX],
}

impl Answerers {
    /// For a call whose answer is awaited.
    pub(super) const fn new(terms: AnsweringTerms) -> Self {
        Self {
            terms,
            running: None,
        }
    }

    fn begin(&mut self, now: Instant, form: Form) {
        let rate = form.rate();
        self.running = Some(Running {
            detector: AnsweringDetector::new(self.terms, rate),
            rate,
            since: now,
            found: [None; FOUND_MAX],
        });
    }

    /// 20 ms of the callee.
    pub(super) fn hears(&mut self, now: Instant, form: Form, audio: &[u8]) {
        // Where a re-INVITE changes the rate, what follows counts as silence.
        let Some(running) = self.running.as_mut().filter(|r| r.rate == form.rate()) else {
            return;
        };
        if running.detector.is_over() {
            return;
        }
        let mut samples = [0; FRAME_SAMPLES_MAX];
        let count = (audio.len() / form.sample_bytes()).min(FRAME_SAMPLES_MAX);
        form.decode_into(audio, &mut samples[..count]);
        let at = running.at(now);
        let event = running.detector.frame(at, &samples[..count]);
        running.keep(event);
    }

    /// When the silence of a callee who sends nothing is to be noticed.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let running = self.running.as_ref()?;
        let at = running.detector.pass_at()?;
        Some(running.since + Duration::from_millis(at))
    }

    fn pass(&mut self, now: Instant) {
        if let Some(running) = &mut self.running {
            let at = running.at(now);
            let event = running.detector.pass(at);
            running.keep(event);
        }
    }

    fn take(&mut self) -> Option<AnsweringEvent> {
        let found = &mut self.running.as_mut()?.found;
        found.iter_mut().find_map(Option::take)
    }
}

impl Running {
    fn at(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.since).as_millis();
        u64::try_from(passed).unwrap_or(u64::MAX)
    }

    fn keep(&mut self, event: Option<AnsweringEvent>) {
        if let Some(place) = self.found.iter_mut().find(|place| place.is_none()) {
            *place = event;
        }
    }
}

const fn of_session(who: Answerer) -> call::Answerer {
    match who {
        Answerer::Human => call::Answerer::Human,
        Answerer::Machine => call::Answerer::Machine,
        Answerer::MachineBeep => call::Answerer::MachineBeep,
        Answerer::Unknown => call::Answerer::Unknown,
    }
}

impl CallTask {
    /// The call is answered: from here on what comes is the callee's.
    pub(super) fn listen_for_answerer(&mut self, now: Instant) {
        let form = self.media.form();
        if let Some(answerers) = &mut self.answerers {
            answerers.begin(now, form);
        }
    }

    pub(super) fn answerer_timeout(&mut self, now: Instant) {
        if let Some(answerers) = &mut self.answerers
            && answerers.poll_timeout().is_some_and(|at| at <= now)
        {
            answerers.pass(now);
        }
    }

    /// Tells the session what the sound told; true when there was something.
    pub(super) fn drain_answerer(&mut self, now: Instant) -> bool {
        let event = self.answerers.as_mut().and_then(Answerers::take);
        match event {
            None => return false,
            Some(AnsweringEvent::Verdict(who)) => {
                let who = of_session(who);
                self.session.handle(now, Input::AnsweredBy { who });
            }
            Some(AnsweringEvent::GreetingOver) => self.session.handle(now, Input::MachineWaits),
        }
        true
    }

    /// It is known who answered: for the record, the webhooks and those who watch.
    pub(super) fn answered_by(&mut self, who: call::Answerer) {
        self.desk.timings.answered_by = Some(who);
        Metrics::count(&self.desk.calls.metrics.answerers, who.label(), 1);
        if let Some(office) = &mut self.office {
            office.brain.answered_by(who.label());
        }
        self.remember_brain();
        self.desk.publish(LiveEventKind::AnsweredBy { who });
        self.desk.changed();
    }
}

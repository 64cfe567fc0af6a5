//! Caller, agent and person hear each other. The agent is heard by the person as it leaves towards the caller, so that what was cut
//! for one is cut for both; the engine hears the other two as one voice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use media::frame::{FRAME_BYTES_MAX, FRAME_MS, FRAME_SAMPLES_MAX};
use media::{Form, Heard, ItemKey, Mixer, Reform};

use super::relay::WAITING_MS_MAX;
use super::{SecondLeg, SecondLegs, Stage};
use crate::call_task::CallTask;
use crate::leg::audio::LegAudio;

/// The seats.
const CALLER: usize = 0;
const AGENT: usize = 1;
const PERSON: usize = 2;
const SEATS: usize = 3;
/// Steps that a task which came late catches up at once; earlier ones are skipped.
const STEPS_AT_ONCE_MAX: u32 = 5;
const STEP: Duration = Duration::from_millis(FRAME_MS as u64);

/// The sound of three.
pub(super) struct Conference {
    mixer: Box<Mixer<SEATS>>,
    /// When the next 20 ms are due.
    next: Instant,
    /// To the mixer's form, by seat.
    inward: [Option<Reform>; SEATS],
    /// From the mixer's form, by seat.
    outward: [Option<Reform>; SEATS],
    /// What the agent said.
    said: Vec<u8>,
    /// The playout item towards the person.
    item: ItemKey,
    dropped_ms: u64,
}

impl Conference {
    /// After another one of the same leg, whose dropped sound still counts.
    pub(super) fn new(now: Instant, before: Option<&Self>) -> Self {
        Self {
            mixer: Box::default(),
            next: now + STEP,
            inward: Default::default(),
            outward: Default::default(),
            said: Vec::new(),
            item: Arc::from("conference"),
            dropped_ms: before.map_or(0, Self::dropped_ms),
        }
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.next
    }

    pub(super) fn dropped_ms(&self) -> u64 {
        self.dropped_ms + self.mixer.dropped_ms()
    }

    fn push(&mut self, seat: usize, form: Form, audio: &[u8]) {
        let linear = Reform::between(&mut self.inward[seat], form, Form::Wide).convert(audio);
        let samples = linear.chunks_exact(2);
        let samples = samples.map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
        self.mixer.push(seat, samples);
    }

    /// Takes what came of caller, agent and person; true where somebody but the agent was heard. What is `veiled` of the caller, and
    /// the music of somebody who holds us, is not heard.
    fn gather(&mut self, veiled: bool, caller: &mut LegAudio, person: &mut LegAudio) -> bool {
        let mut heard = false;
        let (form, silent) = (caller.form(), veiled || caller.is_held());
        while let Some(frame) = caller.poll_frame() {
            heard = true;
            if !silent {
                self.push(CALLER, form, frame.audio);
            }
        }
        let (form, silent) = (person.form(), person.is_held());
        while let Some(frame) = person.poll_frame() {
            heard = true;
            if !silent {
                self.push(PERSON, form, frame.audio);
            }
        }
        let mut said = std::mem::take(&mut self.said);
        said.clear();
        caller.take_said(&mut said);
        self.push(AGENT, caller.form(), &said);
        self.said = said;
        heard
    }

    /// The steps that are due.
    fn due(&mut self, now: Instant) -> u32 {
        let mut due = 0;
        while self.next <= now && due < STEPS_AT_ONCE_MAX {
            self.next += STEP;
            due += 1;
        }
        if self.next <= now {
            self.next = now + STEP;
        }
        due
    }

    /// 20 ms of those whom a seat hears, in the form that it wants.
    fn heard_by(&mut self, seat: usize, form: Form, hears: impl Fn(usize) -> bool) -> &[u8] {
        let mut samples = [0; FRAME_SAMPLES_MAX];
        self.mixer.hear(hears, &mut samples);
        let mut linear = [0; FRAME_BYTES_MAX];
        Form::Wide.encode_into(&samples, &mut linear);
        let outward = &mut self.outward[seat];
        let reform = Reform::between(outward, Form::Wide, form);
        self.said.clear();
        reform.append(&linear, &mut self.said);
        &self.said
    }

    /// One step: caller and person hear the others; what the engine hears of it, in its form.
    fn step(&mut self, caller: &mut LegAudio, person: &mut LegAudio, engine: Form) -> &[u8] {
        self.mixer.tick();
        // The agent reaches the caller by the playout.
        let wants = caller.form();
        caller.push_company(self.heard_by(CALLER, wants, |seat| seat == PERSON));
        let (wants, item) = (person.form(), ItemKey::clone(&self.item));
        let audio = self.heard_by(PERSON, wants, |seat| seat != PERSON);
        if person.queued_ms() > WAITING_MS_MAX || person.push(&item, audio).is_err() {
            self.dropped_ms += u64::from(FRAME_MS);
        }
        self.heard_by(AGENT, engine, |seat| seat != AGENT)
    }
}

impl SecondLeg {
    fn confers(&self) -> bool {
        self.stage == Stage::Conferring
    }
}

impl SecondLegs {
    pub(in crate::call_task) fn confers(&self) -> bool {
        self.current.as_ref().is_some_and(|one| one.confers())
    }
}

impl CallTask {
    /// Caller, agent and person hear each other from here on.
    pub(in crate::call_task) fn confer(&mut self, now: Instant) {
        if let Some(second) = self.second.open() {
            second.cut_announcement(now);
            if second.stage == Stage::Joined {
                // What the caller said last has no end there, and what follows it would wait for one.
                let _ = second.media.clear(now);
            }
            second.media.await_media(now);
            second.stage = Stage::Conferring;
            second.joined.get_or_insert(now);
            second.relay.rest();
            second.conference = Some(Conference::new(now, second.conference.as_ref()));
        }
        self.media.set_company(true);
    }

    /// The sound of three; false where no conference is held.
    pub(in crate::call_task) fn carry_conference(&mut self, now: Instant) -> bool {
        let confers = self.second.confers();
        // Also of a leg that has just taken the place of another.
        self.media.set_company(confers);
        if !confers {
            return false;
        }
        let (form, veiled) = (self.engine_form, self.privacy.veils(now));
        let Some(SecondLeg {
            media: person,
            conference: Some(conference),
            ..
        }) = self.second.open()
        else {
            return false;
        };
        let heard = conference.gather(veiled, &mut self.media, person);
        for _ in 0..conference.due(now) {
            let audio = conference.step(&mut self.media, person, form);
            if !self.privacy.keeps(audio) {
                self.link.append(now, audio);
            }
        }
        if heard && self.session.doubts_speech() {
            self.judge_heard(now);
        }
        true
    }

    /// What is heard, by this judgement, of all whom the engine hears. A voice of one of them is a voice, whatever the other sends.
    pub(in crate::call_task) fn judge_all(
        &mut self,
        judge: impl Fn(&mut LegAudio) -> Heard,
    ) -> Heard {
        let caller = judge(&mut self.media);
        let Some(second) = self.second.open().filter(|one| one.confers()) else {
            return caller;
        };
        let person = judge(&mut second.media);
        [Heard::Speech, Heard::Undecided, Heard::Noise, Heard::Echo]
            .into_iter()
            .find(|one| *one == caller || *one == person)
            .unwrap_or(Heard::Quiet)
    }
}

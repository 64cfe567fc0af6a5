//! Audio in and out, and what the stream tells about it.

use std::time::Instant;

use call::{Input, ItemId};
use media::{Heard, PlayoutEvent, Reform, StreamEvent};
use serde_json::json;
use store::Event;
use store::journal::{Milestone, PlayoutPhase, RtpStatistics};

use super::desk::ms;
use super::{CallTask, agreement};
use crate::metrics::Metrics;

impl CallTask {
    /// Carries the caller's frames to the engine and the recording to the recorder and those who listen; true when an event was handled.
    pub(super) fn drain_media(&mut self, now: Instant) -> bool {
        if !self.carry_conference(now) && !self.second.relay(&mut self.media) {
            self.forward_frames(now);
        }
        self.drain_recording(now);
        self.media.transmit(now);
        self.desk.journal.packets_if_crowded(self.media.tap());
        let mut busy = false;
        while let Some(event) = self.media.poll_event() {
            self.stream_event(now, event);
            busy = true;
        }
        let keys = agreement::note_ways(&self.desk.journal, now, &mut self.media);
        if let Err(reason) = keys
            && !self.desk.leg.is_ended()
        {
            self.desk.exact = Some(reason);
            self.ask(now, |task| task.desk.leg.hang_up(reason));
        }
        if let Some(event) = self.media.poll_leg()
            && !self.desk.leg.is_ended()
        {
            self.leg_event(now, event);
            busy = true;
        }
        busy
    }

    fn forward_frames(&mut self, now: Instant) {
        let (form, wanted) = (self.media.form(), self.engine_form);
        // What is heard of a call of ours before its answer is the network's: ringback, announcements.
        let is_early = !self.desk.identity.inbound && self.clock.established.is_none();
        let mut heard = false;
        while let Some(frame) = self.media.poll_frame() {
            heard = true;
            if is_early {
                continue;
            }
            if let Some(answerers) = &mut self.answerers {
                answerers.hears(now, form, frame.audio);
            }
            let audio = if form == wanted {
                frame.audio
            } else {
                Reform::between(&mut self.upward, form, wanted).convert(frame.audio)
            };
            if !self.privacy.keeps(audio) {
                self.link.append(now, audio);
            }
        }
        if heard && self.session.doubts_speech() {
            self.judge_heard(now);
        }
    }

    /// Tells the session whose voice is heard, where the sound is clear about it.
    pub(super) fn judge_heard(&mut self, now: Instant) {
        let confirm = self.confirms_voices();
        let heard = match self.judge_all(|leg| leg.judge_heard(confirm)) {
            Heard::Speech => call::Heard::Speech,
            Heard::Echo => call::Heard::Echo,
            Heard::Noise => call::Heard::Noise,
            Heard::Undecided => call::Heard::Unclear,
            Heard::Quiet => return,
        };
        self.session.handle(now, Input::HeardJudged { heard });
    }

    fn stream_event(&mut self, now: Instant, event: StreamEvent) {
        let journal = &self.desk.journal;
        match event {
            StreamEvent::Latched { from } => {
                if !std::mem::replace(&mut self.clock.first_packet, true) {
                    self.desk.milestone(now, Milestone::FirstPacket);
                }
                journal.event(
                    now,
                    Event::Latched {
                        from: from.to_string(),
                    },
                );
            }
            StreamEvent::SourceRefused { from } => journal.event(
                now,
                Event::SourceRefused {
                    from: from.to_string(),
                },
            ),
            StreamEvent::Dtmf { digit, .. } => self.pressed(now, digit),
            StreamEvent::KeyDue { digit, duration_ms } => {
                self.desk.leg.send_key(digit, duration_ms);
            }
            // What the caller hears of somebody else is no item of the agent.
            StreamEvent::Playout(_) if self.second.is_joined() => {}
            StreamEvent::Playout(event) => self.playout_event(now, event),
            StreamEvent::MediaLost { since_ms } => {
                journal.event(
                    now,
                    Event::MediaLost {
                        ms: since_ms.into(),
                    },
                );
                self.session.handle(
                    now,
                    Input::MediaLost {
                        ms: since_ms.into(),
                    },
                );
            }
            StreamEvent::MediaResumed => {
                journal.event(now, Event::MediaResumed);
                self.session.handle(now, Input::MediaResumed);
            }
            StreamEvent::SrtpFailure { count } => {
                journal.note(
                    now,
                    catalog::Message::new("srtp_failures").with("count", count),
                );
            }
            StreamEvent::Bye => {}
        }
    }

    fn playout_event(&mut self, now: Instant, event: PlayoutEvent) {
        match event {
            PlayoutEvent::Started { item } => {
                self.heard(now);
                if self.clock.is_news(now, &item) {
                    self.journal_playout(now, &item, PlayoutPhase::Started, 0);
                }
                self.session.handle(
                    now,
                    Input::PlayoutStarted {
                        item: ItemId::from(item),
                    },
                );
            }
            PlayoutEvent::Finished { item, played_ms } => {
                self.journal_playout(now, &item, PlayoutPhase::Finished, played_ms);
                self.session.handle(
                    now,
                    Input::PlayoutFinished {
                        item: ItemId::from(item),
                        played_ms,
                    },
                );
            }
            PlayoutEvent::Starved { item } => {
                self.session.handle(
                    now,
                    Input::PlayoutStarved {
                        item: ItemId::from(item),
                    },
                );
            }
            PlayoutEvent::Drained => self.session.handle(now, Input::PlayoutDrained),
        }
    }

    /// The caller begins to hear an item: the figures that matter most.
    fn heard(&mut self, now: Instant) {
        if let Some(established) = self.clock.established
            && self.desk.timings.answer_to_first_audio_ms.is_none()
        {
            let waited = now.saturating_duration_since(established);
            self.desk.timings.answer_to_first_audio_ms = Some(ms(waited));
            self.desk
                .calls
                .metrics
                .answer_to_first_audio
                .observe(waited.as_secs_f64());
            self.desk.milestone(now, Milestone::FirstAudio);
            self.desk.changed();
        }
        if let Some(stopped) = self.clock.speech_stopped.take() {
            let waited = now.saturating_duration_since(stopped);
            self.desk.timings.last_turn_ms = Some(ms(waited));
            self.desk.calls.metrics.turn.observe(waited.as_secs_f64());
            self.desk.changed();
        }
    }

    pub(super) fn journal_playout(
        &self,
        now: Instant,
        item: &str,
        phase: PlayoutPhase,
        played_ms: u32,
    ) {
        self.desk.journal.event(
            now,
            Event::Playout {
                item: item.to_owned(),
                phase,
                played_ms,
            },
        );
    }

    /// Where callers are told of it, it begins when they were.
    pub(super) fn record_from_the_answer(&mut self) {
        if !self.desk.calls.announces {
            self.begin_recording();
        }
    }

    pub(super) fn begin_recording(&mut self) {
        let forbidden = self
            .office
            .as_ref()
            .is_some_and(|office| !office.brain.is_recordable());
        if self.recording.is_some() || forbidden {
            return;
        }
        if let Some(recorder) = &self.desk.calls.recorder {
            self.media.set_recording(true);
            let rate = self.media.recording_rate();
            let recording = recorder.open(self.desk.id().as_str(), rate.hz());
            self.desk
                .journal
                .recording(recording.path().display().to_string());
            self.recording = Some(recording);
        }
    }

    /// Writes the counters of the stream.
    pub(super) fn statistics(&self, now: Instant, last: bool) {
        let figures = self.media.statistics(now);
        let event = RtpStatistics {
            packets_sent: figures.packets_sent,
            packets_received: figures.packets_received,
            packets_lost: figures.packets_lost,
            packets_late: figures.packets_late,
            duplicates: figures.packets_duplicate,
            reordered: figures.packets_reordered,
            refused: figures.refused_packets + figures.srtp_failures,
            concealed_ms: figures.concealed_ms,
            jitter_ms: figures.jitter_ms,
            round_trip_ms: figures.round_trip_ms,
            remote_loss: figures.remote_loss,
            remote_jitter_ms: figures.remote_jitter_ms,
            mos: figures.mos,
            erle_db: figures.erle_db,
            underruns: figures.underruns.into(),
            remote: None,
            last,
        };
        self.desk.journal.event(now, Event::RtpStatistics(event));
        if last {
            let metrics = &self.desk.calls.metrics;
            Metrics::count(&metrics.rtp_packets, "sent", figures.packets_sent);
            Metrics::count(&metrics.rtp_packets, "received", figures.packets_received);
            Metrics::count(&metrics.rtp_packets, "lost", figures.packets_lost);
            Metrics::count(&metrics.rtp_packets, "late", figures.packets_late);
            Metrics::count(&metrics.rtp_packets, "refused", figures.refused_packets);
            Metrics::count(
                &metrics.audio_dropped_ms,
                "engine_slow",
                self.link.dropped_ms(),
            );
        }
    }

    /// The figures of the record.
    pub(super) fn summary(&self, now: Instant) -> serde_json::Value {
        let figures = self.media.statistics(now);
        let timings = self.desk.timings;
        json!({
            "ring_ms": timings.ring_ms,
            "engine_ready_ms": timings.engine_ready_ms,
            "answer_ms": timings.answer_ms,
            "answer_to_first_audio_ms": timings.answer_to_first_audio_ms,
            "interruptions": timings.interruptions,
            "false_barge_ins": timings.false_barge_ins,
            "second_legs": self.second.figures(now),
            "parked": self.waiting.figures(),
            "answered_by": timings.answered_by.map(call::Answerer::label),
            "codec": self.media.codec().name(),
            "rtp": {
                "packets_sent": figures.packets_sent,
                "datagrams_sent": self.media.sent(),
                "packets_received": figures.packets_received,
                "packets_lost": figures.packets_lost,
                "packets_late": figures.packets_late,
                "refused": figures.refused_packets,
                "concealed_ms": figures.concealed_ms,
                "jitter_ms_max": figures.jitter_ms_max,
                "round_trip_ms": figures.round_trip_ms,
                "remote_loss": figures.remote_loss,
                "mos": figures.mos,
                "erle_db": figures.erle_db,
                "underruns": figures.underruns,
                "quality": self.meter.quality("caller", &figures).record(),
            },
            "engine": {
                "model": self.link.model(),
                "served": self.link.served(),
                "input_tokens": self.usage.input_tokens,
                "output_tokens": self.usage.output_tokens,
                "cached_tokens": self.usage.cached_tokens,
                "input_audio_tokens": self.usage.input_audio_tokens,
                "output_audio_tokens": self.usage.output_audio_tokens,
                "caller_audio_dropped_ms": self.link.dropped_ms(),
            },
        })
    }
}

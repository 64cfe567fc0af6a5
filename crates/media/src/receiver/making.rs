//! From packets and holes to frames: decoding, concealment, and the frame in the making.

use super::{FRAMES_MAX, Filler, Frame, Receiver};
use crate::coder;
use crate::frame::{Codec, FRAME_BYTES_MAX, FRAME_MS, FRAME_SAMPLES, FRAME_SAMPLES_MAX, Form, Law};
use crate::{g711, level, reform};

impl Receiver {
    pub(super) fn make_up(&mut self, ticks: usize, filler: Filler, next: Option<&[u8]>) {
        let mut left = ticks;
        let is_noise = self.timeline.pausing && self.decoder.is_resting();
        if filler == Filler::Loss || is_noise {
            left -= self.make_up_by_codec(ticks, next);
        }
        let mut linear = [0; FRAME_SAMPLES_MAX];
        while left > 0 {
            let len = left.min(FRAME_SAMPLES);
            let linear = &mut linear[..coder::samples_of(self.form, len)];
            let noise = self.timeline.pausing || self.concealer.is_exhausted();
            if filler == Filler::Pause && noise {
                self.noise.fill(linear);
            } else {
                self.concealer.conceal(linear);
            }
            self.assemble_linear(linear, true);
            left -= len;
        }
        match filler {
            Filler::Loss => self.counters.concealed_samples += ticks as u64,
            Filler::Pause => self.counters.silence_samples += ticks as u64,
        }
    }

    /// What the codec itself can make of a loss, or of the noise that the peer described: whole frames, the last one from the copy in
    /// the packet that follows. How many ticks it made.
    fn make_up_by_codec(&mut self, ticks: usize, next: Option<&[u8]>) -> usize {
        let Some(packet) = self.decoder.makes_up(self.timeline.last_packet) else {
            return 0;
        };
        let mut made = 0;
        let mut linear = [0; FRAME_SAMPLES_MAX];
        while packet > 0 && made + packet <= ticks {
            let linear = &mut linear[..coder::samples_of(self.form, packet)];
            let is_last = made + 2 * packet > ticks;
            if !self.decoder.conceal(next.filter(|_| is_last), linear) {
                break;
            }
            self.concealer.good(linear);
            self.assemble_linear(linear, true);
            made += packet;
        }
        made
    }

    /// `ticks` is what the packet should last.
    pub(super) fn append_real(&mut self, codec: Codec, payload: &[u8], ticks: usize) {
        let (from, to) = (codec.form(), self.form);
        match (codec.law(), to) {
            (Some(law), Form::G711(own)) => self.append_g711(law, own, payload),
            (None, _) if from.rate() == to.rate() => self.append_decoded(codec, payload, ticks),
            // It waited while the codec was changed for one of another rate.
            (law, _) => {
                let converted = law.map(|_| reform::whole(from, to, payload.to_vec()));
                let converted = converted.unwrap_or_default();
                let mut linear = vec![0; converted.len() / to.sample_bytes()];
                to.decode_into(&converted, &mut linear);
                self.concealer.good(&mut linear);
                self.assemble_linear(&linear, false);
                if linear.is_empty() {
                    self.make_up(ticks, Filler::Loss, None);
                }
            }
        }
    }

    fn append_g711(&mut self, law: Law, own: Law, payload: &[u8]) {
        let mut linear = [0; FRAME_SAMPLES];
        let mut coded = [0; FRAME_SAMPLES];
        for part in payload.chunks(FRAME_SAMPLES) {
            let (linear, coded) = (&mut linear[..part.len()], &mut coded[..part.len()]);
            g711::decode_into(law, part, linear);
            if self.concealer.good(linear) {
                g711::encode_into(own, linear, coded);
            } else {
                coded.copy_from_slice(part);
                g711::transcode(law, own, coded);
            }
            self.assemble(coded, linear, false);
        }
    }

    fn append_decoded(&mut self, codec: Codec, payload: &[u8], ticks: usize) {
        let mut decoded = std::mem::take(&mut self.decoded);
        match self.decoder.decode(codec, payload, &mut decoded) {
            Some(samples) => {
                let linear = &mut decoded[..samples];
                self.concealer.good(linear);
                self.assemble_linear(linear, false);
            }
            // A damaged packet is a lost one.
            None => self.make_up(ticks, Filler::Loss, None),
        }
        self.decoded = decoded;
    }

    fn assemble_linear(&mut self, linear: &[i16], made_up: bool) {
        let mut coded = [0; FRAME_BYTES_MAX];
        for part in linear.chunks(FRAME_SAMPLES_MAX) {
            let coded = &mut coded[..part.len() * self.form.sample_bytes()];
            self.form.encode_into(part, coded);
            self.assemble(coded, part, made_up);
        }
    }

    /// Adds audio to the frame in the making; a full one goes out.
    fn assemble(&mut self, mut coded: &[u8], mut linear: &[i16], made_up: bool) {
        let bytes = self.form.sample_bytes();
        while !linear.is_empty() {
            let room = self.form.frame_samples() - self.assembly.audio.len() / bytes;
            let len = linear.len().min(room);
            self.assembly.audio.extend_from_slice(&coded[..len * bytes]);
            self.assembly.energy += level::energy(&linear[..len]);
            self.assembly.made_up |= made_up;
            (coded, linear) = (&coded[len * bytes..], &linear[len..]);
            if self.assembly.audio.len() >= self.form.frame_bytes() {
                self.emit();
            }
        }
    }

    pub(super) fn assembled_ticks(&self) -> usize {
        self.assembly.audio.len() / self.form.sample_bytes() / self.form.samples_per_tick()
    }

    fn emit(&mut self) {
        if self.out.frames.len() >= FRAMES_MAX {
            let len = self.form.frame_bytes().min(self.out.audio.len());
            self.out.audio.drain(..len);
            self.out.frames.pop_front();
            self.counters.frames_dropped += 1;
        }
        self.out.audio.extend(&self.assembly.audio);
        self.out.frames.push_back(Frame {
            timestamp_ms: self.out.timestamp_ms,
            concealed: self.assembly.made_up,
            level: level::dbov_of_energy(self.assembly.energy, self.form.frame_samples()),
        });
        self.out.timestamp_ms += u64::from(FRAME_MS);
        self.assembly.audio.clear();
        self.assembly.energy = 0;
        self.assembly.made_up = false;
    }
}

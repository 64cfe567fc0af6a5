//! The audio between two legs, frame by frame as it comes. Each side is paced by its own playout; a clock of theirs that is faster
//! than ours is kept from adding up.

use std::sync::Arc;

use media::{Form, ItemKey, Reform};

use crate::leg::audio::LegAudio;

/// Sound in front of the first frame, so that frames which come unevenly are heard evenly, ms.
const AHEAD_MS: usize = 40;
/// Sound that may wait towards one side, ms; a frame that would wait longer is dropped.
pub(super) const WAITING_MS_MAX: u32 = 200;
/// Length of one frame, ms.
const FRAME_MS: u64 = 20;

/// One way.
struct Way {
    reform: Option<Reform>,
    item: ItemKey,
    dropped_ms: u64,
    begun: bool,
}

impl Way {
    fn new(item: &str) -> Self {
        Self {
            reform: None,
            item: Arc::from(item),
            dropped_ms: 0,
            begun: false,
        }
    }

    fn carry(&mut self, from: &mut LegAudio, to: &mut LegAudio) {
        let (has, wants) = (from.form(), to.form());
        while let Some(frame) = from.poll_frame() {
            if !std::mem::replace(&mut self.begun, true) {
                let _ = to.push(&self.item, &silence(wants));
            }
            let audio = Reform::between(&mut self.reform, has, wants).convert(frame.audio);
            if to.queued_ms() > WAITING_MS_MAX || to.push(&self.item, audio).is_err() {
                self.dropped_ms += FRAME_MS;
            }
        }
    }
}

fn silence(form: Form) -> Vec<u8> {
    vec![form.silence(); AHEAD_MS * form.bytes_per_ms()]
}

/// Both ways.
pub(super) struct Relay {
    up: Way,
    down: Way,
}

impl Relay {
    pub(super) fn new() -> Self {
        Self {
            up: Way::new("relay:caller"),
            down: Way::new("relay:target"),
        }
    }

    /// Carries what has come. Before the two are joined nothing of the second leg is heard by anybody.
    pub(super) fn carry(&mut self, joined: bool, caller: &mut LegAudio, target: &mut LegAudio) {
        if joined {
            self.up.carry(caller, target);
            self.down.carry(target, caller);
        } else {
            while target.poll_frame().is_some() {}
        }
    }

    /// What is carried next begins as the first did, with some sound in front of it.
    pub(super) fn rest(&mut self) {
        self.up.begun = false;
        self.down.begun = false;
    }

    pub(super) fn dropped_ms(&self) -> u64 {
        self.up.dropped_ms + self.down.dropped_ms
    }
}

//! Others on the line beside the agent. What they say cannot be handed ahead of time, so while they are there nothing is: 20 ms leave
//! every 20 ms, a mix of all that the caller hears.

use std::time::Instant;

use super::Feed;
use super::pace::Pace;
use crate::company::Company;
use crate::frame::FRAME_SAMPLES;

#[derive(Debug)]
pub(super) struct Together {
    company: Company,
    pub(super) pace: Pace,
}

impl Together {
    /// Whether the next 20 ms leave now. What others say in a tick that is left out is gone.
    fn is_due(&mut self, now: Instant, ahead: u64) -> bool {
        if self.pace.advance(now) > 0 {
            self.company.keep(self.pace.due());
        }
        while self.pace.due() > 0 {
            if self.pace.take(now, ahead) {
                return true;
            }
            self.company.pause(1);
        }
        false
    }
}

impl Feed {
    /// Others are there, or nobody: `lead_ms` is the sound that the carrier is kept with meanwhile ([`super::COMPANY_LEAD_MS`], and
    /// what its shortest message holds). What was handed ahead of time is played to its end first: nothing of it is repeated or lost.
    ///
    /// What the others say goes in by [`Feed::push_company`], and what the agent says comes out by [`Feed::take_said`].
    pub fn set_company(&mut self, lead_ms: Option<u32>) {
        let form = self.law.into();
        match lead_ms {
            None => self.together = None,
            Some(lead_ms) if self.together.is_none() => {
                self.together = Some(Box::new(Together {
                    company: Company::new(form),
                    pace: Pace::new(lead_ms),
                }));
            }
            Some(_) => {}
        }
    }

    /// Whether others are there.
    #[must_use]
    pub fn has_company(&self) -> bool {
        self.together.is_some()
    }

    /// Whether what others say was handed over: a carrier that forgets what it has would forget them too.
    #[must_use]
    pub fn is_mixed(&self) -> bool {
        let together = self.together.as_ref();
        together.is_some_and(|together| together.pace.has_begun())
    }

    /// Whole frames of what the others say, to be heard beside the agent. Nothing where nobody is there; more than 200 ms do not
    /// wait.
    pub fn push_company(&mut self, audio: &[u8]) {
        if let Some(together) = &mut self.together {
            together.company.push(audio);
        }
    }

    /// Adds what the agent said since the last time to `into`, as it was handed over: silence as well.
    pub fn take_said(&mut self, into: &mut Vec<u8>) {
        if let Some(together) = &mut self.together {
            together.company.take(into);
        }
    }

    /// Writes the next 20 ms of everybody; false when none are due.
    pub(super) fn fill_together(
        &mut self,
        now: Instant,
        heard: u64,
        out: &mut [u8; FRAME_SAMPLES],
    ) -> bool {
        let ahead = self.timeline.handed.saturating_sub(heard);
        let due = self
            .together
            .as_mut()
            .is_some_and(|together| together.is_due(now, ahead));
        if due {
            self.write(out);
            if let Some(together) = &mut self.together {
                together.company.join(out);
            }
            self.handed_over(out);
        }
        due
    }
}

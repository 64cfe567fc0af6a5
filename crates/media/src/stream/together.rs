//! Others on the line beside the agent.

use super::Stream;
use crate::company::Company;

impl Stream {
    /// Whether others are there. What they say goes in by [`Stream::push_company`], and what the agent says comes out by
    /// [`Stream::take_said`], in the form of the leg.
    pub fn set_company(&mut self, on: bool) {
        if on != self.outbound.company.is_some() {
            let form = self.form();
            self.outbound.company = on.then(|| Box::new(Company::new(form)));
        }
    }

    /// Whole frames of what the others say, to be heard beside the agent. Nothing where nobody is there; more than 200 ms do not
    /// wait.
    pub fn push_company(&mut self, audio: &[u8]) {
        if let Some(company) = &mut self.outbound.company {
            company.push(audio);
        }
    }

    /// Adds what the agent said since the last time to `into`: of every tick one frame, silence as well.
    pub fn take_said(&mut self, into: &mut Vec<u8>) {
        if let Some(company) = &mut self.outbound.company {
            company.take(into);
        }
    }
}

//! The beginning of calls that the switchboard connects.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sip::IncomingInvite;
use store::Direction;
use tokio::sync::mpsc;

use super::placing::sip_host;
use super::{Calls, Parties};
use crate::call_task::CallTask;
use crate::call_task::patched::{self, PatchStart};
use crate::dispatch::{Admitted, Line};
use crate::engine::PlaceCallError;
use crate::leg::{Leg, SipLeg};
use crate::sip_driver::LegEvent;
use crate::switchboard::{IncomingCall, PatchedCall};

impl Calls {
    /// Offers a call that came in to the switchboard.
    pub(super) fn begin_patched(
        self: &Arc<Self>,
        now: Instant,
        invite: &IncomingInvite,
        line: &Arc<Line>,
        admitted: Admitted,
        (parties, events): (Parties, mpsc::Receiver<LegEvent>),
    ) {
        let (from, to) = (parties.from.clone(), parties.to.clone());
        let call_id = Some(invite.call_id.clone());
        let (identity, journal, commands) =
            self.begin(now, line, parties, call_id, Direction::Inbound);
        let (call, lines) = patched::lines(&identity.id);
        let leg = Leg::Sip(SipLeg::new(invite.invite, self.driver.clone(), events));
        let line = Arc::clone(line);
        let task = CallTask::prepare(self, line, identity, journal.clone(), leg, commands);
        let start = PatchStart::Incoming {
            offer: invite.offer.clone(),
            source: (invite.source, invite.protocol),
            call: Box::new(IncomingCall { from, to, call }),
        };
        self.spawn("sip", journal, admitted, patched::run(task, start, lines));
    }

    /// Places a call for the switchboard.
    pub(crate) async fn place_patched(
        self: &Arc<Self>,
        line: Arc<Line>,
        admitted: Admitted,
        to: String,
        from: Option<String>,
        ring_max: Duration,
    ) -> Result<PatchedCall, PlaceCallError> {
        let now = Instant::now();
        let (invite, mut media, events) = self.invite(&line, &to, from.clone()).await?;
        let peer = sip_host(&to).unwrap_or_default().to_owned();
        let account = line.config.account.as_ref();
        let from = from.unwrap_or_else(|| {
            account.map_or_else(|| line.config.name.clone(), |account| account.aor.clone())
        });
        let parties = Parties { from, to, peer };
        let (identity, journal, commands) =
            self.begin(now, &line, parties, None, Direction::Outbound);
        if let Some(news) = media.take_news() {
            journal.note(now, news);
        }
        let (call, lines) = patched::lines(&identity.id);
        let leg = Leg::Sip(SipLeg::new(invite, self.driver.clone(), events));
        let task = CallTask::prepare(self, line, identity, journal.clone(), leg, commands);
        let start = PatchStart::Outgoing {
            media: Box::new(media),
            ring_max,
        };
        self.spawn("sip", journal, admitted, patched::run(task, start, lines));
        Ok(call)
    }
}

//! The calls of pages that are connected by WebRTC.

use std::sync::Arc;
use std::time::Instant;

use call::CallId;
use store::{Direction, Event};

use super::{Calls, Parties};
use crate::call_task::{CallTask, Start};
use crate::dispatch::{Admitted, Line};
use crate::leg::page::{ConnectedPage, PageLeg};
use crate::leg::{Leg, WEBRTC};
use crate::random;

impl Calls {
    /// Begins the call of a page that is connected.
    pub(crate) fn begin_page(
        self: &Arc<Self>,
        (line, admitted): (Arc<Line>, Admitted),
        page: ConnectedPage,
        id: CallId,
        from: String,
    ) {
        let now = Instant::now();
        let media = page.audio(now, id.as_str(), random::seed());
        let parties = Parties {
            from,
            to: String::new(),
            peer: String::new(),
        };
        let (identity, journal, commands) =
            self.begin_of(id, now, &line, (parties, None), Direction::Inbound);
        journal.event(now, Event::SdpDecision(media.agreed()));
        let leg = Leg::Page(PageLeg::new());
        let start = Start::Page {
            media: Box::new(media),
        };
        let task = CallTask::prepare(self, line, identity, journal.clone(), leg, commands);
        self.spawn(WEBRTC, journal, admitted, task.run(start));
    }
}

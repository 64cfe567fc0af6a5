//! Session timers (RFC 4028): a peer that vanished is noticed, whoever refreshes.

use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::event::{EndCause, Event};
use crate::invite::modify::{Modify, Purpose};
use crate::invite::{Context, Invite, Phase};
use crate::message::{Headers, Refresher, Request, Response, SessionExpires, name};
use crate::planted::{self, Planted};
use crate::transaction::ServerId;
use crate::transaction::timer::InviteTimer;

/// Longest interval that we count with: a day.
const INTERVAL_S_MAX: u32 = 86_400;
/// A refresh that could not be sent or was refused is tried again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The agreement of the last refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionTimer {
    pub(crate) interval_s: u32,
    pub(crate) we_refresh: bool,
}

impl Invite {
    /// UAS: 422 where the asked-for interval is below ours (RFC 4028 section 9).
    pub(crate) fn is_interval_too_small(endpoint: &Endpoint, headers: &Headers) -> bool {
        endpoint.session.enabled
            && headers.supports("timer")
            && headers
                .session_expires()
                .is_some_and(|asked| asked.interval_s < endpoint.session.min_se_s)
    }

    pub(super) fn refuse_short_interval(
        &self,
        cx: &mut Context<'_>,
        request: &Request,
        server: ServerId,
    ) -> bool {
        let too_small = Self::is_interval_too_small(cx.endpoint, &request.headers);
        if too_small {
            let mut response = self.response(request, 422);
            response
                .headers
                .push(name::MIN_SE, cx.endpoint.session.min_se_s);
            cx.endpoint.respond(cx.now, server, &response);
        }
        too_small
    }

    /// UAS: what our 2xx says, and the timer that follows from it.
    pub(super) fn accept_session_timer(
        &self,
        cx: &Context<'_>,
        headers: &Headers,
        response: &mut Response,
    ) -> Option<SessionTimer> {
        let session = cx.endpoint.session;
        if !session.enabled {
            return None;
        }
        let peer_knows = headers.supports("timer");
        let floor = session
            .min_se_s
            .max(headers.min_se().unwrap_or(0))
            .min(INTERVAL_S_MAX);
        let asked = headers.session_expires();
        let interval_s = asked.map_or(session.expires_s, |asked| {
            asked.interval_s.min(session.expires_s)
        });
        let interval_s = interval_s.clamp(floor, INTERVAL_S_MAX.max(floor));
        let refresher = match (peer_knows, asked.and_then(|asked| asked.refresher)) {
            (false, _) => Refresher::Uas,
            (true, Some(chosen)) => chosen,
            (true, None) => Refresher::Uac,
        };
        response.headers.push(
            name::SESSION_EXPIRES,
            SessionExpires {
                interval_s,
                refresher: Some(refresher),
            },
        );
        if refresher == Refresher::Uac {
            response.headers.push(name::REQUIRE, "timer");
        }
        Some(SessionTimer {
            interval_s,
            we_refresh: refresher == Refresher::Uas,
        })
    }

    /// UAC: the timer that the peer's 2xx sets.
    pub(super) fn session_timer_of(&self, response: &Response) -> Option<SessionTimer> {
        let agreed = response.headers.session_expires()?;
        let we_refresh = match agreed.refresher {
            Some(Refresher::Uac) | None => true,
            Some(Refresher::Uas) => false,
        };
        Some(SessionTimer {
            interval_s: agreed.interval_s.clamp(30, INTERVAL_S_MAX),
            we_refresh,
        })
    }

    /// Rows of a refreshing request of ours; our role stays what it is.
    pub(super) fn session_timer_rows(&self, endpoint: &Endpoint) -> Vec<(&'static str, String)> {
        if !endpoint.session.enabled {
            return Vec::new();
        }
        let interval_s = self
            .timer
            .map_or(endpoint.session.expires_s, |timer| timer.interval_s);
        let refresher = self.timer.map(|timer| {
            if timer.we_refresh {
                Refresher::Uac
            } else {
                Refresher::Uas
            }
        });
        vec![
            (name::SUPPORTED, crate::user_agent::SUPPORTED.to_owned()),
            (name::ALLOW, crate::user_agent::ALLOW.to_owned()),
            (
                name::SESSION_EXPIRES,
                SessionExpires {
                    interval_s,
                    refresher,
                }
                .to_string(),
            ),
            (name::MIN_SE, endpoint.session.min_se_s.to_string()),
        ]
    }

    /// 422: takes the peer's minimum; `false` where it names none above ours.
    pub(super) fn raise_interval(&mut self, response: &Response) -> bool {
        let Some(min_se) = response
            .headers
            .min_se()
            .filter(|min_se| *min_se <= INTERVAL_S_MAX)
        else {
            return false;
        };
        let known = self.timer.unwrap_or(SessionTimer {
            interval_s: 0,
            we_refresh: true,
        });
        self.timer = Some(SessionTimer {
            interval_s: min_se.max(known.interval_s),
            ..known
        });
        true
    }

    /// Arms the timers of a new agreement; `None` = no session timer.
    pub(super) fn set_session_timer(&mut self, cx: &mut Context<'_>, timer: Option<SessionTimer>) {
        self.timer = timer;
        let Some(timer) = timer else {
            cx.endpoint.disarm_invite(self.id, InviteTimer::Refresh);
            cx.endpoint.disarm_invite(self.id, InviteTimer::Expire);
            return;
        };
        // RFC 4028 section 10: the side that does not refresh ends the session a little before it expires.
        let margin_s = (timer.interval_s / 3).min(32);
        let expire = Duration::from_secs(u64::from(timer.interval_s - margin_s));
        cx.endpoint
            .arm_invite(self.id, InviteTimer::Expire, cx.now + expire);
        if timer.we_refresh {
            let half = Duration::from_secs(u64::from(timer.interval_s / 2));
            cx.endpoint
                .arm_invite(self.id, InviteTimer::Refresh, cx.now + half);
        } else {
            cx.endpoint.disarm_invite(self.id, InviteTimer::Refresh);
        }
    }

    /// A refresh succeeded, ours or theirs.
    pub(super) fn refreshed(&mut self, cx: &mut Context<'_>, timer: Option<SessionTimer>) {
        self.set_session_timer(cx, timer);
        if timer.is_some() {
            self.event(cx, Event::Refreshed { invite: self.id });
        }
    }

    /// Our turn: UPDATE where the peer allows it, else a re-INVITE with the same offer.
    pub(super) fn refresh(&mut self, cx: &mut Context<'_>) {
        if planted::has(Planted::SessionNotRefreshed) {
            return;
        }
        if !matches!(
            (&self.phase, &self.modify),
            (Phase::Confirmed, Modify::Idle)
        ) || self.retry.is_some()
        {
            return self.refresh_later(cx);
        }
        match (&self.local_sdp, self.peer.update) {
            (_, true) => self.send_update(cx, Purpose::Refresh, 0),
            (Some(offer), false) => {
                let offer = offer.clone();
                self.send_reinvite(cx, offer, Purpose::Refresh, 0);
            }
            (None, false) => {}
        }
    }

    pub(super) fn refresh_later(&self, cx: &mut Context<'_>) {
        cx.endpoint
            .arm_invite(self.id, InviteTimer::Refresh, cx.now + AGAIN_AFTER);
    }

    pub(super) fn session_expired(&mut self, cx: &mut Context<'_>) {
        if matches!(self.phase, Phase::Confirmed) {
            self.bye_and_end(cx, EndCause::SessionExpired);
        }
    }
}

/// Rows of the first INVITE. Without an offer of ours 100rel stays away: an offer in a provisional response would need
/// an answer in its PRACK.
pub(super) fn push_invite_rows(endpoint: &Endpoint, request: &mut Request, has_offer: bool) {
    request.headers.push(name::ALLOW, crate::user_agent::ALLOW);
    let supported = if has_offer {
        crate::user_agent::SUPPORTED
    } else {
        crate::user_agent::SUPPORTED_NO_100REL
    };
    request.headers.push(name::SUPPORTED, supported);
    if endpoint.session.enabled {
        request
            .headers
            .push(name::SESSION_EXPIRES, endpoint.session.expires_s);
        request
            .headers
            .push(name::MIN_SE, endpoint.session.min_se_s);
    }
}

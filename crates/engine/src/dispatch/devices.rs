//! Calls of devices, and who is banned for guessing their passwords.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use catalog::Message;
use sip::IncomingInvite;

use super::{Decision, Dispatcher, Line, proves};
use crate::admission::Ban;
use crate::limits::BANNED_FOR;
use crate::log::say;

impl Dispatcher {
    /// What becomes of the call of a device; `None` where it is of none. A password says more than an address: a device that stands
    /// in a network whose calls a trunk may bring is still a device.
    pub(super) fn decide_of_device(
        &mut self,
        now: Instant,
        invite: &IncomingInvite,
    ) -> Option<Decision> {
        if let Some(user) = &invite.authenticated {
            let realm = invite.realm.as_deref();
            let is_device = |line: &&Arc<Line>| line.device.is_some() && proves(line, user, realm);
            self.lines.iter().find(is_device)?;
            return Some(self.decide_by_password(now, invite, user));
        }
        let device = invite.device?;
        let line = self.lines.iter().find(|line| line.device == Some(device))?;
        let known = line.config.credentials.as_ref()?;
        Some(Decision::Challenge {
            realm: known.realm.clone(),
        })
    }

    /// The realm that a stranger is challenged with: that of the user or the domain that it names, else the first one. `None` where
    /// nobody has a password.
    pub(super) fn realm_for(&self, invite: &IncomingInvite) -> Option<String> {
        let known = || {
            let lines = self.lines.iter();
            lines.filter_map(|line| line.config.credentials.as_ref())
        };
        let user = invite.from.user.as_str();
        let host = domain(&invite.from.uri);
        let found = known()
            .find(|known| known.username == user)
            .or_else(|| known().find(|known| known.realm.eq_ignore_ascii_case(host)))
            .or_else(|| known().next())?;
        Some(found.realm.clone())
    }

    /// Whether nothing of this source is looked at. Not for those whom a line or a registration knows.
    pub(crate) fn is_banned(&self, now: Instant, source: IpAddr) -> bool {
        self.wrong_passwords.is_banned(now, source)
    }

    /// Everybody who is banned now.
    pub(crate) fn bans(&self, now: Instant) -> Vec<Ban> {
        self.wrong_passwords.banned(now)
    }

    /// Lifts a ban; whether there was one.
    pub(crate) fn lift_ban(&mut self, now: Instant, source: IpAddr) -> bool {
        self.wrong_passwords.lift(now, source)
    }

    /// Counts a wrong password of a stranger or a message of a scanner, and says so when it is the one that bans its source.
    pub(crate) fn note_wrong_password(&mut self, now: Instant, source: IpAddr) {
        if self.wrong_passwords.note(now, source) {
            let message = Message::new("log_source_banned")
                .with("source", source.to_canonical().to_string())
                .with("minutes", BANNED_FOR.as_secs() / 60);
            say(&message);
        }
    }
}

/// Host of an address, without its port.
fn domain(uri: &str) -> &str {
    let rest = uri.split_once('@').map_or("", |(_, rest)| rest);
    rest.split([':', ';', '?', '>']).next().unwrap_or_default()
}

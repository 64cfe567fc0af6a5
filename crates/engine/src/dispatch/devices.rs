//! Calls of devices, and who is banned for guessing their passwords.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use call::EndReason;
use catalog::Message;
use sip::IncomingInvite;

use super::{Decision, Dispatcher, Line, MayReplace, allows, called_number, proves};
use crate::admission::Ban;
use crate::client_certificate::Shown;
use crate::house_codes::{self, Dialled};
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
            let line = Arc::clone(self.lines.iter().find(is_device)?);
            let dialled = house_codes::dialled(called_number(&invite.request_uri));
            if let Some(dialled) = dialled.filter(|_| !self.names_another(invite, user)) {
                return Some(self.comes(now, &line, dialled));
            }
            return Some(self.decide_by_password(now, invite, user));
        }
        let device = invite.device?;
        let line = self.lines.iter().find(|line| line.device == Some(device))?;
        let known = line.config.credentials.as_ref()?;
        Some(Decision::Challenge {
            realm: known.realm.clone(),
        })
    }

    /// A code that a device has dialled. Whose agent the device calls otherwise, and whether that one takes calls, is no matter. Parked
    /// callers wait for whoever of the house comes; into any other call comes only whom the account trusts with it.
    fn comes(&mut self, now: Instant, line: &Arc<Line>, dialled: Dialled) -> Decision {
        let device = line.config.device.as_ref();
        let is_trusted = device.is_some_and(|device| device.joins_calls);
        if matches!(dialled, Dialled::Running { .. }) && !is_trusted {
            return Decision::Refuse {
                line: Some(Arc::clone(line)),
                reason: EndReason::Rejected,
                status: 403,
                retry_after_s: None,
                code: "may_not_join",
                limit: None,
                note: None,
            };
        }
        match self.admit_person(now, line) {
            Decision::Accept { line, admitted } => Decision::Come {
                line,
                admitted,
                dialled,
            },
            refused @ (Decision::Come { .. }
            | Decision::Refuse { .. }
            | Decision::Challenge { .. }
            | Decision::Drop) => refused,
        }
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

    /// Whether who sent this INVITE may take over a leg of a call by `line`. To know its tags is not enough: it comes by the line's own
    /// account, from an address that the line lists, with the line's certificate, or proves the line's password. A call of a device may be taken over by another
    /// device of the same house.
    pub(crate) fn may_replace(
        &mut self,
        now: Instant,
        line: &Line,
        (invite, shown): (&IncomingInvite, Option<&Shown>),
    ) -> MayReplace {
        let source = invite.source.ip();
        if !self.knows(source) && self.ban(now, invite).is_some() {
            return MayReplace::No;
        }
        let own = &line.config;
        if let Some(user) = &invite.authenticated {
            let realm = invite.realm.as_deref();
            let speaks = |known: &Arc<Line>| {
                let is_same = known.config.name == own.name;
                let is_of_house = known.device.is_some() && line.device.is_some();
                known.config.tenant == own.tenant
                    && proves(known, user, realm)
                    && (is_same || is_of_house)
            };
            return if self.lines.iter().any(speaks) {
                MayReplace::Yes
            } else {
                MayReplace::No
            };
        }
        let (by_certificate, may_speak) = self.may_speak(line, shown);
        let by_account = line.account.is_some() && invite.account == line.account;
        let by_source = line.device.is_none() && invite.device.is_none() && allows(line, source);
        if by_certificate || (may_speak && (by_account || by_source)) {
            return MayReplace::Yes;
        }
        match &own.credentials {
            Some(known) => MayReplace::Challenge {
                realm: known.realm.clone(),
            },
            None => MayReplace::No,
        }
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

//! Calls that we place: by an INVITE of ours, by the first account and the next one where nobody was reached; or through a
//! carrier that rings for us and brings the audio once it is answered.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use agent::Placement;
use call::CallId;
use sip::message::Uri;
use sip::{IncomingInvite, InviteError, InviteId, OutgoingInvite};
use store::Direction;
use store::packet::PacketContents;
use tokio::sync::{mpsc, oneshot};
use wire::twilio::Dialect;

use super::{Calls, Parties};
use crate::admission::Place;
use crate::call_task::{CallTask, Start};
use crate::client_certificate::Shown;
use crate::dispatch::{Admitted, Dispatcher, Line, MayReplace};
use crate::engine::PlaceCallError;
use crate::leg::carrier::{CarrierControl, CarrierLeg, CarrierProgress};
use crate::leg::media::{LegIdentity, MediaLeg};
use crate::leg::negotiation::Towards;
use crate::leg::way::{Announced, Servers};
use crate::leg::{Leg, SipLeg};
use crate::limits::{LEG_EVENTS_MAX, STREAM_AFTER_RING_WITHIN};
use crate::provider::international;
use crate::random;
use crate::rtp_ports::RtpPair;
use crate::sip_driver::{Command, LegEvent};
use crate::stream_socket::StreamSocket;

/// How long a carrier rings where nobody says it, ms.
const RING_MS_DEFAULT: u32 = 45_000;

/// How long the record of a call that we place is waited for.
const RECORD_WITHIN: Duration = Duration::from_secs(2);

/// What is to be dialled.
pub(crate) struct Dialling {
    /// A SIP address, or a number.
    pub(crate) to: String,
    /// As it was asked for, for the record.
    pub(crate) shown: String,
    pub(crate) ring_ms: Option<u32>,
    pub(crate) placement: Option<Placement>,
    /// Lines that are tried after the first, where nobody was reached.
    pub(crate) backups: VecDeque<Arc<Line>>,
}

/// What was asked for together with a call.
#[derive(Default)]
pub(crate) struct Placed {
    pub(crate) ring_ms: Option<u32>,
    pub(crate) placement: Option<Placement>,
}

/// The stream of a call that a carrier rings for us.
pub(crate) struct Awaited {
    pub(crate) arrival: oneshot::Receiver<Box<StreamSocket>>,
    /// The carrier has nothing more to ring then.
    pub(crate) until: Instant,
}

/// A call that a carrier rings for us, in the hands of whoever speaks with the carrier. Dropping it ends the call as failed.
pub struct Promise {
    /// Our id of the call.
    pub call: CallId,
    arrival: oneshot::Sender<Box<StreamSocket>>,
    control: Arc<OnceLock<CarrierControl>>,
}

impl Promise {
    /// The carrier took the call: how it is asked for things from now on.
    pub fn rings_as(&self, control: CarrierControl) {
        let _ = self.control.set(control);
    }

    /// Nobody waits for the call: it was ended before the carrier brought it.
    pub fn is_given_up(&self) -> bool {
        self.arrival.is_closed()
    }

    /// The other side answered: its stream is the call's audio. The socket comes back when nobody waits for it.
    ///
    /// # Errors
    /// The call is over.
    pub fn answered(self, socket: StreamSocket) -> Result<(), Box<StreamSocket>> {
        self.arrival.send(Box::new(socket))
    }
}

/// Whom to call, and the lines that are tried after the first.
#[derive(Clone, Default)]
pub(crate) struct Dialled {
    /// A `sip:` address, or a number.
    pub(crate) to: String,
    pub(crate) backups: VecDeque<Arc<Line>>,
    /// Whom a second leg shows: the caller, where that may be.
    pub(crate) caller: Option<String>,
    /// Where a second leg calls a number by a line that knows no domain.
    pub(crate) domain: Option<String>,
}

/// An INVITE that was asked for.
pub(crate) struct Placing {
    pub(crate) events: mpsc::Receiver<LegEvent>,
    /// Its id, or why there is none.
    pub(crate) placed: oneshot::Receiver<Result<InviteId, InviteError>>,
    /// Its channel of the trunk, where it was not admitted with its call.
    pub(crate) place: Option<Place>,
}

/// What is said of a number that is never called, in a few words for the model.
pub(crate) const PREMIUM_REFUSED: &str = "premium numbers are not called";

/// The address of a number by a line, in the form and at the domain of its operator: whatever we call comes by here.
///
/// # Errors
/// A premium number, or one that the line knows no domain for.
pub(crate) fn address(
    line: &Line,
    to: &str,
    elsewhere: Option<&str>,
) -> Result<String, PlaceCallError> {
    if is_premium(line, to) {
        return Err(PlaceCallError::Premium);
    }
    if is_sip(to) {
        return Ok(to.to_owned());
    }
    let account = line.config.account.as_ref();
    let domain = account
        .and_then(|account| sip_authority(&account.aor))
        .or(line.config.domain.as_deref())
        .or(elsewhere.filter(|host| !host.is_empty()))
        .ok_or(PlaceCallError::BadAddress)?;
    let registrar = account
        .and_then(|account| account.registrar.as_deref())
        .and_then(sip_authority);
    // The registrar's port is the trunk's, where both are one host.
    let domain = registrar
        .filter(|known| {
            known
                .strip_prefix(domain)
                .is_some_and(|rest| rest.starts_with(':'))
        })
        .unwrap_or(domain);
    let number = line.config.sip_account.as_ref().map_or_else(
        || to.to_owned(),
        |known| known.numbers.write(&known.country, to),
    );
    Ok(format!("sip:{number}@{domain}"))
}

/// Where a REFER sends the caller: as whatever we call ourselves, and as it was given where the line has no domain for it (a carrier
/// knows numbers). `None` for a premium number.
pub(crate) fn refer_address(line: &Line, to: &str, elsewhere: &str) -> Option<String> {
    match address(line, to, Some(elsewhere)) {
        Ok(address) => Some(address),
        Err(PlaceCallError::Premium) => None,
        Err(_) => Some(to.to_owned()),
    }
}

pub(crate) fn is_sip(to: &str) -> bool {
    to.split_once(':').is_some_and(|(scheme, _)| {
        scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips")
    })
}

/// Whether a number, or the number in an address, is premium in the country of a line: what is dialled at home is not known as such
/// before.
pub(crate) fn is_premium(line: &Line, to: &str) -> bool {
    let country = line.config.sip_account.as_ref().map(|known| &known.country);
    let country = country.map_or("", String::as_str);
    let user = match to.parse::<Uri>() {
        Ok(uri) if uri.is_sip() => Some(uri.user_decoded()),
        Ok(_) | Err(_) => None,
    };
    let number = user.as_deref().map_or(to, |user| {
        // Behind it may stand a password or parameters.
        user.split([':', ';']).next().unwrap_or_default()
    });
    international(country, number).is_some_and(|number| agent::is_premium(&number))
}

/// How a line without an account shows itself; an account does by its own address.
fn own_address(line: &Line) -> Option<String> {
    if line.device.is_some() {
        let domain = line.config.domain.as_ref();
        return domain.map(|domain| format!("sip:allo@{domain}"));
    }
    let number = line.config.numbers.first();
    number
        .zip(line.config.domain.as_ref())
        .filter(|_| line.account.is_none())
        .map(|(number, domain)| format!("sip:{number}@{domain}"))
}

fn outgoing(line: &Line, to: String, from: Option<String>, offer: Vec<u8>) -> OutgoingInvite {
    OutgoingInvite {
        account: line.account,
        device: line.device,
        to,
        from,
        offer: Some(offer),
        ..OutgoingInvite::default()
    }
}

/// What the driver is asked for an INVITE with, and what comes of it.
fn asking_for(outgoing: OutgoingInvite, place: Option<Place>) -> (Command, Placing) {
    let (events, queue) = mpsc::channel(LEG_EVENTS_MAX);
    let (placed, result) = oneshot::channel();
    let command = Command::Place {
        outgoing: Box::new(outgoing),
        events,
        placed,
    };
    let placing = Placing {
        events: queue,
        placed: result,
        place,
    };
    (command, placing)
}

/// Host and port of a SIP address, as written.
fn sip_authority(uri: &str) -> Option<&str> {
    let rest = uri.split_once(':')?.1;
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    rest.split([';', '?']).next()
}

/// How a second leg of a call shows itself: with the caller's number where the line has a place for one. A device of ours always
/// has.
fn shown_as(line: &Line, caller: Option<&str>) -> (Option<String>, Option<String>) {
    let Some(caller) = caller else {
        return (own_address(line), None);
    };
    if line.account.is_some() {
        return (None, Some(caller.to_owned()));
    }
    let domain = line.config.domain.as_ref();
    let shown = domain.map(|domain| format!("sip:{caller}@{domain}"));
    (shown.or_else(|| own_address(line)), None)
}

impl Calls {
    /// Who tells the lines that a call tries after its own; told once.
    pub(crate) fn ask_for_backups(&self, dispatcher: &Arc<Mutex<Dispatcher>>) {
        let _ = self.dispatcher.set(Arc::downgrade(dispatcher));
    }

    /// The lines that a leg tries after this one, where nobody was reached.
    pub(crate) fn backups(&self, line: &Arc<Line>) -> VecDeque<Arc<Line>> {
        let dispatcher = self.dispatcher.get().and_then(Weak::upgrade);
        dispatcher.map_or_else(VecDeque::new, |dispatcher| {
            let dispatcher = dispatcher.lock().unwrap_or_else(PoisonError::into_inner);
            dispatcher.backups(line).into()
        })
    }

    /// Whether who sent an INVITE may take over a leg of a call by this line.
    pub(crate) fn may_replace(
        &self,
        now: Instant,
        line: &Line,
        proof: (&IncomingInvite, Option<&Shown>),
    ) -> MayReplace {
        let dispatcher = self.dispatcher.get().and_then(Weak::upgrade);
        dispatcher.map_or(MayReplace::No, |dispatcher| {
            let mut dispatcher = dispatcher.lock().unwrap_or_else(PoisonError::into_inner);
            dispatcher.may_replace(now, line, proof)
        })
    }

    /// Asks for the second leg of a call by its line; an error says why there is none, in a few words for the model.
    pub(crate) fn place_second(
        &self,
        now: Instant,
        line: &Line,
        dialled: &Dialled,
    ) -> Result<(MediaLeg, SipLeg), &'static str> {
        let busy = "this line takes no more calls now";
        let to = address(line, &dialled.to, dialled.domain.as_deref());
        let to = to.map_err(|error| {
            if error == PlaceCallError::Premium {
                PREMIUM_REFUSED
            } else {
                "this line cannot call that number"
            }
        })?;
        // A full trunk is known before anything is taken for the call.
        let place = line.take_place().ok_or(busy)?;
        let pair = self.ports.allocate(now).map_err(|_| busy)?;
        // It is asked for in the middle of a conversation, which waits for nobody: routers that keep ports map this one as they did
        // the first, and the rest is symmetric RTP.
        let peer = self.next_hop(line, &to).map_or(ELSEWHERE, |peer| peer);
        let towards = self.towards(line);
        let (terms, peer) = (towards.line(), (peer, 5060).into());
        let announced = if towards.is_browser() {
            Servers::known_with_ice(terms, &self.rtp, &pair, peer)
        } else {
            Servers::known(terms, &self.rtp, &pair, peer)
        };
        let (media, offer) = outgoing_media(now, &towards, pair, announced, self.rtp.capture);
        let caller = dialled.caller.as_deref();
        let placing = self.ask_for(line, (to, caller), offer, place).ok_or(busy)?;
        Ok((media, SipLeg::placed(self.driver.clone(), placing)))
    }

    /// Asks for an INVITE by a line beside those that were admitted with their call; `None` where its trunk is full, the driver
    /// cannot take it or the number is none.
    pub(crate) fn try_place(
        &self,
        line: &Line,
        dialled: &Dialled,
        offer: Vec<u8>,
    ) -> Option<Placing> {
        let to = address(line, &dialled.to, dialled.domain.as_deref()).ok()?;
        let place = line.take_place()?;
        self.ask_for(line, (to, dialled.caller.as_deref()), offer, place)
    }

    /// Asks the driver for an INVITE to this address that shows this caller.
    fn ask_for(
        &self,
        line: &Line,
        (to, caller): (String, Option<&str>),
        offer: Vec<u8>,
        place: Place,
    ) -> Option<Placing> {
        let (from, number) = shown_as(line, caller);
        let outgoing = OutgoingInvite {
            number,
            ..outgoing(line, to, from, offer)
        };
        let (command, placing) = asking_for(outgoing, Some(place));
        self.driver.try_send(command).ok()?;
        Some(placing)
    }

    /// Begins a call that a carrier rings for us. Its record is written before the carrier is asked for anything.
    pub(crate) async fn expect_stream(
        self: &Arc<Self>,
        line: Arc<Line>,
        admitted: Admitted,
        dialect: Dialect,
        from: String,
        dialling: Dialling,
    ) -> (Promise, CarrierProgress) {
        let now = Instant::now();
        let parties = Parties {
            from,
            to: dialling.shown,
            peer: String::new(),
        };
        let (mut identity, journal, commands) =
            self.begin(now, &line, parties, None, Direction::Outbound);
        self.asked_within(now, &mut identity, &journal, dialling.placement.as_ref());
        let call = identity.id.clone();
        let carrier = dialect.name();
        let control = Arc::new(OnceLock::new());
        let (leg, progress) = CarrierLeg::placed(carrier, Arc::clone(&control));
        let (arrival, arrives) = oneshot::channel();
        let ring = Duration::from_millis(dialling.ring_ms.unwrap_or(RING_MS_DEFAULT).into());
        let awaited = Awaited {
            arrival: arrives,
            until: now + ring + STREAM_AFTER_RING_WITHIN,
        };
        let placed = Placed {
            ring_ms: None,
            placement: dialling.placement,
        };
        let task = CallTask::prepare(
            self,
            line,
            identity,
            journal.clone(),
            Leg::Carrier(leg),
            commands,
        );
        let call_task = task.run(Start::Awaited { awaited, placed });
        self.spawn(carrier, journal, admitted, call_task);
        self.journal.flush(RECORD_WITHIN).await;
        let promise = Promise {
            call,
            arrival,
            control,
        };
        (promise, progress)
    }

    /// Places a call through a line.
    pub(crate) async fn place(
        self: &Arc<Self>,
        line: Arc<Line>,
        admitted: Admitted,
        dialling: Dialling,
    ) -> Result<CallId, PlaceCallError> {
        let now = Instant::now();
        let Dialling {
            to,
            shown,
            ring_ms,
            placement,
            backups,
        } = dialling;
        let dialled = Dialled {
            to,
            backups,
            ..Dialled::default()
        };
        let to = address(&line, &dialled.to, None)?;
        let number = line.config.numbers.first();
        let own = own_address(&line);
        let (invite, mut media, queue) = self.invite(&line, &to, own).await?;
        let peer = sip_host(&to).unwrap_or_default().to_owned();
        let account = line.config.account.as_ref();
        let from = number
            .or_else(|| account.map(|account| &account.aor))
            .unwrap_or(&line.config.name)
            .clone();
        let parties = Parties {
            from,
            to: shown,
            peer,
        };
        let (mut identity, journal, commands) =
            self.begin(now, &line, parties, None, Direction::Outbound);
        self.asked_within(now, &mut identity, &journal, placement.as_ref());
        if let Some(news) = media.take_news() {
            journal.note(now, news);
        }
        let id = identity.id.clone();
        let leg = Leg::Sip(SipLeg::new(invite, self.driver.clone(), queue));
        let task = CallTask::prepare(self, line, identity, journal.clone(), leg, commands)
            .with_backups(dialled);
        let start = Start::Outgoing {
            media: Box::new(media),
            placed: Placed { ring_ms, placement },
        };
        self.spawn("sip", journal, admitted, task.run(start));
        // Who asked may ask for the record at once.
        self.journal.flush(RECORD_WITHIN).await;
        Ok(id)
    }

    /// Sends an INVITE for a call through a line.
    pub(super) async fn invite(
        &self,
        line: &Line,
        to: &str,
        from: Option<String>,
    ) -> Result<(InviteId, MediaLeg, mpsc::Receiver<LegEvent>), PlaceCallError> {
        let mut pair = self
            .ports
            .allocate(Instant::now())
            .map_err(|_| PlaceCallError::NoPort)?;
        let peer = self.next_hop_found(line, to).await;
        let towards = self.towards(line);
        let peer = (peer, 5060).into();
        let asking = self
            .servers
            .announce(towards.line(), &self.rtp, &mut pair, peer);
        let (announced, news) = asking.await;
        let (now, capture) = (Instant::now(), self.rtp.capture);
        let (mut media, offer) = outgoing_media(now, &towards, pair, announced, capture);
        media.keep_news(news);
        let outgoing = outgoing(line, to.to_owned(), from, offer);
        // Its channel of the trunk was admitted with the call.
        let (command, placing) = asking_for(outgoing, None);
        self.driver
            .send(command)
            .await
            .map_err(|_| PlaceCallError::Busy)?;
        let placed = placing.placed.await.map_err(|_| PlaceCallError::Busy)?;
        let invite = placed.map_err(|error| match error {
            InviteError::BadUri | InviteError::BadHeader | InviteError::UnknownAccount => {
                PlaceCallError::BadAddress
            }
            InviteError::NotRegistered => PlaceCallError::NotRegistered,
            InviteError::NoTransport | InviteError::Overload | InviteError::Draining => {
                PlaceCallError::Busy
            }
        })?;
        Ok((invite, media, placing.events))
    }

    /// The line as it is towards whom we call by it.
    fn towards<'a>(&self, line: &'a Line) -> Towards<'a> {
        let device = line.device;
        let by_websocket = device.is_some_and(|device| self.devices.is_by_websocket(device));
        Towards::peer(&line.config, by_websocket, true)
    }

    /// Where an INVITE goes first, where that is known without asking a name server.
    fn next_hop(&self, line: &Line, to: &str) -> Option<IpAddr> {
        let registered = line
            .device
            .and_then(|device| self.devices.source_of(device));
        registered.or_else(|| next_host(line, to)?.0.parse().ok())
    }

    /// The same, of a name too where it matters.
    async fn next_hop_found(&self, line: &Line, to: &str) -> IpAddr {
        if let Some(known) = self.next_hop(line, to) {
            return known;
        }
        // The rule asks of a peer whether it is in a private network only where somebody could be asked for a public address.
        let found = match next_host(line, to) {
            Some((host, port))
                if Servers::must_ask(&line.config, &self.rtp, (ELSEWHERE, 5060).into()) =>
            {
                self.servers.peer(host, port).await
            }
            Some(_) | None => None,
        };
        found.unwrap_or(ELSEWHERE)
    }
}

/// Stands for a peer whose name is resolved later: the way to a documentation address is the way of the default route.
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// Host and port of where an INVITE goes first.
fn next_host<'a>(line: &'a Line, to: &'a str) -> Option<(&'a str, Option<u16>)> {
    let account = line.config.account.as_ref();
    let proxy = account.and_then(|account| account.outbound_proxy.as_deref());
    let uri = proxy.unwrap_or(to);
    let authority = sip_authority(uri)?;
    let port = authority
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    Some((sip_host(uri)?, port))
}

/// The audio of a call that we place, and its offer.
fn outgoing_media(
    now: Instant,
    towards: &Towards<'_>,
    pair: RtpPair,
    announced: Announced,
    capture: PacketContents,
) -> (MediaLeg, Vec<u8>) {
    let (line, local) = (towards.line(), towards.local_media(announced));
    let cname = random::seed().to_string();
    let identity = LegIdentity {
        keypad: line.keypad,
        treatment: line.treatment,
        signalling: None,
        cname: &cname,
        seed: random::seed(),
        capture,
    };
    MediaLeg::offer(now, pair, local, &identity)
}

/// Host part of a SIP address; of an IPv6 one without its brackets.
pub(super) fn sip_host(uri: &str) -> Option<&str> {
    let authority = sip_authority(uri)?;
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => authority.split(':').next(),
    }
}

#[cfg(test)]
mod tests {
    use super::sip_host;

    #[test]
    fn hosts_of_addresses() {
        for (uri, host) in [
            ("sip:+33123456789@sip.example.test", "sip.example.test"),
            ("sips:a@192.0.2.7:5061;transport=tls", "192.0.2.7"),
            ("sip:[2001:db8::5]:5070;lr", "2001:db8::5"),
            ("sip:a@[2001:db8::5]", "2001:db8::5"),
            ("sip:pbx.test?Replaces=x", "pbx.test"),
        ] {
            assert_eq!(sip_host(uri), Some(host), "{uri}");
        }
    }
}

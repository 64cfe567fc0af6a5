//! Offer and answer (RFC 3264) for one audio stream.
//!
//! One audio line is taken, the others are answered with port 0. Where both RTP and SRTP are offered on lines of their
//! own, policy chooses. `a=crypto` and `a=fingerprint` on an RTP/AVP line are taken as an offer of SRTP (RFC 8643), as several phones mean it.

mod formats;
mod ice;
mod security;
mod terms;

pub use ice::ice_ufrag;
pub use security::FINGERPRINT_HASHES;
pub use terms::{
    CodecChoice, CodecOffer, CryptoLine, CryptoPair, DtlsTerms, IceTerms, LocalDtls, LocalIce,
    LocalMedia, Negotiated, OfferRejected, SUITES, SrtpPolicy,
};

use super::{
    Connection, Direction, DtlsLines, IceLines, Media, Origin, RtpMap, SessionDescription,
};
use ice::Ice;
use security::{BROWSERS_PROTOCOL, DTLS_PROTOCOL, Said, Security};
use std::net::{IpAddr, SocketAddr};
pub(super) use terms::key_bytes;

/// The payload type of events in our offers, when no codec takes it.
const TELEPHONE_EVENT: u8 = 101;
/// The clock of events that every peer has.
const EVENT_CLOCK: u32 = 8_000;
/// RFC 3551's payload type of comfort noise at 8 kHz.
const COMFORT_NOISE: u8 = 13;
/// The first payload type for codecs without a static one.
const DYNAMIC: u8 = 96;
/// Name of the one section of our offers to browsers.
const MID: &str = "0";
/// Packet times that we use, in milliseconds.
const PTIME_MS: std::ops::RangeInclusive<u32> = 10..=60;

/// Answers an offer.
///
/// # Errors
/// Why there is no answer.
pub fn answer(offer: &[u8], local: &LocalMedia) -> Result<(Negotiated, Vec<u8>), OfferRejected> {
    let offer = SessionDescription::parse(offer).map_err(|_| OfferRejected::BadSdp)?;
    let (chosen, mut negotiated, crypto_tag) = choose(&offer, local)?;
    let offered = &offer.media[chosen];
    negotiated.rtcp_mux = offered.rtcp_mux;
    if negotiated.rtcp_mux {
        negotiated.remote_rtcp = negotiated.remote;
    }
    let media = offer
        .media
        .iter()
        .enumerate()
        .map(|(index, media)| {
            if index == chosen {
                Media {
                    ice: ice::answered(&offer, media, local),
                    ..answer_line(media, local, &negotiated, crypto_tag)
                }
            } else {
                refused_line(media)
            }
        })
        .collect();
    let is_bundled = |mid: &&String| offer.bundle.contains(mid);
    let description = SessionDescription {
        timing: offer.timing.clone(),
        // Sections that are refused are in no group (RFC 9143 section 7.3.3).
        bundle: offered.mid.iter().filter(is_bundled).cloned().collect(),
        media,
        ..description(local)
    };
    Ok((negotiated, description.to_string().into_bytes()))
}

/// Our offer: an INVITE of ours, a re-INVITE, or the 200 to an INVITE without one.
pub fn offer(local: &LocalMedia, direction: Direction) -> Vec<u8> {
    let mut codecs = Vec::new();
    let mut dynamic = (DYNAMIC..127).filter(|number| *number != TELEPHONE_EVENT);
    for codec in local.codecs.iter().filter(|codec| !codec.last_resort) {
        let Some(payload_type) = codec.static_payload.or_else(|| dynamic.next()) else {
            break;
        };
        codecs.push(RtpMap {
            channels: codec.channels,
            ..map(payload_type, codec.name, codec.clock_rate, codec.parameters)
        });
    }
    if local.comfort_noise {
        codecs.push(map(COMFORT_NOISE, "CN", 8_000, None));
    }
    if local.telephone_event {
        codecs.push(map(
            TELEPHONE_EVENT,
            "telephone-event",
            EVENT_CLOCK,
            Some("0-15"),
        ));
        // RFC 4733 section 2.3: events of each clock that an audio codec has.
        for rate in other_clocks(local) {
            if let Some(payload_type) = dynamic.next() {
                codecs.push(map(payload_type, "telephone-event", rate, Some("0-15")));
            }
        }
    }
    let protocol = match local.srtp {
        SrtpPolicy::Required => "RTP/SAVP",
        SrtpPolicy::DtlsRequired if local.for_browsers => BROWSERS_PROTOCOL,
        SrtpPolicy::DtlsRequired => DTLS_PROTOCOL,
        SrtpPolicy::Off | SrtpPolicy::Preferred | SrtpPolicy::DtlsPreferred => "RTP/AVP",
    };
    let mut media = our_line(local, protocol, codecs);
    media.ptime_ms = Some(local.ptime_ms);
    media.direction = Some(direction);
    if matches!(local.srtp, SrtpPolicy::Preferred | SrtpPolicy::Required) {
        media.crypto.clone_from(&local.crypto);
    }
    media.dtls = security::offered(local);
    if let Some(local) = &local.ice {
        media.ice = ice::lines(local);
    }
    // One handshake serves both ports then (RFC 5764 section 4.1.2).
    media.rtcp_mux = local.srtp.is_dtls();
    media.mid = local.for_browsers.then(|| MID.to_owned());
    let description = SessionDescription {
        bundle: media.mid.iter().cloned().collect(),
        media: vec![media],
        ..description(local)
    };
    description.to_string().into_bytes()
}

/// The clocks of what we offer, beside that of every telephone.
fn other_clocks(local: &LocalMedia) -> Vec<u32> {
    let mut clocks = Vec::new();
    for codec in local.codecs.iter().filter(|codec| !codec.last_resort) {
        if codec.clock_rate != EVENT_CLOCK && !clocks.contains(&codec.clock_rate) {
            clocks.push(codec.clock_rate);
        }
    }
    clocks
}

/// Takes the peer's answer to an offer of ours. Mux is agreed where we offered it, with DTLS.
///
/// # Errors
/// Why the answer is unusable.
pub fn accept_answer(local: &LocalMedia, answer: &[u8]) -> Result<Negotiated, OfferRejected> {
    let answer = SessionDescription::parse(answer).map_err(|_| OfferRejected::BadSdp)?;
    let first = answer.media.first().ok_or(OfferRejected::NoAudio)?;
    if !is_audio(first) {
        return Err(OfferRejected::NoAudio);
    }
    let (mut negotiated, tag) = negotiate(&answer, first, local, Said::Answer)?;
    if local.srtp.is_dtls() && first.rtcp_mux {
        negotiated.rtcp_mux = true;
        negotiated.remote_rtcp = negotiated.remote;
    }
    if let (Some(pair), Some(tag)) = (&mut negotiated.crypto, tag) {
        // The tag says which of our lines was taken.
        let taken = local.crypto.iter().find(|line| line.tag == tag);
        let key = taken.filter(|line| line.suite == pair.suite);
        pair.local_key = key.ok_or(OfferRejected::SrtpRefused)?.key.clone();
    }
    Ok(negotiated)
}

/// An agreement and the tag of the crypto line it uses.
type Agreement = (Negotiated, Option<u32>);

/// How well the media of an agreement is protected.
fn rank(agreed: &Negotiated, policy: SrtpPolicy) -> u8 {
    match (&agreed.dtls, &agreed.crypto) {
        (Some(_), _) => 1 + u8::from(policy.is_dtls()),
        (None, Some(_)) => 1,
        (None, None) => 0,
    }
}

/// The audio line to take, by policy, then by its place.
fn choose(
    offer: &SessionDescription,
    local: &LocalMedia,
) -> Result<(usize, Negotiated, Option<u32>), OfferRejected> {
    let mut found: Option<(usize, Agreement)> = None;
    let mut reason = OfferRejected::NoAudio;
    for (index, media) in offer.media.iter().enumerate() {
        if !is_audio(media) {
            continue;
        }
        match negotiate(offer, media, local, Said::Offer) {
            Ok(agreement) => {
                let is_better = found.as_ref().is_none_or(|(_, best)| {
                    rank(&agreement.0, local.srtp) > rank(&best.0, local.srtp)
                });
                if is_better {
                    found = Some((index, agreement));
                }
            }
            Err(refused) if reason == OfferRejected::NoAudio => reason = refused,
            Err(_) => {}
        }
    }
    match found {
        Some((index, (negotiated, tag))) => Ok((index, negotiated, tag)),
        None => Err(reason),
    }
}

fn is_audio(media: &Media) -> bool {
    media.kind == "audio" && media.port != 0
}

/// What one audio line of the peer agrees to with us.
fn negotiate(
    description: &SessionDescription,
    media: &Media,
    local: &LocalMedia,
    said: Said,
) -> Result<Agreement, OfferRejected> {
    let (tag, crypto, dtls) = match security::negotiate(description, media, local, said)? {
        Security::Plain => (None, None, None),
        Security::Sdes(tag, pair) => (Some(tag), Some(pair), None),
        Security::Dtls(terms) => (None, None, Some(terms)),
    };
    let (codec, ours, our_parameters) = common_codec(media, local, said)?;
    let extra = |name: &str, wanted: bool, clock_rate: u32| {
        let mut maps = media.codecs.iter();
        maps.find(|map| {
            wanted
                && map.name.eq_ignore_ascii_case(name)
                && map.clock_rate == clock_rate
                && map.channels == 1
        })
        .map(|map| map.payload_type)
    };
    let events = |rate| {
        let payload_type = extra("telephone-event", local.telephone_event, rate);
        payload_type.map(|payload_type| (payload_type, rate))
    };
    let events = events(codec.clock_rate).or_else(|| events(EVENT_CLOCK));
    let ice = match ice::negotiate(description, media, local) {
        Ice::Agreed(terms) => Some(terms),
        Ice::No | Ice::Mismatch => None,
    };
    let is_found_by_checks = ice.is_some() && ice::has_no_address_yet(description, media);
    let (remote, remote_rtcp) = if is_found_by_checks {
        (None, None)
    } else {
        addresses(description, media, local)?
    };
    let flows = media
        .direction
        .or(description.direction)
        .unwrap_or(Direction::SendRecv);
    let negotiated = Negotiated {
        codec: CodecChoice {
            name: ours.name.to_owned(),
            clock_rate: codec.clock_rate,
            channels: codec.channels,
            payload_type: codec.payload_type,
            parameters: codec.parameters.clone(),
            our_parameters,
        },
        telephone_event: events.map(|(payload_type, _)| payload_type),
        event_clock_rate: events.map_or(EVENT_CLOCK, |(_, rate)| rate),
        comfort_noise: extra("CN", local.comfort_noise, codec.clock_rate),
        ptime_ms: packet_time(media, local),
        remote,
        remote_rtcp,
        rtcp_mux: false,
        direction: our_direction(flows, remote.is_some() || is_found_by_checks),
        crypto,
        dtls,
        ice,
        is_found_by_checks,
    };
    Ok((negotiated, tag))
}

/// The first codec of the peer that is ours as well, and what we say of it; the last resorts where there is no other, and it is they who offer.
fn common_codec<'a>(
    media: &'a Media,
    local: &'a LocalMedia,
    said: Said,
) -> Result<(&'a RtpMap, &'a CodecOffer, Option<String>), OfferRejected> {
    let both = |last_resort| {
        let mut maps = media.codecs.iter();
        maps.find_map(|map| {
            let (ours, parameters) = ours_of(map, local, last_resort)?;
            Some((map, ours, parameters))
        })
    };
    let found = both(false).or_else(|| both(true).filter(|_| said == Said::Offer));
    found.ok_or_else(|| {
        let offered = media.codecs.iter();
        OfferRejected::NoCommonCodec {
            offered: offered
                .map(|map| format!("{}/{}", map.name, map.clock_rate))
                .collect(),
        }
    })
}

/// Our codec of the same name, clock and channels, and what we say of it; a peer may leave the channels of Opus out.
fn ours_of<'a>(
    map: &RtpMap,
    local: &'a LocalMedia,
    last_resort: bool,
) -> Option<(&'a CodecOffer, Option<String>)> {
    local.codecs.iter().find_map(|codec| {
        let is_same = codec.name.eq_ignore_ascii_case(&map.name)
            && codec.last_resort == last_resort
            && codec.clock_rate == map.clock_rate
            && (codec.channels == map.channels || map.channels == 1);
        let said = is_same.then(|| formats::answered(codec, map.parameters.as_deref()))?;
        Some((codec, said?))
    })
}

/// Where the peer receives media and reports; an unspecified address is the hold of RFC 2543.
fn addresses(
    description: &SessionDescription,
    media: &Media,
    local: &LocalMedia,
) -> Result<(Option<SocketAddr>, Option<SocketAddr>), OfferRejected> {
    let connection = media
        .connection
        .as_ref()
        .or(description.connection.as_ref());
    let Some(Connection::Address(address)) = connection else {
        return Err(OfferRejected::UnusableAddress);
    };
    let address = address.to_canonical();
    if address.is_unspecified() {
        return Ok((None, None));
    }
    if !is_usable(address, local.address) {
        return Err(OfferRejected::UnusableAddress);
    }
    let rtcp = match media.rtcp {
        Some((port, other)) => {
            let other = other.map(|other| other.to_canonical());
            let other = other.filter(|other| is_usable(*other, local.address));
            Some(SocketAddr::new(other.unwrap_or(address), port))
        }
        None => {
            let above = media.port.checked_add(1);
            above.map(|port| SocketAddr::new(address, port))
        }
    };
    Ok((Some(SocketAddr::new(address, media.port)), rtcp))
}

/// Whether media may be sent there: no group, no broadcast, and this machine itself only when we are on loopback too.
///
/// The other IP version is no reason to refuse: a softphone with both writes its IPv6 address even when it calls over IPv4,
/// and its media comes from where its signalling does (symmetric RTP). Until it has come, ours has nowhere to go.
fn is_usable(peer: IpAddr, local: IpAddr) -> bool {
    let local = local.to_canonical();
    let is_reserved = match peer {
        IpAddr::V4(peer) => peer.octets()[0] == 0 || peer.octets()[0] >= 224,
        IpAddr::V6(peer) => peer.is_multicast(),
    };
    !is_reserved && !peer.is_unspecified() && (!peer.is_loopback() || local.is_loopback())
}

/// What we do when the peer says what it does. Towards a peer that is reachable nowhere nothing is sent.
fn our_direction(said: Direction, is_reachable: bool) -> Direction {
    let ours = said.reversed();
    match (ours, is_reachable) {
        (Direction::SendRecv, false) => Direction::RecvOnly,
        (Direction::SendOnly, false) => Direction::Inactive,
        (
            Direction::SendRecv | Direction::SendOnly | Direction::RecvOnly | Direction::Inactive,
            _,
        ) => ours,
    }
}

/// The peer's wish where it is a whole number of tens that we do, else ours; never above its maximum.
fn packet_time(media: &Media, local: &LocalMedia) -> u32 {
    let wanted = media
        .ptime_ms
        .filter(|ms| PTIME_MS.contains(ms) && ms % 10 == 0)
        .unwrap_or(local.ptime_ms);
    match media.maxptime_ms {
        Some(limit) if limit < wanted => (limit / 10 * 10).max(*PTIME_MS.start()),
        Some(_) | None => wanted,
    }
}

fn description(local: &LocalMedia) -> SessionDescription {
    SessionDescription {
        origin: Origin {
            username: "-".to_owned(),
            session_id: local.session_id,
            session_version: local.session_version,
            address: local.address.to_string(),
        },
        connection: Some(Connection::Address(local.address)),
        direction: None,
        dtls: DtlsLines::default(),
        ice: IceLines::default(),
        bundle: Vec::new(),
        timing: "0 0".to_owned(),
        media: Vec::new(),
    }
}

fn our_line(local: &LocalMedia, protocol: &str, codecs: Vec<RtpMap>) -> Media {
    let formats = codecs.iter().map(|map| map.payload_type.to_string());
    Media {
        kind: "audio".to_owned(),
        port: local.port,
        protocol: protocol.to_owned(),
        mid: None,
        formats: formats.collect(),
        connection: None,
        direction: None,
        codecs,
        ptime_ms: None,
        maxptime_ms: None,
        rtcp: local
            .rtcp_port
            .filter(|port| local.port.checked_add(1) != Some(*port))
            .map(|port| (port, None)),
        rtcp_mux: false,
        crypto: Vec::new(),
        dtls: DtlsLines::default(),
        ice: IceLines::default(),
    }
}

/// Our side of the chosen line: the offer's payload types, the one codec, the key of the chosen tag.
fn answer_line(
    offered: &Media,
    local: &LocalMedia,
    negotiated: &Negotiated,
    crypto_tag: Option<u32>,
) -> Media {
    let codec = &negotiated.codec;
    let rate = codec.clock_rate;
    let mut codecs = vec![RtpMap {
        channels: codec.channels,
        ..map(
            codec.payload_type,
            &codec.name,
            rate,
            codec.our_parameters.as_deref(),
        )
    }];
    if let Some(payload_type) = negotiated.comfort_noise {
        codecs.push(map(payload_type, "CN", rate, None));
    }
    if let Some(payload_type) = negotiated.telephone_event {
        let rate = negotiated.event_clock_rate;
        codecs.push(map(payload_type, "telephone-event", rate, Some("0-15")));
    }
    let mut media = our_line(local, &offered.protocol, codecs);
    media.mid.clone_from(&offered.mid);
    media.ptime_ms = Some(negotiated.ptime_ms);
    media.direction = Some(negotiated.direction);
    if negotiated.rtcp_mux {
        media.rtcp_mux = true;
        media.rtcp = None;
    }
    if let (Some(tag), Some(pair)) = (crypto_tag, &negotiated.crypto) {
        media.crypto.push(CryptoLine {
            tag,
            suite: pair.suite.clone(),
            key: pair.local_key.clone(),
        });
    }
    if let Some(terms) = &negotiated.dtls {
        media.dtls = security::answered(local, terms);
    }
    media
}

/// RFC 3264 section 6: port 0, at least one format.
fn refused_line(offered: &Media) -> Media {
    Media {
        kind: offered.kind.clone(),
        port: 0,
        protocol: offered.protocol.clone(),
        mid: offered.mid.clone(),
        formats: offered.formats.iter().take(1).cloned().collect(),
        connection: None,
        direction: None,
        codecs: Vec::new(),
        ptime_ms: None,
        maxptime_ms: None,
        rtcp: None,
        rtcp_mux: false,
        crypto: Vec::new(),
        dtls: DtlsLines::default(),
        ice: IceLines::default(),
    }
}

fn map(payload_type: u8, name: &str, clock_rate: u32, parameters: Option<&str>) -> RtpMap {
    RtpMap {
        payload_type,
        name: name.to_owned(),
        clock_rate,
        channels: 1,
        parameters: parameters.map(str::to_owned),
    }
}

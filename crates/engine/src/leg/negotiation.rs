//! Between SDP (`sip`) and a stream's settings (`media`), and the journal's words for what was agreed.

use std::net::{IpAddr, SocketAddr};

use call::EndReason;
use media::{
    AmrTerms, Codec, Keypad, LatchPolicy, OpusTerms, SrtpConfig, SrtpSuite, StreamConfig, Treatment,
};
use sip::sdp::offer_answer::{
    CodecOffer, CryptoLine, LocalDtls, LocalMedia, Negotiated, OfferRejected, SrtpPolicy,
};
use store::journal::SdpDecision;

use super::way::Announced;
use crate::config::{LineConfig, SrtpPolicy as LinePolicy};
use crate::leg::dtls;
use crate::nat::NatMode;
use crate::random;

/// How records name audio whose keys DTLS gives.
pub(crate) const DTLS_SRTP: &str = "DTLS-SRTP";

/// Audio per packet that we offer, ms.
const PTIME_MS: u32 = 20;
/// SRTP suites in our order of preference.
const SUITES: [SrtpSuite; 2] = [
    SrtpSuite::AesCm128HmacSha1_80,
    SrtpSuite::AesCm128HmacSha1_32,
];

/// What we can do on a line, with fresh keys.
pub(crate) fn local_media(line: &LineConfig, announced: Announced) -> LocalMedia {
    let crypto = match line.srtp {
        LinePolicy::Off => Vec::new(),
        LinePolicy::Preferred
        | LinePolicy::Required
        | LinePolicy::DtlsPreferred
        | LinePolicy::DtlsRequired => (1..)
            .zip(SUITES)
            .map(|(tag, suite)| {
                let mut key = vec![0; suite.key_len()];
                random::fill(&mut key);
                CryptoLine {
                    tag,
                    suite: suite.name().to_owned(),
                    key,
                }
            })
            .collect(),
    };
    let named = line.codecs.iter().map(|codec| (*codec, false));
    let beside = Codec::taken_beside(&line.codecs).iter();
    let each = named.chain(beside.map(|codec| (*codec, true)));
    let codecs = each.flat_map(|(codec, last_resort)| offers(codec, last_resort));
    // The session id of SDP needs no secrecy but should not repeat (RFC 8866 section 5.2); 32 bits fit every parser.
    let session_id = random::seed() >> 32;
    LocalMedia {
        address: announced.address,
        port: announced.port,
        rtcp_port: announced.rtcp_port,
        codecs: codecs.collect(),
        telephone_event: line.keypad.has_events(),
        comfort_noise: true,
        srtp: policy(line.srtp),
        crypto,
        dtls: local_dtls(line.srtp),
        ice: announced.ice,
        for_browsers: false,
        ptime_ms: PTIME_MS,
        session_id,
        session_version: session_id,
    }
}

/// What SDP says of a codec; of AMR-WB both layouts of its packets, as neither can be read as the other.
fn offers(codec: Codec, last_resort: bool) -> impl Iterator<Item = CodecOffer> {
    let ways: &[_] = match codec {
        Codec::Pcmu | Codec::Pcma | Codec::G722 => &[None],
        Codec::Opus => &[Some(OpusTerms::OURS)],
        Codec::G729 => &[Some("annexb=no")],
        // What we answer is the peer's layout, so one of them is enough there.
        Codec::AmrWb if last_resort => &[Some(AmrTerms::OURS)],
        Codec::AmrWb => &[Some(AmrTerms::OURS_BY_OCTETS), Some(AmrTerms::OURS)],
    };
    ways.iter().map(move |parameters| CodecOffer {
        name: codec.name(),
        clock_rate: codec.clock_hz(),
        channels: codec.channels(),
        parameters: *parameters,
        static_payload: codec.static_payload_type(),
        last_resort,
    })
}

/// What was agreed is offered from now on, where the offer is ours: the peer may have nothing else.
pub(crate) fn keep_offering(local: &mut LocalMedia, agreed: &Negotiated) {
    let mut codecs = local.codecs.iter_mut();
    let Some(codec) = codecs.find(|codec| codec.last_resort && codec.name == agreed.codec.name)
    else {
        return;
    };
    codec.last_resort = false;
    let parameters = agreed.codec.parameters.as_deref().unwrap_or_default();
    if codec.name == Codec::AmrWb.name() && AmrTerms::from_parameters(parameters).octet_aligned {
        codec.parameters = Some(AmrTerms::OURS_BY_OCTETS);
    }
}

/// A line as it is towards one peer. Who came by a WebSocket, which browsers do, takes audio by ICE and DTLS alone, whatever the line has for
/// telephones.
pub(crate) struct Towards<'a> {
    line: &'a LineConfig,
    /// In a box: what waits for the address of the audio holds this.
    browser: Option<Box<LineConfig>>,
}

impl<'a> Towards<'a> {
    /// An offer of theirs is answered as it is, encrypted or (from a program that is no browser) plain where the line does not demand
    /// otherwise; `we_offer`: what we offer is for browsers.
    pub(crate) fn peer(line: &'a LineConfig, by_websocket: bool, we_offer: bool) -> Self {
        let browser = by_websocket.then(|| Box::new(for_browser(line, we_offer)));
        Self { line, browser }
    }

    pub(crate) const fn is_browser(&self) -> bool {
        self.browser.is_some()
    }

    /// What holds towards them.
    pub(crate) fn line(&self) -> &LineConfig {
        self.browser.as_deref().unwrap_or(self.line)
    }

    /// See [`local_media`].
    pub(crate) fn local_media(&self, announced: Announced) -> LocalMedia {
        LocalMedia {
            for_browsers: self.is_browser(),
            ..local_media(self.line(), announced)
        }
    }
}

fn for_browser(line: &LineConfig, we_offer: bool) -> LineConfig {
    let mut line = line.clone();
    line.nat.mode = NatMode::Ice;
    line.srtp = match line.srtp {
        _ if we_offer => LinePolicy::DtlsRequired,
        LinePolicy::Off | LinePolicy::Preferred | LinePolicy::DtlsPreferred => {
            LinePolicy::DtlsPreferred
        }
        LinePolicy::Required => LinePolicy::Required,
        LinePolicy::DtlsRequired => LinePolicy::DtlsRequired,
    };
    line
}

/// Our side of DTLS; it answers an actpass by waiting: a peer behind a router is reached once it has sent something, and telephones with
/// certificates of RSA are proved as clients by any suite.
fn local_dtls(policy: LinePolicy) -> Option<LocalDtls> {
    if policy == LinePolicy::Off {
        return None;
    }
    Some(LocalDtls {
        fingerprint: dtls::fingerprint()?,
        active: false,
    })
}

const fn policy(policy: LinePolicy) -> SrtpPolicy {
    match policy {
        LinePolicy::Off => SrtpPolicy::Off,
        LinePolicy::Preferred => SrtpPolicy::Preferred,
        LinePolicy::Required => SrtpPolicy::Required,
        LinePolicy::DtlsPreferred => SrtpPolicy::DtlsPreferred,
        LinePolicy::DtlsRequired => SrtpPolicy::DtlsRequired,
    }
}

/// A stream's settings; `None` when the peer chose what we never offered.
pub(crate) fn stream_config(
    agreed: &Negotiated,
    signalling: Option<IpAddr>,
    (cname, keypad, treatment): (&str, Keypad, Treatment),
) -> Option<StreamConfig> {
    let codec = Codec::from_name(&agreed.codec.name)?;
    let srtp = match (&agreed.crypto, &agreed.dtls) {
        (None, None) => None,
        (None, Some(_)) => Some(SrtpConfig::awaited()),
        (Some(pair), _) => Some(SrtpConfig {
            suite: SrtpSuite::from_name(&pair.suite)?,
            local_key: pair.local_key.clone(),
            remote_key: pair.remote_key.clone(),
        }),
    };
    Some(StreamConfig {
        codec,
        payload_type: agreed.codec.payload_type,
        opus: agreed
            .codec
            .parameters
            .as_deref()
            .map(OpusTerms::from_parameters)
            .unwrap_or_default(),
        amr: agreed
            .codec
            .parameters
            .as_deref()
            .map(AmrTerms::from_parameters)
            .unwrap_or_default(),
        keypad,
        treatment,
        telephone_event: agreed.telephone_event,
        event_clock_hz: agreed.event_clock_rate,
        comfort_noise: agreed.comfort_noise,
        ptime_ms: agreed.ptime_ms,
        remote: agreed.remote,
        remote_rtcp: agreed.remote_rtcp,
        rtcp_mux: agreed.rtcp_mux,
        direction: direction(agreed.direction),
        srtp,
        latch: LatchPolicy {
            symmetric: true,
            signalling,
        },
        cname: cname.to_owned(),
    })
}

const fn direction(direction: sip::sdp::Direction) -> media::Direction {
    match direction {
        sip::sdp::Direction::SendRecv => media::Direction::SendRecv,
        sip::sdp::Direction::SendOnly => media::Direction::SendOnly,
        sip::sdp::Direction::RecvOnly => media::Direction::RecvOnly,
        sip::sdp::Direction::Inactive => media::Direction::Inactive,
    }
}

/// The peer holds us: it does not listen.
pub(crate) fn is_held(agreed: &Negotiated) -> bool {
    !agreed.direction.sends() || agreed.remote.is_none() && !agreed.is_found_by_checks
}

/// The journal's account of an agreement.
pub(crate) fn accepted(agreed: &Negotiated, local: &LocalMedia, we_answered: bool) -> SdpDecision {
    SdpDecision {
        we_answered,
        accepted: true,
        codec: Some(agreed.codec.name.clone()),
        payload_type: Some(agreed.codec.payload_type),
        telephone_event: agreed.telephone_event.is_some(),
        srtp: match (&agreed.crypto, &agreed.dtls) {
            (Some(pair), _) => Some(pair.suite.clone()),
            (None, Some(_)) => Some(DTLS_SRTP.to_owned()),
            (None, None) => None,
        },
        direction: agreed.direction.as_str().to_owned(),
        local: Some(SocketAddr::new(local.address, local.port).to_string()),
        remote: agreed.remote.map(|remote| remote.to_string()),
        ..SdpDecision::default()
    }
}

/// The journal's account of a refusal.
pub(crate) fn refused(why: &OfferRejected, we_answered: bool) -> SdpDecision {
    let offered = match why {
        OfferRejected::NoCommonCodec { offered } => offered.clone(),
        OfferRejected::NoAudio
        | OfferRejected::BadSdp
        | OfferRejected::SrtpRequired
        | OfferRejected::SrtpRefused
        | OfferRejected::UnusableAddress => Vec::new(),
    };
    SdpDecision {
        we_answered,
        refusal: Some(label(why).to_owned()),
        offered,
        ..SdpDecision::default()
    }
}

const fn label(why: &OfferRejected) -> &'static str {
    match why {
        OfferRejected::NoCommonCodec { .. } => "no_common_codec",
        OfferRejected::NoAudio => "no_audio",
        OfferRejected::BadSdp => "bad_sdp",
        OfferRejected::SrtpRequired => "srtp_required",
        OfferRejected::SrtpRefused => "srtp_refused",
        OfferRejected::UnusableAddress => "unusable_address",
    }
}

/// Why the call ends when an offer cannot be used.
pub(crate) const fn end_reason(why: &OfferRejected) -> EndReason {
    match why {
        OfferRejected::NoCommonCodec { .. } => EndReason::NoCommonCodec,
        OfferRejected::NoAudio
        | OfferRejected::BadSdp
        | OfferRejected::SrtpRequired
        | OfferRejected::SrtpRefused
        | OfferRejected::UnusableAddress => EndReason::RejectedOffer,
    }
}

//! What an SDP offer of a page says, as far as it decides which codec and which of our addresses the answer names.
//!
//! The offer itself is judged and answered by `str0m`; here only the first audio section is read (RFC 8866, RFC 8839).

use std::net::{IpAddr, SocketAddr};

use media::Codec;

use crate::config::RtpConfig;
use crate::leg::media::route_to;

/// Longest offer, bytes: a browser's for one microphone is a tenth of it.
pub(crate) const OFFER_BYTES_MAX: usize = 32_768;
/// Addresses of ours that an answer names.
const ADDRESSES_MAX: usize = 8;
/// Addresses of the page that are looked at.
const OFFERED_MAX: usize = 16;
/// What we ask of a page's Opus besides what `str0m` writes: nothing above 8 kHz, which no engine hears, and the bits for what is below
/// (RFC 7587 section 6.1; a browser that is told the bandwidth alone saves at the bits as well).
const OPUS_TERMS: &str =
    ";maxplaybackrate=16000;sprop-maxcapturerate=16000;maxaveragebitrate=40000";
/// Codec names that a refusal repeats.
const NAMES_MAX: usize = 16;
/// Addresses of documentation (RFC 5737, RFC 3849): the way to them is the way out.
const ELSEWHERE: [&str; 2] = ["192.0.2.1", "2001:db8::1"];

/// Why an offer cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// It is no offer that WebRTC can use.
    #[error("the offer cannot be used: {0}")]
    Unusable(String),
    /// It has no audio, or audio that goes no way.
    #[error("the offer has no audio")]
    NoAudio,
    /// None of its codecs is one of ours.
    #[error("none of the codecs of the offer is one of ours: {0}")]
    NoCommonCodec(String),
}

/// The audio of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Audio {
    /// The first of its codecs that is one of ours.
    pub(super) codec: Codec,
    pub(super) payload_type: u8,
    /// Its parameters (`a=fmtp`).
    pub(super) parameters: String,
    /// Payload type of telephone-event in the clock of the codec.
    pub(super) telephone_event: Option<u8>,
    /// Name of the section (`a=mid`, RFC 5888).
    pub(super) mid: String,
    /// Where the page may be reached.
    pub(super) candidates: Vec<IpAddr>,
}

impl Audio {
    pub(super) fn read(offer: &str) -> Result<Self, OfferError> {
        let mut section = Section::default();
        let mut inside = false;
        for line in offer.lines().map(str::trim_end) {
            if let Some(media) = line.strip_prefix("m=") {
                if inside {
                    break;
                }
                inside = section.begin(media);
            } else if inside {
                section.read(line);
            }
        }
        if !inside || section.inactive {
            return Err(OfferError::NoAudio);
        }
        section.choose()
    }

    /// Our answer with what we ask of Opus.
    pub(super) fn complete(&self, answer: &str) -> String {
        let terms = format!("a=fmtp:{} ", self.payload_type);
        let mut complete = String::with_capacity(answer.len() + OPUS_TERMS.len());
        for line in answer.lines() {
            complete.push_str(line);
            if self.codec == Codec::Opus && line.starts_with(&terms) {
                complete.push_str(OPUS_TERMS);
            }
            complete.push_str("\r\n");
        }
        complete
    }

    /// Clock in which events count their length, Hz.
    pub(super) fn clock_hz(&self) -> u32 {
        self.codec.clock_hz()
    }
}

#[derive(Default)]
struct Section<'a> {
    payload_types: Vec<u8>,
    /// Payload type, name and clock.
    maps: Vec<(u8, &'a str, u32)>,
    parameters: Vec<(u8, &'a str)>,
    mid: &'a str,
    candidates: Vec<IpAddr>,
    inactive: bool,
}

impl<'a> Section<'a> {
    /// Whether `m=` begins audio that is wanted.
    fn begin(&mut self, media: &str) -> bool {
        let mut words = media.split(' ');
        if words.next() != Some("audio") || words.next() == Some("0") {
            return false;
        }
        self.payload_types = words.skip(1).filter_map(|word| word.parse().ok()).collect();
        true
    }

    fn read(&mut self, line: &'a str) {
        if let Some(map) = line.strip_prefix("a=rtpmap:") {
            let mut parts = map.splitn(2, ' ');
            let number = parts.next().and_then(|number| number.parse().ok());
            let mut form = parts.next().unwrap_or_default().split('/');
            let name = form.next().unwrap_or_default();
            let clock = form.next().and_then(|clock| clock.parse().ok());
            if let (Some(number), Some(clock)) = (number, clock) {
                self.maps.push((number, name, clock));
            }
        } else if let Some((number, text)) = line
            .strip_prefix("a=fmtp:")
            .and_then(|rest| rest.split_once(' '))
        {
            if let Ok(number) = number.parse() {
                self.parameters.push((number, text));
            }
        } else if let Some(candidate) = line.strip_prefix("a=candidate:") {
            let address = candidate.split(' ').nth(4);
            let address = address.and_then(|address| address.parse().ok());
            if let Some(address) = address
                && self.candidates.len() < OFFERED_MAX
            {
                self.candidates.push(address);
            }
        } else if let Some(mid) = line.strip_prefix("a=mid:") {
            self.mid = mid;
        } else if line == "a=inactive" {
            self.inactive = true;
        }
    }

    fn choose(self) -> Result<Audio, OfferError> {
        let found = self.payload_types.iter().find_map(|number| {
            let codec = self.codec(*number)?;
            Some((codec, *number))
        });
        let Some((codec, payload_type)) = found else {
            let names = self.maps.iter().take(NAMES_MAX);
            let names: Vec<&str> = names.map(|(_, name, _)| *name).collect();
            return Err(OfferError::NoCommonCodec(names.join(", ")));
        };
        let parameters = self
            .parameters
            .iter()
            .find(|(number, _)| *number == payload_type)
            .map_or_else(String::new, |(_, text)| (*text).to_owned());
        let telephone_event = self.maps.iter().find(|(_, name, clock)| {
            name.eq_ignore_ascii_case("telephone-event") && *clock == codec.clock_hz()
        });
        Ok(Audio {
            codec,
            payload_type,
            parameters,
            telephone_event: telephone_event.map(|(number, _, _)| *number),
            mid: self.mid.to_owned(),
            candidates: self.candidates,
        })
    }

    /// The codec of a payload type, of those that every browser has (RFC 7874 section 3).
    fn codec(&self, number: u8) -> Option<Codec> {
        let mapped = self.maps.iter().find(|(known, _, _)| *known == number);
        [Codec::Opus, Codec::Pcmu, Codec::Pcma]
            .into_iter()
            .find(|codec| match mapped {
                Some((_, name, clock)) => {
                    name.eq_ignore_ascii_case(codec.name()) && *clock == codec.clock_hz()
                }
                None => codec.static_payload_type() == Some(number),
            })
    }
}

/// Where a page may send to: the configured address, else the bound one, else those of our addresses that lie on the way to it and on
/// the way out.
pub(super) fn our_addresses(
    rtp: &RtpConfig,
    port: u16,
    client: Option<IpAddr>,
    offered: &[IpAddr],
) -> Vec<SocketAddr> {
    if let Some(address) = rtp.advertised {
        return vec![SocketAddr::new(address, port)];
    }
    if !rtp.bind.is_unspecified() {
        return vec![SocketAddr::new(rtp.bind, port)];
    }
    let elsewhere = ELSEWHERE.iter().filter_map(|text| text.parse().ok());
    let mut found: Vec<SocketAddr> = Vec::new();
    for peer in offered.iter().copied().chain(client).chain(elsewhere) {
        // Bound to IPv6, IPv4 is reached as well; not the other way round.
        if rtp.bind.is_ipv4() && peer.is_ipv6() {
            continue;
        }
        let Some(address) = route_to(SocketAddr::new(peer.to_canonical(), 9)) else {
            continue;
        };
        let address = SocketAddr::new(address, port);
        if !found.contains(&address) && found.len() < ADDRESSES_MAX {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The audio of Chromium's offer.
    const CHROMIUM: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
        m=audio 38901 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 192.0.2.2\r\n\
        a=candidate:1 1 udp 2122260223 192.0.2.2 38901 typ host generation 0\r\n\
        a=candidate:2 1 udp 2122262783 7c0e6ab2.local 41030 typ host generation 0\r\n\
        a=mid:0\r\na=sendrecv\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
        a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\n\
        a=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\n\
        a=rtpmap:126 telephone-event/8000\r\n";

    #[test]
    fn the_first_codec_that_is_ours_is_taken_with_its_own_events() {
        let audio = Audio::read(CHROMIUM).expect("audio");
        assert_eq!((audio.codec, audio.payload_type), (Codec::Opus, 111));
        assert_eq!((audio.telephone_event, &*audio.mid), (Some(110), "0"));
        assert_eq!(audio.parameters, "minptime=10;useinbandfec=1");
        assert_eq!(audio.candidates, ["192.0.2.2".parse::<IpAddr>().unwrap()]);
        let narrow = CHROMIUM.replace("111 63 9 0", "9 0 111 63");
        let audio = Audio::read(&narrow).expect("audio");
        assert_eq!((audio.codec, audio.payload_type), (Codec::Pcmu, 0));
        assert_eq!(
            (audio.telephone_event, audio.clock_hz()),
            (Some(126), 8_000)
        );
        // A static payload type needs no map; one that is mapped to something else is that.
        assert_eq!(
            Audio::read("m=audio 9 RTP/SAVPF 8\n").map(|audio| audio.codec),
            Ok(Codec::Pcma)
        );
        let other = Audio::read("m=audio 9 RTP/SAVPF 0\na=rtpmap:0 speex/8000\n");
        assert_eq!(other, Err(OfferError::NoCommonCodec("speex".to_owned())));
    }

    #[test]
    fn the_answer_asks_for_what_we_hear() {
        let audio = Audio::read(CHROMIUM).expect("audio");
        let answer = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=fmtp:110 0-16\r\n";
        let complete = audio.complete(answer);
        assert_eq!(complete.replace(OPUS_TERMS, ""), answer);
        assert!(
            complete.contains("useinbandfec=1;maxplaybackrate=16000;"),
            "{complete}"
        );
        let narrow = Audio {
            codec: Codec::Pcmu,
            ..audio
        };
        assert_eq!(narrow.complete(answer), answer);
    }

    #[test]
    fn what_has_no_audio_for_us_says_so() {
        for text in [
            "",
            "v=0\r\n",
            "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n",
            "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n",
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=inactive\r\na=rtpmap:111 opus/48000/2\r\n",
        ] {
            assert_eq!(Audio::read(text), Err(OfferError::NoAudio), "{text}");
        }
        // What another section says is not of the audio.
        let after = "m=audio 9 X 96\r\na=rtpmap:96 G729/8000\r\nm=video 9 X 111\r\na=rtpmap:111 opus/48000/2\r\n";
        let refused = Audio::read(after);
        assert_eq!(refused, Err(OfferError::NoCommonCodec("G729".to_owned())));
    }

    #[test]
    fn the_answer_names_the_configured_address_else_those_on_the_way() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut rtp = RtpConfig::default();
        let loopback = address("127.0.0.1");
        let found = our_addresses(&rtp, 4_000, Some(loopback), &[loopback, address("::1")]);
        assert_eq!(found.first(), Some(&SocketAddr::new(loopback, 4_000)));
        assert!(
            found.iter().all(SocketAddr::is_ipv4) && found.len() <= 2,
            "{found:?}"
        );
        rtp.bind = loopback;
        assert_eq!(
            our_addresses(&rtp, 4_000, None, &[]),
            [SocketAddr::new(loopback, 4_000)]
        );
        rtp.advertised = Some(address("198.51.100.7"));
        let said = our_addresses(&rtp, 4_000, Some(loopback), &[loopback]);
        assert_eq!(said, ["198.51.100.7:4000".parse::<SocketAddr>().unwrap()]);
    }
}

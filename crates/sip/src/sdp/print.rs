//! Session descriptions to text.

use super::{Connection, DtlsLines, Media, SessionDescription};
use std::fmt;
use std::net::IpAddr;

impl fmt::Display for SessionDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = &self.origin;
        let family = if origin.address.contains(':') {
            "IP6"
        } else {
            "IP4"
        };
        write!(
            f,
            "v=0\r\no={} {} {} IN {family} {}\r\ns=-\r\n",
            origin.username, origin.session_id, origin.session_version, origin.address
        )?;
        if let Some(connection) = &self.connection {
            write!(f, "c={connection}\r\n")?;
        }
        write!(f, "t={}\r\n", self.timing)?;
        if !self.bundle.is_empty() {
            write!(f, "a=group:BUNDLE {}\r\n", self.bundle.join(" "))?;
        }
        if let Some(direction) = self.direction {
            write!(f, "a={}\r\n", direction.as_str())?;
        }
        self.dtls.fmt(f)?;
        self.ice.fmt(f)?;
        self.media.iter().try_for_each(|media| media.fmt(f))
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V4(address)) => write!(f, "IN IP4 {address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "IN IP6 {address}"),
            Self::Name(name) => write!(f, "IN IP4 {name}"),
        }
    }
}

impl fmt::Display for DtlsLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fingerprint in &self.fingerprints {
            write!(f, "a=fingerprint:{} ", fingerprint.hash)?;
            for (place, byte) in fingerprint.bytes.iter().enumerate() {
                let colon = if place == 0 { "" } else { ":" };
                write!(f, "{colon}{byte:02X}")?;
            }
            f.write_str("\r\n")?;
        }
        match self.setup {
            Some(setup) => write!(f, "a=setup:{}\r\n", setup.as_str()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "m={} {} {} {}\r\n",
            self.kind,
            self.port,
            self.protocol,
            self.formats.join(" ")
        )?;
        if let Some(connection) = &self.connection {
            write!(f, "c={connection}\r\n")?;
        }
        if let Some(mid) = &self.mid {
            write!(f, "a=mid:{mid}\r\n")?;
        }
        for map in &self.codecs {
            write!(
                f,
                "a=rtpmap:{} {}/{}",
                map.payload_type, map.name, map.clock_rate
            )?;
            if map.channels > 1 {
                write!(f, "/{}", map.channels)?;
            }
            f.write_str("\r\n")?;
            if let Some(parameters) = &map.parameters {
                write!(f, "a=fmtp:{} {parameters}\r\n", map.payload_type)?;
            }
        }
        if let Some(ptime_ms) = self.ptime_ms {
            write!(f, "a=ptime:{ptime_ms}\r\n")?;
        }
        if let Some(maxptime_ms) = self.maxptime_ms {
            write!(f, "a=maxptime:{maxptime_ms}\r\n")?;
        }
        match self.rtcp {
            Some((port, Some(address))) => {
                write!(f, "a=rtcp:{port} {}\r\n", Connection::Address(address))?;
            }
            Some((port, None)) => write!(f, "a=rtcp:{port}\r\n")?,
            None => {}
        }
        if self.rtcp_mux {
            f.write_str("a=rtcp-mux\r\n")?;
        }
        for line in &self.crypto {
            let key = base64_simd::STANDARD.encode_to_string(&line.key);
            write!(f, "a=crypto:{} {} inline:{key}\r\n", line.tag, line.suite)?;
        }
        self.dtls.fmt(f)?;
        self.ice.fmt(f)?;
        match self.direction {
            Some(direction) => write!(f, "a={}\r\n", direction.as_str()),
            None => Ok(()),
        }
    }
}

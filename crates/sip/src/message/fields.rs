//! Small typed fields: CSeq, RAck, Session-Expires.

use super::error::Malformed;
use super::method::Method;
use super::params::Params;
use super::scan;
use std::fmt;
use std::str::FromStr;

/// RFC 3261 section 20.16; the number is below 2^31 (section 8.1.1.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    pub sequence: u32,
    pub method: Method,
}

impl FromStr for CSeq {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (sequence, method) = words(text)?;
        Ok(Self {
            sequence: sequence_number(sequence)?,
            method: method.parse()?,
        })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sequence, self.method)
    }
}

/// RFC 3262 section 7.2: which provisional response is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RAck {
    pub response: u32,
    pub sequence: u32,
    pub method: Method,
}

impl FromStr for RAck {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (response, rest) = words(text)?;
        let cseq: CSeq = rest.parse()?;
        Ok(Self {
            response: scan::number(response).ok_or(Malformed)?,
            sequence: cseq.sequence,
            method: cseq.method,
        })
    }
}

impl fmt::Display for RAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.response, self.sequence, self.method)
    }
}

/// Who sends the refresh (RFC 4028 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    Uac,
    Uas,
}

/// RFC 4028 section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// Seconds; clamped to `u32::MAX`, the user agent clamps further.
    pub interval_s: u32,
    pub refresher: Option<Refresher>,
}

impl FromStr for SessionExpires {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (interval, params) = text.split_at(text.find(';').unwrap_or(text.len()));
        let refresher = match Params::parse_header(params)?.value("refresher") {
            Some(role) if role.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
            Some(role) if role.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
            Some(_) | None => None,
        };
        Ok(Self {
            interval_s: scan::clamped(scan::trim(interval)).ok_or(Malformed)?,
            refresher,
        })
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.interval_s)?;
        match self.refresher {
            Some(Refresher::Uac) => f.write_str(";refresher=uac"),
            Some(Refresher::Uas) => f.write_str(";refresher=uas"),
            None => Ok(()),
        }
    }
}

fn words(text: &str) -> Result<(&str, &str), Malformed> {
    let (first, rest) = text.split_once([' ', '\t']).ok_or(Malformed)?;
    Ok((first, scan::trim(rest)))
}

fn sequence_number(text: &str) -> Result<u32, Malformed> {
    scan::number(text)
        .filter(|number| *number < 1 << 31)
        .ok_or(Malformed)
}

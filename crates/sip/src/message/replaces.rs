//! The Replaces header (RFC 3891 section 6.1): which dialog an INVITE takes the place of, in the words of whoever receives it.

use super::error::Malformed;
use super::params::Params;
use super::scan;
use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

/// A dialog that is to be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    pub call_id: String,
    /// The receiver's own tag.
    pub to_tag: String,
    /// The tag of the receiver's peer; `0` stands for none (RFC 2543).
    pub from_tag: String,
    /// Only a dialog that nobody has answered is to be replaced.
    pub early_only: bool,
}

impl Replaces {
    /// As a header inside of a URI (RFC 3261 section 19.1.1): everything that has a meaning there is escaped.
    pub fn in_uri(&self) -> String {
        let mut text = String::from("Replaces=");
        for byte in self.to_string().bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
                text.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
        text
    }
}

impl FromStr for Replaces {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let at = text.find(';').ok_or(Malformed)?;
        let (call_id, params) = text.split_at(at);
        let call_id = call_id.trim();
        let is_one_word =
            !call_id.is_empty() && !call_id.bytes().any(|byte| byte <= b' ' || byte == b',');
        let params = Params::parse_header(params)?;
        let tag = |wanted: &str| {
            let mut known = params
                .iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            let (_, value) = known.next().ok_or(Malformed)?;
            let value = value.filter(|value| value.bytes().all(scan::is_token_byte));
            // Each tag comes exactly once.
            let value = value.filter(|value| !value.is_empty() && known.next().is_none());
            value.map(str::to_owned).ok_or(Malformed)
        };
        if !is_one_word {
            return Err(Malformed);
        }
        Ok(Self {
            to_tag: tag("to-tag")?,
            from_tag: tag("from-tag")?,
            early_only: params.has("early-only"),
            call_id: call_id.to_owned(),
        })
    }
}

impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            call_id,
            to_tag,
            from_tag,
            early_only,
        } = self;
        write!(f, "{call_id};to-tag={to_tag};from-tag={from_tag}")?;
        f.write_str(if *early_only { ";early-only" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Uri;

    #[test]
    fn the_examples_of_rfc_3891_are_read() {
        let read = |text: &str| text.parse::<Replaces>();
        let known = read(
            "98732@sip.example.com\r\n  ;from-tag=r33th4x0r\r\n  ;to-tag=ff87ff"
                .replace("\r\n", "")
                .as_str(),
        );
        assert_eq!(
            known,
            Ok(Replaces {
                call_id: "98732@sip.example.com".to_owned(),
                to_tag: "ff87ff".to_owned(),
                from_tag: "r33th4x0r".to_owned(),
                early_only: false,
            })
        );
        let early = read("12adf2f34456gs5;to-tag=12345;from-tag=54321;early-only;x=y").unwrap();
        assert!(early.early_only);
        assert_eq!(
            early.to_string(),
            "12adf2f34456gs5;to-tag=12345;from-tag=54321;early-only"
        );
        assert_eq!(
            read("87134@171.161.34.23;to-tag=24796;from-tag=0")
                .unwrap()
                .from_tag,
            "0"
        );
    }

    #[test]
    fn one_that_names_no_single_dialog_is_malformed() {
        for text in [
            "",
            ";to-tag=a;from-tag=b",
            "call",
            "call;to-tag=a",
            "call;from-tag=a",
            "call;to-tag;from-tag=b",
            "call;to-tag=a;to-tag=b;from-tag=c",
            "two words;to-tag=a;from-tag=b",
            "call;to-tag=a;from-tag=b, other;to-tag=a;from-tag=b",
            "call;to-tag=\"a\";from-tag=b",
        ] {
            assert_eq!(text.parse::<Replaces>(), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn inside_of_a_uri_nothing_of_it_is_read_as_the_uri_s_own() {
        let replaces = Replaces {
            call_id: "a/b?c&d=e%41@h:1".to_owned(),
            to_tag: "t+o".to_owned(),
            from_tag: "f%".to_owned(),
            early_only: false,
        };
        let mut uri: Uri = "sip:bob@192.0.2.9:5070;transport=tcp".parse().unwrap();
        uri.headers = Some(replaces.in_uri());
        let text = uri.to_string();
        assert_eq!(
            text,
            "sip:bob@192.0.2.9:5070;transport=tcp?Replaces=a%2Fb%3Fc%26d%3De%2541%40h%3A1%3Bto-tag%3Dt%2Bo%3Bfrom-tag%3Df%25"
        );
        let again: Uri = text.parse().unwrap();
        assert_eq!(again, uri);
    }
}

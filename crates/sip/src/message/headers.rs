//! The ordered list of header fields and typed access to the fields that the room uses.

use super::challenge::AuthField;
use super::fields::{CSeq, RAck, SessionExpires};
use super::name_addr::NameAddr;
use super::scan;
use super::via::Via;
use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Rows of most messages.
const ROWS_EXPECTED: usize = 16;
/// Bytes that most values fit in.
const VALUE_BYTES_EXPECTED: usize = 48;

/// Canonical names of the header fields that the room reads or writes.
pub mod name {
    pub const ACCEPT: &str = "Accept";
    pub const ALERT_INFO: &str = "Alert-Info";
    pub const ALLOW: &str = "Allow";
    pub const AUTHENTICATION_INFO: &str = "Authentication-Info";
    pub const AUTHORIZATION: &str = "Authorization";
    pub const CALL_ID: &str = "Call-ID";
    pub const CONTACT: &str = "Contact";
    pub const CONTENT_ENCODING: &str = "Content-Encoding";
    pub const CONTENT_LENGTH: &str = "Content-Length";
    pub const CONTENT_TYPE: &str = "Content-Type";
    pub const CSEQ: &str = "CSeq";
    pub const DATE: &str = "Date";
    pub const EVENT: &str = "Event";
    pub const EXPIRES: &str = "Expires";
    pub const FROM: &str = "From";
    pub const IDENTITY: &str = "Identity";
    pub const JOIN: &str = "Join";
    pub const MAX_FORWARDS: &str = "Max-Forwards";
    pub const MIN_EXPIRES: &str = "Min-Expires";
    pub const MIN_SE: &str = "Min-SE";
    pub const P_ASSERTED_IDENTITY: &str = "P-Asserted-Identity";
    pub const PATH: &str = "Path";
    pub const PROXY_AUTHENTICATE: &str = "Proxy-Authenticate";
    pub const PROXY_AUTHORIZATION: &str = "Proxy-Authorization";
    pub const PROXY_REQUIRE: &str = "Proxy-Require";
    pub const RACK: &str = "RAck";
    pub const REASON: &str = "Reason";
    pub const RECORD_ROUTE: &str = "Record-Route";
    pub const REFERRED_BY: &str = "Referred-By";
    pub const REFER_TO: &str = "Refer-To";
    pub const REPLACES: &str = "Replaces";
    pub const REQUIRE: &str = "Require";
    pub const RETRY_AFTER: &str = "Retry-After";
    pub const ROUTE: &str = "Route";
    pub const RSEQ: &str = "RSeq";
    pub const SERVER: &str = "Server";
    pub const SERVICE_ROUTE: &str = "Service-Route";
    pub const SESSION_EXPIRES: &str = "Session-Expires";
    pub const SUBJECT: &str = "Subject";
    pub const SUBSCRIPTION_STATE: &str = "Subscription-State";
    pub const SUPPORTED: &str = "Supported";
    pub const TIMESTAMP: &str = "Timestamp";
    pub const TO: &str = "To";
    pub const UNSUPPORTED: &str = "Unsupported";
    pub const USER_AGENT: &str = "User-Agent";
    pub const VIA: &str = "Via";
    pub const WARNING: &str = "Warning";
    pub const WWW_AUTHENTICATE: &str = "WWW-Authenticate";
}

/// Every name above: what arrives in another case is stored under these spellings.
const KNOWN: &[&str] = &[
    name::ACCEPT,
    name::ALERT_INFO,
    name::ALLOW,
    name::AUTHENTICATION_INFO,
    name::AUTHORIZATION,
    name::CALL_ID,
    name::CONTACT,
    name::CONTENT_ENCODING,
    name::CONTENT_LENGTH,
    name::CONTENT_TYPE,
    name::CSEQ,
    name::DATE,
    name::EVENT,
    name::EXPIRES,
    name::FROM,
    name::IDENTITY,
    name::MAX_FORWARDS,
    name::MIN_EXPIRES,
    name::MIN_SE,
    name::P_ASSERTED_IDENTITY,
    name::PATH,
    name::PROXY_AUTHENTICATE,
    name::PROXY_AUTHORIZATION,
    name::PROXY_REQUIRE,
    name::RACK,
    name::REASON,
    name::RECORD_ROUTE,
    name::REFER_TO,
    name::REFERRED_BY,
    name::REPLACES,
    name::REQUIRE,
    name::RETRY_AFTER,
    name::ROUTE,
    name::RSEQ,
    name::SERVER,
    name::SERVICE_ROUTE,
    name::SESSION_EXPIRES,
    name::SUBJECT,
    name::SUBSCRIPTION_STATE,
    name::SUPPORTED,
    name::TIMESTAMP,
    name::TO,
    name::UNSUPPORTED,
    name::USER_AGENT,
    name::VIA,
    name::WARNING,
    name::WWW_AUTHENTICATE,
];

/// Compact forms (IANA registry of SIP header fields) of the names above and of three more.
const COMPACT: &[(u8, &str)] = &[
    (b'a', "Accept-Contact"),
    (b'b', name::REFERRED_BY),
    (b'c', name::CONTENT_TYPE),
    (b'd', "Request-Disposition"),
    (b'e', name::CONTENT_ENCODING),
    (b'f', name::FROM),
    (b'i', name::CALL_ID),
    (b'j', "Reject-Contact"),
    (b'k', name::SUPPORTED),
    (b'l', name::CONTENT_LENGTH),
    (b'm', name::CONTACT),
    (b'n', "Identity-Info"),
    (b'o', name::EVENT),
    (b'r', name::REFER_TO),
    (b's', name::SUBJECT),
    (b't', name::TO),
    (b'u', "Allow-Events"),
    (b'v', name::VIA),
    (b'x', name::SESSION_EXPIRES),
    (b'y', name::IDENTITY),
];

/// The spelling under which a name is stored: compact forms expanded, known names in their canonical case.
pub(crate) fn canonical(name: &str) -> Cow<'static, str> {
    if let [letter] = name.as_bytes() {
        let letter = letter.to_ascii_lowercase();
        if let Some((_, long)) = COMPACT.iter().find(|(short, _)| *short == letter) {
            return Cow::Borrowed(long);
        }
    }
    match known_name(name) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(name.to_owned()),
    }
}

/// The known spelling of a name in any case.
fn known_name(name: &str) -> Option<&'static str> {
    /// Where the names of each first letter begin in the list, which is sorted by them.
    const BEGIN: [usize; 27] = {
        let mut begin = [KNOWN.len(); 27];
        let mut at = KNOWN.len();
        while at > 0 {
            at -= 1;
            begin[(KNOWN[at].as_bytes()[0] - b'A') as usize] = at;
        }
        let mut letter = 26;
        while letter > 0 {
            letter -= 1;
            if begin[letter] == KNOWN.len() {
                begin[letter] = begin[letter + 1];
            }
        }
        begin
    };
    let first = name.as_bytes().first()?.to_ascii_uppercase();
    if !first.is_ascii_uppercase() {
        return None;
    }
    let letter = usize::from(first - b'A');
    let candidates = &KNOWN[BEGIN[letter]..BEGIN[letter + 1]];
    candidates
        .iter()
        .find(|known| {
            known.len() == name.len() && (**known == name || known.eq_ignore_ascii_case(name))
        })
        .copied()
}

/// A canonical name that outlives the message; `header` for a name that the room does not know.
pub(super) fn known(name: &str) -> &'static str {
    known_name(name).unwrap_or("header")
}

/// One row: a name and its value, unfolded and trimmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    name: Cow<'static, str>,
    value: String,
}

impl Header {
    /// The canonical name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value as written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Compares the name without case.
    pub fn is(&self, name: &str) -> bool {
        // Both are canonical in nearly every case.
        self.name.len() == name.len() && (self.name == name || self.name.eq_ignore_ascii_case(name))
    }
}

/// Header fields in their order. Names given to the methods are the long forms, in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    rows: Vec<Header>,
}

impl Headers {
    /// No field.
    pub fn new() -> Self {
        Self::default()
    }

    /// No field, and room for as many as most messages have.
    pub(super) fn with_room() -> Self {
        Self {
            rows: Vec::with_capacity(ROWS_EXPECTED),
        }
    }

    /// All rows in order.
    pub fn rows(&self) -> &[Header] {
        &self.rows
    }

    /// The first value of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// Every row of that name, in order.
    pub fn get_all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.rows
            .iter()
            .filter(move |row| row.is(name))
            .map(Header::value)
    }

    /// Whether there is a row of that name.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Adds a row at the end. Control characters in the value become blanks: a value cannot start a line of its own.
    pub fn push(&mut self, name: impl AsRef<str>, value: impl fmt::Display) {
        self.rows.push(row(name.as_ref(), text(value)));
    }

    /// Adds a row before the first row of that name, or before everything (Via, Route).
    pub fn insert_front(&mut self, name: impl AsRef<str>, value: impl fmt::Display) {
        let row = row(name.as_ref(), text(value));
        let at = self
            .rows
            .iter()
            .position(|known| known.is(&row.name))
            .unwrap_or(0);
        self.rows.insert(at, row);
    }

    /// Puts one row in the place of all rows of that name (at the first one's place, else at the end).
    pub fn replace(&mut self, name: impl AsRef<str>, value: impl fmt::Display) {
        let row = row(name.as_ref(), text(value));
        let at = self.rows.iter().position(|known| known.is(&row.name));
        self.remove(name.as_ref());
        self.rows.insert(at.unwrap_or(self.rows.len()), row);
    }

    /// Removes every row of that name.
    pub fn remove(&mut self, name: &str) {
        self.rows.retain(|row| !row.is(name));
    }

    /// Removes the first row of that name and returns its value (the top Via of a response).
    pub fn remove_first(&mut self, name: &str) -> Option<String> {
        let at = self.rows.iter().position(|row| row.is(name))?;
        Some(self.rows.remove(at).value)
    }

    /// Replaces the value of the first row of that name; nothing happens when there is none.
    pub fn replace_first(&mut self, name: &str, value: impl fmt::Display) {
        if let Some(found) = self.rows.iter_mut().find(|row| row.is(name)) {
            *found = row(name, text(value));
        }
    }

    /// Repeats a row of another message, byte by byte.
    pub(crate) fn push_row(&mut self, row: &Header) {
        self.rows.push(row.clone());
    }

    /// Keeps a row that the parser has already checked.
    pub(crate) fn push_parsed(&mut self, name: Cow<'static, str>, value: String) {
        self.rows.push(Header { name, value });
    }

    /// The comma-separated tokens of all rows of that name (Supported, Require, Allow…).
    pub fn tokens(&self, name: &str) -> Vec<&str> {
        self.get_all(name)
            .flat_map(|value| value.split(','))
            .map(scan::trim)
            .filter(|token| !token.is_empty())
            .collect()
    }

    /// Whether a token is in such a list, without case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.tokens(name)
            .iter()
            .any(|known| known.eq_ignore_ascii_case(token))
    }
}

/// Typed accessors.
impl Headers {
    /// The top Via.
    pub fn via_top(&self) -> Option<Via> {
        self.get(name::VIA)?.parse().ok()
    }

    /// The branch of the top Via.
    pub fn via_branch(&self) -> Option<&str> {
        Via::param_of(self.get(name::VIA)?, "branch")
    }

    /// From.
    pub fn from(&self) -> Option<NameAddr> {
        self.get(name::FROM)?.parse().ok()
    }

    /// To.
    pub fn to(&self) -> Option<NameAddr> {
        self.get(name::TO)?.parse().ok()
    }

    /// The tag of To.
    pub fn to_tag(&self) -> Option<&str> {
        NameAddr::param_of(self.get(name::TO)?, "tag")
    }

    /// The tag of From.
    pub fn from_tag(&self) -> Option<&str> {
        NameAddr::param_of(self.get(name::FROM)?, "tag")
    }

    /// Call-ID.
    pub fn call_id(&self) -> Option<&str> {
        self.get(name::CALL_ID)
    }

    /// `CSeq`.
    pub fn cseq(&self) -> Option<CSeq> {
        self.get(name::CSEQ)?.parse().ok()
    }

    /// Every Contact but `*`.
    pub fn contacts(&self) -> Vec<NameAddr> {
        self.addresses(name::CONTACT)
    }

    /// Whether a Contact names an address.
    pub(super) fn has_contact(&self) -> bool {
        self.get_all(name::CONTACT)
            .any(|value| NameAddr::check(value, |_, _| {}).is_ok())
    }

    /// Whether a Contact is `*` (RFC 3261 section 10.2.2).
    pub fn is_contact_star(&self) -> bool {
        self.get(name::CONTACT) == Some("*")
    }

    /// Record-Route in the order of the message: a UAS takes it as its route set, a UAC reverses it (section 12.1).
    pub fn record_routes(&self) -> Vec<NameAddr> {
        self.addresses(name::RECORD_ROUTE)
    }

    /// Route in the order of the message.
    pub fn routes(&self) -> Vec<NameAddr> {
        self.addresses(name::ROUTE)
    }

    /// Every address of a field whose values are name-addrs.
    pub fn addresses(&self, name: &str) -> Vec<NameAddr> {
        self.get_all(name)
            .filter_map(|value| scan::split(value, b',').ok())
            .flatten()
            .filter_map(|value| value.parse().ok())
            .collect()
    }

    /// Max-Forwards; more than 255 counts as 255.
    pub fn max_forwards(&self) -> Option<u8> {
        let hops = scan::clamped(self.get(name::MAX_FORWARDS)?)?;
        Some(u8::try_from(hops).unwrap_or(u8::MAX))
    }

    /// Expires in seconds, clamped to `u32::MAX`.
    pub fn expires(&self) -> Option<u32> {
        scan::clamped(self.get(name::EXPIRES)?)
    }

    /// Min-Expires in seconds (423).
    pub fn min_expires(&self) -> Option<u32> {
        scan::clamped(self.get(name::MIN_EXPIRES)?)
    }

    /// Session-Expires (RFC 4028 section 4).
    pub fn session_expires(&self) -> Option<SessionExpires> {
        self.get(name::SESSION_EXPIRES)?.parse().ok()
    }

    /// Min-SE in seconds (RFC 4028 section 5).
    pub fn min_se(&self) -> Option<u32> {
        scan::clamped(self.get(name::MIN_SE)?.split(';').next().map(scan::trim)?)
    }

    /// Whether the peer names an option tag in Supported or Require.
    pub fn supports(&self, option: &str) -> bool {
        self.has_token(name::SUPPORTED, option) || self.requires(option)
    }

    /// Whether Require names an option tag.
    pub fn requires(&self, option: &str) -> bool {
        self.has_token(name::REQUIRE, option)
    }

    /// `RSeq` (RFC 3262 section 7.1).
    pub fn rseq(&self) -> Option<u32> {
        scan::number(self.get(name::RSEQ)?)
    }

    /// `RAck` (RFC 3262 section 7.2).
    pub fn rack(&self) -> Option<RAck> {
        self.get(name::RACK)?.parse().ok()
    }

    /// Retry-After in seconds, clamped to `u32::MAX`; comment and parameters are ignored.
    pub fn retry_after(&self) -> Option<u32> {
        let value = self.get(name::RETRY_AFTER)?;
        let end = value
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(value.len());
        scan::clamped(&value[..end])
    }

    /// The media type of the body in lower case, without parameters.
    pub fn content_type(&self) -> Option<String> {
        let value = self.get(name::CONTENT_TYPE)?;
        let media = value.split(';').next().unwrap_or_default();
        Some(scan::trim(media).to_ascii_lowercase())
    }

    /// The challenges or credentials of a field (WWW-Authenticate, Authorization…), unreadable ones left out.
    pub fn auth_fields(&self, name: &str) -> Vec<AuthField> {
        self.get_all(name).flat_map(AuthField::parse_list).collect()
    }
}

/// A value as text, in few allocations: most are printed in many pieces.
fn text(value: impl fmt::Display) -> String {
    let mut text = String::with_capacity(VALUE_BYTES_EXPECTED);
    write!(text, "{value}").expect("writing to a String does not fail");
    text
}

fn row(name: &str, mut value: String) -> Header {
    if value.bytes().any(|byte| byte.is_ascii_control()) {
        value = value.replace(|character: char| character.is_ascii_control(), " ");
    }
    let trimmed = scan::trim(&value);
    if trimmed.len() != value.len() {
        value = trimmed.to_owned();
    }
    Header {
        name: canonical(name),
        value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_without_case_and_compact_forms_are_expanded() {
        let mut headers = Headers::new();
        headers.push("v", "SIP/2.0/UDP a;branch=z9hG4bK1");
        headers.push("CALL-id", "1");
        headers.push("X-Other", "x");
        assert_eq!(headers.rows()[0].name(), "Via");
        assert_eq!(headers.rows()[1].name(), "Call-ID");
        assert_eq!(headers.get("x-oTHER"), Some("x"));
        assert_eq!(canonical("V"), "Via");
        for known in KNOWN {
            assert_eq!(known_name(&known.to_ascii_uppercase()), Some(*known));
        }
        assert_eq!(canonical("z"), "z");
    }

    #[test]
    fn rows_keep_their_order_when_edited() {
        let mut headers = Headers::new();
        for (name, value) in [("Via", "1"), ("Route", "r"), ("Via", "2"), ("To", "t")] {
            headers.push(name, value);
        }
        headers.insert_front("Via", "0");
        headers.replace("Route", "s");
        headers.replace_first("Via", "00");
        headers.replace("Subject", "new");
        let rows: Vec<_> = headers.rows().iter().map(Header::value).collect();
        assert_eq!(rows, ["00", "1", "s", "2", "t", "new"]);
        assert_eq!(headers.remove_first("via").as_deref(), Some("00"));
        headers.remove("via");
        assert!(!headers.has("Via"));
    }

    #[test]
    fn a_value_cannot_start_a_line_of_its_own() {
        let mut headers = Headers::new();
        headers.push("Reason", "x\r\nTo: <sip:evil@example.com>");
        assert_eq!(headers.get("Reason"), Some("x  To: <sip:evil@example.com>"));
    }

    #[test]
    fn lists_of_tokens_span_rows() {
        let mut headers = Headers::new();
        headers.push("Supported", "100rel, timer,,");
        headers.push("k", "Replaces");
        assert_eq!(headers.tokens("Supported"), ["100rel", "timer", "Replaces"]);
        assert!(headers.supports("replaces") && !headers.requires("100rel"));
    }

    #[test]
    fn small_fields() {
        let mut headers = Headers::new();
        headers.push("Retry-After", "18000;duration=3600 (in a meeting)");
        headers.push("Min-SE", " 90 ;x=y");
        headers.push("x", "1800;refresher=UAS");
        headers.push("RAck", "776656 1 INVITE");
        headers.push("c", "Application/SDP ; charset=utf-8");
        assert_eq!(headers.retry_after(), Some(18_000));
        assert_eq!(headers.min_se(), Some(90));
        let session = headers.session_expires().unwrap();
        assert_eq!(session.to_string(), "1800;refresher=uas");
        assert_eq!(headers.rack().unwrap().to_string(), "776656 1 INVITE");
        assert_eq!(headers.content_type().as_deref(), Some("application/sdp"));
    }
}

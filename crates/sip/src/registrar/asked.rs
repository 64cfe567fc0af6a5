//! What a REGISTER asks for, read whole before anything is done.

use super::{Binding, DeviceConfig};
use crate::message::{Headers, NameAddr, Request, Response, Uri, name};

/// Contacts of one REGISTER.
const CONTACTS_MAX: usize = 8;
/// Hops of a Path.
const PATH_MAX: usize = 8;
/// Bytes of a Contact's URI, of its instance, and of a hop of a Path.
const TEXT_BYTES_MAX: usize = 512;
/// Characters of a User-Agent that are kept.
const PRODUCT_CHARACTERS_MAX: usize = 120;
/// Lifetime where nobody names one, seconds (RFC 3261 section 10.2.1.1 leaves it to us).
const EXPIRES_DEFAULT_S: u32 = 3_600;

/// What is wanted.
#[derive(Debug)]
pub(super) enum Asked {
    /// Which bindings there are.
    Nothing,
    RemoveAll,
    Change(Vec<Wish>),
}

/// One Contact.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) uri: Uri,
    pub(super) instance: Option<String>,
    /// 0 removes.
    pub(super) expires_s: u32,
}

impl Wish {
    /// Whether this is that binding: the same instance of a device, or the same URI (RFC 5626 section 6, RFC 3261 section 10.3).
    pub(super) fn is_of(&self, binding: &Binding) -> bool {
        if self.instance.is_some() && self.instance == binding.instance {
            return true;
        }
        let known = binding.contact.parse::<Uri>();
        known.is_ok_and(|known| known.is_equivalent(&self.uri))
    }
}

/// Reads the Contacts; the answer of a REGISTER that cannot be followed.
pub(super) fn read(request: &Request, config: &DeviceConfig) -> Result<Asked, Response> {
    let headers = &request.headers;
    let bad = || Response::to(request, 400);
    if has_star(headers) {
        let is_alone = headers.get_all(name::CONTACT).count() == 1 && headers.is_contact_star();
        return if is_alone && headers.expires() == Some(0) {
            Ok(Asked::RemoveAll)
        } else {
            Err(bad())
        };
    }
    let contacts = headers.contacts();
    if contacts.is_empty() {
        return if headers.has(name::CONTACT) {
            Err(bad())
        } else {
            Ok(Asked::Nothing)
        };
    }
    if contacts.len() > CONTACTS_MAX.min(config.bindings_max.max(1)) {
        return Err(bad());
    }
    let mut wishes = Vec::new();
    for contact in contacts {
        let wanted_s = wanted_s(&contact, headers);
        if (1..config.expires_min_s).contains(&wanted_s) {
            let mut response = Response::to(request, 423);
            response
                .headers
                .push(name::MIN_EXPIRES, config.expires_min_s);
            return Err(response);
        }
        let expires_s = wanted_s.min(config.expires_max_s.max(config.expires_min_s));
        let wish = wish(contact, expires_s).ok_or_else(bad)?;
        wishes.push(wish);
    }
    Ok(Asked::Change(wishes))
}

fn has_star(headers: &Headers) -> bool {
    headers
        .get_all(name::CONTACT)
        .flat_map(|row| row.split(','))
        .any(|value| value.trim() == "*")
}

/// The lifetime of one Contact, else of all of them. What is no number counts as not said (RFC 3261 section 10.2.1.1).
fn wanted_s(contact: &NameAddr, headers: &Headers) -> u32 {
    let own = contact.params.value("expires");
    own.and_then(|text| text.trim().parse::<u64>().ok())
        .map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX))
        .or_else(|| headers.expires())
        .unwrap_or(EXPIRES_DEFAULT_S)
}

fn wish(contact: NameAddr, expires_s: u32) -> Option<Wish> {
    let instance = contact.params.value("+sip.instance").map(|instance| {
        let number = contact.params.value("reg-id").unwrap_or_default();
        format!("{};{number}", instance.trim_matches('"'))
    });
    let uri = contact.uri;
    let is_usable = uri.is_sip()
        && !uri.host.is_empty()
        && uri.to_string().len() <= TEXT_BYTES_MAX
        && instance
            .as_ref()
            .is_none_or(|instance| instance.len() <= TEXT_BYTES_MAX);
    is_usable.then_some(Wish {
        uri,
        instance,
        expires_s,
    })
}

/// The Path, the nearest proxy first (RFC 3327 section 5.3: stored as it stands). A hop that cannot be read ends it.
pub(super) fn path(headers: &Headers) -> Vec<String> {
    headers
        .addresses(name::PATH)
        .into_iter()
        .take(PATH_MAX)
        .take_while(|hop| hop.uri.is_sip())
        .map(|hop| hop.to_string())
        .take_while(|hop| hop.len() <= TEXT_BYTES_MAX)
        .collect()
}

/// A text of a stranger in bounds.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(PRODUCT_CHARACTERS_MAX).collect()
}

//! What both sides say about ICE (RFC 8839 section 4).

use std::net::SocketAddr;

use super::terms::{IceTerms, LocalIce, LocalMedia};
use crate::sdp::{Connection, IceLines, IcePassword, Media, SessionDescription};

/// RTP's component (RFC 8839 section 5.1).
const RTP: u16 = 1;
/// The port of a section whose side has no address to tell (RFC 8840 section 4.1.1).
const NO_PORT_YET: u16 = 9;

/// What one line of the peer's agrees to.
pub(super) enum Ice {
    /// One side does none.
    No,
    /// The address of the line is none of its candidates: somebody between us has changed it, and checks would go elsewhere than the audio of those who
    /// do none (RFC 8839 section 4.2.5).
    Mismatch,
    Agreed(IceTerms),
}

/// The peer's credentials: those of the line, else those of the session.
fn credentials<'a>(
    description: &'a SessionDescription,
    media: &'a Media,
) -> Option<(&'a str, &'a IcePassword)> {
    let ufrag = media.ice.ufrag.as_ref().or(description.ice.ufrag.as_ref());
    let password = media.ice.password.as_ref();
    let password = password.or(description.ice.password.as_ref());
    Some((ufrag?, password?))
}

/// Whether the peer has no address to tell: none yet, or only names of the local network in their place, as browsers do that hide their addresses.
pub(super) fn has_no_address_yet(description: &SessionDescription, media: &Media) -> bool {
    let connection = media.connection.as_ref();
    match connection.or(description.connection.as_ref()) {
        Some(Connection::Address(address)) => address.is_unspecified() && media.port == NO_PORT_YET,
        Some(Connection::Name(_)) => true,
        None => false,
    }
}

pub(super) fn negotiate(
    description: &SessionDescription,
    media: &Media,
    local: &LocalMedia,
) -> Ice {
    let Some((ufrag, password)) = credentials(description, media) else {
        return Ice::No;
    };
    let has_candidates = !media.ice.candidates.is_empty();
    if local.ice.is_none() || !has_candidates && !has_no_address_yet(description, media) {
        return Ice::No;
    }
    if media.ice.mismatch || description.ice.mismatch {
        return Ice::No;
    }
    let connection = media.connection.as_ref();
    if let Some(Connection::Address(address)) = connection.or(description.connection.as_ref()) {
        let address = SocketAddr::new(address.to_canonical(), media.port);
        let mut candidates = media.ice.candidates.iter();
        let is_there = candidates.any(|one| one.component == RTP && one.address == address);
        // The hold of RFC 2543, and who has no candidate yet (RFC 8840 section 4.1.3).
        if !is_there && !address.ip().is_unspecified() {
            return Ice::Mismatch;
        }
    }
    let candidates = media.ice.candidates.iter();
    let usable = candidates.filter(|one| super::is_usable(one.address.ip(), local.address));
    Ice::Agreed(IceTerms {
        ufrag: ufrag.to_owned(),
        password: password.clone(),
        lite: media.ice.lite || description.ice.lite,
        candidates: usable.cloned().collect(),
    })
}

/// What we say of ourselves.
pub(super) fn lines(local: &LocalIce) -> IceLines {
    IceLines {
        ufrag: Some(local.ufrag.clone()),
        password: Some(local.password.clone()),
        ice2: true,
        candidates: local.candidates.clone(),
        ..IceLines::default()
    }
}

/// Our answer to a line of an offer.
pub(super) fn answered(
    description: &SessionDescription,
    media: &Media,
    local: &LocalMedia,
) -> IceLines {
    match (negotiate(description, media, local), &local.ice) {
        (Ice::Agreed(_), Some(ice)) => lines(ice),
        (Ice::Mismatch, _) => IceLines {
            mismatch: true,
            ..IceLines::default()
        },
        (Ice::Agreed(_) | Ice::No, _) => IceLines::default(),
    }
}

/// The user fragment of the first audio line of a description: another one than before is a restart (RFC 8839 section 4.4.1.1.1).
pub fn ice_ufrag(description: &[u8]) -> Option<String> {
    let description = SessionDescription::parse(description).ok()?;
    let mut media = description.media.iter();
    let media = media.find(|media| super::is_audio(media))?;
    credentials(&description, media).map(|(ufrag, _)| ufrag.to_owned())
}

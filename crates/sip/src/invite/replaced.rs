//! INVITE with Replaces (RFC 3891): which of our dialogs it names, and whether that one can be taken over. Who may do so is not
//! decided here.

use crate::event::Replaced;
use crate::invite::{Ending, Invite, Phase};
use crate::message::{Headers, Replaces, name};

/// Whether an INVITE says no more than once, and in words that can be read, what it replaces. Join (RFC 3911) beside it would say
/// two things.
pub(crate) fn is_readable(headers: &Headers) -> bool {
    let mut values = headers.get_all(name::REPLACES);
    match values.next() {
        None => true,
        Some(value) => {
            values.next().is_none() && !headers.has(name::JOIN) && value.parse::<Replaces>().is_ok()
        }
    }
}

impl Invite {
    /// What becomes of an INVITE that names this dialog by Call-ID and our tag.
    ///
    /// A call of ours that only rings is not given to who asks for it: nobody has answered whose call it would be (603, where the
    /// RFC would have it taken over). One that rings here and is not answered cannot be replaced at all (481).
    pub(crate) fn replaced_by(&self, wanted: &Replaces) -> Replaced {
        let status = match &self.phase {
            Phase::Calling(calling) => {
                let mut early = calling.early.iter();
                if early.any(|early| is_tag(early.dialog.remote_tag(), wanted)) {
                    603
                } else {
                    481
                }
            }
            Phase::Incoming(_) => 481,
            _ if !is_tag(self.dialog.remote_tag(), wanted) => 481,
            Phase::Confirmed if wanted.early_only => 486,
            Phase::Confirmed => return Replaced::Dialog(self.id),
            // Its ACK is still on the way, or it is over already.
            Phase::Answered(_)
            | Phase::AckDue { .. }
            | Phase::Ended(Ending::Draining | Ending::Cancelling | Ending::AwaitingAck { .. }) => {
                603
            }
        };
        Replaced::Refused { status }
    }
}

/// Whether the peer's tag is the one that is meant; a peer of RFC 2543 has none.
fn is_tag(known: &str, wanted: &Replaces) -> bool {
    known == wanted.from_tag || (known.is_empty() && wanted.from_tag == "0")
}

//! What a call of any kind does with descriptions and messages that come on its leg.

use std::time::Instant;

use call::EndReason;
use catalog::Message;
use store::Event;

use super::desk::Desk;
use crate::journal::CallJournal;
use crate::leg::audio::LegAudio;
use crate::leg::media::{MediaLeg, Security};
use crate::leg::negotiation;

/// Takes the answer to an offer of ours; an error is why the call cannot go on with it.
pub(super) fn take_answer(
    desk: &Desk,
    now: Instant,
    media: &mut LegAudio,
    sdp: &[u8],
) -> Result<(), EndReason> {
    let Some(media) = media.sdp() else {
        return Ok(());
    };
    match media.accept(now, sdp) {
        Ok(agreed) => {
            let decision = negotiation::accepted(&agreed, media.local(), false);
            desk.journal.event(now, Event::SdpDecision(decision));
            Ok(())
        }
        Err(why) => {
            let decision = negotiation::refused(&why, false);
            desk.journal.event(now, Event::SdpDecision(decision));
            Err(negotiation::end_reason(&why))
        }
    }
}

/// Answers a re-INVITE or UPDATE: hold, resume, another address or codec. `None` refuses it.
pub(super) fn answer_again(
    desk: &Desk,
    now: Instant,
    media: &mut LegAudio,
    sdp: &[u8],
) -> Option<Vec<u8>> {
    let media = media.sdp()?;
    match media.answer_again(now, sdp) {
        Ok((answer, agreed)) => {
            let decision = negotiation::accepted(&agreed, media.local(), true);
            desk.journal.event(now, Event::SdpDecision(decision));
            Some(answer)
        }
        Err(why) => {
            let decision = negotiation::refused(&why, true);
            desk.journal.event(now, Event::SdpDecision(decision));
            None
        }
    }
}

/// Writes down what came of the checks and handshakes of a leg; an error is why the leg cannot go on.
pub(super) fn note_ways(
    journal: &CallJournal,
    now: Instant,
    media: &mut LegAudio,
) -> Result<(), EndReason> {
    while let Some(news) = media.sdp().and_then(MediaLeg::poll_path) {
        journal.note(now, news);
    }
    while let Some(news) = media.poll_security() {
        match news {
            Security::Agreed { suite, after_ms } => {
                let message = Message::new("dtls_agreed").with("suite", suite);
                journal.note(now, message.with("ms", u64::from(after_ms)));
            }
            Security::Failed(failure) => {
                journal.note(now, Message::new(failure.code()));
                return Err(EndReason::EncryptionFailed);
            }
        }
    }
    Ok(())
}

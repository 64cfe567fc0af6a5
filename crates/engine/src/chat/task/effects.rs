//! What a session asks for, in writing: most of it is nothing that is heard.

use std::time::Instant;

use call::{Effect, Input, LegEnd, Purpose, TransferEnd};
use wire::Dialogue;
use wire::realtime::ResponseRequest;

use super::ChatTask;
use crate::engine_link::Which;

/// Nothing is ever played in a chat.
const NOTHING_CLEARED: Input = Input::PlayoutCleared {
    item: None,
    played_ms: 0,
    finished: false,
};

impl ChatTask {
    pub(super) fn effect(&mut self, now: Instant, effect: Effect) {
        match effect {
            Effect::Answer => self.session(now, Input::LegAnswered),
            Effect::RejectCall { reason } | Effect::Ended { reason } => {
                self.ended.get_or_insert(reason);
            }
            Effect::HangUp { .. } => {
                let cause = LegEnd::RemoteHangUp;
                self.session(now, Input::LegEnded { cause });
            }
            Effect::ConnectEngine { .. } => self.connect(now, Which::Current),
            Effect::RotateEngine => self.connect(now, Which::Next),
            Effect::CloseEngine => self.close_engine(now),
            Effect::CreateResponse {
                purpose,
                instructions,
                tools_allowed,
            } => {
                let optional = purpose == Purpose::ToolFiller;
                self.create_response(instructions, tools_allowed, optional);
            }
            Effect::CancelResponse => self.tell_engine(Dialogue::cancel_response),
            Effect::SubmitToolOutput { id, output } => {
                self.tell_engine(|engine| engine.submit_tool_output(id.as_str(), &output));
            }
            Effect::AddMessage { role, text } => self.add_message(role, &text),
            Effect::ClearPlayout => self.session(now, NOTHING_CLEARED),
            Effect::PlayLocal { sound } => self.play_local(now, sound),
            Effect::Transfer { target } => {
                let reason = crate::chat::nobody_in_writing(&target.name);
                let end = TransferEnd::Failed { reason };
                self.session(now, Input::TransferFinished { end });
            }
            Effect::RunTool {
                id,
                name,
                arguments,
                ..
            } => self.run_tool(now, id, name, arguments),
            Effect::Record(entry) => self.record(&entry),
            Effect::Journal(event) => self.tell_of(&event),
            Effect::CallTarget { target } => {
                let reason = crate::chat::nobody_in_writing(&target.name);
                self.session(now, Input::TargetEnded { reason });
            }
            // Nothing of this is heard in a chat, and it has no second leg: its transfers fail before one is called.
            Effect::Ring
            | Effect::Announce { .. }
            | Effect::DropTarget { .. }
            | Effect::HandOver
            | Effect::Join
            | Effect::Confer
            | Effect::Park { .. }
            | Effect::Unpark
            | Effect::TruncateItem { .. }
            | Effect::FinishItem { .. }
            | Effect::ReleasePlayout
            | Effect::MuteCaller { .. }
            | Effect::HoldCaller { .. }
            | Effect::SecureInput { .. }
            | Effect::SendDtmf { .. }
            | Effect::PlayRecorded { .. }
            | Effect::Background { .. }
            | Effect::Duck { .. }
            | Effect::Patience { .. }
            | Effect::Ringback { .. } => {}
        }
    }

    fn create_response(
        &mut self,
        instructions: Option<String>,
        tools_allowed: bool,
        optional: bool,
    ) {
        let request = ResponseRequest {
            instructions,
            tool_choice_none: !tools_allowed,
            audio: true,
            optional,
        };
        self.tell_engine(|engine| engine.create_response(request));
    }
}

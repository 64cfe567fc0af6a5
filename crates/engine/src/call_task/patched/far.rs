//! The far end of a patched call, as its task sees it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use call::EndReason;
use media::Gain;
use media::frame::FRAME_SAMPLES;
use serde_json::json;
use tokio_rustls::TlsConnector;

use super::application::{ApplicationIo, connect};
use super::local::LocalIo;
use crate::leg::audio::LegAudio;
use crate::switchboard::{ApplicationEnd, LocalEnd};

/// A connection that is being made.
type Connecting = Pin<Box<dyn Future<Output = Result<ApplicationIo, String>> + Send>>;

/// See the module.
pub(super) enum Far {
    /// Nothing yet.
    None,
    /// An application is being called.
    Connecting(Connecting),
    /// An application that speaks Media Streams.
    Application(Box<ApplicationIo>),
    /// Audio of this process.
    Local(Box<LocalIo>),
}

/// What the far end tells its task.
pub(super) enum FarNews {
    Connected(Box<ApplicationIo>),
    Unreachable(String),
    /// Something waits to be received.
    Came,
}

impl Far {
    pub(super) fn connecting(end: ApplicationEnd, connector: TlsConnector) -> Self {
        Self::Connecting(Box::pin(connect(end, connector)))
    }

    pub(super) fn local(end: LocalEnd) -> Self {
        Self::Local(Box::new(LocalIo::new(end)))
    }

    pub(super) fn is_there(&self) -> bool {
        match self {
            Self::None | Self::Connecting(_) => false,
            Self::Application(_) | Self::Local(_) => true,
        }
    }

    /// Ready when the far end has something for its task.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<FarNews> {
        match self {
            Self::None => Poll::Pending,
            Self::Connecting(connecting) => connecting.as_mut().poll(cx).map(|done| match done {
                Ok(application) => FarNews::Connected(Box::new(application)),
                Err(detail) => FarNews::Unreachable(detail),
            }),
            Self::Application(application) => application.poll(cx).map(|()| FarNews::Came),
            Self::Local(local) => local.poll(cx).map(|()| FarNews::Came),
        }
    }

    pub(super) fn receive(&mut self, _now: Instant) {
        match self {
            Self::None | Self::Connecting(_) | Self::Local(_) => {}
            Self::Application(application) => application.receive(),
        }
    }

    /// Audio flows from now on.
    pub(super) fn begin(&mut self, now: Instant) {
        match self {
            Self::None | Self::Connecting(_) | Self::Local(_) => {}
            Self::Application(application) => application.begin(now),
        }
    }

    /// 20 ms of the telephone, µ-law.
    pub(super) fn hear(&mut self, now: Instant, audio: &[u8; FRAME_SAMPLES]) {
        match self {
            Self::None | Self::Connecting(_) => {}
            Self::Application(application) => application.hear(now, audio),
            Self::Local(local) => local.hear(audio),
        }
    }

    /// The telephone's keys.
    pub(super) fn press(&mut self, digit: char) {
        match self {
            Self::None | Self::Connecting(_) | Self::Local(_) => {}
            Self::Application(application) => application.press(digit),
        }
    }

    /// Queues for the telephone what the far end says. A reason is the far end's wish to end the call.
    pub(super) fn speak(
        &mut self,
        now: Instant,
        media: &mut LegAudio,
        gain: Option<&Gain>,
    ) -> Option<EndReason> {
        match self {
            Self::None | Self::Connecting(_) => None,
            Self::Application(application) => application.speak(now, media, gain),
            Self::Local(local) => {
                local.speak(media, gain);
                None
            }
        }
    }

    /// Why the far end is gone, if it is.
    pub(super) fn over(&self, now: Instant) -> Option<EndReason> {
        match self {
            Self::None | Self::Connecting(_) | Self::Local(_) => None,
            Self::Application(application) => application.over(now),
        }
    }

    /// Tells the far end how much of its audio was played.
    pub(super) fn played(&mut self, media: &mut LegAudio) {
        match self {
            Self::None | Self::Connecting(_) | Self::Local(_) => {}
            Self::Application(application) => application.played(media),
        }
    }

    /// Queues what is to be sent.
    pub(super) fn send(&mut self) {
        match self {
            Self::None | Self::Connecting(_) | Self::Local(_) => {}
            Self::Application(application) => application.send(),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::None | Self::Connecting(_) | Self::Local(_) => None,
            Self::Application(application) => application.poll_timeout(),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::None | Self::Connecting(_) | Self::Local(_) => {}
            Self::Application(application) => application.handle_timeout(now),
        }
    }

    /// Figures for the record.
    pub(super) fn figures(&self) -> serde_json::Value {
        match self {
            Self::None | Self::Connecting(_) => json!({ "kind": "none" }),
            Self::Application(application) => application.figures(),
            Self::Local(local) => local.figures(),
        }
    }

    /// Says goodbye.
    pub(super) async fn close(self) {
        match self {
            Self::None | Self::Connecting(_) | Self::Local(_) => {}
            Self::Application(application) => application.close().await,
        }
    }
}

//! The keys of a leg whose media DTLS encrypts: the association in force, and what it has given.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::BytesMut;
use media::{SrtpConfig, StreamConfig};
use sip::sdp::offer_answer::Negotiated;

use crate::leg::dtls::{self, Association, Failure, News};

/// What a call is told about the encryption of its audio.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Security {
    /// There are keys: audio flows.
    Agreed {
        /// SRTP suite.
        suite: &'static str,
        /// How long the handshake took, ms.
        after_ms: u32,
    },
    /// There will be none.
    Failed(Failure),
}

/// See the module. Nothing of it where the media is plain or has its keys from SDES.
#[derive(Default)]
pub(super) struct DtlsKeys {
    association: Option<Association>,
    /// Came before the description of who sends it.
    held: Vec<(SocketAddr, BytesMut)>,
    keys: Option<SrtpConfig>,
    /// The association of the RTCP port, where RTCP has one of its own: another handshake, of the same certificates (RFC 5764 section 4.1.2).
    reports: Option<Association>,
    report_keys: Option<SrtpConfig>,
    /// What the stream has not been told about them.
    report_news: Option<Option<SrtpConfig>>,
    /// Who proved the fingerprint, and where its description said that it was.
    peer: Option<(SocketAddr, Option<SocketAddr>)>,
    signalled: Option<SocketAddr>,
    news: VecDeque<Security>,
}

impl DtlsKeys {
    /// What a description of the peer changes: the same fingerprint keeps the association and its keys, another one has to be proved
    /// before anything is sent or heard again.
    pub(super) fn agree(
        &mut self,
        now: Instant,
        agreed: &Negotiated,
        signalling: Option<IpAddr>,
        started: bool,
    ) -> bool {
        self.signalled = agreed.remote;
        let Some(terms) = &agreed.dtls else {
            *self = Self {
                news: std::mem::take(&mut self.news),
                report_news: self.reports.is_some().then_some(None),
                ..Self::default()
            };
            return true;
        };
        let kept = self
            .association
            .as_mut()
            .filter(|kept| kept.terms().fingerprints == terms.fingerprints);
        if let Some(kept) = kept {
            kept.set_remote(now, agreed.remote);
            if let Some(reports) = &mut self.reports {
                reports.set_remote(now, agreed.remote_rtcp);
            }
            return true;
        }
        self.keys = None;
        self.peer = None;
        self.report_keys = None;
        self.report_news = Some(None);
        self.reports = (!agreed.rtcp_mux)
            .then(|| Association::new(terms.clone(), agreed.remote_rtcp, signalling))
            .flatten();
        self.association = Association::new(terms.clone(), agreed.remote, signalling);
        if let Some(association) = &mut self.association {
            association.hold(std::mem::take(&mut self.held));
        }
        if started {
            self.begin(now);
        }
        self.association.is_some()
    }

    /// The peer is at other addresses now, by ICE.
    pub(super) fn moved_to(&mut self, now: Instant, agreed: &Negotiated) {
        self.signalled = agreed.remote;
        if let Some(association) = &mut self.association {
            association.set_remote(now, agreed.remote);
        }
        if let Some(reports) = &mut self.reports {
            reports.set_remote(now, agreed.remote_rtcp);
        }
    }

    /// Our description is on its way: the handshake may begin. True where there are keys already.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        if let Some(association) = &mut self.association {
            association.begin(now);
        }
        if let Some(reports) = &mut self.reports {
            reports.begin(now);
        }
        self.take_news()
    }

    /// Whether the role of the association that is in force is the one that begins.
    pub(super) fn is_active(&self) -> bool {
        self.association
            .as_ref()
            .is_some_and(|association| association.terms().active)
    }

    /// Keys are to come: nothing else is believed or sent until then.
    pub(super) fn are_awaited(&self) -> bool {
        self.association.is_some() && self.keys.is_none()
    }

    /// Reports on a port of their own have no keys, or not yet: none is believed or sent there.
    pub(super) fn withhold_reports(&self) -> bool {
        self.association.is_some() && self.report_keys.is_none()
    }

    /// Other keys of the reports, once.
    pub(super) fn poll_report_keys(&mut self) -> Option<Option<SrtpConfig>> {
        self.report_news.take()
    }

    /// Puts the keys that there are into the settings of the stream, and the address that was proved where the description names
    /// the same one as before.
    pub(super) fn complete(&self, config: &mut StreamConfig) {
        let Some(keys) = &self.keys else {
            return;
        };
        config.srtp = Some(keys.clone());
        if let Some((peer, signalled)) = self.peer
            && config.remote.is_some()
            && signalled == self.signalled
        {
            config.remote = Some(peer);
            if config.rtcp_mux {
                config.remote_rtcp = Some(peer);
            }
        }
    }

    /// A datagram of DTLS; true where there are new keys. Before our offer is answered, it is kept.
    pub(super) fn handle(&mut self, now: Instant, source: SocketAddr, data: &[u8]) -> bool {
        let data = BytesMut::from(data);
        match &mut self.association {
            Some(association) => association.handle(now, source, data),
            None => dtls::hold(&mut self.held, source, data),
        }
        self.take_news()
    }

    /// The same of the RTCP port; a peer whose RTCP is ahead of its description says it again.
    pub(super) fn handle_report(&mut self, now: Instant, source: SocketAddr, data: &[u8]) {
        if let Some(reports) = &mut self.reports {
            reports.handle(now, source, BytesMut::from(data));
            self.take_news();
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let both = self.association.iter().chain(&self.reports);
        both.filter_map(Association::poll_timeout).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for one in self.association.iter_mut().chain(&mut self.reports) {
            if one.poll_timeout().is_some_and(|at| at <= now) {
                one.handle_timeout(now);
            }
        }
        self.take_news();
    }

    /// The next datagram, where to, and whether it leaves from the RTCP port.
    pub(super) fn poll_transmit(&mut self) -> Option<(SocketAddr, BytesMut, bool)> {
        let media = self.association.as_mut();
        if let Some((destination, data)) = media.and_then(Association::poll_transmit) {
            return Some((destination, data, false));
        }
        let (destination, data) = self.reports.as_mut()?.poll_transmit()?;
        Some((destination, data, true))
    }

    pub(super) fn poll_security(&mut self) -> Option<Security> {
        self.news.pop_front()
    }

    pub(super) fn close(&mut self, now: Instant) {
        for one in self.association.iter_mut().chain(&mut self.reports) {
            one.close(now);
        }
    }

    fn take_news(&mut self) -> bool {
        let mut changed = false;
        while let Some(news) = self.association.as_mut().and_then(Association::poll_news) {
            match news {
                News::Agreed {
                    srtp,
                    peer,
                    after_ms,
                } => {
                    self.news.push_back(Security::Agreed {
                        suite: srtp.suite.name(),
                        after_ms,
                    });
                    self.keys = Some(srtp);
                    self.peer = Some((peer, self.signalled));
                    changed = true;
                }
                News::Failed(failure) => self.news.push_back(Security::Failed(failure)),
            }
        }
        while let Some(news) = self.reports.as_mut().and_then(Association::poll_news) {
            // A peer that does no handshake there has no reports: that ends no call.
            if let News::Agreed { srtp, .. } = news {
                self.report_keys = Some(srtp.clone());
                self.report_news = Some(Some(srtp));
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests;

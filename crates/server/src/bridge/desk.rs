//! What is done with each call of the bridge, from its first moment to its last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use call::EndReason;
use engine::PlaceCallError;
use engine::switchboard::{
    ApplicationEnd, CallNews, FarEnd, IncomingCall, PatchedCall, PlacePatched,
};
use jiff::Timestamp;

use super::book::{CallView, Status};
use super::callback::{self, Decision, Notifier, Overrides};
use super::{Bridge, LINE};

/// How long an ignored call is left without an answer before the caller is told that nobody is there.
const IGNORED_MAX: Duration = Duration::from_secs(60);

/// A call to place.
pub(crate) struct Outgoing {
    pub(crate) to: String,
    pub(crate) from: Option<String>,
    pub(crate) overrides: Overrides,
    pub(crate) ring_max: Duration,
}

/// One call at work.
struct Case<'a> {
    bridge: &'a Arc<Bridge>,
    call: PatchedCall,
    sid: String,
    notifier: Option<Notifier>,
}

/// The number of a party for the application and the interface: the user of an address, where it has one.
fn number(party: &str) -> String {
    let rest = party
        .strip_prefix("sips:")
        .or_else(|| party.strip_prefix("sip:"));
    match rest.and_then(|rest| rest.split_once('@')) {
        Some((user, _)) => user.to_owned(),
        None => party.to_owned(),
    }
}

fn view(
    bridge: &Bridge,
    call: &PatchedCall,
    (direction, from, to): (&'static str, &str, &str),
    more: BTreeMap<String, String>,
) -> CallView {
    let (from, to) = (number(from), number(to));
    let mut parameters = BTreeMap::from([
        ("callerPhone".to_owned(), from.clone()),
        ("direction".to_owned(), direction.to_owned()),
        ("to".to_owned(), to.clone()),
    ]);
    parameters.extend(bridge.options.parameters.clone());
    parameters.extend(more);
    CallView {
        sid: format!("CA{}", call.id().as_str().replace('-', "")),
        direction,
        from,
        to,
        status: Status::Initiated,
        custom_params: parameters,
        created_at: Timestamp::now(),
        answered_at: None,
        ended_at: None,
        duration_sec: None,
    }
}

/// Serves a call that came in, to its end.
pub(crate) async fn incoming(bridge: &Arc<Bridge>, incoming: IncomingCall) {
    let IncomingCall { from, to, call } = incoming;
    let face = view(bridge, &call, ("inbound", &from, &to), BTreeMap::new());
    let orders = call.orders();
    bridge.book.add(face.clone(), orders.clone());
    let mut case = Case {
        bridge,
        sid: face.sid,
        call,
        notifier: None,
    };
    let (decision, asked) = match &bridge.options.callbacks.incoming_url {
        None => (Decision::Accept(Overrides::default()), false),
        Some(url) => {
            let question = callback::ask(bridge, url, &from, &to);
            tokio::pin!(question);
            tokio::select! {
                decision = &mut question => (decision, true),
                // The caller did not wait for the decision.
                news = case.call.next() => {
                    case.notifier = Notifier::start(bridge, None);
                    if let Some(news) = news {
                        case.news(&news);
                    }
                    return case.follow().await;
                }
            }
        }
    };
    let callback = match &decision {
        Decision::Accept(overrides) => overrides.callback.clone(),
        Decision::Reject(_) | Decision::Ignore => None,
    };
    case.notifier = Notifier::start(bridge, callback);
    case.change("initiated", |_| {});
    match decision {
        Decision::Reject(status) => {
            orders.reject(status);
        }
        Decision::Ignore => case.ignore().await,
        Decision::Accept(overrides) => {
            orders.ring();
            case.change("ringing", |view| {
                view.status = Status::Ringing;
                view.custom_params.extend(overrides.parameters);
            });
            if bridge.options.auto_answer || asked {
                case.connect(overrides.target);
            }
        }
    }
    case.follow().await;
}

/// Connects a call that rings with the application, for whoever answers it by the interface.
pub(crate) fn answer(bridge: &Bridge, sid: &str) -> bool {
    let (Some(view), Some(Some(orders))) = (bridge.book.view(sid), bridge.book.orders(sid)) else {
        return false;
    };
    orders.answer(application(bridge, &view, None))
}

fn application(bridge: &Bridge, view: &CallView, target: Option<String>) -> FarEnd {
    FarEnd::Application(ApplicationEnd {
        url: target.unwrap_or_else(|| bridge.options.ws_target.clone()),
        call_sid: view.sid.clone(),
        account_sid: bridge.account_sid.clone(),
        parameters: view.custom_params.clone(),
    })
}

/// Places a call and serves it; its face at its beginning.
///
/// # Errors
/// Why it cannot be placed.
pub(crate) async fn outgoing(
    bridge: &Arc<Bridge>,
    order: Outgoing,
) -> Result<CallView, PlaceCallError> {
    let request = PlacePatched {
        line: LINE.to_owned(),
        to: order.to.clone(),
        from: order.from.clone(),
        ring_max: order.ring_max,
    };
    let call = bridge.engine.place_patched(request).await?;
    let from = order
        .from
        .unwrap_or_else(|| bridge.options.username.clone());
    let parties = ("outbound", from.as_str(), order.to.as_str());
    let face = view(bridge, &call, parties, order.overrides.parameters);
    bridge.book.add(face.clone(), call.orders());
    let notifier = Notifier::start(bridge, order.overrides.callback);
    let (bridge, target, sid) = (Arc::clone(bridge), order.overrides.target, face.sid.clone());
    let working = bridge.working();
    tokio::spawn(async move {
        let _working = working;
        let case = Case {
            bridge: &bridge,
            sid,
            call,
            notifier,
        };
        case.change("initiated", |_| {});
        case.connect(target);
        case.follow().await;
    });
    Ok(face)
}

impl Case<'_> {
    fn connect(&self, target: Option<String>) {
        if let Some(view) = self.bridge.book.view(&self.sid) {
            let far = application(self.bridge, &view, target);
            self.call.orders().answer(far);
        }
    }

    /// Changes the call's face and tells it.
    fn change(&self, event: &'static str, change: impl FnOnce(&mut CallView)) {
        let view = self.bridge.book.change(&self.sid, change);
        if let (Some(notifier), Some(view)) = (&self.notifier, view) {
            notifier.tell(event, &view);
        }
    }

    /// Leaves the call alone for a while.
    async fn ignore(&mut self) {
        let ended = tokio::time::timeout(IGNORED_MAX, self.call.next()).await;
        match ended {
            Ok(Some(news)) => self.news(&news),
            Ok(None) => {}
            Err(_) => {
                self.call.orders().reject(480);
            }
        }
    }

    fn news(&self, news: &CallNews) {
        let book = &self.bridge.book;
        match news {
            CallNews::Ringing => self.change("ringing", |view| view.status = Status::Ringing),
            CallNews::Answered => self.change("answered", |view| {
                view.status = Status::Answered;
                view.answered_at = Some(Timestamp::now());
            }),
            CallNews::Active => {
                book.change(&self.sid, |view| view.status = Status::Active);
            }
            CallNews::TransferAccepted => book.transferred(&self.sid, Ok(())),
            CallNews::TransferFailed(why) => book.transferred(&self.sid, Err(why.clone())),
            CallNews::Ended(ending) => {
                let result = if ending.reason == EndReason::Transferred {
                    Ok(())
                } else {
                    Err("the call is over".to_owned())
                };
                book.transferred(&self.sid, result);
                self.change("completed", |view| {
                    view.status = Status::of(ending);
                    view.ended_at = Some(Timestamp::now());
                });
            }
        }
    }

    /// Takes the call's news to its end.
    async fn follow(mut self) {
        while let Some(news) = self.call.next().await {
            self.news(&news);
        }
        if let Some(notifier) = self.notifier.take() {
            notifier.finish().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_is_shown_by_its_number() {
        for (party, shown) in [
            ("+33123", "+33123"),
            ("sip:+33123@a.test;user=phone", "+33123"),
            ("sips:bob@b.test", "bob"),
            ("sip:127.0.0.1:5060", "sip:127.0.0.1:5060"),
        ] {
            assert_eq!(number(party), shown);
        }
    }
}

//! The test of a SIP account before it is saved.

use crate::answer::Answer;
use crate::api::Api;
use crate::body::Json;
use crate::caller::Caller;
use crate::problem::{Problem, language_of};
use crate::support::Faults;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use catalog::Numbers;
use engine::line_test::{LineReport, LineResult, LineTest, run};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

/// Tests at the same time, all callers together.
const TESTS_MAX: usize = 4;
/// Longest text of a field, in characters.
const FIELD_CHARACTERS_MAX: usize = 256;
/// Longest password, in characters.
const PASSWORD_CHARACTERS_MAX: usize = 1_024;
static RUNNING: Semaphore = Semaphore::const_new(TESTS_MAX);

/// An account as it would be written, and what to try.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct AccountToTest {
    /// `sip:user@domain[:port]`.
    #[serde(alias = "trunkUri")]
    trunk_uri: String,
    /// Name for the digest; absent: the user of the address.
    username: Option<String>,
    /// Password in clear text; it is used for the test and kept nowhere.
    password: Option<String>,
    /// Host that is written in Contact.
    #[serde(alias = "contactHost")]
    contact_host: Option<String>,
    /// `udp`, `tcp` or `tls`.
    #[serde(alias = "contactTransport")]
    contact_transport: Option<String>,
    /// Host and port of the registrar where it is not the trunk's.
    registrar: Option<String>,
    /// Proxy that every request goes through.
    #[serde(alias = "outboundProxy")]
    outbound_proxy: Option<String>,
    /// Lifetime of a binding, in seconds.
    #[serde(alias = "expiresS")]
    expires_s: Option<u32>,
    /// False for a trunk that is not registered.
    register: Option<bool>,
    /// A number or `sip:` address to call.
    number: Option<String>,
}

/// One step of the test.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TestStepView)]
pub(crate) struct StepView {
    /// `dns`, `port`, `tls`, `options`, `register` or `call`.
    step: &'static str,
    /// `passed`, `warning`, `failed` or `skipped`.
    verdict: &'static str,
    /// Code of the sentence.
    code: String,
    /// What was found, in the language of the reader.
    sentence: String,
    /// What to do about it.
    remedy: Option<String>,
    /// How long it took.
    took_ms: u32,
}

/// The result of the test.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestView {
    /// No step failed.
    passed: bool,
    /// The steps in their order.
    steps: Vec<StepView>,
}

/// Runs a test; 429 where too many run.
pub(super) async fn tested(test: LineTest) -> Result<LineReport, Problem> {
    let Ok(_permit) = RUNNING.try_acquire() else {
        return Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "api_line_tests_busy",
        ));
    };
    Ok(run(test).await)
}

/// Tests an account: name, port, TLS, OPTIONS, REGISTER and, where a number is given, a call. Nothing is stored, and a running
/// registration is not touched.
#[utoipa::path(post, path = "/api/admin/sip-accounts/test", tag = "sip accounts", request_body = AccountToTest,
    responses((status = 200, body = TestView)))]
pub(crate) async fn test(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json<AccountToTest>,
) -> Result<Answer, Problem> {
    let account = account(&body)?;
    let report = tested(LineTest {
        number: body.number.filter(|number| !number.is_empty()),
        // Only the operator of the node may look into its networks.
        inward: caller.is_node(),
        ..api.engine.line_test(account)
    })
    .await?;
    let language = language_of(&headers, api.config.language);
    let view = |result: &LineResult| {
        let rendered = catalog::render_with(&result.message, language, Numbers::Shown);
        StepView {
            step: result.step.label(),
            verdict: result.verdict.label(),
            code: result.message.code.to_string(),
            sentence: rendered.text,
            remedy: rendered.remedy,
            took_ms: result.took_ms,
        }
    };
    Answer::ok(TestView {
        passed: report.passed(),
        steps: report.steps.iter().map(view).collect(),
    })
}

fn account(body: &AccountToTest) -> Result<engine::AccountConfig, Problem> {
    let mut faults = Faults::default();
    let aor = with_scheme(&body.trunk_uri);
    let user = aor
        .split_once(':')
        .and_then(|(_, rest)| rest.split_once('@'))
        .map(|(user, _)| user);
    faults.unless(
        user.is_some_and(|user| !user.is_empty()),
        "trunk_uri",
        "format",
        "sip:user@domain",
    );
    faults.text("trunk_uri", &body.trunk_uri, FIELD_CHARACTERS_MAX);
    for (name, text) in [
        ("username", &body.username),
        ("contact_host", &body.contact_host),
        ("registrar", &body.registrar),
        ("outbound_proxy", &body.outbound_proxy),
        ("number", &body.number),
    ] {
        faults.maybe(name, text.as_deref(), FIELD_CHARACTERS_MAX);
    }
    faults.maybe(
        "password",
        body.password.as_deref(),
        PASSWORD_CHARACTERS_MAX,
    );
    let transport = body.contact_transport.as_deref().unwrap_or("udp");
    let transport = transport.to_ascii_lowercase();
    faults.choice("contact_transport", &transport, &["udp", "tcp", "tls"]);
    let plain = body.number.as_deref().is_none_or(|number| {
        number
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+:@.-_*#".contains(&byte))
    });
    faults.unless(plain, "number", "characters", "+33123456789");
    faults.done()?;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let username = given(&body.username).or_else(|| user.map(str::to_owned));
    let mut account = engine::AccountConfig::new(
        &aor,
        &username.unwrap_or_default(),
        body.password.as_deref().unwrap_or_default(),
    );
    account.protocol = match transport.as_str() {
        "tcp" => engine::SipProtocol::Tcp,
        "tls" => engine::SipProtocol::Tls,
        _ => engine::SipProtocol::Udp,
    };
    account.registrar = given(&body.registrar).map(|text| with_scheme(&text));
    account.outbound_proxy = given(&body.outbound_proxy).map(|text| with_scheme(&text));
    account.contact_host = given(&body.contact_host);
    account.register = body.register.unwrap_or(true);
    if let Some(expires_s) = body.expires_s {
        account.expires_s = expires_s;
    }
    Ok(account)
}

fn with_scheme(text: &str) -> String {
    let text = text.trim();
    if text.starts_with("sip:") || text.starts_with("sips:") {
        text.to_owned()
    } else {
        format!("sip:{text}")
    }
}

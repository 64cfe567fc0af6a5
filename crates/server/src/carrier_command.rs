//! `allo carrier-standin`: calls that come in as Twilio brings them, and what became of them.

use std::process::ExitCode;
use std::time::Duration;

use catalog::{Language, Message};
use standin::carrier::{Carrier, Config, Outcome, Script, Signing};

use crate::cli::CarrierArguments;
use crate::shutdown::Signals;
use crate::telemetry;
use crate::terminal::{Terminal, json_line, line};

/// Time between the beginnings of two calls of a set, ms: as a busy number has it.
const BETWEEN_MS: u64 = 20;

/// Runs the command.
pub(crate) async fn run(arguments: &CarrierArguments) -> ExitCode {
    telemetry::install_with("warn", false);
    match calls(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = crate::serve::causes(&error);
            Terminal::new(Language::En)
                .complain(&Message::new("start_failed").with("cause", cause));
            ExitCode::FAILURE
        }
    }
}

fn signing(kind: &str, arguments: &CarrierArguments) -> Signing {
    match kind {
        "wrong" => Signing::Token("another token".to_owned()),
        "missing" => Signing::Missing,
        "shared" => Signing::Shared(
            arguments.shared_key_id.clone(),
            arguments.shared_key_secret.clone(),
        ),
        _ => Signing::Token(arguments.token.clone()),
    }
}

async fn calls(arguments: &CarrierArguments) -> std::io::Result<()> {
    let carrier = Carrier::start(Config {
        listen: arguments.listen,
        account_sid: arguments.account.clone(),
        auth_token: arguments.token.clone(),
        signing: signing(&arguments.sign, arguments),
        stream_signing: signing(&arguments.sign_stream, arguments),
        public_url: arguments.public_url.clone(),
    })
    .await?;
    line(&carrier.api_url());
    let Some(webhook) = &arguments.webhook else {
        Signals::install()?.next().await;
        for outcome in carrier.placed() {
            say(&outcome);
        }
        return Ok(());
    };
    let script = Script {
        lasts: Duration::from_secs(arguments.seconds.into()),
        interruptions: arguments.interruptions,
        speaks_after: (arguments.speaks_after_ms > 0)
            .then(|| Duration::from_millis(arguments.speaks_after_ms.into())),
        digits: arguments.digits.clone(),
        ..Script::default()
    };
    let numbered = (0..arguments.calls).map(|number| {
        let (carrier, script) = (&carrier, &script);
        async move {
            let wait = Duration::from_millis(BETWEEN_MS * u64::from(number));
            tokio::time::sleep(wait).await;
            let from = format!("+331{:08}", number + 1);
            carrier.call(webhook, &from, &arguments.to, script).await
        }
    });
    for outcome in futures_util::future::join_all(numbered).await {
        say(&outcome?);
    }
    Ok(())
}

fn say(outcome: &Outcome) {
    json_line(&serde_json::to_string(outcome).unwrap_or_default());
}

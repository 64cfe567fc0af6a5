//! The snippets of `docs/webhooks.md`, run by the interpreters that a back office would run them with, on requests as they left.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::io::Write as _;
use std::process::{Command, Stdio};

use common::{Seen, Server, caller, courier, json, post};

const DOCUMENT: &str = include_str!("../../../docs/webhooks.md");

/// The code block of a language that follows a heading.
fn snippet(heading: &str, language: &str) -> String {
    let chapter = DOCUMENT.split(heading).nth(1).unwrap();
    let block = chapter.split(&format!("```{language}\n")).nth(1).unwrap();
    block.split("```").next().unwrap().to_owned()
}

/// What an interpreter prints about a request: `true` or `false`.
fn verdict(command: &str, program: &str, request: &serde_json::Value) -> bool {
    let mut child = Command::new(command)
        .args(if command == "node" {
            ["-e", program]
        } else {
            ["-c", program]
        })
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command} is needed for this test: {error}"));
    child
        .stdin
        .take()
        .unwrap()
        .write_all(request.to_string().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    match String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .to_lowercase()
        .as_str()
    {
        "true" => true,
        "false" => false,
        other => panic!("{command}: {other}"),
    }
}

fn programs(heading: &str) -> [(&'static str, String); 2] {
    let python = format!(
        "{}\nimport json, sys\nr = json.load(sys.stdin)\nprint(verify(r['secret'], r['method'], r['target'], r['headers'], r['body'].encode(), r['now']))",
        snippet(heading, "python")
    );
    let node = format!(
        "{}\nconst r = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));\nconsole.log(verify(r.secret, r.method, r.target, r.headers, Buffer.from(r.body), r.now));",
        snippet(heading, "javascript")
    );
    [("python3", python), ("node", node)]
}

fn request(seen: &Seen, secret: &str) -> serde_json::Value {
    let headers: serde_json::Map<String, serde_json::Value> = seen
        .head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().into()))
        .collect();
    let mut line = seen.line().split(' ');
    serde_json::json!({
        "secret": secret,
        "method": line.next(),
        "target": line.next(),
        "headers": headers,
        "body": seen.body,
        "now": jiff::Timestamp::now().as_second(),
    })
}

/// The request as it left is taken; each thing that is altered in it is not.
fn judge(heading: &str, request: &serde_json::Value, header: &str) {
    for (command, program) in programs(heading) {
        let check = |request: &serde_json::Value| verdict(command, &program, request);
        assert!(check(request), "{command}: {request}");
        let altered = |pointer: &str, value: serde_json::Value| {
            let mut altered = request.clone();
            *altered.pointer_mut(pointer).unwrap() = value;
            altered
        };
        let now = request["now"].as_i64().unwrap();
        let secret = if heading.contains("Webhooks") {
            "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        } else {
            "another"
        };
        for bad in [
            altered("/body", "{\"total\":0}".into()),
            altered("/secret", secret.into()),
            altered("/now", (now + 301).into()),
            altered("/now", (now - 301).into()),
            altered(&format!("/headers/{header}"), "v1=00".into()),
            altered(&format!("/headers/{header}"), "".into()),
        ] {
            assert!(!check(&bad), "{command}: {bad}");
        }
    }
}

#[tokio::test]
async fn a_back_office_can_verify_a_tools_request() {
    let server = Server::saying(json("{}")).await;
    let call = post(
        &server.url("/api/orders?branch=a%20b&note=%C3%A9"),
        r#"{"total":12.5,"note":"café"}"#,
    );
    courier(&["127.0.0.1"]).run(&call, &caller()).await;
    let request = request(&server.requests()[0], "the account's secret");
    judge("## Requests of tools", &request, "x-allo-signature");
    let mut moved = request.clone();
    moved["target"] = "/api/orders?branch=other".into();
    let mut other_method = request;
    other_method["method"] = "PUT".into();
    for (command, program) in programs("## Requests of tools") {
        assert!(!verdict(command, &program, &moved));
        assert!(!verdict(command, &program, &other_method));
    }
}

#[tokio::test]
async fn a_receiver_can_verify_a_webhook() {
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let server = Server::saying(json("{}")).await;
    let secret = courier::WebhookSecret::parse(&courier::Secret::new(SECRET)).unwrap();
    let body = r#"{"outcome":"completed","note":"café"}"#;
    courier(&["127.0.0.1"])
        .webhook(&server.url("/api/calls"), "msg_1", body, Some(&secret))
        .await
        .unwrap();
    let request = request(&server.requests()[0], SECRET);
    judge("## Webhooks", &request, "webhook-signature");
    let mut other = request;
    other["headers"]["webhook-id"] = "msg_2".into();
    for (command, program) in programs("## Webhooks") {
        assert!(!verdict(command, &program, &other));
    }
}

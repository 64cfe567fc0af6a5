//! What clients rely on: repetition, entity tags, limits, errors, pages, versions, the audit log.

mod common;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use common::{House, OWNER};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::atomic::Ordering;

fn bearer() -> String {
    format!("Bearer {OWNER}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_post_has_one_effect_and_one_answer() {
    let house = House::start().await;
    let account = house.account("once").await;
    let body = json!({ "accountId": account.id, "name": "made once" });
    let headers = [
        ("x-api-key", account.owner.as_str()),
        ("idempotency-key", "k-1"),
    ];
    let first = house
        .send("POST", "/api/agents", &headers, Some(&body))
        .await
        .good();
    let again = house
        .send("POST", "/api/agents", &headers, Some(&body))
        .await
        .good();
    assert_eq!(first.text, again.text, "the token that is shown once too");
    assert_eq!(first.status, again.status);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(again.headers["etag"], first.headers["etag"]);
    let other = json!({ "accountId": account.id, "name": "another" });
    let refused = house
        .send("POST", "/api/agents", &headers, Some(&other))
        .await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.json()["code"], "api_idempotency_mismatch");
    // A refused request gives its key back.
    let headers = [
        ("x-api-key", account.owner.as_str()),
        ("idempotency-key", "k-2"),
    ];
    let wrong = json!({ "accountId": account.id, "name": "" });
    let refused = house
        .send("POST", "/api/agents", &headers, Some(&wrong))
        .await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    house
        .send("POST", "/api/agents", &headers, Some(&other))
        .await
        .good();
    let agents = house
        .key(&account.owner, "GET", "/api/agents", Value::Null)
        .await
        .json();
    assert_eq!(agents.as_array().unwrap().len(), 3);
    // Many at once: one runs, the others wait for its answer or are told to.
    let headers = [
        ("x-api-key", account.owner.as_str()),
        ("idempotency-key", "k-3"),
    ];
    let body = json!({ "accountId": account.id, "name": "in a crowd" });
    let crowd = (0..8).map(|_| house.send("POST", "/api/agents", &headers, Some(&body)));
    let answers = futures_util::future::join_all(crowd).await;
    let made: HashSet<String> = answers
        .iter()
        .filter(|answer| answer.status == StatusCode::CREATED)
        .map(common::Answered::id)
        .collect();
    assert_eq!(made.len(), 1);
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer.status, StatusCode::CREATED | StatusCode::CONFLICT))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn entity_tags_keep_writers_apart() {
    let house = House::start().await;
    let account = house.account("tags").await;
    let path = format!("/api/agents/{}", account.agent);
    let read = house
        .key(&account.owner, "GET", &path, Value::Null)
        .await
        .good();
    let stale = read.tag();
    let write = async |tag: Option<&str>, body: Value| {
        let mut headers = vec![("x-api-key", account.owner.as_str())];
        headers.extend(tag.map(|tag| ("if-match", tag)));
        house.send("PUT", &path, &headers, Some(&body)).await
    };
    let changed = write(Some(&stale), json!({ "aiVoice": "marin" }))
        .await
        .good();
    assert_ne!(changed.tag(), stale);
    let refused = write(Some(&stale), json!({ "aiVoice": "cedar" })).await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
    write(Some("*"), json!({ "aiVoice": "cedar" })).await.good();
    // Existing clients send no tag.
    write(None, json!({ "aiVoice": "sage" })).await.good();
    // An account that asks for it.
    let account_path = format!("/api/accounts/{}", account.id);
    house
        .key(
            &account.owner,
            "PATCH",
            &account_path,
            json!({ "settings": { "requireIfMatch": true } }),
        )
        .await
        .good();
    let refused = write(None, json!({ "aiVoice": "cedar" })).await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_REQUIRED);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_meet_lose_nothing() {
    let house = House::start().await;
    let account = house.account("meet").await;
    let path = format!("/api/agents/{}", account.agent);
    let writes = (0..6).map(|number| {
        let body = json!({ "config": { format!("flag{number}"): true } });
        let (house, account, path) = (&house, &account, &path);
        async move { house.key(&account.owner, "PUT", path, body).await }
    });
    for answer in futures_util::future::join_all(writes).await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
    let agent = house
        .key(&account.owner, "GET", &path, Value::Null)
        .await
        .json();
    let flags = agent["config"].as_object().unwrap();
    assert_eq!(flags["restaurantId"], "meet-restaurant");
    assert_eq!(flags.len(), 7, "{flags:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_its_rate_and_a_neighbour_does_not_feel_it() {
    let house = House::with(|config| config.rate_per_s = 20).await;
    let owner = bearer();
    let headers = [("authorization", owner.as_str())];
    let mut refused = None;
    for _ in 0..60 {
        let answer = house.send("GET", "/api/accounts", &headers, None).await;
        assert!(answer.headers.contains_key("ratelimit-remaining"));
        assert_eq!(answer.headers["ratelimit-limit"], "20");
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.unwrap();
    assert_eq!(refused.json()["code"], "api_rate_limited");
    assert!(refused.headers.contains_key("retry-after"));
    let health = house.send("GET", "/health", &[], None).await;
    assert_eq!(health.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_bounded_in_size_depth_and_characters() {
    let house = House::start().await;
    let post = async |kind: &str, body: Vec<u8>| {
        house
            .raw(
                Request::post("/api/accounts")
                    .header("authorization", bearer())
                    .header("content-type", kind)
                    .body(Body::from(body))
                    .unwrap(),
            )
            .await
    };
    let json_kind = "application/json";
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(1024 * 1024));
    let answer = post(json_kind, large.into_bytes()).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
    let answer = post(json_kind, deep.into_bytes()).await;
    assert_eq!(answer.json()["code"], "api_body_too_deep");
    let answer = post(json_kind, br#"{"name":"a\u0000b"}"#.to_vec()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let answer = post("text/plain", b"{}".to_vec()).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let answer = post(json_kind, b"{".to_vec()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.json()["code"], "api_bad_request");
    let answer = house.owner("GET", "/api/agents/a%00b", Value::Null).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_are_told_in_the_readers_language_with_their_place() {
    let house = House::start().await;
    let account = house.account("words").await;
    let body = json!({ "accountId": account.id, "name": "", "currency": "EUR" });
    let mut titles = HashSet::new();
    for language in ["fr-FR,fr;q=0.9", "en", "de, en;q=0.5"] {
        let headers = [
            ("x-api-key", account.owner.as_str()),
            ("accept-language", language),
            ("x-request-id", "from-the-client"),
        ];
        let answer = house
            .send("POST", "/api/final-customers", &headers, Some(&body))
            .await;
        let problem = answer.json();
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(problem["errors"][0]["path"], "name");
        assert_eq!(problem["requestId"], "from-the-client");
        assert_eq!(answer.headers["x-request-id"], "from-the-client");
        titles.insert(problem["title"].as_str().unwrap().to_owned());
    }
    assert_eq!(titles.len(), 2);
    let nowhere = house.owner("GET", "/api/nowhere", Value::Null).await;
    assert_eq!(nowhere.json()["code"], "api_not_found");
    let method = house.owner("PATCH", "/health", Value::Null).await;
    assert_eq!(method.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(method.json()["code"], "api_method_not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_cannot_run_is_refused_when_it_is_saved_with_its_place() {
    let house = House::start().await;
    let account = house.account("faults").await;
    let path = format!("/api/agents/{}/tools", account.agent);
    let tool = json!({ "name": "order", "description": "d", "parameters": { "type": "object", "properties": {} },
        "http": { "method": "POST", "url": "={{BASE_URL}}/x/{{$ai.a | nosuchfilter}}" } });
    let answer = house.key(&account.owner, "POST", &path, tool).await;
    assert_eq!(
        answer.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        answer.text
    );
    let fault = &answer.json()["errors"][0];
    assert!(
        fault["path"].as_str().unwrap().ends_with("http.url"),
        "{fault}"
    );
    assert!(fault["position"].is_u64(), "{fault}");
    let tools = house
        .key(&account.owner, "GET", &path, Value::Null)
        .await
        .json();
    assert_eq!(tools.as_array().unwrap().len(), 1, "nothing was saved");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_brain_is_replaced_at_once_and_versions_lead_back() {
    let house = House::start().await;
    let account = house.account("brains").await;
    let agent = format!("/api/agents/{}", account.agent);
    let ask = async |method: &str, path: &str, body: Value| {
        house.key(&account.owner, method, path, body).await
    };
    let before = ask("GET", &agent, Value::Null).await.json()["version"]
        .as_i64()
        .unwrap();
    let brain = json!({ "prompt": "Be quick.", "version": "menu-7", "tools": [
        { "name": "look", "description": "Look.", "parameters": { "type": "object", "properties": {} }, "http": { "method": "GET", "url": "https://example.org/look" } } ] });
    let nudges = house.nudges.load(Ordering::SeqCst);
    ask("PUT", &format!("{agent}/brain"), brain).await.good();
    assert!(house.nudges.load(Ordering::SeqCst) > nudges);
    let wrong = json!({ "prompt": "Broken.", "tools": [{ "name": 7 }] });
    let refused = ask("PUT", &format!("{agent}/brain"), wrong).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let now = ask("GET", &format!("{agent}/brain"), Value::Null)
        .await
        .json();
    assert_eq!(now["prompt"], "Be quick.");
    assert_eq!(now["tools"][0]["name"], "look");
    let diff = ask(
        "GET",
        &format!("{agent}/versions/{before}/diff"),
        Value::Null,
    )
    .await
    .json();
    let paths: Vec<&str> = diff
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["path"].as_str().unwrap())
        .collect();
    assert!(paths.contains(&"settings.basePrompt") && paths.contains(&"tools.end_call"));
    let back = json!({ "version": before });
    ask("POST", &format!("{agent}/rollback"), back).await.good();
    let again = ask("GET", &format!("{agent}/brain"), Value::Null)
        .await
        .json();
    assert_eq!(again["prompt"], "Be kind.");
    assert_eq!(again["tools"][0]["name"], "end_call");
    let versions = ask("GET", &format!("{agent}/versions"), Value::Null)
        .await
        .json();
    assert_eq!(versions[0]["version"].as_i64().unwrap(), before + 2);
    assert!(versions[1]["note"].as_str().unwrap().contains("menu-7"));
}

/// Whether a text is anywhere in the files of the database.
fn in_files(house: &House, text: &str) -> bool {
    house.database_bytes().iter().any(|bytes| {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_inside_of_agents_and_tools_are_sealed_and_survive() {
    let house = House::start().await;
    let account = house.account("sealed").await;
    let agent = format!("/api/agents/{}", account.agent);
    let ask = async |method: &str, path: &str, body: Value| {
        house
            .key(&account.owner, method, path, body)
            .await
            .good()
            .json()
    };
    let tool = |name: &str, key: &str| {
        json!({ "name": name, "description": "Order.", "parameters": { "type": "object", "properties": {} },
            "http": { "method": "POST", "url": "https://example.org/x", "headers": { "X-Api-Key": key } } })
    };
    ask(
        "PUT",
        &agent,
        json!({ "config": { "crm": { "apiKey": "sk-canary-of-the-crm" } } }),
    )
    .await;
    let made = ask(
        "POST",
        &format!("{agent}/tools"),
        tool("order", "canary-of-the-header"),
    )
    .await;
    assert_eq!(made["http"]["headers"]["X-Api-Key"], "***");
    let first = ask("GET", &agent, Value::Null).await["version"].clone();
    // Sent back as they were shown: the tool, the agent, the whole brain.
    let path = format!("{agent}/tools/{}", made["id"].as_str().unwrap());
    ask("PUT", &path, tool("order", "***")).await;
    let shown = ask("GET", &agent, Value::Null).await;
    assert_eq!(shown["config"]["crm"]["apiKey"], "***");
    ask("PUT", &agent, json!({ "config": shown["config"] })).await;
    ask(
        "PUT",
        &format!("{agent}/brain"),
        json!({ "prompt": "p", "tools": [tool("order", "***")] }),
    )
    .await;
    let copy = ask("POST", &format!("{agent}/duplicate"), json!({})).await;
    ask(
        "POST",
        &format!("{agent}/rollback"),
        json!({ "version": first }),
    )
    .await;
    let scope = store::TenantScope::new(account.id.as_str().into());
    for id in [account.agent.as_str(), copy["id"].as_str().unwrap()] {
        let (key, header) = house.opened(&scope, id, "order").await;
        assert_eq!(key, "sk-canary-of-the-crm", "{id}");
        assert_eq!(header, "canary-of-the-header", "{id}");
    }
    for canary in [
        "sk-canary-of-the-crm",
        "canary-of-the-header",
        "sk-secret-of-sealed",
        "secret-of-sealed",
    ] {
        assert!(
            !in_files(&house, canary),
            "{canary} is in the database in clear"
        );
    }
    assert!(
        in_files(&house, "https://example.org/x"),
        "the files are the right ones"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_have_pages_and_calls_a_csv() {
    let house = House::start().await;
    let account = house.account("pages").await;
    for number in 0..5 {
        let body = json!({ "agentId": account.agent, "question": format!("Question {number}?") });
        house
            .key(&account.owner, "POST", "/api/faqs", body)
            .await
            .good();
    }
    let mut found = HashSet::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/faqs?limit=2&cursor={cursor}");
        let page = house
            .key(&account.owner, "GET", &path, Value::Null)
            .await
            .good();
        for item in page.json().as_array().unwrap() {
            assert!(found.insert(item["id"].as_str().unwrap().to_owned()));
        }
        match page.headers.get("x-next-cursor") {
            Some(next) => cursor = next.to_str().unwrap().to_owned(),
            None => break,
        }
    }
    assert_eq!(found.len(), 6);
    let bad = house
        .key(&account.owner, "GET", "/api/faqs?cursor=x", Value::Null)
        .await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    let csv = house
        .key(&account.owner, "GET", "/api/calls.csv", Value::Null)
        .await
        .good();
    assert!(csv.text.starts_with("id,startedAt,"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_leaves_a_line_in_the_audit_log() {
    let house = House::start().await;
    let account = house.account("audit").await;
    let path = format!("/api/agents/{}", account.agent);
    house
        .key(&account.admin, "PUT", &path, json!({ "aiVoice": "cedar" }))
        .await
        .good();
    let lines = house
        .key(
            &account.owner,
            "GET",
            &format!("/api/audit?entity=agent&entityId={}", account.agent),
            Value::Null,
        )
        .await
        .good()
        .json();
    let line = &lines[0];
    assert_eq!(line["action"], "changed");
    assert_eq!(line["actorKind"], "api_key");
    assert_eq!(line["actorId"], account.key_id.as_str());
    assert_eq!(line["detail"]["before"], json!({ "aiVoice": "sage" }));
    assert_eq!(line["detail"]["after"], json!({ "aiVoice": "cedar" }));
    let all = house
        .key(&account.owner, "GET", "/api/audit?limit=500", Value::Null)
        .await
        .good();
    assert!(!all.text.contains("secret-of-audit") && !all.text.contains("correct horse"));
    let kinds: HashSet<String> = all
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["entity"].as_str().unwrap().to_owned())
        .collect();
    for kind in [
        "agent",
        "tool",
        "phone_line",
        "faq",
        "blocked_number",
        "plan",
        "user",
        "api_key",
        "final_customer",
        "tenant",
        "secret",
    ] {
        assert!(kinds.contains(kind), "{kind} {kinds:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_credential_only_where_it_was_asked_for_and_only_by_a_loopback_name() {
    let house = House::with(|config| config.unauthenticated = true).await;
    let open = house.send("GET", "/api/accounts", &[], None).await;
    assert_eq!(open.status, StatusCode::OK);
    let rebound = house
        .send("GET", "/api/accounts", &[("host", "evil.example")], None)
        .await;
    assert_eq!(rebound.status, StatusCode::UNAUTHORIZED);
    assert!(platform::may_be_open("127.0.0.1:4000".parse().unwrap()));
    assert!(!platform::may_be_open("0.0.0.0:4000".parse().unwrap()));
}

/// Who may write a tool but not read its key does not get the key by writing another address; and a template that holds a secret is one.
#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::too_many_lines, reason = "one story of one key")]
async fn a_hidden_key_does_not_follow_its_tool_to_another_host() {
    let house = House::start().await;
    let account = house.account("keys").await;
    let key = account.owner.as_str();
    let agent = format!("/api/agents/{}", account.agent);
    let base = json!({ "apiBaseUrl": "https://crm.example" });
    house.key(key, "PUT", &agent, base).await.good();
    let tool = json!({ "name": "look", "description": "d", "http": { "method": "GET", "url": "={{BASE_URL}}/a",
        "headers": { "Authorization": "=Bearer sk-canary-{{config.restaurantId}}", "X-Crm-Key": "canary-two", "X-Plain": "={{config.restaurantId}}" } } });
    let made = house
        .key(key, "POST", &format!("{agent}/tools"), tool)
        .await;
    let path = format!("{agent}/tools/{}", made.good().id());
    let shown = house.key(key, "GET", &path, Value::Null).await.good();
    let http = shown.json()["http"].clone();
    assert_eq!(http["headers"]["Authorization"], "***");
    assert_eq!(http["headers"]["X-Plain"], "={{config.restaurantId}}");
    let stored = house.database_bytes().concat();
    for canary in ["sk-canary", "canary-two"] {
        let found = stored
            .windows(canary.len())
            .any(|bytes| bytes == canary.as_bytes());
        assert!(!found, "{canary}");
    }
    let with_url = |url: &str| {
        let mut http = http.clone();
        http["url"] = json!(url);
        json!({ "http": http })
    };
    // Another path is no other addressee.
    house
        .key(key, "PUT", &path, with_url("={{BASE_URL}}/b"))
        .await
        .good();
    let brain = json!({ "tools": [{ "name": "look", "http": with_url("https://evil.example/a")["http"] }] });
    let attempts = [
        (
            "PUT",
            path.clone(),
            with_url("https://evil.example/a"),
            "http.headers.Authorization",
        ),
        (
            "PUT",
            format!("{agent}/brain"),
            brain,
            "tools[0].http.headers.Authorization",
        ),
        (
            "PUT",
            agent.clone(),
            json!({ "apiBaseUrl": "https://evil.example" }),
            "tools[",
        ),
    ];
    for (method, path, body, place) in attempts {
        let answer = house.key(key, method, &path, body).await;
        assert_eq!(
            answer.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{path} {}",
            answer.text
        );
        let first = &answer.json()["errors"][0];
        assert_eq!(first["code"], "secret_again", "{first}");
        assert!(
            first["path"].as_str().unwrap().starts_with(place),
            "{first}"
        );
    }
    with_the_secrets_sent_again_it_moves(&house, key, &path, with_url("https://new.example/a"))
        .await;
}

async fn with_the_secrets_sent_again_it_moves(
    house: &House,
    key: &str,
    path: &str,
    mut moved: Value,
) {
    moved["http"]["headers"] = json!({ "Authorization": "Bearer another", "X-Crm-Key": "third" });
    house.key(key, "PUT", path, moved).await.good();
    // A template is still judged when it is saved, secret or not.
    let bad = json!({ "http": { "method": "GET", "url": "https://new.example", "headers": { "Authorization": "=Bearer sk-{{nothing.x}}" } } });
    let faults = house.key(key, "PUT", path, bad).await;
    assert_eq!(faults.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        faults.text.contains("http.headers.Authorization"),
        "{}",
        faults.text
    );
    assert!(!faults.text.contains("sk-"), "{}", faults.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_does_not_lift_its_own_ceilings() {
    let house = House::start().await;
    let account = house.account("bounded").await;
    let path = format!("/api/accounts/{}", account.id);
    let ceilings = json!({ "callsMax": 2, "spendPerDay": 5 });
    let inbound = json!({ "callsPerS": 3 });
    let bounded =
        json!({ "settings": { "outbound": ceilings, "inbound": inbound, "theme": "dark" } });
    let operator = [("authorization", bearer())];
    let operator: Vec<(&str, &str)> = operator.iter().map(|(k, v)| (*k, v.as_str())).collect();
    house
        .send("PATCH", &path, &operator, Some(&bounded))
        .await
        .good();
    for settings in [
        json!({}),
        json!({ "outbound": null, "inbound": null }),
        json!({ "inbound": { "callsPerS": 500 } }),
        json!({ "outbound": { "callsMax": 500 } }),
    ] {
        let body = json!({ "settings": settings });
        let after = house.key(&account.owner, "PATCH", &path, body).await.good();
        let kept = &after.json()["settings"];
        assert_eq!(kept["outbound"], ceilings, "{settings}");
        assert_eq!(kept["inbound"], inbound, "{settings}");
    }
    // A limit that is misspelt would bound nothing.
    for inbound in [
        json!({ "callsPerSecond": 3 }),
        json!({ "callsPerS": -1 }),
        json!({ "callsPerS": "3" }),
        json!({ "callsPerS": 10_001 }),
        json!([]),
    ] {
        let body = json!({ "settings": { "inbound": inbound } });
        let answer = house.send("PATCH", &path, &operator, Some(&body)).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{inbound}");
    }
}

/// Two accounts with two calls each, and an active line.
async fn two_accounts(house: &House) -> (common::Account, common::Account) {
    let (one, other) = (house.account("one").await, house.account("other").await);
    for account in [&one, &other] {
        let scope = store::TenantScope::new(account.id.as_str().into());
        for (id, caller) in [("1", "+33611111111"), ("2", "+33622222222")] {
            let call = store::NewCall {
                id: format!("{}-{id}", account.name).as_str().into(),
                direction: store::Direction::Inbound,
                from: caller.to_owned(),
                to: "+33100000000".to_owned(),
                line: account.line.clone(),
                agent: account.agent.clone(),
                sip_call_id: None,
                started_at: jiff::Timestamp::now(),
            };
            house
                .store
                .create_call(&scope, &call)
                .await
                .expect("a call");
        }
        let line = format!("/api/agents/{}/phone-lines/{}", account.agent, account.line);
        let active = json!({ "isActive": true });
        house.key(&account.owner, "PUT", &line, active).await.good();
    }
    (one, other)
}

/// Each list of contracts.md 2, asked as its clients write it: without an account. The operator of the node sees every account's rows,
/// page by page; an account's key its own.
#[tokio::test(flavor = "multi_thread")]
async fn lists_without_an_account_are_the_whole_nodes_for_its_operator_alone() {
    let house = House::with(|config| config.unauthenticated = true).await;
    let (one, other) = two_accounts(&house).await;
    let accounts = |rows: &Value, member: &str| -> std::collections::BTreeSet<String> {
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row[member].as_str().unwrap().to_owned())
            .collect()
    };
    let both: std::collections::BTreeSet<_> = [one.id.clone(), other.id.clone()].into();
    let lists = [
        "/api/calls?limit=20",
        "/api/agents",
        "/api/phone-lines",
        "/api/faqs",
        "/api/final-customers",
        "/api/plans",
        "/api/blocked-numbers",
    ];
    for path in lists {
        let all = house.send("GET", path, &[], None).await.good();
        assert_eq!(accounts(&all.json(), "accountId"), both, "{path}");
        let key = [("x-api-key", one.owner.as_str())];
        let own = house.send("GET", path, &key, None).await.good();
        assert_eq!(
            accounts(&own.json(), "accountId"),
            [one.id.clone()].into(),
            "{path}"
        );
    }
    let chats = house.send("GET", "/api/chat/sessions", &[], None).await;
    let agents = accounts(&chats.good().json(), "agentId");
    assert_eq!(agents, [one.agent.clone(), other.agent.clone()].into());
    for path in ["/api/bridges", "/api/workers"] {
        let all = house.send("GET", path, &[], None).await.good();
        let agents = accounts(&all.json()["bridges"], "agentId");
        assert_eq!(agents, [one.agent.clone(), other.agent.clone()].into());
        let key = [("x-api-key", one.owner.as_str())];
        let own = house.send("GET", path, &key, None).await.good();
        assert_eq!(
            accounts(&own.json()["bridges"], "agentId"),
            [one.agent.clone()].into()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_whole_node_go_on_across_accounts() {
    let house = House::with(|config| config.unauthenticated = true).await;
    two_accounts(&house).await;
    let (mut path, mut seen) = ("/api/calls?limit=3".to_owned(), Vec::new());
    loop {
        let page = house.send("GET", &path, &[], None).await.good();
        let rows = page.json().as_array().unwrap().clone();
        seen.extend(rows.iter().map(|row| row["id"].clone().to_string()));
        let Some(next) = page.headers.get("x-next-cursor") else {
            break;
        };
        path = format!("/api/calls?limit=3&cursor={}", next.to_str().unwrap());
    }
    let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), distinct.len()), (4, 4), "{seen:?}");
    let csv = house.send("GET", "/api/calls.csv", &[], None).await.good();
    assert_eq!(csv.text.lines().count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documents_page_asks_nobody_else() {
    let house = House::start().await;
    for path in ["/api/docs", "/api/docs.js", "/api/openapi.json"] {
        let answer = house.send("GET", path, &[], None).await.good();
        if path != "/api/openapi.json" {
            assert!(!answer.text.contains("http:") && !answer.text.contains("https:"));
        }
    }
    let page = house.send("GET", "/api/docs", &[], None).await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'"));
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_are_counted() {
    let house = House::start().await;
    let account = house.account("watch").await;
    let mut open = Vec::new();
    for _ in 0..platform::limits::WATCHERS_PER_CALLER_MAX {
        let request = Request::get("/api/events")
            .header("x-api-key", &account.owner)
            .body(Body::empty())
            .unwrap();
        let response = tower::ServiceExt::oneshot(house.router.clone(), request)
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        open.push(response);
    }
    let headers = [("x-api-key", account.owner.as_str())];
    let full = house.send("GET", "/api/events", &headers, None).await;
    assert_eq!(full.status, StatusCode::TOO_MANY_REQUESTS);
    drop(open);
    let again = house.send("GET", "/api/events", &headers, None).await;
    assert_eq!(again.status, StatusCode::OK);
}

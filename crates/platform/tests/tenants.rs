//! Who may do what: every route of the document, with no credential, a wrong one, another account's, and too low a role.

mod common;

use axum::http::StatusCode;
use common::{Account, House, OWNER};
use platform::RouteNeed;
use platform::need::{Access, Door, Role};
use serde_json::{Value, json};

/// Everything that can be seen of an account with its own key.
async fn seen(house: &House, account: &Account) -> String {
    let mut all = String::new();
    for path in [
        format!("/api/accounts/{}", account.id),
        format!("/api/accounts/{}/secrets", account.id),
        format!("/api/accounts/{}/billing/transactions", account.id),
        "/api/final-customers".to_owned(),
        format!("/api/final-customers/{}/billing/balance", account.customer),
        format!("/api/final-customers/{}/subscriptions", account.customer),
        "/api/agents".to_owned(),
        format!("/api/agents/{}/tools", account.agent),
        format!("/api/agents/{}/versions", account.agent),
        "/api/phone-lines".to_owned(),
        "/api/faqs".to_owned(),
        "/api/blocked-numbers".to_owned(),
        "/api/plans".to_owned(),
        "/api/users".to_owned(),
    ] {
        let answer = house.key(&account.owner, "GET", &path, Value::Null).await;
        assert_eq!(answer.status, StatusCode::OK, "{path} {}", answer.text);
        all.push_str(&answer.text);
    }
    all
}

/// A body that the route would take from its own account.
fn body(route: &RouteNeed, account: &Account) -> Value {
    if route.method == "GET" || route.method == "DELETE" {
        return Value::Null;
    }
    json!({ "accountId": account.id, "agentId": account.agent, "finalCustomerId": account.customer, "planId": account.plan,
        "line": account.line, "to": "+33123456789", "name": "taken", "email": "taken@example.org", "question": "taken?",
        "answer": "taken", "items": [], "phoneNumber": format!("+33{}", account.name), "reason": "taken", "value": "taken",
        "amount": 1, "currency": "EUR", "role": "viewer", "password": "correct horse battery", "tools": [], "prompt": "taken",
        "version": 1, "modelPrefix": "taken", "validFrom": "2026-01-01T00:00:00Z", "prices": {}, "public": true })
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_credential_or_with_a_wrong_one_nothing_is_open() {
    let house = House::start().await;
    let account = house.account("first").await;
    let needs = platform::needs();
    assert!(needs.len() > 90, "{} routes", needs.len());
    let open: Vec<&str> = needs
        .iter()
        .filter(|route| route.need.door == Door::Open)
        .map(|route| route.path.as_str())
        .collect();
    assert_eq!(
        open,
        [
            "/health",
            "/ready",
            "/api/calls/browser/{ticket}",
            "/api/shared",
            "/api/shared/recording.wav",
            "/api/auth/login",
            "/api/auth/first-run",
            "/api/auth/first-run"
        ]
    );
    for route in needs.iter().filter(|route| route.need.door != Door::Open) {
        let path = account.fill(&route.path);
        let body = body(route, &account);
        let body = (!body.is_null()).then_some(&body);
        for headers in [
            &[][..],
            &[("x-api-key", "acc_wrong")][..],
            &[("authorization", "Bearer wrong")][..],
            &[("authorization", "Basic b3duZXI6b3duZXI=")][..],
            &[("x-public-token", "pub_wrong")][..],
        ] {
            let answer = house.send(route.method, &path, headers, body).await;
            assert_eq!(
                answer.status,
                StatusCode::UNAUTHORIZED,
                "{} {path} {headers:?} {}",
                route.method,
                answer.text
            );
            let problem = answer.json();
            assert_eq!(problem["code"], "platform_unauthorized");
            assert_eq!(answer.headers["content-type"], "application/problem+json");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_of_the_document_is_in_the_table() {
    let document: Value = serde_json::from_str(&platform::document_text()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut documented = 0;
    let mut ids = std::collections::HashSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            documented += 1;
            let id = operation["operationId"].as_str().unwrap().to_owned();
            assert!(ids.insert(id), "{method} {path}: {operation}");
            let upper = method.to_uppercase();
            let route = platform::needs()
                .into_iter()
                .find(|route| route.path == *path && route.method == upper);
            let route = route.unwrap_or_else(|| panic!("{method} {path}"));
            let open = operation["security"].as_array().unwrap().is_empty();
            assert_eq!(open, route.need.door == Door::Open, "{method} {path}");
            assert!(operation["responses"]["default"].is_object(), "{path}");
        }
    }
    assert_eq!(documented, platform::needs().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_accounts_key_reads_guesses_and_changes_nothing() {
    let house = House::start().await;
    let victim = house.account("victim").await;
    let thief = house.account("thief").await;
    let before = seen(&house, &victim).await;
    let agent = format!("Bearer {}", thief.agent_token);
    for route in platform::needs() {
        if route.path == "/api/auth/logout" || route.need.door == Door::Open {
            continue;
        }
        let path = victim.fill(&route.path);
        let queries = [
            String::new(),
            format!("?accountId={}", victim.id),
            format!("?agentId={}", victim.agent),
        ];
        let body = body(&route, &victim);
        let body = (!body.is_null()).then_some(&body);
        for query in queries
            .iter()
            .take(if route.method == "GET" { 3 } else { 1 })
        {
            let path = format!("{path}{query}");
            for headers in [
                &[("x-api-key", thief.owner.as_str())][..],
                &[("authorization", agent.as_str())][..],
                &[("x-public-token", thief.public_token.as_str())][..],
            ] {
                let answer = house.send(route.method, &path, headers, body).await;
                let what = format!("{} {path} {} {}", route.method, answer.status, answer.text);
                assert!(!answer.status.is_server_error(), "{what}");
                for mark in victim.marks() {
                    // A problem may repeat what the request itself said.
                    let own = answer.status.is_client_error() && path.contains(mark);
                    let echoed = body.is_some_and(|body| body.to_string().contains(mark));
                    assert!(
                        own || echoed || !answer.text.contains(mark),
                        "{mark}: {what}"
                    );
                }
                if route.path.contains('{') {
                    assert!(
                        matches!(
                            answer.status,
                            StatusCode::NOT_FOUND
                                | StatusCode::FORBIDDEN
                                | StatusCode::UNPROCESSABLE_ENTITY
                        ),
                        "{what}"
                    );
                }
            }
        }
    }
    assert_eq!(seen(&house, &victim).await, before, "nothing has changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_id_and_anothers_id_are_answered_alike() {
    let house = House::start().await;
    let (victim, thief) = (house.account("victim").await, house.account("thief").await);
    for (template, id) in [
        ("/api/agents/{}", &victim.agent),
        ("/api/final-customers/{}", &victim.customer),
        ("/api/faqs/{}", &victim.faq),
        ("/api/users/{}", &victim.user),
        ("/api/keys/{}", &victim.key_id),
        ("/api/accounts/{}", &victim.id),
    ] {
        let mut known = house
            .key(
                &thief.owner,
                "GET",
                &template.replace("{}", id),
                Value::Null,
            )
            .await
            .json();
        let mut unknown = house
            .key(
                &thief.owner,
                "GET",
                &template.replace("{}", "0193f1d0-0000-7000-8000-0000000000ff"),
                Value::Null,
            )
            .await
            .json();
        known["requestId"] = Value::Null;
        unknown["requestId"] = Value::Null;
        assert_eq!(known, unknown, "{template}");
        assert_eq!(known["status"], 404);
    }
    // A number that another account has is "not available", and nothing more.
    let line = json!({ "phoneNumber": "+33victim", "provider": "sip" });
    let path = format!("/api/agents/{}/phone-lines", thief.agent);
    let answer = house.key(&thief.owner, "POST", &path, line).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert_eq!(answer.json()["code"], "api_number_taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_below_the_need_is_refused_on_every_route() {
    let house = House::start().await;
    let account = house.account("roles").await;
    let keys = [
        (Role::Viewer, &account.viewer),
        (Role::Operator, &account.operator),
        (Role::Admin, &account.admin),
    ];
    let before = seen(&house, &account).await;
    for route in platform::needs() {
        if matches!(route.need.door, Door::Open | Door::Any) {
            continue;
        }
        for (role, key) in keys {
            let refused = role < route.need.role || route.need.door == Door::Node;
            if !refused {
                continue;
            }
            let path = account.fill(&route.path);
            let answer = house
                .key(key, route.method, &path, body(&route, &account))
                .await;
            assert_eq!(
                answer.status,
                StatusCode::FORBIDDEN,
                "{role:?} {} {path} {}",
                route.method,
                answer.text
            );
        }
        // Nothing that writes is a viewer's.
        if route.need.access == Access::Write {
            assert!(
                route.need.role > Role::Viewer,
                "{} {}",
                route.method,
                route.path
            );
        }
    }
    assert_eq!(seen(&house, &account).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_narrow_a_key_and_nobody_hands_out_more_than_he_has() {
    let house = House::start().await;
    let account = house.account("scopes").await;
    let made = house
        .key(
            &account.owner,
            "POST",
            "/api/keys",
            json!({ "name": "narrow", "role": "admin", "scopes": ["agents:read", "keys:write"] }),
        )
        .await
        .good()
        .json();
    let narrow = made["key"].as_str().unwrap();
    let ask = async |method: &str, path: &str, body: Value| {
        house.key(narrow, method, path, body).await.status
    };
    assert_eq!(ask("GET", "/api/agents", Value::Null).await, StatusCode::OK);
    let new = json!({ "name": "x" });
    assert_eq!(ask("POST", "/api/agents", new).await, StatusCode::FORBIDDEN);
    assert_eq!(
        ask("GET", "/api/calls", Value::Null).await,
        StatusCode::FORBIDDEN
    );
    let wide = json!({ "name": "wide" });
    assert_eq!(ask("POST", "/api/keys", wide).await, StatusCode::FORBIDDEN);
    let raised = json!({ "name": "raised", "role": "owner", "scopes": ["agents:read"] });
    assert_eq!(
        ask("POST", "/api/keys", raised).await,
        StatusCode::FORBIDDEN
    );
    let path = format!("/api/keys/{}", made["id"].as_str().unwrap());
    let revoked = house
        .key(&account.owner, "DELETE", &path, Value::Null)
        .await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    assert_eq!(
        ask("GET", "/api/agents", Value::Null).await,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_token_knows_its_agent_and_no_other_of_its_account() {
    let house = House::start().await;
    let account = house.account("agents").await;
    let other = house
        .key(
            &account.owner,
            "POST",
            "/api/agents",
            json!({ "accountId": account.id, "name": "the other" }),
        )
        .await
        .good()
        .id();
    let bearer = format!("Bearer {}", account.agent_token);
    let ask = async |method: &str, path: String, body: Option<Value>| {
        house
            .send(method, &path, &[("authorization", &bearer)], body.as_ref())
            .await
    };
    let own = format!("/api/agents/{}", account.agent);
    assert_eq!(ask("GET", own.clone(), None).await.status, StatusCode::OK);
    let listed = ask("GET", "/api/agents".to_owned(), None).await.json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let their = format!("/api/agents/{other}");
    assert_eq!(
        ask("GET", their.clone(), None).await.status,
        StatusCode::NOT_FOUND
    );
    let put = Some(json!({ "name": "mine now" }));
    assert_eq!(ask("PUT", their, put).await.status, StatusCode::NOT_FOUND);
    // The FAQ entry of a token belongs to its agent, without naming one.
    let faq = ask(
        "POST",
        "/api/faqs".to_owned(),
        Some(json!({ "question": "Open on Sunday?", "category": "horaires" })),
    )
    .await
    .good()
    .json();
    assert_eq!(faq["agentId"], account.agent.as_str());
    let answered = house
        .key(
            &account.owner,
            "PUT",
            &format!("/api/faqs/{}", faq["id"].as_str().unwrap()),
            json!({ "answer": "Yes." }),
        )
        .await
        .good()
        .json();
    assert_eq!(answered["status"], "answered");
    assert_eq!(
        ask("GET", "/api/keys".to_owned(), None).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(ask("DELETE", own, None).await.status, StatusCode::FORBIDDEN);
    // A token that was exchanged opens nothing.
    let path = format!("/api/agents/{}/rotate-token", account.agent);
    house
        .key(&account.owner, "POST", &path, json!({}))
        .await
        .good();
    let after = ask("GET", "/api/agents".to_owned(), None).await;
    assert_eq!(after.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_log_in_with_their_role_and_failures_are_slowed() {
    let house = House::start().await;
    let account = house.account("people").await;
    let login = async |email: &str, password: &str| {
        let body = json!({ "email": email, "password": password });
        house
            .send("POST", "/api/auth/login", &[], Some(&body))
            .await
    };
    let session = login("PEOPLE@example.org", "correct horse battery")
        .await
        .good()
        .json();
    let bearer = format!("Bearer {}", session["token"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str())];
    let me = house
        .send("GET", "/api/auth/me", &headers, None)
        .await
        .good()
        .json();
    assert_eq!(me["role"], "admin");
    assert_eq!(me["accountId"], account.id.as_str());
    let agents = house.send("GET", "/api/agents", &headers, None).await;
    assert_eq!(agents.status, StatusCode::OK);
    // A user that may log in no more has no session either.
    let path = format!("/api/users/{}", account.user);
    house
        .key(&account.owner, "PATCH", &path, json!({ "isActive": false }))
        .await
        .good();
    let locked = house.send("GET", "/api/agents", &headers, None).await;
    assert_eq!(locked.status, StatusCode::UNAUTHORIZED);
    for _ in 0..10 {
        let answer = login("nobody@example.org", "wrong password").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.json()["code"], "api_login_failed");
    }
    let blocked = login("nobody@example.org", "wrong password").await;
    assert_eq!(blocked.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(blocked.headers.contains_key("retry-after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_written_and_never_read() {
    let house = House::start().await;
    let account = house.account("canary").await;
    let secrets = ["secret-of-canary", "sk-secret-of-canary", "header-canary"];
    let tool = json!({ "name": "order", "description": "d", "parameters": { "type": "object", "properties": {} },
        "http": { "method": "POST", "url": "https://example.org/x", "headers": { "Authorization": "Bearer header-canary" } } });
    let path = format!("/api/agents/{}/tools", account.agent);
    house.key(&account.owner, "POST", &path, tool).await.good();
    let owner = format!("Bearer {OWNER}");
    for route in platform::needs() {
        if route.method != "GET" || route.path == "/api/events" {
            continue;
        }
        let path = account.fill(&route.path);
        for headers in [
            [("x-api-key", account.owner.as_str())],
            [("authorization", owner.as_str())],
        ] {
            let answer = house.send("GET", &path, &headers, None).await;
            assert!(!answer.status.is_server_error(), "{path} {}", answer.text);
            for secret in secrets {
                assert!(!answer.text.contains(secret), "{path} {}", answer.text);
            }
        }
    }
    let line = house
        .key(
            &account.owner,
            "GET",
            &format!("/api/agents/{}/phone-lines/{}", account.agent, account.line),
            Value::Null,
        )
        .await
        .good()
        .json();
    assert_eq!(line["hasSipPassword"], true);
    assert!(line.get("sipPassword").is_none());
}

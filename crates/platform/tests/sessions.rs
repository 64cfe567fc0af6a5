//! People on the pages: log-in by cookie, what forges nothing, the first administrator, the own password.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod common;

use axum::http::{StatusCode, header};
use common::{Answered, House};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery";
const HOST: (&str, &str) = ("host", "localhost:4000");
const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");

/// A browser that is logged in: its cookie and what its pages send beside it.
struct Page {
    cookie: String,
    csrf: String,
}

impl Page {
    fn of(answer: &Answered) -> Self {
        let set = answer.headers[header::SET_COOKIE].to_str().unwrap();
        assert!(
            set.contains("; HttpOnly; SameSite=Strict") && set.contains("Path=/;"),
            "{set}"
        );
        Self {
            cookie: set.split(';').next().unwrap().to_owned(),
            csrf: answer.json()["csrfToken"].as_str().unwrap().to_owned(),
        }
    }

    async fn ask(&self, house: &House, method: &str, path: &str, body: Value) -> Answered {
        let headers = [
            HOST,
            SAME,
            ("cookie", self.cookie.as_str()),
            ("x-csrf-token", self.csrf.as_str()),
        ];
        let body = (!body.is_null()).then_some(body);
        house.send(method, path, &headers, body.as_ref()).await
    }
}

async fn log_in(house: &House, email: &str, password: &str, more: &[(&str, &str)]) -> Answered {
    let mut headers = vec![HOST];
    headers.extend(more);
    let body = json!({ "email": email, "password": password });
    house
        .send("POST", "/api/auth/login", &headers, Some(&body))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_acts_by_cookie_and_token_and_no_other_page_does() {
    let house = House::start().await;
    house.account("first").await;
    let answer = log_in(&house, "first@example.org", PASSWORD, &[])
        .await
        .good();
    let page = Page::of(&answer);
    assert!(
        page.cookie.starts_with("allo_session=ses_"),
        "{}",
        page.cookie
    );
    let me = page
        .ask(&house, "GET", "/api/auth/me", Value::Null)
        .await
        .good()
        .json();
    assert_eq!(me["email"], "first@example.org");
    assert_eq!(
        (&me["role"], &me["accountName"]),
        (&json!("admin"), &json!("first"))
    );
    assert_eq!(me["csrfToken"], page.csrf.as_str());

    let faq = json!({ "name": "x", "price": 1 });
    page.ask(&house, "POST", "/api/plans", faq.clone())
        .await
        .good();
    let cookie = ("cookie", page.cookie.as_str());
    let csrf = ("x-csrf-token", page.csrf.as_str());
    for headers in [
        vec![HOST, cookie],
        vec![HOST, cookie, SAME],
        vec![HOST, cookie, csrf],
        vec![HOST, cookie, csrf, ("sec-fetch-site", "same-site")],
        vec![HOST, cookie, csrf, ("origin", "http://localhost:3001")],
        vec![HOST, cookie, SAME, ("x-csrf-token", "AAAA")],
    ] {
        let answer = house.send("POST", "/api/plans", &headers, Some(&faq)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{headers:?}");
        assert_eq!(answer.json()["code"], "api_forged");
    }
    let plans = page
        .ask(&house, "GET", "/api/plans", Value::Null)
        .await
        .json();
    assert_eq!(
        plans.as_array().unwrap().len(),
        2,
        "nothing was made: {plans}"
    );
    // The name of the host is not one of this machine: the plain cookie is none.
    let elsewhere = [("host", "voice.example"), SAME, cookie];
    let answer = house.send("GET", "/api/auth/me", &elsewhere, None).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    // A credential in a header goes before the cookie and needs no token.
    let bearer = format!(
        "Bearer {}",
        answer_token(&log_in(&house, "first@example.org", PASSWORD, &[]).await)
    );
    let headers = [HOST, cookie, ("authorization", bearer.as_str())];
    house
        .send("POST", "/api/plans", &headers, Some(&faq))
        .await
        .good();

    let left = page
        .ask(&house, "POST", "/api/auth/logout", Value::Null)
        .await
        .good();
    assert_eq!(left.headers.get_all(header::SET_COOKIE).iter().count(), 2);
    let answer = page.ask(&house, "GET", "/api/auth/me", Value::Null).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

fn answer_token(answer: &Answered) -> String {
    answer.json()["token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cookie_crosses_a_network_in_clear_and_a_named_proxy_makes_it_secure() {
    let peer = "127.0.0.1/32".parse().unwrap();
    let house = House::with(|config| config.proxies = vec![peer]).await;
    house.account("first").await;
    let far = ("host", "192.168.1.5:4000");
    let body = json!({ "email": "first@example.org", "password": PASSWORD });
    let answer = house
        .send("POST", "/api/auth/login", &[far], Some(&body))
        .await
        .good();
    assert!(!answer.headers.contains_key(header::SET_COOKIE));
    assert_eq!(answer.json()["csrfToken"], Value::Null);
    // Without a connection there is no peer, so nobody is believed.
    let said = [("host", "localhost"), ("x-forwarded-proto", "https")];
    let answer = house
        .send("POST", "/api/auth/login", &said, Some(&body))
        .await
        .good();
    assert!(!answer.headers.contains_key(header::SET_COOKIE));

    let request = http::Request::post("/api/auth/login")
        .header("host", "voice.example")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-for", "203.0.113.7")
        .header("content-type", "application/json")
        .extension(axum::extract::ConnectInfo(std::net::SocketAddr::from((
            [127, 0, 0, 1],
            9,
        ))))
        .body(axum::body::Body::from(body.to_string()))
        .unwrap();
    let answer = house.raw(request).await.good();
    let set = answer.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(
        set.starts_with("__Host-allo_session=ses_") && set.contains("; Secure;"),
        "{set}"
    );
    let log = house.owner("GET", "/api/audit?limit=5", Value::Null).await;
    assert!(log.status.is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_ends_every_session() {
    let house = House::start().await;
    let account = house.account("first").await;
    let log_in_page = async |password: &str| {
        Page::of(
            &log_in(&house, "first@example.org", password, &[])
                .await
                .good(),
        )
    };
    let (one, two) = (log_in_page(PASSWORD).await, log_in_page(PASSWORD).await);
    let body = json!({ "current": "wrong wrong wrong", "new": "another horse battery" });
    let answer = one.ask(&house, "POST", "/api/auth/password", body).await;
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (StatusCode::FORBIDDEN, Some("api_login_failed"))
    );
    let body = json!({ "current": PASSWORD, "new": "short" });
    let answer = one.ask(&house, "POST", "/api/auth/password", body).await;
    assert_eq!(answer.json()["errors"][0]["path"], "new");
    let body = json!({ "current": PASSWORD, "new": "another horse battery" });
    let fresh = Page::of(
        &one.ask(&house, "POST", "/api/auth/password", body)
            .await
            .good(),
    );
    for old in [&one, &two] {
        let answer = old.ask(&house, "GET", "/api/auth/me", Value::Null).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    fresh
        .ask(&house, "GET", "/api/auth/me", Value::Null)
        .await
        .good();
    // An administrator who sets it ends them too.
    let path = format!("/api/users/{}", account.user);
    let body = json!({ "password": "a third horse battery" });
    house.key(&account.owner, "PATCH", &path, body).await.good();
    let answer = fresh.ask(&house, "GET", "/api/auth/me", Value::Null).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    // A key has no password to change.
    let body = json!({ "current": "x", "new": "another horse battery" });
    let answer = house
        .key(&account.owner, "POST", "/api/auth/password", body)
        .await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_administrator_comes_by_the_link_once() {
    let house = House::start().await;
    let needed = async || {
        let answer = house
            .send("GET", "/api/auth/first-run", &[HOST], None)
            .await;
        answer.good().json()["needed"].as_bool().unwrap()
    };
    assert!(needed().await);
    let until = Timestamp::now() + SignedDuration::from_hours(24);
    let link = house.store.node_new_link(until, false).await.unwrap();
    let body = |token: &str, email: &str| json!({ "token": token, "email": email, "password": PASSWORD, "name": "Léa" });
    let send = async |body: Value| {
        house
            .send("POST", "/api/auth/first-run", &[HOST], Some(&body))
            .await
    };
    let answer = send(body("set_wrong", "lea@example.org")).await;
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (StatusCode::FORBIDDEN, Some("api_link_used"))
    );
    let answer = send(body(link.text(), "no address")).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let made = send(body(link.text(), "Lea@Example.org")).await.good();
    assert_eq!(made.status, StatusCode::CREATED);
    let page = Page::of(&made);
    let me = page
        .ask(&house, "GET", "/api/auth/me", Value::Null)
        .await
        .good()
        .json();
    assert_eq!(
        (&me["role"], &me["accountId"]),
        (&json!("owner"), &Value::Null)
    );
    assert!(!needed().await);
    let again = send(body(link.text(), "other@example.org")).await;
    assert_eq!(again.status, StatusCode::FORBIDDEN);
    // The token of a link opens no door, and is no key that anybody sees.
    let other = house.store.node_new_link(until, true).await.unwrap();
    let bearer = format!("Bearer {}", other.text());
    let answer = house
        .send("GET", "/api/auth/me", &[("authorization", &bearer)], None)
        .await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let keys = house.owner("GET", "/api/keys", Value::Null).await.good();
    assert_eq!(keys.json(), json!([]));
    for bytes in house.database_bytes() {
        let token = other.text().as_bytes();
        assert!(
            !bytes.windows(token.len()).any(|window| window == token),
            "kept in clear"
        );
    }
    send(body(other.text(), "second@example.org")).await.good();
    let log = house
        .owner("GET", "/api/audit", Value::Null)
        .await
        .good()
        .text;
    assert!(
        log.contains("lea@example.org") && log.contains("second@example.org"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_a_link_or_a_password_is_slow() {
    let house = House::start().await;
    house.account("first").await;
    let mut refused = 0;
    for _ in 0..12 {
        let answer = log_in(&house, "first@example.org", "wrong wrong wrong", &[]).await;
        refused += usize::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(refused, 2);
    let body = json!({ "token": "set_wrong", "email": "a@b.c", "password": PASSWORD });
    let answer = house
        .send("POST", "/api/auth/first-run", &[HOST], Some(&body))
        .await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
}

//! The back office on real databases, with the platform's own users and keys: what its routes do, and that nobody gets what is
//! not his.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../store/tests/common/place.rs"]
#[macro_use]
mod place;
mod common;

use common::{Office, Signed, json_of};
use http::{Method, StatusCode};
use place::Place;
use restaurant::Role;
use serde_json::{Value, json};

/// A text that is in every row of the first restaurant.
const MARK: &str = "MARK-OF-THE-FIRST";

/// A restaurant with a row of each kind; its id and those of the rows.
async fn furnished(office: &Office, key: &str) -> (String, Vec<String>) {
    let house =
        json!({ "name": MARK, "timezone": "Europe/Paris", "sipEnabled": true, "sipBridge": true });
    let house = office.made(key, "/api/restaurants", house).await;
    let id = house["id"].as_str().unwrap().to_owned();
    let with = |mut body: Value| {
        body["restaurantId"] = id.as_str().into();
        body
    };
    let category = with(json!({ "name": MARK }));
    let category = office.made(key, "/api/categories", category).await;
    let mut ids = vec![category["id"].as_str().unwrap().to_owned()];
    for (path, body) in [
        (
            "/api/menu-items",
            json!({ "name": MARK, "price": 11.5, "categoryId": ids[0] }),
        ),
        ("/api/menus", json!({ "name": MARK, "price": 19.99 })),
        (
            "/api/dining-services",
            json!({ "name": MARK, "startTime": "12:00", "endTime": "14:00" }),
        ),
        ("/api/rooms", json!({ "name": MARK })),
        ("/api/tables", json!({ "tableNumber": MARK, "seats": 4 })),
        (
            "/api/table-combinations",
            json!({ "name": MARK, "seats": 8 }),
        ),
        ("/api/offers", json!({ "name": MARK })),
        (
            "/api/customers",
            json!({ "phone": "+33612345678", "firstName": MARK }),
        ),
        (
            "/api/messages",
            json!({ "content": MARK, "callerPhone": "+33612345678" }),
        ),
        ("/api/faq", json!({ "question": MARK })),
        (
            "/api/blocked-phones",
            json!({ "phone": "+33600000000", "reason": MARK }),
        ),
        (
            "/api/calls",
            json!({ "callerNumber": MARK, "startedAt": "2026-11-29T10:00:00Z" }),
        ),
    ] {
        let made = office.made(key, path, with(body)).await;
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let line = with(json!({
        "phoneNumber": "+33491000000", "provider": "sip", "sipDomain": "sip.example.org", "sipUsername": "0033491000000",
        "sipPassword": "line-password-of-the-first",
    }));
    let put = office
        .ask(key, Method::PUT, "/api/phone-lines", &line)
        .await;
    assert_eq!(put.0, StatusCode::OK, "{}", put.1);
    (id, ids)
}

/// Everything of a restaurant, as it may be exported, its calls and its line.
async fn everything(office: &Office, key: &str, id: &str) -> Value {
    let get = async |path: &str| {
        let path = format!("{path}restaurantId={id}");
        let (status, answer) = office.ask(key, Method::GET, &path, &Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    };
    let mut document = get("/api/restaurants/export?all=true&").await;
    document["exportedAt"] = Value::Null;
    document["calls"] = get("/api/calls?limit=500&").await;
    document["line"] = get("/api/phone-lines?").await;
    document
}

/// A body that every route finds something in.
fn body(restaurant: &str, id: &str) -> Value {
    json!({
        "restaurantId": restaurant, "id": id, "name": "stolen", "phone": "+33612345678", "firstName": "stolen",
        "content": "stolen", "question": "stolen", "price": 1, "seats": 2, "tableNumber": "stolen", "status": "cancelled",
        "startTime": "10:00", "endTime": "11:00", "phoneNumber": "+33491000000", "sipPassword": "stolen",
        "callerNumber": "stolen", "startedAt": "2026-11-29T10:00:00Z", "outcome": "completed", "isRead": true,
        "mode": "pickup", "customerPhone": "+33612345678", "partySize": 2, "reservationTime": "2026-12-05T19:00:00Z",
        "items": [{ "id": 1, "quantity": 1, "unit_price": 1 }], "order_type": "pickup", "total": 1, "order_number": 1,
        "caller_phone": "+33612345678", "finalContext": { "restaurant_id": restaurant },
    })
}

fn target(path: &str, restaurant: &str, id: &str) -> String {
    let named = if path.starts_with("/api/restaurants") {
        restaurant
    } else {
        id
    };
    let path = path.replace("{id}", named);
    format!("{path}?restaurantId={restaurant}&id={id}&phone=%2B33612345678&all=true")
}

/// What a stranger may do with these words: see his own list, and make something of his own.
fn is_his_own(method: &Method, path: &str) -> bool {
    (method == Method::POST && path == "/api/restaurants") || path == "/api/sip/agents"
}

/// One request, as everybody who may not make it makes it.
struct Attempt<'a> {
    office: &'a Office,
    need: restaurant::Need,
    method: Method,
    path: String,
    body: Value,
    own: bool,
}

impl Attempt<'_> {
    async fn ask(&self, key: &str) -> (StatusCode, Value) {
        let asked = self
            .office
            .ask(key, self.method.clone(), &self.path, &self.body);
        asked.await
    }

    async fn signed(&self, account: &'static str, secret: &str, at: i64) -> (StatusCode, Value) {
        let bytes = self.bytes();
        let by = Signed {
            account,
            secret: secret.to_owned(),
            at,
            agent: None,
        };
        let method = self.method.clone();
        self.office
            .signed(&by, method, &self.path, &bytes, &bytes)
            .await
    }

    fn bytes(&self) -> Vec<u8> {
        if self.method == Method::GET {
            Vec::new()
        } else {
            self.body.to_string().into_bytes()
        }
    }

    async fn by_credentials(&self, viewer: &str, stranger: &str) {
        let what = format!("{} {}", self.method, self.path);
        for credential in ["", "acc_wrong", "ses_wrong", "agt_wrong", "pub_wrong"] {
            let (status, answer) = self.ask(credential).await;
            assert_eq!(
                status,
                StatusCode::UNAUTHORIZED,
                "{what} {credential}: {answer}"
            );
            assert!(answer["error"].is_string(), "{what}: {answer}");
        }
        if self.need.role > Some(Role::Viewer) {
            let (status, answer) = self.ask(viewer).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{what}: {answer}");
        }
        let (status, answer) = self.ask(stranger).await;
        assert!(
            !answer.to_string().contains(MARK),
            "{what} told a stranger {answer}"
        );
        let refused = status.is_client_error();
        assert!(
            self.own || refused,
            "{what} answered a stranger {status}: {answer}"
        );
    }

    async fn by_signatures(&self, secret: &str, foreign: &str) {
        let what = format!("{} {}", self.method, self.path);
        let now = jiff::Timestamp::now().as_second();
        for (account, secret, at) in [
            ("default", foreign, now),
            ("default", "whsec_wrong", now),
            ("default", secret, now - 400),
            ("default", secret, now + 400),
            ("nobody", secret, now),
        ] {
            let (status, answer) = self.signed(account, secret, at).await;
            assert_eq!(
                status,
                StatusCode::UNAUTHORIZED,
                "{what} {account} {at}: {answer}"
            );
        }
        if self.method != Method::GET {
            let right = Signed {
                account: "default",
                secret: secret.to_owned(),
                at: now,
                agent: None,
            };
            let (bytes, method) = (self.bytes(), self.method.clone());
            let other = [&bytes[..], b" "].concat();
            let sent = self
                .office
                .signed(&right, method, &self.path, &other, &bytes)
                .await;
            assert_eq!(
                sent.0,
                StatusCode::UNAUTHORIZED,
                "{what}: another body than the signed one"
            );
        }
        let (status, answer) = self.signed("other", foreign, now).await;
        assert!(status.is_client_error(), "{what} {status}: {answer}");
        if !self.need.voice {
            let (status, _) = self.signed("default", secret, now).await;
            assert_eq!(
                status,
                StatusCode::FORBIDDEN,
                "{what}: the voice side has its own routes"
            );
        }
    }
}

on_both! {
    /// A wrong user, role, restaurant or signature gets nothing on any route.
    async fn nobody_gets_what_is_not_his(place) {
        let office = Office::open(place).await;
        let owner = office.key("default", Role::Owner).await;
        let viewer = office.key("default", Role::Viewer).await;
        let stranger = office.key("other", Role::Owner).await;
        let secret = office.secret("default").await;
        let foreign = office.secret("other").await;
        let (restaurant, ids) = furnished(&office, &owner).await;
        let before = everything(&office, &owner, &restaurant).await;
        assert!(!before.to_string().contains("line-password"), "a password is never read back");
        let mut tried = 0;
        for route in restaurant::needs() {
            if route.need.role.is_none() {
                continue;
            }
            // Rows are named by their ids on these; the others need one attempt.
            let in_path = route.path.contains("{id}");
            let by_id = if in_path { !route.path.starts_with("/api/restaurants") } else { !matches!(route.method, Method::POST | Method::PUT) };
            for id in &ids[..if by_id { ids.len() } else { 1 }] {
                let id = if route.path == "/api/restaurants" { &restaurant } else { id };
                let attempt = Attempt {
                    office: &office,
                    need: route.need,
                    path: target(route.path, &restaurant, id),
                    body: body(&restaurant, id),
                    own: is_his_own(&route.method, route.path),
                    method: route.method.clone(),
                };
                attempt.by_credentials(&viewer, &stranger).await;
                attempt.by_signatures(&secret, &foreign).await;
                tried += 1;
            }
        }
        assert!(tried > 60, "{tried} attempts: the table of routes is not read");
        let after = everything(&office, &owner, &restaurant).await;
        assert_eq!(before, after, "nothing was changed");
    }

    /// An agent of the same account is let into its own restaurant alone.
    async fn an_agent_has_one_restaurant(place) {
        let office = Office::open(place).await;
        let owner = office.key("default", Role::Owner).await;
        let secret = office.secret("default").await;
        let (restaurant, _) = furnished(&office, &owner).await;
        let change = json!({ "id": restaurant, "agentId": "agent-1" });
        let changed = office.ask(&owner, Method::PATCH, "/api/restaurants", &change).await;
        assert_eq!(changed.1["agentId"], Value::Null, "ids of agents are the product's own");
        let changed = office.ask("the-admin-token", Method::PATCH, "/api/restaurants", &change).await;
        assert_eq!(changed.1["agentId"], "agent-1");
        let path = format!("/api/blocked-phones/check?restaurantId={restaurant}&phone=+33600000000");
        for (agent, expected) in [("agent-1", StatusCode::OK), ("agent-2", StatusCode::NOT_FOUND)] {
            let by = Signed {
                account: "default",
                secret: secret.clone(),
                at: jiff::Timestamp::now().as_second(),
                agent: Some(agent.to_owned()),
            };
            let (status, answer) = office.signed(&by, Method::GET, &path, b"", b"").await;
            assert_eq!(status, expected, "{agent}: {answer}");
            if status == StatusCode::OK {
                assert_eq!(answer, json!({ "blocked": true, "reason": MARK }));
            }
        }
    }

    /// What is exported comes back as another restaurant that refers to its own rows only.
    async fn a_restaurant_moves_as_one_document(place) {
        let office = Office::open(place).await;
        let owner = office.key("default", Role::Owner).await;
        let (restaurant, _) = furnished(&office, &owner).await;
        let menu = office
            .ask(&owner, Method::GET, &format!("/api/menu-items?restaurantId={restaurant}"), &Value::Null)
            .await
            .1;
        let order = |house: &str, item: &Value| {
            json!({ "restaurantId": house, "customerPhone": "+33612345678", "orderType": "pickup", "total": 11.5,
                "items": [{ "menuItemId": item["id"], "name": MARK, "quantity": 1, "unitPrice": 11.5, "totalPrice": 11.5 }] })
        };
        office.made(&owner, "/api/orders", order(&restaurant, &menu[0])).await;
        let document = everything(&office, &owner, &restaurant).await;
        let copy = office.made(&owner, "/api/restaurants/import", document.clone()).await;
        let other = copy["id"].as_str().unwrap().to_owned();
        assert_ne!(other, restaurant);
        let again = everything(&office, &owner, &other).await;
        for name in ["categories", "items", "menus", "tables", "customers", "messages", "faqs"] {
            assert_eq!(again[name].as_array().unwrap().len(), 1, "{name}");
        }
        assert_eq!(again["items"][0]["categoryId"], again["categories"][0]["id"]);
        assert_ne!(again["items"][0]["categoryId"], document["items"][0]["categoryId"]);
        assert_eq!(again["items"][0]["price"], json!(11.5));
        // Its orders keep their numbers, and the next one has the next.
        let next = office.made(&owner, "/api/orders", order(&other, &again["items"][0])).await;
        assert_eq!(next["orderNumber"], 2);
        // A row of one restaurant cannot refer to a row of another.
        let body = json!({ "id": again["items"][0]["id"], "categoryId": document["categories"][0]["id"] });
        let (status, answer) = office.ask(&owner, Method::PATCH, "/api/menu-items", &body).await;
        assert_eq!(status, StatusCode::CONFLICT, "{answer}");
    }

    /// The end of a call is one record however often it is told, with what came of it.
    async fn a_call_ends_once(place) {
        let office = Office::open(place).await;
        let owner = office.key("default", Role::Owner).await;
        let secret = office.secret("default").await;
        let house = office.made(&owner, "/api/restaurants", json!({ "name": "Bella" })).await;
        let id = house["id"].as_str().unwrap();
        let get = async |path: &str| {
            let path = format!("{path}restaurantId={id}");
            office.ask(&owner, Method::GET, &path, &Value::Null).await.1
        };
        let mut end = json!({
            "restaurantId": id, "finalContext": { "restaurant_id": id, "call_id": "call-1" }, "callerPhone": "+33612345678",
            "startedAt": "2026-11-29T10:00:00Z", "endedAt": "2026-11-29T10:02:00Z", "durationSec": 120, "outcome": "completed",
            "transcript": [{ "role": "assistant", "content": "Bonjour" }, { "role": "user", "content": "Une question" }],
            "toolCalls": [], "aiModel": "gpt-realtime", "costs": { "costTotal": 0.12, "costCurrency": "EUR",
            "tokens": { "inputTokens": 10, "outputTokens": 20, "inputAudioTokens": 5, "outputAudioTokens": 6 } },
        });
        for _ in 0..2 {
            let (status, answer) = office.webhook(&secret, "/api/calls", &end).await;
            assert_eq!((status, &answer["ok"]), (StatusCode::OK, &json!(true)), "{answer}");
        }
        let calls = get("/api/calls?").await;
        assert_eq!(calls.as_array().unwrap().len(), 1);
        assert_eq!(calls[0]["outcome"], "info_only");
        assert_eq!((&calls[0]["id"], &calls[0]["inputTokens"]), (&json!("call-1"), &json!(10)));
        let messages = get("/api/messages?").await;
        assert_eq!(messages.as_array().unwrap().len(), 1, "one automatic message");
        assert_eq!((&messages[0]["category"], &messages[0]["callId"]), (&json!("info_request"), &json!("call-1")));
        end["finalContext"]["call_id"] = "call-2".into();
        end["toolCalls"] = json!([{ "name": "confirm_order" }, { "name": "leave_message" }]);
        office.webhook(&secret, "/api/calls", &end).await;
        assert_eq!(get("/api/calls?id=call-2&").await["outcome"], "order_placed");
        let wrong = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let (status, _) = office.webhook(wrong, "/api/calls", &end).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        let stats = get("/api/stats?period=day&date=2026-11-29&").await;
        assert_eq!((&stats["totals"]["calls"], &stats["outcomes"]["order_placed"]), (&json!(2), &json!(1)), "{stats}");
        assert_eq!(stats["buckets"][11]["calls"], json!(2), "10 h UTC is 11 h in Paris");
    }

    /// A menu as a table of values: no formula leaves, every row or none comes in.
    async fn a_menu_is_a_table(place) {
        let office = Office::open(place).await;
        let owner = office.key("default", Role::Owner).await;
        let house = office.made(&owner, "/api/restaurants", json!({ "name": "Bella" })).await;
        let path = format!("/api/menu/csv?restaurantId={}", house["id"].as_str().unwrap());
        let table = "category;name;price;allergens\nPizzas;Margherita;11,50;\"gluten; lait\"\nPizzas;=HYPERLINK(1);9;\n";
        let (status, answer) = office.csv(&owner, Method::PUT, &path, table).await;
        assert_eq!((status, json_of(&answer)["created"].as_i64()), (StatusCode::OK, Some(2)), "{answer}");
        let (_, text) = office.csv(&owner, Method::GET, &path, "").await;
        assert!(text.contains("'=HYPERLINK(1)") && text.contains("11.5") && text.contains("gluten; lait"), "{text}");
        let (_, answer) = office.csv(&owner, Method::PUT, &path, &text).await;
        assert_eq!(json_of(&answer)["created"].as_i64(), Some(0), "the same rows: {answer}");
        let (status, _) = office.csv(&owner, Method::PUT, &path, "name,price\nCalzone,12\nQuattro,lots\n").await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let (_, text) = office.csv(&owner, Method::GET, &path, "").await;
        assert!(!text.contains("Calzone"), "every row or none");
    }
}

//! Figures of the desk: `GET /api/ai`'s work for a menu of 300 items at 50 a second, and confirmations by 20 callers at once.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints")]
#![allow(dead_code, reason = "the world of the tests, of which it uses a part")]

#[path = "../../store/tests/common/place.rs"]
mod place;
#[path = "../tests/world/mod.rs"]
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use restaurant::desk::Asker;
use serde_json::{Value, json};
use world::{World, databases};

fn figures(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "{what}: n {} p50 {:.1} ms p95 {:.1} ms p99 {:.1} ms",
        times.len(),
        at(50),
        at(95),
        at(99)
    );
}

async fn sessions(world: &Arc<World>, pack: &Arc<Vec<Value>>) {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..500 {
        tick.tick().await;
        let (world, pack) = (Arc::clone(world), Arc::clone(pack));
        tasks.spawn(async move {
            let begun = Instant::now();
            let now = world::at("2026-11-28T20:00");
            let session = world
                .desk()
                .session(&world.scope, Some("+33611111111"), &pack, 30.0, now)
                .await
                .unwrap();
            let text = serde_json::to_string(&session).unwrap();
            assert!(text.len() > 30_000);
            begun.elapsed()
        });
    }
    figures("session, 300 items, 50/s", tasks.join_all().await);
}

/// Twenty callers confirm ten orders each: without a pause, or each five times a second.
async fn confirmations(world: &Arc<World>, what: &str, pause: Option<Duration>) {
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..20_u32 {
        let world = Arc::clone(world);
        let what = what.to_owned();
        tasks.spawn(async move {
            let mut times = Vec::new();
            let mut tick = pause.map(|pause| {
                let first = tokio::time::Instant::now() + pause * caller / 20;
                tokio::time::interval_at(first, pause)
            });
            for round in 0..10 {
                if let Some(tick) = &mut tick {
                    tick.tick().await;
                }
                let now = world::at("2026-11-28T20:00");
                let asker = Asker {
                    voice: true,
                    caller: Some(format!("+3361111{caller:04}")),
                    call: Some(format!("{what}-{caller}-{round}")),
                    ..Asker::default()
                };
                let body = json!({"order_type": "pickup", "items": [{"name": "Margherita", "quantity": 2}, {"name": "Eau", "quantity": 1}], "total": 22.3});
                let begun = Instant::now();
                let reply = world.desk().confirm_order(&world.scope, &asker, body, now).await.unwrap();
                times.push(begun.elapsed());
                assert_eq!(reply.body["success"], true, "{}", reply.body);
            }
            times
        });
    }
    figures(
        &format!("confirmation, 20 callers, {what}"),
        tasks.join_all().await.concat(),
    );
}

#[tokio::main]
async fn main() {
    let pack = Arc::new(restaurant::provision::tools());
    for database in databases().await {
        println!("{:?}", database.store.dialect());
        let house = json!({"kitchenCapacity": 10_000});
        let orders = Arc::new(World::new(&database.store, Some(&house)).await);
        // The first opens connections and fills caches; each in a restaurant of its own, since a kitchen has no thousand orders to cook.
        for (what, pause) in [
            ("first", None),
            ("all at once without a pause", None),
            ("each five times a second", Some(Duration::from_millis(200))),
        ] {
            let orders = Arc::new(World::new(&database.store, Some(&house)).await);
            confirmations(&orders, what, pause).await;
        }
        for index in 0..292 {
            let row = json!({"id": format!("x{index}"), "categoryId": "pizzas", "name": format!("Plat {index}"), "price": 9.5,
                "description": "Servi avec sa garniture de saison", "allergens": ["gluten"], "displayOrder": 10 + index});
            orders.change(&json!({"table": "items", "add": row})).await;
        }
        sessions(&orders, &pack).await;
    }
}

//! Figures of a day, a week or a month (`GET /api/stats`), in the restaurant's zone: each night of daylight saving has its true
//! length.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::store::{ReadError, Statement};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Map, Value, json};

use super::app::App;
use super::need::Need;
use super::refusal::Refusal;
use super::request::Query;
use super::routes::Routes;
use super::who::Who;
use crate::store::{HouseScope, houses, record};

/// Rows of one kind that are counted at most.
const ROWS_MAX: i64 = 100_000;
/// Dishes and customers that are listed.
const TOP: usize = 5;

pub(super) fn add(routes: &mut Routes) {
    routes.get("/api/stats", Need::read(), stats);
}

/// The span that is asked for, as its first and its last day.
fn span(period: &str, day: Date) -> Option<(Date, Date)> {
    Some(match period {
        "day" => (day, day),
        "week" => {
            let back = i64::from(day.weekday().to_monday_zero_offset());
            let first = day.checked_sub(back.days()).ok()?;
            (first, first.checked_add(6.days()).ok()?)
        }
        "month" => (day.first_of_month(), day.last_of_month()),
        _ => return None,
    })
}

/// Sums of one part of the span.
#[derive(Clone, Debug, Default)]
struct Sums {
    calls: i64,
    duration_s: i64,
    cost: f64,
    orders: i64,
    revenue_cents: i64,
    reservations: i64,
    covers: i64,
    messages: i64,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.duration_s += other.duration_s;
        self.cost += other.cost;
        self.orders += other.orders;
        self.revenue_cents += other.revenue_cents;
        self.reservations += other.reservations;
        self.covers += other.covers;
        self.messages += other.messages;
    }

    fn show(&self) -> Map<String, Value> {
        let cost = (self.cost * 10_000.0).round() / 10_000.0;
        let members = json!({
            "calls": self.calls, "durationSec": self.duration_s, "cost": cost, "orders": self.orders,
            "revenue": record::amount(self.revenue_cents), "reservations": self.reservations,
            "covers": self.covers, "messages": self.messages,
        });
        members.as_object().cloned().unwrap_or_default()
    }
}

/// Everything that is counted.
#[derive(Debug, Default)]
struct Count {
    parts: BTreeMap<String, Sums>,
    outcomes: BTreeMap<String, i64>,
    modes: BTreeMap<String, i64>,
    callers: std::collections::BTreeSet<String>,
}

struct Frame<'a> {
    app: &'a App,
    scope: &'a HouseScope,
    zone: TimeZone,
    by_hour: bool,
    from: Timestamp,
    to: Timestamp,
}

impl Frame<'_> {
    /// The part of the span that an instant is in.
    fn part(&self, at: Option<i64>) -> String {
        let at = Timestamp::from_microsecond(at.unwrap_or_default()).unwrap_or_default();
        let local = self.zone.to_datetime(at);
        if self.by_hour {
            format!("{:02}:00", local.hour())
        } else {
            local.date().to_string()
        }
    }

    async fn rows(
        &self,
        table: &str,
        time: &str,
        columns: &str,
    ) -> Result<Vec<::store::Row>, ReadError> {
        let mut statement = Statement::new("SELECT ");
        statement.push(columns).push(" FROM ").push(table);
        statement.push(" WHERE ");
        self.scope.limit(&mut statement);
        statement.push(" AND ").push(time).with(" >= ", self.from);
        statement.push(" AND ").push(time).with(" < ", self.to);
        statement.with(" LIMIT ", ROWS_MAX);
        self.app.db.rows(statement).await
    }

    async fn count(&self) -> Result<Count, ReadError> {
        let mut count = Count::default();
        let columns =
            "started_at, outcome, duration_sec, cost_ai, cost_telecom, cost_google, caller_number";
        for row in self.rows("restaurant_calls", "started_at", columns).await? {
            let sums = count.parts.entry(self.part(row.int("started_at")?));
            let sums = sums.or_default();
            sums.calls += 1;
            sums.duration_s += row.int("duration_sec")?.unwrap_or_default();
            for name in ["cost_ai", "cost_telecom", "cost_google"] {
                sums.cost += row.real(name)?.unwrap_or_default();
            }
            let outcome = row.text("outcome")?.unwrap_or_default();
            *count.outcomes.entry(outcome).or_default() += 1;
            count.callers.extend(row.text("caller_number")?);
        }
        let columns = "created_at, total, order_type, status";
        for row in self
            .rows("restaurant_orders", "created_at", columns)
            .await?
        {
            if row.text("status")?.as_deref() == Some("cancelled") {
                continue;
            }
            let sums = count.parts.entry(self.part(row.int("created_at")?));
            let sums = sums.or_default();
            sums.orders += 1;
            sums.revenue_cents += row.int("total")?.unwrap_or_default();
            let mode = row.text("order_type")?.unwrap_or_default();
            *count.modes.entry(mode).or_default() += 1;
        }
        let columns = "reservation_time, party_size, status";
        let table = "restaurant_reservations";
        for row in self.rows(table, "reservation_time", columns).await? {
            if row.text("status")?.as_deref() == Some("cancelled") {
                continue;
            }
            let sums = count.parts.entry(self.part(row.int("reservation_time")?));
            let sums = sums.or_default();
            sums.reservations += 1;
            sums.covers += row.int("party_size")?.unwrap_or_default();
        }
        for row in self
            .rows("restaurant_messages", "created_at", "created_at")
            .await?
        {
            let sums = count.parts.entry(self.part(row.int("created_at")?));
            sums.or_default().messages += 1;
        }
        Ok(count)
    }

    /// What was ordered most.
    async fn top_items(&self) -> Result<Vec<Value>, ReadError> {
        let columns = "name, quantity, total_price";
        let mut found: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for row in self
            .rows("restaurant_order_lines", "created_at", columns)
            .await?
        {
            let entry = found.entry(row.text("name")?.unwrap_or_default());
            let (pieces, cents) = entry.or_default();
            *pieces += row.int("quantity")?.unwrap_or_default();
            *cents += row.int("total_price")?.unwrap_or_default();
        }
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_by_key(|(_, (pieces, _))| std::cmp::Reverse(*pieces));
        let shown = found.into_iter().take(TOP).map(|(name, (pieces, cents))| {
            json!({ "name": name, "quantity": pieces, "revenue": record::amount(cents) })
        });
        Ok(shown.collect())
    }
}

/// The names of the parts of a span, in order, also of those in which nothing happened.
fn parts(first: Date, last: Date, by_hour: bool) -> Vec<String> {
    if by_hour {
        return (0..24).map(|hour| format!("{hour:02}:00")).collect();
    }
    let days = first.series(1.day()).take_while(|day| *day <= last);
    days.map(|day| day.to_string()).collect()
}

async fn stats(State(app): State<Arc<App>>, who: Who, query: Query) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("restaurantId")).await?;
    let house = houses::one(&app.db, &scope).await?;
    let house = house.ok_or_else(Refusal::unknown)?;
    let zone = house.get("timezone").and_then(Value::as_str);
    let zone = zone.and_then(|name| TimeZone::get(name).ok());
    let zone = zone.unwrap_or(TimeZone::UTC);
    let period = query.text("period").unwrap_or("day");
    let day = match query.text("date") {
        Some(text) => text
            .parse()
            .map_err(|_| Refusal::field("date", "2026-11-29"))?,
        None => zone.to_datetime(Timestamp::now()).date(),
    };
    let (first, last) =
        span(period, day).ok_or_else(|| Refusal::field("period", "day, week, month"))?;
    let begin = |day: Date| day.to_zoned(zone.clone()).map(|at| at.timestamp());
    let from = begin(first).map_err(Refusal::internal)?;
    let to = last.tomorrow().and_then(begin).map_err(Refusal::internal)?;
    let frame = Frame {
        app: &app,
        scope: &scope,
        zone,
        by_hour: period == "day",
        from,
        to,
    };
    let count = frame.count().await?;
    let mut totals = Sums::default();
    let buckets: Vec<Value> = parts(first, last, frame.by_hour)
        .into_iter()
        .map(|name| {
            let sums = count.parts.get(&name).cloned().unwrap_or_default();
            totals.add(&sums);
            let mut shown = sums.show();
            shown.insert("bucket".to_owned(), name.into());
            Value::Object(shown)
        })
        .collect();
    let kpis = json!({
        "totalCalls": totals.calls, "totalOrders": totals.orders,
        "totalRevenue": record::amount(totals.revenue_cents),
        "totalDeliveries": count.modes.get("delivery").copied().unwrap_or_default(),
        "totalMinutes": totals.duration_s / 60, "uniqueCallers": count.callers.len(),
        "avgCallDuration": totals.duration_s.checked_div(totals.calls).unwrap_or_default(),
    });
    let answer = json!({
        "period": period, "from": record::iso(from), "to": record::iso(to),
        "timezone": house.get("timezone"), "currency": house.get("currency"),
        "totals": totals.show(), "kpis": kpis, "buckets": buckets,
        "outcomes": count.outcomes, "orderTypes": count.modes, "topItems": frame.top_items().await?,
    });
    Ok(Json(answer).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_those_of_the_calendar() {
        let day: Date = "2026-11-29".parse().unwrap();
        let text = |period| span(period, day).map(|(a, b)| format!("{a} {b}"));
        assert_eq!(text("day").as_deref(), Some("2026-11-29 2026-11-29"));
        assert_eq!(text("week").as_deref(), Some("2026-11-23 2026-11-29"));
        assert_eq!(text("month").as_deref(), Some("2026-11-01 2026-11-30"));
        assert_eq!(text("year"), None);
        let (first, last) = span("month", day).unwrap();
        assert_eq!(parts(first, last, false).len(), 30);
        assert_eq!(parts(first, last, true).len(), 24);
    }
}

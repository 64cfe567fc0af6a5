//! Orders that exist: lists, status, changes, cancellation.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use store::{Statement, Tx};

use super::{Asker, Desk, DeskError, Reply};
use crate::domain::lang::Lang;
use crate::domain::money::Cents;
use crate::domain::order::Refusal;
use crate::domain::phone;
use crate::store::order::{Visit, count_visit, note_event};
use crate::store::record::{self, show};
use crate::store::rows::{delete, hold_house, insert, list_in, one_in, update};
use crate::store::{Filter, HouseScope, settle, tables};

/// Orders of one list.
const LIST_MAX: i64 = 50;
/// Orders that a caller is told of.
const STATUS_MAX: i64 = 5;
/// How long they are told.
const STATUS_WITHIN: SignedDuration = SignedDuration::from_hours(24);
/// Orders among which a caller's number is looked for.
const CANCEL_AMONG: i64 = 20;

/// `2x Reine, 1x Tiramisu` of lines as the wire has them.
pub fn summary(lines: &[Value]) -> String {
    let parts: Vec<String> = lines
        .iter()
        .map(|line| {
            format!(
                "{}x {}",
                line["quantity"],
                line["name"].as_str().unwrap_or_default()
            )
        })
        .collect();
    parts.join(", ")
}

/// The amount of a member.
fn amount(row: &Map<String, Value>, name: &str) -> Cents {
    row.get(name)
        .and_then(|value| Cents::from_json(value).ok())
        .unwrap_or_default()
}

fn text<'a>(row: &'a Map<String, Value>, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

impl Desk<'_> {
    /// `GET /api/orders`: the newest, with their lines.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn orders(&self, scope: &HouseScope, statuses: &[&str]) -> Result<Reply, DeskError> {
        let mut statement = Statement::new("SELECT * FROM restaurant_orders WHERE ");
        scope.limit(&mut statement);
        if !statuses.is_empty() {
            statement.push(" AND status IN (");
            for (index, status) in statuses.iter().enumerate() {
                statement.with(if index == 0 { "" } else { ", " }, *status);
            }
            statement.push(")");
        }
        statement
            .push(" ORDER BY created_at DESC, id DESC")
            .with(" LIMIT ", LIST_MAX);
        let orders = self.with_lines(scope, statement).await?;
        Ok(Reply::ok(orders.into()))
    }

    async fn with_lines(
        &self,
        scope: &HouseScope,
        statement: Statement,
    ) -> Result<Vec<Value>, DeskError> {
        let rows = self.db.rows(statement).await?;
        let mut orders = Vec::with_capacity(rows.len());
        for row in &rows {
            orders.push(show(&tables::ORDERS, row, true)?);
        }
        if orders.is_empty() {
            return Ok(Vec::new());
        }
        let mut statement = Statement::new("SELECT * FROM restaurant_order_lines WHERE ");
        scope.limit(&mut statement);
        statement.push(" AND order_id IN (");
        for (index, order) in orders.iter().enumerate() {
            statement.with(if index == 0 { "" } else { ", " }, text(order, "id"));
        }
        statement.push(") ORDER BY position, id");
        let mut lines = Vec::new();
        for row in &self.db.rows(statement).await? {
            lines.push(Value::Object(show(&tables::ORDER_LINES, row, true)?));
        }
        Ok(orders
            .into_iter()
            .map(|mut order| {
                let own: Vec<Value> = lines
                    .iter()
                    .filter(|line| line["orderId"] == order["id"])
                    .cloned()
                    .collect();
                order.insert("items".to_owned(), own.into());
                Value::Object(order)
            })
            .collect())
    }

    /// `GET /api/orders/status`: the caller's orders of a day.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn order_status(
        &self,
        scope: &HouseScope,
        asker: &Asker,
        number: &str,
        now: Timestamp,
    ) -> Result<Reply, DeskError> {
        if !asker.may_see(Some(number)) {
            return Ok(Reply::ok(json!({"found": false, "orders": []})));
        }
        let mut statement = of_number(scope, number);
        statement.with(" AND created_at > ", now - STATUS_WITHIN);
        statement
            .push(" ORDER BY created_at DESC, id DESC")
            .with(" LIMIT ", STATUS_MAX);
        let orders: Vec<Value> = self
            .with_lines(scope, statement)
            .await?
            .into_iter()
            .map(|order| {
                let lines = order["items"].as_array().cloned().unwrap_or_default();
                let count: i64 = lines.iter().filter_map(|line| line["quantity"].as_i64()).sum();
                json!({
                    "id": order["id"], "orderNumber": order["orderNumber"], "status": order["status"], "orderType": order["orderType"],
                    "total": order["total"], "estimatedReadyAt": order["estimatedReadyAt"], "createdAt": order["createdAt"],
                    "itemCount": count, "itemsSummary": summary(&lines),
                })
            })
            .collect();
        Ok(Reply::ok(
            json!({"found": !orders.is_empty(), "orders": orders}),
        ))
    }

    /// `POST /api/ai/tools/cancel-order`: only the caller's own, only before it is cooked.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn cancel_order(
        &self,
        scope: &HouseScope,
        asker: &Asker,
        number: Option<i64>,
        now: Timestamp,
    ) -> Result<Reply, DeskError> {
        let Some((house, _)) = self.house(scope).await? else {
            return Ok(Reply::error(404, "unknown restaurant"));
        };
        let lang = house.lang();
        let said = |french: &str, english: &str| {
            Ok(Reply::ok(
                json!({"success": false, "error": lang.pick(french, english)}),
            ))
        };
        let (Some(number), Some(caller)) = (number, asker.caller.as_deref()) else {
            return said(
                "Sans numéro d'appelant ou de commande, rien ne peut être annulé. Propose de laisser un message.",
                "Without the caller's number or an order number nothing can be cancelled. Offer to leave a message.",
            );
        };
        let mut tx = self.db.begin().await?;
        let result = async {
            hold_house(&mut tx, scope).await?;
            let mut statement = of_number(scope, caller);
            statement.push(" ORDER BY created_at DESC, id DESC").with(" LIMIT ", CANCEL_AMONG);
            let rows = tx.rows(statement, "order").await?;
            let mut found = None;
            for row in &rows {
                if row.int("order_number")? == Some(number) {
                    found = Some(show(&tables::ORDERS, row, true)?);
                }
            }
            let Some(order) = found else {
                return said(
                    "Aucune commande de ce numéro pour cet appelant.",
                    "There is no order of that number for this caller.",
                );
            };
            match text(&order, "status") {
                "pending" | "confirmed" => {}
                "cancelled" => {
                    let done = lang.pick("Cette commande est déjà annulée.", "This order is already cancelled.");
                    return Ok(Reply::ok(json!({"success": true, "message": done})));
                }
                _ => {
                    return said(
                        "Cette commande est déjà en préparation, elle ne peut plus être annulée. Propose de laisser un message.",
                        "This order is being prepared and cannot be cancelled any more. Offer to leave a message.",
                    );
                }
            }
            cancel(&mut tx, scope, &order, now).await?;
            let message = match lang {
                Lang::Fr => format!("La commande n°{number} est annulée."),
                Lang::En => format!("Order no. {number} is cancelled."),
            };
            Ok::<Reply, DeskError>(Reply::ok(json!({"success": true, "message": message, "order_id": order.get("id")})))
        }
        .await;
        settle(tx, result).await
    }

    /// `PATCH /api/orders`. The voice side may only cancel what is the caller's.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn change_order(
        &self,
        scope: &HouseScope,
        asker: &Asker,
        body: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<Reply, DeskError> {
        let id = text(body, "id").to_owned();
        let menu = if body.contains_key("items") {
            Some(self.menu(scope).await?)
        } else {
            None
        };
        let mut tx = self.db.begin().await?;
        let result = async {
            hold_house(&mut tx, scope).await?;
            let Some(Value::Object(order)) = one_in(&mut tx, scope, &tables::ORDERS, &id).await?
            else {
                return Ok(Reply::error(404, "unknown order"));
            };
            asker.expected.check(&order)?;
            let cancels =
                text(body, "status") == "cancelled" && text(&order, "status") != "cancelled";
            if let Some(reply) = voice_fault(asker, body, &order, cancels) {
                return Ok(reply);
            }
            if cancels {
                cancel(&mut tx, scope, &order, now).await?;
            }
            let sets =
                match change_sets(&mut tx, scope, menu.as_deref(), &order, body, cancels).await? {
                    Ok(sets) => sets,
                    Err(refusal) => return Ok(Reply::refused(400, &refusal)),
                };
            let was = order.get("status").cloned();
            let row = update(&mut tx, scope, &tables::ORDERS, &id, sets).await?;
            let mut row = row.unwrap_or(order);
            if !cancels {
                note_event(
                    &mut tx,
                    scope,
                    "order.updated",
                    &id,
                    &json!({"id": id, "status": row.get("status"), "was": was, "dishes": body.contains_key("items")}),
                    now,
                )
                .await?;
            }
            let lines = Filter::default().with("order_id = ", id.as_str());
            row.insert(
                "items".to_owned(),
                list_in(&mut tx, scope, &tables::ORDER_LINES, lines)
                    .await?
                    .into(),
            );
            Ok::<Reply, DeskError>(Reply::ok(Value::Object(row)))
        }
        .await;
        // A refusal after lines were written must leave nothing of them.
        match result {
            Ok(reply) if reply.status >= 400 => {
                tx.rollback().await;
                Ok(reply)
            }
            other => settle(tx, other).await,
        }
    }
}

fn of_number(scope: &HouseScope, number: &str) -> Statement {
    let mut statement = Statement::new("SELECT * FROM restaurant_orders WHERE ");
    scope.limit(&mut statement);
    statement.push(" AND customer_phone IN (");
    for (index, spelling) in phone::spellings(number).into_iter().enumerate() {
        statement.with(if index == 0 { "" } else { ", " }, spelling);
    }
    statement.push(")");
    statement
}

/// Why a call may not make that change: another's order does not exist for it.
fn voice_fault(
    asker: &Asker,
    body: &Map<String, Value>,
    order: &Map<String, Value>,
    cancels: bool,
) -> Option<Reply> {
    if !asker.voice {
        return None;
    }
    if !asker.may_see(order.get("customerPhone").and_then(Value::as_str)) {
        return Some(Reply::error(404, "unknown order"));
    }
    let known = |name: &str| {
        matches!(
            name,
            "id" | "status" | "restaurantId" | "callId" | "callerPhone"
        )
    };
    let allowed = cancels
        && body.keys().all(|name| known(name))
        && matches!(text(order, "status"), "pending" | "confirmed");
    (!allowed).then(|| {
        Reply::error(
            403,
            "only an order that is not being prepared can be cancelled",
        )
    })
}

/// Cancels, and takes it out of its customer's sums.
async fn cancel(
    tx: &mut Tx,
    scope: &HouseScope,
    order: &Map<String, Value>,
    now: Timestamp,
) -> Result<(), DeskError> {
    let id = text(order, "id");
    // The same order may be wanted again in the same call: that is then a new one.
    let mut statement = Statement::new(
        "UPDATE restaurant_orders SET status = 'cancelled', confirmation_key = NULL, cancelled_at = ",
    );
    statement
        .bind(now)
        .with(", updated_at = ", now)
        .push(" WHERE ");
    scope.limit(&mut statement);
    statement.with(" AND id = ", id);
    tx.run(statement, "order").await?;
    let number = text(order, "customerPhone");
    if !number.is_empty() {
        let visit = Visit {
            id: order.get("customerId").and_then(Value::as_str),
            phone: number,
            name: None,
            orders: -1,
            bookings: 0,
            spent: Cents::new(-amount(order, "total").get()),
        };
        count_visit(tx, scope, visit, now).await?;
    }
    let payload =
        json!({"id": id, "orderNumber": order.get("orderNumber"), "callId": order.get("callId")});
    note_event(tx, scope, "order.cancelled", id, &payload, now).await?;
    Ok(())
}

/// The columns that a change sets; lines are changed on the way, and the total follows them.
async fn change_sets(
    tx: &mut Tx,
    scope: &HouseScope,
    menu: Option<&crate::domain::menu::Menu>,
    order: &Map<String, Value>,
    body: &Map<String, Value>,
    cancels: bool,
) -> Result<Result<Vec<record::Set>, Refusal>, DeskError> {
    let mut wanted = Map::new();
    for name in [
        "estimatedReadyAt",
        "cookStartAt",
        "handoffAt",
        "customerName",
        "customerPhone",
        "orderType",
        "deliveryAddress",
        "notes",
        "total",
        "paymentMethod",
    ] {
        if let Some(value) = body.get(name) {
            wanted.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(status) = body.get("status").filter(|_| !cancels) {
        wanted.insert("status".to_owned(), status.clone());
    }
    if let (Some(items), Some(menu)) = (body.get("items").and_then(Value::as_array), menu) {
        for item in items {
            if let Err(refusal) = change_line(tx, scope, menu, text(order, "id"), item).await? {
                return Ok(Err(refusal));
            }
        }
        let lines = Filter::default().with("order_id = ", text(order, "id"));
        let lines = list_in(tx, scope, &tables::ORDER_LINES, lines).await?;
        let sum: i64 = lines
            .iter()
            .filter_map(|line| Cents::from_json(&line["totalPrice"]).ok())
            .map(Cents::get)
            .sum();
        wanted.insert("subtotal".to_owned(), Cents::new(sum).to_json());
        let total =
            Cents::new(sum + amount(order, "deliveryFee").get() - amount(order, "discount").get());
        wanted.entry("total").or_insert(total.to_json());
    }
    Ok(record::read(&tables::ORDERS, &wanted, false)
        .map_err(|fault| Refusal::new("bad_order", fault.to_string())))
}

async fn change_line(
    tx: &mut Tx,
    scope: &HouseScope,
    menu: &crate::domain::menu::Menu,
    order: &str,
    item: &Value,
) -> Result<Result<(), Refusal>, DeskError> {
    let bad = |text: String| Ok(Err(Refusal::new("bad_line", text)));
    let id = item.get("id").and_then(Value::as_str).unwrap_or_default();
    let old = if id.is_empty() {
        None
    } else {
        one_in(tx, scope, &tables::ORDER_LINES, id).await?
    };
    let old = old.filter(|line| line["orderId"] == order);
    if !id.is_empty() && old.is_none() {
        return bad(format!("there is no line {id} in this order"));
    }
    if item.get("_delete") == Some(&Value::Bool(true)) {
        delete(tx, scope, &tables::ORDER_LINES, id).await?;
        return Ok(Ok(()));
    }
    let members = match line_members(menu, order, item, old.as_ref()) {
        Ok(members) => members,
        Err(text) => return bad(text.to_owned()),
    };
    let sets = match record::read(&tables::ORDER_LINES, &members, true) {
        Ok(sets) => sets,
        Err(fault) => return bad(fault.to_string()),
    };
    if id.is_empty() {
        insert(tx, scope, &tables::ORDER_LINES, sets).await?;
    } else {
        update(tx, scope, &tables::ORDER_LINES, id, sets).await?;
    }
    Ok(Ok(()))
}

/// A line as it will be: what the change says, else what the menu says, else what it was.
fn line_members(
    menu: &crate::domain::menu::Menu,
    order: &str,
    item: &Value,
    old: Option<&Value>,
) -> Result<Map<String, Value>, &'static str> {
    let entry = item
        .get("menuItemId")
        .and_then(Value::as_str)
        .and_then(|id| menu.by_id(id));
    let of = |name: &str| {
        item.get(name)
            .filter(|value| !value.is_null())
            .or_else(|| old.and_then(|line| line.get(name)))
    };
    let name = entry
        .map(|entry| Value::from(entry.item.name.clone()))
        .or_else(|| of("name").cloned());
    let price = item
        .get("unitPrice")
        .filter(|value| !value.is_null())
        .cloned();
    let price = price
        .or_else(|| entry.map(|entry| entry.item.price.to_json()))
        .or_else(|| of("unitPrice").cloned());
    let quantity = of("quantity").and_then(Value::as_i64).unwrap_or(1);
    let (Some(name), Some(price)) = (name, price) else {
        return Err("a new line has menuItemId, or name and unitPrice");
    };
    let Some(total) = Cents::from_json(&price)
        .ok()
        .and_then(|price| price.times(quantity))
    else {
        return Err("unitPrice is no amount");
    };
    let mut members = Map::new();
    for (wire, value) in [
        ("orderId", Value::from(order)),
        (
            "menuItemId",
            entry.map_or_else(
                || of("menuItemId").cloned().unwrap_or_default(),
                |entry| entry.item.id.clone().into(),
            ),
        ),
        ("name", name),
        ("quantity", quantity.into()),
        ("unitPrice", price),
        ("totalPrice", total.to_json()),
        ("notes", of("notes").cloned().unwrap_or_default()),
    ] {
        members.insert(wire.to_owned(), value);
    }
    Ok(members)
}

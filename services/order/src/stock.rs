//! Reserves what an order needs, once, and releases it where the order fails: two HTTP endpoints.

use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use axum::{Json, Router};
use quadrille_participant::{Call, Decision, Failure, Participant, response};
use serde_json::json;

use crate::orders::OrderPlaced;

/// The tables of the store. `calls` counts those about orders with flaky articles.
pub const TABLES: &str = "CREATE TABLE IF NOT EXISTS reservations (
    activation TEXT NOT NULL, sku TEXT NOT NULL, quantity INTEGER NOT NULL, PRIMARY KEY (activation, sku));
    CREATE TABLE IF NOT EXISTS calls (activation TEXT PRIMARY KEY, number INTEGER NOT NULL)";

/// `/reserve` and `/release`.
pub fn router(stock: Participant) -> Router {
    Router::new().route("/reserve", post(reserve)).route("/release", post(release)).with_state(stock)
}

async fn reserve(State(stock): State<Participant>, call: Call, Json(order): Json<OrderPlaced>) -> Response {
    if let Err(failure) = fail_at_first(&stock, &call, &order).await {
        return response(Err(failure));
    }
    let reserved = stock.perform(call, move |tx, call| {
        let order_id = &order.order_id;
        if let Some(line) = order.lines.iter().find(|line| line.sku.starts_with("SOLD-OUT")) {
            let data = json!({ "order_id": order_id, "sku": line.sku, "available": 0 });
            return Ok(Decision::rejected("OutOfStock", &data));
        }
        for line in &order.lines {
            tx.execute(
                "INSERT INTO reservations (activation, sku, quantity) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET quantity = quantity + ?3",
                (&call.activation, &line.sku, line.quantity),
            )?;
        }
        let data = json!({ "order_id": order_id, "reservation_id": call.activation });
        Ok(Decision::done("StockReserved", &data))
    });
    response(reserved.await)
}

async fn release(State(stock): State<Participant>, call: Call, Json(order): Json<OrderPlaced>) -> Response {
    let released = move |reservation_id: Option<&str>| {
        let data = json!({ "order_id": order.order_id, "reservation_id": reservation_id });
        Decision::done("StockReleased", &data)
    };
    let nothing = released(None);
    let released = stock.compensate(call, nothing, move |tx, call| {
        tx.execute("DELETE FROM reservations WHERE activation = ?", [&call.activation])?;
        Ok(released(Some(&call.activation)))
    });
    response(released.await)
}

/// Fails for the first calls about an order with a flaky article, whichever process gets them.
async fn fail_at_first(stock: &Participant, call: &Call, order: &OrderPlaced) -> Result<(), Failure> {
    let Some(failures) = order.lines.iter().filter_map(|line| failures(&line.sku)).max() else {
        return Ok(());
    };
    let activation = call.activation.clone();
    let count = "INSERT INTO calls (activation, number) VALUES (?, 1)
        ON CONFLICT DO UPDATE SET number = number + 1 RETURNING number";
    let number: u32 =
        stock.store(move |store| store.query_row(count, [activation], |row| row.get(0))).await?;
    if number > failures {
        return Ok(());
    }
    Err(Failure::Store(format!("call {number} of {failures} that fail")))
}

/// How many calls fail about an order with this article: 3 for `FLAKY-3-lamp`.
fn failures(sku: &str) -> Option<u32> {
    sku.strip_prefix("FLAKY-")?.split('-').next()?.parse().ok()
}

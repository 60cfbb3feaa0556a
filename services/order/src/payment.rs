//! Charges a customer for an order, once, and gives it back where the order fails.

use quadrille_participant::{Decision, Participant, outputs};
use quadrille_sdk::{Context, Outputs, StepError, Steps};
use rusqlite::OptionalExtension;
use serde_json::json;

use crate::orders::OrderPlaced;

/// The tables of the store.
pub const TABLES: &str = "CREATE TABLE IF NOT EXISTS charges (
    activation TEXT PRIMARY KEY, order_id TEXT NOT NULL, amount_cents INTEGER NOT NULL, refunded INTEGER NOT NULL)";

/// The steps of service `payment`.
pub fn steps(payment: Participant) -> Steps {
    let refunding = payment.clone();
    Steps::new()
        .service("payment")
        .handler("charge", move |context, order| charge(payment.clone(), context, order))
        .handler("refund", move |context, order| refund(refunding.clone(), context, order))
}

async fn charge(payment: Participant, context: Context, order: OrderPlaced) -> Result<Outputs, StepError> {
    let charged = payment.perform((&context).into(), move |tx, call| {
        if order.customer_id.starts_with("DECLINED") {
            let reason = "the bank says no";
            return Ok(Decision::rejected(
                "CardDeclined",
                &json!({ "order_id": order.order_id, "reason": reason }),
            ));
        }
        tx.execute(
            "INSERT INTO charges (activation, order_id, amount_cents, refunded) VALUES (?, ?, ?, 0)",
            (&call.activation, &order.order_id, order.amount_cents),
        )?;
        let taken = json!({
            "order_id": order.order_id,
            "payment_id": call.activation,
            "amount_cents": order.amount_cents,
            "currency": order.currency,
        });
        Ok(Decision::done("PaymentTaken", &taken))
    });
    outputs(charged.await)
}

async fn refund(payment: Participant, context: Context, order: OrderPlaced) -> Result<Outputs, StepError> {
    let refunded = move |payment_id: Option<&str>, amount_cents: i64| {
        let data = json!({
            "order_id": order.order_id,
            "payment_id": payment_id,
            "amount_cents": amount_cents,
            "currency": order.currency,
        });
        Decision::done("PaymentRefunded", &data)
    };
    let nothing = refunded(None, 0);
    let refunded = payment.compensate((&context).into(), nothing, move |tx, call| {
        let charge = "UPDATE charges SET refunded = 1 WHERE activation = ? RETURNING amount_cents";
        let amount = tx.query_row(charge, [&call.activation], |row| row.get(0)).optional()?;
        Ok(refunded(Some(&call.activation), amount.unwrap_or(0)))
    });
    outputs(refunded.await)
}

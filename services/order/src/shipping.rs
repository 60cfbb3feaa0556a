//! Ships what is reserved and paid.

use quadrille_participant::{Decision, Participant, outputs};
use quadrille_sdk::{Context, Outputs, StepError, Steps};
use serde::Deserialize;
use serde_json::json;

use crate::orders::{PaymentTaken, StockReserved};

/// The tables of the store.
pub const TABLES: &str = "CREATE TABLE IF NOT EXISTS shipments (
    activation TEXT PRIMARY KEY, order_id TEXT NOT NULL, reservation_id TEXT NOT NULL, payment_id TEXT NOT NULL)";

/// The two events that `ship` waits for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ready {
    stock_reserved: StockReserved,
    payment_taken: PaymentTaken,
}

/// The steps of service `shipping`.
pub fn steps(shipping: Participant) -> Steps {
    Steps::new()
        .service("shipping")
        .handler("ship", move |context, ready| ship(shipping.clone(), context, ready))
}

async fn ship(shipping: Participant, context: Context, ready: Ready) -> Result<Outputs, StepError> {
    let shipped = shipping.perform((&context).into(), move |tx, call| {
        let (stock, payment) = (ready.stock_reserved, ready.payment_taken);
        tx.execute(
            "INSERT INTO shipments (activation, order_id, reservation_id, payment_id) VALUES (?, ?, ?, ?)",
            (&call.activation, &stock.order_id, &stock.reservation_id, &payment.payment_id),
        )?;
        let data =
            json!({ "order_id": stock.order_id, "shipment_id": call.activation, "carrier": "own van" });
        Ok(Decision::done("OrderShipped", &data))
    });
    outputs(shipped.await)
}

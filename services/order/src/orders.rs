//! The events, as far as the participants read them.

use serde::Deserialize;

/// A customer has placed an order.
#[derive(Clone, Debug, Deserialize)]
pub struct OrderPlaced {
    /// ID of the order.
    pub order_id: String,
    /// Who ordered.
    pub customer_id: String,
    /// What was ordered.
    pub lines: Vec<OrderLine>,
    /// Amount in cents of the currency.
    pub amount_cents: i64,
    /// ISO 4217 code.
    pub currency: String,
}

/// One article of an order.
#[derive(Clone, Debug, Deserialize)]
pub struct OrderLine {
    /// Article number.
    pub sku: String,
    /// Pieces.
    pub quantity: i32,
}

/// What was reserved.
#[derive(Clone, Debug, Deserialize)]
pub struct StockReserved {
    /// ID of the order.
    pub order_id: String,
    /// ID of the reservation.
    pub reservation_id: String,
}

/// What was paid.
#[derive(Clone, Debug, Deserialize)]
pub struct PaymentTaken {
    /// ID of the charge.
    pub payment_id: String,
}

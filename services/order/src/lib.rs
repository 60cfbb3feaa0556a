//! The participants of the order example, `topology/order.yaml`.
//!
//! | module | is | keeps |
//! | --- | --- | --- |
//! | [`payment`] | steps in Rust: charges, refunds | `payment.db` |
//! | [`shipping`] | a step in Rust: ships | `shipping.db` |
//! | [`stock`] | HTTP endpoints: reserve, release | `stock.db` |
//!
//! What they decide depends on the order alone, so that a run can be repeated:
//!
//! | in the order | then |
//! | --- | --- |
//! | a line with a SKU that begins with `SOLD-OUT` | there is no stock of it |
//! | a customer whose ID begins with `DECLINED` | the card is declined |
//! | a line with a SKU `FLAKY-n` or `FLAKY-n-…` | stock fails (503) for the first n calls about this order |
//!
//! Each participant has its effects behind the fence, in one SQLite file that all its instances share.

pub mod orders;
pub mod payment;
pub mod shipping;
pub mod stock;

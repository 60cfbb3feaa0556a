//! One kind of provider: they differ in names only.

use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use axum::{Json, Router};
use quadrille_participant::{Call, Decision, Participant, response};
use serde::Deserialize;
use serde_json::json;

/// The tables of a store.
pub(crate) const TABLES: &str = "CREATE TABLE IF NOT EXISTS bookings (
    activation TEXT PRIMARY KEY, trip_id TEXT NOT NULL, cancelled INTEGER NOT NULL)";

/// The providers.
pub(crate) const ALL: [Provider; 3] = [
    Provider {
        participant: "flight",
        path: "/flights",
        booked: "FlightBooked",
        refused: "FlightFull",
        cancelled: "FlightCancelled",
        none_to: "XF",
        price_cents: 23_900,
    },
    Provider {
        participant: "hotel",
        path: "/hotels",
        booked: "HotelBooked",
        refused: "HotelFull",
        cancelled: "HotelCancelled",
        none_to: "XH",
        price_cents: 41_500,
    },
    Provider {
        participant: "car",
        path: "/cars",
        booked: "CarBooked",
        refused: "NoCarLeft",
        cancelled: "CarCancelled",
        none_to: "XC",
        price_cents: 12_700,
    },
];

/// What is particular to one kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Provider {
    /// Name of the participant, and of its store.
    pub(crate) participant: &'static str,
    /// Where its endpoints lie.
    pub(crate) path: &'static str,
    booked: &'static str,
    refused: &'static str,
    cancelled: &'static str,
    /// Destinations that begin so have nothing left.
    none_to: &'static str,
    price_cents: i64,
}

/// What a provider reads of the trip.
#[derive(Debug, Deserialize)]
struct Trip {
    trip_id: String,
    destination: String,
    currency: String,
}

impl Provider {
    /// `/book` and `/cancel`.
    pub(crate) fn router(self, store: Participant) -> Router {
        let book = move |State(store), call, Json(trip)| self.book(store, call, trip);
        let cancel = move |State(store), call, Json(trip)| self.cancel(store, call, trip);
        Router::new().route("/book", post(book)).route("/cancel", post(cancel)).with_state(store)
    }

    async fn book(self, store: Participant, call: Call, trip: Trip) -> Response {
        let booked = store.perform(call, move |tx, call| {
            if trip.destination.starts_with(self.none_to) {
                let data =
                    json!({ "trip_id": trip.trip_id, "reason": format!("no {} left", self.participant) });
                return Ok(Decision::rejected(self.refused, &data));
            }
            tx.execute(
                "INSERT INTO bookings (activation, trip_id, cancelled) VALUES (?, ?, 0)",
                (&call.activation, &trip.trip_id),
            )?;
            let data = json!({
                "trip_id": trip.trip_id,
                "booking_id": call.activation,
                "price_cents": self.price_cents,
                "currency": trip.currency,
            });
            Ok(Decision::done(self.booked, &data))
        });
        response(booked.await)
    }

    async fn cancel(self, store: Participant, call: Call, trip: Trip) -> Response {
        let cancelled = move |booking_id: Option<&str>| {
            Decision::done(self.cancelled, &json!({ "trip_id": trip.trip_id, "booking_id": booking_id }))
        };
        let nothing = cancelled(None);
        let cancelled = store.compensate(call, nothing, move |tx, call| {
            tx.execute("UPDATE bookings SET cancelled = 1 WHERE activation = ?", [&call.activation])?;
            Ok(cancelled(Some(&call.activation)))
        });
        response(cancelled.await)
    }
}

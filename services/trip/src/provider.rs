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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use quadrille_participant::{Flush, StoreOptions};

    use super::*;

    /// Status, `ce-type` and whether there is a booking.
    async fn ask(url: &str, action: &str, trip: &str, destination: &str) -> (u16, String, bool) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client
            .post(format!("{url}/{}", if action == "do" { "book" } else { "cancel" }))
            .header("quadrille-activation", trip)
            .header("quadrille-action", action)
            .header("idempotency-key", format!("{trip}/{action}"))
            .header("ce-correlationid", trip)
            .json(
                &json!({ "trip_id": trip, "destination": destination, "currency": "EUR", "budget_cents": 1 }),
            );
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let event = response.headers().get("ce-type").map(|value| value.to_str().unwrap().to_owned());
        let data: serde_json::Value = response.json().await.unwrap();
        (status, event.unwrap(), data.get("booking_id").is_some_and(|id| !id.is_null()))
    }

    async fn serve(provider: Provider, folder: &Path) -> String {
        let options = StoreOptions { stores: folder.to_owned(), flush: Flush::Os };
        let router = provider.router(options.open(provider.participant, TABLES).unwrap());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{}", listener.local_addr().unwrap(), provider.path);
        let router = Router::new().nest(provider.path, router);
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    #[tokio::test]
    async fn each_provider_books_once_cancels_once_and_has_places_it_does_not_go_to() {
        let folder = tempfile::tempdir().unwrap();
        for provider in ALL {
            let url = serve(provider, folder.path()).await;
            for (action, trip, destination, status, event, booking) in [
                ("do", "1", "LIS", 200, provider.booked, true),
                ("do", "1", "LIS", 200, provider.booked, true),
                ("undo", "1", "LIS", 200, provider.cancelled, true),
                ("do", "2", provider.none_to, 409, provider.refused, false),
                ("undo", "2", provider.none_to, 200, provider.cancelled, false),
            ] {
                let expect = (status, event.to_owned(), booking);
                assert_eq!(ask(&url, action, trip, destination).await, expect, "{action} {trip}");
            }
        }
    }
}

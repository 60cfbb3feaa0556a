//! The control endpoint of faults: JSON over HTTP, on loopback.
//!
//! | request | does |
//! | --- | --- |
//! | `GET /faults` | all rules with their counts |
//! | `POST /faults` with a rule | adds it |
//! | `DELETE /faults/NAME`, `DELETE /faults` | removes one, or all |
//! | `POST /chaos/SEED`, `POST /chaos/SEED?client_id=ID` | adds the rules of random chaos |
//!
//! A rule is an object: `{"name": "lost ends", "effect": "drop-response", "api": ["EndTxn"], "from": 3, "times": 1}`.

use std::net::SocketAddr;

use anyhow::Context;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use quadrille_broker::faults::{BadRule, Count};
use quadrille_broker::{Faults, Rule};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    rule: Rule,
    #[serde(flatten)]
    count: Count,
}

#[derive(Deserialize)]
struct Of {
    client_id: Option<String>,
}

/// Serves until the runtime ends; the address listened on.
pub(super) async fn serve(listen: SocketAddr, faults: Faults) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .route("/faults", get(list).post(add).delete(clear))
        .route("/faults/{name}", delete(remove))
        .route("/chaos/{seed}", post(chaos))
        .with_state(faults);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the control endpoint of faults has ended");
        }
    });
    Ok(address)
}

async fn list(State(faults): State<Faults>) -> Json<Vec<Listed>> {
    Json(faults.list().into_iter().map(|(rule, count)| Listed { rule, count }).collect())
}

async fn add(State(faults): State<Faults>, Json(rule): Json<Rule>) -> Response {
    added(faults.add(rule))
}

async fn chaos(State(faults): State<Faults>, Path(seed): Path<u64>, Query(of): Query<Of>) -> Response {
    added(faults.add_chaos(seed, of.client_id.as_deref()))
}

fn added(result: Result<(), BadRule>) -> Response {
    match result {
        Ok(()) => StatusCode::CREATED.into_response(),
        Err(error @ BadRule::Known(_)) => (StatusCode::CONFLICT, error.to_string()).into_response(),
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).into_response(),
    }
}

async fn remove(State(faults): State<Faults>, Path(name): Path<String>) -> StatusCode {
    if faults.remove(&name) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn clear(State(faults): State<Faults>) -> StatusCode {
    faults.clear();
    StatusCode::NO_CONTENT
}

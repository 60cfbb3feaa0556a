//! A participant over HTTP.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use quadrille_host::signals::Signals;
use quadrille_http_handler::percent;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::decision::{Decision, Failure};
use crate::participant::Call;

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        read(&parts.headers).map_err(|failure| response(Err(failure)))
    }
}

/// The call that a request's headers are about.
fn read(headers: &HeaderMap) -> Result<Call, Failure> {
    let text = |name: &str| {
        let value = headers.get(name).map(|value| percent::decode(value.as_bytes()));
        value.ok_or_else(|| Failure::BadCall(format!("header {name} is missing")))
    };
    Ok(Call {
        activation: text("quadrille-activation")?,
        action: text("quadrille-action")?
            .parse()
            .map_err(|e| Failure::BadCall(format!("quadrille-action: {e}")))?,
        key: text("idempotency-key")?,
        correlation_id: text("ce-correlationid")?,
    })
}

/// A decision as the mesh understands it over HTTP.
pub fn response(result: Result<Decision, Failure>) -> Response {
    let decision = match result {
        Ok(decision) => decision,
        Err(failure) => {
            let status = match failure {
                Failure::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
                Failure::Refused => StatusCode::GONE,
                Failure::BadCall(_) => StatusCode::BAD_REQUEST,
            };
            return (status, failure.to_string()).into_response();
        }
    };
    let status = if decision.applied { StatusCode::OK } else { StatusCode::CONFLICT };
    let json = HeaderValue::from_static("application/json");
    let Ok(event) = HeaderValue::try_from(percent::encode(&decision.event)) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [(header::CONTENT_TYPE, json), (header::HeaderName::from_static("ce-type"), event)];
    (status, headers, decision.data.to_string()).into_response()
}

/// Serves `router` on every one of `listen`, and says where on stderr, until the process is asked to end.
///
/// # Errors
/// An address cannot be listened on.
pub async fn serve(name: &str, listen: &[SocketAddr], router: Router) -> io::Result<()> {
    let mut servers = JoinSet::new();
    for address in listen {
        let listener = TcpListener::bind(address).await;
        let listener =
            listener.map_err(|e| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}")))?;
        eprintln!("{name} listens on http://{}", listener.local_addr()?);
        let mut signals = Signals::new()?;
        let end = async move {
            signals.next().await;
        };
        let router = router.clone();
        servers.spawn(async move { axum::serve(listener, router).with_graceful_shutdown(end).await });
    }
    while let Some(ended) = servers.join_next().await {
        ended.map_err(io::Error::other)??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| ((*name).parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_call_is_read_from_its_headers() {
        let pairs = [
            ("quadrille-activation", "a"),
            ("quadrille-action", "undo"),
            ("idempotency-key", "a/undo"),
            ("ce-correlationid", "order%201"),
        ];
        let call = read(&headers(&pairs)).unwrap();
        assert_eq!((call.key.as_str(), call.correlation_id.as_str()), ("a/undo", "order 1"));
        let error = read(&headers(&pairs[..2])).unwrap_err().to_string();
        assert_eq!(error, "header idempotency-key is missing");
    }

    #[test]
    fn decisions_and_failures_have_their_statuses() {
        let status = |result| response(result).status().as_u16();
        let found = response(Ok(Decision::done("Found", &1)));
        assert_eq!((found.status().as_u16(), found.headers()["ce-type"].to_str().unwrap()), (200, "Found"));
        assert_eq!(status(Ok(Decision::rejected("Lost", &1))), 409);
        assert_eq!(status(Err(Failure::Store("busy".into()))), 503);
        assert_eq!(status(Err(Failure::Refused)), 410);
        assert_eq!(status(Err(Failure::BadCall("no".into()))), 400);
    }
}

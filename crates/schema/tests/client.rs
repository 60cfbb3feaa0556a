//! What the client sends, and how it tells one kind of failure from another.

use std::time::Duration;

use quadrille_schema::{BasicAuth, Error, RegistryConfig, RegistryError, Schemas};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers every connection once, and returns the last request's text when asked.
async fn registry(
    status: &'static str,
    body: &'static str,
) -> (String, tokio::sync::watch::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (seen, last) = tokio::sync::watch::channel(String::new());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut buffer = vec![0; 4096];
            let count = socket.read(&mut buffer).await.unwrap_or(0);
            seen.send_replace(String::from_utf8_lossy(&buffer[..count]).into_owned());
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            let _ = socket.write_all((head + body).as_bytes()).await;
        }
    });
    (url, last)
}

async fn load(config: RegistryConfig) -> RegistryError {
    match Schemas::new(config).unwrap().load(1).await {
        Err(Error::Registry(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn user_and_password_are_sent_and_a_refusal_of_them_is_final() {
    let (url, last) = registry("401 Unauthorized", r#"{"error_code":40101,"message":"no"}"#).await;
    let mut config = RegistryConfig::new(url);
    config.basic_auth = Some(BasicAuth { user: "key".into(), password: "secret".into() });
    assert!(!format!("{config:?}").contains("secret"));
    let error = load(config).await;
    assert!(matches!(error, RegistryError::Unauthorized { status: 401, .. }), "{error}");
    assert!(!error.is_retryable());
    assert!(
        last.borrow().to_lowercase().contains("authorization: basic a2v5onnly3jlda=="),
        "{}",
        *last.borrow()
    );
}

#[tokio::test]
async fn a_registry_in_trouble_is_retryable_and_nonsense_is_not() {
    for (status, body, retryable) in [
        ("500 Oops", r#"{"error_code":50001,"message":"disk"}"#, true),
        ("503 Busy", "<html>", true),
        ("404 Not Found", r#"{"error_code":40403,"message":"no"}"#, false),
        ("200 OK", "<html>", false),
        ("200 OK", r#"{"schema":"{\"type\":\"nonsense\"}"}"#, false),
        ("200 OK", r#"{"schema":"x","schemaType":"PROTOBUF"}"#, false),
    ] {
        let (url, _) = registry(status, body).await;
        let error = Schemas::new(RegistryConfig::new(url)).unwrap().load(1).await.unwrap_err();
        assert_eq!(error.is_retryable(), retryable, "{status} {body}: {error}");
    }
}

#[tokio::test]
async fn a_silent_registry_is_a_timeout_and_a_second_url_is_asked_when_the_first_fails() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = RegistryConfig::new(format!("http://{}", silent.local_addr().unwrap()));
    config.timeout = Duration::from_millis(300);
    let error = load(config.clone()).await;
    assert!(matches!(error, RegistryError::Timeout { .. }) && error.is_retryable(), "{error}");

    let (url, _) = registry("200 OK", r#"{"schema":"\"string\""}"#).await;
    // Each of them may take so long.
    config.timeout = Duration::from_secs(5);
    config.urls.push(url);
    let schemas = Schemas::new(config).unwrap();
    assert_eq!(schemas.get(1).map(|codec| codec.text().to_owned()), None);
    assert_eq!(schemas.load(1).await.unwrap().text(), "\"string\"");
    assert!(schemas.get(1).is_some());
}

#[tokio::test]
async fn plain_http_where_tls_is_spoken_fails_at_once() {
    let (url, _) = registry("200 OK", "{}").await;
    let error = load(RegistryConfig::new(url.replace("http://", "https://"))).await;
    assert!(matches!(error, RegistryError::Unreachable { .. } | RegistryError::Untrusted { .. }), "{error}");
}

//! A client that sends what it is told, for what no well-behaved client does and what librdkafka does not offer.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, FindCoordinatorRequest, FindCoordinatorResponse, GroupId, RequestHeader, ResponseHeader,
    TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use crate::Context;
use crate::wait::SOON;

/// A connection to the broker under test.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    correlation: i32,
}

impl Context {
    pub(crate) fn raw(&self) -> Result<Raw> {
        let stream = TcpStream::connect(&self.bootstrap).context("no connection")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SOON))?;
        Ok(Raw { stream, correlation: 0 })
    }
}

impl Raw {
    /// Sends a request and gets its answer, of which nothing may be left over.
    pub(crate) fn ask<Q: Encodable, A: Decodable + std::fmt::Debug>(
        &mut self,
        key: ApiKey,
        version: i16,
        request: &Q,
    ) -> Result<A> {
        self.put(key, version, request)?;
        self.get(key, version)
    }

    /// Sends a request without waiting for its answer.
    pub(crate) fn put<Q: Encodable>(&mut self, key: ApiKey, version: i16, request: &Q) -> Result<()> {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).with_context(|| format!("{key:?} v{version}"))?;
        self.send(key as i16, version, key.request_header_version(version), &body)
    }

    /// The next answer, which must be that of the request sent last but `waiting`.
    pub(crate) fn get<A: Decodable + std::fmt::Debug>(&mut self, key: ApiKey, version: i16) -> Result<A> {
        self.get_after(key, version, 0)
    }

    pub(crate) fn get_after<A: Decodable + std::fmt::Debug>(
        &mut self,
        key: ApiKey,
        version: i16,
        waiting: i32,
    ) -> Result<A> {
        let mut answer = self.frame().with_context(|| format!("no answer to {key:?} v{version}"))?;
        let header = ResponseHeader::decode(&mut answer, key.response_header_version(version))?;
        let expected = self.correlation - waiting;
        ensure!(header.correlation_id == expected, "answer {}, not {expected}", header.correlation_id);
        let decoded = A::decode(&mut answer, version)?;
        ensure!(answer.is_empty(), "{} bytes behind the answer", answer.len());
        ensure_settled(&decoded)?;
        Ok(decoded)
    }

    /// Sends a frame with a header and whatever body.
    pub(crate) fn send(&mut self, key: i16, version: i16, header_version: i16, body: &[u8]) -> Result<()> {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(key)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str("raw")));
        let mut frame = BytesMut::new();
        header.encode(&mut frame, header_version)?;
        frame.put_slice(body);
        self.stream.write_all(&i32::try_from(frame.len())?.to_be_bytes())?;
        Ok(self.stream.write_all(&frame)?)
    }

    pub(crate) fn frame(&mut self) -> io::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).map_err(io::Error::other)?;
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame)?;
        Ok(frame.into())
    }

    /// Fails unless the broker closes the connection without a word.
    pub(crate) fn expect_closed(&mut self) -> Result<()> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => return Err(error).context("the connection stays open"),
        }
        ensure!(rest.is_empty(), "an answer of {} bytes", rest.len());
        Ok(())
    }
}

/// The broker is not ready to answer: a coordinator or leader is still on its way, as librdkafka would wait for it to come.
#[derive(Debug)]
struct Unsettled(String);

impl std::fmt::Display for Unsettled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not settled: {}", self.0)
    }
}

impl std::error::Error for Unsettled {}

/// No check asks for one of these codes, wherever they stand in an answer.
fn ensure_settled(answer: &impl std::fmt::Debug) -> Result<()> {
    use kafka_protocol::error::ResponseError as E;
    let passing = [
        E::LeaderNotAvailable,
        E::NotLeaderOrFollower,
        E::CoordinatorLoadInProgress,
        E::CoordinatorNotAvailable,
        E::NotCoordinator,
    ];
    let answer = format!("{answer:?}");
    if passing.iter().any(|e| answer.contains(&format!("error_code: {},", e.code()))) {
        return Err(Unsettled(answer).into());
    }
    Ok(())
}

/// Runs a check, again from its beginning for as long as a broker that has just started is not ready for it.
pub(crate) fn once_settled(context: &Context, check: fn(&Context) -> Result<()>) -> Result<()> {
    let deadline = Instant::now() + SOON;
    loop {
        match check(context) {
            Err(error) if error.is::<Unsettled>() && Instant::now() < deadline => {
                find_coordinators(context).unwrap_or_default(); // the next look will tell
                std::thread::sleep(Duration::from_millis(200));
            }
            done => return done,
        }
    }
}

/// Asking for coordinators makes a broker create what they need.
fn find_coordinators(context: &Context) -> Result<()> {
    for kind in [0, 1] {
        let request =
            FindCoordinatorRequest::default().with_key_type(kind).with_coordinator_keys(vec![text("any")]);
        let _: FindCoordinatorResponse = context.raw()?.ask(ApiKey::FindCoordinator, 4, &request)?;
    }
    Ok(())
}

pub(crate) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_string())
}

pub(crate) fn topic_name(value: &str) -> TopicName {
    TopicName(text(value))
}

pub(crate) fn group_id(value: &str) -> GroupId {
    GroupId(text(value))
}

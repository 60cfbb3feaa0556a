//! One connection under faults: asks the rules before a request is carried out, and does what they say.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::time::Instant;

use super::book::Fired;
use super::refusal;
use super::request::Request;
use super::rule::Effect;
use crate::server::dispatch::{self, Answer, Refused};
use crate::state::Shared;

/// The connection ends here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cut {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("cut by the fault {0}")]
    Fault(String),
}

/// What is known of a connection.
#[derive(Debug)]
pub(crate) struct Line {
    host: String,
    /// An answer that lets the next one go first, and the rule that wants it so.
    held: Option<(String, Answer)>,
}

impl Line {
    pub(crate) fn new(host: String) -> Line {
        Line { host, held: None }
    }

    /// Carries a request out, unless a fault is in the way; its answers join `answers`.
    pub(crate) async fn carry_out(
        &mut self,
        shared: &Arc<Shared>,
        frame: Bytes,
        answers: &mut VecDeque<Answer>,
    ) -> Result<(), Cut> {
        let faults = &shared.config.faults;
        let request = if faults.are_set() { Request::read(&frame) } else { None };
        let Some(request) = request else {
            let answer = dispatch::handle(shared, frame, &self.host).await?;
            self.push(shared, answer, answers);
            return Ok(());
        };
        match faults.on_request(&request, shared.clock.now_ms()) {
            Some(fired) => self.strike(shared, fired, &request, frame, answers).await,
            None => {
                let answer = self.handle(shared, &request, frame).await?;
                self.push(shared, answer, answers);
                Ok(())
            }
        }
    }

    async fn strike(
        &mut self,
        shared: &Arc<Shared>,
        Fired { rule, effect }: Fired,
        request: &Request,
        frame: Bytes,
        answers: &mut VecDeque<Answer>,
    ) -> Result<(), Cut> {
        tracing::info!(rule, ?effect, api = ?request.key, client_id = request.client_id, "fault");
        match effect {
            Effect::DropRequest => return Ok(()),
            Effect::DisconnectBefore => return Err(Cut::Fault(rule)),
            Effect::LateEndTxn => {
                let id = request.transactional_id.as_deref().unwrap_or_default();
                shared.config.faults.keep(&rule, id, frame);
                return Err(Cut::Fault(rule));
            }
            Effect::Error { code, carried_out: false } => {
                let answer = refusal::answer(&frame, code)?;
                self.push(shared, Some(answer), answers);
                return Ok(());
            }
            Effect::StopTheWorld { ms } => shared.stand_still(Duration::from_millis(ms)),
            _ => {}
        }
        let answer = self.handle(shared, request, frame.clone()).await?;
        match effect {
            Effect::DropResponse => {}
            Effect::DisconnectAfter => return Err(Cut::Fault(rule)),
            Effect::Error { code, .. } => {
                let position = answer.map_or(0, |a| a.position);
                let refusal = Answer { position, ..refusal::answer(&frame, code)? };
                self.push(shared, Some(refusal), answers);
            }
            Effect::DelayResponse { ms } => {
                let not_before = Some(Instant::now() + Duration::from_millis(ms));
                self.push(shared, answer.map(|a| Answer { not_before, ..a }), answers);
            }
            Effect::DuplicateResponse => {
                self.push(shared, answer.clone(), answers);
                self.push(shared, answer, answers);
            }
            Effect::ReorderResponse if self.held.is_none() => self.held = answer.map(|a| (rule, a)),
            _ => self.push(shared, answer, answers),
        }
        Ok(())
    }

    /// Carries a request out, and behind it an EndTxn that was on its way until now.
    async fn handle(
        &mut self,
        shared: &Arc<Shared>,
        request: &Request,
        frame: Bytes,
    ) -> Result<Option<Answer>, Cut> {
        let answer = Box::pin(dispatch::handle(shared, frame, &self.host)).await?;
        if let Some((rule, late)) = shared.config.faults.arrives(request) {
            let version = late.get(2..4).map_or(0, |mut v| v.get_i16());
            let ended = Box::pin(dispatch::handle(shared, late, &self.host)).await?;
            let accepted = ended.is_some_and(|a| error_of_end(&a.bytes, version) == Some(0));
            tracing::info!(rule, accepted, "an EndTxn has arrived late");
            shared.config.faults.has_happened(&rule, accepted);
        }
        Ok(answer)
    }

    fn push(&mut self, shared: &Shared, answer: Option<Answer>, answers: &mut VecDeque<Answer>) {
        let Some(answer) = answer else { return };
        answers.push_back(answer);
        if let Some((rule, overtaken)) = self.held.take() {
            answers.push_back(overtaken);
            shared.config.faults.has_happened(&rule, false);
        }
    }
}

/// The error code in an answer to EndTxn: behind length, correlation ID, tags from version 3 on, and throttle time.
fn error_of_end(answer: &[u8], version: i16) -> Option<i16> {
    let at = 4 + 4 + usize::from(version >= 3) + 4;
    answer.get(at..at + 2).map(|mut code| code.get_i16())
}

//! The fronts, gRPC and CQL: they translate requests and answers and decide nothing.

mod admin;
mod cql;
mod grpc;
mod metadata_ids;
mod pages;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use quorate_env::Instant;
use quorate_model::Consistency;
use quorate_model::request::{ClientRequest, ClientResponse, RequestError};
use quorate_node::RequestId;
use quorate_os::Clock;
use quorate_proto::ConvertError;
use tokio::sync::oneshot;
use tonic::metadata::MetadataMap;

use crate::metrics::{Kind, Metrics};
use crate::shared::Shared;

pub(crate) use admin::AdminService;
pub(crate) use cql::{PreparedMetadata, Registry, serve as serve_cql};
pub(crate) use grpc::QuorateService;

/// The generated stubs.
#[allow(missing_docs, clippy::all, clippy::too_many_lines, reason = "generated")]
pub(crate) mod stub {
    include!(concat!(env!("OUT_DIR"), "/quorate.v1.rs"));
}

/// Who waits for an answer, and since when.
pub(crate) struct Waiting {
    kind: Kind,
    level: Consistency,
    since: Instant,
    clock: Clock,
    to: AnswerTo,
}

/// Where an answer goes.
pub(crate) enum AnswerTo {
    /// To a call of its own.
    Call(oneshot::Sender<ClientResponse>),
    /// To an item of a stream.
    Stream(stream::StreamItem),
    /// To a driver's connection.
    Cql(cql::CqlItem),
}

impl Waiting {
    pub(crate) fn new(request: &ClientRequest, clock: Clock, to: AnswerTo) -> Self {
        Self::since(clock.mono(), request, clock, to)
    }

    /// For a request that arrived at this moment.
    pub(crate) fn since(since: Instant, request: &ClientRequest, clock: Clock, to: AnswerTo) -> Self {
        Self { kind: Kind::of(&request.body), level: request.options.consistency, since, clock, to }
    }

    /// Passes the answer on.
    pub(crate) fn answer(self, response: ClientResponse, metrics: &Metrics) {
        let took = self.clock.mono().since(self.since);
        metrics.request_ends(self.kind, self.level, took, response.result.as_ref().err());
        match self.to {
            // Whoever called may be gone; that is no error.
            AnswerTo::Call(sender) => drop(sender.send(response)),
            AnswerTo::Stream(item) => item.answer(&response),
            AnswerTo::Cql(item) => item.answer(response),
        }
    }
}

/// Cancels a request whose caller goes away before its answer.
struct CancelGuard(Option<RequestId>);

impl Drop for CancelGuard {
    fn drop(&mut self) {
        if let Some(id) = self.0.take() {
            crate::host::with(|host| host.cancel(id));
        }
    }
}

/// Why this node takes no request now.
pub(crate) fn refusal(shared: &Shared) -> Option<RequestError> {
    shared.stopping.is_draining().then(|| RequestError::Overloaded("the node is stopping; ask another one".to_owned()))
}

/// Runs a request on this thread's machine.
pub(crate) async fn call(shared: &Arc<Shared>, clock: Clock, request: ClientRequest) -> ClientResponse {
    if let Some(error) = refusal(shared) {
        return failed(error);
    }
    let (sender, receiver) = oneshot::channel();
    let waiting = Waiting::new(&request, clock, AnswerTo::Call(sender));
    let Some(id) = crate::host::with(|host| host.request(request, waiting)) else {
        return failed(RequestError::Overloaded("the node is stopping; ask another one".to_owned()));
    };
    let mut guard = CancelGuard(Some(id));
    let answer = receiver.await;
    guard.0 = None;
    answer.unwrap_or_else(|_| failed(RequestError::Server("the node stopped before it had answered".to_owned())))
}

pub(crate) fn failed(error: RequestError) -> ClientResponse {
    ClientResponse { result: Err(error), warnings: Vec::new(), trace: None }
}

pub(crate) fn protocol_error(error: &ConvertError) -> RequestError {
    RequestError::Protocol(error.to_string())
}

/// Shortens the request's time to the call's own deadline, so that the node's more exact error comes first.
pub(crate) fn apply_deadline(request: &mut ClientRequest, metadata: &MetadataMap) {
    let Some(limit) = metadata.get("grpc-timeout").and_then(|value| parse_timeout(value.to_str().ok()?)) else {
        return;
    };
    let margin = (limit / 10).min(Duration::from_millis(50));
    let limit_ms = u32::try_from((limit - margin).as_millis()).unwrap_or(u32::MAX).max(1);
    let own = request.options.timeout_ms.unwrap_or(u32::MAX);
    // Only a call that wants less than the server's own limits has something to say here.
    request.options.timeout_ms = Some(own.min(limit_ms));
}

/// `grpc-timeout`: up to eight digits and a unit.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3_600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        assert_eq!(parse_timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse_timeout("99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
        for wrong in ["", "m", "12", "999999999S", "-1S", "1x", "1é"] {
            assert_eq!(parse_timeout(wrong), None, "{wrong}");
        }
    }
}

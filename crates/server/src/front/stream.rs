//! The `Stream` call: many requests in flight, several in a message, answers as they come.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use prost::Message as _;
use quorate_model::request::{ClientRequest, ClientResponse, RequestError};
use quorate_node::RequestId;
use quorate_os::Clock;
use quorate_proto::v1::stream_request_item::Request;
use quorate_proto::v1::stream_response_item::Result as ItemResult;
use quorate_proto::{AnswerOptions, ConvertError, v1};
use tokio::sync::Notify;
use tokio_stream::Stream;
use tonic::{Status, Streaming};

use super::grpc::answer_options;
use super::metadata_ids::metadata_id_of;
use super::{AnswerTo, Waiting, protocol_error};
use crate::limits::{ANSWER_BYTES_GOAL, STREAM_ANSWER_BYTES_MAX, STREAM_REQUESTS_MAX};
use crate::shared::Shared;

/// One client's stream: its requests in flight and its answers that wait to be sent.
#[derive(Default)]
struct StreamState {
    inner: Mutex<Inner>,
    room: Notify,
}

#[derive(Default)]
struct Inner {
    in_flight: BTreeMap<u64, RequestId>,
    /// Answered within the very step that began them, before their `RequestId` was known here.
    answered_at_once: bool,
    answers: Vec<v1::StreamResponseItem>,
    bytes: usize,
    waker: Option<Waker>,
    /// The client sends no more requests.
    half_closed: bool,
    /// The client is gone, or what it sent cannot be read.
    closed: bool,
    /// Why the stream ends, if it is the client's fault: its last word.
    fault: Option<Status>,
}

impl Inner {
    fn queue(&mut self, item: v1::StreamResponseItem) {
        if self.closed {
            return;
        }
        self.bytes += item.encoded_len();
        self.answers.push(item);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl StreamState {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, id: u64, result: ItemResult) {
        let mut inner = self.inner();
        if inner.in_flight.remove(&id).is_none() {
            inner.answered_at_once = true;
        }
        inner.queue(v1::StreamResponseItem { id, result: Some(result) });
    }

    fn push_error(&self, id: u64, error: &RequestError) {
        self.push(id, ItemResult::Error(quorate_proto::error_to_proto(error, Vec::new(), None)));
    }

    /// Whether more may be asked; also when the client is gone, which its requests' side then tells.
    fn has_room(&self) -> bool {
        let inner = self.inner();
        inner.closed || inner.bytes < STREAM_ANSWER_BYTES_MAX
    }

    /// The client is gone: nothing is sent any more, and what is in flight is cancelled.
    fn close(&self) {
        let mut inner = self.inner();
        inner.closed = true;
        inner.answers.clear();
        inner.bytes = 0;
        let in_flight = std::mem::take(&mut inner.in_flight);
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
        drop(inner);
        self.room.notify_one();
        crate::host::with(|host| {
            for id in in_flight.into_values() {
                host.cancel(id);
            }
        });
    }
}

/// A request of a stream that waits for its answer.
pub(crate) struct StreamItem {
    id: u64,
    options: AnswerOptions,
    stream: Arc<StreamState>,
}

impl StreamItem {
    pub(crate) fn answer(mut self, response: &ClientResponse) {
        self.options.metadata_id = metadata_id_of(response);
        let (warnings, trace) = (response.warnings.clone(), response.trace.as_ref());
        let result = match &response.result {
            Ok(answer) => match quorate_proto::response_to_proto(answer, warnings, trace, self.options) {
                Ok(message) => ItemResult::Response(message),
                Err(error) => {
                    let error = RequestError::Server(error.to_string());
                    ItemResult::Error(quorate_proto::error_to_proto(&error, Vec::new(), None))
                }
            },
            Err(error) => ItemResult::Error(quorate_proto::error_to_proto(error, warnings, trace)),
        };
        self.stream.push(self.id, result);
    }
}

/// The answers' side of a stream. Dropping it means that the client is gone.
pub(crate) struct Answers {
    state: Arc<StreamState>,
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.state.close();
    }
}

impl Stream for Answers {
    type Item = Result<v1::StreamResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut inner = self.state.inner();
        if inner.answers.is_empty() {
            if inner.closed || (inner.half_closed && inner.in_flight.is_empty()) {
                return Poll::Ready(inner.fault.take().map(Err));
            }
            inner.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let items = if inner.bytes <= ANSWER_BYTES_GOAL {
            inner.bytes = 0;
            std::mem::take(&mut inner.answers)
        } else {
            take_some(&mut inner)
        };
        drop(inner);
        self.state.room.notify_one();
        Poll::Ready(Some(Ok(v1::StreamResponse { items })))
    }
}

/// As many answers as make a message of about the wanted size, at least one.
fn take_some(inner: &mut Inner) -> Vec<v1::StreamResponseItem> {
    let mut bytes = 0;
    let mut count = 0;
    for item in &inner.answers {
        let size = item.encoded_len();
        if count > 0 && bytes + size > ANSWER_BYTES_GOAL {
            break;
        }
        bytes += size;
        count += 1;
    }
    inner.bytes = inner.bytes.saturating_sub(bytes);
    inner.answers.drain(..count).collect()
}

/// Serves a stream on this thread.
pub(super) fn serve(shared: Arc<Shared>, clock: Clock, requests: Streaming<v1::StreamRequest>) -> Answers {
    let state = Arc::new(StreamState::default());
    tokio::spawn(read(shared, clock, requests, Arc::clone(&state)));
    Answers { state }
}

async fn read(shared: Arc<Shared>, clock: Clock, mut requests: Streaming<v1::StreamRequest>, state: Arc<StreamState>) {
    loop {
        // A client that does not take its answers is not heard further.
        while !state.has_room() {
            state.room.notified().await;
        }
        match requests.message().await {
            Ok(Some(message)) => {
                if state.inner().closed {
                    return;
                }
                for item in message.items {
                    begin(&shared, clock, item, &state);
                }
            }
            Ok(None) => {
                let mut inner = state.inner();
                inner.half_closed = true;
                if let Some(waker) = inner.waker.take() {
                    waker.wake();
                }
                return;
            }
            Err(fault) => {
                state.inner().fault = Some(fault);
                state.close();
                return;
            }
        }
    }
}

fn begin(shared: &Arc<Shared>, clock: Clock, item: v1::StreamRequestItem, state: &Arc<StreamState>) {
    let id = item.id;
    let converted = match item.request {
        Some(Request::Cancel(_)) => {
            let cancelled = state.inner().in_flight.remove(&id);
            if let Some(request) = cancelled {
                crate::host::with(|host| host.cancel(request));
            }
            return;
        }
        Some(request) => convert(request),
        None => Err(ConvertError { field: "items.request", problem: "is missing".to_owned() }),
    };
    let (request, options) = match converted {
        Ok(converted) => converted,
        Err(error) => return state.push_error(id, &protocol_error(&error)),
    };
    let in_flight = state.inner().in_flight.len();
    if in_flight >= STREAM_REQUESTS_MAX {
        shared.metrics.overloaded.inc();
        let message = format!("{in_flight} requests are in flight on this stream, which is the limit");
        return state.push_error(id, &RequestError::Overloaded(message));
    }
    if state.inner().in_flight.contains_key(&id) {
        let message = format!("a request with id {id} is in flight already");
        // Told without an id of its own to tell apart; the first request's answer still comes.
        let error = quorate_proto::error_to_proto(&RequestError::Protocol(message), Vec::new(), None);
        state.inner().queue(v1::StreamResponseItem { id, result: Some(ItemResult::Error(error)) });
        return;
    }
    if let Some(error) = super::refusal(shared) {
        return state.push_error(id, &error);
    }
    let waiting =
        Waiting::new(&request, clock, AnswerTo::Stream(StreamItem { id, options, stream: Arc::clone(state) }));
    state.inner().answered_at_once = false;
    let begun = crate::host::with(|host| host.request(request, waiting));
    let mut inner = state.inner();
    if let Some(request) = begun
        && !inner.answered_at_once
    {
        inner.in_flight.insert(id, request);
    }
}

fn convert(request: Request) -> Result<(ClientRequest, AnswerOptions), ConvertError> {
    match request {
        Request::Execute(message) => {
            let options = answer_options(message.options.as_ref(), message.known_metadata_id);
            Ok((quorate_proto::execute_from_proto(message)?, options))
        }
        Request::Query(message) => {
            let options = answer_options(message.options.as_ref(), 0);
            Ok((quorate_proto::query_from_proto(message)?, options))
        }
        Request::Batch(message) => {
            let options = answer_options(message.options.as_ref(), 0);
            Ok((quorate_proto::batch_from_proto(message)?, options))
        }
        Request::Prepare(message) => Ok((quorate_proto::prepare_from_proto(message)?, AnswerOptions::default())),
        Request::Cancel(_) => Err(ConvertError { field: "items.request", problem: "is a cancel".to_owned() }),
    }
}

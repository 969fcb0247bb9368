//! One node's stream: many requests in flight, answers in any order.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use prost::Message as _;
use quorate_model::admin::{AdminAnswer, AdminRequest, ClusterStatus};
use quorate_model::request::ResultMetadata;
use quorate_proto::v1::stream_request_item::Request;
use quorate_proto::v1::stream_response_item::Result as ItemResult;
use quorate_proto::{Response, v1};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::error::{Error, RequestFailure, ValueError};
use crate::limits::{CONNECT_TIMEOUT, MESSAGE_BYTES_GOAL, QUEUE_MAX, REQUEST_BYTES_MAX};
use crate::stub::admin_client::AdminClient;
use crate::stub::quorate_client::QuorateClient;
use crate::tls::Tls;

type Answer = Result<ItemResult, String>;

/// An open connection to a node.
#[derive(Debug)]
pub(crate) struct Connection {
    address: String,
    channel: Channel,
    queue: mpsc::Sender<v1::StreamRequestItem>,
    pending: Arc<Pending>,
    next_id: AtomicU64,
}

/// Requests that wait for their answers; `None` once the stream has ended.
#[derive(Debug)]
struct Pending(Mutex<Option<BTreeMap<u64, oneshot::Sender<Answer>>>>);

impl Pending {
    fn with<T>(&self, action: impl FnOnce(&mut Option<BTreeMap<u64, oneshot::Sender<Answer>>>) -> T) -> T {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn complete(&self, id: u64, answer: Answer) {
        let waiting = self.with(|pending| pending.as_mut().and_then(|pending| pending.remove(&id)));
        if let Some(waiting) = waiting {
            // Whoever waited may have given up; that is no error.
            let _ = waiting.send(answer);
        }
    }

    fn close(&self, reason: &str) {
        for (_, waiting) in self.with(Option::take).unwrap_or_default() {
            let _ = waiting.send(Err(reason.to_owned()));
        }
    }

    fn is_closed(&self) -> bool {
        self.with(|pending| pending.is_none())
    }
}

impl Connection {
    /// Connects to `HOST:PORT` and opens the stream.
    pub(crate) async fn open(address: &str, tls: Option<&Tls>) -> Result<Arc<Self>, String> {
        let endpoint = crate::tls::endpoint(address, tls)?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(5))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true)
            .initial_stream_window_size(4 * 1024 * 1024)
            .initial_connection_window_size(8 * 1024 * 1024);
        let channel = endpoint.connect().await.map_err(|error| unopened(&error, tls))?;
        let (queue, receiver) = mpsc::channel(QUEUE_MAX);
        let requests = RequestStream { receiver, held: None };
        let mut stub = Self::stub(&channel);
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, stub.stream(requests)).await;
        let answers = opened
            .map_err(|_| "the node accepted the connection but did not open the stream in time".to_owned())?
            .map_err(|status| match status.source() {
                Some(source) => unopened(source, tls),
                None => describe(&status),
            })?
            .into_inner();
        let pending = Arc::new(Pending(Mutex::new(Some(BTreeMap::new()))));
        tokio::spawn(read_answers(answers, Arc::clone(&pending)));
        let address = address.to_owned();
        Ok(Arc::new(Self { address, channel, queue, pending, next_id: AtomicU64::new(1) }))
    }

    fn stub(channel: &Channel) -> QuorateClient<Channel> {
        QuorateClient::new(channel.clone()).max_decoding_message_size(quorate_proto::limits::MESSAGE_BYTES_MAX)
    }

    /// Whether the stream has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.pending.is_closed()
    }

    /// Sends a request and waits for its answer. Dropping the future cancels the request.
    pub(crate) async fn request(
        &self,
        request: Request,
        known: Option<&Arc<ResultMetadata>>,
        timeout: Duration,
    ) -> Result<Response, Error> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let item = v1::StreamRequestItem { id, request: Some(request) };
        refuse_oversized(&item)?;
        let (sender, receiver) = oneshot::channel();
        let open = self.pending.with(|pending| match pending {
            Some(pending) => {
                pending.insert(id, sender);
                true
            }
            None => false,
        });
        if !open {
            return Err(self.unreached("the connection is closed"));
        }
        let mut guard = CancelGuard { connection: self, id, sent: false };
        let answer = tokio::time::timeout(timeout, async {
            if self.queue.send(item).await.is_err() {
                return Err(self.unreached("the connection is closed"));
            }
            guard.sent = true;
            receiver
                .await
                .unwrap_or_else(|_| Err("the stream ended".to_owned()))
                .map_err(|reason| Error::ConnectionLost { address: self.address.clone(), reason })
        })
        .await;
        match answer {
            Ok(answer) => self.understand(answer?, known),
            Err(_) => Err(Error::Timeout { address: self.address.clone(), after: timeout }),
        }
    }

    /// Nothing was sent.
    fn unreached(&self, reason: &str) -> Error {
        Error::NoNode { tried: vec![(self.address.clone(), reason.to_owned())] }
    }

    fn understand(&self, result: ItemResult, known: Option<&Arc<ResultMetadata>>) -> Result<Response, Error> {
        let malformed = |source| Error::Malformed { address: self.address.clone(), source };
        match result {
            ItemResult::Response(response) => quorate_proto::response_from_proto(response, known).map_err(malformed),
            ItemResult::Error(details) => Err(failure(details, &self.address)),
        }
    }

    /// Runs an operator's verb.
    pub(crate) async fn admin(&self, request: &AdminRequest) -> Result<AdminAnswer, Error> {
        let mut stub =
            AdminClient::new(self.channel.clone()).max_decoding_message_size(quorate_proto::limits::MESSAGE_BYTES_MAX);
        let answer = stub.run(quorate_proto::admin_request_to_proto(request)).await;
        let answer = answer.map_err(|status| self.status_error(&status))?.into_inner();
        quorate_proto::admin_answer_from_proto(answer)
            .map_err(|source| Error::Malformed { address: self.address.clone(), source })
    }

    /// Asks for the nodes.
    pub(crate) async fn topology(&self) -> Result<ClusterStatus, Error> {
        let mut stub = Self::stub(&self.channel);
        let answer = match tokio::time::timeout(CONNECT_TIMEOUT, stub.topology(v1::TopologyRequest {})).await {
            Ok(answer) => answer.map_err(|status| self.status_error(&status))?.into_inner(),
            Err(_) => return Err(Error::Timeout { address: self.address.clone(), after: CONNECT_TIMEOUT }),
        };
        quorate_proto::cluster_from_proto(answer)
            .map_err(|source| Error::Malformed { address: self.address.clone(), source })
    }

    fn status_error(&self, status: &Status) -> Error {
        match quorate_proto::details_from_status(status) {
            Some(details) => failure(details, &self.address),
            None => Error::ConnectionLost { address: self.address.clone(), reason: describe(status) },
        }
    }
}

/// The node would end the whole stream over a message beyond its limit, and with it everybody's requests.
fn refuse_oversized(item: &v1::StreamRequestItem) -> Result<(), Error> {
    let (bytes, limit) = (item.encoded_len(), REQUEST_BYTES_MAX);
    if bytes <= limit {
        return Ok(());
    }
    Err(Error::Value(ValueError {
        place: "the request".to_owned(),
        expected: format!("at most {limit} bytes"),
        found: format!("{bytes} bytes"),
    }))
}

fn failure(mut details: v1::ErrorDetails, address: &str) -> Error {
    let warnings = std::mem::take(&mut details.warnings);
    let trace = details.trace.take().and_then(|trace| quorate_proto::trace_from_proto(trace).ok());
    match quorate_proto::error_from_proto(details) {
        Ok(error) => Error::Request(Box::new(RequestFailure { error, address: address.to_owned(), warnings, trace })),
        Err(source) => Error::Malformed { address: address.to_owned(), source },
    }
}

fn describe(status: &Status) -> String {
    if status.message().is_empty() { status.code().to_string() } else { status.message().to_owned() }
}

/// Why there is no connection. A node that wants TLS only closes one that comes without it.
fn unopened(error: &(dyn std::error::Error + 'static), tls: Option<&Tls>) -> String {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};

    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let closed = innermost
        .downcast_ref::<std::io::Error>()
        .is_none_or(|error| matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof));
    let hint = if closed && tls.is_none() { "; a node that requires TLS closes connections without it" } else { "" };
    format!("{}{hint}", reason_of(error))
}

/// The innermost reason says most: the outer one is only 'transport error'.
pub(crate) fn reason_of(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

async fn read_answers(mut answers: Streaming<v1::StreamResponse>, pending: Arc<Pending>) {
    let reason = loop {
        match answers.message().await {
            Ok(Some(message)) => {
                for item in message.items {
                    let result = item.result.ok_or_else(|| "an answer without a result".to_owned());
                    pending.complete(item.id, result);
                }
            }
            Ok(None) => break "the node ended the stream".to_owned(),
            Err(status) => break describe(&status),
        }
    };
    pending.close(&reason);
}

/// Takes a request out of the pending ones when its future ends, and tells the server if it ended without an answer.
struct CancelGuard<'a> {
    connection: &'a Connection,
    id: u64,
    sent: bool,
}

impl Drop for CancelGuard<'_> {
    fn drop(&mut self) {
        let waiting = self.connection.pending.with(|pending| pending.as_mut()?.remove(&self.id)).is_some();
        if waiting && self.sent {
            let cancel = Some(Request::Cancel(v1::Cancel {}));
            // If the queue is full the server answers in vain; nothing else follows from that.
            let _ = self.connection.queue.try_send(v1::StreamRequestItem { id: self.id, request: cancel });
        }
    }
}

/// Puts all requests that are ready into one message.
struct RequestStream {
    receiver: mpsc::Receiver<v1::StreamRequestItem>,
    held: Option<v1::StreamRequestItem>,
}

impl Stream for RequestStream {
    type Item = v1::StreamRequest;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut items = Vec::new();
        let mut bytes = 0usize;
        let first = match self.held.take() {
            Some(item) => item,
            None => match ready!(self.receiver.poll_recv(context)) {
                Some(item) => item,
                None => return Poll::Ready(None),
            },
        };
        bytes = bytes.saturating_add(first.encoded_len());
        items.push(first);
        while bytes < MESSAGE_BYTES_GOAL {
            match self.receiver.try_recv() {
                // One that would make the message too large opens the next one.
                Ok(item) if bytes.saturating_add(item.encoded_len()) > MESSAGE_BYTES_GOAL => {
                    self.held = Some(item);
                    break;
                }
                Ok(item) => {
                    bytes = bytes.saturating_add(item.encoded_len());
                    items.push(item);
                }
                Err(_) => break,
            }
        }
        Poll::Ready(Some(v1::StreamRequest { items }))
    }
}

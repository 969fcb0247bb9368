//! One driver's connection.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Buf as _;
use quorate_cql_wire::message::event::{EVENT_STREAM, Event, EventKind};
use quorate_cql_wire::{FromClient, ProtocolVersion, Response, ResponseMessage, ServerConnection};
use quorate_model::request::{Answer, ClientResponse};
use quorate_node::RequestId;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::Thread;
use super::handle::{self, Asked};
use crate::limits::{
    CQL_ANSWER_BYTES_MAX, CQL_READ_BYTES, CQL_REQUEST_BYTES_MAX, CQL_REQUESTS_MAX, CQL_START_TIMEOUT, INPUTS_A_TURN,
};

/// A connection, shared by its task and the requests that it has in flight.
pub(super) struct Connection {
    inner: Mutex<Inner>,
    wake: Notify,
}

/// What a connection is at the moment.
pub(super) struct Inner {
    pub(super) wire: ServerConnection,
    /// The keyspace of `USE`.
    pub(super) keyspace: Option<String>,
    /// Events to hear of.
    pub(super) events: Vec<EventKind>,
    /// An overload is to be an error, rather than a pause.
    pub(super) throws_on_overload: bool,
    /// Requests in flight by their order; `None` for one whose number with the machine is not known yet.
    in_flight: BTreeMap<u64, Option<RequestId>>,
    next: u64,
    closed: bool,
}

impl Inner {
    /// Whether more may be asked.
    pub(super) fn has_room(&self) -> bool {
        self.in_flight.len() < CQL_REQUESTS_MAX && self.wire.output_bytes() < CQL_ANSWER_BYTES_MAX
    }

    /// The version of what is sent without having been asked for.
    fn version(&self) -> ProtocolVersion {
        self.wire.version().unwrap_or(ProtocolVersion::V5)
    }

    /// Begins a request; what it returns names it.
    pub(super) fn begin(&mut self) -> u64 {
        self.next += 1;
        self.in_flight.insert(self.next, None);
        self.next
    }
}

impl Connection {
    fn new() -> Self {
        let inner = Inner {
            wire: ServerConnection::new(CQL_REQUEST_BYTES_MAX),
            keyspace: None,
            events: Vec::new(),
            throws_on_overload: false,
            in_flight: BTreeMap::new(),
            next: 0,
            closed: false,
        };
        Self { inner: Mutex::new(inner), wake: Notify::new() }
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine knows a request by this number; nothing if it is answered already.
    pub(super) fn begun(&self, order: u64, id: RequestId) {
        if let Some(entry) = self.inner().in_flight.get_mut(&order) {
            *entry = Some(id);
        }
    }

    /// Tells an event to a client that has asked for its kind.
    pub(super) fn tell(&self, event: &Event) {
        let mut inner = self.inner();
        if inner.closed || !inner.events.contains(&event.kind()) || inner.wire.output_bytes() > CQL_ANSWER_BYTES_MAX {
            return;
        }
        let version = inner.version();
        inner.wire.respond(version, EVENT_STREAM, &ResponseMessage::from(Response::Event(event.clone())));
        drop(inner);
        self.wake.notify_one();
    }

    /// The client is gone: what is in flight is cancelled.
    fn close(&self) {
        let mut inner = self.inner();
        inner.closed = true;
        let in_flight = std::mem::take(&mut inner.in_flight);
        drop(inner);
        crate::host::with(|host| {
            for id in in_flight.into_values().flatten() {
                host.cancel(id);
            }
        });
    }
}

/// A request of a connection that waits for its answer.
pub(crate) struct CqlItem {
    pub(super) connection: Arc<Connection>,
    pub(super) order: u64,
    pub(super) asked: Asked,
}

impl CqlItem {
    /// Writes the answer where the connection's task will find it.
    pub(crate) fn answer(self, response: ClientResponse) {
        let mut inner = self.connection.inner();
        inner.in_flight.remove(&self.order);
        if inner.closed {
            return;
        }
        if let Ok(Answer::SetKeyspace(keyspace)) = &response.result {
            inner.keyspace = Some(keyspace.clone());
        }
        let message = handle::response(response, &self.asked);
        inner.wire.respond(self.asked.version, self.asked.stream, &message);
        drop(inner);
        self.connection.wake.notify_one();
    }
}

/// Why a connection ends, if not because the client has closed it.
enum End {
    Closed,
    Failed(std::io::Error),
}

/// Serves a connection until it ends.
pub(super) async fn serve(stream: TcpStream, thread: &Arc<Thread>) {
    let connection = Arc::new(Connection::new());
    let registration = thread.registry.add(&connection);
    let end = run(&stream, thread, &connection).await;
    thread.registry.remove(registration);
    connection.close();
    if let End::Failed(error) = end {
        tracing::debug!(%error, "a CQL connection ended");
    }
}

async fn run(stream: &TcpStream, thread: &Arc<Thread>, connection: &Arc<Connection>) -> End {
    let started_by = tokio::time::Instant::now() + CQL_START_TIMEOUT;
    let mut hang_up = false;
    loop {
        let more = if hang_up { false } else { take_requests(thread, connection, &mut hang_up) };
        match write(stream, connection) {
            Err(error) => return End::Failed(error),
            Ok(true) if hang_up => return End::Closed,
            Ok(_) => {}
        }
        if more {
            // A client that sends without a pause must not starve the others.
            tokio::task::yield_now().await;
            continue;
        }
        let (wants_write, wants_read, started) = {
            let inner = connection.inner();
            (inner.wire.output_bytes() > 0, !hang_up && inner.has_room(), inner.wire.version().is_some())
        };
        tokio::select! {
            biased;
            () = connection.wake.notified() => {}
            ready = stream.writable(), if wants_write => {
                if let Err(error) = ready {
                    return End::Failed(error);
                }
            }
            ready = stream.readable(), if wants_read => {
                if let Err(error) = ready {
                    return End::Failed(error);
                }
                match read(stream, connection) {
                    Ok(true) => {}
                    Ok(false) => return End::Closed,
                    Err(error) => return End::Failed(error),
                }
            }
            () = tokio::time::sleep_until(started_by), if !started => return End::Closed,
        }
    }
}

/// Takes what the socket has; false at its end.
fn read(stream: &TcpStream, connection: &Connection) -> std::io::Result<bool> {
    let mut inner = connection.inner();
    let input = inner.wire.input();
    input.reserve(CQL_READ_BYTES);
    match stream.try_read_buf(input) {
        Ok(0) => Ok(false),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}

/// Gives the socket what it takes; true if nothing is left.
fn write(stream: &TcpStream, connection: &Connection) -> std::io::Result<bool> {
    let mut inner = connection.inner();
    let output = inner.wire.output();
    while !output.is_empty() {
        match stream.try_write(output) {
            Ok(count) => output.advance(count),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Begins what has arrived, as far as there is room; true if there may be more.
fn take_requests(thread: &Arc<Thread>, connection: &Arc<Connection>, hang_up: &mut bool) -> bool {
    for _ in 0..INPUTS_A_TURN {
        let mut inner = connection.inner();
        if !inner.has_room() && !inner.throws_on_overload {
            return false;
        }
        match inner.wire.receive() {
            Ok(None) => return false,
            Ok(Some(FromClient::Refused { version, stream, error })) => {
                inner.wire.respond(version, stream, &error.into());
            }
            Ok(Some(FromClient::Request { version, stream, request })) => {
                drop(inner);
                handle::request(thread, connection, version, stream, request);
            }
            Err(error) => {
                tracing::debug!(%error, "a CQL client does not speak the protocol");
                inner.wire.fail(&error);
                *hang_up = true;
                return false;
            }
        }
    }
    true
}

//! One driver's connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_cql_wire::convert::place_payload;
use quorate_cql_wire::message::event::{EVENT_STREAM, Event, EventKind};
use quorate_cql_wire::{FromClient, ProtocolVersion, Response, ResponseMessage, ServerConnection};
use quorate_model::request::{Answer, ClientResponse};
use quorate_node::{ClientFact, RequestId, TlsFact};
use tokio::sync::Notify;

use super::Thread;
use super::budget::Share;
use super::handle::{self, Arrived, Asked};
use super::socket::Socket;
use crate::limits::{
    CQL_ANSWER_BYTES_MAX, CQL_OPTIONS_BYTES_MAX, CQL_PIECE_ANSWER_BYTES, CQL_PIECE_REQUESTS, CQL_REQUEST_BYTES_MAX,
    CQL_REQUESTS_MAX, CQL_ROOM_INTERVAL, CQL_SMALL_REQUEST_BYTES, CQL_STALL_TIMEOUT, CQL_START_TIMEOUT,
};
use crate::waiting::WaitingTable;

/// A connection, shared by its task and the requests that it has in flight.
pub(super) struct Connection {
    inner: Mutex<Inner>,
    wake: Notify,
    /// The client's address.
    peer: Option<SocketAddr>,
    tls: Option<TlsFact>,
}

/// A connection's own name for a request; not the machine's.
#[derive(Clone, Copy)]
pub(super) struct Own(RequestId);

/// What a connection is at the moment.
pub(super) struct Inner {
    pub(super) wire: ServerConnection,
    /// The keyspace of `USE`.
    pub(super) keyspace: Option<String>,
    /// Events to hear of.
    pub(super) events: Vec<EventKind>,
    /// An overload is to be an error, rather than a pause.
    pub(super) throws_on_overload: bool,
    /// The client wants to know where a statement is wrong.
    pub(super) wants_places: bool,
    /// What the client has started with.
    options: Vec<(String, String)>,
    /// Requests that have arrived.
    pub(super) requests: u64,
    /// Requests in flight, each with its number with the machine; `None` as long as that is not known yet.
    in_flight: WaitingTable<Option<RequestId>>,
    /// The memory that its requests and answers hold.
    share: Share,
    closed: bool,
}

impl Inner {
    /// Whether more may be asked.
    pub(super) fn has_room(&self) -> bool {
        self.in_flight.len() < CQL_REQUESTS_MAX
            && self.wire.output_bytes() < CQL_ANSWER_BYTES_MAX
            && self.share.has_room()
    }

    /// The version of what is sent without having been asked for.
    fn version(&self) -> ProtocolVersion {
        self.wire.version().unwrap_or(ProtocolVersion::V5)
    }

    /// Keeps the options of a start as far as they are of a sane size.
    pub(super) fn remember_options(&mut self, options: &[(String, String)]) {
        let mut bytes = 0usize;
        let fits = |(name, value): &&(String, String)| {
            bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
            bytes <= CQL_OPTIONS_BYTES_MAX
        };
        self.options = options.iter().take_while(fits).cloned().collect();
    }

    /// Begins a request whose body has so many bytes; what it returns names it.
    pub(super) fn begin(&mut self, body_bytes: usize) -> Own {
        self.share.begin(body_bytes);
        Own(self.in_flight.insert(None))
    }
}

impl Connection {
    fn new(share: Share, peer: Option<SocketAddr>, tls: Option<TlsFact>) -> Self {
        let inner = Inner {
            wire: ServerConnection::new(CQL_REQUEST_BYTES_MAX),
            keyspace: None,
            events: Vec::new(),
            throws_on_overload: false,
            wants_places: false,
            options: Vec::new(),
            requests: 0,
            in_flight: WaitingTable::default(),
            share,
            closed: false,
        };
        Self { inner: Mutex::new(inner), wake: Notify::new(), peer, tls }
    }

    /// The client's IP address.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        self.peer.map(|peer| peer.ip())
    }

    /// What there is to say of it, unless it is closed.
    pub(super) fn fact(&self) -> Option<ClientFact> {
        let address = self.peer?;
        let inner = self.inner();
        if inner.closed {
            return None;
        }
        Some(ClientFact {
            address,
            options: inner.options.clone(),
            protocol_version: inner.wire.version().map(ProtocolVersion::number),
            keyspace: inner.keyspace.clone(),
            requests: inner.requests,
            tls: self.tls.clone(),
        })
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine knows a request by this number; nothing if it is answered already.
    pub(super) fn begun(&self, own: Own, id: RequestId) {
        if let Some(entry) = self.inner().in_flight.get_mut(own.0) {
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
    pub(super) own: Own,
    pub(super) asked: Asked,
}

impl CqlItem {
    /// Writes the answer where the connection's task will find it.
    pub(crate) fn answer(self, response: ClientResponse) {
        let mut inner = self.connection.inner();
        inner.in_flight.remove(self.own.0);
        inner.share.end(self.asked.body_bytes);
        if inner.closed {
            return;
        }
        if let Ok(Answer::SetKeyspace(keyspace)) = &response.result {
            inner.keyspace = Some(keyspace.clone());
        }
        let place = match &response.result {
            Err(error) if inner.wants_places => place_payload(error),
            _ => Vec::new(),
        };
        let mut message = handle::response(response, &self.asked);
        message.custom_payload.extend(place);
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
pub(super) async fn serve(mut socket: impl Socket, peer: Option<SocketAddr>, share: Share, thread: &Arc<Thread>) {
    let connection = Arc::new(Connection::new(share, peer, socket.tls()));
    let registration = thread.registry.add(&connection);
    let end = run(&mut socket, thread, &connection).await;
    socket.close();
    thread.registry.remove(registration);
    connection.close();
    if let End::Failed(error) = end {
        tracing::debug!(%error, "a CQL connection ended");
    }
}

/// What a connection waits for.
struct Wants {
    read: bool,
    write: bool,
    /// Room for a request, which others give back without a word.
    room: bool,
}

async fn run(socket: &mut impl Socket, thread: &Arc<Thread>, connection: &Arc<Connection>) -> End {
    let started_by = tokio::time::Instant::now() + CQL_START_TIMEOUT;
    let mut hang_up = false;
    let mut stall = Stall::default();
    loop {
        let more = if hang_up { false } else { take_requests(thread, connection, &mut stall, &mut hang_up) };
        crate::host::with(crate::host::Host::ask_for_sync);
        match write(socket, connection, &mut stall) {
            Err(error) => return End::Failed(error),
            Ok(true) if hang_up => return End::Closed,
            Ok(_) => {}
        }
        if more {
            connection.inner().share.publish();
            // A client that sends without a pause must not starve the others.
            tokio::task::yield_now().await;
            continue;
        }
        let (wants, started) = wants(connection, hang_up, &mut stall);
        let deadline = if started { stall.deadline() } else { Some(started_by) };
        tokio::select! {
            biased;
            () = connection.wake.notified() => {}
            ready = socket.writable(), if wants.write || socket.wants_write() => {
                if let Err(error) = ready {
                    return End::Failed(error);
                }
            }
            ready = socket.readable(), if wants.read => {
                if let Err(error) = ready {
                    return End::Failed(error);
                }
                match read(socket, connection) {
                    Ok(true) => {}
                    Ok(false) => return End::Closed,
                    Err(error) => return End::Failed(error),
                }
            }
            () = tokio::time::sleep(CQL_ROOM_INTERVAL), if wants.room => {}
            () = tokio::time::sleep_until(deadline.unwrap_or(started_by)), if deadline.is_some() => {
                tracing::debug!(started, "a CQL client neither goes on nor goes away");
                return End::Closed;
            }
        }
    }
}

/// What to wait for, and whether the connection has started. A request that has come in part asks for its memory here.
fn wants(connection: &Connection, hang_up: bool, stall: &mut Stall) -> (Wants, bool) {
    let mut inner = connection.inner();
    let queued = inner.wire.output_bytes();
    inner.share.queue(queued);
    let held = inner.wire.held_bytes();
    let awaited = if held == 0 { 0 } else { inner.wire.awaited_bytes() };
    let granted = awaited <= CQL_SMALL_REQUEST_BYTES || inner.share.reserve(awaited);
    if awaited == 0 {
        inner.share.unreserve();
    }
    inner.share.publish();
    let own_room = inner.in_flight.len() < CQL_REQUESTS_MAX && queued < CQL_ANSWER_BYTES_MAX;
    // Who has not started yet asks for nothing but that.
    let started = inner.wire.version().is_some();
    let room = granted && (!started || inner.share.has_room());
    let read = !hang_up && own_room && room;
    stall.reading(read && held > 0);
    (Wants { read, write: queued > 0, room: own_room && !room }, started)
}

/// Since when a client neither finishes its request nor takes its answers.
#[derive(Default)]
struct Stall {
    reading: Option<tokio::time::Instant>,
    writing: Option<tokio::time::Instant>,
}

impl Stall {
    /// The connection waits for the rest of a request, or not.
    fn reading(&mut self, waits: bool) {
        self.reading = waits.then(|| self.reading.unwrap_or_else(tokio::time::Instant::now));
    }

    /// A request came whole.
    fn arrived(&mut self) {
        self.reading = None;
    }

    /// The client has taken some bytes, and more are left or not.
    fn wrote(&mut self, some: bool, left: bool) {
        if some || !left {
            self.writing = None;
        }
        if left {
            self.writing.get_or_insert_with(tokio::time::Instant::now);
        }
    }

    fn deadline(&self) -> Option<tokio::time::Instant> {
        let since = match (self.reading, self.writing) {
            (Some(reading), Some(writing)) => Some(reading.min(writing)),
            (reading, writing) => reading.or(writing),
        };
        since.map(|since| since + CQL_STALL_TIMEOUT)
    }
}

/// Takes what the socket has; false at its end.
fn read(socket: &mut impl Socket, connection: &Connection) -> std::io::Result<bool> {
    socket.read(connection.inner().wire.input())
}

/// Gives the socket what it takes; true if nothing is left.
fn write(socket: &mut impl Socket, connection: &Connection, stall: &mut Stall) -> std::io::Result<bool> {
    let written = socket.write(connection.inner().wire.output())?;
    stall.wrote(written.some, written.left);
    Ok(!written.left)
}

/// Begins a piece of what has arrived, as far as there is room; true if there may be more.
fn take_requests(thread: &Arc<Thread>, connection: &Arc<Connection>, stall: &mut Stall, hang_up: &mut bool) -> bool {
    let now = thread.clock.now();
    for begun in 0..CQL_PIECE_REQUESTS {
        let mut inner = connection.inner();
        if begun > 0 && inner.wire.output_bytes() >= CQL_PIECE_ANSWER_BYTES {
            return true;
        }
        if inner.wire.version().is_some() && !inner.has_room() && !inner.throws_on_overload {
            return false;
        }
        match inner.wire.receive() {
            Ok(None) => return false,
            Ok(Some(FromClient::Refused { version, stream, error })) => {
                inner.wire.respond(version, stream, &error.into());
            }
            Ok(Some(FromClient::Request { version, stream, request, body_bytes })) => {
                drop(inner);
                stall.arrived();
                handle::request(thread, connection, Arrived { version, stream, body_bytes, now }, request);
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

//! A connection to a node: a socket, and the client machine that says what goes through it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use bytes::Buf as _;
use quorate_cql_wire::message::prepare::Prepare;
use quorate_cql_wire::message::query::Query;
use quorate_cql_wire::message::query_parameters::QueryParameters;
use quorate_cql_wire::message::result::{PreparedResult, ResultMessage};
use quorate_cql_wire::{Arrived, Client, ClientOptions, ProtocolVersion, Request, RequestMessage, Response};
use quorate_model::Consistency;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Statements;
use crate::limits::{CONNECT_TIME, OUTPUT_BYTES_MAX, READ_BYTES, SCHEMA_TIME, SETUP_TIME};
use crate::target::BenchError;

/// What is remembered of a request until its answer comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// When it was due, or sent if there is no rate.
    pub(super) since: Instant,
    /// Whether its answer should have a row.
    pub(super) is_read: bool,
}

/// A connection to a node.
pub(super) struct Connection {
    host: String,
    socket: TcpStream,
    client: Client<Sent>,
    statements: Option<Statements>,
    /// Where a read goes before it goes to the client.
    input: Box<[u8]>,
}

impl Connection {
    /// Reaches a node and opens the connection, in a lower version if it must be.
    pub(super) fn open(host: &str, options: &ClientOptions) -> Result<Self, BenchError> {
        let failed = |reason: String| BenchError::Node { host: host.to_owned(), what: "connecting", reason };
        let client = Client::new(options.clone()).map_err(|error| failed(error.to_string()))?;
        let socket = reach(host).map_err(|error| failed(error.to_string()))?;
        let input = vec![0; READ_BYTES].into_boxed_slice();
        let mut connection = Self { host: host.to_owned(), socket, client, statements: None, input };
        let until = Instant::now() + SETUP_TIME;
        loop {
            match connection.wait_for_one("connecting", until)? {
                Arrived::Ready => return Ok(connection),
                // Dropped with whatever it still brings.
                Arrived::Reconnect(_) => connection.socket = reach(host).map_err(|error| failed(error.to_string()))?,
                _ => {}
            }
        }
    }

    /// The version that is spoken.
    pub(super) fn version(&self) -> ProtocolVersion {
        self.client.version()
    }

    /// Requests that wait for their answers.
    pub(super) fn in_flight(&self) -> usize {
        self.client.in_flight()
    }

    /// Whether more may be put on it: the socket keeps up.
    pub(super) fn keeps_up(&mut self) -> bool {
        self.client.output().remaining() < OUTPUT_BYTES_MAX
    }

    /// The prepared statements.
    pub(super) fn statements(&self) -> Result<&Statements, BenchError> {
        self.statements.as_ref().ok_or_else(|| self.failed("executing", "nothing was prepared".to_owned()))
    }

    /// Puts a request on it. What was put on it is sent by [`Connection::send`].
    pub(super) fn put(&mut self, request: &RequestMessage, sent: Sent) -> Result<(), BenchError> {
        self.client.request(request, sent).map_err(|error| self.failed("executing", error.to_string()))
    }

    /// Sends as much as the socket takes.
    pub(super) fn send(&mut self) -> Result<(), BenchError> {
        loop {
            let output = self.client.output();
            if output.is_empty() {
                return Ok(());
            }
            match self.socket.write(output) {
                Ok(count) => output.advance(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed("sending", error.to_string())),
            }
        }
    }

    /// Takes what the socket has, up to a read's worth; an error if the server hung up.
    pub(super) fn take(&mut self) -> Result<(), BenchError> {
        match self.socket.read(&mut self.input) {
            Ok(0) => {
                let reason = self.client.hang_up().to_string();
                Err(self.failed("receiving", reason))
            }
            Ok(count) => {
                self.client.input().extend_from_slice(self.input.get(..count).unwrap_or_default());
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(()),
            Err(error) => Err(self.failed("receiving", error.to_string())),
        }
    }

    /// The next thing that came.
    pub(super) fn next(&mut self) -> Result<Option<Arrived<Sent>>, BenchError> {
        self.client.receive().map_err(|error| self.failed("receiving", error.to_string()))
    }

    /// The socket, and what it is to be waited for.
    pub(super) fn interest(&mut self) -> (BorrowedFd<'_>, PollFlags) {
        let sends = !self.client.output().is_empty();
        (self.socket.as_fd(), if sends { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN })
    }

    /// What went wrong here.
    pub(super) fn failed(&self, what: &'static str, reason: String) -> BenchError {
        BenchError::Node { host: self.host.clone(), what, reason }
    }

    /// Executes a statement of the preparations.
    pub(super) fn query(&mut self, what: &'static str, text: String) -> Result<(), BenchError> {
        let parameters = QueryParameters::new(Consistency::One);
        match self.ask(what, Request::Query(Query { text, parameters }))? {
            Response::Error(error) => Err(self.failed(what, error.message)),
            _ => Ok(()),
        }
    }

    /// Prepares both statements. A node may not have heard of the table yet: it is asked again for a while.
    pub(super) fn prepare(&mut self, insert: String, select: String) -> Result<(), BenchError> {
        let insert = self.prepare_one("preparing the insert", &insert)?;
        let select = self.prepare_one("preparing the select", &select)?;
        self.statements = Some(Statements { insert, select });
        Ok(())
    }

    fn prepare_one(&mut self, what: &'static str, text: &str) -> Result<PreparedResult, BenchError> {
        let until = Instant::now() + SCHEMA_TIME;
        loop {
            match self.ask(what, Request::Prepare(Prepare { text: text.to_owned(), keyspace: None }))? {
                Response::Result(ResultMessage::Prepared(prepared)) => return Ok(prepared),
                Response::Error(error) if Instant::now() >= until => return Err(self.failed(what, error.message)),
                Response::Error(_) => std::thread::sleep(Duration::from_millis(100)),
                other => return Err(self.failed(what, format!("the server answered with {other:?}"))),
            }
        }
    }

    /// Asks and waits.
    fn ask(&mut self, what: &'static str, request: Request) -> Result<Response, BenchError> {
        let sent = Sent { since: Instant::now(), is_read: false };
        self.client.request(&request.into(), sent).map_err(|error| self.failed(what, error.to_string()))?;
        let until = Instant::now() + SETUP_TIME;
        loop {
            match self.wait_for_one(what, until)? {
                Arrived::Answer { response, .. } => return Ok(response.body),
                Arrived::Garbled { error, .. } => return Err(self.failed(what, error.to_string())),
                _ => {}
            }
        }
    }

    fn wait_for_one(&mut self, what: &'static str, until: Instant) -> Result<Arrived<Sent>, BenchError> {
        loop {
            let arrived = self.client.receive().map_err(|error| self.failed(what, error.to_string()))?;
            if let Some(arrived) = arrived {
                return Ok(arrived);
            }
            self.send()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.failed(what, format!("no answer within {} s", SETUP_TIME.as_secs())));
            }
            let (socket, flags) = self.interest();
            wait(&mut [PollFd::from_borrowed_fd(socket, flags)], left);
            self.take()?;
        }
    }
}

/// Waits until one of them can be read or written, at most so long.
pub(super) fn wait(sockets: &mut [PollFd<'_>], time: Duration) {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let timeout = Timespec { tv_sec: seconds, tv_nsec: i64::from(time.subsec_nanos()) };
    // A signal ends the wait early; the caller looks and waits again.
    let _ = poll(sockets, Some(&timeout));
}

fn reach(host: &str) -> std::io::Result<TcpStream> {
    let with_port = if host.parse::<SocketAddr>().is_ok() || (host.contains(':') && !host.contains("::")) {
        host.to_owned()
    } else {
        format!("{host}:9042")
    };
    let mut last = std::io::Error::new(ErrorKind::NotFound, "no such host");
    for address in with_port.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIME) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                socket.set_nonblocking(true)?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

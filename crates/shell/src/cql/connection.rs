//! One connection: a task that owns the socket, and handles that ask it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use quorate_cql_wire::convert::PLACES_OPTION;
use quorate_cql_wire::message::error::ErrorKind;
use quorate_cql_wire::{ClientConnection, FromServer, ProtocolVersion, RequestMessage, Response, ResponseMessage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use crate::front::FrontError;
use crate::limits;

/// Bytes read from the socket at once, at least.
const READ_BYTES: usize = 64 * 1024;
/// Versions that are tried, the best first.
const VERSIONS: [ProtocolVersion; 2] = [ProtocolVersion::V5, ProtocolVersion::V4];

type Reply = oneshot::Sender<Result<ResponseMessage, FrontError>>;

/// A handle of a connection. It closes when all of them are gone.
#[derive(Clone)]
pub(super) struct Connection {
    version: ProtocolVersion,
    asked: mpsc::Sender<(RequestMessage, Reply)>,
}

impl Connection {
    /// Connects in the best version that both speak.
    pub(super) async fn open(endpoint: &str) -> Result<Self, FrontError> {
        let unreachable = |reason: String| FrontError::Unreachable { endpoint: endpoint.to_owned(), reason };
        let mut refused = String::new();
        for version in VERSIONS {
            let started = tokio::time::timeout(Duration::from_millis(limits::CQL_CONNECT_MS), start(endpoint, version));
            match started.await {
                Ok(Ok(Ok((stream, wire)))) => {
                    let (asked, requests) = mpsc::channel(limits::CQL_WAITING_MAX);
                    tokio::spawn(Task::new(wire).run(stream, requests));
                    return Ok(Self { version, asked });
                }
                Ok(Ok(Err(no))) => refused = no,
                Ok(Err(reason)) => return Err(unreachable(reason)),
                Err(_) => return Err(unreachable("no answer in time".to_owned())),
            }
        }
        Err(unreachable(refused))
    }

    /// The version that is spoken.
    pub(super) fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Whether it may still be asked.
    pub(super) fn lives(&self) -> bool {
        !self.asked.is_closed()
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask(&self, request: RequestMessage) -> Result<ResponseMessage, FrontError> {
        let (reply, answer) = oneshot::channel();
        let lost = |reason: &str| FrontError::Lost { reason: reason.to_owned() };
        if self.asked.send((request, reply)).await.is_err() {
            return Err(lost("the connection is closed"));
        }
        match tokio::time::timeout(Duration::from_millis(limits::CQL_ANSWER_MS), answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(lost("the connection was closed")),
            Err(_) => Err(lost("no answer in time")),
        }
    }
}

/// Connects and starts. The inner error is a server's 'no' to this version.
async fn start(
    endpoint: &str,
    version: ProtocolVersion,
) -> Result<Result<(TcpStream, ClientConnection), String>, String> {
    let mut stream = TcpStream::connect(endpoint).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let mut wire = ClientConnection::new(version, None).map_err(|error| error.to_string())?;
    let options = vec![
        ("DRIVER_NAME".to_owned(), "Quorate shell".to_owned()),
        ("DRIVER_VERSION".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        (PLACES_OPTION.to_owned(), "true".to_owned()),
    ];
    wire.start_with(0, options).map_err(|error| error.to_string())?;
    let output = wire.output().split();
    stream.write_all(&output).await.map_err(|error| error.to_string())?;
    loop {
        match wire.receive().map_err(|error| error.to_string())? {
            Some(FromServer::Response { response, .. }) => {
                return match response.body {
                    Response::Ready(_) => Ok(Ok((stream, wire))),
                    Response::Authenticate(_) => {
                        Err("the server wants a user and a password, which are not supported yet".to_owned())
                    }
                    Response::Error(error) if error.kind == ErrorKind::Protocol => Ok(Err(error.message)),
                    Response::Error(error) => Err(error.message),
                    other => Err(format!("the server answered STARTUP with {other:?}")),
                };
            }
            Some(other) => return Err(format!("the server's answer makes no sense: {other:?}")),
            None if stream.read_buf(wire.input()).await.map_err(|error| error.to_string())? == 0 => {
                return Err("the server closed the connection".to_owned());
            }
            None => {}
        }
    }
}

/// The connection's task: it matches answers with who asked.
struct Task {
    wire: ClientConnection,
    /// Who waits on which stream.
    waiting: Vec<Option<Reply>>,
    free: VecDeque<i16>,
    outgoing: BytesMut,
    incoming: BytesMut,
}

impl Task {
    fn new(wire: ClientConnection) -> Self {
        let count = i16::try_from(limits::CQL_IN_FLIGHT_MAX).unwrap_or(i16::MAX);
        Self {
            wire,
            waiting: (0..count).map(|_| None).collect(),
            free: (0..count).collect(),
            outgoing: BytesMut::new(),
            incoming: BytesMut::new(),
        }
    }

    async fn run(mut self, stream: TcpStream, mut requests: mpsc::Receiver<(RequestMessage, Reply)>) {
        let reason = self.serve(stream, &mut requests).await;
        requests.close();
        for reply in self.waiting.into_iter().flatten() {
            // Who no longer waits needs no answer.
            let _ = reply.send(Err(FrontError::Lost { reason: reason.clone() }));
        }
    }

    /// Works until the connection ends; gives the reason.
    async fn serve(&mut self, stream: TcpStream, requests: &mut mpsc::Receiver<(RequestMessage, Reply)>) -> String {
        let (mut reader, mut writer) = stream.into_split();
        loop {
            self.incoming.reserve(READ_BYTES);
            tokio::select! {
                asked = requests.recv(), if !self.free.is_empty() => match asked {
                    Some((request, reply)) => self.begin(&request, reply),
                    None => return "closed".to_owned(),
                },
                written = writer.write(&self.outgoing), if !self.outgoing.is_empty() => match written {
                    Ok(count) => self.outgoing.advance(count),
                    Err(error) => return error.to_string(),
                },
                read = reader.read_buf(&mut self.incoming) => match read {
                    Ok(0) => return "the server closed the connection".to_owned(),
                    Ok(_) => if let Err(reason) = self.take_answers() {
                        return reason;
                    },
                    Err(error) => return error.to_string(),
                },
            }
        }
    }

    fn begin(&mut self, request: &RequestMessage, reply: Reply) {
        let Some(stream) = self.free.pop_front() else { return };
        if let Err(error) = self.wire.request(stream, request) {
            self.free.push_back(stream);
            let _ = reply.send(Err(FrontError::Unsendable(error.to_string())));
            return;
        }
        if let Some(place) = usize::try_from(stream).ok().and_then(|place| self.waiting.get_mut(place)) {
            *place = Some(reply);
        }
        let encoded = self.wire.output().split();
        self.outgoing.unsplit(encoded);
    }

    fn take_answers(&mut self) -> Result<(), String> {
        self.wire.input().extend_from_slice(&self.incoming);
        self.incoming.clear();
        loop {
            let (stream, answer) = match self.wire.receive().map_err(|error| error.to_string())? {
                None => return Ok(()),
                Some(FromServer::Response { stream, response }) => (stream, Ok(response)),
                Some(FromServer::Bad { stream, error }) => {
                    (stream, Err(FrontError::Lost { reason: error.to_string() }))
                }
                Some(FromServer::Refused { stream, refusal }) => {
                    (stream, Err(FrontError::Lost { reason: refusal.to_string() }))
                }
            };
            // Events have a stream of their own, on which nobody waits.
            let Some(place) = usize::try_from(stream).ok().and_then(|place| self.waiting.get_mut(place)) else {
                continue;
            };
            if let Some(reply) = place.take() {
                self.free.push_back(stream);
                let _ = reply.send(answer);
            }
        }
    }
}

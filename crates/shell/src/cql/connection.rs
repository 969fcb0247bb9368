//! One connection: a task that owns the socket, and handles that ask it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use quorate_client::Tls;
use quorate_cql_wire::client::{Arrived, Client, ClientOptions};
use quorate_cql_wire::convert::PLACES_OPTION;
use quorate_cql_wire::{ProtocolVersion, RequestMessage, ResponseMessage};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::front::FrontError;
use crate::limits;

/// Bytes read from the socket at once, at least.
const READ_BYTES: usize = 64 * 1024;

type Reply = oneshot::Sender<Result<ResponseMessage, FrontError>>;

/// A socket, with TLS or without.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A handle of a connection. It closes when all of them are gone.
#[derive(Clone)]
pub(super) struct Connection {
    version: ProtocolVersion,
    asked: mpsc::Sender<(RequestMessage, Reply)>,
}

impl Connection {
    /// Connects in the best version that both speak.
    pub(super) async fn open(endpoint: &str, tls: Option<&Tls>) -> Result<Self, FrontError> {
        let unreachable = |reason: String| FrontError::Unreachable { endpoint: endpoint.to_owned(), reason };
        let opened = tokio::time::timeout(Duration::from_millis(limits::CQL_CONNECT_MS), open(endpoint, tls));
        let opened = opened.await.map_err(|_| unreachable("no answer in time".to_owned()))?;
        let (client, stream) = opened.map_err(unreachable)?;
        let (asked, requests) = mpsc::channel(limits::CQL_WAITING_MAX);
        let version = client.version();
        tokio::spawn(Task { client, waiting: BTreeMap::new(), next: 0 }.run(stream, requests));
        Ok(Self { version, asked })
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

/// Opens a connection, on a new socket for each version that the server does not speak.
async fn open(endpoint: &str, tls: Option<&Tls>) -> Result<(Client<u64>, Box<dyn Stream>), String> {
    let options = ClientOptions {
        startup: vec![
            ("DRIVER_NAME".to_owned(), "Quorate shell".to_owned()),
            ("DRIVER_VERSION".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            (PLACES_OPTION.to_owned(), "true".to_owned()),
        ],
        in_flight_max: limits::CQL_IN_FLIGHT_MAX,
        ..ClientOptions::default()
    };
    let mut client = Client::new(options).map_err(|error| error.to_string())?;
    let mut stream = connect(endpoint, tls).await?;
    loop {
        let output = client.output().split();
        stream.write_all(&output).await.map_err(|error| error.to_string())?;
        stream.flush().await.map_err(|error| error.to_string())?;
        match client.receive().map_err(|error| error.to_string())? {
            Some(Arrived::Ready) => return Ok((client, stream)),
            Some(Arrived::Reconnect(_)) => stream = connect(endpoint, tls).await?,
            Some(_) => {}
            // The next step is to be sent first.
            None if !client.output().is_empty() => {}
            None if stream.read_buf(client.input()).await.map_err(|error| error.to_string())? == 0 => {
                return Err(client.hang_up().to_string());
            }
            None => {}
        }
    }
}

async fn connect(endpoint: &str, tls: Option<&Tls>) -> Result<Box<dyn Stream>, String> {
    let stream = TcpStream::connect(endpoint).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
    let name = tls.name().unwrap_or(host).trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
    let config = tls.rustls().map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    Ok(Box::new(stream.map_err(|error| format!("TLS: {error}"))?))
}

/// The connection's task.
struct Task {
    client: Client<u64>,
    /// Who waits for which answer.
    waiting: BTreeMap<u64, Reply>,
    next: u64,
}

impl Task {
    async fn run(mut self, stream: Box<dyn Stream>, mut requests: mpsc::Receiver<(RequestMessage, Reply)>) {
        let reason = self.serve(stream, &mut requests).await;
        requests.close();
        for reply in self.waiting.into_values() {
            // Who no longer waits needs no answer.
            let _ = reply.send(Err(FrontError::Lost { reason: reason.clone() }));
        }
    }

    /// Works until the connection ends; gives the reason.
    async fn serve(
        &mut self,
        stream: Box<dyn Stream>,
        requests: &mut mpsc::Receiver<(RequestMessage, Reply)>,
    ) -> String {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let (mut outgoing, mut incoming) = (BytesMut::new(), BytesMut::new());
        let mut flushed = true;
        loop {
            outgoing.unsplit(self.client.output().split());
            incoming.reserve(READ_BYTES);
            tokio::select! {
                asked = requests.recv(), if self.client.room() > 0 => match asked {
                    Some((request, reply)) => self.begin(&request, reply),
                    None => return "closed".to_owned(),
                },
                pushed = push(&mut writer, &outgoing), if !outgoing.is_empty() || !flushed => match pushed {
                    Ok(count) => {
                        flushed = outgoing.is_empty();
                        outgoing.advance(count);
                    }
                    Err(error) => return error.to_string(),
                },
                read = reader.read_buf(&mut incoming) => match read {
                    Ok(0) => return self.client.hang_up().to_string(),
                    Ok(_) => {
                        self.client.input().extend_from_slice(&incoming);
                        incoming.clear();
                        if let Err(reason) = self.take_answers() {
                            return reason;
                        }
                    }
                    Err(error) => return error.to_string(),
                },
            }
        }
    }

    fn begin(&mut self, request: &RequestMessage, reply: Reply) {
        self.next += 1;
        match self.client.request(request, self.next) {
            Ok(()) => drop(self.waiting.insert(self.next, reply)),
            Err(error) => drop(reply.send(Err(FrontError::Unsendable(error.to_string())))),
        }
    }

    fn take_answers(&mut self) -> Result<(), String> {
        while let Some(arrived) = self.client.receive().map_err(|error| error.to_string())? {
            let (tag, answer) = match arrived {
                Arrived::Answer { tag, response } => (tag, Ok(response)),
                Arrived::Garbled { tag, error } => (tag, Err(FrontError::Lost { reason: error.to_string() })),
                Arrived::Event(_) | Arrived::Ready | Arrived::Reconnect(_) => continue,
            };
            if let Some(reply) = self.waiting.remove(&tag) {
                // Who no longer waits needs no answer.
                let _ = reply.send(answer);
            }
        }
        Ok(())
    }
}

/// Writes some of it; if there is nothing, has TLS send what it holds. Either is done wholly or not at all.
async fn push(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<usize> {
    if bytes.is_empty() { writer.flush().await.map(|()| 0) } else { writer.write(bytes).await }
}

//! A CQL client over the project's own codec, for tests that need the bytes in their own hands.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Buf as _;
use quorate_client::Consistency;
use quorate_cql_wire::message::query::Query;
use quorate_cql_wire::message::query_parameters::QueryParameters;
use quorate_cql_wire::{
    ClientConnection, Compression, FromServer, ProtocolVersion, Request, Response, ResponseMessage,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// An answer comes within this time, also while the machine has other work.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A connection that has started.
#[derive(Debug)]
pub struct CqlClient {
    /// Its socket.
    pub stream: TcpStream,
    wire: ClientConnection,
}

impl CqlClient {
    /// Connects and starts.
    pub async fn connect(
        ip: Ipv4Addr,
        version: ProtocolVersion,
        compression: Option<Compression>,
    ) -> Result<Self, String> {
        let stream = TcpStream::connect((ip, 9042)).await.map_err(|error| error.to_string())?;
        Self::start(stream, version, compression).await
    }

    /// Connects from another of the machine's addresses: another client, as far as the node can tell.
    pub async fn connect_from(from: Ipv4Addr, ip: Ipv4Addr) -> Result<Self, String> {
        let socket = TcpSocket::new_v4().map_err(|error| error.to_string())?;
        socket.bind((from, 0).into()).map_err(|error| error.to_string())?;
        let stream = socket.connect((ip, 9042).into()).await.map_err(|error| error.to_string())?;
        Self::start(stream, ProtocolVersion::V4, None).await
    }

    async fn start(
        stream: TcpStream,
        version: ProtocolVersion,
        compression: Option<Compression>,
    ) -> Result<Self, String> {
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let wire = ClientConnection::new(version, compression).map_err(|error| error.to_string())?;
        let mut client = Self { stream, wire };
        client.wire.start(0).map_err(|error| error.to_string())?;
        match client.answer().await?.1.body {
            Response::Ready(_) => Ok(client),
            other => Err(format!("not READY but {other:?}")),
        }
    }

    /// Sends a statement without waiting for its answer.
    pub async fn ask(&mut self, stream: i16, text: &str) -> Result<(), String> {
        let query = Request::Query(Query { text: text.to_owned(), parameters: QueryParameters::new(Consistency::One) });
        self.wire.request(stream, &query.into()).map_err(|error| error.to_string())?;
        self.send().await
    }

    /// Executes a statement.
    pub async fn query(&mut self, text: &str) -> Result<Response, String> {
        self.ask(1, text).await?;
        Ok(self.answer().await?.1.body)
    }

    async fn send(&mut self) -> Result<(), String> {
        let output = self.wire.output();
        let bytes = output.split();
        self.stream.write_all(&bytes).await.map_err(|error| error.to_string())
    }

    /// The next answer, with its stream.
    pub async fn answer(&mut self) -> Result<(i16, ResponseMessage), String> {
        if self.wire.output().has_remaining() {
            self.send().await?;
        }
        let answer = async {
            loop {
                match self.wire.receive() {
                    Ok(Some(FromServer::Response { stream, response })) => return Ok((stream, response)),
                    Ok(None) => {}
                    other => return Err(format!("not a response: {other:?}")),
                }
                match self.stream.read_buf(self.wire.input()).await {
                    Ok(0) => return Err("the server has closed the connection".to_owned()),
                    Ok(_) => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
        };
        tokio::time::timeout(ANSWER_WITHIN, answer).await.map_err(|_| "no answer in time".to_owned())?
    }
}

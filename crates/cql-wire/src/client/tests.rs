//! The client against our own server's end, and against servers that misbehave.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test says so by panicking")]

use std::sync::Arc;

use bytes::{BufMut as _, Bytes};
use quorate_model::request::{ColumnSpec, ResultMetadata};
use quorate_model::{Consistency, CqlType};

use super::*;
use crate::connection::{FromClient, ServerConnection};
use crate::envelope::Side;
use crate::message::auth_success::AuthSuccess;
use crate::message::authenticate::{Authenticate, PASSWORD_AUTHENTICATOR};
use crate::message::error::{ErrorKind, ErrorMessage};
use crate::message::event::StatusChange;
use crate::message::query::Query;
use crate::message::query_parameters::QueryParameters;
use crate::message::ready::Ready;
use crate::message::result::{ResultMessage, RowsResult};
use crate::message::supported::Supported;
use crate::message::{Request, Response};
use crate::metadata::{Columns, RowsMetadata};
use crate::{Decoder, Encoder, Received};

fn query(text: &str) -> RequestMessage {
    let parameters = QueryParameters::new(Consistency::One);
    Request::Query(Query { text: text.to_owned(), parameters }).into()
}

fn text_of(request: &RequestMessage) -> &str {
    match &request.body {
        Request::Query(query) => &query.text,
        other => panic!("{other:?}"),
    }
}

fn refusal(kind: ErrorKind, message: &str) -> ResponseMessage {
    ErrorMessage { message: message.to_owned(), kind }.into()
}

/// A server that answers what a client has sent, by a function of its request.
struct Server {
    connection: ServerConnection,
    answer: fn(&Request) -> ResponseMessage,
}

impl Server {
    fn new(answer: fn(&Request) -> ResponseMessage) -> Self {
        Self { connection: ServerConnection::new(1 << 20), answer }
    }

    /// Takes what the client has to send, answers all of it, and hands the answers over.
    fn serve(&mut self, client: &mut Client<u32>) {
        let sent = client.output().split();
        self.connection.input().extend_from_slice(&sent);
        while let Some(FromClient::Request { version, stream, request, .. }) = self.connection.receive().unwrap() {
            self.connection.respond(version, stream, &(self.answer)(&request.body));
        }
        let answers = self.connection.output().split();
        client.input().extend_from_slice(&answers);
    }
}

fn willing(request: &Request) -> ResponseMessage {
    match request {
        Request::Options(_) => Response::Supported(Supported::ours()).into(),
        Request::Startup(_) => Response::Ready(Ready).into(),
        _ => Response::Result(ResultMessage::Void).into(),
    }
}

fn guarded(request: &Request) -> ResponseMessage {
    match request {
        Request::Startup(_) => Response::Authenticate(Authenticate { class: PASSWORD_AUTHENTICATOR.to_owned() }).into(),
        Request::AuthResponse(response) if response.parse_plain() == Some(("ada", "secret")) => {
            Response::AuthSuccess(AuthSuccess::default()).into()
        }
        Request::AuthResponse(_) => {
            refusal(ErrorKind::BadCredentials, "Provided username and/or password are incorrect")
        }
        other => willing(other),
    }
}

fn connect(options: ClientOptions) -> (Client<u32>, Server) {
    let mut client = Client::new(options).unwrap();
    let mut server = Server::new(willing);
    server.serve(&mut client);
    assert_eq!(client.receive(), Ok(None), "OPTIONS is answered, STARTUP is not");
    server.serve(&mut client);
    assert_eq!(client.receive(), Ok(Some(Arrived::Ready)));
    (client, server)
}

#[test]
fn opens_and_asks_in_every_version_and_compression() {
    for version in ProtocolVersion::ALL {
        for compression in [None, Some(Compression::Lz4), Some(Compression::Snappy)] {
            if version >= ProtocolVersion::V5 && compression == Some(Compression::Snappy) {
                continue;
            }
            let (mut client, mut server) = connect(ClientOptions { version, compression, ..ClientOptions::default() });
            for tag in 0..300 {
                client.request(&query("SELECT * FROM t"), tag).unwrap();
            }
            assert_eq!(client.in_flight(), 300);
            server.serve(&mut client);
            for expected in 0..300 {
                let Some(Arrived::Answer { tag, response }) = client.receive().unwrap() else { panic!() };
                assert_eq!((tag, response.body), (expected, Response::Result(ResultMessage::Void)));
            }
            assert_eq!((client.receive(), client.in_flight()), (Ok(None), 0));
        }
    }
}

/// Answers in another order find their requests, and streams are used again.
#[test]
fn answers_come_in_any_order() {
    let (mut client, _) = connect(ClientOptions { version: ProtocolVersion::V4, ..ClientOptions::default() });
    let mut decoder = Decoder::new(Side::Server, 1 << 20);
    let mut encoder = Encoder::new();
    let mut streams_seen = std::collections::BTreeSet::new();
    for round in 0..50 {
        for tag in 0..8 {
            client.request(&query(&format!("{}", round * 8 + tag)), round * 8 + tag).unwrap();
        }
        decoder.feed(&client.output().split());
        let mut asked = Vec::new();
        while let Some(Received::Envelope(envelope)) = decoder.receive().unwrap() {
            let text = text_of(&RequestMessage::read(&envelope).unwrap()).to_owned();
            streams_seen.insert(envelope.stream);
            asked.push((envelope.stream, text));
        }
        asked.reverse();
        asked.rotate_left(round as usize % 8);
        for (stream, text) in asked {
            encoder.response(ProtocolVersion::V4, stream, &refusal(ErrorKind::Invalid, &text));
            client.input().extend_from_slice(&encoder.take());
            let Some(Arrived::Answer { tag, response }) = client.receive().unwrap() else { panic!() };
            assert_eq!(response, refusal(ErrorKind::Invalid, &tag.to_string()));
        }
    }
    assert_eq!(streams_seen.len(), 8);
}

#[test]
fn more_than_fit_are_refused_until_an_answer_comes() {
    let (mut client, mut server) = connect(ClientOptions { in_flight_max: 2, ..ClientOptions::default() });
    client.request(&query("a"), 1).unwrap();
    client.request(&query("b"), 2).unwrap();
    assert_eq!(client.room(), 0);
    assert_eq!(client.request(&query("c"), 3), Err(ClientError::Full { max: 2 }));
    server.serve(&mut client);
    assert!(client.receive().unwrap().is_some());
    assert_eq!(client.room(), 1);
    client.request(&query("c"), 3).unwrap();
    let mut left: Vec<u32> = client.abandon().collect();
    left.sort_unstable();
    assert_eq!((left, client.in_flight()), (vec![2, 3], 0));
}

#[test]
fn what_the_version_cannot_say_takes_no_stream() {
    let (mut client, _) = connect(ClientOptions { version: ProtocolVersion::V4, ..ClientOptions::default() });
    let mut request = query("a");
    if let Request::Query(query) = &mut request.body {
        query.parameters.now_in_seconds = Some(1);
    }
    assert!(matches!(client.request(&request, 1), Err(ClientError::Request(WireError::NotInVersion { .. }))));
    assert_eq!((client.in_flight(), client.output().len()), (0, 0));
    client.request(&query("a"), 2).unwrap();
    assert_eq!(client.in_flight(), 1);
}

#[test]
fn steps_down_to_the_version_that_the_server_speaks() {
    let mut client: Client<u32> = Client::new(ClientOptions::default()).unwrap();
    assert_eq!(client.output().split()[0], 5);
    // As Cassandra 3.11 and Scylla say it, in version 4.
    for message in [
        "Invalid or unsupported protocol version (5); supported versions are (3/v3, 4/v4, 5/v5-beta)",
        "Invalid or unsupported protocol version: 5",
    ] {
        let mut client: Client<u32> = Client::new(ClientOptions::default()).unwrap();
        let mut encoder = Encoder::new();
        encoder.response(ProtocolVersion::V4, 0, &refusal(ErrorKind::Protocol, message));
        client.input().extend_from_slice(&encoder.take());
        assert_eq!(client.receive(), Ok(Some(Arrived::Reconnect(ProtocolVersion::V4))));
        assert_eq!(client.version(), ProtocolVersion::V4);
        let mut server = Server::new(willing);
        server.serve(&mut client);
        assert_eq!(client.receive(), Ok(None));
        server.serve(&mut client);
        assert_eq!(client.receive(), Ok(Some(Arrived::Ready)));
    }
}

#[test]
fn stops_at_the_lowest_version_and_at_other_errors() {
    let mut lowest: Client<u32> =
        Client::new(ClientOptions { version: ProtocolVersion::V3, ..ClientOptions::default() }).unwrap();
    let mut other: Client<u32> = Client::new(ClientOptions::default()).unwrap();
    for (client, version, message) in [
        (&mut lowest, ProtocolVersion::V3, "unsupported protocol version"),
        (&mut other, ProtocolVersion::V5, "too many connections"),
    ] {
        let mut encoder = Encoder::new();
        encoder.response(version, 0, &refusal(ErrorKind::Protocol, message));
        client.input().extend_from_slice(&encoder.take());
        let error = client.receive().unwrap_err().to_string();
        assert!(error.contains(message) && error.contains("OPTIONS"), "{error}");
    }
}

#[test]
fn proves_who_it_is() {
    let who = |password: &str| Some(Credentials { user: "ada".to_owned(), password: password.to_owned() });
    for (credentials, expected) in [
        (who("secret"), Ok(Some(Arrived::Ready))),
        (None, Err("the server wants a user and a password (org.apache.cassandra.auth.PasswordAuthenticator)")),
        (
            who("wrong"),
            Err(
                "the server refused AUTH_RESPONSE in protocol version 5/v5: Provided username and/or password are incorrect",
            ),
        ),
    ] {
        let mut client: Client<u32> = Client::new(ClientOptions { credentials, ..ClientOptions::default() }).unwrap();
        let mut server = Server::new(guarded);
        let mut result = Ok(None);
        for _ in 0..3 {
            server.serve(&mut client);
            result = client.receive();
            if result != Ok(None) {
                break;
            }
        }
        assert_eq!(result.map_err(|error| error.to_string()), expected.map_err(str::to_owned));
    }
    assert!(!format!("{:?}", who("secret")).contains("secret"));
}

#[test]
fn compression_that_is_not_offered_is_told() {
    fn plain(_: &Request) -> ResponseMessage {
        Response::Supported(Supported { options: vec![("COMPRESSION".to_owned(), vec!["snappy".to_owned()])] }).into()
    }
    let options = ClientOptions { compression: Some(Compression::Lz4), ..ClientOptions::default() };
    let mut client: Client<u32> = Client::new(options).unwrap();
    Server::new(plain).serve(&mut client);
    let error = client.receive().unwrap_err();
    assert_eq!(error.to_string(), "the server does not offer lz4 compression; it offers snappy");
}

#[test]
fn says_what_it_waited_for_when_the_server_goes_away() {
    let mut client: Client<u32> = Client::new(ClientOptions::default()).unwrap();
    assert_eq!(client.request(&query("a"), 1), Err(ClientError::NotReady { step: "OPTIONS" }));
    let version = ProtocolVersion::V5;
    assert_eq!(client.hang_up(), ClientError::HungUpEarly { step: "OPTIONS", version });
    let (mut client, _) = connect(ClientOptions::default());
    client.request(&query("a"), 1).unwrap();
    assert_eq!(client.hang_up(), ClientError::HungUp { in_flight: 1, bytes: 0 });
}

#[test]
fn answers_to_nothing_end_the_connection() {
    let answer = |stream, message: &ResponseMessage| {
        let (mut client, _) = connect(ClientOptions { version: ProtocolVersion::V4, ..ClientOptions::default() });
        client.request(&query("a"), 1).unwrap();
        let mut encoder = Encoder::new();
        encoder.response(ProtocolVersion::V4, stream, message);
        client.input().extend_from_slice(&encoder.take());
        client.receive()
    };
    let void = Response::Result(ResultMessage::Void).into();
    assert!(matches!(answer(0, &void), Ok(Some(Arrived::Answer { tag: 1, .. }))));
    for stream in [1, 77, -1, i16::MIN, i16::MAX] {
        assert_eq!(answer(stream, &void), Err(ClientError::Stream { stream }));
    }
    let error = answer(-1, &refusal(ErrorKind::Server, "out of memory")).unwrap_err();
    assert_eq!(error.to_string(), "the server ends the connection: out of memory");
}

#[test]
fn events_and_answers_that_make_no_sense() {
    let (mut client, _) = connect(ClientOptions { version: ProtocolVersion::V4, ..ClientOptions::default() });
    let event = Event::StatusChange(StatusChange::Up, "127.0.0.1:9042".parse().unwrap());
    client.request(&query("a"), 5).unwrap();
    let mut encoder = Encoder::new();
    encoder.response(ProtocolVersion::V4, EVENT_STREAM, &Response::Event(event.clone()).into());
    client.input().extend_from_slice(&encoder.take());
    // A RESULT of a kind that does not exist.
    client.input().put_slice(&[0x84, 0, 0, 0, 8, 0, 0, 0, 4, 0, 0, 0, 99]);
    assert_eq!(client.receive(), Ok(Some(Arrived::Event(event))));
    assert!(matches!(client.receive(), Ok(Some(Arrived::Garbled { tag: 5, error: WireError::UnknownNumber { .. } }))));
    assert_eq!(client.in_flight(), 0);
    client.request(&query("b"), 6).unwrap();
}

/// Whatever is cut off, doubled or flipped on its way, the client says so or waits, and never panics.
#[test]
fn damage_is_never_a_panic() {
    let mut random = 0x1234_5678_9ABC_DEF0_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for _ in 0..2_000 {
        let version = ProtocolVersion::ALL[next() as usize % 3];
        let (mut client, mut server) = connect(ClientOptions { version, ..ClientOptions::default() });
        for tag in 0..4 {
            client.request(&query("a"), tag).unwrap();
        }
        server.serve(&mut client);
        let place = next() as usize % client.input().len();
        match next() % 3 {
            0 => client.input()[place] ^= 1 << (next() % 8),
            1 => client.input().truncate(place),
            _ => {
                let doubled = client.input().clone();
                client.input().extend_from_slice(&doubled);
            }
        }
        for _ in 0..16 {
            if !matches!(client.receive(), Ok(Some(_))) {
                break;
            }
        }
    }
}

fn rows(state: Option<&'static [u8]>) -> ResponseMessage {
    let (keyspace, table, name) = ("k".to_owned(), "t".to_owned(), "c".to_owned());
    let columns = vec![ColumnSpec { keyspace, table, name, cql_type: CqlType::Int }];
    let metadata = RowsMetadata {
        columns: Columns::Full(Arc::new(ResultMetadata { columns })),
        paging_state: state.map(Bytes::from_static),
        new_id: None,
    };
    Response::Result(ResultMessage::Rows(RowsResult { metadata, row_count: 0, data: Bytes::new() })).into()
}

#[test]
fn pages_follow_each_other_until_the_last() {
    let state = |pages: &Pages| match &pages.next_request().unwrap().body {
        Request::Query(query) => (query.parameters.page_size, query.parameters.paging_state.clone()),
        other => panic!("{other:?}"),
    };
    let mut pages = Pages::new(query("SELECT"), 7);
    assert_eq!(state(&pages), (Some(7), None));
    assert!(pages.accept(&rows(Some(b"one"))).is_some());
    assert_eq!(state(&pages), (Some(7), Some(Bytes::from_static(b"one"))));
    assert!(pages.accept(&refusal(ErrorKind::Overloaded, "busy")).is_none());
    assert_eq!(state(&pages), (Some(7), Some(Bytes::from_static(b"one"))), "the same page again");
    assert!(pages.accept(&rows(None)).is_some());
    assert!(pages.next_request().is_none());
    let mut pages = Pages::new(query("INSERT"), 7);
    assert!(pages.accept(&Response::Result(ResultMessage::Void).into()).is_none());
    assert!(pages.next_request().is_none());
}

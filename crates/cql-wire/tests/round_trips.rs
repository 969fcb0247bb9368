//! What is written is read back as the same, in every version, compression and cut of the stream.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says so by panicking")]

mod generate;

use bytes::Bytes;
use generate::{ERROR_KINDS, REQUEST_KINDS, RESPONSE_KINDS, Random, cql_type, error, request, response};
use quorate_cql_wire::message::options::Options;
use quorate_cql_wire::message::query::Query;
use quorate_cql_wire::message::query_parameters::QueryParameters;
use quorate_cql_wire::message::ready::Ready;
use quorate_cql_wire::message::result::{ResultMessage, RowsResult};
use quorate_cql_wire::types::{class_name, parse_class_name};
use quorate_cql_wire::{
    ClientConnection, Columns, Compression, FromClient, FromServer, ProtocolVersion, Request, Response,
    ResponseMessage, RowsMetadata, ServerConnection, limits,
};
use quorate_model::Consistency;

const CASES: usize = 400;

/// All agreements that two ends can come to.
fn agreements() -> Vec<(ProtocolVersion, Option<Compression>)> {
    let compressions = [None, Some(Compression::Lz4), Some(Compression::Snappy)];
    let all =
        ProtocolVersion::ALL.into_iter().flat_map(|version| compressions.map(|compression| (version, compression)));
    all.filter(|(version, compression)| !(version.is_segmented() && *compression == Some(Compression::Snappy)))
        .collect()
}

/// Carries bytes from one end to the other in pieces of random size.
fn carry(random: &mut Random, from: &mut bytes::BytesMut, to: &mut bytes::BytesMut) -> bool {
    if from.is_empty() {
        return false;
    }
    let most = if random.flag() { 10 } else { 100_000 };
    let count = (1 + random.below(most)).min(from.len());
    to.extend_from_slice(&from.split_to(count));
    true
}

/// Two ends that have started.
fn started(
    random: &mut Random,
    version: ProtocolVersion,
    compression: Option<Compression>,
) -> (ClientConnection, ServerConnection) {
    let mut client = ClientConnection::new(version, compression).unwrap();
    let mut server = ServerConnection::new(limits::REQUEST_BODY_BYTES_MAX);
    client.request(3, &Request::Options(Options).into()).unwrap();
    client.start(7).unwrap();
    let mut requests = Vec::new();
    while carry(random, client.output(), server.input()) {
        while let Some(received) = server.receive().unwrap() {
            requests.push(received);
        }
    }
    assert_eq!(requests.len(), 2);
    assert!(
        matches!(&requests[1], FromClient::Request { stream: 7, request, .. } if matches!(request.body, Request::Startup(_)))
    );
    server.respond(version, 7, &Response::Ready(Ready).into());
    let mut ready = false;
    while carry(random, server.output(), client.input()) {
        while let Some(received) = client.receive().unwrap() {
            ready = received == FromServer::Response { stream: 7, response: Response::Ready(Ready).into() };
        }
    }
    assert!(ready);
    (client, server)
}

#[test]
fn requests_of_every_kind_arrive_as_they_were_sent() {
    let mut random = Random(1);
    for (version, compression) in agreements() {
        let (mut client, mut server) = started(&mut random, version, compression);
        for round in 0..CASES {
            let sent: Vec<_> = (0..1 + random.below(4))
                .map(|index| (index as i16, request(&mut random, version, Some((round + index) % REQUEST_KINDS))))
                .collect();
            for (stream, message) in &sent {
                client.request(*stream, message).unwrap();
            }
            let mut received = Vec::new();
            while carry(&mut random, client.output(), server.input()) {
                while let Some(FromClient::Request { stream, request, .. }) = server.receive().unwrap() {
                    received.push((stream, request));
                }
            }
            assert_eq!(received, sent, "{version} {compression:?}");
            assert_eq!(server.held_bytes(), 0);
        }
    }
}

#[test]
fn responses_of_every_kind_arrive_as_they_were_sent() {
    let mut random = Random(2);
    for (version, compression) in agreements() {
        let (mut client, mut server) = started(&mut random, version, compression);
        for round in 0..CASES {
            let mut sent: Vec<(i16, ResponseMessage)> = (0..1 + random.below(4))
                .map(|index| (index as i16, response(&mut random, version, Some((round + index) % RESPONSE_KINDS))))
                .collect();
            sent.push((99, error(&mut random, version, round % ERROR_KINDS).into()));
            for (stream, message) in &sent {
                server.respond(version, *stream, message);
            }
            let mut received = Vec::new();
            while carry(&mut random, server.output(), client.input()) {
                while let Some(message) = client.receive().unwrap() {
                    let FromServer::Response { stream, response } = message else { panic!("{message:?}") };
                    received.push((stream, response));
                }
            }
            assert_eq!(received, sent, "{version} {compression:?}");
        }
    }
}

#[test]
fn messages_of_any_size_arrive_as_they_were_sent() {
    let mut random = Random(3);
    let edge = limits::SEGMENT_PAYLOAD_BYTES_MAX;
    for (version, compression) in agreements() {
        let (mut client, mut server) = started(&mut random, version, compression);
        for size in [0, 1, edge - 60, edge - 30, edge - 9, edge, edge + 1, 2 * edge, 3 * edge + 17, 2_000_000] {
            // Half of it can be compressed, half cannot.
            let text: String = (0..size)
                .map(|index| if index < size / 2 { 'a' } else { char::from(32 + random.below(90) as u8) })
                .collect();
            let query = Query { text, parameters: QueryParameters::new(Consistency::One) };
            let small = request(&mut random, version, Some(5));
            let data = Bytes::from(query.text.clone().into_bytes());
            client.request(1, &small).unwrap();
            client.request(2, &Request::Query(query.clone()).into()).unwrap();
            client.request(3, &small).unwrap();
            let mut received = Vec::new();
            while carry(&mut random, client.output(), server.input()) {
                while let Some(message) = server.receive().unwrap() {
                    let FromClient::Request { stream, request, .. } = message else { panic!("{message:?}") };
                    received.push((stream, request));
                }
            }
            assert_eq!(received, [(1, small.clone()), (2, Request::Query(query).into()), (3, small)]);

            let metadata = RowsMetadata { columns: Columns::Skipped(1), paging_state: None, new_id: None };
            let rows = Response::Result(ResultMessage::Rows(RowsResult { metadata, row_count: 1, data }));
            server.respond(version, 2, &rows.clone().into());
            server.respond(version, 1, &Response::Result(ResultMessage::Void).into());
            let mut received = Vec::new();
            while carry(&mut random, server.output(), client.input()) {
                while let Some(message) = client.receive().unwrap() {
                    received.push(message);
                }
            }
            let void = Response::Result(ResultMessage::Void).into();
            assert_eq!(
                received,
                [
                    FromServer::Response { stream: 2, response: rows.into() },
                    FromServer::Response { stream: 1, response: void }
                ]
            );
        }
    }
}

#[test]
fn class_names_are_read_back() {
    let mut random = Random(4);
    for _ in 0..5_000 {
        let mut cql_type = cql_type(&mut random, 0);
        if random.flag() {
            cql_type = cql_type.freeze();
        }
        assert_eq!(parse_class_name(&class_name(&cql_type)), Ok(cql_type));
    }
}

//! A driver's bytes: whatever comes, in whatever pieces, the server's end of a connection neither panics nor holds more than came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_cql_wire::convert::{batch_request, execute_request, prepare_request, query_request};
use quorate_cql_wire::message::ready::Ready;
use quorate_cql_wire::message::startup::Startup;
use quorate_cql_wire::{Compression, FromClient, Encoder, ProtocolVersion, Request, Response, ServerConnection};

/// What a request of the server's limit would be; small, so that the limit is met.
const BODY_BYTES_MAX: u32 = 64 * 1024;

fn started(version: ProtocolVersion, compression: Option<Compression>) -> Option<ServerConnection> {
    let mut connection = ServerConnection::new(BODY_BYTES_MAX);
    let mut encoder = Encoder::new();
    encoder.request(version, 1, &Request::Startup(Startup::new(compression)).into()).ok()?;
    connection.input().extend_from_slice(&encoder.take());
    let Ok(Some(FromClient::Request { .. })) = connection.receive() else { return None };
    connection.respond(version, 1, &Response::Ready(Ready).into());
    Some(connection)
}

fuzz_target!(|data: &[u8]| {
    let [choice, piece, bytes @ ..] = data else { return };
    let version = [ProtocolVersion::V3, ProtocolVersion::V4, ProtocolVersion::V5][usize::from(choice % 3)];
    let compression = [None, Some(Compression::Lz4), Some(Compression::Snappy)][usize::from(choice / 3 % 3)];
    let fresh = choice / 9 % 4 == 0;
    let connection = if fresh { Some(ServerConnection::new(BODY_BYTES_MAX)) } else { started(version, compression) };
    let Some(mut connection) = connection else { return };
    for part in bytes.chunks(usize::from(*piece).max(1)) {
        connection.input().extend_from_slice(part);
        loop {
            match connection.receive() {
                Ok(None) => break,
                Ok(Some(FromClient::Refused { version, stream, error })) => {
                    connection.respond(version, stream, &error.into());
                }
                Ok(Some(FromClient::Request { version, stream, request, .. })) => {
                    match request.body {
                        Request::Query(query) => drop(query_request(query, request.tracing, None)),
                        Request::Prepare(prepare) => drop(prepare_request(prepare, request.tracing, None)),
                        Request::Execute(execute) => drop(execute_request(execute, request.tracing, None)),
                        Request::Batch(batch) => drop(batch_request(batch, request.tracing, None)),
                        _ => {}
                    }
                    connection.respond(version, stream, &Response::Ready(Ready).into());
                }
                Err(error) => return connection.fail(&error),
            }
        }
        let awaited = connection.awaited_bytes();
        assert!(awaited <= BODY_BYTES_MAX as usize, "{awaited} bytes are awaited");
        assert!(connection.held_bytes() <= 2 * BODY_BYTES_MAX as usize + bytes.len(), "more is held than came");
    }
});

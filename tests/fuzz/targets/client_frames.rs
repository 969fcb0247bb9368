//! A server's bytes, as our own clients read them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_cql_wire::message::ready::Ready;
use quorate_cql_wire::message::result::ResultMessage;
use quorate_cql_wire::{ClientConnection, Compression, Encoder, FromServer, ProtocolVersion, Response};

fuzz_target!(|data: &[u8]| {
    let [choice, piece, bytes @ ..] = data else { return };
    let version = [ProtocolVersion::V3, ProtocolVersion::V4, ProtocolVersion::V5][usize::from(choice % 3)];
    let compression = [None, Some(Compression::Lz4), Some(Compression::Snappy)][usize::from(choice / 3 % 3)];
    let Ok(mut connection) = ClientConnection::new(version, compression) else { return };
    if choice / 9 % 4 > 0 {
        let mut encoder = Encoder::new();
        encoder.response(version, 0, &Response::Ready(Ready).into());
        connection.input().extend_from_slice(&encoder.take());
        assert!(matches!(connection.receive(), Ok(Some(FromServer::Response { .. }))));
    }
    for part in bytes.chunks(usize::from(*piece).max(1)) {
        connection.input().extend_from_slice(part);
        while let Ok(Some(received)) = connection.receive() {
            let FromServer::Response { response, .. } = received else { continue };
            if let Response::Result(ResultMessage::Rows(rows)) = response.body {
                for row in rows.rows() {
                    if row.is_err() {
                        break;
                    }
                }
            }
        }
    }
});

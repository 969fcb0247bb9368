//! What comes from outside never makes the codec panic, and never makes it hold much more than what came.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says so by panicking")]
#![allow(unsafe_code, reason = "an allocator that counts")]

mod generate;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::{Bytes, BytesMut};
use generate::{REQUEST_KINDS, RESPONSE_KINDS, Random, request, response};
use quorate_cql_wire::message::options::Options;
use quorate_cql_wire::message::ready::Ready;
use quorate_cql_wire::message::result::ResultMessage;
use quorate_cql_wire::message::startup::Startup;
use quorate_cql_wire::{
    Compression, Decoder, Encoder, Envelope, FramingError, FromClient, ProtocolVersion, Received, Refusal, Request,
    RequestMessage, Response, ResponseMessage, Segment, ServerConnection, Side, WireError,
};

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

impl Counting {
    fn add(bytes: isize) {
        // A thread that ends has no counters any more.
        let _ = HELD.try_with(|held| {
            held.set(held.get() + bytes);
            let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
        });
    }
}

// SAFETY: it passes everything on to the system's allocator and only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::add(layout.size() as isize);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::add(-(layout.size() as isize));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The greatest number of bytes that were held at once during the action, beside those held before it.
fn peak_of(action: impl FnOnce()) -> usize {
    let before = HELD.with(Cell::get);
    PEAK.with(|peak| peak.set(before));
    action();
    (PEAK.with(Cell::get) - before).max(0) as usize
}

/// What decoding so many bytes may hold: a column of a few bytes becomes a specification of a hundred and fifty.
fn allowed(input: usize) -> usize {
    64 * 1024 + input * 100
}

/// Executions of each kind of damage; more with `CQL_WIRE_FUZZ=N`.
fn executions() -> usize {
    let wanted = std::env::var("CQL_WIRE_FUZZ").ok().and_then(|text| text.parse().ok());
    wanted.unwrap_or(if cfg!(debug_assertions) { 20_000 } else { 200_000 })
}

fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..1 + random.below(4) {
        let place = random.below(bytes.len());
        match random.below(8) {
            0 => bytes.truncate(place),
            1 => bytes.insert(place, random.next() as u8),
            2 if !bytes.is_empty() => {
                bytes.remove(place);
            }
            3 => {
                let number = random.pick(&[i32::MAX, i32::MIN, -1, -2, 0, 0xFFFF, 0x0100_0000, 17]);
                for (byte, new) in bytes.iter_mut().skip(place).zip(number.to_be_bytes()) {
                    *byte = new;
                }
            }
            4 => {
                let end = place + random.below(bytes.len() - place + 1);
                let copy = bytes[place..end].to_vec();
                bytes.splice(place..place, copy);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
}

/// Everything that a reader of a response might do with it.
fn use_up(response: &ResponseMessage) {
    if let Response::Result(ResultMessage::Rows(rows)) = &response.body {
        for row in rows.rows() {
            if row.is_err() {
                break;
            }
        }
    }
}

fn body_of(random: &mut Random, version: ProtocolVersion, side: Side) -> Envelope {
    let mut encoder = Encoder::new();
    let (kind, opcode) = match side {
        Side::Server => {
            let message = request(random, version, None);
            encoder.request(version, 5, &message).unwrap();
            (message.flags(), message.opcode())
        }
        Side::Client => {
            let message = response(random, version, None);
            encoder.response(version, 5, &message);
            (message.flags(version), message.opcode())
        }
    };
    Envelope { version, flags: kind, stream: 5, opcode, body: encoder.take().freeze().slice(9..) }
}

#[test]
fn damaged_bodies_are_messages_or_errors() {
    let mut random = Random(11);
    let mut accepted = 0;
    for _ in 0..executions() {
        let version = random.version();
        let side = if random.flag() { Side::Server } else { Side::Client };
        let mut envelope = body_of(&mut random, version, side);
        let mut body = envelope.body.to_vec();
        damage(&mut random, &mut body);
        envelope.body = body.into();
        let input = envelope.body.len();
        let mut ok = false;
        let peak = peak_of(|| match side {
            Side::Server => ok = RequestMessage::read(&envelope).is_ok(),
            Side::Client => {
                let message = ResponseMessage::read(&envelope);
                ok = message.as_ref().inspect(|message| use_up(message)).is_ok();
            }
        });
        assert!(peak <= allowed(input), "{peak} bytes for {input}: {envelope:?}");
        accepted += usize::from(ok);
    }
    assert!(accepted > executions() / 20, "only {accepted} were accepted: the damage is too great to reach far");
}

/// A stream of requests as a started connection sends it.
fn stream(random: &mut Random, version: ProtocolVersion, compression: Option<Compression>) -> Vec<u8> {
    let mut encoder = Encoder::new();
    if version.is_segmented() {
        encoder.start_segments(compression);
    } else {
        encoder.set_compression(compression);
    }
    for stream in 0..1 + random.below(4) {
        let message = request(random, version, None);
        encoder.request(version, stream as i16, &message).unwrap();
        if random.flag() {
            encoder.flush();
        }
    }
    encoder.take().to_vec()
}

fn drain(decoder: &mut Decoder) -> Result<usize, FramingError> {
    let mut count = 0;
    while let Some(received) = decoder.receive()? {
        if let Received::Envelope(envelope) = received {
            let _ = RequestMessage::read(&envelope);
        }
        count += 1;
    }
    Ok(count)
}

const AGREED: [(ProtocolVersion, Option<Compression>); 6] = [
    (ProtocolVersion::V3, None),
    (ProtocolVersion::V4, None),
    (ProtocolVersion::V4, Some(Compression::Lz4)),
    (ProtocolVersion::V4, Some(Compression::Snappy)),
    (ProtocolVersion::V5, None),
    (ProtocolVersion::V5, Some(Compression::Lz4)),
];

#[test]
fn damaged_streams_are_envelopes_or_errors() {
    let mut random = Random(12);
    for _ in 0..executions() {
        let (version, compression) = random.pick(&AGREED);
        let mut bytes = stream(&mut random, version, compression);
        damage(&mut random, &mut bytes);
        let peak = peak_of(|| {
            let mut decoder = Decoder::new(Side::Server, 4096);
            decoder.start(version, compression);
            let cut = bytes.len() / 2;
            for part in [&bytes[..cut], &bytes[cut..]] {
                decoder.feed(part);
                if drain(&mut decoder).is_err() {
                    assert!(drain(&mut decoder).is_err(), "an error stays");
                }
            }
        });
        // A v5 segment may decompress to 128 KiB.
        assert!(peak <= 256 * 1024 + allowed(bytes.len()), "{peak} bytes for {}", bytes.len());
    }
}

#[test]
fn damaged_envelopes_in_sound_segments_are_envelopes_or_errors() {
    let mut random = Random(13);
    for _ in 0..executions() {
        let lz4 = random.flag();
        let mut payload = stream(&mut random, ProtocolVersion::V5, None);
        payload = payload.get(6..payload.len() - 4).unwrap_or_default().to_vec();
        damage(&mut random, &mut payload);
        let mut decoder = Decoder::new(Side::Server, 4096);
        decoder.start(ProtocolVersion::V5, Some(Compression::Lz4).filter(|_| lz4));
        let parts = 1 + random.below(3);
        for part in payload.chunks(payload.len() / parts + 1) {
            Segment::write(part, random.flag(), lz4, decoder.buffer());
        }
        let _ = drain(&mut decoder);
    }
}

#[test]
fn messages_cut_at_each_byte_are_errors_and_never_panic() {
    let mut random = Random(14);
    let mut cuts = 0;
    for version in ProtocolVersion::ALL {
        for kind in 0..REQUEST_KINDS {
            for _ in 0..10 {
                let message = request(&mut random, version, Some(kind));
                let mut encoder = Encoder::new();
                encoder.request(version, 1, &message).unwrap();
                let bytes = encoder.take().freeze();
                for cut in 0..bytes.len() {
                    let mut decoder = Decoder::new(Side::Server, 1 << 20);
                    decoder.feed(&bytes[..cut]);
                    assert_eq!(decoder.receive(), Ok(None), "a part is no envelope");
                    if let Some(body) = bytes.get(9..cut) {
                        let body = Bytes::copy_from_slice(body);
                        let opcode = message.opcode();
                        let envelope = Envelope { version, flags: message.flags(), stream: 1, opcode, body };
                        let whole = RequestMessage::read(&envelope);
                        assert!(matches!(whole, Err(WireError::Truncated { .. })), "{cut} of {message:?}: {whole:?}");
                    }
                    cuts += 1;
                }
            }
        }
        for kind in 0..RESPONSE_KINDS {
            for _ in 0..10 {
                let message = response(&mut random, version, Some(kind));
                let mut encoder = Encoder::new();
                encoder.response(version, 1, &message);
                let bytes = encoder.take().freeze();
                for cut in 9..bytes.len() {
                    let (body, opcode) = (bytes.slice(9..cut), message.opcode());
                    let envelope = Envelope { version, flags: message.flags(version), stream: 1, opcode, body };
                    if let Ok(message) = ResponseMessage::read(&envelope) {
                        use_up(&message);
                    }
                    cuts += 1;
                }
            }
        }
    }
    assert!(cuts > 10_000, "{cuts} cuts");
}

fn header(version: u8, flags: u8, stream: i16, opcode: u8, length: i32) -> Vec<u8> {
    let mut bytes = vec![version, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.push(opcode);
    bytes.extend(length.to_be_bytes());
    bytes
}

#[test]
fn an_announced_length_reserves_nothing() {
    let peak = peak_of(|| {
        let mut decoder = Decoder::new(Side::Server, 256 << 20);
        decoder.feed(&header(4, 0, 1, 7, 256 << 20));
        assert_eq!(decoder.receive(), Ok(None));
        assert_eq!(decoder.held_bytes(), 9);
    });
    assert!(peak < 4096, "{peak} bytes");
    let mut decoder = Decoder::new(Side::Server, 256 << 20);
    decoder.feed(&header(4, 0, 1, 7, (256 << 20) + 1));
    assert!(matches!(decoder.receive(), Err(FramingError::BodyLength { stream: 1, .. })));
    let mut decoder = Decoder::new(Side::Server, 256 << 20);
    decoder.feed(&header(4, 0, 1, 7, -1));
    assert!(matches!(decoder.receive(), Err(FramingError::BodyLength { length: -1, .. })));
}

fn error_of(connection: &mut ServerConnection) -> (i16, u32, String) {
    match connection.receive() {
        Ok(Some(FromClient::Refused { stream, error, .. })) => (stream, error.kind.code() as u32, error.message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_that_is_too_big_is_refused_and_the_connection_lives() {
    let max = 16 * 1024 * 1024;
    let mut connection = ServerConnection::new(max);
    connection.input().extend_from_slice(&header(4, 0, 9, 7, max as i32 + 5));
    let text = "Request is too big: length 16777221 exceeds maximum allowed length 16777216.";
    assert_eq!(error_of(&mut connection), (9, 0x2200, text.to_owned()));
    let mut left = max as usize + 5;
    while left > 0 {
        let count = left.min(1_000_000);
        connection.input().extend_from_slice(&vec![0xAA; count]);
        left -= count;
        if left > 0 {
            assert_eq!(connection.receive(), Ok(None));
            assert_eq!(connection.held_bytes(), 0, "what is skipped is not kept");
        }
    }
    connection.input().extend_from_slice(&header(4, 0, 10, 5, 0));
    assert!(matches!(connection.receive(), Ok(Some(FromClient::Request { stream: 10, .. }))));
}

#[test]
fn a_big_envelope_in_segments_is_refused_and_the_connection_lives() {
    let mut connection = ServerConnection::new(200_000);
    start(&mut connection, ProtocolVersion::V5, None);
    let mut big = header(5, 0, 9, 7, 300_000);
    big.resize(300_009, 0x55);
    let mut parts = big.chunks(131_071);
    Segment::write(parts.next().unwrap(), false, false, connection.input());
    let text = "CQL Message of size 300009 bytes exceeds allowed maximum of 200000 bytes";
    assert_eq!(error_of(&mut connection), (9, 0x2200, text.to_owned()));
    for part in parts {
        Segment::write(part, false, false, connection.input());
        assert_eq!(connection.receive(), Ok(None));
    }
    Segment::write(&header(5, 0, 10, 5, 0), true, false, connection.input());
    assert!(matches!(connection.receive(), Ok(Some(FromClient::Request { stream: 10, .. }))));
}

fn start(connection: &mut ServerConnection, version: ProtocolVersion, compression: Option<Compression>) {
    let mut encoder = Encoder::new();
    encoder.request(version, 0, &Request::Startup(Startup::new(compression)).into()).unwrap();
    connection.input().extend_from_slice(&encoder.take());
    assert!(matches!(connection.receive(), Ok(Some(FromClient::Request { .. }))));
    connection.respond(version, 0, &Response::Ready(Ready).into());
    connection.output().clear();
}

#[test]
fn what_would_decompress_to_too_much_is_refused_before_anything_is_reserved() {
    for (compression, body) in [
        (Compression::Lz4, [0x7F_u8, 0xFF, 0xFF, 0xFF, 0x1F, 0, 1, 0, 0xFF].to_vec()),
        // Within the limit, and yet more than such a block can hold.
        (Compression::Lz4, [0x00_u8, 0xFF, 0xFF, 0xFF, 0x1F, 0, 1, 0, 0xFF].to_vec()),
        (Compression::Snappy, vec![0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0]),
        (Compression::Snappy, vec![0xFF, 0xFF, 0xFF, 0x07, 0]),
    ] {
        let mut connection = ServerConnection::new(16 << 20);
        start(&mut connection, ProtocolVersion::V4, Some(compression));
        connection.input().extend_from_slice(&header(4, 1, 3, 7, body.len() as i32));
        connection.input().extend_from_slice(&body);
        let peak = peak_of(|| assert_eq!(error_of(&mut connection).1, 0x000A));
        assert!(peak < 64 * 1024, "{peak} bytes");
        connection.input().extend_from_slice(&header(4, 0, 4, 5, 0));
        assert!(matches!(connection.receive(), Ok(Some(FromClient::Request { stream: 4, .. }))));
    }
}

#[test]
fn a_bomb_within_the_limit_of_a_stranger_is_no_more_than_the_limit() {
    let mut encoder = Encoder::new();
    encoder.set_compression(Some(Compression::Lz4));
    let mut decoder = Decoder::new(Side::Server, 1 << 20);
    decoder.start(ProtocolVersion::V4, Some(Compression::Lz4));
    let text = "a".repeat(2 << 20);
    let query = quorate_cql_wire::message::prepare::Prepare { text, keyspace: None };
    encoder.request(ProtocolVersion::V4, 1, &Request::Prepare(query).into()).unwrap();
    let bytes = encoder.take();
    assert!(bytes.len() < 20_000);
    decoder.feed(&bytes);
    match decoder.receive() {
        Ok(Some(Received::Refused(refused))) => assert!(matches!(refused.refusal, Refusal::Compression { .. })),
        other => panic!("{other:?}"),
    }
}

#[test]
fn versions_that_are_not_spoken_are_told_so_in_an_envelope_they_can_read() {
    let told = |first: &[u8]| {
        let mut connection = ServerConnection::new(1000);
        connection.input().extend_from_slice(first);
        let error = connection.receive().unwrap_err();
        connection.fail(&error);
        connection.output().split().to_vec()
    };
    for (number, flags, version, text) in [
        (
            66,
            0,
            0x85,
            "Invalid or unsupported protocol version (66); supported versions are (3/v3, 4/v4, 5/v5, 6/v6-beta)",
        ),
        (
            65,
            0,
            0x85,
            "Invalid or unsupported protocol version (65); supported versions are (3/v3, 4/v4, 5/v5, 6/v6-beta)",
        ),
        (
            7,
            0x10,
            0x85,
            "Invalid or unsupported protocol version (7); supported versions are (3/v3, 4/v4, 5/v5, 6/v6-beta)",
        ),
        (6, 0, 0x86, "Beta version of the protocol used (6/v6-beta), but USE_BETA flag is unset"),
    ] {
        let answer = told(&header(number, flags, 0, 5, 0));
        assert_eq!(answer[0], version);
        assert_eq!(answer[4..9], [0, 0, 0, 0, (text.len() + 6) as u8]);
        assert_eq!(answer[9..13], [0, 0, 0, 0x0A]);
        assert_eq!(&answer[15..], text.as_bytes());
    }
    for number in [1, 2] {
        let answer = told(&[number, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(answer[..4], [0x80 | number, 0, 0, 0], "a header of eight bytes");
        assert_eq!(usize::from(answer[7]), answer.len() - 8);
    }
}

#[test]
fn another_version_on_a_started_connection_is_refused_and_the_connection_lives() {
    let mut connection = ServerConnection::new(1000);
    start(&mut connection, ProtocolVersion::V4, None);
    connection.input().extend_from_slice(&header(3, 0, 8, 5, 0));
    let text = "Invalid message version. Got 3/v3 but previous messages on this connection had version 4/v4";
    assert_eq!(error_of(&mut connection), (8, 0x000A, text.to_owned()));
    connection.input().extend_from_slice(&header(4, 0, 9, 5, 0));
    assert!(matches!(connection.receive(), Ok(Some(FromClient::Request { stream: 9, .. }))));
    connection.input().extend_from_slice(&header(0x84, 0, 9, 5, 0));
    assert_eq!(connection.receive(), Err(FramingError::Direction { first_byte: 0x84 }));
}

#[test]
fn damaged_segments_end_the_connection() {
    let whole = {
        let mut bytes = BytesMut::new();
        Segment::write(&header(5, 0, 1, 5, 0), true, false, &mut bytes);
        bytes.to_vec()
    };
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut connection = ServerConnection::new(1000);
        start(&mut connection, ProtocolVersion::V5, None);
        connection.input().extend_from_slice(&bytes);
        let error = connection.receive().unwrap_err();
        if bit < 48 {
            assert!(matches!(error, FramingError::HeaderChecksum { .. }), "bit {bit}: {error}");
        } else {
            assert!(matches!(error, FramingError::PayloadChecksum { .. }), "bit {bit}: {error}");
        }
    }
}

#[test]
fn nothing_is_read_beyond_a_startup_before_it_is_answered() {
    let mut connection = ServerConnection::new(1000);
    let mut encoder = Encoder::new();
    let version = ProtocolVersion::V5;
    encoder.request(version, 0, &Request::Startup(Startup::new(None)).into()).unwrap();
    encoder.start_segments(None);
    encoder.request(version, 1, &Request::Options(Options).into()).unwrap();
    connection.input().extend_from_slice(&encoder.take());
    assert!(matches!(connection.receive(), Ok(Some(FromClient::Request { stream: 0, .. }))));
    assert_eq!(connection.receive(), Ok(None));
    connection.respond(version, 0, &Response::Ready(Ready).into());
    assert!(matches!(connection.receive(), Ok(Some(FromClient::Request { stream: 1, .. }))));
}

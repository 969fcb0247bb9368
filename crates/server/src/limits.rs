//! Limits of the server: everything that a client or a peer could make grow.

use std::time::Duration;

/// Greatest message of a client or a peer, in bytes.
pub const MESSAGE_BYTES_MAX: usize = quorate_proto::limits::MESSAGE_BYTES_MAX;
/// A message between nodes is closed once it holds so many bytes of frames.
pub const BATCH_BYTES_GOAL: usize = 1024 * 1024;
/// Bytes queued for one peer on one lane; further frames are dropped and counted.
pub const LANE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Greatest frame: what a message can hold, less its envelope.
pub const FRAME_BYTES_MAX: usize = MESSAGE_BYTES_MAX - 1024;
/// Peers' frames waiting for another thread's machine; further ones are dropped and counted.
pub const MAILBOX_FRAMES_MAX: usize = 65_536;
/// Time to open a connection to a peer.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Time for the first message of a stream.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(2);
/// HTTP/2 pings on idle connections between nodes.
pub const PING_INTERVAL: Duration = Duration::from_millis(500);
/// A ping that is not answered for so long ends the connection.
pub const PING_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Pause before a connection is tried again, at first and at most.
pub const RECONNECT_MIN: Duration = Duration::from_millis(50);
/// See [`RECONNECT_MIN`].
pub const RECONNECT_MAX: Duration = Duration::from_secs(1);
/// Streams that one connection may have open at once.
pub const CONNECTION_STREAMS_MAX: u32 = 1_024;
/// Requests in flight on one client's stream before further ones are refused as overloaded.
pub const STREAM_REQUESTS_MAX: usize = 16_384;
/// Bytes of answers queued for one client's stream before its requests are read no further.
pub const STREAM_ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A message of answers is closed once it holds so many bytes.
pub const ANSWER_BYTES_GOAL: usize = 512 * 1024;
/// Bytes of an HTTP request's head.
pub const HTTP_HEAD_BYTES_MAX: usize = 8 * 1024;
/// Time for a whole HTTP exchange.
pub const HTTP_TIMEOUT: Duration = Duration::from_secs(5);
/// HTTP connections at once.
pub const HTTP_CONNECTIONS_MAX: usize = 64;
/// Time for a stop: requests in flight end, memtables are flushed.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(9);
/// Connections of CQL drivers at once on one worker; further ones are closed.
pub const CQL_CONNECTIONS_MAX: usize = 4_096;
/// Requests in flight on one CQL connection before it is read no further, or they are refused, as its client wants it.
pub const CQL_REQUESTS_MAX: usize = 1_024;
/// Bytes of answers and events queued for one CQL connection before it is read no further.
pub const CQL_ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Greatest request of a CQL driver; a greater one is refused, and the connection lives.
pub const CQL_REQUEST_BYTES_MAX: u32 = quorate_cql_wire::limits::REQUEST_BODY_BYTES_MAX;
/// Bytes read from a CQL connection at once, at least.
pub const CQL_READ_BYTES: usize = 16 * 1024;
/// Connections of one client address at once on one worker; further ones are closed.
pub const CQL_CLIENT_CONNECTIONS_MAX: usize = 2_048;
/// Bytes that the requests in flight and the answers not taken of all CQL clients may hold, over all workers. A client that
/// would go beyond its half of a worker's part is read no further until there is room.
pub const CQL_CLIENTS_BYTES_MAX: usize = 256 * 1024 * 1024;
/// A worker's part of [`CQL_CLIENTS_BYTES_MAX`] is at least so much: two requests of the greatest length.
pub const CQL_CLIENTS_BYTES_MIN: usize = 2 * CQL_REQUEST_BYTES_MAX as usize;
/// A request of more bytes asks for room before it is taken in.
pub const CQL_SMALL_REQUEST_BYTES: usize = CQL_READ_BYTES;
/// Time for a request to arrive whole once its first bytes have, and for a client to take the first byte of an answer that waits.
pub const CQL_STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause before a CQL connection that found no room looks again.
pub const CQL_ROOM_INTERVAL: Duration = Duration::from_millis(10);
/// Time for a CQL connection to start.
pub const CQL_START_TIMEOUT: Duration = Duration::from_secs(10);
/// Statements whose columns are remembered for clients of protocol v3 and v4.
pub const CQL_STATEMENTS_MAX: usize = 100_000;
/// TLS handshakes under way at once on one listener of a worker; further connections are closed.
pub const TLS_HANDSHAKES_MAX: usize = 1_024;
/// Time for a TLS handshake, from the moment at which a connection is accepted.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that have agreed on TLS and wait for their front, on one listener of a worker.
pub const TLS_ACCEPTED_MAX: usize = 64;
/// How often the files of TLS are looked at.
pub const TLS_LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Least time between two lines of the log on refused handshakes of one listener of a worker.
pub const TLS_FAILURE_LOG_INTERVAL: Duration = Duration::from_secs(1);
/// A certificate that expires sooner is warned of.
pub const TLS_EXPIRY_WARNING: Duration = Duration::from_secs(7 * 86_400);
/// Bytes of a file with certificates or a key.
pub const TLS_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of the options that a CQL client starts with which are remembered for `system_views.clients`.
pub const CQL_OPTIONS_BYTES_MAX: usize = 4 * 1024;
/// Nodes' names whose addresses are remembered.
pub const NAMES_MAX: usize = 1_024;
/// Time for finding a name's address.
pub const NAME_LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);
/// How often addresses that are known are looked up again.
pub const NAMES_REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// Requests of one CQL connection begun before its answers are sent and others have their turn: its client works on those
/// answers while the rest are served, and nobody waits for the whole of what one read brought.
pub const CQL_PIECE_REQUESTS: usize = 48;
/// The same, in bytes of answers.
pub const CQL_PIECE_ANSWER_BYTES: usize = 16 * 1024;
/// Inputs a thread handles before it looks at its sockets again.
pub const INPUTS_A_TURN: usize = 512;
/// Most worker threads.
pub const WORKERS_MAX: usize = 256;

/// Nodes that are not members whose addresses are remembered.
pub(crate) const STRANGERS_MAX: usize = 1_024;
/// Longest internode address that a peer may give.
pub(crate) const ADDRESS_BYTES_MAX: usize = 300;

//! Limits of the client.

use std::time::Duration;

/// Port of the gRPC front where an address names none.
pub const PORT_DEFAULT: u16 = 9044;
/// Time to open a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time to wait for an answer where neither the request nor the session says otherwise. It is longer than the server's
/// own limits, so that the server's more exact error comes first.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Added to a request's own timeout before the client gives up by itself.
pub const ANSWER_GRACE: Duration = Duration::from_secs(1);
/// How often the topology is asked for anew.
pub const TOPOLOGY_REFRESH: Duration = Duration::from_secs(10);
/// Least time between two such requests, however many nodes fail.
pub const TOPOLOGY_PAUSE: Duration = Duration::from_millis(500);
/// After a node could not be reached, other nodes are preferred for so long.
pub const NODE_AVOIDED: Duration = Duration::from_secs(1);
/// Requests queued for one node before further ones wait.
pub const QUEUE_MAX: usize = 4_096;
/// A message on the stream is sent once it holds so many bytes, or when nothing more is ready.
pub const MESSAGE_BYTES_GOAL: usize = 256 * 1024;
/// Nodes tried for one request.
pub const ATTEMPTS_MAX: usize = 5;
/// Statements that a session keeps prepared for `query` with values.
pub const PREPARED_CACHE_MAX: usize = 1_000;
/// Rows a page where nothing else is said.
pub const PAGE_SIZE_DEFAULT: u32 = 5_000;
/// Greatest request: the server's greatest message, less its envelope.
pub const REQUEST_BYTES_MAX: usize = quorate_proto::limits::MESSAGE_BYTES_MAX - 64;

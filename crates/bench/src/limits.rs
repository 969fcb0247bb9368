//! Every limit of a load over CQL. Connections, threads and requests in flight are bounded by their arguments.

use std::time::Duration;

/// Time to reach a node.
pub const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Time for an answer before the load: opening a connection, creating tables, preparing.
pub const SETUP_TIME: Duration = Duration::from_secs(30);
/// Time for a node to hear of a table that another has created.
pub const SCHEMA_TIME: Duration = Duration::from_secs(10);
/// Time for the answers that are still out when a load ends; requests without one by then are unknown.
pub const DRAIN_TIME: Duration = Duration::from_secs(15);
/// What one read takes at most, in bytes.
pub const READ_BYTES: usize = 128 * 1024;
/// Bytes that wait to be sent on a connection before no more requests are put on it.
pub const OUTPUT_BYTES_MAX: usize = 256 * 1024;

//! Every limit of this crate.

use std::time::Duration;

/// Most replicas of one partition, those of a moving range's new owners included.
pub const REPLICAS_MAX: usize = 64;
/// Most rounds of one read of one range: when so many did not fill the page, a shorter page is given, with the place
/// from which to go on.
pub const READ_ROUNDS_MAX: u32 = 32;
/// Fewest rows asked of a replica in a round that makes up for a short one, so that a run of deleted rows is not walked
/// one row a round.
pub const SHORT_READ_ROWS_MIN: u32 = 32;
/// Most ranges of a scan that are read at once.
pub const SCAN_CONCURRENCY_MAX: usize = 16;
/// Most partitions of an unlogged batch.
pub const BATCH_PARTITIONS_MAX: usize = 65_535;
/// Most characters of a replica's reason that are passed on to a client.
pub const REASON_CHARS_MAX: usize = 256;
/// Most trace events carried by one answer.
pub const TRACE_EVENTS_MAX: usize = 256;
/// Nodes whose latency is remembered.
pub const LATENCY_NODES_MAX: usize = 1024;
/// Samples from which a percentile is estimated.
pub const LATENCY_SAMPLES: usize = 128;
/// For how long a node may be down and still be sent hints, unless configured otherwise.
pub const HINT_WINDOW: Duration = Duration::from_secs(3 * 3600);
/// Most bytes of hints kept for one node, unless configured otherwise.
pub const HINT_BYTES_MAX: u64 = 1 << 30;

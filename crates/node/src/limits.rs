//! Every limit of a node that is not the storage engine's.

use std::time::Duration;

/// Prepared statements a node keeps; the least recently used goes first.
pub const PREPARED_MAX: usize = 10_000;
/// Bytes of the texts of all prepared statements of a node.
pub const PREPARED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of a text whose plan a worker keeps.
pub const STATEMENT_CACHED_BYTES_MAX: usize = 64 * 1024;
/// Bytes of all texts whose plans a worker keeps.
pub const STATEMENTS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Frames parked in one worker until the node has caught up with the epoch they were planned at.
pub const PARKED_MAX: usize = 4_096;
/// Bytes of their mutations.
pub const PARKED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Milliseconds that a client may have a request wait: for longer, it would keep others out.
pub const TIMEOUT_MS_MAX: u32 = 10 * 60 * 1000;
/// Peers' requests in flight in one worker before further ones are refused as overloaded.
pub const PEER_REQUESTS_MAX: usize = 65_536;
/// Durable writes that a worker applies and answers in one step.
pub const APPLIED_A_STEP: usize = 32;
/// Bytes of one page of rows, if the client sets no smaller bound.
pub const PAGE_BYTES_MAX: u32 = 1024 * 1024;
/// Rows that a read with tests (`ALLOW FILTERING`) takes at once at least.
pub const FILTER_ROWS_MIN: u32 = 512;
/// Partitions of an unlogged batch above which the client is warned.
pub const UNLOGGED_BATCH_PARTITIONS_WARN: usize = 10;
/// Bytes of a batch over several partitions above which the client is warned.
pub const BATCH_BYTES_WARN: usize = 5 * 1024;
/// Bytes of an unpaged answer, above which the client is told to page.
pub const UNPAGED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Statements of one batch.
pub const BATCH_STATEMENTS_MAX: usize = 65_535;
/// Bytes of one partition's mutation; less if the commit log's segments are small.
pub const MUTATION_BYTES_MAX: usize = 15 * 1024 * 1024;
/// Bytes of all mutations of one batch.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Partitions of one read (`IN` on the partition key).
pub const READ_PARTITIONS_MAX: usize = 1_000;
/// Bytes of hints sent to one node and not yet acknowledged.
pub const HINT_BATCH_BYTES: u64 = 512 * 1024;
/// Down to how many bytes a batch of hints shrinks for a node that does not take all of it.
pub const HINT_BATCH_BYTES_MIN: u64 = 4 * 1024;
/// Bytes of one page of a streamed range.
pub const STREAM_PAGE_BYTES: u32 = 512 * 1024;
/// Changes of the schema waiting in the control machine.
pub const SCHEMA_QUEUE_MAX: usize = 1_024;
/// Events kept of one trace.
pub const TRACE_EVENTS_MAX: usize = 1_000;
/// Characters of a statement or of a bound value in a trace.
pub const TRACE_TEXT_CHARS_MAX: usize = 1_000;
/// Bound values in a trace.
pub const TRACE_VALUES_MAX: usize = 100;
/// Traces that wait in one worker for being stored; further ones are dropped and counted.
pub const TRACES_WAITING_MAX: usize = 512;
/// Bytes of them.
pub const TRACES_WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Writes of traces under way in one worker.
pub const TRACES_IN_FLIGHT_MAX: usize = 16;
/// Time for a write of a trace. A session is complete, which clients wait for, this much later if a replica hangs.
pub const TRACE_WRITE_TIMEOUT: Duration = Duration::from_millis(500);
/// Tables whose latencies a worker keeps; one more, and it begins anew with all.
pub const LATENCY_TABLES_MAX: usize = 4_096;
/// Requests of a table that are measured one by one, before only some are.
pub const LATENCY_SAMPLED_AFTER: u64 = 1_024;
/// Of how many requests of a busy table one is measured; all are counted.
pub const LATENCY_SAMPLE: u64 = 16;
/// The internode port where an address names none.
pub const INTERNODE_PORT: u16 = 7000;
/// Operations in flight, those included that are answered but still wait for a replica, as a multiple of the clients'
/// requests that a worker takes.
pub const UNFINISHED_FACTOR: usize = 4;

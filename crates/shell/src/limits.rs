//! Every limit of the shell.

/// Rows a page on a terminal, as in cqlsh.
pub const PAGE_ROWS_DEFAULT: u32 = 100;
/// Rows a page when nobody reads along.
pub const PAGE_ROWS_UNATTENDED: u32 = 5_000;
/// Greatest page that may be asked for.
pub const PAGE_ROWS_MAX: u32 = 100_000;
/// Requests in flight during a `COPY`.
pub const COPY_IN_FLIGHT_MAX: usize = 512;
/// Attempts at a row that was refused without any effect.
pub const COPY_ATTEMPTS_DEFAULT: u32 = 5;
/// First pause before a refused row is tried again; it doubles with every attempt.
pub const COPY_BACKOFF_MS: u64 = 50;
/// Rows that may be rejected by the server before `COPY FROM` gives up.
pub const COPY_INSERT_ERRORS_MAX: u64 = 1_000;
/// Rows a second that `COPY FROM` sends at most, unless told otherwise.
pub const COPY_INGEST_RATE_DEFAULT: u64 = 100_000;
/// Reasons for rejected rows that are printed; all of them stand in the rejects file.
pub const COPY_REASONS_SHOWN_MAX: usize = 10;
/// Nesting of `SOURCE`.
pub const SOURCE_DEPTH_MAX: usize = 16;
/// Lines of history kept.
pub const HISTORY_LINES_MAX: usize = 10_000;
/// Longest statement, in bytes.
pub const STATEMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Requests in flight on one connection of the CQL front; further ones wait.
pub const CQL_IN_FLIGHT_MAX: usize = 1_000;
/// Requests that wait for their turn on one connection of the CQL front.
pub const CQL_WAITING_MAX: usize = 1_000;
/// Time to connect over CQL, with the answer to `STARTUP`.
pub const CQL_CONNECT_MS: u64 = 5_000;
/// Time for an answer over CQL.
pub const CQL_ANSWER_MS: u64 = 600_000;
/// Looks for a trace that is not whole yet, each after [`CQL_TRACE_PAUSE_MS`].
pub const CQL_TRACE_LOOKS_MAX: u32 = 100;
/// See [`CQL_TRACE_LOOKS_MAX`].
pub const CQL_TRACE_PAUSE_MS: u64 = 50;

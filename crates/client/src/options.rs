//! How a request is to be executed.

use std::time::Duration;

use bytes::Bytes;
use quorate_model::request::QueryOptions;
use quorate_model::{Consistency, Timestamp};

/// How a request is to be executed. Start from [`Options::default`] or from the session's.
///
/// ```
/// use std::time::Duration;
/// use quorate_client::{Consistency, Options};
///
/// let options = Options::default()
///     .consistency(Consistency::Quorum)
///     .timeout(Duration::from_millis(500))
///     .idempotent(true)
///     .speculative_after(Duration::from_millis(20));
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) query: QueryOptions,
    pub(crate) idempotent: Option<bool>,
    pub(crate) speculative_after: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        let query = QueryOptions { page_size: Some(crate::limits::PAGE_SIZE_DEFAULT), ..QueryOptions::default() };
        Self { query, idempotent: None, speculative_after: None }
    }
}

impl Options {
    /// How many replicas must answer; `LOCAL_ONE` by default.
    #[must_use]
    pub fn consistency(mut self, level: Consistency) -> Self {
        self.query.consistency = level;
        self
    }

    /// The level of a conditional statement's rounds.
    #[must_use]
    pub fn serial_consistency(mut self, level: Consistency) -> Self {
        self.query.serial_consistency = Some(level);
        self
    }

    /// Rows a page; 5,000 by default. Zero switches paging off.
    #[must_use]
    pub fn page_size(mut self, rows: u32) -> Self {
        self.query.page_size = (rows > 0).then_some(rows);
        self
    }

    /// Where to go on: the state that came with the previous page.
    #[must_use]
    pub fn paging_state(mut self, state: Option<Bytes>) -> Self {
        self.query.paging_state = state;
        self
    }

    /// The timestamp of the writes, in microseconds since 1970; by default the server's clock decides.
    #[must_use]
    pub fn timestamp(mut self, micros: i64) -> Self {
        self.query.timestamp = Some(Timestamp(micros));
        self
    }

    /// Time within which the server must answer, ten minutes at most; by default the server decides.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.query.timeout_ms = Some(u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1));
        self
    }

    /// Whether to record what each replica did; the trace comes with the result.
    #[must_use]
    pub fn tracing(mut self, tracing: bool) -> Self {
        self.query.tracing = tracing;
        self
    }

    /// Whether executing it twice does the same as once. Only then is it repeated when it is not known whether it was
    /// executed. `SELECT` is idempotent by itself; everything else is not, unless you say so.
    #[must_use]
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.idempotent = Some(idempotent);
        self
    }

    /// If no answer has come after so long, ask another node as well and take whichever answer comes first. Only for
    /// idempotent requests.
    #[must_use]
    pub fn speculative_after(mut self, delay: Duration) -> Self {
        self.speculative_after = Some(delay);
        self
    }

    /// The level that is set.
    pub fn get_consistency(&self) -> Consistency {
        self.query.consistency
    }
}

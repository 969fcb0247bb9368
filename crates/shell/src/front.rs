//! The seam between the shell and whatever carries its requests: gRPC, the CQL native protocol, a fake in tests.

use std::future::Future;
use std::pin::Pin;

use quorate_model::Value;
use quorate_model::admin::{AdminAnswer, AdminRequest};
use quorate_model::request::{ClientResponse, Outcome, Prepared, QueryOptions, RequestError};

/// A request under way.
pub type FrontFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, FrontError>> + Send + 'a>>;

/// Carries requests to a node and its answers back. Many may be in flight at once.
pub trait Front: Send + Sync + 'static {
    /// The node's address and port, for people.
    fn endpoint(&self) -> String;
    /// Runs a statement on this very node.
    fn query<'a>(
        &'a self,
        text: &'a str,
        keyspace: Option<&'a str>,
        options: QueryOptions,
    ) -> FrontFuture<'a, ClientResponse>;
    /// Prepares a statement whose names are all qualified.
    fn prepare<'a>(&'a self, text: &'a str) -> FrontFuture<'a, Prepared>;
    /// Executes what was prepared, on any node.
    fn execute<'a>(&'a self, prepared: &'a Prepared, values: Vec<Value>, options: QueryOptions) -> FrontFuture<'a, ()>;
    /// Runs an operator's verb on this very node.
    fn admin<'a>(&'a self, request: &'a AdminRequest) -> FrontFuture<'a, AdminAnswer>;
}

/// Why a request failed, or why there is no answer at all.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FrontError {
    /// The server said no, or could not finish it.
    #[error("{}", crate::errors::describe(.0))]
    Request(RequestError),
    /// The same, in the server's own words.
    #[error("{}", crate::errors::describe_as(.error, .message))]
    #[allow(missing_docs, reason = "the names say it")]
    Worded { error: RequestError, message: String },
    /// Nothing was sent, so nothing was done.
    #[error("ConnectionException: Unable to connect to {endpoint}: {reason}")]
    #[allow(missing_docs, reason = "the names say it")]
    Unreachable { endpoint: String, reason: String },
    /// No answer came: it may or may not have been applied.
    #[error("ConnectionException: {reason}; the request may or may not have been applied")]
    #[allow(missing_docs, reason = "the names say it")]
    Lost { reason: String },
    /// The request cannot be sent as it is, so nothing was done.
    #[error("InvalidRequest: {0}")]
    Unsendable(String),
}

impl FrontError {
    /// Whether the request certainly had no effect.
    pub fn is_refused(&self) -> bool {
        match self {
            Self::Request(error) | Self::Worded { error, .. } => error.outcome() == Outcome::Refused,
            Self::Unreachable { .. } | Self::Unsendable(_) => true,
            Self::Lost { .. } => false,
        }
    }

    /// Whether the same request may succeed later, and sending it again is safe.
    pub fn is_worth_another_attempt(&self) -> bool {
        let passes = match self {
            Self::Request(error) | Self::Worded { error, .. } => matches!(
                error,
                RequestError::Unavailable { .. }
                    | RequestError::Overloaded(_)
                    | RequestError::Bootstrapping(_)
                    | RequestError::Unprepared(_)
            ),
            Self::Unreachable { .. } => true,
            Self::Lost { .. } | Self::Unsendable(_) => false,
        };
        passes && self.is_refused()
    }
}

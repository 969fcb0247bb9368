//! What can go wrong, and whether the request may have had an effect.

use std::time::Duration;

use quorate_model::request::{Outcome, Place, RequestError, Trace};
use quorate_proto::ConvertError;

/// Why a request failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The server refused the request or failed to execute it.
    #[error("{}", .0.error)]
    Request(Box<RequestFailure>),
    /// No node could be reached; nothing was sent.
    #[error("no node could be reached: {}", list(.tried))]
    NoNode {
        /// Each address with the reason.
        tried: Vec<(String, String)>,
    },
    /// The connection broke while the answer was awaited: the request may or may not have been executed.
    #[error("the connection to {address} broke: {reason}")]
    ConnectionLost {
        /// The node's address.
        address: String,
        /// What happened.
        reason: String,
    },
    /// No answer came in time: the request may or may not have been executed.
    #[error("{address} did not answer within {} ms", after.as_millis())]
    Timeout {
        /// The node's address.
        address: String,
        /// How long was waited.
        after: Duration,
    },
    /// A message could not be understood.
    #[error("{address} sent what cannot be understood: {source}")]
    Malformed {
        /// The node's address.
        address: String,
        /// The rule that it broke.
        source: ConvertError,
    },
    /// A value does not fit the column or marker that it is for, or the Rust type that it is asked as; or the request
    /// as a whole is too large.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// What TLS was to be made with is unusable; nothing was sent.
    #[error("TLS: {reason}")]
    Tls {
        /// What is wrong.
        reason: String,
    },
    /// An address could not be understood.
    #[error("'{address}' is no address: {reason}")]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A server's error, with what came with it.
#[derive(Clone, Debug)]
pub struct RequestFailure {
    /// The error.
    pub error: RequestError,
    /// The node that said so.
    pub address: String,
    /// Warnings.
    pub warnings: Vec<String>,
    /// What happened, if it was traced.
    pub trace: Option<Trace>,
}

/// A value that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: expected {expected}, found {found}")]
pub struct ValueError {
    /// The column or marker.
    pub place: String,
    /// What was expected there.
    pub expected: String,
    /// What was found.
    pub found: String,
}

fn list(tried: &[(String, String)]) -> String {
    tried.iter().map(|(address, reason)| format!("{address}: {reason}")).collect::<Vec<_>>().join("; ")
}

impl Error {
    /// Whether the request may have had an effect.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Request(failure) => failure.error.outcome(),
            Self::NoNode { .. } | Self::Value(_) | Self::Address { .. } | Self::Tls { .. } => Outcome::Refused,
            Self::ConnectionLost { .. } | Self::Timeout { .. } | Self::Malformed { .. } => Outcome::Unknown,
        }
    }

    /// The server's error, if it is one.
    pub fn request_error(&self) -> Option<&RequestError> {
        match self {
            Self::Request(failure) => Some(&failure.error),
            _ => None,
        }
    }

    /// Where the statement is wrong, if the server said so.
    pub fn place(&self) -> Option<Place> {
        match self.request_error()? {
            RequestError::Syntax { place, .. } | RequestError::Invalid { place, .. } => *place,
            _ => None,
        }
    }

    /// What is to be said of a request that failed so at first, and then so: if any attempt may have had an effect, the
    /// request may have had it, whatever became of the others. Otherwise the later error says more, but 'no node' says least.
    pub(crate) fn or_graver(self, later: Self) -> Self {
        match (self, later) {
            (Self::NoNode { mut tried }, Self::NoNode { tried: more }) => {
                tried.extend(more);
                Self::NoNode { tried }
            }
            (first, Self::NoNode { .. }) => first,
            (first, later) if first.outcome() == Outcome::Unknown && later.outcome() == Outcome::Refused => first,
            (_, later) => later,
        }
    }

    /// Whether the same request may succeed on another node, and repeating it is safe: it certainly had no effect, or
    /// it is `idempotent`.
    pub(crate) fn worth_another_node(&self, idempotent: bool) -> bool {
        match self {
            Self::Request(failure) => match &failure.error {
                RequestError::Overloaded(_) | RequestError::Bootstrapping(_) | RequestError::Unavailable { .. } => true,
                RequestError::ReadTimeout { .. }
                | RequestError::ReadFailure { .. }
                | RequestError::WriteTimeout { .. }
                | RequestError::WriteFailure { .. } => idempotent,
                _ => false,
            },
            Self::ConnectionLost { .. } | Self::Timeout { .. } => idempotent,
            Self::NoNode { .. } => true,
            Self::Malformed { .. } | Self::Value(_) | Self::Address { .. } | Self::Tls { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_had_an_effect_is_never_called_refused() {
        let unreached = |address: &str| Error::NoNode { tried: vec![(address.to_owned(), "refused".to_owned())] };
        let lost = || Error::ConnectionLost { address: "a".to_owned(), reason: "reset".to_owned() };
        let refused = || Error::Address { address: "b".to_owned(), reason: "of no kind".to_owned() };
        for later in [unreached("b"), refused(), lost()] {
            assert_eq!(lost().or_graver(later).outcome(), Outcome::Unknown);
        }
        for first in [unreached("b"), refused()] {
            assert_eq!(first.or_graver(lost()).outcome(), Outcome::Unknown);
        }
        assert!(matches!(refused().or_graver(unreached("b")), Error::Address { .. }));
        let both = unreached("a").or_graver(unreached("b"));
        assert!(matches!(both, Error::NoNode { tried } if tried.len() == 2));
    }
}

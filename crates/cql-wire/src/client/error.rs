//! Why a connection cannot be had, or has ended.

use crate::error::{FramingError, Refusal, WireError};
use crate::message::error::ErrorMessage;
use crate::version::ProtocolVersion;

/// Why a connection cannot be had or has ended, or why a request was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The server refused to open the connection.
    #[error("the server refused {step} in protocol version {version}: {}", .error.message)]
    #[allow(missing_docs, reason = "the names say it")]
    Handshake { step: &'static str, version: ProtocolVersion, error: ErrorMessage },
    /// It answered with something else.
    #[error("the server answered {step} with {found}")]
    #[allow(missing_docs, reason = "the names say it")]
    Unexpected { step: &'static str, found: &'static str },
    /// The compression that was asked for is not offered.
    #[error("the server does not offer {wanted} compression; it offers {}", offered_list(.offered))]
    #[allow(missing_docs, reason = "the names say it")]
    Compression { wanted: &'static str, offered: Vec<String> },
    /// It wants to know who the client is, and nobody told.
    #[error("the server wants a user and a password ({authenticator})")]
    #[allow(missing_docs, reason = "the names say it")]
    Credentials { authenticator: String },
    /// The connection was closed before it was open.
    #[error("the server closed the connection without an answer to {step} in protocol version {version}")]
    #[allow(missing_docs, reason = "the names say it")]
    HungUpEarly { step: &'static str, version: ProtocolVersion },
    /// The connection was closed.
    #[error("the server closed the connection with {in_flight} requests unanswered and {bytes} bytes of an answer")]
    #[allow(missing_docs, reason = "the names say it")]
    HungUp { in_flight: usize, bytes: usize },
    /// An error that belongs to no request: the server is about to close the connection.
    #[error("the server ends the connection: {}", .0.message)]
    Connection(ErrorMessage),
    /// An answer to no request.
    #[error("the server answered on stream {stream}, on which nothing was asked")]
    #[allow(missing_docs, reason = "the names say it")]
    Stream { stream: i16 },
    /// An event that cannot be read.
    #[error("an event that makes no sense: {0}")]
    Event(WireError),
    /// An answer that is not taken.
    #[error("an answer that is not taken: {0}")]
    Refused(Refusal),
    /// Bytes that are no answers.
    #[error("the server sent what is no answer: {0}")]
    Framing(FramingError),
    /// A request that cannot be said in this version.
    #[error("{0}")]
    Request(WireError),
    /// A request before the connection is open.
    #[error("the connection is not open yet: {step} has no answer")]
    #[allow(missing_docs, reason = "the names say it")]
    NotReady { step: &'static str },
    /// A request too many.
    #[error("{max} requests are in flight, and there is no room for more")]
    #[allow(missing_docs, reason = "the names say it")]
    Full { max: usize },
}

fn offered_list(offered: &[String]) -> String {
    if offered.is_empty() { "none".to_owned() } else { offered.join(", ") }
}

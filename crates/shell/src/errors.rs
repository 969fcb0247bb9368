//! What failed, as Cassandra's tools say it, with a caret under the place in the statement.

use std::io;

use quorate_model::request::{Place, RequestError};

use crate::codec::Malformed;
use crate::commands::CommandError;
use crate::front::FrontError;
use crate::value_text::caret;

/// Why a statement or command failed.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The server refused it or could not finish it, or there was no answer.
    #[error("{0}")]
    Front(#[from] FrontError),
    /// A shell command is wrong.
    #[error("SyntaxException: {0}")]
    Command(#[from] CommandError),
    /// A file could not be read or written.
    #[error("{path}: {error}")]
    #[allow(missing_docs, reason = "the names say it")]
    File { path: String, error: io::Error },
    /// Standard output is gone.
    #[error("output: {0}")]
    Output(#[from] io::Error),
    /// The answer does not decode.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// Something else, already worded.
    #[error("{0}")]
    Other(String),
    /// In a script: where it was.
    #[error("{script}:{line}:{error}")]
    #[allow(missing_docs, reason = "the names say it")]
    InScript { script: String, line: usize, error: Box<ShellError>, rendered: String },
}

impl From<RequestError> for ShellError {
    fn from(error: RequestError) -> Self {
        Self::Front(FrontError::Request(error))
    }
}

impl ShellError {
    /// The place within the failed text.
    fn place(&self) -> Option<Place> {
        match self {
            Self::Front(FrontError::Request(
                RequestError::Syntax { place, .. } | RequestError::Invalid { place, .. },
            )) => *place,
            Self::Command(error) => error.place,
            _ => None,
        }
    }

    /// The message, with the offending line and a caret under it if the place is known.
    pub fn render(&self, text: &str) -> String {
        if let Self::InScript { rendered, .. } = self {
            return rendered.clone();
        }
        match self.place().and_then(|place| caret(text, place)) {
            Some(lines) => format!("{self}\n{lines}"),
            None => self.to_string(),
        }
    }

    /// The same error with the script and line where it happened.
    pub fn in_script(self, script: &str, line: usize, text: &str) -> Self {
        let rendered = match &self {
            Self::InScript { rendered, .. } => rendered.clone(),
            error => format!("{script}:{line}:{}", error.render(text)),
        };
        Self::InScript { script: script.to_owned(), line, error: Box::new(self), rendered }
    }
}

/// Error class, code and message in the manner of Cassandra's Python tools.
pub fn describe(error: &RequestError) -> String {
    describe_as(error, &error.to_string())
}

/// [`describe`] with the words of the server that said it.
pub fn describe_as(error: &RequestError, message: &str) -> String {
    let (class, what) = match error {
        RequestError::Syntax { .. } => return format!("SyntaxException: {message}"),
        RequestError::Configuration(_) => return format!("ConfigurationException: {message}"),
        RequestError::AlreadyExists { .. } => return format!("AlreadyExists: {message}"),
        RequestError::Server(_) => ("ServerError", "Server error"),
        RequestError::Protocol(_) => ("ProtocolException", "Protocol error"),
        RequestError::Unavailable { .. } => ("Unavailable", "Unavailable exception"),
        RequestError::Overloaded(_) => ("OverloadedErrorMessage", "Coordinator node overloaded"),
        RequestError::Bootstrapping(_) => ("IsBootstrappingErrorMessage", "Coordinator node is bootstrapping"),
        RequestError::Truncate(_) => ("TruncateError", "Error during truncate"),
        RequestError::WriteTimeout { .. } => {
            ("WriteTimeout", "Coordinator node timed out waiting for replica nodes' responses")
        }
        RequestError::ReadTimeout { .. } => {
            ("ReadTimeout", "Coordinator node timed out waiting for replica nodes' responses")
        }
        RequestError::ReadFailure { .. } => ("ReadFailure", "Replica(s) failed to execute read"),
        RequestError::WriteFailure { .. } => ("WriteFailure", "Replica(s) failed to execute write"),
        RequestError::FunctionFailure { .. } => ("FunctionFailure", "User Defined Function failure"),
        RequestError::Unauthorized(_) => ("Unauthorized", "Unauthorized"),
        RequestError::Invalid { .. } => ("InvalidRequest", "Invalid query"),
        RequestError::Unprepared(_) => ("PreparedQueryNotFound", "Unprepared"),
    };
    format!("{class}: Error from server: code={:04x} [{what}] message=\"{message}\"", error.code())
}

//! Why a value is none of its type.

use crate::types::CqlType;

/// Why bytes, text or a value are not a value of a type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Bytes that are not an encoding of the type.
    #[error("{problem}")]
    Malformed {
        /// The type.
        cql_type: String,
        /// The rule that was broken, in Cassandra's words where it has some.
        problem: String,
    },
    /// Text that does not read as the type.
    #[error("{problem}")]
    Unparsable {
        /// The type.
        cql_type: String,
        /// The rule that was broken.
        problem: String,
    },
    /// A value of another kind.
    #[error("Expected a value of type {expected}, but found {found}")]
    Mismatch {
        /// The type.
        expected: String,
        /// What the value is.
        found: &'static str,
    },
    /// A null where there can be none.
    #[error("null is not supported inside collections")]
    NullInCollection,
    /// Nested beyond the limit.
    #[error("nested more than {max} levels deep")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// Larger than its place allows.
    #[error("{what} of {length} bytes is longer than maximum of {max}")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its length.
        length: usize,
        /// The limit.
        max: usize,
    },
    /// The type's values have no place here.
    #[error("{cql_type} is not supported {place}")]
    Unsupported {
        /// The type.
        cql_type: String,
        /// Where.
        place: &'static str,
    },
}

impl ValueError {
    pub(crate) fn malformed(cql_type: &CqlType, problem: impl Into<String>) -> Self {
        Self::Malformed { cql_type: cql_type.to_string(), problem: problem.into() }
    }

    pub(crate) fn unparsable(cql_type: &CqlType, problem: impl Into<String>) -> Self {
        Self::Unparsable { cql_type: cql_type.to_string(), problem: problem.into() }
    }
}

//! Identities: nodes, clusters, tables, columns, epochs.

use std::fmt;

/// Defines a 128-bit identity that prints as a UUID.
macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// The identity as a number, for drawing it from an injected random source.
            pub fn from_u128(value: u128) -> Self {
                // Version 4, variant 1 of RFC 9562, so that every tool accepts it as a UUID.
                let mut bytes = value.to_be_bytes();
                bytes[6] = (bytes[6] & 0x0f) | 0x40;
                bytes[8] = (bytes[8] & 0x3f) | 0x80;
                Self(bytes)
            }

            /// Reads the hyphenated or plain hexadecimal form of a UUID.
            pub fn parse(text: &str) -> Option<Self> {
                uuid::Uuid::parse_str(text).ok().map(|uuid| Self(uuid.into_bytes()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                uuid::Uuid::from_bytes(self.0).hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

uuid_newtype! {
    /// A node's identity (Cassandra's host id): drawn once, kept for the life of its data directory, never reused.
    NodeId
}
uuid_newtype! {
    /// A cluster's identity, drawn by the node that founded it and carried by every node.
    ClusterId
}
uuid_newtype! {
    /// A table's identity: a table that is dropped and created again is another table.
    TableId
}

/// A point in the metadata log: the number of entries applied. Epoch 0 is the empty log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A column's number within its table. It is never reused: a column that is dropped and added again has a new number,
/// so that old bytes can never be read as the new column's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ColumnId(pub u32);

//! The words of Quorate and its merge algebra.
//!
//! **What it is.** Keys, tokens, timestamps, values, cells, tombstones, rows, partitions, mutations, read commands, the
//! schema, consistency levels: plain data with one binary encoding each, shared by the commit log, the peers and the
//! hints. **What it refuses to do.** It performs no I/O, reads no clock, draws no randomness, and knows nothing of
//! replicas or storage.
//!
//! **Invariants.**
//! - [`Partition::merge`](partition::Partition::merge) is commutative, associative and idempotent; equal content has one
//!   canonical form, hence one encoding and one digest.
//! - Clustering keys and cell paths are *byte-comparable*: the order of the encoded bytes is the order of the values
//!   (see [`ordered`]). Inner layers therefore compare bytes and never need the types.
//! - Decoding never panics and never allocates more than its input justifies ([`wire`]).
//!
//! **Limits** are in [`limits`], most of them Cassandra's.
//!
//! **Tests.** Unit tests beside the code; property tests of the merge and of the encodings in `tests/`.

pub mod admin;
pub mod cell;
mod codec;
pub mod consistency;
pub mod ids;
pub mod index;
pub mod key;
pub mod limits;
mod merge;
pub mod mutation;
pub mod ordered;
pub mod partition;
pub mod range_tombstone;
pub mod read;
pub mod request;
pub mod row;
pub mod row_map;
pub mod schema;
pub mod time;
pub mod types;
mod user_type;
pub mod value;
pub mod wire;

pub use cell::{Cell, CellContent, ColumnData, Deletion};
pub use codec::encoded::{EncodedColumns, EncodedRow, EncodedRows, LiveColumn, RowSummary, split_row};
pub use consistency::Consistency;
pub use ids::{ClusterId, ColumnId, Epoch, NodeId, TableId};
pub use index::{Index, IndexDefinition, IndexEntry, IndexKind, IndexPart, IndexSearch, IndexSource};
pub use key::{ClusteringKey, DecoratedKey, PartitionKey, Position, Token, TokenRange};
pub use mutation::Mutation;
pub use partition::Partition;
pub use range_tombstone::{RangeTombstone, RangeTombstones};
pub use read::{LimitCounter, Limited, LiveRows, ReadCommand, ReadResponse, ReadTarget, Resume, RowChoice};
pub use row::{Liveness, Row};
pub use row_map::RowMap;
pub use time::{Seconds, Timestamp, Ttl};
pub use types::CqlType;
pub use value::Value;

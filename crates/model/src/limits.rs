//! Limits of the data model, most of them Cassandra's.

/// Greatest serialised partition key, in bytes.
pub const PARTITION_KEY_BYTES_MAX: usize = 65_535;
/// Greatest clustering component, in bytes of its CQL encoding.
pub const CLUSTERING_BYTES_MAX: usize = 65_535;
/// Deepest nesting of types and of decoded values. Drivers nest 32 tuples; protobuf readers stop at 100 messages, two a level.
pub const TYPE_DEPTH_MAX: usize = 40;
/// Longest keyspace name.
pub const KEYSPACE_NAME_MAX: usize = 48;
/// Longest table name.
pub const TABLE_NAME_MAX: usize = 222;
/// Greatest encoded mutation, in bytes.
pub const MUTATION_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Greatest encoded clustering key or cell path, in bytes.
pub const CLUSTERING_KEY_BYTES_MAX: usize = 1024 * 1024;
/// Greatest scale, either way, of a decimal that is part of a key; beyond it the value is refused.
pub const DECIMAL_KEY_ZEROS_MAX: i64 = 200_000;
/// Greatest replication factor of a data centre.
pub const REPLICATION_FACTOR_MAX: u32 = 1_000;
/// Greatest value that an index takes, in bytes, exclusive as in Cassandra.
pub const INDEXED_VALUE_BYTES_MAX: usize = 65_535;
/// Greatest term of an index, in bytes; what is longer is cut.
pub const INDEX_TERM_BYTES_MAX: usize = 1024;
/// Greatest `varint`, and unscaled value of a `decimal`, in bytes. Cassandra has no such limit; but the time to print or read
/// a number grows faster than its length, and one of megabytes would hold a thread for minutes.
pub const VARINT_BYTES_MAX: usize = 16 * 1024;
/// Longest text that is read as a `varint` or `decimal`, in bytes: what [`VARINT_BYTES_MAX`] prints to fits.
pub const VARINT_TEXT_BYTES_MAX: usize = 40_000;

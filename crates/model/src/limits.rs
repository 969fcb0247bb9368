//! Limits of the data model, most of them Cassandra's.

/// Greatest serialised partition key, in bytes.
pub const PARTITION_KEY_BYTES_MAX: usize = 65_535;
/// Greatest clustering component, in bytes of its CQL encoding.
pub const CLUSTERING_BYTES_MAX: usize = 65_535;
/// Deepest nesting of types and of decoded values.
pub const TYPE_DEPTH_MAX: usize = 32;
/// Longest keyspace name.
pub const KEYSPACE_NAME_MAX: usize = 48;
/// Longest table name.
pub const TABLE_NAME_MAX: usize = 222;
/// Greatest encoded mutation, in bytes.
pub const MUTATION_BYTES_MAX: usize = 16 * 1024 * 1024;

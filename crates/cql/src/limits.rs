//! Limits of the language front. Meeting one is a clear refusal, never a crash.

/// Longest statement, in bytes.
pub const STATEMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Deepest nesting of literals, types and selectors.
pub const NESTING_DEPTH_MAX: u32 = 64;
/// Greatest number of bind markers in a statement: the protocol counts them in 16 bits.
pub const MARKERS_MAX: usize = 65_535;
/// Greatest number of partitions that one statement with `IN` may name.
pub const PARTITIONS_PER_STATEMENT_MAX: usize = 65_535;
/// Greatest number of clustering slices that one statement with `IN` may name.
pub const SLICES_PER_STATEMENT_MAX: usize = 65_535;
/// Greatest number of columns of a table.
pub const COLUMNS_PER_TABLE_MAX: usize = 16_384;
/// Greatest distance between the scales of decimals that are summed, in digits.
pub const SCALE_DISTANCE_MAX: u32 = 100_000;
/// Digits of a number of which `exp`, `log` or `log10` is made.
pub const LOGARITHM_DIGITS_MAX: usize = 1_000;
/// Greatest magnitude of a number of which `exp` is made, in whole numbers.
pub const EXPONENT_MAX: u32 = 80_000;
/// Indexes of a table.
pub const INDEXES_PER_TABLE_MAX: usize = 64;
/// Fields of a user type.
pub const FIELDS_PER_TYPE_MAX: usize = 1000;

//! Every limit of the protocol's codec.

/// Greatest body of a request that a server takes by default; a greater one is refused and skipped.
pub const REQUEST_BODY_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// Greatest body that the protocol allows at all. Whoever announces more is not speaking it: the connection ends.
pub const BODY_BYTES_MAX: u32 = 256 * 1024 * 1024;
/// Greatest payload of a v5 segment, before and after compression; its lengths are 17 bits wide.
pub const SEGMENT_PAYLOAD_BYTES_MAX: usize = (1 << 17) - 1;
/// Deepest nesting of a type in metadata.
pub const TYPE_DEPTH_MAX: usize = quorate_model::limits::TYPE_DEPTH_MAX;
/// Types in one description of a type, over all its levels: nesting is bounded, and so is breadth.
pub const TYPE_PARTS_MAX: usize = 10_000;
/// Types in one result's metadata, over all columns.
pub const METADATA_TYPE_PARTS_MAX: usize = 1_000_000;
/// What is reserved at once for a body that comes in several segments; beyond it memory grows with what has arrived.
pub const ASSEMBLY_RESERVE_BYTES: usize = 1024 * 1024;
/// Longest text in a `[string]`; longer messages and warnings are cut.
pub const STRING_BYTES_MAX: usize = u16::MAX as usize;
/// Most values, statements of a batch, warnings or entries of a map: their count has two bytes.
pub const COUNT_MAX: usize = u16::MAX as usize;
/// Longest keyspace or table name that all columns of a result share.
pub const GLOBAL_NAME_BYTES_MAX: usize = 1024;
/// Most requests in flight on a connection: streams are the numbers from 0 to 32,767, negative ones are the server's.
pub const IN_FLIGHT_MAX: usize = 1 << 15;

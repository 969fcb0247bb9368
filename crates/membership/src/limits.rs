//! Limits of membership.

use std::time::Duration;

/// Greatest encoded entry of the metadata log, in bytes: it must fit a value of the system store.
pub const ENTRY_BYTES_MAX: usize = 60 * 1024;
/// Bytes of one piece of a stored snapshot.
pub const SNAPSHOT_PIECE_BYTES: usize = 48 * 1024;
/// Entries kept in memory for nodes that are behind; whoever is further behind gets a snapshot.
pub const RECENT_ENTRIES_MAX: usize = 1024;
/// Entries in one message.
pub const FETCHED_ENTRIES_MAX: usize = 256;
/// Bytes of entries in one message.
pub const FETCHED_BYTES_MAX: usize = 1024 * 1024;
/// Proposals that wait on one node for the slot to be decided.
pub const PROPOSALS_WAITING_MAX: usize = 64;
/// Metadata members, at most.
pub const MEMBERS_MAX: usize = 5;
/// Longest cluster name, data centre name or rack name, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// Digests in one gossip message.
pub const DIGESTS_MAX: usize = 256;
/// Bytes of node states in one gossip message, about.
pub const DELTA_BYTES_MAX: usize = 32 * 1024;
/// Longest text that a node gossips, in bytes.
pub const GOSSIP_TEXT_BYTES_MAX: usize = 256;
/// Intervals between heartbeats that the failure detector remembers for each node.
pub const HEARTBEAT_WINDOW: usize = 100;
/// Default interval between two rounds of gossip.
pub const GOSSIP_INTERVAL_DEFAULT: Duration = Duration::from_secs(1);

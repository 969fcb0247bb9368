//! Every limit of a simulation.

use std::time::Duration;

/// Operations of the clients in a run, unless told otherwise.
pub const STEPS_DEFAULT: u64 = 3_000;
/// Events after which a run is held to be going round in circles.
pub const EVENTS_MAX: u64 = 4_000_000;
/// Violations after which a run ends: the first tells most.
pub const VIOLATIONS_MAX: usize = 8;
/// Shortest time between two ticks of a machine whose deadline does not move.
pub const TICK_MIN_NS: u64 = 50_000;
/// Frames that a cut connection holds back before it loses them.
pub const FRAMES_HELD_MAX: usize = 1_000;

/// Virtual time for the first nodes to found their cluster and make its schema.
pub const BOOT_MAX: Duration = Duration::from_secs(120);
/// Virtual time for a healed cluster to become ready, to serve at ALL, and to deliver its hints: each by itself.
pub const HEAL_MAX: Duration = Duration::from_secs(120);
/// What a client waits beyond an operation's deadline before it holds it to be forgotten. Generous, since clocks drift,
/// and a process that was paused answers late.
pub const ANSWER_SLACK: Duration = Duration::from_secs(2);

/// Partitions of the main table.
pub const PARTITIONS: u16 = 12;
/// Clustering keys of each.
pub const ROWS: u8 = 6;
/// Partitions of each table beside the main ones.
pub const SIDE_PARTITIONS: u16 = 4;
/// So many timestamps are used for all writes whose ties are to be resolved.
pub const TIED_TIMESTAMPS: u64 = 12;

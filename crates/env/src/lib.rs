//! The seams between Quorate and the world, and their simulated twins.
//!
//! **What it is.** Traits for the disk and the node-local system store, types for time, seeded randomness, and
//! in-memory implementations that misbehave on request. **What it refuses to do.** Nothing in this crate touches a real
//! file, clock, socket or source of entropy; the `os` crate does.

pub mod disk;
pub mod random;
pub mod sim_disk;
pub mod sim_system_store;
pub mod system_store;
pub mod time;

pub use disk::{Disk, DiskError, DiskErrorKind, DiskFile, OpenMode, Space};
pub use random::Random;
pub use system_store::SystemStore;
pub use time::{Instant, Now, WallTime};

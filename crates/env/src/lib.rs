//! The seams between Quorate and the world, and their simulated twins.
//!
//! **What it is.** Traits for the disk and the node-local system store, types for time, seeded randomness, and
//! in-memory implementations that misbehave on request. **What it refuses to do.** Nothing in this crate touches a real
//! file, clock, socket or source of entropy; the `os` crate does.
//!
//! **Invariants.**
//! - The twins do nothing that the real ones must not do: what a simulated disk loses, tears or refuses, a disk may.
//! - Everything random comes from one seed: same seed, same draws, same damage.
//! - A store passes [`system_store::conformance`], whichever it is.
//!
//! **What it assumes** of the real ones is said where the trait is: [`Disk`], [`SystemStore`]. **Limits** are in
//! [`system_store`]. **Tests**: beside the code; the conformance suite is run here and in `os`.

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

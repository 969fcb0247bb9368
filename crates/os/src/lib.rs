//! The real world behind the seams: disk, embedded store, clocks, entropy, the data directory's lock, process figures.
//!
//! **What it is.** The only crate that touches files and clocks. [`RealDisk`] and [`SledStore`] are what
//! `quorate_env::sim_disk` and `quorate_env::sim_system_store` imitate. **What it refuses to do.** It decides nothing: no
//! retry, no cache, no thread of its own (sled has some). It never leaves the directory that it was given.
//!
//! **What it assumes.** Linux; a file system on which `fdatasync` makes content and length durable, `fsync` of a
//! directory makes its entries durable and `rename` is atomic (ext4 and XFS with barriers). Network file systems whose locks
//! or syncs lie are not detected.
//!
//! **Tests.** Beside the code; the store passes `quorate_env::system_store::conformance`.

mod clock;
mod disk;
mod lock;
mod process;
mod seal;
mod sled_store;

pub use clock::{Clock, entropy_seed};
pub use disk::RealDisk;
pub use lock::{DataDirLock, LockError};
pub use process::{process_cpu, resident_memory};
pub use sled_store::SledStore;

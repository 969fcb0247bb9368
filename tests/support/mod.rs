//! What tests of real processes share: clusters of the very binary, its subcommands, the sample data, and loads that
//! remember what was acknowledged.

// Each test program uses its own part of this, and all of it is an edge: clocks, files and processes.
#![allow(
    dead_code,
    unused_imports,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr
)]

pub mod cluster;
pub mod cql;
pub mod draws;
pub mod eventually;
pub mod flights;
pub mod load;
pub mod node;
pub mod program;
pub mod volume;

pub use cluster::TestCluster;
pub use eventually::eventually;
pub use node::Node;
pub use program::{Ran, admin, quorate, shell};

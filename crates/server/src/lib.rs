//! The server: threads, sockets and time around a node.
//!
//! **What it is.** [`run`] reads a [`Config`], opens a node and drives it: one thread a worker, each with a runtime of its
//! own, its own sockets for gRPC and for other nodes, and its own machine, stepped in place where an event arrives; one
//! thread for control; one that makes the commit log durable; a pool for blocking jobs; metrics and health over HTTP.
//! **What it refuses to do.** It decides nothing that a machine can decide, and parses no CQL.
//!
//! **Invariants.**
//! - A machine is only ever touched by its own thread ([`Machine`]).
//! - Nothing that came from outside grows without a limit; all of them are in [`limits`]. At a limit a client is refused
//!   with a typed error, and a peer's frame is dropped and counted.
//! - What a peer sent is used only if its checksum is right.
//! - A panic ends the process.
//! - A connection on which TLS is required is served only once it has agreed on it; what a handshake is held with is replaced
//!   as a whole or not at all.
//!
//! **It assumes** nothing of clients and peers; of the machine what `quorate_os` says.
//!
//! **Limits** are in [`limits`]. **Tests**: beside the code; `tests/one_node.rs` with a whole node and the Rust client;
//! `tests/cql.rs` with a whole node and bytes of the CQL protocol; `tests/transport.rs` with small machines in the place
//! of a node's.

mod committer;
pub mod config;
mod driver;
mod error;
mod front;
mod host;
mod http;
mod jobs;
pub mod limits;
mod listen;
mod logging;
mod machine;
mod mailbox;
mod metrics;
mod names;
mod observer;
mod outside;
mod shared;
mod start;
mod threads;
mod tls;
mod transport;
mod waiting;

pub use config::{CommitLogMode, Config, ConfigError, KEYS, Layers, LogFormat};
pub use driver::{NodeView, Opened, Phase};
pub use error::ServerError;
pub use machine::Machine;
pub use start::{Server, run};
pub use tls::TlsError;

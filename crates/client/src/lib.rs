//! The Rust client of Quorate.
//!
//! **What it is.** A [`Session`] connects to any node over gRPC, learns the ring, and sends each request on one stream a
//! node to a replica of the partition it concerns. It prepares statements once, turns Rust types into CQL values and
//! back ([`ToValue`], [`FromValue`], [`FromRow`]), fetches pages as they are needed ([`RowStream`]), repeats what is safe
//! to repeat, and speculates on request. **What it refuses to do.** It never repeats a request that may have had an
//! effect, unless you call it idempotent; [`Error::outcome`] says which failures those are.
//!
//! ```no_run
//! use quorate_client::{Consistency, Error, Options, Session};
//!
//! # async fn example() -> Result<(), Error> {
//! let session = Session::connect("127.0.0.1").await?;
//! session.query("CREATE KEYSPACE IF NOT EXISTS shop WITH replication = \
//!     {'class': 'SimpleStrategy', 'replication_factor': 3}", ()).await?;
//! session.query("CREATE TABLE IF NOT EXISTS shop.stock (item text PRIMARY KEY, pieces int)", ()).await?;
//!
//! let insert = session.prepare("INSERT INTO shop.stock (item, pieces) VALUES (?, ?)").await?;
//! let quorum = Options::default().consistency(Consistency::Quorum).idempotent(true);
//! session.execute_with(&insert, ("bolt", 250), &quorum).await?;
//!
//! let found = session.query("SELECT item, pieces FROM shop.stock WHERE item = ?", ("bolt",)).await?;
//! for (item, pieces) in found.rows_as::<(String, Option<i32>)>()? {
//!     println!("{item}: {pieces:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! **Assumptions.** A tokio runtime with time and I/O enabled. **Limits** are in [`limits`]. **Tests**: beside the code,
//! and, against a server, in the server's `tests/transport.rs`.

mod cluster;
mod codec;
mod connection;
mod error;
pub mod limits;
mod options;
mod pages;
mod row;
mod session;
mod statement;
mod tls;
mod value;
mod values;

pub use error::{Error, RequestFailure, ValueError};
pub use options::Options;
pub use pages::RowStream;
pub use row::{FromRow, QueryResult, Row};
pub use session::{Session, SessionBuilder};
pub use statement::{Batch, Prepared};
pub use tls::{Tls, TlsFiles};
pub use value::{Bind, CqlDate, CqlDecimal, CqlDuration, CqlTime, CqlTimestamp, CqlUuid, FromValue, ToValue, Unset};
pub use values::{Binds, Named, ToValues};

pub use quorate_model::admin::{AdminAnswer, AdminRequest, ClusterStatus, NodeState, NodeStatus, SnapshotInfo};
pub use quorate_model::request::{
    Answer, BatchKind, ColumnSpec, Outcome, Place, RequestError, ResultMetadata, SchemaChange, SchemaChangeKind,
    StatementId, Trace, TraceEvent,
};
pub use quorate_model::{Consistency, CqlType, NodeId, Token, Value};

/// The generated stub.
#[allow(missing_docs, clippy::all, clippy::too_many_lines, reason = "generated")]
mod stub {
    include!(concat!(env!("OUT_DIR"), "/quorate.v1.rs"));
}

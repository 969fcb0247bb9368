//! The CQL native protocol, versions 3, 4 and 5: bytes to messages and back.
//!
//! **What it is.** A codec driven by bytes. [`ServerConnection`] is a server's end of a connection, [`ClientConnection`] a
//! client's: whoever owns the socket puts in what arrived, takes out messages, puts in answers and takes out what is to be
//! sent. Under them are [`Decoder`] and [`Encoder`] (envelopes, segments, compression) and the [`message`]s, a file each.
//! [`client::Client`] is a whole client: it opens a connection and matches answers to requests.
//! [`convert`] turns requests into the model's and the model's answers into responses.
//! **What it refuses to do.** It opens no sockets, reads no clock, keeps no statements and knows no schema.
//!
//! **Invariants.**
//! - Nothing that is fed to a decoder makes it panic, and it holds no more than has arrived, up to [`limits`]: an
//!   announced length is checked before anything is reserved for it.
//! - A message that is wrong in itself leaves the connection usable ([`WireError`], [`Refusal`]); bytes that are no
//!   envelopes or segments, or are damaged, end it ([`FramingError`]).
//! - What is written is read back as the same message, in every version that has words for it.
//!
//! **Limits** are in [`limits`]. **Tests**: beside the code, and in `tests/`: round trips by properties, vectors from the
//! Apache Python driver (`tests/vectors/`), damaged and truncated bytes.

mod checksum;
pub mod client;
mod compression;
pub mod connection;
pub mod convert;
mod decoder;
mod encoder;
mod envelope;
mod error;
pub mod limits;
pub mod message;
mod metadata;
mod opcode;
mod reader;
mod segment;
pub mod types;
mod version;
mod writer;

pub use client::{Arrived, Client, ClientError, ClientOptions, Credentials, Pages};
pub use compression::Compression;
pub use connection::{ClientConnection, FromClient, FromServer, ServerConnection};
pub use decoder::{Decoder, Received, Refused};
pub use encoder::Encoder;
pub use envelope::{COMPRESSED, CUSTOM_PAYLOAD, Envelope, HEADER_BYTES, Side, TRACING, USE_BETA, WARNING};
pub use error::{FramingError, Refusal, WireError};
pub use message::{Request, RequestMessage, Response, ResponseMessage};
pub use metadata::{Columns, RowsMetadata, metadata_id};
pub use opcode::Opcode;
pub use reader::Reader;
pub use segment::Segment;
pub use version::ProtocolVersion;
pub use writer::Writer;

//! Quorate's protobuf messages and the only conversions between them and the model.
//!
//! **What it is.** Generated messages ([`v1`]: the public API, [`internode`]: the envelope between nodes), the
//! descriptors for reflection, and conversions. **What it refuses to do.** No sockets, no service code: stubs are
//! generated where they are used. Conversions out of messages are fallible and never panic, whatever a peer sent; those
//! into messages cannot fail.
//!
//! **Tests.** Round trips and hostile bytes, as properties, in `tests/`.

mod admin;
mod answer;
mod convert;

mod encode;
mod error;
mod frames;
mod request;
mod types;
mod value;

pub use admin::{
    admin_answer_from_proto, admin_answer_to_proto, admin_request_from_proto, admin_request_to_proto,
    cluster_from_proto, cluster_to_proto,
};
pub use answer::{AnswerOptions, Response, metadata_id, response_from_proto, response_to_proto, trace_from_proto};
pub use convert::ConvertError;
pub use encode::encode_value;
pub use error::{details_from_status, error_from_proto, error_to_proto, status_from_error};
pub use frames::{frame_checksum, hello_lane, verify_frame};
pub use request::{
    batch_from_proto, batch_to_proto, execute_from_proto, execute_to_proto, options_from_proto, options_to_proto,
    prepare_from_proto, query_from_proto, query_to_proto,
};
pub use value::{decode_value, typed_rows, value_to_proto};

/// The public API.
#[allow(missing_docs, clippy::all, clippy::too_many_lines, reason = "generated")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/quorate.v1.rs"));
}

/// What nodes say to one another.
pub mod internode {
    /// Version 1.
    #[allow(missing_docs, clippy::all, clippy::too_many_lines, reason = "generated")]
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/quorate.internode.v1.rs"));
    }
}

/// Both packages' descriptors, as the reflection service wants them.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Version of the internode protocol; nodes of different versions do not talk.
pub const INTERNODE_PROTOCOL_VERSION: u32 = 1;

/// Limits of what one message may hold.
pub mod limits {
    /// Greatest message, in bytes, on either API: the greatest mutation and its envelope.
    pub const MESSAGE_BYTES_MAX: usize = 17 * 1024 * 1024;
    /// Rows a page for clients that do not say.
    pub const PAGE_SIZE_DEFAULT: u32 = 5_000;
    /// Most statements of one batch.
    pub const BATCH_STATEMENTS_MAX: usize = 65_535;
    /// Most values of one statement.
    pub const VALUES_MAX: usize = 65_535;
    /// Deepest nesting of types and values.
    pub const DEPTH_MAX: usize = quorate_model::limits::TYPE_DEPTH_MAX;
}

//! The messages, a file each, and what every message may carry beside its own body.

pub mod auth_challenge;
pub mod auth_response;
pub mod auth_success;
pub mod authenticate;
pub mod batch;
pub mod error;
pub mod event;
pub mod execute;
pub mod options;
pub mod prepare;
pub mod query;
pub mod query_parameters;
pub mod ready;
pub mod register;
mod request;
mod response;
pub mod result;
pub mod startup;
pub mod supported;

pub use request::{Request, RequestMessage};
pub use response::{Response, ResponseMessage};

use bytes::Bytes;

/// Custom payload: what a client and a server that know each other say beside the protocol (v4 and later).
pub type CustomPayload = Vec<(String, Option<Bytes>)>;

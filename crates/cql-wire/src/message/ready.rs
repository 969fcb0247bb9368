//! `READY`: the connection is open. It has no body.

/// The response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Ready;

//! `OPTIONS`: what does the server support? Also every driver's heartbeat. It has no body.

/// The request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Options;

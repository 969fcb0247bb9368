//! What the threads drive: a node's machines behind one trait, so that the transport can be tested with small ones.

use quorate_env::{Instant, Now};
use quorate_node::{Input, Output};

/// A machine: it takes events and says what to do.
pub trait Machine: Send {
    /// Takes an event.
    fn step(&mut self, now: Now, input: Input, out: &mut Vec<Output>);
    /// When it wants to be woken.
    fn deadline(&self) -> Option<Instant>;
}

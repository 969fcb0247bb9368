//! The two ends of a connection: decoder and encoder, and when both change how they work.

mod client;
mod server;

pub use client::{ClientConnection, FromServer};
pub use server::{FromClient, ServerConnection};

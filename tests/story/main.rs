//! The story that the README tells, driven through the real binary and real processes.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod demo;
mod failures;
mod flights;
mod fronts;
mod shell;

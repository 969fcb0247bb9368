//! `COPY`: tables to CSV and back.

pub mod export;
pub mod import;
pub mod literal;
pub mod options;
pub mod rejects;
pub mod source;

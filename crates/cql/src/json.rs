//! JSON to values and back, as `SELECT JSON`, `INSERT JSON`, `to_json` and `from_json` have them.

mod parse;
mod read;
mod write;

pub(crate) use parse::{Json, parse};
pub(crate) use read::{field_name, from_json};
pub(crate) use write::{column_name, to_json};

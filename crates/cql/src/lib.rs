//! cql
pub mod ast;
pub mod lexer;
pub mod limits;
mod keywords;
mod parser;
mod split;

pub use parser::parse;
pub use split::is_complete;

//! CQL: from text to plans, from plans and values to operations, from partitions to rows.
//!
//! **What it is.** The one reading of CQL in Quorate: [`parse`] makes a [`ast::Statement`], [`plan()`] resolves it against a
//! schema, [`Plan::bind`] adds values, time and randomness and gives an [`Operation`] (mutations, reads, a schema
//! change, …), and a [`ResultBuilder`] turns the partitions that were read into encoded rows. DESCRIBE and the system tables'
//! rows are made here too, and the lexer serves the shell.
//!
//! **What it refuses to do.** It performs no I/O, reads no clock, draws no randomness, and knows nothing of replicas.
//! Features of CQL that do not exist yet are recognised and refused by name.
//!
//! **Invariants.**
//! - No input makes it panic; nesting, length and the number of markers and of `IN` combinations are bounded ([`limits`]).
//! - A plan is immutable and bound any number of times; all that differs between executions comes in by
//!   [`BindContext`].
//! - Messages and error kinds are Cassandra's wherever it has some; syntax errors carry line, column and the offending token.
//!
//! **Tests.** Unit tests beside the code. In `tests/`: statements with what a real Cassandra 5 answers to them
//! (`cassandra_answers.txt`, errors above all; `answers/`, a file a theme, with rows as they are sent), random writes and
//! reads with the rows that it gave (`cassandra_rows.txt`), statements run end to end over partitions in memory, and broken
//! statements by the thousand.

mod aggregate;
mod arithmetic;
pub mod ast;
mod bind;
mod calls;
mod casts;
mod change;
mod codec;
mod describe;
mod expr;
mod filter;
mod functions;
mod groups;
mod indexes;
mod insert_json;
mod json;
mod keys;
mod keywords;
pub mod lexer;
pub mod limits;
mod logarithms;
mod modify;
mod moments;
mod operation;
mod options;
mod parser;
mod plan;
mod prior;
mod projection;
mod relations;
mod restrictions;
mod rows;
mod schema_change;
mod schema_index;
mod schema_table;
mod schema_type;
mod select;
mod selection;
mod split;
pub mod system_tables;
mod types;
mod vectors;
mod view;

pub use bind::BindContext;
pub use describe::{DescribeRequest, create_keyspace, create_table};
pub use modify::{BatchPlan, ModifyPlan};
pub use operation::{Operation, ReadOperation, batch_operation};
pub use parser::parse;
pub use plan::{Plan, PlanKind, plan};
pub use prior::Prior;
pub use rows::{PageProgress, ResultBuilder};
pub use schema_change::{SchemaContext, SchemaEdit, SchemaOutcome, SchemaStatement};
pub use select::SelectPlan;
pub use split::{is_complete, split_statements};

//! The command line.

use clap::{Parser, ValueEnum};
use scylla::statement::Consistency;

/// Load through the scylla driver.
#[derive(Parser, Clone, Debug)]
pub struct Arguments {
    /// What to do
    #[arg(value_enum)]
    pub workload: Workload,
    /// Nodes: HOST or HOST:PORT (9042), several with commas
    #[arg(long, default_value = "127.0.0.1", value_delimiter = ',')]
    pub host: Vec<String>,
    /// Keys of the table of single rows; they have 16 bytes each
    #[arg(long, default_value_t = 500_000)]
    pub keys: u64,
    /// Partitions of the table of slices, 1,000 rows each
    #[arg(long, default_value_t = 200)]
    pub partitions: u64,
    /// Bytes of a value
    #[arg(long, default_value_t = 100)]
    pub value_size: usize,
    /// Requests in flight at most, at no rate; with a rate, the bound is 4,096 and what exceeds it waits
    #[arg(long, default_value_t = 256)]
    pub in_flight: usize,
    /// Requests a second, sent in bursts of what is due every 250 us; as many as go if it is missing
    #[arg(long)]
    pub rate: Option<f64>,
    /// Seconds that are measured
    #[arg(long, default_value_t = 8.0)]
    pub seconds: f64,
    /// Seconds before them that are not
    #[arg(long, default_value_t = 2.0)]
    pub warm_up: f64,
    /// Connections a node
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    /// Threads of the driver's runtime; 1 is a current-thread runtime
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
    /// Consistency level
    #[arg(long, default_value = "ONE", value_parser = level)]
    pub consistency: Consistency,
    /// Replication factor of the keyspace, if `fill` creates it
    #[arg(long, default_value_t = 1)]
    pub replication: u32,
    /// Of a mixed load, how many requests in a hundred read
    #[arg(long, default_value_t = 50)]
    pub reads: u64,
    /// Ask to leave out result metadata that is known since the preparation
    #[arg(long)]
    pub cached_metadata: bool,
    /// Try what is safe to try again on another node after so many ms without an answer, keep connections alive every second, and repeat
    /// what failed as the driver's default policy does: what a program that minds failures sets
    #[arg(long)]
    pub speculative_ms: Option<u64>,
    /// Write a line for every quarter of a second to this file: answers, failures, p50 and p99
    #[arg(long)]
    pub series: Option<std::path::PathBuf>,
    /// The server's processes, with commas: their CPU time is told an operation
    #[arg(long, value_delimiter = ',')]
    pub pids: Vec<u32>,
    /// One line of JSON
    #[arg(long)]
    pub json: bool,
}

/// What to do.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Create keyspace and tables, write every key and partition once
    Fill,
    /// Insert one row
    Write,
    /// Select one row
    Read,
    /// Both
    Mixed,
    /// Select 100 rows out of a partition of 1,000
    Slice,
    /// Rows that come and go: of a hundred requests 30 insert, 30 insert for a minute, 10 delete, 30 select; keys drift, so that old ones are left
    Churn,
}

fn level(name: &str) -> Result<Consistency, String> {
    Ok(match name.to_uppercase().as_str() {
        "ONE" => Consistency::One,
        "LOCAL_ONE" => Consistency::LocalOne,
        "TWO" => Consistency::Two,
        "QUORUM" => Consistency::Quorum,
        "LOCAL_QUORUM" => Consistency::LocalQuorum,
        "ALL" => Consistency::All,
        _ => return Err("one of ONE, LOCAL_ONE, TWO, QUORUM, LOCAL_QUORUM, ALL".to_owned()),
    })
}

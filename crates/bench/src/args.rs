//! The command line of `quorate bench`.

use clap::{Args, ValueEnum};
use quorate_client::TlsFiles;
use quorate_cql_wire::Compression;
use quorate_model::Consistency;

/// Whom to load, and how to reach them.
#[derive(Args, Clone, Debug)]
pub struct Nodes {
    /// Nodes: HOST or HOST:PORT (gRPC), several with commas
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    #[command(flatten)]
    #[allow(missing_docs, reason = "its text would become the help's")]
    pub tls: TlsFiles,
}

/// A load and how it is measured.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// What to do
    #[arg(value_enum)]
    pub workload: Workload,
    /// Where to
    #[command(flatten)]
    pub nodes: Nodes,
    /// Number of keys
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub keys: u64,
    /// Bytes a value
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=1_048_576))]
    pub value_size: u32,
    /// Requests in flight at most
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub in_flight: u32,
    /// Requests a second; as many as go if it is missing
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: Option<u32>,
    /// Seconds that are measured
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub duration: u32,
    /// Seconds before them that are not
    #[arg(long, default_value_t = 2)]
    pub warmup: u32,
    /// Consistency level
    #[arg(long, default_value = "QUORUM", value_parser = level)]
    pub consistency: Consistency,
    /// Replication factor of the keyspace, if it is created
    #[arg(long, default_value_t = 3)]
    pub replication: u32,
    /// Of a mixed load, how many requests in a hundred read
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub reads: u8,
    /// What only gRPC has.
    #[command(flatten)]
    pub grpc: GrpcArgs,
    /// What only CQL has.
    #[command(flatten)]
    pub cql: CqlArgs,
    /// Do not write the keys before reading them
    #[arg(long)]
    pub no_fill: bool,
    /// Keyspace
    #[arg(long, default_value = "quorate_bench")]
    pub keyspace: String,
    /// Processes whose CPU time is measured, with commas
    #[arg(long, value_delimiter = ',')]
    pub pids: Vec<u32>,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// What only a load over gRPC has.
#[derive(Args, Clone, Debug)]
pub struct GrpcArgs {
    /// How requests travel over gRPC
    #[arg(long, value_enum, default_value_t = Mode::Stream)]
    pub mode: Mode,
    /// Send everything to the named nodes instead of to replicas
    #[arg(long)]
    pub pinned: bool,
}

/// What only a load over the CQL native protocol has.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "CQL native protocol")]
pub struct CqlArgs {
    /// Speak CQL instead of gRPC, with any server of it: HOST or HOST:PORT (9042), several with commas
    #[arg(long = "cql", value_name = "HOST", value_delimiter = ',', conflicts_with_all = ["host", "mode", "pinned"])]
    pub hosts: Vec<String>,
    /// Protocol version to begin with; if the server does not speak it, lower ones follow
    #[arg(long, value_name = "VERSION", default_value_t = 5, requires = "hosts", value_parser = clap::value_parser!(u8).range(3..=5))]
    pub protocol: u8,
    /// Compression: lz4, or snappy below version 5
    #[arg(long, requires = "hosts", value_parser = compression)]
    pub compression: Option<Compression>,
    /// Connections a node
    #[arg(long, default_value_t = 1, requires = "hosts", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub connections: u16,
    /// Threads that share the connections
    #[arg(long, default_value_t = 1, requires = "hosts", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
    /// User, if the server asks for one; the password comes from QUORATE_PASSWORD
    #[arg(long, requires = "hosts")]
    pub user: Option<String>,
}

/// What to do.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Workload {
    Write,
    Read,
    Mixed,
}

/// How requests travel.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A call each
    Unary,
    /// Many on one stream a node
    Stream,
}

/// How the report is printed.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Format {
    Text,
    Json,
}

fn level(name: &str) -> Result<Consistency, String> {
    Consistency::parse(name).ok_or_else(|| {
        let names: Vec<_> = Consistency::ALL_LEVELS.into_iter().map(Consistency::name).collect();
        format!("no such level; there are {}", names.join(", "))
    })
}

fn compression(name: &str) -> Result<Compression, String> {
    Compression::parse(name).ok_or_else(|| "no such compression; there are lz4, snappy".to_owned())
}

//! The load over the CQL native protocol, against any server that speaks it.
//!
//! No driver: the frames are our own codec's ([`quorate_cql_wire::Client`]), so that the generator costs a fraction of what a
//! driver does and the server is what is measured. A thread waits on all of its connections at once; each connection has
//! its share of the requests in flight, pipelined. It does not route by token: requests go to the named nodes in turn.
//!
//! **Invariants.** A connection that is lost ends the load with an error that names the node; it is never passed over. At a
//! fixed rate request `n` of all is due at `n / rate` from the start, whichever connection it goes to.

mod connection;
mod drive;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use bytes::Bytes;
use quorate_client::TlsFiles;
use quorate_cql_wire::message::execute::Execute;
use quorate_cql_wire::message::query_parameters::QueryParameters;
use quorate_cql_wire::message::result::PreparedResult;
use quorate_cql_wire::{ClientOptions, Credentials, ProtocolVersion, Request, RequestMessage};
use quorate_model::Consistency;
use quorate_model::request::{BoundValue, Values};

use crate::args::{BenchArgs, Workload};
use crate::cpu;
use crate::load::{Tally, value_of};
use crate::report::Report;
use crate::target::BenchError;
use connection::Connection;
use drive::{End, Phase};

/// Requests in flight while the keys are written before a read.
const FILL_IN_FLIGHT: u32 = 512;

/// Connects, prepares, fills, warms up, measures.
pub fn run(args: &BenchArgs) -> Result<Report, BenchError> {
    if args.nodes.tls != TlsFiles::default() {
        // In plain text instead, it would send the password to whoever listens.
        let reason = "it is not supported yet with --cql; it is over gRPC, without --cql".to_owned();
        return Err(BenchError::Setup { what: "TLS", reason });
    }
    let mut connections = connect(args)?;
    let version = connections.iter().map(Connection::version).min().unwrap_or(ProtocolVersion::V5);
    let count = connections.len() as u32;
    let phase = |workload, end, in_flight: u32, rate, seed| Phase {
        workload,
        reads_percent: args.reads,
        keys: args.keys,
        in_flight: (in_flight / count).max(1) as usize,
        rate,
        end,
        seed,
        consistency: args.consistency,
        value: value_of(seed, args.value_size),
    };
    let seconds = |seconds: u32| End::After(Duration::from_secs(u64::from(seconds)));
    if args.workload != Workload::Write && !args.no_fill {
        let tally = drive(args, &mut connections, &phase(Workload::Write, End::EveryKey, FILL_IN_FLIGHT, None, 3))?;
        if let Some(reason) = tally.first_failure {
            return Err(BenchError::Setup { what: "writing the keys", reason });
        }
    }
    if args.warmup > 0 {
        drive(args, &mut connections, &phase(args.workload, seconds(args.warmup), args.in_flight, args.rate, 1))?;
    }
    let before = cpu::used_by_all(&args.pids);
    let started = Instant::now();
    let phase = phase(args.workload, seconds(args.duration), args.in_flight, args.rate, 2);
    let tally = drive(args, &mut connections, &phase)?;
    let elapsed = started.elapsed();
    let compression = args.cql.compression.map_or(String::new(), |compression| format!(", {}", compression.name()));
    let mode = format!("cql v{}{compression}", version.number());
    Ok(Report::new(args, mode, &tally, elapsed, cpu::used_since(&before)))
}

/// Opens all connections, creates keyspace and table on the first, prepares on each.
fn connect(args: &BenchArgs) -> Result<Vec<Connection>, BenchError> {
    let version = ProtocolVersion::from_number(args.cql.protocol).unwrap_or(ProtocolVersion::V5);
    let password = || std::env::var("QUORATE_PASSWORD").unwrap_or_default();
    let options = ClientOptions {
        version,
        compression: args.cql.compression,
        credentials: args.cql.user.clone().map(|user| Credentials { user, password: password() }),
        startup: vec![("DRIVER_NAME".to_owned(), "quorate bench".to_owned())],
        in_flight_max: args.in_flight.max(FILL_IN_FLIGHT) as usize,
    };
    let keyspace = &args.keyspace;
    let mut connections = Vec::new();
    for _ in 0..args.cql.connections {
        for host in &args.cql.hosts {
            let mut connection = Connection::open(host.trim(), &options)?;
            if connections.is_empty() {
                let replication = args.replication;
                let create = format!(
                    "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = \
                     {{'class': 'SimpleStrategy', 'replication_factor': {replication}}}"
                );
                connection.query("creating the keyspace", create)?;
                let create = format!("CREATE TABLE IF NOT EXISTS {keyspace}.kv (key bigint PRIMARY KEY, value blob)");
                connection.query("creating the table", create)?;
            }
            connection.prepare(
                format!("INSERT INTO {keyspace}.kv (key, value) VALUES (?, ?)"),
                format!("SELECT value FROM {keyspace}.kv WHERE key = ?"),
            )?;
            connections.push(connection);
        }
    }
    Ok(connections)
}

/// Runs a phase on all connections, shared by the threads.
fn drive(args: &BenchArgs, connections: &mut [Connection], phase: &Phase) -> Result<Tally, BenchError> {
    let count = connections.len();
    let each = count.div_ceil(usize::from(args.cql.threads).clamp(1, count.max(1)));
    let started = Instant::now();
    std::thread::scope(|scope| {
        let chunks = connections.chunks_mut(each.max(1)).enumerate();
        let threads: Vec<_> = chunks
            .map(|(chunk, own)| scope.spawn(move || drive::drive(phase, own, chunk * each, count, started)))
            .collect();
        let mut all = Tally::default();
        for thread in threads {
            let tally = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            all.add(tally);
        }
        Ok(all)
    })
}

/// The statements of a connection, ready to be executed.
struct Statements {
    insert: PreparedResult,
    select: PreparedResult,
}

impl Statements {
    fn write(&self, key: u64, value: &Bytes, level: Consistency) -> RequestMessage {
        execute(&self.insert, vec![key_of(key), BoundValue::Bytes(value.clone())], level)
    }

    fn read(&self, key: u64, level: Consistency) -> RequestMessage {
        execute(&self.select, vec![key_of(key)], level)
    }
}

fn key_of(key: u64) -> BoundValue {
    BoundValue::Bytes(Bytes::copy_from_slice(&key.to_be_bytes()))
}

fn execute(statement: &PreparedResult, values: Vec<BoundValue>, level: Consistency) -> RequestMessage {
    let parameters =
        QueryParameters { values: Values::Positional(values), skip_metadata: true, ..QueryParameters::new(level) };
    let (id, result_metadata_id) = (statement.id.clone(), statement.result_metadata_id.clone());
    Request::Execute(Execute { id, result_metadata_id, parameters }).into()
}

//! Loads on a server that misbehaves as told.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says so by panicking")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use bytes::Buf as _;
use quorate_cql_wire::message::error::{ErrorKind, ErrorMessage};
use quorate_cql_wire::message::ready::Ready;
use quorate_cql_wire::message::result::ResultMessage;
use quorate_cql_wire::message::supported::Supported;
use quorate_cql_wire::{Columns, FromClient, Response, ResponseMessage, ServerConnection};
use quorate_model::request::ResultMetadata;

use super::*;

/// What the server does with an EXECUTE.
enum Reaction {
    Answer,
    Refuse,
    HangUp,
}

/// Serves any number of connections; the reaction is to the bound values of the n-th EXECUTE of all.
fn serve(react: impl Fn(u64, Values) -> Reaction + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let react = Arc::new(react);
    let executed = Arc::new(Mutex::new(0));
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let (react, executed) = (Arc::clone(&react), Arc::clone(&executed));
            std::thread::spawn(move || converse(socket, &*react, &executed));
        }
    });
    address
}

fn converse(mut socket: std::net::TcpStream, react: &dyn Fn(u64, Values) -> Reaction, executed: &Mutex<u64>) {
    let mut connection = ServerConnection::new(1 << 20);
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = socket.read(&mut bytes) {
        connection.input().extend_from_slice(bytes.get(..count).unwrap());
        while let Some(FromClient::Request { version, stream, request, .. }) = connection.receive().unwrap() {
            let response: ResponseMessage = match request.body {
                Request::Options(_) => Response::Supported(Supported::ours()).into(),
                Request::Startup(_) => Response::Ready(Ready).into(),
                Request::Prepare(_) => Response::Result(ResultMessage::Prepared(PreparedResult {
                    id: Bytes::from_static(b"id"),
                    result_metadata_id: Bytes::from_static(b"metadata"),
                    parameters: Arc::new(ResultMetadata { columns: Vec::new() }),
                    partition_key: Vec::new(),
                    result: Columns::Skipped(0),
                }))
                .into(),
                Request::Execute(execute) => {
                    let number = {
                        let mut executed = executed.lock().unwrap();
                        *executed += 1;
                        *executed - 1
                    };
                    match react(number, execute.parameters.values) {
                        Reaction::Answer => Response::Result(ResultMessage::Void).into(),
                        Reaction::Refuse => {
                            ErrorMessage { message: "busy".to_owned(), kind: ErrorKind::Overloaded }.into()
                        }
                        Reaction::HangUp => return,
                    }
                }
                _ => Response::Result(ResultMessage::Void).into(),
            };
            connection.respond(version, stream, &response);
        }
        let output = connection.output();
        if socket.write_all(output).is_err() {
            return;
        }
        output.advance(output.len());
    }
}

fn open(address: &str, count: usize) -> Vec<Connection> {
    let connect = |_| {
        let mut connection = Connection::open(address, &ClientOptions::default()).unwrap();
        connection.prepare("INSERT".to_owned(), "SELECT".to_owned()).unwrap();
        connection
    };
    (0..count).map(connect).collect()
}

fn phase(end: End, rate: Option<u32>, in_flight: usize) -> Phase {
    let (workload, consistency, value) = (Workload::Write, Consistency::One, Bytes::from_static(b"value"));
    Phase { workload, reads_percent: 0, keys: 1_000, in_flight, rate, end, seed: 1, consistency, value }
}

fn drive_one(connections: &mut [Connection], phase: &Phase) -> Result<Tally, BenchError> {
    let count = connections.len();
    drive::drive(phase, connections, 0, count, Instant::now())
}

#[test]
fn every_key_is_written_once_over_all_connections() {
    let keys = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&keys);
    let address = serve(move |_, values| {
        let Values::Positional(values) = values else { return Reaction::HangUp };
        let Some(BoundValue::Bytes(key)) = values.first() else { return Reaction::HangUp };
        seen.lock().unwrap().push(u64::from_be_bytes(key.as_ref().try_into().unwrap()));
        Reaction::Answer
    });
    let tally = drive_one(&mut open(&address, 3), &phase(End::EveryKey, None, 16)).unwrap();
    assert_eq!((tally.latencies.len(), tally.refused, tally.unknown, tally.missing), (1_000, 0, 0, 0));
    let mut keys = std::mem::take(&mut *keys.lock().unwrap());
    keys.sort_unstable();
    assert_eq!(keys, (0..1_000).collect::<Vec<_>>());
}

#[test]
fn refusals_are_counted_apart_and_the_first_is_quoted() {
    let address = serve(|number, _| if number % 4 == 0 { Reaction::Refuse } else { Reaction::Answer });
    let tally = drive_one(&mut open(&address, 1), &phase(End::EveryKey, None, 8)).unwrap();
    assert_eq!((tally.latencies.len(), tally.refused, tally.unknown), (750, 250, 0));
    assert_eq!(tally.first_failure.as_deref(), Some("busy"));
}

#[test]
fn a_server_that_hangs_up_or_is_not_there_is_named() {
    let address = serve(|number, _| if number < 10 { Reaction::Answer } else { Reaction::HangUp });
    let mut connections = open(&address, 1);
    let error = drive_one(&mut connections, &phase(End::EveryKey, None, 4)).err().unwrap().to_string();
    assert!(error.starts_with(&address), "{error}");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let error = Connection::open(&free, &ClientOptions::default()).err().unwrap().to_string();
    assert!(error.starts_with(&format!("{free}: connecting: ")), "{error}");
}

/// One request in flight, and the server stalls at the first: whoever was due meanwhile has waited, and says so.
#[test]
fn a_stall_is_felt_by_every_request_that_was_due_in_it() {
    let address = serve(|number, _| {
        if number == 0 {
            std::thread::sleep(Duration::from_millis(40));
        }
        Reaction::Answer
    });
    let phase = phase(End::After(Duration::from_millis(50)), Some(1_000), 1);
    let tally = drive_one(&mut open(&address, 1), &phase).unwrap();
    assert_eq!(tally.latencies.len(), 50, "all that were due were sent");
    let waited = tally.latencies.count_between(10_000, u64::MAX);
    assert!(waited >= 29, "{waited} of those due in the first 30 ms felt the 10 ms and more that were left");
}

#[test]
fn requests_are_shared_at_even_distances() {
    let phase = phase(End::After(Duration::from_secs(1)), Some(200), 1);
    assert_eq!((phase.due(0), phase.due(200)), (Duration::ZERO, Duration::from_secs(1)));
    assert!(phase.is_over(200, Duration::ZERO) && !phase.is_over(199, Duration::from_secs(9)));
}

/// A load that was to be sealed and is not would send its password in plain text.
#[test]
fn tls_is_refused_rather_than_passed_over() {
    use clap::{Args as _, FromArgMatches as _};

    let command = BenchArgs::augment_args(clap::Command::new("bench"));
    let matches = command.get_matches_from(["bench", "write", "--cql", "127.0.0.1:1", "--tls-ca", "ca.pem"]);
    let error = run(&BenchArgs::from_arg_matches(&matches).unwrap()).err().unwrap().to_string();
    assert!(error.contains("TLS") && error.contains("not supported yet with --cql"), "{error}");
}

use std::collections::BTreeMap;

use quorate_model::schema::{Keyspace, Replication};
use quorate_model::wire::Wire;
use quorate_model::{NodeId, Token};
use quorate_ring::NodeState;

use super::*;

fn node(id: u128) -> NodeId {
    NodeId::from_u128(id)
}

fn entry(id: u128) -> NodeEntry {
    NodeEntry {
        id: node(id),
        address: format!("127.0.0.{id}:7000"),
        cql_port: 9042,
        grpc_port: 9044,
        datacenter: "dc1".to_owned(),
        rack: "r1".to_owned(),
        tokens: vec![Token(id as i64 * 100)],
        state: NodeState::Joining,
    }
}

fn keyspace(name: &str) -> Change {
    Change::PutKeyspace(Keyspace {
        name: name.to_owned(),
        replication: Replication::Simple { factor: 3 },
        durable_writes: true,
        tables: BTreeMap::new(),
        types: BTreeMap::new(),
    })
}

fn open(id: u128, store: &BTreeMap<Vec<u8>, Vec<u8>>) -> MetadataLog {
    let stored: Vec<_> = store.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    MetadataLog::open(LogConfig::new("c"), node(id), 1, Random::new(id as u64), &stored).unwrap()
}

/// A cluster of nodes that joined and are all members.
fn trio() -> Vec<MetadataLog> {
    let mut first = open(1, &BTreeMap::new());
    let mut out = Vec::new();
    first.found("c", entry(1), &mut out).unwrap();
    for id in [2, 3] {
        for change in [Change::JoinPrepare(entry(id)), Change::JoinReadNew(node(id)), Change::JoinFinish(node(id))] {
            decide(&mut first, change, &mut out);
        }
    }
    decide(&mut first, Change::SetMembers(vec![node(1), node(2), node(3)]), &mut out);
    let mut logs = vec![first];
    for id in [2, 3] {
        let mut log = open(id, &BTreeMap::new());
        let mut answer = Vec::new();
        let fetch = LogInput::Message { from: node(id), frame: log.fetch_frame() };
        logs[0].step(Instant(1), fetch, &mut answer);
        let [LogOutput::Send { frame, .. }] = &answer[..] else { panic!("{answer:?}") };
        log.step(Instant(1), LogInput::Message { from: node(1), frame: frame.clone() }, &mut Vec::new());
        assert_eq!(log.metadata(), logs[0].metadata());
        logs.push(log);
    }
    logs
}

fn decide(log: &mut MetadataLog, change: Change, out: &mut Vec<LogOutput>) {
    let id = log.propose(Instant(1), change, log.epoch(), Duration::from_secs(1), out).unwrap();
    let decided = out.iter().any(|output| {
        matches!(output, LogOutput::Finished { id: of, outcome: ProposalOutcome::Decided { rejection: None, .. } } if *of == id)
    });
    assert!(decided, "a single member decides at once: {out:?}");
}

/// One line an output, as a transcript.
fn transcript(out: &[LogOutput]) -> Vec<String> {
    let number = |node: &NodeId| node.0[15];
    out.iter()
        .map(|output| match output {
            LogOutput::Persist(changes) => {
                let keys: Vec<_> = changes
                    .iter()
                    .map(|(key, value)| {
                        let name = String::from_utf8_lossy(key).split('/').nth(1).unwrap_or_default().to_owned();
                        format!("{}{name}", if value.is_some() { "+" } else { "-" })
                    })
                    .collect();
                format!("persist {}", keys.join(" "))
            }
            LogOutput::Send { to, frame } => {
                let what = match &frame.message {
                    LogMessage::Prepare { ballot, .. } => format!("prepare {}", ballot.round),
                    LogMessage::Promise { ballot, accepted, .. } => {
                        format!("promise {}{}", ballot.round, if accepted.is_some() { " with a value" } else { "" })
                    }
                    LogMessage::Accept { ballot, .. } => format!("accept {}", ballot.round),
                    LogMessage::Accepted { ballot, .. } => format!("accepted {}", ballot.round),
                    LogMessage::Refuse { promised, .. } => format!("refuse, promised {}", promised.round),
                    LogMessage::Fetch { from } => format!("fetch from {from}"),
                    LogMessage::Entries { entries, .. } => format!("{} entries", entries.len()),
                    LogMessage::Snapshot(metadata) => format!("snapshot of {}", metadata.epoch),
                };
                format!("to {}: {what}", number(to))
            }
            LogOutput::Applied { entry, result } => {
                format!("applied {}{}", entry.epoch, if result.is_err() { " without effect" } else { "" })
            }
            LogOutput::Installed { epoch } => format!("installed {epoch}"),
            LogOutput::Finished { outcome, .. } => match outcome {
                ProposalOutcome::Decided { epoch, .. } => format!("finished: decided {epoch}"),
                ProposalOutcome::Superseded { by } => format!("finished: superseded by {by}"),
                other => format!("finished: {other:?}"),
            },
            LogOutput::Foreign { name, .. } => format!("foreign {name:?}"),
            LogOutput::Diverged { epoch, .. } => format!("diverged at {epoch}"),
        })
        .collect()
}

/// Delivers what one node sent to another.
fn deliver(logs: &mut [MetadataLog], from: usize, sent: &[LogOutput], to: usize) -> Vec<LogOutput> {
    let mut out = Vec::new();
    for output in sent {
        if let LogOutput::Send { to: receiver, frame } = output
            && *receiver == logs[to].me
        {
            let frame = LogFrame::from_bytes(&frame.to_bytes()).unwrap();
            let input = LogInput::Message { from: logs[from].me, frame };
            logs[to].step(Instant(2), input, &mut out);
        }
    }
    logs[to].check();
    out
}

#[test]
fn a_change_is_persisted_before_each_answer() {
    let mut logs = trio();
    let mut sent = Vec::new();
    let epoch = logs[0].epoch();
    logs[0].propose(Instant(2), keyspace("ks"), epoch, Duration::from_secs(1), &mut sent).unwrap();
    assert_eq!(transcript(&sent), ["persist +acceptor", "to 2: prepare 1", "to 3: prepare 1"]);
    let promise = deliver(&mut logs, 0, &sent, 1);
    assert_eq!(transcript(&promise), ["persist +acceptor", "to 1: promise 1"]);
    let accept = deliver(&mut logs, 1, &promise, 0);
    assert_eq!(transcript(&accept), ["to 2: accept 1", "to 3: accept 1", "persist +acceptor"]);
    let accepted = deliver(&mut logs, 0, &accept, 1);
    assert_eq!(transcript(&accepted), ["persist +acceptor", "to 1: accepted 1"]);
    let decided = deliver(&mut logs, 1, &accepted, 0);
    assert_eq!(
        transcript(&decided),
        ["persist +entry -acceptor", "finished: decided 9", "applied 9", "to 2: 1 entries", "to 3: 1 entries"]
    );
    let learned = deliver(&mut logs, 0, &decided, 2);
    assert_eq!(transcript(&learned), ["persist +entry -acceptor", "applied 9"]);
}

#[test]
fn a_value_that_may_be_decided_is_completed_and_supersedes() {
    let mut logs = trio();
    let epoch = logs[0].epoch();
    let mut sent = Vec::new();
    logs[0].propose(Instant(2), keyspace("theirs"), epoch, Duration::from_secs(1), &mut sent).unwrap();
    let promise = deliver(&mut logs, 0, &sent, 1);
    let accept = deliver(&mut logs, 1, &promise, 0);
    deliver(&mut logs, 0, &accept, 1);
    // Node 1 dies here: nodes 1 and 2 have accepted, nobody knows. Node 3 proposes something else.
    let mut sent = Vec::new();
    logs[2].propose(Instant(2), keyspace("ours"), epoch, Duration::from_secs(1), &mut sent).unwrap();
    let answer = deliver(&mut logs, 2, &sent, 1);
    let accept = if transcript(&answer).last().is_some_and(|line| line.contains("refuse")) {
        deliver(&mut logs, 1, &answer, 2);
        let mut again = Vec::new();
        let later = logs[2].deadline().unwrap();
        logs[2].step(later, LogInput::Tick, &mut again);
        let answer = deliver(&mut logs, 2, &again, 1);
        assert!(transcript(&answer).last().is_some_and(|line| line.ends_with("with a value")), "{answer:?}");
        deliver(&mut logs, 1, &answer, 2)
    } else {
        deliver(&mut logs, 1, &answer, 2)
    };
    let accepted = deliver(&mut logs, 2, &accept, 1);
    let decided = deliver(&mut logs, 1, &accepted, 2);
    assert!(transcript(&decided).contains(&"finished: superseded by 9".to_owned()), "{:?}", transcript(&decided));
    assert!(logs[2].metadata().schema.keyspaces.contains_key("theirs"));
    assert!(!logs[2].metadata().schema.keyspaces.contains_key("ours"));
}

#[test]
fn without_a_majority_a_proposal_ends_as_what_is_true() {
    let mut logs = trio();
    let epoch = logs[0].epoch();
    let mut sent = Vec::new();
    logs[0].propose(Instant(2), keyspace("a"), epoch, Duration::from_millis(100), &mut sent).unwrap();
    let mut out = Vec::new();
    logs[0].step(Instant(200_000_000), LogInput::Tick, &mut out);
    assert_eq!(transcript(&out), ["finished: Unavailable"]);
    // Once it was sent for acceptance, nobody can tell.
    let mut sent = Vec::new();
    logs[0].propose(Instant(200_000_000), keyspace("a"), epoch, Duration::from_millis(100), &mut sent).unwrap();
    let promise = deliver(&mut logs, 0, &sent, 1);
    deliver(&mut logs, 1, &promise, 0);
    let mut out = Vec::new();
    logs[0].step(Instant(400_000_000), LogInput::Tick, &mut out);
    assert_eq!(transcript(&out)[0], "finished: Unknown");
}

#[test]
fn proposals_are_refused_for_what_is_known_here() {
    let mut log = open(1, &BTreeMap::new());
    let mut out = Vec::new();
    let timeout = Duration::from_secs(1);
    assert_eq!(log.propose(Instant(1), keyspace("a"), Epoch(0), timeout, &mut out), Err(ProposeError::NotFounded));
    log.found("c", entry(1), &mut out).unwrap();
    assert!(matches!(log.found("c", entry(1), &mut out), Err(ProposeError::Rejected(Rejection::AlreadyFounded))));
    let stale = log.propose(Instant(1), keyspace("a"), Epoch(0), timeout, &mut out);
    assert_eq!(stale, Err(ProposeError::Stale { planned_at: Epoch(0), current: Epoch(1) }));
    let rejected = log.propose(Instant(1), Change::DropKeyspace("x".to_owned()), Epoch(1), timeout, &mut out);
    assert!(matches!(rejected, Err(ProposeError::Rejected(Rejection::UnknownKeyspace { .. }))));
    let large = keyspace(&"x".repeat(crate::limits::ENTRY_BYTES_MAX));
    let large = log.propose(Instant(1), large, Epoch(1), timeout, &mut out);
    assert!(matches!(large, Err(ProposeError::TooLarge { .. })));
}

#[test]
fn a_ballot_used_twice_cannot_carry_two_values() {
    let mut logs = trio();
    let slot = logs[1].epoch().next();
    let ballot = Ballot { round: 1, generation: 1, node: node(1) };
    let accept = |logs: &mut Vec<MetadataLog>, id| {
        let proposal = Proposal { id: ProposalId(id), change: keyspace("x") };
        let frame = logs[0].frame(LogMessage::Accept { slot, ballot, proposal });
        let mut out = Vec::new();
        logs[1].step(Instant(2), LogInput::Message { from: node(1), frame }, &mut out);
        transcript(&out)
    };
    assert_eq!(accept(&mut logs, 1), ["persist +acceptor", "to 1: accepted 1"]);
    assert_eq!(accept(&mut logs, 1), ["to 1: accepted 1"]);
    assert_eq!(accept(&mut logs, 2), ["to 1: refuse, promised 1"]);
}

#[test]
fn other_clusters_are_kept_out() {
    let mut ours = open(1, &BTreeMap::new());
    ours.found("c", entry(1), &mut Vec::new()).unwrap();
    let mut theirs = open(9, &BTreeMap::new());
    theirs.found("d", entry(9), &mut Vec::new()).unwrap();
    let mut out = Vec::new();
    ours.step(Instant(1), LogInput::Message { from: node(9), frame: theirs.fetch_frame() }, &mut out);
    assert_eq!(transcript(&out), ["foreign None"]);
    assert_eq!(ours.counters().foreign, 1);
    // A node without a cluster does not adopt one of another name.
    let mut newcomer = open(5, &BTreeMap::new());
    let mut answer = Vec::new();
    theirs.step(Instant(1), LogInput::Message { from: node(5), frame: newcomer.fetch_frame() }, &mut answer);
    let [LogOutput::Send { frame, .. }] = &answer[..] else { panic!("{answer:?}") };
    let mut out = Vec::new();
    newcomer.step(Instant(1), LogInput::Message { from: node(9), frame: frame.clone() }, &mut out);
    assert_eq!(transcript(&out), ["foreign Some(\"d\")"]);
    assert!(!newcomer.metadata().is_founded());
}

#[test]
fn whoever_is_far_behind_gets_a_snapshot_and_keeps_it() {
    let mut first = open(1, &BTreeMap::new());
    let mut out = Vec::new();
    first.found("c", entry(1), &mut out).unwrap();
    for index in 0..crate::limits::RECENT_ENTRIES_MAX {
        let mut out = Vec::new();
        decide(&mut first, keyspace(&format!("ks{}", index % 700)), &mut out);
    }
    let mut late = open(2, &BTreeMap::new());
    let mut answer = Vec::new();
    first.step(Instant(1), LogInput::Message { from: node(2), frame: late.fetch_frame() }, &mut answer);
    assert_eq!(transcript(&answer), ["to 2: snapshot of 1025"]);
    let [LogOutput::Send { frame, .. }] = &answer[..] else { panic!("{answer:?}") };
    let mut out = Vec::new();
    late.step(Instant(1), LogInput::Message { from: node(1), frame: frame.clone() }, &mut out);
    assert_eq!(late.metadata(), first.metadata());
    let mut store = BTreeMap::new();
    for output in &out {
        if let LogOutput::Persist(changes) = output {
            assert!(changes.iter().flat_map(|(_, value)| value).all(|value| value.len() < 64 * 1024));
            for (key, value) in changes {
                match value {
                    Some(value) => store.insert(key.clone(), value.clone()),
                    None => store.remove(key),
                };
            }
        }
    }
    assert_eq!(open(2, &store).metadata(), first.metadata());
    // A lost piece is noticed.
    store.remove(&[b"metadata/snapshot/".as_slice(), &0u32.to_be_bytes()].concat());
    let stored: Vec<_> = store.into_iter().collect();
    let reopened = MetadataLog::open(LogConfig::new("c"), node(2), 2, Random::new(1), &stored);
    assert_eq!(reopened.err(), Some(OpenError::SnapshotPiece { piece: 0 }));
}

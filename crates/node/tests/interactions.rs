//! The protocols' stories, as text: each file in `interactions/` has commands (`> …`) and, below each, what nodes then
//! say to each other and to clients. `QUORATE_REWRITE=1 cargo test -p quorate-node --test interactions` writes anew what
//! they say; read the difference before you keep it.
//!
//! ```text
//! > cluster 3 tokens 1 requests 2     so many nodes, each joined to those before it
//! > watch requests metadata           which frames are shown: those of requests, those of the metadata log, or none
//! > n1 QUORUM SELECT …                a client's request to n1; several side by side with `||` between them
//! > begin n1 QUORUM INSERT …          a request that nobody waits for
//! > flush n1                          and crash, start, cut n1 n2, heal, add
//! > wait n4 ready                     and: wait n1 counts 2, wait no hints
//! > power cuts in a flush of n1: …    fails the power in every operation of a flush, and asks after each start
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use quorate_coordinator::message::{ReplicaRequest, ReplicaResponse};
use quorate_membership::metadata_log::LogMessage;
use quorate_model::admin::AdminRequest;
use quorate_model::request::{Answer, ClientRequest, RequestBody, RequestError, Values};
use quorate_model::value::Value;
use quorate_model::wire::Wire;
use quorate_model::{Consistency, TableId};
use quorate_node::{Frame, JobClass, RequestId};
use support::{Cluster, Seen, at};

/// A story under way.
struct Story {
    cluster: Cluster,
    watched: Vec<String>,
    /// Hints that each node holds for each other, as last told.
    hints: BTreeMap<(usize, usize), u64>,
    asked: BTreeMap<RequestId, usize>,
}

fn story(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interactions").join(name).with_extension("txt");
    let kept = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let told = tell(&kept);
    if std::env::var_os("QUORATE_REWRITE").is_some() {
        std::fs::write(&path, &told).unwrap();
    }
    same(&path, &kept, &told);
}

#[track_caller]
fn same(path: &Path, kept: &str, told: &str) {
    for (number, (kept, told)) in kept.lines().zip(told.lines()).enumerate() {
        assert_eq!(kept, told, "{}:{}: what happens differs from what is kept", path.display(), number + 1);
    }
    assert_eq!(kept.lines().count(), told.lines().count(), "{}: another end", path.display());
}

/// The commands and comments of a text, each command with what happens at it.
fn tell(kept: &str) -> String {
    let mut story =
        Story { cluster: Cluster::new(), watched: Vec::new(), hints: BTreeMap::new(), asked: BTreeMap::new() };
    let mut told = String::new();
    for line in kept.lines().filter(|line| !line.starts_with("  ")) {
        told.push_str(line);
        told.push('\n');
        if let Some(command) = line.strip_prefix("> ") {
            for happened in counted(story.command(command)) {
                told.push_str("  ");
                told.push_str(&happened);
                told.push('\n');
            }
        }
    }
    told
}

/// Equal neighbours as one line.
fn counted(lines: Vec<String>) -> Vec<String> {
    let mut counted: Vec<(String, usize)> = Vec::new();
    for line in lines {
        match counted.last_mut() {
            Some((last, count)) if *last == line => *count += 1,
            _ => counted.push((line, 1)),
        }
    }
    let line = |(line, count): (String, usize)| if count == 1 { line } else { format!("{line} ({count} times)") };
    counted.into_iter().map(line).collect()
}

fn name(index: usize) -> String {
    format!("n{}", index + 1)
}

/// The index of `n1`.
fn node(word: &str) -> usize {
    let number: usize = word.strip_prefix('n').and_then(|rest| rest.parse().ok()).unwrap_or_else(|| panic!("{word}?"));
    number - 1
}

impl Story {
    fn command(&mut self, command: &str) -> Vec<String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words[..] {
            ["cluster", count, ref settings @ ..] => self.begin(count.parse().unwrap(), settings),
            ["watch", ref what @ ..] => self.watched = what.iter().map(|&word| word.to_owned()).collect(),
            ["crash", which] => self.cluster.crash(node(which)),
            ["start", which] => self.cluster.start(node(which), 1),
            ["add"] => drop(self.cluster.add(1)),
            ["cut", one, other] => {
                self.cluster.cuts.extend([(node(one), node(other)), (node(other), node(one))]);
            }
            ["heal"] => self.cluster.cuts.clear(),
            ["flush", which] => self.flush(node(which)),
            ["wait", which, "ready"] => self.cluster.run_until(command, |cluster| cluster.is_ready(node(which))),
            ["wait", which, "counts", count] => {
                let count = count.parse().unwrap();
                self.cluster.run_until(command, |cluster| {
                    cluster.members[node(which)].node.as_ref().unwrap().shared.metrics.nodes_up.get() == count
                });
            }
            ["wait", "no", "hints"] => self.cluster.run_until(command, |cluster| held(cluster).is_empty()),
            ["power", "cuts", "in", "a", "flush", "of", which, ..] => {
                let (_, statement) = command.split_once(": ").expect("a statement");
                return self.power_cuts(node(which.trim_end_matches(':')), statement);
            }
            ["begin", ..] => drop(self.ask(command.trim_start_matches("begin "))),
            _ => self.requests(command),
        }
        self.cluster.settle();
        self.happened()
    }

    fn begin(&mut self, count: usize, settings: &[&str]) {
        for pair in settings.chunks(2) {
            match pair {
                ["tokens", tokens] => self.cluster.vnodes = tokens.parse().unwrap(),
                ["requests", requests] => self.cluster.requests_max = requests.parse().unwrap(),
                other => panic!("no setting: {other:?}"),
            }
        }
        for index in 0..count {
            self.cluster.add(1);
            self.cluster.run_until("it has joined", |cluster| cluster.is_ready(index));
        }
        // That all are metadata members takes a moment more.
        self.cluster.run_until("all are members", |cluster| {
            cluster
                .members
                .iter()
                .all(|member| member.node.as_ref().unwrap().shared.snapshot().metadata.members.len() == count.min(5))
        });
    }

    fn requests(&mut self, command: &str) {
        let begun = self.ask(command);
        self.cluster.run_until("answers", |cluster| begun.iter().all(|id| cluster.is_answered(*id)));
    }

    fn ask(&mut self, command: &str) -> Vec<RequestId> {
        let mut begun = Vec::new();
        for request in command.split(" || ") {
            let mut parts = request.splitn(3, ' ');
            let (which, level, text) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
            let level = Consistency::parse(level).unwrap_or_else(|| panic!("no command, and no level: {request}"));
            let body = RequestBody::Query { text: text.to_owned(), values: Values::default() };
            let id = self.cluster.begin(node(which), ClientRequest { body, keyspace: None, options: at(level) });
            self.asked.insert(id, node(which));
            begun.push(id);
        }
        begun
    }

    fn flush(&mut self, index: usize) {
        let body = RequestBody::Admin(AdminRequest::Flush { keyspace: None, tables: Vec::new() });
        let request = ClientRequest { body, keyspace: None, options: at(Consistency::One) };
        self.cluster.request(index, request).result.unwrap();
    }

    /// Lets the power fail in each operation of a flush in turn, until a flush comes to its end.
    fn power_cuts(&mut self, index: usize, statement: &str) -> Vec<String> {
        let mut told = Vec::new();
        for operation in 1.. {
            let disk = std::sync::Arc::clone(&self.cluster.members[index].disk);
            let jobs = self.cluster.members[index].node.as_ref().unwrap().shared.storage().flush_all();
            disk.crash_after(operation - 1);
            let ended = jobs.into_iter().all(|job| job.run_to_end().is_ok());
            disk.crash_never();
            let ended = ended && !disk.power_lost();
            self.cluster.crash(index);
            self.cluster.start(index, 1);
            self.cluster.run_until("it serves again", |cluster| cluster.is_ready(index));
            let found = self.cluster.query(index, statement, at(Consistency::One));
            let found = answer(&found);
            if ended {
                told.push(format!("the flush took {} operations; after a start: {found}", operation - 1));
                break;
            }
            told.push(format!("the power fails in the flush; after a start: {found}"));
        }
        self.cluster.seen.clear();
        told
    }

    /// What was seen since the last time, in words.
    fn happened(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        for seen in std::mem::take(&mut self.cluster.seen) {
            told.extend(self.words(&seen));
        }
        let held = held(&self.cluster);
        for (&(holder, target), &count) in &held {
            if self.hints.get(&(holder, target)) != Some(&count) {
                told.push(format!(
                    "{} keeps {count} hint{} for {}",
                    name(holder),
                    if count == 1 { "" } else { "s" },
                    name(target)
                ));
            }
        }
        for (holder, target) in self.hints.keys().filter(|pair| !held.contains_key(pair)) {
            told.push(format!("{} keeps no hint for {} any more", name(*holder), name(*target)));
        }
        self.hints = held;
        told
    }

    fn watches(&self, what: &str) -> bool {
        self.watched.iter().any(|word| word == what)
    }

    fn words(&self, seen: &Seen) -> Option<String> {
        match seen {
            Seen::Frame { from, to, frame, arrived } => {
                let words = self.frame(&Frame::from_bytes(frame).expect("a frame"))?;
                let lost = if *arrived { "" } else { " (lost)" };
                Some(format!("{} → {}  {words}{lost}", name(*from), name(*to)))
            }
            Seen::Synced(index) => self.watches("requests").then(|| format!("{} syncs its log", name(*index))),
            Seen::Answered(index, id) => {
                self.asked.get(id)?;
                Some(format!("{} → client  {}", name(*index), answer(&self.cluster.replies.get(id)?.result)))
            }
            Seen::Began(index, JobClass::Flush) => Some(format!("{} flushes a memtable", name(*index))),
            Seen::Began(..) => None,
            Seen::Applied(index, epoch) => {
                self.watches("metadata").then(|| format!("{} is at epoch {epoch}", name(*index)))
            }
        }
    }

    fn frame(&self, frame: &Frame) -> Option<String> {
        match frame {
            Frame::Request(envelope) if self.watches("requests") => Some(match &envelope.body {
                ReplicaRequest::Write(mutation) => format!("write {}", self.table(mutation.mutation.table)),
                ReplicaRequest::Repair(mutation) => format!("repair {}", self.table(mutation.mutation.table)),
                ReplicaRequest::Read { command, digest_only: false } => format!("read {}", self.table(command.table)),
                ReplicaRequest::Read { command, digest_only: true } => format!("digest {}", self.table(command.table)),
                ReplicaRequest::ReadRemains(command) => format!("read remains of {}", self.table(command.table)),
            }),
            Frame::Response(envelope) if self.watches("requests") => Some(match &envelope.body {
                ReplicaResponse::Written => "written".to_owned(),
                ReplicaResponse::Data(data) => {
                    let rows: usize = data.partitions.iter().map(|(_, partition)| partition.rows.len()).sum();
                    format!("data: {}", plural(rows, "row"))
                }
                ReplicaResponse::Digest(_) => "a digest".to_owned(),
                ReplicaResponse::Failed(failure) => format!("failed: {failure}"),
            }),
            Frame::Log(frame) if self.watches("metadata") => Some(log_message(&frame.message)),
            _ => None,
        }
    }

    fn table(&self, id: TableId) -> String {
        let nodes = self.cluster.members.iter().filter_map(|member| member.node.as_ref());
        let mut snapshots = nodes.map(|node| node.shared.snapshot());
        let found = snapshots.find_map(|snapshot| {
            snapshot.table(id).map(|placed| format!("{}.{}", placed.table.keyspace, placed.table.name))
        });
        found.unwrap_or_else(|| "a table that is gone".to_owned())
    }
}

fn log_message(message: &LogMessage) -> String {
    match message {
        LogMessage::Prepare { slot, ballot } => format!("prepare epoch {slot}, round {}", ballot.round),
        LogMessage::Promise { slot, ballot, accepted } => {
            let accepted = if accepted.is_some() { ", with what was accepted before" } else { "" };
            format!("promise epoch {slot}, round {}{accepted}", ballot.round)
        }
        LogMessage::Accept { slot, ballot, .. } => format!("accept for epoch {slot}, round {}", ballot.round),
        LogMessage::Accepted { slot, ballot } => format!("accepted for epoch {slot}, round {}", ballot.round),
        LogMessage::Refuse { slot, ballot, promised } => {
            format!("refuse epoch {slot}, round {}: round {} is promised", ballot.round, promised.round)
        }
        LogMessage::Fetch { from } => format!("fetch from epoch {from} on"),
        LogMessage::Entries { entries, latest } => {
            format!("{} decided, up to epoch {latest}", plural(entries.len(), "entry"))
        }
        LogMessage::Snapshot(metadata) => format!("everything, as of epoch {}", metadata.epoch),
    }
}

fn plural(count: usize, word: &str) -> String {
    match (count, word.strip_suffix('y')) {
        (1, _) => format!("1 {word}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        _ => format!("{count} {word}s"),
    }
}

/// Hints that wait, by holder and target.
fn held(cluster: &Cluster) -> BTreeMap<(usize, usize), u64> {
    let mut held = BTreeMap::new();
    for (holder, member) in cluster.members.iter().enumerate() {
        let Some(node) = &member.node else { continue };
        for (target, other) in cluster.members.iter().enumerate() {
            let count = node.shared.storage().hints.pending(other.id).count;
            if count > 0 {
                held.insert((holder, target), count);
            }
        }
    }
    held
}

fn answer(result: &Result<Answer, RequestError>) -> String {
    match result {
        Ok(Answer::Rows(rows)) => {
            let decoded = support::decode(rows);
            let mut text = plural(decoded.len(), "row");
            for (index, row) in decoded.iter().enumerate() {
                let values: Vec<String> = row.iter().map(value).collect();
                let _ = write!(text, "{} ({})", if index == 0 { ":" } else { "," }, values.join(", "));
            }
            text
        }
        Ok(_) => "done".to_owned(),
        Err(error) => format!("error: {error}"),
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::BigInt(number) => number.to_string(),
        Value::Text(text) => format!("'{text}'"),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_write_with_a_dead_replica() {
    story("dead_replica");
}

#[test]
fn a_hints_life() {
    story("hint");
}

#[test]
fn a_read_repairs() {
    story("read_repair");
}

#[test]
fn a_node_joins() {
    story("join");
}

#[test]
fn two_changes_of_metadata_at_once() {
    story("metadata_conflict");
}

#[test]
fn a_partition_of_the_network() {
    story("partition");
}

#[test]
fn power_fails_in_a_flush() {
    story("flush_crash");
}

#[test]
fn more_requests_than_a_node_takes() {
    story("overload");
}

//! The end of a run: replicas side by side, and the report.

use quorate_model::key::{DecoratedKey, PartitionKey, Position};
use quorate_model::{ReadCommand, ReadTarget, RowChoice, Seconds, TableId};
use quorate_storage::Access;

use super::World;
use crate::checkers::{self, Replica};
use crate::history::Fate;
use crate::report::Report;

impl World {
    /// Compares what the replicas of each partition hold, tombstones included.
    pub(super) fn compare_replicas(&mut self) {
        let Some(running) = self.nodes.iter().find_map(|node| node.running.as_ref()) else { return };
        let snapshot = running.shared.snapshot();
        let Some(keyspace) = snapshot.metadata.schema.keyspaces.get("sim") else { return };
        let placements = snapshot.ring.placements(&keyspace.replication);
        let mut found = Vec::new();
        for (table, partitions) in [("main", self.knobs.mix.partitions), ("short", 8)] {
            let Some(id) = keyspace.tables.get(table).map(|table| table.id) else { continue };
            for pk in 0..partitions {
                let key =
                    quorate_ring::partitioner::decorate(PartitionKey(i32::from(pk).to_be_bytes().to_vec().into()));
                let nodes = &placements.replicas(key.token).current;
                let replicas: Vec<Replica> = nodes
                    .iter()
                    .filter_map(|id| self.ids.get(id).copied())
                    .map(|node| self.replica(node, id, key.clone()))
                    .collect();
                found.extend(checkers::converged(&format!("partition {pk} of {table}"), &replicas));
            }
        }
        for violation in found {
            self.blame(violation.checker, violation.text);
        }
    }

    fn replica(&self, node: usize, table: TableId, key: DecoratedKey) -> Replica {
        let command = ReadCommand {
            table,
            target: ReadTarget::Partition(key),
            slices: vec![(Position::START, Position::END)],
            reversed: false,
            row_limit: u32::MAX,
            per_partition_limit: u32::MAX,
            byte_limit: u32::MAX,
            // Before anything expires: the stored content, not a view of it.
            now: Seconds(i64::MIN),
            rows: RowChoice::All,
        };
        let Some(running) = &self.nodes[node].running else {
            return Replica { node, content: Err("it is down".to_owned()), shown: String::new() };
        };
        let answer = running.shared.storage().read(&command, Access::Disk);
        let shown = answer.as_ref().map(|answer| format!("{:?}", answer.partitions)).unwrap_or_default();
        Replica { node, content: answer.map(|answer| answer.digest()).map_err(|error| error.to_string()), shown }
    }

    pub(super) fn report(mut self, seed: u64) -> Report {
        if self.faults.has_rot {
            self.clients.history.distrust_one();
        }
        let history = &self.clients.history;
        self.judged.violations.extend(checkers::judge(history));
        let mut report = Report {
            seed,
            trace_hash: self.trace.digest(),
            events: self.trace.events,
            virtual_ns: self.now,
            crashes: self.judged.crashes,
            stops: self.judged.stops,
            faults: self.faults.counts,
            violations: self.judged.violations,
            ..Report::default()
        };
        for record in &history.records {
            let outcome = match record.fate {
                Fate::Acked => "acked",
                Fate::Refused => "refused",
                Fate::Unknown | Fate::InFlight => "unknown",
            };
            *report.operations.entry(outcome).or_default() += 1;
        }
        report
    }
}

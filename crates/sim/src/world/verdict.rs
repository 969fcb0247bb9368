//! The end of a run: replicas side by side, and the report.

use quorate_model::key::{DecoratedKey, PartitionKey, Position};
use quorate_model::{ReadCommand, ReadResponse, ReadTarget, RowChoice, Seconds, TableId};
use quorate_storage::{Access, ReadError};

use super::World;
use crate::checkers::{self, Replica};
use crate::history::Fate;
use crate::limits::SIDE_PARTITIONS;
use crate::report::Report;

impl World {
    /// Compares what the replicas of each partition hold, tombstones included.
    pub(super) fn compare_replicas(&mut self) {
        let mut found = Vec::new();
        let sides = if self.knobs.mix.asides > 0 { SIDE_PARTITIONS } else { 0 };
        for (table, partitions) in
            [("main", self.knobs.mix.partitions), ("short", 8), ("tied", sides), ("stamped", sides)]
        {
            for pk in 0..partitions {
                let Some((nodes, id, key)) = self.placement(table, pk) else { continue };
                let replicas: Vec<Replica> =
                    nodes.into_iter().map(|node| self.replica(node, id, key.clone())).collect();
                found.extend(checkers::converged(&format!("partition {pk} of {table}"), &replicas));
            }
        }
        for violation in found {
            self.blame(violation.checker, violation.text);
        }
    }

    /// Looks at the schema that is left.
    pub(super) fn judge_comment(&mut self) {
        let Some(running) = self.nodes.iter().find_map(|node| node.running.as_ref()) else { return };
        let snapshot = running.shared.snapshot();
        let keyspace = snapshot.metadata.schema.keyspaces.get("sim");
        let Some(table) = keyspace.and_then(|keyspace| keyspace.tables.get("main")) else { return };
        if let Some(violation) = checkers::comment_is_kept(&self.clients.history, &table.options.comment) {
            self.blame(violation.checker, violation.text);
        }
    }

    /// The nodes that hold a partition, its table and its key.
    pub(super) fn placement(&self, table: &str, pk: u16) -> Option<(Vec<usize>, TableId, DecoratedKey)> {
        let running = self.nodes.iter().find_map(|node| node.running.as_ref())?;
        let snapshot = running.shared.snapshot();
        let keyspace = snapshot.metadata.schema.keyspaces.get("sim")?;
        let id = keyspace.tables.get(table)?.id;
        let key = quorate_ring::partitioner::decorate(PartitionKey(i32::from(pk).to_be_bytes().to_vec().into()));
        let placements = snapshot.ring.placements(&keyspace.replication);
        let nodes = &placements.replicas(key.token).current;
        let nodes = nodes.iter().filter_map(|id| self.ids.get(id).copied()).collect();
        Some((nodes, id, key))
    }

    /// What a node has stored of a partition; `None` if it is down.
    pub(super) fn stored(
        &self,
        node: usize,
        table: TableId,
        key: DecoratedKey,
    ) -> Option<Result<ReadResponse, ReadError>> {
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
        let running = self.nodes[node].running.as_ref()?;
        Some(running.shared.storage().read(&command, Access::Disk))
    }

    fn replica(&self, node: usize, table: TableId, key: DecoratedKey) -> Replica {
        let Some(answer) = self.stored(node, table, key) else {
            return Replica { node, content: Err("it is down".to_owned()), shown: String::new() };
        };
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
            joins: self.director.joined() as u64,
            changes: self.judged.changes,
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

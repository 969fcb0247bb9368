//! What a joining node does next: a pure function of the metadata and of what is already copied, so that a join goes on
//! where it stood after any crash.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::{Epoch, NodeId, TableId, TokenRange};
use quorate_ring::{MovementPhase, NodeState, Placements, range_transfers};

use crate::metadata::{Change, ClusterMetadata};

/// What the planner has to know beyond the metadata.
#[derive(Clone, Debug, Default)]
pub struct JoinProgress {
    /// The last epoch that each node is known to have applied, from gossip; kept also for nodes that are down, for what
    /// was applied stays applied.
    pub applied: BTreeMap<NodeId, Epoch>,
    /// Who is alive.
    pub live: BTreeSet<NodeId>,
    /// Keys ([`CopyTask::key`]) of the tasks that are done, durably.
    pub copied: BTreeSet<Vec<u8>>,
}

/// One range of one table to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyTask {
    /// The epoch at which the join began: a later attempt copies again.
    pub epoch: Epoch,
    /// The table.
    pub table: TableId,
    /// The tokens.
    pub range: TokenRange,
    /// Whom to copy from.
    pub source: NodeId,
    /// Others that are just as good.
    pub alternatives: Vec<NodeId>,
}

/// Keys of finished tasks in the system store start with this.
pub const COPIED_PREFIX: &[u8] = b"join/";

impl CopyTask {
    /// Names the task in the system store.
    pub fn key(&self) -> Vec<u8> {
        let mut key = COPIED_PREFIX.to_vec();
        key.extend_from_slice(&self.epoch.0.to_be_bytes());
        key.extend_from_slice(&self.table.0);
        key.extend_from_slice(&self.range.start.0.to_be_bytes());
        key.extend_from_slice(&self.range.end.0.to_be_bytes());
        key
    }
}

/// The next step of a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinStep {
    /// Allot tokens and propose [`Change::JoinPrepare`].
    Prepare,
    /// Another node is joining: wait for it.
    AwaitOther(NodeId),
    /// Wait until these nodes have applied the epoch.
    AwaitApplied {
        /// The epoch.
        epoch: Epoch,
        /// Who has not, ascending.
        missing: Vec<NodeId>,
    },
    /// Copy these ranges.
    Copy(Vec<CopyTask>),
    /// Propose this change.
    Propose(Change),
    /// This node has joined.
    Done,
}

/// The next step of the join of node `me`.
///
/// Before reads move, and again before the old replicas are let go, everybody who may coordinate or serve a request of a
/// moving range must have applied the step before: all live nodes, and the old and new replicas of the moving ranges
/// also if they are down. Otherwise a majority of the old replicas, cut off together, could go on serving by the old
/// plan while the others go on by the new one.
pub fn next_step(metadata: &ClusterMetadata, me: NodeId, progress: &JoinProgress) -> JoinStep {
    let entry = metadata.topology.node(me);
    if entry.is_some_and(|entry| entry.state != NodeState::Joining) {
        return JoinStep::Done;
    }
    let Some(movement) = metadata.topology.movement else { return JoinStep::Prepare };
    if movement.node() != me {
        return JoinStep::AwaitOther(movement.node());
    }
    let placements = all_placements(metadata, me);
    let epoch = metadata.placement_epoch;
    let missing = not_applied(&placements, progress, epoch, me);
    if !missing.is_empty() {
        return JoinStep::AwaitApplied { epoch, missing };
    }
    match movement.phase() {
        MovementPhase::WriteBoth => {
            let mut tasks = copy_tasks(metadata, &placements, epoch);
            tasks.retain(|task| !progress.copied.contains(&task.key()));
            if tasks.is_empty() { JoinStep::Propose(Change::JoinReadNew(me)) } else { JoinStep::Copy(tasks) }
        }
        MovementPhase::ReadNew => JoinStep::Propose(Change::JoinFinish(me)),
    }
}

fn all_placements(metadata: &ClusterMetadata, me: NodeId) -> BTreeMap<String, Placements> {
    let keyspaces = metadata.schema.keyspaces.values();
    keyspaces
        .map(|keyspace| (keyspace.name.clone(), Placements::compute(&metadata.topology, &keyspace.replication, me)))
        .collect()
}

fn not_applied(
    placements: &BTreeMap<String, Placements>,
    progress: &JoinProgress,
    epoch: Epoch,
    me: NodeId,
) -> Vec<NodeId> {
    let mut needed = progress.live.clone();
    for (_, set) in placements.values().flat_map(Placements::ranges).filter(|(_, set)| set.next.is_some()) {
        needed.extend(set.write.iter());
    }
    needed.remove(&me);
    needed.into_iter().filter(|node| progress.applied.get(node).is_none_or(|applied| *applied < epoch)).collect()
}

fn copy_tasks(metadata: &ClusterMetadata, placements: &BTreeMap<String, Placements>, epoch: Epoch) -> Vec<CopyTask> {
    let mut tasks = Vec::new();
    for (name, placements) in placements {
        let Some(keyspace) = metadata.schema.keyspaces.get(name) else { continue };
        for transfer in range_transfers(placements) {
            for table in keyspace.tables.values() {
                tasks.push(CopyTask {
                    epoch,
                    table: table.id,
                    range: transfer.range,
                    source: transfer.source,
                    alternatives: transfer.alternatives.clone(),
                });
            }
        }
    }
    tasks
}

#[cfg(test)]
mod tests;

//! The operator's verbs.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_cql::system_tables::is_system_keyspace;
use quorate_membership::gossip::GossipKey;
use quorate_model::admin::{
    AdminAnswer, AdminRequest, ClusterStatus, NodeState as ShownState, NodeStatus, SnapshotInfo,
};
use quorate_model::request::{Answer, RequestError};
use quorate_model::schema::{Replication, Table};
use quorate_model::{NodeId, Seconds, TableId};
use quorate_ring::{NodeState, Placements, owned_shares};
use quorate_storage::{JobReport, Storage, StorageError, StorageJob};

use super::tables;
use super::{Control, Owner, Step};
use crate::internal::Message;
use crate::machine::{Job, JobClass, JobOutcome, MachineId, Output};
use crate::settings::table_settings;
use crate::shared::NodePhase;

/// What an operator's verb does to the storage, on a pool.
type AdminJob = Box<dyn FnOnce(&Storage) -> Result<AdminAnswer, RequestError> + Send>;

/// What an operator's job returns.
struct AdminDone {
    worker: MachineId,
    op: u64,
    result: Result<AdminAnswer, RequestError>,
}

impl Control {
    pub(super) fn admin(&mut self, step: &mut Step<'_>, worker: MachineId, op: u64, request: AdminRequest) {
        match self.answer_admin(step, worker, op, request) {
            Ok(Some(answer)) => self.admin_answered(step, worker, op, Ok(answer)),
            // A job is under way.
            Ok(None) => {}
            Err(error) => self.admin_answered(step, worker, op, Err(error)),
        }
    }

    fn answer_admin(
        &mut self,
        step: &mut Step<'_>,
        worker: MachineId,
        op: u64,
        request: AdminRequest,
    ) -> Result<Option<AdminAnswer>, RequestError> {
        let now = Seconds::from_micros(step.now.wall.0);
        let job: AdminJob = match request {
            AdminRequest::Status { keyspace } | AdminRequest::Ring { keyspace } => {
                return self.cluster_status(step, keyspace.as_deref()).map(|status| Some(AdminAnswer::Cluster(status)));
            }
            AdminRequest::Topology => {
                return self.cluster_status(step, None).map(|status| Some(AdminAnswer::Cluster(status)));
            }
            AdminRequest::Info => return Ok(Some(AdminAnswer::Properties(self.info(step)))),
            AdminRequest::DescribeCluster => return Ok(Some(AdminAnswer::Properties(self.describe_cluster(step)))),
            AdminRequest::Flush { keyspace, tables } => {
                let tables = self.select_tables(keyspace.as_deref(), &tables)?;
                Box::new(move |storage| run_jobs(tables.iter().flat_map(|table| storage.flush(table.id))))
            }
            AdminRequest::Compact { keyspace, tables } => {
                let tables = self.select_tables(keyspace.as_deref(), &tables)?;
                Box::new(move |storage| {
                    run_jobs(tables.iter().flat_map(|table| storage.flush(table.id)))?;
                    run_jobs(tables.iter().flat_map(|table| storage.major_compaction(table.id)))
                })
            }
            AdminRequest::Snapshot { tag, keyspace, table, skip_flush, ttl_seconds } => {
                let tables = self.select_tables(keyspace.as_deref(), table.as_slice())?;
                Box::new(move |storage| {
                    if !skip_flush {
                        run_jobs(tables.iter().flat_map(|table| storage.flush(table.id)))?;
                    }
                    let ids: Vec<TableId> = tables.iter().map(|table| table.id).collect();
                    storage.snapshot(&ids, &tag, ttl_seconds, now).map(|_| AdminAnswer::Done).map_err(failed)
                })
            }
            AdminRequest::ClearSnapshot { tag, keyspace } => {
                let tables = keyspace.map(|name| self.select_tables(Some(&name), &[])).transpose()?;
                Box::new(move |storage| {
                    let ids: Option<Vec<TableId>> = tables.map(|tables| tables.iter().map(|table| table.id).collect());
                    let cleared = storage.clear_snapshots(tag.as_deref(), ids.as_deref());
                    cleared.map(|_| AdminAnswer::Done).map_err(failed)
                })
            }
            AdminRequest::ListSnapshots => {
                let known = tables(self.log.metadata());
                Box::new(move |storage| list_snapshots(storage, &known))
            }
            AdminRequest::EnableAutoCompaction { keyspace, tables } => {
                return self.set_auto_compaction(keyspace.as_deref(), &tables, true).map(Some);
            }
            AdminRequest::DisableAutoCompaction { keyspace, tables } => {
                return self.set_auto_compaction(keyspace.as_deref(), &tables, false).map(Some);
            }
            AdminRequest::RefreshSizeEstimates => return Ok(Some(AdminAnswer::Done)),
            AdminRequest::GetTraceProbability => return Ok(Some(self.trace_probability())),
            AdminRequest::SetTraceProbability { probability: p } => return self.set_trace_probability(p).map(Some),
            AdminRequest::Drain => {
                self.shared.set_phase(NodePhase::Drained);
                Box::new(|storage| run_jobs(storage.flush_all().into_iter()))
            }
            AdminRequest::EnableBinary | AdminRequest::DisableBinary => {
                return Err(RequestError::invalid(
                    "opening or closing the CQL port of a running node is not supported yet",
                ));
            }
            AdminRequest::ReloadSsl | AdminRequest::GetLoggingLevels => {
                return Err(RequestError::invalid("this verb is answered by the server, not by the node"));
            }
        };
        let storage = Arc::clone(self.shared.storage());
        let work = move || JobOutcome(Box::new(AdminDone { worker, op, result: job(&storage) }));
        let id = Owner::Admin.tag(op);
        step.out.push(Output::Job(Job { id, class: JobClass::Compaction, work: Box::new(work) }));
        Ok(None)
    }

    pub(super) fn admin_job_done(&mut self, step: &mut Step<'_>, outcome: JobOutcome) {
        if let Ok(done) = outcome.0.downcast::<AdminDone>() {
            self.admin_answered(step, done.worker, done.op, done.result);
        }
    }

    fn admin_answered(
        &mut self,
        step: &mut Step<'_>,
        worker: MachineId,
        op: u64,
        result: Result<AdminAnswer, RequestError>,
    ) {
        self.to_worker(step, worker, Message::Done { op, result: result.map(Answer::Admin), warnings: Vec::new() });
    }

    /// The tables that a verb names: of one keyspace or of all, all of them or some.
    fn select_tables(&self, keyspace: Option<&str>, names: &[String]) -> Result<Vec<Arc<Table>>, RequestError> {
        let schema = &self.log.metadata().schema;
        let Some(keyspace) = keyspace else { return Ok(tables(self.log.metadata()).into_values().collect()) };
        let Some(found) = schema.keyspaces.get(keyspace) else {
            return Err(RequestError::invalid(format!("Keyspace [{keyspace}] does not exist.")));
        };
        if names.is_empty() {
            return Ok(found.tables.values().cloned().collect());
        }
        let find = |name: &String| {
            let table = found.tables.get(name).cloned();
            table.ok_or_else(|| RequestError::invalid(format!("Unknown keyspace/cf pair ({keyspace}.{name})")))
        };
        names.iter().map(find).collect()
    }

    fn trace_probability(&self) -> AdminAnswer {
        let present = format!("{:?}", self.shared.trace_probability.get());
        AdminAnswer::Properties(vec![("Current trace probability".to_owned(), present)])
    }

    fn set_trace_probability(&self, probability: f64) -> Result<AdminAnswer, RequestError> {
        let refused =
            || RequestError::invalid(format!("Trace probability must be between 0 and 1; {probability} is not"));
        self.shared.trace_probability.set(probability).then_some(AdminAnswer::Done).ok_or_else(refused)
    }

    fn set_auto_compaction(
        &self,
        keyspace: Option<&str>,
        names: &[String],
        enabled: bool,
    ) -> Result<AdminAnswer, RequestError> {
        for table in self.select_tables(keyspace, names)? {
            let settings = table_settings(&table.options);
            let settings = quorate_storage::TableSettings { auto_compaction: enabled, ..settings };
            self.shared.storage().configure_table(table.id, settings);
        }
        Ok(AdminAnswer::Done)
    }

    fn cluster_status(&self, step: &Step<'_>, keyspace: Option<&str>) -> Result<ClusterStatus, RequestError> {
        let metadata = self.log.metadata();
        let owns = self.ownership(keyspace)?;
        let reachable = self.reachable(step.now);
        let nodes = metadata.topology.nodes.values().map(|node| NodeStatus {
            id: node.id,
            address: node.ip().to_owned(),
            grpc_port: node.grpc_port,
            cql_port: node.cql_port,
            datacenter: node.datacenter.clone(),
            rack: node.rack.clone(),
            up: reachable.contains(&node.id),
            state: match node.state {
                NodeState::Normal => ShownState::Normal,
                NodeState::Joining => ShownState::Joining,
                NodeState::Leaving => ShownState::Leaving,
            },
            load_bytes: self.load_of(node.id),
            owns: owns.as_ref().map(|owns| owns.get(&node.id).copied().unwrap_or(0.0)),
            tokens: node.tokens.clone(),
        });
        Ok(ClusterStatus {
            cluster_name: metadata.name.clone(),
            cluster_id: metadata.cluster,
            epoch: metadata.epoch,
            nodes: nodes.collect(),
        })
    }

    fn load_of(&self, node: NodeId) -> Option<u64> {
        if node == self.me() {
            return Some(self.shared.storage().load_bytes());
        }
        self.gossip.as_ref()?.state(node)?.number(GossipKey::Load)
    }

    /// Each node's share: under a keyspace's replication, or under that of all keyspaces if they replicate alike, or of
    /// the bare ring if there are none.
    fn ownership(&self, keyspace: Option<&str>) -> Result<Option<BTreeMap<NodeId, f64>>, RequestError> {
        let metadata = self.log.metadata();
        let mut replications: Vec<&Replication> = match keyspace {
            Some(name) => match metadata.schema.keyspaces.get(name) {
                Some(found) => vec![&found.replication],
                None => return Err(RequestError::invalid(format!("The keyspace {name}, does not exist"))),
            },
            None => {
                let own = metadata.schema.keyspaces.values().filter(|found| !is_system_keyspace(&found.name));
                own.map(|found| &found.replication).collect()
            }
        };
        replications.dedup();
        let bare = Replication::Simple { factor: 1 };
        let replication = match replications.as_slice() {
            [] => &bare,
            [one] => *one,
            _ => return Ok(None),
        };
        Ok(Some(owned_shares(&Placements::compute(&metadata.topology, replication, self.me()))))
    }

    fn info(&self, step: &Step<'_>) -> Vec<(String, String)> {
        let config = &self.shared.config;
        let stats = self.shared.storage().stats();
        let lookups = stats.cache_hits + stats.cache_misses;
        let hit_rate = if lookups == 0 { 0.0 } else { stats.cache_hits as f64 / lookups as f64 };
        let serving = if self.life.is_serving() { "true" } else { "false" };
        let pairs = [
            ("ID", self.me().to_string()),
            ("Gossip active", "true".to_owned()),
            ("gRPC active", serving.to_owned()),
            ("Native Transport active", "false".to_owned()),
            ("Load", self.shared.storage().load_bytes().to_string()),
            ("Generation No", self.generation.to_string()),
            ("Uptime (seconds)", (step.now.mono.0 / 1_000_000_000).to_string()),
            ("Memtable bytes", stats.memtable_bytes.to_string()),
            ("Commit log bytes", stats.log_bytes.to_string()),
            ("SSTable bytes", stats.sstable_bytes.to_string()),
            ("Data Center", config.datacenter.clone()),
            ("Rack", config.rack.clone()),
            ("Block Cache", format!("{} bytes, {lookups} lookups, {hit_rate:.3} hit rate", stats.cache_bytes)),
            ("Epoch", self.log.epoch().to_string()),
            ("Token count", self.own_tokens().to_string()),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn own_tokens(&self) -> usize {
        self.log.metadata().topology.node(self.me()).map_or(0, |node| node.tokens.len())
    }

    fn describe_cluster(&self, step: &Step<'_>) -> Vec<(String, String)> {
        let metadata = self.log.metadata();
        let reachable = self.reachable(step.now);
        let address = |node: &NodeId| {
            metadata.topology.node(*node).map_or_else(|| node.to_string(), |entry| entry.ip().to_owned())
        };
        let list = |nodes: Vec<&NodeId>| nodes.into_iter().map(address).collect::<Vec<_>>().join(", ");
        let (up, down): (Vec<_>, Vec<_>) = metadata.topology.nodes.keys().partition(|node| reachable.contains(node));
        let pairs = [
            ("Name", metadata.name.clone()),
            ("Cluster ID", metadata.cluster.to_string()),
            ("Partitioner", "org.apache.cassandra.dht.Murmur3Partitioner".to_owned()),
            ("Epoch", metadata.epoch.to_string()),
            ("Metadata members", list(metadata.members.iter().collect())),
            ("Live nodes", list(up)),
            ("Unreachable nodes", list(down)),
            ("Keyspaces", metadata.schema.keyspaces.keys().cloned().collect::<Vec<_>>().join(", ")),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

fn run_jobs(jobs: impl Iterator<Item = StorageJob>) -> Result<AdminAnswer, RequestError> {
    for job in jobs {
        let _: JobReport = job.run_to_end().map_err(failed)?;
    }
    Ok(AdminAnswer::Done)
}

fn failed(error: StorageError) -> RequestError {
    RequestError::Server(error.to_string())
}

fn list_snapshots(storage: &Storage, known: &BTreeMap<TableId, Arc<Table>>) -> Result<AdminAnswer, RequestError> {
    let snapshots = storage.list_snapshots().map_err(failed)?.into_iter().map(|snapshot| {
        let table = known.get(&snapshot.table);
        SnapshotInfo {
            tag: snapshot.tag,
            keyspace: table.map_or_else(|| "(dropped)".to_owned(), |table| table.keyspace.clone()),
            table: table.map_or_else(|| snapshot.table.to_string(), |table| table.name.clone()),
            bytes: snapshot.bytes,
            created_at: snapshot.created_at.0.saturating_mul(1_000_000),
        }
    });
    Ok(AdminAnswer::Snapshots(snapshots.collect()))
}

//! Applying an entry: total and deterministic, the same on every node for all time. A rule here may be made looser or
//! stricter only for entries that no released version wrote.

use std::sync::Arc;

use quorate_model::schema::{Keyspace, Schema, Table, UserType};
use quorate_model::{ClusterId, Epoch, NodeId, TableId, Timestamp, Token};
use quorate_ring::limits::TOKENS_PER_NODE_MAX;
use quorate_ring::{Movement, MovementPhase, NodeEntry, NodeState, Topology};

use super::{Change, ClusterMetadata, Entry, Rejection};
use crate::limits::{MEMBERS_MAX, NAME_BYTES_MAX};

impl ClusterMetadata {
    /// Applies the entry of the next epoch. A change that makes no sense in this state is rejected: it changes nothing
    /// but the epoch.
    ///
    /// # Panics
    /// If the entry is not that of the next epoch.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Rejection> {
        assert_eq!(entry.epoch, self.epoch.next(), "entries are applied in order");
        let result = self.change(entry.epoch, &entry.proposal.change);
        self.epoch = entry.epoch;
        result
    }

    /// Whether a change would be accepted as the next one: for planning before proposing.
    pub fn accepts(&self, change: &Change) -> Result<(), Rejection> {
        self.clone().change(self.epoch.next(), change)
    }

    fn change(&mut self, epoch: Epoch, change: &Change) -> Result<(), Rejection> {
        if let Change::Found { cluster, name, first } = change {
            return self.found(epoch, *cluster, name, first);
        }
        if !self.is_founded() {
            return Err(Rejection::NotFounded);
        }
        match change {
            Change::Found { .. } => Err(Rejection::AlreadyFounded),
            Change::JoinPrepare(node) => self.join_prepare(epoch, node),
            Change::JoinReadNew(node) => {
                self.expect_phase(*node, MovementPhase::WriteBoth)?;
                let movement = Movement::Joining { node: *node, phase: MovementPhase::ReadNew };
                self.change_placements(epoch, |topology| topology.movement = Some(movement));
                Ok(())
            }
            Change::JoinFinish(node) => {
                self.expect_phase(*node, MovementPhase::ReadNew)?;
                self.change_placements(epoch, |topology| {
                    topology.movement = None;
                    if let Some(entry) = topology.nodes.get_mut(node) {
                        entry.state = NodeState::Normal;
                    }
                });
                Ok(())
            }
            Change::JoinAbort(node) => self.join_abort(epoch, *node),
            Change::SetMembers(members) => self.set_members(members),
            Change::UpdateNode { node, address, cql_port, grpc_port } => {
                self.update_node(epoch, *node, address, *cql_port, *grpc_port)
            }
            Change::PutKeyspace(keyspace) => self.put_keyspace(epoch, keyspace),
            Change::DropKeyspace(name) => self.drop_keyspace(epoch, name),
            Change::PutTable(table) => self.put_table(epoch, table),
            Change::DropTable { keyspace, name } => self.drop_table(epoch, keyspace, name),
            Change::Truncate { table, up_to } => self.truncate(*table, *up_to),
            Change::PutType(user_type) => self.put_type(epoch, user_type),
            Change::DropType { keyspace, name } => self.drop_type(epoch, keyspace, name),
        }
    }

    fn found(&mut self, epoch: Epoch, cluster: ClusterId, name: &str, first: &NodeEntry) -> Result<(), Rejection> {
        if self.is_founded() {
            return Err(Rejection::AlreadyFounded);
        }
        if cluster == ClusterId::default() {
            return Err(Rejection::NotFounded);
        }
        self.check_newcomer(first)?;
        check_name(name)?;
        self.cluster = cluster;
        self.name = name.to_owned();
        self.members = vec![first.id];
        let first = NodeEntry { state: NodeState::Normal, ..first.clone() };
        self.change_placements(epoch, |topology| {
            topology.nodes.insert(first.id, first);
        });
        Ok(())
    }

    fn join_prepare(&mut self, epoch: Epoch, node: &NodeEntry) -> Result<(), Rejection> {
        if let Some(movement) = self.topology.movement {
            return Err(Rejection::AlreadyMoving { node: movement.node() });
        }
        self.check_newcomer(node)?;
        let entry = NodeEntry { state: NodeState::Joining, ..node.clone() };
        self.change_placements(epoch, |topology| {
            topology.movement = Some(Movement::Joining { node: entry.id, phase: MovementPhase::WriteBoth });
            topology.nodes.insert(entry.id, entry);
        });
        Ok(())
    }

    fn check_newcomer(&self, node: &NodeEntry) -> Result<(), Rejection> {
        if self.topology.node(node.id).is_some() {
            return Err(Rejection::NodeExists { node: node.id });
        }
        if let Some(owner) = self.topology.node_at(&node.address) {
            return Err(Rejection::AddressInUse { address: node.address.clone(), owner: owner.id });
        }
        check_name(&node.datacenter)?;
        check_name(&node.rack)?;
        check_name(&node.address)?;
        let tokens = &node.tokens;
        let well_formed = (1..=TOKENS_PER_NODE_MAX).contains(&tokens.len())
            && tokens.is_sorted_by(|a, b| a < b)
            && tokens.first() != Some(&Token::MIN);
        if !well_formed || tokens.iter().any(|token| self.topology.token_owner(*token).is_some()) {
            return Err(Rejection::BadTokens { node: node.id });
        }
        Ok(())
    }

    fn expect_phase(&self, node: NodeId, phase: MovementPhase) -> Result<(), Rejection> {
        match self.topology.movement {
            Some(movement) if movement.node() == node && movement.phase() == phase => Ok(()),
            _ => Err(Rejection::WrongPhase { node }),
        }
    }

    fn join_abort(&mut self, epoch: Epoch, node: NodeId) -> Result<(), Rejection> {
        // Also after reads have moved: until the join is finished, the old replicas have had every write.
        if self.topology.movement.is_none_or(|movement| movement.node() != node) {
            return Err(Rejection::WrongPhase { node });
        }
        self.change_placements(epoch, |topology| {
            topology.movement = None;
            topology.nodes.remove(&node);
        });
        Ok(())
    }

    fn set_members(&mut self, members: &[NodeId]) -> Result<(), Rejection> {
        let mut sorted = members.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let joined = |node: &NodeId| self.topology.node(*node).is_some_and(|entry| entry.state != NodeState::Joining);
        if sorted.len() != members.len() || !(1..=MEMBERS_MAX).contains(&sorted.len()) || !sorted.iter().all(joined) {
            return Err(Rejection::BadMembers { max: MEMBERS_MAX });
        }
        self.members = sorted;
        Ok(())
    }

    fn update_node(
        &mut self,
        epoch: Epoch,
        node: NodeId,
        address: &str,
        cql_port: u16,
        grpc_port: u16,
    ) -> Result<(), Rejection> {
        if self.topology.node(node).is_none() {
            return Err(Rejection::UnknownNode { node });
        }
        check_name(address)?;
        let topology = Arc::make_mut(&mut self.topology);
        topology.epoch = epoch;
        for entry in topology.nodes.values_mut() {
            if entry.id == node {
                address.clone_into(&mut entry.address);
                entry.cql_port = cql_port;
                entry.grpc_port = grpc_port;
            } else if entry.address == address {
                // Nodes may swap addresses: the other one no longer listens here and will say where it does.
                entry.address.clear();
            }
        }
        Ok(())
    }

    fn put_keyspace(&mut self, epoch: Epoch, keyspace: &Keyspace) -> Result<(), Rejection> {
        let present = self.schema.keyspaces.get(&keyspace.name);
        let moves_data = present.is_some_and(|present| present.replication != keyspace.replication);
        if moves_data && let Some(movement) = self.topology.movement {
            return Err(Rejection::AlreadyMoving { node: movement.node() });
        }
        let tables = present.map(|present| present.tables.clone()).unwrap_or_default();
        let types = present.map(|present| present.types.clone()).unwrap_or_default();
        let keyspace = Arc::new(Keyspace { tables, types, ..keyspace.clone() });
        self.schema_mut(epoch).keyspaces.insert(keyspace.name.clone(), keyspace);
        if moves_data {
            self.placement_epoch = epoch;
        }
        Ok(())
    }

    fn drop_keyspace(&mut self, epoch: Epoch, name: &str) -> Result<(), Rejection> {
        if !self.schema.keyspaces.contains_key(name) {
            return Err(Rejection::UnknownKeyspace { keyspace: name.to_owned() });
        }
        if let Some(keyspace) = self.schema_mut(epoch).keyspaces.remove(name) {
            for table in keyspace.tables.values() {
                self.truncations.remove(&table.id);
                self.dropped.insert(table.id);
            }
        }
        Ok(())
    }

    fn put_table(&mut self, epoch: Epoch, table: &Table) -> Result<(), Rejection> {
        let Some(keyspace) = self.schema.keyspaces.get(&table.keyspace) else {
            return Err(Rejection::UnknownKeyspace { keyspace: table.keyspace.clone() });
        };
        if self.dropped.contains(&table.id) {
            return Err(Rejection::TableDropped { table: table.id });
        }
        let same_name = keyspace.tables.get(&table.name);
        let same_id = self.table_name(table.id);
        let conflict = same_name.is_some_and(|present| present.id != table.id)
            || same_id.is_some_and(|(keyspace, name)| keyspace != table.keyspace || name != table.name);
        if conflict {
            return Err(Rejection::TableConflict { keyspace: table.keyspace.clone(), table: table.name.clone() });
        }
        if let Some(keyspace) = self.schema_mut(epoch).keyspaces.get_mut(&table.keyspace) {
            Arc::make_mut(keyspace).tables.insert(table.name.clone(), Arc::new(table.clone()));
        }
        Ok(())
    }

    fn drop_table(&mut self, epoch: Epoch, keyspace: &str, name: &str) -> Result<(), Rejection> {
        let Some(present) = self.schema.keyspaces.get(keyspace) else {
            return Err(Rejection::UnknownKeyspace { keyspace: keyspace.to_owned() });
        };
        let Some(table) = present.tables.get(name) else { return Err(Rejection::UnknownTable) };
        self.truncations.remove(&table.id);
        self.dropped.insert(table.id);
        if let Some(keyspace) = self.schema_mut(epoch).keyspaces.get_mut(keyspace) {
            Arc::make_mut(keyspace).tables.remove(name);
        }
        Ok(())
    }

    fn put_type(&mut self, epoch: Epoch, user_type: &UserType) -> Result<(), Rejection> {
        check_name(&user_type.name)?;
        if !self.schema.keyspaces.contains_key(&user_type.keyspace) {
            return Err(Rejection::UnknownKeyspace { keyspace: user_type.keyspace.clone() });
        }
        if let Some(keyspace) = self.schema_mut(epoch).keyspaces.get_mut(&user_type.keyspace) {
            Arc::make_mut(keyspace).put_type(user_type.clone());
        }
        Ok(())
    }

    fn drop_type(&mut self, epoch: Epoch, keyspace: &str, name: &str) -> Result<(), Rejection> {
        let Some(present) = self.schema.keyspaces.get(keyspace) else {
            return Err(Rejection::UnknownKeyspace { keyspace: keyspace.to_owned() });
        };
        let Some(user_type) = present.types.get(name) else {
            return Err(Rejection::UnknownType { keyspace: keyspace.to_owned(), name: name.to_owned() });
        };
        let columns = present.tables.values().flat_map(|table| table.columns.iter().map(|column| &column.cql_type));
        let fields = present.types.values().flat_map(|other| other.fields.iter().map(|(_, field)| field));
        if columns.chain(fields).any(|cql_type| user_type.is_used_in(cql_type)) {
            return Err(Rejection::TypeInUse { keyspace: keyspace.to_owned(), name: name.to_owned() });
        }
        if let Some(keyspace) = self.schema_mut(epoch).keyspaces.get_mut(keyspace) {
            Arc::make_mut(keyspace).types.remove(name);
        }
        Ok(())
    }

    fn truncate(&mut self, table: TableId, up_to: Timestamp) -> Result<(), Rejection> {
        if self.table_name(table).is_none() {
            return Err(Rejection::UnknownTable);
        }
        let present = self.truncations.entry(table).or_insert(up_to);
        *present = up_to.max(*present);
        Ok(())
    }

    /// The keyspace and name of the table with this identity.
    fn table_name(&self, id: TableId) -> Option<(&str, &str)> {
        let mut tables = self.schema.keyspaces.values().flat_map(|keyspace| keyspace.tables.values());
        tables.find(|table| table.id == id).map(|table| (table.keyspace.as_str(), table.name.as_str()))
    }

    fn schema_mut(&mut self, epoch: Epoch) -> &mut Schema {
        let schema = Arc::make_mut(&mut self.schema);
        schema.epoch = epoch;
        schema
    }

    fn change_placements(&mut self, epoch: Epoch, change: impl FnOnce(&mut Topology)) {
        let topology = Arc::make_mut(&mut self.topology);
        topology.epoch = epoch;
        change(topology);
        self.placement_epoch = epoch;
    }
}

fn check_name(name: &str) -> Result<(), Rejection> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Rejection::BadName { max: NAME_BYTES_MAX });
    }
    Ok(())
}

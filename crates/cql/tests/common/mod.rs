//! A schema and partitions in memory, to run statements against.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use quorate_cql::system_tables::{NodeFact, NodeFacts};
use quorate_cql::*;
use quorate_model::request::{BoundValue, RequestError, Rows, Values};
use quorate_model::schema::Schema;
use quorate_model::wire::Wire;
use quorate_model::*;

/// A cluster of one, without replicas.
#[derive(Default)]
pub struct World {
    pub schema: Schema,
    pub data: BTreeMap<TableId, BTreeMap<DecoratedKey, Partition>>,
    pub now_us: i64,
    pub keyspace: Option<String>,
    next_table: u128,
}

pub fn token(key: &[u8]) -> Token {
    quorate_ring::partitioner::token(key)
}

pub fn facts() -> NodeFacts {
    let address = "127.0.0.1".parse().unwrap();
    NodeFacts {
        cluster_name: "test".into(),
        release_version: "5.0.6".into(),
        cql_version: "3.4.7".into(),
        native_protocol_version: "5".into(),
        partitioner: "org.apache.cassandra.dht.Murmur3Partitioner".into(),
        snitch: "DynamicEndpointSnitch".into(),
        schema_version: [1; 16],
        gossip_generation: 1,
        local: NodeFact {
            host_id: NodeId::from_u128(1),
            address,
            storage_port: 7000,
            native_address: address,
            native_port: 9042,
            datacenter: "datacenter1".into(),
            rack: "rack1".into(),
            tokens: vec![Token(5), Token(-3)],
        },
        peers: Vec::new(),
    }
}

impl World {
    pub fn new(statements: &[&str]) -> Self {
        let mut world = Self { now_us: 1_700_000_000_000_000, next_table: 1, ..Self::default() };
        for statement in statements {
            world.run(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        world
    }

    pub fn run(&mut self, text: &str) -> Result<Option<Rows>, RequestError> {
        self.run_with(text, &Values::default(), None)
    }

    pub fn run_with(
        &mut self,
        text: &str,
        values: &Values,
        page_size: Option<u32>,
    ) -> Result<Option<Rows>, RequestError> {
        self.now_us += 1_000_000;
        self.bind_with(text, values, page_size, None)
    }

    /// Runs a statement; if something has to be read before it, reads that and runs it again.
    fn bind_with(
        &mut self,
        text: &str,
        values: &Values,
        page_size: Option<u32>,
        prior: Option<&Prior>,
    ) -> Result<Option<Rows>, RequestError> {
        let plan = plan(&parse(text)?, &self.schema, self.keyspace.as_deref())?;
        let mut seed = 0u64;
        let mut random = || {
            seed += 1;
            seed
        };
        let mut context = BindContext {
            now: Seconds::from_micros(self.now_us),
            timestamp: Timestamp(self.now_us),
            partitioner: token,
            random: &mut random,
            page_size,
            prior,
        };
        match plan.bind(values, &mut context)? {
            Operation::Mutations(mutations) => {
                for mutation in mutations {
                    let table = self.data.entry(mutation.table).or_default();
                    table.entry(mutation.key).or_default().merge(&mutation.update);
                }
                Ok(None)
            }
            Operation::ReadFirst(commands) => {
                let mut prior = Prior::default();
                for command in &commands {
                    let partitions = self.data.get(&command.table).into_iter().flatten();
                    let partitions: Vec<_> = partitions.map(|(k, p)| (k.clone(), p.clone())).collect();
                    for (key, partition) in system_tables::read_virtual(command, &partitions) {
                        prior.add(command.table, key, &partition);
                    }
                }
                self.bind_with(text, values, page_size, Some(&prior))
            }
            Operation::Read(read) => Ok(Some(self.read(&read, &plan)?)),
            Operation::Schema(statement) => {
                self.next_table += 1;
                let context = SchemaContext {
                    new_table_id: TableId::from_u128(self.next_table),
                    datacenters: BTreeMap::from([("datacenter1".to_owned(), 1)]),
                    timestamp: Timestamp(self.now_us),
                };
                let outcome = statement.apply(&self.schema, &context)?;
                self.edit(outcome.edit);
                Ok(None)
            }
            Operation::Truncate(table) => {
                self.data.remove(&table.id);
                Ok(None)
            }
            Operation::Use(keyspace) => {
                self.keyspace = Some(keyspace);
                Ok(None)
            }
            Operation::Describe(request) => Ok(Some(request.rows(&self.schema, &facts())?)),
            Operation::Nothing => Ok(None),
        }
    }

    fn edit(&mut self, edit: SchemaEdit) {
        match edit {
            SchemaEdit::PutKeyspace(keyspace) => {
                self.schema.keyspaces.insert(keyspace.name.clone(), Arc::new(keyspace));
            }
            SchemaEdit::DropKeyspace(name) => {
                self.schema.keyspaces.remove(&name);
            }
            SchemaEdit::PutTable(table) => {
                let keyspace = Arc::make_mut(self.schema.keyspaces.get_mut(&table.keyspace).unwrap());
                keyspace.tables.insert(table.name.clone(), Arc::new(table));
            }
            SchemaEdit::DropTable { keyspace, name, .. } => {
                Arc::make_mut(self.schema.keyspaces.get_mut(&keyspace).unwrap()).tables.remove(&name);
            }
            SchemaEdit::PutType(user_type) => {
                Arc::make_mut(self.schema.keyspaces.get_mut(&user_type.keyspace).unwrap()).put_type(user_type);
            }
            SchemaEdit::DropType { keyspace, name } => {
                Arc::make_mut(self.schema.keyspaces.get_mut(&keyspace).unwrap()).types.remove(&name);
            }
            SchemaEdit::None => {}
        }
    }

    fn partitions(&self, plan: &Plan) -> Vec<(DecoratedKey, Partition)> {
        let table = plan.table().unwrap();
        match system_tables::virtual_partitions(table, &self.schema, &facts(), token) {
            Some(partitions) => partitions,
            None => self.data.get(&table.id).into_iter().flatten().map(|(k, p)| (k.clone(), p.clone())).collect(),
        }
    }

    fn read(&self, read: &ReadOperation, plan: &Plan) -> Result<Rows, RequestError> {
        let partitions = self.partitions(plan);
        let mut builder = ResultBuilder::new(read, None, None);
        let mut of_live = ResultBuilder::new(read, None, None);
        for command in &read.commands {
            for (key, partition) in system_tables::read_virtual(command, &partitions) {
                builder.push(&key, &partition, true)?;
                of_live.push_live(&key, live(&partition, command), true)?;
            }
        }
        let rows = builder.finish(read, None)?;
        same(&of_live.finish(read, None)?, &rows);
        Ok(rows)
    }

    /// All pages of a query, read a few rows at a time the way a node does.
    pub fn pages(&self, text: &str, page_size: u32) -> Vec<Rows> {
        let plan = plan(&parse(text).unwrap(), &self.schema, self.keyspace.as_deref()).unwrap();
        let mut random = || 1;
        let mut context = BindContext {
            now: Seconds::from_micros(self.now_us),
            timestamp: Timestamp(self.now_us),
            partitioner: token,
            random: &mut random,
            page_size: Some(page_size),
            prior: None,
        };
        let Operation::Read(read) = plan.bind(&Values::default(), &mut context).unwrap() else { panic!("no read") };
        let partitions = self.partitions(&plan);
        let mut pages = Vec::new();
        let mut progress = None;
        // Where reading goes on: command, partition, rows of it already read.
        let mut place = (0, 0, 0);
        loop {
            let mut builder = ResultBuilder::new(&read, Some(page_size), progress.clone());
            let mut of_live = ResultBuilder::new(&read, Some(page_size), progress.take());
            while !builder.is_full() && place.0 < read.commands.len() {
                let command = &read.commands[place.0];
                let found = system_tables::read_virtual(command, &partitions);
                let Some((key, partition)) = found.get(place.1) else {
                    place = (place.0 + 1, 0, 0);
                    continue;
                };
                // Where a page of groups ends is seen at the row behind it.
                let take = if read.is_grouped() { 1 } else { builder.rows_remaining() as usize };
                let mut part = partition.clone();
                let keys: Vec<ClusteringKey> = part.rows.keys().cloned().collect();
                let order: Vec<&ClusteringKey> =
                    if command.reversed { keys.iter().rev().collect() } else { keys.iter().collect() };
                let wanted: Vec<&ClusteringKey> = order.iter().skip(place.2).take(take).copied().collect();
                part.rows.retain(|key, _| wanted.contains(&key));
                let complete = place.2 + wanted.len() >= keys.len();
                let added = builder.push(key, &part, complete).unwrap();
                assert_eq!(of_live.push_live(key, live(&part, command), complete).unwrap(), added);
                assert_eq!(of_live.progress(), builder.progress());
                assert_eq!(of_live.has_refused(), builder.has_refused());
                if builder.has_refused() {
                    break;
                }
                place = if complete { (place.0, place.1 + 1, 0) } else { (place.0, place.1, place.2 + wanted.len()) };
            }
            progress = Some(builder.progress().clone());
            let exhausted = builder.is_exhausted() || place.0 >= read.commands.len();
            let page = builder.finish(&read, None).unwrap();
            same(&of_live.finish(&read, None).unwrap(), &page);
            pages.push(page);
            if exhausted {
                return pages;
            }
        }
    }

    /// Rows as text, for comparing.
    pub fn show(&mut self, text: &str) -> Vec<String> {
        show(&self.run(text).unwrap_or_else(|error| panic!("{text}: {error}")).expect("rows"))
    }
}

/// What a replica that is asked alone says of a partition.
fn live(partition: &Partition, command: &ReadCommand) -> LiveRows {
    let mut live = LiveRows { static_row: partition.static_row.clone(), ..LiveRows::default() };
    let rows = partition.rows.iter().filter(|(_, row)| row.is_live(command.now));
    let mut push = |(key, row): (&ClusteringKey, &Row)| live.rows.push(&key.0, EncodedRow(&row.to_bytes()));
    if command.reversed {
        rows.rev().for_each(&mut push)
    } else {
        rows.for_each(&mut push)
    }
    live
}

/// Both ways of building an answer give the same bytes.
fn same(of_live: &Rows, rows: &Rows) {
    assert_eq!((of_live.row_count, &of_live.data), (rows.row_count, &rows.data));
}

pub fn show(rows: &Rows) -> Vec<String> {
    let mut data = rows.data.clone();
    let mut shown = Vec::new();
    for _ in 0..rows.row_count {
        let mut columns = Vec::new();
        for spec in &rows.metadata.columns {
            let length = i32::from_be_bytes(data.split_to(4).as_ref().try_into().unwrap());
            let value = match usize::try_from(length) {
                Ok(length) => {
                    let bytes = data.split_to(length);
                    Value::decode(&spec.cql_type, &bytes).unwrap().to_cql_literal(&spec.cql_type)
                }
                Err(_) => "null".to_owned(),
            };
            columns.push(value);
        }
        shown.push(columns.join(" "));
    }
    assert!(data.is_empty());
    shown
}

pub fn int(value: i32) -> BoundValue {
    BoundValue::Bytes(Bytes::copy_from_slice(&value.to_be_bytes()))
}

//! The columns of `system_views` are those that a real Cassandra 5.0.6 shows in `system_virtual_schema.columns`
//! (`system_views.txt`, a line a column: table and name, kind, position, type).

use std::collections::{BTreeMap, BTreeSet};

use quorate_cql::system_tables;
use quorate_model::schema::ColumnKind;

#[test]
fn tables_have_cassandras_columns() {
    let mut wanted: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for line in include_str!("system_views.txt").lines() {
        let (table, column) = line.split_once('.').expect("table.column");
        wanted.entry(table).or_default().insert(column.to_owned());
    }
    let views = system_tables::keyspaces().find(|keyspace| keyspace.name == "system_views").expect("the keyspace");
    assert_eq!(views.tables.keys().map(String::as_str).collect::<Vec<_>>(), wanted.keys().copied().collect::<Vec<_>>());
    for (name, table) in &views.tables {
        let shown = table.columns.iter().map(|column| {
            let kind = match column.kind {
                ColumnKind::PartitionKey(at) => format!("partition_key {at}"),
                ColumnKind::Clustering(at, _) => format!("clustering {at}"),
                ColumnKind::Static => "static -1".to_owned(),
                ColumnKind::Regular => "regular -1".to_owned(),
            };
            format!("{} {kind} {}", column.name, column.cql_type)
        });
        assert_eq!(shown.collect::<BTreeSet<_>>(), wanted[name.as_str()], "{name}");
    }
}

//! Statements run end to end over partitions in memory.

mod common;

use common::{World, int, show};
use quorate_model::request::{BoundValue, RequestError, Values};

fn weather() -> World {
    World::new(&[
        "CREATE KEYSPACE k WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
        "USE k",
        "CREATE TABLE w (origin text, month int, hour int, kind text, temp double, note text static, \
         PRIMARY KEY ((origin, month), hour, kind)) WITH CLUSTERING ORDER BY (hour DESC, kind ASC)",
        "INSERT INTO w (origin, month, hour, kind, temp) VALUES ('EWR', 1, 1, 'a', 39.02)",
        "INSERT INTO w (origin, month, hour, kind, temp) VALUES ('EWR', 1, 1, 'b', 40)",
        "INSERT INTO w (origin, month, hour, kind, temp) VALUES ('EWR', 1, 2, 'a', 41)",
        "INSERT INTO w (origin, month, hour, kind, temp) VALUES ('EWR', 1, 3, 'a', 42)",
        "INSERT INTO w (origin, month, hour, kind, temp) VALUES ('JFK', 1, 3, 'a', 43)",
        "INSERT INTO w (origin, month, note) VALUES ('LGA', 1, 'empty')",
        "UPDATE w SET note = 'new' WHERE origin = 'EWR' AND month = 1",
    ])
}

#[test]
fn selects_slices_in_clustering_order_both_ways() {
    let mut world = weather();
    let select = "SELECT hour, kind FROM w WHERE origin = 'EWR' AND month = 1";
    assert_eq!(world.show(select), ["3 'a'", "2 'a'", "1 'a'", "1 'b'"]);
    assert_eq!(world.show(&format!("{select} ORDER BY hour ASC")), ["1 'b'", "1 'a'", "2 'a'", "3 'a'"]);
    assert_eq!(world.show(&format!("{select} AND hour > 1 AND hour <= 3")), ["3 'a'", "2 'a'"]);
    assert_eq!(world.show(&format!("{select} AND hour < 2")), ["1 'a'", "1 'b'"]);
    assert_eq!(world.show(&format!("{select} AND hour IN (1, 3, 7)")), ["3 'a'", "1 'a'", "1 'b'"]);
    assert_eq!(world.show(&format!("{select} AND hour = 1 AND kind > 'a'")), ["1 'b'"]);
    assert_eq!(world.show(&format!("{select} AND (hour, kind) > (1, 'a')")), ["3 'a'", "2 'a'", "1 'b'"]);
    assert_eq!(world.show(&format!("{select} AND (hour, kind) <= (1, 'b')")), ["1 'a'", "1 'b'"]);
    assert_eq!(world.show(&format!("{select} AND (hour, kind) IN ((3, 'a'), (1, 'b'))")), ["3 'a'", "1 'b'"]);
    assert_eq!(world.show(&format!("{select} LIMIT 2")), ["3 'a'", "2 'a'"]);
    assert!(world.show(&format!("{select} AND hour IN ()")).is_empty());
}

#[test]
fn shows_static_columns_and_partitions_without_rows() {
    let mut world = weather();
    let all = world.show("SELECT origin, hour, note FROM w");
    assert_eq!(all.len(), 6);
    assert!(all.contains(&"'LGA' null 'empty'".to_owned()));
    assert!(all.contains(&"'EWR' 3 'new'".to_owned()));
    let mut distinct = world.show("SELECT DISTINCT origin, month, note FROM w");
    distinct.sort();
    assert_eq!(distinct, ["'EWR' 1 'new'", "'JFK' 1 null", "'LGA' 1 'empty'"]);
    assert!(world.show("SELECT hour FROM w WHERE origin = 'LGA' AND month = 1 AND hour > 0").is_empty());
    assert_eq!(world.show("SELECT origin FROM w PER PARTITION LIMIT 1").len(), 3);
    assert_eq!(world.show("SELECT origin FROM w WHERE origin IN ('EWR', 'JFK') AND month IN (1, 2) LIMIT 5").len(), 5);
}

#[test]
fn pages_neither_skip_nor_repeat() {
    let mut world = weather();
    for query in [
        "SELECT * FROM w",
        "SELECT * FROM w LIMIT 5",
        "SELECT * FROM w PER PARTITION LIMIT 2",
        "SELECT DISTINCT origin, month FROM w",
        "SELECT * FROM w WHERE temp > 39.5 ALLOW FILTERING",
        "SELECT * FROM w WHERE temp > 39.5 PER PARTITION LIMIT 2 ALLOW FILTERING",
        "SELECT * FROM w WHERE origin = 'EWR' AND month = 1 ORDER BY hour ASC",
    ] {
        let whole = world.show(query);
        for page_size in 1..8 {
            let pages = world.pages(query, page_size);
            let (last, full) = pages.split_last().expect("at least one page");
            assert!(full.iter().all(|page| page.row_count == page_size), "{query} by {page_size}");
            assert!(last.row_count <= page_size);
            let joined: Vec<String> = pages.iter().flat_map(show).collect();
            assert_eq!(joined, whole, "{query} by {page_size}");
        }
    }
}

#[test]
fn aggregates() {
    let mut world = weather();
    assert_eq!(
        world.show("SELECT count(*), min(temp), max(hour), sum(hour) FROM w WHERE temp > 0 ALLOW FILTERING"),
        ["5 39.02 3 10"]
    );
    assert_eq!(world.show("SELECT COUNT(*) FROM w"), ["6"]);
    assert_eq!(world.show("SELECT count(temp), avg(hour) FROM w"), ["5 2"]);
    assert_eq!(
        world.show("SELECT count(*), sum(hour), max(temp) FROM w WHERE origin = 'X' AND month = 1"),
        ["0 0 null"]
    );
}

#[test]
fn in_with_order_by_sorts_over_partitions() {
    let mut world = weather();
    let query = "SELECT origin, hour FROM w WHERE origin IN ('EWR', 'JFK') AND month = 1 ORDER BY hour DESC LIMIT 3";
    let mut rows = world.show(query);
    rows.sort();
    assert_eq!(rows, ["'EWR' 2", "'EWR' 3", "'JFK' 3"]);
}

#[test]
fn deletes_rows_ranges_cells_and_partitions() {
    let mut world = weather();
    let key = "WHERE origin = 'EWR' AND month = 1";
    world.run(&format!("DELETE temp FROM w {key} AND hour = 3 AND kind = 'a'")).unwrap();
    assert_eq!(world.show(&format!("SELECT temp FROM w {key} AND hour = 3")), ["null"]);
    world.run(&format!("DELETE FROM w {key} AND hour = 3 AND kind = 'a'")).unwrap();
    world.run(&format!("DELETE FROM w {key} AND hour <= 1")).unwrap();
    assert_eq!(world.show(&format!("SELECT hour FROM w {key}")), ["2"]);
    world.run(&format!("DELETE FROM w USING TIMESTAMP 5 {key}")).unwrap();
    assert_eq!(world.show(&format!("SELECT hour FROM w {key}")), ["2"]);
    world.run(&format!("DELETE FROM w {key}")).unwrap();
    assert!(world.show(&format!("SELECT hour FROM w {key}")).is_empty());
}

#[test]
fn collections_are_replaced_and_changed_by_element() {
    let mut world = World::new(&[
        "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE k.c (a int PRIMARY KEY, l list<int>, s set<text>, m map<text, int>, f frozen<list<int>>, t tuple<int, text>)",
        "INSERT INTO k.c (a, l, s, m, f, t) VALUES (1, [3, 1], {'b', 'a', 'b'}, {'x': 1, 'a': 2}, [2, 1], (1, 'q'))",
    ]);
    let all = "SELECT l, s, m, f, t FROM k.c";
    assert_eq!(world.show(all), ["[3, 1] {'a', 'b'} {'a': 2, 'x': 1} [2, 1] (1, 'q')"]);
    world.run("UPDATE k.c SET l = [7, 8], l += [9], s += {'c'}, m['x'] = null WHERE a = 1").unwrap_err();
    world.run("UPDATE k.c SET l = [7, 8] + l, s += {'c'}, m['x'] = null, m['y'] = 5 WHERE a = 1").unwrap();
    world.run("UPDATE k.c SET l = l + [9], s = s - {'a'}, m = m - {'a'} WHERE a = 1").unwrap();
    assert_eq!(world.show("SELECT l, s, m FROM k.c"), ["[7, 8, 3, 1, 9] {'b', 'c'} {'y': 5}"]);
    world.run("UPDATE k.c SET l = [0], s = {}, m = null WHERE a = 1").unwrap();
    assert_eq!(world.show("SELECT l, s, m FROM k.c"), ["[0] null null"]);
    assert_eq!(world.show("SELECT a FROM k.c WHERE l CONTAINS 0 ALLOW FILTERING"), ["1"]);
    world.run("DELETE l FROM k.c WHERE a = 1").unwrap();
    assert_eq!(world.show("SELECT l FROM k.c"), ["null"]);
}

#[test]
fn inserts_leave_rows_and_updates_only_cells() {
    let mut world = World::new(&[
        "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE k.u (a int PRIMARY KEY, v int)",
        "INSERT INTO k.u (a, v) VALUES (1, null)",
        "UPDATE k.u SET v = 2 WHERE a = 2",
        "UPDATE k.u SET v = null WHERE a = 2",
        "INSERT INTO k.u (a, v) VALUES (3, 3) USING TTL 5",
        "INSERT INTO k.u (a, v) VALUES (4, 4) USING TIMESTAMP 77",
    ]);
    let mut rows = world.show("SELECT a, v, ttl(v), writetime(v) FROM k.u WHERE a IN (1, 2, 4)");
    rows.sort();
    assert_eq!(rows, ["1 null null null", "4 4 null 77"]);
    assert_eq!(world.show("SELECT a, ttl(v) FROM k.u WHERE a = 3"), ["3 2"]);
    world.now_us += 10_000_000;
    assert!(world.show("SELECT a FROM k.u WHERE a = 3").is_empty());
}

#[test]
fn binds_values_by_position_and_by_name() {
    let mut world = World::new(&[
        "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE k.b (a int, b int, v int, PRIMARY KEY (a, b))",
    ]);
    let insert = "INSERT INTO k.b (a, b, v) VALUES (?, ?, ?) USING TIMESTAMP ? AND TTL ?";
    let timestamp = BoundValue::Bytes(bytes::Bytes::copy_from_slice(&9i64.to_be_bytes()));
    let values = Values::Positional(vec![int(1), int(2), int(3), timestamp, BoundValue::Unset]);
    world.run_with(insert, &values, None).unwrap();
    let named = Values::Named(vec![("n".into(), int(1)), ("a".into(), int(1))]);
    let rows = world.run_with("SELECT v, writetime(v) FROM k.b WHERE a = :a LIMIT :n", &named, None).unwrap().unwrap();
    assert_eq!(show(&rows), ["3 9"]);
    let list = BoundValue::Bytes(bytes::Bytes::from_static(&[0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 2]));
    let values = Values::Positional(vec![int(1), list]);
    let rows = world.run_with("SELECT v FROM k.b WHERE a = ? AND b IN ?", &values, None).unwrap().unwrap();
    assert_eq!(show(&rows), ["3"]);
    for (values, message) in [
        (vec![int(1)], "Invalid amount of bind variables"),
        (vec![BoundValue::Null, int(1)], "Invalid null value in condition for column a"),
        (vec![BoundValue::Unset, int(1)], "Invalid unset value for column a"),
        (vec![BoundValue::Bytes(bytes::Bytes::from_static(&[1, 2, 3])), int(1)], "Expected 4 or 0 byte int (3)"),
    ] {
        let error = world.run_with("SELECT v FROM k.b WHERE a = ? AND b = ?", &Values::Positional(values), None);
        assert_eq!(error.unwrap_err().to_string(), message);
    }
    let plan = quorate_cql::plan(&quorate_cql::parse(insert).unwrap(), &world.schema, None).unwrap();
    assert_eq!(plan.partition_key_markers, [0]);
    let names: Vec<&str> = plan.parameters.columns.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "v", "[timestamp]", "[ttl]"]);
}

#[test]
fn batches_merge_by_partition() {
    let mut world = weather();
    world.run("BEGIN BATCH APPLY BATCH").unwrap();
    world
        .run("BEGIN BATCH INSERT INTO w (origin, month, hour, kind) VALUES ('X', 1, 1, 'a'); UPDATE w SET temp = 3 WHERE origin = 'X' AND month = 1 AND hour = 2 AND kind = 'a'; APPLY BATCH;")
        .unwrap();
    assert_eq!(world.show("SELECT hour, temp FROM w WHERE origin = 'X' AND month = 1"), ["2 3.0", "1 null"]);
    let two = "INSERT INTO w (origin, month, hour, kind) VALUES ('Y', 1, 1, 'a') INSERT INTO w (origin, month, hour, kind) VALUES ('Z', 1, 1, 'a')";
    let error = world.run(&format!("BEGIN BATCH {two} APPLY BATCH")).unwrap_err();
    assert!(matches!(error, RequestError::Invalid { .. }), "{error}");
    world.run(&format!("BEGIN UNLOGGED BATCH {two} APPLY BATCH")).unwrap();
    assert_eq!(world.show("SELECT hour FROM w WHERE origin IN ('Y', 'Z') AND month = 1"), ["1", "1"]);
}

#[test]
fn system_tables_show_the_schema_and_the_node() {
    let mut world = weather();
    assert_eq!(
        world.show("SELECT key, data_center, tokens, rpc_port FROM system.local WHERE key = 'local'"),
        ["'local' 'datacenter1' {'-3', '5'} 9042"]
    );
    assert!(world.show("SELECT * FROM system.peers_v2").is_empty());
    assert_eq!(
        world.show("SELECT column_name, clustering_order, kind, position, type FROM system_schema.columns WHERE keyspace_name = 'k' AND table_name = 'w'"),
        [
            "'hour' 'desc' 'clustering' 0 'int'",
            "'kind' 'asc' 'clustering' 1 'text'",
            "'month' 'none' 'partition_key' 1 'int'",
            "'note' 'none' 'static' -1 'text'",
            "'origin' 'none' 'partition_key' 0 'text'",
            "'temp' 'none' 'regular' -1 'double'",
        ]
    );
    assert_eq!(
        world.show("SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name IN ('k', 'system')").len(),
        2
    );
    assert_eq!(
        world.show("SELECT table_name, flags FROM system_schema.tables WHERE keyspace_name = 'k'"),
        ["'w' {'compound'}"]
    );
    let names: Vec<String> = world
        .run("SELECT * FROM system_schema.tables")
        .unwrap()
        .unwrap()
        .metadata
        .columns
        .iter()
        .map(|spec| spec.name.clone())
        .collect();
    assert_eq!(names[..4], ["keyspace_name", "table_name", "additional_write_policy", "allow_auto_snapshot"]);
    assert!(matches!(world.run("SELECT * FROM system_schema.scylla_tables"), Err(RequestError::Invalid { .. })));
    assert!(matches!(
        world.run("INSERT INTO system.peers (peer) VALUES ('127.0.0.1')"),
        Err(RequestError::Unauthorized(_))
    ));
}

#[test]
fn describes_what_would_make_it_again() {
    let mut world = World::new(&[
        "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE k.t (a int, b int, c int, d text, v int, l list<int>, m map<text,int>, z set<text>, s int static, fl frozen<list<int>>, PRIMARY KEY ((a), b, c)) WITH CLUSTERING ORDER BY (b DESC, c ASC)",
    ]);
    let rows = world.run("DESCRIBE KEYSPACE k").unwrap().unwrap();
    let text = String::from_utf8(rows.data.to_vec()).unwrap();
    assert!(text.contains("CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': '1'}  AND durable_writes = true;"));
    let expected = "CREATE TABLE k.t (\n    a int,\n    b int,\n    c int,\n    s int static,\n    d text,\n    fl frozen<list<int>>,\n    v int,\n    l list<int>,\n    m map<text, int>,\n    z set<text>,\n    PRIMARY KEY (a, b, c)\n) WITH CLUSTERING ORDER BY (b DESC, c ASC)\n    AND additional_write_policy = '99p'\n    AND allow_auto_snapshot = true\n    AND bloom_filter_fp_chance = 0.01\n    AND caching = {'keys': 'ALL', 'rows_per_partition': 'NONE'}\n    AND cdc = false\n    AND comment = ''\n    AND compaction = {'class': 'org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy', 'max_threshold': '32', 'min_threshold': '4'}\n    AND compression = {'chunk_length_in_kb': '16', 'class': 'org.apache.cassandra.io.compress.LZ4Compressor'}\n    AND memtable = 'default'\n    AND crc_check_chance = 1.0\n    AND default_time_to_live = 0\n    AND extensions = {}\n    AND gc_grace_seconds = 864000\n    AND incremental_backups = true\n    AND max_index_interval = 2048\n    AND memtable_flush_period_in_ms = 0\n    AND min_index_interval = 128\n    AND read_repair = 'BLOCKING'\n    AND speculative_retry = '99p';";
    assert!(text.contains(expected), "{text}");
    world.run("DROP TABLE k.t").unwrap();
    world.run(expected).unwrap();
    let again = world.run("DESCRIBE TABLE k.t").unwrap().unwrap();
    assert!(String::from_utf8(again.data.to_vec()).unwrap().contains(expected));
    let internals = world.run("DESCRIBE TABLE k.t WITH INTERNALS").unwrap().unwrap();
    assert!(String::from_utf8(internals.data.to_vec()).unwrap().contains("WITH ID = "));
}

#[test]
fn alters_tables_without_reviving_what_was_dropped() {
    let mut world = weather();
    world.run("ALTER TABLE w ADD (humid double, gust int)").unwrap();
    world.run("UPDATE w SET humid = 9 WHERE origin = 'EWR' AND month = 1 AND hour = 2 AND kind = 'a'").unwrap();
    let select = "SELECT humid FROM w WHERE origin = 'EWR' AND month = 1 AND hour = 2";
    assert_eq!(world.show(select), ["9.0"]);
    world.run("ALTER TABLE w DROP humid").unwrap();
    assert!(world.run(select).is_err());
    world.run("ALTER TABLE w ADD humid double").unwrap();
    assert_eq!(world.show(select), ["null"]);
    world.run("ALTER TABLE w RENAME kind TO sort AND hour TO h").unwrap();
    assert_eq!(world.show("SELECT h, sort FROM w WHERE origin = 'JFK' AND month = 1"), ["3 'a'"]);
    world.run("ALTER TABLE w WITH comment = 'x' AND gc_grace_seconds = 5").unwrap();
    assert_eq!(world.schema.table("k", "w").unwrap().options.gc_grace_seconds, 5);
}

#[test]
fn groups_are_whole_whatever_the_page() {
    let world = weather();
    let text = "SELECT origin, hour, count(*) FROM w GROUP BY origin, month, hour";
    let whole = world.pages(text, 1000);
    assert_eq!(whole.len(), 1);
    let mut rows = show(&whole[0]);
    rows.sort();
    assert_eq!(rows, ["'EWR' 1 2", "'EWR' 2 1", "'EWR' 3 1", "'JFK' 3 1", "'LGA' null 1"]);
    for size in [1, 2, 3] {
        let found: Vec<String> = world.pages(text, size).iter().flat_map(show).collect();
        assert_eq!(found, show(&whole[0]), "pages of {size}");
    }
    let limited: Vec<String> = world.pages(&format!("{text} LIMIT 2"), 1).iter().flat_map(show).collect();
    assert_eq!(limited, show(&whole[0])[..2]);
}

#[test]
fn json_comes_in_by_markers_too() {
    let mut world = weather();
    let json = |text: &str| Values::Positional(vec![BoundValue::Bytes(bytes::Bytes::copy_from_slice(text.as_bytes()))]);
    let insert = "INSERT INTO w JSON ? DEFAULT UNSET";
    let row = r#"{"origin": "SFO", "month": 2, "hour": 1, "kind": "a", "temp": 1.5}"#;
    world.run_with(insert, &json(row), None).unwrap();
    assert_eq!(world.show("SELECT hour, temp FROM w WHERE origin = 'SFO' AND month = 2"), ["1 1.5"]);
    for wrong in [r#"{"origin": "SFO"}"#, r#"{"nope": 1}"#, "[]", "{", "null"] {
        let error = world.run_with(insert, &json(wrong), None).unwrap_err();
        assert!(matches!(error, RequestError::Invalid { .. }), "{wrong}: {error}");
    }
}

#[test]
fn refuses_what_does_not_exist_yet_by_name() {
    let mut world = weather();
    for (text, named) in [
        ("CREATE MATERIALIZED VIEW v AS SELECT * FROM w PRIMARY KEY (hour, origin)", "MATERIALIZED VIEW"),
        ("CREATE OR REPLACE FUNCTION f(a int) CALLED ON NULL INPUT RETURNS int LANGUAGE java AS 'x'", "FUNCTION"),
        ("DROP ROLE x", "DROP ROLE"),
        ("GRANT SELECT ON w TO x", "GRANT"),
        ("LIST ROLES", "LIST"),
        ("INSERT INTO w (origin, month, hour, kind) VALUES ('a', 1, 1, 'a') IF NOT EXISTS", "IF"),
        ("UPDATE w SET temp = 1 WHERE origin = 'a' AND month = 1 AND hour = 1 AND kind = 'b' IF temp = 2", "IF"),
        ("DELETE FROM w WHERE origin = 'a' AND month = 1 AND hour = 1 AND kind = 'b' IF EXISTS", "IF"),
        ("CREATE AGGREGATE a(int) SFUNC f STYPE int", "AGGREGATE"),
        ("CREATE TRIGGER t ON w USING 'x'", "TRIGGER"),
        ("CREATE ROLE r WITH PASSWORD = 'x' AND LOGIN = true", "CREATE ROLE"),
        ("ALTER USER u WITH PASSWORD 'x'", "ALTER USER"),
        ("REVOKE ALL ON KEYSPACE k FROM r", "REVOKE"),
        ("CREATE TABLE n (id int PRIMARY KEY, c counter)", "Counter"),
    ] {
        let error = world.run(text).unwrap_err();
        assert!(matches!(error, RequestError::Invalid { .. }), "{text}: {error}");
        let message = error.to_string();
        assert!(message.contains(named) && message.contains("not supported yet"), "{text}: {message}");
    }
}

#[test]
fn bounds_nesting_and_points_at_the_place() {
    let deep = format!("SELECT * FROM k.t WHERE a = {}1{}", "[".repeat(5000), "]".repeat(5000));
    assert!(quorate_cql::parse(&deep).unwrap_err().to_string().contains("nested deeper"));
    let types = format!("CREATE TABLE k.t (a {}int{} PRIMARY KEY)", "list<".repeat(5000), ">".repeat(5000));
    assert!(quorate_cql::parse(&types).is_err());
    let parens = format!("SELECT * FROM k.t WHERE {}a = 1", "(".repeat(100_000));
    assert!(quorate_cql::parse(&parens).is_err());
    let minus = format!("SELECT * FROM k.t WHERE a = {}1", "- ".repeat(100_000));
    assert!(quorate_cql::parse(&minus).is_err());
    let mut world = weather();
    let Err(RequestError::Invalid { place: Some(place), .. }) = world.run("SELECT origin,\n  nope FROM w") else {
        panic!("no place")
    };
    assert_eq!((place.line, place.column, place.length), (2, 2, 4));
}

#[test]
fn token_ranges_cover_each_partition_once() {
    let mut world = weather();
    let all = world.show("SELECT token(origin, month) FROM w PER PARTITION LIMIT 1");
    assert_eq!(all.len(), 3);
    let middle = &all[1];
    let below = world.show(&format!("SELECT DISTINCT origin, month FROM w WHERE token(origin, month) <= {middle}"));
    let above = world.show(&format!("SELECT DISTINCT origin, month FROM w WHERE token(origin, month) > {middle}"));
    assert_eq!((below.len(), above.len()), (2, 1));
    let own = world.show("SELECT origin FROM w WHERE token(origin, month) >= token('JFK', 1) AND token(origin, month) <= token('JFK', 1)");
    assert_eq!(own, ["'JFK'"]);
    assert!(world.show("SELECT origin FROM w WHERE token(origin, month) < -9223372036854775808").is_empty());
}

#[test]
fn batched_appends_stay_in_their_order() {
    let world = World::new(&[
        "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE k.l (a int PRIMARY KEY, l list<int>)",
    ]);
    let append = "UPDATE k.l SET l = l + [1] WHERE a = 1";
    let plan = quorate_cql::plan(&quorate_cql::parse(append).unwrap(), &world.schema, None).unwrap();
    let mut sequence = 0;
    let mut places = Vec::new();
    for random in [9u64, 5, 7] {
        let mut random = || random;
        let mut context = quorate_cql::BindContext {
            now: quorate_model::Seconds(1),
            timestamp: quorate_model::Timestamp(1),
            partitioner: common::token,
            random: &mut random,
            page_size: None,
            prior: None,
        };
        let bound = plan.bind_next(&Values::default(), &mut context, &mut sequence).unwrap();
        let quorate_cql::Operation::Mutations(mutations) = bound else { panic!("no mutation") };
        let row = mutations[0].update.rows.values().next().unwrap().clone();
        let quorate_model::ColumnData::Complex { cells, .. } = &row.columns[0].1 else { panic!("no list") };
        places.extend(cells.keys().cloned());
    }
    assert!(places.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(sequence, 3);
}

#[test]
fn refuses_markers_that_nothing_reads() {
    let mut world = weather();
    let twice = "INSERT INTO w (origin, month, hour, kind) VALUES ('a', 1, 1, 'a') USING TTL ? AND TTL 3";
    assert!(matches!(world.run(twice), Err(RequestError::Invalid { .. })));
}

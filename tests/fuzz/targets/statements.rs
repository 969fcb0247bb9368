//! CQL as text: parsed, planned against a schema, bound, and executed over partitions in memory.
#![no_main]

#[path = "../../../crates/cql/tests/common/mod.rs"]
mod common;

use std::cell::RefCell;

use common::World;
use libfuzzer_sys::fuzz_target;
use quorate_cql::{is_complete, split_statements};

/// A schema with something of everything. The targets begin with it again and again: what statements have added goes.
fn world() -> World {
    World::new(&[
        "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TYPE k.u (a int, b text)",
        "CREATE TABLE k.t (a int, b int, c int, d text, v int, l list<int>, m map<text, int>, z set<text>, s int static, \
         fl frozen<list<int>>, u u, tu tuple<int, text>, ve vector<float, 3>, du duration, de decimal, bi varint, \
         PRIMARY KEY ((a), b, c)) WITH CLUSTERING ORDER BY (b DESC, c ASC)",
        "INSERT INTO k.t (a, b, c, d, v, l, m, z) VALUES (1, 1, 1, 'x', 1, [1, 2], {'a': 1}, {'b'})",
        "USE k",
    ])
}

thread_local! {
    static WORLD: RefCell<(u32, World)> = RefCell::new((0, world()));
}

fuzz_target!(|text: &str| {
    let _ = is_complete(text);
    let spans = split_statements(text);
    assert!(spans.windows(2).all(|pair| pair[0].end <= pair[1].start));
    WORLD.with_borrow_mut(|(age, world)| {
        let _ = world.run(text);
        *age += 1;
        if *age > 1_000 || world.data.len() > 8 || !world.schema.keyspaces.contains_key("k") {
            (*age, *world) = (0, self::world());
        }
    });
});

//! Values bound to markers: bytes of any length for a column of any type, written and read back, as JSON and as text too.
#![no_main]

#[path = "../../../crates/cql/tests/common/mod.rs"]
mod common;

use std::cell::RefCell;

use bytes::Bytes;
use common::World;
use libfuzzer_sys::fuzz_target;
use quorate_model::request::{BoundValue, Values};

const TYPES: &[&str] = &[
    "ascii", "bigint", "blob", "boolean", "date", "decimal", "double", "duration", "float", "inet", "int", "smallint", "text",
    "time", "timestamp", "timeuuid", "tinyint", "uuid", "varint", "list<int>", "set<text>", "map<text, varint>",
    "frozen<list<frozen<map<int, text>>>>", "tuple<int, text, frozen<set<duration>>>", "vector<float, 3>", "vector<text, 2>",
    "frozen<u>", "u",
];

thread_local! {
    static WORLD: RefCell<World> = RefCell::new({
        let mut world = World::new(&[
            "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
            "USE k",
            "CREATE TYPE u (a int, b list<text>)",
        ]);
        for (index, name) in TYPES.iter().enumerate() {
            // A type that the language refuses as a column is no target.
            let _ = world.run(&format!("CREATE TABLE t{index} (k int PRIMARY KEY, v {name})"));
        }
        world
    });
}

fuzz_target!(|data: &[u8]| {
    let [choice, bytes @ ..] = data else { return };
    let index = usize::from(*choice) % TYPES.len();
    let value = BoundValue::Bytes(Bytes::copy_from_slice(bytes));
    WORLD.with_borrow_mut(|world| {
        let insert = format!("INSERT INTO t{index} (k, v) VALUES (1, ?)");
        if world.run_with(&insert, &Values::Positional(vec![value.clone()]), None).is_ok() {
            for select in ["v", "JSON v", "writetime(v)", "to_json(v)", "cast(v AS text)", "v + v", "min(v)", "count(v)"] {
                let _ = world.run(&format!("SELECT {select} FROM t{index} WHERE k = 1"));
            }
        }
        let filter = format!("SELECT v FROM t{index} WHERE v = ? ALLOW FILTERING");
        let _ = world.run_with(&filter, &Values::Positional(vec![value.clone()]), None);
        let json = format!("INSERT INTO t{index} JSON ?");
        let _ = world.run_with(&json, &Values::Positional(vec![value]), None);
        world.data.clear();
    });
});

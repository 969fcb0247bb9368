//! What cannot be executed yet is understood all the same: it parses, and is refused by the name of what is missing.

mod common;

use common::World;
use quorate_model::request::RequestError;

/// Each feature's name, as the refusal says it, and statements that need it.
const REFUSED: &[(&str, &[&str])] = &[
    (
        "conditional",
        &[
            "INSERT INTO k.t (a, b) VALUES (1, 2) IF NOT EXISTS",
            "INSERT INTO k.t JSON '{\"a\": 1, \"b\": 2}' IF NOT EXISTS",
            "INSERT INTO k.t (a, b) VALUES (1, 2) IF NOT EXISTS USING TTL 5",
            "UPDATE k.t SET v = 1 WHERE a = 1 AND b = 1 IF EXISTS",
            "UPDATE k.t SET v = 1 WHERE a = 1 AND b = 1 IF v = 2",
            "UPDATE k.t SET v = 1 WHERE a = 1 AND b = 1 IF v != 2 AND d = 'x'",
            "UPDATE k.t SET v = 1 WHERE a = 1 AND b = 1 IF v IN (1, 2, 3)",
            "UPDATE k.t SET v = 1 WHERE a = 1 AND b = 1 IF v IN ?",
            "UPDATE k.t SET v = 1 WHERE a = 1 AND b = 1 IF v IN :names",
            "UPDATE k.t SET v = 1 WHERE a = 1 AND b = 1 IF v = null",
            "UPDATE k.t SET v = 1 WHERE a = 1 AND b = 1 IF v > 1 AND v <= 9",
            "UPDATE k.t SET v = 1 WHERE a = 1 AND b = 1 IF l[0] = 2",
            "UPDATE k.t SET v = 1 WHERE a = 1 AND b = 1 IF l[?] = ?",
            "UPDATE k.t SET v = 1 WHERE a = 1 AND b = 1 IF m['k'] > 1",
            "UPDATE k.t SET v = 1 WHERE a = 1 AND b = 1 IF m['k'] IN (1, 2)",
            "UPDATE k.t SET v = 1 WHERE a = 1 AND b = 1 IF l = [1, 2] AND z = {'a'}",
            "UPDATE k.t SET v = 1 WHERE a = 1 AND b = 1 IF u.a = 1",
            "UPDATE k.t SET v = 1 WHERE a = 1 AND b = 1 IF u.a IN (1, 2)",
            "UPDATE k.t SET v = 1 WHERE a = 1 AND b = 1 IF l CONTAINS 1",
            "UPDATE k.t USING TTL 10 SET v = 1 WHERE a = 1 AND b = 1 IF v = :x",
            "DELETE FROM k.t WHERE a = 1 AND b = 1 IF EXISTS",
            "DELETE FROM k.t WHERE a = 1 AND b = 1 IF v = 1",
            "DELETE v FROM k.t WHERE a = 1 AND b = 1 IF v = 1 AND d = 'x'",
            "BEGIN BATCH UPDATE k.t SET v = 1 WHERE a = 1 AND b = 1 IF v = 2; INSERT INTO k.t (a, b) VALUES (1, 3); APPLY BATCH",
            "BEGIN UNLOGGED BATCH INSERT INTO k.t (a, b) VALUES (1, 2) IF NOT EXISTS APPLY BATCH",
        ],
    ),
    (
        "counter",
        &[
            "CREATE TABLE k.c (a int PRIMARY KEY, n counter)",
            "CREATE TABLE k.c (a int, b int, n counter, s counter static, PRIMARY KEY (a, b))",
        ],
    ),
    (
        "materialized view",
        &[
            "CREATE MATERIALIZED VIEW k.mv AS SELECT * FROM k.t WHERE a IS NOT NULL AND b IS NOT NULL PRIMARY KEY (b, a)",
            "CREATE MATERIALIZED VIEW IF NOT EXISTS k.mv AS SELECT a, b, v FROM k.t WHERE a IS NOT NULL AND b > 3 AND v IS NOT NULL \
             PRIMARY KEY ((v, b), a) WITH CLUSTERING ORDER BY (a DESC) AND comment = 'x'",
            "ALTER MATERIALIZED VIEW k.mv WITH comment = 'y' AND gc_grace_seconds = 5",
            "ALTER MATERIALIZED VIEW IF EXISTS k.mv WITH comment = 'y'",
            "DROP MATERIALIZED VIEW k.mv",
            "DROP MATERIALIZED VIEW IF EXISTS k.mv",
        ],
    ),
    (
        "function",
        &[
            "CREATE FUNCTION k.f (x int) RETURNS NULL ON NULL INPUT RETURNS int LANGUAGE java AS 'return x;'",
            "CREATE OR REPLACE FUNCTION k.f (x int, y frozen<list<text>>) CALLED ON NULL INPUT RETURNS text LANGUAGE java AS $$ return \"x\"; $$",
            "CREATE FUNCTION IF NOT EXISTS k.f () CALLED ON NULL INPUT RETURNS map<int, text> LANGUAGE javascript AS 'x'",
            "DROP FUNCTION k.f",
            "DROP FUNCTION IF EXISTS k.f (int, text)",
        ],
    ),
    (
        "aggregate",
        &[
            "CREATE AGGREGATE k.g (int) SFUNC f STYPE int",
            "CREATE OR REPLACE AGGREGATE k.g (int) SFUNC f STYPE tuple<int, bigint> FINALFUNC h INITCOND (0, 0)",
            "CREATE AGGREGATE IF NOT EXISTS k.g (text, int) SFUNC f STYPE map<text, int> INITCOND {}",
            "DROP AGGREGATE k.g",
            "DROP AGGREGATE IF EXISTS k.g (int)",
        ],
    ),
    (
        "trigger",
        &[
            "CREATE TRIGGER tr ON k.t USING 'org.example.Trigger'",
            "CREATE TRIGGER IF NOT EXISTS tr ON k.t USING 'org.example.Trigger'",
            "DROP TRIGGER tr ON k.t",
            "DROP TRIGGER IF EXISTS tr ON k.t",
        ],
    ),
    (
        "role",
        &[
            "CREATE ROLE r",
            "CREATE ROLE IF NOT EXISTS r WITH PASSWORD = 'p' AND LOGIN = true AND SUPERUSER = false",
            "CREATE ROLE r WITH HASHED PASSWORD = 'h' AND OPTIONS = {'a': 'b'}",
            "CREATE ROLE r WITH ACCESS TO DATACENTERS {'dc1', 'dc2'}",
            "CREATE ROLE r WITH ACCESS TO ALL DATACENTERS AND LOGIN = true",
            "CREATE ROLE r WITH ACCESS FROM CIDRS {'c1'} AND OPTIONS = {}",
            "ADD IDENTITY IF NOT EXISTS 'i' TO ROLE r",
            "DROP IDENTITY IF EXISTS 'i'",
            "ALTER ROLE r WITH PASSWORD = 'p'",
            "ALTER ROLE IF EXISTS r WITH LOGIN = false",
            "DROP ROLE r",
            "DROP ROLE IF EXISTS r",
            "GRANT r TO s",
            "REVOKE r FROM s",
            "LIST ROLES",
            "LIST ROLES OF r NORECURSIVE",
        ],
    ),
    (
        "user",
        &[
            "CREATE USER u WITH PASSWORD 'p' SUPERUSER",
            "CREATE USER IF NOT EXISTS u NOSUPERUSER",
            "ALTER USER u WITH PASSWORD 'q' NOSUPERUSER",
            "DROP USER IF EXISTS u",
            "LIST USERS",
        ],
    ),
    (
        "permission",
        &[
            "GRANT SELECT ON k.t TO r",
            "GRANT ALL PERMISSIONS ON KEYSPACE k TO r",
            "GRANT ALL ON ALL KEYSPACES TO r",
            "GRANT EXECUTE ON FUNCTION k.f(int) TO r",
            "GRANT MODIFY, SELECT ON TABLE k.t TO r",
            "GRANT DESCRIBE ON ALL ROLES TO r",
            "GRANT UNMASK ON k.t TO r",
            "REVOKE AUTHORIZE ON ROLE s FROM r",
            "REVOKE ALL PERMISSIONS ON ALL TABLES IN KEYSPACE k FROM r",
            "LIST ALL PERMISSIONS",
            "LIST SELECT PERMISSION ON k.t OF r NORECURSIVE",
        ],
    ),
    (
        "mask",
        &[
            "CREATE TABLE k.masked (a int PRIMARY KEY, v text MASKED WITH DEFAULT)",
            "CREATE TABLE k.masked (a int PRIMARY KEY, v text MASKED WITH mask_inner(1, null))",
            "ALTER TABLE k.t ALTER d MASKED WITH mask_null()",
            "ALTER TABLE k.t ALTER d DROP MASKED",
        ],
    ),
    (
        "logged batch",
        &["BEGIN BATCH INSERT INTO k.t (a, b) VALUES (1, 2); INSERT INTO k.t (a, b) VALUES (2, 2); APPLY BATCH"],
    ),
];

#[test]
fn what_is_missing_is_refused_by_its_name() {
    let mut world = World::new(&[
        "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TYPE k.u (a int, b text)",
        "CREATE TABLE k.t (a int, b int, v int, d text, l list<int>, m map<text, int>, z set<text>, u u, PRIMARY KEY (a, b))",
    ]);
    let mut wrong = Vec::new();
    let mut count = 0;
    for (feature, statements) in REFUSED {
        for statement in *statements {
            count += 1;
            let named = |message: &str| {
                let message = message.to_lowercase();
                message.contains(feature) && message.contains("not supported yet")
            };
            match world.run(statement) {
                Err(RequestError::Invalid { message, .. }) if named(&message) => {}
                other => wrong.push(format!("{statement}\n   {other:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 80);
}

//! Statements with what a real Cassandra 5.0 says to them: the kind of error and its text, or `ok`. Where we differ on
//! purpose, the line after says what we say: `ours: …`.

mod common;

use common::World;
use quorate_model::request::RequestError;

fn kind(error: &RequestError) -> &'static str {
    match error {
        RequestError::Syntax { .. } => "Syntax",
        RequestError::Invalid { .. } => "Invalid",
        RequestError::FunctionFailure { .. } => "FunctionFailure",
        RequestError::Unauthorized(_) => "Unauthorized",
        RequestError::Configuration(_) => "Configuration",
        RequestError::AlreadyExists { .. } => "AlreadyExists",
        _ => "Server",
    }
}

fn answer(text: &str) -> String {
    let mut world = World::new(&[
        "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE k.t (a int, b int, c int, d text, v int, l list<int>, m map<text, int>, z set<text>, s int static, \
         fl frozen<list<int>>, PRIMARY KEY ((a), b, c)) WITH CLUSTERING ORDER BY (b DESC, c ASC)",
        "CREATE TABLE k.p (a int, b int, v text, PRIMARY KEY ((a, b)))",
    ]);
    match world.run_with(text, &Default::default(), Some(5000)) {
        Ok(_) => "ok".to_owned(),
        Err(error @ RequestError::AlreadyExists { .. }) => format!("{}: ", kind(&error)),
        Err(error) => format!("{}: {error}", kind(&error)),
    }
}

/// Whether ours is the answer wanted: `line <end>` is any place, for we say where the text ends and Cassandra does not.
fn matches(wanted: &str, got: &str) -> bool {
    match wanted.split_once("line <end>") {
        Some((before, after)) => {
            got.strip_prefix(before).is_some_and(|rest| rest.starts_with("line ") && rest.ends_with(after))
        }
        None => wanted == got,
    }
}

#[test]
fn says_what_cassandra_says() {
    let cases = include_str!("cassandra_answers.txt");
    let mut wrong = Vec::new();
    let mut count = 0;
    let mut lines = cases.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(statement) = line.strip_prefix("> ") else { continue };
        let mut wanted = lines.next().unwrap_or_default();
        if let Some(ours) = lines.peek().and_then(|line| line.strip_prefix("ours: ")) {
            wanted = ours;
        }
        count += 1;
        let got = answer(&statement.replace("\\n", "\n"));
        if !matches(wanted.trim_end(), got.trim_end()) {
            wrong.push(format!("> {statement}\n{wanted}\nours: {got}"));
        }
    }
    assert!(count > 250, "only {count} cases were read");
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}

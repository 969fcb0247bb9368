//! Statements in `answers/`, a file a theme, each run from an empty keyspace on, with what a real Cassandra 5.0 gives:
//! rows with names and types of columns and values as they are sent, or the error. Where we differ, on purpose or because
//! something is missing, lines `ours: …` after its answer say what we say; with QUORATE_UPDATE_OURS set, they are written
//! anew instead of compared. (`tests/differential/run.py` at the root asks any two servers the same.)
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::PathBuf;

use bytes::Bytes;
use common::World;
use quorate_model::request::{RequestError, Rows};
use quorate_model::{CqlType, Value};

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

/// A type as the wire has it: a frozen collection is a collection.
fn show_type(cql_type: &CqlType) -> String {
    let shown = |inner: &CqlType| show_type(inner);
    match cql_type {
        CqlType::List(element, _) => format!("list<{}>", shown(element)),
        CqlType::Set(element, _) => format!("set<{}>", shown(element)),
        CqlType::Map(key, value, _) => format!("map<{}, {}>", shown(key), shown(value)),
        CqlType::Tuple(fields) => {
            format!("frozen<tuple<{}>>", fields.iter().map(shown).collect::<Vec<_>>().join(", "))
        }
        CqlType::UserDefined { name, .. } => format!("frozen<{name}>"),
        CqlType::Vector(element, dimension) => {
            format!("org.apache.cassandra.db.marshal.VectorType<{}, {dimension}>", shown(element))
        }
        native => native.to_string(),
    }
}

fn show_value(value: Option<&Bytes>, cql_type: &CqlType) -> String {
    let Some(value) = value else { return "null".to_owned() };
    let whole = || Value::decode(cql_type, value).expect("a value").to_cql_literal(cql_type);
    match cql_type {
        CqlType::Text | CqlType::Ascii => {
            format!("'{}'", String::from_utf8_lossy(value).replace('\\', "\\\\").replace('\n', "\\n"))
        }
        CqlType::TinyInt | CqlType::SmallInt | CqlType::Int | CqlType::BigInt | CqlType::Varint | CqlType::Counter
            if !value.is_empty() =>
        {
            whole()
        }
        CqlType::Boolean if !value.is_empty() => (value[0] != 0).to_string(),
        _ => format!("0x{}", value.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

fn show_rows(rows: &Rows, unstable: bool) -> Vec<String> {
    let columns: Vec<String> =
        rows.metadata.columns.iter().map(|spec| format!("{} {}", spec.name, show_type(&spec.cql_type))).collect();
    let mut lines = vec![format!("| {}", columns.join(" | "))];
    let mut data = rows.data.clone();
    for _ in 0..rows.row_count {
        let mut values = Vec::new();
        for spec in &rows.metadata.columns {
            let length = i32::from_be_bytes(data.split_to(4).as_ref().try_into().unwrap());
            let value = usize::try_from(length).ok().map(|length| data.split_to(length));
            values.push(if unstable { "*".to_owned() } else { show_value(value.as_ref(), &spec.cql_type) });
        }
        lines.push(format!("= {}", values.join(" | ")));
    }
    lines
}

fn answer(world: &mut World, text: &str, unstable: bool) -> Vec<String> {
    match world.run(text) {
        Ok(Some(rows)) => show_rows(&rows, unstable),
        Ok(None) => vec!["ok".to_owned()],
        Err(error @ RequestError::AlreadyExists { .. }) => vec![format!("{}: ", kind(&error))],
        Err(error) => vec![format!("{}: {error}", kind(&error)).replace('\n', "\\n")],
    }
}

/// A case: the statement, Cassandra's answer, and ours where it differs.
struct Case {
    text: String,
    unstable: bool,
    theirs: Vec<String>,
    ours: Vec<String>,
}

fn cases(content: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in content.lines() {
        if line.starts_with("> ") || line.starts_with("~ ") {
            let (unstable, text) = (line.starts_with('~'), line[2..].to_owned());
            cases.push(Case { text, unstable, theirs: Vec::new(), ours: Vec::new() });
        } else if let Some(case) = cases.last_mut() {
            match line.strip_prefix("ours: ") {
                Some(ours) => case.ours.push(ours.to_owned()),
                None => case.theirs.push(line.to_owned()),
            }
        }
    }
    cases
}

/// Cassandra lists all signatures of a function, in no certain order: what comes before the list is compared.
fn without_signatures(line: &str) -> &str {
    line.split(" (known type signatures:").next().unwrap_or(line)
}

fn same(wanted: &[String], got: &[String]) -> bool {
    if let ([wanted], [got]) = (wanted, got) {
        // Cassandra has no place for the end of the text, and we do.
        let end = |line: &str| Some(line.strip_prefix("Syntax: line ")?.split_once(' ')?.1.to_owned());
        if wanted.contains("input '<EOF>'") {
            return end(wanted) == end(got);
        }
        return without_signatures(wanted) == got;
    }
    wanted == got
}

fn check(name: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/answers").join(name).with_extension("txt");
    let content = std::fs::read_to_string(&path).expect("the file of cases");
    let update = std::env::var_os("QUORATE_UPDATE_OURS").is_some();
    let mut world = World::new(&[]);
    let mut wrong = Vec::new();
    let mut written = String::new();
    let cases = cases(&content);
    for case in &cases {
        let got = answer(&mut world, &case.text, case.unstable);
        let wanted = if case.ours.is_empty() { &case.theirs } else { &case.ours };
        if !same(wanted, &got) {
            wrong.push(format!("> {}\n  wanted {wanted:#?}\n  got    {got:#?}", case.text));
        }
        written.push_str(&format!("{} {}\n", if case.unstable { "~" } else { ">" }, case.text));
        case.theirs.iter().for_each(|line| written.push_str(&format!("{line}\n")));
        if !same(&case.theirs, &got) {
            got.iter().for_each(|line| written.push_str(&format!("ours: {line}\n")));
        }
    }
    if update {
        std::fs::write(&path, written).expect("writing the file of cases");
        return;
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn user_types() {
    check("user_types");
}

#[test]
fn list_edits() {
    check("list_edits");
}

#[test]
fn elements() {
    check("elements");
}

#[test]
fn grouping() {
    check("grouping");
}

#[test]
fn json() {
    check("json");
}

#[test]
fn arithmetic() {
    check("arithmetic");
}

#[test]
fn casts() {
    check("casts");
}

#[test]
fn functions() {
    check("functions");
}

#[test]
fn restrictions() {
    check("restrictions");
}

#[test]
fn several_changes() {
    check("several_changes");
}

#[test]
fn indexes() {
    check("indexes");
}

#[test]
fn index_reads() {
    check("index_reads");
}

#[test]
fn storage_attached() {
    check("storage_attached");
}

#[test]
fn refused() {
    check("refused");
}

#[test]
fn leftovers() {
    check("leftovers");
}

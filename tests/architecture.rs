//! The layers hold: crates depend only on those they may, nothing below the edge touches the world, and files
//! and structs stay small.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each crate with the crates of ours that it may depend on.
const ALLOWED_EDGES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("env", &[]),
    ("ring", &["model"]),
    ("membership", &["model", "env", "ring"]),
    ("coordinator", &["model", "env", "ring"]),
    ("cql", &["model"]),
    ("cql-wire", &["model"]),
    ("proto", &["model"]),
    ("storage", &["model", "env"]),
    ("node", &["model", "env", "ring", "membership", "coordinator", "cql", "storage"]),
    ("os", &["env"]),
    (
        "server",
        &["model", "env", "ring", "membership", "coordinator", "cql", "cql-wire", "proto", "storage", "node", "os"],
    ),
    ("sim", &["model", "env", "ring", "membership", "coordinator", "cql", "storage", "node"]),
    ("client", &["model", "ring", "proto"]),
    ("shell", &["client", "cql", "cql-wire", "model"]),
    ("bench", &["client", "cql-wire", "proto", "model"]),
    ("admin", &["client", "proto", "model"]),
];

/// Crates of layers 0 to 3: they decide, they do not touch the world.
const PURE: &[&str] = &["model", "env", "ring", "membership", "coordinator", "cql", "cql-wire", "storage", "node"];

/// Packages that no pure crate may depend on, in any way. `proto` may use tonic's generated code, and is not pure here.
const WORLDLY: &[&str] = &["tokio", "tonic", "rand", "mio", "sled", "socket2", "hyper", "rustix"];

/// Source text that no pure crate may contain outside its tests.
const WORLDLY_TEXT: &[&str] =
    &["std::fs", "std::net::Tcp", "std::net::Udp", "Instant::now", "SystemTime", "std::thread", "std::process"];

/// Lines of a file before its tests, at most.
const FILE_LINES_MAX: usize = 600;

/// Half of all files have no more lines than this before their tests.
const FILE_LINES_MEDIAN_MAX: usize = 200;

/// Lines of a function, at most, but for one in a hundred.
const FUNCTION_LINES_MAX: usize = 70;

/// Fields of a struct, at most: beyond that it has parts that want names.
const STRUCT_FIELDS_MAX: usize = 15;

/// Structs that have more. The first four hold a setting a field; the machine owns everything of its own. This list may
/// only shrink.
const LARGE_STRUCTS: &[(&str, usize)] =
    &[("BenchArgs", 17), ("Knobs", 16), ("StorageOptions", 16), ("TableOptions", 17), ("Control", 17)];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Normal dependencies of every package of the workspace and beyond, by package name.
fn dependency_graph() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--workspace",
            "--edges",
            "normal",
            "--prefix",
            "depth",
            "--format",
            " {p}",
            "--no-dedupe",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .expect("cargo tree runs");
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut path: Vec<String> = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some((depth, package)) = line.split_once(' ') else { continue };
        let (Ok(depth), Some(name)) = (depth.parse::<usize>(), package.split_whitespace().next()) else { continue };
        path.truncate(depth);
        if let Some(parent) = path.last() {
            graph.entry(parent.clone()).or_default().insert(name.to_owned());
        }
        path.push(name.to_owned());
        graph.entry(name.to_owned()).or_default();
    }
    graph
}

#[test]
fn crates_depend_only_on_what_they_may() {
    let graph = dependency_graph();
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        ALLOWED_EDGES.iter().map(|(name, edges)| (*name, edges.iter().copied().collect())).collect();
    let mut seen = 0;
    for (package, dependencies) in &graph {
        let Some(name) = package.strip_prefix("quorate-") else { continue };
        let may = allowed.get(name).unwrap_or_else(|| panic!("the crate {name} is not in the table of allowed edges"));
        for dependency in dependencies {
            if let Some(dependency) = dependency.strip_prefix("quorate-") {
                assert!(may.contains(dependency), "{name} must not depend on {dependency}");
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "only {seen} edges between our crates were seen: the graph was not read");
}

#[test]
fn pure_crates_reach_no_package_that_touches_the_world() {
    let graph = dependency_graph();
    for name in PURE {
        let start = format!("quorate-{name}");
        assert!(graph.contains_key(&start), "{start} is not in the graph");
        let mut reached = BTreeSet::new();
        let mut queue = vec![start.clone()];
        while let Some(package) = queue.pop() {
            for next in graph.get(&package).into_iter().flatten() {
                if reached.insert(next.clone()) {
                    queue.push(next.clone());
                }
            }
        }
        for worldly in WORLDLY {
            assert!(!reached.contains(*worldly), "{name} reaches {worldly}");
        }
    }
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("folder is readable").flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// A file's lines up to its test module.
fn production_lines(text: &str) -> Vec<&str> {
    text.lines().take_while(|line| line.trim() != "#[cfg(test)]").collect()
}

/// Whether a file holds nothing but tests.
fn is_test_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name == "tests.rs" || name.ends_with("_tests.rs") || path.components().any(|part| part.as_os_str() == "tests")
}

#[test]
fn pure_crates_contain_no_real_time_files_or_sockets() {
    for name in PURE {
        let mut files = Vec::new();
        rust_files(&root().join("crates").join(name).join("src"), &mut files);
        assert!(!files.is_empty());
        for file in files.iter().filter(|file| !is_test_file(file)) {
            let text = fs::read_to_string(file).expect("source is readable");
            for (number, line) in production_lines(&text).iter().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                for worldly in WORLDLY_TEXT {
                    assert!(!code.contains(worldly), "{}:{}: {worldly}", file.display(), number + 1);
                }
            }
        }
    }
}

#[test]
fn files_stay_readable() {
    let mut files = Vec::new();
    rust_files(&root().join("crates"), &mut files);
    let mut counts = Vec::new();
    for file in files.iter().filter(|file| !is_test_file(file)) {
        let text = fs::read_to_string(file).expect("source is readable");
        let lines = production_lines(&text).len();
        assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines before its tests", file.display());
        counts.push(lines);
    }
    counts.sort_unstable();
    let median = counts[counts.len() / 2];
    assert!(median <= FILE_LINES_MEDIAN_MAX, "half of the {} files have over {median} lines", counts.len());
}

/// Functions with a body, and the lines that they take. The form is rustfmt's.
fn functions(lines: &[&str]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let text = line.trim_start();
        let qualifiers = ["pub ", "pub(crate) ", "pub(super) ", "const ", "async ", "unsafe "];
        let mut head = text;
        while let Some(rest) = qualifiers.iter().find_map(|qualifier| head.strip_prefix(qualifier)) {
            head = rest;
        }
        let Some(head) = head.strip_prefix("fn ") else { continue };
        let end = format!("{}}}", " ".repeat(line.len() - text.len()));
        let open = lines.iter().skip(number).position(|line| line.ends_with('{') || line.ends_with([';', '}']));
        if open.is_none_or(|open| !lines[number + open].ends_with('{')) {
            continue; // A declaration, or all on one line.
        }
        let name = head.split(['(', '<']).next().unwrap_or_default().to_owned();
        let length = lines.iter().skip(number).position(|line| **line == end).map_or(0, |body| body + 1);
        found.push((name, length));
    }
    found
}

#[test]
fn functions_stay_readable() {
    let mut files = Vec::new();
    rust_files(&root().join("crates"), &mut files);
    let (mut seen, mut long) = (0, Vec::new());
    for file in files.iter().filter(|file| !is_test_file(file)) {
        let text = fs::read_to_string(file).expect("source is readable");
        let functions = functions(&production_lines(&text));
        seen += functions.len();
        long.extend(functions.into_iter().filter(|(_, lines)| *lines > FUNCTION_LINES_MAX));
    }
    assert!(seen > 3000, "only {seen} functions were seen: the source was not read");
    assert!(long.len() * 100 <= seen, "of {seen} functions, these have over {FUNCTION_LINES_MAX} lines: {long:?}");
}

/// Structs with named fields, and how many they have. The form is rustfmt's, so that lines are enough to read it.
fn structs(lines: &[&str]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let Some(head) = line.strip_suffix(" {").and_then(|head| head.split_once("struct ")) else { continue };
        if !(head.0.trim().is_empty() || head.0.trim_start().starts_with("pub")) {
            continue;
        }
        let name = head.1.split(['<', ' ']).next().unwrap_or_default().to_owned();
        let end = format!("{}}}", " ".repeat(indent));
        let body = lines.iter().skip(number + 1).take_while(|line| **line != end);
        let is_field = |line: &&&str| {
            let text = line.trim_start();
            line.len() - text.len() == indent + 4
                && !text.starts_with(['#', '/'])
                && text.split_once(": ").is_some_and(|(name, _)| {
                    let name = name.rsplit(' ').next().unwrap_or_default();
                    name.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
                })
        };
        found.push((name, body.filter(is_field).count()));
    }
    found
}

#[test]
fn structs_stay_small() {
    let mut files = Vec::new();
    rust_files(&root().join("crates"), &mut files);
    let mut large = BTreeMap::new();
    let mut seen = 0;
    for file in files.iter().filter(|file| !is_test_file(file)) {
        let text = fs::read_to_string(file).expect("source is readable");
        for (name, fields) in structs(&production_lines(&text)) {
            seen += 1;
            if fields > STRUCT_FIELDS_MAX {
                large.insert(name, fields);
            }
        }
    }
    assert!(seen > 300, "only {seen} structs were seen: the source was not read");
    let allowed: BTreeMap<String, usize> =
        LARGE_STRUCTS.iter().map(|(name, fields)| ((*name).to_owned(), *fields)).collect();
    assert_eq!(large, allowed, "structs of more than {STRUCT_FIELDS_MAX} fields, and those that may have more");
}

#[test]
fn every_crate_opens_with_its_contract() {
    for (name, _) in ALLOWED_EDGES {
        let path = root().join("crates").join(name).join("src/lib.rs");
        let text = fs::read_to_string(&path).expect("lib.rs is readable");
        let contract = text.lines().take_while(|line| line.starts_with("//!")).count();
        assert!(contract >= 5, "{}: lib.rs opens with {contract} lines of contract", path.display());
    }
}

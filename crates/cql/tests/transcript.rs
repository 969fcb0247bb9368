//! A transcript of random writes and reads with the rows that a real Cassandra 5.0 gives, replayed here. Rows are compared
//! as sets where several partitions are read, for these tests have tokens of their own; in order within one partition.

mod common;

use common::{World, show};

#[test]
fn reads_give_the_rows_that_cassandra_gives() {
    let mut world = World::new(&[]);
    let mut wrong = Vec::new();
    let mut reads = 0;
    let mut lines = include_str!("cassandra_rows.txt").lines().peekable();
    while let Some(line) = lines.next() {
        let statement = line.strip_prefix("> ").expect("a statement");
        let mut wanted: Vec<String> = Vec::new();
        while let Some(row) = lines.next_if(|line| !line.starts_with("> ")) {
            wanted.push(row.strip_prefix("= ").unwrap_or(row).to_owned());
        }
        let mut got = match world.run(statement) {
            Ok(Some(rows)) => show(&rows),
            Ok(None) => Vec::new(),
            Err(_) if wanted == ["error"] => continue,
            Err(error) => vec![error.to_string()],
        };
        if !statement.contains("WHERE a = ") {
            wanted.sort();
            got.sort();
        }
        reads += usize::from(statement.starts_with("SELECT"));
        if wanted != got {
            wrong.push(format!("{statement}\n  wanted {wanted:?}\n  got    {got:?}"));
        }
    }
    assert!(reads > 100);
    assert!(wrong.is_empty(), "{} of {reads} differ:\n{}", wrong.len(), wrong.join("\n"));
}

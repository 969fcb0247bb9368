//! Broken statements: made from good ones by dropping, doubling, swapping and cutting tokens. Nothing panics, and what is
//! accepted can be planned and bound or is refused in turn.

mod common;

use common::World;
use quorate_cql::lexer::{Span, tokenize};
use quorate_cql::{is_complete, parse, split_statements};

/// A small generator: the same run every time (constants from Knuth's MMIX).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }
}

#[test]
fn broken_statements_are_refused_without_a_panic() {
    let statements: Vec<&str> =
        include_str!("cassandra_answers.txt").lines().filter_map(|line| line.strip_prefix("> ")).collect();
    let markers = ["?", ":x", "TTL ? AND", "TIMESTAMP ? AND", "(?, ?)"];
    let words = statements.iter().flat_map(|statement| statement.split(' '));
    let words: Vec<&str> = words.chain(std::iter::repeat_n(markers, 200).flatten()).collect();
    let mut dice = Dice(1);
    let mut world = World::new(&[
        "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE k.t (a int, b int, c int, d text, v int, l list<int>, m map<text, int>, z set<text>, s int static, \
         fl frozen<list<int>>, PRIMARY KEY ((a), b, c)) WITH CLUSTERING ORDER BY (b DESC, c ASC)",
    ]);
    for _ in 0..20_000 {
        let statement = statements[dice.below(statements.len())];
        let mut parts: Vec<&str> = tokenize(statement).iter().map(|token| token.span.of(statement)).collect();
        for _ in 0..=dice.below(3) {
            let place = dice.below(parts.len());
            match dice.below(5) {
                0 => drop(parts.remove(place)),
                1 => parts.insert(place, parts[place]),
                2 => parts.insert(place, words[dice.below(words.len())]),
                3 => parts.truncate(place.max(1)),
                _ => {
                    let other = dice.below(parts.len());
                    parts.swap(place, other);
                }
            }
            if parts.is_empty() {
                parts.push("");
            }
        }
        let text: String = parts.concat();
        let _ = world.run(&text);
        let _ = is_complete(&text);
        let spans = split_statements(&text);
        assert!(spans.windows(2).all(|pair| pair[0].end <= pair[1].start));
    }
}

#[test]
fn tokens_cover_any_text_without_a_gap() {
    let alphabet: Vec<char> = "aS1.-'\"$/*\n \\é€{[(;:?#!0xPT5M".chars().collect();
    let mut dice = Dice(2);
    for _ in 0..5_000 {
        let text: String = (0..dice.below(20)).map(|_| alphabet[dice.below(alphabet.len())]).collect();
        let mut end = 0;
        for token in tokenize(&text) {
            assert_eq!(token.span.start, end, "{text:?}");
            end = token.span.end;
        }
        assert_eq!(end, text.len(), "{text:?}");
        let _ = parse(&text);
    }
    assert_eq!(Span { start: 3, end: 1 }.of("abc"), "");
}

#[test]
fn long_statements_take_time_in_proportion() {
    let values: Vec<String> = (0..100_000).map(|value| value.to_string()).collect();
    let text = format!("SELECT * FROM k.t WHERE a IN ({})", values.join(", "));
    assert!(parse(&text).is_ok());
}

#[test]
fn numbers_that_would_take_minutes_to_print_are_refused() {
    use bytes::Bytes;
    use quorate_model::limits::VARINT_BYTES_MAX;
    use quorate_model::request::{BoundValue, Values};

    let mut world = World::new(&[
        "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE k.n (k int PRIMARY KEY, v varint, d decimal, l list<varint>)",
    ]);
    let digits = "7".repeat(1_000_000);
    for literal in [digits.clone(), format!("-{digits}"), format!("{digits}.5"), format!("0.{digits}e5")] {
        for statement in [
            format!("INSERT INTO k.n (k, d) VALUES (1, {literal})"),
            format!("INSERT INTO k.n JSON '{{\"k\": 1, \"d\": {literal}}}'"),
        ] {
            let error = world.run(&statement).expect_err("a million digits");
            assert!(error.to_string().contains("longer than maximum of 40000"), "{:.200}", error.to_string());
        }
    }
    let bound = |length: usize| Values::Positional(vec![BoundValue::Bytes(Bytes::from(vec![0x77; length]))]);
    let error = world.run_with("INSERT INTO k.n (k, v) VALUES (1, ?)", &bound(1 << 20), None).expect_err("a megabyte");
    assert!(error.to_string().contains("longer than maximum of 16384"), "{error}");
    world.run_with("INSERT INTO k.n (k, v) VALUES (1, ?)", &bound(VARINT_BYTES_MAX), None).expect("the greatest fits");
    let rows = world.run("SELECT CAST(v AS text), v + 1, to_json(v) FROM k.n").expect("and is shown").expect("rows");
    assert!(rows.data.len() > 2 * 39_000, "{} bytes", rows.data.len());
}

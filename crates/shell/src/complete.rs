//! Completion: keywords and the schema's names, by what stands before the cursor.

use quorate_cql::lexer::{RESERVED, TokenKind, UNRESERVED, name_of, quote_name, tokenize};
use quorate_model::Consistency;

use crate::names::SchemaNames;

/// Words that begin a statement or command.
const BEGINNINGS: [&str; 29] = [
    "ALTER",
    "BEGIN",
    "CAPTURE",
    "CLEAR",
    "CONSISTENCY",
    "COPY",
    "CREATE",
    "DELETE",
    "DESCRIBE",
    "DROP",
    "EXIT",
    "EXPAND",
    "GRANT",
    "HELP",
    "HISTORY",
    "INSERT",
    "LIST",
    "PAGING",
    "QUIT",
    "REVOKE",
    "SELECT",
    "SERIAL",
    "SHOW",
    "SOURCE",
    "TRACING",
    "TRUNCATE",
    "UPDATE",
    "USE",
    "DESC",
];

/// What may follow, and where the completed word begins: `(byte offset, candidates)`.
pub fn complete(line: &str, cursor: usize, keyspace: Option<&str>, names: &SchemaNames) -> (usize, Vec<String>) {
    let before = line.get(..cursor).unwrap_or(line);
    let tokens: Vec<_> = tokenize(before)
        .into_iter()
        .filter(|token| !matches!(token.kind, TokenKind::Whitespace | TokenKind::Comment | TokenKind::End))
        .collect();
    let within_word = tokens.last().filter(|token| token.kind == TokenKind::Word && token.span.end == before.len());
    let start = within_word.map_or(before.len(), |token| token.span.start);
    let prefix = before.get(start..).unwrap_or_default().to_owned();
    let earlier: Vec<String> = tokens
        .iter()
        .filter(|token| token.span.end <= start)
        .map(|token| match token.kind {
            TokenKind::QuotedName => name_of(token.kind, token.span.of(before)),
            _ => token.span.of(before).to_owned(),
        })
        .collect();
    if tokens.last().is_some_and(|token| matches!(token.kind, TokenKind::String | TokenKind::Unterminated)) {
        return (start, Vec::new());
    }
    let mut candidates = candidates(&earlier, keyspace, names);
    candidates.retain(|candidate| {
        candidate.len() > prefix.len()
            && candidate.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(&prefix))
    });
    candidates.sort();
    candidates.dedup();
    (start, candidates)
}

fn candidates(earlier: &[String], keyspace: Option<&str>, names: &SchemaNames) -> Vec<String> {
    let upper =
        |index: usize| earlier.len().checked_sub(index).and_then(|at| earlier.get(at)).map(|w| w.to_uppercase());
    let last = upper(1).unwrap_or_default();
    if last == "." {
        let keyspace = earlier.len().checked_sub(2).and_then(|at| earlier.get(at));
        return keyspace.map(|keyspace| tables(keyspace, names)).unwrap_or_default();
    }
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let first = earlier.iter().rposition(|word| word == ";").map_or(0, |at| at + 1);
    let statement = earlier.get(first..).unwrap_or_default();
    let begins_with = |word: &str| statement.first().is_some_and(|first| first.eq_ignore_ascii_case(word));
    match last.as_str() {
        "" | ";" => words(&BEGINNINGS),
        "USE" | "KEYSPACE" => keyspaces(names),
        "CONSISTENCY" => Consistency::ALL_LEVELS.into_iter().map(|level| level.name().to_owned()).collect(),
        "SERIAL" => words(&["CONSISTENCY"]),
        "TRACING" | "EXPAND" | "PAGING" => words(&["ON", "OFF"]),
        "SHOW" => words(&["VERSION", "HOST"]),
        "DESCRIBE" | "DESC" => {
            let mut all = words(&["KEYSPACES", "KEYSPACE", "TABLES", "TABLE", "CLUSTER", "SCHEMA", "TYPES", "FULL"]);
            all.extend(keyspaces(names));
            all.extend(keyspace.map(|keyspace| tables(keyspace, names)).unwrap_or_default());
            all
        }
        "FROM" if begins_with("COPY") => Vec::new(),
        "FROM" | "INTO" | "UPDATE" | "TABLE" | "COPY" | "TRUNCATE" => {
            let mut all: Vec<String> = keyspaces(names).into_iter().map(|name| format!("{name}.")).collect();
            all.extend(keyspace.map(|keyspace| tables(keyspace, names)).unwrap_or_default());
            all
        }
        _ => {
            let mut all: Vec<String> = RESERVED.iter().chain(UNRESERVED).map(|word| (*word).to_owned()).collect();
            all.extend(columns(statement, keyspace, names));
            all
        }
    }
}

fn keyspaces(names: &SchemaNames) -> Vec<String> {
    names.keyspaces.keys().map(|name| quote_name(name)).collect()
}

fn tables(keyspace: &str, names: &SchemaNames) -> Vec<String> {
    let tables = names.keyspaces.get(keyspace).or_else(|| names.keyspaces.get(&keyspace.to_lowercase()));
    tables.map(|tables| tables.keys().map(|name| quote_name(name)).collect()).unwrap_or_default()
}

/// Columns of the tables that the statement names so far; of the whole keyspace if it names none yet.
fn columns(statement: &[String], keyspace: Option<&str>, names: &SchemaNames) -> Vec<String> {
    let mentioned = |table: &str| statement.iter().any(|word| word.eq_ignore_ascii_case(table));
    let visible = |name: &str| keyspace == Some(name) || mentioned(name);
    let tables = || names.keyspaces.iter().filter(|(name, _)| visible(name)).flat_map(|(_, tables)| tables);
    let any = tables().any(|(name, _)| mentioned(name));
    tables()
        .filter(|(name, _)| !any || mentioned(name))
        .flat_map(|(_, columns)| columns.iter().map(|column| quote_name(column)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> SchemaNames {
        let mut names = SchemaNames::default();
        let nyc = names.keyspaces.entry("nyc".into()).or_default();
        nyc.insert("weather".into(), vec!["origin".into(), "temp".into(), "time_hour".into()]);
        nyc.insert("flights".into(), vec!["carrier".into(), "tailnum".into()]);
        names.keyspaces.entry("system".into()).or_default();
        names
    }

    fn completed(line: &str, keyspace: Option<&str>) -> Vec<String> {
        complete(line, line.len(), keyspace, &names()).1
    }

    #[test]
    fn what_comes_next_depends_on_what_stands_before() {
        assert_eq!(completed("sel", None), ["SELECT"]);
        assert_eq!(completed("USE n", None), ["nyc"]);
        assert_eq!(completed("SELECT * FROM nyc.", None), ["flights", "weather"]);
        assert_eq!(completed("SELECT * FROM w", Some("nyc")), ["weather"]);
        assert_eq!(completed("SELECT * FROM s", Some("nyc")), ["system."]);
        assert_eq!(completed("SELECT * FROM weather WHERE tem", Some("nyc")), ["temp"]);
        assert_eq!(completed("CONSISTENCY LOCAL_Q", None), ["LOCAL_QUORUM"]);
        assert_eq!(completed("TRACING O", None), ["OFF", "ON"]);
        assert!(completed("SELECT 'wea", Some("nyc")).is_empty());
        assert_eq!(complete("SELECT t", 8, Some("nyc"), &names()).0, 7);
    }
}

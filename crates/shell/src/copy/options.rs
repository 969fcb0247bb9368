//! What a `COPY` command says.

use quorate_cql::lexer::{TokenKind, name_of};

use crate::commands::{CommandError, Words, unquote};
use crate::limits;

/// A `COPY` command.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyCommand {
    /// The keyspace, if it was named.
    pub keyspace: Option<String>,
    /// The table.
    pub table: String,
    /// The columns, if they were named.
    pub columns: Option<Vec<String>>,
    /// Into the table or out of it.
    pub direction: Direction,
    /// Where the CSV is.
    pub place: CsvPlace,
    /// `WITH` options.
    pub options: CopyOptions,
}

/// Into the table or out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Direction {
    From,
    To,
}

/// Where a `COPY` reads or writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CsvPlace {
    /// A file; compressed if its name ends in `.gz`.
    File(String),
    /// Standard input or output.
    Standard,
}

/// How fields are written.
#[derive(Clone, Debug, PartialEq)]
pub struct Dialect {
    /// Whether the first line names the columns.
    pub header: bool,
    /// Between fields.
    pub delimiter: u8,
    /// Around fields.
    pub quote: u8,
    /// Before a quote within a field; doubled quotes if it is the quote itself.
    pub escape: u8,
    /// Begins a line that is no row.
    pub comment: Option<u8>,
    /// The text of a missing value.
    pub null: String,
    /// The texts of true and false.
    pub booleans: (String, String),
}

/// `WITH` options.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyOptions {
    /// How fields are written.
    pub dialect: Dialect,
    /// Rows between two looks at the progress.
    pub chunk_rows: u64,
    /// Rows to skip at the beginning.
    pub skip_rows: u64,
    /// Rows to take at most.
    pub rows_max: Option<u64>,
    /// Rows a second at most.
    pub ingest_rate: u64,
    /// The rejects file.
    pub error_file: Option<String>,
    /// Attempts at a row that was refused.
    pub attempts_max: u32,
    /// Rows that do not parse before the load stops.
    pub parse_errors_max: Option<u64>,
    /// Rows that are not accepted before the load stops.
    pub insert_errors_max: Option<u64>,
    /// Rows a page when reading.
    pub page_rows: u32,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            dialect: Dialect {
                header: false,
                delimiter: b',',
                quote: b'"',
                escape: b'\\',
                comment: None,
                null: String::new(),
                booleans: ("True".to_owned(), "False".to_owned()),
            },
            chunk_rows: 5_000,
            skip_rows: 0,
            rows_max: None,
            ingest_rate: limits::COPY_INGEST_RATE_DEFAULT,
            error_file: None,
            attempts_max: limits::COPY_ATTEMPTS_DEFAULT,
            parse_errors_max: None,
            insert_errors_max: Some(limits::COPY_INSERT_ERRORS_MAX),
            page_rows: limits::PAGE_ROWS_UNATTENDED,
        }
    }
}

/// Options that cqlsh has and that change nothing here: one process does it all, and rows are not batched.
const ACCEPTED: [&str; 4] = ["NUMPROCESSES", "MAXBATCHSIZE", "MINBATCHSIZE", "REPORTFREQUENCY"];

/// All options, for messages.
const KNOWN: &str = "HEADER, DELIMITER, QUOTE, ESCAPE, NULL, BOOLSTYLE, COMMENT, SKIPROWS, MAXROWS, ERRFILE, CHUNKSIZE, \
                     INGESTRATE, MAXATTEMPTS, MAXPARSEERRORS, MAXINSERTERRORS, PAGESIZE, ENCODING, NUMPROCESSES, \
                     MAXBATCHSIZE, MINBATCHSIZE, REPORTFREQUENCY";

/// Reads what follows the word `COPY`.
pub fn parse_copy(words: &mut Words<'_>) -> Result<CopyCommand, CommandError> {
    let first = name(words)?;
    let (keyspace, table) = match words.accept_kind(TokenKind::Dot) {
        Some(_) => (Some(first), name(words)?),
        None => (None, first),
    };
    let columns = columns(words)?;
    let direction = if words.accept("FROM") {
        Direction::From
    } else if words.accept("TO") {
        Direction::To
    } else {
        let token = words.peek();
        return Err(CommandError::at(&token, "expected FROM or TO"));
    };
    let place = if words.accept("STDIN") || words.accept("STDOUT") {
        CsvPlace::Standard
    } else {
        CsvPlace::File(words.string()?)
    };
    let mut options = CopyOptions::default();
    if words.accept("WITH") {
        option(words, &mut options)?;
        while words.accept("AND") {
            option(words, &mut options)?;
        }
    }
    Ok(CopyCommand { keyspace, table, columns, direction, place, options })
}

fn name(words: &mut Words<'_>) -> Result<String, CommandError> {
    let token = words.take();
    match token.kind {
        TokenKind::Word | TokenKind::QuotedName => Ok(name_of(token.kind, words.text(&token))),
        _ => Err(CommandError::at(&token, "expected a name")),
    }
}

fn columns(words: &mut Words<'_>) -> Result<Option<Vec<String>>, CommandError> {
    if words.accept_kind(TokenKind::LeftParen).is_none() {
        return Ok(None);
    }
    let mut names = vec![name(words)?];
    while words.accept_kind(TokenKind::Comma).is_some() {
        names.push(name(words)?);
    }
    let token = words.take();
    if token.kind == TokenKind::RightParen { Ok(Some(names)) } else { Err(CommandError::at(&token, "expected ')'")) }
}

fn option(words: &mut Words<'_>, options: &mut CopyOptions) -> Result<(), CommandError> {
    let name_token = words.take();
    let name = words.text(&name_token).to_ascii_uppercase();
    let equal = words.take();
    if equal.kind != TokenKind::Equal {
        return Err(CommandError::at(&equal, format!("expected '=' after {name}")));
    }
    let mut value_token = words.take();
    let mut value = unquote(words.text(&value_token));
    if value_token.kind == TokenKind::Minus {
        value_token = words.take();
        value = format!("-{}", words.text(&value_token));
    }
    let fault = |message: String| CommandError::at(&value_token, message);
    if matches!(value_token.kind, TokenKind::End | TokenKind::Unterminated) {
        return Err(fault(format!("{name} needs a value")));
    }
    let number = || value.parse::<u64>().map_err(|_| fault(format!("{name} is a number, not '{value}'")));
    // cqlsh's -1 is 'no limit'.
    let limit = || if value == "-1" { Ok(None) } else { number().map(Some) };
    let dialect = &mut options.dialect;
    match name.as_str() {
        "HEADER" => dialect.header = boolean(&value).ok_or_else(|| fault("HEADER is true or false".to_owned()))?,
        "DELIMITER" => dialect.delimiter = one_byte(&value).ok_or_else(|| fault(one_character(&name)))?,
        "QUOTE" => dialect.quote = one_byte(&value).ok_or_else(|| fault(one_character(&name)))?,
        "ESCAPE" => dialect.escape = one_byte(&value).ok_or_else(|| fault(one_character(&name)))?,
        "COMMENT" => dialect.comment = Some(one_byte(&value).ok_or_else(|| fault(one_character(&name)))?),
        "NULL" | "NULLVAL" => dialect.null = value,
        "BOOLSTYLE" => {
            let (yes, no) = value.split_once(',').ok_or_else(|| fault("BOOLSTYLE is as 'True, False'".to_owned()))?;
            dialect.booleans = (yes.trim().to_owned(), no.trim().to_owned());
        }
        "ENCODING" if value.eq_ignore_ascii_case("utf8") || value.eq_ignore_ascii_case("utf-8") => {}
        "ENCODING" => return Err(fault(format!("the encoding {value} is not supported; files are UTF-8"))),
        "SKIPROWS" => options.skip_rows = number()?,
        "MAXROWS" => options.rows_max = limit()?,
        "ERRFILE" => options.error_file = Some(value),
        "CHUNKSIZE" => options.chunk_rows = number()?.max(1),
        "INGESTRATE" => options.ingest_rate = number()?.max(1),
        "MAXATTEMPTS" => options.attempts_max = number()?.clamp(1, 100) as u32,
        "MAXPARSEERRORS" => options.parse_errors_max = limit()?,
        "MAXINSERTERRORS" => options.insert_errors_max = limit()?,
        "PAGESIZE" => options.page_rows = number()?.clamp(1, u64::from(limits::PAGE_ROWS_MAX)) as u32,
        accepted if ACCEPTED.contains(&accepted) => {
            number()?;
        }
        _ => return Err(CommandError::at(&name_token, format!("'{name}' is no option of COPY; there are {KNOWN}"))),
    }
    Ok(())
}

fn one_character(name: &str) -> String {
    format!("{name} is one character of ASCII")
}

fn one_byte(value: &str) -> Option<u8> {
    match value.as_bytes() {
        [byte] => Some(*byte),
        b"\\t" => Some(b'\t'),
        _ => None,
    }
}

fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{Command, parse};

    fn copy(text: &str) -> CopyCommand {
        match parse(text) {
            Some(Ok(Command::Copy(command))) => *command,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn everything_that_may_be_said() {
        let command = copy(
            "COPY nyc.Weather (origin, \"Month\") FROM 'w.csv.gz' WITH HEADER = true AND NULL='NA' AND DELIMITER='\\t' \
             AND SKIPROWS=2 AND MAXROWS=-1 AND NUMPROCESSES=4 AND ERRFILE='bad.csv' AND MAXINSERTERRORS=-1;",
        );
        assert_eq!((command.keyspace.as_deref(), command.table.as_str()), (Some("nyc"), "weather"));
        assert_eq!(command.columns, Some(vec!["origin".to_owned(), "Month".to_owned()]));
        assert_eq!(command.place, CsvPlace::File("w.csv.gz".into()));
        let options = command.options;
        assert!(options.dialect.header && options.dialect.delimiter == b'\t' && options.dialect.null == "NA");
        assert_eq!((options.skip_rows, options.rows_max, options.insert_errors_max), (2, None, None));
        assert_eq!(copy("copy t to stdout;").place, CsvPlace::Standard);
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text: &str| parse(text).unwrap().unwrap_err().message;
        assert!(error("COPY t FROM 'x' WITH HEADR=true;").contains("HEADER, DELIMITER"));
        assert!(error("COPY t FROM 'x' WITH DELIMITER='ab';").contains("one character"));
        assert!(error("COPY t INTO 'x';").contains("FROM or TO"));
        assert!(error("COPY t FROM x;").contains("in quotes"));
        assert!(error("COPY t FROM 'x' WITH MAXROWS=many;").contains("number"));
    }
}

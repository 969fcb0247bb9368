//! `COPY … FROM`: rows of CSV to inserts, many in flight; a row counts only when it was acknowledged.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use csv::ByteRecord;
use quorate_cql::lexer::quote_name;
use quorate_model::request::{ColumnSpec, Prepared, QueryOptions};
use quorate_model::{Consistency, Value};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::copy::literal::parse_field;
use crate::copy::options::{CopyOptions, Dialect};
use crate::copy::rejects::{Rejects, csv_reader};
use crate::copy::source::Source;
use crate::errors::ShellError;
use crate::front::Front;
use crate::limits;
use crate::names::table_columns;
use crate::progress::Progress;

/// A load to be done.
pub struct Import {
    /// The table's keyspace.
    pub keyspace: String,
    /// The table.
    pub table: String,
    /// Columns in the order of the fields; otherwise the header's or the table's.
    pub columns: Option<Vec<String>>,
    /// The CSV.
    pub source: Source,
    /// `WITH` options.
    pub options: CopyOptions,
    /// The level of the writes.
    pub consistency: Consistency,
}

/// What became of it.
#[derive(Debug, Default)]
pub struct ImportSummary {
    /// Rows acknowledged.
    pub imported: u64,
    /// Rows rejected, by the parser or by the server.
    pub rejected: u64,
    /// Rows skipped because of `SKIPROWS`.
    pub skipped: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Where the rejected rows are, if there are any.
    pub rejects_file: Option<PathBuf>,
    /// The first few reasons.
    pub reasons: Vec<String>,
    /// Why it stopped before the end, if it did.
    pub stopped: Option<String>,
}

impl ImportSummary {
    /// The lines that people see.
    pub fn render(&self, source: &str) -> String {
        let seconds = self.elapsed.as_secs_f64().max(0.001);
        let rate = (self.imported as f64 / seconds).round();
        let mut text = String::new();
        for reason in &self.reasons {
            text.push_str(&format!("rejected {reason}\n"));
        }
        if self.rejected > self.reasons.len() as u64 {
            text.push_str(&format!("… and {} more\n", self.rejected - self.reasons.len() as u64));
        }
        if let Some(file) = &self.rejects_file {
            text.push_str(&format!(
                "{} rejected rows, each with its reason, are in {}\n",
                self.rejected,
                file.display()
            ));
        }
        if let Some(reason) = &self.stopped {
            text.push_str(&format!("Stopped before the end: {reason}\n"));
        }
        text.push_str(&format!(
            "{} rows imported from {source} in {seconds:.3} seconds ({rate} rows/s; {} rejected, {} skipped).",
            self.imported, self.rejected, self.skipped
        ));
        text
    }
}

/// A row on its way: where it stood, its fields for the rejects file, and what is to be sent.
struct ParsedRow {
    line: u64,
    record: ByteRecord,
    values: Result<Vec<Value>, String>,
}

/// Loads the CSV. Rows that fail are collected; only what makes going on pointless is an error.
pub async fn import(front: &Arc<dyn Front>, job: Import, progress: &Progress) -> Result<ImportSummary, ShellError> {
    let Import { keyspace, table, columns, source, options, consistency } = job;
    let source_name = source.name.clone();
    let mut reader = csv_reader(&options.dialect, source.reader);
    let mut header = None;
    if options.dialect.header {
        let mut record = ByteRecord::new();
        reader.read_byte_record(&mut record).map_err(|error| unreadable(&source_name, &error))?;
        let names: Vec<String> = record
            .iter()
            .map(|field| String::from_utf8_lossy(field).trim_start_matches('\u{feff}').to_owned())
            .collect();
        header = Some(names);
    }
    let columns = match (columns, &header) {
        (Some(columns), _) => columns,
        (None, Some(header)) => header.iter().map(|name| name.trim().to_owned()).collect(),
        (None, None) => table_columns(front.as_ref(), &keyspace, &table).await?,
    };
    let insert = Arc::new(prepare_insert(front, &keyspace, &table, &columns).await?);
    let error_file = options.error_file.clone().unwrap_or_else(|| format!("import_{keyspace}_{table}.err"));
    let rejects = Rejects::new(&error_file, options.dialect.clone(), header);
    let (rows_out, rows) = mpsc::channel(4);
    let parser = Parser {
        reader,
        columns: insert.parameters.columns.clone(),
        dialect: options.dialect.clone(),
        skip: options.skip_rows,
        rows_max: options.rows_max,
        chunk_rows: options.chunk_rows.clamp(1, 1_000) as usize,
        name: source_name,
    };
    std::thread::Builder::new()
        .name("copy-parser".to_owned())
        .spawn(move || parser.run(&rows_out))
        .map_err(|error| ShellError::Other(format!("cannot start a thread: {error}")))?;
    let load =
        Load { front, insert, consistency, options: &options, rejects, progress, summary: ImportSummary::default() };
    load.run(rows).await
}

fn unreadable(name: &str, error: &csv::Error) -> ShellError {
    ShellError::Other(format!("{name} cannot be read: {error}"))
}

async fn prepare_insert(
    front: &Arc<dyn Front>,
    keyspace: &str,
    table: &str,
    columns: &[String],
) -> Result<Prepared, ShellError> {
    let names: Vec<String> = columns.iter().map(|column| quote_name(column)).collect();
    let markers = vec!["?"; columns.len()].join(", ");
    let text =
        format!("INSERT INTO {}.{} ({}) VALUES ({markers})", quote_name(keyspace), quote_name(table), names.join(", "));
    let prepared = front.prepare(&text).await?;
    if prepared.parameters.columns.len() != columns.len() {
        return Err(ShellError::Other("the server counts other markers than were sent".to_owned()));
    }
    Ok(prepared)
}

/// Reads and parses on a thread of its own, so that a slow disk or a big archive does not hold up what is in flight.
struct Parser {
    reader: csv::Reader<Box<dyn std::io::Read + Send>>,
    columns: Vec<ColumnSpec>,
    dialect: Dialect,
    skip: u64,
    rows_max: Option<u64>,
    chunk_rows: usize,
    name: String,
}

/// What the parser sends: rows, skipped ones counted, or why it cannot go on.
enum Parsed {
    Rows(Vec<ParsedRow>),
    Skipped(u64),
    Failed(String),
}

impl Parser {
    fn run(mut self, out: &mpsc::Sender<Parsed>) {
        let mut chunk = Vec::with_capacity(self.chunk_rows);
        let (mut taken, mut skipped) = (0, 0);
        loop {
            let mut record = ByteRecord::new();
            let more = match self.reader.read_byte_record(&mut record) {
                Ok(more) => more && self.rows_max.is_none_or(|max| taken < max),
                Err(error) => {
                    let _ = out.blocking_send(Parsed::Rows(chunk));
                    let _ = out.blocking_send(Parsed::Failed(format!("{} cannot be read: {error}", self.name)));
                    return;
                }
            };
            if !more || chunk.len() >= self.chunk_rows {
                let full = std::mem::replace(&mut chunk, Vec::with_capacity(self.chunk_rows));
                // The receiver is gone when the load was given up.
                if out.blocking_send(Parsed::Rows(full)).is_err() {
                    return;
                }
            }
            if !more {
                let _ = out.blocking_send(Parsed::Skipped(skipped));
                return;
            }
            if skipped < self.skip {
                skipped += 1;
                continue;
            }
            taken += 1;
            let line = record.position().map_or(0, csv::Position::line);
            let values = self.values(&record);
            chunk.push(ParsedRow { line, record, values });
        }
    }

    fn values(&self, record: &ByteRecord) -> Result<Vec<Value>, String> {
        if record.len() != self.columns.len() {
            return Err(format!("{} fields, expected {}", record.len(), self.columns.len()));
        }
        let value = |(field, column): (&[u8], &ColumnSpec)| {
            let text = std::str::from_utf8(field).map_err(|_| format!("column {}: not UTF-8", column.name))?;
            let value = parse_field(text, &column.cql_type, &self.dialect);
            value.map_err(|reason| format!("column {}: {reason}", column.name))
        };
        record.iter().zip(&self.columns).map(value).collect()
    }
}

/// A load under way.
struct Load<'a> {
    front: &'a Arc<dyn Front>,
    insert: Arc<Prepared>,
    consistency: Consistency,
    options: &'a CopyOptions,
    rejects: Rejects,
    progress: &'a Progress,
    summary: ImportSummary,
}

/// A row and what the server said to it.
type Sent = (u64, ByteRecord, Result<(), String>);

impl Load<'_> {
    async fn run(mut self, mut rows: mpsc::Receiver<Parsed>) -> Result<ImportSummary, ShellError> {
        let started = Instant::now();
        let mut in_flight: JoinSet<Sent> = JoinSet::new();
        let (mut sent, mut parse_errors, mut insert_errors) = (0_u64, 0_u64, 0_u64);
        'load: while let Some(parsed) = rows.recv().await {
            let chunk = match parsed {
                Parsed::Rows(chunk) => chunk,
                Parsed::Skipped(count) => {
                    self.summary.skipped = count;
                    continue;
                }
                Parsed::Failed(reason) => {
                    self.summary.stopped = Some(reason);
                    break;
                }
            };
            for row in chunk {
                match row.values {
                    Ok(values) => {
                        while in_flight.len() >= limits::COPY_IN_FLIGHT_MAX {
                            insert_errors += self.settle(in_flight.join_next().await)?;
                        }
                        in_flight.spawn(self.send(row.line, row.record, values));
                        sent += 1;
                    }
                    Err(reason) => {
                        parse_errors += 1;
                        self.reject(row.line, &row.record, &reason)?;
                    }
                }
                if let Some(reason) = self.too_many_errors(parse_errors, insert_errors) {
                    self.summary.stopped = Some(reason);
                    break 'load;
                }
                self.pace(started, sent).await;
            }
            while let Some(done) = in_flight.try_join_next() {
                insert_errors += self.settle(Some(done))?;
            }
            self.progress.update(self.summary.imported, self.rejects.count);
        }
        drop(rows);
        while let Some(done) = in_flight.join_next().await {
            self.settle(Some(done))?;
            self.progress.update(self.summary.imported, self.rejects.count);
        }
        self.finish(started)
    }

    fn finish(mut self, started: Instant) -> Result<ImportSummary, ShellError> {
        let path = self.rejects.path().clone();
        self.rejects.finish().map_err(|error| ShellError::File { path: path.display().to_string(), error })?;
        self.progress.finish();
        self.summary.rejected = self.rejects.count;
        self.summary.reasons = std::mem::take(&mut self.rejects.reasons);
        self.summary.rejects_file = (self.rejects.count > 0).then_some(path);
        self.summary.elapsed = started.elapsed();
        Ok(self.summary)
    }

    /// Keeps to `INGESTRATE`.
    async fn pace(&self, started: Instant, sent: u64) {
        let due = started + Duration::from_secs_f64(sent as f64 / self.options.ingest_rate as f64);
        // Short waits are left out: they would cost more than they mean.
        if due > Instant::now() + Duration::from_millis(5) {
            tokio::time::sleep_until(due).await;
        }
    }

    fn too_many_errors(&self, parse_errors: u64, insert_errors: u64) -> Option<String> {
        if self.options.parse_errors_max.is_some_and(|max| parse_errors > max) {
            return Some(format!("more than {} rows do not parse (MAXPARSEERRORS)", parse_errors - 1));
        }
        if self.options.insert_errors_max.is_some_and(|max| insert_errors > max) {
            return Some(format!("more than {} rows were not accepted (MAXINSERTERRORS)", insert_errors - 1));
        }
        None
    }

    fn settle(&mut self, done: Option<Result<Sent, tokio::task::JoinError>>) -> Result<u64, ShellError> {
        match done {
            None => Ok(0),
            Some(Ok((_, _, Ok(())))) => {
                self.summary.imported += 1;
                Ok(0)
            }
            Some(Ok((line, record, Err(reason)))) => {
                self.reject(line, &record, &reason)?;
                Ok(1)
            }
            Some(Err(error)) => Err(ShellError::Other(format!("a row's task ended: {error}"))),
        }
    }

    fn reject(&mut self, line: u64, record: &ByteRecord, reason: &str) -> Result<(), ShellError> {
        let path = self.rejects.path().display().to_string();
        self.rejects.add(line, record.iter(), reason).map_err(|error| ShellError::File { path, error })
    }

    /// Sends a row until it is acknowledged or fails for good. Only what certainly had no effect is sent again.
    fn send(&self, line: u64, record: ByteRecord, values: Vec<Value>) -> impl Future<Output = Sent> + Send + use<> {
        let front = Arc::clone(self.front);
        let insert = Arc::clone(&self.insert);
        let consistency = self.consistency;
        let attempts_max = self.options.attempts_max;
        async move {
            let mut backoff = Duration::from_millis(limits::COPY_BACKOFF_MS);
            let mut attempt = 1;
            loop {
                let options = QueryOptions { consistency, ..QueryOptions::default() };
                match front.execute(&insert, values.clone(), options).await {
                    Ok(()) => return (line, record, Ok(())),
                    Err(error) if error.is_worth_another_attempt() && attempt < attempts_max => {}
                    Err(error) => return (line, record, Err(error.to_string())),
                }
                attempt += 1;
                tokio::time::sleep(backoff).await;
                backoff *= 2;
            }
        }
    }
}

//! `COPY … TO`: a table, page by page, to CSV.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use quorate_cql::lexer::quote_name;
use quorate_model::request::{Answer, ColumnSpec, QueryOptions, Rows};
use quorate_model::{Consistency, Value};
use tokio::time::Instant;

use crate::codec::decode_rows;
use crate::copy::options::{CopyOptions, CsvPlace, Dialect};
use crate::copy::rejects::record;
use crate::copy::source::Sink;
use crate::errors::ShellError;
use crate::front::Front;
use crate::names::table_columns;
use crate::progress::Progress;
use crate::value_text::plain;

/// A table to be written out.
pub struct Export {
    /// The table's keyspace.
    pub keyspace: String,
    /// The table.
    pub table: String,
    /// Columns, in order; otherwise the table's.
    pub columns: Option<Vec<String>>,
    /// Where to.
    pub place: CsvPlace,
    /// `WITH` options.
    pub options: CopyOptions,
    /// The level of the reads.
    pub consistency: Consistency,
}

/// Writes the table; gives the number of rows and how long it took.
pub async fn export(front: &Arc<dyn Front>, job: &Export, progress: &Progress) -> Result<(u64, Duration), ShellError> {
    let started = Instant::now();
    let columns = match &job.columns {
        Some(columns) => columns.clone(),
        None => table_columns(front.as_ref(), &job.keyspace, &job.table).await?,
    };
    let path = match &job.place {
        CsvPlace::File(path) => path.clone(),
        CsvPlace::Standard => "standard output".to_owned(),
    };
    let failed = |error| ShellError::File { path: path.clone(), error };
    let names: Vec<String> = columns.iter().map(|column| quote_name(column)).collect();
    let text = format!("SELECT {} FROM {}.{}", names.join(", "), quote_name(&job.keyspace), quote_name(&job.table));
    let mut pages = Pages { front, text, job, paging_state: None };
    // The first page is read before the file is touched: a wrong name must not empty an old file.
    let mut page = pages.next().await?;
    let mut sink = Sink::create(&job.place).map_err(failed)?;
    if job.options.dialect.header {
        sink.write_all(&record(&job.options.dialect, columns.iter().map(String::as_bytes))).map_err(failed)?;
    }
    let rows_max = job.options.rows_max.unwrap_or(u64::MAX);
    let mut count = 0;
    loop {
        let specs = &page.metadata.columns;
        for row in decode_rows(&page)?.iter().take(usize::try_from(rows_max - count).unwrap_or(usize::MAX)) {
            sink.write_all(&line(row, specs, &job.options.dialect)).map_err(failed)?;
            count += 1;
        }
        progress.update(count, 0);
        pages.paging_state = page.paging_state.clone();
        if pages.paging_state.is_none() || count >= rows_max {
            break;
        }
        page = pages.next().await?;
    }
    sink.finish().map_err(failed)?;
    progress.finish();
    Ok((count, started.elapsed()))
}

struct Pages<'a> {
    front: &'a Arc<dyn Front>,
    text: String,
    job: &'a Export,
    paging_state: Option<bytes::Bytes>,
}

impl Pages<'_> {
    async fn next(&mut self) -> Result<Rows, ShellError> {
        let options = QueryOptions {
            consistency: self.job.consistency,
            page_size: Some(self.job.options.page_rows),
            paging_state: self.paging_state.clone(),
            ..QueryOptions::default()
        };
        match self.front.query(&self.text, None, options).await?.result? {
            Answer::Rows(rows) => Ok(rows),
            _ => Err(ShellError::Other("the server did not answer with rows".to_owned())),
        }
    }
}

fn line(row: &[Value], columns: &[ColumnSpec], dialect: &Dialect) -> Vec<u8> {
    let field = |(value, column): (&Value, &ColumnSpec)| match value {
        Value::Null => dialect.null.clone(),
        Value::Boolean(true) => dialect.booleans.0.clone(),
        Value::Boolean(false) => dialect.booleans.1.clone(),
        value => plain(value, &column.cql_type),
    };
    let fields: Vec<String> = row.iter().zip(columns).map(field).collect();
    record(dialect, fields.iter().map(String::as_bytes))
}

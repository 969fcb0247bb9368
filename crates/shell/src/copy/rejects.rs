//! The rejects file: the rows that were not loaded, each under a comment that says why.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use crate::copy::options::Dialect;
use crate::copy::source::expand_home;
use crate::limits;

/// Collects rejected rows. The file appears with the first of them, in the dialect of the source, so that it can be
/// mended and loaded again `WITH COMMENT = '#'`.
pub struct Rejects {
    path: PathBuf,
    dialect: Dialect,
    header: Option<Vec<String>>,
    file: Option<BufWriter<File>>,
    /// Rows rejected.
    pub count: u64,
    /// The first few reasons.
    pub reasons: Vec<String>,
}

impl Rejects {
    /// Will write to this file; `header` is its first line, if the source has one.
    pub fn new(path: &str, dialect: Dialect, header: Option<Vec<String>>) -> Self {
        Self { path: expand_home(path), dialect, header, file: None, count: 0, reasons: Vec::new() }
    }

    /// Where the rows are.
    pub fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Adds a row.
    pub fn add<'a>(&mut self, line: u64, fields: impl Iterator<Item = &'a [u8]>, reason: &str) -> io::Result<()> {
        let reason = format!("line {line}: {}", reason.replace(['\n', '\r'], " "));
        if self.file.is_none() {
            let mut file = BufWriter::new(File::create(&self.path)?);
            if let Some(header) = &self.header {
                let names = header.iter().map(String::as_bytes);
                file.write_all(&record(&self.dialect, names))?;
            }
            self.file = Some(file);
        }
        if let Some(file) = &mut self.file {
            writeln!(file, "# {reason}")?;
            file.write_all(&record(&self.dialect, fields))?;
        }
        self.count += 1;
        if self.reasons.len() < limits::COPY_REASONS_SHOWN_MAX {
            self.reasons.push(reason);
        }
        Ok(())
    }

    /// Writes what is buffered.
    pub fn finish(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), BufWriter::flush)
    }
}

/// A row as a line of CSV: fields quoted where they must be, quotes and escapes within them escaped.
pub fn record<'a>(dialect: &Dialect, fields: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut line = Vec::new();
    for (index, field) in fields.enumerate() {
        if index > 0 {
            line.push(dialect.delimiter);
        }
        let special = |byte: &u8| {
            matches!(*byte, b'\n' | b'\r') || [dialect.delimiter, dialect.quote, dialect.escape].contains(byte)
        };
        let comment = dialect.comment.is_some_and(|comment| field.first() == Some(&comment));
        if !comment && !field.iter().any(special) {
            line.extend_from_slice(field);
            continue;
        }
        line.push(dialect.quote);
        for byte in field {
            if *byte == dialect.quote || *byte == dialect.escape {
                line.push(dialect.escape);
            }
            line.push(*byte);
        }
        line.push(dialect.quote);
    }
    line.push(b'\n');
    line
}

/// A reader of this dialect, row by row, the header included. Doubled quotes are understood besides the escape.
pub fn csv_reader<R: std::io::Read>(dialect: &Dialect, source: R) -> csv::Reader<R> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(dialect.delimiter)
        .quote(dialect.quote)
        .double_quote(true)
        .escape((dialect.escape != dialect.quote).then_some(dialect.escape))
        .comment(dialect.comment)
        .from_reader(source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy::options::CopyOptions;

    #[test]
    fn a_row_reads_back_as_it_was_written() {
        let mut dialect = CopyOptions::default().dialect;
        let fields: [&[u8]; 5] = [b"plain", b"a \"quote\"", b"back\\slash", b"two\nlines, and", b""];
        for escape in [b'\\', b'"'] {
            dialect.escape = escape;
            let line = record(&dialect, fields.into_iter());
            let mut reader = csv_reader(&dialect, line.as_slice());
            let row = reader.byte_records().next().unwrap().unwrap();
            assert_eq!(row.iter().collect::<Vec<_>>(), fields);
        }
    }
}

//! Result sets as text: cqlsh's tables, CSV and JSON.

use quorate_model::request::ColumnSpec;
use quorate_model::{CqlType, Value};
use unicode_width::UnicodeWidthStr;

use crate::copy::options::CopyOptions;
use crate::copy::rejects::record;
use crate::value_text::{json, json_string, plain};

/// How result sets are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON array of objects a result set.
    Json,
    /// A header, then rows.
    Csv,
}

impl Format {
    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "table" => Some(Self::Table),
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// Prints the pages of one result set.
pub struct Printer {
    format: Format,
    expand: bool,
    columns: Vec<ColumnSpec>,
    widths: Vec<usize>,
    rows: u64,
}

impl Printer {
    /// A printer of a result set with these columns. `expand` prints a line a column instead of a line a row.
    pub fn new(format: Format, expand: bool, columns: Vec<ColumnSpec>) -> Self {
        let widths = columns.iter().map(|column| column.name.width()).collect();
        Self { format, expand, columns, widths, rows: 0 }
    }

    /// What stands before the rows of the first page; `rows` are that page's.
    pub fn page(&mut self, rows: &[Vec<Value>]) -> String {
        let first = self.rows == 0;
        let text = match self.format {
            Format::Table if self.expand => self.expanded(rows),
            Format::Table => self.table(rows),
            Format::Csv => self.csv(rows),
            Format::Json => self.json(rows),
        };
        let opening = match self.format {
            Format::Csv if first => line(self.columns.iter().map(|column| column.name.clone())),
            _ => String::new(),
        };
        self.rows += rows.len() as u64;
        opening + &text
    }

    /// What stands after the last page.
    pub fn end(&self) -> String {
        match self.format {
            Format::Table => format!("\n({} rows)\n", self.rows),
            Format::Csv => String::new(),
            Format::Json if self.rows == 0 => "[]\n".to_owned(),
            Format::Json => "\n]\n".to_owned(),
        }
    }

    fn table(&mut self, rows: &[Vec<Value>]) -> String {
        let cells = self.cells(rows);
        for row in &cells {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        let mut text = String::new();
        if self.rows == 0 {
            let names: Vec<String> =
                self.columns.iter().zip(&self.widths).map(|(column, width)| pad_end(&column.name, *width)).collect();
            let dashes: Vec<String> = self.widths.iter().map(|width| "-".repeat(*width)).collect();
            text.push_str(&format!("\n {}\n-{}-\n", names.join(" | ").trim_end(), dashes.join("-+-")));
        }
        for row in &cells {
            let padded: Vec<String> =
                row.iter().zip(&self.widths).map(|(cell, width)| pad_start(cell, *width)).collect();
            text.push_str(&format!(" {}\n", padded.join(" | ")));
        }
        text
    }

    fn expanded(&self, rows: &[Vec<Value>]) -> String {
        let cells = self.cells(rows);
        let name_width = self.columns.iter().map(|column| column.name.width()).max().unwrap_or(0);
        let value_width = cells.iter().flatten().map(|cell| cell.width()).max().unwrap_or(0);
        let mut text = String::new();
        for (index, row) in cells.iter().enumerate() {
            text.push_str(&format!("\n@ Row {}\n", self.rows + index as u64 + 1));
            text.push_str(&format!("-{}-+-{}-\n", "-".repeat(name_width), "-".repeat(value_width)));
            for (column, cell) in self.columns.iter().zip(row) {
                text.push_str(&format!(" {} | {cell}\n", pad_end(&column.name, name_width)));
            }
        }
        text
    }

    fn csv(&self, rows: &[Vec<Value>]) -> String {
        let field = |(value, column): (&Value, &ColumnSpec)| match value {
            Value::Null => String::new(),
            value => plain(value, &column.cql_type),
        };
        rows.iter().map(|row| line(row.iter().zip(&self.columns).map(field))).collect()
    }

    fn json(&self, rows: &[Vec<Value>]) -> String {
        let mut text = String::new();
        for (index, row) in rows.iter().enumerate() {
            let fields: Vec<String> = row
                .iter()
                .zip(&self.columns)
                .map(|(value, column)| format!("{}: {}", json_string(&column.name), json(value, &column.cql_type)))
                .collect();
            let opening = if self.rows == 0 && index == 0 { "[\n  {" } else { ",\n  {" };
            text.push_str(&format!("{opening}{}}}", fields.join(", ")));
        }
        text
    }

    fn cells(&self, rows: &[Vec<Value>]) -> Vec<Vec<String>> {
        let cell = |(value, column): (&Value, &ColumnSpec)| one_line(&value.to_display(&column.cql_type));
        rows.iter().map(|row| row.iter().zip(&self.columns).map(cell).collect()).collect()
    }
}

/// A line of CSV, with quotes doubled, as other programs read it.
fn line(fields: impl Iterator<Item = String>) -> String {
    let mut dialect = CopyOptions::default().dialect;
    dialect.escape = dialect.quote;
    let fields: Vec<String> = fields.collect();
    String::from_utf8_lossy(&record(&dialect, fields.iter().map(String::as_bytes))).into_owned()
}

/// Control characters would break the table or the terminal.
fn one_line(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

fn pad_start(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(text.width())))
}

fn pad_end(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// A small table of plain texts, in the same layout.
pub fn text_table(names: &[&str], rows: &[Vec<String>]) -> String {
    let column = |name: &&str| ColumnSpec {
        keyspace: String::new(),
        table: String::new(),
        name: (*name).to_owned(),
        cql_type: CqlType::Text,
    };
    let mut printer = Printer::new(Format::Table, false, names.iter().map(column).collect());
    let rows: Vec<Vec<Value>> =
        rows.iter().map(|row| row.iter().map(|cell| Value::Text(cell.clone())).collect()).collect();
    printer.page(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<ColumnSpec> {
        let column = |name: &str, cql_type| ColumnSpec {
            keyspace: "nyc".into(),
            table: "weather".into(),
            name: name.into(),
            cql_type,
        };
        vec![column("origin", CqlType::Text), column("month", CqlType::Int), column("temp", CqlType::Double)]
    }

    fn rows() -> Vec<Vec<Value>> {
        vec![
            vec![Value::Text("EWR".into()), Value::Int(1), Value::Double(39.02)],
            vec![Value::Text("a, \"b\"\n".into()), Value::Int(12), Value::Null],
        ]
    }

    #[test]
    fn a_table_looks_as_in_cqlsh() {
        let mut printer = Printer::new(Format::Table, false, columns());
        let text = printer.page(&rows()) + &printer.end();
        assert_eq!(
            text,
            [
                "",
                " origin   | month | temp",
                "----------+-------+-------",
                "      EWR |     1 | 39.02",
                " a, \"b\"\\n |    12 |  null",
                "",
                "(2 rows)",
                ""
            ]
            .join("\n")
        );
        assert_eq!(
            Printer::new(Format::Table, false, columns()).page(&[]),
            "\n origin | month | temp\n--------+-------+------\n"
        );
    }

    #[test]
    fn expanded_rows_are_numbered_across_pages() {
        let mut printer = Printer::new(Format::Table, true, columns());
        let first = printer.page(&rows()[..1]);
        assert_eq!(first, "\n@ Row 1\n--------+-------\n origin | EWR\n month  | 1\n temp   | 39.02\n");
        assert!(printer.page(&rows()[1..]).starts_with("\n@ Row 2\n"));
    }

    #[test]
    fn csv_and_json_are_for_programs() {
        let mut printer = Printer::new(Format::Csv, false, columns());
        assert_eq!(printer.page(&rows()) + &printer.end(), "origin,month,temp\nEWR,1,39.02\n\"a, \"\"b\"\"\n\",12,\n");
        let mut printer = Printer::new(Format::Json, false, columns());
        let text = printer.page(&rows()[..1]) + &printer.page(&rows()[1..]) + &printer.end();
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed[0]["temp"], 39.02);
        assert!(parsed[1]["temp"].is_null() && parsed[1]["origin"] == "a, \"b\"\n");
        assert_eq!(Printer::new(Format::Json, false, columns()).end(), "[]\n");
    }
}

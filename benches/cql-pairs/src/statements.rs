//! What the null server answers to each statement, made when it first hears of it.
//!
//! It reads as little CQL as will do: the columns of a SELECT or INSERT, the table, and the column that each marker
//! belongs to. A table called `kv` gives one row, one called `wide` a hundred, `system.local` itself, any other none.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// Rows of a slice.
const SLICE_ROWS: usize = 100;

const GLOBAL_TABLE_SPEC: i32 = 0x01;
const NO_METADATA: i32 = 0x04;
const VOID: i32 = 1;
const ROWS: i32 = 2;
const PREPARED: i32 = 4;

/// A statement's answers, without their headers.
pub struct Statement {
    /// To `PREPARE`.
    pub prepared: Vec<u8>,
    /// To `EXECUTE` and `QUERY`.
    pub answer: Vec<u8>,
    /// To an `EXECUTE` that asks to leave the metadata out.
    pub bare_answer: Vec<u8>,
}

/// Every statement heard of.
pub struct Statements {
    address: SocketAddr,
    value_bytes: usize,
    by_text: HashMap<String, u32>,
    all: Vec<Statement>,
}

impl Statements {
    /// None yet; values will have so many bytes.
    pub fn new(address: SocketAddr, value_bytes: usize) -> Self {
        Self { address, value_bytes, by_text: HashMap::new(), all: Vec::new() }
    }

    /// The statement with this id.
    pub fn prepared(&self, id: &[u8]) -> Option<&Statement> {
        let number = u32::from_be_bytes(*id.first_chunk()?);
        self.all.get(number as usize)
    }

    /// The statement with this text, made if it is new.
    pub fn prepare(&mut self, text: &str) -> Result<&Statement, String> {
        let number = match self.by_text.get(text) {
            Some(number) => *number,
            None => {
                let number = self.all.len() as u32;
                let statement = self.make(text, number)?;
                self.all.push(statement);
                self.by_text.insert(text.to_owned(), number);
                number
            }
        };
        Ok(&self.all[number as usize])
    }

    fn make(&self, text: &str, number: u32) -> Result<Statement, String> {
        let shape = Shape::parse(text)?;
        // Ids have the 16 bytes that real ones have.
        let mut id = vec![0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let mut prepared = PREPARED.to_be_bytes().to_vec();
        put_u16(&mut prepared, id.len());
        prepared.extend_from_slice(&id);
        put_parameters(&mut prepared, &shape);
        let rows = match shape.table.as_str() {
            _ if shape.columns.is_empty() => 0,
            "system.local" => 1,
            table if table.ends_with(".kv") => 1,
            table if table.ends_with(".wide") => SLICE_ROWS,
            _ => 0,
        };
        let [mut answer, mut bare_answer] = [VOID.to_be_bytes().to_vec(), VOID.to_be_bytes().to_vec()];
        if shape.columns.is_empty() {
            prepared.extend_from_slice(&NO_METADATA.to_be_bytes());
            put_count(&mut prepared, 0);
        } else {
            put_metadata(&mut prepared, &shape);
            answer = ROWS.to_be_bytes().to_vec();
            put_metadata(&mut answer, &shape);
            bare_answer = ROWS.to_be_bytes().to_vec();
            bare_answer.extend_from_slice(&NO_METADATA.to_be_bytes());
            put_count(&mut bare_answer, shape.columns.len());
            for answer in [&mut answer, &mut bare_answer] {
                put_count(answer, rows);
                for row in 0..rows {
                    for column in &shape.columns {
                        let cell = self.cell(column, row);
                        put_count(answer, cell.len());
                        answer.extend_from_slice(&cell);
                    }
                }
            }
        }
        Ok(Statement { prepared, answer, bare_answer })
    }

    fn cell(&self, column: &str, row: usize) -> Vec<u8> {
        match column {
            "value" => vec![0x5A; self.value_bytes],
            "key" => vec![0x4B; 16],
            "n" => (row as i32).to_be_bytes().to_vec(),
            "host_id" | "schema_version" => vec![0x11; 16],
            "rpc_address" => match self.address.ip() {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            },
            "data_center" => b"dc1".to_vec(),
            "rack" => b"rack1".to_vec(),
            "cluster_name" => b"null".to_vec(),
            "tokens" => {
                let mut set = 1_i32.to_be_bytes().to_vec();
                put_count(&mut set, 1);
                set.push(b'0');
                set
            }
            _ => Vec::new(),
        }
    }
}

/// What is to be known of a statement.
struct Shape {
    keyspace: String,
    table: String,
    /// Columns of its result.
    columns: Vec<String>,
    /// The column of each marker.
    markers: Vec<String>,
}

impl Shape {
    fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_lowercase();
        let words: Vec<&str> = lower.split_whitespace().collect();
        let after = |word: &str| {
            let place = words.iter().position(|found| *found == word)?;
            words.get(place + 1).map(|found| found.trim_end_matches([';', '(']).to_owned())
        };
        let (table, columns, markers) = match words.first().copied() {
            Some("select") => {
                let list = lower.split_once("select").and_then(|(_, rest)| rest.split_once(" from "));
                let (list, rest) = list.ok_or("a SELECT without FROM")?;
                (after("from"), names(list), compared(rest))
            }
            Some("insert") => {
                let list = lower.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
                (after("into"), Vec::new(), names(list.ok_or("an INSERT without columns")?.0))
            }
            Some("create" | "drop" | "truncate") => (Some("system.none".to_owned()), Vec::new(), Vec::new()),
            _ => return Err(format!("the null server has no answer to: {text}")),
        };
        let table = table.ok_or("no table")?;
        let keyspace = table.split_once('.').map_or("", |(keyspace, _)| keyspace).to_owned();
        if let Some(unknown) = columns.iter().chain(&markers).find(|name| type_of(name).is_none()) {
            return Err(format!("the null server has no column {unknown}"));
        }
        Ok(Self { keyspace, table, columns, markers })
    }
}

fn names(list: &str) -> Vec<String> {
    list.split(',').map(|name| name.trim().to_owned()).collect()
}

/// Columns that are compared with a marker.
fn compared(clause: &str) -> Vec<String> {
    let before: Vec<&str> = clause.split('?').collect();
    let name = |before: &&str| {
        before.trim_end_matches([' ', '=', '<', '>']).split_whitespace().last().unwrap_or("").to_owned()
    };
    before.iter().take(before.len().saturating_sub(1)).map(name).collect()
}

/// A column's type as the protocol writes it.
fn type_of(column: &str) -> Option<&'static [u16]> {
    const BOOLEAN: &[u16] = &[0x04];
    const BLOB: &[u16] = &[0x03];
    const INT: &[u16] = &[0x09];
    const UUID: &[u16] = &[0x0C];
    const TEXT: &[u16] = &[0x0D];
    const INET: &[u16] = &[0x10];
    const TEXT_LIST: &[u16] = &[0x20, 0x0D];
    const TEXT_MAP: &[u16] = &[0x21, 0x0D, 0x0D];
    const TEXT_SET: &[u16] = &[0x22, 0x0D];
    Some(match column {
        "key" | "value" => BLOB,
        "n" | "position" | "initial_tablets" => INT,
        "host_id" | "schema_version" => UUID,
        "rpc_address" => INET,
        "tokens" => TEXT_SET,
        "replication" => TEXT_MAP,
        "durable_writes" => BOOLEAN,
        "field_names" | "field_types" => TEXT_LIST,
        "data_center" | "rack" | "cluster_name" | "keyspace_name" | "table_name" | "view_name" | "base_table_name"
        | "type_name" | "column_name" | "kind" | "type" | "partitioner" | "consistency" => TEXT,
        _ => return None,
    })
}

fn put_u16(to: &mut Vec<u8>, number: usize) {
    to.extend_from_slice(&(number as u16).to_be_bytes());
}

fn put_count(to: &mut Vec<u8>, number: usize) {
    to.extend_from_slice(&(number as i32).to_be_bytes());
}

/// Appends a `[string]`.
pub fn put_string(to: &mut Vec<u8>, text: &str) {
    put_u16(to, text.len());
    to.extend_from_slice(text.as_bytes());
}

fn put_columns(to: &mut Vec<u8>, shape: &Shape, columns: &[String]) {
    put_string(to, &shape.keyspace);
    put_string(to, shape.table.split_once('.').map_or(shape.table.as_str(), |(_, table)| table));
    for column in columns {
        put_string(to, column);
        for part in type_of(column).unwrap_or_default() {
            to.extend_from_slice(&part.to_be_bytes());
        }
    }
}

fn put_metadata(to: &mut Vec<u8>, shape: &Shape) {
    to.extend_from_slice(&GLOBAL_TABLE_SPEC.to_be_bytes());
    put_count(to, shape.columns.len());
    put_columns(to, shape, &shape.columns);
}

fn put_parameters(to: &mut Vec<u8>, shape: &Shape) {
    to.extend_from_slice(&GLOBAL_TABLE_SPEC.to_be_bytes());
    put_count(to, shape.markers.len());
    let key = shape.markers.iter().position(|marker| marker == "key");
    put_count(to, usize::from(key.is_some()));
    if let Some(key) = key {
        put_u16(to, key);
    }
    put_columns(to, shape, &shape.markers);
}

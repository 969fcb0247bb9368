//! `INSERT INTO t JSON '…'`: every column's value out of one text.

use std::sync::Arc;

use bytes::Bytes;
use quorate_model::CqlType;
use quorate_model::request::RequestError;
use quorate_model::schema::{Column, Table};

use crate::ast::Term;
use crate::bind::Evaluator;
use crate::expr::{Bound, Expr, Parameters, Receiver, typed};
use crate::json::{Json, field_name, from_json, parse};

/// The text with what is the same for all columns.
#[derive(Debug, PartialEq)]
struct Source {
    text: Expr,
    columns: Vec<String>,
    /// Columns that the text leaves out stay as they are, rather than become null.
    default_unset: bool,
}

/// One column of it.
#[derive(Debug, PartialEq)]
pub(crate) struct JsonColumn {
    source: Arc<Source>,
    name: String,
    cql_type: CqlType,
}

/// A document by column, kept while one statement is bound: the text it was read from, and its values.
pub(crate) type Document = (Bytes, Arc<Vec<(String, Json)>>);

/// All columns of the table, each with its value.
pub(crate) fn columns<'a>(
    term: &Term,
    default_unset: bool,
    table: &'a Table,
    parameters: &mut Parameters,
) -> Result<Vec<(&'a Column, Expr)>, RequestError> {
    let text = typed(term, &Receiver { name: "[json]", cql_type: &CqlType::Text }, parameters)?;
    let columns = table.columns.iter().map(|column| column.name.clone()).collect();
    let source = Arc::new(Source { text, columns, default_unset });
    if let Expr::Value(bytes) = &source.text {
        source.read(bytes)?;
    }
    let of = |column: &'a Column| {
        let (name, cql_type) = (column.name.clone(), column.cql_type.clone());
        (column, Expr::JsonColumn(Arc::new(JsonColumn { source: source.clone(), name, cql_type })))
    };
    Ok(table.columns.iter().map(of).collect())
}

impl Source {
    fn read(&self, bytes: &Bytes) -> Result<Vec<(String, Json)>, RequestError> {
        let text = String::from_utf8_lossy(bytes);
        let wrong = |problem: String| {
            RequestError::invalid(format!("Could not decode JSON string as a map: {problem}. (String was: {text})"))
        };
        let entries = match parse(&text).map_err(wrong)? {
            Json::Map(entries) => entries,
            Json::Null => return Err(RequestError::invalid("Got null for INSERT JSON values")),
            other => return Err(wrong(format!("it is a {}", other.kind()))),
        };
        let entries: Vec<(String, Json)> =
            entries.into_iter().map(|(name, value)| (field_name(&name), value)).collect();
        match entries.iter().find(|(name, _)| !self.columns.contains(name)) {
            Some((unknown, _)) => {
                Err(RequestError::invalid(format!("JSON values map contains unrecognized column: {unknown}")))
            }
            None => Ok(entries),
        }
    }
}

impl JsonColumn {
    pub(crate) fn eval(&self, evaluator: &mut Evaluator<'_>) -> Result<Bound, RequestError> {
        let Bound::Value(text) = self.source.text.eval(evaluator)? else {
            return Err(RequestError::invalid("Got null for INSERT JSON values"));
        };
        let document = match &evaluator.document {
            Some((known, document)) if *known == text => document.clone(),
            _ => {
                let document = Arc::new(self.source.read(&text)?);
                evaluator.document = Some((text, document.clone()));
                document
            }
        };
        // Of two with one name the last stands.
        let Some((_, json)) = document.iter().rev().find(|(name, _)| *name == self.name) else {
            return Ok(if self.source.default_unset { Bound::Unset } else { Bound::Null });
        };
        let value = from_json(&self.cql_type, json).map_err(|problem| {
            RequestError::invalid(format!("Error decoding JSON value for {}: {problem}", self.name))
        })?;
        Ok(value.map_or(Bound::Null, Bound::Value))
    }
}

//! Rows of a result to values.

use bytes::Bytes;
use quorate_model::request::Rows;
use quorate_model::{CqlType, Value};

/// Why bytes are no rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed result: {0}")]
pub struct Malformed(String);

/// The rows of a page as values.
pub fn decode_rows(rows: &Rows) -> Result<Vec<Vec<Value>>, Malformed> {
    let mut input = rows.data.clone();
    let columns = &rows.metadata.columns;
    // A cell takes at least four bytes: a count that the data cannot hold is not allocated for.
    let possible = input.len() / (4 * columns.len().max(1)) + 1;
    let mut decoded = Vec::with_capacity(possible.min(rows.row_count as usize));
    for _ in 0..rows.row_count {
        let row = columns.iter().map(|column| cell(&mut input, &column.cql_type));
        decoded.push(row.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(decoded)
}

fn cell(input: &mut Bytes, cql_type: &CqlType) -> Result<Value, Malformed> {
    let cut_short = || Malformed("it is cut short".to_owned());
    let (length, rest) = input.split_first_chunk::<4>().ok_or_else(cut_short)?;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
        *input = input.slice(4..);
        return Ok(Value::Null);
    };
    let value = rest.get(..length).ok_or_else(cut_short)?;
    let decoded = Value::decode(cql_type, value).map_err(|error| Malformed(error.to_string()))?;
    *input = input.slice(4 + length..);
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use quorate_model::request::{ColumnSpec, ResultMetadata};

    use super::*;

    fn page(row_count: u32, data: &'static [u8]) -> Rows {
        let column = ColumnSpec { keyspace: "k".into(), table: "t".into(), name: "v".into(), cql_type: CqlType::Int };
        Rows {
            metadata: Arc::new(ResultMetadata { columns: vec![column] }),
            row_count,
            data: Bytes::from_static(data),
            paging_state: None,
        }
    }

    #[test]
    fn rows_decode_and_short_ones_are_errors() {
        let rows = decode_rows(&page(2, &[0, 0, 0, 4, 0, 0, 0, 7, 255, 255, 255, 255])).unwrap();
        assert_eq!(rows, [vec![Value::Int(7)], vec![Value::Null]]);
        assert!(decode_rows(&page(u32::MAX, &[0, 0, 0, 4, 0])).is_err());
        assert!(decode_rows(&page(1, &[0x7f, 255, 255, 255])).is_err());
    }
}

//! The layout of indexes: the fields in order; enums by a leading number, which is never given anew.

use super::{decode_items, decode_map, encode_items, encode_map};
use crate::ids::{ColumnId, TableId};
use crate::index::{Index, IndexDefinition, IndexKind, IndexPart, IndexSearch, IndexSource};
use crate::types::CqlType;
use crate::wire::{Reader, Wire, WireError, Writer};

const PARTS: [IndexPart; 5] =
    [IndexPart::Value, IndexPart::Values, IndexPart::Keys, IndexPart::Entries, IndexPart::Full];

impl Wire for IndexPart {
    fn encode(&self, out: &mut Writer) {
        let number = PARTS.iter().position(|part| part == self);
        out.u8(number.map_or(u8::MAX, |number| number as u8));
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let number = input.u8("index part")?;
        PARTS.get(usize::from(number)).copied().ok_or_else(|| input.error("index part", "unknown number"))
    }
}

impl Wire for Index {
    fn encode(&self, out: &mut Writer) {
        self.id.encode(out);
        out.string(&self.name);
        self.column.encode(out);
        self.part.encode(out);
        match &self.kind {
            IndexKind::Composites => out.u8(0),
            IndexKind::Custom(class) => {
                out.u8(1);
                out.string(class);
            }
        }
        encode_map(&self.options, out, |value, out| out.string(value));
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        Ok(Self {
            id: TableId::decode(input)?,
            name: input.string("index name")?,
            column: ColumnId::decode(input)?,
            part: IndexPart::decode(input)?,
            kind: match input.u8("index kind")? {
                0 => IndexKind::Composites,
                1 => IndexKind::Custom(input.string("index class")?),
                _ => return Err(input.error("index kind", "unknown number")),
            },
            options: decode_map(input, "index option", |input| input.string("index option"))?,
        })
    }
}

impl Wire for IndexSearch {
    fn encode(&self, out: &mut Writer) {
        self.index.encode(out);
        out.bytes(&self.first);
        out.bytes(&self.last);
        out.bool(self.whole_partitions);
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        Ok(Self {
            index: TableId::decode(input)?,
            first: input.bytes("index term")?,
            last: input.bytes("index term")?,
            whole_partitions: input.bool("whole partitions")?,
        })
    }
}

impl Wire for IndexDefinition {
    fn encode(&self, out: &mut Writer) {
        self.id.encode(out);
        match &self.source {
            IndexSource::PartitionKey { position, count } => {
                out.u8(0);
                out.varint(u64::from(*position));
                out.varint(u64::from(*count));
            }
            IndexSource::Clustering { position, types } => {
                out.u8(1);
                out.varint(u64::from(*position));
                encode_items(types.iter(), out, |(cql_type, descending), out| {
                    cql_type.encode(out);
                    out.bool(*descending);
                });
            }
            IndexSource::Static(column) => {
                out.u8(2);
                column.encode(out);
            }
            IndexSource::Regular(column) => {
                out.u8(3);
                column.encode(out);
            }
        }
        self.part.encode(out);
        self.cql_type.encode(out);
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let id = TableId::decode(input)?;
        let number = |input: &mut Reader| {
            let number = input.varint("key component")?;
            u16::try_from(number).map_err(|_| input.error("key component", "a number over 16 bits"))
        };
        let source = match input.u8("index source")? {
            0 => IndexSource::PartitionKey { position: number(input)?, count: number(input)? },
            1 => {
                let position = number(input)?;
                let component = |input: &mut Reader| Ok((CqlType::decode(input)?, input.bool("descending")?));
                IndexSource::Clustering { position, types: decode_items(input, 2, "clustering types", component)? }
            }
            2 => IndexSource::Static(ColumnId::decode(input)?),
            3 => IndexSource::Regular(ColumnId::decode(input)?),
            _ => return Err(input.error("index source", "unknown number")),
        };
        Ok(Self { id, source, part: IndexPart::decode(input)?, cql_type: CqlType::decode(input)? })
    }
}

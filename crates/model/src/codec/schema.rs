//! The layout of types and schemas: the fields in order; enums by a leading number, which is never given anew.

use std::sync::Arc;

use super::{decode_items, decode_map, decode_option, encode_items, encode_map, encode_option, u32_varint};
use crate::ids::{ColumnId, Epoch, TableId};
use crate::index::Index;
use crate::limits;
use crate::schema::{Column, ColumnKind, Keyspace, Replication, Schema, Table, TableOptions, UserType};
use crate::types::CqlType;
use crate::wire::{Reader, Wire, WireError, Writer};

/// Native types by number.
const NATIVE: [CqlType; 20] = [
    CqlType::Ascii,
    CqlType::BigInt,
    CqlType::Blob,
    CqlType::Boolean,
    CqlType::Counter,
    CqlType::Decimal,
    CqlType::Double,
    CqlType::Float,
    CqlType::Int,
    CqlType::Text,
    CqlType::Timestamp,
    CqlType::Uuid,
    CqlType::Varint,
    CqlType::TimeUuid,
    CqlType::Inet,
    CqlType::Date,
    CqlType::Time,
    CqlType::SmallInt,
    CqlType::TinyInt,
    CqlType::Duration,
];
const LIST: u8 = 32;
const SET: u8 = 33;
const MAP: u8 = 34;
const TUPLE: u8 = 35;
const VECTOR: u8 = 36;
const USER_DEFINED: u8 = 37;

impl Wire for CqlType {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::List(element, frozen) => {
                out.u8(LIST);
                element.encode(out);
                out.bool(*frozen);
            }
            Self::Set(element, frozen) => {
                out.u8(SET);
                element.encode(out);
                out.bool(*frozen);
            }
            Self::Map(key, value, frozen) => {
                out.u8(MAP);
                key.encode(out);
                value.encode(out);
                out.bool(*frozen);
            }
            Self::Tuple(fields) => {
                out.u8(TUPLE);
                encode_items(fields.iter(), out, Wire::encode);
            }
            Self::Vector(element, dimension) => {
                out.u8(VECTOR);
                element.encode(out);
                out.varint(u64::from(*dimension));
            }
            Self::UserDefined { keyspace, name, fields, frozen } => {
                out.u8(USER_DEFINED);
                out.string(keyspace);
                out.string(name);
                encode_items(fields.iter(), out, |(name, field), out| {
                    out.string(name);
                    field.encode(out);
                });
                out.bool(*frozen);
            }
            native => {
                let number = NATIVE.iter().position(|known| known == native);
                out.u8(number.map_or(u8::MAX, |number| number as u8));
            }
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        decode_type(input, limits::TYPE_DEPTH_MAX)
    }
}

fn decode_type(input: &mut Reader, depth_left: usize) -> Result<CqlType, WireError> {
    let Some(depth_left) = depth_left.checked_sub(1) else {
        return Err(input.error("type", "nested too deeply"));
    };
    let number = input.u8("type")?;
    Ok(match number {
        LIST => CqlType::List(decode_type(input, depth_left)?.into(), input.bool("frozen")?),
        SET => CqlType::Set(decode_type(input, depth_left)?.into(), input.bool("frozen")?),
        MAP => {
            let key = decode_type(input, depth_left)?;
            CqlType::Map(key.into(), decode_type(input, depth_left)?.into(), input.bool("frozen")?)
        }
        TUPLE => CqlType::Tuple(decode_items(input, 1, "tuple", |input| decode_type(input, depth_left))?),
        VECTOR => {
            let element = decode_type(input, depth_left)?;
            let dimension = input.varint("vector")?;
            let dimension = u16::try_from(dimension).map_err(|_| input.error("vector", "too many dimensions"))?;
            CqlType::Vector(element.into(), dimension)
        }
        USER_DEFINED => CqlType::UserDefined {
            keyspace: input.string("user type")?,
            name: input.string("user type")?,
            fields: decode_items(input, 2, "user type", |input| {
                Ok((input.string("field")?, decode_type(input, depth_left)?))
            })?,
            frozen: input.bool("frozen")?,
        },
        native => match NATIVE.get(usize::from(native)) {
            Some(known) => known.clone(),
            None => return Err(input.error("type", "unknown number")),
        },
    })
}

impl Wire for ColumnKind {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::PartitionKey(position) => {
                out.u8(0);
                out.varint(u64::from(*position));
            }
            Self::Clustering(position, descending) => {
                out.u8(1);
                out.varint(u64::from(*position));
                out.bool(*descending);
            }
            Self::Static => out.u8(2),
            Self::Regular => out.u8(3),
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let position = |input: &mut Reader| {
            let position = input.varint("column position")?;
            u16::try_from(position).map_err(|_| input.error("column position", "a number over 16 bits"))
        };
        match input.u8("column kind")? {
            0 => position(input).map(Self::PartitionKey),
            1 => Ok(Self::Clustering(position(input)?, input.bool("descending")?)),
            2 => Ok(Self::Static),
            3 => Ok(Self::Regular),
            _ => Err(input.error("column kind", "unknown number")),
        }
    }
}

impl Wire for Column {
    fn encode(&self, out: &mut Writer) {
        self.id.encode(out);
        out.string(&self.name);
        self.cql_type.encode(out);
        self.kind.encode(out);
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        Ok(Self {
            id: ColumnId::decode(input)?,
            name: input.string("column name")?,
            cql_type: CqlType::decode(input)?,
            kind: ColumnKind::decode(input)?,
        })
    }
}

impl Wire for TableOptions {
    fn encode(&self, out: &mut Writer) {
        let string = |value: &String, out: &mut Writer| out.string(value);
        out.string(&self.comment);
        out.varint(u64::from(self.default_time_to_live));
        out.varint(u64::from(self.gc_grace_seconds));
        out.u64(self.bloom_filter_fp_chance.to_bits());
        encode_map(&self.compaction, out, string);
        encode_map(&self.compression, out, string);
        encode_map(&self.caching, out, string);
        out.string(&self.speculative_retry);
        out.string(&self.additional_write_policy);
        out.string(&self.read_repair);
        out.string(&self.memtable);
        out.varint(u64::from(self.memtable_flush_period_in_ms));
        out.varint(u64::from(self.min_index_interval));
        out.varint(u64::from(self.max_index_interval));
        out.u64(self.crc_check_chance.to_bits());
        out.bool(self.cdc);
        encode_map(&self.extensions, out, |value, out| out.bytes(value));
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let string = |input: &mut Reader| input.string("table option");
        let number = |input: &mut Reader| u32_varint(input, "table option");
        // NaN is refused, so that equality of options is what it seems.
        let chance = |input: &mut Reader| match f64::from_bits(input.u64("table option")?) {
            chance if (0.0..=1.0).contains(&chance) => Ok(chance),
            _ => Err(input.error("table option", "a chance that is not between 0 and 1")),
        };
        Ok(Self {
            comment: string(input)?,
            default_time_to_live: number(input)?,
            gc_grace_seconds: number(input)?,
            bloom_filter_fp_chance: chance(input)?,
            compaction: decode_map(input, "table option", string)?,
            compression: decode_map(input, "table option", string)?,
            caching: decode_map(input, "table option", string)?,
            speculative_retry: string(input)?,
            additional_write_policy: string(input)?,
            read_repair: string(input)?,
            memtable: string(input)?,
            memtable_flush_period_in_ms: number(input)?,
            min_index_interval: number(input)?,
            max_index_interval: number(input)?,
            crc_check_chance: chance(input)?,
            cdc: input.bool("table option")?,
            extensions: decode_map(input, "table option", |input| Ok(input.bytes("extension")?.to_vec()))?,
        })
    }
}

impl Wire for Table {
    fn encode(&self, out: &mut Writer) {
        self.id.encode(out);
        out.string(&self.keyspace);
        out.string(&self.name);
        encode_items(self.columns.iter(), out, Wire::encode);
        self.next_column.encode(out);
        encode_items(self.dropped.iter(), out, |(column, at), out| {
            column.encode(out);
            out.signed(*at);
        });
        self.options.encode(out);
        encode_items(self.indexes.iter(), out, Wire::encode);
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        Ok(Self {
            id: TableId::decode(input)?,
            keyspace: input.string("keyspace name")?,
            name: input.string("table name")?,
            columns: decode_items(input, 4, "columns", Column::decode)?,
            next_column: ColumnId::decode(input)?,
            dropped: decode_items(input, 5, "dropped columns", |input| {
                Ok((Column::decode(input)?, input.signed("drop time")?))
            })?,
            options: TableOptions::decode(input)?,
            indexes: decode_items(input, 5, "indexes", Index::decode)?,
        })
    }
}

impl Wire for Replication {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Local => out.u8(0),
            Self::Simple { factor } => {
                out.u8(1);
                out.varint(u64::from(*factor));
            }
            Self::NetworkTopology { factors } => {
                out.u8(2);
                encode_map(factors, out, |factor, out| out.varint(u64::from(*factor)));
            }
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let factor = |input: &mut Reader| u32_varint(input, "replication factor");
        match input.u8("replication")? {
            0 => Ok(Self::Local),
            1 => Ok(Self::Simple { factor: factor(input)? }),
            2 => Ok(Self::NetworkTopology { factors: decode_map(input, "replication", factor)? }),
            _ => Err(input.error("replication", "unknown strategy")),
        }
    }
}

impl Wire for UserType {
    fn encode(&self, out: &mut Writer) {
        out.string(&self.keyspace);
        out.string(&self.name);
        encode_items(self.fields.iter(), out, |(name, field), out| {
            out.string(name);
            field.encode(out);
        });
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        Ok(Self {
            keyspace: input.string("user type")?,
            name: input.string("user type")?,
            fields: decode_items(input, 2, "user type", |input| Ok((input.string("field")?, CqlType::decode(input)?)))?,
        })
    }
}

impl Wire for Keyspace {
    fn encode(&self, out: &mut Writer) {
        out.string(&self.name);
        self.replication.encode(out);
        out.bool(self.durable_writes);
        encode_items(self.tables.values(), out, |table, out| table.encode(out));
        encode_items(self.types.values(), out, |user_type, out| user_type.encode(out));
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let name = input.string("keyspace name")?;
        let replication = Replication::decode(input)?;
        let durable_writes = input.bool("durable writes")?;
        let tables = decode_items(input, 20, "tables", Table::decode)?;
        if !tables.is_sorted_by(|left, right| left.name < right.name) {
            return Err(input.error("tables", "names out of order"));
        }
        let tables = tables.into_iter().map(|table| (table.name.clone(), Arc::new(table))).collect();
        let types = decode_items(input, 3, "user types", UserType::decode)?;
        if !types.is_sorted_by(|left, right| left.name < right.name) {
            return Err(input.error("user types", "names out of order"));
        }
        let types = types.into_iter().map(|found| (found.name.clone(), Arc::new(found))).collect();
        Ok(Self { name, replication, durable_writes, tables, types })
    }
}

impl Wire for Schema {
    fn encode(&self, out: &mut Writer) {
        self.epoch.encode(out);
        encode_items(self.keyspaces.values(), out, |keyspace, out| keyspace.encode(out));
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let epoch = Epoch::decode(input)?;
        let keyspaces = decode_items(input, 4, "keyspaces", Keyspace::decode)?;
        if !keyspaces.is_sorted_by(|left, right| left.name < right.name) {
            return Err(input.error("keyspaces", "names out of order"));
        }
        let keyspaces = keyspaces.into_iter().map(|keyspace| (keyspace.name.clone(), Arc::new(keyspace))).collect();
        Ok(Self { epoch, keyspaces })
    }
}

impl Wire for Option<TableId> {
    fn encode(&self, out: &mut Writer) {
        encode_option(self.as_ref(), out, Wire::encode);
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        decode_option(input, "table id", TableId::decode)
    }
}

//! The layout of reads and their answers: the fields in order, each as its type has it.

use super::{decode_items, decode_option, encode_items, encode_option, u32_varint};
use crate::ids::TableId;
use crate::index::IndexSearch;
use crate::key::{DecoratedKey, Position, Token};
use crate::partition::Partition;
use crate::read::{ReadCommand, ReadResponse, ReadTarget, Resume, RowChoice};
use crate::time::Seconds;
use crate::wire::{Reader, Wire, WireError, Writer};

impl Wire for ReadCommand {
    fn encode(&self, out: &mut Writer) {
        self.table.encode(out);
        self.target.encode(out);
        encode_slices(&self.slices, out);
        out.bool(self.reversed);
        out.varint(u64::from(self.row_limit));
        out.varint(u64::from(self.per_partition_limit));
        out.varint(u64::from(self.byte_limit));
        self.now.encode(out);
        self.rows.encode(out);
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let table = TableId::decode(input)?;
        let target = ReadTarget::decode(input)?;
        let slices = decode_slices(input)?;
        Ok(Self {
            table,
            target,
            slices,
            reversed: input.bool("reversed")?,
            row_limit: u32_varint(input, "row limit")?,
            per_partition_limit: u32_varint(input, "per partition limit")?,
            byte_limit: u32_varint(input, "byte limit")?,
            now: Seconds::decode(input)?,
            rows: RowChoice::decode(input)?,
        })
    }
}

fn encode_slices(slices: &[(Position, Position)], out: &mut Writer) {
    encode_items(slices.iter(), out, |(start, end), out| {
        start.encode(out);
        end.encode(out);
    });
}

fn decode_slices(input: &mut Reader) -> Result<Vec<(Position, Position)>, WireError> {
    let slices = decode_items(input, 2, "slices", |input| Ok((Position::decode(input)?, Position::decode(input)?)))?;
    let each = slices.iter().all(|(start, end)| start < end);
    if !each || !slices.is_sorted_by(|(_, end), (start, _)| end <= start) {
        return Err(input.error("slices", "not disjoint and ascending"));
    }
    Ok(slices)
}

impl Wire for RowChoice {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::All => out.u8(0),
            Self::Index(search) => {
                out.u8(1);
                search.encode(out);
            }
            Self::Named(rows) => {
                out.u8(2);
                encode_items(rows.iter(), out, |(key, slices), out| {
                    key.encode(out);
                    encode_slices(slices, out);
                });
            }
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        match input.u8("row choice")? {
            0 => Ok(Self::All),
            1 => IndexSearch::decode(input).map(Self::Index),
            2 => {
                let rows: Vec<(DecoratedKey, _)> = decode_items(input, 10, "named rows", |input| {
                    Ok((DecoratedKey::decode(input)?, decode_slices(input)?))
                })?;
                if !rows.is_sorted_by(|(left, _), (right, _)| left < right) {
                    return Err(input.error("named rows", "partitions out of order"));
                }
                Ok(Self::Named(rows))
            }
            _ => Err(input.error("row choice", "unknown kind")),
        }
    }
}

impl Wire for ReadTarget {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Partition(key) => {
                out.u8(0);
                key.encode(out);
            }
            Self::Range { after, last, from } => {
                out.u8(1);
                encode_option(after.as_ref(), out, Wire::encode);
                last.encode(out);
                encode_option(from.as_ref(), out, Wire::encode);
            }
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        match input.u8("read target")? {
            0 => DecoratedKey::decode(input).map(Self::Partition),
            1 => Ok(Self::Range {
                after: decode_option(input, "range start", Token::decode)?,
                last: Token::decode(input)?,
                from: decode_option(input, "resume", Resume::decode)?,
            }),
            _ => Err(input.error("read target", "unknown kind")),
        }
    }
}

impl Wire for Resume {
    fn encode(&self, out: &mut Writer) {
        self.key.encode(out);
        encode_option(self.position.as_ref(), out, Wire::encode);
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        Ok(Self {
            key: DecoratedKey::decode(input)?,
            position: decode_option(input, "resume position", Position::decode)?,
        })
    }
}

impl Wire for ReadResponse {
    fn encode(&self, out: &mut Writer) {
        encode_items(self.partitions.iter(), out, |(key, partition), out| {
            key.encode(out);
            partition.encode(out);
        });
        encode_option(self.stopped_at.as_ref(), out, Wire::encode);
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let partitions: Vec<(DecoratedKey, Partition)> = decode_items(input, 10, "partitions", |input| {
            Ok((DecoratedKey::decode(input)?, Partition::decode(input)?))
        })?;
        if !partitions.is_sorted_by(|(left, _), (right, _)| left < right) {
            return Err(input.error("partitions", "partitions out of order"));
        }
        Ok(Self { partitions, stopped_at: decode_option(input, "resume", Resume::decode)? })
    }
}

//! The layout of what nodes tell each other about requests.

use super::{decode_items, decode_option, encode_items, encode_option, u32_varint};
use crate::consistency::Consistency;
use crate::ids::NodeId;
use crate::request::{Place, RequestError, StatementId, Trace, TraceEvent, WriteType};
use crate::wire::{Reader, Wire, WireError, Writer};

impl Wire for Consistency {
    fn encode(&self, out: &mut Writer) {
        out.varint(u64::from(self.code()));
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let code = input.varint("consistency")?;
        let level = u16::try_from(code).ok().and_then(Self::from_code);
        level.ok_or_else(|| input.error("consistency", "unknown level"))
    }
}

const WRITE_TYPES: [WriteType; 6] = [
    WriteType::Simple,
    WriteType::Batch,
    WriteType::UnloggedBatch,
    WriteType::Counter,
    WriteType::BatchLog,
    WriteType::Cas,
];

impl Wire for WriteType {
    fn encode(&self, out: &mut Writer) {
        out.string(self.name());
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let name = input.string("write type")?;
        let known = WRITE_TYPES.into_iter().find(|kind| kind.name() == name);
        known.ok_or_else(|| input.error("write type", "unknown name"))
    }
}

impl Wire for StatementId {
    fn encode(&self, out: &mut Writer) {
        out.raw(&self.0);
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        input.id("statement id").map(Self)
    }
}

impl Wire for Place {
    fn encode(&self, out: &mut Writer) {
        out.varint(u64::from(self.line));
        out.varint(u64::from(self.column));
        out.varint(u64::from(self.length));
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        Ok(Self {
            line: u32_varint(input, "line")?,
            column: u32_varint(input, "column")?,
            length: u32_varint(input, "length")?,
        })
    }
}

impl Wire for TraceEvent {
    fn encode(&self, out: &mut Writer) {
        self.node.encode(out);
        out.varint(self.elapsed_us);
        out.string(&self.activity);
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        Ok(Self {
            node: NodeId::decode(input)?,
            elapsed_us: input.varint("elapsed time")?,
            activity: input.string("activity")?,
        })
    }
}

impl Wire for Trace {
    fn encode(&self, out: &mut Writer) {
        out.raw(&self.session);
        out.varint(self.duration_us);
        encode_items(self.events.iter(), out, Wire::encode);
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        Ok(Self {
            session: input.id("trace session")?,
            duration_us: input.varint("duration")?,
            events: decode_items(input, 18, "trace events", TraceEvent::decode)?,
        })
    }
}

fn encode_failures(failures: &[(NodeId, String)], out: &mut Writer) {
    encode_items(failures.iter(), out, |(node, reason), out| {
        node.encode(out);
        out.string(reason);
    });
}

fn decode_failures(input: &mut Reader) -> Result<Vec<(NodeId, String)>, WireError> {
    decode_items(input, 17, "failures", |input| Ok((NodeId::decode(input)?, input.string("reason")?)))
}

impl Wire for RequestError {
    fn encode(&self, out: &mut Writer) {
        out.varint(u64::from(self.code()));
        match self {
            Self::Server(message)
            | Self::Protocol(message)
            | Self::Overloaded(message)
            | Self::Bootstrapping(message)
            | Self::Truncate(message)
            | Self::Unauthorized(message)
            | Self::Configuration(message) => out.string(message),
            Self::Unavailable { consistency, required, alive } => counts(out, *consistency, *required, *alive),
            Self::WriteTimeout { consistency, received, required, write_type } => {
                counts(out, *consistency, *received, *required);
                write_type.encode(out);
            }
            Self::ReadTimeout { consistency, received, required, data_present } => {
                counts(out, *consistency, *received, *required);
                out.bool(*data_present);
            }
            Self::ReadFailure { consistency, received, required, data_present, failures } => {
                counts(out, *consistency, *received, *required);
                out.bool(*data_present);
                encode_failures(failures, out);
            }
            Self::WriteFailure { consistency, received, required, write_type, failures } => {
                counts(out, *consistency, *received, *required);
                write_type.encode(out);
                encode_failures(failures, out);
            }
            Self::FunctionFailure { keyspace, function, argument_types, message } => {
                out.string(keyspace);
                out.string(function);
                encode_items(argument_types.iter(), out, |name, out| out.string(name));
                out.string(message);
            }
            Self::Syntax { message, place } | Self::Invalid { message, place } => {
                out.string(message);
                encode_option(place.as_ref(), out, Wire::encode);
            }
            Self::AlreadyExists { keyspace, table } => {
                out.string(keyspace);
                out.string(table);
            }
            Self::Unprepared(statement) => statement.encode(out),
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let code = input.varint("error code")?;
        let message = |input: &mut Reader| input.string("error message");
        Ok(match code {
            0x0000 => Self::Server(message(input)?),
            0x000A => Self::Protocol(message(input)?),
            0x1000 => {
                let (consistency, required, alive) = decode_counts(input)?;
                Self::Unavailable { consistency, required, alive }
            }
            0x1001 => Self::Overloaded(message(input)?),
            0x1002 => Self::Bootstrapping(message(input)?),
            0x1003 => Self::Truncate(message(input)?),
            0x1100 => {
                let (consistency, received, required) = decode_counts(input)?;
                Self::WriteTimeout { consistency, received, required, write_type: WriteType::decode(input)? }
            }
            0x1200 => {
                let (consistency, received, required) = decode_counts(input)?;
                Self::ReadTimeout { consistency, received, required, data_present: input.bool("data present")? }
            }
            0x1300 => {
                let (consistency, received, required) = decode_counts(input)?;
                let data_present = input.bool("data present")?;
                Self::ReadFailure { consistency, received, required, data_present, failures: decode_failures(input)? }
            }
            0x1400 => Self::FunctionFailure {
                keyspace: input.string("keyspace")?,
                function: input.string("function")?,
                argument_types: decode_items(input, 1, "argument types", |input| input.string("argument type"))?,
                message: message(input)?,
            },
            0x1500 => {
                let (consistency, received, required) = decode_counts(input)?;
                let write_type = WriteType::decode(input)?;
                Self::WriteFailure { consistency, received, required, write_type, failures: decode_failures(input)? }
            }
            0x2000 => Self::Syntax { message: message(input)?, place: decode_option(input, "place", Place::decode)? },
            0x2100 => Self::Unauthorized(message(input)?),
            0x2200 => Self::Invalid { message: message(input)?, place: decode_option(input, "place", Place::decode)? },
            0x2300 => Self::Configuration(message(input)?),
            0x2400 => Self::AlreadyExists { keyspace: message(input)?, table: message(input)? },
            0x2500 => Self::Unprepared(StatementId::decode(input)?),
            _ => return Err(input.error("error code", "unknown code")),
        })
    }
}

fn counts(out: &mut Writer, consistency: Consistency, first: u32, second: u32) {
    consistency.encode(out);
    out.varint(u64::from(first));
    out.varint(u64::from(second));
}

fn decode_counts(input: &mut Reader) -> Result<(Consistency, u32, u32), WireError> {
    Ok((Consistency::decode(input)?, u32_varint(input, "replica count")?, u32_varint(input, "replica count")?))
}

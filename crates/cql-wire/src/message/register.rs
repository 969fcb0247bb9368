//! `REGISTER`: the client wants to hear of events.

use super::event::EventKind;
use crate::error::WireError;
use crate::reader::Reader;
use crate::writer::Writer;

/// The request.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Register {
    /// Kinds of event to hear of.
    pub kinds: Vec<EventKind>,
}

impl Register {
    /// Reads the body.
    pub fn read(reader: &mut Reader) -> Result<Self, WireError> {
        let names = reader.string_list("event")?;
        let kinds = names.into_iter().map(|name| EventKind::parse(&name));
        Ok(Self { kinds: kinds.collect::<Result<_, _>>()? })
    }

    /// Writes the body.
    pub fn write(&self, writer: &mut Writer<'_>) {
        let names: Vec<String> = self.kinds.iter().map(|kind| kind.name().to_owned()).collect();
        writer.string_list(&names);
    }
}

//! `SUPPORTED`: the answer to `OPTIONS`.

use crate::compression::Compression;
use crate::error::WireError;
use crate::reader::Reader;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// The CQL version that we name, Cassandra 5's.
pub const CQL_VERSION: &str = "3.4.7";

/// What a server supports.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Supported {
    /// Names, each with its possible values.
    pub options: Vec<(String, Vec<String>)>,
}

impl Supported {
    /// What this crate supports. Drivers index `COMPRESSION` and `CQL_VERSION` without asking whether they are there.
    pub fn ours() -> Self {
        let compressions = [Compression::Lz4, Compression::Snappy].map(|compression| compression.name().to_owned());
        let options = [
            ("COMPRESSION", compressions.to_vec()),
            ("CQL_VERSION", vec![CQL_VERSION.to_owned()]),
            ("PROTOCOL_VERSIONS", ProtocolVersion::names()),
        ];
        Self { options: options.map(|(name, values)| (name.to_owned(), values)).to_vec() }
    }

    /// Reads the body.
    pub fn read(reader: &mut Reader) -> Result<Self, WireError> {
        Ok(Self { options: reader.string_multimap("SUPPORTED option")? })
    }

    /// Writes the body.
    pub fn write(&self, writer: &mut Writer<'_>) {
        writer.string_multimap(&self.options);
    }
}

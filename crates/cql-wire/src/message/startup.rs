//! `STARTUP`: a connection's first request.

use crate::compression::Compression;
use crate::error::WireError;
use crate::reader::Reader;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// The client begins, with its options in the order in which it sent them.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Startup {
    /// Names and values. Names are compared without regard to case.
    pub options: Vec<(String, String)>,
}

impl Startup {
    /// What drivers send: a CQL version, and a compression if wanted.
    pub fn new(compression: Option<Compression>) -> Self {
        let mut options = vec![("CQL_VERSION".to_owned(), "3.0.0".to_owned())];
        options.extend(compression.map(|compression| ("COMPRESSION".to_owned(), compression.name().to_owned())));
        Self { options }
    }

    /// The option with this name.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The compression that it asks for.
    pub fn compression(&self, version: ProtocolVersion) -> Result<Option<Compression>, WireError> {
        let Some(name) = self.option("COMPRESSION").filter(|name| !name.is_empty()) else { return Ok(None) };
        match Compression::parse(name) {
            Some(Compression::Snappy) if version >= ProtocolVersion::V5 => {
                Err(WireError::NotInVersion { field: "Snappy compression", version: version.number() })
            }
            Some(compression) => Ok(Some(compression)),
            None => Err(WireError::UnknownName { field: "COMPRESSION", found: name.to_owned() }),
        }
    }

    /// Whether the client wants an error instead of a pause when the server is overloaded.
    pub fn throws_on_overload(&self) -> bool {
        self.option("THROW_ON_OVERLOAD").is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
    }

    /// Reads the body.
    pub fn read(reader: &mut Reader) -> Result<Self, WireError> {
        Ok(Self { options: reader.string_map("STARTUP option")? })
    }

    /// Writes the body.
    pub fn write(&self, writer: &mut Writer<'_>) {
        writer.string_map(&self.options);
    }
}

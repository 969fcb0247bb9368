//! Types as the names of Cassandra's marshalling classes, e.g. `org.apache.cassandra.db.marshal.VectorType(...)`.

use quorate_model::CqlType;

use super::TypeBudget;
use crate::error::WireError;
use crate::limits::TYPE_PARTS_MAX;

const PACKAGE: &str = "org.apache.cassandra.db.marshal.";

/// Native types and their classes.
const CLASSES: [(&str, CqlType); 20] = [
    ("AsciiType", CqlType::Ascii),
    ("LongType", CqlType::BigInt),
    ("BytesType", CqlType::Blob),
    ("BooleanType", CqlType::Boolean),
    ("CounterColumnType", CqlType::Counter),
    ("DecimalType", CqlType::Decimal),
    ("DoubleType", CqlType::Double),
    ("FloatType", CqlType::Float),
    ("Int32Type", CqlType::Int),
    ("UTF8Type", CqlType::Text),
    ("TimestampType", CqlType::Timestamp),
    ("UUIDType", CqlType::Uuid),
    ("IntegerType", CqlType::Varint),
    ("TimeUUIDType", CqlType::TimeUuid),
    ("InetAddressType", CqlType::Inet),
    ("SimpleDateType", CqlType::Date),
    ("TimeType", CqlType::Time),
    ("ShortType", CqlType::SmallInt),
    ("ByteType", CqlType::TinyInt),
    ("DurationType", CqlType::Duration),
];

/// The class name of a type.
pub fn class_name(cql_type: &CqlType) -> String {
    let mut name = String::new();
    write(cql_type, &mut name);
    name
}

fn write(cql_type: &CqlType, out: &mut String) {
    let (class, parts, frozen): (&str, Vec<&CqlType>, bool) = match cql_type {
        CqlType::List(element, frozen) => ("ListType", vec![element], *frozen),
        CqlType::Set(element, frozen) => ("SetType", vec![element], *frozen),
        CqlType::Map(key, value, frozen) => ("MapType", vec![key, value], *frozen),
        CqlType::Tuple(fields) => ("TupleType", fields.iter().collect(), false),
        CqlType::Vector(element, dimension) => {
            out.push_str(PACKAGE);
            out.push_str("VectorType(");
            write(element, out);
            out.push_str(&format!(", {dimension})"));
            return;
        }
        CqlType::UserDefined { keyspace, name, fields, frozen } => {
            write_user_type(keyspace, name, fields, *frozen, out);
            return;
        }
        native => {
            let class = CLASSES.iter().find(|(_, known)| known == native).map_or("BytesType", |(class, _)| class);
            (class, Vec::new(), false)
        }
    };
    if frozen {
        out.push_str(PACKAGE);
        out.push_str("FrozenType(");
    }
    out.push_str(PACKAGE);
    out.push_str(class);
    if !parts.is_empty() {
        out.push('(');
        for (index, part) in parts.into_iter().enumerate() {
            out.push_str(if index > 0 { "," } else { "" });
            write(part, out);
        }
        out.push(')');
    }
    if frozen {
        out.push(')');
    }
}

fn write_user_type(keyspace: &str, name: &str, fields: &[(String, CqlType)], frozen: bool, out: &mut String) {
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    if frozen {
        out.push_str(PACKAGE);
        out.push_str("FrozenType(");
    }
    out.push_str(PACKAGE);
    out.push_str(&format!("UserType({keyspace},{}", hex(name)));
    for (field, cql_type) in fields {
        out.push_str(&format!(",{}:", hex(field)));
        write(cql_type, out);
    }
    out.push_str(if frozen { "))" } else { ")" });
}

/// Reads a class name, with or without its package.
pub fn parse_class_name(text: &str) -> Result<CqlType, WireError> {
    let mut parser = Parser { rest: text, budget: TypeBudget::new(TYPE_PARTS_MAX) };
    let parsed = parser.parse(1).and_then(|cql_type| {
        parser.skip_blanks();
        if parser.rest.is_empty() { Ok(cql_type) } else { Err(None) }
    });
    parsed.map_err(|error| {
        error.unwrap_or_else(|| {
            let end = text.floor_char_boundary(200);
            WireError::UnknownName { field: "custom type", found: text.get(..end).unwrap_or_default().to_owned() }
        })
    })
}

struct Parser<'a> {
    rest: &'a str,
    budget: TypeBudget,
}

/// `None` stands for 'not a type's name', which is told with the whole name.
type Parsed<T> = Result<T, Option<WireError>>;

impl<'a> Parser<'a> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches(' ');
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.skip_blanks();
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: char) -> Parsed<()> {
        if self.eat(wanted) { Ok(()) } else { Err(None) }
    }

    fn word(&mut self) -> Parsed<&'a str> {
        self.skip_blanks();
        let end = self.rest.find([',', '(', ')', ':', ' ']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end).ok_or(None)?;
        if word.is_empty() {
            return Err(None);
        }
        self.rest = rest;
        Ok(word)
    }

    fn parse(&mut self, depth: usize) -> Parsed<CqlType> {
        self.budget.spend(depth).map_err(Some)?;
        let word = self.word()?;
        let class = word.strip_prefix(PACKAGE).unwrap_or(word);
        if let Some((_, native)) = CLASSES.iter().find(|(known, _)| *known == class) {
            return Ok(native.clone());
        }
        self.expect('(')?;
        let cql_type = match class {
            "ListType" => CqlType::List(self.parse(depth + 1)?.into(), false),
            "SetType" => CqlType::Set(self.parse(depth + 1)?.into(), false),
            "MapType" => {
                let key = self.parse(depth + 1)?;
                self.expect(',')?;
                CqlType::Map(key.into(), self.parse(depth + 1)?.into(), false)
            }
            "FrozenType" => self.parse(depth + 1)?.freeze(),
            "TupleType" => {
                let mut fields = vec![self.parse(depth + 1)?];
                while self.eat(',') {
                    fields.push(self.parse(depth + 1)?);
                }
                CqlType::Tuple(fields)
            }
            "VectorType" => {
                let element = self.parse(depth + 1)?;
                self.expect(',')?;
                CqlType::Vector(element.into(), self.word()?.parse().map_err(|_| None)?)
            }
            "UserType" => self.user_type(depth)?,
            // Descending order is of no interest to a value.
            "ReversedType" => self.parse(depth + 1)?,
            _ => return Err(None),
        };
        self.expect(')')?;
        Ok(cql_type)
    }

    fn user_type(&mut self, depth: usize) -> Parsed<CqlType> {
        let keyspace = self.word()?.to_owned();
        self.expect(',')?;
        let name = unhex(self.word()?).ok_or(None)?;
        let mut fields = Vec::new();
        while self.eat(',') {
            let field = unhex(self.word()?).ok_or(None)?;
            self.expect(':')?;
            fields.push((field, self.parse(depth + 1)?));
        }
        Ok(CqlType::UserDefined { keyspace, name, fields, frozen: false })
    }
}

fn unhex(text: &str) -> Option<String> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digits: Option<Vec<u8>> = text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
    let bytes = digits?.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_are_read() {
        let float = Box::new(CqlType::Float);
        let vector = CqlType::Vector(float, 3);
        for text in [
            "org.apache.cassandra.db.marshal.VectorType(org.apache.cassandra.db.marshal.FloatType, 3)",
            "org.apache.cassandra.db.marshal.VectorType(org.apache.cassandra.db.marshal.FloatType , 3)",
            "VectorType(FloatType,3)",
        ] {
            assert_eq!(parse_class_name(text), Ok(vector.clone()), "{text}");
        }
        let text = "org.apache.cassandra.db.marshal.FrozenType(org.apache.cassandra.db.marshal.ListType(org.apache.cassandra.db.marshal.UTF8Type))";
        assert_eq!(parse_class_name(text), Ok(CqlType::List(CqlType::Text.into(), true)));
        assert_eq!(class_name(&CqlType::List(CqlType::Text.into(), true)), text);
    }

    #[test]
    fn what_is_no_type_is_refused() {
        let deep = "ListType(".repeat(100_000);
        for text in [
            "",
            "(",
            "X",
            "ListType",
            "ListType(",
            "ListType(X)",
            "VectorType(FloatType,99999999)",
            "Int32Type)",
            &deep,
        ] {
            assert!(parse_class_name(text).is_err());
        }
    }
}

//! Text to collections, tuples, vectors and user types, in the syntax of CQL literals.

use super::{Value, ValueError, parse};
use crate::limits;
use crate::types::CqlType;

/// Reads a whole literal.
pub(super) fn parse(cql_type: &CqlType, text: &str, depth_left: usize) -> Result<Value, ValueError> {
    let mut input = Input { text, offset: 0 };
    let value = input.value(cql_type, depth_left)?;
    input.skip_spaces();
    if input.offset < text.len() {
        return Err(input.fail(cql_type, "text after the end of the value"));
    }
    Ok(value)
}

struct Input<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Input<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.offset..).unwrap_or("")
    }

    fn fail(&self, cql_type: &CqlType, problem: &str) -> ValueError {
        ValueError::unparsable(
            cql_type,
            format!("Unable to make {cql_type} from text: {problem} at byte {}", self.offset),
        )
    }

    fn skip_spaces(&mut self) {
        self.offset += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, mark: char) -> bool {
        self.skip_spaces();
        let found = self.rest().starts_with(mark);
        if found {
            self.offset += mark.len_utf8();
        }
        found
    }

    fn expect(&mut self, mark: char, cql_type: &CqlType) -> Result<(), ValueError> {
        if self.eat(mark) { Ok(()) } else { Err(self.fail(cql_type, &format!("'{mark}' expected"))) }
    }

    fn value(&mut self, cql_type: &CqlType, depth_left: usize) -> Result<Value, ValueError> {
        let Some(depth_left) = depth_left.checked_sub(1) else {
            return Err(ValueError::TooDeep { max: limits::TYPE_DEPTH_MAX });
        };
        match cql_type {
            CqlType::List(element, _) | CqlType::Vector(element, _) => {
                self.items('[', ']', cql_type, |input, _| input.value(element, depth_left)).map(Value::Sequence)
            }
            CqlType::Set(element, _) => {
                self.items('{', '}', cql_type, |input, _| input.value(element, depth_left)).map(Value::Sequence)
            }
            CqlType::Map(key, item, _) => {
                let entries = self.items('{', '}', cql_type, |input, _| {
                    let name = input.value(key, depth_left)?;
                    input.expect(':', cql_type)?;
                    Ok((name, input.value(item, depth_left)?))
                })?;
                Ok(Value::Map(entries))
            }
            CqlType::Tuple(fields) => {
                let items = self.items('(', ')', cql_type, |input, index| match fields.get(index) {
                    Some(field) => input.value(field, depth_left),
                    None => Err(input.fail(cql_type, "too many fields")),
                })?;
                Ok(Value::Sequence(items))
            }
            CqlType::UserDefined { fields, .. } => self.user_defined(cql_type, fields, depth_left),
            _ => self.native(cql_type, depth_left),
        }
    }

    fn items<T>(
        &mut self,
        open: char,
        close: char,
        cql_type: &CqlType,
        mut item: impl FnMut(&mut Self, usize) -> Result<T, ValueError>,
    ) -> Result<Vec<T>, ValueError> {
        self.expect(open, cql_type)?;
        let mut items = Vec::new();
        if self.eat(close) {
            return Ok(items);
        }
        loop {
            items.push(item(self, items.len())?);
            if self.eat(close) {
                return Ok(items);
            }
            self.expect(',', cql_type)?;
        }
    }

    fn user_defined(
        &mut self,
        cql_type: &CqlType,
        fields: &[(String, CqlType)],
        depth_left: usize,
    ) -> Result<Value, ValueError> {
        let given = self.items('{', '}', cql_type, |input, _| {
            input.skip_spaces();
            let name = input.bare(&[':', '}', ',']).trim().trim_matches('"');
            let Some(index) = fields.iter().position(|(known, _)| known == name) else {
                return Err(input.fail(cql_type, &format!("unknown field '{name}'")));
            };
            input.expect(':', cql_type)?;
            let Some((_, field)) = fields.get(index) else { return Err(input.fail(cql_type, "unknown field")) };
            Ok((index, input.value(field, depth_left)?))
        })?;
        let mut values = vec![Value::Null; fields.len()];
        for (index, value) in given {
            if let Some(slot) = values.get_mut(index) {
                *slot = value;
            }
        }
        Ok(Value::Sequence(values))
    }

    /// A text in quotes, or what stands before the next mark.
    fn native(&mut self, cql_type: &CqlType, depth_left: usize) -> Result<Value, ValueError> {
        self.skip_spaces();
        if self.rest().starts_with('\'') {
            let text = self.quoted(cql_type)?;
            return parse::parse_at(cql_type, &text, depth_left);
        }
        let start = self.offset;
        let mut text = self.bare(&[',', ']', '}', ')', ':']).trim_end();
        // Times and IPv6 addresses in their bare form have colons of their own; only where no map could be meant.
        if matches!(cql_type, CqlType::Inet | CqlType::Time | CqlType::Timestamp) && self.rest().starts_with(':') {
            self.bare(&[',', ']', '}', ')']);
            text = self.text.get(start..self.offset).unwrap_or("").trim_end();
        }
        if text.eq_ignore_ascii_case("null") {
            return Ok(Value::Null);
        }
        if text.is_empty() {
            return Err(self.fail(cql_type, "a value expected"));
        }
        parse::parse_at(cql_type, text, depth_left)
    }

    fn bare(&mut self, ends: &[char]) -> &'a str {
        let rest = self.rest();
        let length = rest.find(ends).unwrap_or(rest.len());
        self.offset += length;
        rest.get(..length).unwrap_or("")
    }

    fn quoted(&mut self, cql_type: &CqlType) -> Result<String, ValueError> {
        let mut out = String::new();
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((index, c)) = chars.next() {
            if c != '\'' {
                out.push(c);
            } else if chars.next_if(|(_, next)| *next == '\'').is_some() {
                out.push('\'');
            } else {
                self.offset += index + 1;
                return Ok(out);
            }
        }
        Err(self.fail(cql_type, "a quote that does not end"))
    }
}

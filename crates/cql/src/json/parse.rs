//! Text to JSON values. What follows the first value is ignored, as in Cassandra.

use std::fmt;

use crate::limits::NESTING_DEPTH_MAX;

/// A JSON value; numbers stay as they are written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Boolean(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

impl Json {
    /// The kind's name in messages: Java's.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "Boolean",
            Self::Number(text) if text.contains(['.', 'e', 'E']) => "Double",
            Self::Number(text) if text.parse::<i32>().is_ok() => "Integer",
            Self::Number(text) if text.parse::<i64>().is_ok() => "Long",
            Self::Number(_) => "BigInteger",
            Self::Text(_) => "String",
            Self::List(_) => "ArrayList",
            Self::Map(_) => "LinkedHashMap",
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(flag) => write!(f, "{flag}"),
            Self::Number(text) | Self::Text(text) => f.write_str(text),
            Self::List(items) => {
                let shown: Vec<String> = items.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", shown.join(", "))
            }
            Self::Map(entries) => {
                let shown: Vec<String> = entries.iter().map(|(key, value)| format!("{key}={value}")).collect();
                write!(f, "{{{}}}", shown.join(", "))
            }
        }
    }
}

/// Reads the first value of a text.
pub(crate) fn parse(text: &str) -> Result<Json, String> {
    let mut parser = Parser { rest: text, length: text.len() };
    parser.value(NESTING_DEPTH_MAX)
}

struct Parser<'a> {
    rest: &'a str,
    length: usize,
}

impl Parser<'_> {
    fn fail<T>(&self, problem: &str) -> Result<T, String> {
        Err(format!("{problem} at character {}", self.length - self.rest.len() + 1))
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn eat(&mut self, mark: char) -> bool {
        self.skip();
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth_left: u32) -> Result<Json, String> {
        let Some(depth_left) = depth_left.checked_sub(1) else {
            return self.fail("the document is nested too deeply");
        };
        self.skip();
        if self.eat('{') {
            return self.map(depth_left);
        }
        if self.eat('[') {
            let mut items = Vec::new();
            if self.eat(']') {
                return Ok(Json::List(items));
            }
            loop {
                items.push(self.value(depth_left)?);
                if self.eat(']') {
                    return Ok(Json::List(items));
                }
                if !self.eat(',') {
                    return self.fail("a comma or the end of the list is missing");
                }
            }
        }
        if self.rest.starts_with('"') {
            return self.text().map(Json::Text);
        }
        for (word, value) in [("null", Json::Null), ("true", Json::Boolean(true)), ("false", Json::Boolean(false))] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        self.number()
    }

    fn map(&mut self, depth_left: u32) -> Result<Json, String> {
        let mut entries: Vec<(String, Json)> = Vec::new();
        if self.eat('}') {
            return Ok(Json::Map(entries));
        }
        loop {
            self.skip();
            if !self.rest.starts_with('"') {
                return self.fail("a name in double quotes is missing");
            }
            let key = self.text()?;
            if !self.eat(':') {
                return self.fail("a colon is missing");
            }
            entries.push((key, self.value(depth_left)?));
            if self.eat('}') {
                return Ok(Json::Map(entries));
            }
            if !self.eat(',') {
                return self.fail("a comma or the end of the object is missing");
            }
        }
    }

    fn number(&mut self) -> Result<Json, String> {
        let end = self.rest.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c))).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        let digits = number.strip_prefix('-').unwrap_or(number);
        let plain = digits.starts_with(|first: char| first.is_ascii_digit()) && number.parse::<f64>().is_ok();
        if !plain || (digits.len() > 1 && digits.starts_with('0') && !digits[1..].starts_with(['.', 'e', 'E'])) {
            return self.fail("this is no value");
        }
        self.rest = rest;
        Ok(Json::Number(number.to_owned()))
    }

    fn text(&mut self) -> Result<String, String> {
        let mut out = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((position, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[position + 1..];
                    return Ok(out);
                }
                '\\' => match chars.next().map(|(_, escaped)| escaped) {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some('b') => out.push('\u{8}'),
                    Some('f') => out.push('\u{c}'),
                    Some(same @ ('"' | '\\' | '/')) => out.push(same),
                    Some('u') => {
                        let Some(unit) = unit(&mut chars) else {
                            return self.fail("four hexadecimal digits are missing");
                        };
                        let point = if (0xd800..0xdc00).contains(&unit) {
                            let follows =
                                chars.next().map(|(_, c)| c) == Some('\\') && chars.next().map(|(_, c)| c) == Some('u');
                            let low = if follows { unit_low(&mut chars) } else { None };
                            low.map(|low| 0x10000 + ((unit - 0xd800) << 10) + low)
                        } else {
                            Some(unit)
                        };
                        match point.and_then(char::from_u32) {
                            Some(c) => out.push(c),
                            None => return self.fail("half a surrogate pair"),
                        }
                    }
                    _ => return self.fail("an unknown escape"),
                },
                c if (c as u32) < 0x20 => return self.fail("a control character in a text"),
                c => out.push(c),
            }
        }
        self.fail("a text does not end")
    }
}

fn unit(chars: &mut impl Iterator<Item = (usize, char)>) -> Option<u32> {
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit * 16 + chars.next()?.1.to_digit(16)?;
    }
    Some(unit)
}

fn unit_low(chars: &mut impl Iterator<Item = (usize, char)>) -> Option<u32> {
    unit(chars).filter(|low| (0xdc00..0xe000).contains(low)).map(|low| low - 0xdc00)
}

#[cfg(test)]
mod tests {
    use super::{Json, parse};

    #[test]
    fn reads_what_json_is_and_refuses_the_rest() {
        let text = |text: &str| Json::Text(text.to_owned());
        assert_eq!(parse(r#" "a\u00e9\ud83d\ude00\n" "#), Ok(text("aé😀\n")));
        assert_eq!(parse("[1, -2.5e3]"), Ok(Json::List(vec![Json::Number("1".into()), Json::Number("-2.5e3".into())])));
        assert_eq!(parse(r#"{"a": {}} rest"#), Ok(Json::Map(vec![("a".into(), Json::Map(Vec::new()))])));
        for broken in ["", "x", "{", "[1", "\"a", "{a:1}", "01", "-", "\"\\x\"", "\"\\ud800\"", "+1", "[1,]"] {
            assert!(parse(broken).is_err(), "{broken}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}

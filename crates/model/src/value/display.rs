//! Values as text: as CQL literals, and as the shell prints them.

use std::fmt::{self, Write};

use num_bigint::{BigInt, Sign};

use super::Value;
use super::calendar::{MILLIS_PER_DAY, civil_from_days};
use crate::types::CqlType;

/// Who reads the text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// CQL itself.
    Literal,
    /// A person at the shell: as cqlsh prints.
    Shell,
    /// The same, within a collection: text is in quotes.
    ShellNested,
}

/// Significant digits of floating-point numbers in the shell, as in cqlsh.
const SHELL_PRECISION: i32 = 5;

impl Value {
    /// The value as a CQL literal.
    pub fn to_cql_literal(&self, cql_type: &CqlType) -> String {
        let mut out = String::new();
        write_value(self, cql_type, Style::Literal, &mut out);
        out
    }

    /// The value as cqlsh prints it.
    pub fn to_display(&self, cql_type: &CqlType) -> String {
        let mut out = String::new();
        write_value(self, cql_type, Style::Shell, &mut out);
        out
    }
}

/// Appends; writing to a `String` cannot fail.
fn push(out: &mut String, text: fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok());
}

fn write_value(value: &Value, cql_type: &CqlType, style: Style, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Text(text) => write_text(text, style, out),
        Value::TinyInt(number) => push(out, format_args!("{number}")),
        Value::SmallInt(number) => push(out, format_args!("{number}")),
        Value::Int(number) => push(out, format_args!("{number}")),
        Value::BigInt(number) => push(out, format_args!("{number}")),
        Value::Varint(number) => push(out, format_args!("{number}")),
        Value::Decimal(unscaled, scale) => out.push_str(&decimal_text(unscaled, *scale)),
        Value::Float(number) => out.push_str(&match style {
            Style::Literal => java_float(number.is_finite().then(|| format!("{number:e}")), f64::from(*number)),
            _ => shell_float(f64::from(*number)),
        }),
        Value::Double(number) => out.push_str(&match style {
            Style::Literal => java_float(number.is_finite().then(|| format!("{number:e}")), *number),
            _ => shell_float(*number),
        }),
        Value::Boolean(flag) => out.push_str(match (flag, style) {
            (true, Style::Literal) => "true",
            (false, Style::Literal) => "false",
            (true, _) => "True",
            (false, _) => "False",
        }),
        Value::Blob(bytes) => {
            out.push_str("0x");
            bytes.iter().for_each(|byte| push(out, format_args!("{byte:02x}")));
        }
        Value::Uuid(bytes) => push(out, format_args!("{}", uuid::Uuid::from_bytes(*bytes).hyphenated())),
        Value::Inet(address) => quoted(&address.to_string(), style != Style::Shell, out),
        Value::Timestamp(millis) => quoted(&timestamp_text(*millis, style), style != Style::Shell, out),
        Value::Date(days) => quoted(&date_text(*days), style == Style::Literal, out),
        Value::Time(nanos) => quoted(&time_text(*nanos), style == Style::Literal, out),
        Value::Duration(months, days, nanos) => out.push_str(&duration_text(*months, *days, *nanos)),
        Value::Sequence(items) => write_sequence(items, cql_type, style, out),
        Value::Map(entries) => {
            let (key, item) = match cql_type {
                CqlType::Map(key, item, _) => (&**key, &**item),
                _ => (cql_type, cql_type),
            };
            write_list("{", "}", entries, out, |(name, value), out| {
                write_value(name, key, nested(style), out);
                out.push_str(": ");
                write_value(value, item, nested(style), out);
            });
        }
    }
}

fn nested(style: Style) -> Style {
    if style == Style::Literal { Style::Literal } else { Style::ShellNested }
}

fn write_list<T>(open: &str, close: &str, items: &[T], out: &mut String, mut write: impl FnMut(&T, &mut String)) {
    out.push_str(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write(item, out);
    }
    out.push_str(close);
}

fn write_sequence(items: &[Value], cql_type: &CqlType, style: Style, out: &mut String) {
    let style = nested(style);
    match cql_type {
        CqlType::Set(element, _) => {
            write_list("{", "}", items, out, |item, out| write_value(item, element, style, out));
        }
        CqlType::Tuple(fields) => {
            let pairs: Vec<(&Value, &CqlType)> = items.iter().zip(fields).collect();
            write_list("(", ")", &pairs, out, |(item, field), out| write_value(item, field, style, out));
        }
        CqlType::UserDefined { fields, .. } => {
            let pairs: Vec<(&Value, &(String, CqlType))> = items.iter().zip(fields).collect();
            write_list("{", "}", &pairs, out, |(item, (name, field)), out| {
                out.push_str(name);
                out.push_str(": ");
                write_value(item, field, style, out);
            });
        }
        CqlType::List(element, _) | CqlType::Vector(element, _) => {
            write_list("[", "]", items, out, |item, out| write_value(item, element, style, out));
        }
        other => write_list("[", "]", items, out, |item, out| write_value(item, other, style, out)),
    }
}

fn quoted(text: &str, quote: bool, out: &mut String) {
    let mark = if quote { "'" } else { "" };
    out.push_str(mark);
    out.push_str(text);
    out.push_str(mark);
}

fn write_text(text: &str, style: Style, out: &mut String) {
    let quote = style != Style::Shell;
    if quote {
        out.push('\'');
    }
    for c in text.chars() {
        match c {
            '\'' if quote => out.push_str("''"),
            _ if style == Style::Literal => out.push(c),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => push(out, format_args!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    if quote {
        out.push('\'');
    }
}

/// As Java's BigDecimal and Python's Decimal print: plain while the exponent is small, else scientific.
fn decimal_text(unscaled: &BigInt, scale: i32) -> String {
    let digits = unscaled.magnitude().to_string();
    let sign = if unscaled.sign() == Sign::Minus { "-" } else { "" };
    let scale = i64::from(scale);
    let length = digits.len() as i64;
    let exponent = length - 1 - scale;
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    if scale > 0 && exponent >= -6 {
        let zeros = usize::try_from(scale - length + 1).unwrap_or(0);
        let digits = format!("{}{digits}", "0".repeat(zeros));
        let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
        return format!("{sign}{whole}.{fraction}");
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{first}{point}{rest}E{exponent:+}")
}

/// As Java prints floats. `scientific` is the shortest form that reads back as the same number.
fn java_float(scientific: Option<String>, number: f64) -> String {
    let Some(scientific) = scientific else { return not_finite(number) };
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number != 0.0 && !(-3..7).contains(&exponent) {
        let point = if mantissa.contains('.') { "" } else { ".0" };
        return format!("{mantissa}{point}E{exponent}");
    }
    plain(mantissa, exponent, true)
}

fn not_finite(number: f64) -> String {
    let text = match number {
        n if n.is_nan() => "NaN",
        n if n > 0.0 => "Infinity",
        _ => "-Infinity",
    };
    text.to_owned()
}

/// A mantissa like `-1.25` and a power of ten, written without an exponent.
fn plain(mantissa: &str, exponent: i32, always_point: bool) -> String {
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let (whole, fraction) = if exponent < 0 {
        let zeros = exponent.unsigned_abs() as usize - 1;
        ("0".to_owned(), format!("{}{digits}", "0".repeat(zeros)))
    } else {
        let length = exponent as usize + 1;
        let padded = format!("{digits:0<length$}");
        let (whole, fraction) = padded.split_at(length);
        (whole.to_owned(), fraction.to_owned())
    };
    let fraction = fraction.trim_end_matches('0');
    match (fraction.is_empty(), always_point) {
        (true, true) => format!("{sign}{whole}.0"),
        (true, false) => format!("{sign}{whole}"),
        (false, _) => format!("{sign}{whole}.{fraction}"),
    }
}

/// As cqlsh prints floats: `%g` of five digits behind the point if the number is of moderate size.
fn shell_float(number: f64) -> String {
    if !number.is_finite() {
        return not_finite(number);
    }
    let magnitude = if number.abs() > f64::EPSILON { number.abs().log10().trunc() as i32 } else { i32::MIN };
    let precision =
        if (-4..SHELL_PRECISION).contains(&magnitude) { SHELL_PRECISION + magnitude + 1 } else { SHELL_PRECISION };
    let precision = precision.max(1);
    let scientific = format!("{number:.*e}", precision as usize - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..precision).contains(&exponent) {
        return plain(mantissa, exponent, false);
    }
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

fn timestamp_text(millis: i64, style: Style) -> String {
    let (year, month, day) = civil_from_days(millis.div_euclid(MILLIS_PER_DAY));
    // Python has no other years; cqlsh then prints the bare number.
    if !(1..=9999).contains(&year) {
        return millis.to_string();
    }
    let of_day = millis.rem_euclid(MILLIS_PER_DAY);
    let (hour, minute, second, milli) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60, of_day % 1000);
    let moment = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{milli:03}");
    if style == Style::Literal { format!("{moment}Z") } else { format!("{moment}000+0000") }
}

fn date_text(days: u32) -> String {
    let since_epoch = i64::from(days) - (1 << 31);
    let (year, month, day) = civil_from_days(since_epoch);
    if (1..=9999).contains(&year) { format!("{year:04}-{month:02}-{day:02}") } else { days.to_string() }
}

fn time_text(nanos: i64) -> String {
    let (seconds, nanos) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
    format!("{:02}:{:02}:{:02}.{nanos:09}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn duration_text(months: i32, days: i32, nanos: i64) -> String {
    const NANO_UNITS: [(u64, &str); 6] = [
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let mut out = String::new();
    if months < 0 || days < 0 || nanos < 0 {
        out.push('-');
    }
    let mut unit = |count: u64, name: &str| {
        if count > 0 {
            push(&mut out, format_args!("{count}{name}"));
        }
    };
    let months = u64::from(months.unsigned_abs());
    unit(months / 12, "y");
    unit(months % 12, "mo");
    unit(u64::from(days.unsigned_abs()), "d");
    let mut left = nanos.unsigned_abs();
    for (size, name) in NANO_UNITS {
        unit(left / size, name);
        left %= size;
    }
    if out.is_empty() { "0ns".to_owned() } else { out }
}

//! Text to timestamps, dates, times and durations, in the forms Cassandra accepts. Without a zone the time is UTC.

use super::calendar::{MILLIS_PER_DAY, NANOS_PER_DAY, days_from_civil};

/// Milliseconds since 1970: a whole number of them, or `yyyy-mm-dd`, optionally with `T` or a space and
/// `hh:mm[:ss[.fraction]]`, optionally with a zone (`Z`, `UTC`, `GMT`, `+hh`, `+hhmm`, `+hh:mm`).
pub(super) fn timestamp(text: &str) -> Option<i64> {
    if is_integer(text) {
        return text.parse().ok();
    }
    let mut input = Scanner::new(text);
    let days = input.date()?;
    let mut millis = days.checked_mul(MILLIS_PER_DAY)?;
    if input.eat('T') || input.eat('t') || (input.peek() == Some(' ') && input.peek_second_is_digit() && input.eat(' '))
    {
        millis = millis.checked_add(input.time_of_day()? / 1_000_000)?;
    }
    input.eat(' ');
    let offset_minutes = input.zone()?;
    millis.checked_sub(offset_minutes * 60_000)
}

/// Days with 1970-01-01 at 2^31: that number itself, or `yyyy-mm-dd`.
pub(super) fn date(text: &str) -> Option<u32> {
    if is_integer(text) {
        return text.parse().ok();
    }
    let mut input = Scanner::new(text);
    let days = input.date()?;
    if !input.is_done() {
        return None;
    }
    u32::try_from(days + (1 << 31)).ok()
}

/// Nanoseconds since midnight: that number itself, or `hh:mm:ss[.fraction]`.
pub(super) fn time(text: &str) -> Option<i64> {
    let nanos = if is_integer(text) {
        text.parse().ok()?
    } else {
        let mut input = Scanner::new(text);
        let nanos = input.time_of_day()?;
        let colons = text.bytes().filter(|byte| *byte == b':').count();
        if !input.is_done() || colons != 2 {
            return None;
        }
        nanos
    };
    (0..NANOS_PER_DAY).contains(&nanos).then_some(nanos)
}

/// Months, days and nanoseconds: `1y2mo3w4d5h6m7s8ms9us10ns` (units in falling order), or ISO 8601 `P1Y2M3DT4H5M6S`, `P2W`.
pub(super) fn duration(text: &str) -> Option<(i32, i32, i64)> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let text = text.to_ascii_lowercase();
    let (months, days, nanos) = match text.strip_prefix('p') {
        Some(iso) => iso_duration(iso)?,
        None => unit_duration(&text, &UNITS)?,
    };
    let sign = if negative { -1 } else { 1 };
    Some((i32::try_from(months * sign).ok()?, i32::try_from(days * sign).ok()?, nanos.checked_mul(sign)?))
}

/// A unit's name with its months, days and nanoseconds.
type Unit = (&'static str, i64, i64, i64);

const UNITS: [Unit; 11] = [
    ("y", 12, 0, 0),
    ("mo", 1, 0, 0),
    ("w", 0, 7, 0),
    ("d", 0, 1, 0),
    ("h", 0, 0, 3_600_000_000_000),
    ("m", 0, 0, 60_000_000_000),
    ("s", 0, 0, 1_000_000_000),
    ("ms", 0, 0, 1_000_000),
    ("us", 0, 0, 1_000),
    ("µs", 0, 0, 1_000),
    ("ns", 0, 0, 1),
];
const ISO_DATE_UNITS: [Unit; 4] = [("y", 12, 0, 0), ("m", 1, 0, 0), ("w", 0, 7, 0), ("d", 0, 1, 0)];
const ISO_TIME_UNITS: [Unit; 3] =
    [("h", 0, 0, 3_600_000_000_000), ("m", 0, 0, 60_000_000_000), ("s", 0, 0, 1_000_000_000)];

fn iso_duration(text: &str) -> Option<(i64, i64, i64)> {
    if let Some(found) = iso_alternative(text) {
        return Some(found);
    }
    let (date, time) = match text.split_once('t') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let (months, days, _) = if date.is_empty() { (0, 0, 0) } else { unit_duration(date, &ISO_DATE_UNITS)? };
    let nanos = match time {
        Some(time) => unit_duration(time, &ISO_TIME_UNITS)?.2,
        None if date.is_empty() => return None,
        None => 0,
    };
    Some((months, days, nanos))
}

/// ISO 8601's other form: `0001-02-03t04:05:06`, years to seconds.
fn iso_alternative(text: &str) -> Option<(i64, i64, i64)> {
    let (date, time) = text.split_once('t')?;
    let numbers = |text: &str, between: char| -> Option<[i64; 3]> {
        let parts: Vec<i64> = text.split(between).map(|part| part.parse().ok()).collect::<Option<_>>()?;
        parts.try_into().ok()
    };
    let ([years, months, days], [hours, minutes, seconds]) = (numbers(date, '-')?, numbers(time, ':')?);
    let months = years.checked_mul(12)?.checked_add(months)?;
    let seconds = hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(seconds)?;
    Some((months, days, seconds.checked_mul(1_000_000_000)?))
}

fn unit_duration(text: &str, units: &[Unit]) -> Option<(i64, i64, i64)> {
    let mut rest = text;
    let mut next_unit = 0;
    let (mut months, mut days, mut nanos) = (0i64, 0i64, 0i64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (count, tail) = rest.split_at(digits);
        let count: i64 = count.parse().ok()?;
        let name_length = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (name, tail) = tail.split_at(name_length);
        let index = units.iter().position(|(known, ..)| *known == name).filter(|index| *index >= next_unit)?;
        let (_, in_months, in_days, in_nanos) = units.get(index)?;
        months = months.checked_add(count.checked_mul(*in_months)?)?;
        days = days.checked_add(count.checked_mul(*in_days)?)?;
        nanos = nanos.checked_add(count.checked_mul(*in_nanos)?)?;
        next_unit = index + 1;
        rest = tail;
    }
    // Beyond 32 bits they are refused later; here only the sign must not overflow.
    (months <= i64::from(u32::MAX) && days <= i64::from(u32::MAX)).then_some((months, days, nanos))
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
}

/// Reads from the left, character by character.
struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn peek_second_is_digit(&self) -> bool {
        self.rest.chars().nth(1).is_some_and(|c| c.is_ascii_digit())
    }

    fn eat(&mut self, expected: char) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// So many digits as there are, if their number is in the range.
    fn digits(&mut self, lengths: std::ops::RangeInclusive<usize>) -> Option<&'a str> {
        let length = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if !lengths.contains(&length) {
            return None;
        }
        let (digits, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(digits)
    }

    fn two_digits(&mut self, max: u32) -> Option<u32> {
        self.digits(1..=2)?.parse().ok().filter(|value| *value <= max)
    }

    fn date(&mut self) -> Option<i64> {
        let negative = self.eat('-');
        let year: i64 = self.digits(4..=9)?.parse().ok()?;
        let year = if negative { -year } else { year };
        if !self.eat('-') {
            return None;
        }
        let month = self.two_digits(12)?;
        if !self.eat('-') {
            return None;
        }
        let day = self.two_digits(31)?;
        days_from_civil(year, month, day)
    }

    /// Nanoseconds since midnight; seconds and their fraction may be missing.
    fn time_of_day(&mut self) -> Option<i64> {
        let hour = self.two_digits(23)?;
        if !self.eat(':') {
            return None;
        }
        let minute = self.two_digits(59)?;
        let mut seconds = i64::from(hour * 3600 + minute * 60);
        let mut nanos = 0;
        if self.eat(':') {
            seconds += i64::from(self.two_digits(59)?);
            if self.eat('.') {
                nanos = format!("{:0<9}", self.digits(1..=9)?).parse().ok()?;
            }
        }
        Some(seconds * 1_000_000_000 + nanos)
    }

    /// Minutes east of UTC; nothing is UTC. Must be the rest of the text.
    fn zone(&mut self) -> Option<i64> {
        if matches!(self.rest, "" | "Z" | "z" | "UTC" | "GMT") {
            return Some(0);
        }
        let sign = if self.eat('+') {
            1
        } else if self.eat('-') {
            -1
        } else {
            return None;
        };
        let digits: String = self.rest.chars().filter(|c| *c != ':').collect();
        let shape_is_known = matches!((self.rest.len(), self.rest.find(':')), (2 | 4, None) | (5, Some(2)));
        if !shape_is_known || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let hours: i64 = digits.get(..2)?.parse().ok()?;
        let minutes: i64 = digits.get(2..).filter(|rest| !rest.is_empty()).map_or(Some(0), |rest| rest.parse().ok())?;
        (hours <= 18 && minutes < 60).then_some(sign * (hours * 60 + minutes))
    }
}

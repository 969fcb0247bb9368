//! From when until when a certificate is valid, read from its DER.
//!
//! RFC 5280, 4.1: a certificate is a sequence whose first element is a sequence of an optional version (tag A0), the serial
//! number, the algorithm, the issuer, and then the validity, a sequence of two times. Times are text in UTC: `YYMMDDHHMMSSZ`
//! (tag 17, the years 1950 to 2049) or `YYYYMMDDHHMMSSZ` (tag 18).

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// A certificate's time, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    /// Its first second.
    pub(crate) from: i64,
    /// Its last.
    pub(crate) until: i64,
}

impl Validity {
    /// The validity of a certificate; nothing if this is none.
    pub(crate) fn of(der: &[u8]) -> Option<Self> {
        let mut certificate = contents(&mut { der }, SEQUENCE)?;
        let mut fields = contents(&mut certificate, SEQUENCE)?;
        if fields.first() == Some(&VERSION) {
            element(&mut fields)?;
        }
        for _serial_algorithm_issuer in 0..3 {
            element(&mut fields)?;
        }
        let mut validity = contents(&mut fields, SEQUENCE)?;
        Some(Self { from: time(element(&mut validity)?)?, until: time(element(&mut validity)?)? })
    }
}

fn contents<'a>(input: &mut &'a [u8], expected: u8) -> Option<&'a [u8]> {
    let (tag, contents) = element(input)?;
    (tag == expected).then_some(contents)
}

/// Takes one element off the input: its tag and its contents.
fn element<'a>(input: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (tag, rest) = input.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let mut length = usize::from(*first);
    if length >= 0x80 {
        // As many bytes of length follow; four hold more than any file of ours.
        let (bytes, after) = rest.split_at_checked(length & 0x7f).filter(|(bytes, _)| bytes.len() <= 4)?;
        length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = after;
    }
    let (contents, after) = rest.split_at_checked(length)?;
    *input = after;
    Some((*tag, contents))
}

fn time((tag, text): (u8, &[u8])) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest): (i64, &str) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2_000 + year } else { 1_900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    if rest.len() != 10 {
        return None;
    }
    let mut pairs = rest.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok()?.parse::<i64>().ok());
    let mut next = |range: std::ops::RangeInclusive<i64>| pairs.next().flatten().filter(|value| range.contains(value));
    let (month, day) = (next(1..=12)?, next(1..=31)?);
    let (hour, minute, second) = (next(0..=23)?, next(0..=59)?, next(0..=60)?);
    Some(((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days since 1970 of a day of the Gregorian calendar, whose years are taken to begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_from_1970() {
        assert_eq!(time((UTC_TIME, b"700101000000Z")), Some(0));
        assert_eq!(time((UTC_TIME, b"261124233119Z")), Some(1_795_563_079));
        assert_eq!(time((GENERALIZED_TIME, b"20000301000000Z")), Some(951_868_800));
        assert_eq!(time((GENERALIZED_TIME, b"99991231235959Z")), Some(253_402_300_799));
        for wrong in [b"261324233119Z".as_slice(), b"2611242331Z", b"261124233119", b"26112423311-Z", b""] {
            assert_eq!(time((UTC_TIME, wrong)), None);
        }
    }

    #[test]
    fn a_certificate_tells_when_it_is_valid() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec!["node1".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2020, 2, 29);
        parameters.not_after = rcgen::date_time_ymd(2055, 1, 1);
        let certificate = parameters.self_signed(&key).unwrap();
        let der = certificate.der();
        assert_eq!(Validity::of(der), Some(Validity { from: 1_582_934_400, until: 2_682_374_400 }));
        for length in 0..der.len().min(200) {
            // It may end anywhere without harm.
            assert_eq!(Validity::of(&der[..length]), None);
        }
    }
}

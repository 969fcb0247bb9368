//! `exp`, `log` and `log10` of numbers of any length: to 32 digits, or as many as the number has, the last one rounded to
//! the nearest, as in Cassandra.
//!
//! Numbers are fixed-point here: whole numbers of `10^-places`, with more places than are wanted.

use num_bigint::{BigInt, Sign};

use crate::calls::Math;
use crate::limits::{EXPONENT_MAX, LOGARITHM_DIGITS_MAX};

/// Digits of a result at least.
const DIGITS_MIN: usize = 32;
/// Places beyond those wanted: they take up what is lost on the way.
const SPARE: usize = 30;
/// How often the exponent is halved before its series, and the result squared after it.
const HALVINGS: usize = 16;

/// The function of `number * 10^-scale`, as a number and a scale.
pub(crate) fn of(math: Math, number: &BigInt, scale: i32) -> Result<(BigInt, i32), String> {
    let length = digits(number);
    if length > LOGARITHM_DIGITS_MAX {
        return Err(format!("a number of more than {LOGARITHM_DIGITS_MAX} digits is not supported here"));
    }
    let wanted = length.max(DIGITS_MIN);
    match math {
        Math::Exp => exponential(number, scale, wanted),
        Math::Log => logarithm(number, scale, wanted, false),
        _ => logarithm(number, scale, wanted, true),
    }
}

/// What stands before the point.
pub(crate) fn whole(number: BigInt, scale: i32) -> BigInt {
    let places = usize::try_from(scale.unsigned_abs()).unwrap_or(usize::MAX);
    if scale < 0 {
        return number * ten_to(places);
    }
    if places > digits(&number) { BigInt::from(0) } else { number / ten_to(places) }
}

fn ten_to(places: usize) -> BigInt {
    BigInt::from(10).pow(u32::try_from(places).unwrap_or(u32::MAX))
}

/// How many digits it has; one for zero.
fn digits(number: &BigInt) -> usize {
    number.magnitude().to_string().len()
}

fn exponential(number: &BigInt, scale: i32, wanted: usize) -> Result<(BigInt, i32), String> {
    if number.sign() == Sign::NoSign {
        return Ok((BigInt::from(1), 0));
    }
    let too_great = || format!("exp of a number greater than {EXPONENT_MAX} is not supported");
    let before_point = i64::try_from(digits(number)).unwrap_or(i64::MAX).saturating_sub(i64::from(scale));
    if before_point > i64::from(EXPONENT_MAX.ilog10()) + 1 {
        return Err(too_great());
    }
    let places = wanted + SPARE;
    let one = ten_to(places);
    let exponent = fixed(number, scale, places);
    if exponent.magnitude() > (&one * EXPONENT_MAX).magnitude() {
        return Err(too_great());
    }
    // e^x is 10^n e^r, where r is small.
    let ten = ln_ten(places);
    let power = nearest(&exponent, &ten);
    let rest = exponent - &power * ten;
    let small = rest >> HALVINGS;
    let (mut sum, mut term, mut index) = (one.clone(), one.clone(), 0);
    while term.sign() != Sign::NoSign {
        index += 1;
        term = term * &small / &one / index;
        sum += &term;
    }
    for _ in 0..HALVINGS {
        sum = &sum * &sum / &one;
    }
    let power = i32::try_from(power).map_err(|_| too_great())?;
    Ok(rounded(&sum, places, power, wanted))
}

fn logarithm(number: &BigInt, scale: i32, wanted: usize, decadic: bool) -> Result<(BigInt, i32), String> {
    if number.sign() != Sign::Plus {
        return Err("Natural log of number zero or less".to_owned());
    }
    let length = digits(number);
    // A number next to 1 has a logarithm that begins as many places behind the point.
    let places = wanted + length + SPARE;
    let one = ten_to(places);
    // The number is m 10^n, with m from 1 up to 10, and m is halved to near 1.
    let power = i64::try_from(length).unwrap_or(i64::MAX) - 1 - i64::from(scale);
    let mut mantissa = fixed(number, i32::try_from(length).unwrap_or(i32::MAX) - 1, places);
    if mantissa == one && power == 0 {
        return Ok((BigInt::from(0), 0));
    }
    let mut halvings = 0;
    while &mantissa * 2 > &one * 3 {
        mantissa /= 2;
        halvings += 1;
    }
    let two = ln_two(places);
    let ten = ln_ten(places);
    let quotient = (&mantissa - &one) * &one / (&mantissa + &one);
    let mut result = artanh(&quotient, &one) * 2 + two * halvings + &ten * power;
    if decadic {
        result = result * &one / ten;
    }
    Ok(rounded(&result, places, 0, wanted))
}

/// The number with so many places.
fn fixed(number: &BigInt, scale: i32, places: usize) -> BigInt {
    let shift = i64::try_from(places).unwrap_or(i64::MAX).saturating_sub(i64::from(scale));
    let distance = usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX);
    match shift >= 0 {
        true => number * ten_to(distance),
        false if distance > digits(number) => BigInt::from(0),
        false => number / ten_to(distance),
    }
}

fn nearest(number: &BigInt, by: &BigInt) -> BigInt {
    let half = by / 2;
    if number.sign() == Sign::Minus { (number - half) / by } else { (number + half) / by }
}

/// `y + y^3 / 3 + y^5 / 5 + …`, for a small y.
fn artanh(y: &BigInt, one: &BigInt) -> BigInt {
    let square = y * y / one;
    let (mut sum, mut power, mut divisor) = (y.clone(), y.clone(), 1);
    loop {
        power = power * &square / one;
        divisor += 2;
        let term: BigInt = &power / divisor;
        if term.sign() == Sign::NoSign {
            return sum;
        }
        sum += term;
    }
}

fn ln_two(places: usize) -> BigInt {
    let one = ten_to(places);
    artanh(&(&one / 3), &one) * 2
}

/// 10 is 8 times 5/4.
fn ln_ten(places: usize) -> BigInt {
    let one = ten_to(places);
    ln_two(places) * 3 + artanh(&(&one / 9), &one) * 2
}

/// The first digits of `number * 10^(power - places)`, rounded to the nearest.
fn rounded(number: &BigInt, places: usize, power: i32, wanted: usize) -> (BigInt, i32) {
    let places = i32::try_from(places).unwrap_or(i32::MAX);
    let mut dropped = digits(number).saturating_sub(wanted);
    let mut short = nearest(number, &ten_to(dropped));
    if digits(&short) > wanted {
        dropped += 1;
        short /= 10;
    }
    (short, places - i32::try_from(dropped).unwrap_or(i32::MAX) - power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(math: Math, number: i64, scale: i32) -> String {
        let (number, scale) = of(math, &BigInt::from(number), scale).unwrap();
        format!("{number}e{}", -scale)
    }

    #[test]
    fn digits_are_those_of_the_tables() {
        assert_eq!(shown(Math::Exp, 1, 0), "27182818284590452353602874713527e-31");
        assert_eq!(shown(Math::Exp, -1, 0), "36787944117144232159552377016146e-32");
        assert_eq!(shown(Math::Exp, 0, 5), "1e0");
        assert_eq!(shown(Math::Log, 10, 0), "23025850929940456840179914546844e-31");
        assert_eq!(shown(Math::Log, 5, 1), "-69314718055994530941723212145818e-32");
        assert_eq!(shown(Math::Log, 100, 2), "0e0");
        assert_eq!(shown(Math::Log10, 1000, 0), "30000000000000000000000000000000e-31");
        assert_eq!(shown(Math::Log10, 2, 0), "30102999566398119521373889472449e-32");
        // ln(1 + x) is x - x^2 / 2 + x^3 / 3 - …
        assert_eq!(shown(Math::Log, 1_000_000_001, 9), "99999999950000000033333333308333e-41");
        assert_eq!(whole(BigInt::from(2718), 3), BigInt::from(2));
        assert_eq!(whole(BigInt::from(2718), -2), BigInt::from(271_800));
    }

    #[test]
    fn what_would_take_long_is_refused() {
        assert!(of(Math::Exp, &BigInt::from(80_001), 0).is_err());
        assert!(of(Math::Exp, &BigInt::from(1), -1_000_000).is_err());
        assert!(of(Math::Exp, &BigInt::from(-80_000), 0).is_ok());
        assert!(of(Math::Log, &BigInt::from(0), 0).is_err());
        assert!(of(Math::Log, &BigInt::from(10).pow(1_000), 0).is_err());
        assert!(of(Math::Log, &BigInt::from(10).pow(999), i32::MIN).is_ok());
        assert!(of(Math::Exp, &BigInt::from(7), i32::MAX).is_ok());
    }
}

//! Numbers of the numeric operators: exact decimals, never floating point.

/// Digits kept behind the point; more make the number unreadable.
const FRACTION_DIGITS: u32 = 18;

/// Digits read before the point: what still fits beside the fraction in an `i128`.
const WHOLE_DIGITS: usize = 19;

/// A decimal number, scaled by 10^[`FRACTION_DIGITS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Decimal(i128);

impl Decimal {
    pub(crate) fn from_integer(number: i64) -> Decimal {
        Decimal(i128::from(number) * 10i128.pow(FRACTION_DIGITS))
    }

    /// Reads `-12`, `+3`, `0.50`, `.5`, `1e3`; `None` for anything else and for what does not fit.
    pub(crate) fn parse(text: &str) -> Option<Decimal> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i8>().ok()?),
            None => (text, 0),
        };
        let (negative, magnitude) = match mantissa.as_bytes() {
            [b'-', ..] => (true, &mantissa[1..]),
            [b'+', ..] => (false, &mantissa[1..]),
            _ => (false, mantissa),
        };
        let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        if whole.len() > WHOLE_DIGITS || fraction.len() > FRACTION_DIGITS as usize {
            return None;
        }
        let digits = whole.bytes().chain(fraction.bytes());
        let number = digits.fold(0i128, |sum, digit| sum * 10 + i128::from(digit - b'0'));
        let shift = i32::from(exponent) + i32::try_from(FRACTION_DIGITS).ok()?
            - i32::try_from(fraction.len()).ok()?;
        let scaled = if shift >= 0 {
            number.checked_mul(10i128.checked_pow(shift.unsigned_abs())?)?
        } else {
            let divisor = 10i128.checked_pow(shift.unsigned_abs())?;
            if number % divisor != 0 {
                return None;
            }
            number / divisor
        };
        Some(Decimal(if negative { -scaled } else { scaled }))
    }

    /// Thousandths, rounded down; `None` if they do not fit.
    pub(crate) fn thousandths(self) -> Option<i64> {
        i64::try_from(self.0.div_euclid(10i128.pow(FRACTION_DIGITS - 3))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_are_equal_however_written() {
        for (left, right) in [
            ("1", "1.000"),
            ("-0", "0"),
            ("1e3", "1000"),
            (".5", "0.50"),
            ("+7", "7"),
            ("25e-1", "2.5"),
        ] {
            assert_eq!(
                Decimal::parse(left).unwrap(),
                Decimal::parse(right).unwrap(),
                "{left} {right}"
            );
        }
        assert_eq!(Decimal::parse("42"), Some(Decimal::from_integer(42)));
    }

    #[test]
    fn neighbours_beyond_double_precision_differ() {
        assert!(Decimal::parse("9007199254740993").unwrap() > Decimal::parse("9007199254740992").unwrap());
        assert!(Decimal::parse("0.1").unwrap() < Decimal::parse("0.100000000000000001").unwrap());
        assert!(Decimal::parse("-2").unwrap() < Decimal::parse("-1").unwrap());
    }

    #[test]
    fn refuses_what_it_cannot_hold_exactly() {
        for text in [
            "",
            "-",
            ".",
            "1.2.3",
            "0x10",
            "NaN",
            "1e",
            "1e99",
            "1_000",
            " 1",
            "12345678901234567890123",
            "١",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        assert_eq!(Decimal::parse("0.1234567890123456789"), None);
    }
}

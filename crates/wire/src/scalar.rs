//! Scalars spelled as text: in forms, labels, query strings, headers and XML.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ground::Timestamp;
use shape::fill::{self, WrongType};
use shape::{Kind, Path, Shape, Slot, TimestampFormat, Value, Violations};

/// How timestamps are spelled at a place, where neither member nor shape says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spelling {
    /// The member's own.
    pub(crate) member: Option<TimestampFormat>,
    /// The place's.
    pub(crate) place: TimestampFormat,
}

impl Spelling {
    /// In the body of a query or XML request, and in query strings and labels.
    pub(crate) const TEXT: Spelling = Spelling {
        member: None,
        place: TimestampFormat::Iso8601,
    };

    /// In headers.
    pub(crate) const HEADER: Spelling = Spelling {
        member: None,
        place: TimestampFormat::Rfc822,
    };

    /// The same place, for a member that may say otherwise.
    pub(crate) fn of(self, member: Option<TimestampFormat>) -> Spelling {
        Spelling { member, ..self }
    }

    fn format(self, shape: &Shape) -> TimestampFormat {
        let own = match shape.kind {
            Kind::Timestamp { format } => format,
            _ => None,
        };
        self.member.or(own).unwrap_or(self.place)
    }
}

/// Puts text into the slot of a scalar.
pub(crate) fn fill(
    slot: Slot<'_>,
    shape: &Shape,
    spelling: Spelling,
    text: &str,
    path: &Path<'_>,
    violations: &mut Violations,
) -> Result<(), WrongType> {
    let wrong = || WrongType::at(path, fill::expected(shape));
    match shape.kind {
        Kind::String { .. } => fill::text(slot, shape, text, path, violations),
        Kind::Boolean => {
            let value = match text {
                "true" => true,
                "false" => false,
                _ => return Err(wrong()),
            };
            fill::boolean(slot, shape, value, path)
        }
        Kind::Integer { .. } | Kind::Long { .. } => {
            let value = text.parse().map_err(|_| wrong())?;
            fill::whole_number(slot, shape, value, path, violations)
        }
        Kind::Float | Kind::Double => {
            let value = float(text).ok_or_else(wrong)?;
            fill::fraction(slot, shape, value, path, violations)
        }
        Kind::Blob { .. } => {
            let value = BASE64.decode(text).map_err(|_| wrong())?;
            fill::bytes(slot, shape, value, path, violations)
        }
        Kind::Timestamp { .. } => {
            let value = match spelling.format(shape) {
                TimestampFormat::Iso8601 => Timestamp::parse_iso8601(text).ok(),
                TimestampFormat::Rfc822 => Timestamp::parse_http_date(text).ok(),
                TimestampFormat::UnixTimestamp => epoch(text),
            };
            fill::moment(slot, shape, value.ok_or_else(wrong)?, path)
        }
        Kind::List { .. } | Kind::Map { .. } | Kind::Structure(_) | Kind::Document => Err(wrong()),
    }
}

/// A decimal number, or one of Smithy's names for what is not one.
fn float(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        // The names that Rust's own reader knows are no wire names.
        _ if text
            .bytes()
            .any(|byte| byte.is_ascii_alphabetic() && !matches!(byte, b'e' | b'E')) =>
        {
            None
        }
        _ => text.parse().ok(),
    }
}

/// Seconds since the epoch, with or without a fraction.
fn epoch(text: &str) -> Option<Timestamp> {
    let millis = (float(text)? * 1000.0).round();
    // Whole numbers of an f64 are exact up to 2^53; NaN fails the comparison.
    if millis.abs() <= 9_007_199_254_740_992.0 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole and within 2^53, checked above"
        )]
        let millis = millis as i64;
        Some(Timestamp(millis))
    } else {
        None
    }
}

/// A scalar as text; `None` for what is not one.
pub(crate) fn text<'a>(shape: &Shape, spelling: Spelling, value: Value<'a>) -> Option<Cow<'a, str>> {
    let text = match value {
        Value::Boolean(true) => "true".into(),
        Value::Boolean(false) => "false".into(),
        Value::Integer(it) => it.to_string().into(),
        Value::Long(it) => it.to_string().into(),
        Value::Float(it) if it.is_finite() => number(&it),
        Value::Double(it) if it.is_finite() => number(&it),
        Value::Float(it) => not_finite(f64::from(it)).into(),
        Value::Double(it) => not_finite(it).into(),
        Value::String(it) => it.into(),
        Value::Blob(it) => BASE64.encode(it).into(),
        Value::Timestamp(it) => match spelling.format(shape) {
            TimestampFormat::Iso8601 => it.iso8601().into(),
            TimestampFormat::Rfc822 => it.http_date().into(),
            TimestampFormat::UnixTimestamp => {
                let mut out = Vec::new();
                crate::json::write::epoch(&mut out, it);
                String::from_utf8(out).ok()?.into()
            }
        },
        Value::List(_) | Value::Map(_) | Value::Structure(_) | Value::Document(_) => return None,
    };
    Some(text)
}

fn number<T: serde::Serialize>(value: &T) -> Cow<'static, str> {
    serde_json::to_string(value)
        .expect("a finite float always becomes text")
        .into()
}

fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_have_only_the_wire_s_names() {
        for text in ["inf", "nan", "infinity", "+Infinity", "", "0x10", "1_000", " 1"] {
            assert!(float(text).is_none(), "{text}");
        }
        assert_eq!(float("-1.5e3"), Some(-1500.0));
        assert!(float("NaN").is_some_and(f64::is_nan));
    }

    #[test]
    fn epochs_stay_within_what_is_exact() {
        assert_eq!(epoch("1767323045.678"), Some(Timestamp(1_767_323_045_678)));
        assert_eq!(epoch("1e300"), None);
        assert_eq!(epoch("NaN"), None);
    }
}

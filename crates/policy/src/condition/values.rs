//! The values a condition lists, made ready for its operator, and the
//! comparison of one value of the request with all of them.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ground::Timestamp;

use super::decimal::Decimal;
use super::network::Network;
use super::operator::{Relation, Test};
use crate::arn_pattern::{ArnCondition, ArnText};
use crate::context::{Scope, Single, Value};
use crate::variable::{BadVariable, Pattern, Piece, Template, Unresolved, first_unresolved};

/// What the operator compares with. A value the operator cannot read is kept
/// as `None` and compares with nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    Text(Box<[Template]>),
    /// Compared in lower case.
    TextIgnoreCase(Box<[Template]>),
    Like(Box<[Pattern]>),
    Arn(Box<[ArnCondition]>),
    Numbers(Relation, Box<[Option<Decimal>]>),
    Dates(Relation, Box<[Option<Timestamp>]>),
    Flags(Box<[Template]>),
    Bytes(Box<[Option<Vec<u8>>]>),
    Networks(Box<[Option<Network>]>),
    /// For `Null`: whether the key must be absent.
    Absent(Box<[Option<bool>]>),
}

/// How a value of the request compares with the values listed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Comparison<'a> {
    /// It matches one of them.
    Match,
    /// It was compared with all and matches none.
    Different,
    /// It matches none, and with some it could not be compared.
    Incomparable,
    /// It matches none, and some hold a variable that does not resolve.
    Unresolved(Unresolved<'a>),
}

impl Values {
    pub(crate) fn compile(
        test: Test,
        texts: &[Box<str>],
        with_variables: bool,
    ) -> Result<Values, BadVariable> {
        let templates = || {
            texts
                .iter()
                .map(|text| Template::new(text, with_variables))
                .collect::<Result<Box<[_]>, _>>()
        };
        Ok(match test {
            Test::String { .. } => Values::Text(templates()?),
            Test::StringIgnoreCase { .. } => Values::TextIgnoreCase(templates()?),
            Test::StringLike { .. } => Values::Like(
                texts
                    .iter()
                    .map(|text| Pattern::new(text, with_variables))
                    .collect::<Result<_, _>>()?,
            ),
            Test::Arn { .. } => Values::Arn(
                texts
                    .iter()
                    .map(|text| ArnCondition::new(text, with_variables))
                    .collect::<Result<_, _>>()?,
            ),
            Test::Numeric(relation) => {
                Values::Numbers(relation, texts.iter().map(|text| Decimal::parse(text)).collect())
            }
            Test::Date(relation) => Values::Dates(relation, texts.iter().map(|text| moment(text)).collect()),
            Test::Bool => Values::Flags(templates()?),
            Test::Binary => Values::Bytes(texts.iter().map(|text| STANDARD.decode(&**text).ok()).collect()),
            Test::IpAddress { .. } => {
                Values::Networks(texts.iter().map(|text| Network::parse(text)).collect())
            }
            Test::Null => Values::Absent(texts.iter().map(|text| flag(text)).collect()),
        })
    }

    /// What comparing costs, roughly: what a value of the kind costs, times their number.
    /// A variable is made into text first, and dearest of all.
    pub(crate) fn cost(&self) -> usize {
        let (each, number) = match self {
            Values::Absent(listed) => (1, listed.len()),
            Values::Flags(listed) => (2, listed.len()),
            Values::Text(listed) => (2, listed.len()),
            Values::Dates(_, listed) => (2, listed.len()),
            Values::Networks(listed) => (3, listed.len()),
            Values::Numbers(_, listed) => (3, listed.len()),
            Values::Like(listed) => (5, listed.len()),
            Values::Arn(listed) => (20, listed.len()),
            Values::TextIgnoreCase(listed) => (20, listed.len()),
            Values::Bytes(listed) => (20, listed.len()),
        };
        let variables = self.pieces().filter(|pieces| !pieces.is_empty()).count();
        each * number + variables * 100
    }

    /// The commonest comparisons by the shortest way: whether the value matches
    /// one of those listed. `None` says that [`Values::compare`] must be asked.
    #[inline]
    pub(crate) fn compare_at_once(&self, value: &Value<'_>) -> Option<bool> {
        match (self, value) {
            (Values::Text(listed), Value::Text(text)) => {
                for template in listed {
                    match template {
                        Template::Fixed(fixed) if **fixed == **text => return Some(true),
                        Template::Fixed(_) => {}
                        Template::Varying(_) => return None,
                    }
                }
                Some(false)
            }
            (Values::Like(listed), Value::Text(text)) => {
                for pattern in listed {
                    match pattern {
                        Pattern::Fixed(glob) if glob.matches(text) => return Some(true),
                        Pattern::Fixed(_) => {}
                        Pattern::Varying(_) => return None,
                    }
                }
                Some(false)
            }
            (Values::Networks(listed), Value::Ip(address @ IpAddr::V4(_))) => {
                for network in listed {
                    if network.as_ref()?.contains(*address) {
                        return Some(true);
                    }
                }
                Some(false)
            }
            (Values::Dates(relation, listed), Value::Date(date)) => match &**listed {
                [Some(wanted)] => Some(relation.holds(date, wanted)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Compares one value of the request with every value listed.
    pub(crate) fn compare<'a>(&'a self, single: Single<'_>, scope: Scope<'a>) -> Comparison<'a> {
        match self {
            Values::Text(listed) => {
                let text = single.text();
                first_match(listed, |template| template.is(&text, scope).map(Some))
            }
            Values::TextIgnoreCase(listed) => {
                let text = single.text().to_lowercase();
                first_match(listed, |template| {
                    template
                        .resolve(scope)
                        .map(|wanted| Some(wanted.to_lowercase() == text))
                })
            }
            Values::Like(listed) => {
                let text = single.text();
                first_match(listed, |pattern| pattern.matches(&text, scope).map(Some))
            }
            Values::Arn(listed) => {
                let text = single.text();
                let arn = ArnText::new(&text);
                first_match(listed, |pattern| pattern.matches(arn, scope).map(Some))
            }
            Values::Flags(listed) => {
                let have = match single {
                    Single::Bool(have) => Some(have),
                    single => flag(&single.text()),
                };
                first_match(listed, |template| {
                    template
                        .resolve(scope)
                        .map(|wanted| Some(flag(&wanted)? == have?))
                })
            }
            Values::Numbers(relation, listed) => {
                let number = number_of(single);
                first_match(listed, |wanted| Ok(relate(*relation, number, *wanted)))
            }
            Values::Dates(relation, listed) => {
                let date = date_of(single);
                first_match(listed, |wanted| Ok(relate(*relation, date, *wanted)))
            }
            Values::Bytes(listed) => {
                let bytes = STANDARD.decode(&*single.text()).ok();
                first_match(listed, |wanted| {
                    Ok(wanted
                        .as_ref()
                        .zip(bytes.as_ref())
                        .map(|(wanted, have)| wanted == have))
                })
            }
            Values::Networks(listed) => {
                let address = address_of(single);
                first_match(listed, |wanted| {
                    Ok(wanted
                        .as_ref()
                        .zip(address)
                        .map(|(network, address)| network.contains(address)))
                })
            }
            // `Null` asks about the key and is answered before any value is looked at.
            Values::Absent(_) => Comparison::Incomparable,
        }
    }

    /// The first variable among the values that does not resolve.
    pub(crate) fn first_unresolved<'a>(&'a self, scope: Scope<'a>) -> Option<Unresolved<'a>> {
        self.pieces().find_map(|pieces| first_unresolved(pieces, scope))
    }

    /// Whether this is `Null` with nothing but `true`.
    pub(crate) fn wants_absence(&self) -> bool {
        matches!(self, Values::Absent(listed) if !listed.is_empty() && listed.iter().all(|flag| *flag == Some(true)))
    }

    /// For every value listed, whether the operator cannot read it.
    pub(crate) fn unreadable(&self) -> Vec<bool> {
        fn missing<T>(listed: &[Option<T>]) -> Vec<bool> {
            listed.iter().map(Option::is_none).collect()
        }
        match self {
            Values::Text(listed) | Values::TextIgnoreCase(listed) => vec![false; listed.len()],
            Values::Like(listed) => vec![false; listed.len()],
            Values::Arn(listed) => listed
                .iter()
                .map(|arn| matches!(arn, ArnCondition::Fixed(None)))
                .collect(),
            Values::Flags(listed) => listed
                .iter()
                .map(|template| matches!(template, Template::Fixed(text) if flag(text).is_none()))
                .collect(),
            Values::Numbers(_, listed) => missing(listed),
            Values::Dates(_, listed) => missing(listed),
            Values::Bytes(listed) => missing(listed),
            Values::Networks(listed) => missing(listed),
            Values::Absent(listed) => missing(listed),
        }
    }

    /// The lowest and the highest number or moment that can pass, in
    /// thousandths (milliseconds); `None` where there is no order.
    pub(crate) fn bounds(&self) -> Option<(i64, i64)> {
        let (relation, places): (Relation, Vec<i64>) = match self {
            Values::Numbers(relation, listed) => {
                let places = listed.iter().flatten().map(|number| number.thousandths());
                (*relation, places.collect::<Option<_>>()?)
            }
            Values::Dates(relation, listed) => {
                (*relation, listed.iter().flatten().map(|date| date.0).collect())
            }
            _ => return None,
        };
        let (lowest, highest) = (*places.iter().min()?, *places.iter().max()?);
        Some(match relation {
            Relation::Equal => (lowest, highest),
            Relation::NotEqual => return None,
            Relation::Less | Relation::LessOrEqual => (i64::MIN, highest),
            Relation::Greater | Relation::GreaterOrEqual => (lowest, i64::MAX),
        })
    }

    /// The parts of every value that may hold variables.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &[Piece]> {
        let (templates, patterns, arns): (&[Template], &[Pattern], &[ArnCondition]) = match self {
            Values::Text(listed) | Values::TextIgnoreCase(listed) | Values::Flags(listed) => {
                (listed, &[], &[])
            }
            Values::Like(listed) => (&[], listed, &[]),
            Values::Arn(listed) => (&[], &[], listed),
            Values::Numbers(..)
            | Values::Dates(..)
            | Values::Bytes(_)
            | Values::Networks(_)
            | Values::Absent(_) => (&[], &[], &[]),
        };
        let templates = templates.iter().map(Template::pieces);
        templates
            .chain(patterns.iter().map(Pattern::pieces))
            .chain(arns.iter().map(ArnCondition::pieces))
    }
}

/// Goes through the values listed until one matches. `compare` says `None` where nothing can be compared.
fn first_match<'a, T>(
    listed: &'a [T],
    compare: impl Fn(&'a T) -> Result<Option<bool>, Unresolved<'a>>,
) -> Comparison<'a> {
    let mut outcome = Comparison::Different;
    for wanted in listed {
        match compare(wanted) {
            Ok(Some(true)) => return Comparison::Match,
            Ok(Some(false)) => {}
            Ok(None) => {
                if outcome == Comparison::Different {
                    outcome = Comparison::Incomparable;
                }
            }
            Err(variable) => outcome = Comparison::Unresolved(variable),
        }
    }
    outcome
}

fn relate<T: Ord>(relation: Relation, have: Option<T>, wanted: Option<T>) -> Option<bool> {
    Some(relation.holds(&have?, &wanted?))
}

/// `true` or `false`, in any case.
fn flag(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// An IPv4 address that arrived on an IPv6 socket is an IPv4 address.
fn address_of(single: Single<'_>) -> Option<IpAddr> {
    match single {
        Single::Ip(address) => Some(address.to_canonical()),
        single => single
            .text()
            .parse::<IpAddr>()
            .ok()
            .map(|address| address.to_canonical()),
    }
}

fn number_of(single: Single<'_>) -> Option<Decimal> {
    match single {
        Single::Integer(number) => Some(Decimal::from_integer(number)),
        Single::Date(moment) => Some(Decimal::from_integer(moment.seconds())),
        Single::Text(text) => Decimal::parse(text),
        Single::Account(account) => Decimal::parse(&account.to_string()),
        Single::Bool(_) | Single::Ip(_) => None,
    }
}

fn date_of(single: Single<'_>) -> Option<Timestamp> {
    match single {
        Single::Date(date) => Some(date),
        Single::Integer(seconds) => Some(Timestamp::from_seconds(seconds)),
        Single::Text(text) => moment(text),
        Single::Account(account) => moment(&account.to_string()),
        Single::Bool(_) | Single::Ip(_) => None,
    }
}

/// A moment: epoch seconds, or one of the W3C's forms of ISO 8601, from `2026`
/// (the year, since no policy means the first hour of 1970) to the millisecond.
///
/// Source: IAM User Guide, "Date condition operators"; W3C NOTE-datetime.
fn moment(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes
            .get(range)
            .is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    if bytes.len() == 4 && digits(0..4) {
        return Timestamp::parse_iso8601(&format!("{text}-01-01")).ok();
    }
    if bytes.len() == 7 && digits(0..4) && bytes[4] == b'-' && digits(5..7) {
        return Timestamp::parse_iso8601(&format!("{text}-01")).ok();
    }
    if let Some(seconds) = Decimal::parse(text) {
        return seconds.thousandths().map(Timestamp);
    }
    // `YYYY-MM-DDThh:mm` with a zone lacks the seconds that the reader wants.
    let minutes_only = bytes.len() > 16 && bytes[10] == b'T' && bytes[13] == b':' && bytes[16] != b':';
    if minutes_only && text.is_char_boundary(16) {
        return Timestamp::parse_iso8601(&format!("{}:00{}", &text[..16], &text[16..])).ok();
    }
    Timestamp::parse_iso8601(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_come_in_every_w3c_form_and_as_epoch_seconds() {
        let expected = Timestamp::parse_iso8601("2026-01-01T00:00:00Z").unwrap();
        for text in [
            "2026",
            "2026-01",
            "2026-01-01",
            "2026-01-01T00:00Z",
            "2026-01-01T01:00+01:00",
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00.000Z",
            "1767225600",
            "1767225600.0",
        ] {
            assert_eq!(moment(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "tomorrow",
            "2026-13",
            "2026-01-01T",
            "2026-01-01Té0:00:00",
            "1e99",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}

//! The `Condition` element.
//!
//! All operators must hold, and all keys under one operator; of the values of
//! one key, one must match, or for a negated operator none.
//!
//! | key absent | positive | negated | `…IfExists` | `ForAnyValue:` | `ForAllValues:` |
//! |---|---|---|---|---|---|
//! | holds | no | yes | yes | no | yes |
//!
//! A plain operator on a key with several values is undefined by AWS; here a
//! positive one holds if any value matches, a negated one if none does.
//! A variable that does not resolve keeps the whole statement from matching,
//! unless another of the listed values decides a positive comparison.

mod decimal;
mod network;
mod operator;
mod values;

pub(crate) use operator::Operator;
use operator::Quantifier;
pub(crate) use operator::Test;
use values::{Comparison, Values};

use crate::context::{Key, Scope, Seen, Value};
use crate::memory::{KEY_ALONE, Slot};
use crate::variable::{BadVariable, Piece, Unresolved};

/// One operator with one key and its values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    /// As written.
    pub(crate) operator_name: Box<str>,
    pub(crate) operator: Operator,
    pub(crate) key: Key,
    /// As written.
    pub(crate) texts: Box<[Box<str>]>,
    values: Values,
    negated: bool,
    /// Among those of its statement, as written.
    pub(crate) place: u16,
    pub(crate) slot: Slot,
    /// Where [`Memory`](crate::memory::Memory) keeps what is said of the key.
    pub(crate) key_place: u8,
}

/// Why a condition does not hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Unmet<'a> {
    /// The values do not fit, or the key is absent.
    NotSatisfied,
    /// A variable among the policy's values has no value.
    Unresolved(Unresolved<'a>),
}

impl Condition {
    pub(crate) fn new(
        operator_name: &str,
        operator: Operator,
        key: &str,
        texts: Box<[Box<str>]>,
        with_variables: bool,
    ) -> Result<Condition, BadVariable> {
        let values = Values::compile(operator.test, &texts, with_variables)?;
        Ok(Condition {
            operator_name: operator_name.into(),
            operator,
            key: Key::new(key),
            texts,
            values,
            negated: operator.test.negated(),
            place: 0,
            slot: Slot::NONE,
            key_place: KEY_ALONE,
        })
    }

    /// Whether the condition holds for the request. `said` is what [`Scope::said`] tells of the key.
    #[inline]
    pub(crate) fn check<'a>(&'a self, said: Option<&Value<'_>>, scope: Scope<'a>) -> Result<(), Unmet<'a>> {
        if self.operator.quantifier.is_none()
            && let Some(value) = said
            && let Some(matches) = self.values.compare_at_once(value)
        {
            return if matches == self.negated {
                Err(Unmet::NotSatisfied)
            } else {
                Ok(())
            };
        }
        self.check_thoroughly(scope)
    }

    /// The same by the long way, which knows every operator and every value.
    #[inline(never)]
    pub(crate) fn check_thoroughly<'a>(&'a self, scope: Scope<'a>) -> Result<(), Unmet<'a>> {
        let seen = scope.look_up(&self.key);
        let holds = if let Values::Absent(listed) = &self.values {
            let absent = seen.is_none_or(Seen::is_blank);
            Ok(listed.contains(&Some(absent)))
        } else {
            // The set operators take a value of nothing but empty text as no value.
            let blank_is_absent = self.operator.quantifier.is_some();
            match seen.filter(|seen| !(blank_is_absent && seen.is_blank())) {
                None => self.check_absent(scope),
                Some(seen) => self.check_present(seen, scope),
            }
        };
        match holds {
            Ok(true) => Ok(()),
            Ok(false) => Err(Unmet::NotSatisfied),
            Err(variable) => Err(Unmet::Unresolved(variable)),
        }
    }

    /// What asking it costs, roughly, in units that compare with each other alone.
    pub(crate) fn cost(&self) -> usize {
        self.values.cost() + if self.operator.quantifier.is_some() { 8 } else { 0 }
    }

    fn check_absent<'a>(&'a self, scope: Scope<'a>) -> Result<bool, Unresolved<'a>> {
        if self.operator.if_exists {
            return Ok(true);
        }
        let holds = match self.operator.quantifier {
            Some(Quantifier::All) => true,
            Some(Quantifier::Any) => false,
            None => self.operator.test.negated(),
        };
        match self.values.first_unresolved(scope) {
            Some(variable) if holds => Err(variable),
            _ => Ok(holds),
        }
    }

    fn check_present<'a>(&'a self, seen: Seen<'_>, scope: Scope<'a>) -> Result<bool, Unresolved<'a>> {
        if let (Seen::One(single), None) = (seen, self.operator.quantifier) {
            return match self.values.compare(single, scope) {
                Comparison::Match => Ok(!self.operator.test.negated()),
                Comparison::Different => Ok(self.operator.test.negated()),
                Comparison::Incomparable => Ok(false),
                Comparison::Unresolved(variable) => Err(variable),
            };
        }
        self.check_each(seen, scope)
    }

    /// As the set operators do, one value of the request after the other.
    fn check_each<'a>(&'a self, seen: Seen<'_>, scope: Scope<'a>) -> Result<bool, Unresolved<'a>> {
        let compared = seen.singles().map(|single| self.values.compare(single, scope));
        let matching = |comparison: Comparison<'a>| match comparison {
            Comparison::Match => Ok(true),
            Comparison::Different | Comparison::Incomparable => Ok(false),
            Comparison::Unresolved(variable) => Err(variable),
        };
        let differing = |comparison: Comparison<'a>| match comparison {
            Comparison::Different => Ok(true),
            Comparison::Match | Comparison::Incomparable => Ok(false),
            Comparison::Unresolved(variable) => Err(variable),
        };
        match (self.operator.quantifier, self.operator.test.negated()) {
            (None | Some(Quantifier::Any), false) => any(compared.map(matching)),
            (Some(Quantifier::Any), true) => any(compared.map(differing)),
            (Some(Quantifier::All), false) => all(compared.map(matching)),
            (None | Some(Quantifier::All), true) => all(compared.map(differing)),
        }
    }

    /// Whether the key is asked for as if it had one value; worth a warning where it has several.
    pub(crate) fn is_plain(&self) -> bool {
        self.operator.quantifier.is_none() && self.operator.test != Test::Null
    }

    /// Whether it holds only for a request that has the key, with one of the values listed.
    pub(crate) fn is_firm(&self) -> bool {
        self.operator.test != Test::Null
            && !self.operator.test.negated()
            && !self.operator.if_exists
            && self.operator.quantifier != Some(Quantifier::All)
    }

    /// Whether it asks that the key be absent.
    pub(crate) fn wants_absence(&self) -> bool {
        self.values.wants_absence()
    }

    /// The values its operator cannot read: they compare with nothing.
    pub(crate) fn unreadable(&self) -> impl Iterator<Item = &str> {
        let unreadable = self.values.unreadable();
        self.texts
            .iter()
            .zip(unreadable)
            .filter(|(_, unreadable)| *unreadable)
            .map(|(text, _)| &**text)
    }

    /// For numbers and dates: the lowest and the highest that can pass, in
    /// thousandths, rounded outwards by less than one.
    pub(crate) fn bounds(&self) -> Option<(i64, i64)> {
        self.values.bounds()
    }

    /// The parts of the values that may hold variables.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &[Piece]> {
        self.values.pieces()
    }
}

/// `true` as soon as one is; else the first that could not be told; else `false`.
fn any<E>(answers: impl Iterator<Item = Result<bool, E>>) -> Result<bool, E> {
    let mut unknown = Ok(false);
    for answer in answers {
        match answer {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => unknown = unknown.and(Err(error)),
        }
    }
    unknown
}

/// `false` as soon as one is; else the first that could not be told; else `true`.
fn all<E>(answers: impl Iterator<Item = Result<bool, E>>) -> Result<bool, E> {
    any(answers.map(|answer| answer.map(|holds| !holds))).map(|some_fail| !some_fail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Principal};

    /// Whether `operator key [values]` holds; `None` if a variable does not resolve.
    fn holds(operator: &str, key: &str, values: &[&str], context: &Context<'_>) -> Option<bool> {
        let principal = Principal::anonymous();
        let scope = Scope {
            principal: &principal,
            context,
        };
        let texts = values.iter().map(|text| Box::from(*text)).collect();
        let condition =
            Condition::new(operator, Operator::parse(operator).unwrap(), key, texts, true).unwrap();
        let thorough = condition.check_thoroughly(scope);
        assert_eq!(
            condition.check(scope.said(&condition.key), scope),
            thorough,
            "{operator} {key} {values:?}"
        );
        match thorough {
            Ok(()) => Some(true),
            Err(Unmet::NotSatisfied) => Some(false),
            Err(Unmet::Unresolved(_)) => None,
        }
    }

    fn with<'a>(key: &'a str, value: impl Into<Value<'a>>) -> Context<'a> {
        let mut context = Context::new();
        context.insert(key, value);
        context
    }

    fn many<'a>(key: &'a str, values: &[&'a str]) -> Context<'a> {
        with(key, values.iter().copied().collect::<Value<'_>>())
    }

    /// The table above, for every operator that has the form.
    #[test]
    fn an_absent_key_answers_by_the_table() {
        let nothing = Context::new();
        for (positive, negated) in [
            ("StringEquals", "StringNotEquals"),
            ("StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"),
            ("StringLike", "StringNotLike"),
            ("NumericEquals", "NumericNotEquals"),
            ("DateEquals", "DateNotEquals"),
            ("IpAddress", "NotIpAddress"),
            ("ArnEquals", "ArnNotEquals"),
            ("ArnLike", "ArnNotLike"),
        ] {
            for (name, negation) in [(positive, false), (negated, true)] {
                let ask = |operator: String| holds(&operator, "x:k", &["1"], &nothing);
                assert_eq!(ask(name.to_owned()), Some(negation), "{name}");
                assert_eq!(ask(format!("{name}IfExists")), Some(true), "{name}");
                assert_eq!(ask(format!("ForAnyValue:{name}")), Some(false), "{name}");
                assert_eq!(ask(format!("ForAllValues:{name}")), Some(true), "{name}");
                assert_eq!(ask(format!("ForAnyValue:{name}IfExists")), Some(true), "{name}");
            }
        }
        for name in ["Bool", "BinaryEquals", "NumericLessThan", "DateGreaterThanEquals"] {
            assert_eq!(holds(name, "x:k", &["1"], &nothing), Some(false), "{name}");
            assert_eq!(
                holds(&format!("{name}IfExists"), "x:k", &["1"], &nothing),
                Some(true),
                "{name}"
            );
        }
    }

    #[test]
    fn strings_compare_as_their_operator_says() {
        let context = with("x:k", "Blue*");
        assert_eq!(
            holds("StringEquals", "X:K", &["red", "Blue*"], &context),
            Some(true)
        );
        assert_eq!(holds("StringEquals", "x:k", &["blue*"], &context), Some(false));
        assert_eq!(holds("StringEquals", "x:k", &["Blue?"], &context), Some(false));
        assert_eq!(
            holds("StringNotEquals", "x:k", &["red", "Blue*"], &context),
            Some(false)
        );
        assert_eq!(
            holds("StringNotEquals", "x:k", &["red", "green"], &context),
            Some(true)
        );
        assert_eq!(
            holds("StringEqualsIgnoreCase", "x:k", &["bLUE*"], &context),
            Some(true)
        );
        assert_eq!(
            holds("StringNotEqualsIgnoreCase", "x:k", &["bLUE*"], &context),
            Some(false)
        );
        assert_eq!(holds("StringLike", "x:k", &["B*"], &context), Some(true));
        assert_eq!(holds("StringLike", "x:k", &["b*"], &context), Some(false));
        assert_eq!(holds("StringNotLike", "x:k", &["B*", "x"], &context), Some(false));
        assert_eq!(holds("StringLike", "x:k", &["Blue${*}"], &context), Some(true));
    }

    #[test]
    fn numbers_dates_flags_bytes_and_addresses() {
        let number = with("x:n", 10i64);
        assert_eq!(holds("NumericLessThan", "x:n", &["10.5"], &number), Some(true));
        assert_eq!(holds("NumericEquals", "x:n", &["1e1"], &number), Some(true));
        assert_eq!(
            holds("NumericGreaterThanEquals", "x:n", &["10"], &number),
            Some(true)
        );
        assert_eq!(
            holds("NumericNotEquals", "x:n", &["9", "10"], &number),
            Some(false)
        );
        assert_eq!(holds("NumericEquals", "x:n", &["ten"], &number), Some(false));
        assert_eq!(holds("NumericNotEquals", "x:n", &["ten"], &number), Some(false));
        assert_eq!(
            holds("NumericEquals", "x:n", &["7"], &with("x:n", "seven")),
            Some(false)
        );

        let date = with(
            "x:d",
            ground::Timestamp::parse_iso8601("2026-01-02T00:00:00Z").unwrap(),
        );
        assert_eq!(
            holds("DateGreaterThan", "x:d", &["2026-01-01T00:00:00Z"], &date),
            Some(true)
        );
        assert_eq!(holds("DateLessThan", "x:d", &["1767225600"], &date), Some(false));
        assert_eq!(
            holds("NumericGreaterThan", "x:d", &["1767225600"], &date),
            Some(true)
        );

        let flag = with("x:b", true);
        assert_eq!(holds("Bool", "x:b", &["true"], &flag), Some(true));
        assert_eq!(holds("Bool", "x:b", &["false"], &flag), Some(false));
        assert_eq!(holds("Bool", "x:b", &["yes"], &flag), Some(false));
        assert_eq!(holds("StringEquals", "x:b", &["true"], &flag), Some(true));

        let bytes = with("x:y", "aGVsbG8=");
        assert_eq!(holds("BinaryEquals", "x:y", &["aGVsbG8="], &bytes), Some(true));
        assert_eq!(holds("BinaryEquals", "x:y", &["aGVsbG9v"], &bytes), Some(false));

        let address = with("aws:SourceIp", "203.0.113.9".parse::<std::net::IpAddr>().unwrap());
        assert_eq!(
            holds("IpAddress", "aws:SourceIp", &["203.0.113.0/24"], &address),
            Some(true)
        );
        assert_eq!(
            holds("IpAddress", "aws:SourceIp", &["::/0"], &address),
            Some(false)
        );
        assert_eq!(
            holds(
                "NotIpAddress",
                "aws:SourceIp",
                &["203.0.113.0/24", "10.0.0.1"],
                &address
            ),
            Some(false)
        );
        assert_eq!(
            holds("NotIpAddress", "aws:SourceIp", &["10.0.0.1"], &address),
            Some(true)
        );
    }

    #[test]
    fn null_asks_whether_the_key_has_a_value() {
        assert_eq!(holds("Null", "x:k", &["true"], &Context::new()), Some(true));
        assert_eq!(holds("Null", "x:k", &["false"], &Context::new()), Some(false));
        assert_eq!(holds("Null", "x:k", &["false"], &with("x:k", "v")), Some(true));
        assert_eq!(holds("Null", "x:k", &["true"], &with("x:k", "")), Some(true));
        assert_eq!(
            holds("Null", "x:k", &["true", "false"], &with("x:k", "v")),
            Some(true)
        );
        assert_eq!(holds("Null", "x:k", &["maybe"], &with("x:k", "v")), Some(false));
    }

    /// IAM User Guide, "Set operators for multivalued context keys".
    #[test]
    fn set_operators_look_at_every_value() {
        let context = many("aws:TagKeys", &["environment", "cost-center"]);
        let ask = |operator: &str, values: &[&str]| holds(operator, "aws:TagKeys", values, &context);
        assert_eq!(
            ask("ForAllValues:StringEquals", &["environment", "cost-center", "x"]),
            Some(true)
        );
        assert_eq!(ask("ForAllValues:StringEquals", &["environment"]), Some(false));
        assert_eq!(ask("ForAnyValue:StringEquals", &["environment"]), Some(true));
        assert_eq!(ask("ForAnyValue:StringEquals", &["x"]), Some(false));
        assert_eq!(ask("ForAnyValue:StringNotEquals", &["environment"]), Some(true));
        assert_eq!(
            ask("ForAnyValue:StringNotEquals", &["environment", "cost-center"]),
            Some(false)
        );
        assert_eq!(ask("ForAllValues:StringNotEquals", &["x"]), Some(true));
        assert_eq!(ask("ForAllValues:StringNotEquals", &["environment"]), Some(false));
        assert_eq!(ask("StringEquals", &["environment"]), Some(true));
        assert_eq!(ask("StringNotEquals", &["environment"]), Some(false));
        let blank = many("aws:TagKeys", &[""]);
        assert_eq!(
            holds("ForAllValues:StringEquals", "aws:TagKeys", &["x"], &blank),
            Some(true)
        );
        assert_eq!(
            holds("ForAnyValue:StringEquals", "aws:TagKeys", &[""], &blank),
            Some(false)
        );
    }

    #[test]
    fn an_unresolved_variable_decides_nothing() {
        let context = with("x:k", "v");
        assert_eq!(holds("StringEquals", "x:k", &["${x:absent}"], &context), None);
        assert_eq!(holds("StringNotEquals", "x:k", &["${x:absent}"], &context), None);
        assert_eq!(
            holds("StringEquals", "x:k", &["${x:absent}", "v"], &context),
            Some(true)
        );
        assert_eq!(
            holds("StringNotEquals", "x:absent", &["${x:absent}"], &context),
            None
        );
        assert_eq!(
            holds("StringNotEqualsIfExists", "x:absent", &["${x:absent}"], &context),
            Some(true)
        );
        assert_eq!(
            holds("StringEquals", "x:k", &["${x:absent, 'v'}"], &context),
            Some(true)
        );
        assert_eq!(holds("Bool", "x:k", &["${x:absent}"], &context), None);
        assert_eq!(
            holds("NumericEquals", "x:k", &["${x:absent}"], &context),
            Some(false)
        );
    }
}

//! Conditions that can never hold, and those that keep strangers out.

use crate::condition::{Condition, Test};
use crate::lint::cover;
use crate::statement::Statement;

/// Whether a condition of `statement` asks for certain values of one of `keys`.
///
/// `…IfExists`, `ForAllValues:`, negated operators and values of nothing but
/// wildcards do not narrow: a request without the key, or with any value, passes.
pub(super) fn is_narrowed_by(statement: &Statement, keys: &[&str]) -> bool {
    statement.conditions.iter().any(|condition| {
        let named = |key: &&str| match key.strip_suffix('*') {
            Some(start) => condition.key.folded().starts_with(start),
            None => condition.key.folded() == *key,
        };
        keys.iter().any(named)
            && condition.is_firm()
            && condition.texts.iter().all(|text| is_particular(text))
    })
}

/// Whether a value is more than wildcards.
fn is_particular(value: &str) -> bool {
    const EVERY_ADDRESS: [&str; 2] = ["0.0.0.0/0", "::/0"];
    if EVERY_ADDRESS.contains(&value) {
        return false;
    }
    let fields = value
        .strip_prefix("arn:")
        .unwrap_or(value)
        .trim_start_matches("aws:");
    fields.contains(|letter: char| !matches!(letter, '*' | '?' | ':' | '/'))
        // `arn:aws:s3:*:*:*` names a service and nobody.
        && !(value.starts_with("arn:") && value.splitn(6, ':').skip(3).all(|field| field.chars().all(|letter| letter == '*')))
}

/// Why `condition` by itself holds for no request.
pub(super) fn never_holds(condition: &Condition) -> Option<String> {
    if !condition.is_firm() {
        return None;
    }
    if condition.texts.is_empty() {
        return Some("it lists no value".to_owned());
    }
    let unreadable: Vec<&str> = condition.unreadable().collect();
    (unreadable.len() == condition.texts.len()).then(|| {
        format!(
            "{} cannot read {:?}",
            condition.operator_name,
            unreadable.join(", ")
        )
    })
}

/// Why two conditions of one statement never hold together.
pub(super) fn contradict(one: &Condition, other: &Condition) -> bool {
    if !one.key.is_named(&other.key) {
        return false;
    }
    if one.wants_absence() {
        return other.is_firm();
    }
    if !one.is_firm() || one.operator.quantifier.is_some() || other.operator.quantifier.is_some() {
        return false;
    }
    if other.is_firm()
        && let (Some((low, high)), Some((other_low, other_high))) = (one.bounds(), other.bounds())
    {
        return is_single_valued(one.key.folded()) && (low > other_high || other_low > high);
    }
    let excluded = |value: &str| {
        other
            .texts
            .iter()
            .any(|pattern| excludes(other, pattern, one, value))
    };
    !one.texts.is_empty() && one.texts.iter().all(|value| excluded(value))
}

/// Whether the negated condition `against` refuses, by its value `pattern`, all that `value` of `one` lets pass.
fn excludes(against: &Condition, pattern: &str, one: &Condition, value: &str) -> bool {
    let literal = matches!(one.operator.test, Test::String { .. });
    match (against.operator.test, one.operator.test) {
        (Test::String { negated: true }, Test::String { .. }) => pattern == value,
        (Test::StringLike { negated: true }, Test::String { .. } | Test::StringLike { .. }) => {
            // Variables in a literal would be taken for letters.
            !(literal && value.contains("${")) && cover::text(pattern, value, literal)
        }
        (Test::Arn { negated: true }, Test::Arn { .. }) => {
            !pattern.contains("${") && !value.contains("${") && cover::resource(pattern, value, false)
        }
        (Test::IpAddress { negated: true }, Test::IpAddress { .. }) => pattern == value,
        _ => false,
    }
}

/// Keys of several values may satisfy two conditions by two values; of the
/// global keys it is known which have one.
fn is_single_valued(key: &str) -> bool {
    key.starts_with("aws:")
        && !matches!(
            key,
            "aws:calledvia"
                | "aws:tagkeys"
                | "aws:principalorgpaths"
                | "aws:principalservicenameslist"
                | "aws:resourceorgpaths"
                | "aws:sourceorgpaths"
                | "aws:vpceorgpaths"
        )
}

//! Conditions that can never hold, and those that keep strangers out.

use std::net::IpAddr;

use crate::condition::{Condition, Test};
use crate::lint::cover;
use crate::statement::Statement;

/// Keys of which a value with wildcards says nothing: it may match anyone's.
///
/// Source: IAM User Guide, "AWS global condition context keys", section
/// "Sensitive condition keys".
const NO_WILDCARDS: [&str; 10] = [
    "aws:principalaccount",
    "aws:principalorgid",
    "aws:resourceaccount",
    "aws:resourceorgid",
    "aws:sourceaccount",
    "aws:sourceorgid",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:vpceaccount",
    "aws:vpceorgid",
];

/// Whether a condition of `statement` asks for certain values of one of `keys`.
///
/// `…IfExists`, `ForAllValues:`, negated operators and values of nothing but
/// wildcards do not narrow: a request without the key, or with any value, passes.
pub(super) fn is_narrowed_by(statement: &Statement, keys: &[&str]) -> bool {
    narrowing(statement, keys).next().is_some()
}

/// As [`is_narrowed_by`], to values that a stranger cannot arrange to have: not
/// variables that the caller fills, nor ARNs of which any account can have one.
///
/// Source: S3 User Guide, "The meaning of public", which asks for fixed values
/// and lets an ARN have wildcards "as long as the account id is fixed". It is
/// our own judgement that a variable filled by the resource is fixed, and that
/// the ARN of a bucket, which has no account, is one if it has a name.
pub(super) fn is_kept_from_strangers_by(statement: &Statement, keys: &[&str]) -> bool {
    narrowing(statement, keys).any(|condition| {
        let of_someone = |text: &str| !condition.key.folded().ends_with("arn") || has_owner(text);
        condition
            .texts
            .iter()
            .all(|text| is_fixed(text) && of_someone(text))
    })
}

fn narrowing<'s>(statement: &'s Statement, keys: &[&str]) -> impl Iterator<Item = &'s Condition> {
    statement.conditions.iter().filter(|condition| {
        let named = |key: &&str| match key.strip_suffix('*') {
            Some(start) => condition.key.folded().starts_with(start),
            None => condition.key.folded() == *key,
        };
        keys.iter().any(named)
            && condition.is_firm()
            && condition.texts.iter().all(|text| is_particular(condition, text))
    })
}

/// Whether a value says more than that there is one.
fn is_particular(condition: &Condition, value: &str) -> bool {
    let has_wildcards =
        matches!(condition.operator.test, Test::StringLike { .. }) && value.contains(['*', '?']);
    if is_most_addresses(value) || (has_wildcards && NO_WILDCARDS.contains(&condition.key.folded())) {
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

/// Whether a range of addresses is so wide that two or a few make up all.
///
/// Source: S3 User Guide, "The meaning of public": broader than /8, or /32 for IPv6.
fn is_most_addresses(value: &str) -> bool {
    let Some((address, bits)) = value.split_once('/') else {
        return false;
    };
    match (address.parse(), bits.parse::<u8>()) {
        (Ok(IpAddr::V4(_)), Ok(bits)) => bits < 8,
        (Ok(IpAddr::V6(_)), Ok(bits)) => bits < 32,
        (Err(_), _) | (_, Err(_)) => false,
    }
}

/// Whether no variable of a value is filled by who asks.
fn is_fixed(value: &str) -> bool {
    value.split("${").skip(1).all(|rest| {
        let name = rest.split(['}', ',']).next().unwrap_or_default().trim();
        matches!(name, "*" | "?" | "$") || name.to_ascii_lowercase().starts_with("aws:resource")
    })
}

/// Whether the pattern of an ARN says of which account it is, or has none to say.
fn has_owner(value: &str) -> bool {
    let mut fields = value.splitn(6, ':');
    fields.next() == Some("arn")
        && fields.nth(3).is_some_and(|account| {
            account.is_empty() || account.contains(|letter: char| !matches!(letter, '*' | '?'))
        })
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
///
/// Source: the "Value type" of each on the page "AWS global condition context
/// keys" of the IAM User Guide.
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

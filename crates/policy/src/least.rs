//! The smallest policy that covers a set of calls.
//!
//! Every statement allows exactly what was seen: its actions were each seen on
//! each of its resources, under its conditions. No wildcard is written unless
//! the caller wants resources generalized; then those of one action that differ
//! in their last part alone, two or more, become one pattern. Actions are never widened.
//!
//! Absent by design: leaving calls out that other policies allow, and the
//! question whether what was done ought to be allowed. Who asks decides both.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

/// A condition that a call fulfilled: its operator, its key, and the values
/// that may stand there.
pub type Fulfilled = BTreeMap<(&'static str, String), BTreeSet<String>>;

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deed {
    /// `kms:Encrypt`
    pub action: String,
    /// An ARN, or `*` for actions without a resource.
    pub resource: String,
    /// What was true of it and is to be demanded again.
    pub conditions: Fulfilled,
}

/// The policy, as it would be attached to a user or role. It has no statement
/// if there are no deeds, and then is no policy.
pub fn least_policy<'d>(deeds: impl IntoIterator<Item = &'d Deed>, generalize: bool) -> Json {
    // What was done to what, under each set of conditions.
    let mut under: BTreeMap<&Fulfilled, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for deed in deeds {
        let actions = under.entry(&deed.conditions).or_default();
        actions.entry(&deed.action).or_default().insert(&deed.resource);
    }
    let mut statements: BTreeMap<(BTreeSet<&str>, BTreeSet<String>), Vec<Fulfilled>> = BTreeMap::new();
    for (conditions, actions) in under {
        let mut together: BTreeMap<BTreeSet<String>, BTreeSet<&str>> = BTreeMap::new();
        for (action, resources) in actions {
            let spelled = if generalize {
                generalized(&resources)
            } else {
                resources.into_iter().map(literal_resource).collect()
            };
            together.entry(spelled).or_default().insert(action);
        }
        for (resources, actions) in together {
            let key = (actions, resources);
            statements.entry(key).or_default().push(conditions.clone());
        }
    }
    let mut written = Vec::new();
    for ((actions, resources), conditions) in statements {
        written.extend(
            joined(conditions)
                .iter()
                .map(|conditions| statement(&actions, &resources, conditions)),
        );
    }
    json!({"Version": "2012-10-17", "Statement": written})
}

/// Joins sets of conditions that differ in the values of one key alone: what
/// holds for one of them or for the other holds for both values of that key.
fn joined(mut sets: Vec<Fulfilled>) -> Vec<Fulfilled> {
    let keys: BTreeSet<(&'static str, String)> = sets.iter().flat_map(|set| set.keys().cloned()).collect();
    for key in keys.iter().filter(|(operator, _)| *operator == "StringEquals") {
        let mut kept = Vec::new();
        let mut by_rest: BTreeMap<Fulfilled, BTreeSet<String>> = BTreeMap::new();
        for mut set in sets {
            match set.remove(key) {
                Some(values) => by_rest.entry(set).or_default().extend(values),
                None => kept.push(set),
            }
        }
        for (mut set, values) in by_rest {
            set.insert(key.clone(), values);
            kept.push(set);
        }
        sets = kept;
    }
    sets
}

fn statement(actions: &BTreeSet<&str>, resources: &BTreeSet<String>, conditions: &Fulfilled) -> Json {
    let mut statement = json!({"Effect": "Allow", "Action": list(actions), "Resource": list(resources)});
    if !conditions.is_empty() {
        let mut block: BTreeMap<&str, Map<String, Json>> = BTreeMap::new();
        for ((operator, key), values) in conditions {
            let values: BTreeSet<String> = values.iter().map(|value| literal_value(value)).collect();
            block
                .entry(operator)
                .or_default()
                .insert(key.clone(), list(&values));
        }
        statement["Condition"] = json!(block);
    }
    statement
}

/// One text, or a list of them.
fn list<T: serde::Serialize + Ord>(texts: &BTreeSet<T>) -> Json {
    match texts.first() {
        Some(only) if texts.len() == 1 => json!(only),
        _ => json!(texts),
    }
}

/// Resources that share everything but their last part as one pattern.
fn generalized(resources: &BTreeSet<&str>) -> BTreeSet<String> {
    let mut shared: BTreeMap<&str, usize> = BTreeMap::new();
    for beginning in resources.iter().filter_map(|resource| beginning(resource)) {
        *shared.entry(beginning).or_default() += 1;
    }
    let spell = |resource: &&str| match beginning(resource) {
        Some(beginning) if shared[beginning] > 1 => format!("{}*", literal_resource(beginning)),
        _ => literal_resource(resource),
    };
    resources.iter().map(spell).collect()
}

/// `arn:aws:kms:eu-west-1:111122223333:key/`: all but the last part, where a
/// resource has a kind before it.
fn beginning(resource: &str) -> Option<&str> {
    let at = resource.match_indices(':').nth(4)?.0 + 1;
    let end = resource[at..].find(['/', ':'])?;
    Some(&resource[..=at + end])
}

/// A resource that stands for itself. Wildcards and variables can be escaped
/// behind the fifth colon, and before it no real ARN has any.
fn literal_resource(resource: &str) -> String {
    if resource == "*" {
        return resource.to_owned();
    }
    let mut spelled = String::with_capacity(resource.len());
    for letter in resource.chars() {
        match letter {
            '*' => spelled.push_str("${*}"),
            '?' => spelled.push_str("${?}"),
            '$' => spelled.push_str("${$}"),
            other => spelled.push(other),
        }
    }
    spelled
}

/// A value that stands for itself: without wildcards in this operator, but variables begin with a dollar.
fn literal_value(value: &str) -> String {
    value.replace('$', "${$}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{Attached, Context, Document, DocumentKind, Holder, Policies, Principal, Request, decide};

    const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/";

    fn deed(action: &str, resource: &str, conditions: &[(&str, &str)]) -> Deed {
        let conditions = conditions.iter().map(|(key, value)| {
            (
                ("StringEquals", (*key).to_owned()),
                BTreeSet::from([(*value).to_owned()]),
            )
        });
        Deed {
            action: action.to_owned(),
            resource: resource.to_owned(),
            conditions: conditions.collect(),
        }
    }

    fn allows(policy: &Json, deed: &Deed) -> bool {
        let document = Document::parse(&policy.to_string(), DocumentKind::Identity).unwrap();
        let account = ground::AccountId::parse("111122223333").unwrap();
        let bob = Principal::user(account, "AIDAQEAAAAAEXAMPLE234", "/", "bob");
        let attached = [Attached::inline(
            "least",
            Holder::User("bob".into()),
            Arc::new(document),
        )];
        let policies = Policies {
            identity: &attached,
            ..Policies::default()
        };
        let mut context = Context::new();
        for ((_, key), values) in &deed.conditions {
            context.insert(key.clone(), values.first().unwrap().clone());
        }
        decide(
            &Request::new(&bob, &deed.action, &deed.resource, None, &context),
            &policies,
        )
        .is_allow()
    }

    #[test]
    fn what_was_seen_alike_stands_together() {
        let (one, two) = (format!("{KEY}1"), format!("{KEY}2"));
        let deeds = [
            deed("kms:Encrypt", &one, &[("kms:EncryptionContext:team", "red")]),
            deed("kms:Decrypt", &one, &[("kms:EncryptionContext:team", "red")]),
            deed("kms:Encrypt", &one, &[("kms:EncryptionContext:team", "blue")]),
            deed("kms:Decrypt", &one, &[("kms:EncryptionContext:team", "blue")]),
            deed("kms:DescribeKey", &one, &[]),
            deed("kms:DescribeKey", &two, &[]),
            deed("kms:ListKeys", "*", &[]),
        ];
        let policy = least_policy(&deeds, false);
        assert_eq!(
            policy["Statement"],
            json!([
                {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:Encrypt"], "Resource": one,
                 "Condition": {"StringEquals": {"kms:EncryptionContext:team": ["blue", "red"]}}},
                {"Effect": "Allow", "Action": "kms:DescribeKey", "Resource": [one, two]},
                {"Effect": "Allow", "Action": "kms:ListKeys", "Resource": "*"},
            ])
        );
        let general = least_policy(&deeds, true);
        assert_eq!(general["Statement"][1]["Resource"], format!("{KEY}*"));
        assert!(!allows(
            &policy,
            &deed("kms:DescribeKey", &format!("{KEY}3"), &[])
        ));
        assert!(allows(
            &general,
            &deed("kms:DescribeKey", &format!("{KEY}3"), &[])
        ));
    }

    #[test]
    fn only_what_has_a_kind_and_company_is_generalized() {
        let (bucket, role) = ("arn:aws:s3:::bucket", "arn:aws:iam::111122223333:role/a/b");
        let policy = least_policy(
            &[deed("s3:ListBucket", bucket, &[]), deed("iam:GetRole", role, &[])],
            true,
        );
        assert_eq!(policy["Statement"][0]["Resource"], role);
        assert_eq!(policy["Statement"][1]["Resource"], bucket);
        assert_eq!(beginning("*"), None);
        assert_eq!(beginning(role), Some("arn:aws:iam::111122223333:role/"));
    }

    fn any_deed() -> impl Strategy<Value = Deed> {
        let action = prop::sample::select(vec!["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey"]);
        let condition = ("(a|b)", "[ab$*{}]{0,3}");
        let conditions = prop::collection::btree_map(condition.0, condition.1, 0..3);
        (action, "[12*?$]{1,2}", conditions).prop_map(|(action, name, conditions)| Deed {
            action: action.to_owned(),
            resource: format!("{KEY}{name}"),
            conditions: conditions
                .into_iter()
                .map(|(key, value)| {
                    (
                        ("StringEquals", format!("kms:EncryptionContext:{key}")),
                        BTreeSet::from([value]),
                    )
                })
                .collect(),
        })
    }

    proptest! {
        /// It allows what was seen, and of what was not only what asks for more than some deed did.
        #[test]
        fn it_allows_what_was_seen_and_no_more(
            deeds in prop::collection::btree_set(any_deed(), 1..12),
            others in prop::collection::vec(any_deed(), 0..12),
        ) {
            let policy = least_policy(&deeds, false);
            let general = least_policy(&deeds, true);
            for deed in &deeds {
                prop_assert!(allows(&policy, deed), "{policy} {deed:?}");
                prop_assert!(allows(&general, deed), "{general} {deed:?}");
            }
            for other in &others {
                let covered = deeds.iter().any(|deed| {
                    deed.action == other.action
                        && deed.resource == other.resource
                        && deed.conditions.iter().all(|(key, values)| other.conditions.get(key) == Some(values))
                });
                prop_assert_eq!(allows(&policy, other), covered, "{} {:?}", policy, other);
            }
        }
    }
}

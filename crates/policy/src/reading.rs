//! What a decision rests on beside who asks for what under which policies.
//!
//! Policies name the condition keys that they ask for, in conditions and in
//! variables. Whatever else a request says cannot change what they decide: two
//! requests that agree in these keys, and in all that is not in the context,
//! have one decision.

use crate::context::{Context, Key, Value};
use crate::limits::READING_KEYS_MAX;
use crate::request::{Attached, Policies};

/// What one request says of every condition key that its policies name.
#[derive(Debug)]
pub struct Reading(Box<[(Key, Option<Value<'static>>)]>);

impl Reading {
    /// Reads `context` for `policies`. `None` if they name more than
    /// [`READING_KEYS_MAX`] keys, or one whose value is a moment: no later
    /// request would agree.
    pub fn of(policies: &Policies<'_>, context: &Context<'static>) -> Option<Reading> {
        let mut read: Vec<(Key, Option<Value<'static>>)> = Vec::new();
        for policy in attached(policies) {
            for name in policy.document.context_keys() {
                let key = Key::new(name);
                if key.is_principals() || read.iter().any(|(known, _)| known.is_named(&key)) {
                    continue;
                }
                let said = context.look_up(&key).cloned();
                if read.len() == READING_KEYS_MAX || matches!(said, Some(Value::Date(_))) {
                    return None;
                }
                read.push((key, said));
            }
        }
        Some(Reading(read.into()))
    }

    /// Whether another request says the same of these keys.
    pub fn is_same_in(&self, context: &Context<'_>) -> bool {
        self.0
            .iter()
            .all(|(key, said)| context.look_up(key) == said.as_ref())
    }
}

/// Every policy that is weighed.
fn attached<'a>(policies: &Policies<'a>) -> impl Iterator<Item = &'a Attached> {
    let levels = [policies.service_control, policies.resource_control];
    let controls = levels.into_iter().flatten().flatten();
    policies
        .identity
        .iter()
        .chain(policies.boundary)
        .chain(policies.session.unwrap_or_default())
        .chain(policies.resource.map(|resource| resource.policy))
        .chain(policies.endpoint)
        .chain(controls.flat_map(|level| &level.policies))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ground::Timestamp;

    use super::*;
    use crate::{Document, DocumentKind, Holder};

    fn policy(condition: &str, resource: &str) -> Attached {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*","Resource":"{resource}","Condition":{condition}}}}}"#
        );
        let document = Document::parse(&text, DocumentKind::Identity).unwrap();
        Attached::inline("p", Holder::User("bob".into()), Arc::new(document))
    }

    fn read(policies: &[Attached], context: &Context<'static>) -> Option<Reading> {
        let policies = Policies {
            identity: policies,
            ..Policies::default()
        };
        Reading::of(&policies, context)
    }

    #[test]
    fn what_policies_name_counts_and_nothing_else() {
        let policies = [
            policy(
                r#"{"StringEquals":{"aws:RequestedRegion":"${x:home, 'h'}"}}"#,
                "*",
            ),
            policy(r#"{"Null":{"x:absent":"true"}}"#, "arn:aws:s3:::${x:bucket}"),
            policy(r#"{"StringEquals":{"aws:username":"bob"}}"#, "*"),
        ];
        let mut context = Context::new();
        context
            .insert("aws:requestedregion", "eu-west-1")
            .insert("x:bucket", "b")
            .insert("aws:currenttime", Timestamp(1));
        let reading = read(&policies, &context).unwrap();
        assert_eq!(reading.0.len(), 4);
        context
            .insert("x:other", "1")
            .insert("aws:currenttime", Timestamp(2));
        assert!(reading.is_same_in(&context));
        for (key, value) in [
            ("aws:requestedregion", "eu-west-2"),
            ("x:home", "h"),
            ("x:absent", ""),
            ("x:bucket", "c"),
        ] {
            let mut changed = context.clone();
            changed.insert(key, value);
            assert!(!reading.is_same_in(&changed), "{key}");
        }
    }

    #[test]
    fn the_time_is_never_the_same() {
        let policies = [policy(
            r#"{"DateLessThan":{"aws:CurrentTime":"2030-01-01T00:00:00Z"}}"#,
            "*",
        )];
        let mut context = Context::new();
        assert!(read(&policies, &context).is_some());
        context.insert("aws:currenttime", Timestamp(1));
        assert!(read(&policies, &context).is_none());
    }
}

//! Refusals in an envelope: what some services append to the words of a
//! refusal, for `sts:DecodeAuthorizationMessage` to open.
//!
//! The envelope tells what was asked, with the values of condition keys, and
//! the statement that denied. It is sealed under a key of the caller's account,
//! so nobody else opens it, in no other installation, and it cannot be made up.
//!
//! What is not told: what the policies of a foreign owner say, which is the
//! owner's business; and of what does not fit, the conditions that come last,
//! then the statement.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crypto::hierarchy::SEAL_OVERHEAD_BYTES;
use crypto::{DomainKey, Random};
use policy::{Context, Ground, Holder, Principal, Who};
use serde_json::{Value, json};

use crate::limits::ENCODED_MESSAGE_CHARACTERS_MAX;

/// What envelopes are sealed for, in the account and `us-east-1`.
pub(crate) const SEALED_FOR: &str = "gate/refusal";

/// Bytes of a message that fit into an envelope: base64 makes four characters of three.
const MESSAGE_BYTES_MAX: usize = ENCODED_MESSAGE_CHARACTERS_MAX / 4 * 3 - SEAL_OVERHEAD_BYTES;

/// Keys that are ours and no business of policies.
const OWN_KEYS: &str = "palisade:";

/// A refused question.
pub(crate) struct Refused<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) action: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) keys: &'a Context<'a>,
    /// The statement that denied, if one did and the caller's account may know.
    pub(crate) ground: Option<Ground<'a>>,
}

fn items(values: impl IntoIterator<Item = Value>) -> Value {
    json!({"items": values.into_iter().collect::<Vec<_>>()})
}

fn texts<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> Value {
    items(values.into_iter().map(|text| json!({"value": text.as_ref()})))
}

impl Refused<'_> {
    /// The message (STS API Reference, DecodeAuthorizationMessage; IAM User
    /// Guide, its example).
    pub(crate) fn message(&self) -> String {
        let mut conditions = self.conditions();
        let mut statement = self.ground.as_ref().map(|ground| self.statement(ground));
        loop {
            let told = json!({
                "allowed": false,
                "explicitDeny": self.ground.is_some(),
                "matchedStatements": items(statement.clone()),
                "failures": items([]),
                "context": {
                    "principal": self.principal(),
                    "action": self.action,
                    "resource": self.resource,
                    "conditions": items(conditions.clone()),
                },
            })
            .to_string();
            let fits = told.len() <= MESSAGE_BYTES_MAX;
            if fits || (conditions.pop().is_none() && statement.take().is_none()) {
                return told;
            }
        }
    }

    fn principal(&self) -> Value {
        let mut told = json!({"id": self.principal.user_id(), "arn": self.principal.arn()});
        if let Who::User { name, .. } = self.principal.who() {
            told["name"] = json!(name);
        }
        told
    }

    /// What is known of the request, then of its author.
    fn conditions(&self) -> Vec<Value> {
        let known = self.keys.iter().chain(self.principal.keys().iter());
        known
            .filter(|(key, _)| !key.starts_with(OWN_KEYS))
            .map(|(key, value)| json!({"key": key, "values": texts(value.texts())}))
            .collect()
    }

    /// The statement that denied, with whom its policy is about.
    fn statement(&self, ground: &Ground<'_>) -> Value {
        let statement = ground.statement;
        // The unique id of a session begins with that of its role.
        let id = self.principal.user_id();
        let id = id.split_once(':').map_or(id, |(role, _)| role);
        let (_, named) = statement.principals();
        let (principals, groups) = match &ground.policy.holder {
            _ if !named.is_empty() => (texts(named), texts::<&str>([])),
            Holder::Group(name) => (texts::<&str>([]), texts([name])),
            Holder::User(_) | Holder::Role(_) | Holder::Session => (texts([id]), texts::<&str>([])),
            Holder::Resource | Holder::Target(_) => (texts::<&str>([]), texts::<&str>([])),
        };
        let conditions = statement.conditions();
        let mut told = json!({
            "statementId": statement.sid().unwrap_or_default(),
            "effect": "DENY",
            "principals": principals,
            "principalGroups": groups,
            "conditions": items(conditions.map(|(_, key, values)| json!({"key": key, "values": texts(values)}))),
        });
        for (name, (negated, patterns)) in [
            ("actions", statement.actions()),
            ("resources", statement.resources()),
        ] {
            let name = match (name, negated) {
                ("actions", true) => "notActions",
                ("resources", true) => "notResources",
                (name, _) => name,
            };
            told[name] = texts(patterns);
        }
        told
    }
}

/// Puts a message into an envelope.
///
/// # Errors
///
/// [`crypto::Error`] if sealing fails.
pub(crate) fn seal(domain: &DomainKey, random: &Random, message: &str) -> Result<String, crypto::Error> {
    let sealed = domain.seal(&[], message.as_bytes(), random)?;
    Ok(URL_SAFE_NO_PAD.encode(sealed))
}

/// The message in an envelope; `None` if it was not sealed under this key, or was altered.
pub(crate) fn open(domain: &DomainKey, encoded: &str) -> Option<String> {
    if encoded.len() > ENCODED_MESSAGE_CHARACTERS_MAX {
        return None;
    }
    let sealed = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    let opened = domain.open(&[], &sealed).ok()?;
    String::from_utf8(opened.expose().clone()).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crypto::RootKey;
    use ground::{AccountId, Region};
    use policy::{Attached, Document, DocumentKind};

    use super::*;

    fn account() -> AccountId {
        AccountId::parse("123456789012").unwrap()
    }

    fn domain(seed: u64, account: AccountId) -> DomainKey {
        RootKey::generate(&Random::seeded(seed)).domain(account, &Region::us_east_1(), SEALED_FOR)
    }

    fn refused<'a>(
        principal: &'a Principal,
        keys: &'a Context<'a>,
        ground: Option<Ground<'a>>,
    ) -> Refused<'a> {
        Refused {
            principal,
            action: "ec2:RunInstances",
            resource: "arn:aws:ec2:us-east-1:123456789012:instance/*",
            keys,
            ground,
        }
    }

    fn denying() -> Attached {
        let text = r#"{"Version":"2012-10-17","Statement":{"Sid":"VisualEditor0","Effect":"Deny",
            "Action":"ec2:RunInstances","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":["us-east-1"]}}}}"#;
        let document = Document::parse(text, DocumentKind::Identity).unwrap();
        Attached::inline("deny", Holder::Role("Developer".into()), Arc::new(document))
    }

    /// The example of the IAM User Guide, "Use DecodeAuthorizationMessage with a CLI", as far as it goes.
    #[test]
    fn a_message_has_the_published_shape() {
        let policy = denying();
        let ground = Ground {
            policy: &policy,
            statement: &policy.document.statements()[0],
            naming: None,
        };
        let ana = Principal::assumed_role(account(), "AROA123456789EXAMPLE", "/", "Developer", "Ana");
        let mut keys = Context::new();
        keys.insert("ec2:MetadataHttpPutResponseHopLimit", "2");
        let told: Value = serde_json::from_str(&refused(&ana, &keys, Some(ground)).message()).unwrap();
        let expected = json!({
            "allowed": false, "explicitDeny": true,
            "matchedStatements": {"items": [{
                "statementId": "VisualEditor0", "effect": "DENY",
                "principals": {"items": [{"value": "AROA123456789EXAMPLE"}]}, "principalGroups": {"items": []},
                "actions": {"items": [{"value": "ec2:RunInstances"}]}, "resources": {"items": [{"value": "*"}]},
                "conditions": {"items": [{"key": "aws:RequestedRegion", "values": {"items": [{"value": "us-east-1"}]}}]},
            }]},
            "failures": {"items": []},
            "context": {
                "principal": {"id": "AROA123456789EXAMPLE:Ana",
                    "arn": "arn:aws:sts::123456789012:assumed-role/Developer/Ana"},
                "action": "ec2:RunInstances", "resource": "arn:aws:ec2:us-east-1:123456789012:instance/*",
                "conditions": {"items": [
                    {"key": "ec2:metadatahttpputresponsehoplimit", "values": {"items": [{"value": "2"}]}}]},
            },
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn without_a_statement_nothing_denied_explicitly() {
        let bob = Principal::user(account(), "AIDAEXAMPLE", "/", "bob");
        let keys = Context::new();
        let told: Value = serde_json::from_str(&refused(&bob, &keys, None).message()).unwrap();
        assert_eq!(told["explicitDeny"], false);
        assert_eq!(told["matchedStatements"], json!({"items": []}));
        assert_eq!(told["context"]["principal"]["name"], "bob");
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_the_rest_stays_whole() {
        let policy = denying();
        let ground = Ground {
            policy: &policy,
            statement: &policy.document.statements()[0],
            naming: None,
        };
        let bob = Principal::user(account(), "AIDAEXAMPLE", "/", "bob");
        let mut keys = Context::new();
        for at in 0..60 {
            keys.insert(format!("aws:RequestTag/tag{at}"), "v".repeat(256));
        }
        let told = refused(&bob, &keys, Some(ground)).message();
        assert!(told.len() <= MESSAGE_BYTES_MAX);
        let domain = domain(1, account());
        let encoded = seal(&domain, &Random::seeded(2), &told).unwrap();
        assert!(encoded.len() <= ENCODED_MESSAGE_CHARACTERS_MAX);
        assert_eq!(open(&domain, &encoded).unwrap(), told);
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["matchedStatements"]["items"].as_array().unwrap().len(), 1);
        let conditions = told["context"]["conditions"]["items"].as_array().unwrap();
        assert!((10..60).contains(&conditions.len()), "{}", conditions.len());
        assert_eq!(conditions[0]["key"], "aws:requesttag/tag0");
    }

    #[test]
    fn envelopes_open_for_their_account_and_root_key_alone() {
        let own = domain(1, account());
        let encoded = seal(&own, &Random::seeded(2), "{}").unwrap();
        assert_eq!(open(&own, &encoded).as_deref(), Some("{}"));
        let neighbour = domain(1, AccountId::parse("123456789013").unwrap());
        assert_eq!(open(&neighbour, &encoded), None);
        assert_eq!(open(&domain(9, account()), &encoded), None);
        for at in 0..encoded.len() {
            let mut letters = encoded.clone().into_bytes();
            letters[at] = if letters[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(open(&own, std::str::from_utf8(&letters).unwrap()), None, "{at}");
            assert_eq!(open(&own, &encoded[..at]), None, "{at}");
        }
        assert_eq!(open(&own, &"A".repeat(ENCODED_MESSAGE_CHARACTERS_MAX + 1)), None);
        assert_eq!(open(&own, "no base64!"), None);
    }
}

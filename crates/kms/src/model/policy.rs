//! Key policies.
//!
//! The text is kept byte for byte, since clients compare what they get back.
//! Users and roles it names are bound to their unique ids when it is written,
//! so that a deleted and recreated namesake inherits nothing. Reading it back
//! shows today's ARN of each, and the bare id of those that are gone.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use ground::AccountId;
use policy::{Attached, Document, DocumentKind, Holder, Malformed};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::limits::POLICY_BYTES_MAX;
use crate::model::compiled_policy::{self, Source};

/// The one name a key policy has.
pub const POLICY_NAME: &str = "default";

/// A policy that was read but whose principals were not looked up.
#[derive(Debug)]
pub struct UnboundPolicy {
    text: String,
    document: Document,
}

/// The policy of a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyPolicy {
    /// `None` for that of a key that is created without one, which follows from the
    /// key's account. Rows of keys leave such a policy out as a whole.
    #[serde(deserialize_with = "spelled")]
    text: Option<Box<str>>,
    /// From the ARNs of users and roles to their unique ids; an id that the
    /// text gives itself stands for itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    bound: BTreeMap<String, String>,
    /// Compiled at its first use, or another key's that says the same, and kept as
    /// long as the cached row.
    #[serde(skip)]
    compiled: OnceLock<Arc<Attached>>,
}

impl UnboundPolicy {
    /// Reads a policy that is to be a key's. One that is written already may have
    /// statements without `Action` or `Resource`, which do nothing; a new one may not.
    ///
    /// # Errors
    ///
    /// [`Error::PolicyTooLong`] beyond [`POLICY_BYTES_MAX`];
    /// [`Error::MalformedPolicy`] if it is no key policy, or a statement does not say
    /// what it is about.
    ///
    /// Source: KMS Developer Guide, "Elements in a key policy", and AWS's notice that
    /// such policies are refused since 18 August 2025 (`docs/divergences.md`).
    pub fn parse(text: String) -> Result<UnboundPolicy, Error> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(Error::PolicyTooLong { bytes: text.len() });
        }
        let document = Document::parse(&text, DocumentKind::KmsKey)?;
        document.check_whole()?;
        Ok(UnboundPolicy { text, document })
    }

    /// The ARNs of the users and roles it names.
    pub fn entities(&self) -> Vec<&str> {
        self.document.entities()
    }

    /// The bare unique ids it names.
    pub fn unique_ids(&self) -> Vec<&str> {
        self.document.unique_ids()
    }

    /// The accounts it names, by id or root ARN.
    pub fn accounts(&self) -> Vec<AccountId> {
        let accounts = self.document.principals().filter_map(|text| {
            let id = text
                .strip_prefix("arn:aws:iam::")
                .and_then(|rest| rest.strip_suffix(":root"));
            AccountId::parse(id.unwrap_or(text)).ok()
        });
        accounts.collect()
    }

    /// Binds it, as that of a key of `account`, to the unique ids of the users and
    /// roles it names by ARN or id.
    ///
    /// # Errors
    ///
    /// [`Error::MalformedPolicy`] or [`Error::UnknownPrincipal`] if one is not
    /// in `ids`.
    pub fn bind(mut self, ids: BTreeMap<String, String>, account: AccountId) -> Result<KeyPolicy, Error> {
        if self.unique_ids().iter().any(|id| !ids.contains_key(*id)) {
            return Err(Error::UnknownPrincipal);
        }
        self.document.bind(|arn| ids.get(arn).cloned())?;
        if ids.is_empty() && self.text == KeyPolicy::default_text(account) {
            return Ok(KeyPolicy::delegating());
        }
        let compiled = OnceLock::from(attached(self.document));
        Ok(KeyPolicy {
            text: Some(self.text.into()),
            bound: ids,
            compiled,
        })
    }
}

impl KeyPolicy {
    /// The policy of a key that is created without one: the account decides
    /// by its own identity policies.
    ///
    /// Source: KMS Developer Guide, "Default key policy when you create a KMS
    /// key programmatically".
    pub fn delegating() -> KeyPolicy {
        KeyPolicy {
            text: None,
            bound: BTreeMap::new(),
            compiled: OnceLock::new(),
        }
    }

    /// Whether it is [`KeyPolicy::delegating`].
    pub(super) fn is_delegating(&self) -> bool {
        self.text.is_none()
    }

    /// How [`KeyPolicy::delegating`] reads for the keys of `account`.
    pub(crate) fn default_text(account: AccountId) -> String {
        format!(
            r#"{{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {{
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "arn:aws:iam::{account}:root"
    }},
    "Action" : "kms:*",
    "Resource" : "*"
  }} ]
}}"#
        )
    }

    /// A policy that AWS wrote: of users and roles it names none.
    pub(crate) fn fixed(text: String) -> KeyPolicy {
        KeyPolicy {
            text: Some(text.into()),
            bound: BTreeMap::new(),
            compiled: OnceLock::new(),
        }
    }

    /// A policy that allows nobody anything, for what no policy can allow: its
    /// one statement has no resource and is inert.
    pub fn silent() -> KeyPolicy {
        KeyPolicy::fixed(
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*"}}"#
                .to_owned(),
        )
    }

    /// Every user or role as the text names it, with the unique id it is bound to.
    pub fn bound(&self) -> &BTreeMap<String, String> {
        &self.bound
    }

    /// The text as it was given, of a key of `account`, but for principals that
    /// `renamed` has another name for.
    pub fn text_with(&self, account: AccountId, renamed: &BTreeMap<String, String>) -> String {
        let Some(text) = &self.text else {
            return KeyPolicy::default_text(account);
        };
        if renamed.is_empty() {
            String::from(&**text)
        } else {
            policy::replace_principals(text, renamed)
        }
    }

    /// The policy of a key of `account`, ready to be weighed.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if what was accepted when written is no longer.
    pub fn attached(&self, account: AccountId) -> Result<Arc<Attached>, Malformed> {
        if let Some(compiled) = self.compiled.get() {
            return Ok(Arc::clone(compiled));
        }
        let compiled = match &self.text {
            None => compiled_policy::shared(&Source::Default(account), || {
                let text = KeyPolicy::default_text(account);
                Ok(attached(Document::parse(&text, DocumentKind::KmsKey)?))
            }),
            Some(text) => compiled_policy::shared(&Source::Text(text, &self.bound), || {
                let mut document = Document::parse(text, DocumentKind::KmsKey)?;
                document.bind(|arn| self.bound.get(arn).cloned())?;
                Ok(attached(document))
            }),
        }?;
        Ok(Arc::clone(self.compiled.get_or_init(|| compiled)))
    }
}

/// A policy that is there has a text: what is left out as a whole is another thing.
fn spelled<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Box<str>>, D::Error> {
    Box::deserialize(deserializer).map(Some)
}

fn attached(document: Document) -> Arc<Attached> {
    Arc::new(Attached::inline(
        "the key policy",
        Holder::Resource,
        Arc::new(document),
    ))
}

#[cfg(test)]
mod tests {
    use policy::{Context, Policies, Principal, Request, ResourcePolicy, ResourcePolicyKind, decide};

    use super::*;

    const ARN: &str = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const BOB: &str = "arn:aws:iam::123456789012:user/bob";

    fn account() -> AccountId {
        AccountId::parse("123456789012").unwrap()
    }

    fn naming(principal: &str) -> String {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},
            "Action":"kms:*","Resource":"*"}}]}}"#
        )
    }

    fn allows(policy: &KeyPolicy, caller: &Principal) -> bool {
        let attached = policy.attached(account()).unwrap();
        let context = Context::new();
        let request = Request::new(caller, "kms:Encrypt", ARN, Some(account()), &context);
        let resource = ResourcePolicy {
            policy: &attached,
            kind: ResourcePolicyKind::KmsKey,
        };
        decide(
            &request,
            &Policies {
                resource: Some(resource),
                ..Policies::default()
            },
        )
        .is_allow()
    }

    #[test]
    fn the_default_policy_is_the_published_one_and_delegates() {
        let policy = KeyPolicy::delegating();
        assert!(
            policy
                .text_with(account(), &BTreeMap::new())
                .starts_with("{\n  \"Version\" : \"2012-10-17\",\n  \"Id\" : \"key-default-1\"")
        );
        assert!(allows(&policy, &Principal::root(account())));
        assert!(!allows(
            &policy,
            &Principal::user(account(), "AIDAQEAAAAAEXAMPLE234", "/", "bob")
        ));
    }

    #[test]
    fn the_silent_policy_lets_nobody_in() {
        let policy = KeyPolicy::silent();
        assert!(!allows(&policy, &Principal::root(account())));
        assert!(!allows(
            &policy,
            &Principal::user(account(), "AIDAQEAAAAAEXAMPLE234", "/", "bob")
        ));
    }

    #[test]
    fn a_namesake_inherits_nothing_even_after_a_restart() {
        let ids = BTreeMap::from([(BOB.to_owned(), "AIDAQEAAAAAEXAMPLE234".to_owned())]);
        let policy = UnboundPolicy::parse(naming(BOB))
            .unwrap()
            .bind(ids, account())
            .unwrap();
        let reread: KeyPolicy = serde_json::from_str(&serde_json::to_string(&policy).unwrap()).unwrap();
        for policy in [policy, reread] {
            assert!(allows(
                &policy,
                &Principal::user(account(), "AIDAQEAAAAAEXAMPLE234", "/", "bob")
            ));
            assert!(!allows(
                &policy,
                &Principal::user(account(), "AIDAQEAAAAAEXAMPLE999", "/", "bob")
            ));
        }
    }

    /// Keys that say the same share it; the same text about another user does not, nor
    /// what follows from another account.
    #[test]
    fn what_is_shared_was_made_from_the_same() {
        let read = |policy: &KeyPolicy| -> KeyPolicy {
            serde_json::from_str(&serde_json::to_string(policy).unwrap()).unwrap()
        };
        let attached = |policy: KeyPolicy| policy.attached(account()).unwrap();
        let default = || attached(KeyPolicy::delegating());
        assert!(Arc::ptr_eq(&default(), &default()));
        let spelled = || attached(read(&KeyPolicy::fixed(KeyPolicy::default_text(account()))));
        assert!(Arc::ptr_eq(&spelled(), &spelled()));
        let other = AccountId::parse("999999999999").unwrap();
        let others = KeyPolicy::delegating().attached(other).unwrap();
        assert!(!Arc::ptr_eq(&default(), &others));
        let bob = |id: &str| {
            let ids = BTreeMap::from([(BOB.to_owned(), id.to_owned())]);
            read(
                &UnboundPolicy::parse(naming(BOB))
                    .unwrap()
                    .bind(ids, account())
                    .unwrap(),
            )
        };
        let (first, second) = ("AIDAQEAAAAAEXAMPLE234", "AIDAQEAAAAAEXAMPLE999");
        for (id, other) in [(first, second), (second, first)] {
            let policy = bob(id);
            assert!(allows(&policy, &Principal::user(account(), id, "/", "bob")));
            assert!(!allows(&policy, &Principal::user(account(), other, "/", "bob")));
        }
    }

    /// What follows from the account is not written; every other policy has a text,
    /// and what has none is not taken for it.
    #[test]
    fn only_the_default_of_the_own_account_is_left_out() {
        let given = |text: String| {
            UnboundPolicy::parse(text)
                .unwrap()
                .bind(BTreeMap::new(), account())
        };
        let text = KeyPolicy::default_text(account());
        let default = given(text.clone()).unwrap();
        assert!(default.is_delegating());
        assert_eq!(default.text_with(account(), &BTreeMap::new()), text);
        let other = KeyPolicy::default_text(AccountId::parse("999999999999").unwrap());
        for text in [format!("{text} "), other, naming("*")] {
            let policy = given(text.clone()).unwrap();
            assert!(!policy.is_delegating());
            let reread: KeyPolicy = serde_json::from_str(&serde_json::to_string(&policy).unwrap()).unwrap();
            assert_eq!(reread.text_with(account(), &BTreeMap::new()), text);
        }
        for json in ["{}", r#"{"text":null}"#, r#"{"bound":{}}"#, "null"] {
            assert!(serde_json::from_str::<KeyPolicy>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn principals_must_be_known() {
        let unbound = UnboundPolicy::parse(naming(BOB)).unwrap();
        assert_eq!(unbound.entities(), [BOB]);
        let refused = unbound.bind(BTreeMap::new(), account()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "Policy contains a statement with one or more invalid principals."
        );
        for text in ["123456789012", "arn:aws:iam::123456789012:root"] {
            assert_eq!(
                UnboundPolicy::parse(naming(text)).unwrap().accounts(),
                [account()]
            );
        }
        assert!(UnboundPolicy::parse(naming("*")).unwrap().accounts().is_empty());
    }

    #[test]
    fn unique_ids_must_be_known_too() {
        const ID: &str = "AIDAQEAAAAAEXAMPLE234";
        let unbound = || UnboundPolicy::parse(naming(ID)).unwrap();
        assert_eq!(unbound().unique_ids(), [ID]);
        assert!(matches!(
            unbound().bind(BTreeMap::new(), account()),
            Err(Error::UnknownPrincipal)
        ));
        let ids = BTreeMap::from([(ID.to_owned(), ID.to_owned())]);
        let policy = unbound().bind(ids, account()).unwrap();
        assert!(allows(&policy, &Principal::user(account(), ID, "/", "bob")));
        assert!(!allows(
            &policy,
            &Principal::user(account(), "AIDAQEAAAAAEXAMPLE999", "/", "bob")
        ));
    }

    /// Only principals are renamed; who is not keeps the text byte for byte.
    #[test]
    fn the_text_shows_who_they_are_today() {
        let ids = BTreeMap::from([(BOB.to_owned(), "AIDAQEAAAAAEXAMPLE234".to_owned())]);
        let policy = UnboundPolicy::parse(naming(BOB))
            .unwrap()
            .bind(ids.clone(), account())
            .unwrap();
        assert_eq!(policy.bound(), &ids);
        assert_eq!(policy.text_with(account(), &BTreeMap::new()), naming(BOB));
        assert_eq!(policy.text_with(account(), &ids), naming("AIDAQEAAAAAEXAMPLE234"));
    }

    /// What was accepted before is read as ever, and does nothing.
    #[test]
    fn a_statement_must_say_what_it_is_about_unless_it_was_written_before() {
        let delegating = KeyPolicy::default_text(account());
        assert!(UnboundPolicy::parse(delegating).is_ok());
        for elements in [
            r#""Resource":"*""#,
            r#""Action":"kms:*""#,
            r#""NotAction":"kms:CreateGrant""#,
        ] {
            let text = format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":"*",{elements}}}]}}"#
            );
            assert!(matches!(
                UnboundPolicy::parse(text.clone()),
                Err(Error::MalformedPolicy(_))
            ));
            assert!(!allows(&KeyPolicy::fixed(text), &Principal::root(account())));
        }
    }

    #[test]
    fn a_policy_of_32_kib_is_read_and_a_longer_one_is_not() {
        let text = naming("*");
        let padded = |bytes: usize| format!("{text}{}", " ".repeat(bytes - text.len()));
        assert!(UnboundPolicy::parse(padded(POLICY_BYTES_MAX)).is_ok());
        let refused = UnboundPolicy::parse(padded(POLICY_BYTES_MAX + 1));
        assert!(matches!(refused, Err(Error::PolicyTooLong { .. })));
        assert!(matches!(
            UnboundPolicy::parse("{".to_owned()),
            Err(Error::MalformedPolicy(_))
        ));
    }
}

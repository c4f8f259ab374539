//! Asking for permission: which ARN, whose policy, which condition keys.
//!
//! Source of the condition keys and of the operations each belongs to: KMS
//! Developer Guide, "AWS KMS condition keys". A key that a request does not
//! have is left out, never given an empty value.
//!
//! Absent for now: grants. Their place is [`Ask::permit`], by
//! [`gate::Access::with_grants`].

use std::sync::Arc;

use gate::{Access, AuthorizeError, Cx, Describing, Fault, Permit};
use ground::{AccountId, Arn};
use kms_api::{EncryptionAlgorithmSpec, MacAlgorithmSpec, MessageType, SigningAlgorithmSpec};
use policy::{Attached, Context, ResourcePolicyKind, Value};

use crate::error::Error;
use crate::model::{AliasName, EncryptionContext, Key, Purpose, Tags};
use crate::store;

/// The type under which the record lists a key.
pub(crate) const KEY_TYPE: &str = "AWS::KMS::Key";

/// The type under which the record lists an alias.
const ALIAS_TYPE: &str = "AWS::KMS::Alias";

/// The origin of every key there is so far.
pub const ORIGIN: &str = "AWS_KMS";

/// A key that a request names, before anyone asked whether it may.
pub struct Sought {
    /// Of the key; of the alias if a foreign alias names nothing.
    pub arn: Arc<str>,
    /// Who owns it, or would.
    pub owner: AccountId,
    /// The key and its policy; a key of another account may not exist, which
    /// its caller must not learn.
    pub found: Option<(Arc<Key>, Arc<Attached>)>,
    /// How the request names it.
    pub named: Named,
}

/// How a request names a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// By an alias or its ARN.
    Alias(AliasName),
    /// By the ciphertext that it is to open.
    Ciphertext,
    /// By id or ARN.
    Key,
}

/// A request for permission to do something to a key.
pub struct Ask<'a> {
    access: Access<()>,
    action: Option<&'static str>,
    cx: &'a Cx,
    sought: Sought,
}

/// Asks for permission to do the operation's own action to a key.
pub fn key(cx: &Cx, sought: Sought) -> Ask<'_> {
    let foreign = sought.owner != cx.account();
    let mut access = Access::to((), Arc::clone(&sought.arn));
    if let Some((key, policy)) = &sought.found {
        access = access
            .with_facts(facts(key))
            .with_policy(Arc::clone(policy), ResourcePolicyKind::KmsKey);
    }
    access = access
        .owned_by(sought.owner)
        .key("kms:calleraccount", Some(cx.account()))
        .key("kms:viaservice", cx.via_service());
    if foreign {
        access = access.hiding_existence();
    } else {
        // A foreign key is listed once permission is given: the record of a
        // refused caller must not tell which key is behind an alias.
        access = access.recorded_as(KEY_TYPE);
    }
    if let Named::Alias(alias) = &sought.named {
        access = access.key("kms:requestalias", Some(alias.to_string()));
    }
    Ask {
        access,
        action: None,
        cx,
        sought,
    }
}

impl Ask<'_> {
    /// For another action than the operation's name: `kms:ReEncryptFrom`.
    #[must_use]
    pub fn doing(self, action: &'static str) -> Self {
        Ask {
            access: self.access.doing(action),
            action: Some(action),
            ..self
        }
    }

    /// To encrypt or decrypt.
    #[must_use]
    pub fn encryption(self, algorithm: EncryptionAlgorithmSpec, context: &EncryptionContext) -> Self {
        let mut access = self
            .access
            .key("kms:encryptionalgorithm", Some(algorithm.as_str()));
        if !context.is_empty() {
            let names: Value<'static> = context.pairs().map(|(name, _)| name.to_owned()).collect();
            access = access.key("kms:encryptioncontextkeys", Some(names));
            for (name, value) in context.pairs() {
                access = access.key(format!("kms:encryptioncontext:{name}"), Some(value.to_owned()));
            }
        }
        Ask { access, ..self }
    }

    /// To sign or verify.
    #[must_use]
    pub fn signing(self, algorithm: SigningAlgorithmSpec, message_type: MessageType) -> Self {
        let access = self
            .access
            .key("kms:signingalgorithm", Some(algorithm.as_str()))
            .key("kms:messagetype", Some(message_type.as_str()));
        Ask { access, ..self }
    }

    /// To make or verify a message authentication code.
    #[must_use]
    pub fn mac(self, algorithm: MacAlgorithmSpec) -> Self {
        self.with("kms:macalgorithm", Some(algorithm.as_str()))
    }

    /// To set tags.
    #[must_use]
    pub fn tagging(self, tags: &Tags) -> Self {
        Ask {
            access: requesting(self.access, tags),
            ..self
        }
    }

    /// To remove tags.
    #[must_use]
    pub fn untagging(self, keys: &[String]) -> Self {
        let keys = (!keys.is_empty()).then(|| keys.iter().cloned().collect::<Value<'static>>());
        self.with("aws:tagkeys", keys)
    }

    /// With one more condition key, if it has a value.
    #[must_use]
    pub fn with(self, name: &'static str, value: Option<impl Into<Value<'static>>>) -> Self {
        Ask {
            access: self.access.key(name, value),
            ..self
        }
    }

    /// Asks.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; for a foreign key that the caller knows by a
    /// ciphertext or an alias alone [`Error::CiphertextKeyHidden`] and
    /// [`Error::AliasHidden`], which do not tell whether there is such a key
    /// or which it is.
    pub async fn permit(self) -> Result<Permit<Arc<Key>>, Error> {
        let Ask {
            access,
            action,
            cx,
            sought,
        } = self;
        let foreign = sought.owner != cx.account();
        let permit = match cx.authorize(access).await {
            Ok(permit) => permit,
            Err(AuthorizeError::Denied(_)) if foreign && sought.named != Named::Key => {
                return Err(hidden(cx, action, &sought));
            }
            Err(error) => return Err(error.into()),
        };
        // Nobody is let in to a foreign key without a policy that says so.
        let Some((key, _)) = sought.found else {
            return Err(Error::KeyNotFound(sought.arn.to_string()));
        };
        if foreign {
            cx.touched(KEY_TYPE, Arc::clone(key.shared_arn()), key.account);
        }
        Ok(permit.map(|()| key))
    }
}

/// A refusal that tells no more than the caller said itself.
fn hidden(cx: &Cx, action: Option<&str>, sought: &Sought) -> Error {
    match &sought.named {
        Named::Ciphertext => Error::CiphertextKeyHidden,
        Named::Key => Error::KeyNotFound(sought.arn.to_string()),
        Named::Alias(alias) => Error::AliasHidden {
            caller: cx.caller().principal.arn().to_owned(),
            action: action.map_or_else(|| format!("kms:{}", cx.operation().name), str::to_owned),
            alias: alias.arn(sought.owner, cx.region()),
        },
    }
}

/// Asks for permission over what has no ARN: to list, to make random bytes.
pub fn account<T>(resource: T) -> Access<T> {
    Access::to(resource, "*")
}

/// Asks for permission to create, move or delete an alias. Aliases have no
/// policy: identity policies decide.
pub fn alias(cx: &Cx, name: &AliasName) -> Access<AliasName> {
    Access::to(name.clone(), name.arn(cx.account(), cx.region())).recorded_as(ALIAS_TYPE)
}

/// Asks for permission to create a key. It has no ARN yet: identity policies decide.
pub fn new_key(purpose: Purpose, tags: &Tags, bypass: Option<bool>) -> Access<()> {
    let access = account(())
        .with_facts(of_purpose(purpose).into())
        .key("kms:bypasspolicylockoutsafetycheck", bypass);
    requesting(access, tags)
}

/// Asks for permission to tag a key while it is created. Its policy does not
/// count yet, and it has no tags yet that a condition could see.
pub fn new_tags(key: &Key) -> Access<()> {
    let access = Access::to((), Arc::clone(key.shared_arn()))
        .with_facts(of_purpose(key.purpose).into())
        .doing("kms:TagResource");
    requesting(access, &key.tags)
}

/// Asks whether the caller could replace the policy of `key` if it were `policy`.
pub fn later_policy(cx: &Cx, key: &Key, policy: Arc<Attached>) -> Access<()> {
    Access::to((), Arc::clone(key.shared_arn()))
        .with_facts(facts(key))
        .owned_by(key.account)
        .doing("kms:PutKeyPolicy")
        .key("kms:calleraccount", Some(cx.account()))
        .with_policy(policy, ResourcePolicyKind::KmsKey)
}

/// Lists a key that was created under the permission to create keys.
pub fn created(cx: &Cx, key: &Key) {
    cx.touched(KEY_TYPE, key.arn(), key.account);
}

/// What is known of a key before anybody asks for it, for [`gate::Describe`].
/// An alias has no policy, and the calls that use one ask for its key.
pub(crate) fn described<'a>(cx: &'a Cx, action: &'a str, arn: &'a Arn) -> Describing<'a> {
    const OF_ALIASES: [&str; 3] = ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"];
    Box::pin(async move {
        if arn.service != "kms" {
            return Ok(None);
        }
        if arn.resource.starts_with("alias/") && OF_ALIASES.contains(&action) {
            return Ok(Some(Access::to((), arn.to_string())));
        }
        let sought = store::shared_key(cx, &arn.to_string())
            .await
            .map_err(|error| Fault::from(&error))?;
        Ok(Some(key(cx, sought).access))
    })
}

/// What holds for an existing key.
fn facts(key: &Key) -> Arc<Context<'static>> {
    let facts = key.derived.facts.get_or_init(|| {
        let mut facts = of_purpose(key.purpose);
        if !key.aliases.is_empty() {
            let aliases: Value<'static> = key.aliases.iter().map(ToString::to_string).collect();
            facts.insert("kms:resourcealiases", aliases);
        }
        for (name, value) in key.tags.iter() {
            facts.insert(format!("aws:resourcetag/{name}"), value.to_owned());
        }
        Arc::new(facts)
    });
    Arc::clone(facts)
}

/// What holds for a key by what it is made of; twice where an older name of
/// the condition key still works.
fn of_purpose(purpose: Purpose) -> Context<'static> {
    let (spec, usage) = (purpose.spec().as_str(), purpose.usage().as_str());
    let mut facts = Context::new();
    facts
        .insert("kms:keyspec", spec)
        .insert("kms:customermasterkeyspec", spec)
        .insert("kms:keyusage", usage)
        .insert("kms:customermasterkeyusage", usage)
        .insert("kms:keyorigin", ORIGIN)
        .insert("kms:multiregion", false);
    facts
}

/// What a request with tags says.
fn requesting(mut access: Access<()>, tags: &Tags) -> Access<()> {
    if !tags.is_empty() {
        let keys: Value<'static> = tags.iter().map(|(key, _)| key.to_owned()).collect();
        access = access.key("aws:tagkeys", Some(keys));
        for (key, value) in tags.iter() {
            access = access.key(format!("aws:requesttag/{key}"), Some(value.to_owned()));
        }
    }
    access
}

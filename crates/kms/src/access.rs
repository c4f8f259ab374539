//! Asking for permission: which ARN, whose policy, which condition keys.
//!
//! Source of the condition keys and of the operations each belongs to: KMS
//! Developer Guide, "AWS KMS condition keys". A key that a request does not
//! have is left out, never given an empty value.
//!
//! Grants are looked for where permission is asked, if one was ever made on the key
//! and the policies do not decide by themselves. So a caller whom they allow reads
//! none, however many it holds.

use std::cell::RefCell;
use std::sync::Arc;

use ::store::StoreError;
use gate::{Access, AuthorizeError, Cx, Describing, Fault, Permit};
use ground::{AccountId, Arn};
use kms_api::{EncryptionAlgorithmSpec, GrantOperation, MacAlgorithmSpec, MessageType, SigningAlgorithmSpec};
use policy::{Attached, Context, KeyName, ResourcePolicyKind, Value};

use crate::Kms;
use crate::error::Error;
use crate::model::grant::Wish;
use crate::model::{
    AliasName, EncryptionContext, GrantId, Key, KeyPolicy, Manager, Origin, Purpose, Tags, Terms,
};
use crate::ops::grants::NamedParty;
use crate::recipient::Recipient;
use crate::store::{self, grants};

/// The type under which the record lists a key.
pub(crate) const KEY_TYPE: &str = "AWS::KMS::Key";

/// The type under which the record lists an alias.
const ALIAS_TYPE: &str = "AWS::KMS::Alias";

/// Condition keys of every use of a key, as constants.
const CALLER_ACCOUNT: KeyName<'static> = KeyName::new("kms:calleraccount");
const ENCRYPTION_ALGORITHM: KeyName<'static> = KeyName::new("kms:encryptionalgorithm");
const ENCRYPTION_CONTEXT_KEYS: KeyName<'static> = KeyName::new("kms:encryptioncontextkeys");
const REQUEST_ALIAS: KeyName<'static> = KeyName::new("kms:requestalias");
const VIA_SERVICE: KeyName<'static> = KeyName::new("kms:viaservice");

/// The condition key of one name in an encryption context.
fn context_key(name: &str) -> String {
    const BEFORE: &str = "kms:encryptioncontext:";
    let mut key = String::with_capacity(BEFORE.len() + name.len());
    key.push_str(BEFORE);
    key.push_str(name);
    key
}

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
    context: Option<&'a EncryptionContext>,
    cx: &'a Cx,
    making: Option<&'a Terms>,
    sought: Sought,
}

/// Why somebody may retire a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retiring {
    /// Their account made it, or may retire it: the account's policies decide.
    ByAccount,
    /// The grant names them.
    ByGrant,
    /// They may not, whatever policies allow.
    ByNobody,
}

/// Asks for permission to do the operation's own action to a key.
pub fn key(cx: &Cx, sought: Sought) -> Ask<'_> {
    let foreign = sought.owner != cx.account();
    let mut access = Access::to((), Arc::clone(&sought.arn));
    if let Some((key, policy)) = &sought.found {
        if key.manager == Manager::Aws {
            access = access.beyond_resource_control();
        }
        access = access
            .with_facts(facts(key))
            .with_policy(Arc::clone(policy), ResourcePolicyKind::KmsKey);
    }
    access = access
        .owned_by(sought.owner)
        .key(CALLER_ACCOUNT, Some(cx.account()))
        .key(VIA_SERVICE, cx.via_service());
    if foreign {
        access = access.hiding_existence();
    } else {
        // A foreign key is listed once permission is given: the record of a
        // refused caller must not tell which key is behind an alias.
        access = access.recorded_as(KEY_TYPE);
    }
    if let Named::Alias(alias) = &sought.named {
        access = access.key(REQUEST_ALIAS, Some(alias.to_string()));
    }
    Ask {
        access,
        action: None,
        context: None,
        cx,
        making: None,
        sought,
    }
}

/// As [`key`], of what is not to be done to a key that was used lately: with
/// the whole days since it was.
///
/// # Errors
///
/// Whatever the store reports.
pub(crate) async fn unused_for<'a>(kms: &Kms, cx: &'a Cx, sought: Sought) -> Result<Ask<'a>, Error> {
    let days = match &sought.found {
        Some((key, _)) => Some(kms.last_uses.of(cx, key).await?.trailing_days(cx.now())),
        None => None,
    };
    Ok(key(cx, sought).with("kms:trailingdayswithoutkeyusage", days))
}

impl<'a> Ask<'a> {
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
    pub fn encryption(self, algorithm: EncryptionAlgorithmSpec, context: &'a EncryptionContext) -> Self {
        let mut access = self.access.key(ENCRYPTION_ALGORITHM, Some(algorithm.as_str()));
        if !context.is_empty() {
            let names: Value<'static> = context.pairs().map(|(name, _)| name.to_owned()).collect();
            access = access.key(ENCRYPTION_CONTEXT_KEYS, Some(names));
            for (name, value) in context.pairs() {
                access = access.key(context_key(name), Some(value.to_owned()));
            }
        }
        Ask {
            access,
            context: Some(context),
            ..self
        }
    }

    /// Says whether a service that keeps something under the key asks for the caller.
    #[must_use]
    pub fn for_aws_resource(self) -> Self {
        let by_service = self.cx.via_service().is_some();
        self.with("kms:grantisforawsresource", Some(by_service))
    }

    /// To make a grant of these terms.
    #[must_use]
    pub(crate) fn granting(
        self,
        terms: &'a Terms,
        grantee: &NamedParty,
        retirer: Option<&NamedParty>,
    ) -> Self {
        let operations: Value<'static> = terms
            .operations()
            .iter()
            .map(|it| it.as_str().to_owned())
            .collect();
        let types = terms.constraint_types();
        let types = (!types.is_empty()).then(|| types.into_iter().collect::<Value<'static>>());
        let mut access = self
            .access
            .key("kms:grantoperations", Some(operations))
            .key("kms:grantconstrainttype", types)
            .key(
                "kms:grantconstraintsourcearn",
                terms.source_arn().map(str::to_owned),
            );
        for (name, value) in terms.context_pairs() {
            access = access.key(context_key(name), Some(value.to_owned()));
        }
        access = match grantee {
            NamedParty::Principal(arn) => access.key("kms:granteeprincipal", Some(arn.clone())),
            NamedParty::Service(name) => access.key("kms:granteeserviceprincipal", Some(name.clone())),
        };
        access = match retirer {
            Some(NamedParty::Principal(arn)) => access.key("kms:retiringprincipal", Some(arn.clone())),
            Some(NamedParty::Service(name)) => access.key("kms:retiringserviceprincipal", Some(name.clone())),
            None => access,
        };
        Ask {
            access,
            making: Some(terms),
            ..self
        }
    }

    /// For somebody whom an attestation document vouches for.
    #[must_use]
    pub(crate) fn attested(self, recipient: Option<&Recipient>) -> Self {
        Ask {
            access: attested(self.access, recipient),
            ..self
        }
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
            context,
            cx,
            making,
            sought,
        } = self;
        let foreign = sought.owner != cx.account();
        let asked = match &sought.found {
            // Only where there may be a grant, to spare other keys the way.
            Some((key, _)) if key.granted => {
                let action = action.unwrap_or(cx.operation().action);
                let find = async || covering(cx, key, action, context, making).await;
                Box::pin(cx.authorize_or_by_grants(access, find)).await
            }
            Some(_) | None => cx.authorize(access).await,
        };
        let permit = match asked {
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

/// The grants of the key that let the caller do `action`.
async fn covering(
    cx: &Cx,
    key: &Key,
    action: &str,
    context: Option<&EncryptionContext>,
    making: Option<&Terms>,
) -> Result<Vec<String>, StoreError> {
    let operation = action.strip_prefix("kms:").and_then(GrantOperation::parse);
    let Some(operation) = operation.filter(|it| *it != GrantOperation::RetireGrant) else {
        return Ok(Vec::new());
    };
    let wish = Wish {
        operation,
        context,
        source_arn: cx.source_arn(),
        making,
    };
    let found = grants::covering(cx, key, &wish).await?;
    Ok(found.into_iter().map(String::from).collect())
}

/// Asks for permission to retire a grant, which only the grant can give.
/// Denials in policies still hold.
///
/// # Errors
///
/// [`Error::Denied`].
pub(crate) async fn retire(
    cx: &Cx,
    sought: Sought,
    grant: &GrantId,
    retiring: Retiring,
) -> Result<Permit<Arc<Key>>, Error> {
    let about = Sought {
        found: sought.found.clone(),
        arn: sought.arn.clone(),
        named: Named::Key,
        ..sought
    };
    let stand_in = |policy: KeyPolicy| {
        let policy = policy.attached(cx.account()).map_err(Error::MalformedPolicy);
        policy.map(|policy| Access::with_policy(key(cx, about).access, policy, ResourcePolicyKind::KmsKey))
    };
    match retiring {
        Retiring::ByGrant => {}
        Retiring::ByAccount => {
            // As if the resource left it to the account, which is the caller's own.
            let access = stand_in(KeyPolicy::delegating())?;
            cx.authorize(access.owned_by(cx.account())).await?;
        }
        Retiring::ByNobody => {
            cx.authorize(stand_in(KeyPolicy::silent())?).await?;
            return Err(Error::GrantNotFound(grant.to_string()));
        }
    }
    let found = sought.found.clone();
    let access = key(cx, sought).access.with_grants(vec![grant.to_string()]);
    let permit = cx.authorize(access).await?;
    let (key, _) = found.ok_or_else(|| Error::GrantNotFound(grant.to_string()))?;
    Ok(permit.map(|()| key))
}

/// Asks for permission to list what a principal may retire. The principal is
/// the resource, and its account decides.
///
/// Source: KMS API Reference, `ListRetirableGrants`.
pub(crate) fn retirer(cx: &Cx, named: &NamedParty) -> Access<()> {
    match named {
        NamedParty::Service(_) => account(()),
        NamedParty::Principal(arn) => {
            let owner = Arn::parse(arn).ok().and_then(|arn| arn.account_id());
            Access::to((), arn.as_str()).owned_by(owner.unwrap_or(cx.account()))
        }
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

/// With what was measured of whom the answer is for.
pub(crate) fn attested<T>(mut access: Access<T>, recipient: Option<&Recipient>) -> Access<T> {
    for (name, value) in recipient.map(Recipient::conditions).into_iter().flatten() {
        access = access.key(name, Some(value));
    }
    access
}

/// Asks for permission to create, move or delete an alias. Aliases have no
/// policy: identity policies decide.
pub fn alias(cx: &Cx, name: &AliasName) -> Access<AliasName> {
    Access::to(name.clone(), name.arn(cx.account(), cx.region())).recorded_as(ALIAS_TYPE)
}

/// Asks for permission to create a key. It has no ARN yet: identity policies decide.
pub fn new_key(
    purpose: Purpose,
    origin: Origin,
    tags: &Tags,
    bypass: Option<bool>,
    multi_region_type: Option<&'static str>,
) -> Access<()> {
    let access = account(())
        .with_facts(of_purpose(purpose, origin).into())
        .key("kms:multiregion", Some(multi_region_type.is_some()))
        .key("kms:multiregionkeytype", multi_region_type)
        .key("kms:bypasspolicylockoutsafetycheck", bypass);
    requesting(access, tags)
}

/// Asks for permission to tag a key while it is created. Its policy does not
/// count yet, and it has no tags yet that a condition could see.
pub fn new_tags(key: &Key) -> Access<()> {
    let access = Access::to((), Arc::clone(key.shared_arn()))
        .with_facts(of_purpose(key.purpose, key.origin).into())
        .key("kms:multiregion", Some(key.multi_region.is_some()))
        .doing("kms:TagResource");
    requesting(access, &key.tags)
}

/// Asks whether the caller could replace the policy of `key` if it were `policy`.
pub fn later_policy(cx: &Cx, key: &Key, policy: Arc<Attached>) -> Access<()> {
    Access::to((), Arc::clone(key.shared_arn()))
        .with_facts(facts(key))
        .owned_by(key.account)
        .doing("kms:PutKeyPolicy")
        .key(CALLER_ACCOUNT, Some(cx.account()))
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
        let told = |error: Error| Fault::from(&error);
        let sought = store::shared_key(cx, &arn.to_string()).await.map_err(told)?;
        // What a foreign owner has granted is not told.
        let grants = match &sought.found {
            Some((key, _)) if sought.owner == cx.account() => {
                let found = covering(cx, key, action, None, None).await;
                found.map_err(|error| told(error.into()))?
            }
            Some(_) | None => Vec::new(),
        };
        Ok(Some(key(cx, sought).access.with_grants(grants)))
    })
}

/// What holds for an existing key.
fn facts(key: &Key) -> Arc<Context<'static>> {
    let facts = key.derived.facts.get_or_init(|| {
        if key.multi_region.is_none() && key.aliases.is_empty() && key.tags.is_empty() {
            return plain_facts(key);
        }
        let mut facts = of_purpose(key.purpose, key.origin);
        facts.insert("kms:multiregion", key.multi_region.is_some());
        if let Some(keys) = &key.multi_region {
            facts.insert("kms:multiregionkeytype", keys.type_in(&key.region));
        }
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

/// What holds for a key of which nothing is to be said but what it is made of:
/// shared by all that are made of the same, of which there are few kinds.
fn plain_facts(key: &Key) -> Arc<Context<'static>> {
    type Kind = (Purpose, Origin);
    thread_local! {
        static SHARED: RefCell<Vec<(Kind, Arc<Context<'static>>)>> = const { RefCell::new(Vec::new()) };
    }
    let kind = (key.purpose, key.origin);
    SHARED.with_borrow_mut(|shared| {
        if let Some((_, facts)) = shared.iter().find(|(known, _)| *known == kind) {
            return Arc::clone(facts);
        }
        let mut facts = of_purpose(key.purpose, key.origin);
        facts.insert("kms:multiregion", false);
        let facts = Arc::new(facts);
        shared.push((kind, Arc::clone(&facts)));
        facts
    })
}

/// What holds for a key by what it is made of; twice where an older name of
/// the condition key still works.
fn of_purpose(purpose: Purpose, origin: Origin) -> Context<'static> {
    let (spec, usage) = (purpose.spec().as_str(), purpose.usage().as_str());
    let mut facts = Context::new();
    facts
        .insert("kms:keyspec", spec)
        .insert("kms:customermasterkeyspec", spec)
        .insert("kms:keyusage", usage)
        .insert("kms:customermasterkeyusage", usage)
        .insert("kms:keyorigin", origin.as_str());
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

//! From a name in a request to the thing it means, if the caller may.
//!
//! Each function finds, asks for permission, and only then says that there is
//! no such thing: a caller without permission does not learn which names exist.
//!
//! Resource types and condition keys follow the Service Authorization
//! Reference, "Actions, resources, and condition keys for IAM".

use std::sync::{Arc, LazyLock};

use gate::{Access, Cx, Describing, Fault, Permit};
use ground::Arn;
use policy::{Attached, Document, DocumentKind, Holder, ResourcePolicyKind, Value, Who};

use crate::error::Error;
use crate::model::{
    EntityKind, Group, InstanceProfile, ManagedPolicy, MfaDevice, OidcProvider, PolicyArn, Role,
    SamlProvider, ServerCertificate, Tags, User, arn,
};
use crate::store::{Entity, KeyHolder, Policy, rows};

/// What a request says beside the name: the source of its condition keys.
#[derive(Clone, Copy, Default)]
pub(crate) struct Asking<'a> {
    /// `iam:PolicyARN`
    pub(crate) policy_arn: Option<&'a str>,
    /// `iam:PermissionsBoundary`
    pub(crate) boundary: Boundary<'a>,
    /// `aws:RequestTag/…` and `aws:TagKeys`
    pub(crate) tags: Option<&'a Tags>,
    /// `aws:TagKeys` alone
    pub(crate) tag_keys: &'a [String],
}

/// What `iam:PermissionsBoundary` tells.
#[derive(Clone, Copy, Default)]
pub(crate) enum Boundary<'a> {
    /// The operation has no such key.
    #[default]
    NotAsked,
    /// The boundary that the entity has.
    OfEntity,
    /// The boundary that the request wants.
    Requested(Option<&'a str>),
}

impl Asking<'_> {
    /// Nothing but the name.
    pub(crate) const NOTHING: Asking<'static> = Asking {
        policy_arn: None,
        boundary: Boundary::NotAsked,
        tags: None,
        tag_keys: &[],
    };

    /// Adds them as condition keys.
    pub(crate) fn add_to<T>(self, access: Access<T>, own_boundary: Option<&str>) -> Access<T> {
        let boundary = match self.boundary {
            Boundary::NotAsked => None,
            Boundary::OfEntity => own_boundary,
            Boundary::Requested(arn) => arn,
        };
        let mut access = access
            .key("iam:PolicyARN", self.policy_arn.map(str::to_owned))
            .key("iam:PermissionsBoundary", boundary.map(str::to_owned));
        let mut keys: Vec<String> = self.tag_keys.to_vec();
        for tag in self.tags.into_iter().flat_map(Tags::iter) {
            access = access.key(format!("aws:RequestTag/{}", tag.key), Some(tag.value.clone()));
            keys.push(tag.key.clone());
        }
        if !keys.is_empty() {
            access = access.key("aws:TagKeys", Some(keys.into_iter().collect::<Value<'static>>()));
        }
        access
    }
}

/// The tags of a resource as condition keys.
pub(crate) fn with_resource_tags<T>(access: Access<T>, tags: &Tags) -> Access<T> {
    tags.iter().fold(access, |access, tag| {
        access
            .key(format!("aws:ResourceTag/{}", tag.key), Some(tag.value.clone()))
            .key(format!("iam:ResourceTag/{}", tag.key), Some(tag.value.clone()))
    })
}

/// What is known of a user, role, group or managed policy before anybody asks
/// for it, for [`gate::Describe`]. None of them has a policy that lets others in
/// to IAM's own actions.
pub(crate) fn described<'a>(cx: &'a Cx, _action: &'a str, arn: &'a Arn) -> Describing<'a> {
    Box::pin(async move {
        let text = arn.to_string();
        let (kind, _) = arn.resource.split_once('/').unwrap_or_default();
        let failed = |error| Fault::store("ServiceFailure", &error);
        let access = Access::to((), text.as_str());
        Ok(match (arn.service.as_str(), kind) {
            ("iam", "group") => Some(access),
            ("iam", "role" | "user") => Some(match rows(cx).principal(&text).await.map_err(failed)? {
                Some(Entity::User(user)) => with_resource_tags(access, &user.tags),
                Some(Entity::Role(role)) => with_resource_tags(access, &role.tags),
                Some(Entity::Group(_)) | None => access,
            }),
            ("iam", "policy") => {
                let found = match PolicyArn::parse(&text) {
                    Some(parsed) => rows(cx).policy(&parsed).await.map_err(failed)?,
                    None => None,
                };
                Some(match found {
                    Some(Policy::Own(policy)) => with_resource_tags(access, &policy.tags),
                    Some(Policy::Aws(_)) | None => access,
                })
            }
            _ => None,
        })
    })
}

/// Credentials from `GetSessionToken` reach IAM only with MFA (STS API
/// Reference, GetSessionToken); those of roles and from `AssumeRoot` always do.
fn admit(cx: &Cx) -> Result<(), Error> {
    let caller = cx.caller();
    if caller.is_assumed_root() {
        return Ok(());
    }
    match (caller.principal.who(), &caller.session) {
        (Who::Root | Who::User { .. }, Some(session)) if session.mfa.is_none() => Err(Error::InvalidToken),
        (Who::FederatedUser { .. }, _) => Err(Error::InvalidToken),
        _ => Ok(()),
    }
}

pub(crate) async fn ask<T>(cx: &Cx, access: Access<T>) -> Result<Permit<T>, Error> {
    admit(cx)?;
    Ok(cx.authorize(access).await?)
}

/// Turns a permit for what may not exist into one for what does.
fn existing<T>(permit: Permit<Option<T>>, missing: impl FnOnce() -> Error) -> Result<Permit<T>, Error> {
    if permit.is_none() {
        return Err(missing());
    }
    Ok(permit.map(|found| found.expect("its presence was just seen")))
}

fn missing(noun: &'static str, name: &str) -> Error {
    Error::Missing {
        noun,
        name: name.to_owned(),
    }
}

/// The user called `name`.
pub(crate) async fn user(cx: &Cx, name: &str, asking: Asking<'_>) -> Result<Permit<Arc<User>>, Error> {
    let user = rows(cx).user(name).await?;
    let access = user_access(cx, user, name, asking);
    existing(ask(cx, access).await?, || missing("user", name))
}

fn user_access(
    cx: &Cx,
    user: Option<Arc<User>>,
    name: &str,
    asking: Asking<'_>,
) -> Access<Option<Arc<User>>> {
    let arn = match &user {
        Some(user) => user.arn(cx.account()),
        None => arn(cx.account(), "user", "/", name),
    };
    let boundary = user.as_ref().and_then(|user| user.boundary.clone());
    let tags = user.as_ref().map(|user| user.tags.clone()).unwrap_or_default();
    let access = Access::to(user, arn).recorded_as("AWS::IAM::User");
    asking.add_to(with_resource_tags(access, &tags), boundary.as_deref())
}

/// The role called `name`.
pub(crate) async fn role(cx: &Cx, name: &str, asking: Asking<'_>) -> Result<Permit<Arc<Role>>, Error> {
    let role = rows(cx).role(name).await?;
    let arn = match &role {
        Some(role) => role.arn(cx.account()),
        None => arn(cx.account(), "role", "/", name),
    };
    let boundary = role.as_ref().and_then(|role| role.boundary.clone());
    let tags = role.as_ref().map(|role| role.tags.clone()).unwrap_or_default();
    let access = Access::to(role, arn).recorded_as("AWS::IAM::Role");
    let access = asking.add_to(with_resource_tags(access, &tags), boundary.as_deref());
    existing(ask(cx, access).await?, || missing("role", name))
}

/// The group called `name`.
pub(crate) async fn group(cx: &Cx, name: &str, asking: Asking<'_>) -> Result<Permit<Arc<Group>>, Error> {
    let group = rows(cx).group(name).await?;
    let arn = match &group {
        Some(group) => group.arn(cx.account()),
        None => arn(cx.account(), "group", "/", name),
    };
    let access = asking.add_to(Access::to(group, arn).recorded_as("AWS::IAM::Group"), None);
    existing(ask(cx, access).await?, || missing("group", name))
}

/// The role called `name`, to be handed to `service`: the caller must be
/// allowed to pass it (IAM User Guide, "Granting a user permissions to pass a
/// role to an AWS service").
pub(crate) async fn passed_role(
    cx: &Cx,
    name: &str,
    service: &'static str,
) -> Result<Permit<Arc<Role>>, Error> {
    let role = rows(cx).role(name).await?;
    let arn = match &role {
        Some(role) => role.arn(cx.account()),
        None => arn(cx.account(), "role", "/", name),
    };
    let tags = role.as_ref().map(|role| role.tags.clone()).unwrap_or_default();
    let access = Access::to(role, arn)
        .doing("iam:PassRole")
        .recorded_as("AWS::IAM::Role")
        .key("iam:PassedToService", Some(service.to_owned()));
    existing(ask(cx, with_resource_tags(access, &tags)).await?, || {
        missing("role", name)
    })
}

/// The instance profile called `name`.
pub(crate) async fn instance_profile(
    cx: &Cx,
    name: &str,
    asking: Asking<'_>,
) -> Result<Permit<Arc<InstanceProfile>>, Error> {
    let profile = rows(cx).instance_profile(name).await?;
    let arn = match &profile {
        Some(profile) => profile.arn(cx.account()),
        None => arn(cx.account(), "instance-profile", "/", name),
    };
    let tags = profile
        .as_ref()
        .map(|profile| profile.tags.clone())
        .unwrap_or_default();
    let access = Access::to(profile, arn).recorded_as("AWS::IAM::InstanceProfile");
    let access = asking.add_to(with_resource_tags(access, &tags), None);
    existing(ask(cx, access).await?, || {
        Error::NoSuch(format!("Instance Profile {name} cannot be found."))
    })
}

/// The server certificate called `name`.
pub(crate) async fn server_certificate(
    cx: &Cx,
    name: &str,
    asking: Asking<'_>,
) -> Result<Permit<Arc<ServerCertificate>>, Error> {
    let certificate = rows(cx).server_certificate(name).await?;
    let arn = match &certificate {
        Some(certificate) => certificate.arn(cx.account()),
        None => arn(cx.account(), "server-certificate", "/", name),
    };
    let tags = certificate.as_ref().map(|certificate| certificate.tags.clone());
    let access = Access::to(certificate, arn).recorded_as(SERVER_CERTIFICATE);
    let access = asking.add_to(with_resource_tags(access, &tags.unwrap_or_default()), None);
    existing(ask(cx, access).await?, || {
        Error::NoSuch(format!(
            "The Server Certificate with name {name} cannot be found."
        ))
    })
}

/// The virtual MFA device with this serial number.
pub(crate) async fn mfa_device(
    cx: &Cx,
    serial_number: &str,
    asking: Asking<'_>,
) -> Result<Permit<Arc<MfaDevice>>, Error> {
    let device = rows(cx).mfa_device(serial_number).await?;
    let tags = device
        .as_ref()
        .map(|device| device.tags.clone())
        .unwrap_or_default();
    let access = Access::to(device, serial_number).recorded_as("AWS::IAM::VirtualMFADevice");
    let access = asking.add_to(with_resource_tags(access, &tags), None);
    existing(ask(cx, access).await?, || no_device(serial_number))
}

/// As records name OpenID Connect providers.
const OIDC_PROVIDER: &str = "AWS::IAM::OIDCProvider";
/// As records name SAML providers.
const SAML_PROVIDER: &str = "AWS::IAM::SAMLProvider";
/// As records name server certificates.
const SERVER_CERTIFICATE: &str = "AWS::IAM::ServerCertificate";

/// The OpenID Connect provider with this ARN.
pub(crate) async fn oidc_provider(
    cx: &Cx,
    arn: &str,
    asking: Asking<'_>,
) -> Result<Permit<Arc<OidcProvider>>, Error> {
    let provider = rows(cx).oidc_provider_of(parsed(arn)?).await?;
    let tags = provider.as_ref().map(|provider| provider.tags.clone());
    let access = Access::to(provider, arn).recorded_as(OIDC_PROVIDER);
    let access = asking.add_to(with_resource_tags(access, &tags.unwrap_or_default()), None);
    existing(ask(cx, access).await?, || {
        Error::NoSuch(format!("OpenIDConnect Provider not found for arn {arn}"))
    })
}

/// The SAML provider with this ARN.
pub(crate) async fn saml_provider(
    cx: &Cx,
    arn: &str,
    asking: Asking<'_>,
) -> Result<Permit<Arc<SamlProvider>>, Error> {
    let provider = rows(cx).saml_provider_of(parsed(arn)?).await?;
    let tags = provider.as_ref().map(|provider| provider.tags.clone());
    let access = Access::to(provider, arn).recorded_as(SAML_PROVIDER);
    let access = asking.add_to(with_resource_tags(access, &tags.unwrap_or_default()), None);
    existing(ask(cx, access).await?, || {
        Error::NoSuch(format!("Manifest not found for arn {arn}"))
    })
}

/// The text, if it is an ARN.
fn parsed(arn: &str) -> Result<&str, Error> {
    match Arn::parse(arn) {
        Ok(_) => Ok(arn),
        Err(_) => Err(Error::Validation("Invalid ARN:  Could not be parsed!".to_owned())),
    }
}

/// There is no such device, or not of that user.
pub(crate) fn no_device(serial_number: &str) -> Error {
    Error::NoSuch(format!(
        "VirtualMFADevice with serial number {serial_number} does not exist."
    ))
}

/// The calling user, to change its own password: allowed by the account's
/// password policy, where it says so, or by a policy of the user.
pub(crate) async fn own_password(cx: &Cx, allowed_by_account: bool) -> Result<Permit<Arc<User>>, Error> {
    let Who::User { id, name } = cx.caller().principal.who() else {
        ask(cx, Access::to((), "*")).await?;
        return Err(Error::InvalidUserType);
    };
    let user = rows(cx).user_by_id(id).await?;
    let mut access = user_access(cx, user, name, Asking::NOTHING);
    if allowed_by_account {
        access = access.with_policy(Arc::clone(&OWN_PASSWORD), ResourcePolicyKind::Ordinary);
    }
    existing(ask(cx, access).await?, || missing("user", name))
}

/// What `AllowUsersToChangePassword` comes to: as if every user were a
/// resource whose policy lets that user change its password. Explicit denials
/// bind all the same.
static OWN_PASSWORD: LazyLock<Arc<Attached>> = LazyLock::new(|| {
    let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"iam:ChangePassword","Resource":"*"}}"#;
    let document =
        Document::parse(text, DocumentKind::Resource).expect("the text above is a resource policy");
    Arc::new(Attached::inline(
        "password policy",
        Holder::Resource,
        Arc::new(document),
    ))
});

/// The user, role or group called `name`.
pub(crate) async fn entity(
    cx: &Cx,
    kind: EntityKind,
    name: &str,
    asking: Asking<'_>,
) -> Result<Permit<Entity>, Error> {
    Ok(match kind {
        EntityKind::Group => group(cx, name, asking).await?.map(Entity::Group),
        EntityKind::Role => role(cx, name, asking).await?.map(Entity::Role),
        EntityKind::User => user(cx, name, asking).await?.map(Entity::User),
    })
}

/// The user, role or group with this very ARN, whose policies are looked at.
pub(crate) async fn policy_source(cx: &Cx, arn: &str) -> Result<Permit<Entity>, Error> {
    let invalid = || {
        Error::InvalidInput(format!(
            "Invalid Entity Arn: {arn} does not clearly define entity type and name."
        ))
    };
    let parsed = Arn::parse(arn).map_err(|_| invalid())?;
    let (kind, rest) = parsed.resource.split_once('/').ok_or_else(invalid)?;
    let kind = match kind {
        "group" => EntityKind::Group,
        "role" => EntityKind::Role,
        "user" => EntityKind::User,
        _ => return Err(invalid()),
    };
    let name = rest.rsplit('/').next().unwrap_or(rest);
    let permit = entity(cx, kind, name, Asking::NOTHING).await?;
    // The name is the account's own; the ARN may be of another path or account.
    if permit.arn(cx.account()) != arn {
        return Err(missing(kind.noun(), name));
    }
    Ok(permit)
}

/// The managed policy with this ARN, of the account or of AWS.
pub(crate) async fn policy(cx: &Cx, arn: &str, asking: Asking<'_>) -> Result<Permit<Policy>, Error> {
    let parsed = policy_arn(arn)?;
    let policy = rows(cx).policy(&parsed).await?;
    let tags = match &policy {
        Some(Policy::Own(policy)) => policy.tags.clone(),
        Some(Policy::Aws(_)) | None => Tags::default(),
    };
    let access = with_resource_tags(Access::to(policy, arn).recorded_as("AWS::IAM::Policy"), &tags);
    let permit = ask(cx, asking.add_to(access, None)).await?;
    existing(permit, || Error::PolicyMissing(arn.to_owned()))
}

/// The managed policy of the account with this ARN, to be changed.
pub(crate) async fn own_policy(
    cx: &Cx,
    arn: &str,
    asking: Asking<'_>,
) -> Result<Permit<Arc<ManagedPolicy>>, Error> {
    let permit = policy(cx, arn, asking).await?;
    match &*permit {
        Policy::Aws(_) => Err(Error::AccessDenied("Policy is outside your own account.")),
        Policy::Own(policy) => {
            let policy = Arc::clone(policy);
            Ok(permit.map(|_| policy))
        }
    }
}

/// Reads the ARN of a managed policy.
pub(crate) fn policy_arn(arn: &str) -> Result<PolicyArn, Error> {
    PolicyArn::parse(parsed(arn)?).ok_or_else(|| Error::InvalidInput(format!("ARN {arn} is not valid.")))
}

/// A thing that is about to be made, named `kind` + `path` + `name`.
pub(crate) async fn new<T>(
    cx: &Cx,
    thing: T,
    kind: &'static str,
    path_and_name: (&str, &str),
    asking: Asking<'_>,
) -> Result<Permit<T>, Error> {
    let (path, name) = path_and_name;
    let arn = arn(cx.account(), kind, path, name);
    let access = Access::to(thing, arn.clone()).recorded_as(recorded_kind(kind));
    let permit = ask(cx, asking.add_to(access, None)).await?;
    // To make a thing with tags is to tag it too.
    if asking.tags.is_some_and(|tags| !tags.is_empty()) {
        let tagging = match kind {
            "instance-profile" => "iam:TagInstanceProfile",
            "mfa" => "iam:TagMFADevice",
            "oidc-provider" => "iam:TagOpenIDConnectProvider",
            "saml-provider" => "iam:TagSAMLProvider",
            "server-certificate" => "iam:TagServerCertificate",
            "policy" => "iam:TagPolicy",
            "role" => "iam:TagRole",
            _ => "iam:TagUser",
        };
        ask(cx, asking.add_to(Access::to((), arn).doing(tagging), None)).await?;
    }
    Ok(permit)
}

fn recorded_kind(kind: &str) -> &'static str {
    match kind {
        "group" => "AWS::IAM::Group",
        "instance-profile" => "AWS::IAM::InstanceProfile",
        "mfa" => "AWS::IAM::VirtualMFADevice",
        "oidc-provider" => OIDC_PROVIDER,
        "saml-provider" => SAML_PROVIDER,
        "server-certificate" => SERVER_CERTIFICATE,
        "policy" => "AWS::IAM::Policy",
        "role" => "AWS::IAM::Role",
        _ => "AWS::IAM::User",
    }
}

/// The place that an entity moves to under a new name or path.
pub(crate) async fn moved(cx: &Cx, kind: &'static str, path: &str, name: &str) -> Result<(), Error> {
    ask(cx, Access::to((), arn(cx.account(), kind, path, name))).await?;
    Ok(())
}

/// Every `kind` below a path.
pub(crate) async fn list(cx: &Cx, kind: &'static str, path_prefix: &str) -> Result<(), Error> {
    ask(cx, Access::to((), arn(cx.account(), kind, path_prefix, "*"))).await?;
    Ok(())
}

/// An operation about no resource.
pub(crate) async fn account_wide(cx: &Cx) -> Result<(), Error> {
    of_account(cx, ()).await?;
    Ok(())
}

/// What the account as a whole is about to have.
pub(crate) async fn of_account<T>(cx: &Cx, thing: T) -> Result<Permit<T>, Error> {
    ask(cx, Access::to(thing, "*")).await
}

/// Whose access keys a request means: those of the user it names, or else of
/// whoever signed it.
pub(crate) async fn key_holder(cx: &Cx, user_name: Option<&str>) -> Result<Permit<KeyHolder>, Error> {
    if let Some(name) = user_name {
        return Ok(user(cx, name, Asking::NOTHING).await?.map(KeyHolder::User));
    }
    match cx.caller().principal.who() {
        Who::Root => {
            let account = cx.account();
            ask(
                cx,
                Access::to(KeyHolder::Root(account), format!("arn:aws:iam::{account}:root")),
            )
            .await
        }
        Who::User { .. } => Ok(calling_user(cx).await?.map(KeyHolder::User)),
        _ => Err(no_user()),
    }
}

/// Whose password or second factor a request means: as [`key_holder`], but a
/// root user must name a user, unless it came by `AssumeRoot` (IAM API
/// Reference, DeleteLoginProfile).
pub(crate) async fn sign_in_holder(cx: &Cx, user_name: Option<&str>) -> Result<Permit<KeyHolder>, Error> {
    let caller = cx.caller();
    if user_name.is_none() && *caller.principal.who() == Who::Root && !caller.is_assumed_root() {
        return Err(no_user());
    }
    key_holder(cx, user_name).await
}

/// Permission to ask about an access key of its holder, or of nobody.
pub(crate) async fn key_of(cx: &Cx, holder: Option<&KeyHolder>) -> Result<(), Error> {
    let access = match holder {
        None => Access::to((), "*"),
        Some(KeyHolder::Root(account)) => Access::to((), format!("arn:aws:iam::{account}:root")),
        Some(KeyHolder::User(user)) => {
            let access = Access::to((), user.arn(cx.account())).recorded_as("AWS::IAM::User");
            with_resource_tags(access, &user.tags)
        }
    };
    ask(cx, access).await?;
    Ok(())
}

/// The user who signed the request.
pub(crate) async fn calling_user(cx: &Cx) -> Result<Permit<Arc<User>>, Error> {
    let Who::User { id, name } = cx.caller().principal.who() else {
        return Err(no_user());
    };
    let user = rows(cx).user_by_id(id).await?;
    let access = user_access(cx, user, name, Asking::NOTHING);
    existing(ask(cx, access).await?, || missing("user", name))
}

/// Permission to read about the root user itself.
pub(crate) async fn root(cx: &Cx) -> Result<(), Error> {
    ask(cx, Access::to((), format!("arn:aws:iam::{}:root", cx.account()))).await?;
    Ok(())
}

fn no_user() -> Error {
    Error::Validation("Must specify userName when calling with non-User credentials".to_owned())
}

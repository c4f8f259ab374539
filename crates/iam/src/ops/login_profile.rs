//! Passwords of users. They sign in to nothing here, but they are set, checked
//! and held to the account's password policy as on AWS.
//!
//! A session from `AssumeRoot` may say that its root user may have a password
//! again, or none any more.
//!
//! Invariants:
//! - a password is kept as a slow digest, sealed under the account's key;
//! - digesting happens on the blocking pool, a few at a time.
//!
//! Absent by design: the password of a root user itself, which is chosen where
//! it signs in.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::{DomainKey, PasswordDigest};
use gate::Cx;
use ground::{Region, Secret};
use iam_api::{
    ChangePasswordInput, CreateLoginProfileInput, CreateLoginProfileOutput, DeleteLoginProfileInput,
    GetLoginProfileInput, GetLoginProfileOutput, LoginProfile as ApiLoginProfile, UpdateLoginProfileInput,
};
use shape::Unit;

use crate::Iam;
use crate::access::{self, Asking};
use crate::error::Error;
use crate::limits::PASSWORDS_REMEMBERED_MAX;
use crate::model::password_policy::{self, Broken};
use crate::model::{LoginProfile, PasswordPolicy, User};
use crate::store::{self, KeyHolder, rows, written_at};

/// What digests of passwords are sealed for, in the account and `us-east-1`.
pub(crate) const SEALED_FOR: &str = "iam/password";

const SECONDS_PER_DAY: i64 = 86_400;

/// The words for a rule that a password breaks.
fn violation(broken: Broken) -> Error {
    Error::PasswordPolicyViolation(match broken {
        Broken::Length(least) => format!("Password should have a minimum length of {least}"),
        Broken::LowerCase => "Password should have at least one lowercase character".to_owned(),
        Broken::Number => "Password should have at least one number".to_owned(),
        Broken::Symbol => "Password should have at least one symbol".to_owned(),
        Broken::ThreeKinds => {
            "Password should have at least three of: uppercase characters, lowercase characters, \
                               numbers, symbols"
                .to_owned()
        }
        Broken::UpperCase => "Password should have at least one uppercase character".to_owned(),
        Broken::UserName => "Password should not be the name of the user".to_owned(),
    })
}

fn missing(user_name: &str) -> Error {
    Error::LoginProfileMissing(user_name.to_owned())
}

fn answered(user_name: &str, profile: &LoginProfile) -> ApiLoginProfile {
    ApiLoginProfile {
        user_name: user_name.to_owned(),
        create_date: profile.created,
        password_reset_required: Some(profile.reset_required),
    }
}

fn domain(cx: &Cx) -> DomainKey {
    cx.domain_key(cx.account(), &Region::us_east_1(), SEALED_FOR)
}

fn sealed(cx: &Cx, user: &User, digest: &PasswordDigest) -> Result<String, Error> {
    let text =
        serde_json::to_vec(digest).map_err(|_| crypto::Error::Provider("a password digest as JSON"))?;
    let text = Secret::new(text);
    let sealed = domain(cx).seal(&[user.id.as_bytes()], text.expose(), cx.random())?;
    Ok(STANDARD.encode(sealed))
}

fn opened(cx: &Cx, user: &User, sealed: &str) -> Result<PasswordDigest, Error> {
    let sealed = STANDARD
        .decode(sealed)
        .map_err(|_| crypto::Error::BadCiphertext)?;
    let text = domain(cx).open(&[user.id.as_bytes()], &sealed)?;
    Ok(serde_json::from_slice(text.expose()).map_err(|_| crypto::Error::BadCiphertext)?)
}

/// Does slow work with passwords and keys on the blocking pool, in its turn.
pub(crate) async fn slowly<T: Send + 'static>(
    iam: &Iam,
    work: impl FnOnce() -> Result<T, crypto::Error> + Send + 'static,
) -> Result<T, Error> {
    let turn = Arc::clone(&iam.password_turns).acquire_owned().await;
    let turn = turn.expect("the turns are never closed");
    let done = tokio::task::spawn_blocking(move || {
        // Held by the work itself, which goes on if the caller has gone.
        let _turn = turn;
        work()
    });
    Ok(done.await??)
}

/// The sealed digest of a password that keeps the account's rules.
async fn made(
    iam: &Iam,
    cx: &Cx,
    user: &User,
    policy: Option<&PasswordPolicy>,
    password: Secret<String>,
) -> Result<String, Error> {
    password_policy::check(policy, &user.name, password.expose()).map_err(violation)?;
    let random = cx.random().clone();
    let digest = slowly(iam, move || PasswordDigest::of(&password, &random)).await?;
    sealed(cx, user, &digest)
}

/// # Errors
///
/// [`Error::Validation`] for a user without a password, since there is no
/// console that would let it choose one; and for root with one.
pub(crate) async fn create_login_profile(
    iam: &Iam,
    cx: &Cx,
    input: CreateLoginProfileInput,
) -> Result<CreateLoginProfileOutput, Error> {
    let holder = access::sign_in_holder(cx, input.user_name.as_deref()).await?;
    let invalid = |text: &str| Error::Validation(text.to_owned());
    let password = match (&*holder, input.password) {
        (KeyHolder::Root(_), Some(_)) => {
            return Err(invalid("Password must be omitted with an AssumeRoot session."));
        }
        (KeyHolder::Root(_), None) => None,
        (KeyHolder::User(_), None) => return Err(invalid("Password must be specified.")),
        (KeyHolder::User(user), Some(password)) => Some((user, password)),
    };
    if rows(cx).login_profile(&holder.owner_id()).await?.is_some() {
        return Err(Error::Taken(format!(
            "Login Profile for user {} already exists.",
            holder.user_name()
        )));
    }
    let mut sealed_digests = Vec::new();
    if let Some((user, password)) = password {
        let policy = rows(cx).password_policy().await?;
        sealed_digests.push(made(iam, cx, user, policy.as_deref(), password).await?);
    }
    let profile = LoginProfile {
        created: written_at(cx),
        changed: written_at(cx),
        reset_required: input.password_reset_required == Some(true),
        sealed_digests,
    };
    store::write(cx, |tx| store::put_login_profile(tx, &holder, &profile)).await?;
    Ok(CreateLoginProfileOutput {
        login_profile: answered(holder.user_name(), &profile),
    })
}

pub(crate) async fn get_login_profile(
    _iam: &Iam,
    cx: &Cx,
    input: GetLoginProfileInput,
) -> Result<GetLoginProfileOutput, Error> {
    let holder = access::sign_in_holder(cx, input.user_name.as_deref()).await?;
    let profile = rows(cx).login_profile(&holder.owner_id()).await?;
    let profile = profile.ok_or_else(|| missing(holder.user_name()))?;
    Ok(GetLoginProfileOutput {
        login_profile: answered(holder.user_name(), &profile),
    })
}

/// Sets another password, or whether it must be changed; what is left out stays.
pub(crate) async fn update_login_profile(
    iam: &Iam,
    cx: &Cx,
    input: UpdateLoginProfileInput,
) -> Result<Unit, Error> {
    let user = access::user(cx, &input.user_name, Asking::NOTHING).await?;
    let known = rows(cx).login_profile(&user.id).await?;
    let mut profile = (*known.ok_or_else(|| missing(&user.name))?).clone();
    if let Some(password) = input.password {
        let policy = rows(cx).password_policy().await?;
        let digest = made(iam, cx, &user, policy.as_deref(), password).await?;
        replaced(&mut profile, digest);
        profile.changed = written_at(cx);
    }
    if let Some(required) = input.password_reset_required {
        profile.reset_required = required;
    }
    let holder = user.map(KeyHolder::User);
    store::write(cx, |tx| store::put_login_profile(tx, &holder, &profile)).await?;
    Ok(Unit)
}

/// Puts a new digest before the old ones.
fn replaced(profile: &mut LoginProfile, digest: String) {
    profile.sealed_digests.insert(0, digest);
    profile.sealed_digests.truncate(PASSWORDS_REMEMBERED_MAX);
}

pub(crate) async fn delete_login_profile(
    _iam: &Iam,
    cx: &Cx,
    input: DeleteLoginProfileInput,
) -> Result<Unit, Error> {
    let holder = access::sign_in_holder(cx, input.user_name.as_deref()).await?;
    if rows(cx).login_profile(&holder.owner_id()).await?.is_none() {
        return Err(missing(holder.user_name()));
    }
    store::write(cx, |tx| store::delete_login_profile(tx, &holder)).await?;
    Ok(Unit)
}

/// Changes the calling user's own password.
///
/// # Errors
///
/// [`Error::AccessDenied`] if the old one is wrong, or was guessed at too
/// often, or has expired where the policy lets only an administrator set
/// another; [`Error::PasswordPolicyViolation`] for a new one that breaks a
/// rule or is among those that may not be used again.
pub(crate) async fn change_password(iam: &Iam, cx: &Cx, input: ChangePasswordInput) -> Result<Unit, Error> {
    let policy = rows(cx).password_policy().await?;
    let allowed = policy.as_ref().is_some_and(|policy| policy.users_may_change);
    let user = access::own_password(cx, allowed).await?;
    let known = rows(cx).login_profile(&user.id).await?;
    let mut profile = (*known.ok_or_else(|| missing(&user.name))?).clone();

    if policy
        .as_ref()
        .is_some_and(|policy| is_past_help(cx, policy, &profile))
    {
        return Err(Error::AccessDenied(
            "The password has expired and can only be reset by an administrator.",
        ));
    }
    const WRONG: Error = Error::AccessDenied("The old password was incorrect.");
    if !iam.guesses.may_try(&user.id, cx.now()) {
        return Err(WRONG);
    }
    let digests = profile
        .sealed_digests
        .iter()
        .map(|sealed| opened(cx, &user, sealed))
        .collect::<Result<Vec<_>, Error>>()?;
    let remembered = policy.as_ref().and_then(|policy| policy.reuse_prevention);
    let remembered = remembered.map_or(0, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let (old, new) = (input.old_password, input.new_password.duplicate());
    let (is_old, is_used) = slowly(iam, move || {
        let Some(current) = digests.first() else {
            return Ok((false, false));
        };
        if !current.is_of(&old)? {
            return Ok((false, false));
        }
        for digest in digests.iter().take(remembered) {
            if digest.is_of(&new)? {
                return Ok((true, true));
            }
        }
        Ok((true, false))
    })
    .await?;
    if !is_old {
        iam.guesses.failed(&user.id, cx.now());
        return Err(WRONG);
    }
    if is_used {
        return Err(Error::PasswordPolicyViolation(
            "Password was used before and may not be used again".to_owned(),
        ));
    }
    let digest = made(iam, cx, &user, policy.as_deref(), input.new_password).await?;
    replaced(&mut profile, digest);
    profile.changed = written_at(cx);
    profile.reset_required = false;
    let holder = user.map(KeyHolder::User);
    store::write(cx, |tx| store::put_login_profile(tx, &holder, &profile)).await?;
    Ok(Unit)
}

/// Whether the password has expired under a policy that then lets only an
/// administrator set another.
fn is_past_help(cx: &Cx, policy: &PasswordPolicy, profile: &LoginProfile) -> bool {
    let Some(days) = policy.age_max_days.filter(|_| policy.hard_expiry == Some(true)) else {
        return false;
    };
    cx.now().seconds() - profile.changed.seconds() >= i64::from(days) * SECONDS_PER_DAY
}

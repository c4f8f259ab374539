//! `AssumeRoleWithWebIdentity`: a session of a role, for whoever an OpenID
//! Connect provider of the role's account vouches for.
//!
//! Nobody signs the call: until the token is proven the caller is nobody, and
//! learns no more than whether the account trusts the issuer. From then on it
//! is the bearer of the provider's token, whom the role's trust policy must
//! let in.
//!
//! Absent by design: the providers that are built into AWS (Google, Facebook,
//! Login with Amazon, Cognito), unless the account makes an OpenID Connect
//! provider of them.

use federation::jwt::{Claims, Unproven};
use gate::{Caller, Cx, Vouched};
use ground::Timestamp;
use policy::{Principal, Value};
use sts_api::{AssumeRoleWithWebIdentityInput, AssumeRoleWithWebIdentityOutput};

use crate::Sts;
use crate::error::Error;
use crate::limits::{PROVIDER_CLOCK_SKEW, SESSION_TAGS_MAX};
use crate::model::{OidcProvider, Tag, Tags};
use crate::store;
use crate::sts::role_session::{self, Beginning, RoleAccess, SessionTags, role_account};
use crate::sts::session_policy::token_length_min;
use crate::sts::token::Federated;

/// Issuers that AWS trusts without a provider of the account.
const BUILT_INTO_AWS: [&str; 4] = [
    "accounts.google.com",
    "graph.facebook.com",
    "www.amazon.com",
    "cognito-identity.amazonaws.com",
];

pub(crate) async fn assume_role_with_web_identity(
    sts: &Sts,
    cx: &Cx,
    input: AssumeRoleWithWebIdentityInput,
) -> Result<AssumeRoleWithWebIdentityOutput, Error> {
    let account = role_account(&input.role_arn)?;
    if input.provider_id.is_some() {
        return Err(Error::Validation(
            "ProviderId is for OAuth 2.0 access tokens of Login with Amazon and Facebook, which are not supported."
                .to_owned(),
        ));
    }
    let rows = store::rows_of(cx.view(), account);
    let token = Unproven::parse(input.web_identity_token.expose()).map_err(invalid)?;
    let url = token.issuer.strip_prefix("https://").unwrap_or(&token.issuer);
    let provider = rows
        .oidc_provider(url)
        .await?
        .ok_or_else(|| unknown_issuer(&token.issuer))?;
    let keys = sts.issuers.keys(&provider, &token, cx.now()).await?;
    let claims = token.prove(&keys).map_err(invalid)?;
    in_time(&claims, cx.now())?;
    let audience = audience(&claims, &provider)?;

    let provider_arn = provider.arn(account);
    cx.is_proven_to_be(Caller::vouched_for(
        Principal::web_identity(&provider_arn),
        account,
        &Vouched {
            principal_id: &format!("{provider_arn}:{audience}:{}", claims.subject),
            user_name: &claims.subject,
            identity_provider: &provider_arn,
        },
    ));
    let tags = session_tags(&claims.tags, &claims.transitive_tag_keys)?;
    let source_identity = source_identity(claims.source_identity.clone())?;
    let asking = RoleAccess {
        arn: &input.role_arn,
        account,
        role: role_session::open_role(&rows, &input.role_arn).await?,
        session_name: &input.role_session_name,
        external_id: None,
        source_identity: source_identity.as_deref(),
        duration_seconds: input.duration_seconds,
        tags: &tags,
        has_second_factor: false,
        vouched: &condition_keys(&provider.url, &claims, &audience),
    };
    let role = asking.authorize_all(cx, "sts:AssumeRoleWithWebIdentity").await?;

    let asked = input
        .duration_seconds
        .and_then(|seconds| u32::try_from(seconds).ok());
    let beginning = Beginning {
        session_name: input.role_session_name,
        duration_seconds: role_session::duration_seconds(asked, role.max_session_seconds, false)?,
        policy: input.policy,
        policy_arns: input.policy_arns,
        tags,
        source_identity: source_identity.clone(),
        mfa: None,
        token_length_min: token_length_min(input.minimum_session_token_size),
        federated: Some(Federated {
            provider: provider_arn.clone(),
            is_web: true,
            keys: vec![
                (format!("{}:aud", provider.url), audience.clone()),
                (format!("{}:sub", provider.url), claims.subject.clone()),
            ],
        }),
    };
    let begun = role_session::begin(cx, &rows, &role, beginning).await?;
    Ok(AssumeRoleWithWebIdentityOutput {
        credentials: Some(begun.credentials),
        subject_from_web_identity_token: Some(claims.subject),
        assumed_role_user: Some(begun.user),
        packed_policy_size: begun.packed,
        // AWS answers the ARN for providers of an account, as observed.
        provider: Some(provider_arn),
        audience: Some(audience),
        source_identity,
        session_token_size: begun.token_size,
        session_token_utilization: None,
    })
}

fn invalid(error: impl std::fmt::Display) -> Error {
    Error::InvalidIdentityToken(error.to_string())
}

fn unknown_issuer(issuer: &str) -> Error {
    let bare = issuer.strip_prefix("https://").unwrap_or(issuer);
    if BUILT_INTO_AWS.contains(&bare) {
        return invalid(format!(
            "{bare} is built into AWS and not into Palisade: create an OpenID Connect provider for it"
        ));
    }
    let issuer: String = issuer.chars().take(255).collect();
    invalid(format!(
        "No OpenIDConnect provider found in your account for {issuer}"
    ))
}

/// Holds the token's times against ours.
fn in_time(claims: &Claims, now: Timestamp) -> Result<(), Error> {
    let (now, skew) = (now.seconds(), PROVIDER_CLOCK_SKEW.as_secs().cast_signed());
    if now >= claims.expires {
        return Err(Error::ExpiredIdentityToken(format!(
            "Token expired: current date/time {now} must be before the expiration date/time {}",
            claims.expires
        )));
    }
    let begins = claims.not_before.unwrap_or(claims.issued).max(claims.issued);
    if now + skew < begins {
        return Err(invalid(
            "The ID Token is not yet valid: nbf or iat is in the future",
        ));
    }
    Ok(())
}

/// Whom the token is for: the party that it was given to, if it tells
/// (`azp`), and else one of its audiences that the provider has.
fn audience(claims: &Claims, provider: &OidcProvider) -> Result<String, Error> {
    let is_known = |audience: &&String| provider.client_ids.contains(*audience);
    let found = match &claims.authorized_party {
        Some(party) => Some(party).filter(is_known),
        None => claims.audiences.iter().find(is_known),
    };
    found.cloned().ok_or_else(|| invalid("Incorrect token audience"))
}

/// `ISSUER:aud` and its kin (IAM User Guide, "Available keys for AWS OIDC federation").
fn condition_keys(url: &str, claims: &Claims, audience: &str) -> Vec<(String, Value<'static>)> {
    let many = |values: &[String]| values.iter().cloned().collect::<Value<'static>>();
    let mut keys = vec![
        (format!("{url}:aud"), audience.to_owned().into()),
        (format!("{url}:sub"), claims.subject.clone().into()),
    ];
    if let (Some(_), [first, ..]) = (&claims.authorized_party, claims.audiences.as_slice()) {
        keys.push((format!("{url}:oaud"), first.clone().into()));
    }
    if !claims.methods.is_empty() {
        keys.push((format!("{url}:amr"), many(&claims.methods)));
    }
    keys
}

/// Tags that a foreign provider gives a session, held to what the model asks
/// of those that a caller gives.
///
/// # Errors
///
/// [`Error::InvalidIdentityToken`] for tags that no session may have.
pub(super) fn session_tags(given: &[(String, String)], transitive: &[String]) -> Result<SessionTags, Error> {
    let letters_ok = |text: &str| {
        text.chars()
            .all(|letter| letter.is_alphanumeric() || letter == ' ' || "_.:/=+-@".contains(letter))
    };
    let good = given.len() <= SESSION_TAGS_MAX
        && given.iter().all(|(key, value)| {
            (1..=128).contains(&key.chars().count())
                && value.chars().count() <= 256
                && letters_ok(key)
                && letters_ok(value)
        });
    if !good {
        return Err(invalid("The session tags in the token are not valid"));
    }
    let tags = given.iter().map(|(key, value)| Tag {
        key: key.clone(),
        value: value.clone(),
    });
    let tags = Tags::of_session(tags.collect()).map_err(invalid)?;
    SessionTags::new(&tags, transitive, Vec::new()).map_err(invalid)
}

/// A source identity that a foreign provider gives, held to what the model
/// asks of one that a caller gives.
///
/// # Errors
///
/// [`Error::InvalidIdentityToken`] for what no source identity may be.
pub(super) fn source_identity(given: Option<String>) -> Result<Option<String>, Error> {
    let good = |text: &str| {
        (2..=64).contains(&text.len()) && !text.to_ascii_lowercase().starts_with("aws:") && is_name(text)
    };
    match given {
        Some(text) if !good(&text) => Err(invalid("The source identity in the token is not valid")),
        given => Ok(given),
    }
}

/// Whether these are letters of a session's name: `[\w+=,.@-]*`.
pub(super) fn is_name(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
}

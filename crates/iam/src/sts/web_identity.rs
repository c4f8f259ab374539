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
use crate::limits::PROVIDER_CLOCK_SKEW;
use crate::model::{OidcProvider, Role};
use crate::store;
use crate::sts::role_session::{self, role_account};
use crate::sts::token::Federated;
use crate::sts::vouched::{Vouching, invalid, session_tags, source_identity};

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
    let vouching = Vouching {
        action: "sts:AssumeRoleWithWebIdentity",
        role_arn: &input.role_arn,
        session_name: input.role_session_name,
        tags,
        source_identity: source_identity.clone(),
        keys: condition_keys(&provider.url, &claims, &audience),
        asked_seconds: input.duration_seconds,
        policy: input.policy,
        policy_arns: input.policy_arns,
        token_size_min: input.minimum_session_token_size,
        federated: Federated {
            provider: provider_arn.clone(),
            is_web: true,
            keys: vec![
                (format!("{}:aud", provider.url), audience.clone()),
                (format!("{}:sub", provider.url), claims.subject.clone()),
            ],
        },
    };
    let lasts = |asked, role: &Role| role_session::duration_seconds(asked, role.max_session_seconds, false);
    let begun = vouching.begin(cx, &rows, lasts).await?;
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

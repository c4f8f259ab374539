//! `AssumeRoleWithSAML`: a session of a role, for whoever a SAML provider of
//! the role's account vouches for, under the name that it gives.
//!
//! Nobody signs the call: until the response is proven the caller is nobody.
//! From then on it is the bearer of the provider's assertion, which must name
//! the role together with the provider, and whom the role's trust policy must
//! let in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use federation::saml::{Assertion, BadResponse, Metadata, condition_key};
use gate::{Caller, Cx, Vouched};
use ground::{AccountId, Timestamp};
use policy::{Principal, Value};
use sts_api::{AssumeRoleWithSAMLInput, AssumeRoleWithSAMLOutput};

use crate::Sts;
use crate::error::Error;
use crate::limits::{ROLE_SESSION_DEFAULT_SECONDS, ROLE_SESSION_MIN_SECONDS, SESSION_TAGS_MAX};
use crate::model::{Role, SamlProvider};
use crate::store::{self, SAML_PROVIDERS};
use crate::sts::role_session::{self, role_account};
use crate::sts::token::Federated;
use crate::sts::vouched::{Vouching, invalid, is_name, session_tags, source_identity};

/// Where AWS's own attributes begin.
const OWN: &str = "https://aws.amazon.com/SAML/Attributes/";

pub(crate) async fn assume_role_with_saml(
    _sts: &Sts,
    cx: &Cx,
    input: AssumeRoleWithSAMLInput,
) -> Result<AssumeRoleWithSAMLOutput, Error> {
    let account = role_account(&input.role_arn)?;
    let rows = store::rows_of(cx.view(), account);
    let provider = rows
        .saml_provider_of(&input.principal_arn)
        .await?
        .filter(|provider| cx.now() < provider.valid_until)
        .ok_or_else(|| invalid("Specified provider doesn't exist"))?;
    let metadata = Metadata::parse(&provider.metadata).map_err(|error| unreadable(&error))?;
    let response = decoded(input.saml_assertion.expose())?;
    let assertion = Assertion::prove(&response, &metadata, cx.now()).map_err(refused)?;

    let qualifier = name_qualifier(&assertion.issuer, account, &provider.name);
    cx.is_proven_to_be(Caller::vouched_for(
        Principal::saml(&input.principal_arn),
        account,
        &Vouched {
            principal_id: &format!("{qualifier}:{}", assertion.subject),
            user_name: &assertion.subject,
            identity_provider: &qualifier,
        },
    ));
    cx.note("sAMLAssertionID", assertion.id.clone());
    if !is_offered(&assertion, &input.role_arn, &input.principal_arn) {
        return Err(Error::AccessDenied(
            "Not authorized to perform sts:AssumeRoleWithSAML",
        ));
    }
    let session_name = session_name(&assertion)?;
    let tags = session_tags(
        &principal_tags(&assertion)?,
        &texts(&assertion, "TransitiveTagKeys"),
    )?;
    let source_identity = source_identity(one(&assertion, "SourceIdentity")?)?;
    let vouching = Vouching {
        action: "sts:AssumeRoleWithSAML",
        role_arn: &input.role_arn,
        session_name,
        tags,
        source_identity: source_identity.clone(),
        keys: condition_keys(&assertion, account, &provider, &qualifier),
        asked_seconds: input.duration_seconds,
        policy: input.policy,
        policy_arns: input.policy_arns,
        token_size_min: input.minimum_session_token_size,
        federated: Federated {
            provider: input.principal_arn,
            is_web: false,
            // Those that AWS calls cross-service keys.
            keys: vec![
                ("saml:namequalifier".to_owned(), qualifier.clone()),
                ("saml:sub".to_owned(), assertion.subject.clone()),
                ("saml:sub_type".to_owned(), assertion.subject_type.clone()),
            ],
        },
    };
    let lasts = |asked, role: &Role| duration_seconds(&assertion, asked, role.max_session_seconds, cx.now());
    let begun = vouching.begin(cx, &rows, lasts).await?;
    Ok(AssumeRoleWithSAMLOutput {
        credentials: Some(begun.credentials),
        assumed_role_user: Some(begun.user),
        packed_policy_size: begun.packed,
        subject: Some(assertion.subject),
        subject_type: Some(assertion.subject_type),
        issuer: Some(assertion.issuer),
        audience: Some(assertion.recipient),
        name_qualifier: Some(qualifier),
        source_identity,
        session_token_size: begun.token_size,
        session_token_utilization: None,
    })
}

/// Metadata was read before it was kept.
fn unreadable(error: &federation::saml::BadMetadata) -> Error {
    Error::Store(::store::StoreError::BadRecord {
        table: SAML_PROVIDERS.name(),
        reason: format!("its metadata is refused: {error}"),
    })
}

fn refused(bad: BadResponse) -> Error {
    match bad {
        BadResponse::Expired => Error::ExpiredIdentityToken(bad.to_string()),
        BadResponse::Status => Error::IdpRejectedClaim(bad.to_string()),
        BadResponse::Audience
        | BadResponse::Encrypted
        | BadResponse::Issuer
        | BadResponse::Malformed(_)
        | BadResponse::NotYet
        | BadResponse::Signature => invalid(bad),
    }
}

/// The XML in a posted response.
fn decoded(base64: &str) -> Result<String, Error> {
    let text: String = base64
        .chars()
        .filter(|letter| !letter.is_ascii_whitespace())
        .collect();
    let bytes = STANDARD
        .decode(text)
        .map_err(|_| invalid("Invalid base64 SAMLResponse"))?;
    String::from_utf8(bytes).map_err(|_| invalid("Invalid SAML response: not UTF-8"))
}

/// `NameQualifier`: one for each pair of issuer and provider (STS API Reference).
fn name_qualifier(issuer: &str, account: AccountId, provider: &str) -> String {
    let account = account.to_string();
    STANDARD.encode(crypto::foreign::sha1_name(&[
        issuer.as_bytes(),
        account.as_bytes(),
        b"/",
        provider.as_bytes(),
    ]))
}

fn texts(assertion: &Assertion, name: &str) -> Vec<String> {
    assertion
        .values(&format!("{OWN}{name}"))
        .map(str::to_owned)
        .collect()
}

/// The one value of an attribute, if it is there.
fn one(assertion: &Assertion, name: &str) -> Result<Option<String>, Error> {
    let mut values = texts(assertion, name);
    match values.len() {
        0 | 1 => Ok(values.pop()),
        _ => Err(invalid(format!("{name} must have one value in AuthnResponse"))),
    }
}

/// Whether the assertion names the role together with the provider, in either order.
fn is_offered(assertion: &Assertion, role: &str, provider: &str) -> bool {
    texts(assertion, "Role").iter().any(|pair| {
        let Some((first, second)) = pair.split_once(',') else {
            return false;
        };
        let (first, second) = (first.trim(), second.trim());
        (first == role && second == provider) || (first == provider && second == role)
    })
}

fn session_name(assertion: &Assertion) -> Result<String, Error> {
    let name = one(assertion, "RoleSessionName")?
        .ok_or_else(|| invalid("RoleSessionName is required in AuthnResponse"))?;
    if !(2..=64).contains(&name.len()) || !is_name(&name) {
        return Err(invalid(
            "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}",
        ));
    }
    Ok(name)
}

/// `PrincipalTag:KEY`, each with one value.
fn principal_tags(assertion: &Assertion) -> Result<Vec<(String, String)>, Error> {
    let prefix = format!("{OWN}PrincipalTag:");
    let mut tags = Vec::new();
    for attribute in &assertion.attributes {
        let Some(key) = attribute.name.strip_prefix(&prefix) else {
            continue;
        };
        let [value] = attribute.values.as_slice() else {
            return Err(invalid("PrincipalTag must have one value in AuthnResponse"));
        };
        tags.push((key.to_owned(), value.clone()));
        if tags.len() > SESSION_TAGS_MAX {
            return Err(invalid("The session tags in the token are not valid"));
        }
    }
    Ok(tags)
}

/// The condition keys of the trust policy (IAM User Guide, "Available keys for
/// SAML-based AWS STS federation").
fn condition_keys(
    assertion: &Assertion,
    account: AccountId,
    provider: &SamlProvider,
    qualifier: &str,
) -> Vec<(String, Value<'static>)> {
    let mut keys: Vec<(String, Value<'static>)> = vec![
        ("saml:aud".to_owned(), assertion.recipient.clone().into()),
        ("saml:iss".to_owned(), assertion.issuer.clone().into()),
        ("saml:sub".to_owned(), assertion.subject.clone().into()),
        ("saml:sub_type".to_owned(), assertion.subject_type.clone().into()),
        ("saml:namequalifier".to_owned(), qualifier.to_owned().into()),
        (
            "saml:doc".to_owned(),
            format!("{account}/{}", provider.name).into(),
        ),
    ];
    for attribute in &assertion.attributes {
        match (condition_key(&attribute.name), attribute.values.as_slice()) {
            (None, _) | (_, []) => {}
            (Some((key, false)), [first, ..]) => keys.push((key.to_owned(), first.clone().into())),
            (Some((key, true)), all) => keys.push((key.to_owned(), all.iter().cloned().collect())),
        }
    }
    keys
}

/// How long the session lasts: as asked, or as the assertion says, and no
/// longer than the provider's own session.
fn duration_seconds(
    assertion: &Assertion,
    asked: Option<u32>,
    role_max: u32,
    now: Timestamp,
) -> Result<u32, Error> {
    let said = one(assertion, "SessionDuration")?;
    let said = match said {
        None => None,
        Some(text) => {
            let seconds = text.parse::<u32>().ok();
            let seconds = seconds.filter(|seconds| (ROLE_SESSION_MIN_SECONDS..=43_200).contains(seconds));
            Some(seconds.ok_or_else(|| {
                invalid("SessionDuration in AuthnResponse must be a number of seconds from 900 to 43200")
            })?)
        }
    };
    // The shorter of what is asked and what the provider says (STS API Reference).
    let wanted = match (asked, said) {
        (Some(asked), Some(said)) => asked.min(said),
        (asked, said) => asked.or(said).unwrap_or(ROLE_SESSION_DEFAULT_SECONDS),
    };
    let wanted = role_session::duration_seconds(Some(wanted), role_max, false)?;
    let Some(ends) = assertion.session_ends else {
        return Ok(wanted);
    };
    let left = ends.seconds() - now.seconds();
    match u32::try_from(left) {
        Ok(left) if left > 0 => Ok(wanted.min(left)),
        _ => Err(Error::ExpiredIdentityToken(
            "The provider's session has ended (SessionNotOnOrAfter)".to_owned(),
        )),
    }
}

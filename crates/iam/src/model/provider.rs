//! Foreign identity providers that an account trusts: OpenID Connect and SAML.
//!
//! A provider has no unique id that a trust policy could be bound to: as on
//! AWS, roles name it by its ARN, and one made anew under the same address or
//! name is trusted like the one before.
//!
//! Absent by design: private keys to decrypt assertions with.

use ground::{AccountId, Arn, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::limits::{
    OIDC_CLIENT_IDS_MAX, OIDC_THUMBPRINTS_MAX, OIDC_URL_CHARACTERS_MAX, SAML_PROVIDER_DEFAULT_VALIDITY,
};
use crate::model::{Tags, arn};

/// An OpenID Connect provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OidcProvider {
    /// Its address without `https://`, which is what it signs as.
    pub(crate) url: String,
    /// Audiences that its tokens may be for.
    pub(crate) client_ids: Vec<String>,
    /// Of certificates that its server may show beside those of trusted
    /// authorities, in lower-case hexadecimal.
    pub(crate) thumbprints: Vec<String>,
    pub(crate) created: Timestamp,
    pub(crate) tags: Tags,
}

impl OidcProvider {
    /// `arn:aws:iam::A:oidc-provider/HOST/PATH`
    pub(crate) fn arn(&self, account: AccountId) -> String {
        arn(account, "oidc-provider", "/", &self.url)
    }

    /// The address in an ARN of a provider of this account.
    pub(crate) fn url_in(account: AccountId, text: &str) -> Option<String> {
        in_arn(account, text, "oidc-provider/")
    }
}

fn in_arn(account: AccountId, text: &str, kind: &str) -> Option<String> {
    let arn = Arn::parse(text).ok()?;
    let own = arn.service == "iam" && arn.region.is_empty() && arn.account_id() == Some(account);
    let rest = arn.resource.strip_prefix(kind).filter(|_| own)?;
    Some(rest.to_owned())
}

/// Reads the address of a provider; gives it without its scheme.
///
/// A port is taken, which AWS discourages: inside a network issuers have them.
///
/// # Errors
///
/// [`Error::Validation`] unless it is an https address of host and path.
pub(crate) fn oidc_url(text: &str) -> Result<String, Error> {
    let invalid = || Error::Validation("Invalid Open ID Connect Provider URL".to_owned());
    let bare = text.strip_prefix("https://").ok_or_else(invalid)?;
    let (authority, path) = bare.split_once('/').unwrap_or((bare, ""));
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    let label_ok = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
    };
    let host_ok = host.split('.').all(label_ok);
    let port_ok = port.parse::<u16>().is_ok_and(|port| port != 0);
    let path_ok = path
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte));
    let climbs = path.split('/').any(|part| part == "." || part == "..");
    if host_ok && port_ok && path_ok && !climbs && text.len() <= OIDC_URL_CHARACTERS_MAX {
        Ok(bare.to_owned())
    } else {
        Err(invalid())
    }
}

/// Thumbprints as kept.
///
/// # Errors
///
/// [`Error::InvalidInput`] for what is no SHA-1 digest in hexadecimal,
/// [`Error::LimitExceeded`] beyond five.
pub(crate) fn thumbprints(given: Vec<String>) -> Result<Vec<String>, Error> {
    if given.len() > OIDC_THUMBPRINTS_MAX {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for ThumbprintsPerOpenIdConnectProvider: {OIDC_THUMBPRINTS_MAX}"
        )));
    }
    let mut kept: Vec<String> = Vec::with_capacity(given.len());
    for one in given {
        let one = one.to_ascii_lowercase();
        if one.len() != 40 || !one.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::InvalidInput(
                "Thumbprints must be the SHA-1 digests of certificates, 40 hexadecimal digits each."
                    .to_owned(),
            ));
        }
        if !kept.contains(&one) {
            kept.push(one);
        }
    }
    Ok(kept)
}

/// Client ids as kept, each once.
///
/// # Errors
///
/// [`Error::LimitExceeded`] beyond a hundred.
pub(crate) fn client_ids(given: Vec<String>) -> Result<Vec<String>, Error> {
    let mut kept: Vec<String> = Vec::with_capacity(given.len());
    for one in given {
        if !kept.contains(&one) {
            kept.push(one);
        }
    }
    if kept.len() > OIDC_CLIENT_IDS_MAX {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {OIDC_CLIENT_IDS_MAX}"
        )));
    }
    Ok(kept)
}

/// A SAML provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SamlProvider {
    pub(crate) name: String,
    /// `SAMLProviderUUID`, never given twice.
    pub(crate) id: String,
    /// The metadata document, as given.
    pub(crate) metadata: String,
    pub(crate) created: Timestamp,
    /// After this its assertions are not accepted.
    pub(crate) valid_until: Timestamp,
    pub(crate) tags: Tags,
}

impl SamlProvider {
    /// `arn:aws:iam::A:saml-provider/NAME`
    pub(crate) fn arn(&self, account: AccountId) -> String {
        arn(account, "saml-provider", "/", &self.name)
    }

    /// The name in an ARN of a provider of this account.
    pub(crate) fn name_in(account: AccountId, text: &str) -> Option<String> {
        in_arn(account, text, "saml-provider/")
    }
}

/// Until when metadata that is taken up at `now` may be used.
///
/// # Errors
///
/// [`Error::InvalidInput`] if it is no metadata of an identity provider, or out of date.
pub(crate) fn saml_validity(metadata: &str, now: Timestamp) -> Result<Timestamp, Error> {
    let read = federation::saml::Metadata::parse(metadata)
        .map_err(|error| Error::InvalidInput(format!("{error}.")))?;
    match read.valid_until {
        None => Ok(now.after(SAML_PROVIDER_DEFAULT_VALIDITY)),
        Some(until) if until <= now => Err(Error::InvalidInput(
            "The metadata document has expired (validUntil).".to_owned(),
        )),
        Some(until) => Ok(until),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_https_addresses_are_issuers() {
        for good in [
            "https://token.actions.githubusercontent.com",
            "https://oidc.eks.us-east-1.amazonaws.com/id/ABC",
            "https://tenant.auth0.com/",
            "https://localhost:8443/realms/dev",
            "https://127.0.0.1:8443",
        ] {
            assert_eq!(
                Some(oidc_url(good).unwrap().as_str()),
                good.strip_prefix("https://")
            );
        }
        let long = format!("https://{}.example.com", "a".repeat(255));
        for bad in [
            "http://example.com",
            "example.com",
            "https://",
            "https:///path",
            "https://user@example.com",
            "https://example.com?query",
            "https://example.com/a?query",
            "https://example.com/#part",
            "https://example.com:0",
            "https://example.com:99999",
            "https://example.com:",
            "https://EXAMPLE.com",
            "https://example..com",
            "https://example.com/../x",
            "https://example.com/a b",
            "https://exämple.com",
            "https://[::1]/",
            &long,
        ] {
            assert!(oidc_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_have_their_limits() {
        let ids = |count: usize| (0..count).map(|at| format!("client-{at}")).collect::<Vec<_>>();
        assert_eq!(client_ids(ids(100)).unwrap().len(), 100);
        assert!(client_ids(ids(101)).is_err());
        assert_eq!(client_ids(vec!["a".into(), "a".into()]).unwrap(), ["a"]);
        let print = |at: usize| format!("{at:040X}");
        assert_eq!(
            thumbprints(vec![print(10), print(10)]).unwrap(),
            [format!("{:040x}", 10)]
        );
        assert!(thumbprints((0..6).map(print).collect()).is_err());
        assert!(thumbprints(vec!["g".repeat(40)]).is_err());
    }

    #[test]
    fn arns_name_providers_of_their_own_account_and_kind() {
        let account = AccountId::parse("123456789012").unwrap();
        let url = OidcProvider::url_in(
            account,
            "arn:aws:iam::123456789012:oidc-provider/localhost:8443/a/b",
        );
        assert_eq!(url.as_deref(), Some("localhost:8443/a/b"));
        for other in [
            "arn:aws:iam::123456789013:oidc-provider/a",
            "arn:aws:iam::123456789012:saml-provider/a",
            "arn:aws:sts::123456789012:oidc-provider/a",
            "arn:aws:iam:us-east-1:123456789012:oidc-provider/a",
            "a",
        ] {
            assert_eq!(OidcProvider::url_in(account, other), None, "{other}");
        }
    }
}

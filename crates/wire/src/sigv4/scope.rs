//! For what a signature was made: the day, the region or regions, the service.

use std::borrow::Cow;

use super::SignatureFault;
use super::fault::Place;
use super::limits::{CREDENTIAL_BYTES_MAX, REGION_SET_MAX};
use super::pieces::pieces;

/// The last element of every credential scope.
pub(crate) const TERMINATOR: &str = "aws4_request";

/// The two algorithms of Signature Version 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `AWS4-HMAC-SHA256`: one region, a key derived per day, region and service.
    V4,
    /// `AWS4-ECDSA-P256-SHA256`: a set of regions, a key pair derived per access key.
    V4a,
}

impl Algorithm {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::V4 => "AWS4-HMAC-SHA256",
            Algorithm::V4a => "AWS4-ECDSA-P256-SHA256",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Algorithm> {
        [Algorithm::V4, Algorithm::V4a]
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }
}

/// The scope of a credential.
///
/// With the access key id it names the signing key, so it can be the key of a cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope<'a> {
    pub(crate) date: Cow<'a, str>,
    pub(crate) region: Regions<'a>,
    pub(crate) service: Cow<'a, str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Regions<'a> {
    One(Cow<'a, str>),
    /// The text of `X-Amz-Region-Set`; not part of the scope that is signed as such.
    Set(Cow<'a, str>),
}

impl Scope<'_> {
    /// The day, `YYYYMMDD`.
    pub fn date(&self) -> &str {
        &self.date
    }

    /// The region; `None` for a Version 4A signature, which names a set.
    pub fn region(&self) -> Option<&str> {
        match &self.region {
            Regions::One(region) => Some(region),
            Regions::Set(_) => None,
        }
    }

    /// The region, or the region set as written in the request.
    pub fn region_text(&self) -> &str {
        match &self.region {
            Regions::One(region) | Regions::Set(region) => region,
        }
    }

    /// Whether the signature is good in `region`. A region set may hold
    /// patterns such as `us-*` and `*`.
    pub fn covers(&self, region: &str) -> bool {
        match &self.region {
            Regions::One(one) => one == region,
            Regions::Set(set) => set
                .split(',')
                .any(|pattern| matches_pattern(pattern.trim(), region)),
        }
    }

    /// The service's signing name.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Whether the service signs as S3 does: the path as it is and a payload
    /// declared in `x-amz-content-sha256`.
    pub fn is_s3(&self) -> bool {
        signs_like_s3(&self.service)
    }

    /// Appends the scope as it stands in the string to sign.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.date.as_bytes());
        out.push(b'/');
        if let Regions::One(region) = &self.region {
            out.extend_from_slice(region.as_bytes());
            out.push(b'/');
        }
        out.extend_from_slice(self.service.as_bytes());
        out.push(b'/');
        out.extend_from_slice(TERMINATOR.as_bytes());
    }

    /// The same scope, kept beyond the request.
    pub fn into_owned(self) -> Scope<'static> {
        Scope {
            date: Cow::Owned(self.date.into_owned()),
            region: match self.region {
                Regions::One(region) => Regions::One(Cow::Owned(region.into_owned())),
                Regions::Set(set) => Regions::Set(Cow::Owned(set.into_owned())),
            },
            service: Cow::Owned(self.service.into_owned()),
        }
    }
}

/// Whether a service's signing name follows the rules of S3.
pub(crate) fn signs_like_s3(service: &str) -> bool {
    matches!(service, "s3" | "s3-object-lambda" | "s3-outposts" | "s3express")
}

/// Splits `keyid/date/region/service/aws4_request` (no region in Version 4A).
pub(crate) fn parse_credential<'a>(
    place: Place,
    algorithm: Algorithm,
    credential: Cow<'a, str>,
    region_set: Option<Cow<'a, str>>,
) -> Result<(Cow<'a, str>, Scope<'a>), SignatureFault> {
    if credential.len() > CREDENTIAL_BYTES_MAX {
        return Err(SignatureFault::TooLarge {
            what: "Credential",
            max: CREDENTIAL_BYTES_MAX,
        });
    }
    match credential {
        Cow::Borrowed(text) => split_credential(place, algorithm, text, region_set, Cow::Borrowed),
        Cow::Owned(text) => split_credential(place, algorithm, &text, region_set, |part| {
            Cow::Owned(part.to_owned())
        }),
    }
}

fn split_credential<'a, 'b>(
    place: Place,
    algorithm: Algorithm,
    text: &'b str,
    region_set: Option<Cow<'a, str>>,
    keep: impl Fn(&'b str) -> Cow<'a, str>,
) -> Result<(Cow<'a, str>, Scope<'a>), SignatureFault> {
    let malformed = || SignatureFault::CredentialMalformed {
        place,
        algorithm,
        given: text.to_owned(),
    };
    let mut elements = pieces(text, b'/');
    let mut element = || {
        elements
            .next()
            .filter(|part| !part.is_empty())
            .ok_or_else(malformed)
    };
    let key_id = element()?;
    let date = element()?;
    let region = match (algorithm, region_set) {
        (Algorithm::V4, _) => Regions::One(keep(element()?)),
        (Algorithm::V4a, Some(set)) => Regions::Set(set),
        (Algorithm::V4a, None) => return Err(SignatureFault::RegionSetMissing),
    };
    let service = element()?;
    let terminator = element()?;
    // Looks at every byte without stopping early, which the compiler does many at a time.
    let plain = text
        .bytes()
        .fold(true, |plain, byte| plain & byte.is_ascii_graphic());
    if elements.next().is_some() || !plain {
        return Err(malformed());
    }
    if let Regions::Set(set) = &region
        && (set.is_empty() || set.split(',').count() > REGION_SET_MAX || set.len() > REGION_SET_MAX * 32)
    {
        return Err(SignatureFault::TooLarge {
            what: "X-Amz-Region-Set",
            max: REGION_SET_MAX,
        });
    }
    if terminator != TERMINATOR {
        return Err(SignatureFault::TerminatorWrong {
            place,
            given: terminator.to_owned(),
        });
    }
    let scope = Scope {
        date: keep(date),
        region,
        service: keep(service),
    };
    Ok((keep(key_id), scope))
}

/// Whether `text` matches `pattern`, where `*` stands for any run of characters.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_sets_match_as_patterns() {
        let scope = |set: &str| Scope {
            date: "20260101".into(),
            region: Regions::Set(set.to_owned().into()),
            service: "kms".into(),
        };
        for set in [
            "*",
            "us-*",
            "us-east-1",
            "eu-west-1, us-east-1",
            "*-east-*",
            "us-*-1",
            "us-east-1*",
        ] {
            assert!(scope(set).covers("us-east-1"), "{set}");
        }
        for set in [
            "eu-*",
            "us-east-2",
            "us-east-1-",
            "",
            ",",
            "us-*-2",
            "*east",
            "us-east",
        ] {
            assert!(!scope(set).covers("us-east-1"), "{set}");
        }
    }

    #[test]
    fn a_credential_has_exactly_five_elements() {
        let parse =
            |text: &'static str| parse_credential(Place::Header, Algorithm::V4, Cow::Borrowed(text), None);
        let (key_id, scope) = parse("AKID/20260101/eu-central-1/kms/aws4_request").unwrap();
        assert_eq!(
            (key_id.as_ref(), scope.date(), scope.region(), scope.service()),
            ("AKID", "20260101", Some("eu-central-1"), "kms")
        );
        for text in [
            "",
            "AKID",
            "AKID/20260101/eu-central-1/kms",
            "AKID/20260101/eu-central-1/kms/aws4_request/x",
            "AKID/20260101/eu-central-1/kms/aws4_request/",
            "/20260101/eu-central-1/kms/aws4_request",
            "AKID/20260101//kms/aws4_request",
            "AK ID/20260101/eu-central-1/kms/aws4_request",
        ] {
            let fault = parse(text).unwrap_err();
            assert!(
                matches!(fault, SignatureFault::CredentialMalformed { .. }),
                "{text}"
            );
        }
        assert!(matches!(
            parse("AKID/20260101/eu-central-1/kms/aws5_request").unwrap_err(),
            SignatureFault::TerminatorWrong { .. }
        ));
    }
}

//! OpenID Connect tokens: signed JSON (RFC 7519, RFC 7515) and the keys of
//! their issuers (RFC 7517).
//!
//! The algorithm is the token's, out of those AWS takes (RS256, RS384, RS512,
//! ES256, ES384), and only if the key that the token names is of its family
//! and allows it. Keys, addresses and certificates in a token's head are
//! ignored; a head with critical extensions is refused.
//!
//! Absent by design: the time, which the caller holds the claims against; and
//! ES512, which the library does not know.

use std::collections::HashSet;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::Value;

use crate::limits::{KEY_SET_BYTES_MAX, KEYS_MAX, TOKEN_CHARACTERS_MAX};

/// The public keys of an issuer.
#[derive(Debug, Clone, Default)]
pub struct Keys(Vec<Jwk>);

/// The document is no set of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a set of public keys (JWKS) of at most {KEY_SET_BYTES_MAX} bytes")]
pub struct BadKeys;

impl Keys {
    /// Reads a set of keys. Those of kinds that are not known are left out.
    ///
    /// # Errors
    ///
    /// [`BadKeys`] if it is no set, or too large.
    pub fn parse(document: &[u8]) -> Result<Keys, BadKeys> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        if document.len() > KEY_SET_BYTES_MAX {
            return Err(BadKeys);
        }
        let set: Set = serde_json::from_slice(document).map_err(|_| BadKeys)?;
        if set.keys.len() > KEYS_MAX {
            return Err(BadKeys);
        }
        let known = set
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value(key).ok());
        Ok(Keys(known.collect()))
    }

    /// The one key with this id. Two of one id are none: nobody could say which is meant.
    fn named(&self, id: &str) -> Option<&Jwk> {
        let mut found = self
            .0
            .iter()
            .filter(|key| key.common.key_id.as_deref() == Some(id));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }
}

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// Its algorithm is not one of those taken, or not its key's.
    #[error("The ID Token's algorithm is not supported, or not that of its key")]
    Algorithm,
    /// A claim that every token must have is missing, or is no text, list or number as it must be.
    #[error("Missing a required claim: {0}")]
    Claim(&'static str),
    /// No key of the issuer has the id that it names.
    #[error("The ID Token names no key of its issuer")]
    Key,
    /// It is no signed token.
    #[error("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")]
    Malformed,
    /// Its issuer did not sign it as it stands.
    #[error("The ID Token's signature is not valid")]
    Signature,
}

/// A token whose signature is yet to be proven.
#[derive(Debug)]
pub struct Unproven<'a> {
    token: &'a str,
    /// Who says it is the issuer.
    pub issuer: String,
}

/// What a token vouches for.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    /// `iss`
    pub issuer: String,
    /// `sub`
    pub subject: String,
    /// `aud`, one or several.
    pub audiences: Vec<String>,
    /// `azp`
    pub authorized_party: Option<String>,
    /// `exp`, in seconds since 1970.
    pub expires: i64,
    /// `iat`, in seconds since 1970.
    pub issued: i64,
    /// `nbf`, in seconds since 1970.
    pub not_before: Option<i64>,
    /// `amr`
    pub methods: Vec<String>,
    /// `https://aws.amazon.com/tags`, `principal_tags`: key and value, as given.
    pub tags: Vec<(String, String)>,
    /// `https://aws.amazon.com/tags`, `transitive_tag_keys`
    pub transitive_tag_keys: Vec<String>,
    /// `https://aws.amazon.com/source_identity`
    pub source_identity: Option<String>,
}

impl<'a> Unproven<'a> {
    /// Reads who says it issued a token.
    ///
    /// # Errors
    ///
    /// [`BadToken`] if it is no signed token with an issuer.
    pub fn parse(token: &'a str) -> Result<Unproven<'a>, BadToken> {
        if token.len() > TOKEN_CHARACTERS_MAX {
            return Err(BadToken::Malformed);
        }
        let claims: Value =
            jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| BadToken::Malformed)?;
        Ok(Unproven {
            token,
            issuer: text(&claims, "iss")?,
        })
    }

    /// Whether `keys` hold the key that the token names.
    ///
    /// # Errors
    ///
    /// [`BadToken`] if it names none, or asks for what is not taken.
    pub fn is_key_among(&self, keys: &Keys) -> Result<bool, BadToken> {
        Ok(keys.named(&self.head()?.1).is_some())
    }

    /// The algorithm and the key's id.
    fn head(&self) -> Result<(Algorithm, String), BadToken> {
        let head = jsonwebtoken::decode_header(self.token).map_err(|_| BadToken::Algorithm)?;
        if head.crit.is_some() {
            return Err(BadToken::Malformed);
        }
        match head.alg {
            Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 | Algorithm::ES256 | Algorithm::ES384 => {
                Ok((head.alg, head.kid.ok_or(BadToken::Key)?))
            }
            _ => Err(BadToken::Algorithm),
        }
    }

    /// Proves the signature with the keys of the issuer, and reads the claims.
    ///
    /// # Errors
    ///
    /// [`BadToken`] if the issuer did not sign it, or it lacks a claim.
    pub fn prove(&self, keys: &Keys) -> Result<Claims, BadToken> {
        let (algorithm, id) = self.head()?;
        let key = keys.named(&id).ok_or(BadToken::Key)?;
        if !allows(key, algorithm) {
            return Err(BadToken::Algorithm);
        }
        let decoding = DecodingKey::from_jwk(key).map_err(|_| BadToken::Key)?;
        let mut validation = Validation::new(algorithm);
        // Time, audience and issuer are the caller's to judge.
        validation.required_spec_claims = HashSet::new();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let proven = jsonwebtoken::decode::<Value>(self.token, &decoding, &validation)
            .map_err(|_| BadToken::Signature)?;
        Claims::read(&proven.claims)
    }
}

/// Whether the key is of the algorithm's family, is to sign with, and names no other algorithm.
fn allows(key: &Jwk, algorithm: Algorithm) -> bool {
    let family = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::RSA(_), Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512) => true,
        (AlgorithmParameters::EllipticCurve(curve), Algorithm::ES256) => curve.curve == EllipticCurve::P256,
        (AlgorithmParameters::EllipticCurve(curve), Algorithm::ES384) => curve.curve == EllipticCurve::P384,
        _ => false,
    };
    let signs = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let named = match key.common.key_algorithm {
        None => true,
        Some(named) => matches!(
            (named, algorithm),
            (KeyAlgorithm::RS256, Algorithm::RS256)
                | (KeyAlgorithm::RS384, Algorithm::RS384)
                | (KeyAlgorithm::RS512, Algorithm::RS512)
                | (KeyAlgorithm::ES256, Algorithm::ES256)
                | (KeyAlgorithm::ES384, Algorithm::ES384)
        ),
    };
    family && signs && named
}

impl Claims {
    fn read(claims: &Value) -> Result<Claims, BadToken> {
        let session = claims.get("https://aws.amazon.com/tags");
        let mut tags = Vec::new();
        if let Some(given) = session.and_then(|session| session.get("principal_tags")) {
            let given = given.as_object().ok_or(BadToken::Claim(TAGS))?;
            for (key, value) in given {
                let value = one_text(value).ok_or(BadToken::Claim(TAGS))?;
                tags.push((key.clone(), value.to_owned()));
            }
        }
        let transitive = session.and_then(|session| session.get("transitive_tag_keys"));
        Ok(Claims {
            issuer: text(claims, "iss")?,
            subject: text(claims, "sub")?,
            audiences: texts(claims.get("aud"))
                .filter(|all| !all.is_empty())
                .ok_or(BadToken::Claim("aud"))?,
            authorized_party: optional_text(claims, "azp")?,
            expires: seconds(claims, "exp")?.ok_or(BadToken::Claim("exp"))?,
            issued: seconds(claims, "iat")?.ok_or(BadToken::Claim("iat"))?,
            not_before: seconds(claims, "nbf")?,
            methods: match claims.get("amr") {
                None => Vec::new(),
                given => texts(given).ok_or(BadToken::Claim("amr"))?,
            },
            tags,
            transitive_tag_keys: match transitive {
                None => Vec::new(),
                given => texts(given).ok_or(BadToken::Claim(TAGS))?,
            },
            source_identity: optional_text(claims, "https://aws.amazon.com/source_identity")?,
        })
    }
}

const TAGS: &str = "https://aws.amazon.com/tags";

fn text(claims: &Value, name: &'static str) -> Result<String, BadToken> {
    optional_text(claims, name)?
        .filter(|text| !text.is_empty())
        .ok_or(BadToken::Claim(name))
}

fn optional_text(claims: &Value, name: &'static str) -> Result<Option<String>, BadToken> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(BadToken::Claim(name)),
    }
}

/// A moment, which may have a fraction (RFC 7519, NumericDate); it is cut off.
fn seconds(claims: &Value, name: &'static str) -> Result<Option<i64>, BadToken> {
    const FAR: f64 = 253_402_300_800.0;
    match claims.get(name) {
        None => Ok(None),
        Some(given) => match (given.as_i64(), given.as_f64()) {
            (Some(whole), _) if (0..253_402_300_800).contains(&whole) => Ok(Some(whole)),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the fraction is cut off, the range is checked"
            )]
            (None, Some(number)) if (0.0..FAR).contains(&number) => Ok(Some(number as i64)),
            _ => Err(BadToken::Claim(name)),
        },
    }
}

/// One text, or a list of texts.
fn texts(given: Option<&Value>) -> Option<Vec<String>> {
    match given? {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(many) => many.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

/// One text, also as the only one of a list.
fn one_text(given: &Value) -> Option<&str> {
    match given {
        Value::String(one) => Some(one),
        Value::Array(many) => match many.as_slice() {
            [only] => only.as_str(),
            _ => None,
        },
        _ => None,
    }
}

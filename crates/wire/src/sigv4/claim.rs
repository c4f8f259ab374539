//! What a request says of who sent it, and the proof.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use ground::Timestamp;
use http::{HeaderMap, HeaderName};

use super::fault::Place;
use super::payload::{self, CONTENT_SHA256, Known, UNSIGNED_PAYLOAD};
use super::pieces::{pieces, split_once};
use super::scope::parse_credential;
use super::{Algorithm, ChunkChain, Payload, PayloadHash, RequestParts, Scope, SigningKey};
use super::{Mismatch, SignatureFault, canonical, limits};

/// Where the signature was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In the `Authorization` header.
    Header,
    /// In the query.
    Presigned {
        /// How long after its date the request may be sent.
        expires: Duration,
    },
}

/// What a request says of who signed it. Nothing of it is believed before
/// [`Claim::verify`] has answered `Ok`.
///
/// No `Debug`: it holds a session token.
pub struct Claim<'a> {
    algorithm: Algorithm,
    kind: Kind,
    access_key_id: Cow<'a, str>,
    scope: Scope<'a>,
    signed_headers: Cow<'a, str>,
    signature: Cow<'a, str>,
    session_token: Option<Cow<'a, str>>,
    signed_at: Timestamp,
    /// The moment as it stands in the string to sign.
    amz_date: Cow<'a, str>,
}

impl<'a> Claim<'a> {
    /// Reads the claim of a request.
    ///
    /// # Errors
    ///
    /// [`SignatureFault::Unsigned`] if the request makes no claim, and a fault
    /// that says what is wrong with it otherwise.
    pub fn parse(parts: &RequestParts<'a>) -> Result<Claim<'a>, SignatureFault> {
        if parts.path.len() > limits::PATH_BYTES_MAX {
            return Err(SignatureFault::TooLarge {
                what: "path",
                max: limits::PATH_BYTES_MAX,
            });
        }
        let presigned = Presigned::find(parts.query)?;
        let known = Known::among(parts.headers);
        let claim = match (authorization(&known)?, presigned) {
            (None, None) => return Err(SignatureFault::Unsigned),
            (Some(_), Some(_)) => return Err(SignatureFault::TwoMechanisms),
            (Some(text), None) => Claim::of_header(&known, text)?,
            (None, Some(presigned)) => Claim::of_query(&known, presigned)?,
        };
        let scope_date = claim.scope.date();
        if claim.amz_date.get(..8) != Some(scope_date) {
            return Err(SignatureFault::ScopeDateMismatch {
                place: claim.place(),
                scope: scope_date.to_owned(),
                request: claim.amz_date.into_owned(),
            });
        }
        check_signed_headers(parts.headers, known.amz_names, &claim.signed_headers)?;
        Ok(claim)
    }

    fn of_header(known: &Known<'a>, text: &'a str) -> Result<Claim<'a>, SignatureFault> {
        let (name, rest) = split_once(text, b' ').unwrap_or((text, ""));
        let algorithm = Algorithm::parse(name).ok_or_else(|| SignatureFault::AlgorithmUnsupported {
            place: Place::Header,
            given: name.chars().take(64).collect(),
        })?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for piece in pieces(rest, b',')
            .map(str::trim_ascii)
            .filter(|piece| !piece.is_empty())
        {
            let Some((key, value)) = split_once(piece, b'=') else {
                return Err(SignatureFault::PairMalformed {
                    digest: base64_digest(piece),
                });
            };
            let (slot, what) = match key.trim_ascii_end() {
                "Credential" => (&mut credential, "Credential"),
                "SignedHeaders" => (&mut signed_headers, "SignedHeaders"),
                "Signature" => (&mut signature, "Signature"),
                _ => {
                    return Err(SignatureFault::Malformed {
                        what: "Authorization",
                    });
                }
            };
            if slot.replace(value.trim_ascii_start()).is_some() {
                return Err(SignatureFault::Repeated { what });
            }
        }
        let amz_date = known.amz_date.text("x-amz-date")?;
        let http_date = match amz_date {
            Some(_) => None,
            None => known.date.text("date")?,
        };
        let (Some(credential), Some(signed_headers), Some(signature), Some(_)) =
            (credential, signed_headers, signature, amz_date.or(http_date))
        else {
            let missing = [
                ("Credential", credential.is_none()),
                ("Signature", signature.is_none()),
                ("SignedHeaders", signed_headers.is_none()),
            ];
            return Err(SignatureFault::HeaderIncomplete {
                missing: missing
                    .into_iter()
                    .filter_map(|(name, missing)| missing.then_some(name))
                    .collect(),
                date_missing: amz_date.or(http_date).is_none(),
                digest: base64_digest(text),
            });
        };
        let (signed_at, amz_date) = match (amz_date, http_date) {
            (Some(text), _) => (parse_amz_date(Place::Header, text)?, Cow::Borrowed(text)),
            (None, text) => {
                let moment = parse_any_date(text.unwrap_or_default())?;
                (moment, Cow::Owned(moment.amz_date()))
            }
        };
        let region_set = match algorithm {
            Algorithm::V4 => None,
            Algorithm::V4a => known.region_set.text("x-amz-region-set")?.map(Cow::Borrowed),
        };
        let (access_key_id, scope) =
            parse_credential(Place::Header, algorithm, Cow::Borrowed(credential), region_set)?;
        Ok(Claim {
            algorithm,
            kind: Kind::Header,
            access_key_id,
            scope,
            signed_headers: Cow::Borrowed(signed_headers),
            signature: Cow::Borrowed(signature),
            session_token: known
                .security_token
                .text("x-amz-security-token")?
                .map(Cow::Borrowed),
            signed_at,
            amz_date,
        })
    }

    fn of_query(known: &Known<'a>, found: Presigned<'a>) -> Result<Claim<'a>, SignatureFault> {
        let missing: Vec<&'static str> = [
            ("X-Amz-Algorithm", found.algorithm.is_none()),
            ("X-Amz-Credential", found.credential.is_none()),
            ("X-Amz-Signature", found.signature.is_none()),
            ("X-Amz-Date", found.date.is_none()),
            ("X-Amz-SignedHeaders", found.signed_headers.is_none()),
            ("X-Amz-Expires", found.expires.is_none()),
        ]
        .into_iter()
        .filter_map(|(name, missing)| missing.then_some(name))
        .collect();
        let (Some(name), Some(credential), Some(signature), Some(date), Some(signed_headers), Some(expires)) = (
            found.algorithm,
            found.credential,
            found.signature,
            found.date,
            found.signed_headers,
            found.expires,
        ) else {
            return Err(SignatureFault::QueryIncomplete { missing });
        };
        let algorithm = Algorithm::parse(&name).ok_or_else(|| SignatureFault::AlgorithmUnsupported {
            place: Place::Query,
            given: name.chars().take(64).collect(),
        })?;
        let signed_at = parse_amz_date(Place::Query, &date)?;
        let expires = parse_expires(&expires)?;
        let region_set = match algorithm {
            Algorithm::V4 => None,
            Algorithm::V4a => found.region_set,
        };
        let session_token = match (
            found.session_token,
            known.security_token.text("x-amz-security-token")?,
        ) {
            (Some(_), Some(_)) => {
                return Err(SignatureFault::Repeated {
                    what: "X-Amz-Security-Token",
                });
            }
            (in_query, in_header) => in_query.or(in_header.map(Cow::Borrowed)),
        };
        let (access_key_id, scope) = parse_credential(Place::Query, algorithm, credential, region_set)?;
        Ok(Claim {
            algorithm,
            kind: Kind::Presigned { expires },
            access_key_id,
            scope,
            signed_headers,
            signature,
            session_token,
            signed_at,
            amz_date: date,
        })
    }

    /// The algorithm of the signature.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether header or query was signed.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The access key that claims to have signed.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// For which day, region and service.
    pub fn scope(&self) -> &Scope<'a> {
        &self.scope
    }

    /// The session token that came with a temporary access key.
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    /// When the request says it was signed.
    pub fn signed_at(&self) -> Timestamp {
        self.signed_at
    }

    /// The names of the signed headers, in order.
    pub fn signed_headers(&self) -> impl Iterator<Item = &str> {
        self.signed_headers.split(';')
    }

    fn place(&self) -> Place {
        match self.kind {
            Kind::Header => Place::Header,
            Kind::Presigned { .. } => Place::Query,
        }
    }

    /// A claim that borrows nothing of the request.
    pub fn into_owned(self) -> Claim<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Claim {
            algorithm: self.algorithm,
            kind: self.kind,
            access_key_id: own(self.access_key_id),
            scope: self.scope.into_owned(),
            signed_headers: own(self.signed_headers),
            signature: own(self.signature),
            session_token: self.session_token.map(own),
            signed_at: self.signed_at,
            amz_date: own(self.amz_date),
        }
    }

    /// Whether the request's moment is near enough to `now`.
    ///
    /// A request signed in a header is good for 5 minutes (S3: 15) before and
    /// after its date; a presigned one until it expires.
    ///
    /// # Errors
    ///
    /// [`SignatureFault::Expired`], [`SignatureFault::NotYetCurrent`] or
    /// [`SignatureFault::PresignExpired`].
    pub fn check_time(&self, now: Timestamp) -> Result<(), SignatureFault> {
        let skew = if self.scope.is_s3() {
            Duration::from_secs(limits::SKEW_MINUTES_S3 * 60)
        } else {
            Duration::from_secs(limits::SKEW_MINUTES * 60)
        };
        if self.signed_at > now.after(skew) {
            return Err(match self.kind {
                Kind::Header => SignatureFault::NotYetCurrent {
                    signed_at: self.signed_at,
                    skew,
                },
                Kind::Presigned { .. } => SignatureFault::PresignNotYetCurrent {
                    signed_at: self.signed_at,
                    skew,
                },
            });
        }
        match self.kind {
            Kind::Header if self.signed_at.after(skew) < now => Err(SignatureFault::Expired {
                signed_at: self.signed_at,
                skew,
            }),
            Kind::Presigned { expires } if self.signed_at.after(expires) < now => {
                Err(SignatureFault::PresignExpired {
                    signed_at: self.signed_at,
                    expires,
                })
            }
            Kind::Header | Kind::Presigned { .. } => Ok(()),
        }
    }

    /// Whether the request was signed for this region and service.
    ///
    /// # Errors
    ///
    /// [`SignatureFault::ScopeWrong`], naming each that differs.
    pub fn check_scope(&self, region: &str, service: &str) -> Result<(), SignatureFault> {
        let region_ok = self.scope.covers(region);
        let service_ok = self.scope.service() == service;
        if region_ok && service_ok {
            return Ok(());
        }
        Err(SignatureFault::ScopeWrong {
            place: self.place(),
            region: (!region_ok).then(|| (self.scope.region_text().to_owned(), region.to_owned())),
            service: (!service_ok).then(|| (self.scope.service().to_owned(), service.to_owned())),
        })
    }

    /// What the request declares its payload to be, for S3 and for operations
    /// with an unsigned body. A presigned request that says nothing declares
    /// nothing about its body.
    ///
    /// # Errors
    ///
    /// [`SignatureFault::PayloadHashMissing`] and [`SignatureFault::PayloadHashInvalid`].
    pub fn payload(&self, parts: &RequestParts<'_>) -> Result<Payload, SignatureFault> {
        let payload = Payload::parse(&self.declared(parts)?)?;
        match payload {
            Payload::SignedChunks { algorithm, .. } if algorithm != self.algorithm => {
                Err(SignatureFault::PayloadHashInvalid)
            }
            Payload::Hash(_) | Payload::SignedChunks { .. } | Payload::Unsigned | Payload::UnsignedChunks => {
                Ok(payload)
            }
        }
    }

    fn declared<'b>(&self, parts: &RequestParts<'b>) -> Result<Cow<'b, str>, SignatureFault> {
        if let Some(text) = payload::declared(parts.headers)? {
            return Ok(Cow::Borrowed(text));
        }
        match self.kind {
            Kind::Header => Err(SignatureFault::PayloadHashMissing),
            Kind::Presigned { .. } => {
                let in_query = canonical::parameters(parts.query).find_map(|(name, value)| {
                    canonical::decode_component(name)
                        .filter(|name| name.eq_ignore_ascii_case(CONTENT_SHA256))
                        .map(|_| canonical::decode_component(value))
                });
                match in_query {
                    None => Ok(Cow::Borrowed(UNSIGNED_PAYLOAD)),
                    Some(value) => value.ok_or(SignatureFault::PayloadHashInvalid),
                }
            }
        }
    }

    /// Proves that whoever holds `key` signed this request and this payload.
    ///
    /// `parts` are those the claim was parsed from.
    ///
    /// # Errors
    ///
    /// [`SignatureFault::Mismatch`] if the signature is another, and the faults
    /// of [`Claim::payload`] and [`Payload::check`].
    pub fn verify(
        &self,
        key: &SigningKey,
        parts: &RequestParts<'_>,
        payload: PayloadHash<'_>,
    ) -> Result<(), SignatureFault> {
        let mut text = Vec::with_capacity(1024 + parts.path.len() + parts.query.len());
        let complete = self.write_canonical_head(parts, &mut text);
        let mut declared = None;
        match payload {
            PayloadHash::Body(actual) if !self.scope.is_s3() => {
                canonical::write_hex(actual, &mut text);
            }
            PayloadHash::Body(_) | PayloadHash::Declared => {
                declared = Some(self.payload(parts)?);
                text.extend_from_slice(self.declared(parts)?.as_bytes());
            }
        }
        let canonical_bytes = text.len();
        let hash = crypto::sha256(&[&text]);
        self.write_string_to_sign(&hash, &mut text);

        let (canonical_request, string_to_sign) = text.split_at(canonical_bytes);
        if !complete || key.algorithm() != self.algorithm || !key.verify(string_to_sign, &self.signature) {
            return Err(SignatureFault::Mismatch(Box::new(Mismatch::new(
                &self.access_key_id,
                &self.signature,
                canonical_request,
                string_to_sign,
            ))));
        }
        if let PayloadHash::Body(actual) = payload {
            match declared {
                Some(declared) => declared.check(actual)?,
                None => check_declared_digest(parts.headers, actual)?,
            }
        }
        Ok(())
    }

    /// The chain by which the chunks of an `aws-chunked` body are verified. Its
    /// seed is the signature of the request, which must have been verified.
    pub fn chunk_chain(&self, key: Arc<SigningKey>) -> ChunkChain {
        ChunkChain::new(key, &self.amz_date, &self.scope, &self.signature)
    }

    /// Everything of the canonical request but the last line.
    fn write_canonical_head(&self, parts: &RequestParts<'_>, out: &mut Vec<u8>) -> bool {
        let without = match self.kind {
            Kind::Header => None,
            Kind::Presigned { .. } => Some("X-Amz-Signature"),
        };
        write_canonical_head(parts, self.scope.is_s3(), without, &self.signed_headers, out)
    }

    fn write_string_to_sign(&self, canonical_hash: &[u8; 32], out: &mut Vec<u8>) {
        write_string_to_sign(self.algorithm, &self.amz_date, &self.scope, canonical_hash, out);
    }
}

/// Appends the canonical request up to and with the line break before the
/// payload hash; `false` if a signed header is not in the request.
pub(crate) fn write_canonical_head(
    parts: &RequestParts<'_>,
    like_s3: bool,
    without: Option<&str>,
    signed_headers: &str,
    out: &mut Vec<u8>,
) -> bool {
    out.extend_from_slice(parts.method.as_bytes());
    out.push(b'\n');
    canonical::write_path(parts.path, like_s3, out);
    out.push(b'\n');
    canonical::write_query(parts.query, without, out);
    out.push(b'\n');
    let complete = canonical::write_headers(parts.headers, signed_headers, out);
    out.push(b'\n');
    out.extend_from_slice(signed_headers.as_bytes());
    out.push(b'\n');
    complete
}

/// Appends the string to sign.
pub(crate) fn write_string_to_sign(
    algorithm: Algorithm,
    amz_date: &str,
    scope: &Scope<'_>,
    canonical_hash: &[u8; 32],
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(algorithm.name().as_bytes());
    out.push(b'\n');
    out.extend_from_slice(amz_date.as_bytes());
    out.push(b'\n');
    scope.write(out);
    out.push(b'\n');
    canonical::write_hex(canonical_hash, out);
}

/// The `Authorization` header, if there is one.
fn authorization<'a>(known: &Known<'a>) -> Result<Option<&'a str>, SignatureFault> {
    match known.authorization.text("authorization")? {
        Some(text) if text.len() > limits::AUTHORIZATION_BYTES_MAX => Err(SignatureFault::TooLarge {
            what: "Authorization",
            max: limits::AUTHORIZATION_BYTES_MAX,
        }),
        text => Ok(text),
    }
}

/// The parameters of a presigned query.
#[derive(Default)]
struct Presigned<'a> {
    algorithm: Option<Cow<'a, str>>,
    credential: Option<Cow<'a, str>>,
    date: Option<Cow<'a, str>>,
    expires: Option<Cow<'a, str>>,
    signed_headers: Option<Cow<'a, str>>,
    signature: Option<Cow<'a, str>>,
    session_token: Option<Cow<'a, str>>,
    region_set: Option<Cow<'a, str>>,
}

impl<'a> Presigned<'a> {
    /// Finds them; `None` if the query has neither algorithm, credential nor signature.
    fn find(query: &'a str) -> Result<Option<Presigned<'a>>, SignatureFault> {
        if query.is_empty() {
            return Ok(None);
        }
        if query.len() > limits::QUERY_BYTES_MAX {
            return Err(SignatureFault::TooLarge {
                what: "query",
                max: limits::QUERY_BYTES_MAX,
            });
        }
        let mut found = Presigned::default();
        let mut count = 0;
        for (name, value) in canonical::parameters(query) {
            count += 1;
            if count > limits::QUERY_PARAMETERS_MAX {
                return Err(SignatureFault::TooLarge {
                    what: "query",
                    max: limits::QUERY_PARAMETERS_MAX,
                });
            }
            let Some(name) = canonical::decode_component(name) else {
                continue;
            };
            let (slot, what) = match name.as_ref() {
                "X-Amz-Algorithm" => (&mut found.algorithm, "X-Amz-Algorithm"),
                "X-Amz-Credential" => (&mut found.credential, "X-Amz-Credential"),
                "X-Amz-Date" => (&mut found.date, "X-Amz-Date"),
                "X-Amz-Expires" => (&mut found.expires, "X-Amz-Expires"),
                "X-Amz-SignedHeaders" => (&mut found.signed_headers, "X-Amz-SignedHeaders"),
                "X-Amz-Signature" => (&mut found.signature, "X-Amz-Signature"),
                "X-Amz-Security-Token" => (&mut found.session_token, "X-Amz-Security-Token"),
                "X-Amz-Region-Set" => (&mut found.region_set, "X-Amz-Region-Set"),
                _ => continue,
            };
            let value = canonical::decode_component(value).ok_or(SignatureFault::Malformed { what })?;
            if value.len() > limits::SESSION_TOKEN_BYTES_MAX {
                return Err(SignatureFault::TooLarge {
                    what,
                    max: limits::SESSION_TOKEN_BYTES_MAX,
                });
            }
            if slot.replace(value).is_some() {
                return Err(SignatureFault::Repeated { what });
            }
        }
        let signed = found.algorithm.is_some() || found.credential.is_some() || found.signature.is_some();
        Ok(signed.then_some(found))
    }
}

/// The list of signed headers is in order, holds `host`, and holds every
/// `x-amz-*` header of the request.
fn check_signed_headers(headers: &HeaderMap, amz_names: usize, list: &str) -> Result<(), SignatureFault> {
    let malformed = || SignatureFault::Malformed {
        what: "SignedHeaders",
    };
    let mut count = 0;
    let mut last: &[u8] = b"";
    let mut host = false;
    let mut signed_amz = 0;
    for name in pieces(list, b';').map(str::as_bytes) {
        let token_ok = match name {
            b"" => false,
            b":authority" => true,
            // Looks at every byte: to stop early costs more than it saves.
            name => name
                .iter()
                .fold(true, |ok, byte| ok & SIGNED_NAME[usize::from(*byte)]),
        };
        if !token_ok || name <= last {
            return Err(malformed());
        }
        count += 1;
        host |= name == b"host" || name == b":authority";
        signed_amz += usize::from(name.starts_with(b"x-amz-"));
        last = name;
    }
    if count > limits::SIGNED_HEADERS_MAX {
        return Err(SignatureFault::TooLarge {
            what: "SignedHeaders",
            max: limits::SIGNED_HEADERS_MAX,
        });
    }
    if !host {
        return Err(SignatureFault::HostNotSigned);
    }
    let amz = || {
        headers
            .keys()
            .map(HeaderName::as_str)
            .filter(|name| name.starts_with("x-amz-"))
    };
    // The listed names are distinct, and `verify` refuses a listed name that is
    // not in the request. So, of what verifies, equal numbers mean equal sets.
    if amz_names == signed_amz {
        return Ok(());
    }
    let names: Vec<String> = amz()
        .filter(|name| !list.split(';').any(|signed| signed == *name))
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        Ok(())
    } else {
        Err(SignatureFault::HeadersNotSigned { names })
    }
}

/// Bytes of a header name as it is listed: those of a token (RFC 9110, 5.6.2) without capitals.
const SIGNED_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(
            byte as u8,
            b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'
        );
        byte += 1;
    }
    table
};

fn parse_amz_date(place: Place, text: &str) -> Result<Timestamp, SignatureFault> {
    Timestamp::parse_amz_date(text).map_err(|_| date_invalid(place, text))
}

/// A `Date` header: an HTTP date, or the spelling of `X-Amz-Date`. Python
/// clients write the zone as mail does.
fn parse_any_date(text: &str) -> Result<Timestamp, SignatureFault> {
    let bare = [" GMT", " -0000", " +0000"]
        .iter()
        .find_map(|zone| text.strip_suffix(zone));
    Timestamp::parse_amz_date(text)
        .or_else(|fault| {
            bare.map_or(Err(fault), |bare| {
                Timestamp::parse_http_date(&format!("{bare} GMT"))
            })
        })
        .map_err(|_| date_invalid(Place::Header, text))
}

fn date_invalid(place: Place, text: &str) -> SignatureFault {
    SignatureFault::DateInvalid {
        place,
        given: text.chars().take(64).collect(),
    }
}

fn parse_expires(text: &str) -> Result<Duration, SignatureFault> {
    let invalid = |reason| SignatureFault::ExpiresInvalid { reason };
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || digits.len() > 18 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid("should be a number"));
    }
    if digits.len() != text.len() {
        return Err(invalid("must be non-negative"));
    }
    let seconds: u64 = digits.parse().map_err(|_| invalid("should be a number"))?;
    match seconds {
        0 => Err(invalid("must be at least one second")),
        1..=limits::EXPIRES_SECONDS_MAX => Ok(Duration::from_secs(seconds)),
        _ => Err(invalid(
            "must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds",
        )),
    }
}

/// A service other than S3 need not be told the digest of its body, but a
/// request that tells it must tell the truth.
fn check_declared_digest(headers: &HeaderMap, actual: &[u8; 32]) -> Result<(), SignatureFault> {
    match payload::declared(headers)?.map(Payload::parse) {
        Some(Ok(declared)) => declared.check(actual),
        Some(Err(fault)) => Err(fault),
        None => Ok(()),
    }
}

/// How AWS quotes an `Authorization` header in an error without repeating it.
fn base64_digest(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(crypto::sha256(&[text.as_bytes()]))
}

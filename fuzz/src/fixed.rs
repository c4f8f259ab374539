//! The fixed keys, moment and claim that seeds are made with, so that a target
//! can tell what must open and verify from what must not.

use std::sync::{Arc, LazyLock};

use crypto::key::SymmetricKey;
use crypto::{DomainKey, Random, RootKey};
use ground::{AccountId, Region, Secret, Timestamp};
use http::{HeaderMap, HeaderValue};
use wire::sigv4::{Algorithm, Claim, Credentials, Payload, RequestParts, SigningKey, Target, sign_request};

/// The moment all seeds were signed: 2026-01-02T03:04:05Z.
pub const NOW: Timestamp = Timestamp(1_767_323_045_000);

/// The access key all seeds are signed with. No account has it.
pub const ACCESS_KEY_ID: &str = "AKIAQEAAAAAEXAMPLE22";

/// What every sealed seed holds.
pub const PLAINTEXT: &[u8] = b"fuzz";

/// What every sealed seed is bound to.
pub const BINDING: &[u8] = b"arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// The secret that goes with [`ACCESS_KEY_ID`].
pub fn secret() -> Secret<String> {
    Secret::new("the secret that seeds are signed with".to_owned())
}

/// The credentials of all seeds.
pub fn credentials() -> Credentials {
    Credentials {
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret: secret(),
        session_token: None,
    }
}

/// The key of all sealed seeds.
pub fn envelope_key() -> SymmetricKey {
    SymmetricKey::from_bytes(&[7; 32]).expect("a symmetric key is 32 bytes")
}

/// The account of all sealed seeds.
pub fn account() -> AccountId {
    AccountId::parse("123456789012").expect("an account has twelve digits")
}

/// The key that seals `purpose` in [`account`].
pub fn domain_key(purpose: &str) -> DomainKey {
    static ROOT: LazyLock<RootKey> = LazyLock::new(|| RootKey::generate(&Random::seeded(7)));
    ROOT.domain(account(), &Region::us_east_1(), purpose)
}

/// The claim of an upload in signed chunks, and the key it was signed with.
pub struct ChunkedUpload {
    /// As the gate would have verified it.
    pub claim: Claim<'static>,
    /// Verifies the chunks.
    pub key: Arc<SigningKey>,
}

/// Uploads to S3 whose chunks are signed; the second has a signed trailer.
pub static UPLOADS: LazyLock<[ChunkedUpload; 2]> = LazyLock::new(|| [upload(false), upload(true)]);

fn upload(trailer: bool) -> ChunkedUpload {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("s3.us-east-1.amazonaws.com"));
    let payload = Payload::SignedChunks {
        algorithm: Algorithm::V4,
        trailer,
    };
    let target = Target {
        algorithm: Algorithm::V4,
        region: "us-east-1",
        service: "s3",
    };
    let added = sign_request(&parts(&headers), payload, &credentials(), &target, NOW)
        .expect("the request has a host and plain values");
    headers.extend(added);
    let claim = Claim::parse(&parts(&headers))
        .expect("what was signed reads back")
        .into_owned();
    let key = SigningKey::derive(ACCESS_KEY_ID, &secret(), claim.scope());
    ChunkedUpload {
        claim,
        key: Arc::new(key),
    }
}

fn parts(headers: &HeaderMap) -> RequestParts<'_> {
    RequestParts {
        method: "PUT",
        path: "/bucket/key",
        query: "",
        headers,
    }
}

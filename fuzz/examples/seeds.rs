//! Writes the seeds that cannot be written by hand: signed, sealed and encoded ones.
//!
//! `cargo run --example seeds` in this directory, after one of those formats changed.

use std::path::Path;
use std::time::Duration;

use crypto::Random;
use crypto::blob::{EncryptionContext, Envelope};
use crypto::key::{BackingKey, KeySpec};
use crypto::slot::{Argon2Cost, Initialisation, MEMORY_KIB_MIN, NewSlot, PASSES_MIN, SharePolicy};
use ground::PageToken;
use http::{HeaderMap, HeaderValue};
use palisade_fuzz::fixed::{BINDING, NOW, PLAINTEXT, UPLOADS, credentials, envelope_key};
use palisade_fuzz::record::SOUND;
use wire::sigv4::{Algorithm, Payload, RequestParts, Target, presign_request, sign_request};

fn main() {
    signatures();
    chunks();
    envelopes();
    keys();
    slots_and_shares();
    journals();
    vouched();
    let token = PageToken::encode("ListKeys", "1234abcd-12ab-34cd-56ef-1234567890ab");
    write("identifiers", "page_token", token.as_bytes());
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    std::fs::create_dir_all(&directory).expect("the sources can be written");
    std::fs::write(directory.join(name), bytes).expect("the sources can be written");
}

/// What foreign providers sign, with keys that nobody keeps.
fn vouched() {
    use testkit::issuer::{TokenKey, key_set};
    use testkit::saml::{Response, SamlProvider};
    let key = TokenKey::new("one");
    let claims = serde_json::json!({
        "iss": "https://idp.example.com", "sub": "alice", "aud": ["app"], "azp": "app", "iat": 1_767_323_045,
        "exp": 1_767_326_645, "nbf": 1_767_323_045, "amr": ["authenticated"],
        "https://aws.amazon.com/source_identity": "alice",
        "https://aws.amazon.com/tags": {"principal_tags": {"Team": ["blue"]}, "transitive_tag_keys": ["Team"]},
    });
    write("jwt", "keys.json", key_set(&[&key]).as_bytes());
    write("jwt", "good", key.token(&claims).as_bytes());
    let nitro = testkit::nitro::Nitro::new();
    let says = testkit::nitro::Says {
        at: ground::Timestamp(1_767_323_045_000),
        image: [0xab; 48],
        public_key: Some(b"a key"),
        registers: "pcrs",
    };
    write("attestation", "root.der", nitro.root());
    write("attestation", "good", &nitro.document(&says));
    let provider = SamlProvider::new("https://idp.example.com/saml");
    let response = Response::new(ground::Timestamp(1_767_323_045_000))
        .with(
            "Role",
            &["arn:aws:iam::123456789012:role/R,arn:aws:iam::123456789012:saml-provider/P"],
        )
        .with("RoleSessionName", &["alice"]);
    write("saml", "metadata.xml", provider.metadata().as_bytes());
    write("saml", "response.xml", provider.respond(&response).as_bytes());
}

fn as_text(method: &str, target: &str, headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {target}\n").into_bytes();
    for (name, value) in headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.push(b'\n');
    }
    text.push(b'\n');
    text.extend_from_slice(body);
    text
}

fn signatures() {
    let body = br#"{"KeyId":"alias/app","Plaintext":"ZnV6eg=="}"#;
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("kms.us-east-1.amazonaws.com"));
    headers.insert("x-amz-target", HeaderValue::from_static("TrentService.Encrypt"));
    headers.insert(
        "content-type",
        HeaderValue::from_static("application/x-amz-json-1.1"),
    );
    for (name, algorithm, region) in [
        ("header", Algorithm::V4, "us-east-1"),
        ("header_v4a", Algorithm::V4a, "us-east-1,eu-*"),
    ] {
        let parts = RequestParts {
            method: "POST",
            path: "/",
            query: "",
            headers: &headers,
        };
        let target = Target {
            algorithm,
            region,
            service: "kms",
        };
        let payload = Payload::Hash(crypto::sha256(&[body]));
        let added =
            sign_request(&parts, payload, &credentials(), &target, NOW).expect("the request can be signed");
        let mut signed = headers.clone();
        signed.extend(added);
        write("sigv4", name, &as_text("POST", "/", &signed, body));
    }

    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("s3.us-east-1.amazonaws.com"));
    let parts = RequestParts {
        method: "GET",
        path: "/bucket/a%20b",
        query: "versionId=1",
        headers: &headers,
    };
    for (name, algorithm) in [("presigned", Algorithm::V4), ("presigned_v4a", Algorithm::V4a)] {
        let target = Target {
            algorithm,
            region: "us-east-1",
            service: "s3",
        };
        let expires = Duration::from_secs(900);
        let query = presign_request(&parts, Payload::Unsigned, &credentials(), &target, expires, NOW)
            .expect("the request can be signed");
        write(
            "sigv4",
            name,
            &as_text("GET", &format!("{}?{query}", parts.path), &headers, b""),
        );
    }
}

fn chunks() {
    let chunks: [&[u8]; 3] = [b"hello ", b"world", b""];
    for (trailer, upload) in [false, true].into_iter().zip(&*UPLOADS) {
        let mut chain = upload.claim.chunk_chain(upload.key.clone());
        let mut body = Vec::new();
        for chunk in chunks {
            let signature = chain.sign_chunk(&crypto::sha256(&[chunk]));
            body.extend_from_slice(format!("{:x};chunk-signature={signature}\r\n", chunk.len()).as_bytes());
            body.extend_from_slice(chunk);
            if !chunk.is_empty() || !trailer {
                body.extend_from_slice(b"\r\n");
            }
        }
        let mut headers = HeaderMap::new();
        let payload = Payload::SignedChunks {
            algorithm: Algorithm::V4,
            trailer,
        };
        headers.insert(
            "x-amz-content-sha256",
            HeaderValue::from_str(&payload.text()).expect("a keyword"),
        );
        headers.insert("x-amz-decoded-content-length", HeaderValue::from_static("11"));
        if trailer {
            headers.insert("x-amz-trailer", HeaderValue::from_static("x-amz-checksum-crc32"));
            let trailers = [("x-amz-checksum-crc32".to_owned(), "DUoRhQ==".to_owned())];
            let canonical = wire::aws_chunked::canonical_trailers(&trailers);
            let signature = chain.sign_trailer(&crypto::sha256(&[canonical.as_bytes()]));
            body.extend_from_slice(b"x-amz-checksum-crc32:DUoRhQ==\r\n");
            body.extend_from_slice(format!("x-amz-trailer-signature:{signature}\r\n\r\n").as_bytes());
        }
        let name = if trailer { "signed_with_trailer" } else { "signed" };
        write("aws_chunked", name, &as_text("PUT", "/7", &headers, &body));
    }
}

fn envelopes() {
    let random = Random::seeded(1);
    let key = envelope_key();
    let context = EncryptionContext::new([("purpose", "fuzz")]);
    for (name, reference, context) in [
        ("short_reference", b"k".as_slice(), &context),
        (
            "uuid_reference",
            b"1234abcd-12ab-34cd-56ef-1234567890ab",
            &EncryptionContext::empty(),
        ),
        ("long_reference", &[b'r'; 64], &EncryptionContext::empty()),
    ] {
        let sealed = Envelope::seal(&key, reference, BINDING, context, PLAINTEXT, &random)
            .expect("a short plaintext can be sealed");
        write("envelope", name, &sealed);
    }
}

fn keys() {
    let random = Random::seeded(2);
    for (index, spec) in KeySpec::ALL.iter().enumerate() {
        // One RSA size is enough for the parser, and keeps the seeds small.
        if matches!(spec, KeySpec::Rsa3072 | KeySpec::Rsa4096) {
            continue;
        }
        let key = BackingKey::generate(*spec, &random).expect("every spec can be generated");
        let pick = u8::try_from(index * 2).expect("there are few specs");
        let private = key.to_bytes().expect("a key can be written");
        write(
            "key_material",
            &format!("{spec}_private"),
            &[&[pick + 1], private.expose().as_slice()].concat(),
        );
        if *spec == KeySpec::Rsa2048 {
            // The first algorithm, the first spec, a moment.
            let head = [&[0, 0], NOW.0.to_be_bytes().as_slice()].concat();
            write(
                "import_token",
                "RSA_2048",
                &[&head, private.expose().as_slice()].concat(),
            );
        }
        if let Some(der) = key.public_key_der() {
            write(
                "key_material",
                &format!("{spec}_public"),
                &[&[pick], der].concat(),
            );
        }
    }
}

fn slots_and_shares() {
    let random = Random::seeded(3);
    let mut initialisation = Initialisation::begin("store-fuzz", &random).expect("the id is short");
    let cost = Argon2Cost::new(MEMORY_KIB_MIN, PASSES_MIN, 1).expect("the least cost is allowed");
    let passphrase = NewSlot::Passphrase {
        passphrase: b"correct horse battery staple",
        cost,
    };
    initialisation
        .add("operator", &passphrase, &random)
        .expect("the passphrase is long enough");
    initialisation
        .add("machine", &NewSlot::KeyFile(&[9; 32]), &random)
        .expect("the key has its length");
    let policy = SharePolicy::new(2, 3).expect("2 of 3 is a policy");
    let (pending, shares) = initialisation
        .issue_recovery("board", policy, &random)
        .expect("shares can be issued");
    for share in &shares {
        write(
            "recovery_share",
            &format!("share_{}", share.number()),
            share.to_text().expose().as_bytes(),
        );
    }
    let texts: Vec<_> = shares.iter().take(2).map(|share| share.to_text()).collect();
    let texts: Vec<&str> = texts.iter().map(|text| text.expose().as_str()).collect();
    let Ok(tested) = pending.confirm_recovery(&texts) else {
        panic!("the shares just issued open their slot");
    };
    let (_, slots) = tested.finish();
    write("key_slots", "three_slots", slots.to_json().as_bytes());
}

fn journals() {
    for (journal, pieces) in SOUND.iter().enumerate() {
        for (index, piece) in pieces.iter().enumerate() {
            let pick = u8::try_from(index * 2 + journal).expect("there are few files");
            let form = if journal == 0 { "plain" } else { "compressed" };
            let name = format!("{form}_{}", piece.name);
            write(
                "journal_bytes",
                &name,
                &[&[pick], piece.bytes.as_slice()].concat(),
            );
        }
    }
}

//! Everything that may be seen by nobody but the one who asked, and the
//! places where it is looked for.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use shape::{Kind, Shape, StructureShape};
use testkit::client::Answer;

/// Shorter ones occur by chance.
const BYTES_MIN: usize = 10;

/// Blobs that anyone may see.
const PUBLIC: &[(&str, &str)] = &[("PublicKey", "a public key is public")];

/// Services whose sensitive members are personal and no secrets: they are kept
/// in the store as they are, and seen nowhere else.
const PERSONAL: &[(&str, &str)] = &[("organizations:", "it is asked for names and e-mail addresses")];

/// How the private keys that KMS makes begin (RFC 5958): after the version,
/// the algorithm of RSA, of elliptic curves, of Ed25519.
const PRIVATE_KEYS: &[(&str, &[u8])] = &[
    (
        "an RSA private key",
        b"\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01",
    ),
    (
        "an EC private key",
        b"\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01",
    ),
    (
        "a secp256k1 private key",
        b"\x02\x01\x00\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01",
    ),
    (
        "an Ed25519 private key",
        b"\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20",
    ),
];

/// Whether finding it means something: what is filled up with one byte, to be
/// too long or just long enough, is sent in the place of much that is no
/// secret; and so are the samples of ARNs that fit many patterns.
/// Ids of accounts and organisations, which some models call sensitive, stand
/// in every ARN.
fn is_telling(bytes: &[u8]) -> bool {
    let is_account = bytes.len() == 12 && bytes.iter().all(u8::is_ascii_digit);
    let is_organization = bytes.strip_prefix(b"o-").is_some_and(|id| {
        (10..=32).contains(&id.len()) && id.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'))
    });
    if is_account || is_organization {
        return false;
    }
    let most = bytes
        .iter()
        .map(|byte| bytes.iter().filter(|other| *other == byte).count())
        .max();
    let is_sample = bytes.starts_with(b"arn:");
    !is_sample && most.is_some_and(|most| 2 * most < bytes.len())
}

/// Secrets seen so far, and the errors told so far.
#[derive(Default)]
pub(crate) struct Secrets {
    known: HashMap<Vec<u8>, String>,
    errors: Vec<(String, String)>,
}

impl Secrets {
    /// Adds one secret.
    pub(crate) fn add(&mut self, what: &str, bytes: &[u8]) {
        if bytes.len() >= BYTES_MIN {
            self.known
                .entry(bytes.to_vec())
                .or_insert_with(|| what.to_owned());
        }
    }

    /// Adds the text of an error, which must not hold any.
    pub(crate) fn add_error(&mut self, what: &str, body: &str) {
        self.errors.push((what.to_owned(), body.to_owned()));
    }

    /// Adds every sensitive text and every blob of an input or output.
    pub(crate) fn gather(&mut self, what: &str, shape: &'static StructureShape, value: &Value) {
        for member in shape.members {
            let is_public = PUBLIC.iter().any(|(name, _)| *name == member.name);
            if let Some(value) = value.get(member.name)
                && !is_public
            {
                self.gather_value(&format!("{} in {what}", member.name), member.shape, value);
            }
        }
    }

    fn gather_value(&mut self, what: &str, shape: &'static Shape, value: &Value) {
        match (&shape.kind, value) {
            (Kind::Blob { .. }, Value::String(text)) => {
                if let Ok(bytes) = BASE64.decode(text)
                    && is_telling(&bytes)
                {
                    self.add(what, &bytes);
                }
            }
            (Kind::String { .. }, Value::String(text)) if shape.sensitive && is_telling(text.as_bytes()) => {
                self.add(what, text.as_bytes());
            }
            (Kind::List { item, .. }, Value::Array(items)) => {
                for inner in items {
                    self.gather_value(what, item, inner);
                }
            }
            (Kind::Structure(inner), value) => self.gather(what, inner, value),
            _ => {}
        }
    }

    /// Adds every sensitive text and every blob of an answer, and what signs.
    pub(crate) fn gather_answer(&mut self, what: &str, shape: &'static StructureShape, answer: &Answer) {
        self.gather(what, shape, &answer.json());
        for name in ["SecretAccessKey", "SessionToken"] {
            let text = crate::world::leaf(answer, name);
            self.add(&format!("{name} in {what}"), text.as_bytes());
        }
    }

    /// Looks everywhere for every form of every secret.
    pub(crate) fn look_for(self, data: &Path, records: &[Value], log: &[u8]) -> Vec<String> {
        let mut wanted = Wanted::default();
        for (bytes, what) in &self.known {
            wanted.add(what, bytes);
        }
        let mut problems = Vec::new();
        for (operation, body) in &self.errors {
            problems.extend(wanted.find(&format!("the error of {operation}"), body.as_bytes()));
        }
        for record in records {
            let text = record.to_string();
            problems.extend(wanted.find(&format!("the record {text}"), text.as_bytes()));
        }
        problems.extend(wanted.find("the log", log));
        for word in ["Signature=", "aws4_request"] {
            if let Some(at) = position(log, word.as_bytes()) {
                let line = String::from_utf8_lossy(&log[at.saturating_sub(200)..(at + 200).min(log.len())]);
                problems.push(format!("the log holds an authorization header: …{line}…"));
            }
        }
        for (what, begin) in PRIVATE_KEYS {
            wanted.add(what, begin);
        }
        for file in files(data) {
            let place = file.strip_prefix(data).unwrap().display().to_string();
            // The files of a development directory that hold its secrets by design.
            if place == "root.key" || place == "credentials.json" {
                continue;
            }
            let is_store = place.starts_with("store.");
            let found = wanted.find(&place, &std::fs::read(&file).unwrap());
            problems.extend(found.into_iter().filter(|found| {
                let is_personal = PERSONAL.iter().any(|(service, _)| found.contains(service));
                !(is_store && is_personal)
            }));
        }
        problems.sort();
        problems.dedup();
        problems
    }
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn position(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

/// Secrets in all their forms, by the first eight bytes of each form.
#[derive(Default)]
struct Wanted {
    by_start: HashMap<[u8; 8], Vec<(Vec<u8>, String)>>,
    pairs: HashSet<[u8; 2]>,
}

impl Wanted {
    fn add(&mut self, what: &str, bytes: &[u8]) {
        for (form, spelled) in forms(bytes) {
            let Some(start) = spelled.first_chunk::<8>() else {
                continue;
            };
            self.pairs.insert([start[0], start[1]]);
            let entry = self.by_start.entry(*start).or_default();
            entry.push((spelled.clone(), format!("{what}, {form}")));
        }
    }

    fn find(&self, place: &str, hay: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        let mut pairs = vec![false; 1 << 16];
        for pair in &self.pairs {
            pairs[usize::from(u16::from_be_bytes(*pair))] = true;
        }
        for (at, window) in hay.windows(8).enumerate() {
            if !pairs[usize::from(u16::from_be_bytes([window[0], window[1]]))] {
                continue;
            }
            let start: &[u8; 8] = window.try_into().unwrap();
            for (spelled, what) in self.by_start.get(start).into_iter().flatten() {
                if hay[at..].starts_with(spelled) {
                    found.push(format!("{place} holds {what}"));
                }
            }
        }
        found
    }
}

/// The bytes as they are, and as programs like to spell them.
fn forms(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let decimal: Vec<String> = bytes.iter().take(16).map(u8::to_string).collect();
    let mut all = vec![
        ("as it is", bytes.to_vec()),
        ("in hexadecimal", hex.into_bytes()),
        ("as a list of numbers", decimal.join(", ").into_bytes()),
        ("as a list of numbers", decimal.join(",").into_bytes()),
    ];
    // Base64 depends on what comes before: three ways to begin.
    for before in 0..3 {
        let mut shifted = vec![0; before];
        shifted.extend_from_slice(bytes);
        let text = BASE64.encode(&shifted);
        // Without the letters that the neighbours of the secret change.
        let begin = if before == 0 { 0 } else { 4 };
        let end = (shifted.len() / 3) * 4;
        if let Some(spelled) = text.get(begin..end) {
            all.push(("in base64", spelled.as_bytes().to_vec()));
        }
    }
    all
}

#[test]
fn a_secret_is_found_in_every_form() {
    let secret = b"\x00a secret \xff of some length";
    let mut wanted = Wanted::default();
    wanted.add("it", secret);
    let around = |before: &str| BASE64.encode([before.as_bytes(), secret, b"after"].concat());
    let places = [
        [b"before", &secret[..], b"after"].concat(),
        format!("{secret:?}").into_bytes(),
        serde_json::to_vec(&secret[..]).unwrap(),
        around("").into_bytes(),
        around("b").into_bytes(),
        around("be").into_bytes(),
        around("bef").into_bytes(),
    ];
    for place in places {
        let found = wanted.find("a place", &place);
        assert_eq!(found.len(), 1, "{}", String::from_utf8_lossy(&place));
    }
    assert!(
        wanted
            .find("a place", b"nothing to see here, nothing at all")
            .is_empty()
    );
}

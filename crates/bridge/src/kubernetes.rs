//! The plugin interface of Kubernetes, `v2.KeyManagementService`: its messages,
//! and what its key ids and annotations mean here.
//!
//! A key id names the KMS key by its ARN and the material in use, so it is
//! another one after each rotation, as the interface demands: the API server
//! then makes new data keys and knows which objects are stale.
//!
//! Absent by design: the first version of the interface, which Kubernetes has
//! switched off.
//!
//! Source: k8s.io/kms/apis/v2/api.proto; Kubernetes Documentation, "Using a KMS
//! provider for data encryption".

use std::collections::BTreeMap;
use std::fmt;

use ground::Secret;

use crate::limits::{
    ANNOTATIONS_BYTES_MAX, CIPHERTEXT_BYTES_MAX, KEY_ID_BYTES_MAX, PLAINTEXT_BYTES_MAX, UID_BYTES_MAX,
};
use crate::protobuf::{Fields, Malformed, put, put_entry, text};

/// The path of each method.
pub mod path {
    /// Is the plugin well, and which key does it write with?
    pub const STATUS: &str = "/v2.KeyManagementService/Status";
    /// Encrypts a data key.
    pub const ENCRYPT: &str = "/v2.KeyManagementService/Encrypt";
    /// Decrypts a data key.
    pub const DECRYPT: &str = "/v2.KeyManagementService/Decrypt";
}

/// What `Status` says of the interface's version.
pub const VERSION: &str = "v2";
/// What `Status` says of a plugin that is well.
pub const HEALTHY: &str = "ok";
/// The annotation with the encryption context under which was encrypted, as JSON.
pub const CONTEXT_ANNOTATION: &str = "encryption-context.palisade.internal";

/// A request that cannot be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// A field is empty that must not be.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// The message is none.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A field is too long.
    #[error("{field} is longer than {bytes_max} bytes")]
    TooLong {
        /// Which.
        field: &'static str,
        /// What it may have.
        bytes_max: usize,
    },
}

/// `EncryptRequest`
pub struct EncryptRequest {
    /// What to encrypt, 1 to 4,096 bytes.
    pub plaintext: Secret<Vec<u8>>,
    /// The caller's name for this request.
    pub uid: String,
}

/// `DecryptRequest`
pub struct DecryptRequest {
    /// What to decrypt, 1 to 6,144 bytes.
    pub ciphertext: Vec<u8>,
    /// The caller's name for this request.
    pub uid: String,
    /// What `Encrypt` said of the key.
    pub key_id: String,
    /// What `Encrypt` gave to be kept beside the ciphertext.
    pub annotations: BTreeMap<String, Vec<u8>>,
}

fn bounded<'a>(field: &'static str, bytes: &'a [u8], bytes_max: usize) -> Result<&'a [u8], BadRequest> {
    if bytes.len() > bytes_max {
        return Err(BadRequest::TooLong { field, bytes_max });
    }
    Ok(bytes)
}

impl EncryptRequest {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// If it is malformed, has no plaintext, or something is too long.
    pub fn parse(message: &[u8]) -> Result<EncryptRequest, BadRequest> {
        let mut request = EncryptRequest {
            plaintext: Secret::default(),
            uid: String::new(),
        };
        for field in Fields::of(message) {
            match field? {
                (1, bytes) => {
                    let bytes = bounded("plaintext", bytes, PLAINTEXT_BYTES_MAX)?;
                    request.plaintext = Secret::new(bytes.to_vec());
                }
                (2, bytes) => request.uid = text(bounded("uid", bytes, UID_BYTES_MAX)?)?.to_owned(),
                // A later version of the interface may say more.
                _ => {}
            }
        }
        if request.plaintext.expose().is_empty() {
            return Err(BadRequest::Missing("plaintext"));
        }
        Ok(request)
    }
}

impl DecryptRequest {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// If it is malformed, has no ciphertext or key id, or something is too long.
    pub fn parse(message: &[u8]) -> Result<DecryptRequest, BadRequest> {
        let mut request = DecryptRequest {
            ciphertext: Vec::new(),
            uid: String::new(),
            key_id: String::new(),
            annotations: BTreeMap::new(),
        };
        let mut annotation_bytes = 0;
        for field in Fields::of(message) {
            match field? {
                (1, bytes) => {
                    request.ciphertext = bounded("ciphertext", bytes, CIPHERTEXT_BYTES_MAX)?.to_vec();
                }
                (2, bytes) => request.uid = text(bounded("uid", bytes, UID_BYTES_MAX)?)?.to_owned(),
                (3, bytes) => request.key_id = text(bounded("key_id", bytes, KEY_ID_BYTES_MAX)?)?.to_owned(),
                (4, entry) => {
                    let (mut name, mut value) = ("", &[][..]);
                    for field in Fields::of(entry) {
                        match field? {
                            (1, bytes) => name = text(bytes)?,
                            (2, bytes) => value = bytes,
                            _ => {}
                        }
                    }
                    annotation_bytes += name.len() + value.len();
                    if annotation_bytes > ANNOTATIONS_BYTES_MAX {
                        return Err(BadRequest::TooLong {
                            field: "annotations",
                            bytes_max: ANNOTATIONS_BYTES_MAX,
                        });
                    }
                    request.annotations.insert(name.to_owned(), value.to_vec());
                }
                _ => {}
            }
        }
        if request.ciphertext.is_empty() {
            return Err(BadRequest::Missing("ciphertext"));
        }
        if request.key_id.is_empty() {
            return Err(BadRequest::Missing("key_id"));
        }
        Ok(request)
    }
}

/// `StatusResponse`
pub fn status_response(healthz: &str, key_id: &KeyId) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, 1, VERSION.as_bytes());
    put(&mut out, 2, healthz.as_bytes());
    put(&mut out, 3, key_id.to_string().as_bytes());
    out
}

/// `EncryptResponse`
pub fn encrypt_response(ciphertext: &[u8], key_id: &KeyId, annotations: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, 1, ciphertext);
    put(&mut out, 2, key_id.to_string().as_bytes());
    for (name, value) in annotations {
        put_entry(&mut out, 3, name, value);
    }
    out
}

/// `DecryptResponse`, to be sent at once.
pub fn decrypt_response(plaintext: &Secret<Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, 1, plaintext.expose());
    out
}

/// Which key, and which of its materials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyId {
    /// `arn:aws:kms:REGION:ACCOUNT:key/ID`
    pub arn: String,
    /// Of the key material, 64 hexadecimal digits.
    pub material: String,
}

impl KeyId {
    /// Of a key and the id of its material; `None` if they cannot be.
    pub fn new(arn: &str, material: &str) -> Option<KeyId> {
        let material_ok = material.len() == 64 && material.bytes().all(|byte| byte.is_ascii_hexdigit());
        let arn_ok = arn.starts_with("arn:")
            && arn.contains(":key/")
            && arn.len() + 1 + material.len() <= KEY_ID_BYTES_MAX
            && arn.bytes().all(|byte| byte.is_ascii_graphic());
        (material_ok && arn_ok).then(|| KeyId {
            arn: arn.to_owned(),
            material: material.to_owned(),
        })
    }

    /// Reads what [`KeyId`] writes.
    pub fn parse(text: &str) -> Option<KeyId> {
        let (arn, material) = text.rsplit_once('/')?;
        KeyId::new(arn, material)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.arn, self.material)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ARN: &str = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    fn decrypt_message(fields: &[(u64, &[u8])], annotations: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, bytes) in fields {
            put(&mut out, *number, bytes);
        }
        for (name, value) in annotations {
            put_entry(&mut out, 4, name, value);
        }
        out
    }

    #[test]
    fn a_request_to_decrypt_is_read_whole() {
        let whole = [(1, &b"sealed"[..]), (2, b"u"), (3, b"k"), (9, b"later")];
        let request =
            DecryptRequest::parse(&decrypt_message(&whole, &[("a.b", b"v"), ("c.d", b"")])).unwrap();
        assert_eq!((&request.ciphertext[..], &*request.uid), (&b"sealed"[..], "u"));
        assert_eq!(request.key_id, "k");
        let annotations: Vec<_> = request.annotations.into_iter().collect();
        assert_eq!(
            annotations,
            [("a.b".to_owned(), b"v".to_vec()), ("c.d".to_owned(), vec![])]
        );
    }

    #[test]
    fn what_is_missing_or_too_long_is_refused() {
        let bad = |fields: &[(u64, &[u8])], annotations: &[(&str, &[u8])]| {
            DecryptRequest::parse(&decrypt_message(fields, annotations)).err()
        };
        let too_long = |field, bytes_max| Some(BadRequest::TooLong { field, bytes_max });
        assert_eq!(bad(&[(3, b"k")], &[]), Some(BadRequest::Missing("ciphertext")));
        assert_eq!(bad(&[(1, b"c")], &[]), Some(BadRequest::Missing("key_id")));
        assert_eq!(
            bad(&[(1, &[0; 6145]), (3, b"k")], &[]),
            too_long("ciphertext", 6144)
        );
        assert_eq!(bad(&[(1, &[0; 6144]), (3, b"k")], &[]), None);
        assert_eq!(
            bad(&[(1, b"c"), (3, &[b'k'; 1024])], &[]),
            too_long("key_id", 1023)
        );
        let half = vec![0; 16 * 1024];
        assert_eq!(bad(&[(1, b"c"), (3, b"k")], &[("a", &half)]), None);
        assert_eq!(
            bad(&[(1, b"c"), (3, b"k")], &[("a", &half), ("b", &half)]),
            too_long("annotations", 32_767)
        );
        assert_eq!(
            bad(&[(1, b"c"), (2, b"\xff"), (3, b"k")], &[]),
            Some(BadRequest::Malformed(Malformed::Text))
        );

        let encrypt = |plaintext: &[u8]| {
            let mut out = Vec::new();
            put(&mut out, 1, plaintext);
            EncryptRequest::parse(&out).err()
        };
        assert_eq!(encrypt(&[]), Some(BadRequest::Missing("plaintext")));
        assert_eq!(encrypt(&[0; 4096]), None);
        assert_eq!(encrypt(&[0; 4097]), too_long("plaintext", 4096));
    }

    #[test]
    fn a_key_id_is_an_arn_and_a_material() {
        let material = "ab".repeat(32);
        let id = KeyId::new(ARN, &material).unwrap();
        assert_eq!(KeyId::parse(&id.to_string()), Some(id));
        for bad in [ARN, "", "/", &material, &format!("{ARN}/{}", &material[1..])] {
            assert_eq!(KeyId::parse(bad), None, "{bad}");
        }
        assert_eq!(KeyId::new(&format!("{ARN}{}", "x".repeat(1000)), &material), None);
        assert_eq!(KeyId::new("arn:aws:kms:us-east-1:1:key/a b", &material), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = (EncryptRequest::parse(&bytes), DecryptRequest::parse(&bytes));
        }
    }
}

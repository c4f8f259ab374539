//! What proxies answer, read and checked. Pure: bytes in, meaning out.
//!
//! A proxy is a stranger: whatever it sends gives a value or a [`Failure`], and
//! what it encrypted is accepted only with the digest that it had to give of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::Failure;
use crate::model::stored_ciphertext::{ExternallySealed, METADATA_BYTES_MAX, VECTOR_BYTES};

/// Longest message of an error. Source: XKS Proxy API, "Error codes".
const MESSAGE_CHARACTERS_MAX: usize = 512;
/// Most key managers that a proxy may tell of. Source: XKS Proxy API, `GetHealthStatus`.
const MANAGERS_MAX: usize = 10;
/// Most usages of a key. Source: XKS Proxy API, `GetKeyMetadata`.
const USAGES_MAX: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    xks_proxy_fleet_size: u64,
    #[serde(rename = "xksProxyVendor")]
    _xks_proxy_vendor: String,
    #[serde(rename = "xksProxyModel")]
    _xks_proxy_model: String,
    #[serde(rename = "ekmVendor")]
    _ekm_vendor: String,
    ekm_fleet_details: Vec<Manager>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manager {
    #[serde(rename = "id")]
    _id: String,
    #[serde(rename = "model")]
    _model: String,
    health_status: HealthStatus,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum HealthStatus {
    Active,
    Degraded,
    Unavailable,
}

/// What an external key is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyMetadata {
    key_spec: String,
    key_usage: Vec<String>,
    key_status: KeyStatus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum KeyStatus {
    Disabled,
    Enabled,
}

impl KeyMetadata {
    /// Whether a KMS key may rest on it: AES of 256 bits, switched on, for both
    /// directions.
    ///
    /// # Errors
    ///
    /// [`Failure::InvalidState`] if it is switched off, else
    /// [`Failure::InvalidKeyUsage`].
    pub fn check(&self) -> Result<(), Failure> {
        if self.key_status == KeyStatus::Disabled {
            return Err(Failure::InvalidState);
        }
        let does = |usage: &str| self.key_usage.iter().any(|known| known == usage);
        if self.key_spec == "AES_256" && does("ENCRYPT") && does("DECRYPT") {
            return Ok(());
        }
        Err(Failure::InvalidKeyUsage)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Encrypted {
    ciphertext: String,
    ciphertext_metadata: Option<String>,
    initialization_vector: String,
    authentication_tag: String,
    ciphertext_data_integrity_value: String,
}

#[derive(Deserialize)]
struct Decrypted {
    plaintext: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refusal {
    error_name: String,
    error_message: Option<String>,
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|_| Failure::Malformed)
}

fn bytes(text: &str) -> Result<Vec<u8>, Failure> {
    STANDARD.decode(text).map_err(|_| Failure::Malformed)
}

/// Reads the answer of `GetHealthStatus`.
///
/// # Errors
///
/// [`Failure::Malformed`]; [`Failure::Unavailable`] if no key manager is in service.
pub fn health(body: &[u8]) -> Result<(), Failure> {
    let health: Health = read(body)?;
    let managers = &health.ekm_fleet_details;
    if health.xks_proxy_fleet_size == 0 || managers.is_empty() || managers.len() > MANAGERS_MAX {
        return Err(Failure::Malformed);
    }
    if managers
        .iter()
        .all(|manager| manager.health_status == HealthStatus::Unavailable)
    {
        return Err(Failure::Unavailable);
    }
    Ok(())
}

/// Reads the answer of `GetKeyMetadata`.
///
/// # Errors
///
/// [`Failure::Malformed`].
pub fn key_metadata(body: &[u8]) -> Result<KeyMetadata, Failure> {
    let metadata: KeyMetadata = read(body)?;
    if metadata.key_usage.len() > USAGES_MAX {
        return Err(Failure::Malformed);
    }
    Ok(metadata)
}

/// Reads the answer of `Encrypt`, for a plaintext of this length and these
/// associated data.
///
/// # Errors
///
/// [`Failure::Malformed`], also if the digest is not that of the answer.
pub fn encrypted(
    body: &[u8],
    associated: &[u8],
    plaintext_length: usize,
) -> Result<ExternallySealed, Failure> {
    let encrypted: Encrypted = read(body)?;
    let ciphertext = bytes(&encrypted.ciphertext)?;
    let metadata = bytes(encrypted.ciphertext_metadata.as_deref().unwrap_or_default())?;
    let vector = bytes(&encrypted.initialization_vector)?;
    let tag = bytes(&encrypted.authentication_tag)?;
    let digest = bytes(&encrypted.ciphertext_data_integrity_value)?;
    let fits = ciphertext.len() == plaintext_length
        && metadata.len() <= METADATA_BYTES_MAX
        && VECTOR_BYTES.contains(&vector.len())
        && digest == crypto::sha256(&[associated, &metadata, &vector, &ciphertext, &tag]);
    if !fits {
        return Err(Failure::Malformed);
    }
    Ok(ExternallySealed {
        ciphertext,
        metadata,
        vector,
        tag: tag.try_into().map_err(|_| Failure::Malformed)?,
    })
}

/// Reads the answer of `Decrypt`, for a ciphertext of this length.
///
/// # Errors
///
/// [`Failure::Malformed`].
pub fn decrypted(body: &[u8], ciphertext_length: usize) -> Result<Vec<u8>, Failure> {
    let decrypted: Decrypted = read(body)?;
    let plaintext = bytes(&decrypted.plaintext)?;
    if plaintext.len() != ciphertext_length {
        return Err(Failure::Malformed);
    }
    Ok(plaintext)
}

/// Reads an answer that is no success: why, and what the proxy says to its
/// administrator, in printable ASCII.
pub fn failure(body: &[u8]) -> (Failure, String) {
    let Ok(refusal) = read::<Refusal>(body) else {
        return (Failure::Malformed, String::new());
    };
    let failure = match refusal.error_name.as_str() {
        "AccessDeniedException" => Failure::AccessDenied,
        "AuthenticationFailedException" => Failure::AuthenticationFailed,
        "DependencyTimeoutException" => Failure::DependencyTimeout,
        "InternalException" => Failure::Internal,
        "InvalidCiphertextException" => Failure::InvalidCiphertext,
        "InvalidKeyUsageException" => Failure::InvalidKeyUsage,
        "InvalidStateException" => Failure::InvalidState,
        "InvalidUriPathException" => Failure::InvalidUriPath,
        "KeyNotFoundException" => Failure::KeyNotFound,
        "ThrottlingException" => Failure::Throttled,
        "UnsupportedOperationException" => Failure::UnsupportedOperation,
        // ValidationException is told so too, and whatever has no name.
        _ => Failure::Malformed,
    };
    let message = refusal.error_message.unwrap_or_default();
    let printable = message
        .chars()
        .filter(|character| matches!(character, ' '..='~'))
        .take(MESSAGE_CHARACTERS_MAX);
    (
        failure,
        format!("{}: {}", label(failure), printable.collect::<String>()),
    )
}

/// What the log calls a failure.
fn label(failure: Failure) -> String {
    format!("{failure:?}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn good_health() -> Value {
        json!({"xksProxyFleetSize": 1, "xksProxyVendor": "v", "xksProxyModel": "m", "ekmVendor": "e",
            "ekmFleetDetails": [{"id": "1", "model": "m", "healthStatus": "ACTIVE"}]})
    }

    #[test]
    fn health_is_believed_if_it_is_whole() {
        let told = |change: &dyn Fn(&mut Value)| {
            let mut value = good_health();
            change(&mut value);
            health(value.to_string().as_bytes())
        };
        assert_eq!(told(&|_| {}), Ok(()));
        let manager = |status: &str| json!({"id": "1", "model": "m", "healthStatus": status});
        let managers = |all: Vec<Value>| told(&|value| value["ekmFleetDetails"] = json!(all));
        assert_eq!(
            managers(vec![manager("UNAVAILABLE"), manager("DEGRADED")]),
            Ok(())
        );
        assert_eq!(managers(vec![manager("UNAVAILABLE")]), Err(Failure::Unavailable));
        assert_eq!(managers(vec![manager("FINE")]), Err(Failure::Malformed));
        assert_eq!(managers(vec![]), Err(Failure::Malformed));
        assert_eq!(managers(vec![manager("ACTIVE"); 11]), Err(Failure::Malformed));
        assert_eq!(
            told(&|value| value["xksProxyFleetSize"] = json!(0)),
            Err(Failure::Malformed)
        );
        for member in ["xksProxyVendor", "xksProxyModel", "ekmVendor", "ekmFleetDetails"] {
            let without = |value: &mut Value| drop(value.as_object_mut().unwrap().remove(member));
            assert_eq!(told(&without), Err(Failure::Malformed), "{member}");
        }
        assert_eq!(health(b"<html>"), Err(Failure::Malformed));
    }

    #[test]
    fn a_key_must_be_aes_256_on_and_for_both_directions() {
        let told = |spec: &str, usage: &[&str], status: &str| {
            let body = json!({"keySpec": spec, "keyUsage": usage, "keyStatus": status}).to_string();
            key_metadata(body.as_bytes()).and_then(|metadata| metadata.check())
        };
        let both = ["WRAP", "ENCRYPT", "DECRYPT"];
        assert_eq!(told("AES_256", &both, "ENABLED"), Ok(()));
        assert_eq!(told("AES_256", &both, "DISABLED"), Err(Failure::InvalidState));
        assert_eq!(told("AES_128", &both, "ENABLED"), Err(Failure::InvalidKeyUsage));
        assert_eq!(
            told("AES_256", &["ENCRYPT"], "ENABLED"),
            Err(Failure::InvalidKeyUsage)
        );
        assert_eq!(
            told("AES_256", &["DECRYPT"], "ENABLED"),
            Err(Failure::InvalidKeyUsage)
        );
        assert_eq!(
            told("AES_256", &["ENCRYPT"; 11], "ENABLED"),
            Err(Failure::Malformed)
        );
        assert_eq!(told("AES_256", &both, "ON"), Err(Failure::Malformed));
    }

    /// The example of the specification, its digest and all.
    #[test]
    fn the_published_example_is_read() {
        let body = json!({
            "authenticationTag": "vBxN2ncH1oEkR8WVXpmyYQ==",
            "ciphertext": "ghxkK1txeDNn3q8Y",
            "ciphertextDataIntegrityValue": "qHA/ImC9h5HsLRXqCyPmWgYx7tzyoTplzILbP0fPXsc=",
            "ciphertextMetadata": "a2V5X3ZlcnNpb249MQ==",
            "initializationVector": "HMrlRw85cAJUd5Ax"
        });
        let associated = b"project=nile,department=marketing";
        let told = |body: &Value| encrypted(body.to_string().as_bytes(), associated, 12);
        let sealed = told(&body).unwrap();
        assert_eq!(sealed.metadata, b"key_version=1");
        assert_eq!((sealed.vector.len(), sealed.ciphertext.len()), (12, 12));
        for (member, value) in [
            ("ciphertext", json!("ghxkK1txeDNn3q8Z")),
            ("ciphertext", json!("ghxkK1txeDNn3q8")),
            ("ciphertextMetadata", json!(null)),
            ("initializationVector", json!("HMrlRw85cAJUd5Ay")),
            ("authenticationTag", json!("vBxN2ncH1oEkR8WVXpmyYA==")),
            ("ciphertextDataIntegrityValue", json!(null)),
            ("ciphertextDataIntegrityValue", json!("")),
        ] {
            let mut changed = body.clone();
            changed[member] = value;
            assert_eq!(told(&changed), Err(Failure::Malformed), "{member}");
        }
        assert_eq!(
            encrypted(body.to_string().as_bytes(), b"project", 12),
            Err(Failure::Malformed)
        );
        assert_eq!(
            encrypted(body.to_string().as_bytes(), associated, 13),
            Err(Failure::Malformed)
        );
    }

    /// A digest that is right does not excuse parts that are too long or short.
    #[test]
    fn parts_of_the_wrong_length_are_refused() {
        for (metadata, vector, tag, good) in [
            (20, 12, 16, true),
            (0, 16, 16, true),
            (21, 12, 16, false),
            (0, 13, 16, false),
            (0, 12, 15, false),
        ] {
            let part = |length: usize| vec![7; length];
            let digest = crypto::sha256(&[b"aad", &part(metadata), &part(vector), &part(5), &part(tag)]);
            let body = json!({
                "ciphertext": STANDARD.encode(part(5)),
                "ciphertextMetadata": STANDARD.encode(part(metadata)),
                "initializationVector": STANDARD.encode(part(vector)),
                "authenticationTag": STANDARD.encode(part(tag)),
                "ciphertextDataIntegrityValue": STANDARD.encode(digest),
            });
            let told = encrypted(body.to_string().as_bytes(), b"aad", 5);
            assert_eq!(told.is_ok(), good, "{metadata} {vector} {tag}");
        }
    }

    #[test]
    fn a_plaintext_is_as_long_as_its_ciphertext() {
        let body = json!({"plaintext": STANDARD.encode([7; 5])}).to_string();
        assert_eq!(decrypted(body.as_bytes(), 5), Ok(vec![7; 5]));
        assert_eq!(decrypted(body.as_bytes(), 6), Err(Failure::Malformed));
        assert_eq!(decrypted(b"{}", 0), Err(Failure::Malformed));
    }

    #[test]
    fn errors_go_by_their_names() {
        for (name, expected) in [
            ("KeyNotFoundException", Failure::KeyNotFound),
            ("ThrottlingException", Failure::Throttled),
            ("ValidationException", Failure::Malformed),
            ("SomethingException", Failure::Malformed),
        ] {
            let body = json!({"errorName": name, "errorMessage": "why\n\u{1b}[31m"}).to_string();
            let (told, message) = failure(body.as_bytes());
            assert_eq!(told, expected);
            assert!(message.ends_with("why[31m"), "{message}");
        }
        assert_eq!(failure(b"Bad Gateway").0, Failure::Malformed);
    }
}

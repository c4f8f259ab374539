//! Answers to enclaves: what would be told in clear is sealed to the key that an
//! attestation document names, and policies may ask what was measured.
//!
//! A document counts only if it leads to the root that the operator trusts;
//! without one, every request that has a document is refused.
//!
//! Invariant: who sends a document never gets anything in clear.
//!
//! Source: KMS Developer Guide, "Cryptographic attestation for AWS Nitro Enclaves".

use crypto::enveloped;
use crypto::key::{KeySpec, PublicKey};
use federation::attestation::{self, Attested, Measured};
use gate::Cx;
use ground::Secret;
use kms_api::RecipientInfo;
use shape::Blob;

use crate::Kms;
use crate::error::Error;

/// The RSA keys that an enclave may have.
const KEYS: [KeySpec; 3] = [KeySpec::Rsa2048, KeySpec::Rsa3072, KeySpec::Rsa4096];

/// Who is answered, proven.
pub(crate) struct Recipient {
    attested: Attested,
    key: PublicKey,
}

/// An answer: in clear, or sealed.
pub(crate) type Told = (Option<Secret<Blob>>, Option<Blob>);

impl Recipient {
    /// Proves the document of a request, if it has one.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless the operator trusts a root;
    /// [`Error::Missing`] without a document; [`Error::Attestation`] if it
    /// proves nothing, or its key is none of RSA.
    pub(crate) fn read(kms: &Kms, cx: &Cx, info: Option<RecipientInfo>) -> Result<Option<Recipient>, Error> {
        let Some(info) = info else { return Ok(None) };
        let root = kms.nitro_root.as_deref().ok_or(Error::Unsupported("Recipient"))?;
        // The model has one mechanism only.
        if info.key_encryption_algorithm.is_none() {
            return Err(Error::Missing {
                member: "recipient.keyEncryptionAlgorithm",
            });
        }
        let document = info.attestation_document.ok_or(Error::Missing {
            member: "recipient.attestationDocument",
        })?;
        let attested = attestation::prove(&document, root, cx.now())?;
        let mut keys = KEYS
            .iter()
            .map(|spec| PublicKey::from_der(*spec, &attested.public_key));
        let key = keys.find_map(Result::ok).ok_or(Error::RecipientKey)?;
        cx.note("attestationDocumentModuleId", attested.module_id.clone());
        if let Some(image) = attested.registers.get(&0) {
            cx.note("attestationDocumentEnclaveImageDigest", hex::encode(image));
        }
        Ok(Some(Recipient { attested, key }))
    }

    /// The condition keys of what was measured.
    pub(crate) fn conditions(&self) -> Vec<(String, String)> {
        let prefix = match self.attested.measured {
            Measured::Enclave => "pcr",
            Measured::Instance => "nitrotpmpcr",
        };
        let registers = self.attested.registers.iter();
        let mut keys: Vec<(String, String)> = registers
            .map(|(at, value)| {
                (
                    format!("kms:recipientattestation:{prefix}{at}"),
                    hex::encode(value),
                )
            })
            .collect();
        if self.attested.measured == Measured::Enclave
            && let Some(image) = self.attested.registers.get(&0)
        {
            keys.push((
                "kms:recipientattestation:imagesha384".to_owned(),
                hex::encode(image),
            ));
        }
        keys
    }

    fn seal(&self, cx: &Cx, plaintext: &[u8]) -> Result<Blob, Error> {
        Ok(Blob(enveloped::seal(&self.key, plaintext, cx.random())?))
    }
}

/// What a request is answered: in clear, unless it has a recipient.
///
/// # Errors
///
/// [`Error::Crypto`] if the provider fails.
pub(crate) fn told(recipient: Option<&Recipient>, cx: &Cx, plaintext: &[u8]) -> Result<Told, Error> {
    match recipient {
        Some(recipient) => Ok((None, Some(recipient.seal(cx, plaintext)?))),
        None => Ok((Some(Secret::new(Blob(plaintext.to_vec()))), None)),
    }
}

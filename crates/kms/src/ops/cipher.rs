//! Sealing and opening, as Encrypt, Decrypt, ReEncrypt and the data keys need it.
//! What is done under a key in a custom key store is done by its keeper, which
//! is asked over the network: [`stored_cipher`].

use std::sync::Arc;

use crypto::blob::Envelope;
use crypto::key::EncryptionAlgorithm;
use gate::{Cx, Permit};
use ground::Secret;
use kms_api::{DryRunModifierType, EncryptionAlgorithmSpec};
use shape::Blob;

use crate::access::Sought;
use crate::error::Error;
use crate::model::stored_ciphertext::StoredCiphertext;
use crate::model::{CiphertextReference, EncryptionContext, Key, MaterialId};
use crate::ops::stored_cipher;
use crate::{Kms, store};

/// What a request gives to be decrypted.
pub(super) enum Source {
    /// A ciphertext.
    Blob(Blob),
    /// None: the request rehearses without one.
    Ignored,
}

impl Source {
    /// Reads `CiphertextBlob`, `DryRun` and `DryRunModifiers`.
    pub(super) fn parse(
        blob: Option<Blob>,
        dry_run: Option<bool>,
        modifiers: Option<&[DryRunModifierType]>,
    ) -> Result<Source, Error> {
        match modifiers {
            Some([_, ..]) if dry_run != Some(true) => Err(Error::ModifiersWithoutDryRun),
            Some([DryRunModifierType::IgnoreCiphertext, ..]) => Ok(Source::Ignored),
            None | Some([]) => blob.map(Source::Blob).ok_or(Error::Missing {
                member: "ciphertextBlob",
            }),
        }
    }

    /// The key that is to decrypt: the one named, or else the one that the
    /// ciphertext names.
    pub(super) async fn key(
        &self,
        cx: &Cx,
        named: Option<&str>,
        algorithm: EncryptionAlgorithmSpec,
        member: &'static str,
    ) -> Result<Sought, Error> {
        match (named, self) {
            (Some(name), _) => store::key_or_alias(cx, name).await,
            (None, Source::Blob(blob)) if algorithm == EncryptionAlgorithmSpec::SymmetricDefault => {
                store::key_of_ciphertext(cx, &reference(blob)?).await
            }
            (None, Source::Blob(_) | Source::Ignored) => Err(Error::Missing { member }),
        }
    }
}

/// A ciphertext, and the material that sealed it if the key is symmetric and kept here.
pub(super) struct Sealed {
    pub(super) ciphertext: Vec<u8>,
    pub(super) material: Option<MaterialId>,
}

/// A plaintext, and the material that had sealed it if the key is symmetric and kept here.
pub(super) struct Opened {
    pub(super) plaintext: Secret<Vec<u8>>,
    pub(super) material: Option<MaterialId>,
}

/// Encrypts under the current material of `key`.
pub(super) async fn seal(
    kms: &Kms,
    cx: &Cx,
    key: &Permit<Arc<Key>>,
    algorithm: EncryptionAlgorithm,
    context: &EncryptionContext,
    plaintext: &[u8],
) -> Result<Sealed, Error> {
    check_context(key, algorithm, context)?;
    let spec = key.purpose.spec();
    let max = spec.plaintext_bytes_max(algorithm).unwrap_or(0);
    if plaintext.len() > max {
        return Err(Error::PlaintextLength {
            algorithm: algorithm.as_str(),
            spec: spec.as_str(),
            max,
        });
    }
    if let Some(custody) = &key.custody {
        // In a box: to ask over the network takes a hundred kilobytes of room, which
        // a call with another key would have moved about for nothing.
        return Box::pin(stored_cipher::seal(kms, cx, key, custody, context, plaintext)).await;
    }
    let backing = store::current_backing(cx, key).await?;
    let Some(symmetric) = backing.symmetric() else {
        return Ok(Sealed {
            ciphertext: backing.encrypt(algorithm, plaintext)?,
            material: None,
        });
    };
    let ciphertext = Envelope::seal(
        symmetric,
        key.reference(),
        key.binding().as_bytes(),
        &context.authenticated(),
        plaintext,
        cx.random(),
    )?;
    Ok(Sealed {
        ciphertext,
        material: Some(key.material.clone()),
    })
}

/// Decrypts with the material of `key` that sealed the ciphertext.
pub(super) async fn open(
    kms: &Kms,
    cx: &Cx,
    key: &Permit<Arc<Key>>,
    algorithm: EncryptionAlgorithm,
    context: &EncryptionContext,
    ciphertext: &[u8],
) -> Result<Opened, Error> {
    check_context(key, algorithm, context)?;
    if algorithm != EncryptionAlgorithm::SymmetricDefault {
        let backing = store::current_backing(cx, key).await?;
        return Ok(Opened {
            plaintext: backing.decrypt(algorithm, ciphertext)?,
            material: None,
        });
    }
    let reference = reference(ciphertext)?;
    if reference.key != key.id || reference.account != key.account {
        return Err(Error::IncorrectKey);
    }
    if let Some(custody) = &key.custody {
        // In a box, as in `seal`.
        return Box::pin(stored_cipher::open(kms, cx, key, custody, context, ciphertext)).await;
    }
    let envelope = Envelope::parse(ciphertext)?;
    let backing = store::backing(cx, key, &reference.material)
        .await?
        .ok_or(Error::InvalidCiphertext)?;
    let symmetric = backing.symmetric().ok_or(Error::InvalidCiphertext)?;
    let plaintext = envelope.open(symmetric, key.binding().as_bytes(), &context.authenticated())?;
    Ok(Opened {
        plaintext,
        material: Some(reference.material),
    })
}

/// Which key and material a ciphertext names.
fn reference(ciphertext: &[u8]) -> Result<CiphertextReference, Error> {
    let reference = if StoredCiphertext::is_one(ciphertext) {
        let stored = StoredCiphertext::parse(ciphertext);
        stored.and_then(|stored| CiphertextReference::parse(&stored.reference))
    } else {
        CiphertextReference::parse(Envelope::parse(ciphertext)?.reference())
    };
    reference.ok_or(Error::InvalidCiphertext)
}

fn check_context(
    key: &Key,
    algorithm: EncryptionAlgorithm,
    context: &EncryptionContext,
) -> Result<(), Error> {
    if algorithm != EncryptionAlgorithm::SymmetricDefault && !context.is_empty() {
        return Err(Error::ContextWithAsymmetricKey {
            spec: key.purpose.spec().as_str(),
        });
    }
    Ok(())
}

/// Tells the record which material did it.
pub(super) fn note(cx: &Cx, name: &'static str, material: Option<&MaterialId>) {
    if let Some(material) = material {
        cx.note(name, material.as_str().to_owned());
    }
}

/// A plaintext as an answer carries it.
pub(super) fn told(plaintext: &Secret<Vec<u8>>) -> Secret<Blob> {
    Secret::new(Blob(plaintext.expose().clone()))
}

//! `GenerateDataKeyPair` and `GenerateDataKeyPairWithoutPlaintext`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crypto::key::{BackingKey, KeySpec};
use gate::{Cx, Permit};
use ground::Secret;
use kms_api::{
    DataKeyPairSpec, EncryptionAlgorithmSpec, GenerateDataKeyPairInput, GenerateDataKeyPairOutput,
    GenerateDataKeyPairWithoutPlaintextInput, GenerateDataKeyPairWithoutPlaintextOutput,
};
use shape::Blob;

use crate::error::Error;
use crate::model::{Demand, EncryptionContext, Key};
use crate::ops::cipher::{self, Sealed};
use crate::ops::create_key::make;
use crate::ops::grant_token;
use crate::quotas::Class;
use crate::recipient::{self, Recipient};
use crate::{Kms, access, store};

/// Makes a key pair and gives its private key in clear and encrypted.
///
/// The private key is a PKCS#8 document, the public key a SubjectPublicKeyInfo,
/// both in DER.
///
/// # Errors
///
/// [`Error::Unsupported`] for SM2 and ML-KEM pairs; otherwise those of `Encrypt`.
pub async fn generate_data_key_pair(
    kms: &Kms,
    cx: &Cx,
    input: GenerateDataKeyPairInput,
) -> Result<GenerateDataKeyPairOutput, Error> {
    let recipient = Recipient::read(kms, cx, input.recipient)?;
    let wish = Wish {
        spec: input.key_pair_spec,
        context: input.encryption_context,
        grant_tokens: input.grant_tokens,
        key_id: input.key_id,
        dry_run: input.dry_run,
        operation: "GenerateDataKeyPair",
    };
    let pair = generate(kms, cx, wish, recipient.as_ref()).await?;
    let (plaintext, for_recipient) = recipient::told(recipient.as_ref(), cx, pair.private_key.expose())?;
    Ok(GenerateDataKeyPairOutput {
        private_key_ciphertext_blob: Some(Blob(pair.sealed.ciphertext)),
        private_key_plaintext: plaintext,
        public_key: Some(Blob(pair.public_key)),
        key_id: Some(pair.key.arn()),
        key_pair_spec: Some(input.key_pair_spec),
        ciphertext_for_recipient: for_recipient,
        key_material_id: pair
            .sealed
            .material
            .filter(|_| recipient.is_none())
            .map(String::from),
    })
}

/// Makes a key pair and gives its private key encrypted only.
///
/// # Errors
///
/// As [`generate_data_key_pair`].
pub async fn generate_data_key_pair_without_plaintext(
    kms: &Kms,
    cx: &Cx,
    input: GenerateDataKeyPairWithoutPlaintextInput,
) -> Result<GenerateDataKeyPairWithoutPlaintextOutput, Error> {
    let wish = Wish {
        spec: input.key_pair_spec,
        context: input.encryption_context,
        grant_tokens: input.grant_tokens,
        key_id: input.key_id,
        dry_run: input.dry_run,
        operation: "GenerateDataKeyPairWithoutPlaintext",
    };
    let pair = generate(kms, cx, wish, None).await?;
    Ok(GenerateDataKeyPairWithoutPlaintextOutput {
        private_key_ciphertext_blob: Some(Blob(pair.sealed.ciphertext)),
        public_key: Some(Blob(pair.public_key)),
        key_id: Some(pair.key.arn()),
        key_pair_spec: Some(input.key_pair_spec),
        key_material_id: pair.sealed.material.map(String::from),
    })
}

/// What both operations ask for.
struct Wish {
    spec: DataKeyPairSpec,
    context: Option<BTreeMap<String, String>>,
    grant_tokens: Option<Vec<String>>,
    key_id: String,
    dry_run: Option<bool>,
    operation: &'static str,
}

struct DataKeyPair {
    key: Permit<Arc<Key>>,
    private_key: Secret<Vec<u8>>,
    public_key: Vec<u8>,
    sealed: Sealed,
}

async fn generate(
    kms: &Kms,
    cx: &Cx,
    wish: Wish,
    recipient: Option<&Recipient>,
) -> Result<DataKeyPair, Error> {
    grant_token::check(cx, wish.grant_tokens.as_deref())?;
    kms.quotas.take(cx, Class::Pair(wish.spec.as_str()))?;
    let spec = spec(wish.spec)?;
    let context = EncryptionContext::parse(wish.context)?;
    let key = store::key_or_alias(cx, &wish.key_id).await?;

    let asked = EncryptionAlgorithmSpec::SymmetricDefault;
    let key = access::key(cx, key)
        .encryption(asked, &context)
        .with("kms:datakeypairspec", Some(wish.spec.as_str()))
        .attested(recipient)
        .permit()
        .await?;
    key.check_kept_here(wish.operation)?;
    key.check(Demand::Use)?;
    let algorithm = key.encrypts_with(wish.operation, asked)?;
    // A rehearsal is not worth the seconds that an RSA key takes.
    if wish.dry_run == Some(true) {
        return Err(Error::DryRun);
    }

    let pair = make(kms, spec, cx.random()).await?;
    let private_key = pair.to_bytes()?;
    let public_key = public_key(&pair);
    let sealed = cipher::seal(kms, cx, &key, algorithm, &context, private_key.expose()).await?;
    cipher::note(cx, "keyMaterialId", sealed.material.as_ref());
    kms.last_uses.note(cx, &key);
    Ok(DataKeyPair {
        key,
        private_key,
        public_key,
        sealed,
    })
}

/// Pairs are made of whatever asymmetric keys are made of, and can be written
/// as PKCS #8: so far not ML-KEM keys.
fn spec(asked: DataKeyPairSpec) -> Result<KeySpec, Error> {
    let spec = KeySpec::parse(asked.as_str()).filter(|spec| !spec.encapsulates());
    spec.ok_or(Error::Unsupported(asked.as_str()))
}

fn public_key(pair: &BackingKey) -> Vec<u8> {
    let der = pair.public_key_der();
    der.expect("every spec of a data key pair is asymmetric").to_vec()
}

#[cfg(test)]
mod tests {
    use crypto::Random;

    use super::*;

    /// What a spec is called is what it is made of, and every one that is not
    /// refused has two halves.
    #[test]
    fn every_pair_that_is_made_has_two_halves() {
        for asked in DataKeyPairSpec::ALL {
            match spec(*asked) {
                Ok(spec) if asked.as_str().starts_with("ECC") => {
                    assert_eq!(spec.as_str(), asked.as_str());
                    let pair = BackingKey::generate(spec, &Random::seeded(1)).unwrap();
                    assert!(!public_key(&pair).is_empty());
                }
                Ok(spec) => assert_eq!((spec.as_str(), &spec.as_str()[..4]), (asked.as_str(), "RSA_")),
                Err(error) => {
                    assert!(matches!(error, Error::Unsupported(_)));
                    assert!(asked.as_str().starts_with("ML_KEM_") || asked.as_str() == "SM2");
                }
            }
        }
    }
}

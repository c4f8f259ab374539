//! Slots whose key is kept elsewhere: by another KMS, a PKCS#11 token, a TPM, or
//! another member of the cluster that runs.
//!
//! The slot's key is random; its keeper wraps it. The document says who keeps
//! it and holds what the keeper made of it, which opens nothing without the
//! keeper.
//!
//! Absent by design: asking the keeper, which is I/O; and what a keeper is
//! asked with (the path of a module, a PIN, credentials): whoever could write
//! the document could otherwise choose the code that runs.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::document::check_length;
use super::error::SlotError;
use crate::canonical::parts;

/// The longest text of a keeper's address in bytes: an ARN or a URL.
pub const KEEPER_TEXT_BYTES_MAX: usize = 256;
/// The longest wrapped key in bytes. AWS KMS makes less than 200, a TPM less
/// than 300; sixteen slots of the longest fit the document.
pub const KEPT_BYTES_MAX: usize = 1024;

/// Who keeps a slot's key, where, and what it made of the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Keeper {
    /// A key of an AWS-compatible KMS.
    Kms(KmsKeeper),
    /// A running member of the same cluster.
    Peer(PeerKeeper),
    /// An AES key on a PKCS#11 token.
    Pkcs11(Pkcs11Keeper),
    /// The storage hierarchy of a TPM 2.0.
    Tpm2(Tpm2Keeper),
}

/// A key of an AWS-compatible KMS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KmsKeeper {
    /// The URL it is reached at.
    pub endpoint: String,
    /// The region requests are signed for.
    pub region: String,
    /// The key's id or ARN.
    pub key_id: String,
    /// What `kms:Encrypt` gave for the slot's key.
    pub ciphertext: Kept,
}

/// A running member of the same cluster, which has the root key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerKeeper {
    /// Where it is asked: `host:port`.
    pub address: String,
    /// The identity of its public key: SHA-256 of `SubjectPublicKeyInfo`, in
    /// lower-case hexadecimal digits.
    pub peer: String,
    /// The identity of the key for which it opens this slot.
    pub member: String,
    /// How this member proves on which machine it asks; none if it is known by
    /// its key alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<PeerTpm>,
    /// What it made of the slot's key, bound to `member`, and of what its TPM
    /// has to prove.
    pub ciphertext: Kept,
}

/// What the TPM of a member proves to the one that opens it.
///
/// It is here for the member itself, which must know what to ask its TPM for.
/// What counts is in the ciphertext, which only the other can read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerTpm {
    /// The identity of the TPM's attestation key, as of [`PeerKeeper::peer`].
    pub key: String,
    /// The registers that must be as they were when the slot was made, such as
    /// `sha256:7`.
    pub pcrs: String,
}

/// An AES key on a PKCS#11 token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pkcs11Keeper {
    /// The token's label.
    pub token: String,
    /// The key's label on the token.
    pub key: String,
    /// Initialisation vector, ciphertext and tag of AES-256-GCM.
    pub ciphertext: Kept,
}

/// A TPM 2.0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tpm2Keeper {
    /// The platform configuration registers that must be as they were when the
    /// slot was made, such as `sha256:7`; none if the TPM alone suffices.
    pub pcrs: Option<String>,
    /// The public part of the sealed object.
    pub public: Kept,
    /// The private part, encrypted by the TPM.
    pub private: Kept,
}

/// What a keeper made of a key: 1 to [`KEPT_BYTES_MAX`] bytes, in JSON as
/// lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept(Vec<u8>);

impl Kept {
    /// Takes what a keeper gave.
    ///
    /// # Errors
    ///
    /// [`SlotError::OutOfBounds`] if it is empty or too long.
    pub fn new(bytes: &[u8]) -> Result<Kept, SlotError> {
        if (1..=KEPT_BYTES_MAX).contains(&bytes.len()) {
            return Ok(Kept(bytes.to_vec()));
        }
        Err(super::out_of_bounds(
            "the length of a kept key in bytes",
            bytes.len(),
            KEPT_BYTES_MAX,
        ))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({} bytes)", self.0.len())
    }
}

impl Keeper {
    /// `kms`, `peer`, `pkcs11` or `tpm2`.
    pub fn kind(&self) -> &'static str {
        match self {
            Keeper::Kms(_) => "kms",
            Keeper::Peer(_) => "peer",
            Keeper::Pkcs11(_) => "pkcs11",
            Keeper::Tpm2(_) => "tpm2",
        }
    }

    /// Everything that is bound to the wrapped root key.
    pub(super) fn parameters(&self) -> Vec<u8> {
        match self {
            Keeper::Kms(kms) => parts(&[
                kms.endpoint.as_bytes(),
                kms.region.as_bytes(),
                kms.key_id.as_bytes(),
                kms.ciphertext.bytes(),
            ]),
            Keeper::Peer(peer) => {
                let mut all = vec![
                    peer.address.as_bytes(),
                    peer.peer.as_bytes(),
                    peer.member.as_bytes(),
                    peer.ciphertext.bytes(),
                ];
                // Slots from before there were proofs are bound to four parts.
                all.extend(
                    peer.tpm
                        .iter()
                        .flat_map(|tpm| [tpm.key.as_bytes(), tpm.pcrs.as_bytes()]),
                );
                parts(&all)
            }
            Keeper::Pkcs11(pkcs11) => parts(&[
                pkcs11.token.as_bytes(),
                pkcs11.key.as_bytes(),
                pkcs11.ciphertext.bytes(),
            ]),
            Keeper::Tpm2(tpm2) => {
                let pcrs: Vec<&[u8]> = tpm2.pcrs.iter().map(String::as_bytes).collect();
                parts(&[&parts(&pcrs), tpm2.public.bytes(), tpm2.private.bytes()])
            }
        }
    }

    /// The bounds of its texts.
    pub(super) fn check(&self) -> Result<(), SlotError> {
        let texts: Vec<&str> = match self {
            Keeper::Kms(kms) => vec![&kms.endpoint, &kms.region, &kms.key_id],
            Keeper::Peer(peer) => {
                let tpm = peer.tpm.iter().flat_map(|tpm| [&tpm.key[..], &tpm.pcrs]);
                [&peer.address[..], &peer.peer, &peer.member]
                    .into_iter()
                    .chain(tpm)
                    .collect()
            }
            Keeper::Pkcs11(pkcs11) => vec![&pkcs11.token, &pkcs11.key],
            Keeper::Tpm2(tpm2) => tpm2.pcrs.iter().map(String::as_str).collect(),
        };
        texts.into_iter().try_for_each(|text| {
            check_length(
                "the length of a keeper's address in bytes",
                text,
                KEEPER_TEXT_BYTES_MAX,
            )
        })
    }
}

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Kept, D::Error> {
        let text = String::deserialize(deserializer)?;
        let pairs = text.as_bytes().chunks_exact(2);
        let whole = pairs.remainder().is_empty();
        let bytes: Option<Vec<u8>> = pairs
            .map(|pair| match *pair {
                [high, low] => Some(super::document::digit(high)? << 4 | super::document::digit(low)?),
                _ => None,
            })
            .collect();
        match bytes {
            Some(bytes) if whole => Kept::new(&bytes).map_err(D::Error::custom),
            _ => Err(D::Error::custom("expected pairs of hexadecimal digits")),
        }
    }
}

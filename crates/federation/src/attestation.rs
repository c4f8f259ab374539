//! Attestation documents: what the Nitro hypervisor vouches for of an enclave,
//! or a NitroTPM of an instance, to whom it hands a key.
//!
//! A document is a COSE_Sign1 message (RFC 9052) with a map in CBOR: what was
//! measured, a public key, and the certificates that lead from the signer to a
//! root that somebody above trusts.
//!
//! Invariants: nothing of a document is given out before its signature and the
//! chain of its certificates have been proven; everything is bounded.
//!
//! Absent by design: other algorithms than ES384, which is all that Nitro
//! signs with; revocation, of which Nitro's certificates, hours old at most,
//! say nothing; a built-in root.
//!
//! Source: AWS Nitro Enclaves User Guide, "Verifying the root of trust"; EC2 User
//! Guide, "Validate a NitroTPM Attestation Document".

use std::collections::BTreeMap;

use crypto::foreign::{Digest, Signature, is_chained};
use ground::Timestamp;
use minicbor::data::{Tag, Type};
use minicbor::{Decoder, Encoder};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::limits::{
    ATTESTATION_BYTES_MAX, ATTESTATION_CERTIFICATES_MAX, ATTESTATION_CLOCK_SKEW, ATTESTATION_KEY_BYTES_MAX,
    ATTESTATION_MAX_AGE, ATTESTATION_MEMBERS_MAX, ATTESTATION_PCRS_MAX,
};

/// COSE_Sign1. Source: RFC 9052, section 2.
const SIGN1_TAG: u64 = 18;

/// The algorithm's header and its value, ES384. Source: RFC 9053.
const ALGORITHM: i64 = 1;
const ES384: i64 = -35;

/// Why a document proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// It is no such document.
    #[error("the attestation document is malformed")]
    Malformed,
    /// The signature is not its signer's.
    #[error("the signature of the attestation document is not valid")]
    Signature,
    /// The signer's certificate does not lead to the root, or is not valid now.
    #[error("the certificates of the attestation document do not lead to the trusted root")]
    Untrusted,
    /// It was made too long ago, or is of the future.
    #[error("the attestation document is not of the last five minutes")]
    Stale,
    /// It names no key for whom it attests.
    #[error("the attestation document has no public key")]
    WithoutKey,
}

/// Who was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured {
    /// A Nitro enclave.
    Enclave,
    /// An instance, by its NitroTPM.
    Instance,
}

/// A document that was proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// The module that issued it: `i-…-enc…`.
    pub module_id: String,
    /// Who was measured.
    pub measured: Measured,
    /// The measurements that are not all zero, by register.
    pub registers: BTreeMap<u8, Vec<u8>>,
    /// The key that answers are sealed to, a SubjectPublicKeyInfo.
    pub public_key: Vec<u8>,
}

/// The document as it says, before anything is proven.
struct Unproven<'a> {
    protected: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
}

/// What its payload says.
struct Claims<'a> {
    module_id: &'a str,
    timestamp: u64,
    measured: Measured,
    registers: BTreeMap<u8, &'a [u8]>,
    certificate: &'a [u8],
    bundle: Vec<&'a [u8]>,
    public_key: Option<&'a [u8]>,
}

/// Proves a document: its form, its age at `now`, its certificates up to `root`
/// (a certificate in DER) and its signature.
///
/// # Errors
///
/// [`AttestationError`], whichever shows first.
pub fn prove(document: &[u8], root: &[u8], now: Timestamp) -> Result<Attested, AttestationError> {
    if document.len() > ATTESTATION_BYTES_MAX {
        return Err(AttestationError::Malformed);
    }
    let unproven = Unproven::read(document).ok_or(AttestationError::Malformed)?;
    let claims = Claims::read(unproven.payload).ok_or(AttestationError::Malformed)?;
    // The bundle begins with the root; the root that counts is the one given.
    let intermediates = claims.bundle.get(1..).unwrap_or_default();
    if !is_chained(claims.certificate, intermediates, root, now) {
        return Err(AttestationError::Untrusted);
    }
    let (rest, certificate) =
        X509Certificate::from_der(claims.certificate).map_err(|_| AttestationError::Malformed)?;
    if !rest.is_empty() {
        return Err(AttestationError::Malformed);
    }
    let signed = unproven.signed();
    let is_signed = Signature::Ecdsa(Digest::Sha384).is_of(
        &signed,
        certificate.tbs_certificate.subject_pki.raw,
        unproven.signature,
    );
    if !is_signed {
        return Err(AttestationError::Signature);
    }
    let made = i64::try_from(claims.timestamp).map_err(|_| AttestationError::Stale)?;
    let made = Timestamp(made);
    if now > made.after(ATTESTATION_MAX_AGE) || made > now.after(ATTESTATION_CLOCK_SKEW) {
        return Err(AttestationError::Stale);
    }
    let public_key = claims.public_key.ok_or(AttestationError::WithoutKey)?;
    let registers = claims.registers.iter();
    let measured = registers.filter(|(_, value)| value.iter().any(|byte| *byte != 0));
    Ok(Attested {
        module_id: claims.module_id.to_owned(),
        measured: claims.measured,
        registers: measured.map(|(at, value)| (*at, value.to_vec())).collect(),
        public_key: public_key.to_vec(),
    })
}

impl<'a> Unproven<'a> {
    fn read(document: &'a [u8]) -> Option<Unproven<'a>> {
        let mut decoder = Decoder::new(document);
        if decoder.datatype().ok()? == Type::Tag && decoder.tag().ok()? != Tag::new(SIGN1_TAG) {
            return None;
        }
        if decoder.array().ok()?? != 4 {
            return None;
        }
        let protected = decoder.bytes().ok()?;
        // What is not signed says nothing.
        if decoder.map().ok()?? != 0 {
            return None;
        }
        let payload = decoder.bytes().ok()?;
        let signature = decoder.bytes().ok()?;
        let is_whole = decoder.position() == document.len();
        (is_whole && is_es384(protected)).then_some(Unproven {
            protected,
            payload,
            signature,
        })
    }

    /// What the signature is over. Source: RFC 9052, section 4.4.
    fn signed(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.payload.len() + 64);
        let mut encoder = Encoder::new(&mut out);
        let written = encoder
            .array(4)
            .and_then(|it| it.str("Signature1"))
            .and_then(|it| it.bytes(self.protected))
            .and_then(|it| it.bytes(&[]))
            .and_then(|it| it.bytes(self.payload));
        written
            .map(drop)
            .expect("a vector takes whatever is written to it");
        out
    }
}

fn is_es384(protected: &[u8]) -> bool {
    let mut decoder = Decoder::new(protected);
    let read = |decoder: &mut Decoder<'_>| {
        let members = decoder.map().ok()??;
        let header = decoder.i64().ok()?;
        let value = decoder.i64().ok()?;
        Some((members, header, value))
    };
    read(&mut decoder) == Some((1, ALGORITHM, ES384)) && decoder.position() == protected.len()
}

impl<'a> Claims<'a> {
    fn read(payload: &'a [u8]) -> Option<Claims<'a>> {
        let mut decoder = Decoder::new(payload);
        let members = decoder.map().ok()??;
        if members > ATTESTATION_MEMBERS_MAX {
            return None;
        }
        let (mut module_id, mut timestamp, mut certificate, mut public_key) = (None, None, None, None);
        let (mut bundle, mut digest, mut registers) = (None, None, None);
        for _ in 0..members {
            let name = decoder.str().ok()?;
            let is_new = match name {
                "module_id" => module_id.replace(decoder.str().ok()?).is_none(),
                "digest" => digest.replace(decoder.str().ok()?).is_none(),
                "timestamp" => timestamp.replace(decoder.u64().ok()?).is_none(),
                "pcrs" => registers
                    .replace((Measured::Enclave, pcrs(&mut decoder)?))
                    .is_none(),
                "nitrotpm_pcrs" => registers
                    .replace((Measured::Instance, pcrs(&mut decoder)?))
                    .is_none(),
                "certificate" => certificate.replace(decoder.bytes().ok()?).is_none(),
                "cabundle" => bundle.replace(certificates(&mut decoder)?).is_none(),
                "public_key" => match optional_bytes(&mut decoder)? {
                    Some(key) => public_key.replace(key).is_none(),
                    None => true,
                },
                "user_data" | "nonce" => {
                    optional_bytes(&mut decoder)?;
                    true
                }
                _ => return None,
            };
            if !is_new {
                return None;
            }
        }
        if decoder.position() != payload.len() || digest? != "SHA384" {
            return None;
        }
        let (measured, registers) = registers?;
        let module_id = module_id.filter(|id: &&str| !id.is_empty())?;
        let fits = |key: &&[u8]| !key.is_empty() && key.len() <= ATTESTATION_KEY_BYTES_MAX;
        if public_key.as_ref().is_some_and(|key| !fits(key)) {
            return None;
        }
        Some(Claims {
            module_id,
            timestamp: timestamp?,
            measured,
            registers,
            certificate: certificate?,
            bundle: bundle?,
            public_key,
        })
    }
}

/// Registers and their values, of 32, 48 or 64 bytes.
fn pcrs<'a>(decoder: &mut Decoder<'a>) -> Option<BTreeMap<u8, &'a [u8]>> {
    let count = decoder.map().ok()??;
    if count == 0 || count > ATTESTATION_PCRS_MAX {
        return None;
    }
    let mut registers = BTreeMap::new();
    for _ in 0..count {
        let register = decoder
            .u8()
            .ok()
            .filter(|at| u64::from(*at) < ATTESTATION_PCRS_MAX)?;
        let value = decoder
            .bytes()
            .ok()
            .filter(|value| matches!(value.len(), 32 | 48 | 64))?;
        if registers.insert(register, value).is_some() {
            return None;
        }
    }
    Some(registers)
}

fn certificates<'a>(decoder: &mut Decoder<'a>) -> Option<Vec<&'a [u8]>> {
    let count = decoder.array().ok()??;
    if count == 0 || count > ATTESTATION_CERTIFICATES_MAX {
        return None;
    }
    (0..count).map(|_| decoder.bytes().ok()).collect()
}

fn optional_bytes<'a>(decoder: &mut Decoder<'a>) -> Option<Option<&'a [u8]>> {
    match decoder.datatype().ok()? {
        Type::Null | Type::Undefined => decoder.skip().ok().map(|()| None),
        _ => decoder.bytes().ok().map(Some),
    }
}

#[cfg(test)]
mod tests {
    use testkit::nitro::{Nitro, Says};

    use super::*;

    const NOW: Timestamp = Timestamp(1_767_323_045_000);

    fn says(public_key: Option<&[u8]>) -> Says<'_> {
        Says {
            at: NOW,
            image: [0xab; 48],
            public_key,
            registers: "pcrs",
        }
    }

    #[test]
    fn a_document_is_proven_and_tells_what_was_measured() {
        let nitro = Nitro::new();
        let attested = prove(&nitro.document(&says(Some(b"key"))), nitro.root(), NOW).unwrap();
        assert_eq!(attested.public_key, b"key");
        assert_eq!(attested.measured, Measured::Enclave);
        // Registers that hold nothing are left out.
        assert_eq!(attested.registers, BTreeMap::from([(0, vec![0xab; 48])]));
        let of_instance = Says {
            registers: "nitrotpm_pcrs",
            ..says(Some(b"key"))
        };
        let attested = prove(&nitro.document(&of_instance), nitro.root(), NOW).unwrap();
        assert_eq!(attested.measured, Measured::Instance);
    }

    #[test]
    fn what_proves_nothing_is_refused() {
        let (nitro, other) = (Nitro::new(), Nitro::new());
        let good = nitro.document(&says(Some(b"key")));
        assert_eq!(prove(&good, other.root(), NOW), Err(AttestationError::Untrusted));
        assert_eq!(
            prove(&good, b"no certificate", NOW),
            Err(AttestationError::Untrusted)
        );
        let (late, early) = (NOW.after(ATTESTATION_MAX_AGE), Timestamp(NOW.0 - 61_000));
        assert!(prove(&good, nitro.root(), late).is_ok());
        for now in [Timestamp(late.0 + 1), early] {
            assert_eq!(prove(&good, nitro.root(), now), Err(AttestationError::Stale));
        }
        assert_eq!(
            prove(&nitro.document(&says(None)), nitro.root(), NOW),
            Err(AttestationError::WithoutKey)
        );
        // The last byte is the signature's.
        let mut forged = good.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(
            prove(&forged, nitro.root(), NOW),
            Err(AttestationError::Signature)
        );
        for end in [0, 1, 10, good.len() - 1] {
            assert_eq!(
                prove(&good[..end], nitro.root(), NOW),
                Err(AttestationError::Malformed)
            );
        }
        let longer = [&good[..], &[0]].concat();
        assert_eq!(
            prove(&longer, nitro.root(), NOW),
            Err(AttestationError::Malformed)
        );
    }

    /// Whatever byte is changed, nothing else is believed.
    #[test]
    fn no_changed_byte_goes_unnoticed() {
        let nitro = Nitro::new();
        let good = nitro.document(&says(Some(b"key")));
        let believed = prove(&good, nitro.root(), NOW).unwrap();
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 0x01;
            if let Ok(attested) = prove(&changed, nitro.root(), NOW) {
                // The root in the bundle counts for nothing, so it is covered by the signature alone.
                panic!("a change at {at} is believed: {attested:?} as {believed:?}");
            }
        }
    }
}

//! What a TPM signs, for tests: by a key of its own, and whatever is wished of it.

use crypto::Random;
use crypto::key::{BackingKey, KeySpec, MessageType, SigningAlgorithm};

/// An attestation key that would sign anything.
pub struct Tpm(BackingKey);

/// What is to be vouched for.
#[derive(Clone)]
pub struct Vouches<'a> {
    /// TPM_GENERATED_VALUE, if all is well.
    pub magic: u32,
    /// TPM_ST_ATTEST_QUOTE, if all is well.
    pub kind: u16,
    /// What the asker sent.
    pub nonce: &'a [u8],
    /// Banks of registers, each with the bits of those that are looked at.
    pub selections: Vec<(u16, Vec<u8>)>,
    /// Of what they hold.
    pub digest: [u8; 32],
}

impl<'a> Vouches<'a> {
    /// A quote of the registers 7 and 16.
    pub fn of(nonce: &'a [u8]) -> Vouches<'a> {
        Vouches {
            magic: 0xff54_4347,
            kind: 0x8018,
            nonce,
            selections: vec![(0x000b, vec![0x80, 0, 0x01])],
            digest: [0x5a; 32],
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let length = |bytes: &[u8]| u16::try_from(bytes.len()).expect("it is short").to_be_bytes();
        let mut out = [&self.magic.to_be_bytes()[..], &self.kind.to_be_bytes()].concat();
        for sized in [&[0, 0x0b, 7][..], self.nonce] {
            out.extend(length(sized));
            out.extend_from_slice(sized);
        }
        // Clock, counters and firmware.
        out.extend([0; 17 + 8]);
        let count = u32::try_from(self.selections.len()).expect("they are few");
        out.extend(count.to_be_bytes());
        for (bank, select) in &self.selections {
            out.extend(bank.to_be_bytes());
            out.push(u8::try_from(select.len()).expect("they are few"));
            out.extend(select);
        }
        out.extend(length(&self.digest));
        out.extend(self.digest);
        out
    }
}

impl Default for Tpm {
    fn default() -> Tpm {
        Tpm::new()
    }
}

impl Tpm {
    /// One with a key that no other has.
    ///
    /// # Panics
    ///
    /// If no key can be made: the test fails.
    pub fn new() -> Tpm {
        Tpm(BackingKey::generate(KeySpec::EccNistP256, &Random::system()).expect("a key is made"))
    }

    /// Its attestation key: a SubjectPublicKeyInfo in DER.
    ///
    /// # Panics
    ///
    /// If it cannot be told: the test fails.
    pub fn key(&self) -> Vec<u8> {
        self.0.public_key_der().expect("it has one").to_vec()
    }

    /// The structure and its signature.
    pub fn vouch(&self, vouches: &Vouches<'_>) -> (Vec<u8>, Vec<u8>) {
        let attest = vouches.bytes();
        let signature = self.sign(&attest);
        (attest, signature)
    }

    /// A signature over anything.
    ///
    /// # Panics
    ///
    /// If it cannot be signed: the test fails.
    pub fn sign(&self, attest: &[u8]) -> Vec<u8> {
        self.0
            .sign(SigningAlgorithm::EcdsaSha256, MessageType::Raw, attest)
            .expect("it signs")
    }
}

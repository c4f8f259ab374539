//! Quotes of a TPM 2.0: what it vouches for of the machine that it is in.
//!
//! A quote is a TPMS_ATTEST structure, which names the platform configuration
//! registers that were looked at and the digest of what they held, and the
//! signature of a key that lives in the TPM and signs nothing that others made.
//! The asker's nonce is in it, so that it cannot be an old one.
//!
//! Invariants: nothing of a quote is given out before its signature and its
//! nonce have been proven; everything is bounded.
//!
//! Absent by design: what a register should hold, and whose key is a TPM's: who
//! calls knows both, from when the machine was made known. Other signatures
//! than ECDSA over SHA-256. The TPM's clock, counters and firmware, which a key
//! outside the endorsement hierarchy sees veiled.
//!
//! Source: TCG, Trusted Platform Module Library, part 2: Structures, 10.12.

use crypto::foreign::is_of_issuer;

use crate::limits::{QUOTE_BYTES_MAX, QUOTE_SELECT_BYTES_MAX, QUOTE_SELECTIONS_MAX};

/// TPM_GENERATED_VALUE: what the TPM made itself begins so. Its key signs
/// nothing from outside that does.
const GENERATED: u32 = 0xff54_4347;
/// TPM_ST_ATTEST_QUOTE, among the kinds of things that a TPM attests.
const QUOTE: u16 = 0x8018;
/// ECDSA over SHA-256, as certificates name it.
const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";
/// TPMS_CLOCK_INFO and the firmware's version.
const CLOCK_AND_FIRMWARE_BYTES: usize = 17 + 8;
/// Bytes of SHA-256, by which a key that signs by it takes the registers' digest.
const DIGEST_BYTES: usize = 32;

/// Why a quote proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// It is signed and yet no such structure.
    #[error("what the TPM signed is malformed")]
    Malformed,
    /// It looks at no register: the TPM has none of that bank.
    #[error("the TPM's quote covers no register")]
    NoRegister,
    /// It attests something else: a key, the time.
    #[error("the TPM signed something else than a quote")]
    NotAQuote,
    /// It was made for somebody else or at another time.
    #[error("the TPM's quote was made for another question")]
    OtherNonce,
    /// The signature is not the key's.
    #[error("the TPM's quote is not signed by the attestation key")]
    Signature,
}

/// A quote that was proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted {
    /// Which registers were looked at.
    pub registers: Registers,
    /// The digest of what they held, one after the other.
    pub digest: [u8; DIGEST_BYTES],
}

/// A selection of registers: TPML_PCR_SELECTION as the TPM spells it. Two that
/// are spelled alike select the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registers(Vec<u8>);

/// Proves a quote: `signature` (ECDSA over SHA-256, in DER) over `attest` by `key`,
/// a SubjectPublicKeyInfo in DER, and for this nonce.
///
/// # Errors
///
/// [`QuoteError`], whichever shows first.
pub fn prove(attest: &[u8], signature: &[u8], key: &[u8], nonce: &[u8]) -> Result<Quoted, QuoteError> {
    if attest.len() > QUOTE_BYTES_MAX {
        return Err(QuoteError::Malformed);
    }
    if !is_of_issuer(ECDSA_SHA256, attest, key, signature) {
        return Err(QuoteError::Signature);
    }
    let mut rest = Bytes(attest);
    if rest.u32().ok_or(QuoteError::Malformed)? != GENERATED {
        return Err(QuoteError::Malformed);
    }
    if rest.u16().ok_or(QuoteError::Malformed)? != QUOTE {
        return Err(QuoteError::NotAQuote);
    }
    let (extra, registers, digest) = rest.body().ok_or(QuoteError::Malformed)?;
    if extra != nonce {
        return Err(QuoteError::OtherNonce);
    }
    if registers
        .banks()
        .all(|(_, select)| select.iter().all(|byte| *byte == 0))
    {
        return Err(QuoteError::NoRegister);
    }
    Ok(Quoted { registers, digest })
}

impl Registers {
    /// Reads a selection as [`Registers::bytes`] gave it.
    pub fn read(bytes: &[u8]) -> Option<Registers> {
        let mut rest = Bytes(bytes);
        rest.registers().filter(|_| rest.0.is_empty())
    }

    /// As the TPM spells it.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As people do: `sha256:0,7`, with `+` between banks; a bank without a name has its number.
    pub fn named(&self) -> String {
        let banks = self.banks().map(|(algorithm, select)| {
            let selected = select.iter().enumerate().flat_map(|(at, byte)| {
                (0..8_usize)
                    .filter(move |bit| byte >> bit & 1 == 1)
                    .map(move |bit| (8 * at + bit).to_string())
            });
            let bank = match algorithm {
                0x0004 => "sha1".to_owned(),
                0x000b => "sha256".to_owned(),
                0x000c => "sha384".to_owned(),
                0x000d => "sha512".to_owned(),
                other => format!("{other:#06x}"),
            };
            format!("{bank}:{}", selected.collect::<Vec<_>>().join(","))
        });
        banks.collect::<Vec<_>>().join("+")
    }

    /// The banks, each with the bits of its registers.
    fn banks(&self) -> impl Iterator<Item = (u16, &[u8])> {
        let mut rest = Bytes(&self.0);
        let count = rest.u32().unwrap_or_default();
        (0..count).map_while(move |_| rest.bank())
    }
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// A TPM2B: its length in two bytes, and so many.
    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// Everything behind magic and type: nonce, registers and their digest.
    fn body(&mut self) -> Option<(&'a [u8], Registers, [u8; DIGEST_BYTES])> {
        let _signer = self.sized()?;
        let extra = self.sized()?;
        self.take(CLOCK_AND_FIRMWARE_BYTES)?;
        let registers = self.registers()?;
        let digest = self.sized()?.try_into().ok()?;
        self.0.is_empty().then_some((extra, registers, digest))
    }

    fn registers(&mut self) -> Option<Registers> {
        let whole = self.0;
        let count = self.u32().filter(|count| *count <= QUOTE_SELECTIONS_MAX)?;
        for _ in 0..count {
            self.bank()?;
        }
        Some(Registers(whole.get(..whole.len() - self.0.len())?.to_vec()))
    }

    fn bank(&mut self) -> Option<(u16, &'a [u8])> {
        let algorithm = self.u16()?;
        let length = self.u8().filter(|length| *length <= QUOTE_SELECT_BYTES_MAX)?;
        Some((algorithm, self.take(length.into())?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use testkit::tpm::{Tpm, Vouches};

    use super::*;

    const NONCE: &[u8] = &[0xab; 32];

    fn vouches() -> Vouches<'static> {
        Vouches::of(NONCE)
    }

    fn told(tpm: &Tpm, vouches: &Vouches<'_>) -> Result<Quoted, QuoteError> {
        let (attest, signature) = tpm.vouch(vouches);
        prove(&attest, &signature, &tpm.key(), NONCE)
    }

    #[test]
    fn a_quote_is_proven_and_tells_its_registers() {
        let quoted = told(&Tpm::new(), &vouches()).unwrap();
        assert_eq!(quoted.digest, vouches().digest);
        assert_eq!(quoted.registers.named(), "sha256:7,16");
        assert_eq!(Registers::read(quoted.registers.bytes()), Some(quoted.registers));
        let of_two = Vouches {
            selections: vec![(0x0004, vec![0x81, 0, 0]), (0x0012, vec![0, 0, 0x80])],
            ..vouches()
        };
        let quoted = told(&Tpm::new(), &of_two).unwrap();
        assert_eq!(quoted.registers.named(), "sha1:0,7+0x0012:23");
    }

    /// swtpm's, by tpm2-tools 5.4: what a real implementation signs is read.
    #[test]
    fn what_a_tpm_made_is_proven() {
        let quoted = prove(
            include_bytes!("../../../fuzz/seeds/tpm_quote/good"),
            include_bytes!("../../../fuzz/seeds/tpm_quote/signature"),
            include_bytes!("../../../fuzz/seeds/tpm_quote/key.der"),
            NONCE,
        )
        .unwrap();
        assert_eq!(quoted.registers.named(), "sha256:7,16");
        // Both registers held nothing but zeros.
        assert_eq!(quoted.digest, crypto::sha256(&[&[0; 64]]));
    }

    #[test]
    fn what_proves_nothing_is_refused() {
        let (tpm, other) = (Tpm::new(), Tpm::new());
        let (attest, signature) = tpm.vouch(&vouches());
        assert_eq!(
            prove(&attest, &signature, &other.key(), NONCE),
            Err(QuoteError::Signature)
        );
        for nonce in [&NONCE[1..], &[0; 32], &[]] {
            assert_eq!(
                prove(&attest, &signature, &tpm.key(), nonce),
                Err(QuoteError::OtherNonce)
            );
        }
        let refused = |wrong: Vouches<'_>| told(&tpm, &wrong).unwrap_err();
        // TPM_ST_ATTEST_TIME, and what the TPM did not make.
        assert_eq!(
            refused(Vouches {
                kind: 0x8019,
                ..vouches()
            }),
            QuoteError::NotAQuote
        );
        assert_eq!(
            refused(Vouches {
                magic: 0,
                ..vouches()
            }),
            QuoteError::Malformed
        );
        for selections in [vec![], vec![(0x000b, vec![0, 0, 0])]] {
            let wrong = Vouches {
                selections,
                ..vouches()
            };
            assert_eq!(refused(wrong), QuoteError::NoRegister);
        }
        let many = vec![(0x000b, vec![1]); QUOTE_SELECTIONS_MAX as usize + 1];
        let long = vec![(0x000b, vec![1; usize::from(QUOTE_SELECT_BYTES_MAX) + 1])];
        for selections in [many, long] {
            let wrong = Vouches {
                selections,
                ..vouches()
            };
            assert_eq!(refused(wrong), QuoteError::Malformed);
        }
        assert_eq!(
            prove(&[0; QUOTE_BYTES_MAX + 1], &signature, &tpm.key(), NONCE),
            Err(QuoteError::Malformed)
        );
    }

    /// Cut off or followed by something, though it be signed.
    #[test]
    fn only_a_whole_structure_is_read() {
        let tpm = Tpm::new();
        let (attest, _) = tpm.vouch(&vouches());
        let longer = [&attest[..], &[0]].concat();
        let cut = (0..attest.len()).map(|end| &attest[..end]);
        for wrong in cut.chain([&longer[..]]) {
            let told = prove(wrong, &tpm.sign(wrong), &tpm.key(), NONCE);
            assert_eq!(told, Err(QuoteError::Malformed), "{} bytes", wrong.len());
        }
    }

    proptest! {
        /// Whatever byte of quote or signature is changed, nothing is believed.
        #[test]
        fn no_changed_byte_goes_unnoticed(at in any::<prop::sample::Index>(), by in 1u8..) {
            let tpm = Tpm::new();
            let (mut attest, mut signature) = tpm.vouch(&vouches());
            let at = at.index(attest.len() + signature.len());
            match at.checked_sub(attest.len()) {
                Some(at) => signature[at] ^= by,
                None => attest[at] ^= by,
            }
            prop_assert_eq!(prove(&attest, &signature, &tpm.key(), NONCE), Err(QuoteError::Signature));
        }
    }
}

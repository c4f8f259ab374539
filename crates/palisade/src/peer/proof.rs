//! What the TPM of a member proves to the one that opens it: that the machine
//! is the one for which the slot was made, and holds in its registers what it
//! held then.
//!
//! The running member asks with a nonce. The other answers with a quote over
//! what both export from their very connection with that nonce as context (RFC
//! 8446, 7.5), so that a quote serves once and for nobody else.
//!
//! Absent by design: a list of machines at the running member. What a slot's
//! TPM has to prove is sealed in the slot beside its key. And any certificate of
//! the TPM's maker: whoever made the slot had the root key open, and vouches for
//! the machine that he made it on.

use crypto::slot::{KEY_FILE_BYTES, Kept};
use federation::quote::{QuoteError, Quoted, Registers};
use ground::Secret;
use serde::{Deserialize, Serialize};

/// Bytes of a nonce, and of what is exported with it.
pub(crate) const NONCE_BYTES: usize = 32;

/// What the question is exported as.
const QUESTION_LABEL: &[u8] = b"EXPORTER-Palisade-peer-quote";

/// What a member's TPM signed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Evidence {
    /// A TPMS_ATTEST.
    pub(crate) quote: Kept,
    /// ECDSA over SHA-256, in DER.
    pub(crate) signature: Kept,
}

/// What a TPM has to sign for this nonce on this connection.
///
/// # Errors
///
/// If the handshake is not done.
pub(crate) fn question<Data>(
    connection: &rustls::ConnectionCommon<Data>,
    nonce: &[u8; NONCE_BYTES],
) -> Result<[u8; NONCE_BYTES], rustls::Error> {
    connection.export_keying_material([0; NONCE_BYTES], QUESTION_LABEL, Some(nonce))
}

/// The machine that a slot was made on.
#[derive(PartialEq, Eq)]
pub(crate) struct Machine {
    /// The attestation key of its TPM, a SubjectPublicKeyInfo in DER.
    pub(crate) key: Vec<u8>,
    /// What its registers held.
    pub(crate) quoted: Quoted,
}

impl Machine {
    /// Why what a TPM vouches for now is not what it vouched for when the slot
    /// was made.
    ///
    /// # Errors
    ///
    /// The reason, and what to do.
    pub(crate) fn check(&self, now: &Quoted) -> Result<(), String> {
        let wanted = self.quoted.registers.named();
        if now.registers != self.quoted.registers {
            return Err(format!(
                "its TPM quotes {}, and the slot was made for {wanted}: ask by the slot as it was made",
                now.registers.named()
            ));
        }
        if now.digest != self.quoted.digest {
            return Err(format!(
                "its registers {wanted} do not hold what they held when the slot was made: find out what was \
                 started, open it in another way, and make the slot anew if all is well"
            ));
        }
        Ok(())
    }
}

/// What to do about a quote that proves nothing.
pub(crate) fn advised(error: QuoteError) -> String {
    let advice = match error {
        QuoteError::Malformed | QuoteError::NotAQuote => "ask by `palisade` itself, with sound tpm2-tools",
        QuoteError::NoRegister => "choose registers that `tpm2_getcap pcrs` lists",
        QuoteError::OtherNonce => "ask anew; a quote serves once",
        QuoteError::Signature => {
            "start on the machine that the slot was made on, or make a slot on this one with --tpm-pcrs"
        }
    };
    format!("{error}: {advice}")
}

/// The key of a slot and the machine it is for, as they are sealed: the key, and if
/// there is a machine, its key, registers and digest, each with its length in two
/// bytes before it.
pub(crate) fn joined(
    key: &Secret<[u8; KEY_FILE_BYTES]>,
    machine: Option<&Machine>,
) -> Option<Secret<Vec<u8>>> {
    let parts = machine.map(|machine| {
        [
            &machine.key[..],
            machine.quoted.registers.bytes(),
            &machine.quoted.digest,
        ]
    });
    let parts = parts.as_ref().map(|parts| &parts[..]).unwrap_or_default();
    let length = parts.iter().map(|part| 2 + part.len()).sum::<usize>();
    // Its room is there from the start: a vector that grows leaves copies behind.
    let mut out = Secret::new(Vec::with_capacity(KEY_FILE_BYTES + length));
    out.expose_mut().extend_from_slice(key.expose());
    for part in parts {
        let length = u16::try_from(part.len()).ok()?;
        out.expose_mut().extend_from_slice(&length.to_be_bytes());
        out.expose_mut().extend_from_slice(part);
    }
    Some(out)
}

/// What [`joined`] joined.
pub(crate) fn parted(sealed: &Secret<Vec<u8>>) -> Option<(Secret<[u8; KEY_FILE_BYTES]>, Option<Machine>)> {
    let (first, mut rest) = sealed.expose().split_first_chunk::<KEY_FILE_BYTES>()?;
    let mut key = Secret::new([0; KEY_FILE_BYTES]);
    key.expose_mut().copy_from_slice(first);
    if rest.is_empty() {
        return Some((key, None));
    }
    let mut part = || {
        let (length, behind) = rest.split_first_chunk::<2>()?;
        let (part, behind) = behind.split_at_checked(u16::from_be_bytes(*length).into())?;
        rest = behind;
        Some(part)
    };
    let machine = Machine {
        key: part()?.to_vec(),
        quoted: Quoted {
            registers: Registers::read(part()?)?,
            digest: part()?.try_into().ok()?,
        },
    };
    rest.is_empty().then_some((key, Some(machine)))
}

#[cfg(test)]
mod tests {
    use federation::quote::prove;
    use testkit::tpm::{Tpm, Vouches};

    use super::*;

    fn machine(vouches: &Vouches<'_>) -> Machine {
        let tpm = Tpm::new();
        let (quote, signature) = tpm.vouch(vouches);
        Machine {
            key: tpm.key(),
            quoted: prove(&quote, &signature, &tpm.key(), vouches.nonce).unwrap(),
        }
    }

    #[test]
    fn what_was_joined_is_parted() {
        let key = Secret::new([7; KEY_FILE_BYTES]);
        let machine = machine(&Vouches::of(&[1; 32]));
        for given in [None, Some(&machine)] {
            let sealed = joined(&key, given).unwrap();
            let (again, found) = parted(&sealed).unwrap();
            assert!(again.expose() == key.expose() && found.as_ref() == given);
            // As slots were sealed before there were machines.
            assert_eq!(sealed.expose().len() == KEY_FILE_BYTES, given.is_none());
            for end in (0..sealed.expose().len()).filter(|end| *end != KEY_FILE_BYTES) {
                assert!(parted(&Secret::new(sealed.expose()[..end].to_vec())).is_none());
            }
        }
    }

    #[test]
    fn another_digest_and_other_registers_are_refused_with_advice() {
        let vouches = Vouches::of(&[1; 32]);
        let made = machine(&vouches);
        assert_eq!(made.check(&made.quoted), Ok(()));
        let changed = Vouches {
            digest: [0; 32],
            ..vouches.clone()
        };
        let why = made.check(&machine(&changed).quoted).unwrap_err();
        assert!(why.contains("sha256:7,16 do not hold"), "{why}");
        let others = Vouches {
            selections: vec![(0x000b, vec![1, 0, 0])],
            ..vouches
        };
        let why = made.check(&machine(&others).quoted).unwrap_err();
        assert!(why.contains("quotes sha256:0, and"), "{why}");
    }
}

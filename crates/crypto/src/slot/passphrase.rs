//! Passphrases, made slow to guess by Argon2id (RFC 9106).
//!
//! The cost is stored in the slot, so that it can rise over the years. It is
//! bounded on the way in: whoever can write the slot document can neither ask
//! for terabytes nor weaken a new slot.
//!
//! A passphrase is its bytes as typed. It is not normalised: the same
//! characters typed on another system may be other bytes, so plain ASCII is
//! the safe choice.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use ground::Secret;
use zeroize::Zeroize as _;

use super::error::SlotError;

/// The shortest passphrase in bytes. Source: NIST SP 800-63B, 5.1.1.2: at
/// least 8 characters for a secret the subscriber chooses.
pub const PASSPHRASE_BYTES_MIN: usize = 8;
/// The longest passphrase in bytes, to bound the work of hashing it.
pub const PASSPHRASE_BYTES_MAX: usize = 1024;
/// The least memory. Source: OWASP Password Storage Cheat Sheet, Argon2id with
/// 19 MiB, 2 passes, 1 lane.
pub const MEMORY_KIB_MIN: u32 = 19 * 1024;
/// The most memory a document may ask for: 1 GiB.
pub const MEMORY_KIB_MAX: u32 = 1024 * 1024;
/// The fewest passes. Source: as [`MEMORY_KIB_MIN`].
pub const PASSES_MIN: u32 = 2;
/// The most passes: with [`MEMORY_KIB_MAX`] about a minute of one core.
pub const PASSES_MAX: u32 = 32;
/// The most lanes.
pub const LANES_MAX: u32 = 16;
/// Bytes of salt. Source: RFC 9106, 4: 128 bits suffice.
pub(super) const SALT_BYTES: usize = 16;

/// What one guess at a passphrase costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Argon2Cost {
    /// 64 MiB, 3 passes, 4 lanes: the second of the two options that RFC 9106,
    /// 4, recommends, for when 2 GiB are too much to ask. It is more than the
    /// minimum of OWASP.
    pub const RECOMMENDED: Argon2Cost = Argon2Cost {
        memory_kib: 64 * 1024,
        passes: 3,
        lanes: 4,
    };

    /// The least that is accepted: OWASP's minimum. For tests, and for machines
    /// with little memory.
    pub const MINIMUM: Argon2Cost = Argon2Cost {
        memory_kib: MEMORY_KIB_MIN,
        passes: PASSES_MIN,
        lanes: 1,
    };

    /// A cost within the bounds of this module.
    ///
    /// # Errors
    ///
    /// [`SlotError::OutOfBounds`]; nothing is clamped.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Argon2Cost, SlotError> {
        within("Argon2 memory in KiB", memory_kib, MEMORY_KIB_MIN, MEMORY_KIB_MAX)?;
        within("Argon2 passes", passes, PASSES_MIN, PASSES_MAX)?;
        within("Argon2 lanes", lanes, 1, LANES_MAX)?;
        Ok(Argon2Cost {
            memory_kib,
            passes,
            lanes,
        })
    }

    /// The memory of one guess.
    pub fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// How often the memory is passed over.
    pub fn passes(self) -> u32 {
        self.passes
    }

    /// Into how many lanes the memory is divided.
    pub fn lanes(self) -> u32 {
        self.lanes
    }
}

/// Refuses a passphrase for a new slot that is too short or too long.
pub(super) fn check(passphrase: &[u8]) -> Result<(), SlotError> {
    let length = passphrase.len();
    if (PASSPHRASE_BYTES_MIN..=PASSPHRASE_BYTES_MAX).contains(&length) {
        return Ok(());
    }
    Err(SlotError::OutOfBounds {
        what: "the length of the passphrase in bytes",
        given: length as u64,
        min: PASSPHRASE_BYTES_MIN as u64,
        max: PASSPHRASE_BYTES_MAX as u64,
    })
}

/// The key a passphrase stands for. Slow on purpose: tenths of a second.
pub(crate) fn key(passphrase: &[u8], salt: &[u8], cost: Argon2Cost) -> Result<Secret<[u8; 32]>, SlotError> {
    let broken = |_| SlotError::Provider("Argon2id");
    let mut key = Secret::new([0; 32]);
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).map_err(broken)?;
    // A reservation that fails is an error; a plain allocation would end the process.
    let mut memory: Vec<Block> = Vec::new();
    memory
        .try_reserve_exact(params.block_count())
        .map_err(|_| SlotError::Memory {
            memory_kib: cost.memory_kib,
        })?;
    memory.resize(params.block_count(), Block::default());
    let hashed = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into_with_memory(
        passphrase,
        salt,
        key.expose_mut(),
        &mut memory,
    );
    memory.iter_mut().for_each(|block| block.as_mut().zeroize());
    hashed.map_err(broken)?;
    Ok(key)
}

fn within(what: &'static str, given: u32, min: u32, max: u32) -> Result<(), SlotError> {
    if (min..=max).contains(&given) {
        return Ok(());
    }
    Err(SlotError::OutOfBounds {
        what,
        given: given.into(),
        min: min.into(),
        max: max.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the tests of the reference implementation (`phc-winner-argon2`,
    /// `src/test.c`): version 1.3, 2 passes, 64 MiB, 1 lane.
    #[test]
    fn gives_the_published_key() {
        let cost = Argon2Cost::new(64 * 1024, 2, 1).unwrap();
        let key = key(b"password", b"somesalt", cost).unwrap();
        assert_eq!(
            hex::encode(key.expose()),
            "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"
        );
    }

    #[test]
    fn keys_depend_on_everything() {
        let base = key(b"correct horse", &[1; 16], Argon2Cost::MINIMUM).unwrap();
        let again = key(b"correct horse", &[1; 16], Argon2Cost::MINIMUM).unwrap();
        assert_eq!(base.expose(), again.expose());
        let more = Argon2Cost {
            passes: 3,
            ..Argon2Cost::MINIMUM
        };
        for other in [
            key(b"correct horsf", &[1; 16], Argon2Cost::MINIMUM).unwrap(),
            key(b"correct horse", &[2; 16], Argon2Cost::MINIMUM).unwrap(),
            key(b"correct horse", &[1; 16], more).unwrap(),
        ] {
            assert_ne!(base.expose(), other.expose());
        }
    }

    #[test]
    fn costs_have_bounds_on_both_sides() {
        assert!(Argon2Cost::new(64 * 1024, 3, 4).is_ok());
        for (memory_kib, passes, lanes) in [
            (MEMORY_KIB_MIN - 1, 3, 4),
            (MEMORY_KIB_MAX + 1, 3, 4),
            (u32::MAX, 3, 4),
            (64 * 1024, PASSES_MIN - 1, 4),
            (64 * 1024, PASSES_MAX + 1, 4),
            (64 * 1024, u32::MAX, 4),
            (64 * 1024, 3, 0),
            (64 * 1024, 3, LANES_MAX + 1),
        ] {
            let refused = Argon2Cost::new(memory_kib, passes, lanes);
            assert!(matches!(refused, Err(SlotError::OutOfBounds { .. })));
        }
        assert!(check(b"1234567").is_err());
        assert!(check(b"12345678").is_ok());
        assert!(check(&[b'x'; PASSPHRASE_BYTES_MAX + 1]).is_err());
    }
}

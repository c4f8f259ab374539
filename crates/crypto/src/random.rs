//! Randomness that a test can fix.
//!
//! [`Random::system`] is the provider's generator, seeded by the operating
//! system. [`Random::seeded`] gives the same bytes for the same seed in the
//! same order of calls, so that a failing test fails again.
//!
//! Absent by design: key pairs do not take a `Random`. The provider makes RSA,
//! elliptic curve and Edwards keys, and signature nonces, from its own
//! generator and offers no way to replace it; see [`crate::key`].

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};

use crate::hash::sha256;

/// Bytes that a thread keeps ready for ids.
const SUPPLY_BYTES: usize = 4096;

struct Supply {
    bytes: [u8; SUPPLY_BYTES],
    left: usize,
}

thread_local! {
    static SUPPLY: RefCell<Supply> = const { RefCell::new(Supply { bytes: [0; SUPPLY_BYTES], left: 0 }) };
}

/// A source of random bytes. Clones share the source.
#[derive(Clone)]
pub struct Random(Source);

#[derive(Clone)]
enum Source {
    System(SystemRandom),
    Seeded { seed: u64, calls: Arc<AtomicU64> },
}

impl Random {
    /// The provider's generator, fit for keys and nonces.
    pub fn system() -> Random {
        Random(Source::System(SystemRandom::new()))
    }

    /// A generator for tests and virtual development worlds: anyone who knows
    /// the seed knows every byte.
    pub fn seeded(seed: u64) -> Random {
        Random(Source::Seeded {
            seed,
            calls: Arc::new(AtomicU64::new(0)),
        })
    }

    /// Fills the buffer.
    pub fn fill(&self, buffer: &mut [u8]) {
        match &self.0 {
            Source::System(system) => system
                .fill(buffer)
                .expect("the provider ends the process rather than give no randomness"),
            Source::Seeded { seed, calls } => {
                let call = calls.fetch_add(1, Ordering::Relaxed);
                for (block, chunk) in (0u64..).zip(buffer.chunks_mut(32)) {
                    let bytes = sha256(&[&seed.to_be_bytes(), &call.to_be_bytes(), &block.to_be_bytes()]);
                    chunk.copy_from_slice(&bytes[..chunk.len()]);
                }
            }
        }
    }

    /// `N` random bytes for what is shown anyway, such as request ids: never for
    /// keys or nonces. They come from a supply that each thread keeps, because
    /// the provider's generator costs a third of a microsecond a call.
    pub fn public_bytes<const N: usize>(&self) -> [u8; N] {
        match &self.0 {
            Source::System(_) if N <= SUPPLY_BYTES => SUPPLY.with_borrow_mut(|supply| {
                if supply.left < N {
                    self.fill(&mut supply.bytes);
                    supply.left = SUPPLY_BYTES;
                }
                let start = SUPPLY_BYTES - supply.left;
                supply.left -= N;
                let mut taken = [0; N];
                taken.copy_from_slice(&supply.bytes[start..start + N]);
                taken
            }),
            Source::System(_) | Source::Seeded { .. } => self.bytes(),
        }
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}

impl fmt::Debug for Random {
    /// Says which source it is, never where it stands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::System(_) => f.write_str("Random::system"),
            Source::Seeded { .. } => f.write_str("Random::seeded"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence() {
        let (left, right) = (Random::seeded(7), Random::seeded(7));
        for length in [0, 1, 31, 32, 33, 100] {
            let (mut a, mut b) = (vec![0; length], vec![0; length]);
            left.fill(&mut a);
            right.fill(&mut b);
            assert_eq!(a, b);
        }
        assert_ne!(left.bytes::<16>(), left.bytes::<16>());
        assert_ne!(Random::seeded(1).bytes::<16>(), Random::seeded(2).bytes::<16>());
    }

    #[test]
    fn the_supply_for_ids_gives_each_byte_once() {
        let random = Random::system();
        let ids: std::collections::HashSet<[u8; 16]> = (0..2000).map(|_| random.public_bytes()).collect();
        assert_eq!(ids.len(), 2000);
        assert_eq!(
            Random::seeded(3).public_bytes::<16>(),
            Random::seeded(3).bytes::<16>()
        );
    }

    #[test]
    fn clones_go_on_together() {
        let random = Random::seeded(7);
        assert_ne!(random.clone().bytes::<16>(), random.bytes::<16>());
    }

    #[test]
    fn the_system_does_not_repeat_itself() {
        let random = Random::system();
        assert_ne!(random.bytes::<16>(), random.bytes::<16>());
    }
}

//! One-time codes of authenticator apps: TOTP (RFC 6238) with HMAC-SHA-1, six
//! digits and steps of thirty seconds, which is what every app understands.
//!
//! SHA-1's collisions do not touch HMAC; nothing else here uses it.
//!
//! Absent by design: clocks and windows. The caller says which step it means,
//! and remembers which were used.

use aws_lc_rs::hmac;

/// Seconds of one step.
pub const STEP_SECONDS: u64 = 30;

/// The code of a step: six decimal digits (RFC 4226, 5.3).
pub fn code(seed: &[u8], step: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, seed);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[tag.len() - 1] & 15);
    let number = tag[at..at + 4]
        .iter()
        .fold(0u32, |number, byte| (number << 8) | u32::from(*byte));
    format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4226, appendix D.
    #[test]
    fn the_published_codes_are_given() {
        let codes = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
            "520489",
        ];
        for (step, expected) in (0..).zip(codes) {
            assert_eq!(code(b"12345678901234567890", step), expected);
        }
    }

    /// RFC 6238, appendix B: the last six of its eight digits.
    #[test]
    fn the_published_times_give_their_codes() {
        for (seconds, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code(b"12345678901234567890", seconds / STEP_SECONDS), expected);
        }
    }
}

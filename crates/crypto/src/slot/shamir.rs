//! Shamir's secret sharing over GF(2^8) with the polynomial of AES.
//!
//! Every byte of the secret is the value at zero of a random polynomial whose
//! degree is one less than the threshold; share `x` holds the values at `x`.
//! Fewer shares than the threshold say nothing about the secret. The field's
//! arithmetic takes the same steps for all values: no tables, no branches.
//!
//! Written here because the arithmetic is a page long and the crates at hand
//! use table look-ups, whose time depends on secrets.

use ground::Secret;

use crate::Random;

/// Bytes in the shared secret, and in each share of it.
pub(super) const SECRET_BYTES: usize = 32;

/// One value of the polynomials.
pub(super) struct Point {
    /// Where: never 0, for there lies the secret.
    pub(super) x: u8,
    /// What.
    pub(super) y: Secret<[u8; SECRET_BYTES]>,
}

/// The points 1 to `count`, of which any `threshold` give the secret back.
///
/// # Panics
///
/// Unless `1 <= threshold <= count`; the caller has checked both.
pub(super) fn split(
    secret: &Secret<[u8; SECRET_BYTES]>,
    threshold: u8,
    count: u8,
    random: &Random,
) -> Vec<Point> {
    assert!(
        threshold >= 1 && threshold <= count,
        "thresholds are checked by SharePolicy"
    );
    let coefficients: Vec<Secret<[u8; SECRET_BYTES]>> = (1..threshold)
        .map(|_| {
            let mut coefficient = Secret::new([0; SECRET_BYTES]);
            random.fill(coefficient.expose_mut());
            coefficient
        })
        .collect();
    (1..=count)
        .map(|x| {
            let mut y = Secret::new([0; SECRET_BYTES]);
            // Horner's rule, the highest coefficient first, the secret last.
            for coefficient in coefficients.iter().rev().chain([secret]) {
                for (y, coefficient) in y.expose_mut().iter_mut().zip(coefficient.expose()) {
                    *y = multiply(*y, x) ^ coefficient;
                }
            }
            Point { x, y }
        })
        .collect()
}

/// The value at `at` of the polynomials through the points (Lagrange). The
/// secret is the value at 0. The points' `x` must differ; the caller has
/// checked that.
pub(super) fn interpolate(points: &[&Point], at: u8) -> Secret<[u8; SECRET_BYTES]> {
    let mut value = Secret::new([0; SECRET_BYTES]);
    for (index, point) in points.iter().enumerate() {
        let mut weight = 1;
        for (other_index, other) in points.iter().enumerate() {
            if other_index != index {
                // Subtraction is exclusive or.
                weight = multiply(weight, multiply(other.x ^ at, invert(other.x ^ point.x)));
            }
        }
        for (value, y) in value.expose_mut().iter_mut().zip(point.y.expose()) {
            *value ^= multiply(*y, weight);
        }
    }
    value
}

/// The product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197, 4.2).
fn multiply(left: u8, right: u8) -> u8 {
    let (mut left, mut product) = (left, 0);
    for bit in 0..8 {
        // A mask of all ones if the bit is set, else of zeros.
        let take = 0u8.wrapping_sub((right >> bit) & 1);
        product ^= left & take;
        let carry = 0u8.wrapping_sub(left >> 7);
        left = (left << 1) ^ (0x1b & carry);
    }
    product
}

/// The inverse: the 254th power, for the group has 255 elements. Zero gives zero.
fn invert(value: u8) -> u8 {
    let mut power = value;
    let mut inverse = 1;
    // 254 is binary 11111110: the product of the powers 2, 4, 8, …, 128.
    for _ in 0..7 {
        power = multiply(power, power);
        inverse = multiply(inverse, power);
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// FIPS 197, 4.2 and 4.2.1.
    #[test]
    fn multiplies_as_published() {
        assert_eq!(multiply(0x57, 0x83), 0xc1);
        assert_eq!(multiply(0x57, 0x13), 0xfe);
    }

    #[test]
    fn is_a_field() {
        for a in 0..=255u8 {
            assert_eq!(multiply(a, 1), a);
            assert_eq!(multiply(a, 0), 0);
            assert_eq!(multiply(a, invert(a)), u8::from(a != 0));
            for b in 0..=255u8 {
                assert_eq!(multiply(a, b), multiply(b, a));
                assert_eq!(multiply(a, b ^ 0x35), multiply(a, b) ^ multiply(a, 0x35));
            }
        }
    }

    proptest! {
        #[test]
        fn any_threshold_of_shares_gives_the_secret(
            secret in any::<[u8; SECRET_BYTES]>(),
            threshold in 1u8..8,
            more in 0u8..5,
            seed in any::<u64>(),
            order in any::<u64>(),
        ) {
            let secret = Secret::new(secret);
            let points = split(&secret, threshold, threshold + more, &Random::seeded(seed));
            let mut chosen: Vec<&Point> = points.iter().collect();
            // A shuffle from the seed: sort by a digest.
            chosen.sort_by_key(|point| crate::sha256(&[&order.to_be_bytes(), &[point.x]]));
            let enough = &chosen[..usize::from(threshold)];
            let combined = interpolate(enough, 0);
            prop_assert_eq!(combined.expose(), secret.expose());
            for point in &points {
                let value = interpolate(enough, point.x);
                prop_assert_eq!(value.expose(), point.y.expose());
            }
            if threshold > 1 {
                let too_few = interpolate(&enough[1..], 0);
                prop_assert_ne!(too_few.expose(), secret.expose());
            }
        }
    }

    /// With one share short, every secret is possible: for any byte there is a
    /// missing share that gives it.
    #[test]
    fn one_share_short_says_nothing() {
        let points = split(&Secret::new([42; SECRET_BYTES]), 3, 3, &Random::seeded(1));
        let mut seen = [false; 256];
        for y in 0..=255 {
            let invented = Point {
                x: 3,
                y: Secret::new([y; SECRET_BYTES]),
            };
            let secret = interpolate(&[&points[0], &points[1], &invented], 0);
            seen[usize::from(secret.expose()[0])] = true;
        }
        assert!(seen.iter().all(|seen| *seen));
    }
}

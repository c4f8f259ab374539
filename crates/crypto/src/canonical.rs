//! One unambiguous way to write several byte strings as one.
//!
//! Associated data and derivation contexts are made of parts. Each part is
//! preceded by its length, so two different lists never give the same bytes.

/// Appends a part: its length as 64 bits, big-endian, and its bytes.
pub(crate) fn push_part(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&(part.len() as u64).to_be_bytes());
    out.extend_from_slice(part);
}

/// The parts as one byte string, their number first.
pub(crate) fn parts(list: &[&[u8]]) -> Vec<u8> {
    let bytes = list.iter().map(|part| part.len() + 8).sum::<usize>() + 8;
    let mut out = Vec::with_capacity(bytes);
    out.extend_from_slice(&(list.len() as u64).to_be_bytes());
    for part in list {
        push_part(&mut out, part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Two lists give the same bytes only if they are the same list.
        #[test]
        fn different_lists_give_different_bytes(
            left in proptest::collection::vec(proptest::collection::vec(0u8..3, 0..4), 0..4),
            right in proptest::collection::vec(proptest::collection::vec(0u8..3, 0..4), 0..4),
        ) {
            let bytes = |list: &[Vec<u8>]| parts(&list.iter().map(Vec::as_slice).collect::<Vec<_>>());
            prop_assert_eq!(left == right, bytes(&left) == bytes(&right));
        }
    }
}

//! As much of DER (X.690) as it takes to find the numbers of a key or signature,
//! and to write those of an RSA key.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const SEQUENCE: u8 = 0x30;

/// Takes one element with this tag: what is in it, and what is behind it.
pub(crate) fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => {
            let (bytes, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*bytes)), rest)
        }
        _ => return None,
    };
    (*found == tag && length <= rest.len()).then(|| rest.split_at(length))
}

/// A positive number, without the zero that keeps it from looking negative.
pub(crate) fn number(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (bytes, rest) = element(der, INTEGER)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Some((&bytes[zeros..], rest))
}

/// An element with this tag, of at most 65,535 bytes.
pub(crate) fn written(tag: u8, content: &[u8]) -> Option<Vec<u8>> {
    let [high, low] = u16::try_from(content.len()).ok()?.to_be_bytes();
    let mut out = vec![tag];
    match (high, low) {
        (0, 0..=0x7f) => out.push(low),
        (0, _) => out.extend([0x81, low]),
        _ => out.extend([0x82, high, low]),
    }
    out.extend_from_slice(content);
    Some(out)
}

/// A positive number, given without leading zeros.
pub(crate) fn written_number(number: &[u8]) -> Option<Vec<u8>> {
    let looks_negative = number.first().is_none_or(|byte| *byte >= 0x80);
    let mut content = Vec::with_capacity(number.len() + 1);
    if looks_negative {
        content.push(0);
    }
    content.extend_from_slice(number);
    written(INTEGER, &content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(content in prop::collection::vec(any::<u8>(), 0..700), behind in any::<u8>()) {
            let mut der = written(SEQUENCE, &content).unwrap();
            der.push(behind);
            prop_assert_eq!(element(&der, SEQUENCE), Some((content.as_slice(), &[behind][..])));
            prop_assert_eq!(element(&der, INTEGER), None);
        }

        #[test]
        fn numbers_lose_their_zeros_and_nothing_else(bytes in prop::collection::vec(any::<u8>(), 1..300)) {
            let der = written_number(&bytes).unwrap();
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            prop_assert_eq!(number(&der).unwrap().0, &bytes[zeros..]);
        }

        #[test]
        fn reading_is_total(der in prop::collection::vec(any::<u8>(), 0..64)) {
            element(&der, SEQUENCE);
            number(&der);
        }
    }
}

//! Protocol Buffers on the wire: fields in, fields out.
//!
//! The few messages spoken here have text, bytes and one map. Reading borrows
//! from what was received, so that a secret is copied once, into its keeping;
//! that and the size of it are why no library does this.
//!
//! Absent by design: groups, which proto3 does not have; numbers of fixed
//! length and packed lists, which are read over as unknown fields must be.
//!
//! Source: Protocol Buffers Documentation, "Encoding".

/// The message cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It ends within a field.
    #[error("the message ends within a field")]
    CutOff,
    /// A field's number is zero or too great, or its kind is unknown.
    #[error("the message has a field of no known kind")]
    Field,
    /// Text is not UTF-8.
    #[error("a text of the message is not UTF-8")]
    Text,
    /// A number has more than 64 bits.
    #[error("the message has a number of more than 64 bits")]
    Varint,
}

/// Longest number, in bytes.
const VARINT_BYTES_MAX: usize = 10;
/// Field numbers have 29 bits.
const FIELD_NUMBER_MAX: u64 = (1 << 29) - 1;

/// The fields of a message that have a length, in their order; the others are
/// read over.
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The fields of `message`.
    pub fn of(message: &'a [u8]) -> Fields<'a> {
        Fields(message)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0u64;
        for at in 0..VARINT_BYTES_MAX {
            let (&byte, rest) = self.0.split_first().ok_or(Malformed::CutOff)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            let shift = 7 * at;
            if bits != 0 && bits.leading_zeros() < u32::try_from(shift).unwrap_or(u32::MAX) {
                return Err(Malformed::Varint);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed::Varint)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed::CutOff)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed::CutOff)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The next field with a length: its number and its bytes.
    fn field(&mut self) -> Result<Option<(u64, &'a [u8])>, Malformed> {
        while !self.0.is_empty() {
            let key = self.varint()?;
            let number = key >> 3;
            if !(1..=FIELD_NUMBER_MAX).contains(&number) {
                return Err(Malformed::Field);
            }
            match key & 7 {
                0 => drop(self.varint()?),
                1 => drop(self.take(8)?),
                2 => {
                    let length = self.varint()?;
                    return Ok(Some((number, self.take(length)?)));
                }
                5 => drop(self.take(4)?),
                _ => return Err(Malformed::Field),
            }
        }
        Ok(None)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.field().transpose();
        if matches!(next, Some(Err(_))) {
            // What follows a broken field means nothing.
            self.0 = &[];
        }
        next
    }
}

/// The text of a field.
///
/// # Errors
///
/// [`Malformed::Text`] if it is none.
pub fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed::Text)
}

/// Appends a field of text, bytes or a message; an empty one is left out, as
/// proto3 has it.
pub fn put(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    if !bytes.is_empty() {
        put_even_if_empty(out, number, bytes);
    }
}

/// Appends an entry of a map of text to bytes.
pub fn put_entry(out: &mut Vec<u8>, number: u64, name: &str, value: &[u8]) {
    let mut entry = Vec::with_capacity(name.len() + value.len() + 8);
    put(&mut entry, 1, name.as_bytes());
    put(&mut entry, 2, value);
    put_even_if_empty(out, number, &entry);
}

fn put_even_if_empty(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        // The low seven bits, and that more follow.
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(message: &[u8]) -> Result<Vec<(u64, Vec<u8>)>, Malformed> {
        Fields::of(message)
            .map(|field| field.map(|(number, bytes)| (number, bytes.to_vec())))
            .collect()
    }

    /// The example of the documentation, with unknown fields of each kind around it.
    #[test]
    fn the_documented_example() {
        let testing = [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67];
        let wanted = vec![(2, b"testing".to_vec())];
        assert_eq!(fields(&testing), Ok(wanted.clone()));
        let mut around = vec![0x08, 0x96, 0x01];
        around.extend(testing);
        around.extend([0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x1d, 1, 2, 3, 4]);
        assert_eq!(fields(&around), Ok(wanted));
    }

    #[test]
    fn what_is_broken_is_refused() {
        let longest = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(fields(&longest), Ok(vec![]));
        let mut beyond = longest;
        beyond[10] = 0x02;
        assert_eq!(fields(&beyond), Err(Malformed::Varint));
        beyond[10] = 0x81;
        assert_eq!(fields(&beyond), Err(Malformed::Varint));
        assert_eq!(fields(&[0x02, 0x00]), Err(Malformed::Field));
        assert_eq!(fields(&[0x0b]), Err(Malformed::Field));
        assert_eq!(fields(&[0x0a, 0x02, 0x61]), Err(Malformed::CutOff));
        assert_eq!(fields(&[0x0a]), Err(Malformed::CutOff));
        assert_eq!(fields(&[0x0d, 1, 2, 3]), Err(Malformed::CutOff));
        assert_eq!(text(&[0xff]), Err(Malformed::Text));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number in 1..=FIELD_NUMBER_MAX, bytes in prop::collection::vec(any::<u8>(), 1..300)) {
            let mut out = Vec::new();
            put(&mut out, number, &bytes);
            prop_assert_eq!(fields(&out), Ok(vec![(number, bytes)]));
        }

        #[test]
        fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = fields(&bytes);
        }
    }
}

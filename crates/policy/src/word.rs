//! Short texts as numbers.

/// A text of up to 15 bytes as one number: most fields of ARNs and all
/// prefixes of actions are as short, and numbers compare at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Word(u128);

impl Word {
    /// Stands for every text that is longer.
    pub(crate) const LONG: Word = Word(u128::MAX);

    pub(crate) fn new(text: &str) -> Word {
        let mut bytes = [0; 16];
        let Some(room) = bytes.get_mut(..text.len()).filter(|room| room.len() < 16) else {
            return Word::LONG;
        };
        room.copy_from_slice(text.as_bytes());
        // The length, so that a text that ends in zeros is no shorter one; never 255 as in `LONG`.
        bytes[15] = u8::try_from(text.len()).unwrap_or(15);
        Word(u128::from_le_bytes(bytes))
    }

    /// Whether the texts behind two words are equal, given those texts.
    pub(crate) fn same(self, text: &str, other: Word, other_text: &str) -> bool {
        self == other && (self != Word::LONG || *text == *other_text)
    }

    /// The bits in which two words differ.
    pub(crate) fn differs(self, other: Word) -> u128 {
        self.0 ^ other.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_equal_when_their_texts_are() {
        assert_ne!(Word::new("a"), Word::new("a\0"));
        assert_eq!(
            Word::new("fifteen-letters").differs(Word::new("fifteen-letters")),
            0
        );
        for long in ["sixteen--letters", "elasticloadbalancing"] {
            assert_eq!(Word::new(long), Word::LONG);
            assert!(Word::new(long).same(long, Word::LONG, long));
            assert!(!Word::new(long).same(long, Word::LONG, "another-long-text"));
        }
    }
}

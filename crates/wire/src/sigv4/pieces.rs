//! Text taken apart at ASCII letters.
//!
//! As `str::split` and `str::split_once`, which spend most of their time on
//! beginning a search in pieces as short as those of a signature.

/// The pieces between the letters `at`, empty ones among them.
pub(crate) fn pieces(text: &str, at: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        match split_once(text, at) {
            Some((piece, behind)) => {
                rest = Some(behind);
                Some(piece)
            }
            None => rest.take(),
        }
    })
}

/// What stands before and behind the first letter `at`.
pub(crate) fn split_once(text: &str, at: u8) -> Option<(&str, &str)> {
    debug_assert!(at.is_ascii(), "other letters take several bytes");
    let found = memchr::memchr(at, text.as_bytes())?;
    Some((&text[..found], &text[found + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_those_of_split(text in "[a,é]{0,12}") {
            prop_assert!(pieces(&text, b',').eq(text.split(',')));
            prop_assert_eq!(split_once(&text, b','), text.split_once(','));
        }
    }
}

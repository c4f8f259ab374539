//! Wildcard patterns: `*` is any run of characters, `?` is one.
//!
//! A pattern is cut at its stars into chunks of fixed length. The first chunk
//! must begin the text, the last must end it, and each of those between is
//! taken at its leftmost place, which is enough: no choice is ever revisited,
//! so the time is at most the product of the lengths, and their sum when
//! there is no `?`.

/// One element of a pattern, once variables and escapes are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// This character, even if it is `*` or `?`.
    Character(char),
    /// `?`
    One,
    /// `*`
    Many,
}

/// Reads `text` with its wildcards live.
pub(crate) fn wild_tokens(text: &str) -> impl Iterator<Item = Token> + '_ {
    text.chars().map(|character| match character {
        '*' => Token::Many,
        '?' => Token::One,
        other => Token::Character(other),
    })
}

/// Reads `text` with every character standing for itself.
pub(crate) fn literal_tokens(text: &str) -> impl Iterator<Item = Token> + '_ {
    text.chars().map(Token::Character)
}

/// A compiled pattern. Nearly every one is a text, or a text with a star at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Glob {
    /// Exactly this.
    Text(Box<str>),
    /// Whatever begins with this.
    Beginning(Box<str>),
    /// Cut at its stars; one chunk means that it has none.
    Chunks(Box<[Chunk]>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chunk {
    Text(Box<str>),
    /// Characters, `None` where any one will do.
    Gaps(Box<[Option<char>]>),
}

impl Glob {
    pub(crate) fn new(text: &str) -> Glob {
        Glob::from_tokens(wild_tokens(text))
    }

    pub(crate) fn from_tokens(tokens: impl IntoIterator<Item = Token>) -> Glob {
        let mut chunks = Vec::new();
        let mut chunk = Vec::new();
        for token in tokens {
            match token {
                Token::Character(character) => chunk.push(Some(character)),
                Token::One => chunk.push(None),
                Token::Many => {
                    // Two stars that touch are one.
                    if !chunk.is_empty() || chunks.is_empty() {
                        chunks.push(Chunk::new(&std::mem::take(&mut chunk)));
                    }
                }
            }
        }
        chunks.push(Chunk::new(&chunk));
        match &mut *chunks {
            [Chunk::Text(text)] => Glob::Text(std::mem::take(text)),
            [Chunk::Text(text), Chunk::Text(end)] if end.is_empty() => Glob::Beginning(std::mem::take(text)),
            _ => Glob::Chunks(chunks.into()),
        }
    }

    /// The one text that matches, if there are no wildcards.
    pub(crate) fn literal(&self) -> Option<&str> {
        match self {
            Glob::Text(text) => Some(text),
            Glob::Beginning(_) | Glob::Chunks(_) => None,
        }
    }

    /// Whether every text matches.
    pub(crate) fn matches_all(&self) -> bool {
        matches!(self, Glob::Beginning(nothing) if nothing.is_empty())
    }

    #[inline]
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Glob::Text(whole) => **whole == *text,
            Glob::Beginning(beginning) => begins(text.as_bytes(), beginning.as_bytes()),
            Glob::Chunks(chunks) => matches_chunks(chunks, text),
        }
    }
}

/// Most texts that begin otherwise do so at once, and need no call to be told apart.
#[inline]
fn begins(text: &[u8], beginning: &[u8]) -> bool {
    match (text.first(), beginning.first()) {
        (Some(first), Some(wanted)) if first != wanted => false,
        _ => text.starts_with(beginning),
    }
}

fn matches_chunks(chunks: &[Chunk], text: &str) -> bool {
    let Some((first, rest)) = chunks.split_first() else {
        return text.is_empty();
    };
    let Some(mut text) = first.strip_prefix(text) else {
        return false;
    };
    let Some((last, between)) = rest.split_last() else {
        return text.is_empty();
    };
    for chunk in between {
        match chunk.skip_past(text) {
            Some(after) => text = after,
            None => return false,
        }
    }
    last.ends(text)
}

impl Chunk {
    fn new(characters: &[Option<char>]) -> Chunk {
        match characters.iter().copied().collect::<Option<String>>() {
            Some(text) => Chunk::Text(text.into()),
            None => Chunk::Gaps(characters.into()),
        }
    }

    fn strip_prefix<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Chunk::Text(prefix) => text.strip_prefix(&**prefix),
            Chunk::Gaps(wanted) => {
                let mut characters = text.chars();
                for wanted in wanted {
                    let found = characters.next()?;
                    if wanted.is_some_and(|wanted| wanted != found) {
                        return None;
                    }
                }
                Some(characters.as_str())
            }
        }
    }

    /// What follows the leftmost place where this chunk stands in `text`.
    fn skip_past<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Chunk::Text(wanted) => text.find(&**wanted).map(|at| &text[at + wanted.len()..]),
            Chunk::Gaps(wanted) => {
                let starts = text.char_indices().map(|(at, _)| at);
                // A chunk longer than what is left fails at once instead of once per start.
                let longest_start = text.len().checked_sub(wanted.len())?;
                starts
                    .take_while(|at| *at <= longest_start)
                    .find_map(|at| self.strip_prefix(&text[at..]))
            }
        }
    }

    fn ends(&self, text: &str) -> bool {
        match self {
            Chunk::Text(suffix) => text.ends_with(&**suffix),
            Chunk::Gaps(wanted) => {
                let start = text.char_indices().rev().nth(wanted.len() - 1);
                start.is_some_and(|(at, _)| self.strip_prefix(&text[at..]).is_some())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, written without regard to cost.
    fn matches_by_definition(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['*', rest @ ..] => (0..=text.len()).any(|skip| matches_by_definition(rest, &text[skip..])),
            ['?', rest @ ..] => !text.is_empty() && matches_by_definition(rest, &text[1..]),
            [character, rest @ ..] => {
                text.first() == Some(character) && matches_by_definition(rest, &text[1..])
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn matches_as_defined(pattern in "[ab*?é]{0,8}", text in "[abé]{0,10}") {
            let expected = matches_by_definition(
                &pattern.chars().collect::<Vec<_>>(),
                &text.chars().collect::<Vec<_>>(),
            );
            prop_assert_eq!(Glob::new(&pattern).matches(&text), expected, "{} on {}", pattern, text);
        }
    }

    #[test]
    fn question_mark_is_one_character_not_one_byte() {
        assert!(Glob::new("?").matches("é"));
        assert!(Glob::new("*é?").matches("xéz"));
        assert!(!Glob::new("??").matches("é"));
    }

    #[test]
    fn a_hostile_pattern_ends() {
        let pattern = "*a?".repeat(500) + "b";
        assert!(!Glob::new(&pattern).matches(&"a".repeat(4_000)));
    }

    #[test]
    fn literal_tokens_do_not_wake() {
        let glob = Glob::from_tokens(wild_tokens("x/").chain(literal_tokens("*?")));
        assert!(glob.matches("x/*?"));
        assert!(!glob.matches("x/ab"));
        assert_eq!(glob.literal(), Some("x/*?"));
        assert!(
            Glob::new("**").matches_all() && !Glob::new("").matches_all() && !Glob::new("*?").matches_all()
        );
    }
}

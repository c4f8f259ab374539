//! The model's regular expressions, compiled when first needed.

use std::sync::OnceLock;

/// A pattern that a whole text must match, in Java's dialect as the models
/// write it: `\w`, `\d` and `\s` are ASCII.
pub struct Pattern {
    /// As the model writes it, and as error messages show it.
    pub text: &'static str,
    compiled: OnceLock<Compiled>,
}

enum Compiled {
    Linear(regex::Regex),
    /// Only for patterns with look-around, which the linear engine refuses.
    Backtracking(Box<fancy_regex::Regex>),
    /// Neither engine takes it. A test over all generated patterns keeps this from happening.
    Unusable,
}

impl Pattern {
    /// Steps a backtracking pattern may take before the text counts as not matching.
    pub const BACKTRACK_MAX: usize = 100_000;

    /// A pattern as the model writes it.
    pub const fn new(text: &'static str) -> Pattern {
        Pattern {
            text,
            compiled: OnceLock::new(),
        }
    }

    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        match self.compiled() {
            Compiled::Linear(regex) => regex.is_match(text),
            Compiled::Backtracking(regex) => regex.is_match(text).unwrap_or(false),
            Compiled::Unusable => false,
        }
    }

    /// Whether an engine takes the pattern.
    pub fn is_usable(&self) -> bool {
        !matches!(self.compiled(), Compiled::Unusable)
    }

    fn compiled(&self) -> &Compiled {
        self.compiled.get_or_init(|| {
            let anchored = format!("^(?:{})$", ascii_classes(self.text));
            if let Ok(regex) = regex::RegexBuilder::new(&anchored).size_limit(1 << 22).build() {
                return Compiled::Linear(regex);
            }
            let fancy = fancy_regex::RegexBuilder::new(&anchored)
                .backtrack_limit(Self::BACKTRACK_MAX)
                .build();
            fancy.map_or(Compiled::Unusable, |regex| {
                Compiled::Backtracking(Box::new(regex))
            })
        })
    }
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.text.fmt(f)
    }
}

/// Spells Java's ASCII classes out, so that `\w` does not match `é`.
fn ascii_classes(text: &str) -> String {
    let mut spelled = String::with_capacity(text.len() + 16);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            spelled.push(letter);
            continue;
        }
        match letters.next() {
            Some('w') => spelled.push_str("[0-9A-Za-z_]"),
            Some('W') => spelled.push_str("[^0-9A-Za-z_]"),
            Some('d') => spelled.push_str("[0-9]"),
            Some('D') => spelled.push_str("[^0-9]"),
            Some('s') => spelled.push_str("[ \\t\\n\\x0B\\x0C\\r]"),
            Some('S') => spelled.push_str("[^ \\t\\n\\x0B\\x0C\\r]"),
            Some(other) => spelled.extend(['\\', other]),
            None => spelled.push('\\'),
        }
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_text_must_match() {
        let pattern = Pattern::new(r"[\w+=,.@-]+");
        assert!(pattern.matches("bob@example.com"));
        assert!(!pattern.matches("bob example"));
        assert!(!pattern.matches("b/ob"));
        assert!(!pattern.matches("bób"));
        assert!(!pattern.matches(""));
        assert!(!pattern.matches("bob\n"));
    }

    #[test]
    fn look_around_falls_back() {
        let pattern = Pattern::new(r"(?!aws:).*");
        assert!(pattern.matches("team"));
        assert!(!pattern.matches("aws:team"));
    }
}

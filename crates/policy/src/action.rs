//! The `Action` and `NotAction` elements.
//!
//! Actions compare without regard to case, prefix and name alike. Wildcards
//! stand anywhere in the name, never in the prefix; a lone `*` is every action.

use crate::index::hash;
use crate::limits::ACTION_INLINE_BYTES;
use crate::pattern::Glob;
use crate::word::Word;

/// One action as a policy names it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ActionPattern {
    pub(crate) text: Box<str>,
    form: Form,
}

/// What it names. All text here is in lower case.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Form {
    Every,
    /// `kms:encrypt`
    Exact {
        prefix: Box<str>,
        name: Box<str>,
    },
    /// `kms:*`
    Service {
        prefix: Box<str>,
    },
    Wild {
        prefix: Box<str>,
        name: Glob,
    },
}

/// Why a text is no action, for the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadAction {
    NoVendor,
    TwoColons,
    BadVendor,
}

impl ActionPattern {
    pub(crate) fn new(text: &str) -> Result<ActionPattern, BadAction> {
        Ok(ActionPattern {
            text: text.into(),
            form: Form::read(text)?,
        })
    }

    /// `kms`, or `None` for `*`.
    pub(crate) fn vendor(&self) -> Option<&str> {
        self.text.split_once(':').map(|(vendor, _)| vendor)
    }

    /// Whether it names the action written `text`.
    pub(crate) fn names(&self, text: &str) -> bool {
        self.matches(&FoldedAction::new(text).asked())
    }

    pub(crate) fn form(&self) -> &Form {
        &self.form
    }

    /// Whether it names `action`.
    pub(crate) fn matches(&self, action: &AskedAction<'_>) -> bool {
        match &self.form {
            Form::Every => true,
            Form::Exact { prefix, name } => **prefix == *action.prefix && **name == *action.name,
            Form::Service { prefix } => **prefix == *action.prefix,
            Form::Wild { prefix, name } => **prefix == *action.prefix && name.matches(action.name),
        }
    }
}

impl Form {
    fn read(text: &str) -> Result<Form, BadAction> {
        if text == "*" {
            return Ok(Form::Every);
        }
        let (vendor, name) = text.split_once(':').ok_or(BadAction::NoVendor)?;
        if name.contains(':') {
            return Err(BadAction::TwoColons);
        }
        let vendor_fits = vendor
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if vendor.is_empty() || !vendor_fits || name.is_empty() {
            return Err(BadAction::BadVendor);
        }
        let prefix = vendor.to_ascii_lowercase().into();
        let name = Glob::new(&name.to_ascii_lowercase());
        Ok(match name.literal() {
            Some(exact) => Form::Exact {
                prefix,
                name: exact.into(),
            },
            None if name.matches_all() => Form::Service { prefix },
            None => Form::Wild { prefix, name },
        })
    }
}

/// The action of a request in lower case, without allocation where it fits.
pub(crate) enum FoldedAction {
    Inline {
        bytes: [u8; ACTION_INLINE_BYTES],
        length: usize,
    },
    Long(String),
}

impl FoldedAction {
    pub(crate) fn new(action: &str) -> FoldedAction {
        let length = action.len();
        if length > ACTION_INLINE_BYTES {
            return FoldedAction::Long(action.to_ascii_lowercase());
        }
        let mut bytes = [0; ACTION_INLINE_BYTES];
        bytes[..length].copy_from_slice(action.as_bytes());
        bytes[..length].make_ascii_lowercase();
        FoldedAction::Inline { bytes, length }
    }

    /// Ready to be compared. Looked at as text once, and not once per
    /// statement: that it is UTF-8 is checked here.
    pub(crate) fn asked(&self) -> AskedAction<'_> {
        let text = match self {
            FoldedAction::Inline { bytes, length } => std::str::from_utf8(&bytes[..*length])
                .expect("changing the case of ASCII letters keeps a text valid UTF-8"),
            FoldedAction::Long(text) => text,
        };
        // Without a colon it has no prefix, and there is no pattern without one.
        let (prefix, name) = text.split_once(':').unwrap_or(("", text));
        AskedAction {
            prefix,
            name,
            word: Word::new(prefix),
            hash: hash(name.as_bytes()),
        }
    }
}

/// The action of a request, made ready to be compared with those of many statements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AskedAction<'s> {
    /// `kms`
    pub(crate) prefix: &'s str,
    /// `encrypt`
    pub(crate) name: &'s str,
    /// Of the prefix.
    pub(crate) word: Word,
    /// Of the name.
    pub(crate) hash: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, action: &str) -> bool {
        ActionPattern::new(pattern).unwrap().names(action)
    }

    #[test]
    fn compares_without_case_and_with_wildcards_in_the_name() {
        assert!(matches("*", "kms:Encrypt"));
        assert!(matches("KMS:encrypt", "kms:Encrypt"));
        assert!(matches("kms:*", "kms:Encrypt"));
        assert!(matches("iam:*Key*", "iam:CreateAccessKey"));
        assert!(matches("kms:ReEncrypt????", "kms:ReEncryptFrom"));
        assert!(!matches("kms:ReEncrypt????", "kms:ReEncryptTo"));
        assert!(!matches("kms:Encrypt", "kms:EncryptMore"));
        assert!(!matches("km:*", "kms:Encrypt"));
        assert!(!matches("kms:*", "kmsx:Encrypt"));
        assert!(!matches("kms:*", "kms"));
        assert!(matches("*", "kms"));
        assert!(!matches("kms:encrypt", "kms:encrypt:more"));
        assert!(matches("a:*", &format!("a:{}", "X".repeat(500))));
    }

    #[test]
    fn refuses_what_is_no_action() {
        for (text, expected) in [
            ("", BadAction::NoVendor),
            ("**", BadAction::NoVendor),
            ("Encrypt", BadAction::NoVendor),
            ("a:b:c", BadAction::TwoColons),
            ("k*:Encrypt", BadAction::BadVendor),
            (":Encrypt", BadAction::BadVendor),
            ("kms:", BadAction::BadVendor),
        ] {
            assert_eq!(ActionPattern::new(text).unwrap_err(), expected, "{text}");
        }
    }
}

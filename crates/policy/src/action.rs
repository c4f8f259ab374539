//! The `Action` and `NotAction` elements.
//!
//! Actions compare without regard to case, prefix and name alike. Wildcards
//! stand anywhere in the name, never in the prefix; a lone `*` is every action.

use crate::limits::ACTION_INLINE_BYTES;
use crate::pattern::Glob;

/// One action as a policy names it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ActionPattern {
    pub(crate) text: Box<str>,
    form: Form,
}

/// All text here is in lower case.
#[derive(Debug, Clone, PartialEq)]
enum Form {
    Every,
    Exact(Box<str>),
    /// `kms:*`, kept as `kms:`.
    Service(Box<str>),
    Wild {
        /// `kms:`
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

    pub(crate) fn matches(&self, action: &FoldedAction) -> bool {
        let action = action.as_str();
        match &self.form {
            Form::Every => true,
            Form::Exact(exact) => **exact == *action,
            Form::Service(prefix) => action.starts_with(&**prefix),
            Form::Wild { prefix, name } => action
                .strip_prefix(&**prefix)
                .is_some_and(|rest| name.matches(rest)),
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
        let prefix = format!("{}:", vendor.to_ascii_lowercase());
        let name = Glob::new(&name.to_ascii_lowercase());
        Ok(match name.literal() {
            Some(exact) => Form::Exact(format!("{prefix}{exact}").into()),
            None if name.matches_all() => Form::Service(prefix.into()),
            None => Form::Wild {
                prefix: prefix.into(),
                name,
            },
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

    pub(crate) fn as_str(&self) -> &str {
        match self {
            FoldedAction::Inline { bytes, length } => std::str::from_utf8(&bytes[..*length])
                .expect("changing the case of ASCII letters keeps a text valid UTF-8"),
            FoldedAction::Long(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, action: &str) -> bool {
        ActionPattern::new(pattern)
            .unwrap()
            .matches(&FoldedAction::new(action))
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

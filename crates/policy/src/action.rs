//! The `Action` and `NotAction` elements.
//!
//! Actions compare without regard to case, prefix and name alike. Wildcards
//! stand anywhere in the name, never in the prefix; a lone `*` is every action.
//!
//! Most statements are about other services than the one asked for. So each
//! list of actions keeps a [`VendorSet`], which tells most of them apart
//! without looking at any text.

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

/// Vendors, each as one of 64 bits: what is not in the set is certainly not
/// listed, what is in it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VendorSet(u64);

impl VendorSet {
    /// Every vendor.
    pub(crate) const ALL: VendorSet = VendorSet(u64::MAX);

    /// The vendors of a list of actions; a lone `*` is for all.
    pub(crate) fn of(patterns: &[ActionPattern]) -> VendorSet {
        patterns
            .iter()
            .fold(VendorSet(0), |set, pattern| match pattern.vendor() {
                Some(vendor) => VendorSet(set.0 | VendorSet::one(&vendor.to_ascii_lowercase()).0),
                None => VendorSet::ALL,
            })
    }

    /// The set of one vendor, given in lower case.
    fn one(vendor: &str) -> VendorSet {
        let mixed = vendor.bytes().fold(0u64, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        VendorSet(1 << (mixed % 64))
    }

    /// Whether it holds one of `asked`.
    pub(crate) fn may_list(self, asked: VendorSet) -> bool {
        self.0 & asked.0 != 0
    }
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

    /// Whether it names `action`, which is in lower case.
    pub(crate) fn matches(&self, action: &str) -> bool {
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
pub(crate) struct FoldedAction {
    text: FoldedText,
    vendor: VendorSet,
}

enum FoldedText {
    Inline {
        bytes: [u8; ACTION_INLINE_BYTES],
        length: usize,
    },
    Long(String),
}

impl FoldedAction {
    pub(crate) fn new(action: &str) -> FoldedAction {
        let length = action.len();
        let text = if length > ACTION_INLINE_BYTES {
            FoldedText::Long(action.to_ascii_lowercase())
        } else {
            let mut bytes = [0; ACTION_INLINE_BYTES];
            bytes[..length].copy_from_slice(action.as_bytes());
            bytes[..length].make_ascii_lowercase();
            FoldedText::Inline { bytes, length }
        };
        let mut folded = FoldedAction {
            text,
            vendor: VendorSet::ALL,
        };
        folded.vendor = VendorSet::one(folded.as_str().split(':').next().unwrap_or_default());
        folded
    }

    pub(crate) fn vendor(&self) -> VendorSet {
        self.vendor
    }

    /// Looked at as text once, and not once per statement: that it is UTF-8 is checked here.
    pub(crate) fn as_str(&self) -> &str {
        match &self.text {
            FoldedText::Inline { bytes, length } => std::str::from_utf8(&bytes[..*length])
                .expect("changing the case of ASCII letters keeps a text valid UTF-8"),
            FoldedText::Long(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, action: &str) -> bool {
        let pattern = ActionPattern::new(pattern).unwrap();
        let action = FoldedAction::new(action);
        let matches = pattern.matches(action.as_str());
        assert!(
            !matches || VendorSet::of(&[pattern]).may_list(action.vendor()),
            "the set must hold what matches"
        );
        matches
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

//! The twelve-digit owner of everything.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// An AWS account id: twelve decimal digits, leading zeros kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(u64);

/// The text is not twelve decimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("account id {0:?} is not twelve digits")]
pub struct BadAccountId(pub String);

impl AccountId {
    /// Digits in an account id.
    pub const DIGITS: usize = 12;

    /// Reads exactly twelve decimal digits.
    ///
    /// # Errors
    ///
    /// [`BadAccountId`] for anything else.
    pub fn parse(text: &str) -> Result<AccountId, BadAccountId> {
        if text.len() != Self::DIGITS || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadAccountId(text.chars().take(64).collect()));
        }
        let number = text
            .bytes()
            .fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        Ok(AccountId(number))
    }

    /// The account as a number below 10^12, as access key ids encode it.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The account with this number, if it has at most twelve digits.
    pub fn from_number(number: u64) -> Option<AccountId> {
        (number < 1_000_000_000_000).then_some(AccountId(number))
    }

    /// The twelve digits, without a formatter: accounts are spelled several
    /// times in every request, and padding by `{:012}` takes ten times as long.
    pub fn digits(self) -> AccountDigits {
        let mut digits = [b'0'; AccountId::DIGITS];
        let mut rest = self.0;
        // Two at a time.
        for pair in digits.as_chunks_mut::<2>().0.iter_mut().rev() {
            let two = u8::try_from(rest % 100).expect("a remainder of a hundred is a byte");
            *pair = [b'0' + two / 10, b'0' + two % 10];
            rest /= 100;
        }
        AccountDigits(digits)
    }
}

/// An account id as text.
#[derive(Clone, Copy)]
pub struct AccountDigits([u8; AccountId::DIGITS]);

impl Deref for AccountDigits {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).expect("digits are ASCII")
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.digits())
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for AccountId {
    type Error = BadAccountId;

    fn try_from(text: String) -> Result<AccountId, BadAccountId> {
        AccountId::parse(&text)
    }
}

impl From<AccountId> for String {
    fn from(account: AccountId) -> String {
        account.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_leading_zeros() {
        assert_eq!(
            AccountId::parse("000000000012").unwrap().to_string(),
            "000000000012"
        );
    }

    #[test]
    fn refuses_what_is_not_twelve_digits() {
        for text in ["", "1", "1234567890123", "12345678901a", "١٢٣٤٥٦"] {
            assert!(AccountId::parse(text).is_err(), "{text}");
        }
    }
}

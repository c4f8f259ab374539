//! What a password must be, in an account.
//!
//! Source: IAM User Guide, "Set an account password policy for IAM users",
//! and IAM API Reference, UpdateAccountPasswordPolicy.

use serde::{Deserialize, Serialize};

/// The characters that count as symbols (IAM API Reference, `RequireSymbols`).
const SYMBOLS: &str = "!@#$%^&*()_+-=[]{}|'";

/// The policy an account has set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PasswordPolicy {
    /// Characters, 6 to 128.
    pub(crate) length_min: u32,
    pub(crate) symbols: bool,
    pub(crate) numbers: bool,
    pub(crate) upper_case: bool,
    pub(crate) lower_case: bool,
    /// Whether users may change their own password without a policy that says so.
    pub(crate) users_may_change: bool,
    /// Days after which a password expires; `None` if it never does.
    pub(crate) age_max_days: Option<u32>,
    /// How many earlier passwords may not be used again.
    pub(crate) reuse_prevention: Option<u32>,
    /// Whether an expired password can only be set anew by an administrator.
    pub(crate) hard_expiry: Option<bool>,
}

/// A rule that a password breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It has fewer characters than this.
    Length(u32),
    /// It has no small letter.
    LowerCase,
    /// It has no digit.
    Number,
    /// It has no symbol.
    Symbol,
    /// It has fewer than three of the four kinds of characters.
    ThreeKinds,
    /// It has no capital letter.
    UpperCase,
    /// It is the user's name.
    UserName,
}

struct Kinds {
    symbol: bool,
    number: bool,
    upper_case: bool,
    lower_case: bool,
}

impl Kinds {
    fn of(password: &str) -> Kinds {
        let any = |is: fn(char) -> bool| password.chars().any(is);
        Kinds {
            symbol: any(|letter| SYMBOLS.contains(letter)),
            number: any(|letter| letter.is_ascii_digit()),
            upper_case: any(|letter| letter.is_ascii_uppercase()),
            lower_case: any(|letter| letter.is_ascii_lowercase()),
        }
    }
}

/// Fewest characters where the account has set no policy.
const DEFAULT_LENGTH_MIN: u32 = 8;

/// Whether a password of `user_name` is one under `policy`, or under AWS's
/// default where the account has set none: eight characters of three kinds of
/// four, and not the name itself.
///
/// # Errors
///
/// The first rule that is broken.
pub(crate) fn check(policy: Option<&PasswordPolicy>, user_name: &str, password: &str) -> Result<(), Broken> {
    let kinds = Kinds::of(password);
    let length = u32::try_from(password.chars().count()).unwrap_or(u32::MAX);
    let length_min = policy.map_or(DEFAULT_LENGTH_MIN, |policy| policy.length_min);
    if length < length_min {
        return Err(Broken::Length(length_min));
    }
    let Some(policy) = policy else {
        let has = [kinds.symbol, kinds.number, kinds.upper_case, kinds.lower_case];
        if has.into_iter().filter(|has| *has).count() < 3 {
            return Err(Broken::ThreeKinds);
        }
        if password.eq_ignore_ascii_case(user_name) {
            return Err(Broken::UserName);
        }
        return Ok(());
    };
    for (required, has, broken) in [
        (policy.lower_case, kinds.lower_case, Broken::LowerCase),
        (policy.numbers, kinds.number, Broken::Number),
        (policy.symbols, kinds.symbol, Broken::Symbol),
        (policy.upper_case, kinds.upper_case, Broken::UpperCase),
    ] {
        if required && !has {
            return Err(broken);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict() -> PasswordPolicy {
        PasswordPolicy {
            length_min: 10,
            symbols: true,
            numbers: true,
            upper_case: true,
            lower_case: true,
            users_may_change: false,
            age_max_days: None,
            reuse_prevention: None,
            hard_expiry: None,
        }
    }

    #[test]
    fn every_rule_binds() {
        let broken = |password: &str| check(Some(&strict()), "bob", password);
        assert_eq!(broken("Ab1!Ab1!Ab"), Ok(()));
        assert_eq!(broken("Ab1!Ab1!A"), Err(Broken::Length(10)));
        assert_eq!(broken("Ab1xAb1xAb"), Err(Broken::Symbol));
        assert_eq!(broken("Abc!Abc!Ab"), Err(Broken::Number));
        assert_eq!(broken("ab1!ab1!ab"), Err(Broken::UpperCase));
        assert_eq!(broken("AB1!AB1!AB"), Err(Broken::LowerCase));
        // A character that is none of the listed symbols is none.
        assert_eq!(broken("Ab1~Ab1~Ab"), Err(Broken::Symbol));
    }

    #[test]
    fn without_a_policy_the_default_binds() {
        assert_eq!(check(None, "bob", "Abcdefg1"), Ok(()));
        assert_eq!(check(None, "bob", "Abcdef1"), Err(Broken::Length(8)));
        assert_eq!(check(None, "bob", "Abcdefgh"), Err(Broken::ThreeKinds));
        assert_eq!(check(None, "abcdefg1-", "Abcdefg1-"), Err(Broken::UserName));
    }

    #[test]
    fn a_rule_that_is_not_set_does_not_bind() {
        let lax = PasswordPolicy {
            length_min: 6,
            symbols: false,
            numbers: false,
            upper_case: false,
            lower_case: false,
            ..strict()
        };
        assert_eq!(check(Some(&lax), "bob", "aaaaaa"), Ok(()));
        assert_eq!(check(Some(&lax), "bob", "aaaaa"), Err(Broken::Length(6)));
    }
}

//! Whose rows a view sees.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use ground::{AccountId, Region};

/// An account and region, an account as a whole, or the ground all share.
///
/// Every row belongs to exactly one scope. The engine's keys begin with it, so
/// that no scan of one scope can reach another.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// `account/region/`, a hyphen standing for what is absent.
    path: Arc<str>,
}

impl Scope {
    /// One account in one region: where most resources live.
    pub fn regional(account: AccountId, region: &Region) -> Scope {
        Scope::of(account, region.as_str())
    }

    /// One account outside every region: IAM, Organizations.
    pub fn regionless(account: AccountId) -> Scope {
        Scope::of(account, "-")
    }

    /// Every request makes one, mostly that of the request before: each thread
    /// keeps its last.
    fn of(account: AccountId, region: &str) -> Scope {
        thread_local! {
            static LAST: RefCell<Option<(AccountId, Scope)>> = const { RefCell::new(None) };
        }
        LAST.with_borrow_mut(|last| {
            if let Some((known, scope)) = last
                && *known == account
                && scope.path[AccountId::DIGITS + 1..].strip_suffix('/') == Some(region)
            {
                return scope.clone();
            }
            let scope = Scope {
                path: [&account.digits(), "/", region, "/"].concat().into(),
            };
            *last = Some((account, scope.clone()));
            scope
        })
    }

    /// Rows of no account, such as the index from access key id to owner.
    pub fn global() -> Scope {
        Scope { path: "-/-/".into() }
    }

    /// The store's own rows: leases, announcements, cursors.
    pub(crate) fn own() -> Scope {
        Scope { path: "!/!/".into() }
    }

    /// The account, unless the scope is global.
    pub fn account(&self) -> Option<AccountId> {
        AccountId::parse(self.path.split('/').next()?).ok()
    }

    /// The region, unless the scope has none.
    pub fn region(&self) -> Option<Region> {
        Region::parse(self.path.split('/').nth(1)?).ok()
    }

    /// The scope that [`Scope`] shows as this text; `None` of any other text.
    pub fn named(text: &str) -> Option<Scope> {
        let (account, region) = text.split_once('/')?;
        match (AccountId::parse(account).ok(), Region::parse(region).ok()) {
            (Some(account), Some(region)) => Some(Scope::regional(account, &region)),
            (Some(account), None) if region == "-" => Some(Scope::regionless(account)),
            (None, None) if text == "-/-" => Some(Scope::global()),
            _ => None,
        }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Takes the scope off an engine key; the rest is table, NUL and key.
    pub(crate) fn split(key: &[u8]) -> Option<(Scope, &[u8])> {
        let mut slashes = key.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let (end, _) = slashes.nth(1)?;
        let path = std::str::from_utf8(&key[..=end]).ok()?;
        Some((Scope { path: path.into() }, &key[end + 1..]))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path.trim_end_matches('/'))
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_comes_back_from_its_key() {
        let account = AccountId::parse("000000000012").unwrap();
        let region = Region::parse("eu-west-1").unwrap();
        for scope in [
            Scope::regional(account, &region),
            Scope::regionless(account),
            Scope::global(),
            Scope::own(),
        ] {
            let key = [scope.path().as_bytes(), b"kms/alias\0x/y"].concat();
            let (back, rest) = Scope::split(&key).unwrap();
            assert_eq!((&back, rest), (&scope, b"kms/alias\0x/y".as_slice()));
        }
        assert_eq!(Scope::regional(account, &region).account(), Some(account));
        assert_eq!(Scope::regional(account, &region).region(), Some(region));
        assert_eq!(Scope::regionless(account).region(), None);
        assert_eq!(Scope::global().account(), None);
        assert_eq!(Scope::split(b"nonsense"), None);
    }

    #[test]
    fn a_scope_comes_back_from_its_name() {
        let account = AccountId::parse("000000000012").unwrap();
        let region = Region::parse("eu-west-1").unwrap();
        for scope in [
            Scope::regional(account, &region),
            Scope::regionless(account),
            Scope::global(),
        ] {
            assert_eq!(Scope::named(&scope.to_string()), Some(scope));
        }
        for text in [
            "!/!",
            "",
            "-",
            "-/eu-west-1",
            "12/-",
            "000000000012/",
            "000000000012/-/",
        ] {
            assert_eq!(Scope::named(text), None, "{text}");
        }
    }
}

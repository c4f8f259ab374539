//! What an id names, and how ids are made.

use std::fmt;

use ground::AccountId;
use organizations_api::{ChildType, TargetType};

/// A root, unit or account, as its id tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Account(AccountId),
    Root(String),
    Unit(String),
}

impl Node {
    /// What `id` names; the model lets nothing else through.
    pub(crate) fn parse(id: &str) -> Option<Node> {
        if let Ok(account) = AccountId::parse(id) {
            return Some(Node::Account(account));
        }
        match id.split_once('-')?.0 {
            "r" => Some(Node::Root(id.to_owned())),
            "ou" => Some(Node::Unit(id.to_owned())),
            _ => None,
        }
    }

    pub(crate) fn target_type(&self) -> TargetType {
        match self {
            Node::Account(_) => TargetType::Account,
            Node::Root(_) => TargetType::Root,
            Node::Unit(_) => TargetType::OrganizationalUnit,
        }
    }

    /// The word under which a parent keeps it.
    pub(crate) fn child_word(&self) -> &'static str {
        match self {
            Node::Account(_) => child_word(ChildType::Account),
            Node::Root(_) | Node::Unit(_) => child_word(ChildType::OrganizationalUnit),
        }
    }
}

/// The word under which a parent keeps children of a type.
pub(crate) fn child_word(kind: ChildType) -> &'static str {
    match kind {
        ChildType::Account => "account",
        ChildType::OrganizationalUnit => "unit",
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Account(account) => account.fmt(f),
            Node::Root(id) | Node::Unit(id) => f.write_str(id),
        }
    }
}

/// `prefix` and one letter or digit for each random byte.
pub(crate) fn id<const N: usize>(prefix: &str, random: [u8; N]) -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let tail = random
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
    prefix.chars().chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_what_it_names() {
        let account = AccountId::parse("123456789012").unwrap();
        assert_eq!(Node::parse("123456789012"), Some(Node::Account(account)));
        assert_eq!(Node::parse("r-ab12"), Some(Node::Root("r-ab12".into())));
        let unit = "ou-ab12-11111111";
        assert_eq!(Node::parse(unit), Some(Node::Unit(unit.into())));
        for nothing in ["", "x", "p-12345678", "12345678901"] {
            assert_eq!(Node::parse(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn ids_have_the_form_of_the_model() {
        let made = id("o-", [0, 35, 36, 255, 7, 8, 9, 10, 11, 12]);
        assert_eq!(made.len(), 12);
        assert!(
            made[2..]
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        );
    }
}

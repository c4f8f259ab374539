//! Which statements of a document can be about an action.
//!
//! Made once when a document is compiled, asked once per request and document.
//! It tells for every statement that is not certainly about other actions,
//! whether it is certainly about this one: exact names and whole services are
//! decided here, names with wildcards and `NotAction` are left for the
//! statement to look at. Statements of other services are never visited.
//!
//! Statements stand in blocks of 64, so that a set of them is one number and
//! keeps the order in which they are written.
//!
//! Absent by design: resources and principals. They hold variables and
//! wildcards, and few statements of one action are told apart by them.

use std::collections::BTreeMap;

use crate::action::{AskedAction, Form};
use crate::statement::Statement;
use crate::word::Word;

/// Statements in a block: as many as a set has bits.
const BLOCK: usize = 64;

/// The statements of one document by what their `Action` names.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Index {
    blocks: Box<[Block]>,
}

/// Each number is a set of statements of the block.
#[derive(Debug, Clone, Default, PartialEq)]
struct Block {
    /// About every action: a lone `*`.
    every: u64,
    /// To be looked at whatever the action: `NotAction`.
    excepting: u64,
    /// In no order; documents name few services.
    services: Box<[Service]>,
}

#[derive(Debug, Clone, PartialEq)]
struct Service {
    /// Of `prefix`.
    word: Word,
    /// `kms`
    prefix: Box<str>,
    /// About every action of the service.
    whole: u64,
    /// With a wildcard somewhere in the name.
    wild: u64,
    /// By the hash of the name, then by the name.
    exact: Box<[Exact]>,
}

#[derive(Debug, Clone, PartialEq)]
struct Exact {
    hash: u64,
    /// `encrypt`
    name: Box<str>,
    statements: u64,
}

/// The statements of one block that may be about an action: an iterator over
/// their places in the block, in order, and whether each certainly is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About {
    certain: u64,
    left: u64,
}

impl Iterator for About {
    type Item = (usize, bool);

    #[inline]
    fn next(&mut self) -> Option<(usize, bool)> {
        let place = self.left.trailing_zeros();
        self.left &= self.left.checked_sub(1)?;
        Some((place as usize, self.certain >> place & 1 == 1))
    }
}

impl Index {
    pub(crate) fn new(statements: &[Statement]) -> Index {
        Index {
            blocks: statements.chunks(BLOCK).map(Block::new).collect(),
        }
    }

    /// For every block the place of its first statement, and those that may be about the action.
    pub(crate) fn about<'i>(
        &'i self,
        action: &'i AskedAction<'_>,
    ) -> impl Iterator<Item = (usize, About)> + 'i {
        let blocks = self.blocks.iter().enumerate();
        blocks.map(|(number, block)| (number * BLOCK, block.about(action)))
    }
}

impl Block {
    fn new(statements: &[Statement]) -> Block {
        let mut block = Block::default();
        let mut services: BTreeMap<&str, Named<'_>> = BTreeMap::new();
        for (place, statement) in statements.iter().enumerate() {
            let bit = 1 << place;
            let Some(clause) = &statement.actions else {
                continue;
            };
            if clause.negated {
                block.excepting |= bit;
                continue;
            }
            for pattern in &clause.patterns {
                match pattern.form() {
                    Form::Every => block.every |= bit,
                    Form::Exact { prefix, name } => {
                        let names = &mut services.entry(prefix).or_default().exact;
                        *names.entry((hash(name.as_bytes()), name)).or_default() |= bit;
                    }
                    Form::Service { prefix } => services.entry(prefix).or_default().whole |= bit,
                    Form::Wild { prefix, .. } => services.entry(prefix).or_default().wild |= bit,
                }
            }
        }
        let services = services.into_iter();
        block.services = services
            .map(|(prefix, named)| Service::new(prefix, named))
            .collect();
        block
    }

    fn about(&self, action: &AskedAction<'_>) -> About {
        let (mut certain, mut possible) = (self.every, self.excepting);
        let is_meant = |service: &&Service| service.word.same(&service.prefix, action.word, action.prefix);
        if let Some(service) = self.services.iter().find(is_meant) {
            certain |= service.whole | service.named(action);
            possible |= service.wild;
        }
        About {
            certain,
            left: certain | possible,
        }
    }
}

/// What is named of one service, while the index is made.
#[derive(Default)]
struct Named<'n> {
    whole: u64,
    wild: u64,
    exact: BTreeMap<(u64, &'n str), u64>,
}

impl Service {
    fn new(prefix: &str, named: Named<'_>) -> Service {
        let exact = named.exact.into_iter();
        Service {
            word: Word::new(prefix),
            prefix: prefix.into(),
            whole: named.whole,
            wild: named.wild,
            exact: exact
                .map(|((hash, name), statements)| Exact {
                    hash,
                    name: name.into(),
                    statements,
                })
                .collect(),
        }
    }

    fn named(&self, action: &AskedAction<'_>) -> u64 {
        let hash = action.hash;
        let from = self.exact.partition_point(|exact| exact.hash < hash);
        self.exact[from..]
            .iter()
            .take_while(|exact| exact.hash == hash)
            .find(|exact| *exact.name == *action.name)
            .map_or(0, |exact| exact.statements)
    }
}

/// A number that two names seldom share. Who writes policies may bring names
/// together: they are compared besides, and cost what a list would.
pub(crate) fn hash(name: &[u8]) -> u64 {
    name.chunks(8).fold(0xcbf2_9ce4_8422_2325, |sum: u64, part| {
        let mut bytes = [0; 8];
        bytes[..part.len()].copy_from_slice(part);
        (sum.rotate_left(5) ^ u64::from_le_bytes(bytes)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::action::FoldedAction;
    use crate::{Document, DocumentKind};

    fn any_action() -> impl Strategy<Value = String> {
        let service = prop::sample::select(vec!["a", "ab", "KMS", "a-service-of-long-name"]);
        let name = prop::sample::select(vec![
            "*",
            "Get*",
            "Get",
            "get?",
            "Put",
            "PutSomethingLong",
            "put*long",
        ]);
        prop_oneof![
            1 => Just("*".to_owned()),
            9 => (service, name).prop_map(|(service, name)| format!("{service}:{name}")),
        ]
    }

    proptest! {
        /// The index knows what every statement says of the action, or leaves it to the statement.
        #[test]
        fn it_agrees_with_every_statement(
            lists in prop::collection::vec((any::<bool>(), prop::collection::vec(any_action(), 1..4)), 1..140),
            asked in "(a|ab|kms|A-service-of-long-name|other):(Get|GetX|put|PutSomethingLong)",
        ) {
            let statements: Vec<_> = lists
                .iter()
                .map(|(negated, actions)| {
                    let name = if *negated { "NotAction" } else { "Action" };
                    serde_json::json!({"Effect": "Allow", name: actions, "Resource": "*"})
                })
                .collect();
            let text = serde_json::json!({"Version": "2012-10-17", "Statement": statements}).to_string();
            let document = Document::parse(&text, DocumentKind::Identity).unwrap();
            let folded = FoldedAction::new(&asked);
            let asked = folded.asked();
            let mut told = vec![None; lists.len()];
            let mut last = None;
            let about = document.about(&asked);
            for (place, certain) in about.flat_map(|(base, about)| about.map(move |(at, certain)| (base + at, certain))) {
                prop_assert!(last < Some(place));
                last = Some(place);
                told[place] = Some(certain);
            }
            for (statement, told) in document.statements().iter().zip(told) {
                let clause = statement.actions.as_ref().unwrap();
                let named = clause.patterns.iter().any(|pattern| pattern.matches(&asked));
                match told {
                    Some(true) => prop_assert!(named && !clause.negated),
                    Some(false) => {}
                    None => prop_assert!(!named && !clause.negated),
                }
            }
        }
    }
}

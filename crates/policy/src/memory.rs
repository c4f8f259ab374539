//! What the statements of one document have in common, asked once per request.
//!
//! Policies repeat themselves: ten statements with one list of resources, the
//! same three conditions under each. When a document is compiled, parts that
//! occur more than once are given a [`Slot`]; while it is weighed, a
//! [`Memory`] keeps the answer of each slot, and what the request says of each
//! condition key that occurs more than once. The answer is the part's own, so
//! remembering changes the time and nothing else.
//!
//! Absent by design: a memory that outlives the weighing of one document, and
//! answers other than yes and no; a part with a variable that does not
//! resolve is asked again.

use std::collections::HashMap;
use std::hash::Hash;

use crate::arn_pattern::ResourcePattern;
use crate::condition::Condition;
use crate::context::{Scope, Value};
use crate::statement::{Resources, Statement};

/// Slots of one kind in one document; parts beyond them are asked every time.
const SLOTS: u8 = 64;

/// The place of a part in the memory of its document, as one bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(u64);

impl Slot {
    /// Of what is not remembered.
    pub(crate) const NONE: Slot = Slot(0);
}

/// Answers by slot.
#[derive(Default)]
pub(crate) struct Answers {
    known: u64,
    yes: u64,
}

impl Answers {
    /// What was answered before, if anything was.
    #[inline]
    pub(crate) fn known(&self, slot: Slot) -> Option<bool> {
        (self.known & slot.0 != 0).then_some(self.yes & slot.0 != 0)
    }

    #[inline]
    pub(crate) fn learn(&mut self, slot: Slot, answer: bool) -> bool {
        self.known |= slot.0;
        if answer {
            self.yes |= slot.0;
        }
        answer
    }
}

/// What is known of the parts of one document while it is weighed for one request.
#[derive(Default)]
pub(crate) struct Memory<'a> {
    pub(crate) actions: Answers,
    pub(crate) resources: Answers,
    /// Of single resources, what stands before the fifth colon.
    pub(crate) heads: Answers,
    pub(crate) conditions: Answers,
    keys: [Option<&'a Value<'a>>; KEYS],
}

impl<'a> Memory<'a> {
    /// What the request says of the key of a condition, if it is found at once.
    #[inline]
    pub(crate) fn said(&mut self, condition: &Condition, scope: Scope<'a>) -> Option<&'a Value<'a>> {
        let Some(known) = self.keys.get_mut(usize::from(condition.key_place)) else {
            return scope.said(&condition.key);
        };
        // That nothing is said of a key is quickly found again.
        if known.is_none() {
            *known = scope.said(&condition.key);
        }
        *known
    }
}

/// Condition keys remembered in one document.
const KEYS: usize = 16;

/// Of a condition whose key is not remembered.
pub(crate) const KEY_ALONE: u8 = u8::MAX;

/// Gives slots to the parts that occur more than once.
pub(crate) fn share(statements: &mut [Statement]) {
    let actions = slots(statements.iter().filter_map(|statement| {
        let clause = statement.actions.as_ref()?;
        Some((clause.negated, texts(clause.patterns.iter().map(|it| &*it.text))))
    }));
    let resources = slots(
        statements
            .iter()
            .filter_map(|statement| match &statement.resources {
                Resources::Listed(clause) => {
                    Some((clause.negated, texts(clause.patterns.iter().map(|it| &*it.text))))
                }
                Resources::Implied | Resources::Missing => None,
            }),
    );
    let heads = slots(
        statements
            .iter()
            .flat_map(listed)
            .filter_map(|resource| Some(resource.head()?.to_owned())),
    );
    let conditions = slots(statements.iter().flat_map(|statement| {
        statement.conditions.iter().map(|condition| {
            (
                condition.operator_name.clone(),
                condition.key.text.clone(),
                condition.texts.clone(),
            )
        })
    }));
    share_keys(statements);
    let (mut actions, mut resources, mut heads, mut conditions) = (
        actions.into_iter(),
        resources.into_iter(),
        heads.into_iter(),
        conditions.into_iter(),
    );
    let next = |from: &mut std::vec::IntoIter<Slot>| from.next().unwrap_or(Slot::NONE);
    for statement in statements {
        if statement.actions.is_some() {
            statement.actions_slot = next(&mut actions);
        }
        if let Resources::Listed(clause) = &mut statement.resources {
            statement.resources_slot = next(&mut resources);
            for resource in clause.patterns.iter_mut().filter(|it| it.head().is_some()) {
                resource.remember_head(next(&mut heads));
            }
        }
        for condition in &mut statement.conditions {
            condition.slot = next(&mut conditions);
        }
    }
}

fn listed(statement: &Statement) -> &[ResourcePattern] {
    match &statement.resources {
        Resources::Listed(clause) => &clause.patterns,
        Resources::Implied | Resources::Missing => &[],
    }
}

/// Gives places to the first condition keys that occur more than once.
fn share_keys(statements: &mut [Statement]) {
    let mut times: HashMap<Box<str>, usize> = HashMap::new();
    let conditions = statements.iter().flat_map(|statement| &statement.conditions);
    for condition in conditions {
        *times.entry(condition.key.folded().into()).or_default() += 1;
    }
    let mut places: HashMap<Box<str>, u8> = HashMap::new();
    let conditions = statements
        .iter_mut()
        .flat_map(|statement| &mut statement.conditions);
    for condition in conditions {
        let folded = condition.key.folded();
        if times.get(folded).is_none_or(|times| *times < 2) {
            continue;
        }
        let next = u8::try_from(places.len()).unwrap_or(KEY_ALONE);
        condition.key_place = *places.entry(folded.into()).or_insert(next);
    }
}

fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Box<str>> {
    texts.map(Box::from).collect()
}

/// For every part its slot: equal parts have the same, single ones have none.
fn slots<T: Hash + Eq>(parts: impl Iterator<Item = T>) -> Vec<Slot> {
    let mut numbers: HashMap<T, (usize, usize)> = HashMap::new();
    let mut order = Vec::new();
    for part in parts {
        let next = numbers.len();
        let (number, times) = numbers.entry(part).or_insert((next, 0));
        *times += 1;
        order.push(*number);
    }
    let mut times = vec![0; numbers.len()];
    for (number, count) in numbers.into_values() {
        times[number] = count;
    }
    let mut given = 0;
    let slot_of: Vec<Slot> = times
        .into_iter()
        .map(|times| {
            if times < 2 || given == SLOTS {
                return Slot::NONE;
            }
            given += 1;
            Slot(1 << (given - 1))
        })
        .collect();
    order.into_iter().map(|number| slot_of[number]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_repeats_has_a_slot_and_only_so_many() {
        assert_eq!(
            slots(["a", "b", "a", "c", "c"].into_iter()),
            [Slot(1), Slot::NONE, Slot(1), Slot(2), Slot(2)]
        );
        let many = slots((0..70u32).chain(0..70));
        assert_eq!((many[63], many[64]), (Slot(1 << 63), Slot::NONE));
        assert_eq!(many[..70], many[70..]);
    }

    #[test]
    fn nothing_is_known_before_it_is_learned_and_of_no_slot_ever() {
        let mut answers = Answers::default();
        assert_eq!(answers.known(Slot(1)), None);
        answers.learn(Slot(1), true);
        answers.learn(Slot(1 << 63), false);
        answers.learn(Slot::NONE, true);
        assert_eq!(answers.known(Slot(1)), Some(true));
        assert_eq!(answers.known(Slot(1 << 63)), Some(false));
        assert_eq!(answers.known(Slot(2)), None);
        assert_eq!(answers.known(Slot::NONE), None);
    }
}

//! What of a batch stands: its commits weighed one after the other, against the
//! state the database told and against the commits before them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::Version;
use crate::commit::{Outcome, Precondition, Write};
use crate::committer::Queued;

/// What the database said of the state a batch meets.
pub(super) struct State {
    pub(super) version: Version,
    pub(super) trimmed: Version,
    /// The newest batch of this node that was kept.
    pub(super) kept: Option<i64>,
    pub(super) versions: HashMap<Vec<u8>, Version>,
    /// The rows that the batch adds to.
    pub(super) numbers: HashMap<Vec<u8>, Vec<u8>>,
    /// Rows and newest version of each range condition, in the order of the batch.
    pub(super) ranges: Vec<(u64, Option<Version>)>,
}

/// The last write to each key, `None` being a removal.
type LastWrites<'a> = BTreeMap<Arc<[u8]>, (Version, Option<Cow<'a, [u8]>>)>;

/// What a batch writes, after its commits were weighed.
#[derive(Default)]
pub(super) struct Plan<'a> {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) rows: LastWrites<'a>,
    pub(super) changes: Vec<(Version, Arc<[u8]>, bool)>,
    pub(super) version: Version,
}

/// Decides each commit against the state and the commits before it.
pub(super) fn weigh<'a>(batch: &'a [Queued], state: &State) -> Plan<'a> {
    let mut plan = Plan {
        version: state.version,
        ..Plan::default()
    };
    let mut ranges = state.ranges.iter();
    for queued in batch {
        let mut holds = true;
        for precondition in &queued.commit.preconditions {
            match precondition {
                Precondition::Key { key, expected } => {
                    let found = match plan.rows.get(key) {
                        Some((version, Some(_))) => Some(*version),
                        Some((_, None)) => None,
                        None => state.versions.get(&**key).copied(),
                    };
                    holds &= found == *expected;
                }
                Precondition::Range { range, count, newest } => {
                    let found = ranges.next();
                    // A commit of the same batch that touched the range counts as
                    // a conflict without a closer look: the caller runs again.
                    let touched =
                        !range.is_empty() && plan.rows.range::<[u8], _>(range.bounds()).next().is_some();
                    holds &= !touched
                        && found.is_some_and(|(rows, latest)| {
                            rows == count && latest.is_none_or(|latest| latest <= *newest)
                        });
                }
            }
        }
        if !holds {
            plan.outcomes.push(Outcome::Conflict);
            continue;
        }
        plan.version = plan.version.next();
        for (key, write) in &queued.commit.writes {
            let value = match write {
                Write::Put(value) => Some(Cow::Borrowed(value.as_slice())),
                Write::Delete => None,
            };
            plan.changes
                .push((plan.version, Arc::clone(key), value.is_none()));
            plan.rows.insert(Arc::clone(key), (plan.version, value));
        }
        for (key, addition) in &queued.commit.additions {
            let before = match plan.rows.get(key) {
                Some((_, value)) => value.as_deref(),
                None => state.numbers.get(&**key).map(Vec::as_slice),
            };
            if let Some(record) = addition.to(before) {
                // The log names a row once for each commit.
                if queued.commit.writes.contains_key(key) {
                    plan.changes
                        .retain(|(version, changed, _)| (*version, changed) != (plan.version, key));
                }
                plan.changes.push((plan.version, Arc::clone(key), false));
                plan.rows
                    .insert(Arc::clone(key), (plan.version, Some(Cow::Owned(record))));
            }
        }
        for (place, append) in queued.commit.appends.iter().enumerate() {
            let key: Arc<[u8]> = append.key(plan.version, place).into();
            plan.changes.push((plan.version, Arc::clone(&key), false));
            plan.rows
                .insert(key, (plan.version, Some(Cow::Borrowed(&append.value))));
        }
        plan.outcomes.push(Outcome::Applied(plan.version));
    }
    plan
}

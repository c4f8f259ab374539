//! What of a batch stands: its commits weighed one after the other, against the
//! state the database told and against the commits before them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::commit::{Commit, Outcome, Precondition, Write};
use crate::committer::Queued;
use crate::{StoreError, Version};

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
        let sums = match sums(&queued.commit, &plan.rows, state) {
            Ok(sums) => sums,
            Err(refused) => {
                plan.outcomes.push(Outcome::Refused(refused));
                continue;
            }
        };
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
        for (key, record) in sums {
            // The log names a row once for each commit.
            if queued.commit.writes.contains_key(&key) {
                plan.changes
                    .retain(|(version, changed, _)| (*version, changed) != (plan.version, &key));
            }
            plan.changes.push((plan.version, Arc::clone(&key), false));
            plan.rows.insert(key, (plan.version, Some(Cow::Owned(record))));
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

/// The row of a number, and its record after an addition.
type Sum = (Arc<[u8]>, Vec<u8>);

/// The rows that the commit's additions leave.
///
/// # Errors
///
/// Why the commit is refused for them.
fn sums(commit: &Commit, rows: &LastWrites<'_>, state: &State) -> Result<Vec<Sum>, StoreError> {
    let mut sums = Vec::with_capacity(commit.additions.len());
    for (key, addition) in &commit.additions {
        let stored = match rows.get(key) {
            Some((_, value)) => value.as_deref(),
            None => state.numbers.get(&**key).map(Vec::as_slice),
        };
        let record = addition.to(commit.leaves(key, stored))?;
        sums.extend(record.map(|record| (Arc::clone(key), record)));
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tally::batches;

    proptest! {
        /// Of many commits that are made durable together, each is judged by what the
        /// ones before it left, and one that is refused leaves nothing.
        #[test]
        fn each_commit_of_a_batch_is_held_to_greatest_values(wanted in batches::batches()) {
            let mut rows = batches::Rows::new();
            let mut version = Version(0);
            for (at, commits) in wanted.iter().enumerate() {
                let state = State {
                    version,
                    trimmed: Version(0),
                    kept: None,
                    versions: HashMap::new(),
                    numbers: rows.clone().into_iter().collect(),
                    ranges: Vec::new(),
                };
                let batch = batches::queued(at, commits);
                let plan = weigh(&batch, &state);
                let mut kept = rows.clone();
                for (key, (_, value)) in &plan.rows {
                    match value {
                        Some(value) => kept.insert(key.to_vec(), value.to_vec()),
                        None => kept.remove(&**key),
                    };
                }
                prop_assert_eq!(batches::made(&plan.outcomes), batches::make(&mut rows, at, commits));
                prop_assert_eq!(&kept, &rows);
                // The log names what was made, each row once for each commit.
                let mut logged = plan.changes.clone();
                logged.sort();
                logged.dedup();
                prop_assert_eq!(logged.len(), plan.changes.len());
                let newest = plan.changes.iter().map(|(version, ..)| *version).max();
                prop_assert_eq!(newest.unwrap_or(version), plan.version);
                version = plan.version;
            }
        }
    }
}

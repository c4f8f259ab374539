//! The uses that are noted and not yet written: packed, and in the order of their rows.
//!
//! Of a million keys that are used at random each waits for half an hour, so a
//! note takes as little as it can. Notes lie in runs, each of neighbours: those of
//! one commit then lie on few pages of the store, and of a run nothing needs to be
//! known but since when it waits.
//!
//! Invariants: the runs of a place do not overlap; a run is sorted, holds each key
//! once and at most [`LAST_USES_PER_RUN_MAX`]; a note leaves when it was written
//! and not before, so that who asks for it meanwhile is told.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use ground::{AccountId, Region, Timestamp, id};

use super::LastUse;
use crate::limits::{
    LAST_USE_RUNS_AT_ONCE, LAST_USES_AT_ONCE, LAST_USES_NOTED_MAX, LAST_USES_PER_COMMIT_MAX,
    LAST_USES_PER_RUN_MAX, LAST_USES_WRITTEN_AFTER, LAST_USES_WRITTEN_WITHIN,
};
use crate::model::KeyId;

const _: () = assert!(
    (LAST_USES_NOTED_MAX / 8 * 7) as u64
        <= LAST_USES_AT_ONCE as u64
            * (LAST_USES_WRITTEN_WITHIN.as_secs() - LAST_USES_WRITTEN_AFTER.as_secs()),
    "whatever there is room for is written in time at the pace that is set, and never all at once"
);

/// Notes by which a run grows: what it may have room for and not use.
const ROOM: usize = 16;

/// A key in its place. Sorts as the rows of keys do: UUIDs before the ids of
/// multi-Region keys, which begin with a letter behind all digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spot {
    is_multi_region: bool,
    id: [u8; KeyId::BYTES],
}

impl Spot {
    /// Before all others.
    const FIRST: Spot = Spot {
        is_multi_region: false,
        id: [0; KeyId::BYTES],
    };

    fn of(key: &KeyId) -> Spot {
        Spot {
            is_multi_region: key.is_multi_region(),
            id: key.bytes(),
        }
    }

    fn key(&self) -> KeyId {
        if self.is_multi_region {
            KeyId::multi_region_from_bytes(self.id)
        } else {
            KeyId::from_bytes(self.id)
        }
    }

    /// As a number, which is compared without a call.
    fn rank(&self) -> (bool, u128) {
        (self.is_multi_region, u128::from_be_bytes(self.id))
    }
}

impl Ord for Spot {
    fn cmp(&self, other: &Spot) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Spot {
    fn partial_cmp(&self, other: &Spot) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The bytes of a UUID in lower case, as the gate gives them to requests and records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Uuid([u8; 16]);

impl Uuid {
    /// `None` for any other text.
    pub(super) fn parse(text: &str) -> Option<Uuid> {
        id::uuid_bytes(text).map(Uuid)
    }

    fn spelled(self) -> String {
        String::from(KeyId::from_bytes(self.0))
    }
}

/// A use as the call tells it.
pub(super) struct Use {
    pub(super) at: Timestamp,
    pub(super) operation: &'static str,
    pub(super) event: Uuid,
    pub(super) request: Uuid,
}

/// The last use of a key, of bytes alone so that nothing lies between two notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note {
    spot: Spot,
    at: [u8; 8],
    /// Its place among the names.
    operation: u8,
    event: Uuid,
    request: Uuid,
}

const _: () = assert!(size_of::<Note>() == 58, "a note is packed");

impl Note {
    fn at(&self) -> Timestamp {
        Timestamp(i64::from_ne_bytes(self.at))
    }
}

/// Neighbours that are written together.
#[derive(Debug)]
struct Run {
    /// Since when what is not written waits; of a run without notes, since when it
    /// is without.
    since: Timestamp,
    notes: Vec<Note>,
}

/// The runs of an account in a region, by where each begins. It reaches to the next.
type Runs = BTreeMap<Spot, Run>;

/// All that is noted.
#[derive(Debug)]
pub(super) struct Noted {
    places: BTreeMap<AccountId, BTreeMap<Region, Runs>>,
    /// The operations that notes name by their place here.
    operations: Vec<&'static str>,
    notes: usize,
    notes_max: usize,
}

impl Default for Noted {
    fn default() -> Noted {
        Noted::with_room_for(LAST_USES_NOTED_MAX)
    }
}

/// Whole runs of one place that are to be written in one commit, in the order of
/// their rows.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) account: AccountId,
    pub(super) region: Region,
    /// When they were taken.
    pub(super) taken: Timestamp,
    pub(super) notes: Vec<Note>,
}

impl Due {
    fn new(account: AccountId, region: &Region, taken: Timestamp, notes: Vec<Note>) -> Due {
        Due {
            account,
            region: region.clone(),
            taken,
            notes,
        }
    }
}

impl Noted {
    fn with_room_for(notes_max: usize) -> Noted {
        Noted {
            places: BTreeMap::new(),
            operations: Vec::new(),
            notes: 0,
            notes_max,
        }
    }

    /// Notes a use, unless a later one is known. Of more keys than
    /// there is room for nothing is noted until others were written.
    pub(super) fn note(&mut self, account: AccountId, region: &Region, key: &KeyId, noticed: &Use) {
        let note = Note {
            spot: Spot::of(key),
            at: noticed.at.0.to_ne_bytes(),
            operation: self.named(noticed.operation),
            event: noticed.event,
            request: noticed.request,
        };
        let is_full = self.notes >= self.notes_max;
        let place = self.places.entry(account).or_default();
        let runs = match place.get_mut(region) {
            Some(runs) => runs,
            None => place.entry(region.clone()).or_default(),
        };
        let Some((_, run)) = runs.range_mut(..=note.spot).next_back() else {
            if !is_full {
                let run = Run {
                    since: noticed.at,
                    notes: vec![note],
                };
                runs.insert(Spot::FIRST, run);
                self.notes += 1;
            }
            return;
        };
        match find(&run.notes, note.spot) {
            Ok(found) => {
                if run.notes[found].at() <= noticed.at {
                    run.notes[found] = note;
                }
            }
            Err(_) if is_full => {}
            Err(gap) => {
                self.notes += 1;
                if let Some(behind) = run.insert(gap, note) {
                    let begins = behind.notes[0].spot;
                    runs.insert(begins, behind);
                }
            }
        }
    }

    /// The place of an operation among the names. There are fewer in a service than
    /// a byte counts.
    fn named(&mut self, operation: &'static str) -> u8 {
        let known = self.operations.iter().position(|name| *name == operation);
        let place = known.unwrap_or_else(|| {
            self.operations.push(operation);
            self.operations.len() - 1
        });
        u8::try_from(place).expect("a service has less than 256 operations")
    }

    /// The last use that is noted of a key.
    pub(super) fn of(&self, account: AccountId, region: &Region, key: &KeyId) -> Option<LastUse> {
        let spot = Spot::of(key);
        let (_, run) = self
            .places
            .get(&account)?
            .get(region)?
            .range(..=spot)
            .next_back()?;
        let found = find(&run.notes, spot).ok()?;
        Some(self.spelled(&run.notes[found]).1)
    }

    /// A note as its row tells it, and of which key.
    pub(super) fn spelled(&self, note: &Note) -> (KeyId, LastUse) {
        let last = LastUse {
            at: note.at(),
            operation: self.operations[usize::from(note.operation)].to_owned(),
            event_id: note.event.spelled(),
            request_id: note.request.spelled(),
        };
        (note.spot.key(), last)
    }

    /// What is to be written now, which stays noted until [`Noted::written`]: of what
    /// waits for [`LAST_USES_WRITTEN_AFTER`] some, the oldest first; all that waits
    /// for [`LAST_USES_WRITTEN_WITHIN`]; so much that there is room for others; and
    /// everything if nobody will ask again.
    pub(super) fn due(&mut self, now: Timestamp, is_last: bool) -> Vec<Due> {
        self.forget_empty(now);
        let mut waiting = Vec::new();
        for (account, regions) in &self.places {
            for (region, runs) in regions {
                let runs = runs.iter().filter(|(_, run)| !run.notes.is_empty());
                waiting.extend(runs.map(|(begins, run)| (run.since, *account, region, *begins, run)));
            }
        }
        waiting.sort_unstable_by(|one, other| {
            (one.0, one.1, one.2, one.3).cmp(&(other.0, other.1, other.2, other.3))
        });
        let too_many = self.notes.saturating_sub(self.notes_max / 8 * 7);
        let (mut runs, mut notes) = (0, 0);
        let mut wanted: BTreeMap<(AccountId, &Region), BTreeMap<Spot, &Run>> = BTreeMap::new();
        for (since, account, region, begins, run) in waiting {
            let has_room = runs < LAST_USE_RUNS_AT_ONCE && notes < LAST_USES_AT_ONCE;
            let may = has_room && now >= since.after(LAST_USES_WRITTEN_AFTER);
            let must = now >= since.after(LAST_USES_WRITTEN_WITHIN) || notes < too_many;
            if !may && !must && !is_last {
                break;
            }
            runs += 1;
            notes += run.notes.len();
            wanted.entry((account, region)).or_default().insert(begins, run);
        }
        let mut due = Vec::new();
        for ((account, region), runs) in wanted {
            let mut notes = Vec::new();
            for run in runs.values() {
                if notes.len() + run.notes.len() > LAST_USES_PER_COMMIT_MAX {
                    due.push(Due::new(account, region, now, std::mem::take(&mut notes)));
                }
                notes.extend_from_slice(&run.notes);
            }
            due.push(Due::new(account, region, now, notes));
        }
        due
    }

    /// Forgets what was written, but for keys that were used again meanwhile: these
    /// wait since then.
    pub(super) fn written(&mut self, due: &Due) {
        let notes = &due.notes;
        let (Some(first), Some(last)) = (notes.first(), notes.last()) else {
            return;
        };
        let regions = self.places.get_mut(&due.account);
        let Some(runs) = regions.and_then(|regions| regions.get_mut(&due.region)) else {
            return;
        };
        let begins = runs
            .range(..=first.spot)
            .next_back()
            .map_or(Spot::FIRST, |(begins, _)| *begins);
        for (_, run) in runs.range_mut(begins..=last.spot) {
            let (before, mut was_due) = (run.notes.len(), false);
            run.notes.retain(|it| {
                let written = notes.binary_search_by(|other| other.spot.cmp(&it.spot));
                was_due |= written.is_ok();
                written.map_or(true, |written| notes[written] != *it)
            });
            // Others may lie between those that were.
            if was_due {
                self.notes -= before - run.notes.len();
                run.since = due.taken;
                run.notes.shrink_to(run.notes.len() + ROOM);
            }
        }
    }

    /// Lets runs go that have been without notes for a while. While keys are used at
    /// random runs fill up again, and where they begin is worth keeping.
    fn forget_empty(&mut self, now: Timestamp) {
        self.places.retain(|_, regions| {
            regions.retain(|_, runs| {
                runs.retain(|_, run| !run.notes.is_empty() || now < run.since.after(LAST_USES_WRITTEN_AFTER));
                !runs.is_empty()
            });
            !regions.is_empty()
        });
    }

    /// How many keys are noted.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.notes
    }
}

/// Where the note of a key is, or else the gap it belongs into. Sought first where it
/// would be if the ids of neighbours were evenly spread, as they about are: of a key at
/// random every note that is looked at is new to the processor.
fn find(notes: &[Note], spot: Spot) -> Result<usize, usize> {
    let (Some(first), Some(last)) = (notes.first(), notes.last()) else {
        return Err(0);
    };
    let begin = first.spot.rank().1;
    let from_begin = |spot: Spot| spot.rank().1.saturating_sub(begin) >> 64;
    let whole = from_begin(last.spot).max(1);
    let guess = from_begin(spot).min(whole) * (notes.len() as u128 - 1) / whole;
    let guess = usize::try_from(guess).unwrap_or(0);
    let (mut low, mut high, mut step) = (guess, guess, 2);
    while low > 0 && notes[low].spot > spot {
        (low, high) = (low.saturating_sub(step), low);
        step *= 2;
    }
    while high < notes.len() && notes[high].spot < spot {
        (low, high) = (high, (high + step).min(notes.len()));
        step *= 2;
    }
    let high = (high + 1).min(notes.len());
    let found = notes[low..high].binary_search_by(|it| it.spot.cmp(&spot));
    found.map(|at| low + at).map_err(|at| low + at)
}

impl Run {
    /// Puts a note into its gap. A run that has become too long is cut in two, of
    /// which the one behind is given back.
    fn insert(&mut self, gap: usize, note: Note) -> Option<Run> {
        if self.notes.is_empty() {
            self.since = note.at();
        }
        if self.notes.len() == self.notes.capacity() {
            self.notes.reserve_exact(ROOM);
        }
        self.notes.insert(gap, note);
        if self.notes.len() <= LAST_USES_PER_RUN_MAX {
            return None;
        }
        let behind = self.notes.split_off(LAST_USES_PER_RUN_MAX / 2);
        self.notes.shrink_to(self.notes.len() + ROOM);
        Some(Run {
            since: self.since,
            notes: behind,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const MINUTE: i64 = LAST_USES_WRITTEN_AFTER.as_secs().cast_signed();
    const LATEST: i64 = LAST_USES_WRITTEN_WITHIN.as_secs().cast_signed();

    fn account() -> AccountId {
        AccountId::parse("111122223333").unwrap()
    }

    /// Keys in an order that is not theirs, every third of a multi-Region key.
    fn key(number: u32) -> KeyId {
        let mut bytes = [7; 16];
        bytes[..4].copy_from_slice(&number.wrapping_mul(0x9E37_79B9).to_be_bytes());
        if number.is_multiple_of(3) {
            KeyId::multi_region_from_bytes(bytes)
        } else {
            KeyId::from_bytes(bytes)
        }
    }

    fn used(seconds: i64) -> Use {
        let mut event = [0; 16];
        event[..8].copy_from_slice(&seconds.to_be_bytes());
        Use {
            at: Timestamp::from_seconds(seconds),
            operation: if seconds % 2 == 0 { "Encrypt" } else { "Decrypt" },
            event: Uuid(event),
            request: Uuid([9; 16]),
        }
    }

    fn note(noted: &mut Noted, number: u32, seconds: i64) {
        noted.note(account(), &Region::us_east_1(), &key(number), &used(seconds));
    }

    fn told(noted: &Noted, number: u32) -> Option<i64> {
        let last = noted.of(account(), &Region::us_east_1(), &key(number))?;
        Some(last.at.seconds())
    }

    /// Writes what is due; tells of how many keys.
    fn write(noted: &mut Noted, seconds: i64, is_last: bool) -> usize {
        let due = noted.due(Timestamp::from_seconds(seconds), is_last);
        due.iter().for_each(|due| noted.written(due));
        due.iter().map(|due| due.notes.len()).sum()
    }

    fn check(noted: &Noted) {
        let runs = noted.places.values().flat_map(BTreeMap::values);
        let mut notes = 0;
        for runs in runs {
            let mut ends = runs.keys().skip(1).map(Some).chain([None]);
            for (begins, run) in runs {
                let ends = ends.next().unwrap();
                let lies_within =
                    |note: &Note| *begins <= note.spot && ends.is_none_or(|ends| note.spot < *ends);
                assert!(run.notes.iter().all(lies_within));
                assert!(run.notes.is_sorted_by(|one, next| one.spot < next.spot));
                assert!(run.notes.len() <= LAST_USES_PER_RUN_MAX);
                notes += run.notes.len();
            }
        }
        assert_eq!(notes, noted.len());
    }

    /// What may happen.
    #[derive(Debug, Clone)]
    enum Step {
        /// So many keys are used, the first of them that.
        Use(u32, u32),
        Wait(i64),
        /// What is due is written, while some of it is used once more.
        Write,
        /// It is not, because the store does not take it.
        Fail,
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0u32..1_500, 1u32..700).prop_map(|(first, count)| Step::Use(first, count)),
            2 => (1i64..2 * MINUTE).prop_map(Step::Wait),
            1 => (LATEST / 2..2 * LATEST).prop_map(Step::Wait),
            3 => Just(Step::Write),
            1 => Just(Step::Fail),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        /// Whatever happens: each use is noted or written, the later one last, and
        /// none waits for longer than it may once what is due was written.
        #[test]
        fn nothing_is_lost_and_nothing_waits_for_long(steps in proptest::collection::vec(any_step(), 1..30)) {
            let mut noted = Noted::default();
            let mut now = 1_000;
            let mut lasts: BTreeMap<u32, i64> = BTreeMap::new();
            let mut written: BTreeMap<KeyId, i64> = BTreeMap::new();
            let mut waiting: BTreeMap<KeyId, i64> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Use(first, count) => {
                        for number in first..first + count {
                            note(&mut noted, number, now);
                            lasts.insert(number, now);
                            waiting.entry(key(number)).or_insert(now);
                        }
                    }
                    Step::Wait(seconds) => now += seconds,
                    Step::Fail => drop(noted.due(Timestamp::from_seconds(now), false)),
                    Step::Write => {
                        let due = noted.due(Timestamp::from_seconds(now), false);
                        now += 1;
                        // Some are used while they are written.
                        for number in 0..50 {
                            note(&mut noted, number, now);
                            lasts.insert(number, now);
                        }
                        let again: Vec<KeyId> = (0..50).map(key).collect();
                        for id in &again {
                            waiting.entry(id.clone()).or_insert(now);
                        }
                        for due in due {
                            prop_assert!(due.notes.len() <= LAST_USES_PER_COMMIT_MAX);
                            for spelled in &due.notes {
                                let (id, last) = noted.spelled(spelled);
                                let before = written.insert(id.clone(), last.at.seconds());
                                prop_assert!(before.is_none_or(|before| before < last.at.seconds()));
                                if again.contains(&id) {
                                    waiting.insert(id, now);
                                } else {
                                    waiting.remove(&id);
                                }
                            }
                            noted.written(&due);
                        }
                        prop_assert!(waiting.values().all(|since| now - since <= LATEST));
                    }
                }
                check(&noted);
                prop_assert_eq!(noted.len(), waiting.len());
                for (number, last) in &lasts {
                    let known = told(&noted, *number).or_else(|| written.get(&key(*number)).copied());
                    prop_assert_eq!(known, Some(*last));
                }
            }
            prop_assert_eq!(write(&mut noted, now, true), waiting.len());
            prop_assert_eq!(noted.len(), 0);
        }
    }

    #[test]
    fn an_earlier_use_replaces_no_later_one() {
        let mut noted = Noted::default();
        for seconds in [200, 150] {
            note(&mut noted, 1, seconds);
        }
        let last = noted.of(account(), &Region::us_east_1(), &key(1)).unwrap();
        let same = LastUse {
            at: Timestamp::from_seconds(200),
            operation: "Encrypt".into(),
            event_id: "00000000-0000-00c8-0000-000000000000".into(),
            request_id: "09090909-0909-0909-0909-090909090909".into(),
        };
        assert_eq!(last, same);
        let other = Region::parse("eu-west-1").unwrap();
        assert!(noted.of(account(), &other, &key(1)).is_none());
        assert!(told(&noted, 2).is_none());
    }

    /// A few are written after a minute, all of them; of many some each second.
    #[test]
    fn few_are_written_soon_and_many_at_a_steady_pace() {
        let mut noted = Noted::default();
        for number in 0..500 {
            note(&mut noted, number, 1_000);
        }
        assert_eq!(write(&mut noted, 999 + MINUTE, false), 0);
        assert_eq!(write(&mut noted, 1_000 + MINUTE, false), 500);

        let begin = 10_000;
        for number in 0..50_000 {
            note(&mut noted, number, begin);
        }
        let mut left = 50_000;
        let mut now = begin + MINUTE;
        while left > 0 {
            let wrote = write(&mut noted, now, false);
            assert!((1..LAST_USES_AT_ONCE + LAST_USES_PER_RUN_MAX).contains(&wrote));
            left -= wrote;
            now += 1;
        }
        assert!(now < begin + LATEST);
        check(&noted);

        for number in 0..50_000 {
            note(&mut noted, number, now);
        }
        assert_eq!(
            write(&mut noted, now + LATEST, false),
            50_000,
            "nobody waits for longer"
        );
    }

    /// Nothing is noted of more keys than there is room for, those that are go on, and
    /// the room is what is said of it. There is room again before long.
    #[test]
    fn what_is_noted_is_bounded() {
        const MAX: u32 = 40_000;
        let max = usize::try_from(MAX).unwrap();
        let mut noted = Noted::with_room_for(max);
        for number in 0..=MAX {
            note(&mut noted, number, 1_000);
        }
        assert_eq!(noted.len(), max);
        assert_eq!(told(&noted, MAX), None);
        note(&mut noted, 0, 1_001);
        assert_eq!(told(&noted, 0), Some(1_001));
        let runs = noted.places[&account()].values().flatten();
        let room = runs.map(|(_, run)| run.notes.capacity() * size_of::<Note>() + size_of::<(Spot, Run)>());
        let room: usize = room.sum();
        assert!(room < 66 * max, "{room}");

        let early = write(&mut noted, 1_002, false);
        assert!(
            (max / 8..max / 8 + LAST_USES_PER_RUN_MAX).contains(&early),
            "{early}"
        );
        note(&mut noted, MAX, 1_002);
        assert_eq!(told(&noted, MAX), Some(1_002));
        check(&noted);
    }

    proptest! {
        /// However ids are spread.
        #[test]
        fn a_note_is_found_where_it_is(
            ids in proptest::collection::btree_set((any::<bool>(), prop_oneof![any::<u128>(), 0u128..100, (0u128..9).prop_map(|high| high << 96)]), 0..300),
            others in proptest::collection::vec((any::<bool>(), prop_oneof![any::<u128>(), 0u128..100]), 20),
        ) {
            let note = |(is_multi_region, id): (bool, u128)| Note {
                spot: Spot { is_multi_region, id: id.to_be_bytes() },
                at: [0; 8],
                operation: 0,
                event: Uuid([0; 16]),
                request: Uuid([0; 16]),
            };
            let notes: Vec<Note> = ids.iter().copied().map(note).collect();
            for sought in ids.iter().copied().chain(others) {
                let spot = note(sought).spot;
                prop_assert_eq!(find(&notes, spot), notes.binary_search_by(|it| it.spot.cmp(&spot)));
            }
        }
    }

    #[test]
    fn ids_are_spelled_as_they_were_read() {
        let text = "01234567-89ab-cdef-0123-456789abcdef";
        assert_eq!(Uuid::parse(text).unwrap().spelled(), text);
    }
}

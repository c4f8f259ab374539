//! Policies ready to be weighed, shared between keys that say the same.
//!
//! Most keys have the policy they were created with by default, so most texts are
//! the same text. To read and compile one costs more than all the rest of reading
//! a key, and takes more room.
//!
//! Nothing here has to hear of changes: a policy is found by everything that it is
//! made from. Each thread keeps [`COMPILED_POLICIES_KEPT`] at most.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use ground::AccountId;
use policy::{Attached, Malformed};

use crate::limits::COMPILED_POLICIES_KEPT;

/// What a policy is made from.
pub(super) enum Source<'a> {
    /// It is the one that keys of this account are made with.
    Default(AccountId),
    /// Its text, and the unique ids its principals are bound to.
    Text(&'a str, &'a BTreeMap<String, String>),
}

/// The same, kept.
enum KeptSource {
    Default(AccountId),
    Text(Box<str>, BTreeMap<String, String>),
}

/// A policy and what it was made from.
struct Kept {
    source: KeptSource,
    compiled: Arc<Attached>,
}

impl Source<'_> {
    fn kept(&self) -> KeptSource {
        match self {
            Source::Default(account) => KeptSource::Default(*account),
            Source::Text(text, bound) => KeptSource::Text((*text).into(), BTreeMap::clone(bound)),
        }
    }

    fn is(&self, kept: &KeptSource) -> bool {
        match (self, kept) {
            (Source::Default(wanted), KeptSource::Default(account)) => wanted == account,
            (Source::Text(wanted, ids), KeptSource::Text(text, bound)) => {
                **text == **wanted && *bound == **ids
            }
            (Source::Default(_), KeptSource::Text(..)) | (Source::Text(..), KeptSource::Default(_)) => false,
        }
    }
}

thread_local! {
    static KEPT: RefCell<Vec<Option<Kept>>> = const { RefCell::new(Vec::new()) };
}

/// The policy that is made from this: one that is kept, or else what `compile` makes,
/// which is kept from now on.
///
/// # Errors
///
/// Whatever `compile` reports; that is not kept.
pub(super) fn shared(
    source: &Source<'_>,
    compile: impl FnOnce() -> Result<Arc<Attached>, Malformed>,
) -> Result<Arc<Attached>, Malformed> {
    let place = place(source);
    let known = KEPT.with_borrow(|all| {
        let kept = all.get(place)?.as_ref()?;
        source.is(&kept.source).then(|| Arc::clone(&kept.compiled))
    });
    if let Some(compiled) = known {
        return Ok(compiled);
    }
    let compiled = compile()?;
    let kept = Kept {
        source: source.kept(),
        compiled: Arc::clone(&compiled),
    };
    KEPT.with_borrow_mut(|all| {
        if all.is_empty() {
            all.resize_with(COMPILED_POLICIES_KEPT, || None);
        }
        all[place] = Some(kept);
    });
    Ok(compiled)
}

/// Where a policy that is made from this is kept, if it is.
fn place(source: &Source<'_>) -> usize {
    let mut hasher = DefaultHasher::new();
    match source {
        Source::Default(account) => account.hash(&mut hasher),
        Source::Text(text, _) => text.hash(&mut hasher),
    }
    usize::try_from(hasher.finish() % COMPILED_POLICIES_KEPT as u64).unwrap_or(0)
}

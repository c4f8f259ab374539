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

use policy::{Attached, Malformed};

use crate::limits::COMPILED_POLICIES_KEPT;

/// A policy and what it was made from.
struct Kept {
    text: Box<str>,
    bound: BTreeMap<String, String>,
    compiled: Arc<Attached>,
}

thread_local! {
    static KEPT: RefCell<Vec<Option<Kept>>> = const { RefCell::new(Vec::new()) };
}

/// The policy of this text, whose principals are bound so: one that is kept, or
/// else what `compile` makes, which is kept from now on.
///
/// # Errors
///
/// Whatever `compile` reports; that is not kept.
pub(super) fn shared(
    text: &str,
    bound: &BTreeMap<String, String>,
    compile: impl FnOnce() -> Result<Arc<Attached>, Malformed>,
) -> Result<Arc<Attached>, Malformed> {
    let place = place(text);
    let known = KEPT.with_borrow(|all| {
        let kept = all.get(place)?.as_ref()?;
        (*kept.text == *text && kept.bound == *bound).then(|| Arc::clone(&kept.compiled))
    });
    if let Some(compiled) = known {
        return Ok(compiled);
    }
    let compiled = compile()?;
    let kept = Kept {
        text: text.into(),
        bound: bound.clone(),
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

/// Where a policy of this text is kept, if it is.
fn place(text: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    usize::try_from(hasher.finish() % COMPILED_POLICIES_KEPT as u64).unwrap_or(0)
}

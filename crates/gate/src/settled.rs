//! What was allowed before: outcomes that are remembered.
//!
//! A client asks for the same again and again, and is allowed it by the same
//! statement. What decides is looked up anew for every call, from memory
//! ([`crate::AtHand`]); as long as it is the very same things that were weighed
//! before, and the request says the same of every condition key that the policies name
//! ([`policy::Reading`]), the outcome is the same as well.
//!
//! Nothing here has to hear of changes. Whatever is changed is put together
//! anew by whoever keeps it, and is then another thing in memory: the outcome
//! does not apply to it. Things that are compared are kept, so that no other
//! can come to lie where one of them lay.
//!
//! Each thread remembers for itself, [`OUTCOMES_REMEMBERED`] outcomes at most.
//!
//! Absent by design: refusals, which are seldom and must tell their reasons;
//! what grants allow, which have constraints of their own; and what rests on
//! the time.

use std::cell::RefCell;
use std::sync::Arc;

use ground::AccountId;
use policy::{Attached, Policies, Reading, ResourcePolicyKind};

use crate::decision::Question;
use crate::directory::{Caller, CallerPolicies};
use crate::guardrails::Standing;
use crate::limits::OUTCOMES_REMEMBERED;

/// What was said of a call that was allowed.
#[derive(Clone)]
pub(crate) struct Outcome {
    /// One line that tells what decided.
    pub(crate) because: Arc<str>,
    /// What was asked and what decided, as the record tells it: JSON with the object left open.
    pub(crate) told: Arc<str>,
    /// What a foreign owner of the resource is told, if its policies were asked.
    pub(crate) told_to_owner: Option<Arc<str>>,
}

/// An outcome, and everything it rests on.
struct Settled {
    caller: Arc<Caller>,
    policies: Arc<CallerPolicies>,
    standing: (Arc<Standing>, Arc<Standing>),
    action: Box<str>,
    arn: Arc<str>,
    owner: Option<AccountId>,
    policy: Option<(Arc<Attached>, ResourcePolicyKind)>,
    beyond_resource_control: bool,
    reading: Reading,
    outcome: Outcome,
}

thread_local! {
    static SETTLED: RefCell<Vec<Option<Settled>>> = const { RefCell::new(Vec::new()) };
}

/// The outcome of a question that was allowed before, if it still is one.
pub(crate) fn recall(question: &Question) -> Option<Outcome> {
    if question.rests_on_grants() {
        return None;
    }
    SETTLED.with_borrow(|all| {
        let settled = all.get(place(question))?.as_ref()?;
        settled.answers(question).then(|| settled.outcome.clone())
    })
}

/// Remembers that a question was allowed under `policies`, which are all that was weighed.
pub(crate) fn remember(question: &Question, policies: &Policies<'_>, outcome: &Outcome) {
    if question.rests_on_grants() {
        return;
    }
    let Some(reading) = Reading::of(policies, &question.asked.keys) else {
        return;
    };
    let (callers, owners) = &question.standing;
    let settled = Settled {
        caller: Arc::clone(&question.caller),
        policies: Arc::clone(&question.policies),
        standing: (Arc::clone(callers), Arc::clone(owners)),
        action: question.action().into(),
        arn: Arc::clone(&question.asked.arn),
        owner: question.asked.owner,
        policy: question.asked.policy.clone(),
        beyond_resource_control: question.asked.beyond_resource_control,
        reading,
        outcome: outcome.clone(),
    };
    SETTLED.with_borrow_mut(|all| {
        if all.is_empty() {
            all.resize_with(OUTCOMES_REMEMBERED, || None);
        }
        all[place(question)] = Some(settled);
    });
}

impl Settled {
    /// Whether the question is put about the very things that this outcome rests on.
    fn answers(&self, question: &Question) -> bool {
        let asked = &question.asked;
        let policy = match (&self.policy, &asked.policy) {
            (Some((own, kind)), Some((asked, asked_kind))) => Arc::ptr_eq(own, asked) && kind == asked_kind,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        policy
            && Arc::ptr_eq(&self.caller, &question.caller)
            && Arc::ptr_eq(&self.policies, &question.policies)
            && Arc::ptr_eq(&self.standing.0, &question.standing.0)
            && Arc::ptr_eq(&self.standing.1, &question.standing.1)
            && self.owner == asked.owner
            && self.beyond_resource_control == asked.beyond_resource_control
            && *self.action == *question.action()
            && (Arc::ptr_eq(&self.arn, &asked.arn) || self.arn == asked.arn)
            && self.reading.is_same_in(&asked.keys)
    }
}

/// Where an outcome stands: questions that share a place take it from one another.
fn place(question: &Question) -> usize {
    let policy = question.asked.policy.as_ref();
    let parts = [
        policy.map_or(0, |(policy, _)| Arc::as_ptr(policy).addr()),
        Arc::as_ptr(&question.caller).addr(),
        question.action().len(),
        question.asked.arn.len(),
    ];
    let mixed = parts.into_iter().fold(0u64, |mixed, part| {
        (mixed.rotate_left(17) ^ part as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    });
    (mixed >> 48) as usize % OUTCOMES_REMEMBERED
}

//! Decisions: what was weighed, kept so that `why` can tell it.
//!
//! A decision keeps the very policies it was made with, so the explanation is
//! of that moment, whatever has been changed since. Memory keeps the last
//! [`DECISIONS_KEPT`] of each thread; of older calls the journal keeps what decided, and of
//! refusals the whole reasoning.
//!
//! A decision belongs to the caller's account. What the policies of a foreign
//! resource say is their owner's business: it is left out.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ground::{AccountId, Region};
use policy::{Allowance, Change, Decision, Denial, GrantAllow, Policies, PolicyType, Request, Trace};

use crate::access::Asked;
use crate::directory::{Caller, CallerPolicies};
use crate::encoded::Refused;
use crate::guardrails::Standing;
use crate::limits::DECISIONS_KEPT;
use crate::record::json_text;
use crate::settled::{self, Outcome};

/// Bytes that the line takes which tells what decided, mostly.
const BECAUSE_BYTES_EXPECTED: usize = 120;

/// One question put to the policies.
pub(crate) struct Question {
    pub(crate) caller: Arc<Caller>,
    pub(crate) policies: Arc<CallerPolicies>,
    /// What is over the caller's account, and over the owner's.
    pub(crate) standing: (Arc<Standing>, Arc<Standing>),
    /// The action of the operation, which is meant unless another is asked for.
    pub(crate) own_action: &'static str,
    pub(crate) asked: Box<Asked>,
    /// Whether the grants that are known to cover it are not weighed.
    pub(crate) grants_aside: bool,
}

impl Question {
    pub(crate) fn action(&self) -> &str {
        self.asked.action.as_deref().unwrap_or(self.own_action)
    }

    fn request(&self) -> Request<'_> {
        Request {
            same_organization: self.standing.0.is_with(&self.standing.1),
            ..Request::new(
                &self.caller.principal,
                self.action(),
                &self.asked.arn,
                self.asked.owner,
                &self.asked.keys,
            )
        }
    }

    /// Everything that is weighed.
    fn policies<'a>(&'a self, grants: &'a [GrantAllow<'a>]) -> Policies<'a> {
        let (callers, owners) = &self.standing;
        Policies {
            service_control: callers.service_control.as_deref(),
            resource_control: owners
                .resource_control_of(self.action())
                .filter(|_| !self.asked.beyond_resource_control),
            ..self
                .policies
                .weighed_for(&self.caller, self.asked.policy.as_ref(), grants)
        }
    }

    /// The same question put to the caller's account alone: of a foreign
    /// owner's policies nothing is weighed, and nothing can be learnt.
    pub(crate) fn of_callers_side(mut self) -> Question {
        if self.is_foreign() {
            self.asked.owner = None;
            self.asked.policy = None;
            self.standing.1 = Arc::default();
        }
        self
    }

    /// Whether the resource is another account's.
    fn is_foreign(&self) -> bool {
        self.asked.owner.is_some_and(|owner| owner != self.caller.account)
    }

    /// One line that tells what decided.
    fn because(&self, decision: &Decision<'_>) -> String {
        let (told, decided_by) = match decision {
            Decision::Allow(Allowance::Statement { policy_type, .. }) => ("allowed", Some(*policy_type)),
            Decision::Allow(Allowance::Root | Allowance::Grant { .. }) => ("allowed", None),
            Decision::Deny(denial) => ("denied", Some(denial.policy_type())),
        };
        if self.is_foreign() && decided_by.is_some_and(is_owners) {
            return format!("{told} by the owner of the resource");
        }
        // Room for the sentence at once: it is written for every call.
        let mut because = String::with_capacity(BECAUSE_BYTES_EXPECTED);
        // Writing to a String cannot fail.
        let _ = write!(because, "{decision}");
        because
    }

    /// Whether a grant is among what is weighed.
    pub(crate) fn rests_on_grants(&self) -> bool {
        !self.grants_aside && !self.asked.grants.is_empty()
    }

    fn grants(&self) -> Vec<GrantAllow<'_>> {
        if self.grants_aside {
            return Vec::new();
        }
        self.asked.grants.iter().map(|id| GrantAllow { id }).collect()
    }
}

/// A question and its answer.
pub(crate) struct Weighed {
    question: Question,
    /// What decided, in words.
    outcome: Outcome,
    /// `None` if allowed.
    refusal: Option<Refusal>,
}

/// A refusal of the policies.
struct Refusal {
    /// In AWS's words.
    text: String,
    /// Whether a policy denies, rather than that none allows.
    explicit: bool,
}

impl Weighed {
    /// Asks the policies, unless the same was allowed before. `hidden` refusals
    /// tell no reason: the resource is another account's.
    pub(crate) fn new(question: Question, hidden: bool) -> Weighed {
        match settled::recall(&question) {
            Some(outcome) => Weighed {
                question,
                outcome,
                refusal: None,
            },
            None => Weighed::anew(question, hidden),
        }
    }

    #[inline(never)]
    fn anew(question: Question, hidden: bool) -> Weighed {
        let (request, grants) = (question.request(), question.grants());
        let policies = question.policies(&grants);
        let decision = policy::decide(&request, &policies);
        let refusal = match &decision {
            Decision::Allow(_) => None,
            Decision::Deny(denial) => Some(Refusal {
                text: if hidden {
                    policy::denial_text_without_reason(&request)
                } else {
                    policy::denial_text(&request, denial)
                },
                explicit: matches!(denial, Denial::Explicit { .. }),
            }),
        };
        let told_to_owner = question.is_foreign().then(|| told_to_owner(&decision)).flatten();
        let because = question.because(&decision);
        let outcome = Outcome {
            told: head(&question, refusal.is_none(), &because).into(),
            because: because.into(),
            told_to_owner: told_to_owner.map(Arc::from),
        };
        if refusal.is_none() {
            settled::remember(&question, &policies, &outcome);
        }
        drop(grants);
        Weighed {
            question,
            outcome,
            refusal,
        }
    }

    /// Asks the policies alone, and the grants that are known only where those leave
    /// it to a grant: as [`crate::Cx::authorize_or_by_grants`] does for a call.
    pub(crate) fn policies_first(mut question: Question) -> Weighed {
        question.grants_aside = true;
        let mut weighed = Weighed::new(question, false);
        if weighed.could_be_granted() && !weighed.question.asked.grants.is_empty() {
            weighed.question.grants_aside = false;
            weighed = Weighed::new(weighed.question, false);
        }
        weighed
    }

    /// Whether the policies leave it to a grant: none allows this, and none denies it.
    pub(crate) fn could_be_granted(&self) -> bool {
        self.refusal.as_ref().is_some_and(|refusal| !refusal.explicit)
    }

    /// The same question, with grants that cover it.
    pub(crate) fn with_grants(mut self, grants: Vec<String>, hidden: bool) -> Weighed {
        self.question.asked.grants = grants;
        Weighed::new(self.question, hidden)
    }

    /// The same question, were these the policies of the caller.
    pub(crate) fn under(self, policies: Arc<CallerPolicies>) -> Weighed {
        Weighed::policies_first(Question {
            policies,
            ..self.question
        })
    }

    /// The policies of the caller.
    pub(crate) fn policies(&self) -> &CallerPolicies {
        &self.question.policies
    }

    /// One line that tells what decided.
    pub(crate) fn because(&self) -> &str {
        &self.outcome.because
    }

    pub(crate) fn denied(&self) -> Option<&str> {
        self.refusal.as_ref().map(|refusal| &*refusal.text)
    }

    /// The foreign account whose policies were asked.
    pub(crate) fn asked_owner(&self) -> Option<AccountId> {
        self.outcome.told_to_owner.as_ref().and(self.question.asked.owner)
    }

    /// What an encoded message tells of a refusal. If it is `hidden` why, or a
    /// foreign owner's doing, no statement is among it.
    pub(crate) fn authorization_message(&self, hidden: bool) -> String {
        let grants = self.question.grants();
        let policies = self.question.policies(&grants);
        let request = self.question.request();
        let ground = match policy::decide(&request, &policies) {
            Decision::Deny(Denial::Explicit { policy_type, ground }) => {
                let is_others = self.question.is_foreign() && is_owners(policy_type);
                (!hidden && !is_others).then_some(ground)
            }
            Decision::Deny(Denial::Implicit { .. }) | Decision::Allow(_) => None,
        };
        let refused = Refused {
            principal: &self.question.caller.principal,
            action: self.question.action(),
            resource: &self.question.asked.arn,
            keys: &self.question.asked.keys,
            ground,
        };
        refused.message()
    }

    /// Every policy and statement weighed, and the smallest change that would allow.
    fn trace(&self) -> Trace {
        let grants = self.question.grants();
        let policies = self.question.policies(&grants);
        let mut trace = policy::explain(&self.question.request(), &policies);
        if self.question.is_foreign() {
            hide_owners_side(&mut trace, self.because());
        }
        trace
    }

    /// What `why` tells of it.
    pub(crate) fn explained(&self) -> Explained {
        Explained {
            caller: self.question.caller.principal.arn().to_owned(),
            action: self.question.action().to_owned(),
            resource: self.question.asked.arn.to_string(),
            allowed: self.refusal.is_none(),
            because: self.because().to_owned(),
            trace: self.trace(),
        }
    }

    /// What decided, in characters that a header may carry.
    pub(crate) fn headline(&self) -> String {
        self.because()
            .chars()
            .filter(|letter| letter.is_ascii_graphic() || *letter == ' ')
            .collect()
    }

    /// The decision for the record: what decided, and of a refusal the trace.
    fn summary(&self, out: &mut String) {
        out.push_str(&self.outcome.told);
        if self.refusal.is_some()
            && let Ok(trace) = serde_json::to_string(&self.trace())
        {
            out.push_str(",\"trace\":");
            out.push_str(&trace);
        }
        out.push('}');
    }
}

/// What was asked and what decided, as JSON with the object left open.
fn head(question: &Question, allowed: bool, because: &str) -> String {
    let mut out = String::with_capacity(256);
    out.push_str("{\"action\":");
    json_text(&mut out, question.action());
    out.push_str(",\"resource\":");
    json_text(&mut out, &question.asked.arn);
    out.push_str(",\"allowed\":");
    out.push_str(if allowed { "true" } else { "false" });
    out.push_str(",\"because\":");
    json_text(&mut out, because);
    out
}

/// What the owner of a resource is told of a foreign caller: what its own
/// policies said. `None` if the caller's account refused before they were asked.
fn told_to_owner(decision: &Decision<'_>) -> Option<String> {
    match decision {
        Decision::Allow(Allowance::Statement { policy_type, .. }) if !is_owners(*policy_type) => {
            Some("allowed by both accounts".to_owned())
        }
        Decision::Deny(denial) if !is_owners(denial.policy_type()) => None,
        Decision::Allow(_) | Decision::Deny(_) => Some(decision.to_string()),
    }
}

/// Whether a policy of this type is the resource owner's.
fn is_owners(policy_type: PolicyType) -> bool {
    match policy_type {
        PolicyType::Resource | PolicyType::RoleTrust | PolicyType::ResourceControl => true,
        PolicyType::Identity
        | PolicyType::Boundary
        | PolicyType::Session
        | PolicyType::Endpoint
        | PolicyType::ServiceControl => false,
    }
}

/// Takes out of a trace what the policies of a foreign owner say.
fn hide_owners_side(trace: &mut Trace, because: &str) {
    because.clone_into(&mut trace.decision);
    trace.policies.retain(|policy| !is_owners(policy.policy_type));
    for step in trace.steps.iter_mut().filter(|step| is_owners(step.policy_type)) {
        step.ground = None;
    }
    trace.changes.retain_mut(|change| match change {
        Change::Except { policy_type, .. } => !is_owners(*policy_type),
        Change::Allow {
            policy_type, near, ..
        } => {
            if is_owners(*policy_type) {
                near.clear();
            }
            true
        }
    });
}

/// What was weighed, as members of a JSON object without its braces; `None` if
/// nothing was. `calls` are those of the calls that the service made for this one.
pub(crate) fn summary(weighed: &[Weighed], calls: &[String]) -> Option<String> {
    if weighed.is_empty() {
        return None;
    }
    let mut out = String::with_capacity(512);
    out.push_str("\"decisions\":[");
    for (at, weighed) in weighed.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        weighed.summary(&mut out);
    }
    out.push(']');
    for (at, call) in calls.iter().enumerate() {
        out.push_str(if at == 0 { ",\"calls\":[" } else { "," });
        json_text(&mut out, call);
    }
    if !calls.is_empty() {
        out.push(']');
    }
    Some(out)
}

/// As [`summary`], of the copy that `owner` gets.
pub(crate) fn summary_for_owner(owner: AccountId, weighed: &[Weighed]) -> Option<String> {
    let mut out = String::with_capacity(256);
    out.push_str("\"decisions\":[");
    let mut any = false;
    for weighed in weighed
        .iter()
        .filter(|weighed| weighed.question.asked.owner == Some(owner))
    {
        let Some(because) = &weighed.outcome.told_to_owner else {
            continue;
        };
        if any {
            out.push(',');
        }
        any = true;
        out.push_str(&head(&weighed.question, weighed.refusal.is_none(), because));
        out.push('}');
    }
    out.push(']');
    any.then_some(out)
}

/// What `why` tells of one decision.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Explained {
    pub(crate) caller: String,
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) allowed: bool,
    pub(crate) because: String,
    pub(crate) trace: Trace,
}

/// The last calls' decisions, newest last. Threads that make decisions at the same
/// time keep them in different parts, so that none waits for another.
#[derive(Default)]
pub(crate) struct DecisionLog([Mutex<VecDeque<Kept>>; LOG_PARTS]);

/// More than there mostly are threads that answer calls.
const LOG_PARTS: usize = 16;

/// The part of the log that this thread keeps decisions in.
fn own_part() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PART: usize = THREADS.fetch_add(1, Ordering::Relaxed) % LOG_PARTS;
    }
    PART.with(|part| *part)
}

struct Kept {
    request_id: Arc<str>,
    region: Region,
    weighed: Vec<Weighed>,
}

/// A remembered call.
pub(crate) struct Remembered {
    pub(crate) account: AccountId,
    pub(crate) region: Region,
    pub(crate) decisions: Vec<Explained>,
}

impl DecisionLog {
    /// Remembers a call's decisions, forgetting the oldest.
    pub(crate) fn keep(&self, request_id: &Arc<str>, region: &Region, weighed: Vec<Weighed>) {
        if weighed.is_empty() {
            return;
        }
        let kept = Kept {
            request_id: Arc::clone(request_id),
            region: region.clone(),
            weighed,
        };
        let mut log = self.0[own_part()].lock().unwrap_or_else(PoisonError::into_inner);
        let forgotten = if log.len() == DECISIONS_KEPT {
            log.pop_front()
        } else {
            None
        };
        log.push_back(kept);
        drop(log);
        // Freed outside the lock.
        drop(forgotten);
    }

    /// The decisions of a call, explained as they were made.
    pub(crate) fn recall(&self, request_id: &str) -> Option<Remembered> {
        self.0.iter().find_map(|part| {
            let log = part.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = log.iter().rev().find(|kept| *kept.request_id == *request_id)?;
            let account = kept.weighed.first()?.question.caller.account;
            let decisions = kept.weighed.iter().map(Weighed::explained).collect();
            Some(Remembered {
                account,
                region: kept.region.clone(),
                decisions,
            })
        })
    }

    /// Forgets everything (`POST /_palisade/reset`).
    pub(crate) fn clear(&self) {
        for part in &self.0 {
            part.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}

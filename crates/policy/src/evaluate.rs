//! The decision: every applicable policy weighed, and the rules by which
//! their verdicts combine.
//!
//! One evaluator serves both [`decide`] and [`explain`](crate::explain). It
//! tells an [`Observer`] what it sees; the one that explains wants to see
//! everything, the one that decides lets the evaluator stop at the first
//! explicit deny and pass over Allow statements that change nothing.
//!
//! Rules (IAM User Guide, "Policy evaluation logic"):
//!
//! - an explicit deny in any applicable policy decides;
//! - every level of the resource's RCPs, then of the caller's SCPs, must allow;
//! - in the owner's account, a resource policy that names the caller closely
//!   enough replaces its identity policies, and closer still its boundary and
//!   session policies; otherwise identity, boundary and session policies must
//!   all allow;
//! - a key policy or trust policy must allow besides, if only by naming the account;
//! - across accounts the caller's side is judged first and by itself, then the
//!   owner's: so a caller without permission learns nothing of what it asked for;
//! - callers without an account (services, anonymous, bearers of tokens) need
//!   the resource policy and nothing else.

use crate::action::FoldedAction;
use crate::arn_pattern::AskedArn;
use crate::context::Scope;
use crate::decision::{Allowance, Decision, Denial, Ground, PolicyType};
use crate::document::Document;
use crate::memory::Memory;
use crate::named::Naming;
use crate::principal::Who;
use crate::request::{Attached, Level, Policies, Request, ResourcePolicyKind};
use crate::statement::{Asked, Effect, Miss, Statement};
use crate::trace::StepVerdict;

/// Decides `request` under `policies`.
pub fn decide<'a>(request: &Request<'a>, policies: &Policies<'a>) -> Decision<'a> {
    evaluate(request, policies, &mut Unobserved).decision()
}

/// Sees what the evaluator does.
pub(crate) trait Observer<'a> {
    /// Whether every statement of every policy is to be judged, even when the outcome is settled.
    const EXHAUSTIVE: bool;

    /// A policy of `place` is about to be weighed, on `level` if it is a control policy.
    fn policy(&mut self, place: Place, level: Option<&'a Level>, policy: &'a Attached);

    /// A statement of the policy last announced was judged.
    fn statement(&mut self, statement: &'a Statement, judged: Result<Option<Naming>, Miss<'a>>);
}

struct Unobserved;

impl<'a> Observer<'a> for Unobserved {
    const EXHAUSTIVE: bool = false;

    fn policy(&mut self, _: Place, _: Option<&'a Level>, _: &'a Attached) {}

    fn statement(&mut self, _: &'a Statement, _: Result<Option<Naming>, Miss<'a>>) {}
}

/// Where a policy stands, whatever it is called there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    ResourceControl,
    ServiceControl,
    Endpoint,
    Resource,
    Boundary,
    Session,
    Identity,
}

const PLACES: usize = 7;

/// In the owner's account, and for callers without one: the order of the User Guide's flow chart.
const ONE_SIDE: &[Place] = &[
    Place::ResourceControl,
    Place::ServiceControl,
    Place::Endpoint,
    Place::Resource,
    Place::Boundary,
    Place::Session,
    Place::Identity,
];

/// Across accounts: what the caller's account says.
const CALLER_SIDE: &[Place] = &[
    Place::ServiceControl,
    Place::Endpoint,
    Place::Boundary,
    Place::Session,
    Place::Identity,
];

/// Across accounts: what the owner's account says.
const OWNER_SIDE: &[Place] = &[Place::ResourceControl, Place::Resource];

impl Place {
    /// Whether statements must name the caller to count here.
    fn is_about_principals(self) -> bool {
        matches!(self, Place::Resource | Place::ResourceControl | Place::Endpoint)
    }

    pub(crate) fn policy_type(self, policies: &Policies<'_>) -> PolicyType {
        match self {
            Place::ResourceControl => PolicyType::ResourceControl,
            Place::ServiceControl => PolicyType::ServiceControl,
            Place::Endpoint => PolicyType::Endpoint,
            Place::Resource => match policies.resource.map(|resource| resource.kind) {
                Some(ResourcePolicyKind::RoleTrust) => PolicyType::RoleTrust,
                Some(ResourcePolicyKind::Ordinary | ResourcePolicyKind::KmsKey) | None => {
                    PolicyType::Resource
                }
            },
            Place::Boundary => PolicyType::Boundary,
            Place::Session => PolicyType::Session,
            Place::Identity => PolicyType::Identity,
        }
    }
}

fn order(relation: Relation) -> impl Iterator<Item = &'static Place> {
    let (first, then): (&'static [Place], &'static [Place]) = match relation {
        Relation::SameAccount | Relation::Outside => (ONE_SIDE, &[]),
        Relation::CrossAccount => (CALLER_SIDE, OWNER_SIDE),
    };
    first.iter().chain(then)
}

/// How the caller stands to the owner of the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    SameAccount,
    CrossAccount,
    /// The caller has no account.
    Outside,
}

/// What the policies of one place say together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Verdict<'a> {
    /// Whether there is anything here that must be asked.
    present: bool,
    denied: Option<Ground<'a>>,
    allowed: Option<Ground<'a>>,
    /// The first level none of whose policies allows.
    unallowed_level: Option<&'a Level>,
}

impl Verdict<'_> {
    fn is_missed(&self) -> bool {
        self.present && (self.allowed.is_none() || self.unallowed_level.is_some())
    }
}

/// All verdicts on a request, and how they combine.
pub(crate) struct Evaluation<'a> {
    request: Request<'a>,
    policies: Policies<'a>,
    pub(crate) relation: Relation,
    verdicts: [Verdict<'a>; PLACES],
}

/// Weighs every applicable policy, up to the first explicit deny unless the observer wants all.
pub(crate) fn evaluate<'a, O: Observer<'a>>(
    request: &Request<'a>,
    policies: &Policies<'a>,
    observer: &mut O,
) -> Evaluation<'a> {
    let action = FoldedAction::new(request.action);
    let asked = Asked {
        action: action.asked(),
        resource: AskedArn::new(request.resource),
        principal: request.principal,
        scope: Scope {
            principal: request.principal,
            context: request.context,
        },
        bounded: policies.boundary.is_some(),
    };
    let relation = match request.principal.account() {
        None => Relation::Outside,
        Some(_) if request.is_cross_account() => Relation::CrossAccount,
        Some(_) => Relation::SameAccount,
    };
    let mut evaluation = Evaluation {
        request: *request,
        policies: *policies,
        relation,
        verdicts: [Verdict::default(); PLACES],
    };
    for place in order(relation) {
        let verdict = evaluation.weigh(*place, &asked, observer);
        evaluation.verdicts[*place as usize] = verdict;
        if !O::EXHAUSTIVE && verdict.denied.is_some() {
            break;
        }
    }
    evaluation
}

impl<'a> Evaluation<'a> {
    fn verdict(&self, place: Place) -> &Verdict<'a> {
        &self.verdicts[place as usize]
    }

    /// The places in the order in which they are weighed.
    pub(crate) fn order(&self) -> impl Iterator<Item = &'static Place> {
        order(self.relation)
    }

    /// What the policies of a place say together, and the ground of it.
    pub(crate) fn summary(&self, place: Place) -> (StepVerdict, Option<String>) {
        let verdict = self.verdict(place);
        if !self.applies(place) {
            return (StepVerdict::NotApplicable, None);
        }
        if let Some(ground) = verdict.denied {
            return (StepVerdict::Denies, Some(ground.to_string()));
        }
        if let Some(level) = verdict.unallowed_level {
            return (StepVerdict::Misses, Some(level.target.to_string()));
        }
        match verdict.allowed {
            Some(ground) => (StepVerdict::Allows, Some(ground.to_string())),
            None if verdict.present => (StepVerdict::Misses, None),
            None => (StepVerdict::Absent, None),
        }
    }

    /// Whether policies of `place` count for this caller at all.
    fn applies(&self, place: Place) -> bool {
        let principal = self.request.principal;
        let outside = self.relation == Relation::Outside;
        match place {
            Place::ResourceControl => !principal.is_service_linked() && !self.is_beyond_resource_control(),
            Place::ServiceControl => !outside && !principal.is_service_linked(),
            Place::Endpoint => true,
            Place::Resource => !self.is_owner_rescuing_bucket(),
            Place::Boundary | Place::Session | Place::Identity => !outside,
        }
    }

    /// The one permission that RCPs do not touch.
    ///
    /// Source: Organizations User Guide, "Resources and entities not restricted by RCPs".
    fn is_beyond_resource_control(&self) -> bool {
        self.request.action.eq_ignore_ascii_case("kms:RetireGrant")
    }

    /// The root user can always reach the policy of its own bucket, or a wrong
    /// policy could lock everyone out for ever.
    fn is_owner_rescuing_bucket(&self) -> bool {
        const RESCUES: [&str; 3] = [
            "s3:PutBucketPolicy",
            "s3:GetBucketPolicy",
            "s3:DeleteBucketPolicy",
        ];
        self.relation == Relation::SameAccount
            && *self.request.principal.who() == Who::Root
            && RESCUES
                .iter()
                .any(|action| self.request.action.eq_ignore_ascii_case(action))
    }

    fn weigh<O: Observer<'a>>(&self, place: Place, asked: &Asked<'_, 'a>, observer: &mut O) -> Verdict<'a> {
        let mut scale = Scale {
            place,
            asked,
            observer,
            verdict: Verdict::default(),
        };
        if !self.applies(place) {
            return scale.verdict;
        }
        let policies = self.policies;
        match place {
            Place::ResourceControl => scale.levels(policies.resource_control),
            Place::ServiceControl => scale.levels(policies.service_control),
            Place::Endpoint => scale.optional(policies.endpoint),
            Place::Resource => scale.optional(policies.resource.map(|resource| resource.policy)),
            Place::Boundary => scale.optional(policies.boundary),
            Place::Session => {
                // A federated user without session policies has no permissions by itself.
                let required = matches!(self.request.principal.who(), Who::FederatedUser { .. });
                scale.verdict.present = required || policies.session.is_some();
                scale.union(None, policies.session.unwrap_or_default());
            }
            Place::Identity => {
                scale.verdict.present = true;
                scale.union(None, policies.identity);
            }
        }
        scale.verdict
    }

    /// The decision: the first thing that keeps the request out, or what lets it pass.
    pub(crate) fn decision(&self) -> Decision<'a> {
        let mut first = None;
        self.each_denial(|denial| {
            first.get_or_insert(denial);
        });
        match first {
            Some(denial) => Decision::Deny(denial),
            None => Decision::Allow(self.allowance()),
        }
    }

    /// Everything that keeps the request out, in the order in which it is named.
    pub(crate) fn each_denial(&self, mut found: impl FnMut(Denial<'a>)) {
        match self.relation {
            Relation::SameAccount => {
                self.explicit(ONE_SIDE, &mut found);
                self.controls(
                    &[Place::ResourceControl, Place::ServiceControl, Place::Endpoint],
                    &mut found,
                );
                self.within_account(&mut found);
            }
            Relation::CrossAccount => {
                self.explicit(CALLER_SIDE, &mut found);
                self.controls(&[Place::ServiceControl, Place::Endpoint], &mut found);
                self.caller_permissions(&mut found, Waived::NOTHING);
                self.explicit(OWNER_SIDE, &mut found);
                self.controls(&[Place::ResourceControl], &mut found);
                if !self.resource_allows() {
                    self.implicit(Place::Resource, &mut found);
                }
            }
            Relation::Outside => {
                self.explicit(ONE_SIDE, &mut found);
                self.controls(&[Place::ResourceControl, Place::Endpoint], &mut found);
                if !self.resource_allows() {
                    self.implicit(Place::Resource, &mut found);
                }
            }
        }
    }

    fn explicit(&self, places: &[Place], found: &mut impl FnMut(Denial<'a>)) {
        for place in places {
            if let Some(ground) = self.verdict(*place).denied {
                found(Denial::Explicit {
                    policy_type: place.policy_type(&self.policies),
                    ground,
                });
            }
        }
    }

    fn controls(&self, places: &[Place], found: &mut impl FnMut(Denial<'a>)) {
        for place in places {
            if self.verdict(*place).is_missed() {
                self.implicit(*place, found);
            }
        }
    }

    fn implicit(&self, place: Place, found: &mut impl FnMut(Denial<'a>)) {
        found(Denial::Implicit {
            policy_type: place.policy_type(&self.policies),
            target: self.verdict(place).unallowed_level.map(|level| &*level.target),
        });
    }

    /// The rules of the owner's account, once no control policy and no deny stands in the way.
    fn within_account(&self, found: &mut impl FnMut(Denial<'a>)) {
        let needs_resource = match self.policies.resource.map(|resource| resource.kind) {
            Some(ResourcePolicyKind::KmsKey | ResourcePolicyKind::RoleTrust) => true,
            Some(ResourcePolicyKind::Ordinary) | None => false,
        };
        if needs_resource && !self.resource_allows() {
            self.implicit(Place::Resource, found);
            // What is missing would best name the caller, which then needs no identity policy.
            // A session would be named by its role, which leaves the limits of the session.
            let limits = matches!(
                self.request.principal.who(),
                Who::User { .. } | Who::FederatedUser { .. }
            );
            self.caller_permissions(
                found,
                Waived {
                    identity: true,
                    limits,
                },
            );
        } else {
            self.caller_permissions(found, self.waived());
        }
    }

    fn caller_permissions(&self, found: &mut impl FnMut(Denial<'a>), waived: Waived) {
        let is_root = *self.request.principal.who() == Who::Root;
        if !waived.identity && !is_root && self.verdict(Place::Identity).is_missed() {
            self.implicit(Place::Identity, found);
        }
        for place in [Place::Boundary, Place::Session] {
            if !waived.limits && self.verdict(place).is_missed() {
                self.implicit(place, found);
            }
        }
    }

    /// What the resource's own word makes unnecessary in its account.
    fn waived(&self) -> Waived {
        // A root session answers to its session policies whatever a resource says.
        if *self.request.principal.who() == Who::Root {
            return Waived {
                identity: true,
                limits: false,
            };
        }
        let by_grant = (!self.policies.grants.is_empty()).then(|| {
            if self.is_role_like() {
                Naming::Role
            } else {
                Naming::Itself
            }
        });
        let by_policy = self
            .verdict(Place::Resource)
            .allowed
            .and_then(|ground| ground.naming);
        match by_grant.max(by_policy) {
            Some(naming) => Waived {
                identity: naming.replaces_identity(),
                limits: naming.passes_limits(),
            },
            None => Waived::NOTHING,
        }
    }

    fn is_role_like(&self) -> bool {
        matches!(
            self.request.principal.who(),
            Who::AssumedRole { .. } | Who::FederatedUser { .. } | Who::Root
        )
    }

    fn resource_allows(&self) -> bool {
        self.verdict(Place::Resource).allowed.is_some() || !self.policies.grants.is_empty()
    }

    /// What lets a request pass that nothing keeps out.
    fn allowance(&self) -> Allowance<'a> {
        let resource = self.verdict(Place::Resource).allowed;
        let by_resource = resource.map(|ground| Allowance::Statement {
            policy_type: Place::Resource.policy_type(&self.policies),
            ground,
        });
        let by_grant = self
            .policies
            .grants
            .first()
            .map(|grant| Allowance::Grant { id: grant.id });
        let by_identity = self
            .verdict(Place::Identity)
            .allowed
            .map(|ground| Allowance::Statement {
                policy_type: PolicyType::Identity,
                ground,
            });
        let direct = by_resource.filter(|_| {
            resource
                .and_then(|ground| ground.naming)
                .is_some_and(Naming::replaces_identity)
        });
        let found = match self.relation {
            Relation::SameAccount => direct.or(by_grant).or(by_identity),
            Relation::CrossAccount | Relation::Outside => by_resource.or(by_grant),
        };
        found.unwrap_or(Allowance::Root)
    }
}

/// Which permissions of the caller need not be asked.
#[derive(Debug, Clone, Copy)]
struct Waived {
    identity: bool,
    /// Boundary and session policies.
    limits: bool,
}

impl Waived {
    const NOTHING: Waived = Waived {
        identity: false,
        limits: false,
    };
}

/// Gathers the verdict of one place.
struct Scale<'s, 'a, O> {
    place: Place,
    asked: &'s Asked<'s, 'a>,
    observer: &'s mut O,
    verdict: Verdict<'a>,
}

impl<'a, O: Observer<'a>> Scale<'_, 'a, O> {
    fn optional(&mut self, policy: Option<&'a Attached>) {
        if let Some(policy) = policy {
            self.verdict.present = true;
            self.union(None, std::slice::from_ref(policy));
        }
    }

    /// Every level must allow; a deny on any decides.
    fn levels(&mut self, levels: Option<&'a [Level]>) {
        let Some(levels) = levels else { return };
        self.verdict.present = true;
        for level in levels {
            self.verdict.allowed = None;
            self.union(Some(level), &level.policies);
            if self.verdict.allowed.is_none() && self.verdict.unallowed_level.is_none() {
                self.verdict.unallowed_level = Some(level);
            }
            if !O::EXHAUSTIVE && self.verdict.denied.is_some() {
                return;
            }
        }
    }

    /// Policies that allow together what any of them allows.
    fn union(&mut self, level: Option<&'a Level>, policies: &'a [Attached]) {
        for policy in policies {
            self.observer.policy(self.place, level, policy);
            self.document(policy, &policy.document);
            if !O::EXHAUSTIVE && self.verdict.denied.is_some() {
                return;
            }
        }
    }

    fn document(&mut self, policy: &'a Attached, document: &'a Document) {
        let mut memory = Memory::default();
        let statements = document.statements();
        if O::EXHAUSTIVE {
            for statement in statements {
                self.statement(policy, statement, false, &mut memory);
            }
            return;
        }
        for (base, about) in document.about(&self.asked.action) {
            for (place, about_action) in about {
                let statement = &statements[base + place];
                if statement.effect == Effect::Allow && self.is_settled() {
                    continue;
                }
                self.statement(policy, statement, about_action, &mut memory);
                if self.verdict.denied.is_some() {
                    return;
                }
            }
        }
    }

    fn statement(
        &mut self,
        policy: &'a Attached,
        statement: &'a Statement,
        about_action: bool,
        memory: &mut Memory<'a>,
    ) {
        let about_principals = self.place.is_about_principals();
        let judged = statement.judge(self.asked, about_action, about_principals, memory);
        self.observer.statement(statement, judged);
        let Ok(naming) = judged else { return };
        let ground = Ground {
            policy,
            statement,
            naming,
        };
        match statement.effect {
            Effect::Deny => {
                self.verdict.denied.get_or_insert(ground);
            }
            Effect::Allow => {
                let closer = self.verdict.allowed.is_none_or(|known| known.naming < naming);
                if closer {
                    self.verdict.allowed = Some(ground);
                }
            }
        }
    }

    /// Whether no further Allow can change the verdict.
    fn is_settled(&self) -> bool {
        match self.verdict.allowed {
            None => false,
            Some(ground) => self.place != Place::Resource || ground.naming == Some(Naming::Itself),
        }
    }
}

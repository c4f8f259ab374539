//! The whole reasoning behind a decision: every policy, every statement,
//! matched or why not, and what would have to change.
//!
//! The trace is made by the evaluator that decides, with an observer that
//! looks at everything. It is plain data, so that it can be kept under a
//! request id and shown later.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::change::{Change, changes};
use crate::condition::{Condition, Unmet};
use crate::context::{Scope, Seen};
use crate::decision::{Decision, PolicyType};
use crate::denial::denial_text;
use crate::evaluate::{Evaluation, Observer, Place, Relation, evaluate};
use crate::lint::is_unknown_key;
use crate::named::Naming;
use crate::request::{Attached, Level, Policies, Request};
use crate::statement::{Effect, Miss, Position, Statement};

/// Decides `request` as [`crate::decide`] does, and tells everything it saw.
pub fn explain(request: &Request<'_>, policies: &Policies<'_>) -> Trace {
    let scope = Scope {
        principal: request.principal,
        context: request.context,
    };
    let mut record = Record { weighed: Vec::new() };
    let evaluation = evaluate(request, policies, &mut record);
    let decision = evaluation.decision();
    let denial = match decision {
        Decision::Allow(_) => None,
        Decision::Deny(denial) => Some(denial),
    };
    Trace {
        principal: request.principal.arn().to_owned(),
        action: request.action.to_owned(),
        resource: request.resource.to_owned(),
        relation: evaluation.relation.into(),
        allowed: decision.is_allow(),
        decided_by: denial.map(|denial| denial.policy_type()),
        explicit: denial.is_some_and(|denial| denial.is_explicit()),
        decision: decision.to_string(),
        message: denial.map(|denial| denial_text(request, &denial)),
        steps: steps(&evaluation, policies),
        policies: record
            .weighed
            .iter()
            .map(|weighed| policy_trace(weighed, policies, scope))
            .collect(),
        changes: changes(request, policies, &evaluation, &record.weighed),
    }
}

/// Why a request was allowed or refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The caller, as messages print it.
    pub principal: String,
    /// The action asked for.
    pub action: String,
    /// The resource asked for.
    pub resource: String,
    /// How the caller stands to the owner.
    pub relation: Standing,
    /// The outcome.
    pub allowed: bool,
    /// For a refusal, the type of policy that is named for it.
    pub decided_by: Option<PolicyType>,
    /// For a refusal, whether a statement denies.
    pub explicit: bool,
    /// The outcome and its ground in one line.
    pub decision: String,
    /// For a refusal, the text the caller got.
    pub message: Option<String>,
    /// What each type of policy said, in the order weighed.
    pub steps: Vec<Step>,
    /// Every policy weighed, statement by statement.
    pub policies: Vec<PolicyTrace>,
    /// For a refusal, the changes that together would allow the request. Each
    /// is the smallest of its kind; all of them are needed.
    pub changes: Vec<Change>,
}

/// How the caller stands to the owner of the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// In one account.
    SameAccount,
    /// In two; both must allow.
    CrossAccount,
    /// The caller has no account.
    Outside,
}

impl From<Relation> for Standing {
    fn from(relation: Relation) -> Standing {
        match relation {
            Relation::SameAccount => Standing::SameAccount,
            Relation::CrossAccount => Standing::CrossAccount,
            Relation::Outside => Standing::Outside,
        }
    }
}

/// What one type of policy said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The type.
    pub policy_type: PolicyType,
    /// What its policies said together.
    pub verdict: StepVerdict,
    /// The statement it rests on, or the level that misses.
    pub ground: Option<String>,
}

/// What the policies of one type say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepVerdict {
    /// A statement denies.
    Denies,
    /// A statement allows.
    Allows,
    /// There are policies, and none allows.
    Misses,
    /// There are none.
    Absent,
    /// They do not count for this caller.
    NotApplicable,
}

/// One policy and its statements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyTrace {
    /// Its type.
    pub policy_type: PolicyType,
    /// Its name.
    pub name: String,
    /// Its ARN, if it has one.
    pub arn: Option<String>,
    /// What it is attached to.
    pub attached_to: String,
    /// Its statements.
    pub statements: Vec<StatementTrace>,
}

/// One statement, and whether it applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatementTrace {
    /// Place in the document, from zero.
    pub index: usize,
    /// Its Sid.
    pub sid: Option<String>,
    /// Whether it allows or denies.
    pub effect: Effect,
    /// Whether it applied to the request.
    pub matched: bool,
    /// How closely it names the caller, if it names callers and applied.
    pub naming: Option<Naming>,
    /// Why it did not apply.
    pub mismatch: Option<Mismatch>,
    /// What in it is likely not what its author meant.
    pub warnings: Vec<String>,
    /// Where it begins in the text.
    pub start: Position,
    /// Where it ends.
    pub end: Position,
}

/// Why a statement did not apply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "element", rename_all = "snake_case")]
pub enum Mismatch {
    /// The action is not among those listed, or is among those excepted.
    Action {
        /// `NotAction`.
        negated: bool,
        /// As written.
        listed: Vec<String>,
    },
    /// The resource is not among those listed, or is among those excepted.
    Resource {
        /// `NotResource`.
        negated: bool,
        /// As written.
        listed: Vec<String>,
    },
    /// The caller is not named, or is excepted.
    Principal {
        /// `NotPrincipal`.
        negated: bool,
        /// As written, an entity by the ARN it had at writing.
        listed: Vec<String>,
    },
    /// Conditions do not hold.
    Condition {
        /// Each that does not.
        unmet: Vec<UnmetCondition>,
    },
    /// A variable of the resource has no single value in this request.
    Variable {
        /// Its key.
        key: String,
    },
    /// The statement has no action or no resource and never applies.
    Inert,
}

/// A condition that did not hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnmetCondition {
    /// The operator as written.
    pub operator: String,
    /// The key as written.
    pub key: String,
    /// What the policy wants.
    pub policy_values: Vec<String>,
    /// What the request has; `None` if the key is absent.
    pub request_values: Option<Vec<String>>,
    /// The variable among the policy's values that has no value.
    pub unresolved: Option<String>,
}

/// What the evaluator showed of one policy.
pub(crate) struct Weighed<'a> {
    pub(crate) place: Place,
    pub(crate) level: Option<&'a Level>,
    pub(crate) policy: &'a Attached,
    pub(crate) statements: Vec<(&'a Statement, Result<Option<Naming>, Miss<'a>>)>,
}

impl<'a> Weighed<'a> {
    /// The statements of this effect that applied.
    pub(crate) fn applied(&self, effect: Effect) -> impl Iterator<Item = &'a Statement> {
        self.statements
            .iter()
            .filter(move |(statement, judged)| statement.effect == effect && judged.is_ok())
            .map(|(statement, _)| *statement)
    }
}

struct Record<'a> {
    weighed: Vec<Weighed<'a>>,
}

impl<'a> Observer<'a> for Record<'a> {
    const EXHAUSTIVE: bool = true;

    fn policy(&mut self, place: Place, level: Option<&'a Level>, policy: &'a Attached) {
        self.weighed.push(Weighed {
            place,
            level,
            policy,
            statements: Vec::new(),
        });
    }

    fn statement(&mut self, statement: &'a Statement, judged: Result<Option<Naming>, Miss<'a>>) {
        if let Some(weighed) = self.weighed.last_mut() {
            weighed.statements.push((statement, judged));
        }
    }
}

fn steps(evaluation: &Evaluation<'_>, policies: &Policies<'_>) -> Vec<Step> {
    let step = |place: &Place| {
        let summary = evaluation.summary(*place);
        Step {
            policy_type: place.policy_type(policies),
            verdict: summary.0,
            ground: summary.1,
        }
    };
    evaluation.order().map(step).collect()
}

fn policy_trace(weighed: &Weighed<'_>, policies: &Policies<'_>, scope: Scope<'_>) -> PolicyTrace {
    let Weighed {
        place,
        level,
        policy,
        statements,
    } = weighed;
    PolicyTrace {
        policy_type: place.policy_type(policies),
        name: policy.name.to_string(),
        arn: policy.arn.as_deref().map(str::to_owned),
        attached_to: level.map_or_else(|| policy.holder.to_string(), |level| level.target.to_string()),
        statements: statements
            .iter()
            .map(|(statement, judged)| statement_trace(statement, *judged, scope))
            .collect(),
    }
}

fn statement_trace(
    statement: &Statement,
    judged: Result<Option<Naming>, Miss<'_>>,
    scope: Scope<'_>,
) -> StatementTrace {
    let owned = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect();
    let mismatch = judged.err().map(|miss| match miss {
        Miss::Action => {
            let (negated, listed) = statement.actions();
            Mismatch::Action {
                negated,
                listed: owned(listed),
            }
        }
        Miss::Resource => {
            let (negated, listed) = statement.resources();
            Mismatch::Resource {
                negated,
                listed: owned(listed),
            }
        }
        Miss::Principal => {
            let (negated, listed) = statement.principals();
            Mismatch::Principal {
                negated,
                listed: owned(listed),
            }
        }
        Miss::Condition => Mismatch::Condition {
            unmet: unmet(statement, scope),
        },
        Miss::Unresolved(variable) => match unmet(statement, scope) {
            unmet if unmet.iter().any(|one| one.unresolved.is_some()) => Mismatch::Condition { unmet },
            _ => Mismatch::Variable {
                key: variable.key.text.to_string(),
            },
        },
        Miss::Inert => Mismatch::Inert,
    });
    StatementTrace {
        index: statement.index,
        sid: statement.sid.as_deref().map(str::to_owned),
        effect: statement.effect,
        matched: judged.is_ok(),
        naming: judged.ok().flatten(),
        mismatch,
        warnings: statement
            .conditions_as_written()
            .into_iter()
            .flat_map(|condition| warnings(condition, judged, scope))
            .collect(),
        start: statement.start,
        end: statement.end,
    }
}

/// The conditions of a statement that do not hold.
pub(crate) fn unmet(statement: &Statement, scope: Scope<'_>) -> Vec<UnmetCondition> {
    let one = |condition: &Condition| {
        let unresolved = match condition.check_thoroughly(scope) {
            Ok(()) => return None,
            Err(Unmet::NotSatisfied) => None,
            Err(Unmet::Unresolved(variable)) => Some(variable.key.text.to_string()),
        };
        let request_values = scope
            .look_up(&condition.key)
            .map(|seen| seen.singles().map(|single| single.text().into_owned()).collect());
        Some(UnmetCondition {
            operator: condition.operator_name.to_string(),
            key: condition.key.text.to_string(),
            policy_values: condition.texts.iter().map(ToString::to_string).collect(),
            request_values,
            unresolved,
        })
    };
    let conditions = statement.conditions_as_written().into_iter();
    conditions.filter_map(one).collect()
}

/// What in a condition is likely not what its author meant, or is easily overlooked.
fn warnings(
    condition: &Condition,
    judged: Result<Option<Naming>, Miss<'_>>,
    scope: Scope<'_>,
) -> Vec<String> {
    let (key, operator) = (&condition.key.text, &condition.operator_name);
    let mut warnings = Vec::new();
    match scope.look_up(&condition.key) {
        // AWS leaves a plain operator on a key of several values undefined.
        Some(Seen::Many(_)) if condition.is_plain() => warnings.push(format!(
            "{key} has several values, and {operator} is for single ones: use ForAnyValue: or ForAllValues:"
        )),
        Some(_) => {}
        None if is_unknown_key(condition.key.folded()) => {
            warnings.push(format!("there is no condition key {key}, so no request has it"));
        }
        // An absent key fulfils negated operators, `…IfExists` and `ForAllValues:`; who asks for its absence knows.
        None if judged.is_ok() && !condition.wants_absence() => warnings.push(format!(
            "{key} is absent from the request, and {operator} holds without it"
        )),
        None => {}
    }
    warnings
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} asked for {} on {}",
            self.principal, self.action, self.resource
        )?;
        writeln!(f, "{}", self.decision)?;
        for policy in &self.policies {
            let name = policy.arn.as_deref().unwrap_or(&policy.name);
            writeln!(f, "\n{} {name} on {}", policy.policy_type, policy.attached_to)?;
            for statement in &policy.statements {
                writeln!(f, "  {statement}")?;
                for warning in &statement.warnings {
                    writeln!(f, "    warning: {warning}")?;
                }
            }
        }
        if !self.changes.is_empty() {
            writeln!(f, "\nto allow it:")?;
            for change in &self.changes {
                writeln!(f, "  {change}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for StatementTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = match self.effect {
            Effect::Allow => "Allow",
            Effect::Deny => "Deny",
        };
        write!(f, "{} {effect}", self.index)?;
        if let Some(sid) = &self.sid {
            write!(f, " ({sid})")?;
        }
        match &self.mismatch {
            None => f.write_str(": applies"),
            Some(mismatch) => write!(f, ": {mismatch}"),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, name: &str, negated: bool, listed: &[String]| {
            let verb = if negated { "excepts it" } else { "does not name it" };
            let not = if negated { "Not" } else { "" };
            write!(f, "{not}{name} {verb}: {}", listed.join(", "))
        };
        match self {
            Mismatch::Action { negated, listed } => list(f, "Action", *negated, listed),
            Mismatch::Resource { negated, listed } => list(f, "Resource", *negated, listed),
            Mismatch::Principal { negated, listed } => list(f, "Principal", *negated, listed),
            Mismatch::Condition { unmet } => {
                for (position, condition) in unmet.iter().enumerate() {
                    if position > 0 {
                        f.write_str("; ")?;
                    }
                    write!(f, "{condition}")?;
                }
                Ok(())
            }
            Mismatch::Variable { key } => write!(f, "${{{key}}} has no single value in this request"),
            Mismatch::Inert => f.write_str("it names no action or no resource and never applies"),
        }
    }
}

impl fmt::Display for UnmetCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UnmetCondition {
            operator,
            key,
            policy_values,
            ..
        } = self;
        write!(f, "{operator} {key} wants {}, ", policy_values.join(" or "))?;
        match (&self.unresolved, &self.request_values) {
            (Some(variable), _) => write!(f, "and ${{{variable}}} has no value"),
            (None, None) => f.write_str("the request has none"),
            (None, Some(values)) => write!(f, "the request has {}", values.join(", ")),
        }
    }
}

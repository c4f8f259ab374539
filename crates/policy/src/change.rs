//! The smallest changes that would turn a refusal into leave.
//!
//! Each is the least that lifts one obstacle: a deny to be excepted, or a
//! statement to be added for exactly this action, resource and caller. They
//! are advice to whoever may change policies, not a judgement that they should.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value as JsonValue, json};

use crate::condition::Condition;
use crate::context::{Scope, Single};
use crate::decision::{Denial, PolicyType};
use crate::evaluate::{Evaluation, Place};
use crate::principal::{Principal, Who};
use crate::request::{Level, Policies, Request, ResourcePolicyKind};
use crate::statement::{Effect, Miss, Statement};
use crate::trace::{Weighed, unmet};

/// One obstacle and the least that lifts it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// A statement denies: take it away, or except this request from it.
    Except {
        /// Type of its policy.
        policy_type: PolicyType,
        /// The policy's ARN, or its name.
        policy: String,
        /// What the policy is attached to.
        attached_to: String,
        /// Place of the statement, from zero.
        statement: usize,
        /// Its Sid.
        sid: Option<String>,
        /// Its conditions, each with what fulfils it: a request that does not
        /// fulfil them all is not denied.
        #[serde(default)]
        fulfilled: Vec<String>,
    },
    /// Nothing allows: add this statement.
    Allow {
        /// Type of the policy to add it to.
        policy_type: PolicyType,
        /// What that policy is, or is to be, attached to.
        attach_to: String,
        /// The statement, as it would stand in a document of version 2012-10-17.
        statement: JsonValue,
        /// Allow statements there that come near, and what they lack.
        near: Vec<String>,
    },
}

/// What would have to change, in the order in which refusals are named; empty for an allowed request.
pub(crate) fn changes<'a>(
    request: &Request<'a>,
    policies: &Policies<'a>,
    evaluation: &Evaluation<'a>,
    weighed: &[Weighed<'a>],
) -> Vec<Change> {
    let mut changes = Vec::new();
    let scope = Scope {
        principal: request.principal,
        context: request.context,
    };
    evaluation.each_denial(|denial| {
        let place = place_of(denial.policy_type());
        let here: Vec<_> = weighed.iter().filter(|weighed| weighed.place == place).collect();
        match denial {
            Denial::Explicit { policy_type, .. } => {
                for weighed in here {
                    changes.extend(weighed.applied(Effect::Deny).map(|statement| Change::Except {
                        policy_type,
                        policy: name_of(weighed),
                        attached_to: holder_of(weighed),
                        statement: statement.index,
                        sid: statement.sid.as_deref().map(str::to_owned),
                        fulfilled: fulfilled(statement, scope),
                    }));
                }
            }
            Denial::Implicit { policy_type, .. } => {
                let statement = allowing_statement(request, policies, place);
                let near: Vec<String> = here
                    .iter()
                    .flat_map(|weighed| near_misses(weighed, scope))
                    .collect();
                for attach_to in targets(request, policies, place, &here) {
                    let (statement, near) = (statement.clone(), near.clone());
                    changes.push(Change::Allow {
                        policy_type,
                        attach_to,
                        statement,
                        near,
                    });
                }
            }
        }
    });
    changes
}

fn place_of(policy_type: PolicyType) -> Place {
    match policy_type {
        PolicyType::Identity => Place::Identity,
        PolicyType::Boundary => Place::Boundary,
        PolicyType::Session => Place::Session,
        PolicyType::Resource | PolicyType::RoleTrust => Place::Resource,
        PolicyType::Endpoint => Place::Endpoint,
        PolicyType::ServiceControl => Place::ServiceControl,
        PolicyType::ResourceControl => Place::ResourceControl,
    }
}

fn name_of(weighed: &Weighed<'_>) -> String {
    weighed
        .policy
        .arn
        .as_deref()
        .unwrap_or(&weighed.policy.name)
        .to_owned()
}

fn holder_of(weighed: &Weighed<'_>) -> String {
    weighed.level.map_or_else(
        || weighed.policy.holder.to_string(),
        |level| level.target.to_string(),
    )
}

/// The statement that would allow exactly this request, where it would stand.
fn allowing_statement(request: &Request<'_>, policies: &Policies<'_>, place: Place) -> JsonValue {
    if place == Place::ResourceControl {
        // Only AWS's own RCPFullAWSAccess allows.
        return json!({ "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*" });
    }
    let mut statement = json!({ "Effect": "Allow" });
    let kind = policies.resource.map(|resource| resource.kind);
    if matches!(place, Place::Resource | Place::Endpoint) {
        statement["Principal"] = match place {
            Place::Resource => principal_element(request.principal),
            _ => json!("*"),
        };
    }
    statement["Action"] = json!(request.action);
    let is_trust = place == Place::Resource && kind == Some(ResourcePolicyKind::RoleTrust);
    if !is_trust {
        let own_key = place == Place::Resource && kind == Some(ResourcePolicyKind::KmsKey);
        statement["Resource"] = if own_key {
            json!("*")
        } else {
            json!(request.resource.replace("${", "${$}{"))
        };
    }
    statement
}

fn principal_element(principal: &Principal) -> JsonValue {
    match principal.who() {
        Who::Root | Who::User { .. } | Who::AssumedRole { .. } => json!({ "AWS": principal.principal_arn() }),
        Who::FederatedUser { .. } => json!({ "AWS": principal.arn() }),
        Who::Service { name } => json!({ "Service": name }),
        Who::WebIdentity { provider } | Who::Saml { provider } => json!({ "Federated": provider }),
        Who::Anonymous => json!("*"),
    }
}

/// Where the statement is missing: one place, or every level of an organisation that does not allow.
fn targets(
    request: &Request<'_>,
    policies: &Policies<'_>,
    place: Place,
    here: &[&Weighed<'_>],
) -> Vec<String> {
    let unallowed = |levels: Option<&[Level]>| {
        let allows = |level: &Level| {
            here.iter().any(|weighed| {
                weighed.level.is_some_and(|known| std::ptr::eq(known, level))
                    && weighed.applied(Effect::Allow).next().is_some()
            })
        };
        let levels = levels.unwrap_or_default();
        levels
            .iter()
            .filter(|level| !allows(level))
            .map(|level| level.target.to_string())
            .collect()
    };
    match place {
        Place::ServiceControl => unallowed(policies.service_control),
        Place::ResourceControl => unallowed(policies.resource_control),
        Place::Identity => vec![match request.principal.who() {
            Who::User { name, .. } => format!("user/{name}"),
            Who::AssumedRole { role_name, .. } => format!("role/{role_name}"),
            Who::FederatedUser {
                parent: Some(parent), ..
            } => parent.arn.clone(),
            _ => request.principal.arn().to_owned(),
        }],
        Place::Boundary => vec![policies.boundary.map_or_else(String::new, |boundary| {
            boundary.arn.as_deref().unwrap_or(&boundary.name).to_owned()
        })],
        Place::Session => vec!["the session".to_owned()],
        Place::Resource => vec![request.resource.to_owned()],
        Place::Endpoint => vec!["the endpoint".to_owned()],
    }
}

/// Allow statements that name the action and fail on something else.
fn near_misses(weighed: &Weighed<'_>, scope: Scope<'_>) -> Vec<String> {
    let near = weighed.statements.iter().filter_map(|(statement, judged)| {
        if statement.effect == Effect::Deny {
            return None;
        }
        let how = match judged {
            Err(Miss::Condition) => {
                let unmet = unmet(statement, scope);
                let told: Vec<String> = unmet.iter().map(ToString::to_string).collect();
                format!("fits but for its conditions: {}", told.join("; "))
            }
            Err(Miss::Unresolved(variable)) => format!("needs a value for ${{{}}}", variable.key.text),
            Err(Miss::Resource) => "names the action but not the resource".to_owned(),
            Err(Miss::Principal) => "names action and resource but not the caller".to_owned(),
            Ok(_) | Err(Miss::Action | Miss::Inert) => return None,
        };
        let sid = statement
            .sid
            .as_deref()
            .map(|sid| format!(" ({sid})"))
            .unwrap_or_default();
        Some(format!(
            "statement {}{sid} of {} {how}",
            statement.index,
            name_of(weighed)
        ))
    });
    near.collect()
}

/// The conditions of a statement that applies, and by what.
fn fulfilled(statement: &Statement, scope: Scope<'_>) -> Vec<String> {
    let one = |condition: &Condition| {
        let values = condition.texts.join(" or ");
        let has = match scope.look_up(&condition.key) {
            None => "it has none".to_owned(),
            Some(seen) => {
                let values: Vec<_> = seen.singles().map(Single::text).collect();
                format!("it has {}", values.join(", "))
            }
        };
        format!(
            "{} {} {values}, and {has}",
            condition.operator_name, condition.key.text
        )
    };
    statement.conditions_as_written().into_iter().map(one).collect()
}

/// The statement with its elements in the order in which people write them.
fn spelled(statement: &JsonValue) -> String {
    let elements = ["Effect", "Principal", "Action", "Resource"];
    let members = elements
        .iter()
        .filter_map(|name| Some(format!("\"{name}\": {}", statement.get(name)?)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Except {
                policy,
                attached_to,
                statement,
                sid,
                fulfilled,
                ..
            } => {
                write!(f, "remove statement {statement}")?;
                if let Some(sid) = sid {
                    write!(f, " ({sid})")?;
                }
                write!(f, " of {policy} on {attached_to}, or except this request from it")?;
                for fulfilled in fulfilled {
                    write!(f, "\n    it applies because of {fulfilled}")?;
                }
                Ok(())
            }
            Change::Allow {
                policy_type,
                attach_to,
                statement,
                near,
            } => {
                let statement = spelled(statement);
                match policy_type {
                    PolicyType::Identity => {
                        write!(
                            f,
                            "attach to {attach_to} an identity-based policy with the statement {statement}"
                        )?;
                    }
                    PolicyType::ServiceControl => {
                        write!(
                            f,
                            "attach to {attach_to} a service control policy with the statement {statement}"
                        )?;
                    }
                    PolicyType::ResourceControl => write!(f, "attach to {attach_to} RCPFullAWSAccess")?,
                    PolicyType::Boundary => {
                        write!(
                            f,
                            "add to the permissions boundary {attach_to} the statement {statement}"
                        )?;
                    }
                    PolicyType::Session => write!(f, "pass a session policy with the statement {statement}")?,
                    PolicyType::Resource | PolicyType::RoleTrust | PolicyType::Endpoint => {
                        write!(
                            f,
                            "add to the {policy_type} of {attach_to} the statement {statement}"
                        )?;
                    }
                }
                for near in near {
                    write!(f, "\n    {near}")?;
                }
                Ok(())
            }
        }
    }
}

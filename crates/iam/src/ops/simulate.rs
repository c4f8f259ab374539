//! The policy simulator: what would be decided, and by which statements, and
//! which condition keys policies ask for.
//!
//! The evaluator is the one that decides real calls. A simulation sees the
//! policies it is given and those on its principal, and of the request nothing
//! but the context entries: no time, no address, no tags of resources.
//!
//! Service control policies count: those over the account of the principal, or
//! those of the request.
//!
//! Absent by design: whether an action exists; resource control policies; and
//! `ResourceHandlingOption`, which knows what EC2 instances are made of and is
//! refused.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use gate::Cx;
use ground::{AccountId, Arn};
use iam_api::{
    ContextEntry, ContextKeyTypeEnum, EvaluationResult, GetContextKeysForCustomPolicyInput,
    GetContextKeysForPolicyResponse, GetContextKeysForPrincipalPolicyInput, OrderedOrganizationPolicyType,
    OrganizationsDecisionDetail, PermissionsBoundaryDecisionDetail, PolicyEvaluationDecisionType,
    PolicySourceType, Position as ApiPosition, SimulateCustomPolicyInput, SimulatePolicyResponse,
    SimulatePrincipalPolicyInput, Statement as ApiStatement,
};
use policy::{
    Attached, Context, Document, DocumentKind, Effect, Holder, Level, Policies, PolicyTrace, PolicyType,
    Position, Principal, Request, ResourcePolicy, ResourcePolicyKind, StatementTrace, Step, StepVerdict,
    Value, explain,
};

use crate::Iam;
use crate::access;
use crate::directory::policies::assemble_entity;
use crate::directory::session::principal_tags;
use crate::error::Error;
use crate::limits::SIMULATIONS_PER_PAGE_MAX;
use crate::ops::exclusion::Exclusions;
use crate::ops::page::Paging;
use crate::store::{Entity, Rows, rows};

/// What policies of the request are called, before their number from one.
const INPUT: &str = "PolicyInputList";

/// The id of a caller that need not exist.
const SUPPOSED_ID: &str = "AIDASUPPOSED";

/// Everything that one call asks.
struct Simulation {
    principal: Principal,
    identity: Vec<Attached>,
    boundary: Option<Attached>,
    resource_policy: Option<Attached>,
    owner: Option<AccountId>,
    /// Service control policies over the caller, root first; `None` where none apply.
    service_control: Option<Vec<Level>>,
    context: Context<'static>,
    actions: Vec<String>,
    resources: Vec<String>,
    /// Condition keys that the policies ask for.
    wanted: BTreeSet<String>,
}

pub(crate) async fn simulate_custom_policy(
    _iam: &Iam,
    cx: &Cx,
    input: SimulateCustomPolicyInput,
) -> Result<SimulatePolicyResponse, Error> {
    access::account_wide(cx).await?;
    refuse(input.resource_handling_option.is_some(), "ResourceHandlingOption")?;
    let rows = rows(cx);
    let principal = match &input.caller_arn {
        Some(arn) => caller(&rows, arn).await?,
        None => supposed(cx.account(), "supposed"),
    };
    let resource_policy = resource_policy(&rows, &principal, input.resource_policy.as_deref()).await?;
    let simulation = Simulation {
        identity: given(&input.policy_input_list)?,
        boundary: given_boundary(input.permissions_boundary_policy_input_list)?,
        resource_policy,
        owner: owner(input.resource_owner.as_deref())?,
        service_control: given_levels(input.ordered_organization_policy_input_list)?,
        context: context(input.context_entries)?,
        actions: input.action_names,
        resources: input.resource_arns.unwrap_or_else(|| vec!["*".to_owned()]),
        wanted: BTreeSet::new(),
        principal,
    };
    let paging = Paging::new(
        "SimulateCustomPolicy",
        "",
        input.marker.as_deref(),
        input.max_items,
    )?;
    simulation.page(&paging)
}

pub(crate) async fn simulate_principal_policy(
    _iam: &Iam,
    cx: &Cx,
    input: SimulatePrincipalPolicyInput,
) -> Result<SimulatePolicyResponse, Error> {
    let source = access::policy_source(cx, &input.policy_source_arn).await?;
    let exclusions = Exclusions::new(input.policy_exclusion_list)?;
    refuse(input.resource_handling_option.is_some(), "ResourceHandlingOption")?;
    let rows = rows(cx);
    let principal = match (&input.caller_arn, &*source) {
        (Some(arn), _) => caller(&rows, arn).await?,
        (None, Entity::Group(_)) => supposed(cx.account(), "supposed"),
        (None, entity) => of_entity(cx.account(), entity, SESSION),
    };
    // Over principals of other accounts may stand what is not to be learnt here.
    let standing = match principal.account() {
        Some(account) if account == cx.account() => Some(cx.account_standing(account).await?),
        Some(_) | None => None,
    };
    let levels = standing
        .as_ref()
        .and_then(|standing| standing.service_control.as_deref());
    let service_control = exclusions.service_control(levels);
    let attached = assemble_entity(&rows, &source).await?;
    let mut identity = exclusions.without(attached.identity);
    identity.extend(given(&input.policy_input_list.unwrap_or_default())?);
    let boundary = given_boundary(input.permissions_boundary_policy_input_list)?;
    let resource_policy = resource_policy(&rows, &principal, input.resource_policy.as_deref()).await?;
    let simulation = Simulation {
        identity,
        boundary: boundary.or(exclusions.boundary(attached.boundary)),
        resource_policy,
        owner: owner(input.resource_owner.as_deref())?,
        service_control,
        context: context(input.context_entries)?,
        actions: input.action_names,
        resources: input.resource_arns.unwrap_or_else(|| vec!["*".to_owned()]),
        wanted: BTreeSet::new(),
        principal,
    };
    let paging = Paging::new(
        "SimulatePrincipalPolicy",
        source.id(),
        input.marker.as_deref(),
        input.max_items,
    )?;
    simulation.page(&paging)
}

pub(crate) async fn get_context_keys_for_custom_policy(
    _iam: &Iam,
    cx: &Cx,
    input: GetContextKeysForCustomPolicyInput,
) -> Result<GetContextKeysForPolicyResponse, Error> {
    access::account_wide(cx).await?;
    Ok(told_keys(&given(&input.policy_input_list)?))
}

pub(crate) async fn get_context_keys_for_principal_policy(
    _iam: &Iam,
    cx: &Cx,
    input: GetContextKeysForPrincipalPolicyInput,
) -> Result<GetContextKeysForPolicyResponse, Error> {
    let source = access::policy_source(cx, &input.policy_source_arn).await?;
    let mut policies = assemble_entity(&rows(cx), &source).await?.identity;
    policies.extend(given(&input.policy_input_list.unwrap_or_default())?);
    Ok(told_keys(&policies))
}

fn told_keys(policies: &[Attached]) -> GetContextKeysForPolicyResponse {
    GetContextKeysForPolicyResponse {
        context_key_names: Some(keys_of(policies.iter()).into_iter().collect()),
    }
}

/// The condition keys that policies ask for, each once whatever its case.
fn keys_of<'a>(policies: impl Iterator<Item = &'a Attached>) -> BTreeSet<String> {
    let mut spelled: HashMap<String, String> = HashMap::new();
    for key in policies.flat_map(|policy| policy.document.context_keys()) {
        spelled
            .entry(key.to_lowercase())
            .or_insert_with(|| key.to_owned());
    }
    spelled.into_values().collect()
}

fn refuse(asked: bool, member: &str) -> Result<(), Error> {
    if asked {
        return Err(Error::InvalidInput(format!("{member} is not supported.")));
    }
    Ok(())
}

fn parsed(text: &str, kind: DocumentKind) -> Result<Document, Error> {
    Document::parse(text, kind).map_err(|malformed| Error::InvalidInput(malformed.to_string()))
}

/// The policies of the request.
fn given(texts: &[String]) -> Result<Vec<Attached>, Error> {
    let mut policies = Vec::with_capacity(texts.len());
    for (at, text) in texts.iter().enumerate() {
        let document = parsed(text, DocumentKind::Identity)?;
        let name = format!("{INPUT}.{}", at + 1);
        policies.push(Attached::inline(&name, Holder::Session, Arc::new(document)));
    }
    Ok(policies)
}

/// The service control policies of the request, a level each from the root down.
fn given_levels(levels: Option<Vec<OrderedOrganizationPolicyType>>) -> Result<Option<Vec<Level>>, Error> {
    let Some(levels) = levels.filter(|levels| !levels.is_empty()) else {
        return Ok(None);
    };
    let mut given = Vec::with_capacity(levels.len());
    for (at, level) in levels.into_iter().enumerate() {
        let target = format!("OrderedOrganizationPolicyInputList.{}", at + 1);
        let texts = level.service_control_policy_input_list.unwrap_or_default();
        let mut policies = Vec::with_capacity(texts.len());
        for (number, text) in texts.iter().enumerate() {
            let document = parsed(text, DocumentKind::ServiceControl)?;
            let name = format!("{target}.{}", number + 1);
            let holder = Holder::Target(target.as_str().into());
            policies.push(Attached::inline(&name, holder, Arc::new(document)));
        }
        given.push(Level {
            target: target.into(),
            policies,
        });
    }
    Ok(Some(given))
}

/// The boundary of the request: one at most, as a principal has.
fn given_boundary(texts: Option<Vec<String>>) -> Result<Option<Attached>, Error> {
    let texts = texts.unwrap_or_default();
    match texts.as_slice() {
        [] => Ok(None),
        [text] => {
            let document = parsed(text, DocumentKind::Boundary)?;
            let name = "PermissionsBoundaryPolicyInputList.1";
            Ok(Some(Attached::inline(name, Holder::Session, Arc::new(document))))
        }
        _ => Err(Error::InvalidInput(
            "PermissionsBoundaryPolicyInputList takes one policy.".to_owned(),
        )),
    }
}

/// A user that need not exist.
fn supposed(account: AccountId, name: &str) -> Principal {
    Principal::user(account, SUPPOSED_ID, "/", name)
}

/// The name of sessions that nobody began.
const SESSION: &str = "simulated";

/// A user, or a session of that name of a role, with its tags.
pub(crate) fn of_entity(account: AccountId, entity: &Entity, session: &str) -> Principal {
    match entity {
        Entity::User(user) => Principal::user(account, &user.id, &user.path, &user.name)
            .with_keys(principal_tags(user.tags.iter())),
        Entity::Role(role) => Principal::assumed_role(account, &role.id, &role.path, &role.name, session)
            .with_keys(principal_tags(role.tags.iter())),
        Entity::Group(group) => supposed(account, &group.name),
    }
}

/// The user that `CallerArn` names, who need not exist.
async fn caller(rows: &Rows<'_>, arn: &str) -> Result<Principal, Error> {
    let invalid = || Error::InvalidInput(format!("Invalid CallerArn {arn}: it must be the ARN of a user."));
    let parsed = Arn::parse(arn).map_err(|_| invalid())?;
    let account = parsed.account_id().ok_or_else(invalid)?;
    let rest = parsed.resource.strip_prefix("user").ok_or_else(invalid)?;
    let (path, name) = rest.split_at(rest.rfind('/').ok_or_else(invalid)? + 1);
    if parsed.service != "iam" || !path.starts_with('/') || name.is_empty() {
        return Err(invalid());
    }
    // Of other accounts nothing is looked up: nobody may learn who is there.
    if account == rows.account()
        && let Some(entity) = rows.principal(arn).await?
    {
        return Ok(of_entity(account, &entity, SESSION));
    }
    Ok(Principal::user(account, SUPPOSED_ID, path, name))
}

/// The resource policy of the request, whose principals are the caller and
/// whoever exists in the account; others may be named, and are nobody here.
async fn resource_policy(
    rows: &Rows<'_>,
    principal: &Principal,
    text: Option<&str>,
) -> Result<Option<Attached>, Error> {
    let Some(text) = text else {
        return Ok(None);
    };
    let mut document = parsed(text, DocumentKind::Resource)?;
    let mut known: HashMap<String, String> = HashMap::new();
    for arn in document.entities() {
        let id = match rows.principal(arn).await? {
            Some(entity) => entity.id().to_owned(),
            None => format!("{SUPPOSED_ID} {arn}"),
        };
        known.insert(arn.to_owned(), id);
    }
    if let Some(arn) = principal.principal_arn() {
        known.insert(arn.to_owned(), unique_id(principal).to_owned());
    }
    document
        .bind(|arn| known.get(arn).cloned())
        .map_err(|malformed| Error::InvalidInput(malformed.to_string()))?;
    let holder = Holder::Resource;
    Ok(Some(Attached::inline(
        "ResourcePolicy",
        holder,
        Arc::new(document),
    )))
}

/// `AIDA…` or `AROA…`, without a session's name.
fn unique_id(principal: &Principal) -> &str {
    let id = principal.user_id();
    id.split_once(':').map_or(id, |(id, _)| id)
}

/// The account in `ResourceOwner`: an id, or the ARN of its root.
fn owner(text: Option<&str>) -> Result<Option<AccountId>, Error> {
    let Some(text) = text else {
        return Ok(None);
    };
    let of_arn = || Arn::parse(text).ok().and_then(|arn| arn.account_id());
    let account = AccountId::parse(text).ok().or_else(of_arn);
    let account = account.ok_or_else(|| Error::InvalidInput(format!("Invalid ResourceOwner {text}.")))?;
    Ok(Some(account))
}

/// The context entries as condition keys.
fn context(entries: Option<Vec<ContextEntry>>) -> Result<Context<'static>, Error> {
    let mut context = Context::new();
    for entry in entries.unwrap_or_default() {
        let invalid = |what: &str| Error::InvalidInput(format!("Invalid context entry: {what}."));
        let name = entry.context_key_name.ok_or_else(|| invalid("no key name"))?;
        let values = entry.context_key_values.unwrap_or_default();
        let kind = entry.context_key_type.ok_or_else(|| invalid("no key type"))?;
        if context.get(&name).is_some() {
            return Err(invalid(&format!("{name} is given twice")));
        }
        let value = value(kind, values).ok_or_else(|| invalid(&format!("the values of {name}")))?;
        context.insert(name, value);
    }
    Ok(context)
}

/// `None` for values that are not of their kind.
fn value(kind: ContextKeyTypeEnum, values: Vec<String>) -> Option<Value<'static>> {
    use ContextKeyTypeEnum as Kind;
    let is_list = match kind {
        Kind::StringList
        | Kind::NumericList
        | Kind::BooleanList
        | Kind::IpList
        | Kind::BinaryList
        | Kind::DateList => true,
        Kind::String | Kind::Numeric | Kind::Boolean | Kind::Ip | Kind::Binary | Kind::Date => false,
    };
    if is_list {
        return Some(values.into_iter().collect());
    }
    let [only] = <[String; 1]>::try_from(values).ok()?;
    match kind {
        Kind::Boolean => only.parse().ok().map(Value::Bool),
        Kind::Ip => only.parse::<IpAddr>().ok().map(Value::Ip),
        Kind::Numeric => only.parse::<f64>().is_ok().then(|| Value::from(only)),
        _ => Some(Value::from(only)),
    }
}

impl Simulation {
    /// The decisions of one page: of each action on each resource, in the
    /// order asked.
    fn page(mut self, paging: &Paging) -> Result<SimulatePolicyResponse, Error> {
        let all = self
            .identity
            .iter()
            .chain(&self.boundary)
            .chain(&self.resource_policy)
            .chain(self.levels().flat_map(|level| &level.policies));
        self.wanted = keys_of(all);
        let begin: usize = match paging.after() {
            None => 0,
            Some(after) => after
                .parse()
                .map_err(|_| Error::Validation("Invalid Marker.".to_owned()))?,
        };
        let limit = paging.limit().min(SIMULATIONS_PER_PAGE_MAX);
        let count = self.actions.len().saturating_mul(self.resources.len());
        let end = count.min(begin.saturating_add(limit));
        let results = (begin..end).map(|at| {
            let action = &self.actions[at / self.resources.len()];
            let resource = &self.resources[at % self.resources.len()];
            self.decided(action, resource)
        });
        let marker = (end < count).then(|| paging.marker(&end.to_string()));
        Ok(SimulatePolicyResponse {
            evaluation_results: Some(results.collect()),
            is_truncated: Some(marker.is_some()),
            marker,
        })
    }

    fn levels(&self) -> impl Iterator<Item = &Level> {
        self.service_control.iter().flatten()
    }

    fn decided(&self, action: &str, resource: &str) -> EvaluationResult {
        let request = Request::new(&self.principal, action, resource, self.owner, &self.context);
        let policies = Policies {
            identity: &self.identity,
            boundary: self.boundary.as_ref(),
            service_control: self.service_control.as_deref(),
            resource: self.resource_policy.as_ref().map(|policy| ResourcePolicy {
                policy,
                kind: ResourcePolicyKind::Ordinary,
            }),
            ..Policies::default()
        };
        let trace = explain(&request, &policies);
        // An explicit denial is the only thing told of; where nothing allows, there is nothing to tell.
        let (decision, telling) = match (trace.allowed, trace.explicit) {
            (true, _) => (PolicyEvaluationDecisionType::Allowed, Some(Effect::Allow)),
            (false, true) => (PolicyEvaluationDecisionType::ExplicitDeny, Some(Effect::Deny)),
            (false, false) => (PolicyEvaluationDecisionType::ImplicitDeny, None),
        };
        // What organisations say is told of as a whole, below.
        let own = |policy: &&PolicyTrace| policy.policy_type != PolicyType::ServiceControl;
        let matched = trace.policies.iter().filter(own).flat_map(|policy| {
            let told = policy
                .statements
                .iter()
                .filter(|statement| statement.matched && Some(statement.effect) == telling);
            told.map(|statement| matched(policy, statement))
        });
        let allows = |policy_type| {
            let step = |step: &Step| step.policy_type == policy_type && step.verdict == StepVerdict::Allows;
            Some(trace.steps.iter().any(step))
        };
        let boundary = self.boundary.as_ref().map(|_| PermissionsBoundaryDecisionDetail {
            allowed_by_permissions_boundary: allows(PolicyType::Boundary),
        });
        let organization = self
            .service_control
            .as_ref()
            .map(|_| OrganizationsDecisionDetail {
                allowed_by_organizations: allows(PolicyType::ServiceControl),
            });
        EvaluationResult {
            eval_action_name: action.to_owned(),
            eval_resource_name: Some(resource.to_owned()),
            eval_decision: decision,
            matched_statements: Some(matched.collect()),
            missing_context_values: Some(self.missing()),
            organizations_decision_detail: organization,
            permissions_boundary_decision_detail: boundary,
            eval_decision_details: None,
            resource_specific_results: None,
        }
    }

    /// Keys that policies ask for and nobody told.
    fn missing(&self) -> Vec<String> {
        let known = self.principal.known_keys();
        let is_known = |wanted: &&String| {
            self.context.get(wanted).is_some()
                || self.principal.keys().get(wanted).is_some()
                || known.iter().any(|(key, _)| key.eq_ignore_ascii_case(wanted))
        };
        self.wanted
            .iter()
            .filter(|wanted| !is_known(wanted))
            .cloned()
            .collect()
    }
}

fn matched(policy: &PolicyTrace, statement: &StatementTrace) -> ApiStatement {
    let position = |place: Position| ApiPosition {
        line: i32::try_from(place.line).ok(),
        column: i32::try_from(place.column).ok(),
    };
    ApiStatement {
        source_policy_id: Some(policy.arn.clone().unwrap_or_else(|| policy.name.clone())),
        source_policy_type: Some(source_type(policy)),
        start_position: Some(position(statement.start)),
        end_position: Some(position(statement.end)),
    }
}

fn source_type(policy: &PolicyTrace) -> PolicySourceType {
    match &policy.arn {
        Some(arn) if arn.starts_with("arn:aws:iam::aws:") => PolicySourceType::AwsManaged,
        Some(_) => PolicySourceType::UserManaged,
        None if policy.policy_type == PolicyType::Resource => PolicySourceType::Resource,
        None => match policy.attached_to.split_once('/') {
            Some(("user", _)) => PolicySourceType::User,
            Some(("group", _)) => PolicySourceType::Group,
            Some(("role", _)) => PolicySourceType::Role,
            _ => PolicySourceType::None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_of_their_kind() {
        use ContextKeyTypeEnum as Kind;
        let one = |kind, text: &str| value(kind, vec![text.to_owned()]);
        assert_eq!(one(Kind::Boolean, "true"), Some(Value::Bool(true)));
        assert_eq!(one(Kind::Boolean, "yes"), None);
        assert_eq!(one(Kind::Ip, "10.0.0.1"), Some(Value::Ip([10, 0, 0, 1].into())));
        assert_eq!(one(Kind::Ip, "10.0.0.0/8"), None);
        assert_eq!(one(Kind::Numeric, "1.5"), Some(Value::Text("1.5".into())));
        assert_eq!(one(Kind::Numeric, "one"), None);
        let many = || vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(value(Kind::String, many()), None);
        assert_eq!(value(Kind::String, vec![]), None);
        assert!(matches!(value(Kind::StringList, many()), Some(Value::Many(values)) if values.len() == 2));
    }
}

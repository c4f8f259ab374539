//! One statement: read strictly, compiled once, matched often.

use crate::action::{ActionPattern, AskedAction, BadAction};
use crate::arn_pattern::{AskedArn, BadResource, ResourcePattern};
use crate::condition::{Condition, Operator, Unmet};
use crate::context::Scope;
use crate::document::DocumentKind;
use crate::json::{Json, Object};
use crate::limits::VALUES_MAX;
use crate::malformed::{Malformed, Reason, Refusal};
use crate::memory::{Answers, Memory, Slot};
use crate::named::{Named, NamedClause, Naming};
use crate::principal::Principal;
use crate::variable::{BadVariable, Unresolved};

/// `Allow` or `Deny`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Effect {
    /// Grants, if nothing denies.
    Allow,
    /// Refuses, whatever allows.
    Deny,
}

/// A place in the text of a document, both counted from one, as the policy simulator reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// One statement of a [`crate::Document`].
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    pub(crate) index: usize,
    pub(crate) sid: Option<Box<str>>,
    pub(crate) effect: Effect,
    pub(crate) named: NamedClause,
    /// `None`: the statement has no action and is inert.
    pub(crate) actions: Option<Clause<ActionPattern>>,
    pub(crate) actions_slot: Slot,
    pub(crate) resources: Resources,
    pub(crate) resources_slot: Slot,
    /// In the order in which they are asked: what costs least comes first.
    pub(crate) conditions: Box<[Condition]>,
    pub(crate) start: Position,
    pub(crate) end: Position,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Clause<T> {
    pub(crate) negated: bool,
    pub(crate) patterns: Box<[T]>,
}

/// What the statement says of resources.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Resources {
    Listed(Clause<ResourcePattern>),
    /// A trust policy is about its role and names no other resource.
    Implied,
    /// A key policy's statement without resource is kept and matches nothing.
    Missing,
}

/// Why a statement does not apply to a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Miss<'a> {
    Action,
    Resource,
    Principal,
    Condition,
    Unresolved(Unresolved<'a>),
    /// It lacks action or resource.
    Inert,
}

/// A request made ready for many comparisons.
pub(crate) struct Asked<'s, 'a> {
    pub(crate) action: AskedAction<'s>,
    pub(crate) resource: AskedArn<'a>,
    pub(crate) principal: &'a Principal,
    pub(crate) scope: Scope<'a>,
    /// Whether the caller has a permissions boundary.
    pub(crate) bounded: bool,
}

impl Statement {
    /// Its place in the document, from zero.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its Sid, if it has one that is not empty.
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// Whether it allows or denies.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Where it stands in the text: its opening brace, and just behind its closing one.
    pub fn span(&self) -> (Position, Position) {
        (self.start, self.end)
    }

    /// Its actions as written, and whether they are those of `NotAction`.
    pub fn actions(&self) -> (bool, Vec<&str>) {
        match &self.actions {
            Some(clause) => (
                clause.negated,
                clause.patterns.iter().map(|pattern| &*pattern.text).collect(),
            ),
            None => (false, Vec::new()),
        }
    }

    /// Its resources as written, and whether they are those of `NotResource`; empty in trust policies.
    pub fn resources(&self) -> (bool, Vec<&str>) {
        match &self.resources {
            Resources::Listed(clause) => (
                clause.negated,
                clause.patterns.iter().map(|pattern| &*pattern.text).collect(),
            ),
            Resources::Implied | Resources::Missing => (false, Vec::new()),
        }
    }

    /// Its principals as written, and whether they are those of `NotPrincipal`; empty where it has none.
    pub fn principals(&self) -> (bool, Vec<&str>) {
        let negated = matches!(self.named, NamedClause::NotPrincipal(_));
        (negated, self.named.all().iter().map(Named::text).collect())
    }

    /// Its conditions in the order in which they are written.
    pub(crate) fn conditions_as_written(&self) -> Vec<&Condition> {
        let mut conditions: Vec<&Condition> = self.conditions.iter().collect();
        conditions.sort_by_key(|condition| condition.place);
        conditions
    }

    /// Its conditions as written: operator, key and values.
    pub fn conditions(&self) -> impl Iterator<Item = (&str, &str, impl Iterator<Item = &str>)> {
        self.conditions_as_written().into_iter().map(|condition| {
            let values = condition.texts.iter().map(|text| &**text);
            (&*condition.operator_name, &*condition.key.text, values)
        })
    }

    /// Whether it applies to the request, and how closely it names the caller if it names anyone.
    ///
    /// `memory` is of this document and this request, and of no other.
    /// `about_principals` says whether the policy stands where callers must be
    /// named, `about_action` that it is known to be about the action.
    #[inline]
    pub(crate) fn judge<'a>(
        &'a self,
        asked: &Asked<'_, 'a>,
        about_action: bool,
        about_principals: bool,
        memory: &mut Memory<'a>,
    ) -> Result<Option<Naming>, Miss<'a>> {
        if !about_action {
            self.judge_action(asked, memory)?;
        }
        match memory.resources.known(self.resources_slot) {
            Some(true) => {}
            Some(false) => return Err(Miss::Resource),
            None => {
                let judged = self.judge_resource(asked, &mut memory.heads);
                if self.resources_slot != Slot::NONE
                    && let Ok(()) | Err(Miss::Resource) = judged
                {
                    memory.resources.learn(self.resources_slot, judged.is_ok());
                }
                judged?;
            }
        }
        let naming = match (&self.named, about_principals) {
            (NamedClause::Absent, false) => None,
            (NamedClause::Absent, true) => return Err(Miss::Principal),
            (named, _) => Some(
                named
                    .names(asked.principal, self.effect == Effect::Deny, asked.bounded)
                    .ok_or(Miss::Principal)?,
            ),
        };
        for condition in &self.conditions {
            if let Some(holds) = memory.conditions.known(condition.slot) {
                if !holds {
                    return Err(Miss::Condition);
                }
                continue;
            }
            let said = memory.said(condition, asked.scope);
            let checked = condition.check(said, asked.scope);
            if condition.slot != Slot::NONE
                && let Ok(()) | Err(Unmet::NotSatisfied) = checked
            {
                memory.conditions.learn(condition.slot, checked.is_ok());
            }
            match checked {
                Ok(()) => {}
                Err(Unmet::NotSatisfied) => return Err(Miss::Condition),
                Err(Unmet::Unresolved(variable)) => return Err(Miss::Unresolved(variable)),
            }
        }
        Ok(naming)
    }

    #[inline(never)]
    fn judge_action<'a>(&self, asked: &Asked<'_, '_>, memory: &mut Memory<'_>) -> Result<(), Miss<'a>> {
        let actions = self.actions.as_ref().ok_or(Miss::Inert)?;
        let fits = memory.actions.known(self.actions_slot).unwrap_or_else(|| {
            let mut patterns = actions.patterns.iter();
            let named = patterns.any(|pattern| pattern.matches(&asked.action));
            memory.actions.learn(self.actions_slot, named != actions.negated)
        });
        if fits { Ok(()) } else { Err(Miss::Action) }
    }

    #[inline]
    fn judge_resource<'a>(&'a self, asked: &Asked<'_, 'a>, heads: &mut Answers) -> Result<(), Miss<'a>> {
        let clause = match &self.resources {
            Resources::Implied => return Ok(()),
            Resources::Missing => return Err(Miss::Inert),
            Resources::Listed(clause) => clause,
        };
        let mut unresolved = None;
        for pattern in &clause.patterns {
            match pattern.matches(&asked.resource, asked.scope, heads) {
                Ok(true) if clause.negated => return Err(Miss::Resource),
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(variable) => unresolved = unresolved.or(Some(variable)),
            }
        }
        match unresolved {
            Some(variable) => Err(Miss::Unresolved(variable)),
            None if clause.negated => Ok(()),
            None => Err(Miss::Resource),
        }
    }
}

/// Reads the statements of one document; counts their values together.
pub(crate) struct StatementReader {
    pub(crate) kind: DocumentKind,
    pub(crate) with_variables: bool,
    pub(crate) values_left: usize,
}

impl StatementReader {
    pub(crate) fn new(kind: DocumentKind, with_variables: bool) -> StatementReader {
        StatementReader {
            kind,
            with_variables,
            values_left: VALUES_MAX,
        }
    }

    pub(crate) fn read(
        &mut self,
        index: usize,
        object: &Object,
        place: impl Fn(usize) -> Position,
    ) -> Result<Statement, Malformed> {
        let refuse = Refusal {
            kind: self.kind,
            statement: Some(index),
        };
        let mut elements = Elements::default();
        for (name, value) in &object.members {
            elements.take(name, value, refuse)?;
        }
        let effect = self.effect(elements.effect, refuse)?;
        let actions = self.actions(&elements, refuse)?;
        let mut conditions = self.conditions(elements.condition, refuse)?;
        for (place, condition) in (0..).zip(&mut conditions) {
            condition.place = place;
        }
        conditions.sort_by_key(Condition::cost);
        if self.kind == DocumentKind::ResourceControl && effect == Effect::Allow {
            return Err(refuse.because(Reason::Effect, "", "a resource control policy can only deny"));
        }
        Ok(Statement {
            index,
            sid: self.sid(elements.sid, refuse)?,
            effect,
            named: self.named(&elements, refuse)?,
            actions,
            actions_slot: Slot::NONE,
            resources: self.resources(&elements, refuse)?,
            resources_slot: Slot::NONE,
            conditions,
            start: place(object.start),
            end: place(object.end),
        })
    }

    fn sid(&self, value: Option<&Json>, refuse: Refusal) -> Result<Option<Box<str>>, Malformed> {
        let text = match value {
            None => return Ok(None),
            Some(Json::Text(text)) => text,
            Some(_) => return Err(refuse.because(Reason::Syntax, "", "Sid is not a string")),
        };
        if self.kind.is_strict_about_sids() && !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(refuse.because(Reason::Sid, text, format!("Sid {text:?} is not alphanumeric")));
        }
        Ok(Some(text.as_str())
            .filter(|text| !text.is_empty())
            .map(Into::into))
    }

    fn effect(&self, value: Option<&Json>, refuse: Refusal) -> Result<Effect, Malformed> {
        match value {
            Some(Json::Text(text)) if text == "Allow" => Ok(Effect::Allow),
            Some(Json::Text(text)) if text == "Deny" => Ok(Effect::Deny),
            Some(_) => Err(refuse.because(Reason::Effect, "", "Effect is neither \"Allow\" nor \"Deny\"")),
            None => Err(refuse.because(Reason::Syntax, "", "Effect is missing")),
        }
    }

    fn actions(
        &mut self,
        elements: &Elements<'_>,
        refuse: Refusal,
    ) -> Result<Option<Clause<ActionPattern>>, Malformed> {
        let Some((negated, value)) = one_of(elements.action, elements.not_action, "Action", refuse)? else {
            if self.kind == DocumentKind::KmsKey {
                return Ok(None);
            }
            return Err(refuse.because(Reason::Action, "", NO_ACTION));
        };
        let texts = self.texts(value, "Action", refuse)?;
        if texts.is_empty() {
            return Err(refuse.because(Reason::Action, "", "the list of actions is empty"));
        }
        let patterns = texts
            .into_iter()
            .map(|text| read_action(text, refuse))
            .collect::<Result<Box<[_]>, _>>()?;
        match self.kind {
            DocumentKind::RoleTrust => {
                let foreign = patterns.iter().find(|pattern| !is_trust_action(pattern));
                if negated || foreign.is_some() {
                    let text = foreign.map_or("NotAction", |pattern| &pattern.text);
                    return Err(refuse.with_message(
                        Reason::Action,
                        "AssumeRole policy may only specify STS AssumeRole actions.",
                        format!("{text:?} is not an action of assuming a role"),
                    ));
                }
            }
            DocumentKind::ResourceControl => {
                if negated || patterns.iter().any(|pattern| pattern.vendor().is_none()) {
                    let detail =
                        "a resource control policy names actions by their service, without NotAction";
                    return Err(refuse.because(Reason::Action, "", detail));
                }
            }
            DocumentKind::Identity
            | DocumentKind::Boundary
            | DocumentKind::Session
            | DocumentKind::ServiceControl
            | DocumentKind::KmsKey
            | DocumentKind::Resource => {}
        }
        Ok(Some(Clause { negated, patterns }))
    }

    fn resources(&mut self, elements: &Elements<'_>, refuse: Refusal) -> Result<Resources, Malformed> {
        let found = one_of(elements.resource, elements.not_resource, "Resource", refuse)?;
        let (negated, value) = match (found, self.kind) {
            (Some(_), DocumentKind::RoleTrust) => {
                return Err(refuse.because(
                    Reason::ResourceNotAllowed,
                    "",
                    "a trust policy names no resource",
                ));
            }
            (None, DocumentKind::RoleTrust) => return Ok(Resources::Implied),
            (None, DocumentKind::KmsKey) => return Ok(Resources::Missing),
            (None, _) => {
                return Err(refuse.because(Reason::Resource, "", NO_RESOURCE));
            }
            (Some(found), _) => found,
        };
        let texts = self.texts(value, "Resource", refuse)?;
        if texts.is_empty() {
            return Err(refuse.because(Reason::Resource, "", "the list of resources is empty"));
        }
        let patterns = texts
            .into_iter()
            .map(|text| {
                ResourcePattern::new(text, self.with_variables)
                    .map_err(|bad| refuse_resource(refuse, text, bad))
            })
            .collect::<Result<_, _>>()?;
        Ok(Resources::Listed(Clause { negated, patterns }))
    }

    fn named(&mut self, elements: &Elements<'_>, refuse: Refusal) -> Result<NamedClause, Malformed> {
        let found = one_of(elements.principal, elements.not_principal, "Principal", refuse)?;
        let (negated, value) = match (found, self.kind.names_principals()) {
            (None, false) => return Ok(NamedClause::Absent),
            (None, true) => {
                return Err(refuse.because(Reason::PrincipalMissing, "", "no principal is named"));
            }
            (Some(_), false) => {
                return Err(refuse.because(
                    Reason::PrincipalNotAllowed,
                    "",
                    "this kind of policy names no principal",
                ));
            }
            (Some(found), true) => found,
        };
        if negated && matches!(self.kind, DocumentKind::RoleTrust | DocumentKind::ResourceControl) {
            return Err(refuse.because(
                Reason::PrincipalMissing,
                "",
                "NotPrincipal is not for this kind of policy",
            ));
        }
        let mut named = Vec::new();
        match value {
            Json::Text(text) if text == "*" => {
                self.spend(1, refuse)?;
                named.push(Named::Everyone);
            }
            Json::Text(text) => {
                let detail = format!("principal {text:?} is neither \"*\" nor an object");
                return Err(refuse.because(Reason::PrincipalInvalid, &format!("{text:?}"), detail));
            }
            Json::Object(object) => {
                for (key, value) in &object.members {
                    for text in self.texts(value, key, refuse)? {
                        named.push(self.one_named(key, text, refuse)?);
                    }
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::List(_) => {
                return Err(refuse.because(Reason::Syntax, "", "Principal is neither \"*\" nor an object"));
            }
        }
        if named.is_empty() {
            return Err(refuse.because(Reason::PrincipalMissing, "", "the list of principals is empty"));
        }
        if self.kind == DocumentKind::ResourceControl && named != [Named::Everyone] {
            return Err(refuse.because(
                Reason::PrincipalInvalid,
                "",
                "a resource control policy is for everyone, \"*\"",
            ));
        }
        Ok(if negated {
            NamedClause::NotPrincipal(named.into())
        } else {
            NamedClause::Principal(named.into())
        })
    }

    fn one_named(&self, key: &str, text: &str, refuse: Refusal) -> Result<Named, Malformed> {
        let plain = !text.is_empty() && !text.contains(['*', '?']);
        let found = match key {
            "AWS" => Named::aws(text, self.kind == DocumentKind::RoleTrust),
            "Service" => (plain && text.contains('.')).then(|| Named::Service(text.into())),
            "Federated" => plain.then(|| Named::Federated(text.into())),
            "CanonicalUser" if self.kind == DocumentKind::Resource => {
                plain.then(|| Named::CanonicalUser(text.into()))
            }
            _ => None,
        };
        found.ok_or_else(|| {
            let shown = if key == "AWS" {
                key.to_owned()
            } else {
                key.to_uppercase()
            };
            let detail = format!("{text:?} is no principal of kind {key:?}");
            refuse.because(Reason::PrincipalInvalid, &format!("{shown:?}:{text:?}"), detail)
        })
    }

    fn conditions(&mut self, value: Option<&Json>, refuse: Refusal) -> Result<Box<[Condition]>, Malformed> {
        let refuse_shape = |detail: String| refuse.because(Reason::Condition, "", detail);
        let block = match value {
            None => return Ok(Box::default()),
            Some(Json::Object(block)) => block,
            Some(_) => return Err(refuse_shape("Condition is not an object".to_owned())),
        };
        let mut conditions = Vec::new();
        for (operator_name, keys) in &block.members {
            let operator = Operator::parse(operator_name)
                .ok_or_else(|| refuse_shape(format!("there is no condition operator {operator_name:?}")))?;
            let Json::Object(keys) = keys else {
                return Err(refuse_shape(format!("{operator_name} does not hold an object")));
            };
            for (key, values) in &keys.members {
                if !key.contains(':') {
                    return Err(refuse.with_message(
                        Reason::Condition,
                        "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
                        format!("condition key {key:?} has no prefix"),
                    ));
                }
                let texts = self.condition_texts(values, key, refuse)?;
                let condition = Condition::new(operator_name, operator, key, texts, self.with_variables)
                    .map_err(|BadVariable(inside)| refuse_variable(refuse, &inside))?;
                conditions.push(condition);
            }
        }
        Ok(conditions.into())
    }

    /// The values of a condition key: strings, numbers and booleans, one or a list.
    fn condition_texts(
        &mut self,
        value: &Json,
        key: &str,
        refuse: Refusal,
    ) -> Result<Box<[Box<str>]>, Malformed> {
        let one = |value: &Json| match value {
            Json::Text(text) | Json::Number(text) => Ok(Box::from(text.as_str())),
            Json::Bool(true) => Ok(Box::from("true")),
            Json::Bool(false) => Ok(Box::from("false")),
            Json::Null | Json::List(_) | Json::Object(_) => Err(refuse.because(
                Reason::Condition,
                "",
                format!("a value of {key:?} is not a string"),
            )),
        };
        let texts: Box<[Box<str>]> = match value {
            Json::List(values) => values.iter().map(one).collect::<Result<_, _>>()?,
            value => Box::new([one(value)?]),
        };
        self.spend(texts.len(), refuse)?;
        Ok(texts)
    }

    /// One string, or a list of strings.
    fn texts<'j>(&mut self, value: &'j Json, name: &str, refuse: Refusal) -> Result<Vec<&'j str>, Malformed> {
        let one = |value: &'j Json| match value {
            Json::Text(text) => Ok(text.as_str()),
            _ => Err(refuse.because(
                Reason::Syntax,
                "",
                format!("{name} holds something else than strings"),
            )),
        };
        let texts = match value {
            Json::List(values) => values.iter().map(one).collect::<Result<Vec<_>, _>>()?,
            value => vec![one(value)?],
        };
        self.spend(texts.len(), refuse)?;
        Ok(texts)
    }

    fn spend(&mut self, values: usize, refuse: Refusal) -> Result<(), Malformed> {
        match self.values_left.checked_sub(values) {
            Some(left) => {
                self.values_left = left;
                Ok(())
            }
            None => Err(refuse.because(
                Reason::TooLarge,
                "",
                format!("more than {VALUES_MAX} values in one document"),
            )),
        }
    }
}

/// The elements of one statement as they stand in the text.
#[derive(Default)]
struct Elements<'j> {
    sid: Option<&'j Json>,
    effect: Option<&'j Json>,
    principal: Option<&'j Json>,
    not_principal: Option<&'j Json>,
    action: Option<&'j Json>,
    not_action: Option<&'j Json>,
    resource: Option<&'j Json>,
    not_resource: Option<&'j Json>,
    condition: Option<&'j Json>,
}

impl<'j> Elements<'j> {
    fn take(&mut self, name: &str, value: &'j Json, refuse: Refusal) -> Result<(), Malformed> {
        let element = match name {
            "Sid" => &mut self.sid,
            "Effect" => &mut self.effect,
            "Principal" => &mut self.principal,
            "NotPrincipal" => &mut self.not_principal,
            "Action" => &mut self.action,
            "NotAction" => &mut self.not_action,
            "Resource" => &mut self.resource,
            "NotResource" => &mut self.not_resource,
            "Condition" => &mut self.condition,
            other => {
                return Err(refuse.because(Reason::Syntax, other, format!("there is no element {other:?}")));
            }
        };
        *element = Some(value);
        Ok(())
    }
}

/// The element or its negation, whichever is there; both together are refused.
fn one_of<'j>(
    plain: Option<&'j Json>,
    negated: Option<&'j Json>,
    name: &str,
    refuse: Refusal,
) -> Result<Option<(bool, &'j Json)>, Malformed> {
    match (plain, negated) {
        (Some(_), Some(_)) => Err(refuse.because(
            Reason::Syntax,
            name,
            format!("{name} and Not{name} exclude each other"),
        )),
        (Some(value), None) => Ok(Some((false, value))),
        (None, Some(value)) => Ok(Some((true, value))),
        (None, None) => Ok(None),
    }
}

fn read_action(text: &str, refuse: Refusal) -> Result<ActionPattern, Malformed> {
    ActionPattern::new(text).map_err(|bad| {
        let message = match bad {
            BadAction::NoVendor => {
                "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.".to_owned()
            }
            BadAction::TwoColons => "Actions/Condition can contain only one colon.".to_owned(),
            BadAction::BadVendor => {
                format!(
                    "Vendor {} is not valid",
                    text.split_once(':').map_or(text, |(vendor, _)| vendor)
                )
            }
        };
        refuse.with_message(
            Reason::Action,
            message,
            format!("action {text:?} is not \"*\" or vendor:name"),
        )
    })
}

fn refuse_resource(refuse: Refusal, text: &str, bad: BadResource) -> Malformed {
    let message = match bad {
        BadResource::NotAnArn => format!("Resource {text} must be in ARN format or \"*\"."),
        BadResource::Partition(partition) => {
            format!("Partition \"{partition}\" is not valid for resource \"{text}\".")
        }
        BadResource::WildVendor => {
            "Resource vendor must be fully qualified and cannot contain regexes.".to_owned()
        }
        BadResource::IamRegion => format!("IAM resource {text} cannot contain region information."),
        BadResource::Variable(inside) => return refuse_variable(refuse, &inside),
    };
    refuse.with_message(Reason::Resource, message, format!("{text:?} is not a resource"))
}

fn refuse_variable(refuse: Refusal, inside: &str) -> Malformed {
    refuse.because(
        Reason::Variable,
        inside,
        format!("${{{inside}}} is not a policy variable"),
    )
}

/// Whether a trust policy may have the action: one of those by which roles are assumed.
fn is_trust_action(pattern: &ActionPattern) -> bool {
    const TRUST_ACTIONS: [&str; 6] = [
        "sts:AssumeRole",
        "sts:AssumeRoleWithSAML",
        "sts:AssumeRoleWithWebIdentity",
        "sts:SetContext",
        "sts:SetSourceIdentity",
        "sts:TagSession",
    ];
    pattern.vendor().is_some() && TRUST_ACTIONS.iter().any(|action| pattern.names(action))
}

/// What is wrong with a statement that says nothing of actions, in our words.
pub(crate) const NO_ACTION: &str = "neither Action nor NotAction is there";

/// The same of resources.
pub(crate) const NO_RESOURCE: &str = "neither Resource nor NotResource is there";

//! What would be decided: a question about a call that nobody makes.
//!
//! `POST /_palisade/why` names a principal of the asker's own account, an
//! action, a resource and what else is to be supposed of the request. It is
//! answered by the evaluator that decides real calls, from the policies as they
//! are now: those of the principal, its boundary, what organisations lay over
//! its account, and the resource's own, which the service of the action tells
//! ([`crate::Table::describes`]).
//!
//! The call is supposed to come now, over the asker's connection, in the
//! resource's region; a role, by a new session. What the asker says of the
//! request wins over all of that, but not over who the principal is.
//!
//! Who asks must be allowed `palisade:Explain` on the principal's ARN, and the
//! question is recorded, with the names of the condition keys but not their values.
//!
//! Absent by design: the policies of a foreign resource's owner. A real call
//! would leave a record in the owner's account; a question, with whatever is
//! supposed of it, could search them unseen. So the caller's side alone is
//! weighed, and the answer says so.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use ground::{Arn, Region};
use http::{HeaderMap, Response};
use http_body_util::Full;
use policy::{Context, PolicyType, Standing, Value};
use serde::Deserialize;
use shape::OperationShape;

use crate::access::Access;
use crate::authenticate::Authenticated;
use crate::cx::{Cx, Said};
use crate::directory::Caller;
use crate::door::{Door, Peer};
use crate::fault::Fault;
use crate::inquiry::{bad, enter, finish, operation, permitted, read};
use crate::limits::{
    ACTION_BYTES_MAX, SAID_KEY_BYTES_MAX, SAID_KEYS_MAX, SAID_VALUE_BYTES_MAX, SAID_VALUES_MAX,
};
use crate::operator::EXPLAIN;
use crate::table::Service;

/// What records call the question.
static OPERATION: OperationShape = operation("Explain", EXPLAIN, "/_palisade/why", true);

/// The question as it is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    /// ARN of a user, a role or the root user.
    principal: String,
    /// `kms:Encrypt`
    action: String,
    /// An ARN, or `*` for actions without a resource.
    resource: String,
    /// Condition keys and their values.
    #[serde(default)]
    context: BTreeMap<String, Vec<String>>,
}

/// A question that can be asked.
struct Question {
    principal: Arn,
    action: String,
    /// `None` for `*`.
    resource: Option<Arn>,
    /// The resource's region, if it has one.
    region: Option<Region>,
    said: Context<'static>,
}

pub(crate) async fn answer(
    door: &Arc<Door>,
    head: &http::request::Parts,
    body: &[u8],
    peer: &Arc<Peer>,
    request_id: &str,
) -> Response<Full<Bytes>> {
    let cx = match enter(door, &OPERATION, head, body, peer, request_id).await {
        Ok(cx) => cx,
        Err(answer) => return answer,
    };
    let outcome = decided(&cx, door, peer, body).await;
    finish(door, &cx, outcome).await
}

async fn decided(
    cx: &Cx,
    door: &Arc<Door>,
    peer: &Arc<Peer>,
    body: &[u8],
) -> Result<serde_json::Value, Fault> {
    let question = Question::read(body)?;
    cx.state_parameters(question.for_the_record());
    let caller = principal(cx, door, &question.principal, EXPLAIN).await?;
    refuse_own_keys(&caller, &question.said)?;

    let service = service_of(door, &question.action);
    let (action, is_operation) = match service.and_then(|service| spelled(service, &question.action)) {
        Some(spelled) => (Cow::Borrowed(spelled), true),
        None => (Cow::Owned(question.action.clone()), false),
    };
    let region = match &question.region {
        _ if service.is_some_and(|service| service.shape().global) => Region::us_east_1(),
        Some(region) => region.clone(),
        None => cx.region().clone(),
    };
    let authenticated = Authenticated {
        caller: Arc::new(caller),
        region: region.clone(),
    };
    let headers = HeaderMap::new();
    let supposed = Cx::new(
        door,
        &OPERATION,
        &authenticated,
        peer,
        &Said::in_headers(&headers),
        cx.request_id(),
        cx.now(),
    );
    let (access, unweighed) = described(&supposed, service, &action, question.resource.as_ref()).await?;
    let is_foreign = access.asked.owner.is_some_and(|owner| owner != cx.account());
    let weighed = supposed
        .suppose(action, access, question.said)
        .await
        .map_err(|error| Fault::store("InternalFailure", &error))?;
    let mut explained = weighed.explained();
    if unweighed.is_some() {
        // That a policy was not looked at does not say that there is none.
        explained.trace.steps.retain(|step| match step.policy_type {
            PolicyType::Resource | PolicyType::RoleTrust => false,
            PolicyType::ResourceControl => !is_foreign,
            PolicyType::Identity
            | PolicyType::Boundary
            | PolicyType::Session
            | PolicyType::Endpoint
            | PolicyType::ServiceControl => true,
        });
    }
    if is_foreign {
        // What a caller of another account is told has no reason in it.
        explained.trace.message = None;
        explained.trace.relation = Standing::CrossAccount;
    }

    let tls = if peer.tls.is_some() { "with" } else { "without" };
    let mut notes = vec![format!(
        "supposed to come now, in {region}, from {}, {tls} TLS, unless the context says otherwise",
        peer.address.ip()
    )];
    if authenticated.caller.session.is_some() {
        notes.push("supposed to come from a new session without policies or tags of its own".to_owned());
    }
    if !is_operation {
        notes.push(format!(
            "no operation here is called {}: whether there is such an action is not judged",
            question.action
        ));
    }
    let complete = unweighed.is_none();
    notes.extend(unweighed);
    Ok(serde_json::json!({"decisions": [explained], "complete": complete, "notes": notes}))
}

/// Who would call, if the asker may ask that: if it is allowed `action` on the principal.
pub(crate) async fn principal(
    cx: &Cx,
    door: &Door,
    arn: &Arn,
    action: &'static str,
) -> Result<Caller, Fault> {
    if arn.account_id() != Some(cx.account()) {
        let message = format!(
            "{arn} is no principal of your account {}: the policies of others are not yours to ask about",
            cx.account()
        );
        return Err(Fault::client("AccessDeniedException", message).with_status(403));
    }
    let access = Access::to((), arn.to_string())
        .owned_by(cx.account())
        .doing(action);
    permitted(cx, access).await?;
    let text = arn.to_string();
    let found = door.parts.directory.supposed(&text, "simulated", cx.now()).await;
    let found = found.map_err(|error| Fault::store("InternalFailure", &error))?;
    found.ok_or_else(|| {
        let message = format!("there is no user or role {arn}; a session is asked about by its role's ARN");
        Fault::client("UnknownPrincipal", message).with_status(404)
    })
}

/// What follows from the principal cannot be supposed to be otherwise.
fn refuse_own_keys(caller: &Caller, said: &Context<'_>) -> Result<(), Fault> {
    const OWN: [&str; 3] = ["aws:userid", "aws:username", "aws:tokenissuetime"];
    let own = |key: &str| {
        let of_principal = key.starts_with("aws:principal") && !key.starts_with("aws:principaltag/");
        of_principal || OWN.contains(&key) || caller.principal.keys().get(key).is_some()
    };
    match said.iter().find(|(key, _)| own(key)) {
        Some((key, _)) => Err(bad(format!(
            "{key} follows from the principal and cannot be supposed"
        ))),
        None => Ok(()),
    }
}

/// The service whose API has actions with this prefix.
pub(crate) fn service_of<'a>(door: &'a Door, action: &str) -> Option<&'a Service> {
    let (prefix, _) = action.split_once(':')?;
    door.services().iter().find(|service| {
        let mut actions = service
            .shape()
            .operations
            .iter()
            .map(|operation| operation.action);
        actions.any(|known| {
            known
                .split_once(':')
                .is_some_and(|(known, _)| known.eq_ignore_ascii_case(prefix))
        })
    })
}

/// The action in its proper case, if an operation of the API has it.
pub(crate) fn spelled(service: &Service, action: &str) -> Option<&'static str> {
    let mut actions = service
        .shape()
        .operations
        .iter()
        .map(|operation| operation.action);
    actions.find(|known| known.eq_ignore_ascii_case(action))
}

/// What permission is asked for, and what could not be weighed of the resource's side.
pub(crate) async fn described(
    cx: &Cx,
    service: Option<&Service>,
    action: &str,
    resource: Option<&Arn>,
) -> Result<(Access<()>, Option<String>), Fault> {
    let Some(arn) = resource else {
        return Ok((Access::to((), "*"), None));
    };
    let access = || Access::to((), arn.to_string());
    if let Some(owner) = arn.account_id().filter(|owner| *owner != cx.account()) {
        let note = format!(
            "the resource belongs to account {owner}, whose policies are not yours to see: only the side of {} \
             is weighed, and the owner must allow it too",
            cx.account()
        );
        return Ok((access().owned_by(owner), Some(note)));
    }
    let told = match service.and_then(|service| service.describe) {
        Some(describe) => describe(cx, action, arn).await?,
        None => None,
    };
    Ok(match told {
        Some(access) => (access, None),
        None => {
            let note = "nothing here can tell of such a resource: its own policy, if it has one, and its tags \
                        are not weighed";
            (access(), Some(note.to_owned()))
        }
    })
}

impl Question {
    /// Reads what was sent.
    fn read(body: &[u8]) -> Result<Question, Fault> {
        let form = r#"{"principal": ARN, "action": …, "resource": ARN, "context": {KEY: [VALUE]}}"#;
        let sent: Sent = read(body, form)?;
        let principal = principal_arn(&sent.principal)?;
        if !is_action(&sent.action) {
            return Err(bad(
                "an action is a service prefix and a name, without wildcards: kms:Encrypt",
            ));
        }
        let resource = match sent.resource.as_str() {
            "*" => None,
            text => Some(Arn::parse(text).map_err(|error| bad(format!("{error}, nor is it *")))?),
        };
        let region = match &resource {
            Some(arn) => region_of(arn)?,
            None => None,
        };
        Ok(Question {
            principal,
            action: sent.action,
            resource,
            region,
            said: said(sent.context)?,
        })
    }

    /// The record's `requestParameters`.
    fn for_the_record(&self) -> String {
        let keys: Vec<&str> = self.said.iter().map(|(key, _)| key).collect();
        serde_json::json!({
            "principal": self.principal,
            "action": self.action,
            "resource": self.resource.as_ref().map_or_else(|| "*".to_owned(), Arn::to_string),
            "contextKeys": keys,
        })
        .to_string()
    }
}

/// The ARN of a user, a role or a root user.
pub(crate) fn principal_arn(text: &str) -> Result<Arn, Fault> {
    let principal = Arn::parse(text).map_err(bad)?;
    let names_one = principal.resource == "root"
        || principal.resource.starts_with("user/")
        || principal.resource.starts_with("role/");
    if principal.service != "iam" || !principal.region.is_empty() || !names_one {
        return Err(bad(format!(
            "{principal} is not the ARN of a user, a role or a root user; a session is asked about by its role's ARN"
        )));
    }
    Ok(principal)
}

/// Whether the text names one action.
fn is_action(text: &str) -> bool {
    let Some((prefix, name)) = text.split_once(':') else {
        return false;
    };
    let of = |text: &str, more: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || more.contains(letter))
    };
    text.len() <= ACTION_BYTES_MAX && of(prefix, "-") && of(name, "")
}

/// The region of an ARN whose region and account are none or real.
pub(crate) fn region_of(arn: &Arn) -> Result<Option<Region>, Fault> {
    // AWS's own managed policies have `aws` for an account.
    if !arn.account.is_empty() && arn.account != "aws" && arn.account_id().is_none() {
        return Err(bad(format!("{:?} in {arn} is no account id", arn.account)));
    }
    if arn.region.is_empty() {
        return Ok(None);
    }
    Region::parse(&arn.region).map(Some).map_err(bad)
}

/// What is said of the request, as condition keys.
fn said(sent: BTreeMap<String, Vec<String>>) -> Result<Context<'static>, Fault> {
    if sent.len() > SAID_KEYS_MAX {
        return Err(bad(format!(
            "at most {SAID_KEYS_MAX} condition keys can be supposed"
        )));
    }
    let mut context = Context::new();
    for (key, values) in sent {
        let named = key
            .split_once(':')
            .is_some_and(|(prefix, name)| !prefix.is_empty() && !name.is_empty());
        if !named || key.len() > SAID_KEY_BYTES_MAX || key.chars().any(char::is_control) {
            return Err(bad(format!(
                "a condition key has a prefix and a name, and at most {SAID_KEY_BYTES_MAX} bytes: aws:SourceIp"
            )));
        }
        if context.get(&key).is_some() {
            return Err(bad(format!("{key} is given twice, in different case")));
        }
        if values.is_empty() || values.len() > SAID_VALUES_MAX {
            return Err(bad(format!("{key} must have 1 to {SAID_VALUES_MAX} values")));
        }
        if values.iter().any(|value| value.len() > SAID_VALUE_BYTES_MAX) {
            return Err(bad(format!(
                "a value of {key} is longer than {SAID_VALUE_BYTES_MAX} bytes"
            )));
        }
        let value = match <[String; 1]>::try_from(values) {
            Ok([only]) => Value::from(only),
            Err(several) => several.into_iter().collect(),
        };
        context.insert(key, value);
    }
    Ok(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(change: impl FnOnce(&mut serde_json::Value)) -> Result<Question, Fault> {
        let mut sent = serde_json::json!({
            "principal": "arn:aws:iam::111122223333:user/bob",
            "action": "kms:Encrypt",
            "resource": "arn:aws:kms:eu-west-1:111122223333:key/1",
        });
        change(&mut sent);
        Question::read(sent.to_string().as_bytes())
    }

    #[test]
    fn a_question_is_read() {
        let question = read(|sent| sent["context"] = serde_json::json!({"aws:TagKeys": ["a", "b"]})).unwrap();
        assert_eq!(question.region, Some(Region::parse("eu-west-1").unwrap()));
        assert!(matches!(question.said.get("aws:tagkeys"), Some(Value::Many(values)) if values.len() == 2));
        assert!(
            read(|sent| sent["resource"] = "*".into())
                .unwrap()
                .resource
                .is_none()
        );
        assert!(read(|sent| sent["principal"] = "arn:aws:iam::111122223333:root".into()).is_ok());
    }

    #[test]
    fn what_is_no_question_is_refused_with_the_reason() {
        let many: serde_json::Map<_, _> = (0..=SAID_KEYS_MAX)
            .map(|number| (format!("aws:Key{number}"), serde_json::json!(["x"])))
            .collect();
        let with = |member: &str, value: serde_json::Value| match read(|sent| sent[member] = value) {
            Ok(_) => panic!("{member} passed"),
            Err(fault) => fault.message().unwrap_or_default().to_owned(),
        };
        for (member, value, words) in [
            ("principal", serde_json::json!("bob"), "not an ARN"),
            (
                "principal",
                serde_json::json!("arn:aws:iam::111122223333:group/g"),
                "not the ARN of a user",
            ),
            (
                "principal",
                serde_json::json!("arn:aws:sts::111122223333:assumed-role/r/s"),
                "its role's ARN",
            ),
            ("action", serde_json::json!("kms"), "kms:Encrypt"),
            ("action", serde_json::json!("kms:*"), "without wildcards"),
            (
                "action",
                serde_json::json!(format!("kms:{}", "a".repeat(ACTION_BYTES_MAX))),
                "kms:Encrypt",
            ),
            ("resource", serde_json::json!("key/1"), "nor is it *"),
            (
                "resource",
                serde_json::json!("arn:aws:kms:Nowhere!:111122223333:key/1"),
                "egion",
            ),
            (
                "resource",
                serde_json::json!("arn:aws:kms:us-east-1:12:key/1"),
                "no account id",
            ),
            (
                "context",
                serde_json::json!({"nothing": ["x"]}),
                "prefix and a name",
            ),
            ("context", serde_json::json!({"aws:SourceIp": []}), "1 to"),
            (
                "context",
                serde_json::json!({"aws:SourceIp": ["x"], "AWS:sourceip": ["y"]}),
                "twice",
            ),
            (
                "context",
                serde_json::json!({"aws:Referer": ["x".repeat(SAID_VALUE_BYTES_MAX + 1)]}),
                "longer",
            ),
            ("context", many.into(), "at most"),
            ("more", serde_json::json!(1), "unknown field"),
        ] {
            let told = with(member, value);
            assert!(told.contains(words), "{member}: {told}");
        }
    }
}

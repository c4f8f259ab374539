//! The smallest policy that covers what a principal did, and the proof that it does.
//!
//! `POST /_palisade/generate` names a user, a role or a root user of the
//! asker's own account and a time. What the journal saw of it then
//! ([`crate::seen`]) is written as a policy ([`policy::least_policy`]) and put
//! to the evaluator that decides calls, with that policy in place of the
//! principal's identity policies and everything else (boundary, policies of
//! resources and organisations) as it is now. What the evaluator would refuse
//! of it is told, and so is what needs no identity policy at all: that is left
//! out of the policy.
//!
//! Who asks must be allowed `palisade:GeneratePolicy` on the principal's ARN,
//! and the question is recorded.
//!
//! Absent by design: attaching the policy. The journal is this node's: of a
//! principal that calls several nodes, each is to be asked.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use ground::{Arn, Region};
use http::Response;
use http_body_util::Full;
use policy::{Attached, Deed, Document, DocumentKind, Holder, Who, least_policy};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use shape::OperationShape;

use crate::access::Access;
use crate::authenticate::Authenticated;
use crate::cx::{Cx, Said};
use crate::decision::Weighed;
use crate::directory::{Caller, CallerPolicies};
use crate::door::{Door, Peer};
use crate::fault::Fault;
use crate::inquiry::{enter, finish, operation, read, window};
use crate::seen::{self, Call};
use crate::what_if::{described, principal, principal_arn, region_of, service_of, spelled};

/// The action that the question needs, on the principal it is about.
const GENERATE: &str = "palisade:GeneratePolicy";

/// What records call the question.
static OPERATION: OperationShape = operation("GeneratePolicy", GENERATE, "/_palisade/generate", true);

/// Quotas of one policy document, in characters without white space.
///
/// Source: IAM User Guide, "IAM and AWS STS quotas": managed policies, and all
/// inline policies of a user.
const MANAGED_CHARACTERS_MAX: usize = 6_144;
const INLINE_CHARACTERS_MAX: usize = 2_048;

/// The question as it is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    /// ARN of a user, a role or the root user.
    principal: String,
    /// A moment in ISO 8601, or how long ago: `90d`, `12h`, `30m`.
    since: String,
    /// The same; now, if it is absent.
    #[serde(default)]
    until: Option<String>,
    /// Whether resources of one kind may become one pattern.
    #[serde(default)]
    generalize: bool,
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
    let outcome = generated(&cx, door, peer, body).await;
    finish(door, &cx, outcome).await
}

async fn generated(cx: &Cx, door: &Arc<Door>, peer: &Arc<Peer>, body: &[u8]) -> Result<Json, Fault> {
    let form = r#"{"principal": ARN, "since": TIME, "until": TIME, "generalize": false}"#;
    let sent: Sent = read(body, form)?;
    let arn = principal_arn(&sent.principal)?;
    let window = window(&sent.since, sent.until.as_deref(), cx.now())?;
    cx.state_parameters(
        json!({
            "principal": arn,
            "since": window.since.iso8601_seconds(),
            "until": window.until.iso8601_seconds(),
            "generalize": sent.generalize,
        })
        .to_string(),
    );
    let caller = Arc::new(principal(cx, door, &arn, GENERATE).await?);
    let seen = seen::by(door, &arn, &window).await?;
    let replay = Replay {
        cx,
        door,
        peer,
        caller,
    };

    let (mut needed, mut needless) = (Vec::new(), Vec::new());
    for (deed, call) in &seen.calls {
        if replay.needs_identity_policy(deed, call).await? {
            needed.push((deed, call));
        } else {
            needless.push(json!({"action": deed.action, "resource": deed.resource, "times": call.times}));
        }
    }
    let mut notes = Vec::new();
    if !seen.complete {
        notes.push(
            "the journal was not searched back to the beginning of this time: it is longer than one search goes through; \
             shorten the time with --since"
                .to_owned(),
        );
    }
    if seen.refused > 0 {
        notes.push(format!(
            "calls that were refused are not covered: {}; `palisade why REQUEST_ID` tells of them",
            seen.refused
        ));
    }
    let (mut newly_denied, mut denied_anyway) = (Vec::new(), Vec::new());
    let mut policy = Json::Null;
    if !needed.is_empty() {
        policy = least_policy(needed.iter().map(|(deed, _)| *deed), sent.generalize);
        let replaced = replay.policy(&policy)?;
        for (deed, call) in &needed {
            let (before, after) = replay.both(deed, call, &replaced).await?;
            let Some(because) = after else { continue };
            let told = json!({"action": deed.action, "resource": deed.resource, "times": call.times, "because": because});
            match before {
                None => newly_denied.push(told),
                Some(_) => denied_anyway.push(told),
            }
        }
        notes.extend(size_note(&policy.to_string()));
    } else if seen.calls.is_empty() {
        notes.push(format!(
            "the journal of this server holds no allowed call of {arn} in this time; widen it with --since"
        ));
    }
    Ok(json!({
        "policy": policy,
        "since": window.since.iso8601_seconds(),
        "until": window.until.iso8601_seconds(),
        "records": seen.records,
        "replayed": needed.len(),
        "newlyDenied": newly_denied,
        "deniedAnyway": denied_anyway,
        "needNoIdentityPolicy": needless,
        "complete": seen.complete,
        "notes": notes,
    }))
}

fn size_note(policy: &str) -> Option<String> {
    let size = Document::size_without_white_space(policy);
    if size > MANAGED_CHARACTERS_MAX {
        return Some(format!(
            "the policy has {size} characters, more than the {MANAGED_CHARACTERS_MAX} of a managed policy: try \
             --generalize, or attach its statements as several policies"
        ));
    }
    (size > INLINE_CHARACTERS_MAX).then(|| {
        format!("the policy has {size} characters: attach it as a managed policy, a user's inline policies hold {INLINE_CHARACTERS_MAX}")
    })
}

/// Puts past calls to the evaluator again.
struct Replay<'r> {
    cx: &'r Cx,
    door: &'r Arc<Door>,
    peer: &'r Arc<Peer>,
    caller: Arc<Caller>,
}

impl Replay<'_> {
    /// The call as it would be decided now.
    async fn again(&self, deed: &Deed, call: &Call) -> Result<Weighed, Fault> {
        let service = service_of(self.door, &deed.action);
        let action = match service.and_then(|service| spelled(service, &deed.action)) {
            Some(spelled) => Cow::Borrowed(spelled),
            None => Cow::Owned(deed.action.clone()),
        };
        let resource = Arn::parse(&deed.resource).ok();
        let of_resource = match &resource {
            Some(arn) => region_of(arn).ok().flatten(),
            None => None,
        };
        let region = match of_resource {
            _ if service.is_some_and(|service| service.shape().global) => Region::us_east_1(),
            Some(region) => region,
            None => call.region.clone(),
        };
        let authenticated = Authenticated {
            caller: Arc::clone(&self.caller),
            region,
        };
        let supposed = Cx::new(
            self.door,
            &OPERATION,
            &authenticated,
            self.peer,
            &Said::default(),
            self.cx.request_id(),
            self.cx.now(),
        );
        // What is gone since has no policy of its own left to weigh.
        let access = match described(&supposed, service, &action, resource.as_ref()).await {
            Ok((access, _)) => access,
            Err(_) => Access::to((), deed.resource.clone()),
        };
        supposed
            .suppose(action, access, call.said.clone())
            .await
            .map_err(|error| Fault::store("InternalFailure", &error))
    }

    /// Whether the call would be refused if the principal had no identity policies.
    async fn needs_identity_policy(&self, deed: &Deed, call: &Call) -> Result<bool, Fault> {
        let weighed = self.again(deed, call).await?;
        let bare = Arc::new(CallerPolicies {
            identity: Vec::new(),
            boundary: weighed.policies().boundary.clone(),
        });
        Ok(weighed.under(bare).denied().is_some())
    }

    /// Why the call would be refused now, and why under `replaced`; `None` if it would not.
    async fn both(
        &self,
        deed: &Deed,
        call: &Call,
        replaced: &Attached,
    ) -> Result<(Option<String>, Option<String>), Fault> {
        let told = |weighed: &Weighed| weighed.denied().map(|_| weighed.because().to_owned());
        let now = self.again(deed, call).await?;
        let before = told(&now);
        let instead = Arc::new(CallerPolicies {
            identity: vec![replaced.clone()],
            boundary: now.policies().boundary.clone(),
        });
        Ok((before, told(&now.under(instead))))
    }

    /// The generated policy as it would be attached.
    fn policy(&self, policy: &Json) -> Result<Attached, Fault> {
        let document = Document::parse(&policy.to_string(), DocumentKind::Identity)
            .map_err(|error| Fault::server("InternalFailure", &error))?;
        let holder = match self.caller.principal.who() {
            Who::User { name, .. } => Holder::User(name.as_str().into()),
            Who::AssumedRole { role_name, .. } => Holder::Role(role_name.as_str().into()),
            _ => Holder::User("root".into()),
        };
        Ok(Attached::inline("generated", holder, Arc::new(document)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_too_large_is_told() {
        assert_eq!(size_note(&"x".repeat(INLINE_CHARACTERS_MAX)), None);
        assert!(
            size_note(&"x".repeat(INLINE_CHARACTERS_MAX + 1))
                .unwrap()
                .contains("managed")
        );
        assert!(
            size_note(&"x".repeat(MANAGED_CHARACTERS_MAX + 1))
                .unwrap()
                .contains("--generalize")
        );
    }
}

//! Calls that a service makes: one that needs another calls it through the
//! door, as any client would, and never knows its code.
//!
//! [`Cx::call`] acts for the caller (AWS: a forward access session): the same
//! principal with the same policies, SCPs and session, asked again for the
//! inner operation, with `aws:ViaAWSService` and `aws:CalledVia` telling how
//! the call came. [`Cx::call_as_service`] acts for the service itself: only a
//! resource policy that names the service principal lets it in.
//!
//! Both are checked against the model, authorized and recorded as a client's
//! call is; the record is written before the answer is given. What was weighed
//! is told by `why` under the outer call's request id too.
//!
//! A handler makes such calls before it writes. If another writer comes first,
//! inside or out, the outer handler runs again and calls again, so an inner
//! call that changes something must bear being repeated.
//!
//! Absent by design: a body, a signature, a connection. Records tell the
//! service's name in their place, `aws:SourceIp` has no value, and
//! `aws:SecureTransport` is true because nothing travels.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt as _;
use ground::{AccountId, Region, id};
use policy::{Context, Principal, Who};
use shape::Operation;

use super::{Cx, Said};
use crate::authenticate::Authenticated;
use crate::decision::Weighed;
use crate::directory::{Caller, CallerPolicies};
use crate::door::Peer;
use crate::fault::{Fault, FaultKind};
use crate::limits::CALLS_DEPTH_MAX;
use crate::record;
use crate::tell::unimplemented;
use crate::within::output_of;

/// How a call came that a service made.
pub(super) struct Via {
    /// The service that made it: `ssm.amazonaws.com`.
    invoker: &'static str,
    /// Calls around this one.
    depth: usize,
    /// The services that the caller's session was forwarded through, the first
    /// one first; empty if the invoker acts for itself.
    forwarded: Vec<&'static str>,
    /// On whose behalf the invoker acts for itself.
    on_behalf: Option<OnBehalf>,
    /// The record's `userIdentity`, as JSON.
    identity: String,
}

/// For which resource of its own a service calls: `aws:SourceArn` and
/// `aws:SourceAccount`, with `aws:SourceOrgID` and `aws:SourceOrgPaths` if the
/// account is in an organisation, by which the other side is guarded against being
/// reached through the service by somebody else.
#[derive(Debug, Clone)]
pub struct OnBehalf {
    /// The resource's ARN.
    pub arn: String,
    /// The resource's account; the call acts in it.
    pub account: AccountId,
}

impl Via {
    /// Whether the invoker acts for itself, for a resource of its own.
    pub(super) fn is_on_behalf(&self) -> bool {
        self.on_behalf.is_some()
    }

    /// The condition keys that tell how the call came.
    pub(super) fn keys(&self, keys: &mut Context<'static>) {
        keys.insert("aws:securetransport", true);
        keys.insert("aws:viaawsservice", !self.forwarded.is_empty());
        if let ([first, ..], [.., last]) = (&self.forwarded[..], &self.forwarded[..]) {
            keys.insert(
                "aws:calledvia",
                self.forwarded.iter().copied().collect::<policy::Value<'static>>(),
            );
            keys.insert("aws:calledviafirst", *first);
            keys.insert("aws:calledvialast", *last);
        }
        if let Some(source) = &self.on_behalf {
            keys.insert("aws:sourcearn", source.arn.clone());
            keys.insert("aws:sourceaccount", source.account);
            let names = vec![self.invoker.into()];
            keys.insert("aws:principalservicenameslist", policy::Value::Many(names));
        }
    }
}

impl Cx {
    /// Calls another operation for the caller, who must be allowed to do it.
    ///
    /// # Errors
    ///
    /// The other operation's fault: a refusal is told in AWS's words, and the
    /// service passes it on or tells it as its own API does. A server fault if
    /// calls go deeper than [`CALLS_DEPTH_MAX`], or no record can be written.
    pub async fn call<O: Operation>(&self, input: O::Input) -> Result<O::Output, Fault> {
        let invoker = self.operation.service.event_source;
        let mut forwarded = match &self.via {
            Some(via) => via.forwarded.clone(),
            None => Vec::new(),
        };
        forwarded.push(invoker);
        let mut identity = self.caller().identity_json().to_owned();
        // A service's own identity says who invokes already.
        if !matches!(self.caller().principal.who(), Who::Service { .. }) {
            identity.pop();
            record::text_member(&mut identity, "invokedBy", invoker);
            identity.push('}');
        }
        let via = Via {
            invoker,
            depth: self.depth() + 1,
            forwarded,
            on_behalf: None,
            identity,
        };
        self.call_via::<O>(Arc::clone(self.shared_caller()), via, input)
            .await
    }

    /// Calls another operation as the service itself, for a resource of its own.
    ///
    /// # Errors
    ///
    /// As [`Cx::call`].
    pub async fn call_as_service<O: Operation>(
        &self,
        on_behalf: OnBehalf,
        input: O::Input,
    ) -> Result<O::Output, Fault> {
        let invoker = self.operation.service.event_source;
        let principal = Principal::service(invoker);
        let caller = Caller::new(principal, on_behalf.account, String::new(), None);
        let via = Via {
            invoker,
            depth: self.depth() + 1,
            forwarded: Vec::new(),
            on_behalf: Some(on_behalf),
            identity: caller.identity_json().to_owned(),
        };
        self.call_via::<O>(Arc::new(caller), via, input).await
    }

    /// `kms:ViaService`, for the services that have such a key: the name of the
    /// service that forwards the caller's session, in this region.
    pub fn via_service(&self) -> Option<String> {
        let last = self.via.as_ref()?.forwarded.last()?;
        let name = last.strip_suffix(".amazonaws.com").unwrap_or(last);
        Some(format!("{name}.{}.amazonaws.com", self.region))
    }

    /// `aws:SourceArn`: the resource for which a service makes this call of its
    /// own; `None` if nobody said.
    pub fn source_arn(&self) -> Option<&str> {
        let source = self.via.as_ref()?.on_behalf.as_ref()?;
        Some(&source.arn)
    }

    /// The service that made this call, if one did.
    pub(super) fn invoked_by(&self) -> Option<&'static str> {
        self.via.as_ref().map(|via| via.invoker)
    }

    /// The record's `userIdentity`.
    pub(super) fn identity_json(&self) -> &str {
        match &self.via {
            Some(via) => &via.identity,
            None => self.caller().identity_json(),
        }
    }

    /// What this call and those inside it weighed, the innermost last.
    pub(super) fn take_weighed(&self) -> Vec<Weighed> {
        let mut gathered = self.gathered();
        let mut weighed = std::mem::take(&mut gathered.weighed);
        weighed.append(&mut gathered.weighed_inside);
        weighed
    }

    fn depth(&self) -> usize {
        self.via.as_ref().map_or(0, |via| via.depth)
    }

    async fn call_via<O: Operation>(
        &self,
        caller: Arc<Caller>,
        via: Via,
        input: O::Input,
    ) -> Result<O::Output, Fault> {
        if via.depth > CALLS_DEPTH_MAX {
            return Err(Fault::server(
                "InternalFailure",
                "services call one another in a circle",
            ));
        }
        let cx = self.inner::<O>(caller, via);
        let outcome = match self.door.handler(O::SHAPE) {
            Some(_) if let Err(fault) = self.door.admits(&cx) => Err(fault),
            Some(handler) => {
                let run = handler.invoke_within(&cx, Box::new(input));
                AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|_| {
                    self.door.metrics.panics.inc();
                    Err(Fault::server("InternalFailure", "the handler panicked"))
                })
            }
            None => Err(unimplemented(O::SHAPE)),
        };
        if let Err(fault) = &outcome
            && fault.kind == FaultKind::Conflict
        {
            // Nothing happened, and the outer handler will ask again.
            return Err(fault.clone());
        }
        let outcome = self
            .door
            .record_within(&cx, cx.refuse_unauthorized(outcome))
            .await;
        self.gather(|gathered| {
            gathered.calls.push(cx.request_id.to_string());
            gathered.weighed_inside.append(&mut cx.take_weighed());
        });
        outcome.map(output_of::<O>).map_err(Fault::logged)
    }

    /// The context of a call inside this one.
    fn inner<O: Operation>(&self, caller: Arc<Caller>, via: Via) -> Cx {
        let authenticated = Authenticated {
            caller,
            region: if O::SHAPE.service.global {
                Region::us_east_1()
            } else {
                self.region.clone()
            },
        };
        let peer = Arc::new(Peer {
            spelled: via.invoker.to_owned(),
            ..Peer::new(self.peer.address, None)
        });
        let random = &self.door.parts.random;
        let request_id = id::uuid(random.public_bytes());
        let fresh = Cx::new(
            &self.door,
            O::SHAPE,
            &authenticated,
            &peer,
            &Said::default(),
            &request_id,
            self.now,
        );
        Cx {
            user_agent: Some(via.invoker.into()),
            // No identity policy binds a service that acts for itself.
            policies: match via.on_behalf {
                Some(_) => OnceLock::from(Arc::new(CallerPolicies::default())),
                None => OnceLock::new(),
            },
            via: Some(via),
            ..fresh
        }
    }
}

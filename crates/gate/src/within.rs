//! Calls from inside the process: one operation, on behalf of a caller that
//! the directory knows.
//!
//! Such a call is bounded by the model, authorized, written with its intent
//! and recorded like one that came over a socket; its record says so by the
//! user agent and the loopback address. Only the signature is missing: there
//! are no bytes that could have been tampered with.
//!
//! Absent by design: any way to reach this from a socket.

use std::any::Any;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use futures_util::FutureExt as _;
use ground::{Region, id};
use http::{HeaderMap, HeaderValue};
use shape::Operation;
use wire::WireFault;

use crate::authenticate::Authenticated;
use crate::cx::{Cx, Said};
use crate::directory::{CredentialFault, Presented};
use crate::door::{Door, Peer};
use crate::fault::{Fault, FaultKind};
use crate::limits::{CONFLICT_RERUNS_MAX, CONFLICTS_BEFORE_TURN};
use crate::metrics::Refusal;
use crate::tell::{unimplemented, wire_fault};

/// What records of calls from inside name as `userAgent`.
const USER_AGENT: &str = "palisade (within the process)";

impl Door {
    /// Runs the operation `O` as whoever holds the long-term access key, in
    /// `region`. `input` is asked again when another writer came first.
    ///
    /// # Errors
    ///
    /// What a client would be told, in code and message.
    pub async fn call_within<O: Operation>(
        self: &Arc<Self>,
        access_key_id: &str,
        region: &Region,
        input: impl Fn() -> O::Input,
    ) -> Result<O::Output, WireFault> {
        let outcome = self.run_within::<O>(access_key_id, region, input).await;
        outcome.map_err(|fault| wire_fault(&fault, O::SHAPE))
    }

    async fn run_within<O: Operation>(
        self: &Arc<Self>,
        access_key_id: &str,
        region: &Region,
        input: impl Fn() -> O::Input,
    ) -> Result<O::Output, Fault> {
        let now = self.parts.clock.now();
        if let Err(fault) = self.admit(now).await {
            self.metrics.refuse(Refusal::NoRecord);
            return Err(fault);
        }
        let presented = Presented {
            access_key_id,
            session_token: None,
            now,
        };
        let credential = self.parts.directory.credential(presented).get().await;
        let credential = credential.map_err(|fault| match fault {
            CredentialFault::Expired | CredentialFault::Invalid => {
                Fault::client("InvalidClientTokenId", fault)
            }
            CredentialFault::Store(error) => Fault::server("InternalFailure", error),
        })?;
        let region = if O::SHAPE.service.global {
            Region::us_east_1()
        } else {
            region.clone()
        };
        let authenticated = Authenticated {
            caller: Arc::clone(&credential.caller),
            region,
        };
        let peer = Arc::new(Peer::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None));
        let headers =
            HeaderMap::from_iter([(http::header::USER_AGENT, HeaderValue::from_static(USER_AGENT))]);
        let said = Said::in_headers(&headers);
        let request_id = id::uuid(self.parts.random.public_bytes());

        let mut rerun = 0;
        let mut turn = None;
        loop {
            let cx = Cx::new(self, O::SHAPE, &authenticated, &peer, &said, &request_id, now);
            let outcome = match self.handler(O::SHAPE) {
                Some(handler) => {
                    let run = handler.invoke_within(&cx, Box::new(input()));
                    let run = std::panic::AssertUnwindSafe(run).catch_unwind().await;
                    run.unwrap_or_else(|_| {
                        self.metrics.panics.inc();
                        Err(Fault::server("InternalFailure", "the handler panicked"))
                    })
                }
                None => Err(unimplemented(O::SHAPE)),
            };
            if let Err(fault) = &outcome
                && fault.kind == FaultKind::Conflict
                && rerun < CONFLICT_RERUNS_MAX
            {
                rerun += 1;
                self.metrics.reruns.inc();
                if rerun >= CONFLICTS_BEFORE_TURN && turn.is_none() {
                    turn = self.parts.store.turn().await;
                }
                continue;
            }
            let outcome = cx.refuse_unauthorized(outcome);
            let outcome = self.record_within(&cx, outcome).await;
            cx.keep_decisions();
            return outcome.map(output_of::<O>);
        }
    }
}

/// The typed output of an operation that was called with its types forgotten.
pub(crate) fn output_of<O: Operation>(output: Box<dyn Any + Send>) -> O::Output {
    *output
        .downcast::<O::Output>()
        .expect("an operation answers its own output")
}

//! The operator's paths, beside the AWS APIs on the same listener.
//!
//! `GET /_palisade/health` and `/_localstack/health` answer anyone, and so do
//! the issuers of tokens ([`crate::token_issuer`]). In dev,
//! `GET /_palisade/metrics`, `POST /_palisade/reset` and `POST
//! /_palisade/clock` do too; elsewhere metrics want a signature that may do
//! `palisade:GetMetrics`, and the other two do not exist. `GET
//! /_palisade/why/ID` always wants one that may do `palisade:Explain` on the
//! decision: the root user of its account may. `POST /_palisade/why` asks what
//! would be decided ([`crate::what_if`]), `POST /_palisade/generate` for the
//! smallest policy that covers what a principal did ([`crate::generate`]), `POST
//! /_palisade/usage` what an account used ([`crate::usage`]), `POST
//! /_palisade/events` what was announced ([`crate::events`]), `POST
//! /_palisade/seal/…` is about root keys ([`crate::root_keys`]), and
//! `POST /_palisade/kms/batch` makes many calls at once ([`crate::batch`]).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ground::{AccountId, Region};
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use shape::{Protocol, ServiceShape};
use wire::WireFault;
use wire::sigv4::{Claim, Manner};

use crate::access::{Access, AuthorizeError};
use crate::authenticate::{Authenticated, Refused, authenticate};
use crate::batch;
use crate::conditions;
use crate::cx::{Cx, Said};
use crate::door::{Door, Mode, Peer, Reset};
use crate::generate;
use crate::limits::WHY_JOURNAL_BYTES_MAX;
use crate::walk::request_parts;
use crate::{events, root_keys, token_issuer, usage, what_if};

/// The action that `why` needs.
pub(crate) const EXPLAIN: &str = "palisade:Explain";

/// The action that metrics need outside dev.
const GET_METRICS: &str = "palisade:GetMetrics";

/// Operator calls are signed for this service name.
pub const SIGNING_NAME: &str = "palisade";

/// The operator's paths as a service, for signatures alone: it has no operations.
pub(crate) static SHAPE: ServiceShape = ServiceShape {
    name: SIGNING_NAME,
    service_id: "Palisade",
    api_version: "2026-11-01",
    protocol: Protocol::RestJson,
    signing_name: SIGNING_NAME,
    endpoint_prefix: SIGNING_NAME,
    event_source: SIGNING_NAME,
    target_prefix: "",
    xml_namespace: "",
    global: false,
    operations: &[],
};

/// What the context of an operator's call is said to run.
static OPERATION: shape::OperationShape = shape::OperationShape {
    name: "Operator",
    action: "palisade:Operate",
    service: &SHAPE,
    method: "GET",
    uri: "/_palisade",
    status: 200,
    input: shape::StructureShape::EMPTY,
    output: shape::StructureShape::EMPTY,
    result_wrapper: "",
    errors: &[],
    read_only: true,
    unsigned: false,
};

/// A decision as a resource of policies.
pub(crate) fn decision_arn(region: &Region, account: AccountId, request_id: &str) -> String {
    ground::Arn::new(SIGNING_NAME, region, account, format!("decision/{request_id}")).to_string()
}

/// Whether the path is the operator's.
pub(crate) fn is_operators(path: &str) -> bool {
    path.starts_with("/_palisade/") || path.starts_with("/_localstack/")
}

pub(crate) async fn answer(
    door: &Arc<Door>,
    head: &http::request::Parts,
    body: &[u8],
    peer: &Arc<Peer>,
    request_id: &str,
) -> Response<Full<Bytes>> {
    let dev = door.parts.mode == Mode::Dev;
    let path = head.uri.path();
    if head.method == Method::GET
        && let Some(answer) = token_issuer::answer(door, path).await
    {
        return answer;
    }
    match (&head.method, path) {
        (&Method::GET, "/_palisade/health") => json(StatusCode::OK, &health(door)),
        (&Method::GET, "/_localstack/health" | "/_localstack/init/ready") => {
            json(StatusCode::OK, &localstack(door))
        }
        (&Method::GET, "/_palisade/metrics") if dev => metrics(door).await,
        (&Method::GET, "/_palisade/metrics") => {
            match authorize(door, head, body, peer, request_id, |cx| {
                let arn = ground::Arn::new(SIGNING_NAME, cx.region(), cx.account(), "metrics");
                Access::to((), arn.to_string()).doing(GET_METRICS)
            })
            .await
            {
                Ok(()) => metrics(door).await,
                Err(Turned::Denied(answer) | Turned::Away(answer)) => answer,
            }
        }
        (&Method::POST, "/_palisade/reset") if let Some(order) = &door.parts.reset => {
            reset(door, order).await
        }
        (&Method::POST, "/_palisade/clock") if dev => clock(door, body).await,
        (&Method::POST, path) if let Some(service) = batch::service_of(door, path) => {
            batch::answer(door, service, head, body, peer).await
        }
        (&Method::POST, "/_palisade/why") => what_if::answer(door, head, body, peer, request_id).await,
        (&Method::POST, "/_palisade/generate") => generate::answer(door, head, body, peer, request_id).await,
        (&Method::POST, "/_palisade/usage") => usage::answer(door, head, body, peer, request_id).await,
        (&Method::POST, "/_palisade/events") => events::answer(door, head, body, peer, request_id).await,
        (&Method::POST, path) if path.starts_with("/_palisade/seal/") => {
            let wanted = &path["/_palisade/seal/".len()..];
            match root_keys::answer(door, wanted, head, body, peer, request_id).await {
                Some(answer) => answer,
                None => no_such_path(),
            }
        }
        (&Method::GET, path) if path.starts_with("/_palisade/why/") => {
            let wanted = &path["/_palisade/why/".len()..];
            why(door, head, body, peer, request_id, wanted).await
        }
        _ => no_such_path(),
    }
}

fn no_such_path() -> Response<Full<Bytes>> {
    problem(
        StatusCode::NOT_FOUND,
        "NotFound",
        "there is no such path; `palisade --help` lists them",
    )
}

fn health(door: &Door) -> serde_json::Value {
    let mode = match door.parts.mode {
        Mode::Dev => "dev",
        Mode::Serve => "serve",
    };
    serde_json::json!({
        "status": "ok",
        "mode": mode,
        "version": env!("CARGO_PKG_VERSION"),
        "enforcement": "on",
        "services": door.services().iter().map(|service| service.shape().name).collect::<Vec<_>>(),
    })
}

/// The shape that tools written for LocalStack wait for.
fn localstack(door: &Door) -> serde_json::Value {
    let services: serde_json::Map<_, _> = door
        .services()
        .iter()
        .map(|service| (service.shape().name.to_owned(), "available".into()))
        .collect();
    serde_json::json!({"services": services, "edition": "palisade", "version": env!("CARGO_PKG_VERSION")})
}

async fn metrics(door: &Door) -> Response<Full<Bytes>> {
    let text = door.metrics.text() + &conditions::text(door).await;
    let mut response = Response::new(Full::new(Bytes::from(text)));
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
    );
    response
}

/// Empties every account; credentials given at start-up stay.
async fn reset(door: &Door, reset: &Reset) -> Response<Full<Bytes>> {
    match reset().await {
        Ok(()) => {
            door.decisions.clear();
            json(StatusCode::OK, &serde_json::json!({"status": "reset"}))
        }
        Err(error) => {
            tracing::error!(error, "reset failed");
            problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalFailure",
                "the store could not be emptied",
            )
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockOrder {
    advance_seconds: u64,
}

async fn clock(door: &Arc<Door>, body: &[u8]) -> Response<Full<Bytes>> {
    let Ok(order) = serde_json::from_slice::<ClockOrder>(body) else {
        return problem(
            StatusCode::BAD_REQUEST,
            "ValidationException",
            "the body must be {\"advance_seconds\": N} with a whole number of seconds",
        );
    };
    match door
        .parts
        .clock
        .advance(Duration::from_secs(order.advance_seconds))
    {
        Some(now) => {
            door.run_jobs().await;
            json(StatusCode::OK, &serde_json::json!({"now": now.iso8601()}))
        }
        None => problem(
            StatusCode::CONFLICT,
            "ClockNotVirtual",
            "the clock is the machine's; start `palisade dev --clock virtual` to move it",
        ),
    }
}

async fn why(
    door: &Arc<Door>,
    head: &http::request::Parts,
    body: &[u8],
    peer: &Arc<Peer>,
    request_id: &str,
    wanted: &str,
) -> Response<Full<Bytes>> {
    let unknown = || {
        problem(
            StatusCode::NOT_FOUND,
            "UnknownRequest",
            "no decision is known under this request id in your account, or you may not see it",
        )
    };
    let told = match door.decisions.recall(wanted) {
        Some(remembered) => {
            let decisions = serde_json::to_value(&remembered.decisions).unwrap_or_default();
            Some((remembered.account, remembered.region, decisions))
        }
        None => from_journal(door, wanted),
    };
    // Whether or not the id is known the caller must have signed; whoever may
    // not see a decision is told the same as if there were none.
    let asked = |cx: &Cx| {
        let (account, region) = match &told {
            Some((account, region, _)) => (*account, region.clone()),
            None => (cx.account(), cx.region().clone()),
        };
        Access::to((), decision_arn(&region, account, wanted))
            .owned_by(account)
            .doing(EXPLAIN)
    };
    match authorize(door, head, body, peer, request_id, asked).await {
        Ok(()) => {}
        Err(Turned::Denied(_)) => return unknown(),
        Err(Turned::Away(answer)) => return answer,
    }
    match told {
        Some((_, _, decisions)) => json(
            StatusCode::OK,
            &serde_json::json!({"requestId": wanted, "decisions": decisions}),
        ),
        None => unknown(),
    }
}

/// What the journal keeps of an older call's decisions.
fn from_journal(door: &Door, wanted: &str) -> Option<(AccountId, Region, serde_json::Value)> {
    let entries = door.parts.journal.newest_first(WHY_JOURNAL_BYTES_MAX).ok()?;
    for entry in entries {
        let Ok(entry) = entry else { break };
        if !contains(&entry.record, wanted.as_bytes()) {
            continue;
        }
        let Ok(read) = serde_json::from_slice::<serde_json::Value>(&entry.record) else {
            continue;
        };
        // The copy of a foreign resource's owner tells only the owner's side.
        if read["requestID"] != wanted || read["userIdentity"]["type"] == "AWSAccount" {
            continue;
        }
        let account = AccountId::parse(read["recipientAccountId"].as_str()?).ok()?;
        let region = Region::parse(read["awsRegion"].as_str()?).ok()?;
        let mut decisions = read["palisade"]["decisions"].clone();
        if let (Some(list), Some(caller)) = (decisions.as_array_mut(), read["userIdentity"]["arn"].as_str()) {
            for decision in list {
                decision["caller"] = caller.into();
            }
        }
        return Some((account, region, decisions));
    }
    None
}

pub(crate) fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && haystack.windows(needle.len()).any(|window| window == needle)
}

/// An operator's call that does not go on.
enum Turned {
    /// A policy refuses.
    Denied(Response<Full<Bytes>>),
    /// It was not believed, or could not be judged.
    Away(Response<Full<Bytes>>),
}

/// Authenticates an operator's call and gives its context, or the answer to
/// whoever is not believed.
pub(crate) async fn enter(
    door: &Arc<Door>,
    operation: &'static shape::OperationShape,
    head: &http::request::Parts,
    body: &[u8],
    peer: &Arc<Peer>,
    request_id: &str,
) -> Result<Cx, Response<Full<Bytes>>> {
    let authenticated = believe(door, &SHAPE, Some(operation.action), head, body).await?;
    let (headers, now) = (&head.headers, door.parts.clock.now());
    Ok(Cx::new(
        door,
        operation,
        &authenticated,
        peer,
        &Said::in_headers(headers),
        request_id,
        now,
    ))
}

/// Who signed a request to `service` on one of these paths, or the answer to
/// whoever is not believed. `action` is `None` if it is for several.
pub(crate) async fn believe(
    door: &Arc<Door>,
    service: &'static ServiceShape,
    action: Option<&'static str>,
    head: &http::request::Parts,
    body: &[u8],
) -> Result<Authenticated, Response<Full<Bytes>>> {
    let now = door.parts.clock.now();
    let parts = request_parts(head);
    let authenticated: Result<Authenticated, Refused> = match Claim::parse(&parts) {
        Ok(claim) => {
            authenticate(
                door.parts.directory.as_ref(),
                &claim,
                &parts,
                body,
                (service, action),
                &door.parts.home,
                (now, &door.parts.clock),
            )
            .await
        }
        Err(fault) => Err(fault.into()),
    };
    authenticated.map_err(|refused| match refused {
        Refused::Signature(fault) => {
            let (status, code, message) = fault.code_and_message(Manner::RestJson, now);
            problem(
                StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN),
                code,
                &message,
            )
        }
        Refused::Credential(fault) => problem(
            StatusCode::FORBIDDEN,
            "UnrecognizedClientException",
            &fault.to_string(),
        ),
    })
}

/// Authenticates and authorizes an operator's call.
async fn authorize(
    door: &Arc<Door>,
    head: &http::request::Parts,
    body: &[u8],
    peer: &Arc<Peer>,
    request_id: &str,
    ask: impl FnOnce(&Cx) -> Access<()>,
) -> Result<(), Turned> {
    let cx = enter(door, &OPERATION, head, body, peer, request_id)
        .await
        .map_err(Turned::Away)?;
    match cx.authorize(ask(&cx)).await {
        Ok(_) => Ok(()),
        Err(AuthorizeError::Denied(denied)) => {
            let answer = problem(
                StatusCode::FORBIDDEN,
                "AccessDeniedException",
                &denied.to_string(),
            );
            Err(Turned::Denied(answer))
        }
        Err(AuthorizeError::Store(error)) => {
            tracing::error!(request_id, %error, "the caller's policies cannot be read");
            let told = "an internal error occurred";
            Err(Turned::Away(problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalFailure",
                told,
            )))
        }
    }
}

pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    response
}

/// A body that was not taken.
pub(crate) fn problem_of(fault: &WireFault) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::BAD_REQUEST);
    problem(status, &fault.code, fault.message.as_deref().unwrap_or_default())
}

pub(crate) fn problem(status: StatusCode, code: &str, message: &str) -> Response<Full<Bytes>> {
    json(
        status,
        &serde_json::json!({"error": {"code": code, "message": message}}),
    )
}

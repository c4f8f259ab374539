//! What an account asked of a service and held there, as the journal and the
//! store know it: what a bill would be made of.
//!
//! `POST /_palisade/usage` names a service that meters itself ([`Meter`]) and a
//! time. Calls are counted by operation, principal, the service that made them
//! for it, region and class; of what was held, hours are. Prices are the
//! asker's business.
//!
//! A call counts for the account that made it, whoever owns what it touched;
//! calls that were refused or failed are told apart. Who asks must be allowed
//! `palisade:GetUsage` on `arn:aws:palisade:REGION:ACCOUNT:usage/SERVICE`, and
//! the question is recorded.
//!
//! Absent by design: other accounts' usage, and that of other nodes, whose
//! journals are theirs. Things held in regions where nothing was called in the
//! time asked for are not looked for, but for the region of the question.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ground::{AccountId, Arn, Region, Timestamp};
use http::Response;
use http_body_util::Full;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use shape::OperationShape;

use crate::access::Access;
use crate::authenticate::Authenticated;
use crate::cx::{Cx, Said};
use crate::door::{Door, Peer};
use crate::fault::Fault;
use crate::inquiry::{bad, enter, finish, operation, permitted, read, window};
use crate::limits::USAGE_ROWS_MAX;
use crate::operator;
use crate::seen::{self, Window};

/// The action that the question needs.
const GET_USAGE: &str = "palisade:GetUsage";

/// What records call the question.
static OPERATION: OperationShape = operation("GetUsage", GET_USAGE, "/_palisade/usage", true);

/// How a service meters itself.
pub struct Meter {
    /// What a call counts as.
    pub count: fn(&Called<'_>) -> Counted,
    /// The same of a call whose resource decides, by that resource's ARN.
    pub class: for<'a> fn(&'a Cx, &'a Arn) -> BoxFuture<'a, Result<&'static str, Fault>>,
    /// What the caller's account holds in the context's region.
    pub held: for<'a> fn(&'a Cx) -> Holding<'a>,
    /// Operations that begin to hold something, and that end it.
    pub begins: &'static [&'static str],
    /// See [`Meter::begins`].
    pub ends: &'static [&'static str],
}

/// What will be told of things held.
pub type Holding<'a> = BoxFuture<'a, Result<Vec<Held>, Fault>>;

/// A call as its record tells it.
pub struct Called<'a> {
    /// Its operation.
    pub operation: &'a str,
    /// Its `requestParameters`.
    pub parameters: &'a Json,
    /// The ARN of the first resource it touched.
    pub resource: Option<&'a str>,
}

/// What a call counts as.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// This class.
    As(&'static str),
    /// Whatever the resource of this ARN is.
    By(String),
}

/// Something an account holds.
pub struct Held {
    /// Its ARN.
    pub arn: String,
    /// What it counts as.
    pub class: &'static str,
    /// When each of the units began that it counts for.
    pub units: Vec<Timestamp>,
    /// Whether it counts now: what is to be deleted may not.
    pub counts: bool,
}

/// The question as it is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    /// `kms`
    service: String,
    /// A moment in ISO 8601, or how long ago: `30d`, `12h`.
    since: String,
    /// The same; now, if it is absent.
    #[serde(default)]
    until: Option<String>,
    /// The caller's own, if it is absent.
    #[serde(default)]
    account: Option<String>,
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
    let outcome = used(&cx, door, peer, body).await;
    finish(door, &cx, outcome).await
}

async fn used(cx: &Cx, door: &Arc<Door>, peer: &Arc<Peer>, body: &[u8]) -> Result<Json, Fault> {
    let form = r#"{"service": "kms", "since": TIME, "until": TIME, "account": ID}"#;
    let sent: Sent = read(body, form)?;
    let account = match &sent.account {
        Some(text) => AccountId::parse(text).map_err(|error| bad(format!("account: {error}")))?,
        None => cx.account(),
    };
    let window = window(&sent.since, sent.until.as_deref(), cx.now())?;
    let mut services = door.services().iter();
    let metered = services.find_map(|service| {
        let meter = service
            .meter
            .as_ref()
            .filter(|_| service.shape().name == sent.service);
        meter.map(|meter| (service.shape(), meter))
    });
    let Some((service, meter)) = metered else {
        return Err(bad("service must be one that is metered: kms"));
    };
    cx.state_parameters(
        json!({
            "service": service.name,
            "account": account.to_string(),
            "since": window.since.iso8601_seconds(),
            "until": window.until.iso8601_seconds(),
        })
        .to_string(),
    );
    let arn = Arn::new(
        operator::SIGNING_NAME,
        cx.region(),
        account,
        format!("usage/{}", service.name),
    );
    let access = Access::to((), arn.to_string()).owned_by(account).doing(GET_USAGE);
    permitted(cx, access).await?;

    let mut tally = Tally::default();
    let complete = seen::each(door, &window, service.event_source.as_bytes(), |record, time| {
        tally.add(meter, service.event_source, account, &record, time)
    })
    .await?;
    let calls = calls(cx, meter, &tally).await?;
    let (held, looked_at) = held(cx, door, peer, meter, &tally, &window).await?;
    let mut notes = vec![format!(
        "things are counted that are in {}",
        looked_at
            .iter()
            .map(Region::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    )];
    if !complete {
        notes.push(
            "the journal was not searched back to the beginning of this time: it is longer than one search goes through; \
             shorten the time with --since"
                .to_owned(),
        );
    }
    Ok(json!({
        "service": service.name,
        "account": account.to_string(),
        "since": window.since.iso8601_seconds(),
        "until": window.until.iso8601_seconds(),
        "hours": hours(window.since, window.until),
        "records": tally.records,
        "complete": complete,
        "calls": calls,
        "held": held,
        "notes": notes,
    }))
}

/// What was counted.
#[derive(Default)]
struct Tally {
    rows: BTreeMap<Row, Times>,
    records: u64,
    /// When things began to be held in this time, and when that ended.
    begun: BTreeMap<String, Timestamp>,
    ended: BTreeMap<String, Timestamp>,
}

/// Calls that are alike.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    region: String,
    operation: String,
    principal: String,
    /// The service that called for the principal.
    via: Option<String>,
    counted: Counted,
}

/// How many there were.
#[derive(Default)]
struct Times {
    calls: u64,
    refused: u64,
}

impl Tally {
    fn add(
        &mut self,
        meter: &Meter,
        source: &str,
        account: AccountId,
        record: &Json,
        time: Timestamp,
    ) -> Result<(), Fault> {
        let identity = &record["userIdentity"];
        // The copy of a foreign owner is told as of `AWSAccount`: who called, pays.
        let is_ours = record["eventSource"] == source
            && record["eventType"] == "AwsApiCall"
            && record["recipientAccountId"] == account.to_string()
            && identity["type"] != "AWSAccount";
        let (true, Some(operation), Some(region)) = (
            is_ours,
            record["eventName"].as_str(),
            record["awsRegion"].as_str(),
        ) else {
            return Ok(());
        };
        self.records += 1;
        let resource = record["resources"][0]["ARN"].as_str();
        let called = Called {
            operation,
            parameters: &record["requestParameters"],
            resource,
        };
        let row = Row {
            region: region.to_owned(),
            operation: operation.to_owned(),
            principal: principal(identity).to_owned(),
            via: identity["invokedBy"].as_str().map(str::to_owned),
            counted: (meter.count)(&called),
        };
        let times = self.rows.entry(row).or_default();
        if record["errorCode"].is_string() {
            times.refused += 1;
        } else {
            times.calls += 1;
            // What is made is listed last.
            let made = record["resources"]
                .as_array()
                .and_then(|all| all.last()?["ARN"].as_str());
            if let Some(arn) = resource.filter(|_| meter.ends.contains(&operation)) {
                // The journal is read from its end.
                self.ended.entry(arn.to_owned()).or_insert(time);
            }
            if let Some(arn) = made.filter(|_| meter.begins.contains(&operation)) {
                self.begun.insert(arn.to_owned(), time);
            }
        }
        if self.rows.len() + self.begun.len() + self.ended.len() > USAGE_ROWS_MAX {
            return Err(bad(format!(
                "there are more than {USAGE_ROWS_MAX} different kinds of calls in this time; shorten it with --since and --until"
            )));
        }
        Ok(())
    }
}

/// Who called, without the name of a session.
fn principal(identity: &Json) -> &str {
    let issuer = identity["sessionContext"]["sessionIssuer"]["arn"].as_str();
    let own = identity["arn"].as_str().or(identity["invokedBy"].as_str());
    issuer.or(own).unwrap_or("unknown")
}

/// The rows as they are told: those that turn out to be alike together.
async fn calls(cx: &Cx, meter: &Meter, tally: &Tally) -> Result<Vec<Json>, Fault> {
    let mut classes: BTreeMap<&str, &'static str> = BTreeMap::new();
    let mut rows: BTreeMap<(&str, &str, &str, &str, Option<&str>), Times> = BTreeMap::new();
    for (row, times) in &tally.rows {
        let class = match &row.counted {
            Counted::As(class) => class,
            Counted::By(arn) => match classes.get(arn.as_str()) {
                Some(class) => class,
                None => {
                    let parsed = Arn::parse(arn).map_err(|error| Fault::server("InternalFailure", error))?;
                    let class = (meter.class)(cx, &parsed).await?;
                    classes.insert(arn, class);
                    class
                }
            },
        };
        let alike = (
            class,
            row.region.as_str(),
            row.operation.as_str(),
            row.principal.as_str(),
            row.via.as_deref(),
        );
        let sum = rows.entry(alike).or_default();
        sum.calls += times.calls;
        sum.refused += times.refused;
    }
    let told = rows
        .into_iter()
        .map(|((class, region, operation, principal, via), times)| {
            json!({
                "class": class, "region": region, "operation": operation, "principal": principal, "via": via,
                "calls": times.calls, "refused": times.refused,
            })
        });
    Ok(told.collect())
}

/// What was held, by region and class, and where it was looked for.
async fn held(
    cx: &Cx,
    door: &Arc<Door>,
    peer: &Arc<Peer>,
    meter: &Meter,
    tally: &Tally,
    window: &Window,
) -> Result<(Vec<Json>, BTreeSet<Region>), Fault> {
    let named = tally
        .rows
        .keys()
        .filter_map(|row| Region::parse(&row.region).ok());
    let regions: BTreeSet<Region> = named.chain([cx.region().clone()]).collect();
    let mut sums: BTreeMap<(String, &'static str), (u64, f64)> = BTreeMap::new();
    let mut here = BTreeSet::new();
    for region in &regions {
        let authenticated = Authenticated {
            caller: Arc::clone(cx.shared_caller()),
            region: region.clone(),
        };
        let there = Cx::new(
            door,
            &OPERATION,
            &authenticated,
            peer,
            &Said::default(),
            cx.request_id(),
            cx.now(),
        );
        for thing in (meter.held)(&there).await? {
            let end = match (thing.counts, tally.ended.get(&thing.arn)) {
                (true, _) => window.until,
                (false, Some(ended)) => (*ended).min(window.until),
                // It ended before this time.
                (false, None) => window.since,
            };
            let units = thing
                .units
                .iter()
                .map(|begun| hours((*begun).max(window.since), end));
            let sum = sums.entry((region.to_string(), thing.class)).or_default();
            sum.0 += 1;
            sum.1 += units.sum::<f64>();
            here.insert(thing.arn);
        }
    }
    // What is gone was held until its end was asked for.
    for (arn, ended) in tally.ended.iter().filter(|(arn, _)| !here.contains(*arn)) {
        let region = Arn::parse(arn).map(|arn| arn.region).unwrap_or_default();
        let begun = tally.begun.get(arn).copied().unwrap_or(window.since);
        let sum = sums.entry((region, "gone")).or_default();
        sum.0 += 1;
        sum.1 += hours(begun.max(window.since), (*ended).min(window.until));
    }
    let told = sums.into_iter().map(|((region, class), (count, hours))| {
        json!({"region": region, "class": class, "count": count, "unitHours": hours})
    });
    Ok((told.collect(), regions))
}

/// Hours from one moment to another; none if that is before.
fn hours(from: Timestamp, until: Timestamp) -> f64 {
    until.since(from).as_secs_f64() / 3_600.0
}

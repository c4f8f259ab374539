//! What a principal did, as the journal saw it.
//!
//! The journal is read from its newest record backwards, one record at a time;
//! what is kept is one [`Call`] for each thing that was done, with the newest
//! way in which it was. So memory is bounded by the different calls, not by
//! the journal.
//!
//! A call counts if every permission it needed was given. Of a call that a
//! service made for the principal, the service's own record tells; what the
//! outer record repeats of it is passed over.
//!
//! Absent by design: calls that were refused. That something was tried is no
//! reason to allow it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ground::{Arn, Region, Timestamp};
use policy::{Context, Deed, Fulfilled, Value};
use serde_json::Value as Json;

use crate::door::Door;
use crate::fault::Fault;
use crate::inquiry::bad;
use crate::limits::{DEEDS_MAX, GENERATE_JOURNAL_BYTES_MAX, RECORDS_PER_TURN};
use crate::operator::contains;
use crate::what_if::service_of;

/// How far a record may stand from where its time belongs, in seconds: it is
/// appended when the call ends, and what a node left behind is later still.
const DISORDER_SECONDS: i64 = 3_600;

/// Which part of the journal is meant.
pub(crate) struct Window {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
}

/// How a deed was done last.
pub(crate) struct Call {
    pub(crate) region: Region,
    /// What was known of the request.
    pub(crate) said: Context<'static>,
    /// In how many records it is.
    pub(crate) times: u64,
}

/// What the journal saw.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) calls: BTreeMap<Deed, Call>,
    /// Records of the principal in the window, those of refused calls too.
    pub(crate) records: u64,
    /// Among them, those that refused something.
    pub(crate) refused: u64,
    /// Whether the whole window was searched.
    pub(crate) complete: bool,
}

/// Everything `principal` did in `window` and was allowed to.
///
/// # Errors
///
/// A client's fault if there are more than [`DEEDS_MAX`] different calls; a
/// server's if the journal cannot be read.
pub(crate) async fn by(door: &Door, principal: &Arn, window: &Window) -> Result<Seen, Fault> {
    let arn = principal.to_string();
    let mut seen = Seen::default();
    let complete = each(door, window, arn.as_bytes(), |record, time| {
        if is_by(&record, &arn) {
            seen.add(door, &record, time);
        }
        if seen.calls.len() > DEEDS_MAX {
            return Err(bad(format!(
                "{arn} did more than {DEEDS_MAX} different things in this time; shorten it with --since and --until"
            )));
        }
        Ok(())
    })
    .await?;
    seen.complete = complete;
    Ok(seen)
}

/// Reads the records of `window` that contain `wanted`, the newest first, and
/// tells whether the whole window was searched.
///
/// # Errors
///
/// Those of `read`; a server's fault if the journal cannot be read.
pub(crate) async fn each(
    door: &Door,
    window: &Window,
    wanted: &[u8],
    mut read: impl FnMut(Json, Timestamp) -> Result<(), Fault>,
) -> Result<bool, Fault> {
    let unreadable = |error: &dyn std::fmt::Display| Fault::server("InternalFailure", error);
    let entries = door
        .parts
        .journal
        .newest_first(GENERATE_JOURNAL_BYTES_MAX)
        .map_err(|error| unreadable(&error))?;
    let mut oldest = 0;
    for (number, entry) in entries.enumerate() {
        if number % RECORDS_PER_TURN == RECORDS_PER_TURN - 1 {
            tokio::task::yield_now().await;
        }
        let entry = entry.map_err(|error| unreadable(&error))?;
        oldest = entry.position.0;
        let Some(time) = time_of(&entry.record) else {
            continue;
        };
        if time.seconds() + DISORDER_SECONDS < window.since.seconds() {
            return Ok(true);
        }
        if time < window.since || window.until < time || !contains(&entry.record, wanted) {
            continue;
        }
        // What is not JSON was not written by us, and `verify` tells of it.
        let Ok(record) = serde_json::from_slice::<Json>(&entry.record) else {
            continue;
        };
        read(record, time)?;
    }
    // The journal's first record is its first.
    Ok(oldest <= 1)
}

/// When the call of a record began. The first member of this name is the
/// record's own: before it there is only `userIdentity`, which has none.
fn time_of(record: &[u8]) -> Option<Timestamp> {
    const MEMBER: &[u8] = b"\"eventTime\":\"";
    let at = record.windows(MEMBER.len()).position(|window| window == MEMBER)?;
    let text = record[at + MEMBER.len()..].split(|byte| *byte == b'"').next()?;
    Timestamp::parse_iso8601(std::str::from_utf8(text).ok()?).ok()
}

/// Whether the principal itself called, or a session of it.
fn is_by(record: &Json, arn: &str) -> bool {
    let identity = &record["userIdentity"];
    match identity["type"].as_str() {
        Some("Root" | "IAMUser") => {
            identity["arn"] == arn || identity["sessionContext"]["sessionIssuer"]["arn"] == arn
        }
        Some("AssumedRole") => identity["sessionContext"]["sessionIssuer"]["arn"] == arn,
        _ => false,
    }
}

impl Seen {
    fn add(&mut self, door: &Door, record: &Json, time: Timestamp) {
        let Some(decisions) = record["palisade"]["decisions"].as_array() else {
            return;
        };
        self.records += 1;
        if decisions.iter().any(|decision| decision["allowed"] != true) {
            self.refused += 1;
            return;
        }
        let Some(region) = record["awsRegion"]
            .as_str()
            .and_then(|text| Region::parse(text).ok())
        else {
            return;
        };
        let has_calls = record["palisade"]["calls"].is_array();
        for decision in decisions {
            let (Some(action), Some(resource)) = (decision["action"].as_str(), decision["resource"].as_str())
            else {
                continue;
            };
            let service = service_of(door, action);
            let of_inner_call = has_calls
                && service.is_some_and(|service| record["eventSource"] != service.shape().event_source);
            if of_inner_call {
                continue;
            }
            let is_global = service.is_some_and(|service| service.shape().global);
            let way = Way::of(record, action, &region);
            let deed = Deed {
                action: action.to_owned(),
                resource: resource.to_owned(),
                conditions: way.conditions(resource, &region, is_global),
            };
            match self.calls.entry(deed) {
                Entry::Occupied(mut known) => known.get_mut().times += 1,
                Entry::Vacant(new) => {
                    new.insert(Call {
                        region: region.clone(),
                        said: way.said(record, time),
                        times: 1,
                    });
                }
            }
        }
    }
}

/// How a call was made, as far as the record tells and a policy can demand.
struct Way {
    /// `kms:EncryptionContext:…`
    encryption_context: BTreeMap<String, String>,
    /// The service that called for the principal: `ssm.amazonaws.com`.
    invoked_by: Option<String>,
    /// `kms:ViaService`
    via_service: Option<String>,
}

impl Way {
    fn of(record: &Json, action: &str, region: &Region) -> Way {
        let of_kms = action.starts_with("kms:");
        let context = match action {
            "kms:ReEncryptFrom" => "sourceEncryptionContext",
            "kms:ReEncryptTo" => "destinationEncryptionContext",
            _ => "encryptionContext",
        };
        let pairs = record["requestParameters"][context]
            .as_object()
            .filter(|_| of_kms);
        let encryption_context = pairs
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect();
        let invoked_by = record["userIdentity"]["invokedBy"].as_str().map(str::to_owned);
        let via_service = invoked_by.as_ref().filter(|_| of_kms).map(|service| {
            let name = service.strip_suffix(".amazonaws.com").unwrap_or(service);
            format!("{name}.{region}.amazonaws.com")
        });
        Way {
            encryption_context,
            invoked_by,
            via_service,
        }
    }

    /// What a policy is to demand.
    fn conditions(&self, resource: &str, region: &Region, is_global: bool) -> Fulfilled {
        let mut conditions = Fulfilled::new();
        let mut demand = |operator, key: String, value: &str| {
            let values = conditions.entry((operator, key)).or_default();
            values.insert(value.to_owned());
        };
        for (name, value) in &self.encryption_context {
            demand("StringEquals", format!("kms:EncryptionContext:{name}"), value);
            demand(
                "ForAllValues:StringEquals",
                "kms:EncryptionContextKeys".to_owned(),
                name,
            );
        }
        match (&self.via_service, &self.invoked_by) {
            (Some(via), _) => demand("StringEquals", "kms:ViaService".to_owned(), via),
            (None, Some(service)) => demand("StringEquals", "aws:CalledViaLast".to_owned(), service),
            (None, None) => {}
        }
        // An ARN tells the region; a lone star does not.
        if resource == "*" && !is_global {
            demand("StringEquals", "aws:RequestedRegion".to_owned(), region.as_str());
        }
        conditions
    }

    /// Everything that was known of the request and the record still tells.
    fn said(&self, record: &Json, time: Timestamp) -> Context<'static> {
        let mut said = Context::new();
        said.insert("aws:currenttime", time).insert("aws:epochtime", time);
        let names: Value<'static> = self.encryption_context.keys().cloned().collect();
        if !self.encryption_context.is_empty() {
            said.insert("kms:encryptioncontextkeys", names);
        }
        for (name, value) in &self.encryption_context {
            said.insert(format!("kms:encryptioncontext:{name}"), value.clone());
        }
        said.insert_if_known("kms:viaservice", self.via_service.clone());
        said.insert("aws:viaawsservice", self.invoked_by.is_some());
        match &self.invoked_by {
            Some(service) => {
                said.insert("aws:securetransport", true)
                    .insert(
                        "aws:calledvia",
                        [service.clone()].into_iter().collect::<Value<'static>>(),
                    )
                    .insert("aws:calledviafirst", service.clone())
                    .insert("aws:calledvialast", service.clone());
            }
            None => {
                let address = record["sourceIPAddress"]
                    .as_str()
                    .and_then(|text| text.parse().ok());
                said.insert_if_known("aws:sourceip", address.map(Value::Ip));
                said.insert("aws:securetransport", record["tlsDetails"].is_object());
            }
        }
        said.insert_if_known("aws:useragent", record["userAgent"].as_str().map(str::to_owned));
        let factor = &record["userIdentity"]["sessionContext"]["attributes"]["mfaAuthenticated"];
        said.insert_if_known(
            "aws:multifactorauthpresent",
            factor.as_str().map(|text| text == "true"),
        );
        said
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_time_of_a_record_is_its_own() {
        let record =
            json!({"userIdentity": {"userName": "\"eventTime\":\"x"}, "eventTime": "2026-01-02T03:04:05Z"});
        let text = record.to_string();
        // serde_json sorts members; the door writes them in this order.
        let text = format!("{{\"userIdentity\":{},{}", record["userIdentity"], &text[1..]);
        assert_eq!(
            time_of(text.as_bytes()),
            Timestamp::parse_iso8601("2026-01-02T03:04:05Z").ok()
        );
        assert_eq!(time_of(b"{}"), None);
    }

    #[test]
    fn sessions_belong_to_their_role_and_copies_to_nobody() {
        let role = "arn:aws:iam::111122223333:role/r";
        let session = json!({"userIdentity": {"type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/r/s",
            "sessionContext": {"sessionIssuer": {"arn": role}}}});
        assert!(is_by(&session, role));
        assert!(!is_by(&session, "arn:aws:iam::111122223333:role/other"));
        assert!(!is_by(
            &json!({"userIdentity": {"type": "AWSAccount", "arn": role}}),
            role
        ));
        assert!(is_by(
            &json!({"userIdentity": {"type": "IAMUser", "arn": "a"}}),
            "a"
        ));
    }

    #[test]
    fn encryption_contexts_services_and_regions_become_conditions() {
        let record = json!({
            "userIdentity": {"type": "IAMUser", "invokedBy": "ssm.amazonaws.com"},
            "requestParameters": {"encryptionContext": {"team": "red"}, "sourceEncryptionContext": {"a": "b"}},
        });
        let region = Region::parse("eu-west-1").unwrap();
        let keys = |action: &str, resource: &str| -> Vec<String> {
            let way = Way::of(&record, action, &region);
            way.conditions(resource, &region, false)
                .into_keys()
                .map(|(_, key)| key)
                .collect()
        };
        assert_eq!(
            keys("kms:Decrypt", "arn:aws:kms:eu-west-1:1:key/1"),
            [
                "kms:EncryptionContextKeys",
                "kms:EncryptionContext:team",
                "kms:ViaService"
            ]
        );
        assert_eq!(
            keys("kms:ReEncryptFrom", "arn:aws:kms:eu-west-1:1:key/1"),
            [
                "kms:EncryptionContextKeys",
                "kms:EncryptionContext:a",
                "kms:ViaService"
            ]
        );
        assert_eq!(
            keys("ssm:GetParameter", "*"),
            ["aws:CalledViaLast", "aws:RequestedRegion"]
        );
    }
}

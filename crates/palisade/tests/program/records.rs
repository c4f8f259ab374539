//! The record of a call: there is one, it says what was, and only one.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use serde_json::{Value, json};
use shape::{Kind, OperationShape};
use testkit::client::Answer;

use crate::world::{AWAY, Actor, HOME, copy_directory, full_name};

/// A call that was authenticated.
pub(crate) struct Sent {
    pub(crate) operation: &'static OperationShape,
    pub(crate) actor: Actor,
    pub(crate) region: String,
    pub(crate) input: Value,
    pub(crate) answer: Answer,
}

/// What a journal holds, oldest first. The directory is left as it is.
pub(crate) fn of(directory: &Path) -> Vec<Value> {
    let copy = tempfile::tempdir().unwrap();
    copy_directory(directory, copy.path());
    let config = journal::Config {
        durable: false,
        ..journal::Config::new(copy.path())
    };
    let (journal, _) = journal::Journal::open(config).unwrap();
    let mut records: Vec<Value> = journal
        .newest_first(1 << 30)
        .unwrap()
        .map(|entry| serde_json::from_slice(&entry.unwrap().record).unwrap())
        .collect();
    records.reverse();
    records
}

/// Every call has exactly one record in its caller's account, and one in each
/// other account whose policies it was put to; and they are right.
pub(crate) fn check(sent: &[Sent], records: &[Value]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut by_request: HashMap<&str, Vec<&Value>> = HashMap::new();
    let mut event_ids: HashMap<&str, usize> = HashMap::new();
    for record in records {
        if let Some(id) = record["requestID"].as_str() {
            by_request.entry(id).or_default().push(record);
        }
        *event_ids
            .entry(record["eventID"].as_str().unwrap_or_default())
            .or_default() += 1;
    }
    problems.extend(
        event_ids
            .iter()
            .filter(|(_, count)| **count > 1)
            .map(|(id, count)| format!("event id {id} is in {count} records")),
    );
    let accounts = existing_accounts(sent);
    for sent in sent {
        let what = format!(
            "{} by {} answered {} {}",
            full_name(sent.operation),
            sent.actor.name,
            sent.answer.status,
            sent.answer.code()
        );
        let found = by_request.get(sent.answer.request_id().as_str());
        let (own, copies): (Vec<&Value>, Vec<&Value>) = found
            .into_iter()
            .flatten()
            .partition(|record| record["recipientAccountId"] == sent.actor.account);
        match &own[..] {
            [] => problems.push(format!("{what}: no record")),
            [record] => {
                problems.extend(differences(sent, record).map(|found| format!("{what}: {found}")));
                problems.extend(
                    wrong_copies(sent, record, &copies, &accounts)
                        .into_iter()
                        .map(|found| format!("{what}: {found}")),
                );
            }
            several => problems.push(format!("{what}: {} records", several.len())),
        }
    }
    problems
}

/// The accounts that there are: the two that call, and those that they had made.
fn existing_accounts(sent: &[Sent]) -> BTreeSet<String> {
    let told = sent
        .iter()
        .filter(|sent| full_name(sent.operation) == "organizations:DescribeCreateAccountStatus");
    let made = told.filter(|sent| sent.answer.status == 200).filter_map(|sent| {
        let account = sent.answer.json()["CreateAccountStatus"]["AccountId"].clone();
        account.as_str().map(str::to_owned)
    });
    made.chain([HOME.to_owned(), AWAY.to_owned()]).collect()
}

/// The accounts whose policies a call was put to have a copy each, and nobody else.
fn wrong_copies(sent: &Sent, own: &Value, copies: &[&Value], accounts: &BTreeSet<String>) -> Vec<String> {
    let mut expected = BTreeSet::new();
    for decision in own["palisade"]["decisions"].as_array().into_iter().flatten() {
        let resource = decision["resource"].as_str().unwrap_or_default();
        let owner = resource.split(':').nth(4).unwrap_or_default();
        // IAM looks for what is named in the caller's account alone, whatever ARN it is given,
        // and no policy of an organisation's account is asked about its invitations.
        let asks_owners = !["iam", "organizations"].contains(&sent.operation.service.name);
        let elsewhere = asks_owners && own["recipientAccountId"] != owner;
        let asked =
            decision["allowed"] == true || decision["because"] == "denied by the owner of the resource";
        if asked && elsewhere && accounts.contains(owner) {
            expected.insert(owner);
        }
    }
    let recipients: BTreeSet<&str> = copies
        .iter()
        .filter_map(|copy| copy["recipientAccountId"].as_str())
        .collect();
    let mut found = Vec::new();
    if recipients != expected || copies.len() != expected.len() {
        found.push(format!("copies for {recipients:?}, not {expected:?}"));
    }
    if copies.is_empty() != own["sharedEventID"].is_null() {
        found.push(format!("sharedEventID is {}", own["sharedEventID"]));
    }
    let caller = &own["userIdentity"];
    let foreign =
        json!({"type": "AWSAccount", "principalId": caller["principalId"], "accountId": caller["accountId"]});
    for copy in copies {
        for same in [
            "sharedEventID",
            "eventName",
            "errorCode",
            "requestParameters",
            "responseElements",
        ] {
            if copy[same] != own[same] {
                found.push(format!("the copy's {same} is {}, not {}", copy[same], own[same]));
            }
        }
        if copy["userIdentity"] != foreign {
            found.push(format!("the copy's userIdentity is {}", copy["userIdentity"]));
        }
        if copy.to_string().contains("\"trace\"") {
            found.push(format!(
                "the copy tells the caller's policies: {}",
                copy["palisade"]
            ));
        }
    }
    found
}

fn differences(sent: &Sent, record: &Value) -> impl Iterator<Item = String> {
    let operation = sent.operation;
    let failed = sent.answer.status != 200;
    let code = if failed {
        json!(sent.answer.code())
    } else {
        Value::Null
    };
    // A global service is recorded where it lives.
    let region = if operation.service.global {
        "us-east-1"
    } else {
        &sent.region
    };
    let expected = [
        ("eventVersion", json!("1.11")),
        ("eventName", json!(operation.name)),
        (
            "eventSource",
            json!(format!("{}.amazonaws.com", operation.service.endpoint_prefix)),
        ),
        ("awsRegion", json!(region)),
        ("sourceIPAddress", json!("127.0.0.1")),
        ("errorCode", code),
        ("readOnly", json!(operation.read_only)),
        ("eventType", json!("AwsApiCall")),
        ("managementEvent", json!(true)),
        ("eventCategory", json!("Management")),
        ("recipientAccountId", json!(sent.actor.account)),
    ];
    let caller = [
        ("type", json!(sent.actor.kind)),
        ("arn", json!(sent.actor.arn)),
        ("accountId", json!(sent.actor.account)),
        ("accessKeyId", json!(sent.actor.signer.access_key_id)),
    ];
    let mut found = Vec::new();
    for (place, value, expected) in expected
        .iter()
        .map(|(name, value)| (*name, &record[*name], value))
        .chain(
            caller
                .iter()
                .map(|(name, value)| (*name, &record["userIdentity"][*name], value)),
        )
    {
        if value != expected {
            found.push(format!("{place} is {value}, not {expected}"));
        }
    }
    for always in ["eventID", "eventTime"] {
        if !record[always].is_string() {
            found.push(format!("{always} is {}", record[always]));
        }
    }
    for always in ["requestParameters", "responseElements"] {
        if record.get(always).is_none() {
            found.push(format!("there is no {always}"));
        }
    }
    if (failed || operation.read_only) && !record["responseElements"].is_null() {
        found.push(format!("responseElements is {}", record["responseElements"]));
    }
    if failed != record["errorMessage"].is_string() && !sent.answer.text().contains("null") {
        // A silent error has no message; AWS sends a null one.
        let told = crate::world::message(&sent.answer);
        if failed && !told.is_empty() {
            found.push(format!(
                "errorMessage is {}, told was {told}",
                record["errorMessage"]
            ));
        }
    }
    if !failed {
        found.extend(parameters(sent, record));
        let decided = &record["palisade"]["decisions"];
        let needs_none = matches!(operation.name, "GetCallerIdentity" | "GetSessionToken");
        if !needs_none && decided[0]["allowed"] != true {
            found.push(format!("decisions is {decided}"));
        }
    }
    if sent.answer.code().starts_with("AccessDenied")
        && crate::world::message(&sent.answer).contains("is not authorized to perform")
    {
        let decisions = record["palisade"]["decisions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let refused = decisions.iter().any(|decision| {
            decision["allowed"] == false && decision["trace"].is_object() && decision["because"].is_string()
        });
        if !refused {
            found.push(format!("no refusal with its trace in {}", record["palisade"]));
        }
    }
    found.into_iter()
}

/// What was asked is in `requestParameters`, but for what may not be shown.
fn parameters(sent: &Sent, record: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for member in sent.operation.input.members {
        let Some(given) = sent.input.get(member.name) else {
            continue;
        };
        let mut name = member.name.to_owned();
        name[..1].make_ascii_lowercase();
        let shown = &record["requestParameters"][&name];
        let hidden = member.shape.sensitive || matches!(member.shape.kind, Kind::Blob { .. });
        let scalar = shape::check::is_scalar(member.shape);
        if hidden && !shown.is_null() {
            found.push(format!("{name} is shown"));
        } else if !hidden && scalar && shown != given {
            found.push(format!("{name} is {shown}, not {given}"));
        } else if !hidden && shown.is_null() {
            found.push(format!("{name} is not shown"));
        }
    }
    found
}

//! The record of a call, in CloudTrail's shape (event version 1.11).
//!
//! Sensitive members and every blob are left out: no plaintext, ciphertext,
//! signature or secret is ever recorded, whatever a service forgets.
//!
//! Beside CloudTrail's fields a record has `palisade`, which holds the
//! decision: what allowed the call, or the whole reasoning of a refusal.

mod repeated;

use std::fmt::Write as _;
use std::sync::Arc;

use ground::{AccountId, Region, Timestamp};
use journal::Phrase;
use policy::{Principal, Who};
use shape::{Kind, Shape, Structure, Value};

use crate::directory::{Caller, Vouched};
use crate::jobs::Event;
use crate::limits::{RECORD_MESSAGE_BYTES_MAX, RECORD_PARAMETERS_BYTES_MAX, RECORD_USER_AGENT_BYTES_MAX};
use repeated::CallFrom;

/// A thing a call touched, as the record's `resources` list it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// `AWS::KMS::Key`
    pub kind: &'static str,
    /// Its ARN.
    pub arn: Arc<str>,
    /// Its owner.
    pub account: AccountId,
}

/// Everything a record says.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    /// The caller's `userIdentity`, already JSON; `None` before authentication.
    pub(crate) user_identity: Option<&'a str>,
    pub(crate) time: Timestamp,
    pub(crate) event_source: &'a str,
    pub(crate) event_name: &'a str,
    pub(crate) region: &'a str,
    pub(crate) source_address: &'a str,
    pub(crate) user_agent: Option<&'a str>,
    pub(crate) error: Option<(&'a str, Option<&'a str>)>,
    /// JSON.
    pub(crate) request_parameters: Option<&'a str>,
    /// JSON.
    pub(crate) response_elements: Option<&'a str>,
    pub(crate) additional: &'a [(&'static str, String)],
    pub(crate) request_id: &'a str,
    pub(crate) event_id: &'a str,
    /// Only of a call that several accounts are told of.
    pub(crate) shared_event_id: Option<&'a str>,
    pub(crate) read_only: bool,
    pub(crate) resources: &'a [Touched],
    pub(crate) account: Option<AccountId>,
    pub(crate) tls: Option<&'a str>,
    /// What was weighed: members of a JSON object.
    pub(crate) decision: Option<&'a str>,
}

/// A record, spelled.
pub(crate) struct Line {
    /// One line of JSON, at most [`journal::limits::RECORD_BYTES_MAX`] bytes.
    pub(crate) json: String,
    /// What other records are likely to say as well.
    phrases: [Phrase; PHRASES],
}

/// Caller, call, parameters, answer and notes, resources, kind and transport, decision.
const PHRASES: usize = 7;

impl<'a> From<&'a Line> for journal::Record<'a> {
    fn from(line: &'a Line) -> journal::Record<'a> {
        journal::Record {
            bytes: line.json.as_bytes(),
            phrases: &line.phrases,
        }
    }
}

impl Record<'_> {
    /// The record as it is written.
    pub(crate) fn spelled(self) -> Line {
        let line = self.spell(self.request_parameters, self.response_elements, self.decision);
        if line.json.len() <= journal::limits::RECORD_BYTES_MAX {
            return line;
        }
        self.spell(Some(OMITTED), Some(OMITTED), None)
    }

    fn spell(&self, parameters: Option<&str>, elements: Option<&str>, decision: Option<&str>) -> Line {
        let mut out = String::with_capacity(RECORD_BYTES_EXPECTED);
        out.push_str("{\"eventVersion\":\"1.11\",\"userIdentity\":");
        out.push_str(self.user_identity.unwrap_or("null"));
        out.push_str(",\"eventTime\":\"");
        let caller = phrase(&out, 0);
        repeated::push_second(&mut out, self.time);
        let start = out.len();
        repeated::push_call(&mut out, &self.from());
        let call = phrase(&out, start);
        if let Some((code, message)) = self.error {
            text_member(&mut out, "errorCode", code);
            if let Some(message) = message {
                text_member(&mut out, "errorMessage", clip(message, RECORD_MESSAGE_BYTES_MAX));
            }
        }
        let start = out.len();
        json_member(&mut out, "requestParameters", parameters.unwrap_or("null"));
        let parameters = phrase(&out, start);
        let start = out.len();
        json_member(&mut out, "responseElements", elements.unwrap_or("null"));
        self.add_notes(&mut out);
        out.push_str(",\"requestID\":\"");
        let answer = phrase(&out, start);
        out.push_str(self.request_id);
        out.push('"');
        text_member(&mut out, "eventID", self.event_id);
        let start = out.len();
        json_member(
            &mut out,
            "readOnly",
            if self.read_only { "true" } else { "false" },
        );
        self.add_resources(&mut out);
        let resources = phrase(&out, start);
        let start = out.len();
        out.push_str(",\"eventType\":\"AwsApiCall\",\"managementEvent\":true");
        if let Some(account) = self.account {
            out.push_str(",\"recipientAccountId\":\"");
            out.push_str(&account.digits());
            out.push('"');
        }
        if let Some(shared) = self.shared_event_id {
            text_member(&mut out, "sharedEventID", shared);
        }
        out.push_str(",\"eventCategory\":\"Management\"");
        if let Some(tls) = self.tls {
            json_member(&mut out, "tlsDetails", tls);
        }
        let kind = phrase(&out, start);
        let mut start = out.len();
        if let Some(decision) = decision {
            // Under its id, which is the request's, `why` tells more.
            out.push_str(",\"palisade\":{\"decision\":\"");
            out.push_str(self.request_id);
            start = out.len();
            out.push_str("\",");
            out.push_str(decision);
            out.push('}');
        }
        out.push('}');
        let decision = phrase(&out, start);
        Line {
            json: out,
            phrases: [caller, call, parameters, answer, resources, kind, decision],
        }
    }

    /// What is called, where, and from where.
    fn from(&self) -> CallFrom<'_> {
        CallFrom {
            event_source: self.event_source,
            event_name: self.event_name,
            region: self.region,
            source_address: self.source_address,
            user_agent: self
                .user_agent
                .map(|agent| clip(agent, RECORD_USER_AGENT_BYTES_MAX)),
        }
    }

    fn add_notes(&self, out: &mut String) {
        if self.additional.is_empty() {
            return;
        }
        out.push_str(",\"additionalEventData\":{");
        for (at, (name, value)) in self.additional.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            json_text(out, name);
            out.push(':');
            json_text(out, value);
        }
        out.push('}');
    }

    fn add_resources(&self, out: &mut String) {
        if self.resources.is_empty() {
            return;
        }
        out.push_str(",\"resources\":[");
        for (at, touched) in self.resources.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            out.push_str("{\"accountId\":\"");
            out.push_str(&touched.account.digits());
            out.push_str("\",\"type\":\"");
            out.push_str(touched.kind);
            out.push_str("\",\"ARN\":");
            json_text(out, &touched.arn);
            out.push('}');
        }
        out.push(']');
    }
}

/// What `out` says from `start` on.
fn phrase(out: &str, start: usize) -> Phrase {
    let number = |bytes| u32::try_from(bytes).unwrap_or(u32::MAX);
    Phrase {
        start: number(start),
        end: number(out.len()),
    }
}

/// The record of what a service did by itself.
pub(crate) struct ServiceEvent<'a> {
    pub(crate) event: &'a Event,
    pub(crate) time: Timestamp,
    pub(crate) event_id: &'a str,
}

impl ServiceEvent<'_> {
    /// The record as one line of JSON.
    pub(crate) fn to_json(&self) -> String {
        let event = self.event;
        let resources: Vec<_> = event
            .resources
            .iter()
            .map(|touched| {
                serde_json::json!({"accountId": touched.account, "type": touched.kind, "ARN": &*touched.arn})
            })
            .collect();
        let mut record = serde_json::json!({
            "eventVersion": "1.11",
            "userIdentity": {"accountId": event.account, "invokedBy": "AWS Internal"},
            "eventTime": self.time.iso8601_seconds(),
            "eventSource": event.source,
            "eventName": event.name,
            "awsRegion": event.region,
            "sourceIPAddress": "AWS Internal",
            "userAgent": "AWS Internal",
            "requestParameters": null,
            "responseElements": null,
            "eventID": self.event_id,
            "readOnly": false,
            "resources": resources,
            "eventType": "AwsServiceEvent",
            "managementEvent": true,
            "recipientAccountId": event.account,
            "eventCategory": "Management",
        });
        if let Some(details) = &event.details {
            record["serviceEventDetails"] = details.clone();
        }
        record.to_string()
    }
}

/// The last record before a full disk: calls are refused from here on.
pub(crate) fn journal_full(time: Timestamp, region: &Region, event_id: &str) -> String {
    serde_json::json!({
        "eventVersion": "1.11",
        "userIdentity": {"invokedBy": "palisade"},
        "eventTime": time.iso8601_seconds(),
        "eventSource": "palisade",
        "eventName": "RecordingSuspended",
        "awsRegion": region,
        "sourceIPAddress": "palisade",
        "requestParameters": null,
        "responseElements": null,
        "eventID": event_id,
        "readOnly": false,
        "eventType": "AwsServiceEvent",
        "managementEvent": true,
        "eventCategory": "Management",
        "serviceEventDetails": {"reason": "the disk is full"},
    })
    .to_string()
}

/// Bytes of most records; longer ones move once while they are written.
const RECORD_BYTES_EXPECTED: usize = 2048;

/// What stands for a part that was too large (CloudTrail record contents, "omitted").
const OMITTED: &str = "{\"omitted\":true}";

/// The input as `requestParameters`: names in lower camel case, without
/// sensitive members and blobs. `None` if nothing is left to say.
pub(crate) fn parameters(input: &dyn Structure) -> Option<String> {
    let mut out = String::with_capacity(128);
    let said = structure(&mut out, input);
    if out.len() > RECORD_PARAMETERS_BYTES_MAX {
        return Some(OMITTED.to_owned());
    }
    said.then_some(out)
}

/// The output as `responseElements`, by the same rules.
pub(crate) fn elements(output: &dyn Structure) -> Option<String> {
    parameters(output)
}

/// The caller as `userIdentity` (CloudTrail User Guide, "userIdentity element").
pub(crate) fn user_identity(caller: &Caller) -> String {
    let mut out = String::with_capacity(512);
    let principal = &caller.principal;
    if let Who::Service { name } = principal.who() {
        out.push_str("{\"type\":\"AWSService\"");
        text_member(&mut out, "invokedBy", name);
        out.push('}');
        return out;
    }
    let kind = match principal.who() {
        Who::Root => "Root",
        Who::User { .. } => "IAMUser",
        Who::AssumedRole { .. } => "AssumedRole",
        Who::FederatedUser { .. } => "FederatedUser",
        _ => "Unknown",
    };
    out.push_str("{\"type\":\"");
    out.push_str(kind);
    out.push('"');
    text_member(&mut out, "principalId", principal.user_id());
    text_member(&mut out, "arn", principal.arn());
    text_member(&mut out, "accountId", &caller.account.to_string());
    text_member(&mut out, "accessKeyId", &caller.access_key_id);
    if let Who::User { name, .. } = principal.who() {
        text_member(&mut out, "userName", name);
    }
    if let Some(session) = &caller.session {
        out.push_str(",\"sessionContext\":{");
        if let Some(issuer) = &session.issuer {
            out.push_str("\"sessionIssuer\":{\"type\":");
            json_text(&mut out, issuer.kind);
            text_member(&mut out, "principalId", &issuer.id);
            text_member(&mut out, "arn", &issuer.arn);
            text_member(&mut out, "accountId", &caller.account.to_string());
            text_member(&mut out, "userName", &issuer.name);
            out.push_str("},");
        }
        if let Some(web) = &session.web_identity {
            out.push_str("\"webIdFederationData\":{\"federatedProvider\":");
            json_text(&mut out, &web.provider);
            out.push_str(",\"attributes\":{");
            for (at, (key, value)) in web.attributes.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                json_text(&mut out, key);
                out.push(':');
                json_text(&mut out, value);
            }
            out.push_str("}},");
        }
        out.push_str("\"attributes\":{\"creationDate\":");
        json_text(&mut out, &session.issued.iso8601_seconds());
        text_member(
            &mut out,
            "mfaAuthenticated",
            if session.mfa.is_some() { "true" } else { "false" },
        );
        out.push('}');
        if let Some(identity) = &session.source_identity {
            text_member(&mut out, "sourceIdentity", identity);
        }
        if caller.is_assumed_root() {
            text_member(&mut out, "assumedRoot", "true");
        }
        out.push('}');
    }
    out.push('}');
    out
}

/// The bearer of a foreign provider's token as `userIdentity`. It has no account.
pub(crate) fn vouched_identity(principal: &Principal, vouched: &Vouched<'_>) -> String {
    let kind = match principal.who() {
        Who::Saml { .. } => "SAMLUser",
        _ => "WebIdentityUser",
    };
    let mut out = String::from("{\"type\":");
    json_text(&mut out, kind);
    text_member(&mut out, "principalId", vouched.principal_id);
    text_member(&mut out, "userName", vouched.user_name);
    text_member(&mut out, "identityProvider", vouched.identity_provider);
    out.push('}');
    out
}

/// Writes the members; tells whether there was any.
fn structure(out: &mut String, structure: &dyn Structure) -> bool {
    out.push('{');
    let mut said = false;
    for (at, member) in structure.shape().members.iter().enumerate() {
        if !is_shown(member.shape) {
            continue;
        }
        let Some(shown) = structure.get(at) else { continue };
        if said {
            out.push(',');
        }
        said = true;
        out.push('"');
        lower_camel(out, member.name);
        out.push_str("\":");
        value(out, shown, member.shape);
    }
    out.push('}');
    said
}

/// Blobs are plaintext, ciphertext or signatures; they and what the model
/// marks as sensitive stay out of the record.
fn is_shown(shape: &Shape) -> bool {
    if shape.sensitive {
        return false;
    }
    match &shape.kind {
        Kind::Blob { .. } => false,
        Kind::List { item, .. } => is_shown(item),
        Kind::Map { value, .. } => is_shown(value),
        _ => true,
    }
}

fn value(out: &mut String, shown: Value<'_>, shape: &Shape) {
    match shown {
        Value::Boolean(flag) => out.push_str(if flag { "true" } else { "false" }),
        // Writing to a String cannot fail.
        Value::Integer(number) => _ = write!(out, "{number}"),
        Value::Long(number) => _ = write!(out, "{number}"),
        Value::Float(number) => float(out, f64::from(number)),
        Value::Double(number) => float(out, number),
        Value::String(text) => json_text(out, text),
        Value::Blob(_) => out.push_str("null"),
        Value::Timestamp(moment) => json_text(out, &moment.cloudtrail()),
        Value::Structure(inner) => _ = structure(out, inner),
        Value::Document(document) => _ = write!(out, "{document}"),
        Value::List(list) => {
            let Kind::List { item: shape, .. } = &shape.kind else {
                return out.push_str("null");
            };
            out.push('[');
            for (at, item) in (0..list.len()).filter_map(|at| list.item(at)).enumerate() {
                if at > 0 {
                    out.push(',');
                }
                value(out, item, shape);
            }
            out.push(']');
        }
        Value::Map(map) => {
            let Kind::Map { value: shape, .. } = &shape.kind else {
                return out.push_str("null");
            };
            out.push('{');
            let mut first = true;
            map.each(&mut |key, item| {
                if !first {
                    out.push(',');
                }
                first = false;
                json_text(out, key);
                out.push(':');
                value(out, item, shape);
            });
            out.push('}');
        }
    }
}

fn float(out: &mut String, number: f64) {
    if number.is_finite() {
        let _ = write!(out, "{number}");
    } else {
        out.push_str("null");
    }
}

fn lower_camel(out: &mut String, name: &str) {
    let mut letters = name.chars();
    if let Some(first) = letters.next() {
        out.push(first.to_ascii_lowercase());
    }
    out.push_str(letters.as_str());
}

pub(crate) fn text_member(out: &mut String, name: &str, text: &str) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
    json_text(out, text);
}

fn json_member(out: &mut String, name: &str, json: &str) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
    out.push_str(json);
}

/// Writes `text` as a JSON string (RFC 8259).
pub(crate) fn json_text(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    loop {
        let at = wire::plain_bytes(rest.as_bytes());
        let Some(byte) = rest.as_bytes().get(at) else {
            break;
        };
        out.push_str(&rest[..at]);
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            // Writing to a String cannot fail.
            control => _ = write!(out, "\\u{control:04x}"),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

/// `text` cut to at most `bytes` bytes, on a character's edge.
pub(crate) fn clip(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let mut end = bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_text_is_what_serde_reads_back() {
        for text in ["", "plain", "q\"b\\s\n\t\u{1}é€😀", "\u{7f}", "ends\\"] {
            let mut out = String::new();
            json_text(&mut out, text);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn a_record_is_json_with_cloudtrails_fields() {
        let record = Record {
            user_identity: None,
            time: Timestamp(1_767_323_045_678),
            event_source: "kms.amazonaws.com",
            event_name: "Encrypt",
            region: "eu-west-1",
            source_address: "127.0.0.1",
            user_agent: Some("a\"b"),
            error: Some(("AccessDeniedException", Some("no"))),
            request_parameters: None,
            response_elements: None,
            additional: &[("keyMaterialId", "00".into())],
            request_id: "r",
            event_id: "e",
            shared_event_id: None,
            read_only: true,
            resources: &[Touched {
                kind: "AWS::KMS::Key",
                arn: "arn:aws:kms:eu-west-1:123456789012:key/1".into(),
                account: AccountId::parse("123456789012").unwrap(),
            }],
            account: AccountId::parse("123456789012").ok(),
            tls: None,
            decision: Some("\"x\":1"),
        };
        let read: serde_json::Value = serde_json::from_str(&record.spelled().json).unwrap();
        assert_eq!(read["eventTime"], "2026-01-02T03:04:05Z");
        assert_eq!(read["requestParameters"], serde_json::Value::Null);
        assert_eq!(
            read["resources"][0]["ARN"],
            "arn:aws:kms:eu-west-1:123456789012:key/1"
        );
        assert_eq!(read["userAgent"], "a\"b");
        assert_eq!(read["palisade"], serde_json::json!({"decision": "r", "x": 1}));
    }

    #[test]
    fn clipping_keeps_characters_whole() {
        assert_eq!(clip("aé", 2), "a");
        assert_eq!(clip("aé", 3), "aé");
    }
}

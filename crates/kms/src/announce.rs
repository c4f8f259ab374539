//! What KMS tells the world of keys: events in the shape of EventBridge.
//!
//! Each is announced in the commit that does what it tells of, so there is no
//! event without its deed and no deed without its event. It lies in the store's
//! outbox, where `POST /_palisade/events` finds it for a month.
//!
//! Absent for now: a bus with rules and targets.
//!
//! Source: KMS Developer Guide, "Monitor KMS keys with Amazon EventBridge".

use crypto::Random;
use ground::Timestamp;
use serde::Serialize;
use store::WriteTx;

use crate::model::generation::RotationKind;
use crate::model::{Key, MaterialId};

/// What happened to a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Happened<'a> {
    /// It was deleted, its waiting period being over.
    Deleted,
    /// Imported material was forgotten, its time being over.
    Expired,
    /// It got new material in place of `previous`.
    Rotated {
        kind: RotationKind,
        previous: &'a MaterialId,
        current: &'a MaterialId,
    },
}

/// An event as EventBridge has it.
#[derive(Debug, Serialize)]
struct Event<'a> {
    version: &'static str,
    id: String,
    #[serde(rename = "detail-type")]
    detail_type: &'static str,
    source: &'static str,
    account: String,
    time: String,
    region: &'a str,
    resources: [String; 1],
    detail: Detail<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Detail<'a> {
    key_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_origin: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_key_material_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_key_material_id: Option<&'a str>,
}

/// Announces what `tx` does to `key`.
pub(crate) fn announce(tx: &WriteTx, random: &Random, now: Timestamp, key: &Key, happened: Happened<'_>) {
    let event = event(ground::id::uuid(random.bytes()), now, key, happened);
    tx.announce(event.detail_type, &event);
}

fn event<'a>(id: String, now: Timestamp, key: &'a Key, happened: Happened<'a>) -> Event<'a> {
    let mut detail = Detail {
        key_id: key.id.as_str(),
        key_origin: None,
        rotation_type: None,
        previous_key_material_id: None,
        current_key_material_id: None,
    };
    let detail_type = match happened {
        Happened::Deleted => "KMS CMK Deletion",
        Happened::Expired => "KMS Imported Key Material Expiration",
        Happened::Rotated {
            kind,
            previous,
            current,
        } => {
            detail.key_origin = Some(key.origin.as_str());
            detail.rotation_type = Some(match kind {
                RotationKind::Automatic => "AUTOMATIC",
                RotationKind::OnDemand => "ON_DEMAND",
            });
            detail.previous_key_material_id = Some(previous.as_str());
            detail.current_key_material_id = Some(current.as_str());
            "KMS CMK Rotation"
        }
    };
    Event {
        version: "0",
        id,
        detail_type,
        source: "aws.kms",
        account: key.account.to_string(),
        time: now.iso8601_seconds(),
        region: key.region.as_str(),
        resources: [key.arn()],
        detail,
    }
}

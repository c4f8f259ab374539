//! The record of what was told to other members of the cluster that asked for
//! the key of their slot.
//!
//! It belongs to no account: it is the operator's. Every opening is recorded on
//! disk before the key leaves. Refusals are recorded for members alone, so that
//! strangers cannot fill the disk; all are counted.

use ground::id;
use journal::{Durability, JournalError};

use crate::door::Door;

/// Who asked, and what for.
#[derive(Debug)]
pub struct PeerAsked<'a> {
    /// The identity of the asker's public key.
    pub member: &'a str,
    /// The address he asked from.
    pub address: &'a str,
    /// `WrapPeerSlot` or `OpenPeerSlot`.
    pub name: &'static str,
    /// What his TPM vouched for, whether it sufficed or not; none if nothing that
    /// it signed was asked for and proven.
    pub quoted: Option<PeerQuoted>,
}

/// What the TPM of an asker vouched for.
#[derive(Debug)]
pub struct PeerQuoted {
    /// The identity of the attestation key that signed.
    pub key: String,
    /// The registers, such as `sha256:7`.
    pub registers: String,
    /// The digest of what they held, in hexadecimal digits.
    pub digest: String,
}

/// What he was told.
#[derive(Debug, Clone, Copy)]
pub enum PeerSlotTold<'a> {
    /// The key.
    Key,
    /// Nothing, because he is a member and something was wrong.
    Refusal(&'a str),
}

impl Door {
    /// Records and counts what a member is about to be told.
    ///
    /// # Errors
    ///
    /// If it cannot be recorded; then nothing may be told.
    pub async fn record_peer_slot(
        &self,
        asked: &PeerAsked<'_>,
        told: PeerSlotTold<'_>,
    ) -> Result<(), JournalError> {
        let (outcome, error) = match told {
            PeerSlotTold::Key => ("key", None),
            PeerSlotTold::Refusal(why) => ("refused", Some(why)),
        };
        let mut record = serde_json::json!({
            "eventVersion": "1.11",
            "userIdentity": {"invokedBy": "palisade"},
            "eventTime": self.parts.clock.now().iso8601_seconds(),
            "eventSource": "palisade",
            "eventName": asked.name,
            "awsRegion": self.parts.home,
            "sourceIPAddress": asked.address,
            "requestParameters": null,
            "responseElements": null,
            "eventID": id::uuid(self.parts.random.bytes()),
            "readOnly": true,
            "eventType": "AwsServiceEvent",
            "managementEvent": true,
            "eventCategory": "Management",
            "serviceEventDetails": {"member": asked.member},
        });
        if let Some(quoted) = &asked.quoted {
            record["serviceEventDetails"]["quote"] = serde_json::json!({
                "attestationKey": quoted.key,
                "registers": quoted.registers,
                "digest": quoted.digest,
            });
        }
        if let Some(why) = error {
            record["errorCode"] = "AccessDenied".into();
            record["errorMessage"] = why.into();
        }
        self.parts
            .journal
            .append(record.to_string().as_bytes(), Durability::Synced)
            .await?;
        self.count_peer_slot(outcome);
        Ok(())
    }

    /// Counts what somebody was told: `stranger` or `too_often`, who are not
    /// recorded.
    pub fn count_peer_slot(&self, outcome: &'static str) {
        self.metrics
            .peer_slots
            .get_or_create(&[("outcome", outcome)])
            .inc();
    }
}

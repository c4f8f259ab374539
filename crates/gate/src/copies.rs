//! The owner's copy: a call on what belongs to another account is in the
//! records of both.
//!
//! The two have one `sharedEventID` and one `requestID`, and an `eventID` each
//! (CloudTrail User Guide, "sharedEventID example"). The owner's copy tells of
//! the caller its account and unique id, and no more ("userIdentity element",
//! type `AWSAccount`); it lists the owner's own resources alone, and of the
//! decision what the owner's policies said.
//!
//! An owner learns of a call that its policies were asked about. A caller that
//! its own account keeps out is its own account's business.
//!
//! Copies follow from the call's event id, so that the intent and the record
//! of one call name the same, whichever is written first.

use futures_util::future::{try_join, try_join_all};
use ground::{AccountId, id};
use journal::{Durability, Journal, JournalError, Position};
use policy::Who;

use crate::decision::{self, Weighed};
use crate::directory::Caller;
use crate::record::{Line, Record, Touched, text_member};

/// The record of one call, for all whom it concerns.
pub(crate) struct Copies {
    /// The caller's.
    pub(crate) own: Line,
    /// The owners', each with its event id.
    pub(crate) owners: Vec<(String, Line)>,
}

impl Copies {
    /// Writes them all; tells the position up to which they are.
    ///
    /// # Errors
    ///
    /// As [`Journal::append`], if one of them could not be written.
    pub(crate) async fn append(
        &self,
        journal: &Journal,
        durability: Durability,
    ) -> Result<Position, JournalError> {
        let own = journal.append(&self.own, durability);
        if self.owners.is_empty() {
            return own.await;
        }
        // All are left with the journal before any is waited for: one sync covers them.
        let owners = self.owners.iter();
        let owners = owners.map(|(_, copy)| journal.append(copy, durability));
        let (position, positions) = try_join(own, try_join_all(owners)).await?;
        Ok(positions.into_iter().fold(position, Position::max))
    }
}

/// What all records of a call have in common, when there are several.
pub(crate) fn shared_event_id(event_id: &str) -> String {
    derived(event_id, b"shared")
}

/// The id of the copy that `owner` gets of a call.
pub(crate) fn event_id_of_owner(event_id: &str, owner: AccountId) -> String {
    derived(event_id, owner.digits().as_bytes())
}

/// The records of a call whose caller's is `own`.
pub(crate) fn of(
    own: &Record<'_>,
    caller: &Caller,
    invoked_by: Option<&str>,
    owners: &[AccountId],
    weighed: &[Weighed],
) -> Copies {
    let identity = || foreign_identity(caller, invoked_by);
    Copies {
        own: own.spelled(),
        owners: owners
            .iter()
            .map(|owner| of_owner(own, &identity(), *owner, weighed))
            .collect(),
    }
}

fn of_owner(own: &Record<'_>, identity: &str, owner: AccountId, weighed: &[Weighed]) -> (String, Line) {
    let event_id = event_id_of_owner(own.event_id, owner);
    let resources: Vec<Touched> = own
        .resources
        .iter()
        .filter(|touched| touched.account == owner)
        .cloned()
        .collect();
    let decision = decision::summary_for_owner(owner, weighed);
    let copy = Record {
        user_identity: Some(identity),
        event_id: &event_id,
        resources: &resources,
        account: Some(owner),
        decision: decision.as_deref(),
        ..*own
    };
    let line = copy.spelled();
    (event_id, line)
}

/// A caller as another account sees it.
fn foreign_identity(caller: &Caller, invoked_by: Option<&str>) -> String {
    // A service is nobody's guest: it looks the same to everyone.
    if let Who::Service { .. } = caller.principal.who() {
        return caller.identity_json().to_owned();
    }
    let mut out = String::from("{\"type\":\"AWSAccount\"");
    text_member(&mut out, "principalId", caller.principal.user_id());
    text_member(&mut out, "accountId", &caller.account.digits());
    if let Some(service) = invoked_by {
        text_member(&mut out, "invokedBy", service);
    }
    out.push('}');
    out
}

/// An id that follows from another.
fn derived(event_id: &str, part: &[u8]) -> String {
    let mut head = [0; 16];
    head.copy_from_slice(&crypto::sha256(&[event_id.as_bytes(), part])[..16]);
    id::uuid(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_differ_by_call_and_part_and_are_the_same_when_asked_again() {
        let ids = [
            derived("a", b"shared"),
            derived("b", b"shared"),
            derived("a", b"111122223333"),
        ];
        assert!(
            ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2],
            "{ids:?}"
        );
        assert_eq!(ids[0], shared_event_id("a"));
    }
}

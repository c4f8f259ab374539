//! Invitations: how an account that exists comes into an organisation.
//!
//! REQUESTED → ACCEPTED or DECLINED by the account, CANCELED by the sender, or
//! EXPIRED by the clock; there is no way on from any of these.

use ground::{AccountId, Timestamp};
use organizations_api::HandshakeState;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::model::Tags;

/// An invitation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Handshake {
    /// `h-…`
    pub(crate) id: String,
    /// Who invites.
    pub(crate) organization: String,
    pub(crate) management: AccountId,
    /// Who is invited.
    pub(crate) account: AccountId,
    pub(crate) notes: Option<String>,
    /// Of the account, once it is a member.
    pub(crate) tags: Tags,
    pub(crate) requested: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) ending: Option<Ending>,
}

/// How an invitation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ending {
    Accepted,
    Canceled,
    Declined,
}

impl Handshake {
    pub(crate) fn state(&self, now: Timestamp) -> HandshakeState {
        match self.ending {
            Some(Ending::Accepted) => HandshakeState::Accepted,
            Some(Ending::Canceled) => HandshakeState::Canceled,
            Some(Ending::Declined) => HandshakeState::Declined,
            None if now >= self.expires => HandshakeState::Expired,
            None => HandshakeState::Requested,
        }
    }

    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        self.state(now) == HandshakeState::Requested
    }

    /// The same invitation, ended.
    ///
    /// # Errors
    ///
    /// [`Error::HandshakeInState`] if it has ended so, [`Error::HandshakeTransition`]
    /// if it has ended otherwise.
    pub(crate) fn ended(&self, ending: Ending, now: Timestamp) -> Result<Handshake, Error> {
        if self.ending == Some(ending) {
            return Err(Error::HandshakeInState);
        }
        if !self.is_open(now) {
            return Err(Error::HandshakeTransition);
        }
        Ok(Handshake {
            ending: Some(ending),
            ..self.clone()
        })
    }

    /// `arn:aws:organizations::M:handshake/o-…/invite/h-…`
    pub(crate) fn arn(&self) -> String {
        format!(
            "arn:aws:organizations::{}:handshake/{}/invite/{}",
            self.management, self.organization, self.id
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invitation() -> Handshake {
        Handshake {
            id: "h-1".into(),
            organization: "o-1".into(),
            management: AccountId::parse("111111111111").unwrap(),
            account: AccountId::parse("222222222222").unwrap(),
            notes: None,
            tags: Tags::default(),
            requested: Timestamp::from_seconds(0),
            expires: Timestamp::from_seconds(100),
            ending: None,
        }
    }

    #[test]
    fn an_ended_invitation_stays_as_it_ended() {
        let now = Timestamp::from_seconds(1);
        for ending in [Ending::Accepted, Ending::Canceled, Ending::Declined] {
            let ended = invitation().ended(ending, now).unwrap();
            for other in [Ending::Accepted, Ending::Canceled, Ending::Declined] {
                let refused = ended.ended(other, now).unwrap_err();
                let same = matches!(refused, Error::HandshakeInState);
                assert_eq!(same, other == ending, "{ending:?} {other:?}");
            }
        }
    }

    #[test]
    fn it_expires_on_the_second() {
        let open = invitation();
        assert!(open.is_open(Timestamp::from_seconds(99)));
        let late = Timestamp::from_seconds(100);
        assert_eq!(open.state(late), HandshakeState::Expired);
        assert!(open.ended(Ending::Accepted, late).is_err());
    }
}

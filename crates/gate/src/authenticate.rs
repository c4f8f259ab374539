//! From a signed request to who sent it.

use std::sync::Arc;

use ground::{Clock, Region, Timestamp};
use wire::sigv4::{Claim, PayloadHash, RequestParts, SignatureFault};

use crate::directory::{Caller, Credential, CredentialFault, Directory, Presented, Use};

/// A caller whose signature has been proven, and where it was good for.
pub(crate) struct Authenticated {
    pub(crate) caller: Arc<Caller>,
    pub(crate) region: Region,
}

impl Authenticated {
    /// Nobody yet: of an operation whose callers are proven by a token in the
    /// request, which the handler looks at. AWS ignores credentials that such a
    /// request is signed with, be they good or not, and so is it here.
    pub(crate) fn nobody(service: &'static shape::ServiceShape, home: &Region) -> Authenticated {
        Authenticated {
            caller: Arc::new(Caller::nobody()),
            region: if service.global {
                Region::us_east_1()
            } else {
                home.clone()
            },
        }
    }
}

/// Why a request is not believed.
#[derive(Debug)]
pub(crate) enum Refused {
    Signature(SignatureFault),
    Credential(CredentialFault),
}

impl From<SignatureFault> for Refused {
    fn from(fault: SignatureFault) -> Refused {
        Refused::Signature(fault)
    }
}

/// Proves the signature over `parts` and `body` of a request for `action` of `service`.
///
/// A global service is served under every region a client signs for and acts
/// in `us-east-1`: a client that is pointed at our address by
/// `AWS_ENDPOINT_URL` signs with its own region.
pub(crate) async fn authenticate(
    directory: &dyn Directory,
    claim: &Claim<'_>,
    parts: &RequestParts<'_>,
    body: &[u8],
    (service, action): (&'static shape::ServiceShape, Option<&'static str>),
    home: &Region,
    (now, clock): (Timestamp, &Clock),
) -> Result<Authenticated, Refused> {
    check_time(claim, now, clock)?;
    let region = region_of(claim, home);
    claim.check_scope(region.as_str(), service.signing_name)?;

    let presented = Presented {
        access_key_id: claim.access_key_id(),
        session_token: claim.session_token(),
        now,
    };
    let credential = directory
        .credential(presented)
        .get()
        .await
        .map_err(Refused::Credential)?;
    let key = credential.signing_key(claim.scope());
    // An S3 body that the signature does not cover is held to its declaration as it is read.
    let hash = crypto::sha256(&[body]);
    claim.verify(&key, parts, PayloadHash::Body(&hash))?;
    let region = if service.global {
        Region::us_east_1()
    } else {
        region
    };
    let at = Use {
        service: service.signing_name,
        action,
        region: &region,
        at: now,
    };
    if credential.is_news(&at) {
        directory.used(&credential, at);
    }
    Ok(Authenticated {
        caller: Arc::clone(&credential.caller),
        region,
    })
}

/// Whether the request's moment is near enough. Under a virtual clock, which only
/// dev has, one that a client signs in a header may be dated by the machine's time
/// too: unmodified clients know no other. What expires does so by the virtual clock.
fn check_time(claim: &Claim<'_>, now: Timestamp, clock: &Clock) -> Result<(), SignatureFault> {
    match (claim.check_time(now), clock.of_clients()) {
        (Err(SignatureFault::Expired { .. } | SignatureFault::NotYetCurrent { .. }), Some(machine)) => {
            claim.check_time(machine)
        }
        (checked, _) => checked,
    }
}

/// The region a signature is for. A region set (Version 4A) that covers our
/// home region means that one; a name that no region can have does too, and
/// then fails as a wrong scope.
fn region_of(claim: &Claim<'_>, home: &Region) -> Region {
    if claim.scope().region() == Some(home.as_str()) {
        return home.clone();
    }
    let named = claim.scope().region().and_then(|text| Region::parse(text).ok());
    named.unwrap_or_else(|| home.clone())
}

impl Credential {
    /// The key that verifies signatures of this scope; derived once a day,
    /// region and service.
    fn signing_key(&self, scope: &wire::sigv4::Scope<'_>) -> Arc<wire::sigv4::SigningKey> {
        self.signing
            .get_or_derive(&self.access_key_id, &self.secret, scope)
    }
}

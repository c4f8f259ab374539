//! `GetSessionToken`: temporary credentials of the caller itself.

use std::time::Duration;

use gate::Cx;
use ground::Region;
use policy::Who as Principal;
use sts_api::{Credentials, GetSessionTokenInput, GetSessionTokenOutput};

use crate::Sts;
use crate::error::Error;
use crate::limits::{ROOT_SESSION_MAX_SECONDS, SESSION_TOKEN_DEFAULT_SECONDS};
use crate::mfa;
use crate::sts::session_policy::{is_session, token_length_min};
use crate::sts::token::{self, Issued, SEALED_FOR, Wanted, Who};

/// Needs no permission: the session may do what the caller may, and less.
pub(crate) async fn get_session_token(
    sts: &Sts,
    cx: &Cx,
    input: GetSessionTokenInput,
) -> Result<GetSessionTokenOutput, Error> {
    cx.needs_no_permission("GetSessionToken needs none (STS API Reference)");
    if is_session(cx) {
        return Err(Error::AccessDenied(
            "Cannot call GetSessionToken with session credentials",
        ));
    }
    let second_factor = mfa::prove(
        &sts.guesses,
        cx,
        input.serial_number.as_deref(),
        input.token_code.as_ref(),
    )
    .await?;
    let who = match cx.caller().principal.who() {
        Principal::Root => Who::Root,
        Principal::User { id, .. } => Who::User { id: id.clone() },
        _ => {
            return Err(Error::AccessDenied(
                "Cannot call GetSessionToken with session credentials",
            ));
        }
    };
    let expires = cx.now().after(duration(input.duration_seconds, who == Who::Root));
    let wanted = Wanted {
        who,
        issued: cx.now(),
        expires,
        policies: None,
        tags: Vec::new(),
        transitive_tag_keys: Vec::new(),
        source_identity: None,
        mfa: second_factor.as_ref().map(|_| cx.now()),
        token_length_min: token_length_min(input.minimum_session_token_size),
        federated: None,
    };
    let domain = cx.domain_key(cx.account(), &Region::us_east_1(), SEALED_FOR);
    let issued = token::issue(&domain, cx.random(), cx.account(), wanted)?;
    mfa::spend(cx, second_factor).await?;
    Ok(GetSessionTokenOutput {
        session_token_size: i32::try_from(issued.token.len()).ok(),
        session_token_utilization: None,
        credentials: Some(credentials(issued)),
    })
}

/// For the root user a longer session than an hour is cut, not refused.
pub(crate) fn duration(asked: Option<i32>, is_root: bool) -> Duration {
    let seconds = asked
        .and_then(|seconds| u32::try_from(seconds).ok())
        .unwrap_or(SESSION_TOKEN_DEFAULT_SECONDS);
    let seconds = if is_root {
        seconds.min(ROOT_SESSION_MAX_SECONDS)
    } else {
        seconds
    };
    Duration::from_secs(u64::from(seconds))
}

/// As answered.
pub(crate) fn credentials(issued: Issued) -> Credentials {
    Credentials {
        access_key_id: issued.access_key_id,
        secret_access_key: issued.secret,
        session_token: issued.token,
        expiration: issued.expires,
    }
}

//! `GetFederationToken`: a session of the caller under another name, which may
//! do what both the caller and the session policies allow.

use gate::{Access, Cx};
use ground::{Arn, Region};
use policy::Who as Principal;
use sts_api::{FederatedUser, GetFederationTokenInput, GetFederationTokenOutput};

use crate::Sts;
use crate::access::Asking;
use crate::error::Error;
use crate::model::{Tag, Tags};
use crate::store::rows_of;
use crate::sts::session_policy::{self, is_session, token_length_min};
use crate::sts::session_token::{credentials, duration};
use crate::sts::token::{self, SEALED_FOR, Wanted, Who};

pub(crate) async fn get_federation_token(
    _sts: &Sts,
    cx: &Cx,
    input: GetFederationTokenInput,
) -> Result<GetFederationTokenOutput, Error> {
    let no_sessions = "Cannot call GetFederationToken with session credentials";
    if is_session(cx) {
        return Err(Error::AccessDenied(no_sessions));
    }
    let parent_id = match cx.caller().principal.who() {
        Principal::Root => None,
        Principal::User { id, .. } => Some(id.clone()),
        _ => return Err(Error::AccessDenied(no_sessions)),
    };
    let given = input.tags.unwrap_or_default().into_iter().map(|tag| Tag {
        key: tag.key,
        value: tag.value,
    });
    let tags = Tags::of_session(given.collect())?;
    let account = cx.account();
    let arn = Arn::global("sts", account, format!("federated-user/{}", input.name)).to_string();
    let asking = Asking {
        tags: Some(&tags),
        ..Asking::NOTHING
    };
    cx.authorize(asking.add_to(Access::to((), arn.clone()), None))
        .await?;
    if !tags.is_empty() {
        cx.authorize(asking.add_to(Access::to((), arn.clone()).doing("sts:TagSession"), None))
            .await?;
    }

    let passed = session_policy::read(&rows_of(cx.view(), account), input.policy, input.policy_arns).await?;
    let tags: Vec<Tag> = tags.iter().cloned().collect();
    let packed = session_policy::packed_percent(passed.as_ref(), &tags)?;
    let expires = cx
        .now()
        .after(duration(input.duration_seconds, parent_id.is_none()));
    let wanted = Wanted {
        who: Who::Federated {
            name: input.name.clone(),
            parent_id,
        },
        issued: cx.now(),
        expires,
        // Without a session policy a federated user may do nothing: none passed is none allowing.
        policies: Some(passed.unwrap_or_default()),
        tags,
        transitive_tag_keys: Vec::new(),
        source_identity: None,
        mfa: None,
        token_length_min: token_length_min(input.minimum_session_token_size),
        federated: None,
    };
    let domain = cx.domain_key(account, &Region::us_east_1(), SEALED_FOR);
    let issued = token::issue(&domain, cx.random(), account, wanted)?;
    Ok(GetFederationTokenOutput {
        session_token_size: i32::try_from(issued.token.len()).ok(),
        session_token_utilization: None,
        credentials: Some(credentials(issued)),
        federated_user: Some(FederatedUser {
            federated_user_id: format!("{account}:{}", input.name),
            arn,
        }),
        packed_policy_size: Some(packed.unwrap_or(0)),
    })
}

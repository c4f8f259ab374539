//! Who a session is, how long, and what its policies leave it: temporary
//! credentials as their token tells, and the account as it is now.
//!
//! Absent by design: the policies of the role or user behind a session, which
//! are those of every caller ([`super::policies`]).

use std::sync::Arc;

use gate::{CredentialFault, SessionIssuer};
use ground::Timestamp;
use policy::{Attached, Context, Document, DocumentKind, Holder, Parent, Principal};
use store::StoreError;

use super::policies::aws_policy;
use crate::limits::SESSION_CLOCK_SKEW;
use crate::model::{CaseOfKeys, Tag};
use crate::store::Rows;
use crate::sts::token::{self, Claims};

/// Where a session's principal keeps the keys of its transitive tags, for the
/// next role in the chain. Not a key of AWS's, so no policy of AWS's names it.
pub(crate) const TRANSITIVE_TAG_KEYS: &str = "palisade:TransitiveTagKeys";

/// When temporary credentials are good.
#[derive(Clone, Copy)]
pub(super) struct Life {
    pub(super) issued: Timestamp,
    pub(super) expires: Timestamp,
}

impl Life {
    /// # Errors
    ///
    /// [`CredentialFault::Expired`] once its time is over;
    /// [`CredentialFault::Invalid`] if it was issued in a time to come, as under
    /// a clock that was ahead: it would live on when the clock is right again.
    pub(super) fn holds(self, now: Timestamp) -> Result<(), CredentialFault> {
        if self.issued > now.after(SESSION_CLOCK_SKEW) {
            return Err(CredentialFault::Invalid);
        }
        if now < self.expires {
            Ok(())
        } else {
            Err(CredentialFault::Expired)
        }
    }
}

/// `aws:PrincipalTag/…`
pub(crate) fn principal_tags<'a>(tags: impl Iterator<Item = &'a Tag>) -> Context<'static> {
    let mut keys = Context::new();
    for tag in tags {
        keys.insert(format!("aws:PrincipalTag/{}", tag.key), tag.value.clone());
    }
    keys
}

/// Who a session is, as things are now; `None` if whoever made it is gone. A
/// deleted role's sessions go on to be someone, with no permissions.
pub(super) async fn session_principal(
    rows: &Rows<'_>,
    claims: &Claims,
) -> Result<Option<(Principal, Option<SessionIssuer>)>, StoreError> {
    let account = rows.account();
    let mut issuer = None;
    let mut own_tags: Vec<Tag> = Vec::new();
    let principal = match &claims.who {
        token::Who::AssumedRoot | token::Who::Root => Principal::root(account),
        token::Who::User { id } => {
            let Some(user) = rows.user_by_id(id).await? else {
                return Ok(None);
            };
            own_tags.extend(user.tags.iter().cloned());
            Principal::user(account, &user.id, &user.path, &user.name)
        }
        token::Who::Federated { name, parent_id } => {
            let parent = match parent_id {
                None => None,
                Some(id) => {
                    let Some(user) = rows.user_by_id(id).await? else {
                        return Ok(None);
                    };
                    issuer = Some(SessionIssuer {
                        kind: "IAMUser",
                        id: user.id.clone(),
                        arn: user.arn(account),
                        name: user.name.clone(),
                    });
                    own_tags.extend(user.tags.iter().cloned());
                    Some(Parent {
                        id: user.id.clone(),
                        arn: user.arn(account),
                    })
                }
            };
            Principal::federated_user(account, name, parent)
        }
        token::Who::Role {
            id,
            path,
            name,
            session_name,
        } => {
            let arn = crate::model::arn(account, "role", path, name);
            issuer = Some(SessionIssuer {
                kind: "Role",
                id: id.clone(),
                arn,
                name: name.clone(),
            });
            if let Some(role) = rows.role(name).await?.filter(|role| role.id == *id) {
                own_tags.extend(role.tags.iter().cloned());
            }
            Principal::assumed_role(account, id, path, name, session_name)
        }
    };
    // Session tags win over those of the role or user, whatever their case.
    let overridden = |tag: &&Tag| {
        !claims
            .tags
            .iter()
            .any(|own| CaseOfKeys::Ignored.same(&own.key, &tag.key))
    };
    let mut keys = principal_tags(own_tags.iter().filter(overridden).chain(&claims.tags));
    keys.insert("aws:TokenIssueTime", claims.issued);
    keys.insert_if_known("aws:SourceIdentity", claims.source_identity.clone());
    if claims.who == token::Who::AssumedRoot {
        keys.insert("aws:AssumedRoot", true);
    }
    if let Some(federated) = &claims.federated {
        keys.insert("aws:FederatedProvider", federated.provider.clone());
        for (key, value) in &federated.keys {
            keys.insert(key.clone(), value.clone());
        }
    }
    if !claims.transitive_tag_keys.is_empty() {
        keys.insert(
            TRANSITIVE_TAG_KEYS,
            claims
                .transitive_tag_keys
                .iter()
                .cloned()
                .collect::<policy::Value<'static>>(),
        );
    }
    Ok(Some((principal.with_keys(keys), issuer)))
}

/// The policies passed to a session. A managed one that was deleted since
/// allows nothing any more. Those of root's tasks only deny: what they leave is
/// root's.
pub(super) async fn session_policies(
    rows: &Rows<'_>,
    claims: &Claims,
) -> Result<Option<Vec<Attached>>, StoreError> {
    let Some(passed) = &claims.policies else {
        return Ok(None);
    };
    let mut policies = Vec::new();
    if let Some(text) = &passed.inline {
        let document =
            Document::parse(text, DocumentKind::Session).map_err(|malformed| StoreError::BadRecord {
                table: "session tokens",
                reason: format!("the session policy is refused: {:?}", malformed.reason()),
            })?;
        policies.push(Attached::inline(
            "session policy",
            Holder::Session,
            Arc::new(document),
        ));
    }
    for arn in &passed.arns {
        if let Some(document) = rows.policy_document(arn).await? {
            policies.push(Attached::managed(arn, Holder::Session, document));
        }
    }
    if claims.who == token::Who::AssumedRoot {
        let everything = aws_policy("AdministratorAccess")?.parsed()?;
        policies.push(Attached::inline(
            "whatever root may do",
            Holder::Session,
            everything,
        ));
    }
    Ok(Some(policies))
}

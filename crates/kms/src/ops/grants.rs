//! `CreateGrant`, `ListGrants`, `ListRetirableGrants`, `RetireGrant` and `RevokeGrant`.

use std::sync::Arc;

use gate::Cx;
use ground::{AccountId, Arn};
use kms_api::{
    CreateGrantInput, CreateGrantOutput, GrantListEntry, GrantOperation, ListGrantsInput, ListGrantsResponse,
    ListRetirableGrantsInput, RetireGrantInput, RevokeGrantInput,
};
use shape::Unit;

use crate::access::Retiring;
use crate::error::Error;
use crate::limits::GRANTS_PAGE;
use crate::model::grant::{Grant, GrantId, Party, Terms};
use crate::model::key::arn;
use crate::model::{Demand, KeyId};
use crate::ops::{grant_token, page, unless_dry_run};
use crate::store::grants;
use crate::{Kms, access, store};

const LIST: &str = "ListGrants";
const LIST_RETIRABLE: &str = "ListRetirableGrants";

/// Lets a principal use a key. Asked twice for the same grant under the same
/// name, it gives the one that is there.
///
/// # Errors
///
/// [`Error::GrantPrincipal`], [`Error::GrantOperation`],
/// [`Error::GrantConstraint`], [`Error::TooManyGrants`]; [`Error::State`]
/// unless the key is enabled.
pub async fn create_grant(_kms: &Kms, cx: &Cx, input: CreateGrantInput) -> Result<CreateGrantOutput, Error> {
    grant_token::check(cx, input.grant_tokens.as_deref())?;
    let sought = store::shared_key(cx, &input.key_id).await?;
    let parties = Parties {
        grantee: one_of(input.grantee_principal, input.grantee_service_principal)?.ok_or(
            Error::GrantConstraint("a grantee principal or a grantee service principal is needed"),
        )?,
        retirer: one_of(input.retiring_principal, input.retiring_service_principal)?,
    };
    // Of a foreign key that is not there nothing is known, and nobody is let in.
    let terms = match &sought.found {
        Some((key, _)) => Terms::new(key.purpose, &input.operations, input.constraints),
        None => Err(Error::GrantConstraint("the key is not known")),
    };

    let ask = access::key(cx, sought).for_aws_resource();
    let key = match &terms {
        Ok(terms) => ask.granting(terms, &parties.grantee, parties.retirer.as_ref()),
        Err(_) => ask,
    };
    let key = key.permit().await?;
    let terms = terms?;
    key.check(Demand::Grant)?;
    parties.check(&terms)?;
    let grant = Grant {
        id: GrantId::generate(cx.random()),
        created: cx.now(),
        issuer: cx.account(),
        name: input.name,
        grantee: bind(cx, parties.grantee).await?,
        retirer: match parties.retirer {
            Some(named) => Some(bind(cx, named).await?),
            None => None,
        },
        terms,
    };
    unless_dry_run(input.dry_run, ())?;

    let id = match grants::same(cx, &key, &grant).await? {
        Some(id) => id,
        None => {
            grants::insert(cx, &key, &grant).await?;
            grant.id
        }
    };
    Ok(CreateGrantOutput {
        grant_token: Some(grant_token::make(cx, &key, &id)?),
        grant_id: Some(id.into()),
    })
}

/// Lists the grants of a key in the order of their ids: all, one, or those of a grantee.
///
/// # Errors
///
/// [`Error::InvalidMarker`], [`Error::Limit`], [`Error::InvalidGrantId`].
pub async fn list_grants(_kms: &Kms, cx: &Cx, input: ListGrantsInput) -> Result<ListGrantsResponse, Error> {
    let size = page::size(input.limit, GRANTS_PAGE)?;
    let after = page::after(LIST, input.marker.as_deref(), GrantId::parse)?;
    let one = input.grant_id.as_deref().map(read_id).transpose()?;
    let of = one_of(input.grantee_principal, input.grantee_service_principal)?;
    let key = store::shared_key(cx, &input.key_id).await?;

    let key = access::key(cx, key).for_aws_resource().permit().await?;
    let holder = match of {
        Some(named) => match bind(cx, named).await {
            Ok(party) => Some(party.holder().to_owned()),
            // Who is gone is still listed, by the id that is shown.
            Err(Error::GrantPrincipal(named)) => Some(named),
            Err(error) => return Err(error),
        },
        None => None,
    };
    let (found, next) = match one {
        None => grants::of_key(cx, &key, holder.as_deref(), after.as_ref(), size).await?,
        Some(id) => {
            let is_wanted = |grant: &Arc<Grant>| {
                holder
                    .as_ref()
                    .is_none_or(|holder| grant.grantee.holder() == holder)
            };
            let grant = grants::grant(cx, &key, &id).await?.filter(is_wanted);
            (grant.into_iter().collect(), None)
        }
    };
    let mut entries = Vec::with_capacity(found.len());
    for grant in &found {
        entries.push(entry(cx, key.arn(), grant).await?);
    }
    Ok(ListGrantsResponse {
        grants: Some(entries),
        truncated: Some(next.is_some()),
        next_marker: page::marker(LIST, next.as_ref().map(GrantId::as_str)),
    })
}

/// Lists the grants in this region that a principal of the caller's account may
/// retire, on keys of whatever account.
///
/// # Errors
///
/// [`Error::InvalidMarker`], [`Error::Limit`], [`Error::GrantPrincipal`].
pub async fn list_retirable_grants(
    _kms: &Kms,
    cx: &Cx,
    input: ListRetirableGrantsInput,
) -> Result<ListGrantsResponse, Error> {
    let size = page::size(input.limit, GRANTS_PAGE)?;
    let after = page::after(LIST_RETIRABLE, input.marker.as_deref(), read_place)?;
    let named = one_of(input.retiring_principal, input.retiring_service_principal)?.ok_or(
        Error::GrantConstraint("a retiring principal or a retiring service principal is needed"),
    )?;

    cx.authorize(access::retirer(cx, &named)).await?;
    let party = bind(cx, named).await?;
    let (found, next) = grants::retirable(cx, &party, after.as_ref(), size).await?;
    let mut entries = Vec::with_capacity(found.len());
    for found in &found {
        let arn = arn(&found.key, found.owner, cx.region());
        entries.push(entry(cx, arn, &found.grant).await?);
    }
    let next = next.map(|(owner, key, grant)| format!("{owner} {key} {grant}"));
    Ok(ListGrantsResponse {
        grants: Some(entries),
        truncated: Some(next.is_some()),
        next_marker: page::marker(LIST_RETIRABLE, next.as_deref()),
    })
}

/// Removes a grant for one who the grant says may: its retiring principal, its
/// grantee if it allows that, and the account that made it.
///
/// # Errors
///
/// [`Error::GrantToken`], [`Error::InvalidGrantId`], [`Error::GrantNotFound`],
/// and [`Error::Denied`] for everyone else.
pub async fn retire_grant(_kms: &Kms, cx: &Cx, input: RetireGrantInput) -> Result<Unit, Error> {
    let (sought, id) = match (input.grant_token, input.key_id, input.grant_id) {
        (Some(token), None, None) => {
            let named = grant_token::read(cx, &token)?;
            let arn = arn(&named.key, named.owner, cx.region());
            (store::shared_key(cx, &arn).await?, named.grant)
        }
        (None, Some(key), Some(grant)) => {
            let id = read_id(&grant)?;
            (store::shared_key(cx, &key).await?, id)
        }
        _ => {
            return Err(Error::GrantConstraint(
                "it is named by a grant token, or by a key ARN and a grant id",
            ));
        }
    };
    let grant = match &sought.found {
        Some((key, _)) => grants::grant(cx, key, &id).await?,
        None => None,
    };

    let retiring = match &grant {
        None if sought.owner == cx.account() => return Err(Error::GrantNotFound(id.into())),
        None => Retiring::ByNobody,
        Some(grant) => retiring(cx, grant),
    };
    let key = access::retire(cx, sought, &id, retiring).await?;
    let grant = grant.ok_or(Error::GrantNotFound(id.into()))?;
    cx.note("grantId", grant.id.to_string());
    unless_dry_run(input.dry_run, ())?;
    cx.write(async |tx| {
        grants::remove(tx, &key, &grant);
        Ok::<_, Error>(())
    })
    .await?;
    Ok(Unit)
}

/// Removes a grant for one whom the key's policies let.
///
/// # Errors
///
/// [`Error::InvalidGrantId`], [`Error::GrantNotFound`].
pub async fn revoke_grant(_kms: &Kms, cx: &Cx, input: RevokeGrantInput) -> Result<Unit, Error> {
    let id = read_id(&input.grant_id)?;
    let key = store::shared_key(cx, &input.key_id).await?;

    let key = access::key(cx, key).for_aws_resource().permit().await?;
    let grant = grants::grant(cx, &key, &id).await?;
    let grant = grant.ok_or(Error::GrantNotFound(id.into()))?;
    cx.note("grantId", grant.id.to_string());
    unless_dry_run(input.dry_run, ())?;
    cx.write(async |tx| {
        grants::remove(tx, &key, &grant);
        Ok::<_, Error>(())
    })
    .await?;
    Ok(Unit)
}

/// A principal as a request names it.
#[derive(Debug, Clone)]
pub(crate) enum NamedParty {
    /// By ARN.
    Principal(String),
    /// By the name of a service.
    Service(String),
}

struct Parties {
    grantee: NamedParty,
    retirer: Option<NamedParty>,
}

impl Parties {
    /// A service holds a grant only for one resource, and only if somebody can
    /// retire it.
    ///
    /// Source: KMS Developer Guide, "Creating grants".
    fn check(&self, terms: &Terms) -> Result<(), Error> {
        match self.grantee {
            NamedParty::Principal(_) => Ok(()),
            NamedParty::Service(_) if terms.source_arn().is_none() => Err(Error::GrantConstraint(
                "a grantee service principal needs a SourceArn constraint",
            )),
            NamedParty::Service(_) if self.retirer.is_none() => Err(Error::GrantConstraint(
                "a grantee service principal needs a retiring principal",
            )),
            NamedParty::Service(_) => Ok(()),
        }
    }
}

fn one_of(principal: Option<String>, service: Option<String>) -> Result<Option<NamedParty>, Error> {
    match (principal, service) {
        (None, None) => Ok(None),
        (Some(arn), None) => Ok(Some(NamedParty::Principal(arn))),
        (None, Some(name)) => Ok(Some(NamedParty::Service(name))),
        (Some(_), Some(_)) => Err(Error::GrantConstraint(
            "a principal and a service principal exclude each other",
        )),
    }
}

/// Looks up who is named.
///
/// # Errors
///
/// [`Error::GrantPrincipal`] if there is nobody.
async fn bind(cx: &Cx, named: NamedParty) -> Result<Party, Error> {
    let text = match named {
        NamedParty::Service(name) if name.ends_with(".amazonaws.com") => return Ok(Party::Service { name }),
        NamedParty::Service(name) => return Err(Error::GrantPrincipal(name)),
        NamedParty::Principal(arn) => arn,
    };
    let nobody = || Error::GrantPrincipal(text.clone());
    let arn = Arn::parse(&text).map_err(|_| nobody())?;
    let account = arn.account_id().ok_or_else(nobody)?;
    let parts: Vec<&str> = arn.resource.split('/').collect();
    let holder = match (arn.service.as_str(), parts.as_slice()) {
        _ if arn.partition != "aws" || !arn.region.is_empty() => None,
        ("iam", ["root"]) => {
            let exists = cx.account_exists(account).await?;
            exists.then(|| account.to_string())
        }
        ("iam", ["user" | "role", ..]) => cx.principal_id(&text).await?,
        ("sts", ["assumed-role", role, session]) => {
            let role = format!("arn:aws:iam::{account}:role/{role}");
            let id = cx.principal_id(&role).await?;
            id.map(|id| format!("{id}:{session}"))
        }
        ("sts", ["federated-user", name]) => {
            let exists = cx.account_exists(account).await?;
            exists.then(|| format!("{account}:{name}"))
        }
        _ => None,
    };
    Ok(Party::Principal {
        holder: holder.ok_or_else(nobody)?,
        account,
        arn: text,
    })
}

/// How the caller may retire a grant.
///
/// Source: KMS Developer Guide, "Retiring and revoking grants".
fn retiring(cx: &Cx, grant: &Grant) -> Retiring {
    let caller = &cx.caller().principal;
    let by_grant = grant.retirer.as_ref().is_some_and(|retirer| retirer.is(caller))
        || (grant.terms.operations().contains(&GrantOperation::RetireGrant) && grant.grantee.is(caller));
    let account = cx.account().to_string();
    let by_account = grant.issuer == cx.account()
        || grant
            .retirer
            .as_ref()
            .is_some_and(|retirer| retirer.holder() == account);
    match (by_grant, by_account) {
        (true, _) => Retiring::ByGrant,
        (false, true) => Retiring::ByAccount,
        (false, false) => Retiring::ByNobody,
    }
}

fn read_id(text: &str) -> Result<GrantId, Error> {
    GrantId::parse(text).ok_or_else(|| Error::InvalidGrantId(text.to_owned()))
}

/// Reads what the marker of `ListRetirableGrants` holds.
fn read_place(text: &str) -> Option<(AccountId, KeyId, GrantId)> {
    let (owner, rest) = text.split_once(' ')?;
    let (key, grant) = rest.split_once(' ')?;
    let owner = AccountId::parse(owner).ok()?;
    Some((owner, KeyId::parse(key)?, GrantId::parse(grant)?))
}

async fn entry(cx: &Cx, key_arn: String, grant: &Grant) -> Result<GrantListEntry, Error> {
    let (grantee_principal, grantee_service_principal) = shown(cx, &grant.grantee).await?;
    let (retiring_principal, retiring_service_principal) = match &grant.retirer {
        Some(retirer) => shown(cx, retirer).await?,
        None => (None, None),
    };
    Ok(GrantListEntry {
        key_id: Some(key_arn),
        grant_id: Some(grant.id.to_string()),
        name: grant.name.clone(),
        creation_date: Some(grant.created),
        grantee_principal,
        retiring_principal,
        issuing_account: Some(format!("arn:aws:iam::{}:root", grant.issuer)),
        operations: Some(grant.terms.operations().to_vec()),
        constraints: grant.terms.constraints(),
        grantee_service_principal,
        retiring_service_principal,
    })
}

/// A party as it is called today: users and roles that are gone by their bare id.
async fn shown(cx: &Cx, party: &Party) -> Result<(Option<String>, Option<String>), Error> {
    let (arn, holder, account) = match party {
        Party::Service { name } => return Ok((None, Some(name.clone()))),
        Party::Principal { arn, holder, account } => (arn, holder, *account),
    };
    let is_entity = Arn::parse(arn)
        .is_ok_and(|arn| arn.resource.starts_with("user/") || arn.resource.starts_with("role/"));
    if !is_entity {
        return Ok((Some(arn.clone()), None));
    }
    let today = cx.principal_arn(account, holder).await?;
    Ok((Some(today.unwrap_or_else(|| holder.clone())), None))
}

//! Centralized root access of an organisation: which of its features are on.
//!
//! They are the management account's to enable; it and the delegated
//! administrators for IAM may see and disable them. IAM must have trusted
//! access to the organisation throughout.
//!
//! Absent by design: organisations without all features, of which there are none.

use gate::{Cx, Permit};
use ground::AccountId;
use iam_api::{
    DisableOrganizationsRootCredentialsManagementInput, DisableOrganizationsRootCredentialsManagementOutput,
    DisableOrganizationsRootSessionsInput, DisableOrganizationsRootSessionsOutput,
    EnableOrganizationsRootCredentialsManagementInput, EnableOrganizationsRootCredentialsManagementOutput,
    EnableOrganizationsRootSessionsInput, EnableOrganizationsRootSessionsOutput, FeatureType,
    ListOrganizationsFeaturesInput, ListOrganizationsFeaturesOutput,
};

use crate::Iam;
use crate::access;
use crate::error::Error;
use crate::model::RootAccess;
use crate::model::root_access::SERVICE_PRINCIPAL;
use crate::store::{self, rows};

/// Who may call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Management,
    Administrators,
}

/// What the organisation has enabled, and its management account, for a caller
/// to whom it is open.
async fn enter(cx: &Cx, who: For) -> Result<(Permit<RootAccess>, AccountId), Error> {
    let permit = access::of_account(cx, ()).await?;
    let standing = cx.account_standing(cx.account()).await?;
    let membership = standing.membership.as_ref().ok_or(Error::OutsideOrganization)?;
    let service = cx.service_access(cx.account(), SERVICE_PRINCIPAL).await?;
    if membership.management != cx.account() {
        if !service.delegated {
            return Err(Error::AccountNotEntitled);
        }
        if who == For::Management {
            return Err(Error::AccountNotManagement);
        }
    }
    if !service.trusted {
        return Err(Error::ServiceNotTrusted);
    }
    let rows = rows(cx).cross_account(membership.management);
    let access = rows.root_access(&membership.organization).await?;
    Ok((permit.map(|()| access), membership.management))
}

/// Changes what the organisation has enabled, and tells what that is now. To
/// say what holds already changes nothing.
async fn set(cx: &Cx, who: For, change: impl FnOnce(&mut RootAccess)) -> Result<Told, Error> {
    let (before, management) = enter(cx, who).await?;
    let mut wanted = before.clone();
    change(&mut wanted);
    let told = Told::of(&wanted);
    if wanted != *before {
        let access = before.map(|_| wanted);
        store::write(cx, |tx| store::put_root_access(tx, management, &access)).await?;
    }
    Ok(told)
}

/// As every one of these operations answers.
struct Told {
    organization_id: Option<String>,
    enabled_features: Option<Vec<FeatureType>>,
}

impl Told {
    fn of(access: &RootAccess) -> Told {
        let features = [
            (
                access.credentials_management,
                FeatureType::RootCredentialsManagement,
            ),
            (access.sessions, FeatureType::RootSessions),
        ];
        let enabled = features.into_iter().filter(|(enabled, _)| *enabled);
        Told {
            organization_id: Some(access.organization.clone()),
            enabled_features: Some(enabled.map(|(_, feature)| feature).collect()),
        }
    }
}

pub(crate) async fn enable_organizations_root_credentials_management(
    _iam: &Iam,
    cx: &Cx,
    _: EnableOrganizationsRootCredentialsManagementInput,
) -> Result<EnableOrganizationsRootCredentialsManagementOutput, Error> {
    let told = set(cx, For::Management, |access| access.credentials_management = true).await?;
    Ok(EnableOrganizationsRootCredentialsManagementOutput {
        organization_id: told.organization_id,
        enabled_features: told.enabled_features,
    })
}

pub(crate) async fn enable_organizations_root_sessions(
    _iam: &Iam,
    cx: &Cx,
    _: EnableOrganizationsRootSessionsInput,
) -> Result<EnableOrganizationsRootSessionsOutput, Error> {
    let told = set(cx, For::Management, |access| access.sessions = true).await?;
    Ok(EnableOrganizationsRootSessionsOutput {
        organization_id: told.organization_id,
        enabled_features: told.enabled_features,
    })
}

pub(crate) async fn disable_organizations_root_credentials_management(
    _iam: &Iam,
    cx: &Cx,
    _: DisableOrganizationsRootCredentialsManagementInput,
) -> Result<DisableOrganizationsRootCredentialsManagementOutput, Error> {
    let told = set(cx, For::Administrators, |access| {
        access.credentials_management = false;
    })
    .await?;
    Ok(DisableOrganizationsRootCredentialsManagementOutput {
        organization_id: told.organization_id,
        enabled_features: told.enabled_features,
    })
}

pub(crate) async fn disable_organizations_root_sessions(
    _iam: &Iam,
    cx: &Cx,
    _: DisableOrganizationsRootSessionsInput,
) -> Result<DisableOrganizationsRootSessionsOutput, Error> {
    let told = set(cx, For::Administrators, |access| access.sessions = false).await?;
    Ok(DisableOrganizationsRootSessionsOutput {
        organization_id: told.organization_id,
        enabled_features: told.enabled_features,
    })
}

pub(crate) async fn list_organizations_features(
    _iam: &Iam,
    cx: &Cx,
    _: ListOrganizationsFeaturesInput,
) -> Result<ListOrganizationsFeaturesOutput, Error> {
    let (access, _) = enter(cx, For::Administrators).await?;
    let told = Told::of(&access);
    Ok(ListOrganizationsFeaturesOutput {
        organization_id: told.organization_id,
        enabled_features: told.enabled_features,
    })
}

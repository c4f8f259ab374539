//! What happens without being asked: accounts that were asked for are made.

use gate::{Event, Job, JobCx, JobError, NewAccount, Touched};
use ground::{AccountId, Region, Timestamp};
use serde_json::json;
use store::{Prefix, Scope, StoreError};

use crate::limits::{ACCOUNTS_MAX, CREATIONS_PER_RUN_MAX};
use crate::model::{Creation, Generation, Member, Node, Organization, Outcome, Profile};
use crate::store::{CREATIONS, EMAILS, ORGANIZATION, PROFILE, WAITING, Writer};

/// Makes the accounts that were asked for.
pub(crate) fn account_creation() -> Job {
    Job::new("organizations/create-accounts", |cx| {
        Box::pin(create_accounts(cx))
    })
}

/// Answers waiting requests, up to [`CREATIONS_PER_RUN_MAX`] of them; the next run goes on.
///
/// # Errors
///
/// Whatever the store and the journal report. What was made before stays made.
async fn create_accounts(cx: &JobCx) -> Result<(), JobError> {
    let index = cx.store().view(Scope::global());
    let page = index
        .scan(&WAITING, &Prefix::all(), None, CREATIONS_PER_RUN_MAX)
        .await?;
    for ((management, id), _) in page.items {
        answer_request(cx, management, id).await?;
    }
    Ok(())
}

/// Account, role, membership and the request's outcome are one commit.
async fn answer_request(cx: &JobCx, management: AccountId, id: String) -> Result<(), JobError> {
    let scope = Scope::regionless(management);
    let view = cx.store().view(scope.clone());
    let creation = view.get(&CREATIONS, &id).await?;
    let organization = view.get(&ORGANIZATION, &()).await?;
    let (Some(creation), Some(organization)) = (creation, organization) else {
        // The organisation is gone, and its requests with it.
        let tx = view.begin();
        tx.cross_account_delete(&Scope::global(), &WAITING, &(management, id));
        cx.store().commit(tx).await?;
        return Ok(());
    };
    let email = creation.email.to_lowercase();
    let now = Timestamp::from_seconds(cx.now().seconds());
    let taken = view.cross_account_get(&Scope::global(), &EMAILS, &email).await?;
    let outcome = if taken.is_some() {
        Outcome::EmailTaken { at: now }
    } else if organization.accounts >= ACCOUNTS_MAX {
        Outcome::Refused { at: now }
    } else {
        Outcome::Made {
            at: now,
            account: new_account_id(cx.random().bytes()),
        }
    };
    let answered = Creation {
        outcome: outcome.clone(),
        ..(*creation).clone()
    };
    let event = result_event(&organization, &answered, now);
    let generation = Generation(cx.random().bytes());
    cx.write(scope.clone(), event, async |tx| {
        // Read again, so that the commit depends on it.
        let waiting = (management, id.clone());
        let still = tx.cross_account_get(&Scope::global(), &WAITING, &waiting).await?;
        let same_email = tx.cross_account_get(&Scope::global(), &EMAILS, &email).await? == taken;
        let current = tx.get(&ORGANIZATION, &()).await?;
        let Some(current) =
            current.filter(|current| still.is_some() && same_email && current.id == organization.id)
        else {
            return Err(StoreError::Conflict);
        };
        let writer = Writer::new(tx, &scope, generation);
        writer.delete_in(&Scope::global(), &WAITING, &waiting);
        writer.put(&CREATIONS, &id, &answered);
        let Outcome::Made { account, .. } = outcome else {
            return Ok(());
        };
        let new = NewAccount {
            account,
            management,
            role_name: &answered.role_name,
            now,
            random: cx.random(),
        };
        cx.directory().create_account(tx, new).await?;
        let profile = Profile {
            name: answered.name.clone(),
            email: answered.email.clone(),
        };
        let member = Member {
            account,
            name: profile.name.clone(),
            email: profile.email.clone(),
            parent: current.root.clone(),
            joined: now,
            invited: false,
            closed: None,
            sees_bills: answered.sees_bills,
        };
        let organization = Organization {
            accounts: current.accounts.saturating_add(1),
            ..(*current).clone()
        };
        writer.put_organization(&organization);
        writer.put_member(&organization, &member);
        writer.put_tags(&account.to_string(), &answered.tags);
        writer.put_in(&Scope::regionless(account), &PROFILE, &(), &profile);
        writer.put_in(&Scope::global(), &EMAILS, &email, &account);
        Ok(())
    })
    .await
}

/// Twelve digits of which the first is not zero. Whoever draws one that is
/// taken is refused by identity, and draws anew at the next run.
fn new_account_id(random: [u8; 8]) -> AccountId {
    const FIRST: u64 = 100_000_000_000;
    let number = FIRST + u64::from_be_bytes(random) % (9 * FIRST);
    AccountId::from_number(number).expect("the number has twelve digits")
}

/// CloudTrail's `CreateAccountResult`.
fn result_event(organization: &Organization, creation: &Creation, now: Timestamp) -> Event {
    let mut status = json!({
        "id": creation.id,
        "requestedTimestamp": creation.requested.iso8601(),
        "completedTimestamp": now.iso8601(),
    });
    let mut resources = Vec::new();
    match &creation.outcome {
        Outcome::Made { account, .. } => {
            status["state"] = json!("SUCCEEDED");
            status["accountId"] = json!(account.to_string());
            resources.push(Touched {
                kind: "AWS::Organizations::Account",
                arn: organization.node_arn(&Node::Account(*account)).into(),
                account: organization.management,
            });
        }
        Outcome::EmailTaken { .. } => {
            status["state"] = json!("FAILED");
            status["failureReason"] = json!("EMAIL_ALREADY_EXISTS");
        }
        Outcome::Refused { .. } | Outcome::Pending => {
            status["state"] = json!("FAILED");
            status["failureReason"] = json!("ACCOUNT_LIMIT_EXCEEDED");
        }
    }
    Event {
        source: "organizations.amazonaws.com",
        name: "CreateAccountResult",
        account: organization.management,
        region: Region::us_east_1(),
        resources,
        details: Some(json!({ "createAccountStatus": status })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ids_have_twelve_digits_and_begin_with_none_that_is_zero() {
        for random in [[0; 8], [255; 8], [1, 2, 3, 4, 5, 6, 7, 8]] {
            let id = new_account_id(random).to_string();
            assert!(id.len() == 12 && !id.starts_with('0'), "{id}");
        }
    }
}

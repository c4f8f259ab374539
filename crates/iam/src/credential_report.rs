//! Credential reports: every user of an account and the state of its
//! credentials, as a table of comma-separated values.
//!
//! A report that was asked for is made by a job, page by page, so that an
//! account of thousands of users holds nobody up; it is of the time at which it
//! was finished, give or take what changed meanwhile, as on AWS. Columns and
//! their words follow the IAM User Guide, "Understanding the report format".
//!
//! Absent by design: when a password was last used, for there is no console
//! here to sign in to; signing certificates beyond whether there is one.

use std::sync::Arc;

use gate::{Job, JobError};
use ground::{AccountId, Timestamp};
use store::{Prefix, Scope, Store, StoreError};

use crate::last_used::LastUses;
use crate::limits::{REPORT_PART_BYTES_MAX, REPORT_USERS_PER_VIEW, REPORTS_PER_RUN_MAX};
use crate::model::{AccessKey, LoginProfile, SigningCertificate, User};
use crate::store::{REPORT, REPORT_PARTS, REPORTS_WAITING, Report, Rows, USERS, rows_of};

/// The first line.
const HEADER: &str = "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated";

/// There is nothing that the column could tell of.
const NOT_APPLICABLE: &str = "N/A";
/// The root user has no such thing.
const NOT_SUPPORTED: &str = "not_supported";
/// There is a password, and nobody knows when it was last used.
const NO_INFORMATION: &str = "no_information";

/// Makes the reports that were asked for.
pub(crate) fn making(uses: Arc<LastUses>) -> Job {
    Job::new("iam/make-credential-reports", move |cx| {
        let uses = Arc::clone(&uses);
        Box::pin(async move {
            let made: Result<(), StoreError> = make_waiting(cx.store(), &uses, cx.now()).await;
            made.map_err(|error| -> JobError { error.into() })
        })
    })
}

async fn make_waiting(store: &Store, uses: &LastUses, now: Timestamp) -> Result<(), StoreError> {
    let waiting = store
        .view(Scope::global())
        .scan(&REPORTS_WAITING, &Prefix::all(), None, REPORTS_PER_RUN_MAX)
        .await?;
    for (account, _) in waiting.items {
        let text = written(store, uses, account).await?;
        keep(store, account, now, &text).await?;
    }
    Ok(())
}

/// Puts a report in the place of the one before.
async fn keep(store: &Store, account: AccountId, now: Timestamp, text: &str) -> Result<(), StoreError> {
    let parts = parts(text);
    let report = Report {
        generated: Timestamp::from_seconds(now.seconds()),
        parts: u32::try_from(parts.len()).unwrap_or(u32::MAX),
    };
    store
        .transact(&Scope::regionless(account), async |tx| {
            let before = tx.get(&REPORT, &()).await?;
            for number in report.parts..before.map_or(0, |before| before.parts) {
                tx.delete(&REPORT_PARTS, &u64::from(number));
            }
            for (number, part) in (0u64..).zip(&parts) {
                tx.put(&REPORT_PARTS, &number, &(*part).to_owned());
            }
            tx.put(&REPORT, &(), &report);
            tx.cross_account_delete(&Scope::global(), &REPORTS_WAITING, &account);
            Ok(())
        })
        .await
}

/// A text in pieces that the store takes.
fn parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = rest.len().min(REPORT_PART_BYTES_MAX);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (part, after) = rest.split_at(end);
        parts.push(part);
        rest = after;
    }
    parts
}

/// The whole report of an account.
async fn written(store: &Store, uses: &LastUses, account: AccountId) -> Result<String, StoreError> {
    let mut text = HEADER.to_owned();
    // A view remembers what it read, so each page has its own.
    let view = store.view(Scope::regionless(account));
    let rows = rows_of(&view, account);
    let root = Subject {
        user: None,
        password: None,
        has_second_factor: false,
        keys: keys_of(&rows, uses, &account.to_string()).await?,
        certificates: certificates_of(&rows, &account.to_string()).await?,
    };
    let created = rows.account_row().await?.map(|account| account.created);
    let rotated_after = rows
        .password_policy()
        .await?
        .and_then(|policy| policy.age_max_days);
    root.line(account, created, rotated_after, &mut text);
    let mut after: Option<String> = None;
    loop {
        let view = store.view(Scope::regionless(account));
        let rows = rows_of(&view, account);
        let page = rows
            .scan(&USERS, &Prefix::all(), after.as_ref(), REPORT_USERS_PER_VIEW)
            .await?;
        for (_, user) in page.items {
            let subject = Subject {
                password: rows.login_profile(&user.id).await?,
                has_second_factor: !rows.mfa_devices_of(&user.id).await?.is_empty(),
                keys: keys_of(&rows, uses, &user.id).await?,
                certificates: certificates_of(&rows, &user.id).await?,
                user: Some(Arc::clone(&user)),
            };
            subject.line(account, Some(user.created), rotated_after, &mut text);
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(text),
        }
    }
}

/// A key, and its last use as the columns tell it.
struct Key {
    key: Arc<AccessKey>,
    used: Option<crate::last_used::LastUse>,
}

async fn keys_of(rows: &Rows<'_>, uses: &LastUses, owner_id: &str) -> Result<Vec<Key>, StoreError> {
    let mut keys = Vec::new();
    for key in rows.access_keys(owner_id).await? {
        let used = uses.last_use(rows, &key.id).await?;
        keys.push(Key { key, used });
    }
    keys.sort_by_key(|key| key.key.created);
    Ok(keys)
}

async fn certificates_of(
    rows: &Rows<'_>,
    owner_id: &str,
) -> Result<Vec<Arc<SigningCertificate>>, StoreError> {
    let mut certificates = rows.signing_certificates(owner_id).await?;
    certificates.sort_by_key(|certificate| certificate.uploaded);
    Ok(certificates)
}

/// What one line is about.
struct Subject {
    /// `None` for the root user.
    user: Option<Arc<User>>,
    password: Option<Arc<LoginProfile>>,
    has_second_factor: bool,
    keys: Vec<Key>,
    certificates: Vec<Arc<SigningCertificate>>,
}

impl Subject {
    /// Adds the line; a root user has two keys at most, as a user has.
    fn line(
        &self,
        account: AccountId,
        created: Option<Timestamp>,
        rotated_after_days: Option<u32>,
        out: &mut String,
    ) {
        let created = created.map_or_else(|| NOT_APPLICABLE.to_owned(), date);
        let mut fields = match &self.user {
            None => vec![
                "<root_account>".to_owned(),
                format!("arn:aws:iam::{account}:root"),
                created,
            ],
            Some(user) => vec![user.name.clone(), user.arn(account), created],
        };
        fields.extend(self.password(rotated_after_days));
        fields.push(self.has_second_factor.to_string());
        for place in 0..2 {
            fields.extend(key_fields(self.keys.get(place)));
        }
        for place in 0..2 {
            fields.extend(certificate_fields(self.certificates.get(place)));
        }
        out.push('\n');
        for (at, field) in fields.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            push_field(out, field);
        }
    }

    fn password(&self, rotated_after_days: Option<u32>) -> [String; 4] {
        match (&self.user, &self.password) {
            (None, _) => [NOT_SUPPORTED, NO_INFORMATION, NOT_SUPPORTED, NOT_SUPPORTED].map(str::to_owned),
            (Some(_), None) => ["false", NOT_APPLICABLE, NOT_APPLICABLE, NOT_APPLICABLE].map(str::to_owned),
            (Some(_), Some(password)) => {
                let next = rotated_after_days.map_or_else(
                    || NOT_APPLICABLE.to_owned(),
                    |days| {
                        let seconds = i64::from(days) * 24 * 60 * 60;
                        date(Timestamp::from_seconds(password.changed.seconds() + seconds))
                    },
                );
                [
                    "true".to_owned(),
                    NO_INFORMATION.to_owned(),
                    date(password.changed),
                    next,
                ]
            }
        }
    }
}

/// Whether it is active, and when it was uploaded.
fn certificate_fields(certificate: Option<&Arc<SigningCertificate>>) -> [String; 2] {
    match certificate {
        None => [false.to_string(), NOT_APPLICABLE.to_owned()],
        Some(certificate) => [certificate.active.to_string(), date(certificate.uploaded)],
    }
}

/// Whether it is active, when it was made, and its last use.
fn key_fields(key: Option<&Key>) -> [String; 5] {
    let nothing = || NOT_APPLICABLE.to_owned();
    let Some(Key { key, used }) = key else {
        return [false.to_string(), nothing(), nothing(), nothing(), nothing()];
    };
    let (at, region, service) = match used {
        None => (nothing(), nothing(), nothing()),
        Some(used) => (date(used.at), used.region.clone(), used.service.clone()),
    };
    [key.active.to_string(), date(key.created), at, region, service]
}

/// `2015-05-26T16:44:13+00:00`
fn date(at: Timestamp) -> String {
    let mut text = at.iso8601_seconds();
    text.pop();
    text.push_str("+00:00");
    text
}

/// A name may hold commas, but neither quotes nor line ends.
fn push_field(out: &mut String, field: &str) {
    if field.contains(',') {
        out.push('"');
        out.push_str(field);
        out.push('"');
    } else {
        out.push_str(field);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Tags;

    fn account() -> AccountId {
        AccountId::parse("111122223333").unwrap()
    }

    fn user(name: &str) -> User {
        User {
            id: format!("AIDA{name}"),
            name: name.to_owned(),
            path: "/".to_owned(),
            created: Timestamp::from_seconds(1_432_658_653),
            boundary: None,
            tags: Tags::default(),
        }
    }

    async fn with_users(names: &[&str]) -> Store {
        let store = Store::open(store::Config::memory()).await.unwrap();
        let tx = store.view(Scope::regionless(account())).begin();
        for name in names {
            tx.put(&USERS, &(*name).to_owned(), &user(name));
        }
        store.commit(tx).await.unwrap();
        store
    }

    #[tokio::test]
    async fn a_user_without_credentials_has_a_line_of_nothing() {
        let store = with_users(&["bob", "a,b"]).await;
        let text = written(&store, &LastUses::default(), account()).await.unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(
            lines[1],
            "<root_account>,arn:aws:iam::111122223333:root,N/A,not_supported,no_information,not_supported,not_supported,false,false,N/A,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
        );
        assert!(
            lines[2].starts_with("\"a,b\",\"arn:aws:iam::111122223333:user/a,b\",2015-05-26T16:44:13+00:00,")
        );
        assert_eq!(
            lines[3],
            "bob,arn:aws:iam::111122223333:user/bob,2015-05-26T16:44:13+00:00,false,N/A,N/A,N/A,false,false,N/A,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
        );
        let columns = HEADER.split(',').count();
        assert!(
            [lines[1], lines[3]]
                .iter()
                .all(|line| line.split(',').count() == columns)
        );
    }

    #[test]
    fn a_password_tells_when_it_must_be_changed() {
        let password = LoginProfile {
            created: Timestamp::from_seconds(0),
            changed: Timestamp::from_seconds(86_400),
            reset_required: false,
            sealed_digests: Vec::new(),
        };
        let subject = Subject {
            user: Some(Arc::new(user("bob"))),
            password: Some(Arc::new(password)),
            has_second_factor: true,
            keys: Vec::new(),
            certificates: Vec::new(),
        };
        let [enabled, used, changed, next] = subject.password(Some(2));
        assert_eq!((enabled.as_str(), used.as_str()), ("true", "no_information"));
        assert_eq!(changed, "1970-01-02T00:00:00+00:00");
        assert_eq!(next, "1970-01-04T00:00:00+00:00");
        assert_eq!(subject.password(None)[3], "N/A");
    }

    #[tokio::test]
    async fn a_report_replaces_the_one_before_whole() {
        let store = with_users(&["bob"]).await;
        let long = "x".repeat(2 * REPORT_PART_BYTES_MAX + 1);
        for (text, parts) in [(long.as_str(), 3), ("short", 1)] {
            keep(&store, account(), Timestamp::from_seconds(1), text)
                .await
                .unwrap();
            let view = store.view(Scope::regionless(account()));
            let rows = rows_of(&view, account());
            let report = rows.get(&REPORT, &()).await.unwrap().unwrap();
            assert_eq!(report.parts, parts);
            assert_eq!(rows.report_text(&report).await.unwrap(), text);
            let gone = rows.get(&REPORT_PARTS, &u64::from(parts)).await.unwrap();
            assert!(gone.is_none());
        }
    }
}

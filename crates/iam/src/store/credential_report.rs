//! Rows of credential reports: the last one of each account, and which accounts wait for one.

use gate::Permit;
use ground::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Scope, StoreError, Table, WriteTx};

use crate::model::Attachment;
use crate::store::Rows;

/// In the scope all accounts share: accounts that wait for a report.
pub(crate) const REPORTS_WAITING: Table<AccountId, Attachment> =
    Table::new("iam/credential-report-waiting", 1);
/// The last report, without its text.
pub(crate) const REPORT: Table<(), Report> = Table::new("iam/credential-report", 1);
/// The text of the last report, in pieces by number.
pub(crate) const REPORT_PARTS: Table<u64, String> = Table::new("iam/credential-report-part", 1);

/// A credential report that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) generated: Timestamp,
    /// Pieces of its text.
    pub(crate) parts: u32,
}

impl Rows<'_> {
    /// The text of a report.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadRecord`] if a piece is lost.
    pub(crate) async fn report_text(&self, report: &Report) -> Result<String, StoreError> {
        let mut text = String::new();
        for number in 0..report.parts {
            let part = self.get(&REPORT_PARTS, &u64::from(number)).await?;
            text.push_str(&part.ok_or_else(|| StoreError::BadRecord {
                table: REPORT_PARTS.name(),
                reason: format!("part {number} is missing"),
            })?);
        }
        Ok(text)
    }
}

/// Asks for a report of the account.
pub(crate) fn put_report_wanted(tx: &mut WriteTx, account: &Permit<AccountId>) {
    tx.cross_account_put(&Scope::global(), &REPORTS_WAITING, account, &Attachment {});
}

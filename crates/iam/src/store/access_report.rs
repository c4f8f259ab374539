//! Rows about reports of what was last accessed: who asked for which.

use std::collections::VecDeque;

use gate::Permit;
use ground::Timestamp;
use serde::{Deserialize, Serialize};
use store::{StoreError, Table, WriteTx};

use crate::limits::ACCESS_REPORTS_KEPT_MAX;
use crate::model::EntityKind;
use crate::store::Rows;

/// The reports of the account that are remembered.
const ACCESS_REPORTS: Table<(), AccessReports> = Table::new("iam/access-reports", 1);

/// The last of them, oldest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct AccessReports(VecDeque<AccessReport>);

/// A report that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccessReport {
    /// The job's id: a UUID.
    pub(crate) id: String,
    pub(crate) subject: Subject,
    /// Whether single actions are told.
    pub(crate) tells_actions: bool,
    /// Unique id of the user or role that asked, or the account id of root:
    /// nobody else may read it.
    pub(crate) asker: String,
    pub(crate) created: Timestamp,
}

/// What a report is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Subject {
    /// A user, role or group, by unique id.
    Entity { kind: EntityKind, id: String },
    /// A part of an organisation, by its path, and perhaps one of its service
    /// control policies, by id.
    Organization { path: String, policy_id: Option<String> },
    /// A managed policy, by ARN.
    Policy(String),
}

impl AccessReports {
    /// With one more, the oldest forgotten beyond [`ACCESS_REPORTS_KEPT_MAX`].
    pub(crate) fn with(mut self, report: AccessReport) -> AccessReports {
        if self.0.len() >= ACCESS_REPORTS_KEPT_MAX {
            self.0.pop_front();
        }
        self.0.push_back(report);
        self
    }

    /// The report with this id that `asker` asked for, if it is of an
    /// organisation, or is not.
    pub(crate) fn find(&self, id: &str, asker: &str, of_organization: bool) -> Option<&AccessReport> {
        self.0.iter().find(|report| {
            let is_of_organization = matches!(report.subject, Subject::Organization { .. });
            report.id == id && report.asker == asker && is_of_organization == of_organization
        })
    }
}

impl Rows<'_> {
    /// The reports that are remembered.
    pub(crate) async fn access_reports(&self) -> Result<AccessReports, StoreError> {
        let reports = self.get(&ACCESS_REPORTS, &()).await?;
        Ok(reports.map(|reports| (*reports).clone()).unwrap_or_default())
    }
}

/// Remembers which reports were asked for.
pub(crate) fn put_access_reports(tx: &mut WriteTx, reports: &Permit<AccessReports>) {
    tx.put(&ACCESS_REPORTS, &(), &**reports);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_for_who_asked_and_the_oldest_is_forgotten() {
        let report = |number: usize| AccessReport {
            id: number.to_string(),
            subject: Subject::Policy("arn".to_owned()),
            tells_actions: false,
            asker: "AIDA1".to_owned(),
            created: Timestamp::from_seconds(0),
        };
        let reports = (0..=ACCESS_REPORTS_KEPT_MAX).fold(AccessReports::default(), |reports, number| {
            reports.with(report(number))
        });
        assert!(reports.find("0", "AIDA1", false).is_none());
        assert!(reports.find("1", "AIDA1", false).is_some());
        assert!(reports.find("1", "AIDA1", true).is_none());
        assert!(reports.find("1", "AIDA2", false).is_none());
    }
}

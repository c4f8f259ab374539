//! Credential reports: asked for, waited for, and read.
//!
//! A report serves for four hours (IAM User Guide, "Getting credential
//! reports"); [`crate::credential_report`] makes them.

use ::store::Scope;
use gate::Cx;
use ground::Timestamp;
use iam_api::{GenerateCredentialReportOutput, GetCredentialReportOutput, ReportFormatType, ReportStateType};
use shape::Unit;

use crate::Iam;
use crate::access;
use crate::error::Error;
use crate::limits::REPORT_SERVES;
use crate::store::{self, REPORT, REPORTS_WAITING, Report, rows};

/// Whether a report is being made for the caller's account.
async fn is_waiting(cx: &Cx) -> Result<bool, Error> {
    let waiting = cx
        .view()
        .cross_account_get(&Scope::global(), &REPORTS_WAITING, &cx.account())
        .await?;
    Ok(waiting.is_some())
}

fn serves(report: &Report, now: Timestamp) -> bool {
    now < report.generated.after(REPORT_SERVES)
}

pub(crate) async fn generate_credential_report(
    _iam: &Iam,
    cx: &Cx,
    _input: Unit,
) -> Result<GenerateCredentialReportOutput, Error> {
    let permit = access::of_account(cx, cx.account()).await?;
    let report = rows(cx).get(&REPORT, &()).await?;
    let (state, description) = if is_waiting(cx).await? {
        (ReportStateType::Inprogress, None)
    } else if report.as_ref().is_some_and(|report| serves(report, cx.now())) {
        (ReportStateType::Complete, None)
    } else {
        cx.write(async |tx| {
            store::put_report_wanted(tx, &permit);
            Ok::<_, Error>(())
        })
        .await?;
        let none = report.is_none();
        let why = if none {
            "No report exists."
        } else {
            "The report has expired."
        };
        let text = format!("{why} Starting a new report generation task");
        (ReportStateType::Started, Some(text))
    };
    Ok(GenerateCredentialReportOutput {
        state: Some(state),
        description,
    })
}

pub(crate) async fn get_credential_report(
    _iam: &Iam,
    cx: &Cx,
    _input: Unit,
) -> Result<GetCredentialReportOutput, Error> {
    access::account_wide(cx).await?;
    if is_waiting(cx).await? {
        return Err(Error::ReportInProgress);
    }
    let rows = rows(cx);
    let report = rows.get(&REPORT, &()).await?.ok_or(Error::ReportMissing)?;
    if !serves(&report, cx.now()) {
        return Err(Error::ReportExpired);
    }
    let text = rows.report_text(&report).await?;
    Ok(GetCredentialReportOutput {
        content: Some(text.into_bytes().into()),
        report_format: Some(ReportFormatType::TextCsv),
        generated_time: Some(report.generated),
    })
}

//! What is doubtful about a policy that is well formed: statements that can do
//! nothing, grants that are too broad, ways to more permissions than were
//! given, and doors left open to others.
//!
//! A finding says where, what is wrong in one sentence, and what to do in
//! another. Its code is stable: scripts may name it. The text of the document
//! is all that is looked at, so a finding is a question to its author and not
//! a decision; [`crate::decide`] knows nothing of findings.
//!
//! Everything is bounded by the limits of a document and by
//! [`COMPARISONS_MAX`](crate::limits::COMPARISONS_MAX); where the latter ends
//! the search for dead statements early, a finding says so.
//!
//! Absent by design: policies weighed together (a grant here that an SCP takes
//! back elsewhere is still found), the actions and condition keys of services
//! the caller does not list, and silence on request: whoever wants to pass
//! over a code does so by its name.

mod broad;
mod condition;
mod cover;
mod dead;
mod escalation;
mod exposure;

use ground::AccountId;

pub(crate) use self::dead::is_unknown_key;

use crate::document::{Document, DocumentKind};
use crate::statement::{Effect, Position, Resources, Statement};

/// What is known beside the document. All of it may be left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// The account that holds the policy or owns the resource; without it no
    /// account is foreign.
    pub account: Option<AccountId>,
    /// Every action of some services, as `kms:Encrypt`. Services of which none
    /// is listed are not judged.
    pub actions: &'a [&'a str],
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look; often meant so.
    Note,
    /// Probably not what was meant, or more than was meant.
    Warning,
    /// The document is refused, or gives everything away.
    Error,
}

/// One doubt about a document.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Stable name: `public-access`.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// Index of the statement, from zero; `None` if it is the whole document.
    pub statement: Option<usize>,
    /// Sid of the statement, if it has one.
    pub sid: Option<String>,
    /// Where the statement begins, if it could be read.
    pub position: Option<Position>,
    /// The element: `Statement[0].Action`.
    pub path: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub advice: String,
}

/// Every doubt about `text`, in the order of its statements. A text that is no
/// policy of its kind has one finding, `malformed`.
pub fn lint(text: &str, kind: DocumentKind, surroundings: Surroundings<'_>) -> Vec<Finding> {
    let document = match Document::parse(text, kind) {
        Ok(document) => document,
        Err(malformed) => {
            return vec![Finding {
                code: "malformed",
                severity: Severity::Error,
                statement: malformed.statement(),
                sid: None,
                position: None,
                path: malformed
                    .statement()
                    .map_or_else(|| "Document".to_owned(), |index| format!("Statement[{index}]")),
                problem: malformed.detail().to_owned(),
                advice: format!("AWS would refuse it with {:?}.", malformed.to_string()),
            }];
        }
    };
    let mut report = Report::default();
    dead::find(&document, surroundings.actions, &mut report);
    broad::find(&document, &mut report);
    escalation::find(&document, &mut report);
    exposure::find(&document, surroundings.account, &mut report);
    report.findings.sort_by_key(|finding| finding.statement);
    report.findings
}

/// Gathers findings.
#[derive(Default)]
struct Report {
    findings: Vec<Finding>,
}

impl Report {
    fn add(
        &mut self,
        (code, severity): (&'static str, Severity),
        statement: &Statement,
        element: &str,
        problem: impl Into<String>,
        advice: impl Into<String>,
    ) {
        let mut path = format!("Statement[{}]", statement.index);
        if !element.is_empty() {
            path.push('.');
            path.push_str(element);
        }
        self.findings.push(Finding {
            code,
            severity,
            statement: Some(statement.index),
            sid: statement.sid().map(str::to_owned),
            position: Some(statement.start),
            path,
            problem: problem.into(),
            advice: advice.into(),
        });
    }
}

/// As a message calls a statement: by its Sid, else by its index.
fn called(statement: &Statement) -> String {
    match statement.sid() {
        Some(sid) => format!("statement {sid:?}"),
        None => format!("statement {}", statement.index),
    }
}

/// Whether the policy gives permissions to whoever holds it.
fn grants_to_holder(kind: DocumentKind) -> bool {
    match kind {
        DocumentKind::Identity => true,
        // These only limit what another policy grants: `*` is how they begin.
        DocumentKind::Boundary
        | DocumentKind::Session
        | DocumentKind::ServiceControl
        | DocumentKind::ResourceControl
        // These speak of one resource: `*` is that one.
        | DocumentKind::RoleTrust
        | DocumentKind::KmsKey
        | DocumentKind::Resource => false,
    }
}

impl Statement {
    /// Whether `action`, in lower case, is among those it is about.
    fn is_about(&self, action: &str) -> bool {
        self.actions.as_ref().is_some_and(|clause| {
            clause.patterns.iter().any(|pattern| pattern.names(action)) != clause.negated
        })
    }

    /// Whether it is about every resource.
    fn is_about_every_resource(&self) -> bool {
        match &self.resources {
            Resources::Listed(clause) => {
                !clause.negated && clause.patterns.iter().any(|pattern| &*pattern.text == "*")
            }
            Resources::Implied | Resources::Missing => false,
        }
    }

    fn allows(&self) -> bool {
        self.effect == Effect::Allow
    }
}

#[cfg(test)]
mod tests;

//! Why a document is refused.
//!
//! [`Malformed`] displays AWS's words, for the client that compares texts
//! (Terraform retries on `Invalid principal in policy`); [`Malformed::detail`]
//! is ours and says what is wrong where. The error code belongs to the
//! service: `MalformedPolicyDocument`, `MalformedPolicyDocumentException`,
//! `MalformedPolicy`, …

use crate::document::DocumentKind;
use crate::limits::DOCUMENT_BYTES_MAX;

/// A document that is not a policy of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Malformed {
    reason: Reason,
    message: String,
    detail: String,
    statement: Option<usize>,
}

/// What is wrong with a document, for a service that has its own words for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// An action is missing, or is not `vendor:name`.
    Action,
    /// A condition operator does not exist, or its block has the wrong shape.
    Condition,
    /// A key is given twice in one object.
    DuplicateKey,
    /// An effect other than `Allow` and `Deny`.
    Effect,
    /// The text is not JSON.
    Json,
    /// Text that looks like a variable and is none.
    Variable,
    /// A principal is named in a form that does not exist, or does not exist itself.
    PrincipalInvalid,
    /// A principal is missing.
    PrincipalMissing,
    /// A principal where the kind of policy has none.
    PrincipalNotAllowed,
    /// A resource is missing, or is not `*` or an ARN.
    Resource,
    /// A resource where the kind of policy has none.
    ResourceNotAllowed,
    /// A Sid with characters it may not have, or given twice.
    Sid,
    /// An element is missing, unknown, or of the wrong type.
    Syntax,
    /// The document, or a list in it, is beyond a limit.
    TooLarge,
    /// A version other than the two that exist.
    Version,
}

impl Malformed {
    /// What is wrong.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// What is wrong and where, in our words.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Index of the statement that is wrong, if it is one.
    pub fn statement(&self) -> Option<usize> {
        self.statement
    }
}

/// Makes the errors of one document: knows its kind, and the statement being read.
#[derive(Clone, Copy)]
pub(crate) struct Refusal {
    pub(crate) kind: DocumentKind,
    pub(crate) statement: Option<usize>,
}

impl Refusal {
    /// Refuses with the message AWS has for `reason`; `subject` is the text at fault.
    pub(crate) fn because(self, reason: Reason, subject: &str, detail: impl Into<String>) -> Malformed {
        self.with_message(reason, self.words(reason, subject), detail)
    }

    /// Refuses with a message of its own.
    pub(crate) fn with_message(
        self,
        reason: Reason,
        message: impl Into<String>,
        detail: impl Into<String>,
    ) -> Malformed {
        let detail = detail.into();
        let detail = match self.statement {
            Some(index) => format!("statement {index}: {detail}"),
            None => detail,
        };
        let message = match self.kind {
            DocumentKind::ServiceControl | DocumentKind::ResourceControl => ORGANIZATIONS_MESSAGE.to_owned(),
            _ => message.into(),
        };
        Malformed {
            reason,
            message,
            detail,
            statement: self.statement,
        }
    }

    fn words(self, reason: Reason, subject: &str) -> String {
        match reason {
            Reason::Json => "This policy contains invalid Json".to_owned(),
            Reason::DuplicateKey | Reason::Effect => "The policy failed legacy parsing".to_owned(),
            Reason::Condition | Reason::Syntax | Reason::Variable => "Syntax errors in policy.".to_owned(),
            Reason::Version => "Policy document must be version 2012-10-17 or greater.".to_owned(),
            Reason::PrincipalNotAllowed => "Policy document should not specify a principal.".to_owned(),
            Reason::PrincipalMissing => "Missing required field Principal".to_owned(),
            Reason::PrincipalInvalid if self.kind == DocumentKind::KmsKey => {
                "Policy contains a statement with one or more invalid principals.".to_owned()
            }
            Reason::PrincipalInvalid => format!("Invalid principal in policy: {subject}"),
            Reason::Action => "Policy statement must contain actions.".to_owned(),
            Reason::Resource => "Policy statement must contain resources.".to_owned(),
            Reason::ResourceNotAllowed => "Has prohibited field Resource".to_owned(),
            Reason::Sid => {
                "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular \
                            expression [0-9A-Za-z]*"
                    .to_owned()
            }
            Reason::TooLarge => format!(
                "1 validation error detected: Value at 'policyDocument' failed to satisfy constraint: Member must \
                 have length less than or equal to {DOCUMENT_BYTES_MAX}"
            ),
        }
    }
}

/// Organizations has one text for every fault.
const ORGANIZATIONS_MESSAGE: &str =
    "The provided policy document does not meet the requirements of the specified policy type.";

//! What a caller is told when a call fails.

use std::borrow::Cow;
use std::fmt;

use store::StoreError;

use crate::access::Denied;

/// A failed call: what the caller is told, and what only the log is told.
///
/// It is an error as well, so that a service can pass on what another answered.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Whose doing it is.
    pub(crate) kind: FaultKind,
    /// The error's code on the wire.
    pub(crate) code: Cow<'static, str>,
    /// The message; `None` where AWS sends a null one.
    pub(crate) message: Option<String>,
    /// HTTP status where neither the model nor the protocol decides it.
    pub(crate) status: Option<u16>,
    /// Further members of the modelled error, such as `Reason`.
    pub(crate) members: Vec<(&'static str, String)>,
    /// For the log alone.
    pub(crate) detail: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)?;
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

/// Whose doing a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The caller may change the call and try again.
    Client,
    /// A policy refuses it; the code depends on the protocol.
    Denied,
    /// Ours. The caller learns its code and request id.
    Server,
    /// Another writer was first: the handler runs again.
    Conflict,
}

impl Fault {
    /// The caller's doing, told with `message`.
    pub fn client(code: &'static str, message: impl fmt::Display) -> Fault {
        Fault {
            kind: FaultKind::Client,
            code: Cow::Borrowed(code),
            message: Some(message.to_string()),
            status: None,
            members: Vec::new(),
            detail: None,
        }
    }

    /// The caller's doing, told with a code and no message.
    pub fn silent(code: &'static str) -> Fault {
        Fault {
            kind: FaultKind::Client,
            code: Cow::Borrowed(code),
            message: None,
            status: None,
            members: Vec::new(),
            detail: None,
        }
    }

    /// A refusal by policy. Its code is the protocol's: `AccessDenied`,
    /// `AccessDeniedException` or `UnauthorizedOperation`.
    pub fn denied(denied: &Denied) -> Fault {
        Fault {
            kind: FaultKind::Denied,
            code: Cow::Borrowed("AccessDenied"),
            message: Some(denied.to_string()),
            status: None,
            members: Vec::new(),
            detail: None,
        }
    }

    /// Our own doing: the caller learns `code`, the log learns `detail`.
    pub fn server(code: &'static str, detail: impl fmt::Display) -> Fault {
        Fault {
            kind: FaultKind::Server,
            code: Cow::Borrowed(code),
            message: None,
            status: Some(500),
            members: Vec::new(),
            detail: Some(detail.to_string()),
        }
    }

    /// A failure of the store: a conflict runs the handler again, anything
    /// else is ours and tells the caller `code`.
    pub fn store(code: &'static str, error: &StoreError) -> Fault {
        let fault = Fault::server(code, error);
        if matches!(error, StoreError::Conflict) {
            Fault {
                kind: FaultKind::Conflict,
                ..fault
            }
        } else {
            fault
        }
    }

    /// The same fault with another HTTP status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Fault {
        Fault {
            status: Some(status),
            ..self
        }
    }

    /// The same fault, once the log has been told.
    pub(crate) fn logged(self) -> Fault {
        Fault { detail: None, ..self }
    }

    /// The same fault with a further member of the modelled error.
    #[must_use]
    pub fn with_member(mut self, name: &'static str, value: impl Into<String>) -> Fault {
        self.members.push((name, value.into()));
        self
    }

    /// The error's code as the caller reads it, before the protocol has its say.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What the caller is told beside the code.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
}

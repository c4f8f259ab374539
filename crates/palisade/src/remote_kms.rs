//! A KMS that is asked over the network by those who answer others with it: as
//! any AWS client, signed, so that each call is authorized and recorded there.
//!
//! Several endpoints of one KMS are asked in turn until one answers. What may
//! not happen twice is asked of the next only if the one before heard nothing.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ground::Secret;
use serde_json::Value;

use crate::client;
use crate::credentials::ClientSettings;

/// A KMS, and whose credentials sign the calls.
pub(crate) struct RemoteKms {
    endpoints: Vec<String>,
    region: Option<String>,
    /// The profile whose credentials sign, instead of the environment's.
    profile: Option<String>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The KMS said no.
    Refused {
        /// `AccessDeniedException`
        code: String,
        message: String,
    },
    /// No endpoint answered, or not as a KMS does.
    Silent(anyhow::Error),
    /// The time is over.
    Overdue,
}

impl Problem {
    /// Whether nobody can have heard what was asked.
    fn is_unheard(&self) -> bool {
        let Problem::Silent(error) = self else {
            return false;
        };
        error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
            .any(|cause| cause.kind() == std::io::ErrorKind::ConnectionRefused)
    }
}

/// Operations that do something more each time they are called; the others
/// change nothing the second time, or are refused.
const ONCE: [&str; 2] = ["CreateKey", "RotateKeyOnDemand"];

/// Characters of a message that are passed on.
const MESSAGE_CHARACTERS_MAX: usize = 1_000;

impl RemoteKms {
    /// The KMS at `endpoints`, or where the environment says if there are none.
    pub(crate) fn new(endpoints: Vec<String>, region: Option<String>) -> RemoteKms {
        RemoteKms {
            endpoints,
            region,
            profile: None,
        }
    }

    /// The same, as the principal of a profile.
    pub(crate) fn of_profile(&self, profile: &str) -> RemoteKms {
        RemoteKms {
            endpoints: self.endpoints.clone(),
            region: self.region.clone(),
            profile: Some(profile.to_owned()),
        }
    }

    /// Endpoint, region and credentials as they are now.
    ///
    /// # Errors
    ///
    /// If there are no credentials.
    pub(crate) fn settings(&self) -> Result<ClientSettings> {
        let mut settings = match &self.profile {
            Some(profile) => ClientSettings::from_profile(profile)?,
            None => ClientSettings::from_environment()?,
        };
        if let Some(region) = &self.region {
            settings.region.clone_from(region);
        }
        Ok(settings)
    }

    /// Proves before the first call that there are credentials to sign with and
    /// endpoints that may be asked.
    ///
    /// # Errors
    ///
    /// If there are none, or an endpoint is plain HTTP elsewhere than here, or no URL.
    pub(crate) fn check(&self) -> Result<()> {
        let settings = self.settings()?;
        let said = std::slice::from_ref(&settings.endpoint);
        let endpoints = if self.endpoints.is_empty() {
            said
        } else {
            &self.endpoints
        };
        endpoints
            .iter()
            .try_for_each(|endpoint| client::check_kms(endpoint))
    }

    /// Calls an operation; credentials are looked up anew, so that renewed ones
    /// are used from the next call on.
    pub(crate) async fn call(
        &self,
        operation: &str,
        input: &Value,
        patience: Duration,
    ) -> Result<Value, Problem> {
        let mut settings = self.settings().map_err(Problem::Silent)?;
        let endpoints = if self.endpoints.is_empty() {
            vec![settings.endpoint.clone()]
        } else {
            self.endpoints.clone()
        };
        let until = Instant::now() + patience;
        let mut problem = Problem::Overdue;
        for (at, endpoint) in endpoints.iter().enumerate() {
            settings.endpoint.clone_from(endpoint);
            let left = until.saturating_duration_since(Instant::now());
            // Enough is kept for the endpoints that come after.
            let share = left / u32::try_from(endpoints.len() - at).unwrap_or(u32::MAX);
            match tokio::time::timeout(share, client::ask_kms(&settings, operation, input)).await {
                Ok(Ok(reply)) if reply.status < 500 => return outcome(reply),
                Ok(Ok(reply)) => problem = outcome(reply).err().unwrap_or(Problem::Overdue),
                Ok(Err(error)) => problem = Problem::Silent(error),
                Err(_) => problem = Problem::Overdue,
            }
            if ONCE.contains(&operation) && !problem.is_unheard() {
                break;
            }
        }
        Err(problem)
    }
}

fn outcome(reply: client::Reply) -> Result<Value, Problem> {
    if reply.status == 200 {
        return Ok(reply.body);
    }
    let text = |name: &str| reply.body.get(name).and_then(Value::as_str).unwrap_or_default();
    let code = text("__type").rsplit('#').next().unwrap_or_default();
    let message = [text("message"), text("Message")].concat();
    Err(Problem::Refused {
        code: code.to_owned(),
        message: message.chars().take(MESSAGE_CHARACTERS_MAX).collect(),
    })
}

/// A text of an answer.
pub(crate) fn text<'a>(answer: &'a Value, name: &str) -> Result<&'a str, Problem> {
    answer
        .get(name)
        .and_then(Value::as_str)
        .with_context(|| format!("the KMS does not say {name}"))
        .map_err(Problem::Silent)
}

/// The bytes of an answer, which may be a key.
pub(crate) fn blob(answer: &Value, name: &str) -> Result<Secret<Vec<u8>>, Problem> {
    BASE64
        .decode(text(answer, name)?)
        .map(Secret::new)
        .with_context(|| format!("{name} of the KMS is not base64"))
        .map_err(Problem::Silent)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_refused_connection_heard_nothing() {
        let silent = |kind: std::io::ErrorKind| {
            let error = anyhow::Error::from(std::io::Error::from(kind));
            Problem::Silent(error.context("nothing answers"))
        };
        assert!(silent(std::io::ErrorKind::ConnectionRefused).is_unheard());
        assert!(!silent(std::io::ErrorKind::ConnectionReset).is_unheard());
        assert!(!Problem::Overdue.is_unheard());
    }

    #[test]
    fn refusals_are_read_as_both_spellings_have_them() {
        let refused = |body| match outcome(client::Reply { status: 400, body }) {
            Err(Problem::Refused { code, message }) => (code, message),
            _ => panic!("it is a refusal"),
        };
        let wanted = ("NotFoundException".to_owned(), "no".to_owned());
        assert_eq!(
            refused(json!({"__type": "com.amazonaws.kms#NotFoundException", "Message": "no"})),
            wanted
        );
        assert_eq!(
            refused(json!({"__type": "NotFoundException", "message": "no"})),
            wanted
        );
        assert_eq!(refused(Value::Null), (String::new(), String::new()));
        let long = refused(json!({"__type": "X", "message": "é".repeat(2_000)}));
        assert_eq!(long.1.chars().count(), MESSAGE_CHARACTERS_MAX);
    }
}

//! What can go wrong, and what the specification calls it.

use gate::Fault;

/// Why the proxy refuses.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A ciphertext that was just made does not open.
    #[error("the ciphertext did not open again")]
    Damaged,
    /// The material of the key is in a custom key store, not here.
    #[error("{0} is in a custom key store, whose keys the proxy does not use")]
    Elsewhere(String),
    /// What KMS would refuse too.
    #[error(transparent)]
    Kms(#[from] crate::Error),
    /// More bytes than every proxy must take.
    #[error("{member} has {given} bytes, more than {max}")]
    TooLong {
        /// Its name.
        member: &'static str,
        /// Its bytes.
        given: usize,
        /// The most.
        max: usize,
    },
}

impl From<&Error> for Fault {
    fn from(error: &Error) -> Fault {
        match error {
            Error::Damaged => Fault::server("InternalException", error),
            Error::Kms(error) => respelled(error),
            Error::Elsewhere(_) | Error::TooLong { .. } => {
                Fault::client("UnsupportedOperationException", error)
            }
        }
    }
}

/// A fault of KMS in the proxy's words. A refusal by policy and what is our own
/// doing are told alike by both.
fn respelled(error: &crate::Error) -> Fault {
    let fault = Fault::from(error);
    match fault.code() {
        "DisabledException" | "KMSInvalidStateException" => Fault::client("InvalidStateException", error),
        // KMS says nothing of the reason, and neither do we: only that there is one.
        "InvalidCiphertextException" => Fault::client(
            "InvalidCiphertextException",
            "The ciphertext, its metadata, initialization vector or tag, or the additional authenticated data is \
             not what it was, or the key is another",
        ),
        "NotFoundException" => Fault::client("KeyNotFoundException", error),
        _ => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::state::Standing;

    #[test]
    fn what_kms_says_is_said_in_the_words_of_the_proxy() {
        let arn = || "arn:aws:kms:us-east-1:111122223333:key/k".to_owned();
        let state = |standing| crate::Error::State { arn: arn(), standing };
        for (error, expected) in [
            (
                Error::Kms(crate::Error::KeyNotFound(arn())),
                "KeyNotFoundException",
            ),
            (
                Error::Kms(crate::Error::AliasNotFound(arn())),
                "KeyNotFoundException",
            ),
            (
                Error::Kms(crate::Error::InvalidKeyId("a.b".into())),
                "KeyNotFoundException",
            ),
            (Error::Kms(state(Standing::Disabled)), "InvalidStateException"),
            (
                Error::Kms(crate::Error::InvalidCiphertext),
                "InvalidCiphertextException",
            ),
            (Error::Kms(crate::Error::Throttled), "ThrottlingException"),
            (Error::Damaged, "InternalException"),
            (
                Error::TooLong {
                    member: "plaintext",
                    given: 2,
                    max: 1,
                },
                "UnsupportedOperationException",
            ),
        ] {
            assert_eq!(Fault::from(&error).code(), expected, "{error}");
        }
    }
}

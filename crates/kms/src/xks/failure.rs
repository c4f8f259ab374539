//! Why a proxy did not do what was asked of it, and what the caller is told.
//!
//! The message follows from the failure, the code from what KMS was doing: the
//! whole table of the XKS Proxy API, "Error codes", KMS considerations. Where it
//! has no cell because a proxy must not answer so, the answer counts as one that
//! cannot be interpreted.

use kms_api::ConnectionErrorCodeType;

/// What KMS was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Making a KMS key.
    CreatingKey,
    /// Making or changing the store.
    ManagingStore,
    /// Encrypting or decrypting.
    Using,
}

/// Why nothing came of a question to a proxy. Displayed, it is what KMS tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The proxy does not let the caller do this.
    #[error(
        "The external key store proxy denied access to the operation. Verify that the user and the external key \
         are both authorized for this operation, and try the request again."
    )]
    AccessDenied,
    /// The proxy does not know the credential.
    #[error(
        "The external key store proxy rejected the request because it could not authenticate AWS KMS. Verify the \
         XKS proxy authentication credentials for your external key store and update if necessary."
    )]
    AuthenticationFailed,
    /// What is behind the proxy took too long.
    #[error(
        "The external key store proxy did not respond to the request in the time allotted. Retry the request. If \
         you see this error repeatedly, report it to your external key store proxy administrator."
    )]
    DependencyTimeout,
    /// The proxy does not reach its key manager.
    #[error(
        "The external key store proxy rejected the request because it cannot communicate with the external key \
         manager. Verify that the external key store proxy configuration is correct and that the external key \
         manager is available."
    )]
    Internal,
    /// The proxy could not open a ciphertext.
    #[error(
        "The external key store proxy rejected the request because the specified ciphertext or encryption context \
         is corrupted, missing, or otherwise invalid."
    )]
    InvalidCiphertext,
    /// The external key does not do this.
    #[error(
        "The external key associated with this KMS key in an external key store does not support the requested \
         operation. Enable the operation on the key in your external key manager, and try the request again."
    )]
    InvalidKeyUsage,
    /// The external key is switched off.
    #[error(
        "The external key associated with this KMS key in an external key store is not enabled in the external key \
         manager. Enable the external key in the external key manager and retry the request."
    )]
    InvalidState,
    /// The proxy knows no such path.
    #[error(
        "The external key store proxy rejected the request because of an invalid URI path. Verify the URI path for \
         your external key store and update if necessary."
    )]
    InvalidUriPath,
    /// The key manager has no such key.
    #[error(
        "The external key associated with this KMS key in an external key store was not found in its external key \
         manager. If the external key ID associated with this KMS key is incorrect, create a new KMS key with the \
         correct external key ID."
    )]
    KeyNotFound,
    /// The answer is not as the specification says, or blames the question.
    #[error(
        "AWS KMS cannot interpret the response from the external key store proxy. If you see this error \
         repeatedly, report it to your external key store proxy administrator."
    )]
    Malformed,
    /// Nobody is there.
    #[error(
        "AWS KMS cannot communicate with the external key store proxy. This might be a transient network issue. If \
         you see this error repeatedly, verify that your external key store proxy is active and is connected to the \
         network, and that its endpoint URI is correct in your external keystore."
    )]
    NoConnection,
    /// Whoever is there does not prove to be the proxy.
    #[error(
        "AWS KMS cannot establish a TLS connection to the external key store proxy. Verify the TLS configuration, \
         including its certificate."
    )]
    NoTls,
    /// No answer in time.
    #[error(
        "AWS KMS rejected the request because the external key store proxy did not respond in time. Retry the \
         request. If you see this error repeatedly, report it to your external key store proxy administrator."
    )]
    NotInTime,
    /// What the proxy decrypted is not what KMS had given it.
    #[error(
        "The ciphertext that the external key store proxy submitted for decryption, or the encryption context, is \
         corrupted, missing, or otherwise invalid."
    )]
    OtherPlaintext,
    /// Too many questions.
    #[error(
        "The external key store proxy rejected the request due to a very high request rate. Reduce the frequency of \
         your calls using KMS keys in this external key store."
    )]
    Throttled,
    /// Every key manager behind the proxy is out of service.
    #[error(
        "The external key store proxy reports that all external key manager instances are unavailable. Verify that \
         the external key manager is available."
    )]
    Unavailable,
    /// The proxy does not do this.
    #[error(
        "The external key store proxy rejected the request because it does not support the requested operation. If \
         you see this error repeatedly, report it to your external key store proxy administrator."
    )]
    UnsupportedOperation,
}

impl Failure {
    /// The code of the error that callers get.
    pub fn code(self, doing: Doing) -> &'static str {
        match doing {
            Doing::Using => "KMSInvalidStateException",
            Doing::CreatingKey => match self {
                Failure::InvalidKeyUsage | Failure::InvalidState | Failure::UnsupportedOperation => {
                    "XksKeyInvalidConfigurationException"
                }
                Failure::KeyNotFound => "XksKeyNotFoundException",
                Failure::AccessDenied => "KMSInvalidStateException",
                Failure::AuthenticationFailed
                | Failure::DependencyTimeout
                | Failure::Internal
                | Failure::InvalidCiphertext
                | Failure::InvalidUriPath
                | Failure::Malformed
                | Failure::NoConnection
                | Failure::NoTls
                | Failure::NotInTime
                | Failure::OtherPlaintext
                | Failure::Throttled
                | Failure::Unavailable => "CustomKeyStoreInvalidStateException",
            },
            Doing::ManagingStore => match self {
                Failure::AuthenticationFailed => "XksProxyIncorrectAuthenticationCredentialException",
                Failure::InvalidUriPath => "XksProxyInvalidConfigurationException",
                Failure::DependencyTimeout
                | Failure::NoConnection
                | Failure::NoTls
                | Failure::NotInTime
                | Failure::Throttled
                | Failure::Unavailable => "XksProxyUriUnreachableException",
                Failure::AccessDenied
                | Failure::Internal
                | Failure::InvalidCiphertext
                | Failure::InvalidKeyUsage
                | Failure::InvalidState
                | Failure::KeyNotFound
                | Failure::Malformed
                | Failure::OtherPlaintext
                | Failure::UnsupportedOperation => "XksProxyInvalidResponseException",
            },
        }
    }

    /// Why a store could not be connected.
    ///
    /// Source: KMS API Reference, CustomKeyStoresListEntry, `ConnectionErrorCode`.
    pub fn connection_error_code(self) -> ConnectionErrorCodeType {
        match self {
            Failure::AccessDenied => ConnectionErrorCodeType::XksProxyAccessDenied,
            Failure::AuthenticationFailed => ConnectionErrorCodeType::InvalidCredentials,
            Failure::InvalidUriPath => ConnectionErrorCodeType::XksProxyInvalidConfiguration,
            Failure::DependencyTimeout | Failure::NotInTime => ConnectionErrorCodeType::XksProxyTimedOut,
            Failure::NoTls => ConnectionErrorCodeType::XksProxyInvalidTlsConfiguration,
            Failure::Internal | Failure::NoConnection | Failure::Throttled | Failure::Unavailable => {
                ConnectionErrorCodeType::XksProxyNotReachable
            }
            Failure::InvalidCiphertext
            | Failure::InvalidKeyUsage
            | Failure::InvalidState
            | Failure::KeyNotFound
            | Failure::Malformed
            | Failure::OtherPlaintext
            | Failure::UnsupportedOperation => ConnectionErrorCodeType::XksProxyInvalidResponse,
        }
    }
}

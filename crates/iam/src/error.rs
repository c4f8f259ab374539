//! Every refusal of IAM and STS, and the one place where it meets AWS's words.
//!
//! The display of a variant is the message a client reads, so it follows AWS
//! to the letter and not our own manner of writing errors.

use gate::{AuthorizeError, Fault};
use store::StoreError;

/// What went wrong, as the caller is told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// STS refuses for a reason that is not a policy's.
    #[error("{0}")]
    AccessDenied(&'static str),
    /// The access key does not exist, or belongs to someone else.
    #[error("The Access Key with id {0} cannot be found.")]
    AccessKeyMissing(String),
    /// The account is neither the management account nor a delegated administrator.
    #[error(
        "The account making the request is not the management account or delegated administrator account for \
             centralized root access."
    )]
    AccountNotEntitled,
    /// The account is a delegated administrator, and the operation the management account's.
    #[error("The account making the request is not the management account for the organization.")]
    AccountNotManagement,
    /// A policy refuses.
    #[error(transparent)]
    Authorize(#[from] AuthorizeError),
    /// The blocking pool is going away.
    #[error("the work was called off")]
    CalledOff(#[from] tokio::task::JoinError),
    /// A certificate is not good now.
    #[error("The certificate is expired or not yet valid.")]
    CertificateInvalid,
    /// What was brought is no certificate.
    #[error("The certificate is malformed.")]
    CertificateMalformed,
    /// Somebody in the account has that certificate.
    #[error("The certificate is already associated with an IAM user in the account.")]
    CertificateTaken,
    /// A secret could not be sealed.
    #[error("a secret could not be sealed")]
    Crypto(#[from] crypto::Error),
    /// A foreign provider's token is out of date.
    #[error("{0}")]
    ExpiredIdentityToken(String),
    /// Outbound federation is off.
    #[error("Outbound web identity federation is not enabled for your account.")]
    FeatureDisabled,
    /// Outbound federation is on.
    #[error("Outbound web identity federation is already enabled for your account.")]
    FeatureEnabled,
    /// A foreign provider cannot be reached.
    #[error("The identity provider could not be reached, or did not answer in time.")]
    IdpCommunication,
    /// A foreign provider says that it did not let its user in.
    #[error("{0}")]
    IdpRejectedClaim(String),
    /// Something else must be deleted first.
    #[error("{0}")]
    DeleteConflict(&'static str),
    /// The name is taken.
    #[error("{noun} with name {name} already exists.")]
    Exists {
        /// `User`, `Role` or `Group`.
        noun: &'static str,
        /// As the caller spelled it.
        name: String,
    },
    /// Codes do not prove a device.
    #[error("Authentication code for device is not valid.")]
    InvalidAuthenticationCode,
    /// Another service that was asked refuses.
    #[error(transparent)]
    Inside(#[from] Fault),
    /// What is to be decoded was not encoded here, for this account.
    #[error("Message is not valid")]
    InvalidAuthorizationMessage,
    /// An argument makes no sense for a reason the model does not tell.
    #[error("{0}")]
    InvalidInput(String),
    /// A foreign provider's token is not believed.
    #[error("{0}")]
    InvalidIdentityToken(String),
    /// STS's word for an argument that contradicts another.
    #[error("{0}")]
    InvalidParameterValue(&'static str),
    /// A session from `GetSessionToken` without MFA calls an operation it may not.
    #[error("The security token included in the request is invalid.")]
    InvalidToken,
    /// The root user has no password here.
    #[error("The type of user for the transaction was incorrect.")]
    InvalidUserType,
    /// The private key is of another certificate.
    #[error("The private key does not match the public key of the certificate.")]
    KeyPairMismatch,
    /// A quota is reached.
    #[error("{0}")]
    LimitExceeded(String),
    /// The user has no password.
    #[error("Login Profile for User {0} cannot be found.")]
    LoginProfileMissing(String),
    /// The document is not a policy.
    #[error(transparent)]
    Malformed(#[from] policy::Malformed),
    /// The entity does not exist.
    #[error("The {noun} with name {name} cannot be found.")]
    Missing {
        /// `user`, `role`, `group`, `user policy`, …
        noun: &'static str,
        /// As the caller spelled it.
        name: String,
    },
    /// Nobody in the account gets tokens for others.
    #[error("Outbound web identity federation is not enabled for your account.")]
    OutboundDisabled,
    /// The account belongs to no organisation.
    #[error("No organization is associated with your account.")]
    OutsideOrganization,
    /// Session policies and tags take more room than there is.
    #[error("Packed size of session {what} consumes {percent}% of allotted space.")]
    PackedPolicyTooLarge {
        /// `policies` or `tags`: the larger part.
        what: &'static str,
        /// Above one hundred.
        percent: usize,
    },
    /// There is no such thing, in the words for it.
    #[error("{0}")]
    NoSuch(String),
    /// The password breaks a rule of the account's policy.
    #[error("{0}")]
    PasswordPolicyViolation(String),
    /// The QR code of a device could not be drawn.
    #[error("a QR code could not be drawn")]
    Picture(String),
    /// A managed policy of that name exists.
    #[error("A policy called {0} already exists. Duplicate names are not allowed.")]
    PolicyExists(String),
    /// The managed policy is for the roles of a service.
    #[error("Cannot attach a Service Role Policy to a Customer Role.")]
    PolicyForService,
    /// There is no such managed policy.
    #[error("Policy {0} was not found.")]
    PolicyMissing(String),
    /// There is no such managed policy to attach.
    #[error("Policy {0} does not exist or is not attachable.")]
    PolicyNotAttachable(String),
    /// The policy is not attached to the entity.
    #[error("Policy {0} was not found.")]
    PolicyNotAttached(String),
    /// A trust policy names a unique id that nobody has.
    #[error("Invalid principal in policy: \"AWS\":\"{0}\"")]
    PrincipalUnknown(String),
    /// A public key is in no form that is known.
    #[error("The public key encoding format is unsupported or unrecognized.")]
    PublicKeyEncoding,
    /// A public key is unsound, or too short.
    #[error("The public key is malformed or otherwise invalid.")]
    PublicKeyInvalid,
    /// The user has that public key.
    #[error("The SSH public key is already associated with the specified IAM user.")]
    PublicKeyTaken,
    /// The credential report is older than it serves.
    #[error("Credential report has expired. Please generate a new report.")]
    ReportExpired,
    /// The credential report is being made.
    #[error("Credential report generation is still in progress.")]
    ReportInProgress,
    /// No credential report was ever made.
    #[error("No report exists. Please generate a report.")]
    ReportMissing,
    /// A server's certificate, its chain or its private key cannot be used.
    #[error("{0}")]
    ServerCertificateMalformed(&'static str),
    /// The organisation does not trust IAM.
    #[error("Trusted access is not enabled for iam.amazonaws.com in your organization.")]
    ServiceNotTrusted,
    /// The service takes no credentials of its own.
    #[error("No such service {0} is supported for Service Specific Credentials")]
    ServiceNotSupported(String),
    /// A token would outlive the session that asks for it.
    #[error("The requested token would be valid beyond the end of the session that requests it.")]
    SessionEscalation,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// There is such a thing, in the words for it.
    #[error("{0}")]
    Taken(String),
    /// The service has no role that an account could have.
    #[error("Cannot find Service Linked Role template for {0}")]
    TemplateMissing(String),
    /// A token's claims are too many.
    #[error("The claims of the token exceed its maximum size.")]
    TokenTooLarge,
    /// The role belongs to a service.
    #[error("Cannot perform the operation on the protected role '{0}' - this role is only modifiable by AWS")]
    Unmodifiable(String),
    /// An argument breaks a rule.
    #[error("{0}")]
    Validation(String),
    /// There is no such version of the policy.
    #[error("Policy {arn} version {version} does not exist or is not attachable.")]
    VersionMissing {
        /// The policy.
        arn: String,
        /// `v3`
        version: String,
    },
}

impl From<&Error> for Fault {
    fn from(error: &Error) -> Fault {
        let (code, status) = match error {
            Error::Authorize(error) => return error.fault("ServiceFailure"),
            Error::Inside(fault) => return fault.clone(),
            Error::Store(error) => return Fault::store("ServiceFailure", error),
            Error::Crypto(error) => return Fault::server("ServiceFailure", error),
            Error::Picture(error) => return Fault::server("ServiceFailure", error),
            Error::CalledOff(error) => return Fault::server("ServiceFailure", error),
            Error::AccessDenied(_) | Error::TemplateMissing(_) => ("AccessDenied", 403),
            Error::AccessKeyMissing(_)
            | Error::LoginProfileMissing(_)
            | Error::Missing { .. }
            | Error::NoSuch(_)
            | Error::PolicyMissing(_)
            | Error::PolicyNotAttachable(_)
            | Error::PolicyNotAttached(_)
            | Error::VersionMissing { .. } => ("NoSuchEntity", 404),
            Error::AccountNotEntitled => ("AccountNotManagementOrDelegatedAdministratorException", 400),
            Error::AccountNotManagement => ("CallerIsNotManagementAccountException", 400),
            Error::OutsideOrganization => ("OrganizationNotFoundException", 400),
            Error::ServiceNotTrusted => ("ServiceAccessNotEnabledException", 400),
            Error::CertificateInvalid => ("InvalidCertificate", 400),
            Error::CertificateMalformed | Error::ServerCertificateMalformed(_) => {
                ("MalformedCertificate", 400)
            }
            Error::CertificateTaken => ("DuplicateCertificate", 409),
            Error::DeleteConflict(_) => ("DeleteConflict", 409),
            Error::Exists { .. } | Error::PolicyExists(_) | Error::Taken(_) => ("EntityAlreadyExists", 409),
            Error::ExpiredIdentityToken(_) => ("ExpiredTokenException", 400),
            Error::FeatureDisabled => ("FeatureDisabled", 404),
            Error::FeatureEnabled => ("FeatureEnabled", 409),
            Error::OutboundDisabled => ("OutboundWebIdentityFederationDisabledException", 403),
            Error::SessionEscalation => ("SessionDurationEscalationException", 403),
            Error::TokenTooLarge => ("JWTPayloadSizeExceededException", 400),
            Error::IdpCommunication => ("IDPCommunicationError", 400),
            Error::IdpRejectedClaim(_) => ("IDPRejectedClaim", 403),
            Error::InvalidIdentityToken(_) => ("InvalidIdentityToken", 400),
            Error::InvalidInput(_) => ("InvalidInput", 400),
            Error::InvalidParameterValue(_) => ("InvalidParameterValue", 400),
            Error::InvalidAuthenticationCode => ("InvalidAuthenticationCode", 403),
            Error::InvalidAuthorizationMessage => ("InvalidAuthorizationMessageException", 400),
            Error::InvalidUserType => ("InvalidUserType", 400),
            Error::PasswordPolicyViolation(_) => ("PasswordPolicyViolation", 400),
            Error::InvalidToken => ("InvalidClientTokenId", 403),
            Error::KeyPairMismatch => ("KeyPairMismatch", 400),
            Error::LimitExceeded(_) => ("LimitExceeded", 409),
            Error::Malformed(_) | Error::PrincipalUnknown(_) => ("MalformedPolicyDocument", 400),
            Error::PolicyForService => ("PolicyNotAttachable", 400),
            Error::PackedPolicyTooLarge { .. } => ("PackedPolicyTooLarge", 400),
            Error::PublicKeyEncoding => ("UnrecognizedPublicKeyEncoding", 400),
            Error::PublicKeyInvalid => ("InvalidPublicKey", 400),
            Error::PublicKeyTaken => ("DuplicateSSHPublicKey", 400),
            Error::ReportExpired => ("ReportExpired", 410),
            Error::ReportInProgress => ("ReportInProgress", 404),
            Error::ReportMissing => ("ReportNotPresent", 410),
            Error::ServiceNotSupported(_) => ("NotSupportedService", 404),
            Error::Unmodifiable(_) => ("UnmodifiableEntity", 400),
            Error::Validation(_) => ("ValidationError", 400),
        };
        Fault::client(code, error).with_status(status)
    }
}

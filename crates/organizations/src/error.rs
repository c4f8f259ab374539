//! Every refusal of the service, and the one place where it meets AWS's words.

use gate::{AuthorizeError, Fault};
use organizations_api::{
    AccessDeniedForDependencyExceptionReason as Dependency, ConstraintViolationExceptionReason as Constraint,
    HandshakeConstraintViolationExceptionReason as Unshakeable, InvalidInputExceptionReason as Input,
};
use store::StoreError;

/// What went wrong, as the caller is told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The account is closed already.
    #[error("The account is already closed.")]
    AccountAlreadyClosed,
    /// No member has this id.
    #[error("You specified an account that doesn't exist.")]
    AccountMissing,
    /// The account is a delegated administrator of the service already.
    #[error("The provided account is already a delegated administrator for your organization.")]
    AccountRegistered,
    /// The account is no delegated administrator of the service.
    #[error("The provided account is not a registered delegated administrator for your organization.")]
    AccountNotRegistered,
    /// The account is in an organisation already.
    #[error("The AWS account is already a member of an organization.")]
    AlreadyMember,
    /// A policy refuses.
    #[error(transparent)]
    Authorize(#[from] AuthorizeError),
    /// Nothing in the tree has this id.
    #[error("You specified a child that doesn't exist.")]
    ChildMissing,
    /// A quota or rule of the organisation.
    #[error("{text}")]
    Constraint {
        /// What AWS calls it.
        reason: Constraint,
        /// What it says of it.
        text: String,
    },
    /// No such request to create an account.
    #[error("We can't find a create account request with the CreateAccountRequestId that you specified.")]
    CreationMissing,
    /// `MoveAccount` to a parent that does not exist.
    #[error("You specified a destination parent that doesn't exist.")]
    DestinationMissing,
    /// The account is where it should go already.
    #[error("The account is already in the destination root or OU.")]
    DuplicateAccount,
    /// The policy is attached already.
    #[error("The policy is already attached to the specified target.")]
    DuplicateAttachment,
    /// The same invitation is open already.
    #[error("A handshake with the same action and target already exists.")]
    DuplicateHandshake,
    /// Another policy has the name.
    #[error("A policy with the same name already exists.")]
    DuplicatePolicy,
    /// A sibling has the name.
    #[error("An OU with the same name already exists.")]
    DuplicateUnit,
    /// No effective policy of the type.
    #[error("There is no effective policy of the specified type for the target.")]
    EffectivePolicyMissing,
    /// The invitation cannot be made or accepted.
    #[error("{text}")]
    HandshakeConstraint {
        /// What AWS calls it.
        reason: Unshakeable,
        /// What it says of it.
        text: String,
    },
    /// The handshake is in that state already.
    #[error("The specified handshake is already in the requested state.")]
    HandshakeInState,
    /// No such handshake, or of other parties.
    #[error("We can't find a handshake with the HandshakeId that you specified.")]
    HandshakeMissing,
    /// The handshake has ended otherwise.
    #[error("You can't perform the operation on the handshake in its current state.")]
    HandshakeTransition,
    /// An argument breaks a rule.
    #[error("{text}")]
    Input {
        /// What AWS calls it.
        reason: Input,
        /// What it says of it.
        text: String,
    },
    /// The document is not a policy of its type.
    #[error("The provided policy document does not meet the requirements of the specified policy type.")]
    Malformed,
    /// The management account cannot leave its organisation.
    #[error("You can't remove a management account from an organization.")]
    MasterCannotLeave,
    /// The caller's account is in no organisation.
    #[error("Your account is not a member of an organization.")]
    NotInUse,
    /// The caller's account is not one that may.
    #[error("You don't have permissions to access this resource.")]
    NotPermitted,
    /// Other accounts are members still.
    #[error(
        "To delete the organization you must first remove all member accounts (except the management account)."
    )]
    OrganizationNotEmpty,
    /// The service-linked role could not be made.
    #[error("the service-linked role could not be made: {0}")]
    OwnRole(Fault),
    /// The caller may not make the service-linked role.
    #[error(
        "The request failed because your credentials do not have permission to create the service-linked role required by AWS Organizations."
    )]
    OwnRoleDenied,
    /// No such root or unit.
    #[error("We can't find a root or OU with the ParentId that you specified.")]
    ParentMissing,
    /// The policy is attached somewhere.
    #[error(
        "The policy is attached to one or more entities. You must detach it from all roots, OUs, and accounts before performing this operation."
    )]
    PolicyInUse,
    /// No such policy.
    #[error("We can't find a policy with the PolicyId that you specified.")]
    PolicyMissing,
    /// The policy is not attached to the target.
    #[error("The policy isn't attached to the specified target in the specified root.")]
    PolicyNotAttached,
    /// The policy type is enabled already.
    #[error("The specified policy type is already enabled.")]
    PolicyTypeEnabled,
    /// The policy type is not enabled.
    #[error("The specified policy type isn't currently enabled in this root.")]
    PolicyTypeNotEnabled,
    /// There is no resource policy.
    #[error("We can't find a resource policy request with the parameter that you specified.")]
    ResourcePolicyMissing,
    /// No such root.
    #[error("We can't find a root with the RootId that you specified.")]
    RootMissing,
    /// `MoveAccount` from a parent that is not the account's.
    #[error("We can't find a source root or OU with the ParentId that you specified.")]
    SourceMissing,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// No such root, unit or account.
    #[error("We can't find a root, OU, or account with the TargetId that you specified.")]
    TargetMissing,
    /// As many accounts as may be are being created.
    #[error("You have sent too many requests in too short a period of time. Try again later.")]
    TooManyCreations,
    /// No such unit.
    #[error("We can't find an OU with the OrganizationalUnitId that you specified.")]
    UnitMissing,
    /// Something is in the unit still.
    #[error(
        "The specified OU is not empty. Move all accounts to another root or to other OUs, remove all child OUs, and try the operation again."
    )]
    UnitNotEmpty,
}

/// A quota or rule of the organisation is in the way.
pub(crate) fn constraint(reason: Constraint, text: impl Into<String>) -> Error {
    Error::Constraint {
        reason,
        text: text.into(),
    }
}

/// An argument breaks a rule that the model does not tell.
pub(crate) fn input(reason: Input, text: impl Into<String>) -> Error {
    Error::Input {
        reason,
        text: text.into(),
    }
}

impl From<&Error> for Fault {
    fn from(error: &Error) -> Fault {
        let code = match error {
            Error::Authorize(error) => return error.fault("ServiceException"),
            Error::Store(error) => return Fault::store("ServiceException", error),
            Error::OwnRole(fault) => return fault.clone(),
            Error::OwnRoleDenied => {
                return Fault::client("AccessDeniedForDependencyException", error).with_member(
                    "Reason",
                    Dependency::AccessDeniedDuringCreateServiceLinkedRole.as_str(),
                );
            }
            Error::Constraint { reason, .. } => {
                return Fault::client("ConstraintViolationException", error)
                    .with_member("Reason", reason.as_str());
            }
            Error::HandshakeConstraint { reason, .. } => {
                return Fault::client("HandshakeConstraintViolationException", error)
                    .with_member("Reason", reason.as_str());
            }
            Error::Input { reason, .. } => {
                return Fault::client("InvalidInputException", error).with_member("Reason", reason.as_str());
            }
            Error::AccountAlreadyClosed => "AccountAlreadyClosedException",
            Error::AccountMissing => "AccountNotFoundException",
            Error::AccountRegistered => "AccountAlreadyRegisteredException",
            Error::AccountNotRegistered => "AccountNotRegisteredException",
            Error::AlreadyMember => "AlreadyInOrganizationException",
            Error::ChildMissing => "ChildNotFoundException",
            Error::CreationMissing => "CreateAccountStatusNotFoundException",
            Error::DestinationMissing => "DestinationParentNotFoundException",
            Error::DuplicateAccount => "DuplicateAccountException",
            Error::DuplicateAttachment => "DuplicatePolicyAttachmentException",
            Error::DuplicateHandshake => "DuplicateHandshakeException",
            Error::DuplicatePolicy => "DuplicatePolicyException",
            Error::DuplicateUnit => "DuplicateOrganizationalUnitException",
            Error::EffectivePolicyMissing => "EffectivePolicyNotFoundException",
            Error::HandshakeInState => "HandshakeAlreadyInStateException",
            Error::HandshakeMissing => "HandshakeNotFoundException",
            Error::HandshakeTransition => "InvalidHandshakeTransitionException",
            Error::Malformed => "MalformedPolicyDocumentException",
            Error::MasterCannotLeave => "MasterCannotLeaveOrganizationException",
            Error::NotInUse => "AWSOrganizationsNotInUseException",
            Error::NotPermitted => "AccessDeniedException",
            Error::OrganizationNotEmpty => "OrganizationNotEmptyException",
            Error::ParentMissing => "ParentNotFoundException",
            Error::PolicyInUse => "PolicyInUseException",
            Error::PolicyMissing => "PolicyNotFoundException",
            Error::PolicyNotAttached => "PolicyNotAttachedException",
            Error::PolicyTypeEnabled => "PolicyTypeAlreadyEnabledException",
            Error::PolicyTypeNotEnabled => "PolicyTypeNotEnabledException",
            Error::ResourcePolicyMissing => "ResourcePolicyNotFoundException",
            Error::RootMissing => "RootNotFoundException",
            Error::SourceMissing => "SourceParentNotFoundException",
            Error::TargetMissing => "TargetNotFoundException",
            Error::TooManyCreations => "TooManyRequestsException",
            Error::UnitMissing => "OrganizationalUnitNotFoundException",
            Error::UnitNotEmpty => "OrganizationalUnitNotEmptyException",
        };
        Fault::client(code, error)
    }
}

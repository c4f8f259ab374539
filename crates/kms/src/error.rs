//! Everything that can go wrong in KMS, and how the caller is told.
//!
//! Messages are AWS's own words where those are known, since some clients read
//! them: hence capitals and full stops.

use federation::attestation::AttestationError;
use gate::{AuthorizeError, Fault};
use policy::Malformed;
use store::StoreError;

use crate::limits::{
    ALIASES_PER_KEY_MAX, CONTEXT_BYTES_MAX, CUSTOM_KEY_STORES_MAX, GRANTS_PER_KEY_MAX,
    ON_DEMAND_ROTATIONS_MAX, POLICY_BYTES_MAX, TAGS_PER_KEY_MAX,
};
use crate::model::{AliasName, Standing, StoreId};
use crate::xks::{Doing, Failure};

/// A failed operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An algorithm that keys of this spec do not have.
    #[error("Algorithm {algorithm} and key spec {spec} are incompatible.")]
    AlgorithmMismatch {
        /// Asked for.
        algorithm: &'static str,
        /// Of the key.
        spec: &'static str,
    },
    /// An alias has characters that it may not have, or no name.
    #[error("{0} contains invalid characters for an alias")]
    AliasCharacters(String),
    /// The alias is taken.
    #[error("An alias with the name {0} already exists")]
    AliasExists(String),
    /// An alias cannot move between keys of different kinds.
    #[error("Alias {alias} cannot move from a key of usage {from} to one of usage {to} or of another type.")]
    AliasFamily {
        /// Its name.
        alias: AliasName,
        /// Usage of the key it points at.
        from: &'static str,
        /// Usage of the key it was to point at.
        to: &'static str,
    },
    /// An alias of another account, whose key is not open to the caller or is not there.
    #[error("User: {caller} is not authorized to perform: {action} on resource: {alias}")]
    AliasHidden {
        /// ARN of the caller.
        caller: String,
        /// Asked for.
        action: String,
        /// ARN of the alias.
        alias: String,
    },
    /// The operation takes key ids and key ARNs only.
    #[error("Key Aliases are not supported for this operation")]
    AliasNotAccepted,
    /// There is no such alias.
    #[error("Alias {0} is not found.")]
    AliasNotFound(String),
    /// The name does not begin with `alias/`.
    #[error(
        "Alias must start with the prefix \"alias/\". Please see \
         https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
    )]
    AliasPrefix,
    /// The name belongs to AWS services.
    #[error("{0} is reserved for AWS services")]
    AliasReserved(AliasName),
    /// What was given is no id of a key material.
    #[error("KeyMaterialId is not valid: it has 64 hexadecimal digits")]
    BadMaterialId,
    /// A time between rotations outside its range.
    #[error("RotationPeriodInDays {days} is not between 90 and 2560")]
    BadPeriod {
        /// As given.
        days: i32,
    },
    /// A tag that may not be.
    #[error("Tag {key}: {reason}")]
    BadTag {
        /// Its key.
        key: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A waiting period outside its range.
    #[error("PendingWindowInDays {days} is not between 7 and 30")]
    BadWindow {
        /// As given.
        days: i32,
    },
    /// An attestation document that proves nothing.
    #[error(transparent)]
    Attestation(#[from] AttestationError),
    /// Both the key spec and its deprecated twin were given.
    #[error(
        "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated."
    )]
    BothKeySpecs,
    /// A key whose material is never replaced, or not by itself.
    #[error("{arn} does not support this kind of key rotation")]
    CannotRotate {
        /// Of the key.
        arn: String,
    },
    /// The key a ciphertext names does not exist, or is another account's and
    /// not open to the caller: which of the two is not told.
    #[error(
        "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you \
         are not allowed to access."
    )]
    CiphertextKeyHidden,
    /// A cluster does not do what is asked of it; the log says why.
    #[error(
        "The AWS CloudHSM cluster that is associated with the custom key store did not complete the operation. Verify \
         that the cluster is active and contains at least one active HSM, and try the request again."
    )]
    Cluster {
        /// What KMS was doing.
        doing: Doing,
    },
    /// A cluster, or one with the same certificate, belongs to a store already.
    #[error("The cluster {0}, or one that is related to it, is already associated with a custom key store")]
    ClusterInUse(String),
    /// A cluster does not answer, or has no module to work with.
    #[error("The cluster {0} is not active")]
    ClusterNotActive(String),
    /// The account has no such cluster in this region.
    #[error("There is no cluster {0}")]
    ClusterNotFound(String),
    /// A cluster has another certificate than that which the store knows.
    #[error("The cluster {0} is not related to the cluster of the custom key store")]
    ClusterNotRelated(String),
    /// The encryption context is beyond its limit.
    #[error("The encryption context has {bytes} bytes, more than {CONTEXT_BYTES_MAX}")]
    ContextTooLong {
        /// Of names and values.
        bytes: usize,
    },
    /// An encryption context where there is nothing to bind it to.
    #[error("An encryption context is not supported with key spec {spec}")]
    ContextWithAsymmetricKey {
        /// Of the key.
        spec: &'static str,
    },
    /// The cryptography provider failed, or a stored key does not open.
    #[error("cryptography failed: {0}")]
    Crypto(crypto::Error),
    /// Neither or both ways to say how long a data key is.
    #[error("Please specify either number of bytes or key spec.")]
    DataKeyLength,
    /// Permission was not given.
    #[error(transparent)]
    Denied(#[from] AuthorizeError),
    /// A digest of the wrong length.
    #[error("Digest is invalid length for algorithm {algorithm}.")]
    DigestLength {
        /// Asked for.
        algorithm: &'static str,
    },
    /// The request would have worked.
    #[error("The request would have succeeded, but the DryRun parameter is set.")]
    DryRun,
    /// One tag key twice.
    #[error("Tag {0} is given more than once")]
    DuplicateTag(String),
    /// An external key that another KMS key of the store rests on.
    #[error("The external key {0} is already associated with a KMS key in this external key store")]
    ExternalKeyInUse(String),
    /// Whether and when imported material expires does not fit together.
    #[error("{0}")]
    Expiration(&'static str),
    /// There is a related key in that region.
    #[error("There is a key {id} in region {region} already")]
    ReplicaExists {
        /// Of both keys.
        id: String,
        /// Where.
        region: String,
    },
    /// There is no related key in that region, or it cannot be one.
    #[error("{region} is not a region of this multi-Region key, or cannot be one")]
    ReplicaRegion {
        /// As given.
        region: String,
    },
    /// A grant that cannot be.
    #[error("The grant is not valid: {0}")]
    GrantConstraint(&'static str),
    /// There is no such grant on the key.
    #[error("Grant ID {0} not found")]
    GrantNotFound(String),
    /// An operation that the key does not do.
    #[error("Grant operation {operation} is not supported by a key of spec {spec} and usage {usage}")]
    GrantOperation {
        /// Asked for.
        operation: &'static str,
        /// Of the key.
        spec: &'static str,
        /// Of the key.
        usage: &'static str,
    },
    /// A principal that does not exist, or cannot hold or retire grants.
    #[error("ARN does not refer to a valid principal: {0}")]
    GrantPrincipal(String),
    /// A grant token that no grant has.
    #[error("The request contains a grant token that is not valid")]
    GrantToken,
    /// `DryRunModifiers` ask for a dry run and `DryRun` does not.
    #[error("DryRunModifiers are valid only when DryRun is true")]
    ModifiersWithoutDryRun,
    /// What is said of a material that is imported does not fit its key, or together.
    #[error("{0}")]
    ImportTerms(&'static str),
    /// An import token that was not made for this key.
    #[error("The import token is not valid for this key")]
    ImportToken,
    /// An import token whose day is over.
    #[error("The import token has expired")]
    ImportTokenExpired,
    /// The key named is not the one the ciphertext was made with.
    #[error("The key ID in the request does not identify a CMK that can perform this operation.")]
    IncorrectKey,
    /// A key in a custom key store does not do this.
    #[error("{arn} is in a custom key store, which is not valid for {operation}.")]
    InCustomKeyStore {
        /// Of the key.
        arn: String,
        /// Asked for.
        operation: &'static str,
    },
    /// Material that is not of the key's kind, or not the one it must be.
    #[error("The key material is not valid for {arn}, or not the same as was imported before")]
    IncorrectMaterial {
        /// Of the key.
        arn: String,
    },
    /// An ARN that names neither key nor alias.
    #[error("Invalid arn {0}")]
    InvalidArn(String),
    /// A ciphertext that does not open under this key and context.
    #[error("the ciphertext does not open")]
    InvalidCiphertext,
    /// What was given is no grant id.
    #[error("Invalid grant ID {0}")]
    InvalidGrantId(String),
    /// What was given names no key.
    #[error("Invalid keyId '{0}'")]
    InvalidKeyId(String),
    /// A message authentication code that is not the message's.
    #[error("the message authentication code does not match")]
    InvalidMac,
    /// A list is to go on where it never was.
    #[error("The marker is not valid for this list")]
    InvalidMarker,
    /// A signature that is not the message's.
    #[error("the signature does not match")]
    InvalidSignature,
    /// There is no such key.
    #[error("Key '{0}' does not exist")]
    KeyNotFound(String),
    /// A page larger than the list gives.
    #[error(
        "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: Member must have \
         value less than or equal to {max}"
    )]
    Limit {
        /// As given.
        limit: i32,
        /// The most.
        max: usize,
    },
    /// The policy would shut out whoever writes it.
    #[error("The new key policy will not allow you to update the key policy in the future.")]
    LockedOut,
    /// The text is no key policy, or names principals that do not exist.
    #[error("{0}")]
    MalformedPolicy(Malformed),
    /// A policy that was accepted when written is not any more.
    #[error("the stored policy of {arn} is malformed: {}", malformed.detail())]
    MalformedStoredPolicy {
        /// Of the key.
        arn: String,
        /// What is wrong.
        malformed: Malformed,
    },
    /// The row of a key's material is not there.
    #[error("{arn} has no material {material}")]
    MaterialNotFound {
        /// Of the key.
        arn: String,
        /// Its material.
        material: String,
    },
    /// A key never had this material.
    #[error("{arn} has no such key material")]
    MaterialUnknown {
        /// Of the key.
        arn: String,
    },
    /// The algorithm does not take such a message.
    #[error("Message type {message_type} is incompatible with {algorithm}.")]
    MessageType {
        /// Raw or digest.
        message_type: &'static str,
        /// Asked for.
        algorithm: &'static str,
    },
    /// A member that this request needs is missing.
    #[error(
        "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
    )]
    Missing {
        /// Its name.
        member: &'static str,
    },
    /// There is no policy of that name.
    #[error("No such policy exists")]
    NoSuchPolicy,
    /// A key whose material is made here takes none from outside.
    #[error("{arn} origin is {origin} which is not valid for this operation.")]
    NotImported {
        /// Of the key.
        arn: String,
        /// Of its material.
        origin: &'static str,
    },
    /// Only the primary of a multi-Region key does this.
    #[error("{arn} is not a multi-Region primary key.")]
    NotPrimary {
        /// Of the key.
        arn: String,
    },
    /// New material for a replica, where its primary has to have it first.
    #[error(
        "{arn} is a multi-Region replica key. Import new key material into the primary key first, and the same into \
         its replicas with an ImportType of EXISTING_KEY_MATERIAL."
    )]
    NewInReplica {
        /// Of the key.
        arn: String,
    },
    /// No material was imported that the key could rotate to.
    #[error("{arn} has no imported key material to rotate to.")]
    NothingToRotateTo {
        /// Of the key.
        arn: String,
    },
    /// The ARN is of another region than this endpoint's.
    #[error("Invalid arn {0}")]
    OtherRegion(String),
    /// A public key to agree with that is none, or of another curve.
    #[error("The public key is not a SubjectPublicKeyInfo of a key of spec {spec}")]
    PeerKey {
        /// Of the key.
        spec: &'static str,
    },
    /// A plaintext too long for its algorithm.
    #[error("Algorithm {algorithm} and key spec {spec} cannot encrypt data larger than {max} bytes.")]
    PlaintextLength {
        /// Asked for.
        algorithm: &'static str,
        /// Of the key.
        spec: &'static str,
        /// In bytes.
        max: usize,
    },
    /// A policy of another name than `default`.
    #[error("The policy name {0} is not valid: the only valid name is default")]
    PolicyName(String),
    /// A policy beyond its quota.
    #[error("The key policy has {bytes} bytes, more than {POLICY_BYTES_MAX}")]
    PolicyTooLong {
        /// Of the text.
        bytes: usize,
    },
    /// An external key store proxy does not do what is asked of it.
    #[error("{failure}")]
    Proxy {
        /// What KMS was doing.
        doing: Doing,
        /// Why.
        failure: Failure,
    },
    /// Another store has the same proxy.
    #[error("The proxy URI {0} is already associated with another external key store")]
    ProxyUriInUse(String),
    /// The state of the key does not admit the operation.
    #[error("{arn} {}.", standing.phrase())]
    State {
        /// Of the key.
        arn: String,
        /// How it stands.
        standing: Standing,
    },
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// Keys live in the custom key store.
    #[error("The custom key store {0} contains KMS keys")]
    StoreHasKeys(StoreId),
    /// There is a custom key store of this name.
    #[error("There is a custom key store with the name {0} already")]
    StoreNameInUse(String),
    /// The external key store that a key lives in is not connected.
    #[error(
        "This KMS key is in a custom key store that is not connected to its external key store proxy. Connect the \
         external key store and try the request again."
    )]
    StoreNotConnected,
    /// There is no such custom key store.
    #[error("There is no custom key store {0}")]
    StoreNotFound(String),
    /// What is said of a custom key store, or of a key in one, does not fit together.
    #[error("{0}")]
    StoreParameter(&'static str),
    /// The connection of a custom key store does not admit the operation.
    #[error(
        "The connection state of the custom key store {id} is {state}, which is not valid for this operation."
    )]
    StoreState {
        /// Of the store.
        id: StoreId,
        /// Of its connection.
        state: &'static str,
    },
    /// The blocking pool is gone: the process is ending.
    #[error("a task was cancelled: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// A key has all the aliases it may have.
    #[error("{arn} has {ALIASES_PER_KEY_MAX} aliases, and cannot have more")]
    TooManyAliases {
        /// Of the key.
        arn: String,
    },
    /// An account has all the custom key stores it may have in a region.
    #[error("An account has at most {CUSTOM_KEY_STORES_MAX} custom key stores in a Region")]
    TooManyStores,
    /// A key has all the grants it may have.
    #[error("{arn} has {GRANTS_PER_KEY_MAX} grants, and cannot have more")]
    TooManyGrants {
        /// Of the key.
        arn: String,
    },
    /// A key was rotated on demand as often as it may be.
    #[error("{arn} was rotated on demand {ON_DEMAND_ROTATIONS_MAX} times, and cannot be again")]
    TooManyRotations {
        /// Of the key.
        arn: String,
    },
    /// More tags than a key may have.
    #[error("A key has at most {TAGS_PER_KEY_MAX} tags, not {tags}")]
    TooManyTags {
        /// How many there would be.
        tags: usize,
    },
    /// More calls in this second than the quota.
    #[error("You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.")]
    Throttled,
    /// Something AWS offers and we do not yet.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// A certificate by which the cluster is not known.
    #[error("The trust anchor certificate is not that of the cluster {0}")]
    TrustAnchor(String),
    /// There are no VPC endpoint services here.
    #[error("There is no VPC endpoint service {0}")]
    VpcEndpointServiceNotFound(String),
    /// The key's spec has no public half.
    #[error("{arn} key spec is {spec} which is not valid for GetPublicKey.")]
    WithoutPublicKey {
        /// Of the key.
        arn: String,
        /// Its spec.
        spec: &'static str,
    },
    /// A policy names an account or a unique id that does not exist.
    #[error("Policy contains a statement with one or more invalid principals.")]
    UnknownPrincipal,
    /// The key of an attestation document is of another kind.
    #[error("the public key of the attestation document is no RSA key of 2048, 3072 or 4096 bits")]
    RecipientKey,
    /// The spec cannot do what the usage says.
    #[error("KeyUsage {usage} is not compatible with KeySpec {spec}")]
    UsageForSpec {
        /// Asked for.
        usage: &'static str,
        /// Asked for.
        spec: &'static str,
    },
    /// The key is for something else.
    #[error("{arn} key usage is {usage} which is not valid for {operation}.")]
    UsageMismatch {
        /// Of the key.
        arn: String,
        /// Its usage.
        usage: &'static str,
        /// Asked for.
        operation: &'static str,
    },
    /// The usage is not said and cannot be inferred.
    #[error("You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.")]
    UsageMissing,
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Error {
        Error::MalformedPolicy(malformed)
    }
}

impl From<crypto::Error> for Error {
    /// What the caller's bytes can cause; everything else is ours.
    fn from(error: crypto::Error) -> Error {
        match error {
            crypto::Error::BadCiphertext => Error::InvalidCiphertext,
            crypto::Error::BadMac => Error::InvalidMac,
            crypto::Error::BadSignature => Error::InvalidSignature,
            crypto::Error::DigestLength { algorithm, .. } => Error::DigestLength {
                algorithm: algorithm.as_str(),
            },
            crypto::Error::MessageType {
                algorithm,
                message_type,
            } => Error::MessageType {
                message_type: message_type.as_str(),
                algorithm: algorithm.as_str(),
            },
            crypto::Error::Unsupported { spec, algorithm } => Error::AlgorithmMismatch {
                algorithm,
                spec: spec.as_str(),
            },
            error => Error::Crypto(error),
        }
    }
}

/// What a failure of ours is called.
const INTERNAL: &str = "KMSInternalException";

impl From<&Error> for Fault {
    fn from(error: &Error) -> Fault {
        match error {
            Error::AliasExists(_) | Error::ReplicaExists { .. } => {
                Fault::client("AlreadyExistsException", error)
            }
            Error::AliasReserved(_) => Fault::client("NotAuthorizedException", error),
            Error::AliasHidden { .. } | Error::CiphertextKeyHidden => {
                Fault::client("AccessDeniedException", error)
            }
            Error::Cluster { doing: Doing::Using } | Error::StoreNotConnected => {
                Fault::client("KMSInvalidStateException", error)
            }
            Error::Cluster {
                doing: Doing::CreatingKey | Doing::ManagingStore,
            }
            | Error::StoreState { .. } => Fault::client("CustomKeyStoreInvalidStateException", error),
            Error::ClusterInUse(_) => Fault::client("CloudHsmClusterInUseException", error),
            Error::ClusterNotActive(_) => Fault::client("CloudHsmClusterNotActiveException", error),
            Error::ClusterNotFound(_) => Fault::client("CloudHsmClusterNotFoundException", error),
            Error::ClusterNotRelated(_) => Fault::client("CloudHsmClusterNotRelatedException", error),
            Error::ExternalKeyInUse(_) => Fault::client("XksKeyAlreadyInUseException", error),
            Error::Proxy { doing, failure } => Fault::client(failure.code(*doing), error),
            Error::ProxyUriInUse(_) => Fault::client("XksProxyUriInUseException", error),
            Error::StoreHasKeys(_) => Fault::client("CustomKeyStoreHasCMKsException", error),
            Error::StoreNameInUse(_) => Fault::client("CustomKeyStoreNameInUseException", error),
            Error::StoreNotFound(_) => Fault::client("CustomKeyStoreNotFoundException", error),
            Error::TrustAnchor(_) => Fault::client("IncorrectTrustAnchorException", error),
            Error::VpcEndpointServiceNotFound(_) => {
                Fault::client("XksProxyVpcEndpointServiceNotFoundException", error)
            }
            Error::Denied(denied) => denied.fault(INTERNAL),
            Error::DryRun => Fault::client("DryRunOperationException", error),
            Error::GrantToken => Fault::client("InvalidGrantTokenException", error),
            Error::ImportToken => Fault::client("InvalidImportTokenException", error),
            Error::ImportTokenExpired => Fault::client("ExpiredImportTokenException", error),
            Error::IncorrectMaterial { .. } => Fault::client("IncorrectKeyMaterialException", error),
            Error::NothingToRotateTo { .. } => Fault::client("KMSInvalidStateException", error),
            Error::IncorrectKey => Fault::client("IncorrectKeyException", error),
            Error::InvalidMarker => Fault::client("InvalidMarkerException", error),
            Error::State {
                standing: Standing::Disabled,
                ..
            } => Fault::client("DisabledException", error),
            Error::State { .. } => Fault::client("KMSInvalidStateException", error),
            Error::InvalidGrantId(_) => Fault::client("InvalidGrantIdException", error),
            Error::AliasNotAccepted | Error::GrantPrincipal(_) | Error::InvalidArn(_) => {
                Fault::client("InvalidArnException", error)
            }
            Error::AlgorithmMismatch { .. } | Error::UsageMismatch { .. } => {
                Fault::client("InvalidKeyUsageException", error)
            }
            Error::AliasNotFound(_)
            | Error::GrantNotFound(_)
            | Error::InvalidKeyId(_)
            | Error::KeyNotFound(_)
            | Error::MaterialUnknown { .. }
            | Error::NoSuchPolicy
            | Error::OtherRegion(_) => Fault::client("NotFoundException", error),
            Error::BadTag { .. } | Error::DuplicateTag(_) => Fault::client("TagException", error),
            Error::PolicyTooLong { .. }
            | Error::TooManyAliases { .. }
            | Error::TooManyGrants { .. }
            | Error::TooManyRotations { .. }
            | Error::TooManyStores
            | Error::TooManyTags { .. } => Fault::client("LimitExceededException", error),
            Error::LockedOut | Error::MalformedPolicy(_) | Error::UnknownPrincipal => {
                Fault::client("MalformedPolicyDocumentException", error)
            }
            Error::Throttled => Fault::client("ThrottlingException", error),
            Error::CannotRotate { .. }
            | Error::InCustomKeyStore { .. }
            | Error::NewInReplica { .. }
            | Error::NotImported { .. }
            | Error::NotPrimary { .. }
            | Error::Unsupported(_)
            | Error::WithoutPublicKey { .. } => Fault::client("UnsupportedOperationException", error),
            // AWS sends these three without a message.
            Error::InvalidCiphertext => Fault::silent("InvalidCiphertextException"),
            Error::InvalidMac => Fault::silent("KMSInvalidMacException"),
            Error::InvalidSignature => Fault::silent("KMSInvalidSignatureException"),
            Error::AliasCharacters(_)
            | Error::AliasFamily { .. }
            | Error::AliasPrefix
            | Error::Attestation(_)
            | Error::BadMaterialId
            | Error::BadPeriod { .. }
            | Error::BadWindow { .. }
            | Error::BothKeySpecs
            | Error::ContextTooLong { .. }
            | Error::ContextWithAsymmetricKey { .. }
            | Error::DataKeyLength
            | Error::DigestLength { .. }
            | Error::Expiration(_)
            | Error::GrantConstraint(_)
            | Error::GrantOperation { .. }
            | Error::ImportTerms(_)
            | Error::Limit { .. }
            | Error::MessageType { .. }
            | Error::Missing { .. }
            | Error::ModifiersWithoutDryRun
            | Error::PeerKey { .. }
            | Error::PlaintextLength { .. }
            | Error::PolicyName(_)
            | Error::RecipientKey
            | Error::ReplicaRegion { .. }
            | Error::StoreParameter(_)
            | Error::UsageForSpec { .. }
            | Error::UsageMissing => Fault::client("ValidationException", error),
            Error::Store(error) => Fault::store(INTERNAL, error),
            Error::Crypto(_)
            | Error::MalformedStoredPolicy { .. }
            | Error::MaterialNotFound { .. }
            | Error::Task(_) => Fault::server(INTERNAL, error),
        }
    }
}

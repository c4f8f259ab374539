//! The AWS KMS API: keys that never leave, and the cryptography asked of them.
//!
//! A key has a policy, and the policy is the authority: identity policies
//! count only as far as it delegates to the account. Every operation reads its
//! key, asks for permission, looks at the key's state and only then at what it
//! is for, so that who may not use a key learns nothing of it.
//!
//! Invariants: key material is in clear only in memory and only while its row
//! is cached; a ciphertext opens only under the key and encryption context it
//! was made with; a key is deleted at the end of its waiting period and never
//! before.
//!
//! Keys in custom key stores live elsewhere: behind a proxy, which encrypts over
//! what was encrypted here, or in a cluster of hardware security modules. Handlers
//! that use them wait for the network, within a bound, and write nothing.

pub mod access;
mod announce;
mod bootstrap;
mod custodians;
pub mod error;
pub mod hsm;
pub mod jobs;
mod last_use;
pub mod limits;
pub mod model;
pub mod ops;
mod quotas;
mod recipient;
mod rsa_pool;
mod sealed;
mod stock;
pub mod store;
mod usage;
pub mod xks;
pub mod xks_proxy;

use std::sync::Arc;

use tokio::sync::Semaphore;

pub use bootstrap::{BootstrapError, Bootstrapped, FixedKey, bootstrap_key, is_default_policy};
pub use error::Error;
pub use sealed::sealed;
pub use stock::{Stock, stock};

use crate::custodians::Custodians;
use crate::last_use::LastUses;
use crate::quotas::Quotas;
use crate::rsa_pool::RsaPool;

/// What the operator chooses.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Whether calls in a second are limited as AWS limits them.
    pub request_quotas: bool,
    /// The certificate, in DER, that attestation documents must lead to;
    /// `None` if none are believed.
    pub nitro_root: Option<Arc<[u8]>>,
    /// The clusters in which the keys of AWS CloudHSM key stores live; `None` if
    /// there are none.
    pub hsm_clusters: Option<Arc<dyn hsm::Clusters>>,
    /// The way to external key store proxies; `None` if none can be reached.
    pub xks_proxies: Option<Arc<xks::Proxies>>,
    /// Whether AWS KMS may be let in to keys that are here.
    pub xks_proxy: bool,
}

/// The service. What it knows is in the store; of its own it has only what
/// bounds its work.
#[derive(Debug)]
pub struct Kms {
    /// Turns at making RSA keys.
    rsa_turns: Arc<Semaphore>,
    /// RSA keys made ahead.
    rsa_pool: RsaPool,
    /// The uses of keys that are not written down yet.
    last_uses: Arc<LastUses>,
    /// How many calls there were in this second.
    quotas: Arc<Quotas>,
    /// What attestation documents must lead to.
    nitro_root: Option<Arc<[u8]>>,
    /// Who keeps the keys of custom key stores.
    custodians: Arc<Custodians>,
}

impl Kms {
    fn new(options: Options) -> Kms {
        Kms {
            rsa_turns: Arc::new(Semaphore::new(limits::RSA_KEYS_AT_ONCE_MAX)),
            rsa_pool: RsaPool::default(),
            last_uses: Arc::default(),
            quotas: Arc::new(if options.request_quotas {
                Quotas::on()
            } else {
                Quotas::default()
            }),
            nitro_root: options.nitro_root,
            custodians: Arc::new(Custodians::new(options.xks_proxies, options.hsm_clusters)),
        }
    }
}

/// Input members that are refused whenever they ask for something we do not do.
const REFUSED: &[gate::Refused] = &[
    (
        "CreateCustomKeyStore",
        "XksProxyConnectivity",
        "VPC_ENDPOINT_SERVICE: there are no VPC endpoint services, so none is found",
    ),
    ("CreateKey", "KeySpec", "refused for SM2"),
    (
        "CreateKey",
        "Origin",
        "EXTERNAL refused for ML_DSA_* and ML_KEM_*",
    ),
    (
        "Decrypt",
        "Recipient",
        "refused unless --nitro-root names the root to trust",
    ),
    (
        "DeriveSharedSecret",
        "Recipient",
        "refused unless --nitro-root names the root to trust",
    ),
    (
        "GenerateDataKey",
        "Recipient",
        "refused unless --nitro-root names the root to trust",
    ),
    (
        "GenerateDataKeyPair",
        "KeyPairSpec",
        "refused for ML_KEM_* and SM2",
    ),
    (
        "GenerateDataKeyPair",
        "Recipient",
        "refused unless --nitro-root names the root to trust",
    ),
    (
        "GenerateDataKeyPairWithoutPlaintext",
        "KeyPairSpec",
        "refused for ML_KEM_* and SM2",
    ),
    (
        "GenerateRandom",
        "Recipient",
        "refused unless --nitro-root names the root to trust",
    ),
    (
        "GetParametersForImport",
        "WrappingAlgorithm",
        "refused for RSAES_PKCS1_V1_5, as by AWS, and SM2PKE",
    ),
    ("GetParametersForImport", "WrappingKeySpec", "refused for SM2"),
    (
        "UpdateCustomKeyStore",
        "XksProxyConnectivity",
        "VPC_ENDPOINT_SERVICE: there are no VPC endpoint services, so none is found",
    ),
];

impl Default for Kms {
    fn default() -> Kms {
        Kms::new(Options::default())
    }
}

/// The operations of KMS.
pub fn service(options: Options) -> gate::Service {
    table(Kms::new(options))
}

/// KMS, and with [`Options::xks_proxy`] the service by which AWS KMS uses keys
/// that are here.
pub fn services(options: Options) -> Vec<gate::Service> {
    let with_proxy = options.xks_proxy;
    let kms = Kms::new(options);
    let proxy = with_proxy.then(|| xks_proxy::Proxy {
        last_uses: Arc::clone(&kms.last_uses),
        quotas: Arc::clone(&kms.quotas),
    });
    let mut services = vec![table(kms)];
    services.extend(proxy.map(xks_proxy::service));
    services
}

fn table(kms: Kms) -> gate::Service {
    use kms_api as api;

    let last_uses = Arc::clone(&kms.last_uses);
    let custodians = Arc::clone(&kms.custodians);
    gate::Table::new(&api::SERVICE, kms)
        // Keys.
        .on::<api::CreateKey>(ops::create_key::create_key)
        .on::<api::DescribeKey>(ops::describe_key::describe_key)
        .on::<api::GetKeyLastUsage>(ops::get_key_last_usage::get_key_last_usage)
        .on::<api::ListKeys>(ops::list_keys::list_keys)
        .on::<api::GetPublicKey>(ops::get_public_key::get_public_key)
        .on::<api::UpdateKeyDescription>(ops::update_key_description::update_key_description)
        .on::<api::EnableKey>(ops::enable_key::enable_key)
        .on::<api::DisableKey>(ops::enable_key::disable_key)
        .on::<api::ScheduleKeyDeletion>(ops::key_deletion::schedule_key_deletion)
        .on::<api::CancelKeyDeletion>(ops::key_deletion::cancel_key_deletion)
        // Cryptography.
        .on::<api::Encrypt>(ops::encrypt::encrypt)
        .on::<api::Decrypt>(ops::decrypt::decrypt)
        .on::<api::ReEncrypt>(ops::re_encrypt::re_encrypt)
        .on::<api::GenerateDataKey>(ops::data_key::generate_data_key)
        .on::<api::GenerateDataKeyWithoutPlaintext>(ops::data_key::generate_data_key_without_plaintext)
        .on::<api::GenerateDataKeyPair>(ops::data_key_pair::generate_data_key_pair)
        .on::<api::GenerateDataKeyPairWithoutPlaintext>(
            ops::data_key_pair::generate_data_key_pair_without_plaintext,
        )
        .on::<api::GenerateRandom>(ops::generate_random::generate_random)
        .on::<api::Sign>(ops::signature::sign)
        .on::<api::Verify>(ops::signature::verify)
        .on::<api::GenerateMac>(ops::mac::generate_mac)
        .on::<api::VerifyMac>(ops::mac::verify_mac)
        .on::<api::DeriveSharedSecret>(ops::agreement::derive_shared_secret)
        .on::<api::Encapsulate>(ops::agreement::encapsulate)
        .on::<api::Decapsulate>(ops::agreement::decapsulate)
        // Aliases.
        .on::<api::CreateAlias>(ops::create_alias::create_alias)
        .on::<api::UpdateAlias>(ops::update_alias::update_alias)
        .on::<api::DeleteAlias>(ops::delete_alias::delete_alias)
        .on::<api::ListAliases>(ops::list_aliases::list_aliases)
        // Rotation.
        .on::<api::EnableKeyRotation>(ops::rotation::enable_key_rotation)
        .on::<api::DisableKeyRotation>(ops::rotation::disable_key_rotation)
        .on::<api::GetKeyRotationStatus>(ops::rotation::get_key_rotation_status)
        .on::<api::RotateKeyOnDemand>(ops::rotation::rotate_key_on_demand)
        .on::<api::ListKeyRotations>(ops::rotation::list_key_rotations)
        // Multi-Region keys.
        .on::<api::ReplicateKey>(ops::multi_region::replicate_key)
        .on::<api::UpdatePrimaryRegion>(ops::multi_region::update_primary_region)
        // Imported material.
        .on::<api::GetParametersForImport>(ops::import::get_parameters_for_import)
        .on::<api::ImportKeyMaterial>(ops::import::import_key_material)
        .on::<api::DeleteImportedKeyMaterial>(ops::import::delete_imported_key_material)
        // Custom key stores.
        .on::<api::CreateCustomKeyStore>(ops::create_custom_key_store::create_custom_key_store)
        .on::<api::DescribeCustomKeyStores>(ops::custom_key_stores::describe_custom_key_stores)
        .on::<api::UpdateCustomKeyStore>(ops::update_custom_key_store::update_custom_key_store)
        .on::<api::DeleteCustomKeyStore>(ops::custom_key_stores::delete_custom_key_store)
        .on::<api::ConnectCustomKeyStore>(ops::custom_key_stores::connect_custom_key_store)
        .on::<api::DisconnectCustomKeyStore>(ops::custom_key_stores::disconnect_custom_key_store)
        // Grants.
        .on::<api::CreateGrant>(ops::grants::create_grant)
        .on::<api::ListGrants>(ops::grants::list_grants)
        .on::<api::ListRetirableGrants>(ops::grants::list_retirable_grants)
        .on::<api::RetireGrant>(ops::grants::retire_grant)
        .on::<api::RevokeGrant>(ops::grants::revoke_grant)
        // Policies and tags.
        .on::<api::GetKeyPolicy>(ops::key_policy::get_key_policy)
        .on::<api::PutKeyPolicy>(ops::key_policy::put_key_policy)
        .on::<api::ListKeyPolicies>(ops::key_policy::list_key_policies)
        .on::<api::TagResource>(ops::tags::tag_resource)
        .on::<api::UntagResource>(ops::tags::untag_resource)
        .on::<api::ListResourceTags>(ops::tags::list_resource_tags)
        .job(jobs::deletion(Arc::clone(&custodians)))
        .job(jobs::connections(Arc::clone(&custodians)))
        .job(jobs::proxy_health(custodians))
        .job(jobs::rotation())
        .job(jobs::expiry())
        .job(gate::forgetting_events())
        .job(last_use::flushing(last_uses))
        .seals(sealed())
        .admits(|kms, cx| kms.quotas.admit(cx))
        .describes(access::described)
        .meters(usage::meter())
        .watches(|store| Box::pin(jobs::conditions(store)))
        .refuses(REFUSED)
        .done()
}

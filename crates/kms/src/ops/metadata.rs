//! What `CreateKey` and `DescribeKey` tell of a key.

use ground::Region;
use kms_api::{
    CustomerMasterKeySpec, EncapsulationAlgorithmSpec, EncryptionAlgorithmSpec, ExpirationModelType,
    KeyAgreementAlgorithmSpec, KeyManagerType, KeyMetadata, KeySpec, KeyUsageType, MacAlgorithmSpec,
    MultiRegionConfiguration, MultiRegionKey, MultiRegionKeyType, OriginType, SigningAlgorithmSpec,
    XksKeyConfigurationType,
};

use crate::model::key::arn;
use crate::model::{Family, Key, KeyState, KeyUsage, Manager, MultiRegion, Place, Purpose};

/// The metadata of a key.
pub(super) fn metadata(key: &Key) -> KeyMetadata {
    let has_material_id =
        key.purpose.family() == Family::Symmetric && !key.has_no_material_yet() && key.custody.is_none();
    let place = key.in_store.as_ref().map(|store| &store.place);
    let state_now = key.state_now();
    let window = match state_now {
        KeyState::PendingReplicaDeletion { window } => i32::try_from(window.days()).ok(),
        KeyState::Creating
        | KeyState::Disabled
        | KeyState::Enabled
        | KeyState::PendingDeletion { .. }
        | KeyState::PendingImport
        | KeyState::Unavailable
        | KeyState::Updating => None,
    };
    let external_key = key
        .custody
        .as_ref()
        .and_then(|custody| custody.external_key.clone());
    KeyMetadata {
        aws_account_id: Some(key.account.to_string()),
        key_id: key.id.to_string(),
        arn: Some(key.arn()),
        creation_date: Some(key.created),
        enabled: Some(state_now == KeyState::Enabled),
        description: Some(key.description.clone()),
        key_usage: Some(usage(key.purpose)),
        key_state: Some(state(state_now)),
        deletion_date: key.state.deletion_due(),
        origin: OriginType::parse(key.origin.as_str()),
        key_manager: Some(match key.manager {
            Manager::Aws => KeyManagerType::Aws,
            Manager::Customer => KeyManagerType::Customer,
        }),
        customer_master_key_spec: old_spec(key.purpose),
        key_spec: spec(key.purpose),
        encryption_algorithms: encryption_algorithms(key.purpose),
        signing_algorithms: signing_algorithms(key.purpose),
        mac_algorithms: mac_algorithms(key.purpose),
        multi_region: Some(key.multi_region.is_some()),
        pending_deletion_window_in_days: window,
        current_key_material_id: has_material_id.then(|| key.material.to_string()),
        valid_to: key.valid_to(),
        expiration_model: expiration_model(key),
        multi_region_configuration: key.multi_region.as_ref().map(|keys| configuration(key, keys)),
        custom_key_store_id: key.custody.as_ref().map(|custody| custody.store.to_string()),
        cloud_hsm_cluster_id: match place {
            Some(Place::Cluster(place)) => Some(place.cluster.clone()),
            Some(Place::Proxy(_)) | None => None,
        },
        key_agreement_algorithms: key_agreement_algorithms(key.purpose),
        encapsulation_algorithms: encapsulation_algorithms(key.purpose),
        xks_key_configuration: external_key.map(|id| XksKeyConfigurationType { id: Some(id) }),
    }
}

/// Where the related keys of a multi-Region key are.
fn configuration(key: &Key, keys: &MultiRegion) -> MultiRegionConfiguration {
    let named = |region: &Region| MultiRegionKey {
        arn: Some(arn(&key.id, key.account, region)),
        region: Some(region.to_string()),
    };
    MultiRegionConfiguration {
        multi_region_key_type: MultiRegionKeyType::parse(keys.type_in(&key.region)),
        primary_key: Some(named(&keys.primary)),
        replica_keys: Some(keys.replicas.iter().map(named).collect()),
    }
}

/// Whether the imported material of a key expires, as long as it is here.
fn expiration_model(key: &Key) -> Option<ExpirationModelType> {
    let is_here = key
        .generations()
        .iter()
        .any(|it| it.import.is_some() && it.is_present());
    is_here.then_some(match key.valid_to() {
        Some(_) => ExpirationModelType::KeyMaterialExpires,
        None => ExpirationModelType::KeyMaterialDoesNotExpire,
    })
}

/// The spec in the API's terms.
pub(super) fn spec(purpose: Purpose) -> Option<KeySpec> {
    KeySpec::parse(purpose.spec().as_str())
}

/// The spec under its deprecated name, which knows no newer ones.
pub(super) fn old_spec(purpose: Purpose) -> Option<CustomerMasterKeySpec> {
    CustomerMasterKeySpec::parse(purpose.spec().as_str())
}

/// The usage in the API's terms.
pub(super) fn usage(purpose: Purpose) -> KeyUsageType {
    match purpose.usage() {
        KeyUsage::EncryptDecrypt => KeyUsageType::EncryptDecrypt,
        KeyUsage::EncapsulateDecapsulate => KeyUsageType::EncapsulateDecapsulate,
        KeyUsage::GenerateVerifyMac => KeyUsageType::GenerateVerifyMac,
        KeyUsage::KeyAgreement => KeyUsageType::KeyAgreement,
        KeyUsage::SignVerify => KeyUsageType::SignVerify,
    }
}

/// The state in the API's terms.
pub(super) fn state(state: KeyState) -> kms_api::KeyState {
    match state {
        KeyState::Creating => kms_api::KeyState::Creating,
        KeyState::Disabled => kms_api::KeyState::Disabled,
        KeyState::Enabled => kms_api::KeyState::Enabled,
        KeyState::PendingDeletion { .. } => kms_api::KeyState::PendingDeletion,
        KeyState::PendingImport => kms_api::KeyState::PendingImport,
        KeyState::PendingReplicaDeletion { .. } => kms_api::KeyState::PendingReplicaDeletion,
        KeyState::Unavailable => kms_api::KeyState::Unavailable,
        KeyState::Updating => kms_api::KeyState::Updating,
    }
}

/// The encryption algorithms; absent if there are none.
pub(super) fn encryption_algorithms(purpose: Purpose) -> Option<Vec<EncryptionAlgorithmSpec>> {
    let names = purpose
        .encryption_algorithms()
        .iter()
        .map(|algorithm| algorithm.as_str());
    some(names.filter_map(EncryptionAlgorithmSpec::parse))
}

/// The signing algorithms; absent if there are none.
pub(super) fn signing_algorithms(purpose: Purpose) -> Option<Vec<SigningAlgorithmSpec>> {
    let names = purpose
        .signing_algorithms()
        .iter()
        .map(|algorithm| algorithm.as_str());
    some(names.filter_map(SigningAlgorithmSpec::parse))
}

/// The key agreement algorithms; absent if there are none.
pub(super) fn key_agreement_algorithms(purpose: Purpose) -> Option<Vec<KeyAgreementAlgorithmSpec>> {
    (purpose.usage() == KeyUsage::KeyAgreement).then(|| vec![KeyAgreementAlgorithmSpec::Ecdh])
}

/// The encapsulation algorithms; absent if there are none.
pub(super) fn encapsulation_algorithms(purpose: Purpose) -> Option<Vec<EncapsulationAlgorithmSpec>> {
    (purpose.usage() == KeyUsage::EncapsulateDecapsulate).then(|| vec![EncapsulationAlgorithmSpec::MlKem])
}

fn mac_algorithms(purpose: Purpose) -> Option<Vec<MacAlgorithmSpec>> {
    let names = purpose
        .mac_algorithms()
        .iter()
        .map(|algorithm| algorithm.as_str());
    some(names.filter_map(MacAlgorithmSpec::parse))
}

fn some<T>(items: impl Iterator<Item = T>) -> Option<Vec<T>> {
    let items: Vec<T> = items.collect();
    (!items.is_empty()).then_some(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything a key can be is told in the API's own names.
    #[test]
    fn no_name_is_lost_between_crypto_and_api() {
        for key_spec in crypto::key::KeySpec::ALL {
            for key_usage in KeyUsage::ALL {
                let Ok(purpose) = Purpose::new(*key_spec, Some(key_usage)) else {
                    continue;
                };
                assert_eq!(spec(purpose).unwrap().as_str(), key_spec.as_str());
                assert_eq!(usage(purpose).as_str(), key_usage.as_str());
                let told = [
                    encryption_algorithms(purpose).map(|list| list.len()),
                    signing_algorithms(purpose).map(|list| list.len()),
                    mac_algorithms(purpose).map(|list| list.len()),
                ];
                let known = [
                    purpose.encryption_algorithms().len(),
                    purpose.signing_algorithms().len(),
                    purpose.mac_algorithms().len(),
                ];
                assert_eq!(told, known.map(|count| (count > 0).then_some(count)));
                let name = key_spec.as_str();
                let is_new = name == "ECC_NIST_EDWARDS25519" || name.starts_with("ML_");
                assert_eq!(old_spec(purpose).is_none(), is_new);
            }
        }
    }
}

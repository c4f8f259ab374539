//! What KMS counts of calls and keys: the classes that AWS prices apart.
//!
//! Source: AWS KMS pricing. Rotations count as further units of a key, the
//! first two of them; keys of AWS and keys that wait for their deletion cost
//! nothing.

use std::sync::Arc;

use ::store::{Prefix, Scope};
use crypto::key::KeySpec;
use gate::{Called, Counted, Cx, Fault, Held, Meter};
use ground::{Arn, Timestamp};

use crate::error::Error;
use crate::limits::KEYS_METERED_MAX;
use crate::model::{Family, Key, KeyId, KeyState, Manager};
use crate::store::KEYS;

/// Calls with symmetric keys, and calls that use no key.
const REQUESTS: &str = "requests";
/// Calls with RSA keys of 2,048 bits.
const RSA_2048: &str = "asymmetric-rsa-2048";
/// Calls with all other asymmetric keys.
const ASYMMETRIC: &str = "asymmetric";
/// Data key pairs.
const PAIR_RSA: &str = "pair-rsa";
const PAIR_OTHER: &str = "pair-ecc";

/// Rotations that cost something. Source: AWS KMS pricing, since 2024.
const ROTATIONS_COUNTED: usize = 2;

/// How KMS meters itself.
pub(crate) fn meter() -> Meter {
    Meter {
        count,
        class: |cx, arn| Box::pin(class(cx, arn)),
        held: |cx| Box::pin(held(cx)),
        begins: &["CreateKey", "ReplicateKey"],
        ends: &["ScheduleKeyDeletion"],
    }
}

fn count(called: &Called<'_>) -> Counted {
    let said = |name: &str| called.parameters[name].as_str();
    let by_key = || match called.resource {
        Some(arn) => Counted::By(arn.to_owned()),
        None => Counted::As(REQUESTS),
    };
    let is_asymmetric = |names: &[&str]| {
        let mut said = names.iter().filter_map(|name| said(name));
        said.any(|algorithm| algorithm != "SYMMETRIC_DEFAULT")
    };
    match called.operation {
        "GenerateDataKeyPair" | "GenerateDataKeyPairWithoutPlaintext" => {
            let is_rsa = said("keyPairSpec").is_some_and(|spec| spec.starts_with("RSA"));
            Counted::As(if is_rsa { PAIR_RSA } else { PAIR_OTHER })
        }
        "Sign" | "Verify" | "GetPublicKey" | "DeriveSharedSecret" | "Encapsulate" | "Decapsulate" => by_key(),
        "Encrypt" | "Decrypt" if is_asymmetric(&["encryptionAlgorithm"]) => by_key(),
        "ReEncrypt" if is_asymmetric(&["sourceEncryptionAlgorithm", "destinationEncryptionAlgorithm"]) => {
            by_key()
        }
        _ => Counted::As(REQUESTS),
    }
}

/// What calls with a key count as; of a key that is gone, the dearest.
async fn class(cx: &Cx, arn: &Arn) -> Result<&'static str, Fault> {
    let id = arn.resource.strip_prefix("key/").and_then(KeyId::parse);
    let place = arn.account_id().zip(ground::Region::parse(&arn.region).ok());
    let (Some(id), Some((account, region))) = (id, place) else {
        return Ok(REQUESTS);
    };
    let scope = Scope::regional(account, &region);
    let key = cx.view().cross_account_get(&scope, &KEYS, &id).await;
    let key = key.map_err(|error| Fault::from(&Error::Store(error)))?;
    Ok(key.map_or(ASYMMETRIC, |key| match key.purpose.family() {
        Family::Symmetric | Family::Mac => REQUESTS,
        Family::Asymmetric if key.purpose.spec() == KeySpec::Rsa2048 => RSA_2048,
        Family::Asymmetric => ASYMMETRIC,
    }))
}

async fn held(cx: &Cx) -> Result<Vec<Held>, Fault> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = cx.view().scan(&KEYS, &Prefix::all(), after.as_ref(), 1_000).await;
        let page = page.map_err(|error| Fault::from(&Error::Store(error)))?;
        all.extend(page.items.iter().map(|(_, key)| thing(key)));
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
        if all.len() >= KEYS_METERED_MAX {
            return Err(Fault::client(
                "LimitExceededException",
                format!("there are more than {KEYS_METERED_MAX} keys in {}", cx.region()),
            ));
        }
    }
}

fn thing(key: &Arc<Key>) -> Held {
    let rotations = key.generations().into_iter().filter_map(|it| it.rotated);
    let units = std::iter::once(key.created).chain(rotations.map(|it| it.at));
    let units: Vec<Timestamp> = units.take(1 + ROTATIONS_COUNTED).collect();
    Held {
        arn: key.arn(),
        class: match key.manager {
            Manager::Aws => "aws-managed-key",
            Manager::Customer => "key",
        },
        units,
        counts: !matches!(
            key.state,
            KeyState::PendingDeletion { .. } | KeyState::PendingReplicaDeletion { .. }
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ARN: &str = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    #[test]
    fn what_is_priced_apart_is_counted_apart() {
        let by_key = Counted::By(ARN.to_owned());
        for (operation, parameters, expected) in [
            ("Encrypt", json!({"keyId": "k"}), Counted::As(REQUESTS)),
            (
                "Encrypt",
                json!({"encryptionAlgorithm": "SYMMETRIC_DEFAULT"}),
                Counted::As(REQUESTS),
            ),
            (
                "Decrypt",
                json!({"encryptionAlgorithm": "RSAES_OAEP_SHA_256"}),
                by_key.clone(),
            ),
            (
                "ReEncrypt",
                json!({"destinationEncryptionAlgorithm": "RSAES_OAEP_SHA_1"}),
                by_key.clone(),
            ),
            ("Sign", json!({}), by_key),
            (
                "GenerateDataKeyPair",
                json!({"keyPairSpec": "RSA_3072"}),
                Counted::As(PAIR_RSA),
            ),
            (
                "GenerateDataKeyPair",
                json!({"keyPairSpec": "ECC_NIST_P256"}),
                Counted::As(PAIR_OTHER),
            ),
            ("GenerateMac", json!({}), Counted::As(REQUESTS)),
            ("ListKeys", serde_json::Value::Null, Counted::As(REQUESTS)),
        ] {
            let called = Called {
                operation,
                parameters: &parameters,
                resource: Some(ARN),
            };
            assert_eq!(count(&called), expected, "{operation} {parameters}");
        }
    }
}

//! A planned key, brought into a KMS.

use std::time::Duration;

use crypto::key::KeySpec;
use serde_json::{Value, json};

use super::plan::{Plan, Row, State};
use crate::import_key::{Which, give};
use crate::remote_kms::{Problem, RemoteKms, text};

/// For one call.
const PATIENCE: Duration = Duration::from_secs(30);
/// The tag that tells where a key came from.
const SOURCE_TAG: &str = "palisade:imported-from";
/// Tags of a key (KMS Developer Guide, Quotas).
const TAGS_MAX: u32 = 50;

/// Makes the key, or finds what an earlier run made of it, and gives it what is
/// missing. `source` is the form of the file.
pub(crate) async fn bring(kms: &RemoteKms, source: &str, plan: Plan) -> Row {
    let Plan {
        mut row,
        spec,
        usage,
        versions,
        fixed: _,
    } = plan;
    let source = format!("{source}/{}", row.name);
    let work = async {
        let (id, made) = key(kms, &row.alias, spec, usage.as_str(), &source).await?;
        row.key_id = Some(id.clone());
        let given = match spec {
            KeySpec::SymmetricDefault => materials(kms, &id, &versions).await?,
            _ => {
                for version in &versions {
                    give(kms, &id, &version.material, Which::First, None, PATIENCE).await?;
                }
                false
            }
        };
        Ok(made || given)
    };
    let outcome: Result<bool, Problem> = work.await;
    let state = match outcome {
        Ok(true) => State::Imported,
        Ok(false) => State::AlreadyThere,
        Err(problem) => State::Refused(told(problem)),
    };
    row.became(state)
}

/// The key behind the alias, and whether it had no material yet; made if there
/// is none.
async fn key(
    kms: &RemoteKms,
    alias: &str,
    spec: KeySpec,
    usage: &str,
    source: &str,
) -> Result<(String, bool), Problem> {
    match kms.call("DescribeKey", &json!({"KeyId": alias}), PATIENCE).await {
        Ok(found) => {
            let key = &found["KeyMetadata"];
            let id = text(key, "KeyId")?.to_owned();
            let is = |name: &str, wanted: &str| key[name].as_str() == Some(wanted);
            let tags = json!({"KeyId": id, "Limit": TAGS_MAX});
            let tags = kms.call("ListResourceTags", &tags, PATIENCE).await?;
            let ours = json!({"TagKey": SOURCE_TAG, "TagValue": source});
            let same = is("Origin", "EXTERNAL")
                && is("KeySpec", spec.as_str())
                && is("KeyUsage", usage)
                && tags["Tags"].as_array().is_some_and(|tags| tags.contains(&ours));
            if !same {
                return Err(Problem::Refused {
                    code: "AlreadyExistsException".to_owned(),
                    message: format!("{alias} is another key's"),
                });
            }
            Ok((id, is("KeyState", "PendingImport")))
        }
        Err(Problem::Refused { code, .. }) if code == "NotFoundException" => {
            let input = json!({
                "Origin": "EXTERNAL",
                "KeySpec": spec.as_str(),
                "KeyUsage": usage,
                "Description": format!("imported from {source}"),
                "Tags": [{"TagKey": SOURCE_TAG, "TagValue": source}],
            });
            let made = kms.call("CreateKey", &input, PATIENCE).await?;
            let id = text(&made["KeyMetadata"], "KeyId")?.to_owned();
            let input = json!({"AliasName": alias, "TargetKeyId": id});
            kms.call("CreateAlias", &input, PATIENCE).await?;
            Ok((id, true))
        }
        Err(problem) => Err(problem),
    }
}

/// Gives a symmetric key each version in turn, and has it rotate to each; tells
/// whether one was missing.
async fn materials(
    kms: &RemoteKms,
    id: &str,
    versions: &[bridge::exports::Version],
) -> Result<bool, Problem> {
    let mut known = rotations(kms, id).await?;
    let mut missing = false;
    for version in versions {
        let description = format!("version {}", version.number);
        let there = known
            .iter()
            .find(|entry| entry["KeyMaterialDescription"].as_str() == Some(&description));
        if let Some(entry) = there {
            let which = Which::Known(text(entry, "KeyMaterialId")?);
            give(kms, id, &version.material, which, Some(&description), PATIENCE).await?;
            if entry["KeyMaterialState"].as_str() == Some("PENDING_ROTATION") {
                rotate(kms, id).await?;
            }
            continue;
        }
        missing = true;
        let first = known.is_empty();
        let which = if first { Which::First } else { Which::Further };
        let given = give(kms, id, &version.material, which, Some(&description), PATIENCE).await?;
        if !first {
            rotate(kms, id).await?;
        }
        known.push(json!({"KeyMaterialId": given}));
    }
    Ok(missing)
}

async fn rotate(kms: &RemoteKms, id: &str) -> Result<(), Problem> {
    let rotated = kms
        .call("RotateKeyOnDemand", &json!({"KeyId": id}), PATIENCE)
        .await;
    rotated.map(|_| ())
}

/// The materials that the key was ever given.
async fn rotations(kms: &RemoteKms, id: &str) -> Result<Vec<Value>, Problem> {
    let mut input = json!({"KeyId": id, "IncludeKeyMaterial": "ALL_KEY_MATERIAL"});
    let mut found = Vec::new();
    loop {
        let page = kms.call("ListKeyRotations", &input, PATIENCE).await?;
        found.extend(page["Rotations"].as_array().into_iter().flatten().cloned());
        if page["Truncated"] != json!(true) {
            return Ok(found);
        }
        input["Marker"] = page["NextMarker"].clone();
    }
}

fn told(problem: Problem) -> String {
    match problem {
        Problem::Refused { code, message } => format!("{code}: {message}"),
        Problem::Silent(error) => format!("{error:#}"),
        Problem::Overdue => "the KMS did not answer in time".to_owned(),
    }
}

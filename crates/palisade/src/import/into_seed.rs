//! Planned keys as the seed of `palisade dev` (docs/dev-seed.md): the one place
//! where keys have ids that were chosen beforehand.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ground::{AccountId, Region, Secret};
use toml::{Table, Value};

use super::plan::{Plan, Row, State};

/// The seed, and what is told of each key.
pub(crate) fn seed(
    plans: Vec<Plan>,
    account: AccountId,
    region: Option<&Region>,
) -> Result<(Secret<String>, Vec<Row>)> {
    let mut keys = Vec::new();
    let mut rows = Vec::new();
    for plan in plans {
        match entry(&plan, region) {
            Ok(entry) => {
                keys.push(Value::Table(entry));
                let mut row = plan.row;
                row.key_id = plan.fixed.map(|fixed| fixed.id);
                rows.push(row.became(State::Written));
            }
            Err(reason) => rows.push(plan.row.became(State::Refused(reason.to_owned()))),
        }
    }
    let mut of_account = Table::new();
    of_account.insert("id".to_owned(), Value::String(account.to_string()));
    of_account.insert("key".to_owned(), Value::Array(keys));
    let mut document = Table::new();
    document.insert("account".to_owned(), Value::Array(vec![Value::Table(of_account)]));
    Ok((Secret::new(toml::to_string(&document)?), rows))
}

fn entry(plan: &Plan, region: Option<&Region>) -> Result<Table, &'static str> {
    let fixed = plan.fixed.as_ref().ok_or("the file gives it no id")?;
    let [version] = &plan.versions[..] else {
        return Err("a seed has room for one material of a key");
    };
    let mut entry = Table::new();
    let mut say = |name: &str, value: String| {
        if !value.is_empty() {
            entry.insert(name.to_owned(), Value::String(value));
        }
    };
    say("id", fixed.id.clone());
    say("region", region.map(Region::to_string).unwrap_or_default());
    say("spec", plan.spec.as_str().to_owned());
    say("usage", plan.usage.as_str().to_owned());
    say("description", fixed.description.clone());
    say("material", BASE64.encode(version.material.expose()));
    let aliases = fixed.aliases.iter().cloned().map(Value::String).collect();
    entry.insert("aliases".to_owned(), Value::Array(aliases));
    Ok(entry)
}

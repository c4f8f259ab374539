//! A botocore model, read as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// `service-2.json`, without documentation.
#[derive(Deserialize)]
pub(crate) struct Model {
    pub(crate) metadata: Metadata,
    pub(crate) operations: BTreeMap<String, Operation>,
    pub(crate) shapes: BTreeMap<String, Shape>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) api_version: String,
    pub(crate) endpoint_prefix: String,
    pub(crate) protocol: String,
    pub(crate) json_version: Option<String>,
    pub(crate) service_id: String,
    pub(crate) signing_name: Option<String>,
    pub(crate) target_prefix: Option<String>,
    pub(crate) xml_namespace: Option<XmlNamespace>,
}

#[derive(Deserialize, Clone)]
#[serde(untagged)]
pub(crate) enum XmlNamespace {
    Uri(String),
    Full { uri: String },
}

impl XmlNamespace {
    pub(crate) fn uri(&self) -> &str {
        match self {
            XmlNamespace::Uri(uri) | XmlNamespace::Full { uri } => uri,
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Operation {
    pub(crate) http: Http,
    pub(crate) input: Option<Reference>,
    pub(crate) output: Option<Reference>,
    #[serde(default)]
    pub(crate) errors: Vec<Reference>,
    pub(crate) authtype: Option<String>,
    #[serde(default)]
    pub(crate) auth: Vec<String>,
    #[serde(default)]
    pub(crate) readonly: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Http {
    pub(crate) method: String,
    pub(crate) request_uri: String,
    pub(crate) response_code: Option<u16>,
}

/// A use of a shape, with what its place says about it.
#[derive(Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reference {
    pub(crate) shape: String,
    pub(crate) location: Option<String>,
    pub(crate) location_name: Option<String>,
    pub(crate) query_name: Option<String>,
    pub(crate) timestamp_format: Option<String>,
    #[serde(default)]
    pub(crate) flattened: bool,
    #[serde(default)]
    pub(crate) idempotency_token: bool,
    #[serde(default)]
    pub(crate) xml_attribute: bool,
    #[serde(default)]
    pub(crate) streaming: bool,
    pub(crate) xml_namespace: Option<XmlNamespace>,
    pub(crate) result_wrapper: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shape {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) members: Members,
    #[serde(default)]
    pub(crate) required: Vec<String>,
    pub(crate) member: Option<Reference>,
    pub(crate) key: Option<Reference>,
    pub(crate) value: Option<Reference>,
    #[serde(default, rename = "enum")]
    pub(crate) values: Vec<String>,
    pub(crate) min: Option<serde_json::Number>,
    pub(crate) max: Option<serde_json::Number>,
    pub(crate) pattern: Option<String>,
    #[serde(default)]
    pub(crate) sensitive: bool,
    #[serde(default)]
    pub(crate) flattened: bool,
    #[serde(default)]
    pub(crate) streaming: bool,
    #[serde(default)]
    pub(crate) union: bool,
    #[serde(default)]
    pub(crate) document: bool,
    #[serde(default)]
    pub(crate) exception: bool,
    #[serde(default)]
    pub(crate) fault: bool,
    pub(crate) error: Option<ErrorTrait>,
    pub(crate) payload: Option<String>,
    pub(crate) timestamp_format: Option<String>,
    pub(crate) xml_namespace: Option<XmlNamespace>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorTrait {
    pub(crate) code: Option<String>,
    pub(crate) http_status_code: Option<u16>,
    #[serde(default)]
    pub(crate) sender_fault: bool,
}

/// A structure's members in the model's order, which a map would lose. (The
/// JSON library can keep it, but only for every crate that is built beside.)
#[derive(Default)]
pub(crate) struct Members(Vec<(String, Reference)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Members, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("members by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        from.deserialize_map(InOrder)
    }
}

impl Shape {
    /// The members with their references, in order.
    pub(crate) fn references(&self) -> &[(String, Reference)] {
        &self.members.0
    }
}

/// Reads the newest version of a service's model and keeps what `operations` needs.
#[expect(clippy::disallowed_methods, reason = "a build tool reads files")]
pub(crate) fn load(data: &Path, service: &str, operations: Option<&[String]>) -> Result<Model> {
    let directory = data.join(service);
    let newest = std::fs::read_dir(&directory)
        .with_context(|| format!("no model at {}", directory.display()))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .max()
        .context("the model has no version")?;
    let packed = std::fs::read(directory.join(newest).join("service-2.json.gz"))?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text)?;
    let mut model: Model = serde_json::from_str(&text)?;

    if let Some(wanted) = operations {
        for name in wanted {
            if !model.operations.contains_key(name) {
                bail!("the model has no operation {name}");
            }
        }
        model.operations.retain(|name, _| wanted.contains(name));
    }
    let reached = reachable(&model)?;
    model.shapes.retain(|name, _| reached.contains(name));
    Ok(model)
}

/// The shapes that some operation uses.
fn reachable(model: &Model) -> Result<BTreeSet<String>> {
    let mut open: Vec<String> = model
        .operations
        .values()
        .flat_map(|operation| {
            operation
                .input
                .iter()
                .chain(&operation.output)
                .chain(&operation.errors)
        })
        .map(|reference| reference.shape.clone())
        .collect();
    let mut reached = BTreeSet::new();
    while let Some(name) = open.pop() {
        if !reached.insert(name.clone()) {
            continue;
        }
        let shape = model
            .shapes
            .get(&name)
            .with_context(|| format!("no shape {name}"))?;
        open.extend(
            shape
                .references()
                .iter()
                .map(|(_, reference)| reference.shape.clone()),
        );
        let parts = [&shape.member, &shape.key, &shape.value];
        open.extend(
            parts
                .into_iter()
                .flatten()
                .map(|reference| reference.shape.clone()),
        );
    }
    Ok(reached)
}

//! Each call of KES as calls of KMS.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bridge::kes::{Ask, CALLS, Context, Listing, Name, REQUEST_SECONDS, Refusal, Sealed};
use bridge::limits::KES_BODY_BYTES_MAX;
use ground::{Secret, Timestamp};
use serde_json::{Value, json};

use super::{Bridge, Client};
use crate::import_key::{self, Which};
use crate::remote_kms::{Problem, RemoteKms, text};

/// What is answered if nothing is wrong.
pub(super) enum Answer {
    /// That it was done.
    Nothing,
    /// A document.
    Json(Value),
    /// A document a line.
    Lines(String),
}

/// For one call of KMS; the whole request is bounded beside.
const PATIENCE: Duration = Duration::from_secs(REQUEST_SECONDS);
/// What says, beside the context, what a ciphertext is for.
const PURPOSE: (&str, &str) = ("palisade:purpose", "kes");
/// The pair that holds the context.
const CONTEXT: &str = "kes:context";
/// Aliases looked at by a listing.
const LISTED_MAX: usize = 10_000;
/// Days between the order to delete a key and its end, in which it can be had
/// back (KMS API Reference, ScheduleKeyDeletion, the default).
const DELETION_DAYS: u32 = 30;

impl Bridge {
    /// Answers what `identity` asks.
    pub(super) async fn answer(&self, identity: &str, ask: Ask) -> Result<Answer, Refusal> {
        let client = self.clients.get(identity).ok_or_else(Refusal::not_allowed)?;
        let kms = &client.kms;
        match ask {
            Ask::Version => Ok(Answer::Json(json!({"version": env!("CARGO_PKG_VERSION")}))),
            Ask::Ready => {
                reach(kms)
                    .await
                    .map_err(|_| Refusal::new(503, "the KMS cannot be reached"))?;
                Ok(Answer::Nothing)
            }
            Ask::Status => Ok(Answer::Json(self.status(kms).await)),
            Ask::Api => Ok(Answer::Json(api())),
            Ask::DescribeSelf => Ok(Answer::Json(of_client(identity, client))),
            Ask::Create(name) => self.create(kms, &name, None).await,
            Ask::Import(name, material) => self.create(kms, &name, Some(&material)).await,
            Ask::Describe(name) => self.describe(kms, &name).await,
            Ask::Delete(name) => self.delete(kms, &name).await,
            Ask::List(listing) => self.list(kms, &listing).await,
            Ask::Generate(name, context) => {
                let input = json!({
                    "KeyId": self.alias(&name),
                    "KeySpec": "AES_256",
                    "EncryptionContext": encryption_context(&context),
                });
                let made = call(kms, "GenerateDataKey", &input).await?;
                Ok(Answer::Json(json!({
                    "plaintext": made["Plaintext"],
                    "ciphertext": made["CiphertextBlob"],
                })))
            }
            Ask::Encrypt(name, plaintext, context) => {
                let input = json!({
                    "KeyId": self.alias(&name),
                    "Plaintext": BASE64.encode(plaintext.expose()),
                    "EncryptionContext": encryption_context(&context),
                });
                let sealed = call(kms, "Encrypt", &input).await?;
                Ok(Answer::Json(json!({"ciphertext": sealed["CiphertextBlob"]})))
            }
            Ask::Decrypt(name, sealed) => Ok(Answer::Json(self.decrypt(kms, &name, &sealed).await?)),
            Ask::DecryptAll(name, all) => {
                let mut opened = Vec::with_capacity(all.len());
                for sealed in &all {
                    opened.push(self.decrypt(kms, &name, sealed).await?);
                }
                Ok(Answer::Json(Value::Array(opened)))
            }
        }
    }

    fn alias(&self, name: &Name) -> String {
        format!("{}{}", self.prefix, name.as_str())
    }

    async fn decrypt(&self, kms: &RemoteKms, name: &Name, sealed: &Sealed) -> Result<Value, Refusal> {
        let input = json!({
            "KeyId": self.alias(name),
            "CiphertextBlob": BASE64.encode(&sealed.ciphertext),
            "EncryptionContext": encryption_context(&sealed.context),
        });
        let opened = call(kms, "Decrypt", &input).await?;
        Ok(json!({"plaintext": opened["Plaintext"]}))
    }

    /// Makes a key and then the alias that is its name; a key that could not be
    /// named is given up again.
    async fn create(
        &self,
        kms: &RemoteKms,
        name: &Name,
        material: Option<&Secret<Vec<u8>>>,
    ) -> Result<Answer, Refusal> {
        match self.find(kms, name).await {
            Ok(_) => return Err(Refusal::key_exists()),
            Err(refusal) if refusal == Refusal::no_such_key() => {}
            // Who may make keys need not see them; the alias is taken once only.
            Err(refusal) if refusal == Refusal::not_allowed() => {}
            Err(refusal) => return Err(refusal),
        }
        let origin = if material.is_some() { "EXTERNAL" } else { "AWS_KMS" };
        let input = json!({"Description": format!("KES key {}", name.as_str()), "Origin": origin});
        let made = call(kms, "CreateKey", &input).await?;
        let id = text(&made["KeyMetadata"], "KeyId").map_err(|problem| told(&problem))?;
        let named = async {
            if let Some(material) = material {
                import_key::give(kms, id, material, Which::First, None, PATIENCE)
                    .await
                    .map_err(|problem| told(&problem))?;
            }
            let input = json!({"AliasName": self.alias(name), "TargetKeyId": id});
            call(kms, "CreateAlias", &input).await
        };
        if let Err(refusal) = named.await {
            let given_up = call(kms, "ScheduleKeyDeletion", &deletion(id)).await;
            if let Err(error) = given_up {
                tracing::warn!(
                    key = id,
                    reason = error.message,
                    "a key without a name could not be given up"
                );
            }
            return Err(refusal);
        }
        Ok(Answer::Nothing)
    }

    /// The metadata of the key that has a name.
    async fn find(&self, kms: &RemoteKms, name: &Name) -> Result<Value, Refusal> {
        let input = json!({"KeyId": self.alias(name)});
        let mut found = call(kms, "DescribeKey", &input).await?;
        Ok(found["KeyMetadata"].take())
    }

    async fn describe(&self, kms: &RemoteKms, name: &Name) -> Result<Answer, Refusal> {
        let found = self.find(kms, name).await?;
        Ok(Answer::Json(json!({
            "name": name.as_str(),
            "id": found["KeyId"],
            "algorithm": "AES256",
            "created_at": time(&found["CreationDate"]),
        })))
    }

    /// The key can be had back for a while; its name is free at once.
    async fn delete(&self, kms: &RemoteKms, name: &Name) -> Result<Answer, Refusal> {
        let found = self.find(kms, name).await?;
        let id = text(&found, "KeyId").map_err(|problem| told(&problem))?;
        call(kms, "ScheduleKeyDeletion", &deletion(id)).await?;
        call(kms, "DeleteAlias", &json!({"AliasName": self.alias(name)})).await?;
        Ok(Answer::Nothing)
    }

    async fn list(&self, kms: &RemoteKms, listing: &Listing) -> Result<Answer, Refusal> {
        let mut found: Vec<(String, Option<String>)> = Vec::new();
        let mut seen = 0;
        let mut input = json!({"Limit": 100});
        loop {
            let page = call(kms, "ListAliases", &input).await?;
            for alias in page["Aliases"].as_array().map(Vec::as_slice).unwrap_or_default() {
                seen += 1;
                let name = alias["AliasName"].as_str().unwrap_or_default();
                if let Some(name) = name.strip_prefix(&self.prefix)
                    && listing.takes(name)
                {
                    found.push((name.to_owned(), time(&alias["CreationDate"])));
                }
            }
            if page["Truncated"] != json!(true) {
                break;
            }
            if seen >= LISTED_MAX {
                return Err(Refusal::new(
                    507,
                    "there are more aliases than can be listed here",
                ));
            }
            input["Marker"] = page["NextMarker"].clone();
        }
        found.sort();
        Ok(match listing {
            Listing::Pattern(_) => Answer::Lines(
                found
                    .iter()
                    .map(|(name, created)| format!("{}\n", json!({"name": name, "created_at": created})))
                    .collect(),
            ),
            Listing::Prefix(_) => {
                let names: Vec<String> = found.into_iter().map(|(name, _)| name).collect();
                Answer::Json(json!({"names": names, "continue_at": ""}))
            }
        })
    }

    async fn status(&self, kms: &RemoteKms) -> Value {
        let began = Instant::now();
        let reached = reach(kms).await.is_ok();
        let latency = began.elapsed();
        let mut status = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptime": self.started.elapsed().as_secs(),
            "kms": {"state": if reached { "reachable" } else { "unreachable" }},
            "keystore_unreachable": !reached,
            "keystore_unavailable": !reached,
        });
        if reached {
            status["kms"]["latency"] = json!(u64::try_from(latency.as_millis()).unwrap_or(u64::MAX));
            status["keystore_latency"] = json!(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
        }
        status
    }
}

/// Whether the KMS answers at all; that it refuses is an answer.
async fn reach(kms: &RemoteKms) -> Result<(), Problem> {
    match kms.call("ListAliases", &json!({"Limit": 1}), PATIENCE).await {
        Ok(_) | Err(Problem::Refused { .. }) => Ok(()),
        Err(problem) => Err(problem),
    }
}

async fn call(kms: &RemoteKms, operation: &str, input: &Value) -> Result<Value, Refusal> {
    kms.call(operation, input, PATIENCE)
        .await
        .map_err(|problem| told(&problem))
}

fn told(problem: &Problem) -> Refusal {
    match problem {
        Problem::Refused { code, message } => {
            tracing::warn!(code, message, "the KMS refuses");
            Refusal::of_kms(code, message)
        }
        Problem::Silent(error) => {
            tracing::warn!(error = format!("{error:#}"), "the KMS is silent");
            Refusal::new(502, "the KMS cannot be reached")
        }
        Problem::Overdue => Refusal::new(504, "the KMS did not answer in time"),
    }
}

fn deletion(key_id: &str) -> Value {
    json!({"KeyId": key_id, "PendingWindowInDays": DELETION_DAYS})
}

fn encryption_context(context: &Context) -> Value {
    let mut pairs = json!({PURPOSE.0: PURPOSE.1});
    if !context.is_empty() {
        pairs[CONTEXT] = json!(BASE64.encode(context));
    }
    pairs
}

/// A moment that KMS tells in seconds, as KES tells it.
fn time(seconds: &Value) -> Option<String> {
    let seconds = seconds.as_f64().filter(|seconds| (0.0..1e11).contains(seconds))?;
    Some(Timestamp((seconds * 1000.0) as i64).iso8601())
}

fn of_client(identity: &str, client: &Client) -> Value {
    json!({
        "identity": identity,
        "admin": false,
        "policy": client.profile,
        "policy_name": client.profile,
    })
}

fn api() -> Value {
    CALLS
        .iter()
        .map(|(method, path, named, body)| {
            json!({
                "method": method,
                "path": format!("{path}{}", if *named { "/" } else { "" }),
                "max_body": if *body { KES_BODY_BYTES_MAX } else { 0 },
                "timeout": REQUEST_SECONDS,
            })
        })
        .collect()
}

//! The calls that are measured, made ready: keys created, requests signed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testkit::client::{Signer, json_call, post, query_call, send, signed_bytes};

use crate::load::Requests;

/// The root credential of the measured server, as `dev --credential` takes it.
pub(crate) const CREDENTIAL: &str = "AKIABENCHBENCHBENCH1:benchmarksecret:123456789012";

/// The account of that credential.
pub(crate) const ACCOUNT: &str = "123456789012";

/// A call ready to be sent.
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) request: Arc<[u8]>,
    pub(crate) answer_bytes: usize,
}

/// 32 bytes.
const PLAINTEXT: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Where batches go.
const BATCH: &str = "/_palisade/kms/batch";

fn root() -> Signer {
    Signer::new("AKIABENCHBENCHBENCH1", "benchmarksecret")
}

/// Makes a user whose policy allows what is measured, so that identity
/// policies and key policy are both weighed.
pub(crate) async fn user(address: SocketAddr) -> Result<Signer> {
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:Encrypt","kms:Decrypt","kms:GenerateDataKey","kms:Sign"],"Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":"us-east-1"}}}]}"#;
    let encoded: String = policy.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut key = String::new();
    for form in [
        "Action=CreateUser&Version=2010-05-08&UserName=bench".to_owned(),
        format!(
            "Action=PutUserPolicy&Version=2010-05-08&UserName=bench&PolicyName=p&PolicyDocument={encoded}"
        ),
        "Action=CreateAccessKey&Version=2010-05-08&UserName=bench".to_owned(),
    ] {
        let answer = post(address, "iam", Some(&root()), query_call(&form)).await;
        ensure!(answer.status == 200, "{}", answer.text());
        key = answer.text();
    }
    let between = |tag: &str| {
        let (_, rest) = key.split_once(&format!("<{tag}>"))?;
        Some(rest.split_once(&format!("</{tag}>"))?.0.to_owned())
    };
    let (Some(id), Some(secret)) = (between("AccessKeyId"), between("SecretAccessKey")) else {
        anyhow::bail!("no access key in {key}");
    };
    Ok(Signer::new(&id, &secret))
}

async fn ask(address: SocketAddr, signer: &Signer, operation: &str, body: &Value) -> Result<Value> {
    let answer = post(
        address,
        "kms",
        Some(signer),
        json_call(&format!("TrentService.{operation}"), body),
    )
    .await;
    ensure!(answer.status == 200, "{operation}: {}", answer.text());
    Ok(answer.json())
}

/// Creates keys as root and signs the four calls as `signer`.
pub(crate) async fn prepare(address: SocketAddr, signer: &Signer) -> Result<Vec<Call>> {
    let symmetric = ask(address, &root(), "CreateKey", &json!({})).await?;
    let signing = json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"});
    let signing = ask(address, &root(), "CreateKey", &signing).await?;
    let (key, p256) = (
        &symmetric["KeyMetadata"]["KeyId"],
        &signing["KeyMetadata"]["KeyId"],
    );
    let context = json!({"tenant": "42"});
    let encrypt = json!({"KeyId": key, "Plaintext": PLAINTEXT, "EncryptionContext": context});
    let sealed = ask(address, signer, "Encrypt", &encrypt).await?;
    let bodies = [
        ("Encrypt", encrypt),
        (
            "Decrypt",
            json!({"CiphertextBlob": sealed["CiphertextBlob"], "EncryptionContext": context}),
        ),
        ("GenerateDataKey", json!({"KeyId": key, "KeySpec": "AES_256"})),
        (
            "Sign",
            json!({"KeyId": p256, "Message": PLAINTEXT, "MessageType": "RAW", "SigningAlgorithm": "ECDSA_SHA_256"}),
        ),
    ];
    let mut calls = Vec::new();
    for (name, body) in bodies {
        let answer_bytes = ask(address, signer, name, &body).await?.to_string().len();
        let request = signed_bytes(
            address,
            "/",
            "kms",
            signer,
            json_call(&format!("TrentService.{name}"), &body),
        );
        calls.push(Call {
            name,
            request: request.into(),
            answer_bytes,
        });
    }
    Ok(calls)
}

/// Milliseconds of processor time and of wall time for one durable CreateKey, over `count` of them.
pub(crate) async fn create_keys(address: SocketAddr, count: u32) -> Result<()> {
    // Several at once, so that commits are made in groups.
    let lanes = 64;
    let made = (0..lanes).map(|_| async {
        for _ in 0..count.div_ceil(lanes) {
            ask(address, &root(), "CreateKey", &json!({})).await?;
        }
        anyhow::Ok(())
    });
    for outcome in join_all(made).await {
        outcome?;
    }
    Ok(())
}

/// An Encrypt of a new key, signed by the root user: what every server of the KMS API answers.
pub(crate) async fn encrypt(address: SocketAddr) -> Result<Call> {
    let key = ask(address, &root(), "CreateKey", &json!({})).await?;
    let body = json!({"KeyId": key["KeyMetadata"]["KeyId"], "Plaintext": PLAINTEXT});
    let answer_bytes = ask(address, &root(), "Encrypt", &body).await?.to_string().len();
    let request = signed(address, "Encrypt", &body);
    Ok(Call {
        name: "Encrypt",
        request,
        answer_bytes,
    })
}

/// A batch of so many Encrypts of a new key.
pub(crate) async fn batch(address: SocketAddr, calls: usize) -> Result<Call> {
    let key = ask(address, &root(), "CreateKey", &json!({})).await?;
    let input = json!({"KeyId": key["KeyMetadata"]["KeyId"], "Plaintext": PLAINTEXT});
    let one = json!({"operation": "Encrypt", "input": input});
    let body = json!({"calls": vec![one; calls]});
    let call = json_call("", &body);
    let answer = send(address, "POST", BATCH, "kms", Some(&root()), call.clone()).await;
    ensure!(answer.status == 200, "{}", answer.text());
    let answered = answer.json()["answers"].as_array().map_or(0, Vec::len);
    ensure!(answered == calls, "{answered} of {calls} calls were answered");
    Ok(Call {
        name: "batch of Encrypt",
        answer_bytes: answer.body.len(),
        request: signed_bytes(address, BATCH, "kms", &root(), call).into(),
    })
}

/// The same small Encrypt of each of these keys, signed by the root user.
pub(crate) fn encrypts(address: SocketAddr, keys: &[String]) -> Requests {
    let request = |key: &String| {
        let body = json!({"KeyId": key, "Plaintext": PLAINTEXT});
        signed(address, "Encrypt", &body)
    };
    keys.iter().map(request).collect()
}

/// A change of each of these keys, which makes their rows no longer.
pub(crate) fn changes(address: SocketAddr, keys: &[String]) -> Requests {
    let request = |key: &String| {
        let body = json!({"KeyId": key, "Description": "changed"});
        signed(address, "UpdateKeyDescription", &body)
    };
    keys.iter().map(request).collect()
}

/// The ids of all keys, and how long each page of the list took.
pub(crate) async fn list_keys(address: SocketAddr) -> Result<(Vec<String>, Vec<Duration>)> {
    const PAGE: usize = 1_000;
    let (mut ids, mut took, mut marker) = (Vec::new(), Vec::new(), Value::Null);
    loop {
        let mut body = json!({"Limit": PAGE});
        if marker.is_string() {
            body["Marker"] = marker;
        }
        let started = Instant::now();
        let page = ask(address, &root(), "ListKeys", &body).await?;
        took.push(started.elapsed());
        let keys = page["Keys"].as_array().context("a list has keys")?;
        ids.extend(
            keys.iter()
                .filter_map(|key| Some(key["KeyId"].as_str()?.to_owned())),
        );
        if page["Truncated"] != json!(true) {
            return Ok((ids, took));
        }
        marker = page["NextMarker"].clone();
    }
}

/// Makes the user of [`user`] if there is none yet, without anything he could use.
pub(crate) async fn grantee(address: SocketAddr) -> Result<()> {
    let form = "Action=CreateUser&Version=2010-05-08&UserName=bench";
    let answer = post(address, "iam", Some(&root()), query_call(form)).await;
    let is_there = answer.text().contains("EntityAlreadyExists");
    ensure!(answer.status == 200 || is_there, "{}", answer.text());
    Ok(())
}

/// A CreateGrant on this key for the user that [`grantee`] makes.
pub(crate) fn create_grant(address: SocketAddr, key: &str) -> Arc<[u8]> {
    let grant = json!({
        "KeyId": key,
        "GranteePrincipal": "arn:aws:iam::123456789012:user/bench",
        "Operations": ["Decrypt"],
    });
    signed(address, "CreateGrant", &grant)
}

fn signed(address: SocketAddr, operation: &str, body: &Value) -> Arc<[u8]> {
    let call = json_call(&format!("TrentService.{operation}"), body);
    signed_bytes(address, "/", "kms", &root(), call).into()
}

/// How long so many RSA_2048 data key pairs take, one after the other.
pub(crate) async fn timed_pairs(address: SocketAddr, count: u32) -> Result<Duration> {
    let key = ask(address, &root(), "CreateKey", &json!({})).await?;
    let wish = json!({"KeyId": key["KeyMetadata"]["KeyId"], "KeyPairSpec": "RSA_2048"});
    let started = Instant::now();
    for _ in 0..count {
        ask(address, &root(), "GenerateDataKeyPair", &wish).await?;
    }
    Ok(started.elapsed())
}

/// Runs futures side by side on this task.
pub(crate) async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut open: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|task| {
        let mut pending = false;
        for (future, output) in &mut open {
            if output.is_none() {
                match future.as_mut().poll(task) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(())
        }
    })
    .await;
    open.into_iter().filter_map(|(_, output)| output).collect()
}

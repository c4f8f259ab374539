//! Operations that nobody signs: a token in the request tells who calls.

use std::sync::atomic::{AtomicU32, Ordering};

use gate::{Access, Caller, Cx, Door, Fault, Parts, Table, Vouched};
use policy::{Attached, Document, DocumentKind, Holder, Principal, ResourcePolicyKind};
use serde_json::json;
use std::sync::Arc;
use store::StoreError;
use sts_api::{AssumeRoleWithWebIdentityInput, AssumeRoleWithWebIdentityOutput};
use testkit::client::{Answer, Signer, post, query_call};

use crate::{SECRET, USER, account, parts, records_of, serve};

const ROLE: &str = "arn:aws:iam::123456789012:role/Deploy";

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Authorize(#[from] gate::AuthorizeError),
    #[error("Incorrect token")]
    Token,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<&Error> for Fault {
    fn from(error: &Error) -> Fault {
        match error {
            Error::Authorize(error) => error.fault("ServiceFailure"),
            Error::Token => Fault::client("InvalidIdentityToken", error).with_status(400),
            Error::Store(error) => Fault::store("ServiceFailure", error),
        }
    }
}

#[derive(Default)]
struct Service {
    runs: AtomicU32,
}

/// A good token is "SUBJECT by PROVIDER".
async fn assume_role_with_web_identity(
    service: &Service,
    cx: &Cx,
    input: AssumeRoleWithWebIdentityInput,
) -> Result<AssumeRoleWithWebIdentityOutput, Error> {
    let token = input.web_identity_token.expose();
    if token == "nobody at all" {
        cx.needs_no_permission("a handler that forgets to prove the caller");
        return Ok(AssumeRoleWithWebIdentityOutput::default());
    }
    let (subject, provider) = token.split_once(" by ").ok_or(Error::Token)?;
    let vouched = Vouched {
        principal_id: &format!("{provider}:app:{subject}"),
        user_name: subject,
        identity_provider: provider,
    };
    assert_eq!(cx.caller().principal.arn(), "anonymous");
    cx.is_proven_to_be(Caller::vouched_for(
        Principal::web_identity(provider),
        account(),
        &vouched,
    ));
    let trust = r#"{"Statement":{"Effect":"Allow","Principal":{"Federated":"issuer"},
        "Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"issuer:sub":"alice"}}}}"#;
    let document = Arc::new(Document::parse(trust, DocumentKind::RoleTrust).unwrap());
    let trust = Attached::inline("trust policy", Holder::Resource, document);
    let access = Access::to((), ROLE)
        .recorded_as("AWS::IAM::Role")
        .with_policy(Arc::new(trust), ResourcePolicyKind::RoleTrust)
        .key("issuer:sub", Some(subject.to_owned()));
    cx.authorize(access).await?;
    if input.role_session_name == "overtaken" && service.runs.fetch_add(1, Ordering::SeqCst) == 0 {
        return Err(Error::Store(StoreError::Conflict));
    }
    Ok(AssumeRoleWithWebIdentityOutput {
        provider: Some(provider.to_owned()),
        ..Default::default()
    })
}

struct World {
    address: std::net::SocketAddr,
    door: Arc<Door>,
    _directory: tempfile::TempDir,
}

async fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let table = Table::new(&sts_api::SERVICE, Service::default())
        .on::<sts_api::AssumeRoleWithWebIdentity>(assume_role_with_web_identity);
    let parts = Parts {
        services: vec![table.done()],
        ..parts(&directory.path().join("journal")).await
    };
    let door = Door::open(parts).await.unwrap();
    World {
        address: serve(&door).await,
        door,
        _directory: directory,
    }
}

impl World {
    async fn call(&self, signer: Option<&Signer>, session: &str, token: &str) -> Answer {
        let token = token.replace(' ', "+");
        let form = format!(
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={ROLE}&RoleSessionName={session}&\
             WebIdentityToken={token}"
        );
        post(self.address, "sts", signer, query_call(&form)).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_tells_who_calls_whoever_signed() {
    let world = world().await;
    let stranger = Signer::new("AKIANOBODYNOBODYNOBO", "nothing");
    let forger = Signer::new(USER, "not the secret");
    let user = Signer::new(USER, SECRET);
    for signer in [None, Some(&stranger), Some(&forger), Some(&user)] {
        let answer = world.call(signer, "ci", "alice by issuer").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let record = records_of(&world.door).pop().unwrap();
        assert_eq!(
            record["userIdentity"],
            json!({"type": "WebIdentityUser", "principalId": "issuer:app:alice", "userName": "alice",
                "identityProvider": "issuer"})
        );
        assert_eq!(record["recipientAccountId"], "123456789012");
        assert_eq!(record["resources"][0]["ARN"], ROLE);
        assert!(
            !record.to_string().contains("alice by issuer"),
            "the token is recorded"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_proven_and_not_let_in_is_recorded() {
    let world = world().await;
    for token in ["bob by issuer", "alice by another"] {
        let answer = world.call(None, "ci", token).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "AccessDenied"));
        let text = answer.text();
        assert!(
            text.contains("<Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message>"),
            "{text}"
        );
        let record = records_of(&world.door).pop().unwrap();
        assert_eq!(record["errorCode"], "AccessDenied");
        assert_eq!(record["userIdentity"]["type"], "WebIdentityUser");
        assert_eq!(record["palisade"]["decisions"][0]["allowed"], false);
    }
    assert_eq!(records_of(&world.door).len(), 2);
}

/// A stranger must not be able to fill the disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_refused_and_not_recorded() {
    let world = world().await;
    let user = Signer::new(USER, SECRET);
    for (signer, token, status, code) in [
        (None, "forged", 400, "InvalidIdentityToken"),
        (Some(&user), "forged", 400, "InvalidIdentityToken"),
        (None, "", 400, "ValidationError"),
        // A handler that proves nobody is our fault, and its answer does not leave.
        (None, "nobody at all", 500, "InternalFailure"),
    ] {
        let answer = world.call(signer, "ci", token).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{token}");
    }
    let form = "Action=AssumeRoleWithSAML&Version=2011-06-15".to_owned();
    let answer = post(world.address, "sts", None, query_call(&form)).await;
    assert_eq!(answer.code(), "InvalidAction");
    let empty: Vec<serde_json::Value> = Vec::new();
    assert_eq!(records_of(&world.door), empty);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_overtaken_proves_itself_again_and_is_recorded_once() {
    let world = world().await;
    let answer = world.call(None, "overtaken", "alice by issuer").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(records_of(&world.door).len(), 1);
}

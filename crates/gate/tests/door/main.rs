//! The whole walk of a request, over a real socket, with a service of four
//! small handlers in the place of KMS.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod batch;
mod calls;
mod copies;
mod limits;
mod nodes;
mod root_keys;
mod unsigned;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::BoxFuture;
use gate::{
    Access, AtHand, Caller, CallerPolicies, Credential, CredentialFault, Cx, Directory, Door, Fault, Mode,
    NewAccount, Parts, Presented, Table,
};
use ground::{AccountId, Clock, Region, Secret, Timestamp};
use kms_api::{
    DescribeKeyInput, DescribeKeyOutput, EncryptInput, EncryptOutput, ListKeysInput, ListKeysOutput,
};
use policy::{Attached, Document, DocumentKind, Holder, Principal};
use serde_json::json;
use store::{StoreError, WriteTx};
use testkit::client::{Answer, Signer, json_call, post, send};

const ROOT: &str = "AKIAROOTROOTROOTROOT";
const USER: &str = "AKIAUSERUSERUSERUSER";
const SECRET: &str = "a secret that must never be seen";

fn account() -> AccountId {
    AccountId::parse("123456789012").unwrap()
}

/// Two callers: the root user, and a user who may only encrypt.
struct TwoCallers;

impl Directory for TwoCallers {
    fn credential<'a>(
        &'a self,
        presented: Presented<'a>,
    ) -> AtHand<'a, Result<Arc<Credential>, CredentialFault>> {
        let principal = match presented.access_key_id {
            ROOT => Principal::root(account()),
            USER => Principal::user(account(), "AIDAEXAMPLE", "/", "bob"),
            _ => return AtHand::Now(Err(CredentialFault::Invalid)),
        };
        let id = presented.access_key_id.to_owned();
        AtHand::Later(Box::pin(async move {
            let caller = Arc::new(Caller::new(principal, account(), id.clone(), None));
            Ok(Arc::new(Credential::new(
                id,
                Secret::new(SECRET.to_owned()),
                caller,
            )))
        }))
    }

    fn policies<'a>(&'a self, caller: &'a Caller) -> AtHand<'a, Result<Arc<CallerPolicies>, StoreError>> {
        let mut policies = CallerPolicies::default();
        if caller.access_key_id == USER {
            let text = r#"{"Version":"2012-10-17","Statement":{"Sid":"Enc","Effect":"Allow","Action":"kms:Encrypt","Resource":"*"}}"#;
            let document = Arc::new(Document::parse(text, DocumentKind::Identity).unwrap());
            policies.identity.push(Attached::inline(
                "may-encrypt",
                Holder::User("bob".into()),
                document,
            ));
        }
        AtHand::Later(Box::pin(async move { Ok(Arc::new(policies)) }))
    }

    fn principal_id<'a>(&'a self, _arn: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn principal_arn<'a>(
        &'a self,
        _account: AccountId,
        _id: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn account_exists(&self, wanted: AccountId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move { Ok(wanted == account() || wanted == copies::owner()) })
    }

    fn create_account<'a>(
        &'a self,
        _tx: &'a WriteTx,
        _new: NewAccount<'a>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        unreachable!("no account is made here")
    }

    fn close_account<'a>(
        &'a self,
        _tx: &'a WriteTx,
        _account: AccountId,
        _now: Timestamp,
        _generation: [u8; 16],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        unreachable!("no account is closed here")
    }
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Authorize(#[from] gate::AuthorizeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<&Error> for Fault {
    fn from(error: &Error) -> Fault {
        match error {
            Error::Authorize(error) => error.fault("KMSInternalException"),
            Error::Store(error) => Fault::store("KMSInternalException", error),
        }
    }
}

#[derive(Default)]
struct Service {
    runs: AtomicU32,
}

const COUNTS: store::Table<String, u32> = store::Table::new("test/count", 1);

async fn encrypt(_service: &Service, cx: &Cx, input: EncryptInput) -> Result<EncryptOutput, Error> {
    cx.authorize(Access::to(
        (),
        format!("arn:aws:kms:us-east-1:{}:key/{}", cx.account(), input.key_id),
    ))
    .await?;
    Ok(EncryptOutput {
        ciphertext_blob: Some(b"sealed".to_vec().into()),
        key_id: Some(input.key_id),
        ..Default::default()
    })
}

/// Forgets to ask for permission.
async fn describe_key(
    _service: &Service,
    _cx: &Cx,
    _input: DescribeKeyInput,
) -> Result<DescribeKeyOutput, Error> {
    Ok(DescribeKeyOutput::default())
}

async fn list_keys(_service: &Service, _cx: &Cx, _input: ListKeysInput) -> Result<ListKeysOutput, Error> {
    panic!("this handler always panics")
}

/// Reads, is overtaken by another writer on its first run, and writes.
async fn enable_key(
    service: &Service,
    cx: &Cx,
    input: kms_api::EnableKeyInput,
) -> Result<shape::Unit, Error> {
    let permit = cx.authorize(Access::to(input.key_id, "*")).await?;
    let seen = cx.view().get(&COUNTS, &permit).await?.map_or(0, |count| *count);
    if service.runs.fetch_add(1, Ordering::SeqCst) == 0 {
        let other = cx.view().store().view(cx.view().scope().clone()).begin();
        other.put(&COUNTS, &permit, &(seen + 10));
        cx.view().store().commit(other).await?;
    }
    cx.write(async |tx| {
        tx.put(&COUNTS, &permit, &(seen + 1));
        Ok::<_, Error>(())
    })
    .await?;
    Ok(shape::Unit)
}

struct World {
    address: SocketAddr,
    door: Arc<Door>,
    _directory: tempfile::TempDir,
}

async fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let door = Door::open(parts(&directory.path().join("journal")).await)
        .await
        .unwrap();
    World {
        address: serve(&door).await,
        door,
        _directory: directory,
    }
}

/// A door with an empty store, and a journal in `journal`.
async fn parts(journal: &Path) -> Parts {
    let journal = journal::Config {
        durable: false,
        ..journal::Config::new(journal)
    };
    parts_with(journal).await
}

/// A door with an empty store, and this journal.
async fn parts_with(journal: journal::Config) -> Parts {
    let table = Table::new(&kms_api::SERVICE, Service::default())
        .on::<kms_api::Encrypt>(encrypt)
        .on::<kms_api::DescribeKey>(describe_key)
        .on::<kms_api::ListKeys>(list_keys)
        .on::<kms_api::EnableKey>(enable_key)
        .on::<kms_api::DisableKey>(copies::disable_key)
        .on::<kms_api::CancelKeyDeletion>(root_keys::cancel_key_deletion)
        .seals(root_keys::sealed());
    let random = crypto::Random::system();
    Parts {
        services: vec![table.done()],
        directory: Arc::new(TwoCallers),
        guardrails: Arc::new(gate::NoGuardrails),
        store: store::Store::open(store::Config::memory()).await.unwrap(),
        journal: journal::Journal::open(journal).unwrap().0,
        root_key: Arc::new(crypto::hierarchy::RootKey::generate(&random)),
        clock: Clock::system(),
        random,
        home: Region::us_east_1(),
        mode: Mode::Serve,
        strict_audit: false,
        node: "test".to_owned(),
        reset: None,
        xks: None,
    }
}

/// Serves on a free port for as long as the test runs.
async fn serve(door: &Arc<Door>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = Arc::clone(door);
    #[expect(clippy::disallowed_methods, reason = "the test serves beside itself")]
    tokio::spawn(async move { gate::serve(serving, listener, None, std::future::pending()).await });
    address
}

/// What a door has recorded, oldest first.
fn records_of(door: &Door) -> Vec<serde_json::Value> {
    let newest_first = door.journal().newest_first(1 << 20).unwrap();
    let mut records: Vec<_> = newest_first
        .map(|entry| serde_json::from_slice(&entry.unwrap().record).unwrap())
        .collect();
    records.reverse();
    records
}

impl World {
    async fn call(&self, signer: Option<&Signer>, operation: &str, body: serde_json::Value) -> Answer {
        post(
            self.address,
            "kms",
            signer,
            json_call(&format!("TrentService.{operation}"), &body),
        )
        .await
    }

    fn records(&self) -> Vec<serde_json::Value> {
        records_of(&self.door)
    }
}

fn root() -> Signer {
    Signer::new(ROOT, SECRET)
}

fn user() -> Signer {
    Signer::new(USER, SECRET)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_allowed_call_is_answered_and_recorded_without_its_secrets() {
    let world = world().await;
    let body =
        json!({"KeyId": "k", "Plaintext": "c2VjcmV0LXBsYWludGV4dA==", "EncryptionContext": {"A": "b"}});
    let answer = world.call(Some(&user()), "Encrypt", body).await;
    assert_eq!(
        (answer.status, answer.json()["CiphertextBlob"].as_str()),
        (200, Some("c2VhbGVk"))
    );
    let records = world.records();
    let record = &records[0];
    assert_eq!(record["eventName"], "Encrypt");
    assert_eq!(record["requestID"], answer.request_id());
    assert_eq!(record["userIdentity"]["userName"], "bob");
    assert_eq!(
        record["requestParameters"],
        json!({"keyId": "k", "encryptionContext": {"A": "b"}})
    );
    assert_eq!(record["responseElements"], json!(null));
    assert_eq!(record["readOnly"], true);
    assert_eq!(record["palisade"]["decisions"][0]["allowed"], true);
    let text = record.to_string();
    for secret in [SECRET, "c2VjcmV0LXBsYWludGV4dA==", "secret-plaintext", "c2VhbGVk"] {
        assert!(!text.contains(secret), "{secret} is in the record");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_call_tells_awss_words_and_keeps_its_reasons() {
    let world = world().await;
    let answer = world
        .call(Some(&user()), "EnableKey", json!({"KeyId": "k"}))
        .await;
    assert_eq!(
        (answer.status, answer.code()),
        (400, "AccessDeniedException".to_owned())
    );
    assert_eq!(
        answer.json()["message"]
            .as_str()
            .or(answer.json()["Message"].as_str()),
        Some(
            "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: kms:EnableKey on resource: * \
             because no identity-based policy allows the kms:EnableKey action"
        )
    );
    let path = format!("/_palisade/why/{}", answer.request_id());
    let nothing = || (Vec::new(), Vec::new());
    let why = send(world.address, "GET", &path, "palisade", Some(&root()), nothing()).await;
    assert_eq!(why.status, 200, "{}", why.text());
    let decision = &why.json()["decisions"][0];
    assert_eq!(decision["allowed"], false);
    assert_eq!(decision["trace"]["policies"][0]["name"], "may-encrypt");
    assert_eq!(
        decision["trace"]["changes"][0]["statement"]["Action"],
        "kms:EnableKey"
    );
    // The denied user may not learn the reasons, nor that they exist.
    let why = send(world.address, "GET", &path, "palisade", Some(&user()), nothing()).await;
    assert_eq!(why.status, 404);
    let why = send(world.address, "GET", &path, "palisade", None, nothing()).await;
    assert_eq!(why.status, 403);
    // Once memory has forgotten, the journal still knows.
    let record = &world.records()[0];
    assert_eq!(record["errorCode"], "AccessDeniedException");
    assert_eq!(record["palisade"]["decisions"][0]["trace"]["allowed"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_passes_unsigned_unknown_or_unauthorized() {
    let world = world().await;
    let body = || json!({"KeyId": "k", "Plaintext": "YQ=="});
    let cases = [
        (None, "Encrypt", 400, "MissingAuthenticationTokenException"),
        (
            Some(Signer::new("AKIANOBODYNOBODYNOBO", SECRET)),
            "Encrypt",
            400,
            "UnrecognizedClientException",
        ),
        (
            Some(Signer::new(USER, "wrong")),
            "Encrypt",
            400,
            "InvalidSignatureException",
        ),
        (Some(root()), "NoSuchOperation", 400, "UnknownOperationException"),
        (Some(root()), "CreateGrant", 400, "UnknownOperationException"),
        // A handler that forgot to ask is our fault, and its answer does not leave.
        (Some(root()), "DescribeKey", 500, "InternalFailure"),
        (Some(root()), "ListKeys", 500, "InternalFailure"),
    ];
    for (signer, operation, status, code) in cases {
        let answer = world.call(signer.as_ref(), operation, body()).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{operation}: {}",
            answer.text()
        );
    }
    let health = send(
        world.address,
        "GET",
        "/_palisade/health",
        "",
        None,
        (Vec::new(), Vec::new()),
    )
    .await;
    assert_eq!(health.json()["enforcement"], "on");
    let root = root();
    let nothing = (Vec::new(), Vec::new());
    let metrics = send(
        world.address,
        "GET",
        "/_palisade/metrics",
        "palisade",
        Some(&root),
        nothing,
    )
    .await
    .text();
    assert!(metrics.contains("palisade_panics_total 1"), "{metrics}");
    let unsigned = send(
        world.address,
        "GET",
        "/_palisade/metrics",
        "",
        None,
        (Vec::new(), Vec::new()),
    )
    .await;
    assert_eq!(unsigned.status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_was_overtaken_runs_again_on_what_is_there_now() {
    let world = world().await;
    let answer = world
        .call(Some(&root()), "EnableKey", json!({"KeyId": "k"}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let scope = store::Scope::regional(account(), &Region::us_east_1());
    let view = world.door.store().view(scope);
    assert_eq!(
        view.get(&COUNTS, &"k".to_owned()).await.unwrap().as_deref(),
        Some(&11)
    );
    let records = world.records();
    assert_eq!(records.len(), 1, "one call, one record: {records:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_input_is_told_in_awss_words_and_recorded() {
    let world = world().await;
    let answer = world
        .call(Some(&root()), "Encrypt", json!({"Plaintext": "YQ=="}))
        .await;
    assert_eq!(answer.code(), "ValidationException");
    assert!(
        answer
            .text()
            .contains("1 validation error detected: Value null at 'keyId'"),
        "{}",
        answer.text()
    );
    assert_eq!(world.records()[0]["errorCode"], "ValidationException");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_beyond_the_limit_is_refused() {
    let world = world().await;
    let answer = world
        .call(
            Some(&root()),
            "Encrypt",
            json!({"KeyId": "k", "Plaintext": "A".repeat(2 << 20)}),
        )
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (413, "RequestEntityTooLarge")
    );
}

/// A call from inside meets everything that one from outside meets, but for the signature.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_from_inside_is_checked_authorized_and_recorded() {
    let world = world().await;
    let region = Region::us_east_1();
    let enable = |key: &'static str| {
        move || kms_api::EnableKeyInput {
            key_id: key.to_owned(),
        }
    };
    let door = &world.door;
    // Overtaken on its first run, it runs again, and is recorded once.
    door.call_within::<kms_api::EnableKey>(ROOT, &region, enable("k"))
        .await
        .unwrap();
    let refused = [
        (USER, "k", "AccessDeniedException"),
        ("AKIANOBODYNOBODYNOBO", "k", "InvalidClientTokenId"),
        (ROOT, "", "ValidationException"),
    ];
    for (who, key, code) in refused {
        let told = door
            .call_within::<kms_api::EnableKey>(who, &region, enable(key))
            .await;
        assert_eq!(told.unwrap_err().code, code, "{who} {key}");
    }
    let describe = || DescribeKeyInput {
        key_id: "k".to_owned(),
        ..DescribeKeyInput::default()
    };
    let forgot = door
        .call_within::<kms_api::DescribeKey>(ROOT, &region, describe)
        .await;
    assert_eq!(forgot.err().unwrap().code, "InternalFailure");
    let panicked = door
        .call_within::<kms_api::ListKeys>(ROOT, &region, ListKeysInput::default)
        .await;
    assert_eq!(panicked.err().unwrap().code, "InternalFailure");
    let missing = door
        .call_within::<kms_api::ListGrants>(ROOT, &region, Default::default)
        .await;
    assert_eq!(missing.err().unwrap().code, "UnknownOperationException");

    let records = world.records();
    let told: Vec<_> = records
        .iter()
        .map(|record| {
            (
                record["eventName"].as_str().unwrap(),
                record["errorCode"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("EnableKey", None),
            ("EnableKey", Some("AccessDeniedException")),
            ("EnableKey", Some("ValidationException")),
            ("DescribeKey", Some("InternalFailure")),
            ("ListKeys", Some("InternalFailure")),
            ("ListGrants", Some("UnknownOperationException")),
        ]
    );
    assert_eq!(records[0]["userAgent"], "palisade (within the process)");
    assert_eq!(records[0]["requestParameters"], json!({"keyId": "k"}));
}

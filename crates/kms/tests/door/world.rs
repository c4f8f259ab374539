//! A door with KMS behind it, two accounts before it, and a clock that moves
//! when told to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::Random;
use crypto::hierarchy::RootKey;
use futures_util::future::BoxFuture;
use gate::{
    AtHand, Caller, CallerPolicies, Credential, CredentialFault, Directory, Door, Mode, NewAccount, Parts,
    Presented,
};
use ground::{AccountId, Clock, Region, Secret, Timestamp};
use policy::{Attached, Document, DocumentKind, Holder, Principal};
use serde_json::{Value, json};
use store::{StoreError, WriteTx};
use testkit::client::{Answer, Signer, json_call, post, send};

/// The account that owns the keys.
pub(crate) const HOME: &str = "111122223333";
/// The other account.
pub(crate) const AWAY: &str = "444455556666";
/// The region of all calls.
pub(crate) const REGION: &str = "us-east-1";

const SECRET: &str = "a secret that must never be seen";
const START: Timestamp = Timestamp(1_767_323_045_000);

/// Who calls: an access key of the test directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// The root user of [`HOME`].
    Root,
    /// A user of [`HOME`].
    Bob,
    /// The root user of [`AWAY`].
    AwayRoot,
    /// A user of [`AWAY`].
    Eve,
}

impl Who {
    pub(crate) const ALL: [Who; 4] = [Who::Root, Who::Bob, Who::AwayRoot, Who::Eve];

    /// The name cases use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Who::Root => "root",
            Who::Bob => "bob",
            Who::AwayRoot => "away",
            Who::Eve => "eve",
        }
    }

    pub(crate) fn access_key(self) -> &'static str {
        match self {
            Who::Root => "AKIAROOTROOTROOTROOT",
            Who::Bob => "AKIABOBBOBBOBBOBBOBB",
            Who::AwayRoot => "AKIAAWAYAWAYAWAYAWAY",
            Who::Eve => "AKIAEVEEVEEVEEVEEVEE",
        }
    }

    fn account(self) -> AccountId {
        let text = match self {
            Who::Root | Who::Bob => HOME,
            Who::AwayRoot | Who::Eve => AWAY,
        };
        AccountId::parse(text).unwrap()
    }

    /// The ARN policies name.
    pub(crate) fn arn(self) -> String {
        match self {
            Who::Root => format!("arn:aws:iam::{HOME}:root"),
            Who::Bob => format!("arn:aws:iam::{HOME}:user/bob"),
            Who::AwayRoot => format!("arn:aws:iam::{AWAY}:root"),
            Who::Eve => format!("arn:aws:iam::{AWAY}:user/eve"),
        }
    }
}

/// Identity policies and unique ids, changed by the tests as they go.
#[derive(Default)]
pub(crate) struct People {
    policies: Mutex<HashMap<Who, Vec<String>>>,
    ids: Mutex<HashMap<String, String>>,
}

impl People {
    fn id_of(&self, who: Who) -> String {
        self.ids
            .lock()
            .unwrap()
            .get(&who.arn())
            .cloned()
            .unwrap_or_default()
    }

    /// Deletes the entity and makes one of the same name.
    pub(crate) fn recreate(&self, who: Who, id: &str) {
        self.ids.lock().unwrap().insert(who.arn(), id.to_owned());
    }

    /// Gives `who` these identity policies and no others.
    pub(crate) fn grant(&self, who: Who, statements: &[Value]) {
        let texts = statements
            .iter()
            .map(|statement| json!({"Version": "2012-10-17", "Statement": statement}).to_string())
            .collect();
        self.policies.lock().unwrap().insert(who, texts);
    }
}

struct Known(Arc<People>);

impl Directory for Known {
    fn credential<'a>(
        &'a self,
        presented: Presented<'a>,
    ) -> AtHand<'a, Result<Arc<Credential>, CredentialFault>> {
        let Some(who) = Who::ALL
            .into_iter()
            .find(|who| who.access_key() == presented.access_key_id)
        else {
            return AtHand::Now(Err(CredentialFault::Invalid));
        };
        let account = who.account();
        let principal = match who {
            Who::Root | Who::AwayRoot => Principal::root(account),
            Who::Bob => Principal::user(account, &self.0.id_of(who), "/", "bob"),
            Who::Eve => Principal::user(account, &self.0.id_of(who), "/", "eve"),
        };
        let key = presented.access_key_id.to_owned();
        let caller = Arc::new(Caller::new(principal, account, key.clone(), None));
        let credential = Arc::new(Credential::new(key, Secret::new(SECRET.to_owned()), caller));
        AtHand::Later(Box::pin(async move { Ok(credential) }))
    }

    fn policies<'a>(&'a self, caller: &'a Caller) -> AtHand<'a, Result<Arc<CallerPolicies>, StoreError>> {
        let who = Who::ALL
            .into_iter()
            .find(|who| who.arn() == caller.principal.arn())
            .unwrap();
        let mut policies = CallerPolicies::default();
        for text in self.0.policies.lock().unwrap().get(&who).into_iter().flatten() {
            let document = Arc::new(Document::parse(text, DocumentKind::Identity).unwrap());
            policies
                .identity
                .push(Attached::inline("test", Holder::User("test".into()), document));
        }
        AtHand::Later(Box::pin(async move { Ok(Arc::new(policies)) }))
    }

    fn principal_id<'a>(&'a self, arn: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        let id = self.0.ids.lock().unwrap().get(arn).cloned();
        Box::pin(async move { Ok(id) })
    }

    fn principal_arn<'a>(
        &'a self,
        account: AccountId,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        let of_account = format!("arn:aws:iam::{account}:");
        let ids = self.0.ids.lock().unwrap();
        let found = ids
            .iter()
            .find(|(arn, known)| arn.starts_with(&of_account) && *known == id);
        let arn = found.map(|(arn, _)| arn.clone());
        Box::pin(async move { Ok(arn) })
    }

    fn account_exists(&self, wanted: AccountId) -> BoxFuture<'_, Result<bool, StoreError>> {
        let exists = Who::ALL.into_iter().any(|who| who.account() == wanted);
        Box::pin(async move { Ok(exists) })
    }

    fn supposed<'a>(
        &'a self,
        arn: &'a str,
        _session: &'a str,
        _now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<Caller>, StoreError>> {
        let found = (arn == Who::Bob.arn()).then(|| {
            let account = Who::Bob.account();
            let principal = Principal::user(account, &self.0.id_of(Who::Bob), "/", "bob");
            Caller::new(principal, account, String::new(), None)
        });
        Box::pin(std::future::ready(Ok(found)))
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

/// The door and what stands around it.
pub(crate) struct World {
    address: SocketAddr,
    clock: Clock,
    door: Arc<Door>,
    directory: tempfile::TempDir,
    root_key: Arc<RootKey>,
    /// Who may what.
    pub(crate) people: Arc<People>,
}

impl World {
    /// An empty world: Bob and Eve exist and may nothing.
    pub(crate) async fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let people = Arc::new(People::default());
        people.recreate(Who::Bob, "AIDAQEAAAAAEXAMPLEBOB");
        people.recreate(Who::Eve, "AIDAQEAAAAAEXAMPLEEVE");
        let root_key = Arc::new(RootKey::generate(&Random::system()));
        World::begin(
            directory,
            people,
            root_key,
            START,
            store::Config::memory(),
            kms::Options::default(),
        )
        .await
    }

    /// As [`World::new`], under AWS's request quotas.
    pub(crate) async fn with_quotas() -> World {
        let options = kms::Options {
            request_quotas: true,
            ..kms::Options::default()
        };
        World::with(options).await
    }

    /// As [`World::new`], with what the operator chose.
    pub(crate) async fn with(options: kms::Options) -> World {
        let directory = tempfile::tempdir().unwrap();
        let people = Arc::new(People::default());
        let root_key = Arc::new(RootKey::generate(&Random::system()));
        people.recreate(Who::Bob, "AIDAQEAAAAAEXAMPLEBOB");
        World::begin(
            directory,
            people,
            root_key,
            START,
            store::Config::memory(),
            options,
        )
        .await
    }

    /// As [`World::new`], with a store that [`World::restart`] finds again.
    pub(crate) async fn kept() -> World {
        let world = World::new().await;
        world.restart(None).await
    }

    /// Ends the process, so to speak, and begins another in the same place,
    /// with the same root key or another.
    pub(crate) async fn restart(self, root_key: Option<RootKey>) -> World {
        self.door.close().await.unwrap();
        self.begin_again(root_key).await
    }

    /// The same place after its process was ended without a warning: what was
    /// committed and recorded is there.
    pub(crate) async fn crash(self) -> World {
        self.door.journal().close().await.unwrap();
        self.begin_again(None).await
    }

    async fn begin_again(self, root_key: Option<RootKey>) -> World {
        self.door.store().close().await;
        drop(reopen(&self.directory.path().join("journal")).await);
        let file = store::Config::redb_throwaway(self.directory.path().join("store"));
        let root_key = root_key.map_or(self.root_key, Arc::new);
        World::begin(
            self.directory,
            self.people,
            root_key,
            self.clock.now(),
            file,
            kms::Options::default(),
        )
        .await
    }

    async fn begin(
        directory: tempfile::TempDir,
        people: Arc<People>,
        root_key: Arc<RootKey>,
        now: Timestamp,
        store: store::Config,
        options: kms::Options,
    ) -> World {
        let journal = reopen(&directory.path().join("journal")).await;
        let clock = Clock::virtual_from(now);
        let xks = options.xks_proxy.then(crate::xks_proxy::credentials);
        let mut services = kms::services(options);
        services.push(crate::managed::s3());
        let door = Door::open(Parts {
            services,
            directory: Arc::new(Known(Arc::clone(&people))),
            guardrails: Arc::new(gate::NoGuardrails),
            store: store::Store::open(store).await.unwrap(),
            journal,
            root_key: Arc::clone(&root_key),
            clock: clock.clone(),
            random: Random::system(),
            home: Region::us_east_1(),
            mode: Mode::Dev,
            strict_audit: false,
            node: "test".to_owned(),
            reset: None,
            xks,
        })
        .await
        .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Arc::clone(&door);
        #[expect(clippy::disallowed_methods, reason = "the test serves beside itself")]
        tokio::spawn(async move { gate::serve(serving, listener, None, std::future::pending()).await });
        World {
            address,
            clock,
            door,
            directory,
            root_key,
            people,
        }
    }

    /// The door, for what the operator does without a socket.
    pub(crate) fn door(&self) -> &Arc<Door> {
        &self.door
    }

    /// Records and pages that were read so far, from memory or from the engine.
    pub(crate) fn reads(&self) -> u64 {
        let stats = self.door.store().stats();
        stats.cache_hits + stats.cache_misses
    }

    /// Calls an operation.
    pub(crate) async fn call(&self, who: Who, operation: &str, body: Value) -> Answer {
        self.call_in(REGION, who, operation, body).await
    }

    /// Calls an operation of another region's endpoint.
    pub(crate) async fn call_in(&self, region: &str, who: Who, operation: &str, body: Value) -> Answer {
        let mut signer = Signer::new(who.access_key(), SECRET);
        signer.time = Some(self.clock.now());
        signer.region = region.to_owned();
        post(
            self.address,
            "kms",
            Some(&signer),
            json_call(&format!("TrentService.{operation}"), &body),
        )
        .await
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Calls an operation that must succeed.
    pub(crate) async fn ok(&self, who: Who, operation: &str, body: Value) -> Value {
        let answer = self.call(who, operation, body.clone()).await;
        assert_eq!(answer.status, 200, "{operation} {body}: {}", answer.text());
        answer.json()
    }

    /// Calls an operation that must fail, and tells its code and message.
    pub(crate) async fn fails(&self, who: Who, operation: &str, body: Value) -> (String, Option<String>) {
        let answer = self.call(who, operation, body.clone()).await;
        assert_ne!(
            answer.status,
            200,
            "{operation} {body} should fail: {}",
            answer.text()
        );
        let json = answer.json();
        let message = json["message"].as_str().or(json["Message"].as_str());
        (answer.code(), message.map(str::to_owned))
    }

    /// Creates a key as the root user, and gives its metadata.
    pub(crate) async fn key(&self, body: Value) -> Value {
        self.ok(Who::Root, "CreateKey", body).await["KeyMetadata"].clone()
    }

    /// What time it is here.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Moves the clock, and lets the jobs see it.
    pub(crate) async fn advance(&self, seconds: u64) {
        let body = json!({ "advance_seconds": seconds }).to_string().into_bytes();
        let headers = vec![("content-type", "application/json".to_owned())];
        let answer = send(
            self.address,
            "POST",
            "/_palisade/clock",
            "palisade",
            None,
            (headers, body),
        )
        .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Runs the jobs, and cuts them off in the middle if they are not done soon.
    pub(crate) async fn begin_jobs(&self) {
        let jobs = Arc::clone(&self.door).look_after_jobs();
        let _ = tokio::time::timeout(std::time::Duration::from_millis(500), jobs).await;
    }

    /// Asks what was used.
    pub(crate) async fn usage(&self, who: Who, body: Value) -> Answer {
        self.inquire(who, REGION, "/_palisade/usage", body).await
    }

    /// Asks what was announced in a region.
    pub(crate) async fn events(&self, who: Who, region: &str, body: Value) -> Answer {
        self.inquire(who, region, "/_palisade/events", body).await
    }

    async fn inquire(&self, who: Who, region: &str, path: &str, body: Value) -> Answer {
        let mut signer = Signer::new(who.access_key(), SECRET);
        signer.time = Some(self.clock.now());
        signer.region = region.to_owned();
        let headers = vec![("content-type", "application/json".to_owned())];
        let call = (headers, body.to_string().into_bytes());
        send(self.address, "POST", path, "palisade", Some(&signer), call).await
    }

    /// Closes the door and gives what was recorded, oldest first.
    pub(crate) async fn records(self) -> Vec<Value> {
        self.door.close().await.unwrap();
        let journal = reopen(&self.directory.path().join("journal")).await;
        let mut records: Vec<Value> = journal
            .newest_first(16 << 20)
            .unwrap()
            .map(|entry| serde_json::from_slice(&entry.unwrap().record).unwrap())
            .collect();
        records.reverse();
        records
    }
}

/// Opens the journal of a closed door, whose lock goes a moment after its last record.
async fn reopen(directory: &std::path::Path) -> journal::Journal {
    for _ in 0..500 {
        let config = journal::Config {
            durable: false,
            ..journal::Config::new(directory)
        };
        match journal::Journal::open(config) {
            Ok((journal, _)) => return journal,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
    panic!("the journal of a closed door cannot be opened")
}

/// The text of a member.
pub(crate) fn text(value: &Value, member: &str) -> String {
    value[member]
        .as_str()
        .unwrap_or_else(|| panic!("no {member} in {value}"))
        .to_owned()
}

/// The aliases of an answer that point at keys: without those that are
/// predefined and unused.
pub(crate) fn used_aliases(listed: &Value) -> Vec<String> {
    let aliases = listed["Aliases"].as_array().unwrap().iter();
    let used = aliases.filter(|alias| alias["TargetKeyId"].is_string());
    used.map(|alias| text(alias, "AliasName")).collect()
}

/// An identity statement that allows `action` on everything.
pub(crate) fn allow(action: &str) -> Value {
    json!({"Effect": "Allow", "Action": action, "Resource": "*"})
}

/// A key policy of these statements.
pub(crate) fn key_policy(statements: &[Value]) -> String {
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

/// A key policy statement that lets `principal` do `action`.
pub(crate) fn lets(principal: &str, action: &str) -> Value {
    json!({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": action, "Resource": "*"})
}

/// As JSON has bytes.
pub(crate) fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of a member.
pub(crate) fn bytes(value: &Value, member: &str) -> Vec<u8> {
    STANDARD.decode(text(value, member)).unwrap()
}

/// What [`World::fails`] tells of a refusal with this code and message.
pub(crate) fn told(code: &str, message: &str) -> (String, Option<String>) {
    (code.to_owned(), Some(message.to_owned()))
}

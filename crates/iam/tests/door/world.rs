//! A door with IAM, STS and a little of EC2 behind it, two accounts before it, and a clock that
//! moves when told to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crypto::{Random, RootKey};
use gate::{Door, Mode, Parts};
use ground::{AccountId, Clock, Region, Secret, Timestamp};
use iam::{Identities, RootCredential, bootstrap_account};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use testkit::client::{Answer, Signer, post, query_call, send};

use crate::volumes;

/// The account that cases begin in; its root user is `root`.
pub(crate) const HOME: &str = "111122223333";
/// The other account; its root user is `away`.
pub(crate) const AWAY: &str = "444455556666";

/// Who does not sign.
pub(crate) const NOBODY: &str = "nobody";

const ROOT_SECRET: &str = "the root secret that nobody may see";
const START: Timestamp = Timestamp(1_767_323_045_000);

/// The door and what stands around it.
pub(crate) struct World {
    address: SocketAddr,
    clock: Clock,
    door: Arc<Door>,
    store: store::Store,
    /// Holds the journal for as long as the world stands.
    _directory: tempfile::TempDir,
    signers: HashMap<String, Signer>,
    /// Whatever must not be found in any record.
    secrets: Vec<String>,
}

fn root_key_id(account: &str) -> String {
    format!("ROOT{account}")
}

impl World {
    /// Records and pages that were read since the store was opened, from memory or from the engine.
    pub(crate) fn reads(&self) -> u64 {
        let stats = self.store.stats();
        stats.cache_hits + stats.cache_misses
    }

    /// Records and pages that were read from the engine since the store was
    /// opened, and what those that are kept weigh, in bytes.
    pub(crate) fn fetched(&self) -> (u64, u64) {
        let stats = self.store.stats();
        (stats.cache_misses, stats.cache_weight)
    }

    /// Two accounts with nothing but their root users.
    pub(crate) async fn new() -> World {
        World::with(iam::Issuers::none()).await
    }

    /// The same, with keys of OpenID Connect issuers.
    pub(crate) async fn with(issuers: iam::Issuers) -> World {
        World::under(issuers, Arc::new(gate::NoGuardrails)).await
    }

    /// The same, with this over the accounts.
    pub(crate) async fn under(issuers: iam::Issuers, guardrails: Arc<dyn gate::Guardrails>) -> World {
        World::over(store::Config::memory(), issuers, guardrails, 1).await
    }

    /// Another installation, with a root key of its own.
    pub(crate) async fn of_seed(seed: u64) -> World {
        World::over(
            store::Config::memory(),
            iam::Issuers::none(),
            Arc::new(gate::NoGuardrails),
            seed,
        )
        .await
    }

    /// Two accounts in a file, or whatever is in the file already.
    pub(crate) async fn in_file(file: &std::path::Path) -> World {
        let rows = store::Config::redb_throwaway(file);
        World::over(rows, iam::Issuers::none(), Arc::new(gate::NoGuardrails), 1).await
    }

    /// Stops, lets `meanwhile` have the rows in the file, and starts again over them.
    pub(crate) async fn restart(
        self,
        file: &std::path::Path,
        meanwhile: impl AsyncFnOnce(&store::Store),
    ) -> World {
        self.door.close().await.unwrap();
        self.store.close().await;
        let rows = store::Store::open(store::Config::redb_throwaway(file))
            .await
            .unwrap();
        meanwhile(&rows).await;
        rows.close().await;
        drop(rows);
        let mut world = World::in_file(file).await;
        world.signers = self.signers;
        world.secrets = self.secrets;
        world
    }

    async fn over(
        rows: store::Config,
        issuers: iam::Issuers,
        guardrails: Arc<dyn gate::Guardrails>,
        seed: u64,
    ) -> World {
        let directory = tempfile::tempdir().unwrap();
        let journal = journal::Config {
            durable: false,
            ..journal::Config::new(directory.path().join("journal"))
        };
        let random = Random::seeded(seed);
        let root_key = Arc::new(RootKey::generate(&random));
        let store = store::Store::open(rows).await.unwrap();
        let mut signers = HashMap::new();
        for (name, account) in [("root", HOME), ("away", AWAY)] {
            let credential = RootCredential {
                access_key_id: root_key_id(account),
                secret: Secret::new(ROOT_SECRET.replace(' ', "_")),
            };
            let id = AccountId::parse(account).unwrap();
            bootstrap_account(&store, &root_key, &random, START, id, &credential)
                .await
                .unwrap();
            signers.insert(
                name.to_owned(),
                Signer::new(&root_key_id(account), &ROOT_SECRET.replace(' ', "_")),
            );
        }
        let clock = Clock::virtual_from(START);
        let identities = Arc::new(Identities::new(store.clone(), Arc::clone(&root_key)));
        let door = Door::open(Parts {
            services: vec![
                iam::service(identities.last_uses()),
                iam::sts_service(issuers),
                volumes::service(),
            ],
            directory: identities,
            guardrails,
            store: store.clone(),
            journal: journal::Journal::open(journal).unwrap().0,
            root_key,
            clock: clock.clone(),
            random,
            home: Region::us_east_1(),
            mode: Mode::Dev,
            strict_audit: false,
            node: "test".to_owned(),
            reset: None,
            xks: None,
        })
        .await
        .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Arc::clone(&door);
        #[expect(clippy::disallowed_methods, reason = "the test serves beside itself")]
        tokio::spawn(async move { gate::serve(serving, listener, None, std::future::pending()).await });
        let secrets = vec![ROOT_SECRET.replace(' ', "_")];
        World {
            address,
            clock,
            door,
            store,
            _directory: directory,
            signers,
            secrets,
        }
    }

    /// The door, for what the operator does without a socket.
    pub(crate) fn door(&self) -> &Arc<Door> {
        &self.door
    }

    /// Moves the clock.
    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds)).unwrap();
    }

    /// Calls an operation of `iam` or `sts` with these parameters.
    pub(crate) async fn call(
        &self,
        who: &str,
        service: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Answer {
        let version = match service {
            "iam" => "2010-05-08",
            "ec2" => "2016-11-15",
            _ => "2011-06-15",
        };
        let mut form = format!("Action={action}&Version={version}");
        for (name, value) in parameters {
            form.push_str(&format!(
                "&{name}={}",
                utf8_percent_encode(value, NON_ALPHANUMERIC)
            ));
        }
        if who == NOBODY {
            return post(self.address, service, None, query_call(&form)).await;
        }
        let mut signer = self
            .signers
            .get(who)
            .unwrap_or_else(|| panic!("nobody is called {who}"))
            .clone();
        signer.time = Some(self.clock.now());
        post(self.address, service, Some(&signer), query_call(&form)).await
    }

    /// What anybody gets who asks for a path.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.address, "GET", path, "", None, (Vec::new(), Vec::new())).await
    }

    /// The address of the door as clients spell it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// As [`World::call`]; the call must succeed.
    pub(crate) async fn ok(
        &self,
        who: &str,
        service: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> String {
        let answer = self.call(who, service, action, parameters).await;
        assert_eq!(answer.status, 200, "{who} {action}: {}", answer.text());
        answer.text()
    }

    /// As [`World::call`]; the call must fail, with this code.
    pub(crate) async fn fails(
        &self,
        who: &str,
        service: &str,
        action: &str,
        parameters: &[(&str, &str)],
        code: &str,
    ) {
        let answer = self.call(who, service, action, parameters).await;
        assert_eq!(answer.code(), code, "{who} {action}: {}", answer.text());
    }

    /// Signs as `name` from now on with the credentials in this answer.
    pub(crate) fn remember(&mut self, name: &str, answer: &str) {
        let mut signer = Signer::new(&leaf(answer, "AccessKeyId"), &leaf(answer, "SecretAccessKey"));
        self.secrets.push(signer.secret.clone());
        if answer.contains("<SessionToken>") {
            let token = leaf(answer, "SessionToken");
            self.secrets.push(token.clone());
            signer.session_token = Some(token);
        }
        self.signers.insert(name.to_owned(), signer);
    }

    /// The credentials that `name` signs with, to be tampered with.
    pub(crate) fn signer(&mut self, name: &str) -> &mut Signer {
        self.signers.get_mut(name).unwrap()
    }

    /// The time as the door sees it.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Must not be found in any record.
    pub(crate) fn keep_secret(&mut self, secret: &str) {
        self.secrets.push(secret.to_owned());
    }

    /// A user with an access key, who signs under its own name.
    pub(crate) async fn user(&mut self, by: &str, name: &str) {
        self.ok(by, "iam", "CreateUser", &[("UserName", name)]).await;
        let answer = self.ok(by, "iam", "CreateAccessKey", &[("UserName", name)]).await;
        self.remember(name, &answer);
    }

    /// What was recorded, oldest first. No secret is in any record.
    pub(crate) fn records(&self) -> Vec<serde_json::Value> {
        let mut records = Vec::new();
        for entry in self.door.journal().newest_first(16 << 20).unwrap() {
            let entry = entry.unwrap();
            let text = String::from_utf8(entry.record.to_vec()).unwrap();
            for secret in &self.secrets {
                assert!(!text.contains(secret), "a secret is recorded: {text}");
            }
            records.push(serde_json::from_str(&text).unwrap());
        }
        records.reverse();
        records
    }
}

/// The text of the first element of that name.
pub(crate) fn leaf(xml: &str, name: &str) -> String {
    let rest = xml
        .split_once(&format!("<{name}>"))
        .unwrap_or_else(|| panic!("no {name} in {xml}"))
        .1;
    rest.split_once("</").unwrap().0.to_owned()
}

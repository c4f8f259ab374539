//! A running `palisade dev`, those who call it, and what they sent.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use ground::Timestamp;
use serde_json::{Map, Value, json};
use shape::{Kind, OperationShape, ServiceShape};
use testkit::client::{Answer, Signer, exchange, exchange_http2, send, signed};
use testkit::issuer::{Certificates, HttpsServer};
use testkit::program::{Launch, Server};
use testkit::sample;

use crate::PALISADE;
use crate::broken::Broken;
use crate::records::Sent;
use crate::secrets::Secrets;

/// The account that everything happens in.
pub(crate) const HOME: &str = "111122223333";
/// Another account.
pub(crate) const AWAY: &str = "444455556666";
/// The region that everything happens in.
pub(crate) const REGION: &str = "us-east-1";

const HOME_KEY: &str = "ROOT111122223333";
const AWAY_KEY: &str = "ROOT444455556666";
const ROOT_SECRET: &str = "the-root-secret-that-nobody-may-see";

/// The services of the program, by the tables themselves. The program's own
/// `coverage` must name the same.
pub(crate) fn services() -> Vec<gate::Service> {
    vec![
        iam::service(std::sync::Arc::default()),
        iam::sts_service(iam::Issuers::none()),
        organizations::service(),
        kms::service(kms::Options::default()),
    ]
}

/// Every registered operation.
pub(crate) fn operations() -> Vec<&'static OperationShape> {
    services()
        .iter()
        .flat_map(|service| service.operations().collect::<Vec<_>>())
        .filter(|operation| !operation.unsigned)
        .collect()
}

/// The operations that nobody signs: a token in the request tells who calls.
/// What good tokens do is tested where they are made, in `iam`.
pub(crate) fn unsigned_operations() -> Vec<&'static OperationShape> {
    services()
        .iter()
        .flat_map(|service| service.operations().collect::<Vec<_>>())
        .filter(|operation| operation.unsigned)
        .collect()
}

/// The operation `service:Name`.
pub(crate) fn operation(name: &str) -> &'static OperationShape {
    let (service, operation) = name.split_once(':').unwrap();
    services()
        .iter()
        .map(gate::Service::shape)
        .find(|shape| shape.name == service)
        .and_then(|shape| shape.operation(operation))
        .unwrap_or_else(|| panic!("there is no operation {name}"))
}

/// `service:Name`
pub(crate) fn full_name(operation: &OperationShape) -> String {
    format!("{}:{}", operation.service.name, operation.name)
}

/// Someone who calls.
#[derive(Clone)]
pub(crate) struct Actor {
    /// For messages.
    pub(crate) name: &'static str,
    pub(crate) signer: Signer,
    /// As the record must tell it.
    pub(crate) kind: &'static str,
    pub(crate) arn: String,
    pub(crate) account: &'static str,
}

/// What is called.
enum Running {
    /// The product.
    Program(Server),
    /// A door in the test's own process, behind which something is broken.
    Broken(Box<Broken>),
}

impl Running {
    fn address(&self) -> std::net::SocketAddr {
        match self {
            Running::Program(server) => server.address,
            Running::Broken(broken) => broken.address,
        }
    }
}

/// The program and what stands around it.
pub(crate) struct World {
    server: Running,
    directory: tempfile::TempDir,
    clock: AtomicU64,
    start: Timestamp,
    count: AtomicU64,
    sent: Mutex<Vec<Sent>>,
    secrets: Mutex<Secrets>,
    /// An external key store proxy that is well at the paths it is told of.
    pub(crate) proxy: HttpsServer,
    pub(crate) root: Actor,
    pub(crate) away: Actor,
}

impl World {
    /// Two accounts with their root users, kept on disk, on a clock that
    /// stands still, with everything logged.
    pub(crate) async fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let launch = Launch::new(PALISADE, directory.path()).with("PALISADE_LOG", "trace");
        let data = directory.path().join("data");
        let certificates = Certificates::new();
        let proxy = HttpsServer::new(&certificates).await;
        let key_stores = directory.path().join("key-stores.toml");
        let authority = directory.path().join("authority.pem");
        std::fs::write(&authority, &certificates.authority_pem).unwrap();
        let settings = format!(
            "authorities = {authority:?}\nmilliseconds = 10000\n[[proxy]]\nhost = \"localhost\"\naddress = \"{}\"\n",
            proxy.address
        );
        std::fs::write(&key_stores, settings).unwrap();
        let arguments = [
            "dev",
            "--listen=127.0.0.1:0",
            "--clock=virtual",
            &format!("--key-stores={}", key_stores.display()),
            &format!("--data={}", data.display()),
            &format!("--credential={HOME_KEY}:{ROOT_SECRET}:{HOME}"),
            &format!("--credential={AWAY_KEY}:{ROOT_SECRET}:{AWAY}"),
        ];
        let server = launch.serve(&arguments, &directory.path().join("log"));
        let key_file = std::fs::read(data.join("root.key")).unwrap();
        let world = World::around(Running::Program(server), directory, proxy).await;
        world.secrets().add("the key file", &key_file);
        world
    }

    /// The same around a door in this process, whose services are given; a call
    /// whose target is `shortcut` does not even come to the door.
    pub(crate) async fn broken(services: Vec<gate::Service>, shortcut: Option<&'static str>) -> World {
        let directory = tempfile::tempdir().unwrap();
        let roots = [(HOME, HOME_KEY, ROOT_SECRET), (AWAY, AWAY_KEY, ROOT_SECRET)];
        let broken = Broken::open(&directory.path().join("data"), roots, services, shortcut).await;
        let proxy = HttpsServer::new(&Certificates::new()).await;
        World::around(Running::Broken(Box::new(broken)), directory, proxy).await
    }

    async fn around(server: Running, directory: tempfile::TempDir, proxy: HttpsServer) -> World {
        let root = |name, key, account| Actor {
            name,
            signer: Signer::new(key, ROOT_SECRET),
            kind: "Root",
            arn: format!("arn:aws:iam::{account}:root"),
            account,
        };
        let mut secrets = Secrets::default();
        secrets.add("the root user's secret", ROOT_SECRET.as_bytes());
        let mut world = World {
            server,
            directory,
            clock: AtomicU64::new(0),
            start: Timestamp::default(),
            count: AtomicU64::new(0),
            sent: Mutex::default(),
            secrets: Mutex::new(secrets),
            proxy,
            root: root("root", HOME_KEY, HOME),
            away: root("away", AWAY_KEY, AWAY),
        };
        world.start = world.moved(0).await;
        world
    }

    /// Moves the clock and tells the time.
    async fn moved(&self, seconds: u64) -> Timestamp {
        let body = json!({"advance_seconds": seconds}).to_string().into_bytes();
        let call = (Vec::new(), body);
        let answer = send(self.server.address(), "POST", "/_palisade/clock", "", None, call).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Timestamp::parse_iso8601(answer.json()["now"].as_str().unwrap()).unwrap()
    }

    /// Moves the clock.
    pub(crate) async fn advance(&self, seconds: u64) {
        self.moved(seconds).await;
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    /// The time as the program sees it.
    pub(crate) fn now(&self) -> Timestamp {
        self.start
            .after(std::time::Duration::from_secs(self.clock.load(Ordering::SeqCst)))
    }

    /// Where the program listens.
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.server.address()
    }

    /// Posts to one of the operator's paths at the world's time; nobody signs without `actor`.
    pub(crate) async fn operate(&self, actor: Option<&Actor>, path: &str, body: &Value) -> Answer {
        let signer = actor.map(|actor| Signer {
            time: Some(self.now()),
            ..actor.signer.clone()
        });
        let call = (Vec::new(), body.to_string().into_bytes());
        let host = self.address().to_string();
        let request = signed(&host, "POST", path, "palisade", signer.as_ref(), call);
        exchange(self.address(), request).await.unwrap()
    }

    /// A name that nothing has yet.
    pub(crate) fn name(&self, noun: &str) -> String {
        format!("{noun}-{}", self.count.fetch_add(1, Ordering::SeqCst))
    }

    /// Bytes that must never be seen anywhere but in their own answer.
    pub(crate) fn marker(&self) -> Value {
        use base64::Engine as _;
        let text = format!(
            "marker {:08} never to be seen",
            self.count.fetch_add(1, Ordering::SeqCst)
        );
        json!(base64::engine::general_purpose::STANDARD.encode(text))
    }

    fn secrets(&self) -> MutexGuard<'_, Secrets> {
        self.secrets.lock().unwrap()
    }

    /// Calls an operation, and notes that it must be recorded.
    pub(crate) async fn call(
        &self,
        actor: &Actor,
        operation: &'static OperationShape,
        input: &Value,
    ) -> Answer {
        self.call_in(REGION, actor, operation, input).await
    }

    /// Calls an operation in another region, and notes that it must be recorded.
    pub(crate) async fn call_in(
        &self,
        region: &str,
        actor: &Actor,
        operation: &'static OperationShape,
        input: &Value,
    ) -> Answer {
        let answer = self.call_unrecorded(region, Some(actor), operation, input).await;
        let sent = Sent {
            operation,
            actor: actor.clone(),
            region: region.to_owned(),
            input: input.clone(),
            answer: answer.clone(),
        };
        self.sent.lock().unwrap().push(sent);
        answer
    }

    /// Calls an operation with what does not authenticate; such calls are not recorded.
    pub(crate) async fn call_unrecorded(
        &self,
        region: &str,
        actor: Option<&Actor>,
        operation: &'static OperationShape,
        input: &Value,
    ) -> Answer {
        let signer = actor.map(|actor| Signer {
            region: region.to_owned(),
            time: Some(self.now()),
            ..actor.signer.clone()
        });
        let call = sample::encode(operation, input);
        let signing_name = operation.service.signing_name;
        let host = self.address().to_string();
        let request = signed(&host, "POST", "/", signing_name, signer.as_ref(), call);
        // Some calls in the other version of HTTP, whose library logs more.
        let answer = if self.count.fetch_add(1, Ordering::SeqCst).is_multiple_of(5) {
            exchange_http2(self.address(), request).await.unwrap()
        } else {
            exchange(self.address(), request).await.unwrap()
        };
        let what = full_name(operation);
        let mut secrets = self.secrets();
        secrets.gather(&format!("input of {what}"), operation.input, input);
        if answer.status == 200 {
            secrets.gather_answer(&format!("output of {what}"), operation.output, &answer);
        } else {
            secrets.add_error(&what, &answer.text());
        }
        answer
    }

    /// Calls an operation as the root user; it must succeed.
    pub(crate) async fn ok(&self, name: &str, input: Value) -> Answer {
        let root = self.root.clone();
        self.ok_as(&root, name, input).await
    }

    /// Calls an operation; it must succeed.
    pub(crate) async fn ok_as(&self, actor: &Actor, name: &str, input: Value) -> Answer {
        let answer = self.call(actor, operation(name), &input).await;
        assert_eq!(answer.status, 200, "{name} {input}: {}", answer.text());
        answer
    }

    /// A user with an access key and one inline policy of these statements.
    pub(crate) async fn user(&self, name: &'static str, statements: Value) -> Actor {
        self.ok("iam:CreateUser", json!({"UserName": name})).await;
        if statements != json!([]) {
            let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
            let input = json!({"UserName": name, "PolicyName": "own", "PolicyDocument": policy});
            self.ok("iam:PutUserPolicy", input).await;
        }
        let answer = self.ok("iam:CreateAccessKey", json!({"UserName": name})).await;
        Actor {
            name,
            signer: Signer::new(&leaf(&answer, "AccessKeyId"), &leaf(&answer, "SecretAccessKey")),
            kind: "IAMUser",
            arn: format!("arn:aws:iam::{HOME}:user/{name}"),
            account: HOME,
        }
    }

    /// Who signs with the temporary credentials of an answer.
    pub(crate) fn session(
        &self,
        name: &'static str,
        answer: &Answer,
        kind: &'static str,
        arn: String,
    ) -> Actor {
        let mut signer = Signer::new(&leaf(answer, "AccessKeyId"), &leaf(answer, "SecretAccessKey"));
        signer.session_token = Some(leaf(answer, "SessionToken"));
        Actor {
            name,
            signer,
            kind,
            arn,
            account: HOME,
        }
    }

    /// A small valid input with what is given; blobs are markers.
    pub(crate) fn input(&self, operation: &'static OperationShape, given: &Map<String, Value>) -> Value {
        let mut given = given.clone();
        for member in operation.input.members {
            if let Kind::Blob { max, .. } = member.shape.kind
                && member.required
                && !given.contains_key(member.name)
                && max.is_none_or(|max| max >= 64)
            {
                given.insert(member.name.to_owned(), self.marker());
            }
        }
        sample::minimal(operation.input, &given)
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Ends the program: every call must have its record, nothing may have
    /// panicked, and no secret may be found anywhere.
    pub(crate) async fn finish(self) {
        assert_none(&self.problems().await);
    }

    /// Ends the program, and tells what is wrong with what it leaves.
    pub(crate) async fn problems(self) -> Vec<String> {
        let host = self.address().to_string();
        let call = Default::default();
        let metrics = signed(&host, "GET", "/_palisade/metrics", "", None, call);
        let metrics = exchange_http2(self.address(), metrics).await.unwrap();
        let mut problems = Vec::new();
        if !metrics.text().contains("palisade_panics_total 0") {
            problems.push(format!("something panicked: {}", metrics.text()));
        }
        let data = self.data();
        let World {
            server,
            directory,
            sent,
            secrets,
            ..
        } = self;
        let mut log = Vec::new();
        match server {
            Running::Program(server) => {
                assert!(server.stop().success());
                log = std::fs::read(directory.path().join("log")).unwrap();
                let said = String::from_utf8_lossy(&log);
                assert!(
                    said.contains("TRACE"),
                    "the log says too little to prove anything: {said}"
                );
            }
            Running::Broken(broken) => broken.close().await,
        }
        let records = crate::records::of(&data.join("journal"));
        problems.extend(crate::records::check(&sent.into_inner().unwrap(), &records));
        problems.extend(secrets.into_inner().unwrap().look_for(&data, &records, &log));
        problems
    }
}

/// Fails with all problems at once.
pub(crate) fn assert_none(problems: &[String]) {
    assert!(
        problems.is_empty(),
        "{} problems:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

/// The first text of that name in an answer, JSON or XML; empty if there is none.
pub(crate) fn leaf(answer: &Answer, name: &str) -> String {
    fn search(value: &Value, name: &str) -> Option<String> {
        match value {
            Value::Object(members) => members
                .get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .or_else(|| members.values().find_map(|value| search(value, name))),
            Value::Array(items) => items.iter().find_map(|value| search(value, name)),
            _ => None,
        }
    }
    let json = answer.json();
    if !json.is_null() {
        return search(&json, name).unwrap_or_default();
    }
    let text = answer.text();
    let found = text
        .split_once(&format!("<{name}>"))
        .and_then(|(_, rest)| rest.split_once("</"))
        .map(|(text, _)| text.to_owned());
    found.unwrap_or_default()
}

/// The message of an error, JSON or XML.
pub(crate) fn message(answer: &Answer) -> String {
    let json = answer.json();
    match json["message"].as_str().or(json["Message"].as_str()) {
        Some(message) => message.to_owned(),
        None => leaf(answer, "Message"),
    }
}

/// The services that the program's own `coverage` names.
#[test]
fn the_sweeps_see_every_service_that_is_registered() {
    let home = tempfile::tempdir().unwrap();
    let told = Launch::new(PALISADE, home.path())
        .run(&["coverage", "--json"])
        .json();
    let mut named: Vec<String> = Vec::new();
    for service in told["services"].as_array().unwrap() {
        for operation in service["implemented"].as_array().unwrap() {
            named.push(format!(
                "{}:{}",
                service["service"].as_str().unwrap(),
                operation.as_str().unwrap()
            ));
        }
    }
    let all = operations().into_iter().chain(unsigned_operations());
    let mut seen: Vec<String> = all.map(full_name).collect();
    named.sort();
    seen.sort();
    assert_eq!(
        named, seen,
        "world::services() must list what palisade::world::services() does"
    );
}

/// A copy of a directory, for readers that take a lock or mend what they find.
pub(crate) fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Whether a shape is of a service that has a state per region.
pub(crate) fn is_regional(service: &ServiceShape) -> bool {
    !service.global
}

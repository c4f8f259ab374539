//! `palisade serve`: sealed until it is opened, by each kind of slot and by
//! nothing else; and what it holds survives.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testkit::client::{Answer, Signer, post, send};
use testkit::program::{Ended, Launch, Server};
use testkit::sample;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::PALISADE;
use crate::world::{leaf, operation};

/// A data directory that was initialised, and who may use it.
pub(crate) struct Installed {
    pub(crate) home: tempfile::TempDir,
    pub(crate) launch: Launch,
    pub(crate) root: Signer,
}

/// Calls an operation of the server.
pub(crate) async fn call(server: &Server, signer: &Signer, name: &str, input: Value) -> Answer {
    let operation = operation(name);
    let call = sample::encode(operation, &input);
    post(server.address, operation.service.signing_name, Some(signer), call).await
}

/// As [`call`]; it must succeed.
pub(crate) async fn ok(server: &Server, signer: &Signer, name: &str, input: Value) -> Answer {
    let answer = call(server, signer, name, input.clone()).await;
    assert_eq!(answer.status, 200, "{name} {input}: {}", answer.text());
    answer
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

impl Installed {
    /// Initialised with a passphrase; the shares are in the file `shares`.
    pub(crate) fn new() -> Installed {
        let home = tempfile::tempdir().unwrap();
        let launch = Launch::new(PALISADE, home.path());
        write_private(&home.path().join("passphrase"), "correct horse battery staple\n");
        let told = launch.run(&[
            "init",
            "--data=data",
            "--slot=passphrase",
            "--new-passphrase-file=passphrase",
            "--shares=2of3",
            "--shares-file=shares",
            "--account=111122223333",
            "--json",
        ]);
        assert_eq!(told.code(), 0, "{told:?}");
        let said = told.json();
        let text = |name: &str| said[name].as_str().unwrap().to_owned();
        let root = Signer::new(&text("access_key_id"), &text("secret_access_key"));
        Installed { home, launch, root }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Starts the server, opened with these arguments.
    pub(crate) fn serve(&self, unseal: &[&str]) -> Server {
        self.serve_by(&self.launch, unseal)
    }

    fn serve_by(&self, launch: &Launch, unseal: &[&str]) -> Server {
        let mut arguments = vec!["serve", "--data=data", "--listen=127.0.0.1:0"];
        arguments.extend(unseal);
        launch.serve(&arguments, &self.path("log"))
    }

    /// Runs a command that must fail, and gives what it complained.
    fn refused(&self, arguments: &[&str]) -> String {
        let told = self.launch.run(arguments);
        assert_eq!(told.code(), 1, "{arguments:?}: {told:?}");
        assert!(told.stdout.is_empty(), "{arguments:?}: {told:?}");
        told.stderr
    }

    /// Runs a command that must succeed.
    fn done(&self, arguments: &[&str]) -> Ended {
        let told = self.launch.run(arguments);
        assert_eq!(told.code(), 0, "{arguments:?}: {told:?}");
        told
    }

    /// The id of the slot with this label.
    fn slot(&self, label: &str) -> String {
        let status = self.done(&["seal", "status", "--data=data", "--json"]).json();
        let slots = status["slots"].as_array().unwrap();
        let slot = slots.iter().find(|slot| slot["label"] == label);
        slot.unwrap_or_else(|| panic!("no {label} in {status}"))["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

#[test]
fn init_tells_how_to_serve_what_it_made() {
    let home = tempfile::tempdir().unwrap();
    let launch = Launch::new(PALISADE, home.path());
    write_private(&home.path().join("passphrase"), "correct horse\n");
    fs::write(home.path().join("palisade.toml"), "listen = \"127.0.0.1:0\"\n").unwrap();
    let made = launch.run(&[
        "init",
        "--config=palisade.toml",
        "--data=data",
        "--new-passphrase-file=passphrase",
        "--shares-file=shares",
    ]);
    assert_eq!(made.code(), 0, "{made:?}");
    let next = "Next: palisade serve --config palisade.toml --data data\n";
    assert!(made.stdout.ends_with(next), "{made:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_refuses_to_start_before_init_and_without_its_secret() {
    let home = tempfile::tempdir().unwrap();
    let launch = Launch::new(PALISADE, home.path());
    let serve = ["serve", "--data=data", "--listen=127.0.0.1:0"];
    let told = launch.run(&serve);
    assert_eq!(told.code(), 1);
    assert!(told.stderr.contains("palisade init"), "{}", told.stderr);
    assert!(launch.run(&["serve"]).stderr.contains("--data"));
    assert!(
        launch
            .run(&["seal", "status", "--data=data"])
            .stderr
            .contains("palisade init")
    );

    // Without a terminal the shares cannot be tested, and nothing is left behind.
    write_private(&home.path().join("passphrase"), "correct horse\n");
    let init = [
        "init",
        "--data=data",
        "--slot=passphrase",
        "--new-passphrase-file=passphrase",
    ];
    let told = launch.run(&init);
    assert_eq!(told.code(), 1);
    assert!(told.stderr.contains("--shares-file"), "{}", told.stderr);
    assert_eq!(launch.run(&serve).code(), 1);

    let installed = Installed::new();
    assert!(
        installed
            .refused(&["init", "--data=data", "--shares-file=more"])
            .contains("nothing was changed")
    );
    assert!(installed.refused(&serve).contains("say how to open it"));
    write_private(&installed.path("wrong"), "incorrect horse\n");
    let wrong = [&serve[..], &["--passphrase-file=wrong"]].concat();
    assert!(installed.refused(&wrong).contains("stays sealed"));
    // A secret that others may read is none.
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(installed.path("passphrase"), open).unwrap();
    let readable = [&serve[..], &["--passphrase-file=passphrase"]].concat();
    assert!(installed.refused(&readable).contains("chmod 600"));
    // One share is not enough; the wrong kind of file is no share.
    let shares = fs::read_to_string(installed.path("shares")).unwrap();
    assert_eq!(shares.lines().count(), 3);
    write_private(&installed.path("one"), shares.lines().next().unwrap());
    let one = [&serve[..], &["--shares-file=one"]].concat();
    assert!(installed.refused(&one).contains("stays sealed"));
    // `dev` keeps its hands off.
    let dev = installed.refused(&["dev", "--data=data", "--listen=127.0.0.1:0"]);
    assert!(dev.contains("palisade serve"), "{dev}");
    let mode = |name: &str| fs::metadata(installed.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode("data"), mode("data/slots.json"), mode("shares")),
        (0o700, 0o600, 0o600)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_slot_opens_it_and_what_it_holds_survives() {
    let installed = Installed::new();
    let passphrase = ["--passphrase-file=passphrase"];
    let server = installed.serve(&passphrase);
    let root = &installed.root;
    let key = leaf(&ok(&server, root, "kms:CreateKey", json!({})).await, "KeyId");
    let input = json!({"KeyId": key, "Plaintext": "c3Vydml2ZXM="});
    let sealed = leaf(&ok(&server, root, "kms:Encrypt", input).await, "CiphertextBlob");
    assert!(server.stop().success());

    // Add two more slots, one opened by the passphrase, one by the first of them.
    let add = ["seal", "add", "--data=data"];
    installed.done(
        &[
            &add[..],
            &["--slot=file", "--new-key-file=key", "--label=file"],
            &passphrase,
        ]
        .concat(),
    );
    let systemd = [
        "--slot=systemd",
        "--new-key-file=palisade-root-key",
        "--label=systemd",
        "--key-file=key",
    ];
    installed.done(&[&add[..], &systemd].concat());
    let by_systemd = installed
        .launch
        .clone()
        .with("CREDENTIALS_DIRECTORY", installed.home.path().to_str().unwrap());
    let shares = fs::read_to_string(installed.path("shares")).unwrap();
    let two: Vec<&str> = shares.lines().skip(1).collect();
    write_private(&installed.path("two"), &two.join("\n"));

    for (launch, unseal) in [
        (&installed.launch, &["--key-file=key"][..]),
        (&installed.launch, &["--shares-file=two"][..]),
        (&by_systemd, &[][..]),
    ] {
        installed.done(&[&["seal", "verify", "--data=data", "--key-file=key"][..]].concat());
        let server = installed.serve_by(launch, unseal);
        let answer = ok(&server, root, "kms:Decrypt", json!({"CiphertextBlob": sealed})).await;
        assert_eq!(leaf(&answer, "Plaintext"), "c3Vydml2ZXM=", "{unseal:?}");
        assert!(server.stop().success());
    }

    // A new passphrase; the old one is dead.
    write_private(&installed.path("new"), "a newer passphrase\n");
    let slot = installed.slot("operator");
    let rotate = [
        "seal",
        "rotate",
        &slot,
        "--data=data",
        "--passphrase-file=passphrase",
        "--new-passphrase-file=new",
    ];
    installed.done(&rotate);
    let verify = |with: &str| {
        installed
            .launch
            .run(&["seal", "verify", "--data=data", with])
            .code()
    };
    assert_eq!(
        (
            verify("--passphrase-file=passphrase"),
            verify("--passphrase-file=new")
        ),
        (1, 0)
    );

    // Removed slots open nothing; the others still do; the last one stays.
    installed.done(&["seal", "remove", &installed.slot("file"), "--data=data"]);
    assert_eq!((verify("--key-file=key"), verify("--shares-file=two")), (1, 0));
    let refused = installed.refused(&["seal", "remove", "nonsense", "--data=data"]);
    assert!(refused.contains("seal status"), "{refused}");
    let status = installed
        .done(&["seal", "status", "--data=data", "--json"])
        .json();
    let ids: Vec<String> = status["slots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|slot| slot["id"].as_str().unwrap().to_owned())
        .collect();
    let removed: Vec<i32> = ids
        .iter()
        .map(|id| {
            installed
                .launch
                .run(&["seal", "remove", id, "--data=data"])
                .code()
        })
        .collect();
    assert!(removed.contains(&1), "every slot was removed: {removed:?}");
    let left = installed
        .done(&["seal", "status", "--data=data", "--json"])
        .json();
    assert!(!left["slots"].as_array().unwrap().is_empty(), "{left}");

    // No secret of any slot is in the files of the directory, nor in the log.
    let mut told = String::from_utf8_lossy(&fs::read(installed.path("log")).unwrap()).into_owned();
    told.push_str(&fs::read_to_string(installed.path("data/slots.json")).unwrap());
    for secret in ["correct horse", "newer passphrase", &root.secret]
        .into_iter()
        .chain(shares.lines())
    {
        assert!(!told.contains(secret), "{secret} is told");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_operators_see_metrics_and_nobody_resets_it() {
    let installed = Installed::new();
    let server = installed.serve(&["--passphrase-file=passphrase"]);
    let root = &installed.root;
    let get = async |path: &str, signer: Option<&Signer>| {
        send(
            server.address,
            "GET",
            path,
            "palisade",
            signer,
            Default::default(),
        )
        .await
    };
    let health = get("/_palisade/health", None).await.json();
    assert_eq!(
        (&health["mode"], &health["enforcement"]),
        (&json!("serve"), &json!("on"))
    );
    assert_eq!(get("/_palisade/metrics", None).await.status, 403);
    ok(&server, root, "iam:CreateUser", json!({"UserName": "bob"})).await;
    let made = ok(&server, root, "iam:CreateAccessKey", json!({"UserName": "bob"})).await;
    let bob = Signer::new(&leaf(&made, "AccessKeyId"), &leaf(&made, "SecretAccessKey"));
    let refused = get("/_palisade/metrics", Some(&bob)).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let policy = json!({"Version": "2012-10-17", "Statement":
        {"Effect": "Allow", "Action": "palisade:GetMetrics", "Resource": "*"}});
    let input = json!({"UserName": "bob", "PolicyName": "metrics", "PolicyDocument": policy.to_string()});
    ok(&server, root, "iam:PutUserPolicy", input).await;
    for signer in [&bob, root] {
        let metrics = get("/_palisade/metrics", Some(signer)).await;
        assert_eq!(metrics.status, 200, "{}", metrics.text());
        assert!(
            metrics.text().contains("palisade_calls_total"),
            "{}",
            metrics.text()
        );
    }
    for path in ["/_palisade/reset", "/_palisade/clock"] {
        for signer in [None, Some(root)] {
            let call = (Vec::new(), b"{\"advance_seconds\":1}".to_vec());
            let answer = send(server.address, "POST", path, "palisade", signer, call).await;
            assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        }
    }
    // Nothing was emptied.
    ok(&server, root, "iam:GetUser", json!({"UserName": "bob"})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_open_at_the_end_is_finished() {
    let installed = Installed::new();
    let server = installed.serve(&["--passphrase-file=passphrase"]);
    let call = sample::encode(
        operation("kms:CreateKey"),
        &json!({"Description": "the last one"}),
    );
    let bytes = testkit::client::signed_bytes(server.address, "/", "kms", &installed.root, call);
    let mut open = TcpStream::connect(server.address).await.unwrap();
    open.write_all(&bytes[..bytes.len() - 5]).await.unwrap();
    // An idle connection must not hold it up.
    let idle = TcpStream::connect(server.address).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    server.terminate();
    let mut gone = false;
    for _ in 0..200 {
        gone = TcpStream::connect(server.address).await.is_err();
        if gone {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(gone, "it still accepts connections");
    open.write_all(&bytes[bytes.len() - 5..]).await.unwrap();
    let mut answer = Vec::new();
    open.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let started = std::time::Instant::now();
    assert!(server.stop().success());
    assert!(started.elapsed().as_secs() < 10, "an idle connection held it up");
    drop(idle);

    let server = installed.serve(&["--passphrase-file=passphrase"]);
    let keys = ok(&server, &installed.root, "kms:ListKeys", json!({}))
        .await
        .json();
    assert_eq!(keys["Keys"].as_array().unwrap().len(), 1);
}

//! The command line: every command helps with an example, speaks JSON when
//! asked, and says what to do next when it cannot go on.

use serde_json::json;
use testkit::client::{Signer, send};
use testkit::program::{Launch, Server};

use crate::PALISADE;
use crate::serve::{call, ok};
use crate::world::leaf;

pub(crate) struct Home {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) launch: Launch,
}

impl Home {
    pub(crate) fn new() -> Home {
        let directory = tempfile::tempdir().unwrap();
        let launch = Launch::new(PALISADE, directory.path());
        Home { directory, launch }
    }

    pub(crate) fn dev(&self, more: &[&str]) -> Server {
        let mut arguments = vec!["dev", "--listen=127.0.0.1:0"];
        arguments.extend(more);
        self.launch.serve(&arguments, &self.directory.path().join("log"))
    }

    /// The command line as someone who pasted the `export` lines has it.
    pub(crate) fn as_user(&self, server: &Server, signer: &Signer) -> Launch {
        self.launch
            .clone()
            .with("AWS_ENDPOINT_URL", &server.endpoint)
            .with("AWS_REGION", "us-east-1")
            .with("AWS_ACCESS_KEY_ID", &signer.access_key_id)
            .with("AWS_SECRET_ACCESS_KEY", &signer.secret)
    }
}

/// Who a dev server says may call it.
fn owner(server: &Server) -> Signer {
    let text = |name: &str| server.said[name].as_str().unwrap().to_owned();
    Signer::new(&text("access_key_id"), &text("secret_access_key"))
}

/// The names under `Commands:` of a help text.
fn commands(help: &str) -> Vec<String> {
    let listed = help.split_once("Commands:").map_or("", |(_, rest)| rest);
    listed
        .lines()
        .skip(1)
        .take_while(|line| !line.trim().is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_helps_with_an_example() {
    let home = Home::new();
    let help = home.launch.run(&["--help"]);
    assert_eq!(help.code(), 0);
    let top = commands(&help.stdout);
    for expected in [
        "dev",
        "serve",
        "init",
        "seal",
        "env",
        "why",
        "doctor",
        "coverage",
        "policy",
        "verify",
        "backup",
        "restore",
        "completions",
    ] {
        assert!(top.contains(&expected.to_owned()), "{expected} is not in {top:?}");
    }
    let mut all: Vec<Vec<String>> = top.into_iter().map(|name| vec![name]).collect();
    while let Some(command) = all.pop() {
        let mut arguments = command.clone();
        arguments.push("--help".to_owned());
        let help = home.launch.run(&arguments);
        assert_eq!(help.code(), 0, "{command:?}");
        let example = format!("palisade {}", command.join(" "));
        let has_one = help
            .stdout
            .lines()
            .any(|line| line.starts_with("Example: ") && line.contains(&example));
        assert!(has_one, "{command:?} has no example:\n{}", help.stdout);
        assert!(help.stdout.contains("--json"), "{command:?}");
        all.extend(
            commands(&help.stdout)
                .into_iter()
                .map(|name| [&command[..], &[name]].concat()),
        );
    }
    let version = home.launch.run(&["--version"]);
    assert_eq!(
        version.stdout.trim(),
        format!("palisade {}", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(home.launch.run(&["frobnicate"]).code(), 2);
    assert_eq!(home.launch.run::<&str>(&[]).code(), 2);
}

#[test]
fn json_is_one_document_whatever_happens() {
    let home = Home::new();
    // What succeeds.
    for arguments in [&["coverage"][..], &["coverage", "kms"]] {
        let told = home.launch.run(&[arguments, &["--json"]].concat());
        assert_eq!(told.code(), 0, "{told:?}");
        assert!(told.json().is_object(), "{told:?}");
    }
    // What fails, and what it says instead.
    for (arguments, words) in [
        (&["verify", "--data=nothing"][..], "--data"),
        (&["serve", "--data=nothing"], "palisade init"),
        (&["seal", "status", "--data=nothing"], "palisade init"),
        (&["env"], "palisade dev"),
        (&["why", "00000000-0000-4000-8000-000000000000"], "palisade env"),
        (&["why", "nonsense!"], "request id"),
        (&["coverage", "nothing"], "kms"),
    ] {
        let told = home.launch.run(&[arguments, &["--json"]].concat());
        assert_eq!(told.code(), 1, "{arguments:?}: {told:?}");
        let error = told.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains(words), "{arguments:?}: {told:?}");
        let told = home.launch.run(arguments);
        assert_eq!(told.code(), 1, "{arguments:?}: {told:?}");
        assert!(told.stdout.is_empty(), "{arguments:?}: {told:?}");
        assert!(
            told.stderr.starts_with("palisade: ") && told.stderr.contains(words),
            "{arguments:?}: {told:?}"
        );
    }
}

#[test]
fn what_is_typed_wrong_is_told_in_json_too() {
    let home = Home::new();
    for (arguments, words) in [
        (&["frobnicate"][..], "unrecognized subcommand 'frobnicate'"),
        (&["verify"], "--data"),
        (&["seal"], "subcommand"),
        (&["dev", "--account", "12"], "twelve digits"),
        (&["import", "--from", "nothing", "file"], "possible values"),
        (&["coverage", "kms", "--frob"], "unexpected argument '--frob'"),
    ] {
        let told = home.launch.run(&[arguments, &["--json"]].concat());
        assert_eq!(told.code(), 2, "{arguments:?}: {told:?}");
        let error = told.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(
            error.contains(words) && !error.starts_with("error"),
            "{arguments:?}: {told:?}"
        );
        let told = home.launch.run(arguments);
        assert_eq!(told.code(), 2, "{arguments:?}: {told:?}");
        assert!(told.stdout.is_empty(), "{arguments:?}: {told:?}");
        assert!(told.stderr.contains(words), "{arguments:?}: {told:?}");
    }
    // Help is asked for and no mistake; what stands behind `--` is no flag.
    let help = home.launch.run(&["--json", "--help"]);
    assert_eq!(help.code(), 0, "{help:?}");
    assert!(help.stdout.contains("Usage: "), "{help:?}");
    let behind = home.launch.run(&["frobnicate", "--", "--json"]);
    assert!(behind.stderr.starts_with("error: "), "{behind:?}");
}

#[test]
fn completions_are_scripts() {
    let home = Home::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let told = home.launch.run(&["completions", shell]);
        assert_eq!(told.code(), 0, "{told:?}");
        let complete = told.stdout.contains("coverage") && told.stdout.contains("shares-file");
        assert!(complete, "{shell} misses something");
    }
    let script = home.launch.run(&["completions", "bash"]).stdout;
    let checked = Launch::new("bash", home.directory.path()).run_with_input(&["-n"], &script);
    assert_eq!(checked.code(), 0, "{checked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn env_gives_what_to_paste_while_dev_runs() {
    let home = Home::new();
    let secret = "it's $ecret `x` \"y\"".replace(' ', "_");
    let credential = format!("--credential=ROOTKEY:{secret}:111122223333");
    let server = home.dev(&[&credential]);
    let port = server.address.port().to_string();
    let told = home.launch.run(&["env", "--port", &port, "--json"]).json();
    assert_eq!(
        (&told["endpoint"], &told["account"], &told["secret_access_key"]),
        (&json!(server.endpoint), &json!("111122223333"), &json!(secret))
    );
    // As a shell reads it.
    let script = format!(
        "AWS_PROFILE=other; eval \"$({PALISADE} env --port {port})\"\n\
         printf '%s|%s|%s|%s|%s' \"$AWS_ENDPOINT_URL\" \"$AWS_REGION\" \"$AWS_ACCESS_KEY_ID\" \
         \"$AWS_SECRET_ACCESS_KEY\" \"${{AWS_PROFILE-none}}\""
    );
    let read = Launch::new("sh", home.directory.path()).run(&["-c", &script]);
    assert_eq!(
        read.stdout,
        format!("{}|us-east-1|ROOTKEY|{secret}|none", server.endpoint),
        "{read:?}"
    );
    assert!(server.stop().success());
    let told = home.launch.run(&["env", "--port", &port]);
    assert_eq!(told.code(), 1, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_tells_the_reason_and_the_change_to_those_who_may_know() {
    let home = Home::new();
    let server = home.dev(&["--data=data"]);
    let root = owner(&server);
    ok(&server, &root, "iam:CreateUser", json!({"UserName": "bob"})).await;
    let policy = json!({"Version": "2012-10-17", "Statement":
        {"Sid": "ReadOnly", "Effect": "Allow", "Action": "kms:List*", "Resource": "*"}});
    let put = json!({"UserName": "bob", "PolicyName": "reader", "PolicyDocument": policy.to_string()});
    ok(&server, &root, "iam:PutUserPolicy", put).await;
    let made = ok(&server, &root, "iam:CreateAccessKey", json!({"UserName": "bob"})).await;
    let bob = Signer::new(&leaf(&made, "AccessKeyId"), &leaf(&made, "SecretAccessKey"));
    let denied = call(&server, &bob, "kms:CreateKey", json!({})).await;
    assert_eq!(denied.code(), "AccessDeniedException");
    let id = denied.request_id();

    let as_root = home.as_user(&server, &root);
    let told = as_root.run(&["why", &id]);
    assert_eq!(told.code(), 0, "{told:?}");
    for words in [
        "DENIED",
        "kms:CreateKey",
        "user/bob",
        "reader",
        "ReadOnly",
        "its Action is kms:List*",
        "to allow it",
    ] {
        assert!(told.stdout.contains(words), "no {words} in:\n{}", told.stdout);
    }
    let told = as_root.run(&["why", &id, "--json"]).json();
    let decision = &told["decisions"][0];
    assert_eq!(
        (&decision["allowed"], &decision["action"]),
        (&json!(false), &json!("kms:CreateKey"))
    );
    // The change that it names does allow it.
    let change = decision["trace"]["changes"][0]["statement"].clone();
    let wider = json!({"Version": "2012-10-17", "Statement": change});
    let put = json!({"UserName": "bob", "PolicyName": "wider", "PolicyDocument": wider.to_string()});
    ok(&server, &root, "iam:PutUserPolicy", put).await;
    let allowed = call(&server, &bob, "kms:CreateKey", json!({})).await;
    assert_eq!(allowed.status, 200, "{}", allowed.text());
    let told = as_root.run(&["why", &allowed.request_id()]);
    assert!(
        told.stdout.contains("ALLOWED") && told.stdout.contains("wider"),
        "{told:?}"
    );

    // Who was denied may not know why, and nobody knows of what never was.
    let as_bob = home.as_user(&server, &bob).run(&["why", &id]);
    let unknown = as_root.run(&["why", "00000000-0000-4000-8000-000000000000"]);
    assert_eq!((as_bob.code(), unknown.code()), (1, 1));
    assert_eq!(as_bob.stderr, unknown.stderr);
    // After a restart the journal still knows.
    assert!(server.stop().success());
    let server = home.dev(&["--data=data"]);
    let told = home.as_user(&server, &root).run(&["why", &id]);
    assert!(
        told.stdout.contains("DENIED") && told.stdout.contains("to allow it"),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_finds_what_is_wrong() {
    let home = Home::new();
    let server = home.dev(&[]);
    let root = owner(&server);
    let check = |launch: &Launch, what: &str| {
        let told = launch.run(&["doctor", "--json"]).json();
        let checks = told["checks"].as_array().unwrap().clone();
        let found = checks
            .iter()
            .find(|check| check["check"] == what)
            .unwrap()
            .clone();
        (
            found["ok"].as_bool().unwrap(),
            found["told"].as_str().unwrap().to_owned(),
        )
    };
    let well = home.as_user(&server, &root);
    assert!(check(&well, "server").0 && check(&well, "credentials").0);
    let forged = home.as_user(&server, &Signer::new(&root.access_key_id, "wrong"));
    let (ok, told) = check(&forged, "credentials");
    assert!(!ok && told.contains("signature"), "{told}");
    assert_eq!(forged.run(&["doctor"]).code(), 1);
    // Files as the SDKs read them.
    let directory = home.directory.path();
    std::fs::create_dir(directory.join(".aws")).unwrap();
    let credentials = format!(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        root.access_key_id, root.secret
    );
    std::fs::write(directory.join(".aws/credentials"), credentials).unwrap();
    let config = format!(
        "[default]\nregion = us-east-1\nendpoint_url = {}\n",
        server.endpoint
    );
    std::fs::write(directory.join(".aws/config"), config).unwrap();
    assert!(
        check(&home.launch, "credentials").0,
        "{:?}",
        check(&home.launch, "credentials")
    );
    assert!(server.stop().success());
    let (ok, told) = check(&well, "server");
    assert!(!ok && told.contains("palisade dev"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dev_says_what_it_is_and_keeps_only_what_it_was_told_to() {
    let home = Home::new();
    let temporary = home.directory.path().join("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let launch = home.launch.clone().with("TMPDIR", temporary.to_str().unwrap());
    let server = launch.serve(
        &["dev", "--listen=127.0.0.1:0"],
        &home.directory.path().join("log"),
    );
    println!(
        "palisade dev: ready in {:.0} ms (the program's own start included), {} KiB resident",
        server.took.as_secs_f64() * 1000.0,
        server.resident_kib()
    );
    let root = owner(&server);
    ok(&server, &root, "kms:CreateKey", json!({})).await;
    // A second one on the same port says what to do.
    let listen = format!("--listen={}", server.address);
    let told = launch.run(&["dev", &listen]);
    assert_eq!(told.code(), 1, "{told:?}");
    assert!(told.stderr.contains("--listen"), "{told:?}");
    assert!(server.stop().success());
    assert_eq!(
        std::fs::read_dir(&temporary).unwrap().count(),
        0,
        "it left something behind"
    );

    // Kept, the credential and the keys are the same after a restart and after a reset of everything.
    let server = home.dev(&["--data=data"]);
    let root = owner(&server);
    let key = leaf(&ok(&server, &root, "kms:CreateKey", json!({})).await, "KeyId");
    assert!(server.stop().success());
    let server = home.dev(&["--data=data"]);
    assert_eq!(owner(&server).secret, root.secret);
    ok(&server, &root, "kms:DescribeKey", json!({"KeyId": key})).await;
    let reset = send(
        server.address,
        "POST",
        "/_palisade/reset",
        "",
        None,
        Default::default(),
    )
    .await;
    assert_eq!(reset.status, 200, "{}", reset.text());
    let gone = call(&server, &root, "kms:DescribeKey", json!({"KeyId": key})).await;
    assert_eq!(gone.code(), "NotFoundException");
    ok(&server, &root, "kms:CreateKey", json!({})).await;
    drop(server);

    // As a person sees it.
    let script = format!("timeout -s TERM 2 {PALISADE} dev --listen 127.0.0.1:0");
    let seen = Launch::new("sh", home.directory.path())
        .run(&["-c", &script])
        .stdout;
    for words in [
        "is ready at http://127.0.0.1:",
        "Enforcement is on",
        "thrown away",
        "export AWS_ACCESS_KEY_ID=",
        "$(palisade env --port ",
    ] {
        assert!(seen.contains(words), "no {words} in:\n{seen}");
    }
    for (arguments, words) in [
        (&["dev", "--credential=nonsense"][..], "KEY:SECRET:ACCOUNT"),
        (&["dev", "--account=12"], "12"),
        (&["dev", "--region=Nowhere!"], "region"),
        (&["dev", "--listen=nowhere"], "listen"),
    ] {
        let told = home.launch.run(arguments);
        assert_eq!(told.code(), 2, "{told:?}");
        assert!(told.stderr.contains(words), "{told:?}");
    }
}

/// Time moves only when told, and everything that waits for it sees it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_virtual_clock_ends_waiting_periods() {
    let home = Home::new();
    let server = home.dev(&["--clock=virtual"]);
    let mut root = owner(&server);
    let advance = async |seconds: u64| {
        let body = json!({"advance_seconds": seconds}).to_string().into_bytes();
        let answer = send(
            server.address,
            "POST",
            "/_palisade/clock",
            "",
            None,
            (Vec::new(), body),
        )
        .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        ground::Timestamp::parse_iso8601(answer.json()["now"].as_str().unwrap()).unwrap()
    };
    root.time = Some(advance(0).await);
    let key = leaf(&ok(&server, &root, "kms:CreateKey", json!({})).await, "KeyId");
    let input = json!({"KeyId": key, "PendingWindowInDays": 7});
    ok(&server, &root, "kms:ScheduleKeyDeletion", input).await;
    root.time = Some(advance(7 * 86_400 - 60).await);
    ok(&server, &root, "kms:DescribeKey", json!({"KeyId": key})).await;
    root.time = Some(advance(120).await);
    let gone = call(&server, &root, "kms:DescribeKey", json!({"KeyId": key})).await;
    assert_eq!(gone.code(), "NotFoundException", "{}", gone.text());
    for nonsense in [
        "",
        "{}",
        "{\"advance_seconds\":-1}",
        "{\"advance_seconds\":1,\"x\":2}",
    ] {
        let call = (Vec::new(), nonsense.as_bytes().to_vec());
        let answer = send(server.address, "POST", "/_palisade/clock", "", None, call).await;
        assert_eq!(answer.status, 400, "{nonsense}: {}", answer.text());
    }
    let far = (
        Vec::new(),
        format!("{{\"advance_seconds\":{}}}", u64::MAX).into_bytes(),
    );
    let answer = send(server.address, "POST", "/_palisade/clock", "", None, far).await;
    assert!(answer.status < 500, "{}", answer.text());
}

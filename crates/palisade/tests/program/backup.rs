//! `palisade backup` and `palisade restore`: all of it or nothing, and what
//! comes back is what went in.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::client::Signer;
use testkit::program::{Ended, Launch, Server};

use crate::PALISADE;
use crate::serve::{Installed, ok};
use crate::world::copy_directory;

const KEYS: usize = 30;

/// A development directory with keys and a ciphertext of each, its server stopped.
struct Kept {
    home: tempfile::TempDir,
    launch: Launch,
    sealed: Vec<(String, Value)>,
}

fn root() -> Signer {
    Signer::new("ROOTKEY", "secret")
}

async fn some_keys(server: &Server, signer: &Signer, count: usize) -> Vec<(String, Value)> {
    let mut sealed = Vec::new();
    for number in 0..count {
        let made = ok(server, signer, "kms:CreateKey", json!({})).await.json();
        let id = made["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
        let plaintext = json!({"KeyId": id, "Plaintext": format!("{number:04}")});
        let blob = ok(server, signer, "kms:Encrypt", plaintext).await.json()["CiphertextBlob"].clone();
        sealed.push((id, blob));
    }
    sealed
}

async fn all_open(server: &Server, signer: &Signer, sealed: &[(String, Value)]) {
    for (number, (id, blob)) in sealed.iter().enumerate() {
        let opened = ok(server, signer, "kms:Decrypt", json!({"CiphertextBlob": blob}))
            .await
            .json();
        assert_eq!(opened["Plaintext"], format!("{number:04}"), "{id}");
        ok(server, signer, "kms:DescribeKey", json!({"KeyId": id})).await;
    }
}

impl Kept {
    async fn new() -> Kept {
        let home = tempfile::tempdir().unwrap();
        let launch = Launch::new(PALISADE, home.path());
        let mut kept = Kept {
            home,
            launch,
            sealed: Vec::new(),
        };
        let server = kept.dev("data");
        kept.sealed = some_keys(&server, &root(), KEYS).await;
        assert!(server.stop().success());
        kept
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn dev(&self, data: &str) -> Server {
        let data = format!("--data={data}");
        let arguments = [
            "dev",
            "--listen=127.0.0.1:0",
            &data,
            "--credential=ROOTKEY:secret:111122223333",
        ];
        self.launch.serve(&arguments, &self.path("log"))
    }

    fn backup(&self, output: &str) -> Ended {
        self.launch
            .run(&["backup", "--data=data", &format!("--output={output}"), "--json"])
    }

    fn restore(&self, backup: &str, data: &str) -> Ended {
        self.launch.run(&[
            "restore",
            &format!("--backup={backup}"),
            &format!("--data={data}"),
            "--json",
        ])
    }

    /// It must be refused, say why in these words, and leave nothing.
    fn refused(&self, told: &Ended, words: &str, absent: &str) {
        assert_eq!(told.code(), 1, "{told:?}");
        let problem = told.json()["error"].as_str().unwrap().to_owned();
        assert!(problem.contains(words), "{problem}");
        for name in [absent.to_owned(), format!("{absent}.partial")] {
            assert!(!self.path(&name).exists(), "{name} is there");
        }
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_is_what_went_in() {
    let kept = Kept::new().await;
    let told = kept.backup("backup");
    assert_eq!(told.code(), 0, "{told:?}");
    for path in files_below(&kept.path("backup")) {
        assert_eq!(
            path.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{}",
            path.display()
        );
    }
    let mode = kept.path("backup").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);

    // Time goes on after the backup.
    let server = kept.dev("data");
    let later = some_keys(&server, &root(), 1).await;
    assert!(server.stop().success());

    let restored = kept.restore("backup", "again");
    assert_eq!(restored.code(), 0, "{restored:?}");
    assert_eq!(restored.json()["records"], told.json()["records"]);
    let verified = kept.launch.run(&["verify", "--data=again"]);
    assert_eq!(verified.code(), 0, "{verified:?}");

    let server = kept.dev("again");
    all_open(&server, &root(), &kept.sealed).await;
    let (id, _) = &later[0];
    let gone = crate::serve::call(&server, &root(), "kms:DescribeKey", json!({"KeyId": id})).await;
    assert_eq!(gone.code(), "NotFoundException");
    some_keys(&server, &root(), 1).await;
    assert!(server.stop().success());
    assert_eq!(kept.launch.run(&["verify", "--data=again"]).code(), 0);
    // A backup is not used up, nor changed, by being restored.
    assert_eq!(kept.restore("backup", "third").code(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_overwritten_and_nothing_running_is_copied() {
    let kept = Kept::new().await;
    let server = kept.dev("data");
    kept.refused(&kept.backup("backup"), "stop the server first", "backup");
    server.kill();
    // A directory whose server was killed is as good as any.
    assert_eq!(kept.backup("backup").code(), 0);
    let before = fs::read(kept.path("backup/MANIFEST")).unwrap();
    let again = kept.backup("backup");
    assert!(
        again.json()["error"]
            .as_str()
            .unwrap()
            .contains("never overwrites"),
        "{again:?}"
    );
    assert_eq!(fs::read(kept.path("backup/MANIFEST")).unwrap(), before);

    let over = kept.restore("backup", "data");
    assert!(
        over.json()["error"].as_str().unwrap().contains("is not empty"),
        "{over:?}"
    );
    all_open(&kept.dev("data"), &root(), &kept.sealed).await;

    fs::create_dir(kept.path("empty")).unwrap();
    assert_eq!(kept.restore("backup", "empty").code(), 0);
    kept.refused(&kept.restore("nowhere", "x"), "no whole backup", "x");
    kept.refused(&kept.restore("data", "x"), "no whole backup", "x");
    let inside = kept.backup("data/backup");
    assert!(
        inside.json()["error"].as_str().unwrap().contains("inside"),
        "{inside:?}"
    );
    let nothing = kept
        .launch
        .run(&["backup", "--data=nowhere", "--output=y", "--json"]);
    kept.refused(&nothing, "no data directory", "y");
}

/// Whatever byte of whatever file changes, or whatever file goes or comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_backup_is_refused() {
    let kept = Kept::new().await;
    assert_eq!(kept.backup("backup").code(), 0);
    let whole = kept.path("backup");
    let files = files_below(&whole);
    assert!(files.len() >= 5, "{files:?}");
    for file in &files {
        let inside = file.strip_prefix(&whole).unwrap();
        let length = file.metadata().unwrap().len();
        for at in [0, length / 3, length.saturating_sub(1)] {
            let copy = tempfile::tempdir_in(kept.home.path()).unwrap();
            copy_directory(&whole, copy.path());
            let mut bytes = fs::read(copy.path().join(inside)).unwrap();
            match bytes.get_mut(usize::try_from(at).unwrap()) {
                Some(byte) => *byte ^= 1,
                None => bytes.push(1),
            }
            fs::write(copy.path().join(inside), bytes).unwrap();
            let told = kept.restore(copy.path().to_str().unwrap(), "x");
            kept.refused(&told, "changed", "x");
        }
        let copy = tempfile::tempdir_in(kept.home.path()).unwrap();
        copy_directory(&whole, copy.path());
        fs::remove_file(copy.path().join(inside)).unwrap();
        kept.refused(&kept.restore(copy.path().to_str().unwrap(), "x"), "", "x");
    }
    fs::write(whole.join("journal/more"), "x").unwrap();
    kept.refused(&kept.restore("backup", "x"), "is not of this backup", "x");
}

/// Killed at many moments: either there is a whole backup under its name or none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_killed_leaves_nothing_that_restore_takes() {
    let kept = Kept::new().await;
    let partial = kept.path("backup.partial");
    let mut cut_off = 0;
    for round in 0..24 {
        let mut child = Command::new(PALISADE)
            .args(["backup", "--data=data", "--output=backup"])
            .current_dir(kept.home.path())
            .env("HOME", kept.home.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Later in each round: at its first sign, and then as long after as it takes to reach the next step.
        let give_up = Instant::now() + Duration::from_secs(60);
        let steps = ["", "store.redb", "journal", "slots.json"];
        let sign = partial.join(steps[round % steps.len()]);
        while child.try_wait().unwrap().is_none() && !sign.exists() && Instant::now() < give_up {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if kept.path("backup").exists() {
            assert_eq!(kept.restore("backup", "x").code(), 0, "round {round}");
            fs::remove_dir_all(kept.path("backup")).unwrap();
            fs::remove_dir_all(kept.path("x")).unwrap();
        }
        if partial.exists() {
            cut_off += 1;
            if !partial.join("MANIFEST").exists() {
                kept.refused(&kept.restore("backup.partial", "x"), "no whole backup", "x");
            }
            // It is in the way of the next one, which says what to do.
            let told = kept.backup("backup");
            assert!(
                told.json()["error"]
                    .as_str()
                    .unwrap()
                    .contains("cut off; remove it"),
                "{told:?}"
            );
            fs::remove_dir_all(&partial).unwrap();
        }
    }
    assert!(cut_off > 0, "no backup was ever caught at work");
    // The directory that was read all the while is unhurt.
    all_open(&kept.dev("data"), &root(), &kept.sealed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_directory_needs_its_secret_to_come_back() {
    let installed = Installed::new();
    let unseal = ["--passphrase-file=passphrase"];
    let server = installed.serve(&unseal);
    let sealed = some_keys(&server, &installed.root, 3).await;
    assert!(server.stop().success());
    let run = |arguments: &[&str]| installed.launch.run(arguments);
    assert_eq!(run(&["backup", "--data=data", "--output=backup"]).code(), 0);
    // A backup opens by the secrets of its slots and by nothing in it.
    let without = run(&["restore", "--backup=backup", "--data=again"]);
    assert_eq!(without.code(), 1);
    assert!(without.stderr.contains("--passphrase-file"), "{without:?}");
    crate::serve::write_private(&installed.path("wrong"), "wrong horse battery staple\n");
    let wrong = run(&[
        "restore",
        "--backup=backup",
        "--data=again",
        "--passphrase-file=wrong",
    ]);
    assert_eq!(wrong.code(), 1, "{wrong:?}");
    assert!(!installed.path("again").exists() && !installed.path("again.partial").exists());

    fs::rename(installed.path("data"), installed.path("lost")).unwrap();
    for secret in ["--passphrase-file=passphrase", "--shares-file=shares"] {
        let restored = run(&["restore", "--backup=backup", "--data=data", secret]);
        assert_eq!(restored.code(), 0, "{restored:?}");
        let server = installed.serve(&unseal);
        all_open(&server, &installed.root, &sealed).await;
        assert!(server.stop().success());
        assert_eq!(
            run(&["verify", "--data=data", "--seals", "--passphrase-file=passphrase"]).code(),
            0
        );
        fs::remove_dir_all(installed.path("data")).unwrap();
    }
}

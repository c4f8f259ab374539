//! `palisade verify`: whole when it is, and exit code 2 with the place when
//! one byte is not.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use testkit::client::{Signer, post};
use testkit::program::{Ended, Launch};
use testkit::sample;

use crate::PALISADE;
use crate::world::{copy_directory, operation};

const CALLS: usize = 40;

struct Kept {
    home: tempfile::TempDir,
    launch: Launch,
}

impl Kept {
    /// A data directory with some records, closed well.
    async fn new() -> Kept {
        let home = tempfile::tempdir().unwrap();
        let launch = Launch::new(PALISADE, home.path());
        let data = home.path().join("data");
        let arguments = [
            "dev".to_owned(),
            "--listen=127.0.0.1:0".to_owned(),
            format!("--data={}", data.display()),
            "--credential=ROOTKEY:secret:111122223333".to_owned(),
        ];
        let server = launch.serve(&arguments, &home.path().join("log"));
        let signer = Signer::new("ROOTKEY", "secret");
        for _ in 0..CALLS {
            let call = sample::encode(operation("kms:ListKeys"), &json!({}));
            let answer = post(server.address, "kms", Some(&signer), call).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        assert!(server.stop().success());
        Kept { home, launch }
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn verify(&self, data: &Path, more: &[&str]) -> Ended {
        let mut arguments = vec!["verify", "--data", data.to_str().unwrap()];
        arguments.extend(more);
        self.launch.run(&arguments)
    }

    /// A copy whose journal was changed.
    fn changed(&self, change: impl FnOnce(&Path)) -> tempfile::TempDir {
        let copy = tempfile::tempdir_in(self.home.path()).unwrap();
        copy_directory(&self.data(), copy.path());
        change(&copy.path().join("journal"));
        copy
    }
}

/// The file with the records, the longest.
fn log_file(journal: &Path) -> PathBuf {
    let mut files: Vec<PathBuf> = fs::read_dir(journal)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort_by_key(|path| content_length(path));
    files.pop().unwrap()
}

/// The length without the room reserved behind it.
fn content_length(path: &Path) -> usize {
    let bytes = fs::read(path).unwrap();
    bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_record_is_proven_and_a_changed_one_is_told_with_its_place() {
    let kept = Kept::new().await;
    let whole = kept.verify(&kept.data(), &["--json"]);
    assert_eq!(
        (whole.code(), &whole.json()["whole"]),
        (0, &json!(true)),
        "{whole:?}"
    );
    assert!(
        whole.json()["report"].to_string().contains(&CALLS.to_string()),
        "{}",
        whole.stdout
    );
    let key_file = kept.data().join("root.key");
    let sealed = kept.verify(
        &kept.data(),
        &["--seals", "--key-file", key_file.to_str().unwrap(), "--json"],
    );
    assert_eq!(
        (sealed.code(), &sealed.json()["whole"]),
        (0, &json!(true)),
        "{sealed:?}"
    );
    assert_eq!(
        sealed.json()["report"]["seals_checked"],
        true,
        "{}",
        sealed.stdout
    );

    // One byte anywhere, every so often through the file.
    let file = log_file(&kept.data().join("journal"));
    let length = content_length(&file);
    assert!(length > CALLS * 200, "{} has only {length} bytes", file.display());
    for at in (0..length).step_by(length / 23) {
        for flip in [0x01, 0x80] {
            let copy = kept.changed(|journal| {
                let path = log_file(journal);
                let mut bytes = fs::read(&path).unwrap();
                bytes[at] ^= flip;
                fs::write(&path, bytes).unwrap();
            });
            let told = kept.verify(copy.path(), &["--json"]);
            assert_eq!(
                told.code(),
                2,
                "byte {at} of {length} changed by {flip:02x}: {told:?}"
            );
            let damage = told.json()["damage"].as_str().unwrap_or_default().to_owned();
            let place = file.file_name().unwrap().to_str().unwrap();
            assert!(damage.contains(place), "byte {at} changed, told: {damage}");
            let human = kept.verify(copy.path(), &[]);
            assert!(
                human.stdout.contains("NOT whole") && human.stdout.contains(place),
                "{human:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_was_cut_short_is_told() {
    let kept = Kept::new().await;
    let length = content_length(&log_file(&kept.data().join("journal")));
    let cut = |at: usize, fill: bool| {
        kept.changed(|journal| {
            let path = log_file(journal);
            let mut bytes = fs::read(&path).unwrap();
            let whole = bytes.len();
            bytes.truncate(at);
            if fill {
                bytes.resize(whole, 0);
            }
            fs::write(&path, bytes).unwrap();
        })
    };
    for at in [length / 2, length / 3, length - 1, length - 500] {
        for fill in [false, true] {
            let told = kept.verify(cut(at, fill).path(), &["--json"]);
            assert_eq!(told.code(), 2, "cut at {at} of {length}: {told:?}");
        }
    }
    // All of it gone, and the directory that never was.
    let gone = kept.changed(|journal| fs::remove_file(log_file(journal)).unwrap());
    assert_eq!(kept.verify(gone.path(), &["--json"]).code(), 2);
    let nothing = kept.verify(&kept.home.path().join("nothing"), &[]);
    assert_eq!(nothing.code(), 1, "{nothing:?}");
    assert!(nothing.stderr.contains("right directory"), "{}", nothing.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_printed_as_they_were_written_and_what_is_proven_is_told_aside() {
    let kept = Kept::new().await;
    let printed = kept.verify(&kept.data(), &["--records"]);
    assert_eq!(printed.code(), 0, "{printed:?}");
    assert!(printed.stderr.contains("The record is whole"), "{printed:?}");
    let names: Vec<String> = printed
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|record| record["eventName"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, vec!["ListKeys"; CALLS]);

    // Before a damaged record stand those that are proven.
    let broken = kept.changed(|journal| {
        let path = log_file(journal);
        let mut bytes = fs::read(&path).unwrap();
        let middle = content_length(&path) / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
    });
    let printed = kept.verify(broken.path(), &["--records", "--json"]);
    assert_eq!(printed.code(), 2, "{printed:?}");
    assert!(printed.stderr.contains(r#""whole":false"#), "{printed:?}");
    let count = printed.stdout.lines().count();
    assert!(0 < count && count < CALLS, "{count}");
}

/// Two records exchanged are two records changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_in_another_order_are_told() {
    let kept = Kept::new().await;
    let copy = kept.changed(|journal| {
        let path = log_file(journal);
        let bytes = fs::read(&path).unwrap();
        // The part of a record that is of the same length in each and never the same.
        let begin = b"\"eventID\":\"";
        let starts: Vec<usize> = bytes
            .windows(begin.len())
            .enumerate()
            .filter_map(|(at, window)| (window == begin).then_some(at + begin.len()))
            .collect();
        let (one, two, length) = (starts[3], starts[7], 36);
        let mut swapped = bytes.clone();
        swapped[one..one + length].copy_from_slice(&bytes[two..two + length]);
        swapped[two..two + length].copy_from_slice(&bytes[one..one + length]);
        assert_ne!(swapped, bytes);
        fs::write(&path, swapped).unwrap();
    });
    let told = kept.verify(copy.path(), &["--json"]);
    assert_eq!(told.code(), 2, "{told:?}");
}

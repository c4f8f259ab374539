//! A disk that is really full: a small tmpfs in a mount namespace of its own.
//!
//! The tests run themselves again inside `unshare`, which works for root and,
//! where user namespaces are allowed, for anybody. The file system vanishes
//! with the process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use journal::{Config, Durability, Journal, JournalError, Space, verify};

use crate::{config, copy, read_all, record};

const DISK: &str = "JOURNAL_TEST_SMALL_DISK";
const RESERVE: u64 = 256 * 1024;

/// Runs one of the ignored tests below with a file system of `size` bytes mounted.
fn on_a_disk_of(size: u64, test: &str) {
    let mount_point = tempfile::tempdir().unwrap();
    let script = format!(
        "mount -t tmpfs -o size={size} none \"${DISK}\" && exec \"$0\" --exact full_disk::{test} --ignored --nocapture"
    );
    let mut troubles = Vec::new();
    for namespace in [&["--user", "--map-root-user", "--mount"][..], &["--mount"]] {
        let can_mount = Command::new("unshare")
            .args(namespace)
            .args([
                "sh",
                "-c",
                &format!("mount -t tmpfs -o size={size} none \"${DISK}\""),
            ])
            .env(DISK, mount_point.path())
            .output();
        match can_mount {
            Ok(output) if output.status.success() => {
                let run = Command::new("unshare")
                    .args(namespace)
                    .args(["sh", "-c", &script])
                    .arg(std::env::current_exe().unwrap())
                    .env(DISK, mount_point.path())
                    .output()
                    .unwrap();
                let told = String::from_utf8_lossy(&run.stdout) + String::from_utf8_lossy(&run.stderr);
                assert!(run.status.success() && told.contains("1 passed"), "{told}");
                return;
            }
            Ok(output) => troubles.push(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => troubles.push(error.to_string()),
        }
    }
    panic!(
        "a full disk needs a small file system: run as root, or allow user namespaces \
         (kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0), \
         with `unshare` and `mount` of util-linux installed: {troubles:?}"
    );
}

fn small_disk() -> Option<PathBuf> {
    std::env::var_os(DISK).map(PathBuf::from)
}

/// Takes every byte the file system still gives.
fn take_the_rest(disk: &Path, name: &str) -> u64 {
    use std::io::Write;
    let mut file = std::fs::File::create(disk.join(name)).unwrap();
    let mut taken = 0;
    for size in [64 * 1024, 4096] {
        while let Ok(written) = file.write(&vec![b'x'; size]) {
            taken += written as u64;
        }
    }
    taken
}

fn wait_for_space(journal: &Journal) {
    let waiting = Instant::now();
    while journal.space() != Space::Ample {
        assert!(
            waiting.elapsed() < Duration::from_secs(10),
            "{:?}",
            journal.stats()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Appends until the journal says it is full; gives how many records went in before and after it said so.
fn fill(journal: &Journal, kept: &mut Vec<Vec<u8>>) -> (u64, u64) {
    let (mut ample, mut reserve) = (0, 0);
    loop {
        let next = record(kept.len() as u64, 4000);
        match journal.append_blocking(&next, Durability::Synced) {
            Ok(position) => {
                kept.push(next);
                assert_eq!(position.0, kept.len() as u64);
                if journal.space() == Space::Ample {
                    ample += 1;
                } else {
                    reserve += 1;
                }
            }
            Err(JournalError::Full) => {
                assert_eq!(journal.space(), Space::Full);
                return (ample, reserve);
            }
            Err(error) => panic!("{error}"),
        }
        assert!(ample + reserve < 10_000);
    }
}

fn full_and_back(disk: &Path, config: impl Fn() -> Config, reserve_is_ours: bool) {
    let (journal, _) = Journal::open(config()).unwrap();
    for ballast in ["first-ballast", "second-ballast"] {
        std::fs::write(disk.join(ballast), vec![b'x'; 2 * 1024 * 1024]).unwrap();
    }
    let mut kept = Vec::new();
    while journal.space() == Space::Ample {
        let next = record(kept.len() as u64, 4000);
        journal.append_blocking(&next, Durability::Written).unwrap();
        kept.push(next);
        if !reserve_is_ours {
            // The watermark is looked at a few times a second.
            std::thread::sleep(Duration::from_millis(4));
        }
    }
    assert_eq!(journal.space(), Space::Reserve);
    if reserve_is_ours {
        // Somebody else takes what is left; the reserve is not theirs to take.
        take_the_rest(disk, "greedy");
        let (_, reserve) = fill(&journal, &mut kept);
        assert!(
            reserve * 4052 > RESERVE - 8192,
            "{reserve} records went into the reserve"
        );
    } else {
        fill(&journal, &mut kept);
        take_the_rest(disk, "greedy");
    }
    for _ in 0..5 {
        let refused = journal.append_blocking(&record(0, 4000), Durability::Written);
        assert!(matches!(refused, Err(JournalError::Full)));
    }
    assert!(journal.stats().refused_full >= 6);
    let report = verify(&config().directory, None, |_| {}).unwrap();
    assert_eq!(
        report.position.0,
        kept.len() as u64,
        "nothing was dropped, nothing half written"
    );

    // A process killed now leaves a journal that opens, full as the disk is.
    let image = tempfile::tempdir().unwrap();
    copy(&config().directory, image.path());
    let (killed, _) = Journal::open(Config {
        directory: image.path().to_owned(),
        ..config()
    })
    .unwrap();
    assert_eq!(read_all(&killed), kept);
    drop(killed);

    std::fs::remove_file(disk.join("greedy")).unwrap();
    std::fs::remove_file(disk.join("first-ballast")).unwrap();
    wait_for_space(&journal);
    for _ in 0..20 {
        let next = record(kept.len() as u64, 4000);
        journal.append_blocking(&next, Durability::Synced).unwrap();
        kept.push(next);
    }
    assert_eq!(read_all(&journal), kept);

    // And once more to the brim, then closed and opened there.
    take_the_rest(disk, "greedy");
    fill(&journal, &mut kept);
    drop(journal);
    verify(&config().directory, None, |_| {}).unwrap();
    let (journal, recovery) = Journal::open(config()).unwrap();
    assert!(recovery.clean);
    assert_ne!(journal.space(), Space::Ample);
    assert_eq!(read_all(&journal), kept);
    std::fs::remove_file(disk.join("second-ballast")).unwrap();
    wait_for_space(&journal);
    journal
        .append_blocking(b"space again", Durability::Synced)
        .unwrap();
}

#[test]
fn a_full_disk_refuses_and_never_drops() {
    on_a_disk_of(8 * 1024 * 1024, "with_a_reserve");
}

#[test]
fn a_full_disk_without_space_ahead_refuses_and_never_drops() {
    on_a_disk_of(8 * 1024 * 1024, "with_a_watermark");
}

#[test]
#[ignore = "a part of a_full_disk_refuses_and_never_drops, which runs it on a small disk"]
fn with_a_reserve() {
    let Some(disk) = small_disk() else { return };
    let config = || Config {
        segment_bytes_max: 200 * 1024,
        reserve_bytes: RESERVE,
        // Compression frees and takes space at moments of its own.
        compress_sealed: false,
        durable: true,
        ..config(&disk.join("journal"))
    };
    full_and_back(&disk, config, true);
}

#[test]
#[ignore = "a part of a_full_disk_without_space_ahead_refuses_and_never_drops, which runs it on a small disk"]
fn with_a_watermark() {
    let Some(disk) = small_disk() else { return };
    let config = || Config {
        segment_bytes_max: 200 * 1024,
        reserve_bytes: RESERVE,
        // Compression frees and takes space at moments of its own.
        compress_sealed: false,
        durable: true,
        preallocate: false,
        ..config(&disk.join("journal"))
    };
    full_and_back(&disk, config, false);
}

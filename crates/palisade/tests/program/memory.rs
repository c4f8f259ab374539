//! What a running server's memory and files do not hold after use: the secret
//! that opened it.
//!
//! Expanded keys, secret access keys and what is being encrypted are there by
//! need; a passphrase, a key file and recovery shares are not.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde_json::json;
use testkit::program::Server;

use crate::serve::{Installed, ok};
use crate::world::leaf;

/// Longest part of a mapping read at once, in bytes.
const PIECE_BYTES: usize = 64 << 10;

/// How often each of the needles lies in the writable memory of a process;
/// `None` if the system lets nobody look, as it should all but the administrator.
fn in_memory(server: &Server, needles: &[&[u8]]) -> Option<Vec<usize>> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", server.id())).ok()?;
    let memory = File::open(format!("/proc/{}/mem", server.id())).ok()?;
    let longest = needles.iter().map(|needle| needle.len()).max().unwrap();
    let zeros = vec![0; PIECE_BYTES];
    let mut counts = vec![0; needles.len()];
    for line in maps.lines() {
        let mut words = line.split(' ');
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        let (mut at, end) = (number(start), number(end));
        while at < end {
            let length = PIECE_BYTES.min((end - at) as usize);
            let mut piece = vec![0; length];
            // What was unmapped meanwhile, or is the kernel's, holds nothing of ours.
            // Most of what an allocator reserves was never touched.
            if memory.read_exact_at(&mut piece, at).is_ok() && piece != zeros[..length] {
                for (count, more) in counts.iter_mut().zip(count_in(&piece, needles)) {
                    *count += more;
                }
            }
            // Pieces overlap, so that nothing hides on a border.
            at += if length == PIECE_BYTES {
                (length - longest) as u64
            } else {
                length as u64
            };
        }
    }
    Some(counts)
}

/// How often each of the needles occurs.
fn count_in(haystack: &[u8], needles: &[&[u8]]) -> Vec<usize> {
    let mut counts = vec![0; needles.len()];
    let mut begins = [false; 256];
    for needle in needles {
        begins[usize::from(needle[0])] = true;
    }
    for (at, byte) in haystack.iter().enumerate() {
        if begins[usize::from(*byte)] {
            for (needle, count) in needles.iter().zip(&mut counts) {
                *count += usize::from(haystack[at..].starts_with(needle));
            }
        }
    }
    counts
}

fn in_files(directory: &Path, needles: &[&[u8]]) -> usize {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            if path.is_dir() {
                return in_files(&path, needles);
            }
            let bytes = fs::read(&path).unwrap();
            // A store's file is mostly empty.
            bytes
                .chunks(PIECE_BYTES)
                .zip((0..).step_by(PIECE_BYTES))
                .filter(|(piece, _)| piece.iter().any(|byte| *byte != 0))
                .map(|(_, at)| {
                    let end = bytes.len().min(at + PIECE_BYTES + 256);
                    count_in(&bytes[at..end], needles).iter().sum::<usize>()
                })
                .sum()
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_opened_it_is_forgotten() {
    let installed = Installed::new();
    let add = [
        "seal",
        "add",
        "--data=data",
        "--passphrase-file=passphrase",
        "--slot=file",
        "--new-key-file=key",
    ];
    assert_eq!(installed.launch.run(&add).code(), 0);
    let key_file = fs::read(installed.path("key")).unwrap();
    let shares = fs::read_to_string(installed.path("shares")).unwrap();
    let passphrase = "correct horse battery staple";
    let mut secrets: Vec<&[u8]> = vec![passphrase.as_bytes(), &key_file];
    secrets.extend(shares.lines().map(str::as_bytes));
    // That something is found at all: its own data directory's name in its arguments' copies.
    let control = b"--listen=127.0.0.1:0";
    let needles = [&secrets[..], &[control]].concat();

    for unseal in [
        "--passphrase-file=passphrase",
        "--key-file=key",
        "--shares-file=shares",
    ] {
        let server = installed.serve(&[unseal]);
        let root = &installed.root;
        let key = leaf(&ok(&server, root, "kms:CreateKey", json!({})).await, "KeyId");
        let input = json!({"KeyId": key, "Plaintext": "c3Vydml2ZXM="});
        ok(&server, root, "kms:Encrypt", input).await;
        match in_memory(&server, &needles) {
            Some(counts) => {
                let (control, found) = counts.split_last().unwrap();
                assert!(*control > 0, "the scan sees nothing");
                assert!(
                    found.iter().all(|count| *count == 0),
                    "opened by {unseal}, these secrets lie in memory: {found:?}"
                );
            }
            // The system keeps even us out: then nobody else looks either.
            None => assert!(File::open(format!("/proc/{}/environ", server.id())).is_err()),
        }
        // Not dumpable, and no core file (proc(5)).
        let limits = fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap_or_default();
        let core = limits.lines().find(|line| line.starts_with("Max core file size"));
        if let Some(core) = core {
            let words: Vec<&str> = core.split_whitespace().collect();
            assert_eq!(words[4..6], ["0", "0"], "{core}");
        }
        assert!(server.stop().success());
    }
    assert_eq!(in_files(&installed.path("data"), &secrets), 0);
    // The same search finds what is there.
    assert_eq!(in_files(installed.home.path(), &[&key_file]), 1);
}

//! Processor time per operation, on one thread.
//!
//! `cargo bench -p crypto`. Times are those of the process, not of the wall, so
//! that a busy machine does not blur them. Nothing is asserted: benchmarks
//! measure, tests never time.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and stops if it cannot go on"
)]

use std::hint::black_box;
use std::time::Duration;

use crypto::blob::{EncryptionContext, Envelope};
use crypto::key::{BackingKey, EncryptionAlgorithm, KeySpec, MacAlgorithm, MessageType, SigningAlgorithm};
use crypto::{Random, RootKey};
use ground::{AccountId, Region};
use rustix::time::{ClockId, clock_gettime};

/// How long each operation is measured.
const BUDGET: Duration = Duration::from_millis(300);

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

fn measure<T>(name: &str, mut operation: impl FnMut() -> T) {
    for _ in 0..16 {
        black_box(operation());
    }
    let start = cpu();
    let mut runs = 0u32;
    let spent = loop {
        for _ in 0..16 {
            black_box(operation());
        }
        runs += 16;
        let spent = cpu() - start;
        if spent > BUDGET {
            break spent;
        }
    };
    println!(
        "{name:<34} {:>10.3} µs",
        spent.as_secs_f64() * 1e6 / f64::from(runs)
    );
}

fn main() {
    let random = Random::system();
    let make = |spec| BackingKey::generate(spec, &random).unwrap();

    measure("random 32 B", || random.bytes::<32>());
    measure("SHA-256 of 1 KiB", || crypto::sha256(&[&[7; 1024]]));
    measure("HMAC-SHA-256 of 64 B, fresh key", || {
        crypto::hmac_sha256(&[7; 32], &[&[7; 64]])
    });

    let symmetric = make(KeySpec::SymmetricDefault);
    let key = symmetric.symmetric().unwrap();
    let arn = b"arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let context = EncryptionContext::new([("purpose", "benchmark")]);
    for length in [32, 4096] {
        let plaintext = vec![7; length];
        let seal = || Envelope::seal(key, &[7; 48], arn, &context, &plaintext, &random).unwrap();
        measure(&format!("envelope seal {length} B"), seal);
        let blob = seal();
        measure(&format!("envelope open {length} B"), || {
            Envelope::parse(&blob).unwrap().open(key, arn, &context).unwrap()
        });
    }

    let account = AccountId::parse("123456789012").unwrap();
    let root = RootKey::generate(&random);
    let region = Region::us_east_1();
    measure("derive domain key", || {
        root.domain(account, &region, "kms/material")
    });
    let domain = root.domain(account, &region, "kms/material");
    measure("domain seal 32 B", || {
        domain.seal(&[b"row"], &[7; 32], &random).unwrap()
    });

    let mac = make(KeySpec::Hmac256);
    measure("HMAC_SHA_256 32 B", || {
        mac.mac(MacAlgorithm::HmacSha256, &[7; 32]).unwrap()
    });
    for spec in [
        KeySpec::EccNistP256,
        KeySpec::EccNistP384,
        KeySpec::EccNistP521,
        KeySpec::EccSecgP256K1,
        KeySpec::EccNistEdwards25519,
        KeySpec::Rsa2048,
    ] {
        let key = make(spec);
        for algorithm in spec.signing_algorithms() {
            let (kind, message) = if *algorithm == SigningAlgorithm::Ed25519PhSha512 {
                (MessageType::Digest, vec![7; 64])
            } else {
                (MessageType::Raw, vec![7; 32])
            };
            measure(&format!("{spec} {algorithm} sign"), || {
                key.sign(*algorithm, kind, &message).unwrap()
            });
            let signature = key.sign(*algorithm, kind, &message).unwrap();
            measure(&format!("{spec} {algorithm} verify"), || {
                key.verify(*algorithm, kind, &message, &signature).unwrap();
            });
        }
        let bytes = key.to_bytes().unwrap();
        measure(&format!("{spec} parse"), || {
            BackingKey::from_bytes(spec, bytes.expose()).unwrap()
        });
        if spec == KeySpec::Rsa2048 {
            let ciphertext = key.encrypt(EncryptionAlgorithm::RsaesOaepSha256, b"x").unwrap();
            measure("RSA_2048 OAEP decrypt", || {
                key.decrypt(EncryptionAlgorithm::RsaesOaepSha256, &ciphertext)
                    .unwrap()
            });
        }
    }
}

//! What is measured of KMS beside single calls: batches, signatures against the
//! bare provider, and many keys and grants.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use crypto::Random;
use crypto::key::{BackingKey, KeySpec, MessageType, SigningAlgorithm};

use crate::server::Server;
use crate::{Figure, calls, load, measure};

const CONNECTIONS: usize = 64;

/// Calls of a batch, as many as one takes.
const BATCH_CALLS: usize = 1000;

/// Processor time of an Encrypt in a batch.
#[expect(clippy::print_stdout, reason = "the benchmark prints its table")]
pub(crate) async fn batch(palisade: &Path, time: Duration) -> Result<()> {
    let data = tempfile::tempdir()?;
    let ours = Server::palisade(palisade, data.path(), calls::CREDENTIAL, false)?;
    let call = calls::batch(ours.address, BATCH_CALLS).await?;
    let figure = measure(&ours, &call, 2, time, None).await?;
    let each = figure.microseconds / BATCH_CALLS as f64;
    println!(
        "| Encrypt in batches of {BATCH_CALLS}, µs of processor time | a processor second |\n|---|---|\n| {each:.2} | {:.0} |",
        1e6 / each
    );
    Ok(())
}

/// Processor time of a P-256 signature by the provider alone, in this process, and by a Sign.
#[expect(clippy::print_stdout, reason = "the benchmark prints its table")]
pub(crate) async fn sign(palisade: &Path, time: Duration) -> Result<()> {
    const SIGNATURES: u32 = 20_000;
    let key = BackingKey::generate(KeySpec::EccNistP256, &Random::system())?;
    let message = [7; 32];
    let started = Instant::now();
    for _ in 0..SIGNATURES {
        std::hint::black_box(key.sign(SigningAlgorithm::EcdsaSha256, MessageType::Raw, &message)?);
    }
    let raw = started.elapsed().as_secs_f64() * 1e6 / f64::from(SIGNATURES);
    let data = tempfile::tempdir()?;
    let ours = Server::palisade(palisade, data.path(), calls::CREDENTIAL, false)?;
    let signer = calls::user(ours.address).await?;
    let mut figures = Vec::new();
    for call in calls::prepare(ours.address, &signer).await? {
        if ["Encrypt", "Sign"].contains(&call.name) {
            let figure = measure(&ours, &call, CONNECTIONS, time, None).await?;
            figures.push(figure.microseconds);
        }
    }
    let [encrypt, sign] = figures[..] else {
        anyhow::bail!("two calls are measured")
    };
    println!(
        "| the provider's P-256 signature, µs | Sign, µs of processor time | beyond it | Encrypt, µs |\n|---|---|---|---|\n\
         | {raw:.1} | {sign:.1} | {:.1} | {encrypt:.1} |",
        sign - raw
    );
    Ok(())
}

/// An Encrypt among few keys and among `keys` with five grants each, how long
/// the server then takes to start, and its memory.
#[expect(clippy::print_stdout, reason = "the benchmark prints its table")]
pub(crate) async fn stored(palisade: &Path, keys: u64, time: Duration) -> Result<()> {
    const FEW: u32 = 128;
    const GRANTS_A_KEY: u64 = 5;
    /// Grants of one key are made one after the other: its count is a row.
    const KEYS_GRANTED_AT_ONCE: usize = 32;
    /// Less than a key may have.
    const GRANTS_ON_ONE: u64 = 25_000;
    let data = tempfile::tempdir()?;
    let start = || Server::palisade(palisade, data.path(), calls::CREDENTIAL, false);
    println!(
        "| keys | grants | Encrypt, µs of processor time | ready after, ms | MiB resident |\n|---|---|---|---|---|"
    );
    let (mut made, mut grants) = (0, 0);
    for wanted in [u64::from(FEW), keys] {
        let ours = start()?;
        if made == 0 {
            calls::create_keys(ours.address, FEW).await?;
            made = wanted;
        }
        while made < wanted {
            let [create_key, _] = calls::making(ours.address).await?;
            made += repeat(&ours, &[create_key], wanted - made).await?;
        }
        while wanted > u64::from(FEW) && grants < wanted * GRANTS_A_KEY {
            let mut create_grants = Vec::with_capacity(KEYS_GRANTED_AT_ONCE);
            for _ in 0..KEYS_GRANTED_AT_ONCE {
                let [_, create_grant] = calls::making(ours.address).await?;
                create_grants.push(create_grant);
            }
            let most = GRANTS_ON_ONE * KEYS_GRANTED_AT_ONCE as u64;
            let missing = (wanted * GRANTS_A_KEY - grants).min(most);
            grants += repeat(&ours, &create_grants, missing).await?;
        }
        drop(ours);
        let started = Instant::now();
        let ours = start()?;
        let ready = started.elapsed();
        let call = calls::encrypt(ours.address).await?;
        let Figure { microseconds, .. } = measure(&ours, &call, CONNECTIONS, time, None).await?;
        println!(
            "| {made} | {grants} | {microseconds:.1} | {:.0} | {} |",
            ready.as_secs_f64() * 1e3,
            ours.resident_bytes()? >> 20
        );
    }
    Ok(())
}

/// Repeats requests side by side, about `count` times in all, for no longer
/// than their signatures are good, and tells how often.
async fn repeat(server: &Server, requests: &[Arc<[u8]>], count: u64) -> Result<u64> {
    const SHORT: Duration = Duration::from_millis(500);
    const LONG: Duration = Duration::from_secs(60);
    let connections = (CONNECTIONS / requests.len()).max(1);
    let run = async |time| {
        let loads = requests
            .iter()
            .map(|request| load::run(server.address, Arc::clone(request), connections, time, None));
        let mut done = 0;
        for load in calls::join_all(loads).await {
            done += load?.requests;
        }
        anyhow::Ok(done)
    };
    let first = run(SHORT).await?;
    ensure!(first > 0, "nothing is made");
    let left = SHORT.as_secs_f64() * count.saturating_sub(first) as f64 / first as f64;
    if left <= 0.0 {
        return Ok(first);
    }
    Ok(first + run(Duration::from_secs_f64(left).min(LONG)).await?)
}

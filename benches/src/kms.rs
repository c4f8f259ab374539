//! What is measured of KMS beside single calls: batches, and signatures against
//! the bare provider.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use crypto::Random;
use crypto::key::{BackingKey, KeySpec, MessageType, SigningAlgorithm};

use crate::server::Server;
use crate::{calls, measure};

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

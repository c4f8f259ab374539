//! Encrypt against moto's server, the emulator that most tests of AWS clients run
//! on: requests a processor second of both, in one run.
//!
//! The peer is a program that was installed beside us, and a black box: what it
//! does not check is found by asking it. Its server closes each connection after
//! the answer, so both are given a connection a request; ours is measured over kept
//! ones too. Every wait has an end.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use testkit::client::{Signer, json_call, try_post};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::server::Server;
use crate::{calls, load, measure};

/// Requests at once, each with a connection of its own.
const AT_ONCE: usize = 8;

/// Connections that ours is measured over when they are kept.
const KEPT: usize = 64;

/// Longest wait for one answer.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Longest wait for the peer to listen.
const START_TIME: Duration = Duration::from_secs(60);

/// Longest wait for all there is to measure, beside the time of the loads.
const REST_TIME: Duration = Duration::from_secs(120);

/// Prints both figures and what the peer answered unchecked.
pub(crate) async fn compare(palisade: &Path, moto: &Path, time: Duration) -> Result<()> {
    let bound = time * 3 + REST_TIME;
    timeout(bound, compare_without_end(palisade, moto, time))
        .await
        .with_context(|| format!("the comparison did not end within {} s", bound.as_secs()))?
}

#[expect(clippy::print_stdout, reason = "the benchmark prints its table")]
async fn compare_without_end(palisade: &Path, moto: &Path, time: Duration) -> Result<()> {
    let data = tempfile::tempdir()?;
    let ours = Server::palisade(palisade, data.path(), calls::CREDENTIAL, false)?;
    let peer = Server::moto(moto)?;
    listening(peer.address).await?;
    let kept = calls::encrypt(ours.address).await?;
    let kept = measure(&ours, &kept, KEPT, time, None).await?;
    let mut each = Vec::new();
    for server in [&ours, &peer] {
        let call = calls::encrypt(server.address).await?;
        // Once before, so that nothing is measured that is done but once.
        run(server.address, &call.request, time / 8).await?;
        let before = server.processor_time()?;
        let (requests, took) = run(server.address, &call.request, time).await?;
        let used = server.processor_time()?.saturating_sub(before);
        ensure!(requests > 0 && !used.is_zero(), "nothing was measured");
        let requests = requests as f64;
        each.push((requests / used.as_secs_f64(), requests / took.as_secs_f64()));
    }
    let [(ours_each, ours_rate), (peer_each, peer_rate)] = each[..] else {
        bail!("two servers are measured")
    };
    let ours_kept = 1e6 / kept.microseconds;
    println!("| Encrypt | a processor second | a second | of moto's a processor second |\n|---|---|---|---|");
    println!("| moto, a connection a request | {peer_each:.0} | {peer_rate:.0} | 1 |");
    println!(
        "| Palisade, a connection a request | {ours_each:.0} | {ours_rate:.0} | {:.0} |",
        ours_each / peer_each
    );
    println!(
        "| Palisade, {KEPT} kept connections | {ours_kept:.0} | {:.0} | {:.0} |",
        kept.per_second,
        ours_kept / peer_each
    );
    for (name, server) in [("Palisade", &ours), ("moto", &peer)] {
        for (what, signer) in [
            ("a wrong secret", Signer::new("AKIABENCHBENCHBENCH1", "another")),
            (
                "a key that nobody has",
                Signer::new("AKIAAAAAAAAAAAAAAAAA", "secret"),
            ),
        ] {
            println!(
                "{name} answers ListKeys signed with {what}: {}",
                status(server.address, &signer).await?
            );
        }
    }
    Ok(())
}

/// Waits until somebody listens there.
async fn listening(address: SocketAddr) -> Result<()> {
    let begun = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        ensure!(begun.elapsed() < START_TIME, "moto's server does not listen");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// What a ListKeys is answered.
async fn status(address: SocketAddr, signer: &Signer) -> Result<u16> {
    let call = json_call("TrentService.ListKeys", &json!({}));
    let answer = timeout(ANSWER_TIME, try_post(address, "kms", Some(signer), call)).await?;
    answer
        .map(|answer| answer.status)
        .map_err(|error| anyhow::anyhow!(error))
}

/// Sends `request` again and again for `time`, each over a connection of its own,
/// and tells how often, and how long that took.
#[expect(clippy::disallowed_methods, reason = "a load is many tasks")]
async fn run(address: SocketAddr, request: &Arc<[u8]>, time: Duration) -> Result<(u64, Duration)> {
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (request, stop, count) = (Arc::clone(request), Arc::clone(&stop), Arc::clone(&count));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    timeout(ANSWER_TIME, load::once(address, &request))
                        .await
                        .context("no answer came in time")??;
                    count.fetch_add(1, Ordering::Relaxed);
                }
                anyhow::Ok(())
            })
        })
        .collect();
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await??;
    }
    Ok((count.load(Ordering::Relaxed), begun.elapsed()))
}

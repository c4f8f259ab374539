//! Palisade against bare hyper on the same body, in one run.
//!
//! Builds both in release, loads them in turn and prints processor time a
//! request and requests a second, ours as a ratio of bare hyper's. Compare
//! ratios, not figures: machines differ, and differ from minute to minute.
//!
//! Bare hyper's processor time is given twice, with a ratio for each: at the
//! rate that ours reaches, and driven to its own limit, where it wakes up less
//! often a request. Requests a second are what each reaches.
//!
//! Usage: cargo run --release -p benches --bin bench

mod calls;
mod kms;
mod load;
mod moto;
mod server;
mod stored;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use crate::server::Server;

/// Measures Palisade against bare hyper.
#[derive(Parser)]
struct Arguments {
    /// Seconds of load for each figure.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Connections at once; may be given several times.
    #[arg(long, default_values_t = [1, 64, 256])]
    connections: Vec<usize>,
    /// Measures these calls alone (`Encrypt`, `Decrypt`, `GenerateDataKey`, `Sign`); may be given several times.
    #[arg(long, value_name = "NAME")]
    call: Vec<String>,
    /// Measures under this audit alone.
    #[arg(long, value_name = "AUDIT")]
    audit: Option<Audit>,
    /// Measures what stands beside this program instead of building anew.
    #[arg(long)]
    no_build: bool,
    /// Also measures CreateKey at 100 and at this many keys.
    #[arg(long, value_name = "KEYS")]
    create_key: Option<u32>,
    /// Also measures GenerateDataKeyPair of RSA_2048, cold and from the pool.
    #[arg(long)]
    data_key_pairs: bool,
    /// Also measures Encrypt in batches.
    #[arg(long)]
    batch: bool,
    /// Also measures Sign against the provider's signature alone.
    #[arg(long)]
    sign: bool,
    /// Measures Encrypt against moto's server and nothing else; this is its program, `moto_server`.
    #[arg(long, value_name = "PROGRAM")]
    moto: Option<PathBuf>,
    /// Also measures Encrypt, lists and the start among this many keys with five grants each.
    #[arg(long, value_name = "KEYS")]
    stored: Option<usize>,
    /// Draws among this many of the stored keys, instead of all of them.
    #[arg(long, value_name = "KEYS", requires = "stored")]
    drawn: Option<usize>,
    /// Keeps the data directories of `--stored` here, and measures those that are here.
    #[arg(long, value_name = "DIRECTORY", requires = "stored")]
    stocked_in: Option<PathBuf>,
}

/// When a record must be on the disk.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Audit {
    /// Within milliseconds; the operating system has it before the answer leaves.
    Normal,
    /// Before the answer leaves.
    Strict,
}

impl Audit {
    fn name(self) -> &'static str {
        match self {
            Audit::Normal => "normal",
            Audit::Strict => "strict",
        }
    }
}

/// One figure.
pub(crate) struct Figure {
    pub(crate) microseconds: f64,
    pub(crate) per_second: f64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let binaries = if arguments.no_build {
        own_directory()?
    } else {
        build()?
    };
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(run(arguments, &binaries))
}

#[expect(clippy::print_stdout, reason = "the benchmark prints its table")]
async fn run(arguments: Arguments, binaries: &Path) -> Result<()> {
    let palisade = binaries.join("palisade");
    if let Some(program) = &arguments.moto {
        return moto::compare(&palisade, program, Duration::from_secs(arguments.seconds)).await;
    }
    println!(
        "| call | audit | connections | ours µs | hyper µs, same rate | ratio | hyper µs, driven | ratio | \
         ours req/s | hyper req/s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for audit in [Audit::Normal, Audit::Strict] {
        if arguments.audit.is_some_and(|wanted| wanted != audit) {
            continue;
        }
        let data = tempfile::tempdir()?;
        let strict = audit == Audit::Strict;
        let ours = Server::palisade(&palisade, data.path(), calls::CREDENTIAL, strict)?;
        let signer = calls::user(ours.address).await?;
        for connections in &arguments.connections {
            for call in calls::prepare(ours.address, &signer).await? {
                if !arguments.call.is_empty() && !arguments.call.iter().any(|name| name == call.name) {
                    continue;
                }
                let bare = Server::bare(&binaries.join("bare-hyper"), call.answer_bytes)?;
                let time = Duration::from_secs(arguments.seconds);
                let figure = measure(&ours, &call, *connections, time, None).await?;
                let driven = measure(&bare, &call, *connections, time, None).await?;
                let floor = measure(&bare, &call, *connections, time, Some(figure.per_second)).await?;
                println!(
                    "| {} | {} | {connections} | {:.1} | {:.1} | {:.2} | {:.1} | {:.2} | {:.0} | {:.0} |",
                    call.name,
                    audit.name(),
                    figure.microseconds,
                    floor.microseconds,
                    figure.microseconds / floor.microseconds,
                    driven.microseconds,
                    figure.microseconds / driven.microseconds,
                    figure.per_second,
                    driven.per_second,
                );
            }
        }
        println!(
            "resident after load, audit {}: {} MiB",
            audit.name(),
            ours.resident_bytes()? >> 20
        );
    }
    if let Some(keys) = arguments.create_key {
        create_key(&palisade, keys).await?;
    }
    if arguments.data_key_pairs {
        data_key_pairs(&palisade).await?;
    }
    let time = Duration::from_secs(arguments.seconds);
    if arguments.batch {
        kms::batch(&palisade, time).await?;
    }
    if arguments.sign {
        kms::sign(&palisade, time).await?;
    }
    if let Some(keys) = arguments.stored {
        let wanted = stored::Wanted {
            keys,
            drawn: arguments.drawn.unwrap_or(keys),
            kept: arguments.stocked_in.as_deref(),
        };
        stored::stored(&palisade, &wanted, time).await?;
    }
    Ok(())
}

pub(crate) async fn measure(
    server: &Server,
    call: &calls::Call,
    connections: usize,
    time: Duration,
    rate: Option<f64>,
) -> Result<Figure> {
    let requests = Arc::clone(&call.request).into();
    measure_all(server, &requests, connections, time, rate).await
}

/// As [`measure`], of many requests in turn.
pub(crate) async fn measure_all(
    server: &Server,
    requests: &load::Requests,
    connections: usize,
    time: Duration,
    rate: Option<f64>,
) -> Result<Figure> {
    let run = |time| load::run(server.address, requests.clone(), connections, time, rate);
    run(Duration::from_millis(300)).await?;
    let before = server.processor_time()?;
    let done = run(time).await?;
    let used = server.processor_time()?.saturating_sub(before);
    ensure!(
        done.requests > 0 && !used.is_zero(),
        "nothing was measured: give it more --seconds"
    );
    let requests = done.requests as f64;
    Ok(Figure {
        microseconds: used.as_secs_f64() * 1e6 / requests,
        per_second: requests / done.took.as_secs_f64(),
    })
}

/// The cost of a durable CreateKey among few keys and among many.
///
/// A sample is small beside the keys that are there, and a hundredth of a
/// second is the finest that the kernel tells: so many samples are added up,
/// those among few keys each on a server of its own.
#[expect(clippy::print_stdout, reason = "the benchmark prints its table")]
async fn create_key(palisade: &Path, keys: u32) -> Result<()> {
    const FEW: u32 = 128;
    const SAMPLE: u32 = 640;
    const SAMPLES: u32 = 10;
    println!("| keys before | CreateKey µs of processor time | CreateKeys a second |\n|---|---|---|");
    let row = |before: u32, (used, took): (Duration, Duration)| {
        let made = f64::from(SAMPLE * SAMPLES);
        println!(
            "| {before} | {:.0} | {:.0} |",
            used.as_secs_f64() * 1e6 / made,
            made / took.as_secs_f64()
        );
    };
    let mut few = (Duration::ZERO, Duration::ZERO);
    for _ in 0..SAMPLES {
        let data = tempfile::tempdir()?;
        let ours = Server::palisade(palisade, data.path(), calls::CREDENTIAL, false)?;
        calls::create_keys(ours.address, FEW).await?;
        let (used, took) = timed_create_keys(&ours, SAMPLE).await?;
        few = (few.0 + used, few.1 + took);
    }
    row(FEW, few);
    let data = tempfile::tempdir()?;
    let ours = Server::palisade(palisade, data.path(), calls::CREDENTIAL, false)?;
    calls::create_keys(ours.address, keys).await?;
    row(keys, timed_create_keys(&ours, SAMPLE * SAMPLES).await?);
    Ok(())
}

/// Pairs of RSA_2048 a second, one after the other: the first of a server, for
/// which one is made, and those that lie ready once it has been idle.
#[expect(clippy::print_stdout, reason = "the benchmark prints its table")]
async fn data_key_pairs(palisade: &Path) -> Result<()> {
    const COLD: u32 = 8;
    /// Fewer than the pool holds.
    const READY: u32 = 48;
    const IDLE: Duration = Duration::from_secs(1);
    let mut cold = Duration::ZERO;
    for _ in 0..COLD {
        let data = tempfile::tempdir()?;
        let ours = Server::palisade(palisade, data.path(), calls::CREDENTIAL, false)?;
        cold += calls::timed_pairs(ours.address, 1).await?;
    }
    let data = tempfile::tempdir()?;
    let ours = Server::palisade(palisade, data.path(), calls::CREDENTIAL, false)?;
    calls::timed_pairs(ours.address, 1).await?;
    // The pool is full once the server has nothing more to do.
    loop {
        let before = ours.processor_time()?;
        tokio::time::sleep(IDLE).await;
        if ours.processor_time()?.saturating_sub(before) < IDLE / 10 {
            break;
        }
    }
    let ready = calls::timed_pairs(ours.address, READY).await?;
    let cold = f64::from(COLD) / cold.as_secs_f64();
    let ready = f64::from(READY) / ready.as_secs_f64();
    println!("| RSA_2048 pairs a second, cold | from the pool | ratio |\n|---|---|---|");
    println!("| {cold:.1} | {ready:.1} | {:.0} |", ready / cold);
    Ok(())
}

/// Processor time and wall time of so many CreateKeys.
pub(crate) async fn timed_create_keys(ours: &Server, count: u32) -> Result<(Duration, Duration)> {
    let before = ours.processor_time()?;
    let started = std::time::Instant::now();
    calls::create_keys(ours.address, count).await?;
    let took = started.elapsed();
    Ok((ours.processor_time()?.saturating_sub(before), took))
}

/// Builds both servers in release and gives the directory of the binaries.
#[expect(clippy::disallowed_methods, reason = "the benchmark builds what it measures")]
fn build() -> Result<PathBuf> {
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--package",
            "palisade",
            "--package",
            "benches",
            "--bins",
        ])
        .status()
        .context("running cargo build")?;
    ensure!(status.success(), "the build failed");
    own_directory()
}

fn own_directory() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let directory = own.parent().context("a program has a directory")?;
    Ok(directory.to_owned())
}

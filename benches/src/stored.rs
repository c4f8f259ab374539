//! Few keys and many, each with five grants: what a call costs among them, how
//! long the server takes to start, and its memory.
//!
//! The rows are written by the service's own functions while no server has the
//! store open: through the door, five million grants take an hour of processor
//! time. Both servers then run side by side and are measured in turn, so that
//! what else the machine does falls on both.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use crypto::Random;
use crypto::hierarchy::RootKey;
use crypto::slot::{KeySlots, SlotSecret};
use ground::{AccountId, Clock, Region};
use kms::Stock;
use store::Store;
use tempfile::TempDir;

use crate::load::Requests;
use crate::server::Server;
use crate::{calls, load, measure_all, timed_create_keys};

/// What many keys are compared with.
const FEW: usize = 128;
const GRANTS_OF_EACH: usize = 5;
const CONNECTIONS: usize = 64;
/// Measurements of each figure, of which the mean is told.
const ROUNDS: u32 = 3;
/// CreateKeys that are measured.
const CREATED: u32 = 3_200;
/// Pages of a list of which the mean is told.
const PAGES: usize = 5;

/// What is to be measured.
pub(crate) struct Wanted<'a> {
    /// How many keys are stored.
    pub(crate) keys: usize,
    /// Of how many of them some are drawn.
    pub(crate) drawn: usize,
    /// Where the data directories are kept for another time.
    pub(crate) kept: Option<&'a Path>,
}

/// A data directory that holds so many keys.
struct Stocked {
    data: PathBuf,
    keys: usize,
    /// Removed with this, unless it is to be kept.
    _passing: Option<TempDir>,
}

/// A server of one, and what was measured of it.
struct Measured {
    server: Server,
    keys: usize,
    /// Keys at random, each once.
    drawn: Vec<String>,
    /// An Encrypt of one key.
    hot_microseconds: f64,
    /// Encrypts of keys that this server has not met.
    new_microseconds: f64,
    /// The same of keys that it met before, as many others as there are ago.
    met_microseconds: f64,
    resident_at_start: u64,
    first_pages: Duration,
    last_pages: Duration,
}

#[expect(clippy::print_stdout, reason = "the benchmark prints its tables")]
pub(crate) async fn stored(palisade: &Path, wanted: &Wanted<'_>, time: Duration) -> Result<()> {
    println!(
        "| keys | grants | store, MiB | written in, s | ready when new to memory, ms | after a stop | after kill -9, at worst |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut stocked = Vec::new();
    for keys in [FEW, wanted.keys] {
        stocked.push(fill(palisade, keys, wanted.kept).await?);
    }
    let mut measured = Vec::new();
    for stocked in &stocked {
        measured.push(Measured::begin(palisade, stocked, wanted.drawn).await?);
    }
    encrypt(&mut measured, time).await?;
    println!(
        "\n| keys | Encrypt of one key, µs of processor time | of keys at random, new to the server | met before | CreateKey | CreateGrant on one key | a second | \
         first pages of ListKeys, ms | last pages | MiB resident at start | after load |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for one in measured {
        one.tell(time).await?;
    }
    Ok(())
}

/// Measures Encrypt on all of them in turn: of one key, of keys at random that the
/// server meets for the first time, and of the same once it has met every one.
/// Requests are signed anew for each, since signatures grow old.
async fn encrypt(measured: &mut [Measured], time: Duration) -> Result<()> {
    let mut turns = Vec::new();
    for one in measured.iter() {
        let address = one.server.address;
        turns.push((
            calls::encrypts(address, &one.drawn[..1]),
            calls::encrypts(address, &one.drawn),
        ));
    }
    for _ in 0..ROUNDS {
        for (one, (hot, drawn)) in measured.iter_mut().zip(&turns) {
            one.hot_microseconds += one.mean_of(hot, time).await?;
            one.new_microseconds += one.mean_of(drawn, time).await?;
        }
    }
    for (one, (_, drawn)) in measured.iter().zip(&turns) {
        while drawn.sent() < drawn.len() {
            load::run(one.server.address, drawn.clone(), CONNECTIONS, time, None).await?;
        }
    }
    for (one, (_, drawn)) in measured.iter().zip(&mut turns) {
        // In another order: where all are used in one order again and again, whatever
        // was used longest ago is wanted next.
        let again = draw(&one.drawn, one.drawn.len());
        *drawn = calls::encrypts(one.server.address, &again);
    }
    for _ in 0..ROUNDS {
        for (one, (_, drawn)) in measured.iter_mut().zip(&turns) {
            one.met_microseconds += one.mean_of(drawn, time).await?;
        }
    }
    Ok(())
}

/// Makes a data directory with so many keys and tells what starting on it takes.
#[expect(clippy::print_stdout, reason = "the benchmark prints its tables")]
async fn fill(palisade: &Path, keys: usize, kept: Option<&Path>) -> Result<Stocked> {
    /// Starts after a kill in the middle of writing.
    const KILLS: usize = 3;
    const WRITING: Duration = Duration::from_secs(1);
    /// Keys that are changed meanwhile.
    const CHANGED: usize = 5_000;
    let (data, passing) = match kept {
        Some(kept) => (kept.join(keys.to_string()), None),
        None => {
            let passing = tempfile::tempdir()?;
            (passing.path().to_owned(), Some(passing))
        }
    };
    let data = data.as_path();
    let started = Instant::now();
    if !data.join("store.redb").exists() {
        start(palisade, data)?.stop()?;
        stock(data, keys).await?;
    }
    let written = started.elapsed();
    let (server, first) = timed_start(palisade, data)?;
    server.stop()?;
    let (mut server, stopped) = timed_start(palisade, data)?;
    let mut killed = Duration::ZERO;
    for _ in 0..KILLS {
        let (ids, _) = calls::list_keys(server.address).await?;
        let changes = calls::changes(server.address, &draw(&ids, CHANGED));
        let writing = load::run(server.address, changes, CONNECTIONS, WRITING * 2, None);
        ensure!(
            tokio::time::timeout(WRITING, writing).await.is_err(),
            "the server was to be killed while it writes"
        );
        drop(server);
        let took;
        (server, took) = timed_start(palisade, data)?;
        killed = killed.max(took);
    }
    server.stop()?;
    let bytes = file_bytes(&data.join("store.redb"))?;
    println!(
        "| {keys} | {} | {} | {:.0} | {:.0} | {:.0} | {:.0} |",
        keys * GRANTS_OF_EACH,
        bytes >> 20,
        written.as_secs_f64(),
        milliseconds(first),
        milliseconds(stopped),
        milliseconds(killed),
    );
    Ok(Stocked {
        data: data.to_owned(),
        keys,
        _passing: passing,
    })
}

/// Writes keys and grants into the store of a server that was started once and stopped.
async fn stock(data: &Path, keys: usize) -> Result<()> {
    let root_key = root_key(data)?;
    let mut config = store::Config::redb(data.join("store.redb"));
    config.page_cache_bytes = 256 << 20;
    let store = Store::open(config).await?;
    let region = Region::us_east_1();
    let wanted = Stock {
        account: AccountId::parse(calls::ACCOUNT)?,
        region: &region,
        keys,
        grants_of_each: GRANTS_OF_EACH,
        now: Clock::system().now(),
    };
    kms::stock(&store, &root_key, &Random::system(), &wanted).await?;
    store.close().await;
    Ok(())
}

/// The root key of a directory of `palisade dev`, which lies beside its slots.
#[expect(
    clippy::disallowed_methods,
    reason = "the benchmark opens what its own server made"
)]
fn root_key(data: &Path) -> Result<RootKey> {
    let slots = KeySlots::parse(&std::fs::read(data.join("slots.json"))?)?;
    let key = std::fs::read(data.join("root.key"))?;
    let (root_key, _) = slots.unlock(&SlotSecret::KeyFile(&key))?;
    Ok(root_key)
}

fn file_bytes(path: &Path) -> Result<u64> {
    Ok(std::fs::metadata(path)?.len())
}

fn start(palisade: &Path, data: &Path) -> Result<Server> {
    Server::palisade(palisade, data, calls::CREDENTIAL, false)
}

fn timed_start(palisade: &Path, data: &Path) -> Result<(Server, Duration)> {
    let started = Instant::now();
    let server = start(palisade, data)?;
    Ok((server, started.elapsed()))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl Measured {
    async fn begin(palisade: &Path, stocked: &Stocked, drawn: usize) -> Result<Measured> {
        let server = start(palisade, &stocked.data)?;
        let resident_at_start = server.resident_bytes()?;
        let (ids, pages) = calls::list_keys(server.address).await?;
        ensure!(ids.len() >= stocked.keys, "{} keys are listed", ids.len());
        let mean =
            |pages: &[Duration]| pages.iter().sum::<Duration>() / u32::try_from(pages.len()).unwrap_or(1);
        let some = pages.len().min(PAGES);
        Ok(Measured {
            keys: stocked.keys,
            drawn: draw(&ids, stocked.keys.min(drawn)),
            hot_microseconds: 0.0,
            new_microseconds: 0.0,
            met_microseconds: 0.0,
            resident_at_start,
            first_pages: mean(&pages[..some]),
            last_pages: mean(&pages[pages.len() - some..]),
            server,
        })
    }

    /// What one of the rounds adds to the mean.
    async fn mean_of(&self, requests: &Requests, time: Duration) -> Result<f64> {
        let figure = measure_all(&self.server, requests, CONNECTIONS, time, None).await?;
        Ok(figure.microseconds / f64::from(ROUNDS))
    }

    #[expect(clippy::print_stdout, reason = "the benchmark prints its tables")]
    async fn tell(self, time: Duration) -> Result<()> {
        let address = self.server.address;
        let (used, _) = timed_create_keys(&self.server, CREATED).await?;
        let (ids, _) = calls::list_keys(address).await?;
        let key = ids.first().context("there are keys")?;
        // For another than who makes them, whose own grants are looked at in each call.
        calls::grantee(address).await?;
        let grant = calls::create_grant(address, key).into();
        let grants = measure_all(&self.server, &grant, CONNECTIONS, time, None).await?;
        println!(
            "| {} | {:.1} | {:.1} | {:.1} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} | {} | {} |",
            self.keys,
            self.hot_microseconds,
            self.new_microseconds,
            self.met_microseconds,
            used.as_secs_f64() * 1e6 / f64::from(CREATED),
            grants.microseconds,
            grants.per_second,
            milliseconds(self.first_pages),
            milliseconds(self.last_pages),
            self.resident_at_start >> 20,
            self.server.resident_bytes()? >> 20,
        );
        Ok(())
    }
}

/// So many of them, at random, each once while there are any left.
fn draw(ids: &[String], count: usize) -> Vec<String> {
    let random = Random::system();
    let mut places: Vec<usize> = (0..ids.len()).collect();
    let count = count.min(places.len());
    for at in 0..count {
        let left = places.len() - at;
        let drawn = usize::try_from(u64::from_be_bytes(random.bytes()) % left as u64).unwrap_or(0);
        places.swap(at, at + drawn);
    }
    places[..count].iter().map(|place| ids[*place].clone()).collect()
}

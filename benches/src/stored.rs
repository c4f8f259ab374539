//! Few keys and many, each with five grants: what a call costs among them, how
//! long the server takes to start, and its memory.
//!
//! The rows are written by the service's own functions while no server has the
//! store open: through the door, five million grants take an hour of processor
//! time. Both servers then run side by side and are measured in turn, so that
//! what else the machine does falls on both.

use std::path::Path;
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
/// Keys used one after the other where keys are drawn: many times what the server
/// keeps in memory.
const DRAWN: usize = 50_000;
/// CreateKeys that are measured.
const CREATED: u32 = 3_200;
/// Pages of a list of which the mean is told.
const PAGES: usize = 5;

/// A data directory that holds so many keys.
struct Stocked {
    data: TempDir,
    keys: usize,
}

/// A server of one, and what was measured of it.
struct Measured {
    server: Server,
    keys: usize,
    /// An Encrypt of one key.
    hot: Requests,
    /// Encrypts of keys drawn at random.
    drawn: Requests,
    hot_microseconds: f64,
    drawn_microseconds: f64,
    resident_at_start: u64,
    first_pages: Duration,
    last_pages: Duration,
}

#[expect(clippy::print_stdout, reason = "the benchmark prints its tables")]
pub(crate) async fn stored(palisade: &Path, keys: usize, time: Duration) -> Result<()> {
    println!(
        "| keys | grants | store, MiB | written in, s | ready when new to memory, ms | after a stop | after kill -9, at worst |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut stocked = Vec::new();
    for keys in [FEW, keys] {
        stocked.push(fill(palisade, keys).await?);
    }
    let mut measured = Vec::new();
    for stocked in &stocked {
        measured.push(Measured::begin(palisade, stocked).await?);
    }
    for _ in 0..ROUNDS {
        for one in &mut measured {
            one.encrypt(time).await?;
        }
    }
    println!(
        "\n| keys | Encrypt of one key, µs of processor time | of keys at random | CreateKey | CreateGrant on one key | a second | \
         first pages of ListKeys, ms | last pages | MiB resident at start | after load |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for one in measured {
        one.tell(time).await?;
    }
    Ok(())
}

/// Makes a data directory with so many keys and tells what starting on it takes.
#[expect(clippy::print_stdout, reason = "the benchmark prints its tables")]
async fn fill(palisade: &Path, keys: usize) -> Result<Stocked> {
    /// Starts after a kill in the middle of writing.
    const KILLS: usize = 3;
    const WRITING: Duration = Duration::from_secs(1);
    /// Keys that are changed meanwhile.
    const CHANGED: usize = 5_000;
    let data = tempfile::tempdir()?;
    start(palisade, data.path())?.stop()?;
    let started = Instant::now();
    stock(data.path(), keys).await?;
    let written = started.elapsed();
    let (server, first) = timed_start(palisade, data.path())?;
    server.stop()?;
    let (mut server, stopped) = timed_start(palisade, data.path())?;
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
        (server, took) = timed_start(palisade, data.path())?;
        killed = killed.max(took);
    }
    server.stop()?;
    let bytes = file_bytes(&data.path().join("store.redb"))?;
    println!(
        "| {keys} | {} | {} | {:.0} | {:.0} | {:.0} | {:.0} |",
        keys * GRANTS_OF_EACH,
        bytes >> 20,
        written.as_secs_f64(),
        milliseconds(first),
        milliseconds(stopped),
        milliseconds(killed),
    );
    Ok(Stocked { data, keys })
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
    async fn begin(palisade: &Path, stocked: &Stocked) -> Result<Measured> {
        let server = start(palisade, stocked.data.path())?;
        let resident_at_start = server.resident_bytes()?;
        let (ids, pages) = calls::list_keys(server.address).await?;
        ensure!(ids.len() >= stocked.keys, "{} keys are listed", ids.len());
        let mean =
            |pages: &[Duration]| pages.iter().sum::<Duration>() / u32::try_from(pages.len()).unwrap_or(1);
        let some = pages.len().min(PAGES);
        let drawn = draw(&ids, stocked.keys.min(DRAWN));
        Ok(Measured {
            keys: stocked.keys,
            hot: calls::encrypts(server.address, &drawn[..1]),
            drawn: calls::encrypts(server.address, &drawn),
            hot_microseconds: 0.0,
            drawn_microseconds: 0.0,
            resident_at_start,
            first_pages: mean(&pages[..some]),
            last_pages: mean(&pages[pages.len() - some..]),
            server,
        })
    }

    async fn encrypt(&mut self, time: Duration) -> Result<()> {
        let hot = measure_all(&self.server, &self.hot, CONNECTIONS, time, None).await?;
        self.hot_microseconds += hot.microseconds / f64::from(ROUNDS);
        let drawn = measure_all(&self.server, &self.drawn, CONNECTIONS, time, None).await?;
        self.drawn_microseconds += drawn.microseconds / f64::from(ROUNDS);
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "the benchmark prints its tables")]
    async fn tell(self, time: Duration) -> Result<()> {
        let address = self.server.address;
        let (used, _) = timed_create_keys(&self.server, CREATED).await?;
        let (ids, _) = calls::list_keys(address).await?;
        let key = ids.first().context("there are keys")?;
        // For another than who makes them, whose own grants are looked at in each call.
        calls::user(address).await?;
        let grant = [calls::create_grant(address, key)].into();
        let grants = measure_all(&self.server, &grant, CONNECTIONS, time, None).await?;
        println!(
            "| {} | {:.1} | {:.1} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} | {} | {} |",
            self.keys,
            self.hot_microseconds,
            self.drawn_microseconds,
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

//! Measures the store: `cargo bench -p store`.
//!
//! Cached and uncached reads, commits by one and by many, and whether a row
//! costs more to create when there are many. Prints one line per figure;
//! PostgreSQL runs on this machine, as in the tests.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the workshop measures, and stops where it cannot"
)]
#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use ground::{AccountId, Region};
use serde::{Deserialize, Serialize};
use store::{Config, EngineConfig, Prefix, Scope, Store, StoreError, Table};
use testkit::postgres::Server;

#[derive(Clone, Serialize, Deserialize)]
struct Key {
    id: String,
    policy: String,
    description: String,
    created: i64,
    enabled: bool,
}

const KEYS: Table<String, Key> = Table::new("kms/key", 1);
const ALIASES: Table<String, String> = Table::new("kms/alias", 1);

fn scope() -> Scope {
    Scope::regional(
        AccountId::from_number(123_456_789_012).unwrap(),
        &Region::us_east_1(),
    )
}

fn id(number: u64) -> String {
    format!(
        "{:08x}-12ab-34cd-56ef-{number:012x}",
        number.wrapping_mul(2_654_435_761) % 0xffff_ffff
    )
}

fn record(number: u64) -> Key {
    Key {
        id: id(number),
        policy: "p".repeat(600),
        description: String::new(),
        created: 1_767_323_045_678,
        enabled: true,
    }
}

/// What CreateKey does: looks whether the alias is free, writes key and alias, announces.
async fn create_key(store: &Store, number: u64) {
    let record = record(number);
    store
        .transact(&scope(), async |tx| {
            let alias = format!("alias/{number}");
            assert!(tx.get(&ALIASES, &alias).await?.is_none());
            tx.put(&KEYS, &record.id, &record);
            tx.put(&ALIASES, &alias, &record.id);
            tx.announce("kms/KeyCreated", &record.id);
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
}

fn line(engine: &str, what: &str, figure: impl std::fmt::Display) {
    println!("{engine:<10} {what:<44} {figure}");
}

fn rate(count: u64, took: Duration) -> String {
    format!(
        "{:.0}/s ({:.2} µs each)",
        count as f64 / took.as_secs_f64(),
        took.as_secs_f64() * 1e6 / count as f64
    )
}

/// Commits by `writers` at once for about a second.
async fn commits(store: &Store, writers: u64, from: u64) -> (u64, Duration) {
    let begin = Instant::now();
    let before = store.stats();
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..writers {
        let store = store.clone();
        tasks.spawn(async move {
            let mut done = 0;
            while begin.elapsed() < Duration::from_secs(1) {
                create_key(&store, from + writer * 1_000_000 + done).await;
                done += 1;
            }
            done
        });
    }
    let done: u64 = tasks.join_all().await.into_iter().sum();
    let took = begin.elapsed();
    let batches = store.stats().batches - before.batches;
    println!("           {done} commits in {batches} flushes");
    (done, took)
}

async fn reads(engine: &str, store: &Store) {
    let ids: Vec<String> = (0..1_000).map(id).collect();
    for _ in 0..2 {
        let view = store.view(scope());
        for id in &ids {
            view.get(&KEYS, id).await.unwrap().unwrap();
        }
    }
    let rounds = 2_000u64;
    let begin = Instant::now();
    for round in 0..rounds {
        // A view for each request of ten reads.
        let at = (round * 10 % 1_000) as usize;
        let view = store.view(scope());
        for id in &ids[at..at + 10] {
            black_box(view.get(&KEYS, id).await.unwrap());
        }
    }
    line(
        engine,
        "cached get, in views of ten",
        rate(rounds * 10, begin.elapsed()),
    );

    let begin = Instant::now();
    let view = store.view(scope());
    for _ in 0..100_000 {
        black_box(view.peek(&KEYS, &ids[7]).await.unwrap());
    }
    line(
        engine,
        "cached get, one row, one view",
        rate(100_000, begin.elapsed()),
    );

    let begin = Instant::now();
    let mut count = 0;
    for number in 10_000..12_000 {
        let view = store.view(scope());
        black_box(view.get(&KEYS, &id(number)).await.unwrap());
        count += 1;
    }
    line(engine, "uncached get", rate(count, begin.elapsed()));

    let begin = Instant::now();
    let mut after = None;
    let mut pages = 0;
    for _ in 0..50 {
        let page = store
            .view(scope())
            .scan(&KEYS, &Prefix::all(), after.as_ref(), 100)
            .await
            .unwrap();
        after = page.next;
        pages += 1;
    }
    line(engine, "uncached page of 100", rate(pages, begin.elapsed()));
    let begin = Instant::now();
    for _ in 0..10_000 {
        black_box(
            store
                .view(scope())
                .scan(&KEYS, &Prefix::all(), None, 100)
                .await
                .unwrap(),
        );
    }
    line(engine, "cached page of 100", rate(10_000, begin.elapsed()));
}

async fn measure(engine: &str, config: Config) {
    let resident = resident_kib();
    let begin = Instant::now();
    let store = Store::open(config.clone()).await.unwrap();
    line(
        engine,
        "opening a new store",
        format!("{:.1} ms", begin.elapsed().as_secs_f64() * 1e3),
    );

    line(
        engine,
        "memory of a new store",
        format!("{} KiB", resident_kib().saturating_sub(resident)),
    );
    for number in 0..100 {
        create_key(&store, number).await;
    }
    let few = Instant::now();
    for number in 100..400 {
        create_key(&store, number).await;
    }
    line(
        engine,
        "CreateKey at 100 keys, one writer",
        rate(300, few.elapsed()),
    );
    let mut number = 400;
    while number < 100_000 {
        let tx = store.view(scope()).begin();
        for _ in 0..500 {
            tx.put(&KEYS, &id(number), &record(number));
            tx.put(&ALIASES, &format!("alias/{number}"), &id(number));
            number += 1;
        }
        store.commit(tx).await.unwrap();
    }
    let many = Instant::now();
    for number in 100_500..100_800 {
        create_key(&store, number).await;
    }
    line(
        engine,
        "CreateKey at 100,000 keys, one writer",
        rate(300, many.elapsed()),
    );
    for writers in [1, 64, 512] {
        let (done, took) = commits(&store, writers, 1_000_000_000 * writers).await;
        line(engine, &format!("CreateKey, {writers} writers"), rate(done, took));
    }
    reads(engine, &store).await;
    if let EngineConfig::Redb { path, durable } = &config.engine {
        // What the disk holds now is what a killed process leaves.
        let copy = path.with_extension("killed");
        std::fs::copy(path, &copy).unwrap();
        let size = std::fs::metadata(&copy).unwrap().len() / 1_048_576;
        let begin = Instant::now();
        let config = if *durable {
            Config::redb(&copy)
        } else {
            Config::redb_throwaway(&copy)
        };
        let killed = Store::open(config).await.unwrap();
        let took = begin.elapsed().as_secs_f64() * 1e3;
        line(
            engine,
            &format!("opening {size} MiB after a kill"),
            format!("{took:.1} ms"),
        );
        killed.close().await;
    }
    let begin = Instant::now();
    store.close().await;
    line(
        engine,
        "closing",
        format!("{:.1} ms", begin.elapsed().as_secs_f64() * 1e3),
    );
    let begin = Instant::now();
    let store = Store::open(config).await.unwrap();
    line(
        engine,
        "opening it again",
        format!("{:.1} ms", begin.elapsed().as_secs_f64() * 1e3),
    );
    store.close().await;
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let fsync = probe_fsync(directory.path());
        line(
            "disk",
            "write and flush of 4 KiB",
            format!("{:.0} µs", fsync.as_secs_f64() * 1e6),
        );
        measure(
            "throwaway",
            Config::redb_throwaway(directory.path().join("throwaway.redb")),
        )
        .await;
        measure("redb", Config::redb(directory.path().join("durable.redb"))).await;
        let server = Server::start();
        measure("postgres", Config::postgres(server.database().await)).await;
    });
}

/// What one flush costs here: the floor of a durable commit.
fn probe_fsync(directory: &std::path::Path) -> Duration {
    use std::os::unix::fs::FileExt as _;

    let file = std::fs::File::create(directory.join("probe")).unwrap();
    file.write_all_at(&[0; 65_536], 0).unwrap();
    file.sync_all().unwrap();
    let begin = Instant::now();
    for round in 0..200u64 {
        file.write_all_at(&[1; 4_096], round % 16 * 4_096).unwrap();
        file.sync_data().unwrap();
    }
    begin.elapsed() / 200
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
}

//! `kill -9` in the middle of commits.

#![expect(
    clippy::disallowed_methods,
    reason = "the test starts itself as the process to be killed"
)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use store::{Config, EngineConfig, Prefix, Store, StoreError, Table};
use tokio::task::JoinSet;

use crate::bed::{Bed, scope};

const LEFT: Table<String, String> = Table::new("test/left", 1);
const RIGHT: Table<String, String> = Table::new("test/right", 1);

const PLACE: &str = "STORE_CRASH_PLACE";
const ROUND: &str = "STORE_CRASH_ROUND";

/// The process that is killed: commits pairs of rows and says which were acknowledged.
#[test]
fn child_that_commits_until_it_is_killed() {
    let (Ok(place), Ok(round)) = (std::env::var(PLACE), std::env::var(ROUND)) else {
        return;
    };
    let config = if place.starts_with("postgres:") {
        Config::postgres(place)
    } else if let Some(path) = place.strip_prefix("throwaway:") {
        Config::redb_throwaway(path)
    } else {
        Config::redb(place)
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Store::open(config).await.unwrap();
        let mut tasks = JoinSet::new();
        for task in 0..8 {
            let (store, round) = (store.clone(), round.clone());
            tasks.spawn(async move {
                for step in 0u64.. {
                    let id = format!("{round}-{task}-{step}");
                    // Sizes around a page, so that pages split and are freed.
                    let value = "x".repeat(usize::try_from(step * 977 % 6_000).unwrap());
                    store
                        .transact(&scope(), async |tx| {
                            tx.put(&LEFT, &id, &value);
                            tx.put(&RIGHT, &id, &value);
                            Ok::<_, StoreError>(())
                        })
                        .await
                        .unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "ack {id}").and_then(|()| out.flush()).unwrap();
                }
            });
        }
        tasks.join_all().await;
    });
}

/// Runs the child for a while, kills it, and tells what it had acknowledged.
fn run_and_kill(place: &str, round: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "crash::child_that_commits_until_it_is_killed",
            "--nocapture",
        ])
        .env(PLACE, place)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = child.stdout.take().unwrap();
    let reader = std::thread::Builder::new()
        .spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            let acks = lines.filter_map(|line| line.strip_prefix("ack ").map(str::to_owned));
            let mut acknowledged = Vec::new();
            let mut first = None;
            for id in acks {
                first.get_or_insert_with(Instant::now);
                acknowledged.push(id);
            }
            acknowledged
        })
        .unwrap();
    std::thread::sleep(Duration::from_millis(700 + 130 * round as u64));
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

async fn all(store: &Store, table: &Table<String, String>) -> BTreeSet<(String, usize)> {
    let view = store.view(scope());
    let mut found = BTreeSet::new();
    let mut after = None;
    loop {
        let page = view
            .scan(table, &Prefix::all(), after.as_ref(), 1_000)
            .await
            .unwrap();
        found.extend(page.items.into_iter().map(|(id, value)| (id, value.len())));
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

async fn killed_store_keeps_what_it_acknowledged(place: &str, config: &Config) {
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let place = place.to_owned();
        let more = tokio::task::spawn_blocking(move || run_and_kill(&place, round))
            .await
            .unwrap();
        assert!(!more.is_empty(), "the child got nothing done in round {round}");
        acknowledged.extend(more);
        let store = Store::open(config.clone()).await.unwrap();
        let (left, right) = (all(&store, &LEFT).await, all(&store, &RIGHT).await);
        assert_eq!(left, right, "a commit was torn");
        let kept: BTreeSet<_> = left.into_iter().map(|(id, _)| id).collect();
        for id in &acknowledged {
            assert!(kept.contains(id), "{id} was acknowledged and is gone");
        }
        store.close().await;
    }
    println!("{} commits acknowledged over three lives", acknowledged.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn redb_survives_kill_9() {
    let bed = Bed::redb();
    let EngineConfig::Redb { path, .. } = &bed.config.engine else {
        panic!("not a file");
    };
    killed_store_keeps_what_it_acknowledged(path.to_str().unwrap(), &bed.config).await;
}

/// Without flushes a commit still survives the process, if not the machine.
#[tokio::test(flavor = "multi_thread")]
async fn throwaway_redb_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let place = format!("throwaway:{}", path.display());
    killed_store_keeps_what_it_acknowledged(&place, &Config::redb_throwaway(path)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_survives_kill_9_of_a_node() {
    let bed = Bed::postgres().await;
    let EngineConfig::Postgres { url, .. } = &bed.config.engine else {
        panic!("not a database");
    };
    killed_store_keeps_what_it_acknowledged(url, &bed.config).await;
}

//! How fast the journal takes records, and at what cost of processor time.
//!
//! Each run gives records per second and processor time of the whole process
//! per record (writer, syncing thread, compressing thread and the runtime).
//! For runs that wait for the disk, the time of one sync is measured in the
//! same run, and the last column compares the rate with callers ÷ sync time,
//! which is what a journal could reach if nothing but the disk cost time.
//!
//! `cargo bench -p journal`; `JOURNAL_BENCH_DIRECTORY` chooses the disk.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark prints, and stops at the first failure"
)]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use journal::{Config, Durability, Journal, Position, verify};
use rustix::time::{ClockId, clock_gettime};

const RUN: Duration = Duration::from_secs(3);
const WORKERS: usize = 2;

fn main() {
    let parent = std::env::var_os("JOURNAL_BENCH_DIRECTORY")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    std::fs::create_dir_all(&parent).unwrap();
    let record = audit_record(0);
    println!(
        "record: {} bytes; {WORKERS} worker threads; {} s each",
        record.len(),
        RUN.as_secs()
    );
    println!(
        "bare sync of one such record, appended to a file: {:?} (median of 400)",
        bare_sync(&parent, &record)
    );
    println!(
        "hash alone, 852 bytes: {:.2} µs",
        per_call(|| {
            std::hint::black_box(crypto::sha256(&[&[7; 852]]));
        })
    );
    println!();
    println!(
        "{:<34} {:>7} {:>12} {:>9} {:>9} {:>9} {:>10} {:>12} {:>8}",
        "run", "callers", "records/s", "CPU µs", "p50 µs", "p99 µs", "sync µs", "rec. / sync", "ratio"
    );
    for compress_sealed in [true, false] {
        for callers in [1, 64, 512] {
            run(&parent, callers, Durability::Written, compress_sealed);
        }
    }
    // What one sync costs differs from minute to minute, so the runs that wait for it are made twice.
    for callers in [1, 64, 512, 1, 64, 512] {
        run(&parent, callers, Durability::Synced, true);
    }
    compressing(&parent);
    reading(&parent);
}

fn run(parent: &Path, callers: u64, durability: Durability, compress_sealed: bool) {
    let directory = tempfile::tempdir_in(parent).unwrap();
    let (journal, _) = Journal::open(Config {
        compress_sealed,
        ..Config::new(directory.path())
    })
    .unwrap();
    let journal = Arc::new(journal);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .unwrap();
    let (cpu_before, began) = (cpu(), Instant::now());
    let numbers = Arc::new(AtomicU64::new(0));
    let mut latencies = runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..callers {
            let (journal, numbers) = (Arc::clone(&journal), Arc::clone(&numbers));
            tasks.spawn(async move {
                // One template per caller; only the number changes, which costs next to nothing.
                let mut record = audit_record(0);
                let mut latencies = Vec::new();
                while began.elapsed() < RUN {
                    let number = numbers.fetch_add(1, Ordering::Relaxed);
                    renumber(&mut record, number);
                    let asked = Instant::now();
                    journal.append(&record, durability).await.unwrap();
                    if number % 16 == 0 {
                        latencies.push(asked.elapsed());
                    }
                    // A caller of the real journal awaits its socket between records.
                    tokio::task::yield_now().await;
                }
                latencies
            });
        }
        tasks.join_all().await.concat()
    });
    let elapsed = began.elapsed();
    let stats = journal.stats();
    let records = stats.records as f64;
    runtime.block_on(journal.close()).unwrap();
    let cpu_us = (cpu() - cpu_before).as_secs_f64() * 1e6 / records;
    latencies.sort_unstable();
    let at = |share: f64| latencies[(latencies.len() as f64 * share) as usize].as_secs_f64() * 1e6;
    let rate = records / elapsed.as_secs_f64();
    let sync = stats.sync_total.as_secs_f64() / stats.syncs.max(1) as f64;
    let (mode, ratio) = match durability {
        Durability::Written if compress_sealed => ("Written, compressing when sealed", String::new()),
        Durability::Written => ("Written, not compressing", String::new()),
        Durability::Synced => ("Synced", format!("{:.2}", rate / (callers as f64 / sync))),
    };
    println!(
        "{mode:<34} {callers:>7} {rate:>12.0} {cpu_us:>9.2} {:>9.1} {:>9.1} {:>10.0} {:>12.1} {ratio:>8}",
        at(0.5),
        at(0.99),
        sync * 1e6,
        records / stats.syncs.max(1) as f64,
    );
}

/// What compression costs and saves, on the bytes of a segment in blocks of a megabyte.
fn compressing(parent: &Path) {
    const RECORDS: u64 = 60_000;
    let directory = tempfile::tempdir_in(parent).unwrap();
    let (journal, _) = Journal::open(Config::new(directory.path())).unwrap();
    for number in 0..RECORDS {
        journal
            .append_blocking(&audit_record(number), Durability::Written)
            .unwrap();
    }
    drop(journal);
    let plain = std::fs::read(directory.path().join("00000000000000000001.segment")).unwrap();
    println!();
    for level in [1, 2, 3, 6] {
        let began = cpu();
        let packed: usize = plain
            .chunks(1024 * 1024)
            .map(|block| zstd::bulk::compress(block, level).unwrap().len())
            .sum();
        let per_record = (cpu() - began).as_secs_f64() * 1e6 / RECORDS as f64;
        println!(
            "zstd level {level}: {per_record:.2} µs and {} bytes per record of {} in the log",
            packed as u64 / RECORDS,
            plain.len() as u64 / RECORDS
        );
    }
}

/// Reading, verifying and opening a journal of 400,000 records.
fn reading(parent: &Path) {
    const RECORDS: u64 = 400_000;
    let directory = tempfile::tempdir_in(parent).unwrap();
    let (journal, _) = Journal::open(Config::new(directory.path())).unwrap();
    let mut plain = 0;
    for number in 0..RECORDS {
        let record = audit_record(number);
        plain += record.len() as u64;
        journal.append_blocking(&record, Durability::Written).unwrap();
    }
    while journal.synced() < journal.written()
        || journal.stats().segments_compressed < journal.stats().segments_sealed
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    let stored: u64 = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    println!();
    println!("{RECORDS} records, {plain} bytes, stored in {stored} bytes");
    let per_record = |what: &str, began: Instant| {
        println!(
            "{what}: {:.2} µs per record",
            began.elapsed().as_secs_f64() * 1e6 / RECORDS as f64
        );
    };
    let began = Instant::now();
    let mut reader = journal.reader(Position::START).unwrap();
    while reader.next_entry().unwrap().is_some() {}
    per_record("reading forwards", began);
    let began = Instant::now();
    assert_eq!(journal.newest_first(u64::MAX).unwrap().count() as u64, RECORDS);
    per_record("reading backwards", began);
    let began = Instant::now();
    assert_eq!(
        verify(directory.path(), None, |_| {}).unwrap().position,
        Position(RECORDS)
    );
    per_record("verifying", began);
    let began = Instant::now();
    drop(journal);
    println!("closing: {:?}", began.elapsed());
    let began = Instant::now();
    let (journal, _) = Journal::open(Config::new(directory.path())).unwrap();
    println!("opening: {:?}", began.elapsed());
    drop(journal);
    let throw_away = Config {
        durable: false,
        ..Config::new(directory.path().join("throw-away"))
    };
    let began = Instant::now();
    let (journal, _) = Journal::open(throw_away).unwrap();
    println!("opening an empty one that is not durable: {:?}", began.elapsed());
    drop(journal);
}

/// A record of the shape and size the gate writes for `kms:Encrypt`.
fn audit_record(number: u64) -> Vec<u8> {
    let id = crypto::sha256(&[&number.to_le_bytes()]);
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        r#"{{"eventVersion":"1.11","sequence":"{number:020}","userIdentity":{{"type":"IAMUser","principalId":"AIDA{}","arn":"arn:aws:iam::123456789012:user/alice","accountId":"123456789012","accessKeyId":"AKIA{}","userName":"alice"}},"eventTime":"2026-01-02T03:04:05Z","eventSource":"kms.amazonaws.com","eventName":"Encrypt","awsRegion":"eu-central-1","sourceIPAddress":"10.0.0.17","userAgent":"aws-cli/2.31 Python/3.13 Linux/6.12","requestParameters":{{"keyId":"{}","encryptionAlgorithm":"SYMMETRIC_DEFAULT"}},"responseElements":null,"requestID":"{}","eventID":"{}","readOnly":true,"resources":[{{"accountId":"123456789012","type":"AWS::KMS::Key","ARN":"arn:aws:kms:eu-central-1:123456789012:key/{}"}}],"eventType":"AwsApiCall"}}"#,
        &hex[..16], &hex[16..32], &hex[..36], &hex[10..46], &hex[20..56], &hex[..36],
    )
    .into_bytes()
}

fn renumber(record: &mut [u8], number: u64) {
    const AT: usize = r#"{"eventVersion":"1.11","sequence":""#.len();
    let mut rest = number;
    for digit in record[AT..AT + 20].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

fn bare_sync(parent: &Path, record: &[u8]) -> Duration {
    let path = parent.join("bare-sync");
    let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
    let mut times: Vec<Duration> = (0..400)
        .map(|_| {
            file.write_all(record).unwrap();
            let began = Instant::now();
            file.sync_data().unwrap();
            began.elapsed()
        })
        .collect();
    std::fs::remove_file(&path).unwrap();
    times.sort_unstable();
    times[times.len() / 2]
}

fn per_call(call: impl Fn()) -> f64 {
    const CALLS: u32 = 200_000;
    let began = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS)
}

/// Processor time of this process.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

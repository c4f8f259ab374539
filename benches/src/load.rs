//! The load: the same signed bytes, or the same few thousand, over kept-alive
//! connections. A signature is good for five minutes and may be repeated, so the
//! client costs little.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What a load did.
pub(crate) struct Done {
    pub(crate) requests: u64,
    pub(crate) took: Duration,
}

/// Requests that are sent in turn; every load goes on where the one before ended.
#[derive(Clone)]
pub(crate) struct Requests {
    all: Arc<[Arc<[u8]>]>,
    sent: Arc<AtomicUsize>,
}

impl Requests {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many were sent so far, in all loads together.
    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    fn next(&self) -> Option<&Arc<[u8]>> {
        let turn = self.sent.fetch_add(1, Ordering::Relaxed);
        self.all.get(turn.checked_rem(self.all.len())?)
    }
}

impl FromIterator<Arc<[u8]>> for Requests {
    fn from_iter<T: IntoIterator<Item = Arc<[u8]>>>(requests: T) -> Requests {
        Requests {
            all: requests.into_iter().collect(),
            sent: Arc::default(),
        }
    }
}

impl From<Arc<[u8]>> for Requests {
    fn from(request: Arc<[u8]>) -> Requests {
        Requests::from_iter([request])
    }
}

/// Sends `requests` again and again over `connections` for `time`, as fast as
/// they are answered or at `rate` requests a second in all; every answer must be
/// a 200.
#[expect(clippy::disallowed_methods, reason = "a load is many tasks")]
pub(crate) async fn run(
    address: SocketAddr,
    requests: Requests,
    connections: usize,
    time: Duration,
    rate: Option<f64>,
) -> Result<Done> {
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let pause = rate.map(|rate| Duration::from_secs_f64(connections as f64 / rate));
    let tasks: Vec<_> = (0..connections)
        .map(|_| {
            tokio::spawn(talk(
                address,
                requests.clone(),
                Arc::clone(&stop),
                Arc::clone(&count),
                pause,
            ))
        })
        .collect();
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await??;
    }
    Ok(Done {
        requests: count.load(Ordering::Relaxed),
        took: started.elapsed(),
    })
}

async fn talk(
    address: SocketAddr,
    requests: Requests,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    pause: Option<Duration>,
) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(16 << 10);
    let mut next = tokio::time::Instant::now();
    while !stop.load(Ordering::Relaxed) {
        if let Some(pause) = pause {
            next += pause;
            tokio::time::sleep_until(next).await;
        }
        let Some(request) = requests.next() else {
            bail!("there is nothing to send");
        };
        stream.write_all(request).await?;
        buffer.clear();
        answer(&mut stream, &mut buffer).await?;
        count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Sends a request over a connection of its own; the answer must be a 200.
pub(crate) async fn once(address: SocketAddr, request: &[u8]) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(request).await?;
    answer(&mut stream, &mut Vec::with_capacity(4 << 10)).await
}

/// Reads one answer: head, then as many bytes as it announces.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<()> {
    loop {
        if stream.read_buf(buffer).await? == 0 {
            bail!("the server closed the connection");
        }
        let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let text = std::str::from_utf8(&buffer[..head])?;
        if !text.starts_with("HTTP/1.1 200") {
            let body = String::from_utf8_lossy(&buffer[head..]);
            bail!(
                "not an answer to measure: {} {body}",
                text.lines().next().unwrap_or_default()
            );
        }
        let length: usize = text
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")
                    .map(str::to_owned)
            })
            .context("the answer has no length")?
            .trim()
            .parse()?;
        while buffer.len() < head + 4 + length {
            if stream.read_buf(buffer).await? == 0 {
                bail!("the answer was cut off");
            }
        }
        return Ok(());
    }
}

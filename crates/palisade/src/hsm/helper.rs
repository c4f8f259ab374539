//! The process in which a cluster's module runs: the same program once more,
//! for as long as the server has use for it.
//!
//! It is started by the first call, and by the first after it ended: at most
//! once a second. Server and helper share one socket, the helper's standard
//! input; when it closes, the helper ends. The order that starts it and every
//! call go over that socket: nothing is said on its command line.
//!
//! A call under way when the helper ends fails, and is not repeated: a key may
//! have been made or deleted. A call that has no reply in [`TIME_MAX`] ends the
//! helper, because a module that hangs cannot be interrupted; the calls beside
//! it fail with it.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as Socket;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cloudhsm::message::{Refusal, Reply, Request, Setup, frame_length, parse_reply};
use crypto::Random;
use ground::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::command::serve::spawn;

/// The hidden subcommand that is the helper.
pub(crate) const HELPER: &str = "hsm-helper";

/// Longest wait for a turn, and longest for a reply. AWS gives a key store no
/// longer to answer, and its clients' patience is a minute.
const TIME_MAX: Duration = Duration::from_secs(20);

/// How often it is looked whether a call takes too long.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Least time between two starts of a helper.
const RESTART_INTERVAL: Duration = Duration::from_secs(1);

/// Most calls at a helper at once. More than it serves, so that it need not
/// wait for the next.
const CALLS_MAX: usize = 32;

/// Why a helper did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Failure {
    /// It did not wish to, or its token.
    #[error(transparent)]
    Refused(Refusal),
    /// It was not there, ended meanwhile, or took too long.
    #[error("{0}")]
    Unreachable(String),
}

type Told = Result<Secret<Vec<u8>>, Failure>;

/// A cluster's helper, whether or not it runs.
pub(super) struct Helper {
    cluster: String,
    setup: Setup,
    /// Longest wait for a turn, and longest for a reply.
    time_max: Duration,
    turns: Arc<Semaphore>,
    calls: AtomicU64,
    running: tokio::sync::Mutex<Option<Started>>,
}

struct Started {
    at: Instant,
    line: Arc<Line>,
}

impl std::fmt::Debug for Helper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Helper")
            .field("cluster", &self.cluster)
            .field("setup", &self.setup)
            .finish_non_exhaustive()
    }
}

impl Helper {
    pub(super) fn new(cluster: &str, setup: Setup) -> Helper {
        Helper::patient(cluster, setup, TIME_MAX)
    }

    /// As [`Helper::new`], with another patience.
    pub(super) fn patient(cluster: &str, setup: Setup, time_max: Duration) -> Helper {
        Helper {
            cluster: cluster.to_owned(),
            setup,
            time_max,
            turns: Arc::new(Semaphore::new(CALLS_MAX)),
            calls: AtomicU64::new(1),
            running: tokio::sync::Mutex::new(None),
        }
    }

    /// Asks, and starts the helper if it does not run.
    pub(super) async fn ask(&self, request: &Request<'_>) -> Told {
        let turn = tokio::time::timeout(self.time_max, Arc::clone(&self.turns).acquire_owned())
            .await
            .map_err(|_| Failure::Unreachable("the cluster has too much to do".to_owned()))?
            .map_err(|_| Failure::Unreachable("the cluster is given up".to_owned()))?;
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let frame = request
            .to_frame(call)
            .map_err(|_| Failure::Refused(Refusal::Unwilling("the request is too long".to_owned())))?;
        let line = self.line().await?;
        let reply = line.send(call, frame, turn)?;
        // Who waits does not keep a helper that is to be stopped.
        drop(line);
        reply
            .await
            .unwrap_or_else(|_| Err(Failure::Unreachable("the helper ended".to_owned())))
    }

    /// As [`Helper::ask`]; nothing is to be done if the helper does not run.
    pub(super) async fn ask_if_running(&self, request: &Request<'_>) -> Result<(), Failure> {
        let runs = self
            .running
            .lock()
            .await
            .as_ref()
            .is_some_and(|started| !started.line.has_ended());
        if runs {
            self.ask(request).await?;
        }
        Ok(())
    }

    /// Ends the helper if it runs.
    pub(super) async fn stop(&self) {
        *self.running.lock().await = None;
    }

    /// The way to the helper that runs.
    async fn line(&self) -> Result<Arc<Line>, Failure> {
        let mut running = self.running.lock().await;
        if let Some(started) = &*running {
            if !started.line.has_ended() {
                return Ok(Arc::clone(&started.line));
            }
            tokio::time::sleep(RESTART_INTERVAL.saturating_sub(started.at.elapsed())).await;
        }
        let line = self.start().map_err(|error| {
            tracing::error!(cluster = self.cluster, error = format!("{error:#}"), "no helper");
            Failure::Unreachable(format!("{error:#}"))
        })?;
        *running = Some(Started {
            at: Instant::now(),
            line: Arc::clone(&line),
        });
        Ok(line)
    }

    fn start(&self) -> Result<Arc<Line>> {
        let (ours, theirs) = Socket::pair().context("no socket for the helper")?;
        let process = program()?
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            // Ctrl-C at the terminal is for the server, which ends the helper last.
            .process_group(0)
            .spawn()
            .context("the helper cannot be started")?;
        tracing::info!(cluster = self.cluster, process = process.id(), "a helper starts");
        ours.set_nonblocking(true)?;
        let (frames, requests) = mpsc::unbounded_channel();
        // It cannot be closed yet.
        let _ = frames.send(self.setup.to_frame());
        let line = Arc::new(Line {
            frames,
            calls: Arc::default(),
        });
        let attended = Attended {
            cluster: self.cluster.clone(),
            process,
            socket: UnixStream::from_std(ours)?,
            requests,
            calls: Arc::clone(&line.calls),
            time_max: self.time_max,
        };
        spawn(attended.attend());
        Ok(line)
    }
}

/// This program as a helper.
#[expect(clippy::disallowed_methods, reason = "modules run in a process of their own")]
fn program() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("this program cannot be found")?);
    #[cfg(not(test))]
    command.arg(HELPER);
    // A test is another program, of which one case is the helper.
    #[cfg(test)]
    command.args([
        "--exact",
        "hsm::tests::the_helper_itself",
        "--ignored",
        "--nocapture",
    ]);
    Ok(command)
}

/// The way to a helper. When the last of it is dropped, the helper ends.
struct Line {
    frames: mpsc::UnboundedSender<Secret<Vec<u8>>>,
    calls: Arc<Calls>,
}

impl Line {
    fn has_ended(&self) -> bool {
        self.calls.lock().ended.is_some()
    }

    /// Sends a call, whose reply comes later.
    fn send(
        &self,
        call: u64,
        frame: Secret<Vec<u8>>,
        turn: OwnedSemaphorePermit,
    ) -> Result<oneshot::Receiver<Told>, Failure> {
        let (reply, replied) = oneshot::channel();
        let waiting = Waiting {
            reply,
            since: Instant::now(),
            _turn: turn,
        };
        {
            let mut calls = self.calls.lock();
            if let Some(why) = &calls.ended {
                return Err(Failure::Unreachable(why.clone()));
            }
            calls.waiting.insert(call, waiting);
        }
        // If nobody sends it any more, whoever ended the line answers it.
        let _ = self.frames.send(frame);
        Ok(replied)
    }
}

/// The calls that a helper has not replied to.
#[derive(Default)]
struct Calls(Mutex<Pending>);

#[derive(Default)]
struct Pending {
    waiting: HashMap<u64, Waiting>,
    /// Why there will be no more replies.
    ended: Option<String>,
}

/// A call that waits. It keeps its turn, even if nobody waits for it any more.
struct Waiting {
    reply: oneshot::Sender<Told>,
    since: Instant,
    _turn: OwnedSemaphorePermit,
}

impl Calls {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a reply to who waits for it. False if nobody ever asked.
    fn reply(&self, call: u64, reply: Reply) -> bool {
        let Some(waiting) = self.lock().waiting.remove(&call) else {
            return false;
        };
        // Who asked may have gone.
        let _ = waiting.reply.send(reply.map_err(Failure::Refused));
        true
    }

    /// Whether a call waits for longer than this.
    fn overdue(&self, time_max: Duration) -> bool {
        self.lock()
            .waiting
            .values()
            .any(|waiting| waiting.since.elapsed() > time_max)
    }

    /// Tells all who wait that there will be no reply.
    fn end(&self, why: &str) {
        let waiting = {
            let mut calls = self.lock();
            calls.ended = Some(why.to_owned());
            std::mem::take(&mut calls.waiting)
        };
        for waiting in waiting.into_values() {
            let _ = waiting.reply.send(Err(Failure::Unreachable(why.to_owned())));
        }
    }
}

/// A helper that runs, and what looks after it.
struct Attended {
    cluster: String,
    process: Child,
    socket: UnixStream,
    requests: mpsc::UnboundedReceiver<Secret<Vec<u8>>>,
    calls: Arc<Calls>,
    time_max: Duration,
}

impl Attended {
    /// Looks after it until it ends or is to end, and ends it then.
    async fn attend(mut self) {
        let (from, to) = self.socket.into_split();
        let why = tokio::select! {
            why = take_replies(from, &self.calls) => why,
            why = send_requests(to, self.requests) => why,
            why = watch(&self.calls, self.time_max) => why,
        };
        let (cluster, process) = (self.cluster, self.process.id());
        match why {
            None => tracing::info!(cluster, process, "the helper is no longer needed"),
            Some(why) => tracing::warn!(cluster, process, why, "the helper ends"),
        }
        self.calls.end(why.unwrap_or("the helper was stopped"));
        // It may have ended already.
        let _ = self.process.kill();
        let _ = tokio::task::spawn_blocking(move || self.process.wait()).await;
    }
}

/// Takes replies until there are none; tells why.
async fn take_replies(mut from: OwnedReadHalf, calls: &Calls) -> Option<&'static str> {
    loop {
        let mut head = [0; 4];
        if from.read_exact(&mut head).await.is_err() {
            return Some("the helper ended");
        }
        let Ok(length) = frame_length(head) else {
            return Some("the helper said what is no message");
        };
        let mut body = Secret::new(vec![0; length]);
        if from.read_exact(body.expose_mut()).await.is_err() {
            return Some("the helper ended");
        }
        let asked = parse_reply(body.expose()).is_ok_and(|(call, reply)| calls.reply(call, reply));
        if !asked {
            return Some("the helper said what is no reply");
        }
    }
}

/// Sends requests until nobody can make any more.
async fn send_requests(
    mut to: OwnedWriteHalf,
    mut requests: mpsc::UnboundedReceiver<Secret<Vec<u8>>>,
) -> Option<&'static str> {
    while let Some(frame) = requests.recv().await {
        if to.write_all(frame.expose()).await.is_err() {
            return Some("the helper takes no requests");
        }
    }
    None
}

/// Looks for calls that take too long.
async fn watch(calls: &Calls, time_max: Duration) -> Option<&'static str> {
    loop {
        tokio::time::sleep(WATCH_INTERVAL).await;
        if calls.overdue(time_max) {
            return Some("the module did not answer in time");
        }
    }
}

/// Runs the helper, until its server ends.
///
/// # Errors
///
/// If standard input is no socket of a server, or its module cannot be used.
pub(crate) fn help() -> Result<()> {
    let server = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .context("there is no standard input")?;
    cloudhsm::helper::help(Socket::from(server), || Random::system().bytes())?;
    // The server is gone. A thread may be within the module, so it is not
    // unloaded: the process ends as it is.
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)?;
    Ok(())
}

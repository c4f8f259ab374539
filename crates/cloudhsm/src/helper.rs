//! The helper: the process in which a module runs, and which lives as long as
//! its server.
//!
//! It takes requests from one socket and serves up to [`WORKERS`] of them at
//! once, each in a session of its own. It ends when its server does, whatever
//! its module is doing then.
//!
//! Absent by design: time limits. A module that hangs cannot be helped from
//! within: the server waits only so long, and then ends the helper.

use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};

use ground::Secret;

use crate::cluster::{Cluster, Vector, Worker};
use crate::message::{Garbled, Refusal, Request, Setup, read_frame, reply_to_frame, write_frame};

/// How many requests are served at once.
pub const WORKERS: usize = 4;

/// Why a helper ended, other than with its server.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// The server said what is no message.
    #[error(transparent)]
    Garbled(#[from] Garbled),
    /// The socket failed, or a thread could not be started.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Serves until the other side of `server` is closed. `vector` makes a fresh
/// random vector at each call.
///
/// # Errors
///
/// [`HelperError`].
pub fn help(mut server: UnixStream, vector: Vector) -> Result<(), HelperError> {
    let Some(setup) = read_frame(&mut server)? else {
        return Ok(());
    };
    let module = Arc::new(Module {
        setup: Setup::parse(setup.expose())?,
        vector,
        loaded: Mutex::default(),
    });
    let (queue, requests) = channel::<Secret<Vec<u8>>>();
    let requests = Arc::new(Mutex::new(requests));
    let replies = Arc::new(Mutex::new(server.try_clone()?));
    for number in 0..WORKERS {
        let (module, requests, replies) = (Arc::clone(&module), Arc::clone(&requests), Arc::clone(&replies));
        std::thread::Builder::new()
            .name(format!("token-{number}"))
            .spawn(move || work(&module, &requests, &replies))?;
    }
    // Threads that a module holds are not waited for: the process ends.
    while let Some(request) = read_frame(&mut server)? {
        if queue.send(request).is_err() {
            break;
        }
    }
    Ok(())
}

/// The module, loaded by the first who needs it: by a worker, so that whoever
/// reads the socket always sees that the server has ended.
struct Module {
    setup: Setup,
    vector: Vector,
    loaded: Mutex<Option<Arc<Cluster>>>,
}

impl Module {
    /// The cluster that the module speaks to. One that could not be loaded is
    /// loaded again for the next request: it may have been mended.
    fn cluster(&self) -> Result<Arc<Cluster>, Refusal> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = &*loaded {
            return Ok(Arc::clone(cluster));
        }
        let cluster = Arc::new(Cluster::load(self.setup.clone(), self.vector)?);
        *loaded = Some(Arc::clone(&cluster));
        Ok(cluster)
    }
}

/// Serves requests until there are no more, or nobody to reply to.
fn work(module: &Module, requests: &Mutex<Receiver<Secret<Vec<u8>>>>, replies: &Mutex<UnixStream>) {
    let mut worker = None;
    loop {
        let next = requests.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(request) = next else {
            return;
        };
        let Ok((call, request)) = Request::parse(request.expose()) else {
            // Without its number it cannot be replied to; the server will give up.
            continue;
        };
        let served = match worker.take() {
            Some(worker) => Ok(worker),
            None => module.cluster().map(Worker::of),
        };
        let reply = match served {
            Ok(served) => worker.insert(served).serve(&request),
            Err(why) => Err(why),
        };
        let frame = reply_to_frame(call, &reply);
        let mut replies = replies.lock().unwrap_or_else(PoisonError::into_inner);
        if write_frame(&mut *replies, &frame).is_err() {
            return;
        }
    }
}

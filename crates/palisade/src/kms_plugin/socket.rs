//! The plugin's Unix socket: made so that only its user may open it, at every
//! moment, and taken away at the end.

use std::future::Future;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::{Plugin, answer};
use crate::command::serve::spawn;
use crate::files;

/// Connections at once. An API server has one.
const CONNECTIONS_MAX: usize = 32;
/// Requests of a connection at once.
const STREAMS_MAX: u32 = 64;
/// Bytes of a request's head.
const HEAD_BYTES_MAX: u32 = 16 * 1024;
/// How often a silent peer is asked whether it still is there.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(60);
/// How long open requests may go on after the order to stop.
const SHUTDOWN_TIME: Duration = Duration::from_secs(10);

/// A socket that is listened to.
pub(crate) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Its number in the file system, by which it is known from a successor.
    inode: u64,
}

impl Socket {
    /// Listens at `path`. What a plugin that died left there is replaced.
    ///
    /// # Errors
    ///
    /// If another plugin answers there, something else is there, or no socket
    /// can be made.
    pub(crate) async fn bind(path: &Path) -> Result<Socket> {
        if let Ok(found) = std::fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                bail!("{} is there and is not a socket", path.display());
            }
            if UnixStream::connect(path).await.is_ok() {
                bail!("another program answers at {}", path.display());
            }
        }
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // Made where nobody else can go, and moved when it is as it must be.
        let made = || -> std::io::Result<(UnixListener, u64)> {
            let closed = tempfile::Builder::new().prefix(".").tempdir_in(directory)?;
            let fresh = closed.path().join("s");
            let listener = UnixListener::bind(&fresh)?;
            std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))?;
            let inode = std::fs::symlink_metadata(&fresh)?.ino();
            std::fs::rename(&fresh, path)?;
            Ok((listener, inode))
        };
        let (listener, inode) = made().with_context(|| format!("cannot listen at {}", path.display()))?;
        Ok(Socket {
            listener,
            path: path.to_owned(),
            inode,
        })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode);
        if ours {
            files::remove_if_present(&self.path);
        }
    }
}

/// Answers at `socket` until `stop` completes, then lets open requests finish.
pub(crate) async fn serve(plugin: Plugin, socket: Socket, stop: impl Future<Output = ()>) {
    let plugin = Arc::new(plugin);
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .keep_alive_interval(Some(KEEP_ALIVE_INTERVAL));
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = socket.listener.accept() => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!("connection refused: {CONNECTIONS_MAX} are open");
            continue;
        };
        let plugin = Arc::clone(&plugin);
        let service = service_fn(move |request| answer(Arc::clone(&plugin), request));
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended badly");
            }
            drop(place);
        });
    }
    drop(socket);
    if tokio::time::timeout(SHUTDOWN_TIME, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests did not finish in time and were cut off");
    }
}

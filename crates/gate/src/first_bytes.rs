//! A deadline for the first bytes of a connection.
//!
//! The server reads 24 bytes, the length of HTTP/2's preface, before it knows
//! which version is spoken, and only then has a clock of its own for a
//! request's head. Without this, who sends less and waits would be waited for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::quiet::Quiet;

/// Bytes of HTTP/2's connection preface (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;

/// What only that preface begins with: no HTTP/1.1 method is called so.
const PREFACE_WORD: &[u8] = b"PRI ";

/// A stream whose reads fail if its first bytes do not come in time.
pub(crate) struct FirstBytes<IO> {
    stream: IO,
    /// `None` once all came.
    waiting: Option<Waiting>,
}

struct Waiting {
    /// Those that came.
    came: Vec<u8>,
    /// How long the others may take.
    deadline: Pin<Box<Sleep>>,
    /// Is told if it is HTTP/2.
    quiet: Arc<Quiet>,
}

impl<IO> FirstBytes<IO> {
    /// `stream`, whose first bytes may take `time_max` from now. If they are
    /// those of HTTP/2, `quiet` begins to count.
    pub(crate) fn of(stream: IO, time_max: Duration, quiet: Arc<Quiet>) -> FirstBytes<IO> {
        FirstBytes {
            stream,
            waiting: Some(Waiting {
                came: Vec::with_capacity(PREFACE_BYTES),
                deadline: Box::pin(tokio::time::sleep(time_max)),
                quiet,
            }),
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for FirstBytes<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let Some(waiting) = &mut self.waiting else {
            return read;
        };
        let missing = PREFACE_BYTES - waiting.came.len();
        let new = &buffer.filled()[before..];
        waiting.came.extend_from_slice(&new[..new.len().min(missing)]);
        if new.len() >= missing {
            if waiting.came.starts_with(PREFACE_WORD) {
                waiting.quiet.count();
            }
            self.waiting = None;
        } else if read.is_pending() && waiting.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for FirstBytes<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

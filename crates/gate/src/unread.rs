//! Answers on their way to who asked: how much they may take.
//!
//! Who asks may read slowly, or not at all, on many connections. So what lies here
//! for a reader takes room that is counted, from when the answer is made until it
//! has been written or its connection is gone. For how long, [`crate::quiet`] says.
//!
//! - The first [`UNREAD_BYTES_FREE`] of a connection are its own; only what it has
//!   beyond them is counted with that of all others, so that calls whose answers
//!   are read touch nothing that other threads touch.
//! - Over HTTP/1 one answer is on its way at a time: hyper copies it behind its
//!   head, and reads no further request until all of it is written. One of at most
//!   [`PIECE_BYTES`] is not counted at all, so that it costs nothing; of a longer
//!   one hyper gets the next piece once it has written nearly all before it, and
//!   so holds less than the longest head and a piece, 80 KiB.
//! - Over HTTP/2 every answer is counted until the last byte was written: by its
//!   connection alone as a rule, in two counters that no other thread writes.
//!
//! So the answers of all connections take [`UNREAD_BYTES_MAX`] and 144 KiB for each
//! connection at most, 1.6 GiB with all 10,000 open and none reading; what heads of
//! requests take that do not end is of that order too. Who finds no room is refused
//! before his call runs if that is known; if not, he is refused instead of answered.
//! That befalls long answers, which are lists and batches: what changes something
//! answers shortly.
//!
//! Absent by design: the heads of answers, of which there are as many as requests may
//! be open, and what the system itself has taken to send.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{Response, Version};
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

use crate::body::Room;
use crate::limits::{UNREAD_BYTES_FREE, UNREAD_BYTES_OF_CONNECTION_MAX};
use crate::quiet::{Quiet, Round};

/// Bytes that hyper is given at a time: the largest frame of HTTP/2 that every
/// reader takes (RFC 9113, 6.5.2, `SETTINGS_MAX_FRAME_SIZE`).
const PIECE_BYTES: usize = 16 << 10;

/// Who reads the answers of one connection.
pub(crate) struct Reader {
    pub(crate) quiet: Quiet,
    /// Bytes of answers on their way, if they are counted.
    unread: AtomicUsize,
    /// For what all connections have beyond their own.
    common: Arc<Room>,
}

/// A request's turn on its connection.
pub struct Turn {
    reader: Arc<Reader>,
    version: Version,
}

impl Reader {
    /// Of a connection that begins now.
    pub(crate) fn new(time_max: Duration, common: Arc<Room>) -> Arc<Reader> {
        Arc::new(Reader {
            quiet: Quiet::new(time_max),
            unread: AtomicUsize::new(0),
            common,
        })
    }

    /// A request has come.
    pub(crate) fn turn(self: &Arc<Reader>, version: Version) -> Turn {
        self.quiet.begin();
        Turn {
            reader: Arc::clone(self),
            version,
        }
    }

    /// Room for an answer, if there is any.
    fn hold(self: &Arc<Reader>, bytes: usize) -> Option<Held> {
        let before = self.unread.fetch_add(bytes, Ordering::Relaxed);
        let after = before + bytes;
        let beyond = after.saturating_sub(before.max(UNREAD_BYTES_FREE));
        let held = Held {
            reader: Arc::clone(self),
            round: self.quiet.answer(),
            bytes,
            beyond,
        };
        if beyond == 0 {
            return Some(held);
        }
        let fits_among_all = self.common.take(beyond);
        // However long one answer is, it may go alone.
        let fits_here = before == 0 || after <= UNREAD_BYTES_OF_CONNECTION_MAX;
        (fits_among_all && fits_here).then_some(held)
    }
}

impl Turn {
    /// Whether it is known already that the answer will find no room. Of an answer that
    /// is mostly long that is known sooner.
    pub fn finds_no_room(&self, mostly_long: bool) -> bool {
        let unread = self.reader.unread.load(Ordering::Relaxed);
        let needs_common = mostly_long || unread >= UNREAD_BYTES_FREE;
        unread >= UNREAD_BYTES_OF_CONNECTION_MAX || needs_common && self.reader.common.is_full()
    }

    /// Sends the answer, or what `refusal` says if there is no room for it.
    pub fn answer(
        self,
        answer: Response<Full<Bytes>>,
        refusal: impl FnOnce() -> Response<Full<Bytes>>,
    ) -> Response<Answered> {
        let bytes = body_bytes(&answer);
        let is_copied = self.version < Version::HTTP_2 && bytes <= PIECE_BYTES;
        if bytes == 0 || is_copied {
            return answer.map(|body| Answered::new(body, None));
        }
        match self.reader.hold(bytes) {
            Some(held) => answer.map(|body| Answered::new(body, Some(held))),
            None => self.refuse(refusal()),
        }
    }

    /// Sends a refusal, for which there is always room: it is short, and of each request
    /// that may be open there is one.
    pub fn refuse(self, refusal: Response<Full<Bytes>>) -> Response<Answered> {
        refusal.map(|body| Answered::new(body, None))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.reader.quiet.end();
    }
}

fn body_bytes(answer: &Response<Full<Bytes>>) -> usize {
    let bytes = answer.body().size_hint().lower();
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Room that an answer takes, until it is dropped.
struct Held {
    reader: Arc<Reader>,
    round: Round,
    bytes: usize,
    /// How many of them are counted with those of all others.
    beyond: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.reader.unread.fetch_sub(self.bytes, Ordering::Relaxed);
        if self.beyond > 0 {
            self.reader.common.leave(self.beyond);
        }
        self.reader.quiet.taken(self.round);
    }
}

/// The body of an answer.
pub struct Answered {
    rest: Bytes,
    held: Option<Held>,
}

impl Answered {
    fn new(body: Full<Bytes>, held: Option<Held>) -> Answered {
        Answered {
            rest: body.into_inner().unwrap_or_default(),
            held,
        }
    }
}

impl Body for Answered {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
        let piece = match self.rest.len() {
            0 => return Poll::Ready(None),
            // What was written last gives the room back.
            1..=PIECE_BYTES => Piece {
                bytes: std::mem::take(&mut self.rest),
                _held: self.held.take(),
            },
            _ => Piece {
                bytes: self.rest.split_to(PIECE_BYTES),
                _held: None,
            },
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// Bytes of an answer that hyper is to write, and the room they take if they are the last.
pub struct Piece {
    bytes: Bytes,
    _held: Option<Held>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn answer(bytes: usize) -> Response<Full<Bytes>> {
        Response::new(Full::new(Bytes::from(vec![b'a'; bytes])))
    }

    fn refusal() -> Response<Full<Bytes>> {
        let mut refusal = answer(100);
        *refusal.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        refusal
    }

    fn ask(reader: &Arc<Reader>, bytes: usize) -> Response<Answered> {
        reader.turn(Version::HTTP_2).answer(answer(bytes), refusal)
    }

    /// Whose calls are short has room of his own, whatever others leave unread.
    #[tokio::test]
    async fn long_answers_of_all_share_one_room_and_short_ones_have_their_own() {
        let common = Arc::new(Room::new(3 << 20));
        let readers: Vec<_> = (0..4).map(|_| Reader::new(LIMIT, Arc::clone(&common))).collect();
        let mut unread: Vec<_> = readers[..3].iter().map(|reader| ask(reader, 1 << 20)).collect();
        assert!(unread.iter().all(|answer| answer.status() == 200));
        // What is beyond the connections' own is less than the room; then it is full.
        unread.push(ask(&readers[0], 3 * UNREAD_BYTES_FREE));
        assert_eq!(unread[3].status(), 200);
        assert_eq!(ask(&readers[1], 1).status(), 503);
        assert_eq!(ask(&readers[3], UNREAD_BYTES_FREE + 1).status(), 503);
        let others = readers[3].turn(Version::HTTP_2);
        assert!(others.finds_no_room(true) && !others.finds_no_room(false));
        assert!(readers[0].turn(Version::HTTP_2).finds_no_room(false));
        let own: Vec<_> = (0..64)
            .map(|_| ask(&readers[3], UNREAD_BYTES_FREE / 64))
            .collect();
        assert!(own.iter().all(|answer| answer.status() == 200));
        drop((own, others));
        // What is read makes room, and all of it comes back.
        let read = unread.remove(0).into_body().collect().await.unwrap().to_bytes();
        assert_eq!(read, vec![b'a'; 1 << 20]);
        assert_eq!(ask(&readers[3], 1 << 19).status(), 200);
        drop(unread);
        assert_eq!(ask(&readers[3], (3 << 20) + UNREAD_BYTES_FREE).status(), 200);
        assert_eq!(ask(&readers[3], (3 << 20) + UNREAD_BYTES_FREE + 1).status(), 503);
        assert!(
            readers
                .iter()
                .all(|reader| reader.unread.load(Ordering::Relaxed) == 0)
        );
    }

    #[tokio::test]
    async fn the_room_is_held_until_the_last_piece_is_written() {
        let reader = Reader::new(LIMIT, Arc::new(Room::new(1 << 20)));
        let mut body = ask(&reader, 2 * PIECE_BYTES + 1).into_body();
        let held = || reader.unread.load(Ordering::Relaxed);
        let mut pieces = Vec::new();
        while let Some(frame) = body.frame().await {
            pieces.extend(frame.unwrap().into_data().ok());
        }
        drop(body);
        let lengths: Vec<usize> = pieces.iter().map(Buf::remaining).collect();
        assert_eq!(lengths, [PIECE_BYTES, PIECE_BYTES, 1]);
        let last = pieces.pop();
        drop(pieces);
        assert_eq!(held(), 2 * PIECE_BYTES + 1);
        drop(last);
        assert_eq!(held(), 0);
    }

    /// hyper copies it behind its head before it asks for another.
    #[tokio::test]
    async fn a_short_answer_over_http1_is_not_counted() {
        let reader = Reader::new(LIMIT, Arc::new(Room::new(0)));
        let turn = |bytes| reader.turn(Version::HTTP_11).answer(answer(bytes), refusal);
        let short = turn(PIECE_BYTES);
        assert_eq!(reader.unread.load(Ordering::Relaxed), 0);
        let long = turn(PIECE_BYTES + 1);
        assert_eq!(reader.unread.load(Ordering::Relaxed), PIECE_BYTES + 1);
        assert_eq!(
            (short.status(), long.status()),
            (http::StatusCode::OK, http::StatusCode::OK)
        );
    }
}

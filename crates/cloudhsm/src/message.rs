//! What a server and its helper say to each other.
//!
//! Each message is a frame: its length in four bytes, big-endian, and as many
//! bytes. The first frame is the [`Setup`]. Then the server asks and the helper
//! replies, each under the number of the call; replies come as they are ready.
//! Text and bytes have their length before them, in four bytes.
//!
//! Everything may hold a secret, so every frame lies in one buffer that never
//! grows and is wiped. Both sides are the same program, yet the helper runs
//! foreign code: what it says is read as a stranger's.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ground::Secret;

/// Longest frame, in bytes, without its length: an encryption of the largest
/// plaintext with the largest associated data, and room.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// Most labels in one reply: each has 36 letters and the end of its line.
pub const LABELS_MAX: usize = 1_000;

/// Longest reason that a reply gives, in bytes.
const REASON_BYTES_MAX: usize = 1_000;

/// Who makes the vectors of AES-GCM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vectors {
    /// The module, which writes its own over zeros, as CloudHSM does.
    Module,
    /// The helper, at random.
    Ours,
}

/// What a helper works with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// The PKCS#11 module: the foreign code.
    pub module: PathBuf,
    /// The label of the token.
    pub token: String,
    /// Who makes the vectors.
    pub vectors: Vectors,
}

/// What the server asks.
#[derive(Debug)]
pub enum Request<'a> {
    /// Whether the token is there.
    Active,
    /// Gives the token's user another PIN. He must be logged in.
    ChangePin {
        /// The one he has.
        from: Hidden<'a>,
        /// The one he is to have.
        to: Hidden<'a>,
    },
    /// Decrypts vector, ciphertext and tag.
    Decrypt {
        /// Of the key.
        label: &'a str,
        /// What it was bound to.
        associated: &'a [u8],
        /// What [`Request::Encrypt`] gave.
        ciphertext: &'a [u8],
    },
    /// Deletes a key.
    Delete {
        /// Of the key.
        label: &'a str,
    },
    /// Encrypts.
    Encrypt {
        /// Of the key.
        label: &'a str,
        /// What to bind it to.
        associated: &'a [u8],
        /// What to encrypt.
        plaintext: Hidden<'a>,
    },
    /// Tells the labels of AES keys that could be ids of KMS keys: the next
    /// [`LABELS_MAX`] in order, one a line.
    Labels {
        /// Those behind this one.
        after: &'a str,
    },
    /// Logs in.
    LogIn {
        /// The token's user PIN.
        pin: Hidden<'a>,
    },
    /// Logs out.
    LogOut,
    /// Makes an AES-256 key.
    Make {
        /// Of the key.
        label: &'a str,
    },
    /// Gives random bytes.
    Random {
        /// How many.
        bytes: u32,
    },
}

/// Bytes that `Debug` does not show.
pub struct Hidden<'a>(pub &'a [u8]);

impl std::fmt::Debug for Hidden<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Why a helper did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Module or token failed.
    #[error("{0}")]
    Broken(String),
    /// There is a key of this label.
    #[error("there is a key of this label")]
    Exists,
    /// The ciphertext is not the key's, or was made for something else.
    #[error("the ciphertext is not this key's")]
    Forged,
    /// Too many wrong PINs.
    #[error("the token's user is locked out")]
    LockedOut,
    /// Nobody is logged in.
    #[error("nobody is logged in")]
    LoggedOut,
    /// There is no key of this label.
    #[error("there is no such key")]
    NoSuchKey,
    /// The token is not there.
    #[error("{0}")]
    NoToken(String),
    /// The token has no user, or he has no PIN.
    #[error("the token's user has no PIN")]
    NoUser,
    /// The token will not do it, however often it is asked.
    #[error("{0}")]
    Unwilling(String),
    /// Somebody else is logged in.
    #[error("somebody else is logged in")]
    UserElsewhere,
    /// The PIN is wrong.
    #[error("the PIN is wrong")]
    WrongPin,
}

/// What a helper says: what was asked for (nothing, or bytes), or why not.
pub type Reply = Result<Secret<Vec<u8>>, Refusal>;

/// A message that is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no message of a helper or its server")]
pub struct Garbled;

impl Setup {
    /// The frame.
    pub fn to_frame(&self) -> Secret<Vec<u8>> {
        let mut frame = Frame::new();
        frame.bytes(self.module.as_os_str().as_bytes());
        frame.bytes(self.token.as_bytes());
        frame.byte(match self.vectors {
            Vectors::Module => 0,
            Vectors::Ours => 1,
        });
        frame.done()
    }

    /// Reads what [`Setup::to_frame`] wrote, without the length.
    ///
    /// # Errors
    ///
    /// [`Garbled`].
    pub fn parse(body: &[u8]) -> Result<Setup, Garbled> {
        let mut body = Body(body);
        let setup = Setup {
            module: Path::new(std::ffi::OsStr::from_bytes(body.bytes()?)).to_owned(),
            token: body.text()?.to_owned(),
            vectors: match body.byte()? {
                0 => Vectors::Module,
                1 => Vectors::Ours,
                _ => return Err(Garbled),
            },
        };
        body.end()?;
        Ok(setup)
    }
}

impl Request<'_> {
    /// The frame of a call.
    ///
    /// # Errors
    ///
    /// [`Garbled`] if it would be longer than [`FRAME_BYTES_MAX`].
    pub fn to_frame(&self, call: u64) -> Result<Secret<Vec<u8>>, Garbled> {
        let mut frame = Frame::new();
        frame.number(call);
        let parts: (u8, [&[u8]; 3]) = match self {
            Request::Active => (0, [&[], &[], &[]]),
            Request::Decrypt {
                label,
                associated,
                ciphertext,
            } => (1, [label.as_bytes(), associated, ciphertext]),
            Request::Delete { label } => (2, [label.as_bytes(), &[], &[]]),
            Request::Encrypt {
                label,
                associated,
                plaintext,
            } => (3, [label.as_bytes(), associated, plaintext.0]),
            Request::Labels { after } => (9, [after.as_bytes(), &[], &[]]),
            Request::LogIn { pin } => (4, [pin.0, &[], &[]]),
            Request::LogOut => (5, [&[], &[], &[]]),
            Request::Make { label } => (6, [label.as_bytes(), &[], &[]]),
            Request::Random { bytes } => (7, [&bytes.to_be_bytes(), &[], &[]]),
            Request::ChangePin { from, to } => (8, [from.0, to.0, &[]]),
        };
        let (kind, parts) = parts;
        // The call's number and kind, and the lengths of three parts.
        let length = parts
            .iter()
            .fold(8 + 1 + 3 * 4_usize, |sum, part| sum.saturating_add(part.len()));
        if length > FRAME_BYTES_MAX {
            return Err(Garbled);
        }
        frame.byte(kind);
        for part in parts {
            frame.bytes(part);
        }
        Ok(frame.done())
    }

    /// Reads a call, without the length.
    ///
    /// # Errors
    ///
    /// [`Garbled`].
    pub fn parse(body: &[u8]) -> Result<(u64, Request<'_>), Garbled> {
        let mut body = Body(body);
        let call = body.number()?;
        let kind = body.byte()?;
        let parts = [body.bytes()?, body.bytes()?, body.bytes()?];
        body.end()?;
        let label = || std::str::from_utf8(parts[0]).map_err(|_| Garbled);
        let request = match (kind, parts) {
            (0, [[], [], []]) => Request::Active,
            (1, [_, associated, ciphertext]) => Request::Decrypt {
                label: label()?,
                associated,
                ciphertext,
            },
            (2, [_, [], []]) => Request::Delete { label: label()? },
            (3, [_, associated, plaintext]) => Request::Encrypt {
                label: label()?,
                associated,
                plaintext: Hidden(plaintext),
            },
            (4, [pin, [], []]) => Request::LogIn { pin: Hidden(pin) },
            (5, [[], [], []]) => Request::LogOut,
            (6, [_, [], []]) => Request::Make { label: label()? },
            (7, [bytes, [], []]) => Request::Random {
                bytes: u32::from_be_bytes(bytes.try_into().map_err(|_| Garbled)?),
            },
            (8, [from, to, []]) => Request::ChangePin {
                from: Hidden(from),
                to: Hidden(to),
            },
            (9, [_, [], []]) => Request::Labels { after: label()? },
            _ => return Err(Garbled),
        };
        Ok((call, request))
    }
}

/// The frame of a reply to a call. A reason is cut to what fits.
pub fn reply_to_frame(call: u64, reply: &Reply) -> Secret<Vec<u8>> {
    let mut frame = Frame::new();
    frame.number(call);
    let reason = |text: &str| {
        let mut text = text.to_owned();
        text.truncate(text.floor_char_boundary(REASON_BYTES_MAX));
        text
    };
    let (kind, told) = match reply {
        Ok(bytes) if bytes.expose().len() > FRAME_BYTES_MAX - 13 => (1, "the answer is too long".to_owned()),
        Ok(bytes) => {
            frame.byte(0);
            frame.bytes(bytes.expose());
            return frame.done();
        }
        Err(Refusal::Broken(why)) => (1, reason(why)),
        Err(Refusal::Exists) => (2, String::new()),
        Err(Refusal::Forged) => (3, String::new()),
        Err(Refusal::LockedOut) => (4, String::new()),
        Err(Refusal::LoggedOut) => (5, String::new()),
        Err(Refusal::NoSuchKey) => (6, String::new()),
        Err(Refusal::NoToken(why)) => (7, reason(why)),
        Err(Refusal::NoUser) => (8, String::new()),
        Err(Refusal::Unwilling(why)) => (9, reason(why)),
        Err(Refusal::UserElsewhere) => (10, String::new()),
        Err(Refusal::WrongPin) => (11, String::new()),
    };
    frame.byte(kind);
    frame.bytes(told.as_bytes());
    frame.done()
}

/// Reads a reply, without the length.
///
/// # Errors
///
/// [`Garbled`].
pub fn parse_reply(body: &[u8]) -> Result<(u64, Reply), Garbled> {
    let mut body = Body(body);
    let call = body.number()?;
    let kind = body.byte()?;
    let told = body.bytes()?;
    body.end()?;
    if kind == 0 {
        return Ok((call, Ok(Secret::new(told.to_vec()))));
    }
    if told.len() > REASON_BYTES_MAX {
        return Err(Garbled);
    }
    let why = std::str::from_utf8(told).map_err(|_| Garbled)?.to_owned();
    let refusal = match (kind, why.is_empty()) {
        (1, _) => Refusal::Broken(why),
        (2, true) => Refusal::Exists,
        (3, true) => Refusal::Forged,
        (4, true) => Refusal::LockedOut,
        (5, true) => Refusal::LoggedOut,
        (6, true) => Refusal::NoSuchKey,
        (7, _) => Refusal::NoToken(why),
        (8, true) => Refusal::NoUser,
        (9, _) => Refusal::Unwilling(why),
        (10, true) => Refusal::UserElsewhere,
        (11, true) => Refusal::WrongPin,
        _ => return Err(Garbled),
    };
    Ok((call, Err(refusal)))
}

/// The length of a frame, from its first four bytes.
///
/// # Errors
///
/// [`Garbled`] if it is longer than [`FRAME_BYTES_MAX`].
pub fn frame_length(head: [u8; 4]) -> Result<usize, Garbled> {
    usize::try_from(u32::from_be_bytes(head))
        .ok()
        .filter(|length| *length <= FRAME_BYTES_MAX)
        .ok_or(Garbled)
}

/// Reads a frame; `None` if the other side has ended before one began.
pub(crate) fn read_frame(from: &mut impl Read) -> std::io::Result<Option<Secret<Vec<u8>>>> {
    let mut head = [0; 4];
    match from.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = frame_length(head).map_err(|error| std::io::Error::new(ErrorKind::InvalidData, error))?;
    let mut body = Secret::new(vec![0; length]);
    from.read_exact(body.expose_mut())?;
    Ok(Some(body))
}

/// Writes a frame that has its length.
pub(crate) fn write_frame(to: &mut impl Write, frame: &Secret<Vec<u8>>) -> std::io::Result<()> {
    to.write_all(frame.expose())
}

/// A frame being written. Its buffer has all its room from the start.
struct Frame(Secret<Vec<u8>>);

impl Frame {
    fn new() -> Frame {
        let mut bytes = Vec::with_capacity(4 + FRAME_BYTES_MAX);
        bytes.extend_from_slice(&[0; 4]);
        Frame(Secret::new(bytes))
    }

    fn put(&mut self, bytes: &[u8]) {
        let buffer = self.0.expose_mut();
        assert!(
            buffer.len() + bytes.len() <= 4 + FRAME_BYTES_MAX,
            "whoever writes a frame keeps to its bound"
        );
        buffer.extend_from_slice(bytes);
    }

    fn byte(&mut self, byte: u8) {
        self.put(&[byte]);
    }

    fn number(&mut self, number: u64) {
        self.put(&number.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.put(&length.to_be_bytes());
        self.put(bytes);
    }

    fn done(mut self) -> Secret<Vec<u8>> {
        let buffer = self.0.expose_mut();
        let length = u32::try_from(buffer.len() - 4).unwrap_or(u32::MAX);
        buffer[..4].copy_from_slice(&length.to_be_bytes());
        self.0
    }
}

/// A frame being read.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Garbled> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Garbled)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Garbled> {
        self.take(N)?.try_into().map_err(|_| Garbled)
    }

    fn byte(&mut self) -> Result<u8, Garbled> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn number(&mut self) -> Result<u64, Garbled> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Garbled> {
        let length = u32::from_be_bytes(self.array()?);
        self.take(usize::try_from(length).map_err(|_| Garbled)?)
    }

    fn text(&mut self) -> Result<&'a str, Garbled> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Garbled)
    }

    fn end(&self) -> Result<(), Garbled> {
        if self.0.is_empty() { Ok(()) } else { Err(Garbled) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(frame: &Secret<Vec<u8>>) -> &[u8] {
        let (head, body) = frame.expose().split_first_chunk().unwrap();
        assert_eq!(frame_length(*head), Ok(body.len()));
        body
    }

    #[test]
    fn every_request_is_read_as_it_was_written() {
        let requests = [
            Request::Active,
            Request::ChangePin {
                from: Hidden(b"secret one"),
                to: Hidden(b"secret two"),
            },
            Request::Decrypt {
                label: "a",
                associated: b"b",
                ciphertext: b"c",
            },
            Request::Delete { label: "ä" },
            Request::Encrypt {
                label: "",
                associated: b"",
                plaintext: Hidden(b"secret"),
            },
            Request::Labels { after: "label" },
            Request::LogIn { pin: Hidden(b"pin") },
            Request::LogOut,
            Request::Make { label: "label" },
            Request::Random { bytes: 1_024 },
        ];
        for (call, request) in (7..).zip(&requests) {
            let frame = request.to_frame(call).unwrap();
            let (read, again) = Request::parse(body(&frame)).unwrap();
            assert_eq!(read, call);
            let twice = again.to_frame(call).unwrap();
            assert!(twice.expose() == frame.expose(), "{request:?}");
            // Nothing shorter and nothing longer is taken.
            for cut in 0..body(&frame).len() {
                assert!(Request::parse(&body(&frame)[..cut]).is_err(), "{request:?} {cut}");
            }
            assert!(Request::parse(&[body(&frame), &[0]].concat()).is_err());
        }
        assert!(!format!("{requests:?}").contains("secret"));
    }

    #[test]
    fn every_reply_is_read_as_it_was_written() {
        let told = [
            Refusal::Broken("why".to_owned()),
            Refusal::Exists,
            Refusal::Forged,
            Refusal::LockedOut,
            Refusal::LoggedOut,
            Refusal::NoSuchKey,
            Refusal::NoToken(String::new()),
            Refusal::NoUser,
            Refusal::Unwilling("no".to_owned()),
            Refusal::UserElsewhere,
            Refusal::WrongPin,
        ];
        for refusal in told {
            let frame = reply_to_frame(3, &Err(refusal.clone()));
            let (call, reply) = parse_reply(body(&frame)).unwrap();
            assert_eq!((call, reply.err()), (3, Some(refusal)));
        }
        let frame = reply_to_frame(u64::MAX, &Ok(Secret::new(b"bytes".to_vec())));
        let (call, reply) = parse_reply(body(&frame)).unwrap();
        assert_eq!(call, u64::MAX);
        assert_eq!(reply.unwrap().expose(), b"bytes");
        // A long reason is cut between letters, not refused.
        let long = Refusal::Broken("ä".repeat(REASON_BYTES_MAX));
        let (_, reply) = parse_reply(body(&reply_to_frame(0, &Err(long)))).unwrap();
        assert_eq!(reply.err(), Some(Refusal::Broken("ä".repeat(500))));
        assert!(parse_reply(&[0; 13]).is_ok());
        assert!(parse_reply(&[[0; 8].as_slice(), &[12], &[0; 4]].concat()).is_err());
    }

    #[test]
    fn a_frame_has_its_bound() {
        let room = FRAME_BYTES_MAX - 21;
        for (length, fits) in [(room, true), (room + 1, false)] {
            let request = Request::LogIn {
                pin: Hidden(&vec![0; length]),
            };
            assert_eq!(request.to_frame(0).is_ok(), fits, "{length}");
        }
        assert_eq!(frame_length([0, 1, 0, 0]), Ok(FRAME_BYTES_MAX));
        assert_eq!(frame_length([0, 1, 0, 1]), Err(Garbled));
        let setup = Setup {
            module: "/a/b.so".into(),
            token: "token".to_owned(),
            vectors: Vectors::Module,
        };
        assert_eq!(Setup::parse(body(&setup.to_frame())), Ok(setup));
    }
}

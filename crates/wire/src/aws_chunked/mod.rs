//! The `aws-chunked` body encoding of S3: chunks, perhaps signed, and trailers.
//!
//! ```text
//! 10000;chunk-signature=…\r\n<65536 bytes>\r\n
//! 0;chunk-signature=…\r\n
//! x-amz-checksum-crc32c:sOO8/Q==\r\n
//! x-amz-trailer-signature:…\r\n
//! \r\n
//! ```
//!
//! [`Decoder`] is fed the body as it arrives, in any pieces, and hands the data
//! on as it finds it. Invariant: what was handed on is proven only when
//! [`Decoder::finish`] has answered `Ok`; until then nothing may be made of it
//! that cannot be taken back.
//!
//! Absent by design: checking a trailing checksum against the data. The decoder
//! tells what the client claims; S3 compares.
//!
//! Source: Amazon S3 API Reference, "Signature Calculations for the
//! Authorization Header: Transferring Payload in Multiple Chunks" and
//! "… Including Trailing Headers".

mod fault;
pub mod limits;

pub use fault::ChunkFault;

use crypto::Sha256;
use http::HeaderMap;

use crate::sigv4::{ChunkChain, Payload};

/// The trailing headers of a body, names in lower case, in the order sent.
pub type Trailers = Vec<(String, String)>;

/// The header that tells how many bytes the body has when decoded.
pub const DECODED_LENGTH: &str = "x-amz-decoded-content-length";

/// The header that names the trailing headers to come.
pub const TRAILER: &str = "x-amz-trailer";

const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

/// Decodes one body.
pub struct Decoder {
    expected_bytes: u64,
    seen_bytes: u64,
    /// Names announced in `x-amz-trailer`, in lower case.
    announced: Vec<String>,
    trailers: Trailers,
    trailers_allowed: bool,
    chain: Option<ChunkChain>,
    /// The line being read, without its end.
    line: Vec<u8>,
    state: State,
}

/// What the next byte belongs to.
enum State {
    /// The line before a chunk. `last_bytes` is the size of the chunk before.
    Header {
        last_bytes: Option<u64>,
    },
    /// A chunk's data.
    Data {
        left: u64,
        chunk: Chunk,
    },
    /// The line end after a chunk's data.
    DataEnd {
        chunk_bytes: u64,
    },
    /// A trailing header, or the empty line that ends the body.
    Trailer {
        blank_seen: bool,
    },
    /// The trailer signature was read; an empty line may follow.
    AfterSignature,
    /// Nothing more may come.
    Done,
    Failed(ChunkFault),
}

struct Chunk {
    bytes: u64,
    /// The signature to be found, with the hash of the data so far.
    proof: Option<(String, Sha256)>,
}

impl Decoder {
    /// A decoder for the body of the request with these headers, which declared
    /// `payload`. Signed chunks are verified with `chain`.
    ///
    /// # Errors
    ///
    /// [`ChunkFault::LengthMissing`] and [`ChunkFault::LengthInvalid`] for
    /// `x-amz-decoded-content-length`, [`ChunkFault::TooLarge`] if it is beyond
    /// `bytes_max`, [`ChunkFault::TrailerMalformed`] for `x-amz-trailer`, and
    /// [`ChunkFault::NotChunked`] if the payload is not in chunks or signed
    /// chunks come without a chain.
    pub fn for_request(
        headers: &HeaderMap,
        payload: Payload,
        chain: Option<ChunkChain>,
        bytes_max: u64,
    ) -> Result<Decoder, ChunkFault> {
        let (trailers_allowed, chain) = match (payload, chain) {
            (Payload::SignedChunks { trailer, .. }, Some(chain)) => (trailer, Some(chain)),
            (Payload::UnsignedChunks, _) => (true, None),
            (Payload::SignedChunks { .. } | Payload::Hash(_) | Payload::Unsigned, _) => {
                return Err(ChunkFault::NotChunked);
            }
        };
        let expected_bytes = decoded_length(headers)?;
        if expected_bytes > bytes_max {
            return Err(ChunkFault::TooLarge { max: bytes_max });
        }
        let announced = announced(headers)?;
        if !announced.is_empty() && !trailers_allowed {
            return Err(ChunkFault::TrailerMalformed);
        }
        Ok(Decoder {
            expected_bytes,
            seen_bytes: 0,
            announced,
            trailers: Vec::new(),
            trailers_allowed,
            chain,
            line: Vec::new(),
            state: State::Header { last_bytes: None },
        })
    }

    /// How many bytes the decoded body has.
    pub fn expected_bytes(&self) -> u64 {
        self.expected_bytes
    }

    /// Takes the next piece of the body and gives the data in it to `sink`, in
    /// order and without copying.
    ///
    /// # Errors
    ///
    /// What is wrong with the body; after that, always the same.
    pub fn push(&mut self, mut input: &[u8], mut sink: impl FnMut(&[u8])) -> Result<(), ChunkFault> {
        while !input.is_empty() {
            if let Err(fault) = self.step(&mut input, &mut sink) {
                self.state = State::Failed(fault.clone());
                return Err(fault);
            }
        }
        match &self.state {
            State::Failed(fault) => Err(fault.clone()),
            _ => Ok(()),
        }
    }

    /// Ends the body: proves that all of it came, and gives its trailers.
    ///
    /// # Errors
    ///
    /// What was wrong, or [`ChunkFault::Incomplete`] if more should have come.
    pub fn finish(self) -> Result<Trailers, ChunkFault> {
        match self.state {
            State::Failed(fault) => Err(fault),
            State::Done | State::AfterSignature => Ok(self.trailers),
            State::Header { .. } | State::Data { .. } | State::DataEnd { .. } | State::Trailer { .. } => {
                Err(ChunkFault::Incomplete)
            }
        }
    }

    /// Moves on by as much as the present state can take; takes at least a byte.
    fn step(&mut self, input: &mut &[u8], sink: &mut impl FnMut(&[u8])) -> Result<(), ChunkFault> {
        match &mut self.state {
            State::Header { last_bytes } => {
                let last_bytes = *last_bytes;
                if self.read_line(input, limits::HEADER_BYTES_MAX, LineEnd::CrLf)? {
                    self.begin_chunk(last_bytes)?;
                    self.line.clear();
                }
            }
            State::Data { left, chunk } => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                let (data, rest) = input.split_at(here);
                if let Some((_, hash)) = &mut chunk.proof {
                    hash.update(data);
                }
                *left -= here as u64;
                *input = rest;
                let done = *left == 0;
                sink(data);
                if done {
                    self.end_chunk()?;
                }
            }
            State::DataEnd { chunk_bytes } => {
                let last_bytes = Some(*chunk_bytes);
                if self.read_line(input, 0, LineEnd::CrLf)? {
                    self.state = State::Header { last_bytes };
                }
            }
            State::Trailer { blank_seen } => {
                let blank_seen = *blank_seen;
                let end = if self.trailers_allowed {
                    LineEnd::Either
                } else {
                    LineEnd::CrLf
                };
                let whole = self
                    .read_line(input, limits::TRAILER_BYTES_MAX, end)
                    .map_err(|_| ChunkFault::TrailerMalformed)?;
                if whole {
                    let line = std::mem::take(&mut self.line);
                    self.take_trailer(&line, blank_seen)?;
                }
            }
            State::AfterSignature => {
                if self.read_line(input, 0, LineEnd::CrLf)? {
                    self.state = State::Done;
                }
            }
            State::Done => return Err(ChunkFault::TrailingBytes),
            State::Failed(fault) => return Err(fault.clone()),
        }
        Ok(())
    }

    /// Reads on to the end of a line of at most `bytes_max`; true when
    /// [`Decoder::line`] holds it whole.
    fn read_line(&mut self, input: &mut &[u8], bytes_max: usize, end: LineEnd) -> Result<bool, ChunkFault> {
        let feed = input.iter().position(|byte| *byte == b'\n');
        let (piece, rest) = input.split_at(feed.map_or(input.len(), |at| at + 1));
        *input = rest;
        // The carriage return may arrive before we know that it ends the line.
        if self.line.len() + piece.len() > bytes_max + 2 {
            return Err(ChunkFault::HeaderMalformed);
        }
        self.line.extend_from_slice(piece);
        if feed.is_none() {
            return Ok(false);
        }
        self.line.pop();
        match (self.line.last(), end) {
            (Some(b'\r'), _) => {
                self.line.pop();
            }
            (_, LineEnd::Either) => {}
            (_, LineEnd::CrLf) => return Err(ChunkFault::HeaderMalformed),
        }
        if self.line.len() > bytes_max {
            return Err(ChunkFault::HeaderMalformed);
        }
        Ok(true)
    }

    fn begin_chunk(&mut self, last_bytes: Option<u64>) -> Result<(), ChunkFault> {
        let line = std::str::from_utf8(&self.line).map_err(|_| ChunkFault::HeaderMalformed)?;
        let (size, signature) = match (line.split_once(';'), &self.chain) {
            (Some((size, extension)), Some(_)) => {
                let signature = extension
                    .strip_prefix("chunk-signature=")
                    .ok_or(ChunkFault::HeaderMalformed)?;
                (size, Some(signature.to_owned()))
            }
            (None, None) => (line, None),
            (Some(_), None) | (None, Some(_)) => return Err(ChunkFault::HeaderMalformed),
        };
        let hex_ok = (1..=16).contains(&size.len()) && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hex_ok {
            return Err(ChunkFault::HeaderMalformed);
        }
        let bytes = u64::from_str_radix(size, 16).map_err(|_| ChunkFault::HeaderMalformed)?;
        if bytes > self.expected_bytes - self.seen_bytes {
            return Err(ChunkFault::LengthWrong {
                expected: self.expected_bytes,
            });
        }
        if let Some(last_bytes) = last_bytes
            && bytes > 0
            && last_bytes < limits::CHUNK_BYTES_MIN
        {
            return Err(ChunkFault::ChunkTooSmall { bytes: last_bytes });
        }
        let proof = signature.map(|signature| (signature, Sha256::new()));
        self.state = State::Data {
            left: bytes,
            chunk: Chunk { bytes, proof },
        };
        if bytes == 0 { self.end_chunk() } else { Ok(()) }
    }

    /// All data of the present chunk was seen: proves it and moves on.
    fn end_chunk(&mut self) -> Result<(), ChunkFault> {
        let State::Data { chunk, .. } = std::mem::replace(&mut self.state, State::Done) else {
            return Err(ChunkFault::HeaderMalformed);
        };
        self.seen_bytes += chunk.bytes;
        if let (Some((signature, hash)), Some(chain)) = (chunk.proof, &mut self.chain)
            && !chain.verify_chunk(&hash.finish(), &signature)
        {
            return Err(ChunkFault::SignatureMismatch);
        }
        if chunk.bytes > 0 {
            self.state = State::DataEnd {
                chunk_bytes: chunk.bytes,
            };
            return Ok(());
        }
        if self.seen_bytes != self.expected_bytes {
            return Err(ChunkFault::LengthWrong {
                expected: self.expected_bytes,
            });
        }
        self.state = State::Trailer { blank_seen: false };
        Ok(())
    }

    /// Takes a line after the last chunk. AWS's own example of a signed trailer
    /// puts an empty line before the signature, so one is allowed there.
    fn take_trailer(&mut self, line: &[u8], blank_seen: bool) -> Result<(), ChunkFault> {
        let signature_due = self.chain.is_some() && self.trailers_allowed;
        if line.is_empty() {
            if !signature_due {
                self.check_announced()?;
                self.state = State::Done;
            } else if blank_seen || self.trailers.is_empty() {
                return Err(ChunkFault::TrailerMalformed);
            } else {
                self.state = State::Trailer { blank_seen: true };
            }
            return Ok(());
        }
        let line = std::str::from_utf8(line).map_err(|_| ChunkFault::TrailerMalformed)?;
        let (name, value) = line.split_once(':').ok_or(ChunkFault::TrailerMalformed)?;
        let name = name.trim_matches([' ', '\t']).to_ascii_lowercase();
        let value = value.trim_matches([' ', '\t', '\r']);
        if signature_due && name == TRAILER_SIGNATURE {
            self.check_announced()?;
            let hash = crypto::sha256(&[self.canonical_trailers().as_bytes()]);
            let proven = self
                .chain
                .as_mut()
                .is_some_and(|chain| chain.verify_trailer(&hash, value));
            if !proven {
                return Err(ChunkFault::SignatureMismatch);
            }
            self.state = State::AfterSignature;
            return Ok(());
        }
        let repeated = self.trailers.iter().any(|(earlier, _)| *earlier == name);
        if blank_seen || repeated || !self.announced.contains(&name) {
            return Err(ChunkFault::TrailerMalformed);
        }
        self.trailers.push((name, value.to_owned()));
        Ok(())
    }

    /// Every announced trailer came; that no other came was checked on the way.
    fn check_announced(&self) -> Result<(), ChunkFault> {
        if self.trailers.len() == self.announced.len() {
            Ok(())
        } else {
            Err(ChunkFault::TrailerMalformed)
        }
    }

    /// The trailers as they are signed: sorted, one per line.
    fn canonical_trailers(&self) -> String {
        canonical_trailers(&self.trailers)
    }
}

/// How a line may end.
#[derive(Clone, Copy)]
enum LineEnd {
    CrLf,
    /// AWS's own example ends a trailer in a bare line feed.
    Either,
}

/// Trailers as they are signed: sorted by name, `name:value` and a line feed each.
pub fn canonical_trailers(trailers: &[(String, String)]) -> String {
    let mut sorted: Vec<&(String, String)> = trailers.iter().collect();
    sorted.sort();
    sorted
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect()
}

fn decoded_length(headers: &HeaderMap) -> Result<u64, ChunkFault> {
    let mut values = headers.get_all(DECODED_LENGTH).iter();
    let value = values.next().ok_or(ChunkFault::LengthMissing)?;
    if values.next().is_some() {
        return Err(ChunkFault::LengthInvalid);
    }
    let text = value.to_str().map_err(|_| ChunkFault::LengthInvalid)?.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ChunkFault::LengthInvalid);
    }
    text.parse().map_err(|_| ChunkFault::LengthInvalid)
}

fn announced(headers: &HeaderMap) -> Result<Vec<String>, ChunkFault> {
    let mut names: Vec<String> = Vec::new();
    for value in headers.get_all(TRAILER) {
        let text = value.to_str().map_err(|_| ChunkFault::TrailerMalformed)?;
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let name = name.to_ascii_lowercase();
            if names.len() == limits::TRAILERS_MAX || names.contains(&name) || name == TRAILER_SIGNATURE {
                return Err(ChunkFault::TrailerMalformed);
            }
            names.push(name);
        }
    }
    Ok(names)
}

//! The bytes of a segment: a header, frames, and in a sealed segment a footer.
//!
//! ```text
//! header   magic[8] version[4] first sequence[8] created ms[8] crc32c[4] previous chain[32]          chain[32]
//! frame    length[4] sequence[8] crc32c[4]  payload                       length[4]                  chain[32]
//! footer   0xFFFFFFFF[4] next sequence[8] crc32c[4]  count[8] ms[8] hmac[32]  0xFFFFFFFF[4]          chain[32]
//! ```
//!
//! Numbers are little-endian. Every piece ends with its chain: the SHA-256 of
//! the 32 bytes before the piece (the previous chain) and of the piece itself
//! up to here. So a piece can be checked with the bytes just before it and
//! nothing else, from either end of the file, and the chain is the checksum.
//! The short CRC guards length and sequence alone: with it, a piece that the
//! file ends inside of is told from a length that somebody changed.
//!
//! The length at the end lets a reader walk backwards. Its highest bit says
//! that the payload is parted ([`crate::phrases`]); otherwise it is the record.

use crate::checksum::crc32c;
use crate::error::Fault;
use crate::limits::RECORD_BYTES_MAX;
use crate::phrases::{Book, Record};

pub(crate) const CHAIN: usize = 32;
pub(crate) const HEADER: usize = 96;
pub(crate) const FRAME_HEAD: usize = 16;
pub(crate) const FRAME_TAIL: usize = 4 + CHAIN;
/// What a frame adds to its payload.
pub(crate) const FRAME_OVERHEAD: usize = FRAME_HEAD + FRAME_TAIL;
pub(crate) const FOOTER: usize = FRAME_OVERHEAD + FOOTER_PAYLOAD;

const MAGIC: &[u8; 8] = b"PLSDJRNL";
const VERSION: u32 = 1;
const FOOTER_PAYLOAD: usize = 48;
const FOOTER_MARK: u32 = u32::MAX;
/// In the length of a frame whose payload is parted.
const PARTED: u32 = 1 << 31;

/// The running hash over everything written so far.
pub(crate) type Chain = [u8; CHAIN];

/// The chain before the first segment.
pub(crate) const GENESIS: Chain = [0; CHAIN];

/// The first bytes of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// Sequence number of the first record.
    pub(crate) first: u64,
    /// When the segment was begun.
    pub(crate) created_ms: i64,
    /// The chain at the end of the segment before.
    pub(crate) previous: Chain,
}

impl Header {
    /// The header's bytes; the last 32 are the chain that the first frame continues.
    pub(crate) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.first.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.created_ms.to_le_bytes());
        let check = crc32c(&bytes[..28]);
        bytes[28..32].copy_from_slice(&check.to_le_bytes());
        bytes[32..64].copy_from_slice(&self.previous);
        let chain = crypto::sha256(&[&bytes[..64]]);
        bytes[64..].copy_from_slice(&chain);
        bytes
    }

    /// Reads a header and the chain after it.
    pub(crate) fn decode(bytes: &[u8; HEADER]) -> Result<(Header, Chain), Fault> {
        let chain = crypto::sha256(&[&bytes[..64]]);
        let sound = &bytes[..8] == MAGIC
            && u32_at(bytes, 8) == VERSION
            && u32_at(bytes, 28) == crc32c(&bytes[..28])
            && bytes[64..] == chain;
        if !sound {
            return Err(Fault::Altered);
        }
        let header = Header {
            first: u64_at(bytes, 12),
            created_ms: u64_at(bytes, 20).cast_signed(),
            previous: chain_at(bytes, 32),
        };
        Ok((header, chain))
    }
}

/// Appends the frame of `record`, which begins at `frame_at` of the segment, to
/// `buffer`, which ends with the chain that the frame continues. Returned is the
/// chain at its end.
pub(crate) fn append_record(
    buffer: &mut Vec<u8>,
    book: &mut Book,
    frame_at: u64,
    sequence: u64,
    record: &Record<'_>,
) -> Chain {
    let begin = buffer.len() - CHAIN;
    let head = buffer.len();
    buffer.extend_from_slice(&[0; FRAME_HEAD]);
    let parted = book.append(buffer, frame_at, record);
    let payload = buffer.len() - head - FRAME_HEAD;
    let mut length = u32::try_from(payload).expect("a record is at most RECORD_BYTES_MAX bytes");
    if parted {
        length |= PARTED;
    }
    buffer[head..head + FRAME_HEAD].copy_from_slice(&head_of(length, sequence));
    push_tail(buffer, begin, length)
}

/// The last bytes of a sealed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Footer {
    /// Sequence number of the record that begins the next segment.
    pub(crate) next: u64,
    /// Records in the segment.
    pub(crate) count: u64,
    /// When the segment was sealed.
    pub(crate) sealed_ms: i64,
    /// HMAC-SHA-256 over the chain before the footer and the fields above;
    /// zeros when the journal has no key.
    pub(crate) seal: [u8; 32],
}

impl Footer {
    /// Puts the footer into `buffer`, behind the chain it continues. The footer
    /// itself is `buffer[CHAIN..]`; returned is the chain at its end.
    pub(crate) fn encode(&self, buffer: &mut Vec<u8>, previous: &Chain) -> Chain {
        buffer.clear();
        buffer.extend_from_slice(previous);
        buffer.extend_from_slice(&head_of(FOOTER_MARK, self.next));
        buffer.extend_from_slice(&self.count.to_le_bytes());
        buffer.extend_from_slice(&self.sealed_ms.to_le_bytes());
        buffer.extend_from_slice(&self.seal);
        push_tail(buffer, 0, FOOTER_MARK)
    }

    /// The seal that belongs to this footer under `key`.
    pub(crate) fn seal_under(&self, key: &[u8; 32], previous: &Chain) -> [u8; 32] {
        let parts: [&[u8]; 5] = [
            b"palisade journal footer 1",
            previous,
            &self.next.to_le_bytes(),
            &self.count.to_le_bytes(),
            &self.sealed_ms.to_le_bytes(),
        ];
        crypto::hmac_sha256(key, &parts)
    }
}

fn head_of(length: u32, sequence: u64) -> [u8; FRAME_HEAD] {
    let mut head = [0; FRAME_HEAD];
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..12].copy_from_slice(&sequence.to_le_bytes());
    let check = crc32c(&head[..12]);
    head[12..].copy_from_slice(&check.to_le_bytes());
    head
}

/// Ends the piece whose preceding chain begins at `begin`.
fn push_tail(buffer: &mut Vec<u8>, begin: usize, length: u32) -> Chain {
    buffer.extend_from_slice(&length.to_le_bytes());
    let chain = crypto::sha256(&[&buffer[begin..]]);
    buffer.extend_from_slice(&chain);
    chain
}

/// What stands at one place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A record: the frame takes `size` bytes, its payload is `size - FRAME_OVERHEAD` bytes from `FRAME_HEAD`.
    Record { size: usize, chain: Chain, parted: bool },
    /// The footer, which takes [`FOOTER`] bytes.
    Footer { footer: Footer, chain: Chain },
    /// The bytes end before the piece does, and agree with it so far.
    Incomplete,
    /// The bytes are not what was written.
    Wrong(Fault),
}

/// Reads the piece that follows the chain in `window[..CHAIN]` and must carry `sequence`.
pub(crate) fn parse(window: &[u8], sequence: u64) -> Piece {
    let bytes = &window[CHAIN..];
    if bytes.len() < FRAME_HEAD {
        return Piece::Incomplete;
    }
    let Some(size) = size_of(bytes, sequence) else {
        return Piece::Wrong(Fault::Altered);
    };
    if bytes.len() < size {
        return Piece::Incomplete;
    }
    let chain = crypto::sha256(&[&window[..size]]);
    let end = size - CHAIN;
    let length = u32_at(bytes, 0);
    if u32_at(bytes, end - 4) != length || bytes[end..size] != chain {
        return Piece::Wrong(Fault::Altered);
    }
    if length != FOOTER_MARK {
        let parted = length & PARTED != 0;
        return Piece::Record { size, chain, parted };
    }
    let footer = Footer {
        next: sequence,
        count: u64_at(bytes, FRAME_HEAD),
        sealed_ms: u64_at(bytes, FRAME_HEAD + 8).cast_signed(),
        seal: chain_at(bytes, FRAME_HEAD + 16),
    };
    Piece::Footer { footer, chain }
}

/// Size of the piece whose head begins `bytes`, if the head is sound and carries `sequence`.
pub(crate) fn size_of(bytes: &[u8], sequence: u64) -> Option<usize> {
    let sound = bytes.len() >= FRAME_HEAD
        && u32_at(bytes, 12) == crc32c(&bytes[..12])
        && u64_at(bytes, 4) == sequence;
    if !sound {
        return None;
    }
    size_for(u32_at(bytes, 0))
}

/// Size of the piece that ends with the last byte of `bytes`, if its length can be one.
pub(crate) fn size_before(bytes: &[u8]) -> Option<usize> {
    let at = bytes.len().checked_sub(FRAME_TAIL)?;
    size_for(u32_at(bytes, at))
}

fn size_for(length: u32) -> Option<usize> {
    if length == FOOTER_MARK {
        return Some(FOOTER);
    }
    let payload = usize::try_from(length & !PARTED).ok()?;
    (payload <= RECORD_BYTES_MAX).then_some(payload + FRAME_OVERHEAD)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("the range is four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("the range is eight bytes"))
}

pub(crate) fn chain_at(bytes: &[u8], at: usize) -> Chain {
    bytes[at..at + CHAIN]
        .try_into()
        .expect("the range is CHAIN bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(window: &mut Vec<u8>, record: &[u8]) -> Chain {
        append_record(window, &mut Book::default(), HEADER as u64, 7, &record.into())
    }

    #[test]
    fn a_frame_reads_back_and_every_shorter_one_is_incomplete() {
        let mut window = vec![9; CHAIN];
        let chain = append(&mut window, b"record");
        assert_eq!(
            parse(&window, 7),
            Piece::Record {
                size: 6 + FRAME_OVERHEAD,
                chain,
                parted: false
            }
        );
        assert_eq!(parse(&window, 8), Piece::Wrong(Fault::Altered));
        for end in CHAIN..window.len() {
            assert_eq!(parse(&window[..end], 7), Piece::Incomplete, "{end}");
        }
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let mut window = vec![9; CHAIN];
        append(&mut window, b"record");
        for bit in 0..window.len() * 8 {
            let mut changed = window.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&changed, 7), Piece::Wrong(Fault::Altered), "bit {bit}");
        }
        let header = Header {
            first: 1,
            created_ms: -5,
            previous: [3; 32],
        };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes).unwrap().0, header);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_footer_reads_back_from_both_ends() {
        let mut footer = Footer {
            next: 12,
            count: 5,
            sealed_ms: 99,
            seal: [0; 32],
        };
        footer.seal = footer.seal_under(&[1; 32], &GENESIS);
        let mut window = vec![9; CHAIN];
        let chain = footer.encode(&mut window, &GENESIS);
        assert_eq!(window.len(), CHAIN + FOOTER);
        assert_eq!(size_before(&window), Some(FOOTER));
        assert_eq!(parse(&window, 12), Piece::Footer { footer, chain });
    }
}

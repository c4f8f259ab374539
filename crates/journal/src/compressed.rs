//! Sealed segments in compressed form.
//!
//! The file is in zstd's seekable format: independent zstd frames of one block
//! each, then a table of their sizes in a skippable frame, so that `zstd -d`
//! restores the plain segment and a reader can decompress one block alone.
//!
//! Source: zstd, contrib/seekable_format/zstd_seekable_compression_format.md.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use zstd::bulk::{Compressor, Decompressor};

use crate::disk;
use crate::error::{Doing, JournalError};
use crate::limits::{BLOCK_BYTES, BLOCKS_MAX, COMPRESSION_LEVEL};
use crate::segment::{self, Source, read_full};

const SKIPPABLE_MAGIC: u32 = 0x184D_2A5E;
const SEEKABLE_MAGIC: u32 = 0x8F92_EAB1;
/// Number of frames[4], descriptor[1], magic[4].
const TABLE_FOOTER: usize = 9;
/// Compressed size[4], plain size[4].
const TABLE_ENTRY: usize = 8;

/// A compressed segment, open for reading.
pub(crate) struct Compressed {
    file: File,
    blocks: Vec<Block>,
    decompressor: Decompressor<'static>,
    /// The block decompressed last, by index.
    cached: Option<usize>,
    plain: Vec<u8>,
    packed: Vec<u8>,
}

struct Block {
    packed_offset: u64,
    packed_size: usize,
    plain_offset: u64,
    plain_size: usize,
}

impl Compressed {
    /// Reads the table of blocks. `InvalidData` if there is no sound one.
    pub(crate) fn open(file: File) -> io::Result<Compressed> {
        let file_size = file.metadata()?.len();
        let blocks = read_table(&file, file_size)?;
        let decompressor = Decompressor::new()?;
        Ok(Compressed {
            file,
            blocks,
            decompressor,
            cached: None,
            plain: Vec::new(),
            packed: Vec::new(),
        })
    }

    /// Length of the plain segment.
    pub(crate) fn size(&self) -> u64 {
        self.blocks
            .last()
            .map_or(0, |last| last.plain_offset + last.plain_size as u64)
    }

    /// Fills `buffer` from `offset` of the plain segment as far as there are bytes.
    pub(crate) fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let at = offset.saturating_add(filled as u64);
            let index = self.blocks.partition_point(|block| block.plain_offset <= at);
            let Some(index) = index.checked_sub(1) else { break };
            let within = usize::try_from(at - self.blocks[index].plain_offset).unwrap_or(usize::MAX);
            if within >= self.blocks[index].plain_size {
                break;
            }
            let plain = self.block(index)?;
            let count = (buffer.len() - filled).min(plain.len() - within);
            buffer[filled..filled + count].copy_from_slice(&plain[within..within + count]);
            filled += count;
        }
        Ok(filled)
    }

    fn block(&mut self, index: usize) -> io::Result<&[u8]> {
        if self.cached != Some(index) {
            self.cached = None;
            let block = &self.blocks[index];
            self.packed.resize(block.packed_size, 0);
            if read_full(&self.file, block.packed_offset, &mut self.packed)? < block.packed_size {
                return Err(unreadable("a block is cut short"));
            }
            self.plain.resize(block.plain_size, 0);
            let size = self
                .decompressor
                .decompress_to_buffer(&self.packed, self.plain.as_mut_slice())
                .map_err(|_| unreadable("a block does not decompress"))?;
            if size != block.plain_size {
                return Err(unreadable("a block has another size than the table says"));
            }
            self.cached = Some(index);
        }
        Ok(&self.plain)
    }
}

fn read_table(file: &File, file_size: u64) -> io::Result<Vec<Block>> {
    let mut footer = [0; TABLE_FOOTER];
    let footer_at = file_size
        .checked_sub(TABLE_FOOTER as u64)
        .ok_or_else(|| unreadable("the file is too short"))?;
    if read_full(file, footer_at, &mut footer)? < TABLE_FOOTER
        || word(&footer, 5) != SEEKABLE_MAGIC
        || footer[4] != 0
    {
        return Err(unreadable("there is no table of blocks"));
    }
    let count = word(&footer, 0) as usize;
    if count > BLOCKS_MAX {
        return Err(unreadable("the table has too many blocks"));
    }
    let table_size = count * TABLE_ENTRY;
    let head_at = footer_at
        .checked_sub(table_size as u64 + 8)
        .ok_or_else(|| unreadable("the table is larger than the file"))?;
    let mut table = vec![0; 8 + table_size];
    let sound = read_full(file, head_at, &mut table)? == table.len()
        && word(&table, 0) == SKIPPABLE_MAGIC
        && word(&table, 4) as usize == table_size + TABLE_FOOTER;
    if !sound {
        return Err(unreadable("the table of blocks is damaged"));
    }
    let mut blocks = Vec::with_capacity(count);
    let (mut packed_offset, mut plain_offset) = (0u64, 0u64);
    for entry in table[8..].chunks_exact(TABLE_ENTRY) {
        let (packed_size, plain_size) = (word(entry, 0) as usize, word(entry, 4) as usize);
        if plain_size == 0 || plain_size > BLOCK_BYTES || packed_size > zstd_bound(BLOCK_BYTES) {
            return Err(unreadable("the table of blocks is damaged"));
        }
        blocks.push(Block {
            packed_offset,
            packed_size,
            plain_offset,
            plain_size,
        });
        packed_offset += packed_size as u64;
        plain_offset += plain_size as u64;
    }
    if packed_offset != head_at {
        return Err(unreadable("the table of blocks does not cover the file"));
    }
    Ok(blocks)
}

/// What zstd may make of incompressible bytes at most (`ZSTD_COMPRESSBOUND`).
fn zstd_bound(size: usize) -> usize {
    size + (size >> 8) + 64
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("the range is four bytes"))
}

fn unreadable(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

/// Replaces the plain file of a sealed segment by a compressed one. Returns
/// whether it did; it stops half-way, leaving the plain file, once `stop` is set.
///
/// The plain file is removed only after the compressed bytes were decompressed
/// and compared, and are on disk under their name.
pub(crate) fn compress(
    directory: &Path,
    first: u64,
    durable: bool,
    stop: &AtomicBool,
) -> Result<bool, JournalError> {
    let plain_path = segment::plain_path(directory, first);
    let unfinished = segment::unfinished_path(directory, first);
    let finished = segment::compressed_path(directory, first);
    let plain = disk::open(&plain_path).doing("opening", &plain_path)?;
    disk::remove(&unfinished).doing("removing", &unfinished)?;
    let mut packed = disk::create(&unfinished).doing("creating", &unfinished)?;
    let result = write_blocks(&plain, &mut packed, stop).and_then(|whole| {
        if whole && durable {
            packed.sync_all()?;
        }
        Ok(whole)
    });
    match result {
        Ok(true) => {}
        Ok(false) => {
            disk::remove(&unfinished).doing("removing", &unfinished)?;
            return Ok(false);
        }
        Err(error) => {
            // The first error is the one worth telling; the file is removed at the next opening otherwise.
            let _ = disk::remove(&unfinished);
            return Err(error).doing("compressing", &plain_path);
        }
    }
    disk::rename(&unfinished, &finished).doing("renaming", &unfinished)?;
    if durable {
        disk::sync_directory(directory).doing("syncing", directory)?;
    }
    disk::remove(&plain_path).doing("removing", &plain_path)?;
    Ok(true)
}

fn write_blocks(plain: &File, packed: &mut File, stop: &AtomicBool) -> io::Result<bool> {
    let mut compressor = Compressor::new(COMPRESSION_LEVEL)?;
    let mut decompressor = Decompressor::new()?;
    let mut block = vec![0; BLOCK_BYTES];
    let mut check = vec![0; BLOCK_BYTES];
    let mut table = Vec::new();
    let mut offset = 0u64;
    let mut count = 0u32;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let size = read_full(plain, offset, &mut block)?;
        if size == 0 {
            break;
        }
        let bytes = compressor.compress(&block[..size])?;
        let same = decompressor.decompress_to_buffer(&bytes, check.as_mut_slice())? == size
            && check[..size] == block[..size];
        if !same {
            return Err(io::Error::other("a block did not survive compression"));
        }
        packed.write_all(&bytes)?;
        for size in [bytes.len(), size] {
            let size = u32::try_from(size).map_err(|_| io::Error::other("a block is too large"))?;
            table.extend_from_slice(&size.to_le_bytes());
        }
        count += 1;
        offset += size as u64;
    }
    let table_size =
        u32::try_from(table.len() + TABLE_FOOTER).map_err(|_| io::Error::other("too many blocks"))?;
    packed.write_all(&SKIPPABLE_MAGIC.to_le_bytes())?;
    packed.write_all(&table_size.to_le_bytes())?;
    packed.write_all(&table)?;
    packed.write_all(&count.to_le_bytes())?;
    packed.write_all(&[0])?;
    packed.write_all(&SEEKABLE_MAGIC.to_le_bytes())?;
    Ok(true)
}

/// Whether both forms of a segment hold the same bytes.
pub(crate) fn same_bytes(plain: &mut Source, compressed: &mut Source) -> io::Result<bool> {
    let size = plain.size()?;
    if compressed.size()? != size {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]);
    let mut offset = 0;
    while offset < size {
        let read = plain.read_at(offset, &mut left)?;
        if read == 0 || compressed.read_at(offset, &mut right)? != read || left[..read] != right[..read] {
            return Ok(false);
        }
        offset += read as u64;
    }
    Ok(true)
}

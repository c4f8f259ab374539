//! A journal whose files were edited. The first byte picks the journal; each
//! further five are an edit: which file, where (two bytes), what is done, and with which byte.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_fuzz::record::{Piece, SOUND, check};

fuzz_target!(|data: &[u8]| {
    let Some((first, edits)) = data.split_first() else {
        return;
    };
    let mut pieces = SOUND[usize::from(first & 1)].clone();
    for edit in edits.as_chunks().0 {
        apply(&mut pieces, *edit);
    }
    check(&pieces);
});

fn apply(pieces: &mut [Piece], [file, high, low, manner, byte]: [u8; 5]) {
    let file = usize::from(file) % pieces.len();
    let bytes = &mut pieces[file].bytes;
    let at = usize::from(u16::from_be_bytes([high, low])) % (bytes.len() + 1);
    match manner % 5 {
        0 => {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        1 => bytes.truncate(at),
        2 => bytes.insert(at, byte),
        3 => drop(bytes.drain(at..(at + usize::from(byte)).min(bytes.len()))),
        _ => bytes.extend_from_within(at..(at + usize::from(byte)).min(bytes.len())),
    }
}

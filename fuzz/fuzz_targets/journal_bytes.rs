//! A journal in which one file is replaced: the first byte picks the journal
//! and the file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_fuzz::record::{SOUND, check};

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else {
        return;
    };
    let mut pieces = SOUND[usize::from(first & 1)].clone();
    let which = usize::from(first >> 1) % pieces.len();
    pieces[which].bytes = bytes.to_vec();
    check(&pieces);
});

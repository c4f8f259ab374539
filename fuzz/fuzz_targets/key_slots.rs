//! The slot document, which lies beside the store for anyone to change.

#![no_main]

use crypto::slot::{KeySlots, SlotSecret};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(slots) = KeySlots::parse(data) else {
        return;
    };
    let again = KeySlots::parse(slots.to_json().as_bytes()).expect("what was written can be read");
    assert_eq!(slots.to_json(), again.to_json());
    assert!(
        slots.unlock(&SlotSecret::KeyFile(&[0; 32])).is_err(),
        "a wrong key opens the store"
    );
});

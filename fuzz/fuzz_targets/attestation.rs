//! Attestation documents of Nitro hypervisors.
//!
//! Input: a document. Nobody but the holder of the root's key can make one that
//! is believed, and the seed's was thrown away.

#![no_main]

use federation::attestation::prove;
use ground::Timestamp;
use libfuzzer_sys::fuzz_target;

/// A root whose private half was thrown away, and a document that leads to it.
const ROOT: &[u8] = include_bytes!("../seeds/attestation/root.der");
const GOOD: &[u8] = include_bytes!("../seeds/attestation/good");
/// When that document was made.
const NOW: Timestamp = Timestamp(1_767_323_045_000);

fuzz_target!(|data: &[u8]| {
    // Whatever a stranger calls a root must not break anything.
    let _ = prove(GOOD, data, NOW);
    if let Ok(attested) = prove(data, ROOT, NOW) {
        let good = prove(GOOD, ROOT, NOW);
        assert_eq!(Ok(attested), good, "only what was signed is believed");
    }
});

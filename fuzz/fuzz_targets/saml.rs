//! SAML responses and metadata.
//!
//! The committed seed is signed by a key that was thrown away: whatever is
//! believed must say what that one says.

#![no_main]

use federation::saml::{Assertion, Metadata};
use ground::Timestamp;
use libfuzzer_sys::fuzz_target;

const METADATA: &str = include_str!("../seeds/saml/metadata.xml");
const GOOD: &str = include_str!("../seeds/saml/response.xml");
/// When the committed response was issued.
const NOW: Timestamp = Timestamp(1_767_323_045_000);

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let known = Metadata::parse(METADATA).expect("the committed metadata is read");
    if let Ok(metadata) = Metadata::parse(text) {
        assert!(!metadata.keys.is_empty() && !metadata.entity_id.is_empty());
        let _ = Assertion::prove(GOOD, &metadata, NOW);
    }
    if let Ok(assertion) = Assertion::prove(text, &known, NOW) {
        let good = Assertion::prove(GOOD, &known, NOW);
        assert_eq!(Ok(assertion), good, "only what was signed is believed");
    }
});

//! Requests in the restJson1 protocol, decoded into typed inputs.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_fuzz::TextRequest;
use palisade_fuzz::decoding::route_and_decode;

fuzz_target!(|data: &[u8]| {
    if let Some(request) = TextRequest::read(data) {
        route_and_decode(Some("guardduty"), &request);
    }
});

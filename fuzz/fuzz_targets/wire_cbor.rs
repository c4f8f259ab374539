//! Requests in rpcv2Cbor, decoded into typed inputs and spelled again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_fuzz::decoding::decode_cbor;

fuzz_target!(|data: &[u8]| decode_cbor(data));

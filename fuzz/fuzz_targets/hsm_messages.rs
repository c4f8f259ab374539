//! What a server and the helper that runs a foreign module say to each other.

#![no_main]

use cloudhsm::message::{Request, Setup, parse_reply, reply_to_frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(setup) = Setup::parse(data) {
        assert!(&setup.to_frame().expose()[4..] == data);
    }
    if let Ok((call, request)) = Request::parse(data)
        && let Ok(frame) = request.to_frame(call)
    {
        assert!(&frame.expose()[4..] == data);
    }
    if let Ok((call, reply)) = parse_reply(data) {
        let frame = reply_to_frame(call, &reply);
        assert!(&frame.expose()[4..] == data || data.len() > cloudhsm::message::FRAME_BYTES_MAX);
    }
});

//! What strangers ask a key service of another program's kind: the first byte
//! picks the message.

#![no_main]

use bridge::kubernetes::{DecryptRequest, EncryptRequest, KeyId};
use bridge::{grpc, kes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else {
        return;
    };
    match first % 3 {
        0 => {
            if let Ok(message) = grpc::message(bytes) {
                assert_eq!(grpc::framed(message), bytes);
                let _ = EncryptRequest::parse(message);
                if let Ok(request) = DecryptRequest::parse(message)
                    && let Some(id) = KeyId::parse(&request.key_id)
                {
                    assert_eq!(id.to_string(), request.key_id);
                }
            }
        }
        1 => {
            if let Ok(text) = std::str::from_utf8(bytes) {
                let _ = grpc::timeout(text);
                assert!(
                    grpc::header_message(text)
                        .bytes()
                        .all(|byte| (0x20..=0x7e).contains(&byte))
                );
            }
        }
        _ => {
            let text = String::from_utf8_lossy(bytes);
            let (path, body) = text.split_once('\n').unwrap_or((&text, ""));
            for method in ["GET", "POST", "DELETE"] {
                let _ = kes::read(method, path, body.as_bytes());
            }
        }
    }
});

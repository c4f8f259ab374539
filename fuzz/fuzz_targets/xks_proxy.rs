//! What AWS KMS, or whoever has found the address, asks of an external key
//! store's proxy.

#![no_main]

use kms::xks_proxy::api;
use libfuzzer_sys::fuzz_target;
use palisade_fuzz::TextRequest;
use shape::{Operation, Structure};
use wire::xks::{Asked, Call};
use wire::{RequestHead, xks};

fuzz_target!(|data: &[u8]| {
    let Some(request) = TextRequest::read(data) else {
        return;
    };
    let Some(asked) = Asked::parse(request.path) else {
        return;
    };
    assert!(xks::is_meant(request.path) && xks::is_prefix(asked.prefix));
    let (rest, key) = match asked.call {
        Call::GetHealthStatus => ("health".to_owned(), None),
        Call::Decrypt(key) => (format!("keys/{key}/decrypt"), Some(key)),
        Call::Encrypt(key) => (format!("keys/{key}/encrypt"), Some(key)),
        Call::GetKeyMetadata(key) => (format!("keys/{key}/metadata"), Some(key)),
    };
    assert_eq!(format!("{}{}/{rest}", asked.prefix, xks::ROOT), request.path);
    let Some(key) = key else { return };
    match asked.call {
        Call::Decrypt(_) => decode::<api::Decrypt>(key, &request),
        Call::Encrypt(_) => decode::<api::Encrypt>(key, &request),
        Call::GetKeyMetadata(_) => decode::<api::GetKeyMetadata>(key, &request),
        Call::GetHealthStatus => {}
    }
});

/// The id is the path's, whatever the body says; a fault is told as the
/// specification has it.
fn decode<O: Operation>(key: &str, request: &TextRequest<'_>) {
    let path = O::SHAPE.uri.replace("{externalKeyId}", key);
    let head = RequestHead {
        method: "POST",
        path: &path,
        query: "",
        headers: &request.headers,
    };
    let mut input = O::Input::default();
    match wire::decode(O::SHAPE, &head, request.body, &mut input) {
        Ok(()) => assert!(matches!(input.get(0), Some(shape::Value::String(id)) if id == key)),
        Err(fault) => {
            let fault = fault.to_fault(O::SHAPE);
            let answer = wire::encode_fault(
                Some(O::SHAPE.service),
                O::SHAPE.service.protocol,
                &fault,
                "id",
                false,
            );
            let answer = xks::respell(&answer);
            assert!(answer.status.is_client_error());
            let told: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
            assert!(told["errorName"].is_string() && told["errorMessage"].is_string());
        }
    }
}

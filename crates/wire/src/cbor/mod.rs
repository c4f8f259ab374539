//! rpcv2Cbor: a second way to speak to awsJson services.
//!
//! A service's model may name it beside awsJson (Shield, Firewall Manager,
//! Private CA and CloudHSM do), and the SDKs then prefer it. The operation
//! stands in the path, `/service/SERVICE/operation/OPERATION`; the header
//! `smithy-protocol` says what is spoken. Names, constraints and errors are
//! those of awsJson; only values are spelled otherwise.
//!
//! Every awsJson service is answered in it, whether or not its model names it.
//!
//! Absent by design: document values and event streams, which no such operation has.
//!
//! Source: Smithy, "Smithy RPC v2 CBOR protocol"; RFC 8949.

pub(crate) mod read;
pub(crate) mod write;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::answer::Answer;

/// The header that names the protocol.
pub(crate) static SMITHY_PROTOCOL: HeaderName = HeaderName::from_static("smithy-protocol");

/// The protocol's name.
pub(crate) const RPC_V2_CBOR: &str = "rpc-v2-cbor";

/// The media type of its bodies.
pub(crate) const MEDIA_TYPE: &str = "application/cbor";

/// Whether a request with these headers speaks rpcv2Cbor.
pub(crate) fn spoken(headers: &HeaderMap) -> bool {
    headers
        .get(&SMITHY_PROTOCOL)
        .is_some_and(|value| value.as_bytes() == RPC_V2_CBOR.as_bytes())
}

/// An answer as it goes to who speaks rpcv2Cbor: a fault, which is told in
/// awsJson up to here, is spelled anew.
pub fn as_cbor(mut answer: Answer) -> Answer {
    let spelled = answer.media_type == Some(MEDIA_TYPE);
    if !spelled && let Ok(fault) = serde_json::from_slice(&answer.body) {
        answer.body(MEDIA_TYPE, write::document(&fault));
    }
    let spoken = HeaderValue::from_static(RPC_V2_CBOR);
    answer.headers.insert(SMITHY_PROTOCOL.clone(), spoken);
    answer
}

//! Bodies in chunks, signed and unsigned, in pieces as a socket would give them.
//!
//! The path of the request tells how long the pieces are: `PUT /7`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_fuzz::TextRequest;
use palisade_fuzz::fixed::UPLOADS;
use wire::aws_chunked::{ChunkFault, Decoder, Trailers};
use wire::sigv4::Payload;

const BODY_BYTES_MAX: u64 = 64 * 1024;

fuzz_target!(|data: &[u8]| {
    let Some(request) = TextRequest::read(data) else {
        return;
    };
    let piece = request.path.trim_start_matches('/').parse().unwrap_or(1).max(1);
    let whole = decode(&request, request.body.len().max(1));
    let pieces = decode(&request, piece);
    assert!(whole == pieces, "pieces of {piece} bytes give something else");
});

fn decode(request: &TextRequest<'_>, piece: usize) -> Result<(Vec<u8>, Trailers), ChunkFault> {
    let declared = request.header("x-amz-content-sha256").unwrap_or_default();
    let payload = Payload::parse(declared).unwrap_or(Payload::UnsignedChunks);
    let chain = match payload {
        Payload::SignedChunks { trailer, .. } => {
            let upload = &UPLOADS[usize::from(trailer)];
            Some(upload.claim.chunk_chain(upload.key.clone()))
        }
        Payload::Hash(_) | Payload::Unsigned | Payload::UnsignedChunks => None,
    };
    let mut decoder = Decoder::for_request(&request.headers, payload, chain, BODY_BYTES_MAX)?;
    let expected = decoder.expected_bytes();
    let mut body = Vec::new();
    for piece in request.body.chunks(piece) {
        decoder.push(piece, |data| body.extend_from_slice(data))?;
    }
    let trailers = decoder.finish()?;
    assert_eq!(
        body.len() as u64,
        expected,
        "a body of another length was accepted"
    );
    Ok((body, trailers))
}

//! `aws-chunked` bodies: every split gives the same, every change is noticed,
//! and nothing that a stranger sends does more than fail.

use std::sync::Arc;

use ground::{Secret, Timestamp};
use http::HeaderMap;
use proptest::prelude::*;
use wire::aws_chunked::{ChunkFault, Decoder, Trailers, canonical_trailers, limits};
use wire::sigv4::{
    Algorithm, ChunkChain, Claim, Credentials, Payload, PayloadHash, SigningKey, Target, sign_request,
};

use crate::request::Request;

/// An upload whose headers are signed; its body is still to be made.
struct Upload {
    headers: HeaderMap,
    payload: Payload,
    key: Arc<SigningKey>,
    request: Request,
}

impl Upload {
    fn new(payload: Payload, decoded_bytes: usize, trailers: &[(&str, &str)]) -> Upload {
        let algorithm = match payload {
            Payload::SignedChunks { algorithm, .. } => algorithm,
            Payload::Hash(_) | Payload::Unsigned | Payload::UnsignedChunks => Algorithm::V4,
        };
        let mut request = Request::new(
            "PUT",
            "/bucket/key",
            &[("host", "localhost"), ("content-encoding", "aws-chunked")],
            b"",
        )
        .with("x-amz-decoded-content-length", &decoded_bytes.to_string());
        let names: Vec<&str> = trailers.iter().map(|(name, _)| *name).collect();
        if !names.is_empty() {
            request = request.with("x-amz-trailer", &names.join(","));
        }
        let credentials = Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret: Secret::new("secret".to_owned()),
            session_token: None,
        };
        let target = Target {
            algorithm,
            region: "us-east-1",
            service: "s3",
        };
        let now = Timestamp::parse_amz_date("20260101T000000Z").unwrap();
        let headers = request.header_map();
        for (name, value) in
            sign_request(&request.parts(&headers), payload, &credentials, &target, now).unwrap()
        {
            request = request.with(name.as_str(), value.to_str().unwrap());
        }
        let headers = request.header_map();
        let parts = request.parts(&headers);
        let claim = Claim::parse(&parts).unwrap();
        let key = Arc::new(SigningKey::derive(
            "AKIDEXAMPLE",
            &credentials.secret,
            claim.scope(),
        ));
        claim.verify(&key, &parts, PayloadHash::Declared).unwrap();
        assert_eq!(claim.payload(&parts).unwrap(), payload);
        Upload {
            headers,
            payload,
            key,
            request,
        }
    }

    fn chain(&self) -> ChunkChain {
        let parts = self.request.parts(&self.headers);
        Claim::parse(&parts).unwrap().chunk_chain(Arc::clone(&self.key))
    }

    fn decoder(&self) -> Decoder {
        Decoder::for_request(&self.headers, self.payload, Some(self.chain()), 1 << 20).unwrap()
    }

    /// The body as a client writes it.
    fn encode(&self, chunks: &[&[u8]], trailers: &[(&str, &str)]) -> Vec<u8> {
        let signed = matches!(self.payload, Payload::SignedChunks { .. });
        let mut chain = self.chain();
        let mut body = Vec::new();
        for chunk in chunks.iter().copied().chain([b"".as_slice()]) {
            body.extend_from_slice(format!("{:x}", chunk.len()).as_bytes());
            if signed {
                let signature = chain.sign_chunk(&crypto::sha256(&[chunk]));
                body.extend_from_slice(format!(";chunk-signature={signature}").as_bytes());
            }
            body.extend_from_slice(b"\r\n");
            body.extend_from_slice(chunk);
            if !chunk.is_empty() {
                body.extend_from_slice(b"\r\n");
            }
        }
        for (name, value) in trailers {
            body.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
        }
        if let Payload::SignedChunks { trailer: true, .. } = self.payload {
            let owned: Trailers = trailers
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect();
            let signature = chain.sign_trailer(&crypto::sha256(&[canonical_trailers(&owned).as_bytes()]));
            body.extend_from_slice(format!("x-amz-trailer-signature:{signature}\r\n").as_bytes());
        }
        body.extend_from_slice(b"\r\n");
        body
    }

    fn decode(&self, pieces: &[&[u8]]) -> Result<(Vec<u8>, Trailers), ChunkFault> {
        let mut decoder = self.decoder();
        let mut decoded = Vec::new();
        for piece in pieces {
            decoder.push(piece, |data| decoded.extend_from_slice(data))?;
        }
        let trailers = decoder.finish()?;
        Ok((decoded, trailers))
    }
}

const PAYLOADS: [Payload; 5] = [
    Payload::UnsignedChunks,
    Payload::SignedChunks {
        algorithm: Algorithm::V4,
        trailer: false,
    },
    Payload::SignedChunks {
        algorithm: Algorithm::V4,
        trailer: true,
    },
    Payload::SignedChunks {
        algorithm: Algorithm::V4a,
        trailer: false,
    },
    Payload::SignedChunks {
        algorithm: Algorithm::V4a,
        trailer: true,
    },
];

const CHECKSUM: (&str, &str) = ("x-amz-checksum-crc32", "AAAAAA==");

fn trailers_for(payload: Payload) -> &'static [(&'static str, &'static str)] {
    match payload {
        Payload::SignedChunks { trailer: false, .. } => &[],
        Payload::SignedChunks { trailer: true, .. }
        | Payload::UnsignedChunks
        | Payload::Hash(_)
        | Payload::Unsigned => &[CHECKSUM],
    }
}

#[test]
fn every_kind_decodes_in_one_piece_and_byte_by_byte() {
    let data: Vec<u8> = (0..20_000u32).map(|index| (index % 251) as u8).collect();
    for payload in PAYLOADS {
        for chunks in [
            vec![],
            vec![&data[..5]],
            vec![&data[..8192], &data[8192..16400], &data[16400..]],
        ] {
            let trailers = trailers_for(payload);
            let upload = Upload::new(payload, chunks.concat().len(), trailers);
            let body = upload.encode(&chunks, trailers);
            let (decoded, got) = upload.decode(&[&body]).unwrap();
            assert_eq!(decoded, chunks.concat());
            assert_eq!(got.len(), trailers.len());
            let bytes: Vec<&[u8]> = body.chunks(1).collect();
            assert_eq!(upload.decode(&bytes).unwrap(), (decoded, got));
        }
    }
}

/// Each byte of a signed body is covered: data, framing, signatures, trailer.
#[test]
fn no_byte_of_a_signed_body_can_be_changed_or_dropped() {
    let payload = Payload::SignedChunks {
        algorithm: Algorithm::V4,
        trailer: true,
    };
    let upload = Upload::new(payload, 8_200, &[CHECKSUM]);
    let data = vec![7; 8_200];
    let body = upload.encode(&[&data[..8_192], &data[8_192..]], &[CHECKSUM]);
    let good = upload.decode(&[&body]).unwrap();
    // Not every one of 8,192 equal bytes need be tried.
    let places = (0..200)
        .chain((200..body.len() - 700).step_by(997))
        .chain(body.len() - 700..body.len());
    for at in places {
        let mut changed = body.clone();
        changed[at] ^= 1;
        // A name is the same in capitals, and line ends of trailers may lose their carriage return.
        if let Ok(decoded) = upload.decode(&[&changed]) {
            assert_eq!(decoded, good, "byte {at}");
        }
        changed.remove(at);
        if let Ok(decoded) = upload.decode(&[&changed]) {
            assert_eq!(decoded, good, "byte {at} dropped");
        }
    }
    for length in 0..body.len() - 2 {
        if length % 61 == 0 || length > body.len() - 200 {
            assert_eq!(
                upload.decode(&[&body[..length]]),
                Err(ChunkFault::Incomplete),
                "{length}"
            );
        }
    }
}

#[test]
fn chunks_cannot_be_reordered_or_repeated() {
    let payload = Payload::SignedChunks {
        algorithm: Algorithm::V4,
        trailer: false,
    };
    let upload = Upload::new(payload, 16_384, &[]);
    let body = upload.encode(&[&[1; 8_192], &[2; 8_192]], &[]);
    let chunk = 4 + ";chunk-signature=".len() + 64 + 2 + 8_192 + 2;
    let (first, rest) = body.split_at(chunk);
    let (second, last) = rest.split_at(chunk);
    assert!(upload.decode(&[first, second, last]).is_ok());
    assert_eq!(
        upload.decode(&[second, first, last]),
        Err(ChunkFault::SignatureMismatch)
    );
    assert_eq!(
        upload.decode(&[first, first, last]),
        Err(ChunkFault::SignatureMismatch)
    );
}

#[test]
fn faults_have_names() {
    let unsigned = |length: usize, trailers: &[(&str, &str)], body: &str| {
        Upload::new(Payload::UnsignedChunks, length, trailers)
            .decode(&[body.as_bytes()])
            .map(|(data, _)| data.len())
    };
    let small = "5\r\nhello\r\n5\r\nhello\r\n0\r\n\r\n";
    for (length, body, fault) in [
        (5, "5\r\nhello\r\n0\r\n\r\n", None),
        (5, "005\r\nhello\r\n0\r\n\r\n", None),
        (0, "0\r\n\r\n", None),
        (5, "5\r\nhello\r\n0\r\n", Some(ChunkFault::Incomplete)),
        (5, "5\r\nhel", Some(ChunkFault::Incomplete)),
        (5, "", Some(ChunkFault::Incomplete)),
        (10, small, Some(ChunkFault::ChunkTooSmall { bytes: 5 })),
        (5, "5\nhello\r\n0\r\n\r\n", Some(ChunkFault::HeaderMalformed)),
        (
            5,
            "5;x=y\r\nhello\r\n0\r\n\r\n",
            Some(ChunkFault::HeaderMalformed),
        ),
        (5, "5\r\nhelloo\r\n0\r\n\r\n", Some(ChunkFault::HeaderMalformed)),
        (5, "+5\r\nhello\r\n0\r\n\r\n", Some(ChunkFault::HeaderMalformed)),
        (5, "\r\n", Some(ChunkFault::HeaderMalformed)),
        (5, "fffffffffffffffff\r\n", Some(ChunkFault::HeaderMalformed)),
        (
            5,
            "ffffffffffffffff\r\n",
            Some(ChunkFault::LengthWrong { expected: 5 }),
        ),
        (
            5,
            "4\r\nhell\r\n0\r\n\r\n",
            Some(ChunkFault::LengthWrong { expected: 5 }),
        ),
        (
            4,
            "5\r\nhello\r\n0\r\n\r\n",
            Some(ChunkFault::LengthWrong { expected: 4 }),
        ),
        (5, "5\r\nhello\r\n0\r\n\r\n!", Some(ChunkFault::TrailingBytes)),
        (
            5,
            "5\r\nhello\r\n0\r\nx-a:1\r\n\r\n",
            Some(ChunkFault::TrailerMalformed),
        ),
    ] {
        assert_eq!(unsigned(length, &[], body).err(), fault, "{body:?}");
    }
    for (body, fault) in [
        ("0\r\nX-Amz-Checksum-CRC32: AAAAAA==\r\n\r\n", None),
        ("0\r\n\r\n", Some(ChunkFault::TrailerMalformed)),
        ("0\r\nnonsense\r\n\r\n", Some(ChunkFault::TrailerMalformed)),
        (
            "0\r\nx-amz-checksum-crc32:A\r\nx-amz-checksum-crc32:B\r\n\r\n",
            Some(ChunkFault::TrailerMalformed),
        ),
    ] {
        assert_eq!(unsigned(0, &[CHECKSUM], body).err(), fault, "{body:?}");
    }
    let long = format!(
        "0\r\nx-amz-checksum-crc32:{}",
        "A".repeat(limits::TRAILER_BYTES_MAX)
    );
    assert_eq!(
        unsigned(0, &[CHECKSUM], &long).err(),
        Some(ChunkFault::TrailerMalformed)
    );
}

#[test]
fn the_headers_of_a_chunked_request_are_checked() {
    let decoder = |headers: &[(&str, &str)], payload| {
        let request = Request::new("PUT", "/", headers, b"");
        Decoder::for_request(&request.header_map(), payload, None, 100)
            .map(|decoder| decoder.expected_bytes())
            .map_err(|fault| (fault.code_and_message().0, fault.code_and_message().1))
    };
    let length = "x-amz-decoded-content-length";
    let chunks = Payload::UnsignedChunks;
    assert_eq!(decoder(&[(length, "100")], chunks), Ok(100));
    assert_eq!(decoder(&[], chunks), Err((411, "MissingContentLength")));
    assert_eq!(
        decoder(&[(length, "-1")], chunks),
        Err((411, "MissingContentLength"))
    );
    assert_eq!(
        decoder(&[(length, "1"), (length, "1")], chunks),
        Err((411, "MissingContentLength"))
    );
    assert_eq!(
        decoder(&[(length, "99999999999999999999")], chunks),
        Err((411, "MissingContentLength"))
    );
    assert_eq!(decoder(&[(length, "101")], chunks), Err((400, "EntityTooLarge")));
    assert_eq!(
        decoder(&[(length, "1")], Payload::Unsigned),
        Err((400, "IncompleteBody"))
    );
    for payload in PAYLOADS.into_iter().filter(|payload| *payload != chunks) {
        assert_eq!(decoder(&[(length, "1")], payload), Err((400, "IncompleteBody")));
    }
    for trailer in ["a,a", "a,b,c,d,e,f,g,h,i", "x-amz-trailer-signature"] {
        let headers = [(length, "1"), ("x-amz-trailer", trailer)];
        assert_eq!(
            decoder(&headers, chunks),
            Err((400, "MalformedTrailerError")),
            "{trailer}"
        );
    }
}

proptest! {
    /// However a body is cut, the outcome is the same, good or bad.
    #[test]
    fn splits_do_not_matter(
        bytes in 0..9_000usize,
        kind in 0..3usize,
        damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let payload = PAYLOADS[kind];
        let trailers = trailers_for(payload);
        let data = vec![b'd'; bytes];
        let upload = Upload::new(payload, bytes, trailers);
        let (first, second) = data.split_at(bytes.min(8_192));
        let chunks: Vec<&[u8]> = [first, second].into_iter().filter(|chunk| !chunk.is_empty()).collect();
        let mut body = upload.encode(&chunks, trailers);
        if let Some((at, byte)) = damage {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let whole = upload.decode(&[&body]);
        if damage.is_none() {
            prop_assert_eq!(&whole.as_ref().unwrap().0, &data);
        }
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len())).collect();
        places.extend([0, body.len()]);
        places.sort_unstable();
        let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect();
        prop_assert_eq!(upload.decode(&pieces), whole);
    }

    /// Whatever comes, the decoder ends, hands out no more than was announced, and stays failed.
    #[test]
    fn strangers_bytes_do_no_harm(
        kind in 0..3usize,
        pieces in proptest::collection::vec("[0-9a-f]{0,3}(;chunk-signature=[0-9a-f]{0,70})?(\r\n|\n|:)?[ -~]{0,9}", 0..12),
    ) {
        let payload = PAYLOADS[kind];
        let upload = Upload::new(payload, 40, trailers_for(payload));
        let mut decoder = upload.decoder();
        let mut bytes = 0;
        let mut failed = None;
        for piece in &pieces {
            let outcome = decoder.push(piece.as_bytes(), |data| bytes += data.len());
            if let Some(fault) = &failed {
                prop_assert_eq!(outcome.as_ref(), Err(fault));
            }
            failed = outcome.err();
        }
        prop_assert!(bytes <= 40);
        let finished = decoder.finish();
        if failed.is_some() || bytes < 40 {
            prop_assert!(finished.is_err());
        }
    }
}

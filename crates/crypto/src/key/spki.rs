//! The SubjectPublicKeyInfo of the post-quantum keys: an algorithm without
//! parameters, and the raw key.
//!
//! Source: RFC 9881 (ML-DSA) and RFC 9935 (ML-KEM), whose identifiers stand
//! below NIST's 2.16.840.1.101.3.4.

/// The last two arcs of an algorithm's identifier: those of ML-DSA-44 are 3, 17.
pub(super) type Arcs = [u8; 2];

/// An algorithm identifier up to its last two arcs, in its SEQUENCE.
const ALGORITHM: [u8; 11] = [0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04];

/// What stands before the raw key.
const PREFIX_BYTES: usize = 4 + ALGORITHM.len() + 2 + 5;

/// The SubjectPublicKeyInfo of a raw key of 256 to 65,000 bytes.
pub(super) fn write(arcs: Arcs, raw: &[u8]) -> Vec<u8> {
    let length = |bytes: usize| {
        let bytes = u16::try_from(bytes).expect("no public key has 65,000 bytes");
        bytes.to_be_bytes()
    };
    let mut der = Vec::with_capacity(PREFIX_BYTES + raw.len());
    der.extend([0x30, 0x82]);
    der.extend(length(PREFIX_BYTES - 4 + raw.len()));
    der.extend(ALGORITHM);
    der.extend(arcs);
    der.extend([0x03, 0x82]);
    der.extend(length(1 + raw.len()));
    der.push(0);
    der.extend_from_slice(raw);
    der
}

/// The raw key in what [`write()`] wrote; `None` for anything else.
pub(super) fn read(arcs: Arcs, der: &[u8]) -> Option<&[u8]> {
    let raw = der.get(PREFIX_BYTES..)?;
    (raw.len() > 255 && raw.len() < 65_000 && write(arcs, raw) == der).then_some(raw)
}

//! What an `aws-chunked` body may weigh besides its data.

/// Bytes of the line before a chunk: 16 hexadecimal digits, `;chunk-signature=`
/// and the longest signature, 144 characters.
pub const HEADER_BYTES_MAX: usize = 16 + 17 + 144;

/// Bytes of a trailing header. Ours; the longest that S3 knows is
/// `x-amz-trailer-signature` with 144 characters.
pub const TRAILER_BYTES_MAX: usize = 1024;

/// Trailing headers. Ours; S3 clients send one checksum.
pub const TRAILERS_MAX: usize = 8;

/// Smallest chunk that is not the last (S3 API Reference, "Transferring Payload
/// in Multiple Chunks": "The chunk size must be at least 8 KB").
pub const CHUNK_BYTES_MIN: u64 = 8 * 1024;

//! What can be wrong with an `aws-chunked` body, and what S3 says then.

use std::borrow::Cow;

use super::limits;

/// What is wrong with an `aws-chunked` body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkFault {
    /// A chunk that is not the last is too small.
    #[error("a chunk of {bytes} bytes is not the last")]
    ChunkTooSmall {
        /// Its size.
        bytes: u64,
    },
    /// The line before a chunk, or the end of a line, is not as it must be.
    #[error("a chunk header is malformed")]
    HeaderMalformed,
    /// The body ended early.
    #[error("the body ended early")]
    Incomplete,
    /// `x-amz-decoded-content-length` is not a number.
    #[error("the decoded length is not a number")]
    LengthInvalid,
    /// There is no `x-amz-decoded-content-length`.
    #[error("the decoded length is missing")]
    LengthMissing,
    /// The chunks hold more or less than was announced.
    #[error("the chunks do not hold the {expected} bytes announced")]
    LengthWrong {
        /// What was announced.
        expected: u64,
    },
    /// The request does not declare chunks that can be decoded.
    #[error("the payload is not declared as chunks")]
    NotChunked,
    /// A chunk or the trailer is not signed by whoever signed the request.
    #[error("a chunk signature does not match")]
    SignatureMismatch,
    /// More bytes were announced than are accepted.
    #[error("the body is larger than {max} bytes")]
    TooLarge {
        /// The limit.
        max: u64,
    },
    /// The trailing headers are not those announced, or not well formed.
    #[error("the trailer is malformed")]
    TrailerMalformed,
    /// Something follows the end of the body.
    #[error("bytes follow the end of the body")]
    TrailingBytes,
}

impl ChunkFault {
    /// Status, code and message with which S3 answers.
    ///
    /// Source: S3 API Reference, "Error responses".
    pub fn code_and_message(&self) -> (u16, &'static str, Cow<'static, str>) {
        match self {
            ChunkFault::ChunkTooSmall { .. } => (
                403,
                "InvalidChunkSizeError",
                format!(
                    "Only the last chunk is allowed to have a size less than {} bytes",
                    limits::CHUNK_BYTES_MIN
                )
                .into(),
            ),
            ChunkFault::HeaderMalformed
            | ChunkFault::Incomplete
            | ChunkFault::NotChunked
            | ChunkFault::TrailingBytes => (
                400,
                "IncompleteBody",
                "The request body terminated unexpectedly".into(),
            ),
            ChunkFault::LengthInvalid | ChunkFault::LengthMissing => (
                411,
                "MissingContentLength",
                "You must provide the Content-Length HTTP header.".into(),
            ),
            ChunkFault::LengthWrong { .. } => (
                400,
                "IncompleteBody",
                "You did not provide the number of bytes specified by the Content-Length HTTP header".into(),
            ),
            ChunkFault::SignatureMismatch => (
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. \
                 Check your key and signing method."
                    .into(),
            ),
            ChunkFault::TooLarge { .. } => (
                400,
                "EntityTooLarge",
                "Your proposed upload exceeds the maximum allowed size".into(),
            ),
            ChunkFault::TrailerMalformed => (
                400,
                "MalformedTrailerError",
                "The request contained trailing data that was not well-formed \
                 or did not conform to our published schema."
                    .into(),
            ),
        }
    }
}

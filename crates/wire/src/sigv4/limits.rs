//! What a signed request may weigh. Beyond any of these the request is refused
//! unread, as a [`super::SignatureFault::TooLarge`].

/// Bytes of an `Authorization` header. Ours: a header naming
/// [`SIGNED_HEADERS_MAX`] headers of ordinary length fits.
pub const AUTHORIZATION_BYTES_MAX: usize = 8 * 1024;

/// Bytes of a credential (`keyid/date/region/service/aws4_request`). Ours: an
/// access key id has at most 128 characters (IAM API Reference,
/// `accessKeyIdType`), and the rest is short.
pub const CREDENTIAL_BYTES_MAX: usize = 256;

/// Headers that may be signed. Ours: the HTTP server accepts 100 headers.
pub const SIGNED_HEADERS_MAX: usize = 100;

/// Bytes of the path. Ours: an S3 key has at most 1,024 bytes (S3 User Guide,
/// "Naming objects"), each of which may be written in three; doubled twice over.
pub const PATH_BYTES_MAX: usize = 16 * 1024;

/// Bytes of the query. Ours: room for a session token and the parameters of a
/// presigned query-protocol call.
pub const QUERY_BYTES_MAX: usize = 64 * 1024;

/// Parameters in the query. Ours.
pub const QUERY_PARAMETERS_MAX: usize = 1_000;

/// Bytes of a session token. Ours; AWS documents no limit, its tokens stay below 4 KiB.
pub const SESSION_TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Regions named in `X-Amz-Region-Set`. Ours; AWS has fewer than 50 regions.
pub const REGION_SET_MAX: usize = 100;

/// Longest validity of a presigned request, in seconds: 7 days (S3 API
/// Reference, "Authenticating Requests: Using Query Parameters", `X-Amz-Expires`).
pub const EXPIRES_SECONDS_MAX: u64 = 604_800;

/// How far, in minutes, the date of a request may lie from ours (IAM User Guide,
/// "Elements of an AWS API request signature": five minutes for most services).
pub const SKEW_MINUTES: u64 = 5;

/// The same for S3 (S3 API Reference, error `RequestTimeTooSkewed`).
pub const SKEW_MINUTES_S3: u64 = 15;

//! Every bound of this crate, each with its source.

/// Bytes of a gRPC message. Ours: what an API server may send is below
/// (annotations of 32 kB, a ciphertext, a key id).
pub const GRPC_MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a plaintext (KMS API Reference, Encrypt, `Plaintext`).
pub const PLAINTEXT_BYTES_MAX: usize = 4096;
/// Bytes of a ciphertext (KMS API Reference, Decrypt, `CiphertextBlob`).
pub const CIPHERTEXT_BYTES_MAX: usize = 6144;
/// Bytes of a key id, "less than 1 kB" (Kubernetes, "Using a KMS provider for
/// data encryption", Developing a KMS plugin gRPC server).
pub const KEY_ID_BYTES_MAX: usize = 1023;
/// Bytes of a request's own id. Ours; an API server sends a UUID.
pub const UID_BYTES_MAX: usize = 256;
/// Bytes of all names and values of annotations, "less than 32 kB" (the
/// published interface, `EncryptResponse.annotations`).
pub const ANNOTATIONS_BYTES_MAX: usize = 32 * 1024 - 1;
/// Bytes of a request's body (KES API, `/v1/api`, `max_body`).
pub const KES_BODY_BYTES_MAX: usize = 1 << 20;
/// Characters of a key's name. Ours: with a prefix it is the name of an alias,
/// which may have 256.
pub const KES_NAME_CHARACTERS_MAX: usize = 80;
/// Ciphertexts decrypted by one request. Ours.
pub const KES_CIPHERTEXTS_MAX: usize = 1_000;
/// Bytes of a file with keys. Ours; as the command line reads files.
pub const EXPORT_BYTES_MAX: usize = 1 << 20;
/// Keys of a file. Ours.
pub const EXPORT_KEYS_MAX: usize = 1_000;
/// Versions of a key. Ours: more than a key of KMS can be given.
pub const EXPORT_VERSIONS_MAX: usize = 100;
/// Versions of a symmetric key, which is rotated to each but the first (KMS Developer
/// Guide, "Perform on-demand key rotation": 25 in a key's life).
pub const EXPORT_SYMMETRIC_VERSIONS_MAX: usize = 26;
/// Digits of a number in a backup: an RSA-4096 modulus has 1,234.
pub const EXPORT_DIGITS_MAX: usize = 1_300;

//! The only crate that meets a cryptography provider.
//!
//! Everything else in the house asks here for digests, randomness, sealing and
//! signing, so that the provider can be exchanged, and audited, in one place.
//!
//! The provider is AWS-LC (`aws-lc-rs`). Another crate is used only where it
//! lacks an algorithm: `ed25519-dalek` for Ed25519ph, `ml-dsa` for message representatives, `argon2` for passphrases and passwords.
//!
//! | module | holds |
//! |---|---|
//! | [`hash`], [`random`], [`kdf`], [`aead`] | the primitives |
//! | [`key`] | backing keys of KMS: generate, sign, verify, encrypt, decrypt, MAC |
//! | [`blob`] | the envelope that `kms:Encrypt` answers |
//! | [`xks`] | the same in parts, for the proxy of an external key store |
//! | [`enveloped`] | data sealed to somebody's RSA key |
//! | [`hierarchy`] | root key, the ring of roots, domain keys, sealed rows |
//! | [`slot`] | the ways to open a root key, and first set-up |
//! | [`password`], [`totp`] | what people prove themselves by: passwords, one-time codes |
//! | [`foreign`] | digests and signatures of documents that others made |
//! | [`ssh`], [`server_key`] | keys that people bring, to be told and compared |
//! | [`sigv4a`] | the key pair of Signature Version 4A |
//!
//! Absent by design: files, sockets and clocks. What must be read from a disk
//! is read by the caller and handed over as bytes.

pub mod aead;
pub mod blob;
pub mod enveloped;
pub mod error;
pub mod foreign;
pub mod hash;
pub mod hierarchy;
pub mod jose;
pub mod kdf;
pub mod key;
pub mod password;
pub mod random;
pub mod server_key;
pub mod sigv4a;
pub mod slot;
pub mod ssh;
pub mod totp;
pub mod xks;

mod canonical;
mod der;
mod locked;
mod message;

pub use error::Error;
pub use hash::{HmacKey, Sha256, constant_time_eq, hmac_sha256, sha256};
pub use hierarchy::{DomainKey, MaterialRecord, Ring, RootKey};
pub use locked::forbid_core_dumps;
pub use password::PasswordDigest;
pub use random::Random;

//! A private key in a file: PEM, or DER.
//!
//! Source: RFC 7468.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ground::Secret;

use super::BadFile;
use super::der::{self, CURVES};

const NOT: BadFile = BadFile::Not("a private key in PEM or DER that KMS could read");

/// PKCS #8 that the file may be.
pub(super) fn private_key(bytes: &[u8]) -> Result<Vec<Secret<Vec<u8>>>, BadFile> {
    match std::str::from_utf8(bytes) {
        Ok(text) if is_encrypted(text) => Err(BadFile::Encrypted),
        // To take the first would lose the others unseen.
        Ok(text) if private_blocks(text) > 1 => Err(BadFile::Strange("more than one private key".to_owned())),
        Ok(text) if text.contains("-----BEGIN ") => of_text(text).ok_or(NOT),
        _ if bytes.first() == Some(&0x30) => Ok(vec![Secret::new(bytes.to_vec())]),
        _ => Err(NOT),
    }
}

/// PKCS #8 with a password, or the older form of OpenSSL with one (RFC 1421, 4.6.1.1).
fn is_encrypted(text: &str) -> bool {
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED")
}

/// How many private keys the text has.
fn private_blocks(text: &str) -> usize {
    text.split("-----BEGIN ")
        .skip(1)
        .filter(|block| {
            block
                .split_once("-----")
                .is_some_and(|(label, _)| label.ends_with("PRIVATE KEY"))
        })
        .count()
}

/// As [`private_key`], of text; `None` if not exactly one block of it is a private key.
pub(super) fn of_text(text: &str) -> Option<Vec<Secret<Vec<u8>>>> {
    if private_blocks(text) != 1 {
        return None;
    }
    let block = |label: &str| {
        let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
        let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
        let body: String = body
            .chars()
            .filter(|letter| !letter.is_ascii_whitespace())
            .collect();
        let body = Secret::new(body);
        STANDARD.decode(body.expose()).ok().map(Secret::new)
    };
    if let Some(pkcs8) = block("PRIVATE KEY") {
        return Some(vec![pkcs8]);
    }
    if let Some(pkcs1) = block("RSA PRIVATE KEY") {
        return Some(vec![der::of_pkcs1(pkcs1.expose())]);
    }
    // The key itself may leave its curve unsaid; a wrong one is not sound.
    let sec1 = block("EC PRIVATE KEY")?;
    Some(
        CURVES
            .iter()
            .map(|curve| der::of_sec1(curve, sec1.expose()))
            .collect(),
    )
}

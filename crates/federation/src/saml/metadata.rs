//! The metadata of an identity provider: its name, and the keys it signs with.
//!
//! Absent by design: a check of who signed the metadata, or whether its
//! certificates are in date. Who gives it to us vouches for it; of a
//! certificate the key alone is used, as AWS does.

use ground::Timestamp;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{METADATA, PROTOCOL, SIGNATURE, unbroken_base64};
use crate::limits::CERTIFICATES_MAX;
use crate::xml;

/// What is taken from metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// `entityID`: the issuer of its assertions.
    pub entity_id: String,
    /// Until when it may be used, if it says so.
    pub valid_until: Option<Timestamp>,
    /// The public keys that it signs with, SubjectPublicKeyInfo in DER.
    pub keys: Vec<Vec<u8>>,
}

/// Why a document is no metadata of an identity provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMetadata {
    /// A certificate cannot be read.
    #[error("Invalid certificate in the metadata document")]
    Certificate,
    /// A date cannot be read.
    #[error("validUntil is not a date")]
    Date,
    /// It describes no provider of SAML 2.0 identities.
    #[error("No IDPSSODescriptor found in the metadata document")]
    NoDescriptor,
    /// It has no `entityID`.
    #[error("No entityID found in the metadata document")]
    NoEntity,
    /// There is no certificate to sign with, or there are too many.
    #[error("Exactly one to {CERTIFICATES_MAX} signing certificates are needed in the metadata document")]
    NoKey,
    /// It is no XML, or no `EntityDescriptor`.
    #[error("Could not parse metadata")]
    Unreadable,
}

impl Metadata {
    /// Reads a metadata document.
    ///
    /// # Errors
    ///
    /// [`BadMetadata`] if it does not describe an identity provider with a key to sign with.
    pub fn parse(text: &str) -> Result<Metadata, BadMetadata> {
        let document = xml::parse(text.trim_start_matches('\u{feff}').trim_start())
            .map_err(|_| BadMetadata::Unreadable)?;
        let root = document.root_element();
        if !root.has_tag_name((METADATA, "EntityDescriptor")) {
            return Err(BadMetadata::Unreadable);
        }
        let entity_id = root
            .attribute("entityID")
            .filter(|id| (1..=1_024).contains(&id.len()))
            .ok_or(BadMetadata::NoEntity)?;
        let speaks = |protocols: &str| protocols.split_ascii_whitespace().any(|one| one == PROTOCOL);
        let descriptor = xml::only(root, METADATA, "IDPSSODescriptor")
            .filter(|found| found.attribute("protocolSupportEnumeration").is_some_and(speaks))
            .ok_or(BadMetadata::NoDescriptor)?;
        let mut valid_until = None;
        for holder in [root, descriptor] {
            if let Some(date) = holder.attribute("validUntil") {
                let date = Timestamp::parse_iso8601(date).map_err(|_| BadMetadata::Date)?;
                valid_until = Some(valid_until.map_or(date, |known: Timestamp| known.min(date)));
            }
        }
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let signing = xml::children(descriptor, METADATA, "KeyDescriptor")
            .filter(|key| key.attribute("use").is_none_or(|used| used == "signing"));
        for certificate in signing
            .flat_map(|key| key.descendants())
            .filter(|node| node.has_tag_name((SIGNATURE, "X509Certificate")))
        {
            let text = xml::text(certificate).ok_or(BadMetadata::Certificate)?;
            let key = public_key(&text).ok_or(BadMetadata::Certificate)?;
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        if keys.is_empty() || keys.len() > CERTIFICATES_MAX {
            return Err(BadMetadata::NoKey);
        }
        Ok(Metadata {
            entity_id: entity_id.to_owned(),
            valid_until,
            keys,
        })
    }
}

/// The key in a certificate.
fn public_key(base64: &str) -> Option<Vec<u8>> {
    let der = unbroken_base64(base64)?;
    let (rest, certificate) = X509Certificate::from_der(&der).ok()?;
    rest.is_empty()
        .then(|| certificate.tbs_certificate.subject_pki.raw.to_vec())
}

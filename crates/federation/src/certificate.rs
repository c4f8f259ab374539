//! X.509 certificates that people bring in PEM (RFC 7468, 5), as far as it must
//! be known that they are such, when they are good (RFC 5280), whose key is in
//! them and who signed them.
//!
//! Absent by design: trust and revocation, since nobody is believed for what a
//! certificate says; what its extensions allow; and private keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::foreign::is_of_issuer;
use crypto::server_key::PublicHalf;
use ground::Timestamp;
use x509_parser::prelude::{FromDer as _, X509Certificate};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// As it was signed.
    pub der: Vec<u8>,
    /// From when it is good.
    pub not_before: Timestamp,
    /// Until when, that second included.
    pub not_after: Timestamp,
}

/// The text is no certificate in PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one X.509 certificate in PEM")]
pub struct BadCertificate;

impl Certificate {
    /// Reads one certificate, with nothing before it or behind it.
    ///
    /// # Errors
    ///
    /// [`BadCertificate`] for anything else.
    pub fn from_pem(text: &str) -> Result<Certificate, BadCertificate> {
        let body = text
            .trim()
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.strip_suffix(END))
            .ok_or(BadCertificate)?;
        let body: String = body
            .chars()
            .filter(|letter| !letter.is_ascii_whitespace())
            .collect();
        let der = STANDARD.decode(body).map_err(|_| BadCertificate)?;
        let (rest, certificate) = X509Certificate::from_der(&der).map_err(|_| BadCertificate)?;
        if !rest.is_empty() {
            return Err(BadCertificate);
        }
        let validity = certificate.validity();
        Ok(Certificate {
            not_before: Timestamp::from_seconds(validity.not_before.timestamp()),
            not_after: Timestamp::from_seconds(validity.not_after.timestamp()),
            der: der.clone(),
        })
    }

    /// Reads certificates that follow each other, one at least and `most` at most.
    ///
    /// # Errors
    ///
    /// [`BadCertificate`] for anything else.
    pub fn chain_from_pem(text: &str, most: usize) -> Result<Vec<Certificate>, BadCertificate> {
        let parts: Vec<&str> = text.trim().split_inclusive(END).collect();
        if parts.is_empty() || parts.len() > most {
            return Err(BadCertificate);
        }
        parts.into_iter().map(Certificate::from_pem).collect()
    }

    /// Whether its key is the public half of that private key.
    pub fn has_key(&self, half: &PublicHalf) -> bool {
        let read = X509Certificate::from_der(&self.der);
        read.is_ok_and(|(_, certificate)| half.is(&certificate.public_key().subject_public_key.data))
    }

    /// Whether `issuer` is whom it names as its issuer, and signed it.
    pub fn is_issued_by(&self, issuer: &Certificate) -> bool {
        let (Ok((_, own)), Ok((_, issuer))) = (
            X509Certificate::from_der(&self.der),
            X509Certificate::from_der(&issuer.der),
        ) else {
            return false;
        };
        own.issuer().as_raw() == issuer.subject().as_raw()
            && is_of_issuer(
                &own.signature_algorithm.algorithm.to_id_string(),
                own.tbs_certificate.as_ref(),
                issuer.public_key().raw,
                &own.signature_value.data,
            )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Signed by itself with OpenSSL; good from 2026-01-01T00:00:00Z to 2036-01-01T00:00:00Z.
    const PEM: &str = include_str!("../tests/certificate/self-signed.pem");

    #[test]
    fn a_certificate_of_openssl_is_read() {
        let read = Certificate::from_pem(PEM).unwrap();
        assert_eq!(read.not_before, Timestamp::from_seconds(1_767_225_600));
        assert_eq!(read.not_after, Timestamp::from_seconds(2_082_758_400));
        let line_ends = PEM.replace('\n', "\r\n");
        assert_eq!(Certificate::from_pem(&line_ends).unwrap(), read);
    }

    #[test]
    fn what_is_none_is_refused() {
        let two = format!("{PEM}{PEM}");
        let key = PEM.replace("CERTIFICATE", "PUBLIC KEY");
        let cut = PEM.replacen("MI", "", 1);
        let mut longer = Certificate::from_pem(PEM).unwrap().der;
        longer.push(0);
        let longer = format!("{BEGIN}\n{}\n{END}", STANDARD.encode(longer));
        for text in ["", BEGIN, "no certificate", &two, &key, &cut, &longer] {
            assert_eq!(Certificate::from_pem(text), Err(BadCertificate), "{text}");
        }
    }

    #[test]
    fn certificates_are_read_one_after_the_other() {
        let one = Certificate::from_pem(PEM).unwrap();
        let three = format!("{PEM}\n{PEM}{PEM}");
        let read = Certificate::chain_from_pem(&three, 3).unwrap();
        assert_eq!(read, [one.clone(), one.clone(), one]);
        let between = format!("{PEM}between{PEM}");
        let behind = format!("{PEM}behind");
        for (text, most) in [(three.as_str(), 2), ("", 3), (&between, 3), (&behind, 3)] {
            assert_eq!(
                Certificate::chain_from_pem(text, most),
                Err(BadCertificate),
                "{text}"
            );
        }
    }

    #[test]
    fn who_signed_is_found_by_name_and_signature() {
        let own = Certificate::from_pem(PEM).unwrap();
        assert!(own.is_issued_by(&own), "it is signed by itself");
        // One bit of what was signed, of the signature, of the issuer's name or key.
        for at in [60, own.der.len() - 1] {
            let mut other = own.clone();
            other.der[at] ^= 1;
            assert!(!other.is_issued_by(&own), "{at}");
        }
    }

    proptest! {
        #[test]
        fn reading_is_total(der in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Certificate::from_pem(&format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(der)));
        }
    }
}

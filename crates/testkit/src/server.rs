//! A server's certificate, the authorities that it leads to, and its key, all in PEM.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// What a server shows, and what it keeps.
pub struct Server {
    /// Good from 2000 to 2100.
    pub certificate: String,
    /// Who signed the certificate, and who signed that one.
    pub chain: [String; 2],
    /// A key on P-256.
    pub key: String,
}

fn params(name: &str, is_ca: IsCa) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("no names are wrong names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = is_ca;
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(2100, 1, 1);
    params
}

/// A server with authorities of its own.
///
/// # Panics
///
/// If the provider makes no keys.
pub fn server() -> Server {
    let key = || KeyPair::generate().expect("a key is made");
    let authority = |name| params(name, IsCa::Ca(BasicConstraints::Unconstrained));
    let (root_key, between_key, leaf_key) = (key(), key(), key());
    let root = authority("root").self_signed(&root_key);
    let root = root.expect("it signs itself").pem();
    let issuer = Issuer::new(authority("root"), root_key);
    let between = authority("between").signed_by(&between_key, &issuer);
    let between = between.expect("it is signed").pem();
    let issuer = Issuer::new(authority("between"), between_key);
    let certificate = params("server.example.com", IsCa::NoCa).signed_by(&leaf_key, &issuer);
    Server {
        certificate: certificate.expect("it is signed").pem(),
        chain: [between, root],
        key: leaf_key.serialize_pem(),
    }
}

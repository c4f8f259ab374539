//! A Nitro hypervisor for tests: a root of its own, and the documents that it
//! signs.

use crypto::key::{BackingKey, KeySpec, MessageType, SigningAlgorithm};
use ground::Timestamp;
use minicbor::Encoder;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ECDSA_P384_SHA384};

/// A hypervisor and the certificates that lead to its root.
pub struct Nitro {
    root: Vec<u8>,
    intermediate: Vec<u8>,
    leaf: Vec<u8>,
    key: BackingKey,
}

/// What a document is to say.
#[derive(Clone)]
pub struct Says<'a> {
    /// When it was made.
    pub at: Timestamp,
    /// The first register; the second is all zero.
    pub image: [u8; 48],
    /// A SubjectPublicKeyInfo; none if it is left out.
    pub public_key: Option<&'a [u8]>,
    /// The member that the registers are in: `pcrs` or `nitrotpm_pcrs`.
    pub registers: &'a str,
}

impl Default for Nitro {
    fn default() -> Nitro {
        Nitro::new()
    }
}

impl Nitro {
    /// A hypervisor under a root that nobody else has.
    ///
    /// # Panics
    ///
    /// If the certificates cannot be made: the test fails.
    pub fn new() -> Nitro {
        let authority = |name: &str| {
            let mut params = CertificateParams::new(Vec::new()).expect("no names are names");
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
            params.not_after = rcgen::date_time_ymd(2100, 1, 1);
            params
        };
        let key = || KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("a key is made");
        let (root_key, between_key, leaf_key) = (key(), key(), key());
        let root = authority("root").self_signed(&root_key).expect("it signs itself");
        let root_issuer = Issuer::new(authority("root"), root_key);
        let between = authority("zone")
            .signed_by(&between_key, &root_issuer)
            .expect("it is signed");
        let between_issuer = Issuer::new(authority("zone"), between_key);
        let mut params = authority("i-0123456789abcdef0");
        params.is_ca = IsCa::ExplicitNoCa;
        let leaf = params
            .signed_by(&leaf_key, &between_issuer)
            .expect("it is signed");
        Nitro {
            root: root.der().to_vec(),
            intermediate: between.der().to_vec(),
            leaf: leaf.der().to_vec(),
            key: BackingKey::from_bytes(KeySpec::EccNistP384, &leaf_key.serialize_der()).expect("it is one"),
        }
    }

    /// The root, in DER.
    pub fn root(&self) -> &[u8] {
        &self.root
    }

    /// A document that says so.
    ///
    /// # Panics
    ///
    /// If it cannot be signed: the test fails.
    pub fn document(&self, says: &Says<'_>) -> Vec<u8> {
        let payload = self.payload(says);
        let protected = [0xa1, 0x01, 0x38, 0x22];
        let mut signed = Vec::new();
        let mut encoder = Encoder::new(&mut signed);
        let written = encoder
            .array(4)
            .and_then(|it| it.str("Signature1"))
            .and_then(|it| it.bytes(&protected))
            .and_then(|it| it.bytes(&[]))
            .and_then(|it| it.bytes(&payload));
        written.expect("a vector takes all");
        let signature = self
            .key
            .sign(SigningAlgorithm::EcdsaSha384, MessageType::Raw, &signed)
            .expect("it signs");
        let mut out = Vec::new();
        let mut encoder = Encoder::new(&mut out);
        let written = encoder
            .array(4)
            .and_then(|it| it.bytes(&protected))
            .and_then(|it| it.map(0))
            .and_then(|it| it.bytes(&payload))
            .and_then(|it| it.bytes(&joined(&signature, 48)));
        written.expect("a vector takes all");
        out
    }

    fn payload(&self, says: &Says<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(&mut out);
        let at = u64::try_from(says.at.0).expect("it is after 1970");
        let written = encoder
            .map(9)
            .and_then(|it| {
                it.str("module_id")?
                    .str("i-0123456789abcdef0-enc0123456789abcdef")
            })
            .and_then(|it| it.str("digest")?.str("SHA384"))
            .and_then(|it| it.str("timestamp")?.u64(at))
            .and_then(|it| {
                it.str(says.registers)?
                    .map(2)?
                    .u8(0)?
                    .bytes(&says.image)?
                    .u8(1)?
                    .bytes(&[0; 48])
            })
            .and_then(|it| it.str("certificate")?.bytes(&self.leaf))
            .and_then(|it| {
                it.str("cabundle")?
                    .array(2)?
                    .bytes(&self.root)?
                    .bytes(&self.intermediate)
            })
            .and_then(|it| match says.public_key {
                Some(key) => it.str("public_key")?.bytes(key),
                None => it.str("public_key")?.null(),
            })
            .and_then(|it| it.str("user_data")?.null())
            .and_then(|it| it.str("nonce")?.null());
        written.expect("a vector takes all");
        out
    }
}

/// An ECDSA signature in DER as its two numbers, of so many bytes each.
fn joined(der: &[u8], bytes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = &der[2..];
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let number = &rest[2..2 + length];
        let number = &number[number.iter().take_while(|byte| **byte == 0).count()..];
        out.extend(std::iter::repeat_n(0, bytes - number.len()));
        out.extend_from_slice(number);
        rest = &rest[2 + length..];
    }
    out
}

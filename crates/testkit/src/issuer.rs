//! A real OpenID Connect issuer: signs tokens, and shows its keys over https.

#![expect(clippy::unwrap_used, reason = "a test that cannot have its issuer fails here")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{CertificateParams, Issuer as Authority, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A signing key with an id.
pub struct TokenKey {
    id: String,
    algorithm: Algorithm,
    signing: EncodingKey,
}

impl TokenKey {
    /// A new key for ES256.
    pub fn new(id: &str) -> TokenKey {
        let pair = KeyPair::generate().unwrap();
        TokenKey {
            id: id.to_owned(),
            algorithm: Algorithm::ES256,
            signing: EncodingKey::from_ec_der(&pair.serialize_der()),
        }
    }

    /// The public half, as a set of keys has it.
    pub fn public(&self) -> Value {
        let mut key = Jwk::from_encoding_key(&self.signing, self.algorithm).unwrap();
        key.common.key_id = Some(self.id.clone());
        serde_json::to_value(key).unwrap()
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        let mut head = Header::new(self.algorithm);
        head.kid = Some(self.id.clone());
        jsonwebtoken::encode(&head, claims, &self.signing).unwrap()
    }
}

/// A set of keys as a document.
pub fn key_set(keys: &[&TokenKey]) -> String {
    let keys: Vec<Value> = keys.iter().map(|key| key.public()).collect();
    json!({ "keys": keys }).to_string()
}

/// A certificate for this machine, and the authority that gave it.
pub struct Certificates {
    /// DER of the authority.
    pub authority: Vec<u8>,
    /// PEM of the authority.
    pub authority_pem: String,
    leaf: Vec<u8>,
    key: Vec<u8>,
}

impl Certificates {
    /// The certificate alone, for a server or a client.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from(self.leaf.clone())]
    }

    /// Its private key.
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone().into())
    }

    /// New ones, for `localhost`.
    pub fn new() -> Certificates {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&authority_key).unwrap();
        let issuer = Authority::new(params, authority_key);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["localhost".to_owned()])
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();
        Certificates {
            authority: authority.der().to_vec(),
            authority_pem: authority.pem(),
            leaf: leaf.der().to_vec(),
            key: key.serialize_der(),
        }
    }
}

impl Default for Certificates {
    fn default() -> Certificates {
        Certificates::new()
    }
}

/// What an https server answers, by path: the whole answer, head and body.
type Answers = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// An https server on the loopback interface that answers what it is told to.
pub struct HttpsServer {
    /// Where it listens.
    pub address: SocketAddr,
    answers: Answers,
    asked: Arc<Mutex<Vec<String>>>,
}

impl HttpsServer {
    /// Serves with these certificates for as long as the runtime lives.
    pub async fn new(certificates: &Certificates) -> HttpsServer {
        let chain = [&certificates.leaf, &certificates.authority]
            .map(|der| CertificateDer::from(der.clone()))
            .to_vec();
        let key = PrivateKeyDer::try_from(certificates.key.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = HttpsServer {
            address: listener.local_addr().unwrap(),
            answers: Arc::default(),
            asked: Arc::default(),
        };
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (answers, asked) = (Arc::clone(&server.answers), Arc::clone(&server.asked));
        #[expect(clippy::disallowed_methods, reason = "the server serves beside the test")]
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, answers, asked) = (acceptor.clone(), Arc::clone(&answers), Arc::clone(&asked));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, &answers, &asked).await;
                    }
                });
            }
        });
        server
    }

    /// Its address as issuers name themselves.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Answers `path` with this JSON from now on.
    pub fn answer(&self, path: &str, body: &str) {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.answer_raw(path, (head + body).into_bytes());
    }

    /// Answers `path` with these very bytes from now on.
    pub fn answer_raw(&self, path: &str, answer: Vec<u8>) {
        let mut answers = self.answers.lock().unwrap();
        answers.retain(|(known, _)| known != path);
        answers.push((path.to_owned(), answer));
    }

    /// Shows these keys as an issuer does.
    pub fn show(&self, keys: &[&TokenKey]) {
        let url = self.url();
        let configuration = json!({"issuer": url, "jwks_uri": format!("{url}/keys")});
        self.answer("/.well-known/openid-configuration", &configuration.to_string());
        self.answer("/keys", &key_set(keys));
    }

    /// The paths that were asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    answers: &Mutex<Vec<(String, Vec<u8>)>>,
    asked: &Mutex<Vec<String>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 8_192 {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let path = String::from_utf8_lossy(&head)
        .split(' ')
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    asked.lock().unwrap().push(path.clone());
    let found = answers
        .lock()
        .unwrap()
        .iter()
        .find(|(known, _)| *known == path)
        .cloned();
    let answer = found.map_or_else(
        || b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        |(_, answer)| answer,
    );
    // The client may have gone, having read enough.
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

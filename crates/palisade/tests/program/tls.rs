//! TLS: a certificate of its own beyond this machine, the operator's where
//! one is given, the new one as soon as its files change.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use serde_json::json;
use testkit::client::signed;
use testkit::program::Server;
use testkit::sample;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::serve::{Installed, write_private};
use crate::world::operation;

/// Accepts any certificate and remembers the last: the test looks at it itself.
#[derive(Debug, Default)]
struct Shown(Mutex<Vec<u8>>);

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = certificate.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let algorithms = &provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let algorithms = &provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Connects, offering these protocols, and tells which certificate was shown.
async fn connect(
    address: SocketAddr,
    protocols: &[&str],
    version: &'static rustls::SupportedProtocolVersion,
) -> std::io::Result<(TlsStream<TcpStream>, Vec<u8>)> {
    let shown = Arc::new(Shown::default());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&shown) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let certificate = shown.0.lock().unwrap().clone();
    Ok((stream, certificate))
}

async fn shown_at(address: SocketAddr) -> Vec<u8> {
    connect(address, &["http/1.1"], &rustls::version::TLS13)
        .await
        .unwrap()
        .1
}

/// A signed call in the HTTP version that was negotiated.
async fn call(server: &Server, installed: &Installed, protocol: &str) -> (Version, u16, String) {
    let address = loopback(server.address);
    let (stream, _) = connect(address, &[protocol], &rustls::version::TLS13)
        .await
        .unwrap();
    let alpn = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    assert_eq!(alpn.as_deref(), Some(protocol.as_bytes()));
    let host = format!("localhost:{}", address.port());
    let encoded = sample::encode(operation("kms:ListKeys"), &json!({}));
    let mut request = signed(&host, "POST", "/", "kms", Some(&installed.root), encoded);
    let io = TokioIo::new(stream);
    let response = if protocol == "h2" {
        // The host travels as :authority.
        request.headers_mut().remove(http::header::HOST);
        *request.uri_mut() = format!("https://{host}/").parse().unwrap();
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
            .await
            .unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    };
    let (version, status) = (response.version(), response.status().as_u16());
    let body: Bytes = response.into_body().collect().await.unwrap().to_bytes();
    (version, status, String::from_utf8_lossy(&body).into_owned())
}

fn loopback(address: SocketAddr) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], address.port()))
}

/// Writes a new certificate with its key, and gives its bytes.
fn certify(installed: &Installed) -> Vec<u8> {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    std::fs::write(installed.path("certificate.pem"), certificate.pem()).unwrap();
    write_private(&installed.path("key.pem"), &key.serialize_pem());
    certificate.der().to_vec()
}

fn serve(installed: &Installed, config: &str) -> Server {
    std::fs::write(installed.path("palisade.toml"), config).unwrap();
    let arguments = ["serve", "--config=palisade.toml", "--passphrase-file=passphrase"];
    installed.launch.serve(&arguments, &installed.path("log"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_given_certificate_is_shown_and_the_next_one_when_its_files_change() {
    let installed = Installed::new();
    let first = certify(&installed);
    let server = serve(
        &installed,
        "listen = \"127.0.0.1:0\"\ndata = \"data\"\n[tls]\ncertificate = \"certificate.pem\"\nkey = \"key.pem\"\n",
    );
    assert!(server.endpoint.starts_with("https://"), "{}", server.endpoint);
    let address = server.address;
    assert_eq!(shown_at(address).await, first);
    for (protocol, version) in [("http/1.1", Version::HTTP_11), ("h2", Version::HTTP_2)] {
        let (spoken, status, body) = call(&server, &installed, protocol).await;
        assert_eq!((spoken, status), (version, 200), "{body}");
    }
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        connect(address, &["http/1.1"], version).await.unwrap();
    }

    // A connection that is open stays; the next one sees the new certificate.
    // A file half written changes nothing.
    std::fs::write(
        installed.path("certificate.pem"),
        "-----BEGIN CERTIFICATE-----\nnothing",
    )
    .unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(shown_at(address).await, first, "a broken file was taken");
    let second = certify(&installed);
    let give_up = Instant::now() + Duration::from_secs(20);
    while shown_at(address).await != second {
        assert!(Instant::now() < give_up, "the new certificate is not shown");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (_, status, body) = call(&server, &installed, "h2").await;
    assert_eq!(status, 200, "{body}");

    // Who speaks plainly is turned away, and nobody is kept waiting by it.
    let plain = Request::get("/_palisade/health").body(Full::default()).unwrap();
    assert!(testkit::client::exchange(address, plain).await.is_err());
    assert!(server.stop().success());

    let records = crate::records::of(&installed.path("data/journal"));
    let told: Vec<_> = records
        .iter()
        .filter(|record| record["eventName"] == "ListKeys")
        .collect();
    assert_eq!(told.len(), 3);
    for record in told {
        assert_eq!(record["tlsDetails"]["tlsVersion"], "TLSv1.3", "{record}");
        assert_eq!(
            record["tlsDetails"]["clientProvidedHostHeader"], "localhost",
            "{record}"
        );
        assert!(
            record["tlsDetails"]["cipherSuite"]
                .as_str()
                .unwrap()
                .starts_with("TLS_"),
            "{record}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_this_machine_it_encrypts_unless_told_not_to() {
    let installed = Installed::new();
    let server = serve(&installed, "listen = \"0.0.0.0:0\"\ndata = \"data\"\n");
    assert!(server.endpoint.starts_with("https://"), "{}", server.endpoint);
    for protocol in ["http/1.1", "h2"] {
        let (_, status, body) = call(&server, &installed, protocol).await;
        assert_eq!(status, 200, "{body}");
    }
    assert!(server.stop().success());
    let server = serve(
        &installed,
        "listen = \"0.0.0.0:0\"\ndata = \"data\"\n[tls]\noff = true\n",
    );
    assert!(server.endpoint.starts_with("http://"), "{}", server.endpoint);
    assert!(server.stop().success());

    // Half a pair, a key of another certificate, a key that all may read.
    let refuse = |config: &str, expected: &str| {
        std::fs::write(installed.path("palisade.toml"), config).unwrap();
        let arguments = [
            "serve",
            "--config=palisade.toml",
            "--passphrase-file=passphrase",
            "--data=data",
        ];
        let told = installed.launch.run(&arguments);
        assert_eq!(told.code(), 1, "{told:?}");
        assert!(told.stderr.contains(expected), "{told:?}");
    };
    certify(&installed);
    refuse(
        "listen = \"127.0.0.1:0\"\n[tls]\ncertificate = \"certificate.pem\"\n",
        "come together",
    );
    let both = "listen = \"127.0.0.1:0\"\n[tls]\ncertificate = \"certificate.pem\"\nkey = \"other.pem\"\n";
    std::fs::copy(installed.path("key.pem"), installed.path("other.pem")).unwrap();
    certify(&installed);
    refuse(both, "does not belong");
    std::fs::write(installed.path("other.pem"), "x").unwrap();
    refuse(both, "key");
    refuse("listn = \"127.0.0.1:0\"\n", "palisade.toml");
}

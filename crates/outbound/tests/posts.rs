//! What is posted, over connections that are kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode};
use outbound::{Outbound, OutboundError, Post, Shown};
use rustls::pki_types::CertificateDer;
use testkit::issuer::{Certificates, HttpsServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

fn outbound(certificates: &Certificates, place: std::net::SocketAddr) -> Outbound {
    let authority = CertificateDer::from(certificates.authority.clone());
    let outbound = Outbound::new(Vec::new(), Box::new(move || vec![authority.clone()]));
    outbound.finding(HashMap::from([("localhost".to_owned(), place)]))
}

fn post(url: &str, time: Duration) -> Post<'_> {
    Post {
        url,
        headers: HeaderMap::new(),
        body: "{}".into(),
        time,
    }
}

const PATIENT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_name_is_found_where_the_operator_says_and_answers_with_any_status() {
    let certificates = Certificates::new();
    let server = HttpsServer::new(&certificates).await;
    let outbound = outbound(&certificates, server.address);
    server.answer("/a", "{}");
    // The server closes each connection after its answer: a kept one breaks, and is replaced.
    for _ in 0..3 {
        let posted = outbound
            .post(&post("https://localhost/a", PATIENT))
            .await
            .unwrap();
        assert_eq!(
            (posted.status, posted.body.as_ref()),
            (StatusCode::OK, b"{}".as_slice())
        );
    }
    assert_eq!(server.asked(), ["/a"; 3]);
    let posted = outbound
        .post(&post("https://localhost/b", PATIENT))
        .await
        .unwrap();
    assert_eq!(posted.status, StatusCode::NOT_FOUND);
    // Only that name, and by its certificate.
    let told = outbound.post(&post("https://127.0.0.1/a", PATIENT)).await;
    assert!(matches!(told, Err(OutboundError::Address(_))), "{told:?}");
    let told = outbound.post(&post("http://localhost/a", PATIENT)).await;
    assert!(matches!(told, Err(OutboundError::Url(_))), "{told:?}");
    let stranger = self::outbound(&Certificates::new(), server.address);
    let told = stranger.post(&post("https://localhost/a", PATIENT)).await;
    assert!(matches!(told, Err(OutboundError::Tls { .. })), "{told:?}");
}

#[tokio::test]
async fn an_answer_is_bounded_in_size_and_in_time() {
    let certificates = Certificates::new();
    let server = HttpsServer::new(&certificates).await;
    let outbound = outbound(&certificates, server.address);
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(300 * 1024));
    server.answer_raw("/endless", endless.into_bytes());
    let told = outbound.post(&post("https://localhost/endless", PATIENT)).await;
    assert!(matches!(told, Err(OutboundError::Answer { .. })), "{told:?}");

    // Somebody who takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = silent.local_addr().unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    #[expect(clippy::disallowed_methods, reason = "the server serves beside the test")]
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok(connection) = silent.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            held.push(connection);
        }
    });
    let begun = Instant::now();
    let outbound = self::outbound(&certificates, place);
    let told = outbound
        .post(&post("https://localhost/", Duration::from_millis(200)))
        .await;
    assert!(matches!(told, Err(OutboundError::Time { .. })), "{told:?}");
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(taken.load(Ordering::SeqCst), 1);
}

/// A server that takes those alone who show a certificate of `clients`.
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
async fn asking(certificates: &Certificates, clients: &Certificates) -> std::net::SocketAddr {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from(clients.authority.clone()))
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates.chain(), certificates.private_key())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the server serves beside the test")]
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut asked = [0; 4_096];
            let _ = stream.read(&mut asked).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
                .await;
            let _ = stream.shutdown().await;
        }
    });
    place
}

#[tokio::test]
async fn a_certificate_of_ours_is_shown_to_the_host_it_was_given_for() {
    let (certificates, clients) = (Certificates::new(), Certificates::new());
    let place = asking(&certificates, &clients).await;
    let shown = |of: &Certificates| Shown::new(of.chain(), &of.private_key()).unwrap();
    let post = post("https://localhost/a", PATIENT);
    let to = |host: &str, of: &Certificates| HashMap::from([(host.to_owned(), shown(of))]);
    let given = outbound(&certificates, place).showing(to("localhost", &clients));
    for _ in 0..2 {
        assert_eq!(given.post(&post).await.unwrap().status, StatusCode::OK);
    }
    // None, another authority's, and the right one for another host.
    for wrong in [
        outbound(&certificates, place),
        outbound(&certificates, place).showing(to("localhost", &certificates)),
        outbound(&certificates, place).showing(to("elsewhere.example", &clients)),
    ] {
        let told = wrong.post(&post).await;
        assert!(matches!(told, Err(OutboundError::Tls { .. })), "{told:?}");
    }
    // A key that is another's.
    assert!(Shown::new(clients.chain(), &certificates.private_key()).is_err());
    assert!(Shown::new(Vec::new(), &clients.private_key()).is_err());
}

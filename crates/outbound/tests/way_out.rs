//! What is fetched from a real https server, and what is not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use outbound::{Outbound, OutboundError, Thumbprint};
use rustls::pki_types::CertificateDer;
use testkit::issuer::{Certificates, HttpsServer};

fn outbound(networks: &[&str], authorities: &[&Certificates]) -> Outbound {
    let networks = networks.iter().map(|text| text.parse().unwrap()).collect();
    let authorities: Vec<_> = authorities
        .iter()
        .map(|certificates| CertificateDer::from(certificates.authority.clone()))
        .collect();
    Outbound::new(networks, Box::new(move || authorities.clone()))
}

fn thumbprint(certificates: &Certificates) -> Thumbprint {
    crypto::foreign::sha1_name(&[&certificates.authority])
}

const LOOPBACK: &[&str] = &["127.0.0.0/8", "::1/128"];

#[tokio::test]
async fn a_good_server_is_read() {
    let certificates = Certificates::new();
    let server = HttpsServer::new(&certificates).await;
    server.answer("/a?b", "{}");
    let url = format!("{}/a?b", server.url());
    let body = outbound(LOOPBACK, &[&certificates]).get(&url, &[]).await.unwrap();
    assert_eq!(body.as_ref(), b"{}");
    // A thumbprint stands in for an authority.
    let pinned = [thumbprint(&certificates)];
    for authorities in [&[][..], &[&Certificates::new()][..]] {
        let body = outbound(LOOPBACK, authorities).get(&url, &pinned).await.unwrap();
        assert_eq!(body.as_ref(), b"{}");
    }
}

#[tokio::test]
async fn what_is_inside_is_not_reached() {
    let certificates = Certificates::new();
    let server = HttpsServer::new(&certificates).await;
    server.answer("/", "{}");
    let port = server.address.port();
    for (host, networks) in [
        ("localhost", &[][..]),
        ("127.0.0.1", &[][..]),
        ("[::1]", &[][..]),
        ("[::ffff:127.0.0.1]", &[][..]),
        ("localhost", &["10.0.0.0/8"][..]),
    ] {
        let url = format!("https://{host}:{port}/");
        let told = outbound(networks, &[&certificates])
            .get(&url, &[])
            .await
            .unwrap_err();
        assert!(matches!(told, OutboundError::Address(_)), "{host}: {told}");
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_stranger_is_not_believed() {
    let certificates = Certificates::new();
    let server = HttpsServer::new(&certificates).await;
    server.answer("/", "{}");
    let other = Certificates::new();
    for (authorities, pinned) in [
        (vec![], vec![]),
        (vec![&other], vec![]),
        (vec![&other], vec![thumbprint(&other)]),
    ] {
        let told = outbound(LOOPBACK, &authorities)
            .get(&server.url(), &pinned)
            .await
            .unwrap_err();
        assert!(matches!(told, OutboundError::Tls { .. }), "{told}");
    }
    // Its certificate is for another name, pinned or not.
    let url = format!("https://127.0.0.1:{}/", server.address.port());
    let told = outbound(LOOPBACK, &[])
        .get(&url, &[thumbprint(&certificates)])
        .await
        .unwrap_err();
    assert!(matches!(told, OutboundError::Tls { .. }), "{told}");
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn answers_are_bounded_and_redirects_not_followed() {
    let certificates = Certificates::new();
    let server = HttpsServer::new(&certificates).await;
    let outbound = outbound(LOOPBACK, &[&certificates]);
    let elsewhere = format!(
        "HTTP/1.1 302 Found\r\nLocation: {}/there\r\nContent-Length: 0\r\n\r\n",
        server.url()
    );
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(300 * 1024));
    let heady = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(300 * 1024));
    for answer in [
        elsewhere.as_str(),
        endless.as_str(),
        heady.as_str(),
        "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        "no answer at all",
    ] {
        server.answer_raw("/", answer.as_bytes().to_vec());
        let start: String = answer.chars().take(40).collect();
        let told = outbound.get(&server.url(), &[]).await.expect_err(&start);
        assert!(matches!(told, OutboundError::Answer { .. }), "{told}");
    }
    assert!(!server.asked().contains(&"/there".to_owned()));
    for url in [
        "http://localhost/",
        "localhost",
        "ftp://localhost/",
        "",
        "https://",
    ] {
        assert!(
            matches!(outbound.get(url, &[]).await, Err(OutboundError::Url(_))),
            "{url}"
        );
    }
}

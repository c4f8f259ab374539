//! Bytes on a socket that no client would send, and those that some do: each
//! costs its own connection at most.
//!
//! Absent: the limits in seconds (`HEADER_TIME_MAX`, `BODY_TIME_MAX`) and the
//! ten thousand connections, which no test should wait for or can open
//! everywhere.

use std::net::SocketAddr;
use std::time::Duration;

use ground::{Clock, Timestamp};
use serde_json::json;
use testkit::client::{Signer, send, signed_bytes};
use testkit::program::{Launch, Server};
use testkit::sample;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::PALISADE;
use crate::serve::{call, ok};
use crate::world::{assert_none, operation};

/// Longer than anything here takes, shorter than the limits in seconds.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

const KEY: &str = "ROOTKEY";

struct Dev {
    server: Server,
    root: Signer,
    home: tempfile::TempDir,
}

impl Dev {
    fn new() -> Dev {
        let home = tempfile::tempdir().unwrap();
        let launch = Launch::new(PALISADE, home.path());
        let arguments = [
            "dev",
            "--listen=127.0.0.1:0",
            "--data=data",
            "--credential=ROOTKEY:secret:111122223333",
        ];
        let server = launch.serve(&arguments, &home.path().join("log"));
        Dev {
            server,
            root: Signer::new(KEY, "secret"),
            home,
        }
    }

    /// It still serves, and nothing has panicked.
    async fn is_well(&self) {
        ok(&self.server, &self.root, "kms:ListKeys", json!({})).await;
        let call = Default::default();
        let metrics = send(self.server.address, "GET", "/_palisade/metrics", "", None, call)
            .await
            .text();
        assert!(metrics.contains("palisade_panics_total 0"), "{metrics}");
        assert!(metrics.contains("palisade_unrecorded_total 0"), "{metrics}");
    }

    fn list_keys(&self) -> Vec<u8> {
        let call = sample::encode(operation("kms:ListKeys"), &json!({}));
        signed_bytes(self.server.address, "/", "kms", &self.root, call)
    }
}

/// Sends the bytes, ends the sending side if asked, and reads what comes until
/// the other end has nothing more to say. `None` if it hangs.
async fn talk(address: SocketAddr, bytes: &[u8], end: bool) -> Option<Vec<u8>> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The server may close before it has read all.
        let _ = stream.write_all(bytes).await;
        if end {
            let _ = stream.shutdown().await;
        }
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            answer.extend_from_slice(&buffer[..count]);
        }
        answer
    };
    tokio::time::timeout(ANSWER_TIME_MAX, exchange).await.ok()
}

/// The status of the first answer; 0 if the connection was closed without one.
fn status(answer: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(answer);
    text.split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_turned_away_and_costs_only_its_connection() {
    let dev = Dev::new();
    let long = |count: usize| "a".repeat(count);
    let many: String = (0..150).map(|at| format!("x-header-{at}: 1\r\n")).collect();
    let post =
        |headers: &str, body: &str| format!("POST / HTTP/1.1\r\nhost: a\r\n{headers}\r\n{body}").into_bytes();
    let get =
        |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").into_bytes();
    let close = "connection: close\r\n";
    let cases: Vec<(&str, Vec<u8>, &[u16])> = vec![
        ("nothing", Vec::new(), &[0]),
        ("zeros", vec![0; 4096], &[0, 400]),
        (
            "a TLS hello",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            &[0, 400],
        ),
        ("words", b"hello there\r\n\r\n".to_vec(), &[0, 400]),
        ("another version", b"GET / HTTP/9.9\r\n\r\n".to_vec(), &[0, 400]),
        (
            "HTTP/1.0",
            b"GET /_palisade/health HTTP/1.0\r\n\r\n".to_vec(),
            &[200],
        ),
        (
            "a bad method",
            b"G(T / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
            &[0, 400],
        ),
        (
            "a long head",
            post(&format!("x: {}\r\n{close}", long(80 << 10)), ""),
            &[0, 431],
        ),
        (
            "a long path",
            get(&format!("/{}", long(80 << 10))),
            &[0, 414, 431],
        ),
        ("many headers", post(&format!("{many}{close}"), ""), &[0, 431]),
        (
            "a header without a name",
            post(&format!(": x\r\n{close}"), ""),
            &[0, 400],
        ),
        (
            "a header with NUL",
            post(&format!("x: a\0b\r\n{close}"), ""),
            &[0, 400],
        ),
        (
            "two lengths",
            post(
                &format!("content-length: 1\r\ncontent-length: 2\r\n{close}"),
                "ab",
            ),
            &[0, 400],
        ),
        (
            "a negative length",
            post(&format!("content-length: -1\r\n{close}"), ""),
            &[0, 400],
        ),
        (
            "a huge length",
            post(&format!("content-length: 99999999999999999999\r\n{close}"), ""),
            &[0, 400],
        ),
        ("a body cut off", post("content-length: 100\r\n", "ab"), &[0, 400]),
        (
            "a chunk cut off",
            post("transfer-encoding: chunked\r\n", "5\r\nab"),
            &[0, 400],
        ),
        (
            "no chunk size",
            post("transfer-encoding: chunked\r\n", "zz\r\nab\r\n"),
            &[0, 400],
        ),
        (
            "a huge chunk",
            post("transfer-encoding: chunked\r\n", "ffffffffffffffffff\r\n"),
            &[0, 400],
        ),
        (
            "an unknown coding",
            post(&format!("transfer-encoding: magic\r\n{close}"), ""),
            &[0, 400, 501],
        ),
        (
            "two hosts",
            post(&format!("host: b\r\n{close}"), ""),
            &[400, 403, 404],
        ),
        (
            "no host",
            b"GET /_palisade/health HTTP/1.1\r\nconnection: close\r\n\r\n".to_vec(),
            &[200, 400],
        ),
        (
            "OPTIONS *",
            b"OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec(),
            &[400, 403, 404],
        ),
        (
            "CONNECT",
            b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\nconnection: close\r\n\r\n".to_vec(),
            &[0, 400, 403, 404],
        ),
        (
            "TRACE",
            b"TRACE / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec(),
            &[400, 403, 404],
        ),
        (
            "an absolute path",
            get("http://elsewhere/_palisade/health"),
            &[200, 400, 404],
        ),
        (
            "a path with dots",
            get("/_palisade/../../etc/passwd"),
            &[400, 403, 404],
        ),
        ("a path with escapes", get("/_palisade/%00%ff%"), &[400, 404]),
        ("a why of nothing", get("/_palisade/why/"), &[403, 404]),
        (
            "an HTTP/2 preface cut off",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n".to_vec(),
            &[0, 400],
        ),
        (
            "HTTP/2 nonsense",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
            &[0],
        ),
    ];
    let mut problems = Vec::new();
    for (what, bytes, expected) in cases {
        match talk(dev.server.address, &bytes, true).await {
            None => problems.push(format!("{what}: it hangs")),
            Some(answer) if answer.starts_with(b"HTTP/") || answer.is_empty() => {
                if !expected.contains(&status(&answer)) {
                    problems.push(format!("{what}: {}", String::from_utf8_lossy(&answer)));
                }
            }
            // HTTP/2 answers in frames; that it ends is what matters.
            Some(_) if what.contains("HTTP/2") => {}
            Some(answer) => problems.push(format!("{what}: {}", String::from_utf8_lossy(&answer))),
        }
    }
    assert_none(&problems);
    dev.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_unusual_clients_do_is_answered() {
    let dev = Dev::new();
    let address = dev.server.address;
    let request = dev.list_keys();

    // Half-closed: it has said all and waits.
    let answer = talk(address, &request, true).await.expect("it answers");
    assert_eq!(status(&answer), 200, "{}", String::from_utf8_lossy(&answer));

    // Two requests at once on one connection, answered in order.
    let both = [
        &request[..],
        b"GET /_palisade/health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    ]
    .concat();
    let answer =
        String::from_utf8_lossy(&talk(address, &both, false).await.expect("it answers")).into_owned();
    let (keys, health) = (answer.find("Keys"), answer.find("\"mode\":\"dev\""));
    assert!(keys.is_some() && keys < health, "{answer}");

    // One byte at a time.
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.set_nodelay(true).unwrap();
    for byte in &request {
        slow.write_all(&[*byte]).await.unwrap();
    }
    slow.shutdown().await.unwrap();
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).await.unwrap();
    assert_eq!(status(&answer), 200);

    // Asks before it sends, and goes away before it hears.
    let text = String::from_utf8(request.clone()).unwrap();
    let expects = text.replacen("\r\n", "\r\nexpect: 100-continue\r\n", 1);
    let answer = talk(address, expects.as_bytes(), true).await.expect("it answers");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.contains("HTTP/1.1 200"), "{answer}");
    for _ in 0..50 {
        let mut gone = TcpStream::connect(address).await.unwrap();
        gone.write_all(&request).await.unwrap();
        drop(gone);
    }

    // A user agent that is no UTF-8, and one that is too long to be kept.
    let odd = [
        &b"POST / HTTP/1.1\r\nuser-agent: \xff\xfe\r\n"[..],
        &request[b"POST / HTTP/1.1\r\n".len()..],
    ]
    .concat();
    assert_eq!(status(&talk(address, &odd, true).await.expect("it answers")), 200);
    let agent = format!("POST / HTTP/1.1\r\nuser-agent: {}\r\n", "u".repeat(5000));
    let long = [agent.as_bytes(), &request[b"POST / HTTP/1.1\r\n".len()..]].concat();
    assert_eq!(
        status(&talk(address, &long, true).await.expect("it answers")),
        200
    );

    // Those who say nothing keep nobody waiting.
    let mut silent = Vec::new();
    for _ in 0..800 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    dev.is_well().await;
    drop(silent);

    let Dev { server, home, .. } = dev;
    assert!(server.stop().success());
    let records = crate::records::of(&home.path().join("data/journal"));
    let agents: Vec<usize> = records
        .iter()
        .filter_map(|record| record["userAgent"].as_str())
        .map(str::len)
        .collect();
    assert_eq!(agents, [1024]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_was_changed_or_kept_too_long_is_refused() {
    let dev = Dev::new();
    let address = dev.server.address;
    let encrypt = sample::encode(operation("kms:CreateKey"), &json!({"Description": "as signed"}));
    let request = signed_bytes(address, "/", "kms", &dev.root, encrypt);
    let text = String::from_utf8(request.clone()).unwrap();
    let changed = [
        ("the body", text.replace("as signed", "as forged")),
        (
            "the operation",
            text.replace("TrentService.CreateKey", "TrentService.ListKeys "),
        ),
        (
            "the host",
            text.replacen(&format!("host: {address}"), "host: elsewhere:1", 1),
        ),
        ("the path", text.replacen("POST / ", "POST /a ", 1)),
        ("the query", text.replacen("POST / ", "POST /?a=b ", 1)),
        ("the date", {
            let at = text.find("x-amz-date: ").unwrap() + "x-amz-date: 20".len();
            format!("{}9{}", &text[..at], &text[at + 1..])
        }),
        ("the signature", {
            let at = text.find("Signature=").unwrap() + "Signature=".len();
            let other = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
            format!("{}{other}{}", &text[..at], &text[at + 1..])
        }),
        (
            "the region",
            text.replacen("/us-east-1/kms/", "/eu-west-1/kms/", 1),
        ),
        (
            "two targets",
            text.replacen("\r\n", "\r\nx-amz-target: TrentService.ListKeys\r\n", 1),
        ),
        (
            "two authorizations",
            text.replacen("\r\n", "\r\nauthorization: AWS4-HMAC-SHA256 x\r\n", 1),
        ),
    ];
    for (what, forged) in changed {
        assert_ne!(forged, text, "{what}");
        let answer = talk(address, forged.as_bytes(), true).await.expect("it answers");
        let status = status(&answer);
        let told = String::from_utf8_lossy(&answer).into_owned();
        assert!((400..500).contains(&status), "{what} changed: {told}");
        assert!(!told.contains("KeyMetadata"), "{what} changed: {told}");
    }
    // As it was signed, it is good, and good again: AWS has no replay protection within the time.
    assert_eq!(
        status(&talk(address, &request, true).await.expect("it answers")),
        200
    );

    let now = Clock::system().now();
    let minutes = |minutes: i64| Timestamp(now.0 + minutes * 60_000);
    for (time, words) in [
        (minutes(-6), "Signature expired"),
        (minutes(6), "Signature not yet current"),
    ] {
        let signer = Signer {
            time: Some(time),
            ..dev.root.clone()
        };
        let answer = call(&dev.server, &signer, "kms:ListKeys", json!({})).await;
        assert_eq!(answer.code(), "InvalidSignatureException");
        assert!(answer.text().contains(words), "{}", answer.text());
        let answer = call(&dev.server, &signer, "iam:ListUsers", json!({})).await;
        assert_eq!(answer.code(), "SignatureDoesNotMatch");
        assert!(answer.text().contains(words), "{}", answer.text());
    }
    for time in [minutes(-4), minutes(4)] {
        let signer = Signer {
            time: Some(time),
            ..dev.root.clone()
        };
        assert_eq!(
            call(&dev.server, &signer, "kms:ListKeys", json!({})).await.status,
            200
        );
    }
    dev.is_well().await;
}

/// Policies that are huge, and the longest that a body may carry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn huge_policies_cost_no_more_than_their_own_refusal() {
    let dev = Dev::new();
    let statement = json!({"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"});
    let many = json!({"Version": "2012-10-17", "Statement": vec![statement; 10_000]}).to_string();
    let stars = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:Get*",
        "Resource": format!("arn:aws:s3:::{}", "*a".repeat(40_000))}})
    .to_string();
    let deep = format!("{}{}", "[".repeat(60_000), "]".repeat(60_000));
    for document in [&many, &stars, &deep] {
        let input = json!({"PolicyName": "huge", "PolicyDocument": document});
        let answer = call(&dev.server, &dev.root, "iam:CreatePolicy", input).await;
        assert!(
            (400..500).contains(&answer.status),
            "{} {}",
            answer.status,
            answer.text()
        );
        let answer = call(
            &dev.server,
            &dev.root,
            "kms:CreateKey",
            json!({"Policy": document}),
        )
        .await;
        assert!(
            (400..500).contains(&answer.status),
            "{} {}",
            answer.status,
            answer.text()
        );
    }
    dev.is_well().await;
    let resident = dev.server.resident_kib();
    assert!(resident < 256 << 10, "{resident} KiB are resident after it");
}

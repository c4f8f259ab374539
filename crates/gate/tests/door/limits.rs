//! The listener's limits, each from both sides: who keeps within them is
//! served, who does not is cut off, and the others do not notice.
//!
//! Servers whose limit is to be hit have a short one; those that must serve
//! have the defaults, which no test waits for. What must happen in time is
//! given [`GENEROUS`], since the machine may be busy.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::select_all;
use futures_util::stream;
use gate::{Door, Identity, Limits, Tls, allow_open_files};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::{parts, root};
use testkit::client::signed;

/// Longer than anything takes that happens at all.
const GENEROUS: Duration = Duration::from_secs(60);

/// A limit that is to be hit.
const SHORT: Duration = Duration::from_millis(300);

/// A pause in the middle of something that is to be served.
const PAUSE: Duration = Duration::from_millis(50);

const HEALTH: &str = "GET /_palisade/health HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// The head of a request whose body has ten bytes. Nobody signed it, which is
/// told once the body is read.
const UNSIGNED: &str = "POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-target: TrentService.ListKeys\r\n\
                        content-type: application/x-amz-json-1.1\r\ncontent-length: 10\r\n\r\n";

struct Listening {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<std::io::Result<()>>,
    _journal: tempfile::TempDir,
}

async fn listen(limits: Limits, tls: Option<Tls>) -> Listening {
    let journal = tempfile::tempdir().unwrap();
    let door = Door::open(parts(&journal.path().join("journal")).await)
        .await
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move {
        // Whoever drops the sender wants no end.
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[expect(clippy::disallowed_methods, reason = "the test serves beside itself")]
    let ended = tokio::spawn(gate::serve_within(
        Arc::clone(&door),
        listener,
        tls,
        limits,
        stopped,
    ));
    Listening {
        address,
        stop,
        ended,
        _journal: journal,
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// What the server sends until it closes; a reset is a way to close.
async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let reading = stream.read_to_end(&mut bytes);
    let _ = tokio::time::timeout(GENEROUS, reading)
        .await
        .expect("the server closes the connection");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One answer's status line and what came with it.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4096];
    let read = tokio::time::timeout(GENEROUS, stream.read(&mut bytes))
        .await
        .expect("the server answers")
        .unwrap();
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

async fn is_served(address: SocketAddr) {
    let mut stream = connect(address).await;
    stream.write_all(HEALTH.as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let short = Limits {
        header_time: SHORT,
        ..Limits::default()
    };
    let server = listen(short, None).await;
    let beginnings = [
        "",
        "G",
        // As HTTP/2 begins, up to one byte before its version is known.
        "P",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r",
        "GET / HTTP/1.1\r\n",
        "GET /_palisade/health HTTP/1.1\r\nhost: localhost\r\nx-long: ",
    ];
    let mut waiting = Vec::new();
    for beginning in beginnings {
        let mut stream = connect(server.address).await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        waiting.push(stream);
    }
    is_served(server.address).await;
    for (mut stream, beginning) in waiting.into_iter().zip(beginnings) {
        let said = until_closed(&mut stream).await;
        assert!(!said.contains("200 OK"), "{beginning:?}: {said}");
    }
    // A connection that was served and asks nothing more is as idle.
    let mut idle = connect(server.address).await;
    idle.write_all(HEALTH.as_bytes()).await.unwrap();
    assert!(until_closed(&mut idle).await.starts_with("HTTP/1.1 200"));
    is_served(server.address).await;
}

/// Pings keep an HTTP/2 connection from being taken for dead, not from being idle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http2_connection_that_asks_nothing_is_closed() {
    let short = Limits {
        header_time: SHORT,
        ..Limits::default()
    };
    let server = listen(short, None).await;
    for asks in [false, true] {
        let stream = TokioIo::new(connect(server.address).await);
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        let talk = async {
            if asks {
                let uri = format!("http://{}/_palisade/health", server.address);
                let request = http::Request::get(uri).body(Full::new(Bytes::new())).unwrap();
                let status = sender.send_request(request).await.unwrap().status();
                assert_eq!(status, 200);
            }
            // The client answers pings as long as it is asked.
            std::future::pending::<()>().await;
        };
        let ended = async {
            tokio::select! {
                _ = connection => {},
                () = talk => {},
            }
        };
        tokio::time::timeout(GENEROUS, ended)
            .await
            .expect("the server closes the connection");
    }
    is_served(server.address).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_in_pieces_is_read() {
    let server = listen(Limits::default(), None).await;
    let mut stream = connect(server.address).await;
    // Twice, since a kept-alive connection starts anew.
    for _ in 0..2 {
        let (first, rest) = HEALTH.split_at(1);
        let (second, third) = rest.split_at(20);
        for piece in [first, second, third] {
            tokio::time::sleep(PAUSE).await;
            stream.write_all(piece.as_bytes()).await.unwrap();
        }
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_come_is_told_so() {
    let short = Limits {
        body_time: SHORT,
        ..Limits::default()
    };
    let server = listen(short, None).await;
    let mut stream = connect(server.address).await;
    stream
        .write_all(format!("{UNSIGNED}12345").as_bytes())
        .await
        .unwrap();
    is_served(server.address).await;
    let told = answer(&mut stream).await;
    assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    assert!(
        told.contains("RequestTimeout") && told.contains("0.3 seconds"),
        "{told}"
    );
    is_served(server.address).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_in_pieces_is_read() {
    let server = listen(Limits::default(), None).await;
    let mut stream = connect(server.address).await;
    stream
        .write_all(format!("{UNSIGNED}12345").as_bytes())
        .await
        .unwrap();
    tokio::time::sleep(PAUSE).await;
    stream.write_all(b"67890").await.unwrap();
    let told = answer(&mut stream).await;
    assert!(told.contains("MissingAuthenticationToken"), "{told}");
}

/// Sixteen megabytes of bodies that stop before their end are waited for, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cannot_fill_the_memory_with_bodies_that_do_not_end() {
    let server = listen(Limits::default(), None).await;
    let stream = TokioIo::new(connect(server.address).await);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let request = |path: &str| {
        let uri = format!("http://{}{path}", server.address);
        let most = Bytes::from(vec![b' '; (1 << 20) - 1]);
        let begun = stream::iter([Ok::<_, Infallible>(Frame::data(most))]);
        let body = StreamBody::new(begun.chain(stream::pending()));
        sender
            .clone()
            .send_request(http::Request::post(uri).body(body).unwrap())
    };
    let first_refused = async {
        for path in ["/", "/_palisade/kms/batch"] {
            let waiting: Vec<_> = (0..17).map(|_| Box::pin(request(path))).collect();
            let (refused, _, waiting) = select_all(waiting).await;
            let refused = refused.unwrap();
            assert_eq!(refused.status(), 503);
            let told = refused.into_body().collect().await.unwrap().to_bytes();
            let told = String::from_utf8_lossy(&told).into_owned();
            assert!(told.contains("ServiceUnavailable"), "{told}");
            assert_eq!(told.contains(r#"{"error":"#), path != "/", "{told}");
            // Others are served beside, and those within the bound still waited for.
            is_served(server.address).await;
            let soon = tokio::time::timeout(PAUSE, select_all(waiting)).await;
            assert!(soon.is_err(), "one more is answered");
            // What was dropped has left the room; the server hears of it soon.
            tokio::time::sleep(PAUSE * 4).await;
        }
    };
    tokio::select! {
        ended = connection => panic!("the connection ended: {ended:?}"),
        ended = tokio::time::timeout(GENEROUS, first_refused) => ended.expect("one is refused"),
    }
}

/// The longest batch there can be: a mebibyte asked, and a little more answered, since each
/// answer names its key.
fn long_batch(address: SocketAddr) -> http::Request<Full<Bytes>> {
    let key = "k".repeat(960);
    let call = format!(r#"{{"operation":"Encrypt","input":{{"KeyId":"{key}","Plaintext":"AA=="}}}}"#);
    let body = format!(r#"{{"calls":[{}]}}"#, vec![call; 980].join(","));
    let body = (Vec::new(), body.into_bytes());
    let host = address.to_string();
    let mut request = signed(&host, "POST", "/_palisade/kms/batch", "kms", Some(&root()), body);
    request.headers_mut().remove(http::header::HOST);
    let uri = format!("http://{host}{}", request.uri());
    *request.uri_mut() = uri.parse().unwrap();
    request
}

/// A client that takes a kilobyte of what it asks for, and no more.
async fn who_reads_nothing(
    address: SocketAddr,
) -> (
    http2::SendRequest<Full<Bytes>>,
    impl Future<Output = Result<(), hyper::Error>>,
) {
    let stream = TokioIo::new(connect(address).await);
    http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1024)
        .handshake(stream)
        .await
        .unwrap()
}

/// Sixteen megabytes of answers lie there until they are read, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cannot_fill_the_memory_with_answers_that_are_not_read() {
    let server = listen(Limits::default(), None).await;
    let (mut sender, connection) = who_reads_nothing(server.address).await;
    let asking = async {
        let mut unread = Vec::new();
        let refused = loop {
            let answer = sender.send_request(long_batch(server.address)).await.unwrap();
            if answer.status() != 200 {
                break answer;
            }
            assert!(unread.len() < 16, "{} answers lie there", unread.len());
            unread.push(answer);
        };
        assert!(unread.len() > 8, "{} answers found room", unread.len());
        assert_eq!(refused.status(), 503);
        let told = refused.into_body().collect().await.unwrap().to_bytes();
        let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told["error"]["code"], "ServiceUnavailable", "{told}");
        // Others are served beside.
        is_served(server.address).await;
        // What is read leaves room for more.
        let read = unread.pop().unwrap().into_body().collect().await.unwrap();
        assert!(read.to_bytes().ends_with(b"]}"));
        let answer = sender.send_request(long_batch(server.address)).await.unwrap();
        assert_eq!(answer.status(), 200);
    };
    tokio::select! {
        ended = connection => panic!("the connection ended: {ended:?}"),
        ended = tokio::time::timeout(GENEROUS, asking) => ended.expect("one is refused"),
    }
}

/// Though it asks for more and reads that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_an_answer_unread_is_not_waited_for() {
    let short = Limits {
        header_time: SHORT,
        ..Limits::default()
    };
    let server = listen(short, None).await;
    let (mut sender, connection) = who_reads_nothing(server.address).await;
    let asking = async {
        let _unread = sender.send_request(long_batch(server.address)).await.unwrap();
        loop {
            let uri = format!("http://{}/_palisade/health", server.address);
            let request = http::Request::get(uri).body(Full::new(Bytes::new())).unwrap();
            let Ok(answer) = sender.send_request(request).await else {
                break;
            };
            if answer.into_body().collect().await.is_err() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let ended = async {
        let (_, ()) = tokio::join!(connection, asking);
    };
    tokio::time::timeout(GENEROUS, ended)
        .await
        .expect("the server closes the connection");
    is_served(server.address).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_does_not_come_is_not_waited_for() {
    let identity = Identity::own(vec!["localhost".to_owned()]).unwrap();
    let served = async |limits| {
        let server = listen(limits, Some(Tls::new(&identity).unwrap())).await;
        let mut roots = rustls::RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap();
        roots.add(certificate).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (server, TlsConnector::from(Arc::new(client)))
    };
    let name = || ServerName::try_from("localhost").unwrap();

    let short = Limits {
        handshake_time: SHORT,
        ..Limits::default()
    };
    let (server, _) = served(short).await;
    // Nothing, and the begin of a ClientHello that promises 256 bytes.
    for beginning in [&b""[..], b"\x16\x03\x01\x01\x00\x01"] {
        let mut stream = connect(server.address).await;
        stream.write_all(beginning).await.unwrap();
        until_closed(&mut stream).await;
    }

    // Within the time, it is served, also beside those who dawdle.
    let (server, connector) = served(Limits::default()).await;
    let _dawdling = connect(server.address).await;
    let stream = connect(server.address).await;
    tokio::time::sleep(PAUSE).await;
    let mut stream = connector.connect(name(), stream).await.unwrap();
    let last = HEALTH.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    stream.write_all(last.as_bytes()).await.unwrap();
    assert!(until_closed(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_too_many_is_closed_and_the_others_go_on() {
    let few = Limits {
        connections: 3,
        ..Limits::default()
    };
    let server = listen(few, None).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(server.address).await;
        stream.write_all(HEALTH.as_bytes()).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
        open.push(stream);
    }
    let mut fourth = connect(server.address).await;
    assert_eq!(until_closed(&mut fourth).await, "");
    for stream in &mut open {
        stream.write_all(HEALTH.as_bytes()).await.unwrap();
        assert!(answer(stream).await.starts_with("HTTP/1.1 200"));
    }
    // A place that becomes free is given away, once the server knows of it.
    open.pop();
    let next = async {
        loop {
            let mut stream = connect(server.address).await;
            if stream.write_all(HEALTH.as_bytes()).await.is_ok() {
                let mut bytes = [0; 12];
                if stream.read_exact(&mut bytes).await.is_ok() {
                    assert_eq!(&bytes, b"HTTP/1.1 200");
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(GENEROUS, next).await.unwrap();
}

/// The default is 10,000, and the process may have as many files open, if the
/// system lets it.
#[test]
#[expect(clippy::disallowed_methods, reason = "the test asks the kernel itself")]
fn there_may_be_a_file_for_each_connection() {
    let connections = allow_open_files(&Limits::default()).unwrap();
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let numbers: Vec<Option<usize>> = line
        .split_whitespace()
        .skip(3)
        .take(2)
        .map(|number| number.parse().ok())
        .collect();
    let [soft, hard] = numbers[..] else {
        panic!("{line}")
    };
    if hard.is_none_or(|hard| hard >= 10_512) {
        assert!(connections >= 10_000, "{line}");
        assert!(soft.is_none_or(|soft| soft >= 10_512), "{line}");
    } else {
        assert_eq!(soft, hard, "{line}");
    }
}

/// Waits until nobody listens any more: from then on the server is stopping.
async fn stopping(address: SocketAddr) {
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(GENEROUS, refused).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_was_begun_is_finished_at_shutdown() {
    let server = listen(Limits::default(), None).await;
    let mut idle = connect(server.address).await;
    idle.write_all(HEALTH.as_bytes()).await.unwrap();
    answer(&mut idle).await;
    let mut begun = connect(server.address).await;
    begun
        .write_all(format!("{UNSIGNED}12345").as_bytes())
        .await
        .unwrap();
    // Another round, by which the half request is surely read.
    is_served(server.address).await;
    tokio::time::sleep(PAUSE).await;
    server.stop.send(()).unwrap();
    stopping(server.address).await;
    assert_eq!(until_closed(&mut idle).await, "");
    assert!(!server.ended.is_finished());
    begun.write_all(b"67890").await.unwrap();
    let told = until_closed(&mut begun).await;
    assert!(told.contains("MissingAuthenticationToken"), "{told}");
    tokio::time::timeout(GENEROUS, server.ended)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_does_not_end_does_not_keep_the_server_up() {
    let short = Limits {
        shutdown_time: SHORT,
        body_time: GENEROUS * 10,
        ..Limits::default()
    };
    let server = listen(short, None).await;
    let mut begun = connect(server.address).await;
    begun
        .write_all(format!("{UNSIGNED}12345").as_bytes())
        .await
        .unwrap();
    is_served(server.address).await;
    tokio::time::sleep(PAUSE).await;
    server.stop.send(()).unwrap();
    tokio::time::timeout(GENEROUS, server.ended)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

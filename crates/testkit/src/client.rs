//! A small HTTP/1.1 client that signs, for tests of the door.

use bytes::Bytes;
use ground::{Clock, Secret, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use wire::sigv4::{Algorithm, Credentials, Payload, RequestParts, Target, sign_request};

/// Who signs.
#[derive(Clone)]
pub struct Signer {
    /// `AKIA…` or `ASIA…`
    pub access_key_id: String,
    /// Its secret.
    pub secret: String,
    /// The token of temporary credentials.
    pub session_token: Option<String>,
    /// The region signed for.
    pub region: String,
    /// The time signed at; the machine's when `None`.
    pub time: Option<Timestamp>,
}

impl Signer {
    /// A signer with long-term credentials in `us-east-1`.
    pub fn new(access_key_id: &str, secret: &str) -> Signer {
        Signer {
            access_key_id: access_key_id.to_owned(),
            secret: secret.to_owned(),
            session_token: None,
            region: "us-east-1".to_owned(),
            time: None,
        }
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The error code, of JSON and query services alike.
    pub fn code(&self) -> String {
        if let Some(code) = self.json()["__type"].as_str() {
            return code.to_owned();
        }
        let text = self.text();
        let after = text.split_once("<Code>").map(|(_, rest)| rest);
        after
            .and_then(|rest| rest.split_once("</Code>"))
            .map(|(code, _)| code.to_owned())
            .unwrap_or_default()
    }

    /// The request's id.
    pub fn request_id(&self) -> String {
        let header = self
            .headers
            .get("x-amzn-requestid")
            .and_then(|value| value.to_str().ok());
        header.unwrap_or_default().to_owned()
    }
}

/// A call of a JSON service: `TrentService.Encrypt` and its body.
pub fn json_call(target: &str, body: &serde_json::Value) -> (Vec<(&'static str, String)>, Vec<u8>) {
    let headers = vec![
        ("content-type", "application/x-amz-json-1.1".to_owned()),
        ("x-amz-target", target.to_owned()),
    ];
    (headers, body.to_string().into_bytes())
}

/// A call of a query service: `Action=…&Version=…&…`, already encoded.
pub fn query_call(form: &str) -> (Vec<(&'static str, String)>, Vec<u8>) {
    let headers = vec![(
        "content-type",
        "application/x-www-form-urlencoded; charset=utf-8".to_owned(),
    )];
    (headers, form.as_bytes().to_vec())
}

/// Sends `POST /` with these headers and body, signed for `service` by `signer`, or unsigned.
///
/// # Panics
///
/// If the server cannot be reached or does not answer: the test fails.
pub async fn post(
    address: std::net::SocketAddr,
    service: &str,
    signer: Option<&Signer>,
    call: (Vec<(&'static str, String)>, Vec<u8>),
) -> Answer {
    send(address, "POST", "/", service, signer, call).await
}

/// As [`post`], with another method and path.
///
/// # Panics
///
/// As [`post`].
pub async fn send(
    address: std::net::SocketAddr,
    method: &str,
    path: &str,
    service: &str,
    signer: Option<&Signer>,
    call: (Vec<(&'static str, String)>, Vec<u8>),
) -> Answer {
    let request = signed(&address.to_string(), method, path, service, signer, call);
    exchange(address, request).await.expect("the server answers")
}

/// As [`post`], to a server that may be gone.
///
/// # Errors
///
/// Those of the connection.
pub async fn try_post(
    address: std::net::SocketAddr,
    service: &str,
    signer: Option<&Signer>,
    call: (Vec<(&'static str, String)>, Vec<u8>),
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    exchange(
        address,
        signed(&address.to_string(), "POST", "/", service, signer, call),
    )
    .await
}

/// A request for `host`, signed for `service` by `signer`, or unsigned.
///
/// # Panics
///
/// If it is no well-formed request: the test fails.
pub fn signed(
    host: &str,
    method: &str,
    path: &str,
    service: &str,
    signer: Option<&Signer>,
    (extra, body): (Vec<(&'static str, String)>, Vec<u8>),
) -> Request<Full<Bytes>> {
    let headers = signed_headers(host, method, path, service, signer, extra, &body);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .body(Full::new(Bytes::from(body)))
        .expect("a well-formed request");
    *request.headers_mut() = headers;
    request
}

/// The headers of a request, signed if there is a signer.
fn signed_headers(
    host: &str,
    method: &str,
    path: &str,
    service: &str,
    signer: Option<&Signer>,
    extra: Vec<(&'static str, String)>,
    body: &[u8],
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        http::header::HOST,
        HeaderValue::from_str(host).expect("a host is header text"),
    );
    for (name, value) in extra {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_str(&value).expect("header text"),
        );
    }
    if let Some(signer) = signer {
        let parts = RequestParts {
            method,
            path,
            query: "",
            headers: &headers,
        };
        let credentials = Credentials {
            access_key_id: signer.access_key_id.clone(),
            secret: Secret::new(signer.secret.clone()),
            session_token: signer.session_token.clone().map(Secret::new),
        };
        let target = Target {
            algorithm: Algorithm::V4,
            region: &signer.region,
            service,
        };
        let now = signer.time.unwrap_or_else(|| Clock::system().now());
        let payload = Payload::Hash(crypto::sha256(&[body]));
        let added =
            sign_request(&parts, payload, &credentials, &target, now).expect("the request can be signed");
        headers.extend(added);
    }
    headers
}

/// The bytes of a `POST` to `path` with these headers and body, signed, ready for a
/// socket. They may be sent again and again while the signature is fresh.
///
/// # Panics
///
/// If a header is none: the test fails.
pub fn signed_bytes(
    address: std::net::SocketAddr,
    path: &str,
    service: &str,
    signer: &Signer,
    (extra, body): (Vec<(&'static str, String)>, Vec<u8>),
) -> Vec<u8> {
    let headers = signed_headers(
        &address.to_string(),
        "POST",
        path,
        service,
        Some(signer),
        extra,
        &body,
    );
    let mut bytes = format!("POST {path} HTTP/1.1\r\ncontent-length: {}\r\n", body.len()).into_bytes();
    for (name, value) in &headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    bytes
}

/// Sends one request on a connection of its own.
///
/// # Errors
///
/// Those of the connection.
pub async fn exchange(
    address: std::net::SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    };
    tokio::pin!(answer, connection);
    loop {
        tokio::select! {
            answered = &mut answer => return answered,
            ended = &mut connection => ended?,
        }
    }
}

/// As [`exchange`], in HTTP/2 without TLS, as a client does that knows the server.
///
/// # Errors
///
/// Those of the connection.
pub async fn exchange_http2(
    address: std::net::SocketAddr,
    mut request: Request<Full<Bytes>>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    // The host travels as `:authority`.
    let host = request.headers_mut().remove(http::header::HOST);
    let host = host.map_or_else(
        || Ok(address.to_string()),
        |host| host.to_str().map(str::to_owned),
    )?;
    *request.uri_mut() = format!("http://{host}{}", request.uri()).parse()?;
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), stream).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    };
    tokio::pin!(answer, connection);
    loop {
        tokio::select! {
            answered = &mut answer => return answered,
            ended = &mut connection => ended?,
        }
    }
}

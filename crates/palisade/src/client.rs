//! A small signed client for our own operator paths, and for the KMS that
//! keeps the key of a slot.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use ground::{Clock, Secret};
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use wire::sigv4::{Algorithm, Credentials, Payload, RequestParts, Target, sign_request};

use crate::credentials::ClientSettings;
use crate::files;

/// An answer's status and JSON body.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: serde_json::Value,
}

/// Longest answer read, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Sends `GET path`, signed for the service `palisade` if settings are given.
///
/// # Errors
///
/// If the server cannot be reached or does not answer JSON.
pub(crate) fn get(endpoint: &str, path: &str, signed_by: Option<&ClientSettings>) -> Result<Reply> {
    run(endpoint, &Call::own("GET", path, Bytes::new()), signed_by)
}

/// Sends `POST path` with a JSON document, as [`get`] does.
///
/// # Errors
///
/// As [`get`].
pub(crate) fn post(
    endpoint: &str,
    path: &str,
    document: &serde_json::Value,
    signed_by: Option<&ClientSettings>,
) -> Result<Reply> {
    run(
        endpoint,
        &Call::own("POST", path, document.to_string().into()),
        signed_by,
    )
}

/// Calls an operation of a KMS. Plain HTTP goes to this machine alone: the
/// answer may be a key.
///
/// # Errors
///
/// If the endpoint is plain HTTP elsewhere, cannot be reached, or does not
/// answer JSON within half a minute.
pub(crate) fn kms(settings: &ClientSettings, operation: &str, document: &serde_json::Value) -> Result<Reply> {
    block_on(ask_kms(settings, operation, document))
}

/// As [`kms`], for who waits for other things too; the caller bounds the time.
///
/// # Errors
///
/// As [`kms`].
pub(crate) async fn ask_kms(
    settings: &ClientSettings,
    operation: &str,
    document: &serde_json::Value,
) -> Result<Reply> {
    check_kms(&settings.endpoint)?;
    let call = Call {
        method: "POST",
        path: "/",
        body: document.to_string().into(),
        service: "kms",
        target: Some(format!("TrentService.{operation}")),
    };
    send(&settings.endpoint, &call, Some(settings)).await
}

/// Whether a KMS may be asked at this address: over HTTPS, or on this machine.
///
/// # Errors
///
/// If it is no URL with a host, or plain HTTP elsewhere.
pub(crate) fn check_kms(endpoint: &str) -> Result<()> {
    let uri: Uri = endpoint
        .parse()
        .with_context(|| format!("{endpoint} is not an endpoint URL"))?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match uri.scheme_str() {
        Some("https") if !host.is_empty() => Ok(()),
        Some("http") if here => Ok(()),
        _ => bail!("{endpoint} is not https; plain http is for this machine alone"),
    }
}

/// What is sent.
struct Call<'a> {
    method: &'a str,
    path: &'a str,
    body: Bytes,
    /// The service that the signature names.
    service: &'static str,
    /// The operation, in the JSON protocol of AWS.
    target: Option<String>,
}

impl<'a> Call<'a> {
    fn own(method: &'a str, path: &'a str, body: Bytes) -> Call<'a> {
        Call {
            method,
            path,
            body,
            service: gate::SIGNING_NAME,
            target: None,
        }
    }
}

fn run(endpoint: &str, call: &Call<'_>, signed_by: Option<&ClientSettings>) -> Result<Reply> {
    block_on(send(endpoint, call, signed_by))
}

fn block_on(asking: impl Future<Output = Result<Reply>>) -> Result<Reply> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async { tokio::time::timeout(std::time::Duration::from_secs(30), asking).await })?
}

async fn send(endpoint: &str, call: &Call<'_>, signed_by: Option<&ClientSettings>) -> Result<Reply> {
    let uri: Uri = endpoint
        .parse()
        .with_context(|| format!("{endpoint} is not an endpoint URL"))?;
    let host = uri.host().with_context(|| format!("{endpoint} names no host"))?;
    let secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });

    let mut headers = HeaderMap::new();
    headers.insert(
        http::header::HOST,
        uri.authority()
            .context("the endpoint names no host")?
            .as_str()
            .parse()?,
    );
    if let Some(target) = &call.target {
        headers.insert(http::header::CONTENT_TYPE, "application/x-amz-json-1.1".parse()?);
        headers.insert("x-amz-target", target.parse()?);
    }
    if let Some(settings) = signed_by {
        let parts = RequestParts {
            method: call.method,
            path: call.path,
            query: "",
            headers: &headers,
        };
        let credentials = Credentials {
            access_key_id: settings.access_key_id.clone(),
            secret: settings.secret_access_key.duplicate(),
            session_token: settings.session_token.clone().map(Secret::new),
        };
        let target = Target {
            algorithm: Algorithm::V4,
            region: &settings.region,
            service: call.service,
        };
        let payload = Payload::Hash(crypto::sha256(&[&call.body]));
        let signed = sign_request(&parts, payload, &credentials, &target, Clock::system().now())?;
        headers.extend(signed);
    }
    let mut request = Request::builder()
        .method(call.method)
        .uri(call.path)
        .body(Full::new(call.body.clone()))?;
    *request.headers_mut() = headers;

    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port))
        .await
        .with_context(|| {
            format!("nothing answers at {endpoint}: is `palisade dev` or `palisade serve` running?")
        })?;
    let (status, body) = if secure {
        let connector = tokio_rustls::TlsConnector::from(Arc::new(tls_config()?));
        let name =
            ServerName::try_from(host.to_owned()).with_context(|| format!("{host} is not a host name"))?;
        exchange(
            TokioIo::new(
                connector
                    .connect(name, stream)
                    .await
                    .context("the TLS handshake failed")?,
            ),
            request,
        )
        .await?
    } else {
        exchange(TokioIo::new(stream), request).await?
    };
    // Many operations of KMS answer nothing.
    let body = if body.is_empty() {
        serde_json::Value::Null
    } else {
        serde_json::from_slice(&body)
            .with_context(|| format!("{endpoint} does not answer as Palisade does"))?
    };
    Ok(Reply { status, body })
}

async fn exchange<IO>(io: IO, request: Request<Full<Bytes>>) -> Result<(u16, Bytes)>
where
    IO: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        match Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await
        {
            Ok(body) => Ok((status, body.to_bytes())),
            Err(error) => bail!("the answer was cut off: {error}"),
        }
    };
    tokio::pin!(answer, connection);
    loop {
        tokio::select! {
            answered = &mut answer => return answered,
            // The connection may end with the answer already in hand.
            ended = &mut connection => if ended.is_err() { bail!("the connection broke") },
        }
    }
}

/// Trusts `AWS_CA_BUNDLE` if set, the machine's authorities otherwise.
fn tls_config() -> Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    if let Some(path) = std::env::var_os("AWS_CA_BUNDLE") {
        let pem = files::read_text(path.as_ref())?;
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(certificate.context("AWS_CA_BUNDLE holds a broken certificate")?)?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

//! The floor: a hyper server that reads the request and answers a fixed body,
//! with the same transport settings as Palisade's door and nothing else.
//!
//! Usage: bare-hyper BODY-BYTES. Prints its address.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;

#[expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a small program of its own"
)]
fn main() -> anyhow::Result<()> {
    let length = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(200);
    let body = Bytes::from(vec![b'x'; length]);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let body = body.clone();
            tokio::spawn(async move {
                let answer = service_fn(move |request: Request<Incoming>| {
                    let body = body.clone();
                    async move {
                        // A request that breaks off is answered like any other: nobody listens.
                        drop(request.into_body().collect().await);
                        let mut response = Response::new(Full::new(body));
                        let headers = response.headers_mut();
                        headers.insert(
                            "content-type",
                            http::HeaderValue::from_static("application/x-amz-json-1.1"),
                        );
                        let id = http::HeaderValue::from_static("00000000-0000-4000-8000-000000000000");
                        headers.insert("x-amzn-requestid", id);
                        Ok::<_, Infallible>(response)
                    }
                });
                let mut http = Builder::new(TokioExecutor::new());
                http.http1()
                    .timer(TokioTimer::new())
                    .header_read_timeout(std::time::Duration::from_secs(60));
                drop(http.serve_connection(TokioIo::new(stream), answer).await);
            });
        }
    })
}

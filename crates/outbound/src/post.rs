//! `POST`: bounded in time by who asks, over connections that are kept.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::Full;

use crate::kept::Connection;
use crate::{Outbound, OutboundError, https};

/// What is posted.
pub struct Post<'a> {
    /// The https address.
    pub url: &'a str,
    /// Headers beside `Host` and `User-Agent`.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// How long it may take in all, from the name to the last byte.
    pub time: Duration,
}

/// What was answered, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The status.
    pub status: StatusCode,
    /// The body, of up to 256 KiB.
    pub body: Bytes,
}

impl Outbound {
    /// Posts, and reads the answer. Where a kept connection breaks before it has
    /// answered, the same is posted once more over a new one: give it only what
    /// may be heard twice.
    ///
    /// # Errors
    ///
    /// [`OutboundError`] if nothing was answered in time. An answer of any status is one.
    pub async fn post(&self, post: &Post<'_>) -> Result<Posted, OutboundError> {
        let (uri, host) = https(post.url)?;
        let asked = async {
            // Never closed, so there is always a turn.
            let _turn = self.turns_to_post.acquire().await;
            self.ask(post, &uri, &host).await
        };
        tokio::time::timeout(post.time, asked).await.unwrap_or_else(|_| {
            Err(OutboundError::Time {
                host: host.clone(),
                time: post.time,
            })
        })
    }

    async fn ask(&self, post: &Post<'_>, uri: &Uri, host: &str) -> Result<Posted, OutboundError> {
        let unusable = |reason: String| OutboundError::Answer {
            host: host.to_owned(),
            reason,
        };
        let authority = uri.authority().map_or(host, |authority| authority.as_str());
        let request = || {
            let target = uri.path_and_query().map_or("/", |target| target.as_str());
            let mut request = Request::post(target).body(Full::new(post.body.clone()))?;
            let headers = request.headers_mut();
            headers.extend(post.headers.clone());
            headers.insert(HOST, HeaderValue::from_str(authority)?);
            headers.insert(USER_AGENT, HeaderValue::from_static("palisade"));
            Ok::<_, http::Error>(request)
        };
        if let Some(kept) = self.kept.take(authority) {
            let request = request().map_err(|error| unusable(error.to_string()))?;
            if let Ok((posted, again)) = kept.ask(request).await {
                self.keep(authority, again);
                return Ok(posted);
            }
        }
        let stream = self.connect(uri, host, &[]).await?;
        let request = request().map_err(|error| unusable(error.to_string()))?;
        let broken = |error: Box<dyn std::error::Error + Send + Sync>| match refused_by_tls(&*error) {
            Some(reason) => OutboundError::Tls {
                host: host.to_owned(),
                reason,
            },
            None => unusable(error.to_string()),
        };
        let connection = Connection::new(stream).await.map_err(broken)?;
        let (posted, again) = connection.ask(request).await.map_err(broken)?;
        self.keep(authority, again);
        Ok(posted)
    }

    fn keep(&self, authority: &str, again: Option<Connection>) {
        if let Some(connection) = again {
            self.kept.put(authority, connection);
        }
    }
}

/// What the server's TLS said, if it is that which broke a connection. A server that
/// misses a good certificate of ours says so only after the handshake (RFC 8446, 4.4.2.4).
fn refused_by_tls(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let within = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .and_then(|within| within.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::AlertReceived(alert)) = within.or_else(|| error.downcast_ref()) {
            return Some(format!("the server ends it: {alert:?}"));
        }
        next = error.source();
    }
    None
}

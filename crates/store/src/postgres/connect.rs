//! Reaching the database: where it is, and that nothing leaves the machine in
//! clear unless the operator said so.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls};

use super::exchange::{bounded, unavailable};
use super::tls::Tls;
use crate::StoreError;
use crate::limits::CONNECT_MAX;

/// First and longest pause between attempts to reach the database.
pub(super) const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Where the database is and how to reach it.
pub(super) struct Target {
    config: Config,
    tls: Option<Tls>,
}

impl Target {
    /// Reads the connection string. Beyond this machine only TLS will do,
    /// unless the string says `sslmode=disable` in so many words.
    pub(super) fn new(url: &str, ca_file: Option<&Path>) -> Result<Target, StoreError> {
        let mut config: Config = url
            .parse()
            .map_err(|_| unavailable("the connection string is not valid"))?;
        config.connect_timeout(CONNECT_MAX);
        config.application_name("palisade");
        let tls = match (config.get_ssl_mode(), ca_file) {
            (SslMode::Disable, Some(_)) => {
                return Err(unavailable(
                    "sslmode=disable contradicts the certificate authority given",
                ));
            }
            (_, Some(ca_file)) => {
                config.ssl_mode(SslMode::Require);
                Some(Tls::trusting(ca_file)?)
            }
            (SslMode::Disable, None) => None,
            (SslMode::Prefer, None) if is_local(&config) => None,
            (_, None) => {
                return Err(unavailable(
                    "TLS to the database needs the file of its certificate authority; \
                     sslmode=disable does without TLS",
                ));
            }
        };
        Ok(Target { config, tls })
    }
}

/// Whether every host named is this machine.
fn is_local(config: &Config) -> bool {
    let hosts = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        Host::Unix(_) => true,
    });
    hosts && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

pub(super) async fn connect(target: &Target) -> Result<Client, StoreError> {
    connect_announced(target, None).await
}

/// Connects; notifications of the database wake `announced`.
pub(super) async fn connect_announced(
    target: &Target,
    announced: Option<Arc<Notify>>,
) -> Result<Client, StoreError> {
    match &target.tls {
        Some(tls) => {
            let (client, connection) = Box::pin(bounded(target.config.connect(tls.clone()))).await?;
            drive(connection, announced);
            Ok(client)
        }
        None => {
            let (client, connection) = Box::pin(bounded(target.config.connect(NoTls))).await?;
            drive(connection, announced);
            Ok(client)
        }
    }
}

/// Carries a connection's traffic until its client is dropped or it is lost.
#[expect(clippy::disallowed_methods, reason = "the task ends with its client")]
fn drive<S, T>(mut connection: Connection<S, T>, announced: Option<Arc<Notify>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        loop {
            match std::future::poll_fn(|context| connection.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(_))) => {
                    if let Some(announced) = &announced {
                        announced.notify_one();
                    }
                }
                Some(Ok(_)) => {}
                // Whoever uses the client learns of it there.
                Some(Err(_)) | None => break,
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_the_machine_in_clear_unless_told_so() {
        for (url, allowed) in [
            ("postgres://u@127.0.0.1/db", true),
            ("postgres://u@localhost:5433/db", true),
            ("postgres://u@%2Frun%2Fpostgresql/db", true),
            ("host=/run/postgresql user=u", true),
            ("postgres://u@db.example/db", false),
            ("postgres://u@localhost,db.example/db", false),
            ("host=localhost hostaddr=192.0.2.1 user=u", false),
            ("postgres://u@localhost/db?sslmode=require", false),
            ("postgres://u@db.example/db?sslmode=disable", true),
            ("postgres://u@db.example:notaport/db", false),
        ] {
            assert_eq!(Target::new(url, None).is_ok(), allowed, "{url}");
        }
    }
}

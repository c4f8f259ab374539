//! `palisade serve`, and what it shares with `palisade dev`.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use crypto::Random;
use gate::{Identity, Mode, Tls};
use ground::{Clock, Region, Secret};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Output;
use super::seal::{Unseal, store_id};
use crate::files;
use crate::key_stores::KeyStoreSettings;
use crate::peer::Peers;
use crate::settings::{Settings, TlsSettings};
use crate::world::{Layout, World};
use crate::xks_credentials::XksFile;

/// Runs durable and sealed.
#[derive(Args)]
pub(crate) struct Serve {
    /// The configuration file; every field has a safe default.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory, instead of the configuration's.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen, instead of the configuration's.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Starts although store or record is older than the other, as when one of them was put back alone
    /// (docs/backup.md). What is missing stays missing.
    #[arg(long)]
    accept_older: bool,
    #[command(flatten)]
    kms: KmsFlags,
    #[command(flatten)]
    unseal: Unseal,
}

/// What KMS is to do beside its API.
#[derive(Args)]
pub(super) struct KmsFlags {
    /// Limits KMS calls in a second as AWS does (ThrottlingException; docs/kms.md).
    #[arg(long)]
    kms_request_quotas: bool,
    /// Believes attestation documents that lead to this certificate, PEM or DER (docs/kms.md).
    #[arg(long, value_name = "FILE")]
    nitro_root: Option<PathBuf>,
    /// Lets AWS KMS use keys that are here, by the credentials in this file (docs/xks-proxy.md).
    #[arg(long, value_name = "FILE")]
    xks_credentials: Option<PathBuf>,
}

impl KmsFlags {
    /// The file by which AWS KMS is let in, if there is one.
    pub(super) fn xks(&self) -> Result<Option<XksFile>> {
        self.xks_credentials.clone().map(XksFile::open).transpose()
    }

    /// `home` is the server's region.
    pub(super) fn options(&self, key_stores: &KeyStoreSettings, home: &Region) -> Result<kms::Options> {
        Ok(kms::Options {
            request_quotas: self.kms_request_quotas,
            nitro_root: self.nitro_root.as_deref().map(nitro_root).transpose()?,
            hsm_clusters: key_stores.clusters(home)?,
            xks_proxies: key_stores.proxies()?,
            xks_proxy: self.xks_credentials.is_some(),
        })
    }
}

/// A certificate that attestation documents are to lead to.
fn nitro_root(path: &Path) -> Result<Arc<[u8]>> {
    let bytes = files::read_bytes(path)?;
    let der = match CertificateDer::from_pem_slice(&bytes) {
        Ok(certificate) => certificate.to_vec(),
        Err(_) => bytes,
    };
    if !crypto::foreign::is_root(&der) {
        bail!("{} is no certificate to trust, in PEM or DER", path.display());
    }
    Ok(der.into())
}

/// How often certificate files are looked at.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(2);

impl Serve {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        let settings = Settings::read_or_default(self.config.as_deref())?;
        log_to_stderr(if settings.log.text {
            LogFormat::Text
        } else {
            LogFormat::Json
        });
        runtime()?.block_on(self.serve(output, settings))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn serve(self, output: Output, settings: Settings) -> Result<()> {
        let Some(data) = self.data.or(settings.data) else {
            bail!("say where the data is: --data DIR, or `data` in the configuration");
        };
        let layout = Layout(&data);
        let limits = settings.limits.limits()?;
        let kms = self.kms.options(&settings.key_stores, &settings.region)?;
        allow_open_files(&limits);
        let xks = self.kms.xks()?;
        let root_key = Arc::new(self.unseal.open(&layout)?);
        let peers = match &settings.peers {
            Some(settings) => Some(Peers::bind(settings, Arc::clone(&root_key), &store_id(&layout)?).await?),
            None => None,
        };
        let listener = bind(self.listen.unwrap_or(settings.listen)).await?;
        let address = listener.local_addr()?;
        let tls = tls(&settings.tls, address)?;
        let world = World {
            mode: Mode::Serve,
            store: settings.store.config(&layout)?,
            journal: layout.journal(),
            root_key,
            clock: Clock::system(),
            random: Random::system(),
            home: settings.region,
            durable: true,
            strict_audit: settings.audit.strict,
            node: layout.node(&Random::system())?,
            sharing: settings.store.sharing(&layout)?,
            roots: Vec::new(),
            seed: None,
            issuers: settings.federation.issuers()?,
            starts: Some(layout.starts(self.accept_older)),
            kms,
            xks: xks.as_ref().map(XksFile::credentials),
        };
        let opened = world.open().await?;
        let stop = told_to_stop()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut told = serde_json::json!({"endpoint": format!("{scheme}://{address}"), "data": data});
        if let Some(peers) = &peers {
            told["peers"] = peers.address()?.to_string().into();
        }
        output.show(&told, || {
            format!(
                "Palisade {} serves {} at {scheme}://{address}\n",
                env!("CARGO_PKG_VERSION"),
                data.display()
            )
        });
        let peers = peers.map(|peers| spawn(peers.serve(Arc::clone(&opened.door))));
        let jobs = spawn(Arc::clone(&opened.door).look_after_jobs());
        let certificates = tls
            .clone()
            .map(|tls| spawn(follow_certificate(tls, settings.tls)));
        let followed = xks.map(|file| spawn(file.follow()));
        let served = gate::serve_within(Arc::clone(&opened.door), listener, tls, limits, stop).await;
        jobs.abort();
        if let Some(peers) = peers {
            peers.abort();
        }
        if let Some(followed) = followed {
            followed.abort();
        }
        if let Some(certificates) = certificates {
            certificates.abort();
        }
        opened.close().await?;
        served.context("no connection can be served")
    }
}

/// The certificate to show; none on this machine alone unless one is given.
fn tls(settings: &TlsSettings, address: SocketAddr) -> Result<Option<Tls>> {
    let identity = match given_identity(settings)? {
        Some(identity) => identity,
        None if settings.off || address.ip().is_loopback() => return Ok(None),
        None => Identity::own(Identity::names_for(address.ip()))?,
    };
    Ok(Some(Tls::new(&identity)?))
}

fn given_identity(settings: &TlsSettings) -> Result<Option<Identity>> {
    match (&settings.certificate, &settings.key) {
        (Some(certificate), Some(key)) => {
            let key = files::read_secret(key)?;
            let key_pem = std::str::from_utf8(key.expose())
                .context("the TLS key is not PEM")?
                .to_owned();
            Ok(Some(Identity {
                certificate_pem: files::read_text(certificate)?,
                key_pem: Secret::new(key_pem),
            }))
        }
        (None, None) => Ok(None),
        _ => bail!("tls.certificate and tls.key come together"),
    }
}

/// Shows a new certificate when its files have changed and hold a usable one.
async fn follow_certificate(tls: Tls, settings: TlsSettings) {
    let stamp = || {
        let time = |path: &Option<PathBuf>| std::fs::metadata(path.as_ref()?).ok()?.modified().ok();
        (time(&settings.certificate), time(&settings.key))
    };
    let mut shown = stamp();
    loop {
        tokio::time::sleep(CERTIFICATE_INTERVAL).await;
        let found = stamp();
        if found == shown {
            continue;
        }
        let replaced = given_identity(&settings).and_then(|identity| match identity {
            Some(identity) => Ok(tls.replace(&identity)?),
            None => Ok(()),
        });
        match replaced {
            Ok(()) => {
                shown = found;
                tracing::info!("a new TLS certificate is shown");
            }
            // Perhaps only one of the two files is written yet: look again.
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                "the changed TLS certificate cannot be used"
            ),
        }
    }
}

/// How the log is written.
#[derive(Clone, Copy)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

/// Sends the log to standard error; `PALISADE_LOG` chooses what (default: warnings).
pub(crate) fn log_to_stderr(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("PALISADE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let set = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    // A second subscriber in one process can only come from a test.
    drop(set);
}

/// The runtime that serves: one thread a core.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")
}

/// Lets the process have a file open for each connection, or says that it cannot.
pub(crate) fn allow_open_files(limits: &gate::Limits) {
    match gate::allow_open_files(limits) {
        Ok(connections) if connections >= limits.connections => {}
        Ok(connections) => tracing::warn!(
            connections,
            wanted = limits.connections,
            "the system lets this process open fewer connections than its limit; raise it (ulimit -Hn, LimitNOFILE)"
        ),
        Err(error) => tracing::warn!(%error, "the number of open files stays as it is"),
    }
}

/// Binds the listening socket.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: is another server there? Choose another with --listen")
    })
}

/// Listens for Ctrl-C and SIGTERM from now on; what it gives completes when
/// one has come. Called before the server says that it is ready.
pub(crate) fn told_to_stop() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).context("Ctrl-C cannot be listened for")?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be listened for")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Runs a task of the program's own beside the listener.
#[expect(
    clippy::disallowed_methods,
    reason = "the roof owns the job and certificate tasks and ends them"
)]
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task)
}

//! `palisade seal rotate-root`, `remove-root`, and what `status` tells of roots:
//! asked of a running server, or done on a data directory whose server is stopped.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use crypto::Random;
use gate::{Mode, RootKeys};
use ground::Clock;
use serde_json::{Value as Json, json};
use store::StoreError;

use super::Output;
use super::seal::Unseal;
use crate::client;
use crate::credentials::ClientSettings;
use crate::settings::Settings;
use crate::world::{Layout, Opened, World};

/// How often a server is asked how far it is, and a waiting command looks again.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Who asks, in the record, where nobody signed.
const BY: &str = "whoever opened the root key at the command line";

/// Where the root key is. Without a data directory the running server is asked, as
/// `AWS_ENDPOINT_URL` and the usual credentials say.
#[derive(Args)]
pub(super) struct Where {
    /// The configuration file of `palisade serve`: it says where the store is.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    unseal: Unseal,
}

impl Where {
    /// Makes a new root key, and sees every row sealed again.
    pub(super) fn rotate(self, data: Option<PathBuf>, no_wait: bool, output: Output) -> Result<ExitCode> {
        let told = match self.stopped(data)? {
            None => {
                let told = ask("rotate-root", &json!({}))?;
                output.progress(&format!(
                    "root {} is made; the server goes on by itself",
                    told["root"]
                ));
                if no_wait { told } else { wait(output)? }
            }
            Some(stopped) => stopped.run(async |keys: RootKeys<'_>| {
                if keys.is_idle().await? {
                    let root = keys.rotate(BY).await?;
                    output.progress(&format!("root {root} is made"));
                } else {
                    output.progress("going on with what was begun before");
                }
                work(&keys, output).await
            })?,
        };
        output.show(&told, || text(&told));
        Ok(ExitCode::SUCCESS)
    }

    /// Takes an old root out of the ring, and with it, if that is wished, the sessions of its time.
    pub(super) fn remove(
        self,
        (root, end_sessions): (u32, bool),
        data: Option<PathBuf>,
        no_wait: bool,
        output: Output,
    ) -> Result<ExitCode> {
        let told = match self.stopped(data)? {
            None => {
                let told = ask("remove-root", &json!({"root": root, "endSessions": end_sessions}))?;
                if no_wait { told } else { wait(output)? }
            }
            Some(stopped) => stopped.run(async |keys: RootKeys<'_>| {
                keys.remove(root, end_sessions, BY).await?;
                work(&keys, output).await
            })?,
        };
        let left = told["roots"].as_array();
        if left.is_some_and(|roots| roots.iter().any(|it| it["root"] == root)) {
            bail!("root {root} stays: rows do not open; the log names their tables");
        }
        output.show(&told, || text(&told));
        Ok(ExitCode::SUCCESS)
    }

    /// The data directory to work on, if one is named.
    fn stopped(self, data: Option<PathBuf>) -> Result<Option<Stopped>> {
        if data.is_none() && self.config.is_none() {
            return Ok(None);
        }
        let settings = Settings::read_or_default(self.config.as_deref())?;
        let data = data.or(settings.data.clone());
        Ok(Some(Stopped {
            data: data.context("say where the data is: --data DIR, or `data` in the configuration")?,
            settings,
            unseal: self.unseal,
        }))
    }
}

/// A data directory without a server.
struct Stopped {
    data: PathBuf,
    settings: Settings,
    unseal: Unseal,
}

impl Stopped {
    /// Opens store and journal, works, and closes them.
    fn run(self, work: impl AsyncFnOnce(RootKeys<'_>) -> Result<Json>) -> Result<Json> {
        super::serve::runtime()?.block_on(async {
            let opened = self.open().await?;
            let done = work(opened.door.root_keys()).await;
            opened.close().await?;
            done
        })
    }

    async fn open(self) -> Result<Opened> {
        let layout = Layout(&self.data);
        let random = Random::system();
        let root_key = match layout.dev_root_key() {
            key if key.exists() => super::dev::unlock_with_file(&layout.slots(), &key)?,
            _ => self.unseal.open(&layout)?,
        };
        let world = World {
            mode: Mode::Serve,
            store: self.settings.store.config(&layout)?,
            journal: layout.journal(),
            root_key: Arc::new(root_key),
            clock: Clock::system(),
            node: layout.node(&random)?,
            random,
            home: self.settings.region,
            durable: true,
            strict_audit: self.settings.audit.strict,
            sharing: self.settings.store.sharing(&layout)?,
            roots: Vec::new(),
            seed: None,
            issuers: iam::Issuers::none(),
            starts: Some(layout.starts(false)),
            kms: kms::Options::default(),
            xks: None,
        };
        world.open().await.map_err(|error| {
            let in_use = error
                .chain()
                .any(|cause| matches!(cause.downcast_ref(), Some(StoreError::InUse { .. })));
            match in_use {
                true => error.context("its server runs: leave --data out, and the server is asked"),
                false => error,
            }
        })
    }
}

/// Works until nothing is left to do, and tells how it stands then.
async fn work(keys: &RootKeys<'_>, output: Output) -> Result<Json> {
    let mut said = String::new();
    loop {
        keys.work()
            .await
            .map_err(|error| anyhow::anyhow!(error))
            .context("the work stopped; nothing is lost, and the same command goes on with it")?;
        let status = keys.status().await?;
        if keys.is_idle().await? {
            return Ok(status);
        }
        let now = progress(&status);
        // Another node has the work in hand, or has yet to learn of the new root.
        if now == said {
            tokio::time::sleep(LOOK_INTERVAL).await;
        } else {
            output.progress(&now);
            said = now;
        }
    }
}

/// Asks the server until it has nothing left to do.
fn wait(output: Output) -> Result<Json> {
    let mut said = String::new();
    loop {
        let status = ask("status", &json!({}))?;
        let pending = status["roots"]
            .as_array()
            .is_some_and(|roots| roots.iter().any(|root| root["state"] == "pending"));
        if !pending && !status["pass"]["finished"].is_null() {
            return Ok(status);
        }
        let now = progress(&status);
        if now != said {
            output.progress(&now);
            said = now;
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// What the running server tells of its roots.
pub(super) fn status(output: Output) -> Result<ExitCode> {
    let told = ask("status", &json!({}))?;
    output.show(&told, || text(&told));
    Ok(ExitCode::SUCCESS)
}

fn ask(what: &str, document: &Json) -> Result<Json> {
    let settings = ClientSettings::from_environment()?;
    let path = format!("/_palisade/seal/{what}");
    let reply = client::post(&settings.endpoint, &path, document, Some(&settings))?;
    if reply.status != 200 {
        let told = &reply.body["error"]["message"];
        bail!("{}", told.as_str().unwrap_or("the server gave no reason"));
    }
    Ok(reply.body)
}

/// One line about work that goes on.
fn progress(status: &Json) -> String {
    let waiting: Vec<&str> = status["waitingFor"]
        .as_array()
        .map(|nodes| nodes.iter().filter_map(Json::as_str).collect())
        .unwrap_or_default();
    if !waiting.is_empty() {
        return format!(
            "waiting for nodes that do not know the ring yet: {}",
            waiting.join(", ")
        );
    }
    let pass = &status["pass"];
    if pass.is_null() {
        return "waiting for the new root to become current".to_owned();
    }
    format!(
        "{} rows looked at in this pass, {} sealed again under root {} so far",
        pass["rowsSeen"], pass["rowsResealed"], pass["root"]
    )
}

fn text(told: &Json) -> String {
    let Some(roots) = told["roots"].as_array() else {
        return format!(
            "Root {}: {} is ordered. See `palisade seal status`.\n",
            told["root"], told["ordered"]
        );
    };
    let word = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let mut text = String::new();
    for root in roots {
        let since = match (root["made"].as_str(), root["superseded"].as_str()) {
            (_, Some(superseded)) => format!(
                "superseded {superseded}, may be removed from {}",
                word(&root["removableFrom"])
            ),
            (Some(made), None) => format!("made {made}"),
            (None, None) => "of the beginning".to_owned(),
        };
        text.push_str(&format!(
            "Root {}  {:<8}  {since}\n",
            root["root"],
            word(&root["state"])
        ));
    }
    let pass = &told["pass"];
    match pass["finished"].as_str() {
        _ if pass.is_null() => {}
        Some(finished) => text.push_str(&format!(
            "Every row is sealed under root {} since {finished}: {} rows, {} of them sealed again.\n",
            pass["root"], pass["rowsSeen"], pass["rowsResealed"]
        )),
        None => text.push_str(&format!("{}.\n", progress(told))),
    }
    if pass["rowsUnreadable"].as_u64().is_some_and(|rows| rows > 0) {
        text.push_str(&format!(
            "{} rows do not open; the server's log names their tables.\n",
            pass["rowsUnreadable"]
        ));
    }
    text
}

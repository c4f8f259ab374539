//! `palisade doctor`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::Output;
use crate::client;
use crate::credentials::{ClientSettings, DEFAULT_ENDPOINT};
use crate::files;

/// Checks machine and server.
#[derive(Args)]
pub(crate) struct Doctor {}

/// Open files below which a busy server runs out of connections.
const OPEN_FILES_MIN: u64 = 4096;

/// One thing looked at.
struct Finding {
    what: &'static str,
    ok: bool,
    told: String,
}

impl Doctor {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        let findings = [open_files(), memory_lock(), core_dumps(), server(), credentials()];
        let ok = findings.iter().all(|finding| finding.ok);
        let listed: Vec<_> = findings
            .iter()
            .map(|finding| serde_json::json!({"check": finding.what, "ok": finding.ok, "told": finding.told}))
            .collect();
        output.show(&serde_json::json!({"ok": ok, "checks": listed}), || {
            findings
                .iter()
                .map(|finding| {
                    let mark = if finding.ok { "ok  " } else { "LOOK" };
                    format!("{mark}  {:<12}  {}\n", finding.what, finding.told)
                })
                .collect()
        });
        Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The soft limit of a resource, from the kernel's own table (proc(5), `limits`).
fn soft_limit(name: &str) -> Option<u64> {
    let table = files::read_text("/proc/self/limits".as_ref()).ok()?;
    let line = table.lines().find(|line| line.starts_with(name))?;
    match line[name.len()..].split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

fn open_files() -> Finding {
    let what = "open files";
    match soft_limit("Max open files") {
        Some(limit) if limit >= OPEN_FILES_MIN => Finding {
            what,
            ok: true,
            told: format!("{limit} allowed"),
        },
        Some(limit) => Finding {
            what,
            ok: false,
            told: format!("only {limit}; run `ulimit -n {OPEN_FILES_MIN}`"),
        },
        None => Finding {
            what,
            ok: true,
            told: "not known on this system".to_owned(),
        },
    }
}

fn memory_lock() -> Finding {
    let what = "locked memory";
    match soft_limit("Max locked memory") {
        Some(0) => Finding {
            what,
            ok: false,
            told: "none allowed: keys may reach swap; run `ulimit -l 64` or set LimitMEMLOCK".to_owned(),
        },
        Some(_) => Finding {
            what,
            ok: true,
            told: "allowed: keys stay out of swap".to_owned(),
        },
        None => Finding {
            what,
            ok: true,
            told: "not known on this system".to_owned(),
        },
    }
}

fn core_dumps() -> Finding {
    let what = "core dumps";
    match soft_limit("Max core file size") {
        Some(0) => Finding {
            what,
            ok: true,
            told: "off".to_owned(),
        },
        _ => Finding {
            what,
            ok: false,
            told: "on: a crash could write keys to disk; run `ulimit -c 0`".to_owned(),
        },
    }
}

fn server() -> Finding {
    let what = "server";
    let endpoint = std::env::var("AWS_ENDPOINT_URL").unwrap_or_else(|_| DEFAULT_ENDPOINT.to_owned());
    match client::get(&endpoint, "/_palisade/health", None) {
        Ok(reply) if reply.status == 200 => Finding {
            what,
            ok: true,
            told: format!(
                "{endpoint}, version {}, mode {}, enforcement {}",
                reply.body["version"].as_str().unwrap_or("?"),
                reply.body["mode"].as_str().unwrap_or("?"),
                reply.body["enforcement"].as_str().unwrap_or("?")
            ),
        },
        Ok(reply) => Finding {
            what,
            ok: false,
            told: format!("{endpoint} answers with status {}", reply.status),
        },
        Err(error) => Finding {
            what,
            ok: false,
            told: format!("{error:#}"),
        },
    }
}

/// Asks `why` about a request that cannot exist: only a good signature gets as far as "unknown".
fn credentials() -> Finding {
    let what = "credentials";
    let settings = match ClientSettings::from_environment() {
        Ok(settings) => settings,
        Err(error) => {
            return Finding {
                what,
                ok: false,
                told: format!("{error:#}"),
            };
        }
    };
    match client::get(&settings.endpoint, "/_palisade/why/0", Some(&settings)) {
        Ok(reply) => {
            let code = reply.body["error"]["code"].as_str().unwrap_or_default();
            let ok = reply.status == 404 || code == "AccessDeniedException";
            let told = if ok {
                format!("{} is accepted", settings.access_key_id)
            } else {
                format!(
                    "refused: {}",
                    reply.body["error"]["message"].as_str().unwrap_or(code)
                )
            };
            Finding { what, ok, told }
        }
        Err(error) => Finding {
            what,
            ok: false,
            told: format!("{error:#}"),
        },
    }
}

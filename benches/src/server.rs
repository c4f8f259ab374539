//! A server under measurement: a child process and the processor time it has used.

#![expect(
    clippy::disallowed_methods,
    reason = "servers are measured as processes, through /proc"
)]

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// A running server; killed as by `kill -9` when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts the bare server with an answer of that many bytes.
    pub(crate) fn bare(binary: &Path, body_bytes: usize) -> Result<Server> {
        let mut child = spawn(Command::new(binary).arg(body_bytes.to_string()))?;
        let address = first_line(&mut child)?.trim().parse()?;
        Ok(Server { child, address })
    }

    /// Starts `palisade dev` on a data directory of its own.
    pub(crate) fn palisade(binary: &Path, data: &Path, credential: &str, strict: bool) -> Result<Server> {
        let mut command = Command::new(binary);
        command
            .args([
                "--json",
                "dev",
                "--listen",
                "127.0.0.1:0",
                "--credential",
                credential,
            ])
            .arg("--data")
            .arg(data);
        command.env("XDG_RUNTIME_DIR", data);
        if strict {
            command.arg("--audit-strict");
        }
        let mut child = spawn(&mut command)?;
        let told: serde_json::Value = serde_json::from_str(&first_line(&mut child)?)?;
        let endpoint = told["endpoint"]
            .as_str()
            .context("the server tells its endpoint")?;
        Ok(Server {
            child,
            address: endpoint.trim_start_matches("http://").parse()?,
        })
    }

    /// Starts moto's server, which does not tell when it listens.
    pub(crate) fn moto(binary: &Path) -> Result<Server> {
        // It takes no port 0: one that is free now, and will most likely be in a moment.
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(binary);
        command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
        // It tells of every request there.
        let child = spawn(command.stderr(Stdio::null()))?;
        Ok(Server { child, address })
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn stop(mut self) -> Result<()> {
        let asked = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()?;
        ensure!(asked.success(), "the server could not be asked to end");
        let ended = self.child.wait()?;
        ensure!(ended.success(), "the server ended badly: {ended}");
        Ok(())
    }

    /// Processor time used so far, user and system (proc(5), `stat`, fields 14 and 15).
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = text
            .rsplit_once(") ")
            .context("stat has a name")?
            .1
            .split(' ')
            .collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        // USER_HZ is 100 on every Linux that this runs on.
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Resident memory in bytes (proc(5), `status`, `VmRSS`).
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("VmRSS is told")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(command: &mut Command) -> Result<Child> {
    command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))
}

fn first_line(child: &mut Child) -> Result<String> {
    let mut line = String::new();
    let output = child.stdout.as_mut().context("standard output is piped")?;
    BufReader::new(output).read_line(&mut line)?;
    Ok(line)
}

//! The programs of tpm2-tools, by which a TPM 2.0 is driven.
//!
//! Absent by design: the C library of the TPM software stack in our process.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use ground::Secret;

use super::Means;

/// Where the programs are sought; nothing else of the environment is passed on.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A list of registers such as `sha256:0,7`, and nothing that a program could
/// take for something else.
pub(super) fn check(pcrs: &str) -> Result<()> {
    let plain = |text: &str| {
        text.split_once(':').is_some_and(|(bank, registers)| {
            matches!(bank, "sha1" | "sha256" | "sha384" | "sha512")
                && registers
                    .split(',')
                    .all(|register| register.parse::<u8>().is_ok_and(|register| register < 24))
        })
    };
    if !plain(pcrs) {
        bail!("{pcrs} is no list of registers such as sha256:0,7");
    }
    Ok(())
}

/// The programs, and a directory of their own that goes with this value.
pub(super) struct Tools<'a> {
    directory: tempfile::TempDir,
    tcti: Option<&'a str>,
}

impl Tools<'_> {
    pub(super) fn new(means: &Means) -> Result<Tools<'_>> {
        Ok(Tools {
            // Only its owner may enter it. Nothing in it is in clear.
            directory: tempfile::tempdir().context("no directory for the TPM's files")?,
            tcti: means.tpm_tcti.as_deref(),
        })
    }

    pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn primary(&self) -> Result<()> {
        let arguments = ["-C", "o", "-g", "sha256", "-G", "ecc", "-c", "primary"];
        self.run("tpm2_createprimary", &arguments, &[]).map(|_| ())
    }

    /// Runs a program, and empties what it left in the TPM: a TPM has room for
    /// three objects, and without a resource manager they stay.
    pub(super) fn run(&self, program: &str, arguments: &[&str], input: &[u8]) -> Result<Secret<Vec<u8>>> {
        let answer = self.start(program, arguments, input)?;
        self.start("tpm2_flushcontext", &["-t"], &[])?;
        Ok(answer)
    }

    #[expect(clippy::disallowed_methods, reason = "the TPM is driven by tpm2-tools")]
    fn start(&self, program: &str, arguments: &[&str], input: &[u8]) -> Result<Secret<Vec<u8>>> {
        let mut command = Command::new("/usr/bin/env");
        command
            .arg(program)
            .args(arguments)
            .env_clear()
            .env("PATH", PATH)
            .current_dir(self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(tcti) = self.tcti {
            command.env("TPM2TOOLS_TCTI", tcti);
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("{program} cannot be started"))?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not listen says why not on its standard error.
            let _ = stdin.write_all(input);
        }
        let done = child.wait_with_output()?;
        let answer = Secret::new(done.stdout);
        if done.status.code() == Some(127) {
            bail!("{program} is not in {PATH}: install tpm2-tools");
        }
        if !done.status.success() {
            let why = String::from_utf8_lossy(&done.stderr);
            let why = why
                .lines()
                .find(|line| line.contains("ERROR"))
                .unwrap_or_default();
            bail!("{program} failed: {}", why.chars().take(500).collect::<String>());
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_a_bank_and_numbers() {
        for good in ["sha256:7", "sha1:0,1,23"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "7",
            "sha256:",
            "sha256:24",
            "sha256:7+sha1:1",
            "md5:1",
            "sha256:7=file",
            "-x:1",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}

//! A TPM 2.0, driven by the programs of tpm2-tools.
//!
//! The key is the sensitive data of an object sealed under the primary key of
//! the owner hierarchy, which the TPM derives anew each time from its own seed.
//! With registers named, the object opens only while they are as they were.
//!
//! Absent by design: the C library of the TPM software stack in our process;
//! encryption of the wire between processor and TPM (who can tap it reads the
//! key); an authorization value, which would need a secret to keep in turn.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use crypto::slot::{Kept, Tpm2Keeper};
use ground::Secret;

use super::{Key, Means, whole};
use crate::files;

/// Where the programs are sought; nothing else of the environment is passed on.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Has a key sealed by the TPM.
pub(super) fn wrap(means: &Means, pcrs: Option<String>, key: &Key) -> Result<Tpm2Keeper> {
    let tools = Tools::new(means)?;
    tools.primary()?;
    let mut arguments = vec![
        "-C", "primary", "-g", "sha256", "-i", "-", "-u", "public", "-r", "private",
    ];
    if let Some(pcrs) = &pcrs {
        check(pcrs)?;
        tools.run(
            "tpm2_createpolicy",
            &["--policy-pcr", "-l", pcrs, "-L", "policy"],
            &[],
        )?;
        // Without `userwithauth` the policy is the only way in.
        arguments.extend(["-L", "policy", "-a", "fixedtpm|fixedparent"]);
    }
    tools.run("tpm2_create", &arguments, key.expose())?;
    Ok(Tpm2Keeper {
        pcrs,
        public: Kept::new(&files::read_bytes(&tools.path("public"))?)?,
        private: Kept::new(&files::read_bytes(&tools.path("private"))?)?,
    })
}

/// Has the TPM open what it sealed.
pub(super) fn unwrap(means: &Means, keeper: &Tpm2Keeper) -> Result<Key> {
    let tools = Tools::new(means)?;
    files::write_private(&tools.path("public"), keeper.public.bytes())?;
    files::write_private(&tools.path("private"), keeper.private.bytes())?;
    tools.primary()?;
    tools.run(
        "tpm2_load",
        &["-C", "primary", "-u", "public", "-r", "private", "-c", "object"],
        &[],
    )?;
    let by_registers;
    let mut arguments = vec!["-c", "object"];
    if let Some(pcrs) = &keeper.pcrs {
        check(pcrs)?;
        by_registers = format!("pcr:{pcrs}");
        arguments.extend(["-p", &by_registers]);
    }
    whole(&tools.run("tpm2_unseal", &arguments, &[])?)
}

/// A list of registers such as `sha256:0,7`, and nothing that a program could
/// take for something else.
fn check(pcrs: &str) -> Result<()> {
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
struct Tools<'a> {
    directory: tempfile::TempDir,
    tcti: Option<&'a str>,
}

impl Tools<'_> {
    fn new(means: &Means) -> Result<Tools<'_>> {
        Ok(Tools {
            // Only its owner may enter it. Nothing in it is in clear.
            directory: tempfile::tempdir().context("no directory for the TPM's files")?,
            tcti: means.tpm_tcti.as_deref(),
        })
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn primary(&self) -> Result<()> {
        let arguments = ["-C", "o", "-g", "sha256", "-G", "ecc", "-c", "primary"];
        self.run("tpm2_createprimary", &arguments, &[]).map(|_| ())
    }

    /// Runs a program, and empties what it left in the TPM: a TPM has room for
    /// three objects, and without a resource manager they stay.
    fn run(&self, program: &str, arguments: &[&str], input: &[u8]) -> Result<Secret<Vec<u8>>> {
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

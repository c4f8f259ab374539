//! A private Python environment with the pinned botocore, for its data files.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Installs botocore if need be and gives the directory of its models.
#[expect(clippy::disallowed_methods, reason = "a build tool runs the package client")]
pub(crate) fn botocore_data(root: &Path, version: &str) -> Result<PathBuf> {
    let environment = root.join("target/codegen-venv");
    let python = environment.join("bin/python3");
    let installed = || -> Option<PathBuf> {
        let script =
            "import botocore,os;print(botocore.__version__);print(os.path.dirname(botocore.__file__))";
        let output = Command::new(&python).args(["-c", script]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let (found, directory) = text.trim().split_once('\n')?;
        (found == version).then(|| PathBuf::from(directory).join("data"))
    };
    if let Some(data) = installed() {
        return Ok(data);
    }
    let run = |command: &mut Command, what: &str| -> Result<()> {
        let status = command
            .status()
            .with_context(|| format!("{what}: is python3 installed?"))?;
        ensure!(status.success(), "{what} failed");
        Ok(())
    };
    run(
        Command::new("python3").args(["-m", "venv"]).arg(&environment),
        "making a Python environment",
    )?;
    let wanted = format!("botocore=={version}");
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        &wanted,
    ]);
    run(&mut pip, "installing botocore")?;
    installed().context("botocore was installed but cannot be imported")
}

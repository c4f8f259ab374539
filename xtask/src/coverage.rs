//! Writes `COVERAGE.md` from what the program itself says it implements.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// Writes the file, or with `check` compares with what is committed.
#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a build tool runs, reads, writes and reports"
)]
pub(crate) fn run(root: &Path, check: bool) -> Result<()> {
    let output = Command::new("cargo")
        .current_dir(root)
        .args([
            "run",
            "--quiet",
            "--package",
            "palisade",
            "--",
            "coverage",
            "--markdown",
        ])
        .output()
        .context("running palisade coverage")?;
    ensure!(
        output.status.success(),
        "palisade coverage failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    let path = root.join("COVERAGE.md");
    if std::fs::read_to_string(&path).ok().as_deref() == Some(&text) {
        return Ok(());
    }
    if check {
        bail!("COVERAGE.md is not what the tables say; run `cargo xtask coverage`");
    }
    std::fs::write(&path, text)?;
    println!("wrote COVERAGE.md");
    Ok(())
}

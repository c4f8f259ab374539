//! A program that is laid out by a profile of its own work.
//!
//! One call runs through some hundred kilobytes of code once, so fetching code costs more than
//! running it. A profile tells the compiler which of it lies on the way of the usual calls: that is put
//! together, and the rest elsewhere.
//!
//! Three steps: a program that counts, the benchmark's load on it, and the program that is built by
//! the counts. The load is the one that the benchmark measures: Encrypt, Decrypt, GenerateDataKey, Sign and
//! batches.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Seconds of load for each call: counts only have to be plenty.
const SECONDS: &str = "4";

/// Builds the program, and tells where it is.
#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a build tool runs, writes and reports"
)]
pub(crate) fn run(root: &Path) -> Result<()> {
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => root.join(target),
        None => root.join("target"),
    };
    let toolchain = Toolchain::find(root)?;
    let work = target.join("optimised");
    let counts = work.join("counts");
    if counts.exists() {
        std::fs::remove_dir_all(&counts)?;
    }
    std::fs::create_dir_all(&counts)?;
    let build = Build {
        root,
        host: &toolchain.host,
    };

    println!("1 of 3: building the program that counts, and the load");
    let counting = build.program(
        &work.join("counting"),
        &format!("-Cprofile-generate={}", counts.display()),
        // Counted before the crates are linked into one; so it need not be done.
        &[("CARGO_PROFILE_RELEASE_LTO", "off")],
    )?;
    build.cargo(&target, &["--package", "benches", "--bins"], &[])?;

    println!("2 of 3: counting");
    let beside = counting.parent().context("a program has a directory")?;
    let built = target.join(&toolchain.host).join("release");
    for name in ["bench", "bare-hyper"] {
        std::fs::copy(built.join(name), beside.join(name)).with_context(|| format!("copying {name}"))?;
    }
    let load = Command::new(beside.join("bench"))
        .args(["--no-build", "--seconds", SECONDS, "--connections", "64"])
        .args(["--audit", "normal", "--batch"])
        .env("LLVM_PROFILE_FILE", counts.join("%p-%m.profraw"))
        .status()
        .context("running the load")?;
    ensure!(load.success(), "the load failed");
    let profile = work.join("palisade.profdata");
    let merged = Command::new(&toolchain.profdata)
        .args(["merge", "--output"])
        .args([&profile, &counts])
        .status()
        .context("running llvm-profdata")?;
    ensure!(merged.success(), "the counts could not be read");

    println!("3 of 3: building the program by the counts");
    let program = build.program(
        &work.join("built"),
        &format!("-Cprofile-use={}", profile.display()),
        &[],
    )?;
    println!("{}", program.display());
    Ok(())
}

struct Toolchain {
    /// The triple of this machine. With it named, build scripts do not count.
    host: String,
    profdata: PathBuf,
}

impl Toolchain {
    #[expect(clippy::disallowed_methods, reason = "a build tool asks the compiler")]
    fn find(root: &Path) -> Result<Toolchain> {
        let ask = |arguments: &[&str]| -> Result<String> {
            let told = Command::new("rustc").current_dir(root).args(arguments).output();
            Ok(String::from_utf8(told.context("running rustc")?.stdout)?)
        };
        let version = ask(&["-vV"])?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.context("rustc does not tell its host")?.to_owned();
        let sysroot = PathBuf::from(ask(&["--print", "sysroot"])?.trim());
        let profdata = sysroot.join("lib/rustlib").join(&host).join("bin/llvm-profdata");
        ensure!(
            profdata.exists(),
            "llvm-profdata is not installed; get it by: rustup component add llvm-tools"
        );
        Ok(Toolchain { host, profdata })
    }
}

struct Build<'a> {
    root: &'a Path,
    host: &'a str,
}

impl Build<'_> {
    /// Builds `palisade` with these flags of the compiler, and tells where it is.
    fn program(&self, target: &Path, flags: &str, environment: &[(&str, &str)]) -> Result<PathBuf> {
        let environment = [&[("RUSTFLAGS", flags)], environment].concat();
        self.cargo(target, &["--package", "palisade"], &environment)?;
        Ok(target.join(self.host).join("release/palisade"))
    }

    #[expect(clippy::disallowed_methods, reason = "a build tool builds")]
    fn cargo(&self, target: &Path, what: &[&str], environment: &[(&str, &str)]) -> Result<()> {
        let built = Command::new("cargo")
            .current_dir(self.root)
            .args(["build", "--locked", "--release", "--target", self.host])
            .args(what)
            .arg("--target-dir")
            .arg(target)
            .envs(environment.iter().copied())
            .status()
            .context("running cargo build")?;
        ensure!(built.success(), "the build failed");
        Ok(())
    }
}

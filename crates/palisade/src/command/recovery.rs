//! Handing out recovery shares, and trying them before they count.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use crypto::slot::{RecoveryShare, SharePolicy, SlotError};

use super::Output;
use crate::files;

/// How recovery shares are issued.
#[derive(Args)]
pub(crate) struct RecoveryArguments {
    /// Recovery shares, THRESHOLDofCOUNT: so many of them open the root key when all else is lost.
    #[arg(long, default_value = "2of3", value_parser = parse_shares)]
    pub(crate) shares: SharePolicy,
    /// Writes the new shares to this file instead of the terminal, and takes them
    /// as kept. Move them to their keepers and remove the file.
    #[arg(long = "shares-file", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// Tries typed shares on something untested, and gives it back if they fail.
pub(crate) trait Confirm<U, T>: Fn(U, &[&str]) -> Result<T, Box<(U, SlotError)>> {}

impl<U, T, F: Fn(U, &[&str]) -> Result<T, Box<(U, SlotError)>>> Confirm<U, T> for F {}

impl RecoveryArguments {
    /// Hands the shares out, and confirms them by reading them back.
    ///
    /// # Errors
    ///
    /// If there is neither file nor terminal, or what is read back fails.
    pub(crate) fn hand_out<U, T>(
        &self,
        untested: U,
        shares: &[RecoveryShare],
        output: Output,
        confirm: impl Confirm<U, T>,
    ) -> Result<T> {
        match &self.file {
            Some(path) => to_file(path, untested, shares, confirm),
            None => at_terminal(self.shares, untested, shares, output, confirm),
        }
    }
}

/// Writes the shares to a file and confirms them by reading that file back.
fn to_file<U, T>(
    path: &Path,
    untested: U,
    shares: &[RecoveryShare],
    confirm: impl Confirm<U, T>,
) -> Result<T> {
    if path.exists() {
        bail!("{} exists already; shares never overwrite a file", path.display());
    }
    let mut text = String::new();
    for share in shares {
        text.push_str(share.to_text().expose());
        text.push('\n');
    }
    files::write_private(path, text.as_bytes())?;
    let written = files::read_secret(path)?;
    let lines: Vec<&str> = std::str::from_utf8(written.expose())?.lines().collect();
    confirm(untested, &lines).map_err(|failed| failed.1.into())
}

/// Shows the shares and asks for enough of them to be typed back.
fn at_terminal<U, T>(
    policy: SharePolicy,
    mut untested: U,
    shares: &[RecoveryShare],
    output: Output,
    confirm: impl Confirm<U, T>,
) -> Result<T> {
    if !std::io::stdin().is_terminal() {
        bail!(
            "recovery shares must be tested, and there is no terminal to type them at: name a file for them \
             (`init --shares-file FILE`, `seal recovery --new-shares-file FILE`)"
        );
    }
    output.progress("Recovery shares. Give each to another keeper; they are not shown again.\n");
    for share in shares {
        output.progress(&format!("  {}. {}", share.number(), share.to_text().expose()));
    }
    loop {
        output.progress(&format!(
            "\nType {} of them back, one a line:",
            policy.threshold()
        ));
        let typed: Vec<String> = std::io::stdin()
            .lock()
            .lines()
            .take(usize::from(policy.threshold()))
            .collect::<Result<_, _>>()
            .context("nothing was typed")?;
        let typed: Vec<&str> = typed.iter().map(|line| line.trim()).collect();
        match confirm(untested, &typed) {
            Ok(tested) => return Ok(tested),
            Err(failed) => {
                let (back, reason) = *failed;
                output.progress(&format!("They do not work: {reason}."));
                untested = back;
            }
        }
    }
}

/// The recovery policy typed as `3of5`.
pub(super) fn parse_shares(text: &str) -> Result<SharePolicy, String> {
    let form = "must be THRESHOLDofCOUNT, such as 2of3";
    let (threshold, count) = text.split_once("of").ok_or(form)?;
    let number = |text: &str| text.parse::<u8>().map_err(|_| form.to_owned());
    SharePolicy::new(number(threshold)?, number(count)?).map_err(|error| error.to_string())
}

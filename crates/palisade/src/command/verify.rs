//! `palisade verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use journal::VerifyError;

use super::Output;
use super::seal::Unseal;
use crate::world::Layout;

/// Proves the record.
#[derive(Args)]
pub(crate) struct Verify {
    /// The data directory.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Opens the root key too, and checks the seals that only its holder can make.
    #[arg(long)]
    seals: bool,
    #[command(flatten)]
    unseal: Unseal,
}

impl Verify {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        let layout = Layout(&self.data);
        let key = if self.seals {
            Some(self.unseal.open(&layout)?.journal_seal_key())
        } else {
            None
        };
        let mut told = 0;
        let verified = journal::verify(&layout.journal(), key.as_ref(), |progress| {
            if progress.records >= told + 1_000_000 {
                told = progress.records;
                output.progress(&format!("{} records proven …", progress.records));
            }
        });
        match verified {
            Ok(report) => {
                let chain: String = report.chain.iter().map(|byte| format!("{byte:02x}")).collect();
                let mut told = serde_json::json!({"whole": true, "report": report});
                told["report"]["chain"] = chain.as_str().into();
                output.show(&told, || {
                    let seals = if report.seals_checked { ", seals right" } else { "" };
                    let tail = match &report.tail {
                        journal::Tail::Whole => String::new(),
                        journal::Tail::Torn { bytes, .. } => {
                            format!("The last {bytes} bytes are a record that was never acknowledged.\n")
                        }
                    };
                    format!(
                        "The record is whole: {} records in {} segments{seals}.\n{tail}Chain: {chain}\n",
                        report.position.0, report.segments
                    )
                });
                Ok(ExitCode::SUCCESS)
            }
            Err(VerifyError::Damaged(damage)) => {
                output.show(
                    &serde_json::json!({"whole": false, "damage": damage.to_string()}),
                    || format!("The record is NOT whole: {damage}\n"),
                );
                Ok(ExitCode::from(2))
            }
            Err(error) => Err(error).context("the record cannot be read; is --data the right directory?"),
        }
    }
}

//! `palisade verify`.

use std::io::{self, Write as _};
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
    /// Prints every record, one line of JSON each, the oldest first; what is proven of them is told on standard error.
    #[arg(long)]
    records: bool,
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
        let progress = |progress: journal::Progress| {
            if progress.records >= told + 1_000_000 {
                told = progress.records;
                output.progress(&format!("{} records proven …", progress.records));
            }
        };
        let mut printer = Printer::default();
        let verified = if self.records {
            let print = |_, record: &[u8]| printer.print(record);
            journal::verify_each(&layout.journal(), key.as_ref(), progress, print)
        } else {
            journal::verify(&layout.journal(), key.as_ref(), progress)
        };
        printer.end().context("the records cannot be printed")?;
        let show = |told: &serde_json::Value, human: &dyn Fn() -> String| match self.records {
            true => output.show_aside(told, human),
            false => output.show(told, human),
        };
        match verified {
            Ok(report) => {
                let chain: String = report.chain.iter().map(|byte| format!("{byte:02x}")).collect();
                let mut told = serde_json::json!({"whole": true, "report": report});
                told["report"]["chain"] = chain.as_str().into();
                show(&told, &|| {
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
                show(
                    &serde_json::json!({"whole": false, "damage": damage.to_string()}),
                    &|| format!("The record is NOT whole: {damage}\n"),
                );
                Ok(ExitCode::from(2))
            }
            Err(error) => Err(error).context("the record cannot be read; is --data the right directory?"),
        }
    }
}

/// Prints records until somebody no longer reads them.
#[derive(Default)]
struct Printer {
    failed: Option<io::Error>,
}

impl Printer {
    fn print(&mut self, record: &[u8]) {
        if self.failed.is_none() {
            let mut out = io::stdout().lock();
            self.failed = out.write_all(record).and_then(|()| out.write_all(b"\n")).err();
        }
    }

    /// # Errors
    ///
    /// Why not all were printed, unless nobody wanted more.
    fn end(self) -> io::Result<()> {
        match self.failed {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }
}

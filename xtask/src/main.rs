//! The workshop: what builds and checks the house but is not part of it.

mod codegen;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Builds and checks Palisade's sources.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Generates the crates under api/ from botocore's service models.
    ///
    /// Installs the pinned botocore into target/codegen-venv first.
    /// Example: cargo xtask codegen --check
    Codegen {
        /// Changes nothing; fails if the committed output differs.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Codegen { check } => codegen::run(&root(), check),
    }
}

/// The repository's root: this crate's parent directory.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}

//! The workshop: what builds and checks the house but is not part of it.

mod check;
mod codegen;
mod coverage;
mod scaffold;

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
    /// Writes COVERAGE.md from the tables of the services.
    ///
    /// Example: cargo xtask coverage --check
    Coverage {
        /// Changes nothing; fails if the committed file differs.
        #[arg(long)]
        check: bool,
    },
    /// Adds an operation to a service: its file, its module line and its row in the table.
    ///
    /// Example: cargo xtask op kms CreateGrant
    Op {
        /// The service's crate: kms.
        service: String,
        /// The operation's name in the API: CreateGrant.
        operation: String,
    },
    /// Adds a service: its generated API and a crate with the usual rooms.
    ///
    /// Example: cargo xtask service secretsmanager
    Service {
        /// The service's IAM prefix, which is also its directory in botocore's data.
        name: String,
    },
    /// Checks the rules of the house that the compiler cannot.
    ///
    /// Example: cargo xtask check
    Check,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Codegen { check } => codegen::run(&root(), check),
        Command::Coverage { check } => coverage::run(&root(), check),
        Command::Op { service, operation } => scaffold::operation(&root(), &service, &operation),
        Command::Service { name } => scaffold::service(&root(), &name),
        Command::Check => check::run(&root()),
    }
}

/// The repository's root: this crate's parent directory.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}

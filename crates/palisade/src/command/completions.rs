//! `palisade completions`.

use std::process::ExitCode;

use clap::{Args, CommandFactory as _};

/// Prints a completion script.
#[derive(Args)]
pub(crate) struct Completions {
    /// The shell: bash, elvish, fish, powershell or zsh.
    shell: clap_complete::Shell,
}

impl Completions {
    pub(crate) fn run(self) -> ExitCode {
        let mut command = super::Arguments::command();
        clap_complete::generate(self.shell, &mut command, "palisade", &mut std::io::stdout());
        ExitCode::SUCCESS
    }
}

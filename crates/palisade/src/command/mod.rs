//! The command line: one file per command.

mod backup;
mod cluster_keys;
mod completions;
mod coverage;
mod dev;
mod doctor;
mod env;
mod events;
mod import;
mod init;
mod kes_bridge;
mod kms_plugin;
mod policy;
mod recovery;
mod restore;
mod root_key;
mod seal;
pub(crate) mod serve;
mod usage;
mod verify;
mod why;
mod xks_credential;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The AWS security services, on your own machines. Enforced.
#[derive(Parser)]
#[command(
    name = "palisade",
    version,
    max_term_width = 100,
    after_help = "Start here: palisade dev"
)]
pub(crate) struct Arguments {
    /// Answers in JSON, one document on standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs everything at once with a throw-away root key and store, and prints what to paste.
    #[command(
        after_help = dev::EXAMPLES
    )]
    Dev(dev::Dev),
    /// Runs the same program durable and sealed; needs `palisade init` first.
    #[command(after_help = "Example: palisade serve --data /var/lib/palisade --listen 0.0.0.0:4566")]
    Serve(serve::Serve),
    /// Prepares a data directory: root key, key slots, recovery shares, first account.
    #[command(after_help = "Example: palisade init --data /var/lib/palisade --slot passphrase")]
    Init(init::Init),
    /// Shows, adds, verifies and rotates the slots that protect the root key.
    #[command(after_help = "Example: palisade seal status --data /var/lib/palisade")]
    Seal(seal::Seal),
    /// Prints the `export AWS_…` lines of a running `palisade dev`.
    #[command(after_help = "Example: eval \"$(palisade env)\"")]
    Env(env::Env),
    /// Tells why a call was or would be allowed or denied, and the smallest change that would allow it.
    #[command(after_help = why::EXAMPLES)]
    Why(why::Why),
    /// Lists what services announced of your account's resources, in EventBridge's shape.
    #[command(after_help = events::EXAMPLES)]
    Events(events::Events),
    /// Checks this machine and, if one is running, the server the environment points at.
    #[command(after_help = "Example: palisade doctor")]
    Doctor(doctor::Doctor),
    /// Lists every operation of every API, implemented or not.
    #[command(after_help = "Example: palisade coverage kms")]
    Coverage(coverage::Coverage),
    /// Lints policy documents, and writes the smallest one that covers what was done.
    #[command(after_help = "Example: palisade policy lint policy.json --kind identity")]
    Policy(policy::Policy),
    /// Tells what an account used of a service, and what AWS would have asked for it.
    #[command(after_help = "Example: palisade usage kms --since 30d")]
    Usage(usage::Usage),
    /// Proves that the record of calls is whole and unaltered, and prints it if asked.
    #[command(after_help = "Example: palisade verify --data /var/lib/palisade")]
    Verify(verify::Verify),
    /// Copies a stopped server's data directory: store, record and key slots as of one moment.
    #[command(after_help = "Example: palisade backup --data /var/lib/palisade --output /backup/2026-11-28")]
    Backup(backup::Backup),
    /// Makes a data directory of a backup, and proves it before it says so.
    #[command(
        after_help = "Example: palisade restore --backup /backup/2026-11-28 --data /var/lib/palisade --passphrase-file secret"
    )]
    Restore(restore::Restore),
    /// Encrypts the secrets of a Kubernetes cluster with a KMS key: a KMS v2 plugin for its API server.
    #[command(after_help = kms_plugin::EXAMPLE)]
    KmsPlugin(kms_plugin::KmsPlugin),
    /// Brings keys from elsewhere (Vault and OpenBao transit, local-kms, PKCS #8, JWK, raw bytes) into a KMS.
    #[command(after_help = import::EXAMPLES)]
    Import(import::Import),
    /// Answers S3 stores as KES did, with keys of a KMS, over mutual TLS.
    #[command(after_help = kes_bridge::EXAMPLES)]
    KesBridge(kes_bridge::KesBridge),
    /// Makes a credential by which AWS KMS may use keys that are here, as an external key store.
    #[command(after_help = xks_credential::EXAMPLE)]
    XksCredential(xks_credential::NewXksCredential),
    /// Lists the keys in a cluster that no KMS key names: what a server left there that died in the middle.
    #[command(after_help = cluster_keys::EXAMPLE)]
    ClusterKeys(cluster_keys::ClusterKeys),
    /// Prints a completion script for a shell.
    #[command(after_help = "Example: palisade completions bash > /etc/bash_completion.d/palisade")]
    Completions(completions::Completions),
    /// Asks the keeper of a slot's key, for a process that holds keys.
    #[command(name = crate::keeper::HELPER, hide = true)]
    KeeperHelper,
    /// Runs the module of a cluster's token, for the server that started it.
    #[command(name = crate::hsm::HELPER, hide = true)]
    HsmHelper,
}

/// Where a command's result goes.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line speaks to its user"
)]
impl Output {
    /// Prints the result: `value` with `--json`, the text of `human` without.
    pub(crate) fn show(self, value: &serde_json::Value, human: impl FnOnce() -> String) {
        if self.json {
            println!("{value}");
        } else {
            print!("{}", human());
        }
    }

    /// As [`Output::show`], on standard error: standard output has something else.
    pub(crate) fn show_aside(self, value: &serde_json::Value, human: impl FnOnce() -> String) {
        if self.json {
            eprintln!("{value}");
        } else {
            eprint!("{}", human());
        }
    }

    /// Tells what is going on while a command works.
    pub(crate) fn progress(self, text: &str) {
        if !self.json {
            eprintln!("{text}");
        }
    }

    /// Tells why a command failed and what to do next.
    pub(crate) fn problem(self, error: &anyhow::Error) {
        if self.json {
            println!("{}", serde_json::json!({"error": format!("{error:#}")}));
        } else {
            eprintln!("palisade: {error:#}");
        }
    }
}

/// Tells what was typed wrong, in JSON if at least that was typed right; or the
/// help or version that was asked for.
#[expect(clippy::print_stdout, reason = "the command line speaks to its user")]
pub(crate) fn unparsed(error: &clap::Error) -> ExitCode {
    // Nothing was parsed, so that the flag has to be looked for.
    let json = std::env::args_os()
        .take_while(|argument| argument != "--")
        .any(|argument| argument == "--json");
    if json && error.use_stderr() {
        let text = error.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
        println!("{}", serde_json::json!({"error": text}));
    } else {
        // That nobody reads it is no failure of its own.
        let _ = error.print();
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Runs the command that was typed.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let output = Output { json: arguments.json };
    match arguments.command {
        Command::Dev(dev) => dev.run(output),
        Command::Serve(serve) => serve.run(output),
        Command::Init(init) => init.run(output),
        Command::Seal(seal) => seal.run(output),
        Command::Env(env) => env.run(output),
        Command::Why(why) => why.run(output),
        Command::Events(events) => events.run(output),
        Command::Doctor(doctor) => doctor.run(output),
        Command::Coverage(coverage) => coverage.run(output),
        Command::Policy(policy) => policy.run(output),
        Command::Usage(usage) => usage.run(output),
        Command::Verify(verify) => verify.run(output),
        Command::Backup(backup) => backup.run(output),
        Command::Restore(restore) => restore.run(output),
        Command::Import(import) => import.run(output),
        Command::XksCredential(made) => made.run(output),
        Command::KesBridge(bridge) => bridge.run(output),
        Command::KmsPlugin(plugin) => plugin.run(output),
        Command::ClusterKeys(keys) => keys.run(output),
        Command::Completions(completions) => Ok(completions.run()),
        Command::KeeperHelper => crate::keeper::help().map(|()| ExitCode::SUCCESS),
        Command::HsmHelper => crate::hsm::help().map(|()| ExitCode::SUCCESS),
    }
}

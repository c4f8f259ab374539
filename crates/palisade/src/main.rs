//! The roof: command line, configuration and wiring. A table of contents in
//! code, without domain logic.

mod backup;
mod certificate;
mod client;
mod command;
mod credentials;
mod federation;
mod files;
mod hsm;
mod import;
mod import_key;
mod keeper;
mod kes_bridge;
mod key_stores;
mod kms_plugin;
mod peer;
mod remote_kms;
mod seed;
mod settings;
mod starts;
mod way_out;
mod world;
mod xks_credentials;

use clap::Parser as _;

use crate::command::{Arguments, Output};

/// A request makes many small allocations and frees some of them on another
/// thread; the system allocator is slow at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return command::unparsed(&error),
    };
    let output = Output { json: arguments.json };
    if let Err(error) = crypto::forbid_core_dumps() {
        output.progress(&format!("core dumps stay on: {error}"));
    }
    match command::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            output.problem(&error);
            std::process::ExitCode::FAILURE
        }
    }
}

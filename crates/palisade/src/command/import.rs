//! `palisade import`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use bridge::exports::{self, Form, Usage};
use clap::{Args, ValueEnum};
use ground::{AccountId, Region};

use super::Output;
use super::serve::runtime;
use crate::files;
use crate::import::{Plan, Row, State, bring, plan, seed};
use crate::remote_kms::RemoteKms;

pub(super) const EXAMPLES: &str = "Example: palisade import --from transit export.json --dry-run
Example: palisade import --from pkcs8 signing.pem --name release --usage sign-verify
Example: palisade import --from local-kms seed.yaml --to-seed seed.toml";

/// Makes EXTERNAL keys and gives them the material of files, as a client of the KMS that AWS_ENDPOINT_URL names.
/// May be broken off and run again.
#[derive(Args)]
pub(crate) struct Import {
    /// What the files are.
    #[arg(long, value_name = "FORM")]
    from: FromForm,
    /// The files. Nobody but their owner may be able to read them.
    #[arg(required = true)]
    file: Vec<PathBuf>,
    /// The name of a key whose file gives it none, or none that an alias may have. Default: the file's.
    #[arg(long)]
    name: Option<String>,
    /// What stands before the names in their aliases.
    #[arg(long, default_value = "imported/", value_name = "TEXT")]
    alias_prefix: String,
    /// What the keys are for, where that is a choice.
    #[arg(long)]
    usage: Option<ForUsage>,
    /// Tells what would be done, and asks nobody.
    #[arg(long)]
    dry_run: bool,
    /// Writes a seed for `palisade dev` instead, in which the keys keep their ids.
    #[arg(long, value_name = "FILE", conflicts_with = "endpoint")]
    to_seed: Option<PathBuf>,
    /// The account of the seed's keys.
    #[arg(long, default_value = "123456789012", value_parser = AccountId::parse)]
    account: AccountId,
    /// The KMS, instead of AWS_ENDPOINT_URL.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The keys' region, instead of AWS_REGION.
    #[arg(long, value_parser = Region::parse)]
    region: Option<Region>,
}

#[derive(Clone, Copy, ValueEnum)]
enum FromForm {
    /// The answer of transit/export/… or transit/backup/… of Vault or OpenBao.
    Transit,
    /// The seed of local-kms; needs --to-seed.
    LocalKms,
    /// A private key, PEM or DER.
    Pkcs8,
    /// A JSON Web Key, or a set of them.
    Jwk,
    /// The bytes of a symmetric or HMAC key.
    Raw,
}

impl FromForm {
    fn form(self) -> (Form, &'static str) {
        match self {
            FromForm::Transit => (Form::Transit, "transit"),
            FromForm::LocalKms => (Form::LocalKms, "local-kms"),
            FromForm::Pkcs8 => (Form::Pkcs8, "pkcs8"),
            FromForm::Jwk => (Form::Jwk, "jwk"),
            FromForm::Raw => (Form::Raw, "raw"),
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum ForUsage {
    EncryptDecrypt,
    GenerateVerifyMac,
    KeyAgreement,
    SignVerify,
}

impl From<ForUsage> for Usage {
    fn from(usage: ForUsage) -> Usage {
        match usage {
            ForUsage::EncryptDecrypt => Usage::EncryptDecrypt,
            ForUsage::GenerateVerifyMac => Usage::GenerateVerifyMac,
            ForUsage::KeyAgreement => Usage::KeyAgreement,
            ForUsage::SignVerify => Usage::SignVerify,
        }
    }
}

impl Import {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        let (form, source) = self.from.form();
        if form == Form::LocalKms && self.to_seed.is_none() {
            bail!("keys of local-kms keep their ids only in a seed for `palisade dev`: say --to-seed FILE");
        }
        if form != Form::LocalKms && self.to_seed.is_some() {
            bail!("only keys of local-kms have ids that a seed could keep");
        }
        if self.file.len() > 1 && self.name.is_some() {
            bail!("--name is for one file");
        }
        let (plans, mut rows) = self.plans(form)?;
        if self.dry_run {
            rows.extend(plans.into_iter().map(|plan| plan.row));
        } else if let Some(path) = &self.to_seed {
            let (text, told) = seed(plans, self.account, self.region.as_ref())?;
            files::write_private(path, text.expose().as_bytes())?;
            rows.extend(told);
        } else {
            let kms = RemoteKms::new(
                self.endpoint.into_iter().collect(),
                self.region.map(|region| region.to_string()),
            );
            let runtime = runtime()?;
            for plan in plans {
                rows.push(runtime.block_on(bring(&kms, source, plan)));
            }
        }
        let refused = rows.iter().any(|row| matches!(row.state, State::Refused(_)));
        let json: Vec<_> = rows.iter().map(Row::json).collect();
        output.show(&serde_json::json!({"keys": json}), || table(&rows));
        Ok(if refused {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }

    /// What is to be made, and what cannot be.
    fn plans(&self, form: Form) -> Result<(Vec<Plan>, Vec<Row>)> {
        let (mut plans, mut rows) = (Vec::new(), Vec::new());
        for path in &self.file {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let name = self.name.as_deref().unwrap_or(&stem);
            let bytes = files::read_secret(path)?;
            let mut found = exports::read(form, name, self.usage.map(Usage::from), bytes.expose())
                .with_context(|| format!("{} cannot be read", path.display()))?;
            if let (Some(name), [one]) = (&self.name, &mut found[..]) {
                one.name.clone_from(name);
            }
            let prefix = if form == Form::LocalKms {
                ""
            } else {
                &*self.alias_prefix
            };
            for found in found {
                match plan(found, prefix) {
                    Ok(planned) => plans.extend(planned),
                    Err(row) => rows.push(*row),
                }
            }
        }
        Ok((plans, rows))
    }
}

fn table(rows: &[Row]) -> String {
    let cells: Vec<[&str; 5]> = rows
        .iter()
        .map(|row| {
            [
                &*row.name,
                &*row.versions,
                &*row.kind,
                &*row.alias,
                row.state.text(),
            ]
        })
        .collect();
    let head = ["NAME", "VERSIONS", "KIND", "ALIAS", "STATE"];
    let width = |at: usize| {
        let all = cells.iter().map(|cells| cells[at].chars().count());
        all.chain([head[at].len()]).max().unwrap_or_default()
    };
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut out = String::new();
    let mut line = |cells: &[&str; 5], more: Option<&str>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        let more = more.map(|more| format!(": {more}")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}{more}", padded.join("  ").trim_end());
    };
    line(&head, None);
    for (row, cells) in rows.iter().zip(&cells) {
        line(cells, row.reason());
    }
    out
}

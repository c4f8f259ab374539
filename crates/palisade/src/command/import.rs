//! `palisade import`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use bridge::exports::{self, Form, Found, Usage};
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
        } else if plans.is_empty() {
            // Nothing is left to be asked of a KMS, or written.
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

    /// What is to be made, and what cannot be: what is wrong with one file of several
    /// keeps no other from being brought in.
    fn plans(&self, form: Form) -> Result<(Vec<Plan>, Vec<Row>)> {
        let (mut plans, mut rows) = (Vec::new(), Vec::new());
        for path in &self.file {
            let found = match self.found(form, path) {
                Ok(found) => found,
                Err(error) if self.file.len() == 1 => return Err(error),
                Err(error) => {
                    rows.push(Row::of_unread(path.display().to_string(), format!("{error:#}")));
                    continue;
                }
            };
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

    /// The keys of a file.
    fn found(&self, form: Form, path: &Path) -> Result<Vec<Found>> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = self.name.as_deref().unwrap_or(&stem);
        let bytes = files::read_secret(path)?;
        let mut found = exports::read(form, name, self.usage.map(Usage::from), bytes.expose())
            .with_context(|| format!("{} cannot be read", path.display()))?;
        if let (Some(name), [one]) = (&self.name, &mut found[..]) {
            one.name.clone_from(name);
        }
        Ok(found)
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        import: Import,
    }

    fn typed(from: &str, files: &[&Path]) -> Import {
        let mut words = vec!["import".to_owned(), "--from".to_owned(), from.to_owned()];
        words.extend(files.iter().map(|file| file.display().to_string()));
        Typed::try_parse_from(words).ok().unwrap().import
    }

    #[test]
    fn one_unreadable_file_keeps_no_other_from_being_brought_in() {
        let home = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = home.path().join(name);
            files::write_private(&path, bytes).unwrap();
            path
        };
        let [first, wrong, last] = [
            file("first", &[1; 32]),
            file("wrong", b"too short"),
            file("last", &[2; 32]),
        ];
        let missing = home.path().join("missing");
        let import = typed("raw", &[&first, &missing, &wrong, &last]);
        let (plans, rows) = import.plans(Form::Raw).unwrap();
        let names: Vec<&str> = plans.iter().map(|plan| &*plan.row.name).collect();
        assert_eq!(names, ["first", "last"]);
        let told: Vec<String> = rows.iter().map(|row| row.json().to_string()).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(rows[0].name, missing.display().to_string());
        assert!(rows.iter().all(|row| row.reason().is_some()), "{told:?}");
        assert!(told[1].contains("wrong"), "{told:?}");
        // Of one alone there is nothing else to tell.
        assert!(typed("raw", &[&missing]).plans(Form::Raw).is_err());
    }

    #[test]
    fn the_aliases_of_a_seed_are_those_of_its_file() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("seed.yaml");
        let (first, second) = (
            "11111111-1111-1111-1111-111111111111",
            "22222222-2222-2222-2222-222222222222",
        );
        let material = "ab".repeat(32);
        let key = |id: &str| {
            format!(
                "      - Metadata:\n          KeyId: {id}\n        BackingKeys:\n          - {material}\n"
            )
        };
        let text = format!(
            "Keys:\n  Symmetric:\n    Aes:\n{}{}Aliases:\n  - AliasName: alias/testing\n    TargetKeyId: {first}\n",
            key(first),
            key(second)
        );
        files::write_private(&path, text.as_bytes()).unwrap();
        let (plans, rows) = typed("local-kms", &[&path]).plans(Form::LocalKms).unwrap();
        let refused: Vec<_> = rows.iter().map(|row| row.reason()).collect();
        assert!(rows.is_empty(), "{refused:?}");
        let told: Vec<[&str; 2]> = plans
            .iter()
            .map(|plan| [&*plan.row.name, &*plan.row.alias])
            .collect();
        assert_eq!(told, [[first, "alias/testing"], [second, ""]]);
    }
}

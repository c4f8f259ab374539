//! `palisade xks-credential`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use crypto::Random;
use ground::Region;

use super::Output;
use crate::settings::parse_region;
use crate::xks_credentials;

pub(super) const EXAMPLE: &str = "Example: palisade xks-credential --file /etc/palisade/xks.toml \\
    --principal arn:aws:iam::123456789012:role/aws-kms > xks-proxy.json";

/// Makes a credential, adds it to a file, and prints what the AWS KMS console
/// takes as "proxy configuration file".
#[derive(Args)]
pub(crate) struct NewXksCredential {
    /// The file that `palisade serve --xks-credentials` reads; made if it is not there.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// The user or role as whom AWS KMS asks.
    #[arg(long, value_name = "ARN")]
    principal: String,
    /// What stands before /kms/xks/v1 in its paths, such as /stores/one.
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
    /// Where its keys are, instead of the region that AWS KMS asks from.
    #[arg(long, value_parser = parse_region)]
    region: Option<Region>,
}

impl NewXksCredential {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        let random = Random::system();
        let made = xks_credentials::add(
            &self.file,
            &self.principal,
            &self.prefix,
            self.region.as_ref(),
            &random,
        )?;
        // The form is AWS's, with --json and without.
        let told = serde_json::json!({
            "XksProxyUriPath": format!("{}{}", self.prefix, wire::xks::ROOT),
            "XksProxyAuthenticationCredential": {
                "AccessKeyId": made.access_key_id,
                "RawSecretAccessKey": made.secret_access_key.expose(),
            },
        });
        output.show(&told, || format!("{told:#}\n"));
        Ok(ExitCode::SUCCESS)
    }
}

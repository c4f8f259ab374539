//! `palisade policy`: works on policy documents, and writes them from the record.

mod generate;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use ground::AccountId;
use policy::{DocumentKind, Finding, Severity, Surroundings, lint};

use super::Output;
use crate::files::read_text;

/// Works on policy documents, and writes them from the record.
#[derive(Args)]
pub(crate) struct Policy {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Tells what is dead, too broad, a way to more permissions, or open to others in a policy.
    ///
    /// Exits with 0 if there is nothing to tell, 1 if there is, 2 if the file cannot be read.
    #[command(after_help = "Example: palisade policy lint trust.json --kind trust --account 111122223333")]
    Lint(Lint),
    /// Writes the smallest policy that covers what a user or role did, and replays it.
    ///
    /// Asks the server that AWS_ENDPOINT_URL names. The policy is printed alone, for a file;
    /// what was found goes to standard error. Exits with 0 if the replay denies nothing new,
    /// 1 if it does or nothing was seen.
    #[command(after_help = GENERATE_EXAMPLES)]
    Generate(generate::Generate),
}

const GENERATE_EXAMPLES: &str = "Example: palisade policy generate --principal arn:aws:iam::111122223333:role/app --since 90d
Example: palisade policy generate --principal arn:aws:iam::111122223333:user/bob --since 2026-01-01T00:00:00Z --until \
2026-02-01T00:00:00Z --generalize > bob.json";

#[derive(Args)]
struct Lint {
    /// The policy document.
    file: PathBuf,
    /// What the policy is for.
    #[arg(long, value_enum, default_value_t = Kind::Identity)]
    kind: Kind,
    /// The account that holds it: principals of others are told.
    #[arg(long, value_name = "ID", value_parser = AccountId::parse)]
    account: Option<AccountId>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Attached to a user, group or role.
    Identity,
    /// A permissions boundary.
    Boundary,
    /// Passed to AssumeRole or GetFederationToken.
    Session,
    /// A service control policy.
    Scp,
    /// A resource control policy.
    Rcp,
    /// The trust policy of a role.
    Trust,
    /// The key policy of a KMS key.
    Key,
    /// The policy of any other resource: bucket, secret, queue, topic.
    Resource,
}

impl From<Kind> for DocumentKind {
    fn from(kind: Kind) -> DocumentKind {
        match kind {
            Kind::Identity => DocumentKind::Identity,
            Kind::Boundary => DocumentKind::Boundary,
            Kind::Session => DocumentKind::Session,
            Kind::Scp => DocumentKind::ServiceControl,
            Kind::Rcp => DocumentKind::ResourceControl,
            Kind::Trust => DocumentKind::RoleTrust,
            Kind::Key => DocumentKind::KmsKey,
            Kind::Resource => DocumentKind::Resource,
        }
    }
}

impl Policy {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        match self.task {
            Task::Lint(lint) => Ok(lint.run(output)),
            Task::Generate(generate) => generate.run(output),
        }
    }
}

impl Lint {
    fn run(self, output: Output) -> ExitCode {
        let text = match read_text(&self.file) {
            Ok(text) => text,
            Err(error) => {
                output.problem(&error);
                return ExitCode::from(2);
            }
        };
        let actions = known_actions();
        let surroundings = Surroundings {
            account: self.account,
            actions: &actions,
        };
        let findings = lint(&text, self.kind.into(), surroundings);
        output.show(&serde_json::json!({"findings": findings}), || {
            human(&self.file, &findings)
        });
        if findings.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(1)
        }
    }
}

/// Every action of the services whose actions we know.
///
/// They are the operations, and those permissions that no operation is named
/// for. Source of the latter: Service Authorization Reference.
fn known_actions() -> Vec<&'static str> {
    const WITHOUT_OPERATION: [&str; 10] = [
        "iam:PassRole",
        "iam:SetSTSRegionalEndpointStatus",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
        "kms:SynchronizeMultiRegionKey",
        "sts:GetServiceBearerToken",
        "sts:SetContext",
        "sts:SetSourceIdentity",
        "sts:TagGetWebIdentityToken",
        "sts:TagSession",
    ];
    let services = crate::world::services(
        std::sync::Arc::default(),
        iam::Issuers::none(),
        kms::Options::default(),
    );
    let operations = services.iter().flat_map(|service| service.shape().operations);
    let actions: BTreeSet<&'static str> = operations
        .map(|operation| operation.action)
        .chain(WITHOUT_OPERATION)
        .collect();
    actions.into_iter().collect()
}

fn human(file: &Path, findings: &[Finding]) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    for finding in findings {
        let severity = match finding.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let place = finding
            .position
            .map_or_else(String::new, |place| format!(":{}:{}", place.line, place.column));
        let _ = writeln!(
            out,
            "{}{place}: {severity}: {} [{}]",
            file.display(),
            finding.problem,
            finding.code
        );
        let sid = finding
            .sid
            .as_ref()
            .map_or_else(String::new, |sid| format!(" ({sid})"));
        let _ = writeln!(out, "    at {}{sid}. {}", finding.path, finding.advice);
    }
    if findings.is_empty() {
        let _ = writeln!(out, "{}: nothing to tell", file.display());
    }
    out
}

//! `palisade why`: of a call that was made, or of one that nobody makes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use policy::{Mismatch, PolicyTrace, StatementTrace, StepVerdict, Trace};
use serde::Deserialize;

use super::Output;
use crate::client;
use crate::credentials::ClientSettings;

/// One of each form.
pub(super) const EXAMPLES: &str = "Example: palisade why 8c9a2a52-8d0e-4f6b-9c58-0f5f6a5a9d11\nExample: palisade why \
--principal arn:aws:iam::111122223333:user/bob --action kms:Encrypt \
--resource arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab \
--context kms:EncryptionContext:team=red";

/// Tells why.
#[derive(Args)]
pub(crate) struct Why {
    /// The id of the request, from the error message or the x-amzn-RequestId header.
    #[arg(required_unless_present = "principal", conflicts_with = "principal")]
    request_id: Option<String>,
    /// What if this user, role or root user of your account called: its ARN.
    #[arg(long, value_name = "ARN", requires = "action", requires = "resource")]
    principal: Option<String>,
    /// What if it did this: `kms:Encrypt`.
    #[arg(long, value_name = "ACTION", requires = "principal")]
    action: Option<String>,
    /// What if it did so to this: an ARN, or `*` for actions without a resource.
    #[arg(long, value_name = "ARN", requires = "principal")]
    resource: Option<String>,
    /// A condition key that the request would have; again for more keys, or more values of one.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair, requires = "principal")]
    context: Vec<(String, String)>,
}

/// A condition key and a value of it.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("it must be KEY=VALUE, as in aws:SourceIp=203.0.113.7".to_owned()),
    }
}

/// What the server answers.
#[derive(Deserialize)]
struct Answer {
    decisions: Vec<Decision>,
    /// Whether everything that a real call meets was weighed.
    #[serde(default = "yes")]
    complete: bool,
    /// Of a what-if: what was supposed, and what was not weighed.
    #[serde(default)]
    notes: Vec<String>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct Decision {
    caller: String,
    action: String,
    resource: String,
    allowed: bool,
    because: String,
    /// Absent for an allowed call that only the journal remembers.
    trace: Option<Trace>,
}

impl Why {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        let reply = match &self.request_id {
            Some(id) => of_request(id)?,
            None => self.what_if()?,
        };
        if reply.status != 200 {
            let told = &reply.body["error"]["message"];
            bail!("{}", told.as_str().unwrap_or("the server gave no reason"));
        }
        let answer = Answer::deserialize(&reply.body).context("the server's answer is of another version")?;
        output.show(&reply.body, || {
            let mut out: String = answer
                .decisions
                .iter()
                .map(|decision| human(decision, answer.complete))
                .collect();
            for note in &answer.notes {
                // Writing to a String cannot fail.
                let _ = writeln!(out, "  note     {note}");
            }
            out
        });
        Ok(ExitCode::SUCCESS)
    }

    /// Asks about a call that nobody makes.
    fn what_if(&self) -> Result<client::Reply> {
        let mut context: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (key, value) in &self.context {
            context.entry(key).or_default().push(value);
        }
        let question = serde_json::json!({
            "principal": self.principal,
            "action": self.action,
            "resource": self.resource,
            "context": context,
        });
        let settings = ClientSettings::from_environment()?;
        client::post(&settings.endpoint, "/_palisade/why", &question, Some(&settings))
    }
}

/// Asks about a call that was made.
fn of_request(id: &str) -> Result<client::Reply> {
    let id_ok =
        (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if !id_ok {
        bail!("{id:?} is not a request id; clients print it with the error");
    }
    let settings = ClientSettings::from_environment()?;
    client::get(
        &settings.endpoint,
        &format!("/_palisade/why/{id}"),
        Some(&settings),
    )
}

/// One decision as text, for a terminal; `complete` unless something that may
/// decide otherwise was not weighed.
fn human(decision: &Decision, complete: bool) -> String {
    let mut out = String::new();
    let verdict = if decision.allowed { "ALLOWED" } else { "DENIED " };
    // Writing to a String cannot fail, here and below.
    let as_far = if complete { "" } else { ", as far as weighed" };
    let _ = writeln!(
        out,
        "{verdict}  {} on {}{as_far}",
        decision.action, decision.resource
    );
    let _ = writeln!(out, "  caller   {}", decision.caller);
    let _ = writeln!(out, "  because  {}", decision.because);
    let Some(trace) = &decision.trace else { return out };
    out.push_str("  weighed\n");
    if trace.policies.is_empty() {
        out.push_str("    no policy at all\n");
    }
    for policy in &trace.policies {
        weighed(&mut out, policy);
    }
    for step in trace
        .steps
        .iter()
        .filter(|step| step.verdict == StepVerdict::Absent)
    {
        let _ = writeln!(out, "    there is no {}", step.policy_type);
    }
    if !trace.changes.is_empty() {
        out.push_str("  to allow it\n");
    }
    for change in &trace.changes {
        let _ = writeln!(out, "    {}", change.to_string().replace('\n', "\n    "));
    }
    out
}

fn weighed(out: &mut String, policy: &PolicyTrace) {
    let name = policy.arn.as_deref().unwrap_or(&policy.name);
    let _ = writeln!(
        out,
        "    {} {name}, attached to {}",
        policy.policy_type, policy.attached_to
    );
    for statement in &policy.statements {
        let sid = statement
            .sid
            .as_deref()
            .map(|sid| format!(" ({sid})"))
            .unwrap_or_default();
        let _ = writeln!(
            out,
            "      statement {}{sid}, {:?}: {}",
            statement.index,
            statement.effect,
            outcome(statement)
        );
        for warning in &statement.warnings {
            let _ = writeln!(out, "        warning: {warning}");
        }
    }
}

/// Whether a statement applied, and if not why not.
fn outcome(statement: &StatementTrace) -> String {
    let listed = |negated: bool, element: &str, listed: &[String]| {
        let not = if negated { "Not" } else { "" };
        format!("its {not}{element} is {}", listed.join(", "))
    };
    match &statement.mismatch {
        None => "matches".to_owned(),
        Some(Mismatch::Action {
            negated,
            listed: values,
        }) => listed(*negated, "Action", values),
        Some(Mismatch::Resource {
            negated,
            listed: values,
        }) => listed(*negated, "Resource", values),
        Some(Mismatch::Principal {
            negated,
            listed: values,
        }) => listed(*negated, "Principal", values),
        Some(Mismatch::Condition { unmet }) => unmet
            .iter()
            .map(|unmet| {
                let seen = unmet.request_values.as_ref().map_or_else(
                    || "is absent from the request".to_owned(),
                    |seen| format!("is {}", seen.join(", ")),
                );
                format!(
                    "{} wants {} of {}, which {seen}",
                    unmet.operator,
                    unmet.policy_values.join(" or "),
                    unmet.key
                )
            })
            .collect::<Vec<_>>()
            .join("; "),
        Some(Mismatch::Variable { key }) => format!("its variable ${{{key}}} has no value in the request"),
        Some(Mismatch::Inert) => "it has no action or no resource and never applies".to_owned(),
    }
}

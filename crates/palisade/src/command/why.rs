//! `palisade why`.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use policy::{Mismatch, PolicyTrace, StatementTrace, StepVerdict, Trace};
use serde::Deserialize;

use super::Output;
use crate::client;
use crate::credentials::ClientSettings;

/// Tells why.
#[derive(Args)]
pub(crate) struct Why {
    /// The id of the request, from the error message or the x-amzn-RequestId header.
    request_id: String,
}

/// What the server answers.
#[derive(Deserialize)]
struct Answer {
    decisions: Vec<Decision>,
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
        let id_ok = (1..=64).contains(&self.request_id.len())
            && self
                .request_id
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if !id_ok {
            bail!(
                "{:?} is not a request id; clients print it with the error",
                self.request_id
            );
        }
        let settings = ClientSettings::from_environment()?;
        let path = format!("/_palisade/why/{}", self.request_id);
        let reply = client::get(&settings.endpoint, &path, Some(&settings))?;
        if reply.status != 200 {
            let told = &reply.body["error"]["message"];
            bail!("{}", told.as_str().unwrap_or("the server gave no reason"));
        }
        let answer = Answer::deserialize(&reply.body).context("the server's answer is of another version")?;
        output.show(&reply.body, || answer.decisions.iter().map(human).collect());
        Ok(ExitCode::SUCCESS)
    }
}

/// One decision as text, for a terminal.
fn human(decision: &Decision) -> String {
    let mut out = String::new();
    let verdict = if decision.allowed { "ALLOWED" } else { "DENIED " };
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "{verdict}  {} on {}", decision.action, decision.resource);
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

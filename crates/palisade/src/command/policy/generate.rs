//! `palisade policy generate`: least privilege from the record.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::Deserialize;

use crate::client;
use crate::command::Output;
use crate::credentials::ClientSettings;

#[derive(Args)]
pub(crate) struct Generate {
    /// The user or role of your account, by its ARN; of a role, all its sessions count.
    #[arg(long, value_name = "ARN")]
    principal: String,
    /// From when: a time like 2026-01-31T12:00:00Z, or how long ago: 90d, 12h, 30m.
    #[arg(long, value_name = "TIME")]
    since: String,
    /// Until when, in the same form; now, if it is left out.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Name several resources of one kind by one pattern, as in `key/*`.
    #[arg(long)]
    generalize: bool,
}

/// What the server answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    policy: serde_json::Value,
    since: String,
    until: String,
    records: u64,
    replayed: u64,
    newly_denied: Vec<Done>,
    denied_anyway: Vec<Done>,
    need_no_identity_policy: Vec<Done>,
    notes: Vec<String>,
}

/// One thing that was done.
#[derive(Deserialize)]
struct Done {
    action: String,
    resource: String,
    times: u64,
    #[serde(default)]
    because: String,
}

impl Generate {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        let question = serde_json::json!({
            "principal": self.principal,
            "since": self.since,
            "until": self.until,
            "generalize": self.generalize,
        });
        let settings = ClientSettings::from_environment()?;
        let reply = client::post(
            &settings.endpoint,
            "/_palisade/generate",
            &question,
            Some(&settings),
        )?;
        if reply.status != 200 {
            let told = &reply.body["error"]["message"];
            bail!("{}", told.as_str().unwrap_or("the server gave no reason"));
        }
        let answer = Answer::deserialize(&reply.body).context("the server's answer is of another version")?;
        let nothing = answer.policy.is_null() && answer.need_no_identity_policy.is_empty();
        output.show(&reply.body, || {
            if answer.policy.is_null() {
                String::new()
            } else {
                format!("{:#}\n", answer.policy)
            }
        });
        output.progress(told(&answer).trim_end());
        Ok(if nothing || !answer.newly_denied.is_empty() {
            ExitCode::from(1)
        } else {
            ExitCode::SUCCESS
        })
    }
}

/// What was found, for people.
fn told(answer: &Answer) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        out,
        "calls between {} and {}: {}; different things that need the policy, each replayed under it: {}",
        answer.since, answer.until, answer.records, answer.replayed
    );
    let proof = match (answer.replayed, answer.newly_denied.len()) {
        (0, _) => "no policy is needed",
        (_, 0) => "nothing would be newly denied",
        _ => "newly denied under this policy:",
    };
    let _ = writeln!(out, "{proof}");
    list(&mut out, &answer.newly_denied);
    if !answer.denied_anyway.is_empty() {
        let _ = writeln!(out, "denied by now whatever the policy, by something else:");
        list(&mut out, &answer.denied_anyway);
    }
    if !answer.need_no_identity_policy.is_empty() {
        let _ = writeln!(
            out,
            "left out, because policies of the resources or grants allow it by themselves:"
        );
        list(&mut out, &answer.need_no_identity_policy);
    }
    for note in &answer.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

fn list(out: &mut String, done: &[Done]) {
    for Done {
        action,
        resource,
        times,
        because,
    } in done
    {
        let because = if because.is_empty() {
            String::new()
        } else {
            format!(": {because}")
        };
        let _ = writeln!(out, "  {action} on {resource}, {times} times{because}");
    }
}

//! `palisade events`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::Value as Json;

use super::Output;
use crate::client;
use crate::credentials::ClientSettings;

pub(super) const EXAMPLES: &str = "Example: palisade events
Example: palisade events --after \"$(cat place)\" --limit 50 --json";

/// Events in one answer of the server. Its own bound.
const PAGE: usize = 1_000;

/// Asks for events until there are no more.
#[derive(Args)]
pub(crate) struct Events {
    /// Only what came after this place: the `next` of an earlier answer.
    #[arg(long, value_name = "PLACE")]
    after: Option<String>,
    /// How many at most.
    #[arg(long, value_name = "NUMBER", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

impl Events {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        let settings = ClientSettings::from_environment()?;
        let limit = usize::try_from(self.limit)?;
        let (mut events, mut place, mut more) = (Vec::new(), self.after, true);
        while more && events.len() < limit {
            let question = serde_json::json!({"after": place, "limit": PAGE.min(limit - events.len())});
            let reply = client::post(
                &settings.endpoint,
                "/_palisade/events",
                &question,
                Some(&settings),
            )?;
            let (Some(page), Some(next), 200) = (
                reply.body["events"].as_array(),
                reply.body["next"].as_str(),
                reply.status,
            ) else {
                let told = &reply.body["error"]["message"];
                bail!("{}", told.as_str().unwrap_or("the server gave no reason"));
            };
            events.extend(page.iter().cloned());
            place = Some(next.to_owned());
            more = reply.body["more"] == true;
        }
        let told = serde_json::json!({"events": events, "next": place, "more": more});
        output.show(&told, || human(&events, more));
        Ok(ExitCode::SUCCESS)
    }
}

/// A line for each event.
fn human(events: &[Json], more: bool) -> String {
    let text = |value: &Json| value.as_str().unwrap_or("?").to_owned();
    let mut lines: Vec<String> = events
        .iter()
        .map(|event| {
            format!(
                "{}  {:<38} {}  {}",
                text(&event["time"]),
                text(&event["detail-type"]),
                text(&event["resources"][0]),
                event["detail"]
            )
        })
        .collect();
    if lines.is_empty() {
        lines.push("no events in this account and region".to_owned());
    }
    if more {
        lines
            .push("there are more: raise --limit, or go on with --after and the `next` of --json".to_owned());
    }
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_a_line() {
        let event = serde_json::json!({
            "time": "2026-01-02T03:04:05Z", "detail-type": "KMS CMK Deletion",
            "resources": ["arn:aws:kms:us-east-1:111122223333:key/a"], "detail": {"key-id": "a"},
        });
        assert_eq!(
            human(&[event], true).lines().collect::<Vec<_>>(),
            [
                "2026-01-02T03:04:05Z  KMS CMK Deletion                       \
                 arn:aws:kms:us-east-1:111122223333:key/a  {\"key-id\":\"a\"}",
                "there are more: raise --limit, or go on with --after and the `next` of --json"
            ]
        );
        assert_eq!(human(&[], false), "no events in this account and region\n");
    }
}

//! `palisade usage`: what an account asked of a service and held there, and
//! what that would have cost at AWS.
//!
//! The server tells what it saw; prices are a file that anyone may edit
//! (`docs/kms-prices.toml` is the one that is built in). A figure is an
//! estimate: calls that failed are told and not priced, and the free calls of a
//! month are shared out by the length of the time asked for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use ground::AccountId;
use serde::Deserialize;

use super::Output;
use crate::client;
use crate::credentials::ClientSettings;
use crate::files::read_text;

/// The prices that hold unless others are given.
const PRICES: &str = include_str!("../../../../docs/kms-prices.toml");

/// Tells what was used, and what AWS would have asked for it.
#[derive(Args)]
pub(crate) struct Usage {
    #[command(subcommand)]
    service: Service,
}

#[derive(Subcommand)]
enum Service {
    /// Keys by the hour and calls by principal, with AWS's prices.
    #[command(after_help = "Example: palisade usage kms --since 30d
Example: palisade usage kms --since 2026-10-01T00:00:00Z --until 2026-11-01T00:00:00Z --prices my-prices.toml --json")]
    Kms(Kms),
}

#[derive(Args)]
struct Kms {
    /// From when: a time like 2026-01-31T12:00:00Z, or how long ago: 30d, 12h.
    #[arg(long, value_name = "TIME", default_value = "30d")]
    since: String,
    /// Until when, in the same form; now, if it is left out.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Whose usage; your own account's, if it is left out. Only it may be asked for.
    #[arg(long, value_name = "ID", value_parser = AccountId::parse)]
    account: Option<AccountId>,
    /// Other prices than those built in, in the form of docs/kms-prices.toml.
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
}

/// A table of prices.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prices {
    currency: String,
    hours_per_month: f64,
    free_calls_per_month: f64,
    /// For a unit and month.
    held: BTreeMap<String, f64>,
    calls: BTreeMap<String, CallPrice>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallPrice {
    per_10000: f64,
    #[serde(default)]
    free: bool,
}

/// What the server answers.
#[derive(Debug, Deserialize)]
struct Answer {
    account: String,
    since: String,
    until: String,
    hours: f64,
    calls: Vec<Calls>,
    held: Vec<Held>,
    notes: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Calls {
    class: String,
    region: String,
    operation: String,
    principal: String,
    via: Option<String>,
    calls: u64,
    refused: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Held {
    region: String,
    class: String,
    count: u64,
    unit_hours: f64,
}

/// One line of the bill.
#[derive(Debug, PartialEq)]
struct Item {
    class: String,
    /// Calls, or unit-months.
    quantity: f64,
    cost: f64,
}

/// What it would have cost.
#[derive(Debug)]
struct Bill {
    calls: Vec<Item>,
    held: Vec<Item>,
    /// Calls that are free by the month's allowance.
    free_calls: f64,
    total: f64,
    /// Classes that the table has no price of.
    unpriced: Vec<String>,
}

impl Usage {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        match self.service {
            Service::Kms(kms) => kms.run(output),
        }
    }
}

impl Kms {
    fn run(self, output: Output) -> Result<ExitCode> {
        let prices = Prices::read(self.prices.as_deref())?;
        let question = serde_json::json!({
            "service": "kms",
            "since": self.since,
            "until": self.until,
            "account": self.account.map(|account| account.to_string()),
        });
        let settings = ClientSettings::from_environment()?;
        let reply = client::post(&settings.endpoint, "/_palisade/usage", &question, Some(&settings))?;
        if reply.status != 200 {
            let told = &reply.body["error"]["message"];
            bail!("{}", told.as_str().unwrap_or("the server gave no reason"));
        }
        let answer = Answer::deserialize(&reply.body).context("the server's answer is of another version")?;
        let bill = bill(&answer, &prices);
        let mut told = reply.body.clone();
        told["cost"] = serde_json::json!({
            "currency": prices.currency,
            "total": bill.total,
            "freeCalls": bill.free_calls,
            "calls": bill.calls.iter().map(Item::json).collect::<Vec<_>>(),
            "held": bill.held.iter().map(Item::json).collect::<Vec<_>>(),
            "unpriced": bill.unpriced,
        });
        output.show(&told, || human(&answer, &bill, &prices));
        Ok(ExitCode::SUCCESS)
    }
}

impl Prices {
    fn read(path: Option<&Path>) -> Result<Prices> {
        let (text, name) = match path {
            Some(path) => (read_text(path)?, path.display().to_string()),
            None => (PRICES.to_owned(), "the prices built in".to_owned()),
        };
        let prices: Prices =
            toml::from_str(&text).with_context(|| format!("{name} is no table of prices"))?;
        let all = prices.calls.values().map(|price| price.per_10000);
        let mut all = all
            .chain(prices.held.values().copied())
            .chain([prices.free_calls_per_month]);
        if !all.all(|price| price.is_finite() && price >= 0.0)
            || !prices.hours_per_month.is_finite()
            || prices.hours_per_month <= 0.0
        {
            bail!("{name}: prices are numbers, not below zero, and a month has hours");
        }
        Ok(prices)
    }
}

impl Item {
    fn json(&self) -> serde_json::Value {
        serde_json::json!({"class": self.class, "quantity": self.quantity, "cost": self.cost})
    }
}

fn bill(answer: &Answer, prices: &Prices) -> Bill {
    let mut unpriced = Vec::new();
    let mut made: BTreeMap<&str, u64> = BTreeMap::new();
    for calls in &answer.calls {
        *made.entry(&calls.class).or_default() += calls.calls;
    }
    let allowance = prices.free_calls_per_month * answer.hours / prices.hours_per_month;
    let (mut left, mut free_calls) = (allowance, 0.0);
    let mut calls = Vec::new();
    for (class, count) in made {
        let quantity = as_float(count);
        let Some(price) = prices.calls.get(class) else {
            unpriced.push(class.to_owned());
            continue;
        };
        let free = if price.free { quantity.min(left) } else { 0.0 };
        left -= free;
        free_calls += free;
        calls.push(Item {
            class: class.to_owned(),
            quantity,
            cost: (quantity - free) / 10_000.0 * price.per_10000,
        });
    }
    let mut hours: BTreeMap<&str, f64> = BTreeMap::new();
    for held in &answer.held {
        *hours.entry(&held.class).or_default() += held.unit_hours;
    }
    let mut held = Vec::new();
    for (class, hours) in hours {
        let quantity = hours / prices.hours_per_month;
        match prices.held.get(class) {
            Some(price) => held.push(Item {
                class: class.to_owned(),
                quantity,
                cost: quantity * price,
            }),
            None => unpriced.push(class.to_owned()),
        }
    }
    let total = calls.iter().chain(&held).map(|item| item.cost).sum();
    Bill {
        calls,
        held,
        free_calls,
        total,
        unpriced,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a bill of 2^53 calls may be off by one"
)]
fn as_float(count: u64) -> f64 {
    count as f64
}

fn human(answer: &Answer, bill: &Bill, prices: &Prices) -> String {
    let mut out = String::new();
    let currency = &prices.currency;
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        out,
        "KMS of account {} between {} and {}\n",
        answer.account, answer.since, answer.until
    );
    let _ = writeln!(out, "{:<24} {:>8} {:>14}", "held", "things", "unit-hours");
    for held in &answer.held {
        let name = format!("{} {}", held.region, held.class);
        let _ = writeln!(out, "{name:<24} {:>8} {:>14.1}", held.count, held.unit_hours);
    }
    let _ = writeln!(
        out,
        "\n{:>10} {:>8}  {:<20} {:<34} principal",
        "calls", "refused", "class", "operation"
    );
    for calls in &answer.calls {
        let via = calls
            .via
            .as_ref()
            .map_or_else(String::new, |via| format!(" through {via}"));
        let _ = writeln!(
            out,
            "{:>10} {:>8}  {:<20} {:<34} {} in {}{via}",
            calls.calls, calls.refused, calls.class, calls.operation, calls.principal, calls.region
        );
    }
    let _ = writeln!(
        out,
        "\n{:<24} {:>14} {:>14}",
        "at AWS's prices", "quantity", currency
    );
    for item in &bill.held {
        let name = format!("{} (months)", item.class);
        let _ = writeln!(out, "{name:<24} {:>14.3} {:>14.4}", item.quantity, item.cost);
    }
    for item in &bill.calls {
        let name = format!("{} (calls)", item.class);
        let _ = writeln!(out, "{name:<24} {:>14.0} {:>14.4}", item.quantity, item.cost);
    }
    let _ = writeln!(out, "{:<24} {:>14} {:>14.4}", "together", "", bill.total);
    let _ = writeln!(
        out,
        "\nnote: {:.0} calls are free by the allowance of {:.0} a month, shared out by the time asked for",
        bill.free_calls, prices.free_calls_per_month
    );
    for class in &bill.unpriced {
        let _ = writeln!(out, "note: the table has no price of {class}");
    }
    for note in &answer.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(hours: f64, calls: &[(&str, u64)], held: &[(&str, f64)]) -> Answer {
        Answer {
            account: "111122223333".into(),
            since: "a".into(),
            until: "b".into(),
            hours,
            calls: calls
                .iter()
                .map(|(class, calls)| Calls {
                    class: (*class).into(),
                    region: "us-east-1".into(),
                    operation: "Encrypt".into(),
                    principal: "root".into(),
                    via: None,
                    calls: *calls,
                    refused: 1_000_000,
                })
                .collect(),
            held: held
                .iter()
                .map(|(class, unit_hours)| Held {
                    region: "us-east-1".into(),
                    class: (*class).into(),
                    count: 1,
                    unit_hours: *unit_hours,
                })
                .collect(),
            notes: Vec::new(),
        }
    }

    fn about(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-9
    }

    #[test]
    fn a_month_costs_what_the_table_says() {
        let prices = Prices::read(None).unwrap();
        let used = answer(
            730.0,
            &[("requests", 120_000), ("pair-rsa", 10), ("asymmetric", 20_000)],
            &[("key", 730.0 * 3.0), ("aws-managed-key", 730.0)],
        );
        let bill = bill(&used, &prices);
        // 100,000 beyond the free ones; pairs and asymmetric calls have none.
        assert!(about(bill.free_calls, 20_000.0));
        assert!(about(bill.total, 0.30 + 0.012 + 0.30 + 3.0), "{bill:?}");
        assert!(bill.unpriced.is_empty());
    }

    #[test]
    fn free_calls_are_shared_out_and_never_more_than_were_made() {
        let prices = Prices::read(None).unwrap();
        let half = bill(&answer(365.0, &[("requests", 30_000)], &[]), &prices);
        assert!(about(half.free_calls, 10_000.0) && about(half.total, 0.06));
        let few = bill(&answer(730.0, &[("requests", 5)], &[]), &prices);
        assert!(about(few.free_calls, 5.0) && about(few.total, 0.0));
    }

    #[test]
    fn what_has_no_price_is_said() {
        let prices = Prices::read(None).unwrap();
        let bill = bill(&answer(1.0, &[("telepathy", 1)], &[("castle", 1.0)]), &prices);
        assert_eq!(bill.unpriced, ["telepathy", "castle"]);
    }

    #[test]
    fn a_table_that_is_none_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("prices.toml");
        for (from, to) in [
            ("per_10000 = 0.03", "per_10000 = -1"),
            ("free = true", "gratis = true"),
            ("730", "0"),
        ] {
            #[expect(clippy::disallowed_methods, reason = "the test writes its own file")]
            std::fs::write(&path, PRICES.replace(from, to)).unwrap();
            assert!(Prices::read(Some(&path)).is_err(), "{to}");
        }
    }
}

//! The truth tables of evaluation, kept as text in `tests/cases`.

use policy::{Decision, PolicyType, decide, explain};

use crate::scenario::{BUCKET, KEY, ROLE, Scenario, Setting};

/// Plays every line of a table in `setting`.
fn check(setting: Setting, table: &str) {
    let lines: Vec<&str> = table
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .collect();
    let header = cells(lines[0]);
    let mut failures = Vec::new();
    for line in &lines[1..] {
        let values = cells(line);
        assert_eq!(values.len(), header.len(), "{line}");
        let columns: Vec<_> = header.iter().copied().zip(values.iter().copied()).collect();
        let expected = values.last().unwrap();
        let scenario = Scenario::new(setting, &columns);
        let (decided, explained) = scenario
            .with(|request, policies| (outcome(&decide(request, policies)), explain(request, policies)));
        if decided != *expected {
            failures.push(format!("{line}\n    decided: {decided}\n{explained}"));
        }
        assert_eq!(explained.allowed, decided == "ALLOW", "{line}");
    }
    assert!(
        failures.is_empty(),
        "{} of {} lines:\n{}",
        failures.len(),
        lines.len() - 1,
        failures.join("\n")
    );
}

fn cells(line: &str) -> Vec<&str> {
    line.split('|').map(str::trim).collect()
}

/// `ALLOW`, or the type of policy that is named for the refusal, with `!` for an explicit deny.
pub(crate) fn outcome(decision: &Decision<'_>) -> String {
    let denial = match decision {
        Decision::Allow(_) => return "ALLOW".to_owned(),
        Decision::Deny(denial) => denial,
    };
    let name = match denial.policy_type() {
        PolicyType::Identity => "identity",
        PolicyType::Boundary => "boundary",
        PolicyType::Session => "session",
        PolicyType::Resource => "resource",
        PolicyType::RoleTrust => "trust",
        PolicyType::Endpoint => "endpoint",
        PolicyType::ServiceControl => "scp",
        PolicyType::ResourceControl => "rcp",
    };
    format!("{name}{}", if denial.is_explicit() { "!" } else { "" })
}

#[test]
fn same_account() {
    check(BUCKET, include_str!("../cases/same_account.txt"));
}

#[test]
fn cross_account() {
    check(BUCKET.foreign(), include_str!("../cases/cross_account.txt"));
}

#[test]
fn control_policies() {
    check(BUCKET, include_str!("../cases/control_policies.txt"));
}

#[test]
fn control_policies_across_accounts() {
    check(
        BUCKET.foreign(),
        include_str!("../cases/control_policies_across_accounts.txt"),
    );
}

#[test]
fn endpoint() {
    check(BUCKET, include_str!("../cases/endpoint.txt"));
}

#[test]
fn key_policy() {
    check(KEY, include_str!("../cases/key_policy.txt"));
}

#[test]
fn key_policy_across_accounts() {
    check(
        KEY.foreign(),
        include_str!("../cases/key_policy_across_accounts.txt"),
    );
}

#[test]
fn trust_policy() {
    check(ROLE, include_str!("../cases/trust_policy.txt"));
}

#[test]
fn trust_policy_across_accounts() {
    check(
        ROLE.foreign(),
        include_str!("../cases/trust_policy_across_accounts.txt"),
    );
}

/// IAM User Guide, "Root user": a deny in a bucket policy does not bind the owner's root user here.
#[test]
fn the_root_user_can_rescue_its_own_bucket() {
    let rescue = Setting {
        action: "s3:PutBucketPolicy",
        ..BUCKET
    };
    check(
        rescue,
        "caller | resource | expected\nroot | deny | ALLOW\nuser | deny | resource!",
    );
    check(
        rescue.foreign(),
        "caller | resource | expected\nroot | deny | resource!",
    );
}

/// Source: Organizations User Guide, "Resources and entities not restricted by RCPs".
#[test]
fn resource_control_does_not_keep_a_grant_from_being_retired() {
    let table = |outcome: &str| {
        format!(
            "caller | resource | I     | SCP              | RCP              | expected\n\
             user   | account  | allow | absent           | allow/deny/allow | {outcome}\n\
             user   | account  | allow | absent           | miss/miss/miss   | {}\n\
             user   | account  | allow | allow/deny/allow | absent           | scp!\n",
            outcome.trim_end_matches('!')
        )
    };
    let retire = Setting {
        action: "kms:RetireGrant",
        ..KEY
    };
    check(retire, &table("ALLOW"));
    check(retire.foreign(), &table("ALLOW"));
    check(KEY, &table("rcp!"));
}

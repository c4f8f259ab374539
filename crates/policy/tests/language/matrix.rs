//! Every kind of caller against every way a resource policy can name it, in one
//! account and across two, for a bucket, a key and a role: kept as text in
//! `tests/cases/matrix.txt`, so that a change of a decision is a diff to read.
//!
//! `PALISADE_WRITE_MATRIX=1 cargo test -p policy --test language matrix` writes
//! it anew.

use std::fmt::Write as _;

use policy::{ResourcePolicyKind, decide, explain};

use crate::scenario::{BUCKET, KEY, ROLE, Scenario, Setting};
use crate::tables::outcome;

const WRITTEN: &str = include_str!("../cases/matrix.txt");

const CALLERS: [&str; 8] = [
    "user",
    "role",
    "linked",
    "federated",
    "root",
    "service",
    "web",
    "anonymous",
];

/// What else is said of the caller, and the columns that say it.
const LIMITS: [(&str, &[(&str, &str)]); 7] = [
    ("I", &[("I", "allow")]),
    ("-", &[]),
    ("I, no B", &[("I", "allow"), ("B", "miss")]),
    ("I, no S", &[("I", "allow"), ("S", "miss")]),
    ("I, S", &[("I", "allow"), ("S", "allow")]),
    ("I, no SCP", &[("I", "allow"), ("SCP", "allow/miss/allow")]),
    ("I, RCP!", &[("I", "allow"), ("RCP", "allow/deny/allow")]),
];

/// The same for callers without an account, who have no policies of their own.
const OUTSIDE: [(&str, &[(&str, &str)]); 2] = [("-", &[]), ("RCP!", &[("RCP", "allow/deny/allow")])];

/// Whom the resource policy names.
const NAMED: [&str; 13] = [
    "absent",
    "nobody",
    "account",
    "user",
    "role",
    "session",
    "federated",
    "service",
    "web",
    "everyone",
    "not-other",
    "deny",
    "deny-not-user",
];

fn has_account(caller: &str) -> bool {
    !matches!(caller, "service" | "web" | "anonymous")
}

fn matrix() -> String {
    let mut out = String::from(
        "# Who may, by what the resource policy says (columns) and what the caller's own policies say (rows).\n\
         # I: its identity policy allows; no B, no S: its boundary, its session policy does not; S: its session\n\
         # policy allows; no SCP: a level of SCPs does not allow; RCP!: a level of RCPs denies; -: nothing.\n\
         # A refusal names the type of policy it is put down to, with ! for an explicit deny.\n\
         # not-other: NotPrincipal with Allow, another user left out; deny-not-user: NotPrincipal with Deny,\n\
         # the user and its account left out. Trust policies have no NotPrincipal.\n\
         # absent: the action concerns no resource with a policy (kms:ListKeys). Some rows are of callers that AWS\n\
         # does not make (a root user with a boundary, an anonymous grantee); they say what would be decided.\n",
    );
    for (name, setting) in [
        ("bucket, same account", BUCKET),
        ("bucket, across accounts", BUCKET.foreign()),
        ("key, same account", KEY),
        ("key, across accounts", KEY.foreign()),
        ("role to assume, same account", ROLE),
        ("role to assume, across accounts", ROLE.foreign()),
    ] {
        table(&mut out, name, setting);
    }
    out
}

fn table(out: &mut String, name: &str, setting: Setting) {
    let columns: Vec<(&str, &str)> = NAMED
        .iter()
        .filter(|named| !(setting.kind == ResourcePolicyKind::RoleTrust && named.contains("not-")))
        .map(|named| (*named, "no"))
        .chain((setting.kind == ResourcePolicyKind::KmsKey).then_some(("nobody", "yes")))
        .collect();
    let _ = write!(out, "\n## {name}\n\n{:<10}{:<11}", "caller", "own");
    for (named, grant) in &columns {
        let _ = write!(out, "{:<14}", if *grant == "yes" { "grant" } else { named });
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    for caller in CALLERS {
        let limits = if has_account(caller) {
            &LIMITS[..]
        } else {
            &OUTSIDE[..]
        };
        for (own, more) in limits {
            let _ = write!(out, "{caller:<10}{own:<11}");
            for (resource, grant) in &columns {
                let mut cells = vec![("caller", caller), ("resource", *resource), ("grant", *grant)];
                cells.extend(*more);
                let scenario = Scenario::new(setting, &cells);
                let (decided, explained) = scenario.with(|request, policies| {
                    (outcome(&decide(request, policies)), explain(request, policies))
                });
                assert_eq!(explained.allowed, decided == "ALLOW", "{cells:?}");
                let _ = write!(out, "{decided:<14}");
            }
            out.truncate(out.trim_end().len());
            out.push('\n');
        }
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the table is written anew when asked for"
)]
fn the_matrix_is_as_written() {
    let now = matrix();
    if std::env::var_os("PALISADE_WRITE_MATRIX").is_some() {
        std::fs::write(
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/matrix.txt"),
            &now,
        )
        .unwrap();
        return;
    }
    let changed: Vec<String> = WRITTEN
        .lines()
        .zip(now.lines())
        .filter(|(written, now)| written != now)
        .map(|(written, now)| format!("- {written}\n+ {now}"))
        .collect();
    assert!(
        changed.is_empty(),
        "decisions have changed:\n{}",
        changed.join("\n")
    );
    assert_eq!(WRITTEN.lines().count(), now.lines().count());
}

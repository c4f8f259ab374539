//! `palisade policy lint`: exit code 0 when there is nothing to tell, 1 with
//! what there is, 2 when the file cannot be read.

use serde_json::{Value, json};
use testkit::program::{Ended, Launch};

use crate::PALISADE;

const CLEAN: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:Encrypt",
 "Resource": "arn:aws:kms:*:111122223333:key/1"}}"#;
const BROAD: &str = "{\"Version\": \"2012-10-17\", \"Statement\": [\n {\"Sid\": \"Typing\", \"Effect\": \"Allow\", \
                     \"Action\": [\"kms:Encrpyt\", \"iam:PutUserPolicy\"], \"Resource\": \"*\"}]}";
const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
 "Principal": {"AWS": "444455556666"}}}"#;

fn lint(text: &str, more: &[&str]) -> Ended {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("policy.json");
    std::fs::write(&file, text).unwrap();
    let mut arguments = vec!["policy", "lint", file.to_str().unwrap()];
    arguments.extend(more);
    Launch::new(PALISADE, home.path()).run(&arguments)
}

fn codes(ended: &Ended) -> Vec<String> {
    let said: Value = serde_json::from_str(&ended.stdout).unwrap();
    let findings = said["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| finding["code"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_clean_policy_exits_with_zero() {
    let ended = lint(CLEAN, &[]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stdout);
    assert!(ended.stdout.contains("nothing to tell"), "{}", ended.stdout);
    assert_eq!(codes(&lint(CLEAN, &["--json"])), Vec::<String>::new());
}

#[test]
fn findings_are_told_with_their_place_and_exit_with_one() {
    let ended = lint(BROAD, &[]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
    assert!(
        ended
            .stdout
            .contains("policy.json:2:2: warning: \"kms:Encrpyt\" names no action of kms. [unknown-action]"),
        "{}",
        ended.stdout
    );
    let ended = lint(BROAD, &["--json"]);
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(codes(&ended), ["unknown-action", "escalation-by-policy"]);
    let said: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(said["findings"][1]["position"], json!({"line": 2, "column": 2}));
    assert_eq!(said["findings"][1]["severity"], "error");
}

#[test]
fn the_kind_and_the_account_decide_what_is_doubtful() {
    let refused = lint(TRUST, &["--json"]);
    assert_eq!(
        (refused.status.code(), codes(&refused)),
        (Some(1), vec!["malformed".to_owned()])
    );
    let foreign = lint(TRUST, &["--json", "--kind", "trust", "--account", "111122223333"]);
    assert_eq!(codes(&foreign), ["trusts-whole-account"]);
    let own = lint(TRUST, &["--json", "--kind", "trust", "--account", "444455556666"]);
    assert_eq!((own.status.code(), codes(&own)), (Some(0), Vec::new()));
}

#[test]
fn what_cannot_be_read_exits_with_two() {
    let home = tempfile::tempdir().unwrap();
    let missing = home.path().join("missing.json");
    let launch = Launch::new(PALISADE, home.path());
    let ended = launch.run(&["policy", "lint", missing.to_str().unwrap()]);
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stdout);
    assert!(ended.stderr.contains("cannot read"), "{}", ended.stderr);
    let ended = launch.run(&["policy", "lint", missing.to_str().unwrap(), "--kind", "bucket"]);
    assert_eq!(ended.status.code(), Some(2));
}

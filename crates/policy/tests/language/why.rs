//! Situations in which people ask why, kept in `tests/cases/why.txt`: what they
//! are told, to the letter, and that the changes they are told of do allow.

use std::fmt::Write as _;

use policy::{decide, explain};

use crate::written::Written;

const FILE: &str = include_str!("../cases/why.txt");

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the answers are written anew when asked for"
)]
fn whoever_asks_why_is_told_what_decided_and_what_would_allow_it() {
    let mut told = String::new();
    let mut situations = 0;
    for (number, case) in FILE.split("\n== ").enumerate() {
        if number == 0 {
            told.push_str(case);
            continue;
        }
        situations += 1;
        let asked: Vec<&str> = case.lines().filter(|line| !line.starts_with('|')).collect();
        write!(told, "\n== {}", asked.join("\n").trim_end()).unwrap();
        let question = case.lines().find_map(|line| line.strip_prefix("ask:"));
        told.push_str(&answer(case, question.expect(case)));
        told.push('\n');
    }
    assert!(situations >= 15, "the file was read");
    if std::env::var_os("PALISADE_WRITE_WHY").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/why.txt"), told).unwrap();
        return;
    }
    for (written, now) in FILE.split("\n== ").zip(told.split("\n== ")) {
        assert!(written.trim_end() == now.trim_end(), "told now:\n{now}");
    }
}

/// What is told of a case, once its changes are seen to be enough and none too many.
fn answer(case: &str, question: &str) -> String {
    let written = Written::read(case, &["ask:", "|"]);
    let trace = written.ask(question, explain);
    assert!(!trace.allowed, "{question} is allowed");
    assert!(!trace.changes.is_empty(), "{trace}");
    for left_out in 0..=trace.changes.len() {
        let mut changed = written.clone();
        // A statement that is taken away moves those behind it, so the last goes first.
        for (number, change) in trace.changes.iter().enumerate().rev() {
            if number != left_out {
                changed.change(change);
            }
        }
        let allowed = changed.ask(question, |request, policies| decide(request, policies).is_allow());
        assert_eq!(
            allowed,
            left_out == trace.changes.len(),
            "without change {left_out} of\n{trace}"
        );
    }
    let message = trace.message.as_deref().expect("a refusal has its message");
    let mut told = format!("\n| {message}");
    for line in trace.to_string().lines() {
        write!(told, "\n|{}{line}", if line.is_empty() { "" } else { " " }).unwrap();
    }
    told
}

//! Golden conversations: what is asked, what is answered, what is recorded.
//!
//! A case is a file of steps:
//!
//! ```text
//! # A comment.
//! root> iam CreateAccessKey as=bob
//!   UserName=bob
//! 200
//!   <AccessKey>
//!   …
//! recorded CreateAccessKey arn:aws:iam::111122223333:user/bob
//!
//! advance 3600
//! ```
//!
//! `as=NAME` lets NAME sign with the credentials of the answer. Ids and secrets
//! are replaced by numbered names. `UPDATE_CASES=1` writes the files anew.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use regex::Regex;

use crate::world::World;

enum Line {
    /// A comment or an empty line, kept as it is.
    Kept(String),
    Advance(u64),
    Step(Step),
}

struct Step {
    who: String,
    service: String,
    action: String,
    remember: Option<String>,
    parameters: Vec<(String, String)>,
}

fn parse(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut in_answer = false;
    for line in text.lines() {
        if let Some((who, rest)) = line.split_once("> ").filter(|_| !line.starts_with([' ', '#'])) {
            let mut words = rest.split(' ');
            let mut word = || words.next().map(str::to_owned);
            let (service, action) = (word().unwrap(), word().unwrap());
            let remember = word().and_then(|word| word.strip_prefix("as=").map(str::to_owned));
            lines.push(Line::Step(Step {
                who: who.to_owned(),
                service,
                action,
                remember,
                parameters: Vec::new(),
            }));
            in_answer = false;
        } else if let Some(seconds) = line.strip_prefix("advance ") {
            lines.push(Line::Advance(seconds.parse().unwrap()));
        } else if let Some(parameter) = line.strip_prefix("  ") {
            if let (Some(Line::Step(step)), false) = (lines.last_mut(), in_answer) {
                let (name, value) = parameter.split_once('=').unwrap();
                step.parameters.push((name.to_owned(), value.to_owned()));
            }
        } else if line.is_empty() || line.starts_with('#') {
            lines.push(Line::Kept(line.to_owned()));
        } else {
            in_answer = true;
        }
    }
    lines
}

/// Runs the case `name` and holds it to its file.
pub(crate) async fn check(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(format!("{name}.txt"));
    #[expect(clippy::disallowed_methods, reason = "the test reads its case")]
    let wanted = std::fs::read_to_string(&path).unwrap();
    let mut world = World::new().await;
    let mut names = Names::default();
    let mut told: Vec<(String, Option<String>)> = Vec::new();
    for line in parse(&wanted) {
        match line {
            Line::Kept(line) => told.push((format!("{line}\n"), None)),
            Line::Advance(seconds) => {
                world.advance(seconds);
                told.push((format!("advance {seconds}\n"), None));
            }
            Line::Step(step) => {
                let real: Vec<(String, String)> = step
                    .parameters
                    .iter()
                    .map(|(name, value)| (name.clone(), names.real(value)))
                    .collect();
                let given: Vec<(&str, &str)> = real
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                let answer = world.call(&step.who, &step.service, &step.action, &given).await;
                if let Some(name) = &step.remember {
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    world.remember(name, &answer.text());
                }
                let text = tell(&step, answer.status, &answer.text(), &mut names);
                told.push((text, Some(answer.request_id())));
            }
        }
    }
    let records = world.records();
    let mut found = String::new();
    for (text, request_id) in told {
        found.push_str(&text);
        let Some(request_id) = request_id else { continue };
        match records
            .iter()
            .find(|record| record["requestID"] == request_id.as_str())
        {
            None => found.push_str("not recorded\n"),
            Some(record) => found.push_str(&names.named(&tell_record(record))),
        }
    }
    if std::env::var_os("UPDATE_CASES").is_some() {
        #[expect(clippy::disallowed_methods, reason = "the test writes its case when asked to")]
        std::fs::write(&path, &found).unwrap();
        return;
    }
    for (at, (found, wanted)) in found.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(found, wanted, "{name}.txt, line {}", at + 1);
    }
    assert_eq!(
        found.lines().count(),
        wanted.lines().count(),
        "{name}.txt has another length"
    );
}

fn tell(step: &Step, status: u16, body: &str, names: &mut Names) -> String {
    let mut out = format!("{}> {} {}", step.who, step.service, step.action);
    if let Some(name) = &step.remember {
        let _ = write!(out, " as={name}");
    }
    out.push('\n');
    for (name, value) in &step.parameters {
        let _ = writeln!(out, "  {name}={value}");
    }
    let _ = write!(out, "{status}");
    if status == 200 {
        out.push('\n');
        out.push_str(&names.learned(&result(body)));
    } else {
        let message = body
            .split_once("<Message>")
            .and_then(|(_, rest)| rest.split_once("</Message>"));
        let code = crate::world::leaf(body, "Code");
        let _ = writeln!(
            out,
            " {code}: {}",
            names.learned(message.map_or("", |(message, _)| message))
        );
    }
    out
}

/// What is inside the result element, a line for each element.
fn result(body: &str) -> String {
    let inner = body
        .split_once("Result>")
        .and_then(|(_, rest)| rest.rsplit_once("</"))
        .and_then(|(rest, _)| rest.split_once("Result>"))
        .map_or("", |(inner, _)| {
            inner.rsplit_once("</").map_or("", |(inner, _)| inner)
        });
    let mut out = String::new();
    let mut depth = 1;
    let mut rest = inner;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        let end = rest.find('>').unwrap_or(rest.len() - 1) + 1;
        let tag = &rest[..end];
        let after = &rest[end..];
        if tag.starts_with("</") {
            depth -= 1;
            let _ = writeln!(out, "{}{tag}", "  ".repeat(depth));
            rest = after;
        } else if tag.ends_with("/>") {
            let _ = writeln!(out, "{}{tag}", "  ".repeat(depth));
            rest = after;
        } else {
            let close = format!("</{}", &tag[1..]);
            let text_end = after.find('<').unwrap_or(after.len());
            if after[text_end..].starts_with(&close) {
                let _ = writeln!(out, "{}{tag}{}{close}", "  ".repeat(depth), &after[..text_end]);
                rest = &after[text_end + close.len()..];
            } else {
                let _ = writeln!(out, "{}{tag}", "  ".repeat(depth));
                depth += 1;
                rest = after;
            }
        }
    }
    out
}

fn tell_record(record: &serde_json::Value) -> String {
    let mut out = format!("recorded {}", record["eventName"].as_str().unwrap_or("?"));
    if let Some(code) = record["errorCode"].as_str() {
        let _ = write!(out, " {code}");
    }
    for touched in record["resources"].as_array().into_iter().flatten() {
        let _ = write!(out, " {}", touched["ARN"].as_str().unwrap_or("?"));
    }
    out.push('\n');
    out
}

/// Numbered names for what is random.
#[derive(Default)]
struct Names {
    named: HashMap<String, String>,
    counts: HashMap<String, usize>,
}

impl Names {
    /// `text` with every id in it named; new ones are given a name.
    fn learned(&mut self, text: &str) -> String {
        let ids = Regex::new(
            "(AIDA|AIPA|AROA|AGPA|ANPA|AKIA|APKA|ASIA|ASAML)[A-Z2-7]{16,17}|task/aws-service-role/[^/]+/[^/]+/[0-9a-f-]{36}",
        )
        .unwrap();
        for found in ids.captures_iter(text) {
            let prefix = found.get(1).map_or("TASK", |prefix| prefix.as_str()).to_owned();
            let id = found[0].to_owned();
            if !self.named.contains_key(&id) {
                let count = self.counts.entry(prefix.clone()).or_default();
                *count += 1;
                self.named.insert(id, format!("{prefix}-{count}"));
            }
        }
        let secrets =
            Regex::new("<(SecretAccessKey|SessionToken|Marker|Base32StringSeed|QRCodePNG)>[^<]*<").unwrap();
        self.named(&secrets.replace_all(text, "<$1>…<"))
    }

    fn named(&self, text: &str) -> String {
        self.named
            .iter()
            .fold(text.to_owned(), |text, (id, name)| text.replace(id, name))
    }

    /// The value that a case means: names stand for the ids they were given to.
    fn real(&self, text: &str) -> String {
        self.named.iter().fold(text.to_owned(), |text, (id, name)| {
            text.replace(&format!("{{{name}}}"), id)
        })
    }
}

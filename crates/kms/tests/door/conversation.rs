//! Golden conversations: what is asked, what is answered, what is recorded.
//!
//! A case is a file of steps:
//!
//! ```text
//! # A comment.
//! root> Encrypt {"KeyId": "{key-1}", "Plaintext": "aGVsbG8="}
//! 200
//!   CiphertextBlob: {blob-1}
//!   …
//! recorded arn:aws:kms:us-east-1:111122223333:key/{key-1} keyMaterialId={material-1}
//!
//! bob may kms:Encrypt
//! advance 3600
//! ```
//!
//! Key ids, material ids and what is random are replaced by numbered names,
//! which later steps may use. `UPDATE_CASES=1` writes the files anew.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::world::{Who, World, allow};

enum Line {
    /// Seconds by which the clock moves.
    Advance(u64),
    /// A comment or an empty line, kept as it is.
    Kept(String),
    /// The actions that identity policies allow from here on.
    May(Who, Vec<String>),
    /// A call: who, operation, body.
    Step(Who, String, String),
}

fn parse(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.is_empty() || line.starts_with('#') {
            lines.push(Line::Kept(line.to_owned()));
        } else if let Some(seconds) = line.strip_prefix("advance ") {
            lines.push(Line::Advance(seconds.parse().unwrap()));
        } else if let Some((who, actions)) = line.split_once(" may ") {
            lines.push(Line::May(
                named(who),
                actions.split(' ').map(str::to_owned).collect(),
            ));
        } else if let Some((who, call)) = line.split_once("> ").filter(|_| !line.starts_with(' ')) {
            let (operation, body) = call.split_once(' ').unwrap();
            lines.push(Line::Step(named(who), operation.to_owned(), body.to_owned()));
        }
    }
    lines
}

fn named(who: &str) -> Who {
    Who::ALL
        .into_iter()
        .find(|known| known.name() == who)
        .unwrap_or_else(|| panic!("who is {who}?"))
}

/// Runs the case `name` and holds it to its file.
pub(crate) async fn check(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(format!("{name}.txt"));
    #[expect(clippy::disallowed_methods, reason = "the test reads its case")]
    let wanted = std::fs::read_to_string(&path).unwrap();
    let world = World::new().await;
    let mut names = Names::default();
    let mut told: Vec<(String, Option<String>)> = Vec::new();
    for line in parse(&wanted) {
        match line {
            Line::Kept(line) => told.push((format!("{line}\n"), None)),
            Line::Advance(seconds) => {
                world.advance(seconds).await;
                told.push((format!("advance {seconds}\n"), None));
            }
            Line::May(who, actions) => {
                let statements: Vec<Value> = actions.iter().map(|action| allow(action)).collect();
                world.people.grant(who, &statements);
                told.push((format!("{} may {}\n", who.name(), actions.join(" ")), None));
            }
            Line::Step(who, operation, body) => {
                let real = serde_json::from_str(&names.real(&body))
                    .unwrap_or_else(|error| panic!("{body}: {error}"));
                let answer = world.call(who, &operation, real).await;
                let mut text = format!("{}> {operation} {body}\n{}", who.name(), answer.status);
                let json = answer.json();
                if answer.status == 200 {
                    text.push('\n');
                    names.learn(&json);
                    show(&mut text, &json, 1, &names);
                } else {
                    let message = json["message"].as_str().or(json["Message"].as_str());
                    names.learn_arns(message.unwrap_or_default(), &body);
                    let _ = writeln!(
                        text,
                        " {}: {}",
                        answer.code(),
                        message.map_or("(none)".to_owned(), |it| names.named(it))
                    );
                }
                told.push((text, Some(answer.request_id())));
            }
        }
    }
    let records = world.records().await;
    let mut found = String::new();
    for (text, request_id) in told {
        found.push_str(&text);
        let Some(request_id) = request_id else { continue };
        match records
            .iter()
            .find(|record| record["requestID"] == request_id.as_str())
        {
            None => found.push_str("not recorded\n"),
            Some(record) => found.push_str(&tell_record(record, &names)),
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

/// An answer, a line for each member, in the order of their names.
fn show(out: &mut String, value: &Value, depth: usize, names: &Names) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.as_str());
            for (name, value) in members {
                let _ = write!(out, "{indent}{name}:");
                below(out, value, depth, names);
            }
        }
        Value::Array(items) => {
            for item in items {
                let _ = write!(out, "{indent}-");
                below(out, item, depth, names);
            }
        }
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let _ = writeln!(out, "{indent}{value}");
        }
    }
}

fn below(out: &mut String, value: &Value, depth: usize, names: &Names) {
    match value {
        Value::Object(_) | Value::Array(_) => {
            out.push('\n');
            show(out, value, depth + 1, names);
        }
        Value::String(text) => {
            let _ = writeln!(out, " {}", names.named(text).replace('\n', "\\n"));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            let _ = writeln!(out, " {value}");
        }
    }
}

fn tell_record(record: &Value, names: &Names) -> String {
    let mut out = "recorded".to_owned();
    if let Some(code) = record["errorCode"].as_str() {
        let _ = write!(out, " {code}");
    }
    for touched in record["resources"].as_array().into_iter().flatten() {
        let _ = write!(out, " {}", touched["ARN"].as_str().unwrap_or("?"));
    }
    for (name, value) in record["additionalEventData"].as_object().into_iter().flatten() {
        if let Some(material) = value.as_str().filter(|_| name.ends_with("aterialId")) {
            let _ = write!(out, " {name}={material}");
        }
    }
    out.push('\n');
    names.named(&out)
}

/// Numbered names for what is random.
#[derive(Default)]
struct Names {
    /// What is random, its name, and the kind of it, in the order of learning.
    known: Vec<(String, String, &'static str)>,
}

/// Members whose values are random, or carry what is, if they are this long.
const RANDOM_MEMBERS: [&str; 8] = [
    "CiphertextBlob",
    "Mac",
    "NextMarker",
    "Plaintext",
    "PrivateKeyCiphertextBlob",
    "PrivateKeyPlaintext",
    "PublicKey",
    "Signature",
];
const RANDOM_CHARACTERS_MIN: usize = 20;

impl Names {
    /// Gives a name to every id and random value in an answer that has none.
    fn learn(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_by_key(|(name, _)| name.as_str());
                for (name, value) in members {
                    match (name.as_str(), value) {
                        ("KeyId" | "TargetKeyId", Value::String(text)) => {
                            self.add(text, "key", kms::model::KeyId::parse(text).is_some());
                        }
                        (_, Value::String(text)) if name.ends_with("KeyMaterialId") => {
                            self.add(text, "material", true);
                        }
                        (member, Value::String(text)) if RANDOM_MEMBERS.contains(&member) => {
                            self.add(text, "blob", text.len() >= RANDOM_CHARACTERS_MIN);
                        }
                        _ => self.learn(value),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Gives a name to every key in a message that the request did not name.
    fn learn_arns(&mut self, message: &str, body: &str) {
        for after in message.split(":key/").skip(1) {
            let id = after.get(..36).unwrap_or_default();
            self.add(
                id,
                "key",
                kms::model::KeyId::parse(id).is_some() && !body.contains(id),
            );
        }
    }

    fn add(&mut self, text: &str, kind: &'static str, is_random: bool) {
        if is_random && self.known.iter().all(|(known, _, _)| known != text) {
            let count = self.known.iter().filter(|(_, _, other)| *other == kind).count() + 1;
            self.known
                .push((text.to_owned(), format!("{{{kind}-{count}}}"), kind));
        }
    }

    fn named(&self, text: &str) -> String {
        self.known
            .iter()
            .fold(text.to_owned(), |text, (real, name, _)| text.replace(real, name))
    }

    /// What a case means by its names.
    fn real(&self, text: &str) -> String {
        self.known
            .iter()
            .fold(text.to_owned(), |text, (real, name, _)| text.replace(name, real))
    }
}

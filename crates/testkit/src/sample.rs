//! Inputs made from the static shapes: a small valid one for any operation,
//! and every way to break it by one constraint.
//!
//! An operation is in every sweep on the day it is registered, because nobody
//! has to write its input down. An input is JSON whatever the protocol;
//! [`encode`] makes the request of it.

#![expect(
    clippy::panic,
    reason = "a shape that no sample fits needs one here, and its test says so"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use shape::{Kind, OperationShape, Path, Protocol, Shape, StructureShape, Violations, check};

/// Structures inside one another that a sample goes into.
const DEPTH_MAX: usize = 6;

/// Values longer than this are not made: they would meet the door's body limit first.
const LENGTH_MAX: usize = 200_000;

/// Words of which one satisfies almost every pattern of the models; the first that does is taken.
const WORDS: &[&str] = &[
    "sample",
    "SAMPLE",
    "123456",
    "123456789012",
    "/",
    "/sample/",
    "v1",
    "us-east-1",
    "arn:aws:iam::123456789012:role/sample",
    "https://example.com/",
    "o-sample12345",
    "o-sample12345/r-sample",
    "p-sample12345",
    "cluster-aaaaaaaaaaa",
    "sample.example.com",
    "sample@example.com",
    "car-sample12345",
    "h-sample12345",
    "r-sample",
    "ou-sample-sample123",
    "https://sample",
    "/kms/xks/v1",
    "com.amazonaws.vpce.us-east-1.vpce-svc-0123",
];

/// Letters of which one can be repeated inside almost every pattern.
const LETTERS: &[char] = &['a', 'A', '1', '/', ' '];

/// A text that breaks almost every pattern.
const OUTSIDE: &[&str] = &["\u{1}\u{2}\u{1}", "§ §", "\u{4e2d}\u{6587}\u{4e2d}", ""];

/// An input with the members `given` and whatever else is required.
///
/// # Panics
///
/// If no sample fits a required member's shape.
pub fn minimal(shape: &'static StructureShape, given: &Map<String, Value>) -> Value {
    structure(shape, given, 0)
}

fn structure(shape: &'static StructureShape, given: &Map<String, Value>, depth: usize) -> Value {
    let mut made = Map::new();
    for (at, member) in shape.members.iter().enumerate() {
        if let Some(value) = given.get(member.name) {
            made.insert(member.name.to_owned(), value.clone());
        } else if member.required || (shape.union && at == 0) {
            made.insert(member.name.to_owned(), value(member.shape, depth));
        }
    }
    Value::Object(made)
}

/// A small valid value.
///
/// # Panics
///
/// If no sample fits the shape.
pub fn value(shape: &'static Shape, depth: usize) -> Value {
    assert!(depth < DEPTH_MAX, "{} contains itself", shape.name);
    match &shape.kind {
        Kind::Boolean => json!(true),
        Kind::Integer { min, max } | Kind::Long { min, max } => json!(min.or(*max).unwrap_or(1)),
        Kind::Float | Kind::Double => json!(1.5),
        Kind::String { min, max, values, .. } => match values.first() {
            Some(first) => json!(first),
            None => json!(text(shape, min.unwrap_or(0), max.unwrap_or(usize::MAX))),
        },
        Kind::Blob { min, .. } => blob(min.unwrap_or(1).max(1)),
        Kind::Timestamp { .. } => json!(1_767_323_045),
        Kind::List { item, min, .. } => {
            let items = (0..min.unwrap_or(1).max(1)).map(|_| value(item, depth + 1));
            Value::Array(items.collect())
        }
        Kind::Map { key, value: item, .. } => {
            let mut entries = Map::new();
            let name = value(key, depth + 1);
            entries.insert(
                name.as_str().unwrap_or_default().to_owned(),
                value(item, depth + 1),
            );
            Value::Object(entries)
        }
        Kind::Structure(inner) => structure(inner, &Map::new(), depth + 1),
        Kind::Document => json!({}),
    }
}

fn text(shape: &'static Shape, min: usize, max: usize) -> String {
    WORDS
        .iter()
        .filter(|word| word.len() <= max)
        .find_map(|word| stretched(shape, word, min))
        .unwrap_or_else(|| {
            panic!(
                "no sample fits {}: add a word to testkit::sample::WORDS",
                shape.name
            )
        })
}

/// `word` made at least `length` long without leaving the shape's pattern.
fn stretched(shape: &'static Shape, word: &str, length: usize) -> Option<String> {
    let missing = length.saturating_sub(word.chars().count());
    LETTERS
        .iter()
        .flat_map(|letter| {
            let more: String = std::iter::repeat_n(*letter, missing).collect();
            [format!("{word}{more}"), format!("{more}{word}")]
        })
        .find(|text| holds_but_for_length(shape, text))
}

/// Whether pattern and set hold; lengths are the caller's business.
fn holds_but_for_length(shape: &Shape, text: &str) -> bool {
    let mut violations = Violations::default();
    check::value(shape, shape::Value::String(text), &Path::ROOT, &mut violations);
    !violations.message().contains("pattern") && !violations.message().contains("enum value set")
}

fn blob(bytes: usize) -> Value {
    json!(BASE64.encode(vec![b'b'; bytes]))
}

/// A way to break an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A required member is not there.
    Missing,
    /// A value is of another type than the model's.
    WrongType,
    /// A value is one past a limit, outside its pattern or not of its set.
    Beyond,
    /// Not broken: a value is exactly at a limit.
    Edge,
}

/// A changed input and what was changed.
#[derive(Debug, Clone)]
pub struct Mutation {
    /// Where and how, for the test's message.
    pub what: String,
    /// The top-level member it is in.
    pub member: &'static str,
    /// How it is broken.
    pub broken: Broken,
    /// The whole input.
    pub input: Value,
}

/// Every way to break `input` by one value.
pub fn mutations(operation: &'static OperationShape, input: &Value) -> Vec<Mutation> {
    let mut all = Vec::new();
    for member in operation.input.members {
        let present = input.get(member.name);
        let with = |replaced: Option<Value>| {
            let mut input = input.clone();
            if let Some(members) = input.as_object_mut() {
                members.remove(member.name);
                if let Some(value) = replaced {
                    members.insert(member.name.to_owned(), value);
                }
            }
            input
        };
        if member.required {
            all.push(Mutation {
                what: format!("without {}", member.name),
                member: member.name,
                broken: Broken::Missing,
                input: with(None),
            });
        }
        for (what, broken, value) in changes(operation.service.protocol, member.shape, present, 0) {
            all.push(Mutation {
                what: format!("{}{what}", member.name),
                member: member.name,
                broken,
                input: with(Some(value)),
            });
        }
    }
    all
}

type Change = (String, Broken, Value);

/// Every way to break one value; `present` is the valid one, if there is one.
fn changes(protocol: Protocol, shape: &'static Shape, present: Option<&Value>, depth: usize) -> Vec<Change> {
    let mut all = wrong_types(protocol, shape);
    match &shape.kind {
        Kind::Integer { min, max } | Kind::Long { min, max } => {
            for (bound, past) in [(min, -1), (max, 1)] {
                if let Some(bound) = bound {
                    let past = bound.saturating_add(past);
                    let in_type = !matches!(shape.kind, Kind::Integer { .. }) || i32::try_from(past).is_ok();
                    if past != *bound && in_type {
                        all.push((format!(" = {past}"), Broken::Beyond, json!(past)));
                    }
                    all.push((format!(" = {bound}"), Broken::Edge, json!(bound)));
                }
            }
        }
        Kind::String { values, .. } if !values.is_empty() => {
            let what = " = no such value".to_owned();
            all.push((what, Broken::Beyond, json!("NO_SUCH_VALUE")));
        }
        Kind::String {
            min, max, pattern, ..
        } => {
            let word = present.and_then(Value::as_str).map_or_else(
                || text(shape, min.unwrap_or(0), max.unwrap_or(usize::MAX)),
                str::to_owned,
            );
            if let Some(max) = max
                && *max < LENGTH_MAX
            {
                for (length, broken) in [(max + 1, Broken::Beyond), (*max, Broken::Edge)] {
                    let long = stretched(shape, &word, length);
                    all.extend(long.map(|long| (format!(" of {length} characters"), broken, json!(long))));
                }
            }
            if let Some(min) = min
                && *min > 0
            {
                let short: String = word.chars().take(min - 1).collect();
                let what = format!(" of {} characters", min - 1);
                all.push((what, Broken::Beyond, json!(short)));
            }
            if let Some(pattern) = pattern
                && let Some(outside) = OUTSIDE.iter().find(|text| !pattern.matches(text))
            {
                all.push((" outside its pattern".to_owned(), Broken::Beyond, json!(outside)));
            }
        }
        Kind::Blob { min, max } => {
            if let Some(max) = max
                && *max < LENGTH_MAX
            {
                all.push((format!(" of {} bytes", max + 1), Broken::Beyond, blob(max + 1)));
            }
            if let Some(min) = min
                && *min > 0
            {
                all.push((format!(" of {} bytes", min - 1), Broken::Beyond, blob(min - 1)));
            }
        }
        Kind::List { item, min, max, .. } => {
            let one = present
                .and_then(|list| list.get(0))
                .cloned()
                .unwrap_or_else(|| value(item, depth + 1));
            // A query has no way to say a structure without members.
            let can_be_said = protocol != Protocol::Query || one != json!({});
            if let Some(max) = max
                && *max < 10_000
                && can_be_said
            {
                let many = vec![one.clone(); max + 1];
                all.push((
                    format!(" of {} items", max + 1),
                    Broken::Beyond,
                    Value::Array(many),
                ));
            }
            if let Some(min) = min
                && *min > 0
                && protocol != Protocol::Query
            {
                let few = vec![one.clone(); min - 1];
                all.push((
                    format!(" of {} items", min - 1),
                    Broken::Beyond,
                    Value::Array(few),
                ));
            }
            if depth < DEPTH_MAX {
                for (what, broken, value) in changes(protocol, item, Some(&one), depth + 1) {
                    all.push((format!("[0]{what}"), broken, json!([value])));
                }
            }
        }
        Kind::Map { key, value: item, .. } if depth < DEPTH_MAX => {
            for (what, broken, key) in changes(protocol, key, None, depth + 1) {
                if let (Broken::Beyond, Some(key)) = (broken, key.as_str()) {
                    let mut entries = Map::new();
                    entries.insert(key.to_owned(), value(item, depth + 1));
                    all.push((format!(" key{what}"), broken, Value::Object(entries)));
                }
            }
            for (what, broken, value) in changes(protocol, item, None, depth + 1) {
                all.push((format!(".a{what}"), broken, json!({"a": value})));
            }
        }
        Kind::Structure(inner) if depth < DEPTH_MAX => {
            let base = present
                .cloned()
                .unwrap_or_else(|| structure(inner, &Map::new(), depth + 1));
            for member in inner.members {
                if member.required {
                    let mut without = base.clone();
                    if let Some(members) = without.as_object_mut() {
                        members.remove(member.name);
                    }
                    // A query has no way to say a structure without members.
                    let is_there = without.as_object().is_some_and(|members| !members.is_empty());
                    if is_there || protocol != Protocol::Query {
                        all.push((format!(" without {}", member.name), Broken::Missing, without));
                    }
                }
                for (what, broken, value) in changes(protocol, member.shape, base.get(member.name), depth + 1)
                {
                    let mut changed = base.clone();
                    changed[member.name] = value;
                    all.push((format!(".{}{what}", member.name), broken, changed));
                }
            }
        }
        Kind::Boolean
        | Kind::Float
        | Kind::Double
        | Kind::Timestamp { .. }
        | Kind::Map { .. }
        | Kind::Structure(_)
        | Kind::Document => {}
    }
    all
}

fn wrong_types(protocol: Protocol, shape: &Shape) -> Vec<Change> {
    let json = protocol != Protocol::Query && protocol != Protocol::Ec2;
    let wrong: &[Value] = match &shape.kind {
        Kind::Boolean if json => &[json!("maybe"), json!(3), json!({})],
        Kind::Integer { .. } | Kind::Long { .. } if json => {
            &[json!("many"), json!(1.5), json!([]), json!(1e30)]
        }
        Kind::Float | Kind::Double if json => &[json!("many"), json!([])],
        Kind::Boolean | Kind::Integer { .. } | Kind::Long { .. } | Kind::Float | Kind::Double => {
            &[json!("maybe"), json!("1e")]
        }
        Kind::Timestamp { .. } if json => &[json!("yesterday"), json!({})],
        Kind::Timestamp { .. } => &[json!("yesterday")],
        Kind::String { .. } if json => &[json!({}), json!([1])],
        Kind::Blob { .. } if json => &[json!({}), json!("§ is not base64"), json!(7)],
        Kind::Blob { .. } => &[json!("§ is not base64")],
        Kind::List { .. } if json => &[json!("one"), json!({}), json!(1)],
        Kind::Map { .. } | Kind::Structure(_) if json => &[json!("one"), json!([]), json!(1)],
        Kind::String { .. } | Kind::List { .. } | Kind::Map { .. } | Kind::Structure(_) | Kind::Document => {
            &[]
        }
    };
    wrong
        .iter()
        .map(|value| (format!(" = {value}"), Broken::WrongType, value.clone()))
        .collect()
}

/// The request that says `input`: headers and body of a `POST /`.
///
/// # Panics
///
/// For protocols that no registered service speaks yet.
pub fn encode(operation: &'static OperationShape, input: &Value) -> (Vec<(&'static str, String)>, Vec<u8>) {
    let service = operation.service;
    match service.protocol {
        Protocol::Json10 | Protocol::Json11 => {
            let target = format!("{}.{}", service.target_prefix, operation.name);
            crate::client::json_call(&target, input)
        }
        Protocol::Query => {
            let mut form = format!("Action={}&Version={}", operation.name, service.api_version);
            if let Value::Object(members) = input {
                for (name, value) in members {
                    let shape = operation
                        .input
                        .member(name)
                        .map(|at| operation.input.members[at].shape);
                    parameters(&mut form, name, value, shape);
                }
            }
            crate::client::query_call(&form)
        }
        Protocol::Ec2 | Protocol::RestJson | Protocol::RestXml => panic!(
            "{} speaks {:?}: teach it to testkit::sample::encode",
            service.name, service.protocol
        ),
    }
}

/// Adds the parameters that say `value` under `name`.
fn parameters(form: &mut String, name: &str, value: &Value, shape: Option<&'static Shape>) {
    let kind = shape.map(|shape| &shape.kind);
    match (value, kind) {
        (
            Value::Array(items),
            Some(Kind::List {
                item,
                item_name,
                flattened,
                ..
            }),
        ) => {
            for (at, inner) in items.iter().enumerate() {
                let step = if *flattened {
                    String::new()
                } else {
                    format!(".{}", item_name.unwrap_or("member"))
                };
                parameters(form, &format!("{name}{step}.{}", at + 1), inner, Some(item));
            }
        }
        (Value::Object(members), Some(Kind::Structure(inner))) => {
            for (member, value) in members {
                let shape = inner.member(member).map(|at| inner.members[at].shape);
                parameters(form, &format!("{name}.{member}"), value, shape);
            }
        }
        (
            Value::Object(entries),
            Some(Kind::Map {
                key_name,
                value_name,
                value: item,
                ..
            }),
        ) => {
            for (at, (key, inner)) in entries.iter().enumerate() {
                let entry = format!("{name}.entry.{}", at + 1);
                parameters(
                    form,
                    &format!("{entry}.{}", key_name.unwrap_or("key")),
                    &json!(key),
                    None,
                );
                parameters(
                    form,
                    &format!("{entry}.{}", value_name.unwrap_or("value")),
                    inner,
                    Some(item),
                );
            }
        }
        (Value::String(text), _) => parameter(form, name, text),
        (Value::Number(seconds), Some(Kind::Timestamp { .. })) => {
            let seconds = seconds.as_i64().unwrap_or_default();
            parameter(form, name, &ground::Timestamp(seconds * 1000).iso8601());
        }
        (other, _) => parameter(form, name, &other.to_string()),
    }
}

fn parameter(form: &mut String, name: &str, value: &str) {
    form.push('&');
    form.push_str(name);
    form.push('=');
    form.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
}

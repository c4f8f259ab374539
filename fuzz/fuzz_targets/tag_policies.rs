//! Tag policies of organisations, one a line; an empty line begins the level below.

#![no_main]

use libfuzzer_sys::fuzz_target;
use organizations::inheritance::{check, effective};
use serde_json::{Map, Value, json};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut levels: Vec<Vec<&str>> = vec![Vec::new()];
    for line in text.lines() {
        match levels.last_mut() {
            Some(level) if !line.is_empty() => level.push(line),
            _ => levels.push(Vec::new()),
        }
    }
    let is_well_formed = levels.iter().flatten().all(|policy| check(policy).is_ok());
    let told = effective(&levels);
    assert_eq!(told.is_ok(), is_well_formed);
    if let Ok(Some(told)) = told {
        // What all say together is a policy that says so alone.
        let alone = assigning(&told).to_string();
        assert_eq!(effective(&[vec![&alone]]), Ok(Some(told)));
    }
});

/// The policy that assigns every value of what was told.
fn assigning(told: &Value) -> Value {
    let assigned = |fields: &Value| -> Map<String, Value> {
        let fields = fields.as_object().expect("a tag has fields").iter();
        fields
            .map(|(field, value)| (field.clone(), json!({ "@@assign": value })))
            .collect()
    };
    let tags = told["tags"].as_object().expect("tags are told by name").iter();
    let tags: Map<String, Value> = tags
        .map(|(tag, fields)| (tag.clone(), assigned(fields).into()))
        .collect();
    json!({ "tags": tags })
}

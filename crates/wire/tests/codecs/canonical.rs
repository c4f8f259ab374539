//! Typed values as plain JSON and back: blobs as base64, timestamps as milliseconds.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ground::Timestamp;
use serde_json::{Map, Value as Json, json};
use shape::{Slot, Structure, Value};

/// What a structure says, by its members' model names.
pub(crate) fn says(structure: &dyn Structure) -> Json {
    let mut members = Map::new();
    for (at, member) in structure.shape().members.iter().enumerate() {
        if let Some(value) = structure.get(at) {
            members.insert(member.name.to_owned(), value_says(value));
        }
    }
    Json::Object(members)
}

fn value_says(value: Value<'_>) -> Json {
    match value {
        Value::Boolean(it) => json!(it),
        Value::Integer(it) => json!(it),
        Value::Long(it) => json!(it),
        Value::Float(it) => json!(it),
        Value::Double(it) => json!(it),
        Value::String(it) => json!(it),
        Value::Blob(it) => json!(BASE64.encode(it)),
        Value::Timestamp(it) => json!(it.0),
        Value::Structure(it) => says(it),
        Value::Document(it) => it.clone(),
        Value::List(list) => (0..list.len())
            .map(|at| list.item(at).map_or(Json::Null, value_says))
            .collect(),
        Value::Map(map) => {
            let mut entries = Map::new();
            map.each(&mut |key, value| {
                entries.insert(key.to_owned(), value_says(value));
            });
            Json::Object(entries)
        }
    }
}

/// Makes an empty structure say this.
pub(crate) fn say(structure: &mut dyn Structure, says: &Json) {
    for (name, value) in says.as_object().unwrap() {
        let at = structure
            .shape()
            .member(name)
            .unwrap_or_else(|| panic!("no member {name}"));
        say_value(structure.slot(at), value);
    }
}

fn say_value(slot: Slot<'_>, says: &Json) {
    match slot {
        Slot::Boolean(place) => *place = says.as_bool().unwrap(),
        Slot::Integer(place) => *place = i32::try_from(says.as_i64().unwrap()).unwrap(),
        Slot::Long(place) => *place = says.as_i64().unwrap(),
        #[expect(clippy::cast_possible_truncation, reason = "the trial's floats are eighths")]
        Slot::Float(place) => *place = says.as_f64().unwrap() as f32,
        Slot::Double(place) => *place = says.as_f64().unwrap(),
        Slot::String(place) => says.as_str().unwrap().clone_into(place),
        Slot::Enumeration(place) => assert!(place.set(says.as_str().unwrap()), "no value {says}"),
        Slot::Blob(place) => *place = BASE64.decode(says.as_str().unwrap()).unwrap(),
        Slot::Timestamp(place) => *place = Timestamp(says.as_i64().unwrap()),
        Slot::Structure(place) => say(place, says),
        Slot::Document(place) => *place = says.clone(),
        Slot::List(list) => {
            for item in says.as_array().unwrap() {
                say_value(list.push(), item);
            }
        }
        Slot::Map(map) => {
            for (key, item) in says.as_object().unwrap() {
                say_value(map.entry(key), item);
            }
        }
    }
}

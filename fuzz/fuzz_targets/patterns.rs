//! The regular expressions of the API models, against any text: the first line
//! picks the pattern by its number.

#![no_main]

use std::collections::HashSet;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use palisade_fuzz::decoding::SERVICES;
use palisade_fuzz::request::line;
use shape::{Kind, Pattern, Shape, StructureShape};

static PATTERNS: LazyLock<Vec<&'static Pattern>> = LazyLock::new(|| {
    let mut walk = Walk::default();
    for operation in SERVICES.iter().flat_map(|service| service.operations) {
        walk.structure(operation.input);
    }
    walk.patterns
});

/// Collects every pattern that an input can meet, in the order of the models.

#[derive(Default)]
struct Walk {
    structures: HashSet<&'static str>,
    texts: HashSet<&'static str>,
    patterns: Vec<&'static Pattern>,
}

impl Walk {
    fn structure(&mut self, structure: &'static StructureShape) {
        if self.structures.insert(structure.name) {
            for member in structure.members {
                self.shape(member.shape);
            }
        }
    }

    fn shape(&mut self, shape: &'static Shape) {
        match &shape.kind {
            Kind::String {
                pattern: Some(pattern),
                ..
            } => {
                if self.texts.insert(pattern.text) {
                    self.patterns.push(pattern);
                }
            }
            Kind::List { item, .. } => self.shape(item),
            Kind::Map { key, value, .. } => {
                self.shape(key);
                self.shape(value);
            }
            Kind::Structure(structure) => self.structure(structure),
            Kind::String { pattern: None, .. }
            | Kind::Boolean
            | Kind::Integer { .. }
            | Kind::Long { .. }
            | Kind::Float
            | Kind::Double
            | Kind::Blob { .. }
            | Kind::Timestamp { .. }
            | Kind::Document => {}
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let (number, text) = line(data);
    let number: usize = std::str::from_utf8(number)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    if let Ok(text) = std::str::from_utf8(text) {
        let pattern = PATTERNS[number % PATTERNS.len()];
        assert_eq!(pattern.matches(text), pattern.matches(text));
    }
});

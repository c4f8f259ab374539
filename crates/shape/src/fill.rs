//! Putting decoded text and numbers into slots: what every codec shares.
//!
//! A codec walks its own syntax and calls these for each value it meets; they
//! convert, store and check against the model, so that no codec can forget.

use ground::Timestamp;

use crate::value::{Slot, Structure, Value};
use crate::{Path, Shape, StructureShape, Violations, check};

/// The text is not a value of the type its place has. Protocols answer with
/// `SerializationException` or their own like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongType {
    /// Where.
    pub path: String,
    /// What was expected: `a number`.
    pub expected: &'static str,
}

impl WrongType {
    /// At `path`, not `expected`.
    pub fn at(path: &Path<'_>, expected: &'static str) -> WrongType {
        WrongType {
            path: path.to_string(),
            expected,
        }
    }
}

impl std::fmt::Display for WrongType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the value at '{}' is not {}", self.path, self.expected)
    }
}

impl std::error::Error for WrongType {}

/// Which members of a structure have been seen, to find the missing ones.
#[derive(Default)]
pub struct Seen([u64; StructureShape::MEMBERS_MAX / 64]);

impl Seen {
    /// Marks a member; tells whether it had been seen before.
    pub fn mark(&mut self, member: usize) -> bool {
        let (word, bit) = (member / 64, 1u64 << (member % 64));
        let before = self.0[word] & bit != 0;
        self.0[word] |= bit;
        before
    }

    /// Whether a member has been seen.
    pub fn has(&self, member: usize) -> bool {
        self.0[member / 64] & (1 << (member % 64)) != 0
    }

    /// How many members have been seen.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Reports every required member that was not seen.
    pub fn require(&self, shape: &StructureShape, path: &Path<'_>, violations: &mut Violations) {
        for (at, member) in shape.members.iter().enumerate() {
            if member.required && !self.has(at) {
                violations.missing(&path.member(member.name));
            }
        }
    }
}

/// Puts text into a string or enumeration slot and checks it.
///
/// # Errors
///
/// [`WrongType`] if the slot is for something else.
pub fn text(
    slot: Slot<'_>,
    shape: &Shape,
    text: &str,
    path: &Path<'_>,
    violations: &mut Violations,
) -> Result<(), WrongType> {
    check::value(shape, Value::String(text), path, violations);
    match slot {
        Slot::String(place) => {
            place.clear();
            place.push_str(text);
            Ok(())
        }
        Slot::Enumeration(place) => {
            // An unknown name is a violation already, unless it stands in a list
            // or map; the request ends there.
            if !place.set(text) {
                violations.unknown_name(path, shape, text);
            }
            Ok(())
        }
        _ => Err(WrongType::at(path, expected(shape))),
    }
}

/// Puts bytes into a blob slot and checks them.
///
/// # Errors
///
/// [`WrongType`] if the slot is for something else.
pub fn bytes(
    slot: Slot<'_>,
    shape: &Shape,
    bytes: Vec<u8>,
    path: &Path<'_>,
    violations: &mut Violations,
) -> Result<(), WrongType> {
    check::value(shape, Value::Blob(&bytes), path, violations);
    match slot {
        Slot::Blob(place) => {
            *place = bytes;
            Ok(())
        }
        _ => Err(WrongType::at(path, expected(shape))),
    }
}

/// Puts a boolean into its slot.
///
/// # Errors
///
/// [`WrongType`] if the slot is for something else.
pub fn boolean(slot: Slot<'_>, shape: &Shape, value: bool, path: &Path<'_>) -> Result<(), WrongType> {
    match slot {
        Slot::Boolean(place) => {
            *place = value;
            Ok(())
        }
        _ => Err(WrongType::at(path, expected(shape))),
    }
}

/// Puts a whole number into any numeric slot and checks it.
///
/// # Errors
///
/// [`WrongType`] if it does not fit, or the slot is for something else.
pub fn whole_number(
    slot: Slot<'_>,
    shape: &Shape,
    value: i64,
    path: &Path<'_>,
    violations: &mut Violations,
) -> Result<(), WrongType> {
    match slot {
        Slot::Integer(place) => {
            *place = i32::try_from(value).map_err(|_| WrongType::at(path, "a 32-bit integer"))?;
            check::value(shape, Value::Integer(*place), path, violations);
            Ok(())
        }
        Slot::Long(place) => {
            *place = value;
            check::value(shape, Value::Long(value), path, violations);
            Ok(())
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "the model's floats have that precision"
        )]
        Slot::Float(place) => {
            *place = value as f32;
            Ok(())
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "the model's floats have that precision"
        )]
        Slot::Double(place) => {
            *place = value as f64;
            Ok(())
        }
        _ => Err(WrongType::at(path, expected(shape))),
    }
}

/// Puts a number with a fraction into a floating slot, or a whole one written
/// with a point into an integer slot.
///
/// # Errors
///
/// [`WrongType`] if it does not fit, or the slot is for something else.
pub fn fraction(
    slot: Slot<'_>,
    shape: &Shape,
    value: f64,
    path: &Path<'_>,
    violations: &mut Violations,
) -> Result<(), WrongType> {
    match slot {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the model's floats have that precision"
        )]
        Slot::Float(place) => {
            *place = value as f32;
            Ok(())
        }
        Slot::Double(place) => {
            *place = value;
            Ok(())
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole and within 2^53, checked by the guard"
        )]
        slot if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 => {
            whole_number(slot, shape, value as i64, path, violations)
        }
        _ => Err(WrongType::at(path, expected(shape))),
    }
}

/// Puts a moment into its slot.
///
/// # Errors
///
/// [`WrongType`] if the slot is for something else.
pub fn moment(slot: Slot<'_>, shape: &Shape, value: Timestamp, path: &Path<'_>) -> Result<(), WrongType> {
    match slot {
        Slot::Timestamp(place) => {
            *place = value;
            Ok(())
        }
        _ => Err(WrongType::at(path, expected(shape))),
    }
}

/// Checks a list or map once it is filled; `member` is its place in `structure`.
pub fn size(structure: &dyn Structure, member: usize, path: &Path<'_>, violations: &mut Violations) {
    if let Some(value) = structure.get(member) {
        check::value(structure.shape().members[member].shape, value, path, violations);
    }
}

/// What a shape expects, for error messages.
pub fn expected(shape: &Shape) -> &'static str {
    match shape.kind {
        crate::Kind::Boolean => "a boolean",
        crate::Kind::Integer { .. } | crate::Kind::Long { .. } => "an integer",
        crate::Kind::Float | crate::Kind::Double => "a number",
        crate::Kind::String { .. } => "a string",
        crate::Kind::Blob { .. } => "a blob",
        crate::Kind::Timestamp { .. } => "a timestamp",
        crate::Kind::List { .. } => "a list",
        crate::Kind::Map { .. } => "a map",
        crate::Kind::Structure(_) => "a structure",
        crate::Kind::Document => "a document",
    }
}

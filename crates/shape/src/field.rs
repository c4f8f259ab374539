//! The Rust types a generated field may have, each with its side of the
//! accessor pair.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};

use ground::{Secret, Timestamp};
use zeroize::Zeroize;

use crate::value::{List, Map, Slot, Structure, Value};
use crate::{Kind, StructureShape};

/// A type that can stand in a generated structure.
pub trait Field: Send + Sync {
    /// The value; `None` when absent.
    fn value(&self) -> Option<Value<'_>>;

    /// The place, made present if it was absent.
    fn slot(&mut self) -> Slot<'_>;
}

/// The answer of an operation that answers nothing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Unit;

impl Structure for Unit {
    fn shape(&self) -> &'static StructureShape {
        StructureShape::EMPTY
    }

    fn get(&self, _member: usize) -> Option<Value<'_>> {
        None
    }

    fn slot(&mut self, member: usize) -> Slot<'_> {
        unreachable!("a structure without members was asked for member {member}")
    }
}

/// Bytes; base64 in text protocols.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blob(pub Vec<u8>);

impl Zeroize for Blob {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Blob {
        Blob(bytes)
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// A value on the heap, for types that contain themselves.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Boxed<T>(pub Box<T>);

impl<T> Deref for Boxed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Boxed<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

macro_rules! plain_field {
    ($($rust:ty => $kind:ident),*) => {$(
        impl Field for $rust {
            fn value(&self) -> Option<Value<'_>> {
                Some(Value::$kind(*self))
            }

            fn slot(&mut self) -> Slot<'_> {
                Slot::$kind(self)
            }
        }
    )*};
}

plain_field!(bool => Boolean, i32 => Integer, i64 => Long, f32 => Float, f64 => Double, Timestamp => Timestamp);

impl Field for String {
    fn value(&self) -> Option<Value<'_>> {
        Some(Value::String(self))
    }

    fn slot(&mut self) -> Slot<'_> {
        Slot::String(self)
    }
}

impl Field for Blob {
    fn value(&self) -> Option<Value<'_>> {
        Some(Value::Blob(&self.0))
    }

    fn slot(&mut self) -> Slot<'_> {
        Slot::Blob(&mut self.0)
    }
}

impl Field for serde_json::Value {
    fn value(&self) -> Option<Value<'_>> {
        Some(Value::Document(self))
    }

    fn slot(&mut self) -> Slot<'_> {
        Slot::Document(self)
    }
}

impl<T: Field + Zeroize> Field for Secret<T> {
    fn value(&self) -> Option<Value<'_>> {
        self.expose().value()
    }

    fn slot(&mut self) -> Slot<'_> {
        self.expose_mut().slot()
    }
}

impl<T: Field + Default> Field for Option<T> {
    fn value(&self) -> Option<Value<'_>> {
        self.as_ref()?.value()
    }

    fn slot(&mut self) -> Slot<'_> {
        self.get_or_insert_with(T::default).slot()
    }
}

impl<T: Field> Field for Boxed<T> {
    fn value(&self) -> Option<Value<'_>> {
        self.0.value()
    }

    fn slot(&mut self) -> Slot<'_> {
        self.0.slot()
    }
}

impl<T: Field + Default> Field for Vec<T> {
    fn value(&self) -> Option<Value<'_>> {
        Some(Value::List(self))
    }

    fn slot(&mut self) -> Slot<'_> {
        Slot::List(self)
    }
}

impl<T: Field + Default> List for Vec<T> {
    fn len(&self) -> usize {
        self.len()
    }

    fn item(&self, index: usize) -> Option<Value<'_>> {
        self.get(index)?.value()
    }

    fn push(&mut self) -> Slot<'_> {
        self.push(T::default());
        let last = self.len() - 1;
        self[last].slot()
    }
}

impl<T: Field + Default> Field for BTreeMap<String, T> {
    fn value(&self) -> Option<Value<'_>> {
        Some(Value::Map(self))
    }

    fn slot(&mut self) -> Slot<'_> {
        Slot::Map(self)
    }
}

impl<T: Field + Default> Map for BTreeMap<String, T> {
    fn len(&self) -> usize {
        self.len()
    }

    fn contains(&self, key: &str) -> bool {
        self.contains_key(key)
    }

    fn each(&self, show: &mut dyn FnMut(&str, Value<'_>)) {
        for (key, item) in self {
            if let Some(value) = item.value() {
                show(key, value);
            }
        }
    }

    fn entry(&mut self, key: &str) -> Slot<'_> {
        let place = BTreeMap::entry(self, key.to_owned()).or_default();
        *place = T::default();
        place.slot()
    }
}

/// Shows a structure for a developer, with everything sensitive left out.
///
/// # Errors
///
/// Those of the formatter.
pub fn debug(structure: &dyn Structure, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let shape = structure.shape();
    let mut shown = f.debug_struct(shape.name);
    for (at, member) in shape.members.iter().enumerate() {
        let Some(value) = structure.get(at) else { continue };
        if member.shape.sensitive {
            shown.field(member.name, &"(hidden)");
        } else {
            shown.field(
                member.name,
                &Shown {
                    value,
                    shape: member.shape,
                },
            );
        }
    }
    shown.finish()
}

struct Shown<'a> {
    value: Value<'a>,
    shape: &'static crate::Shape,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.shape.sensitive {
            return f.write_str("(hidden)");
        }
        match self.value {
            Value::Boolean(it) => it.fmt(f),
            Value::Integer(it) => it.fmt(f),
            Value::Long(it) => it.fmt(f),
            Value::Float(it) => it.fmt(f),
            Value::Double(it) => it.fmt(f),
            Value::String(it) => it.fmt(f),
            Value::Blob(it) => write!(f, "({} bytes)", it.len()),
            Value::Timestamp(it) => it.fmt(f),
            Value::Structure(it) => debug(it, f),
            Value::Document(it) => it.fmt(f),
            Value::List(it) => {
                let Kind::List { item: shape, .. } = self.shape.kind else {
                    return f.write_str("[…]");
                };
                let items = (0..it.len())
                    .filter_map(|at| it.item(at))
                    .map(|value| Shown { value, shape });
                f.debug_list().entries(items).finish()
            }
            Value::Map(it) => {
                let Kind::Map { value: shape, .. } = self.shape.kind else {
                    return f.write_str("{…}");
                };
                let mut shown = f.debug_map();
                it.each(&mut |key, value| {
                    shown.entry(&key, &Shown { value, shape });
                });
                shown.finish()
            }
        }
    }
}

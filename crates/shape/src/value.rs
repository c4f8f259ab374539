//! The accessor pair: what a typed value shows to whoever treats all types alike.

use ground::Timestamp;

use crate::StructureShape;

/// A typed structure seen through its table.
pub trait Structure: Send + Sync {
    /// Its table.
    fn shape(&self) -> &'static StructureShape;

    /// The value of a member, by its index in the table; `None` when absent.
    fn get(&self, member: usize) -> Option<Value<'_>>;

    /// The place of a member, made present with an empty value if it was absent.
    fn slot(&mut self, member: usize) -> Slot<'_>;
}

/// A value as it is read.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// A boolean.
    Boolean(bool),
    /// A 32-bit integer.
    Integer(i32),
    /// A 64-bit integer.
    Long(i64),
    /// A 32-bit float.
    Float(f32),
    /// A 64-bit float.
    Double(f64),
    /// Text, or the name of an enumeration's value.
    String(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
    /// A moment.
    Timestamp(Timestamp),
    /// Items.
    List(&'a dyn List),
    /// Entries.
    Map(&'a dyn Map),
    /// Members.
    Structure(&'a dyn Structure),
    /// Any JSON.
    Document(&'a serde_json::Value),
}

/// A place to put a value.
pub enum Slot<'a> {
    /// A boolean.
    Boolean(&'a mut bool),
    /// A 32-bit integer.
    Integer(&'a mut i32),
    /// A 64-bit integer.
    Long(&'a mut i64),
    /// A 32-bit float.
    Float(&'a mut f32),
    /// A 64-bit float.
    Double(&'a mut f64),
    /// Text.
    String(&'a mut String),
    /// One of a closed set of names.
    Enumeration(&'a mut dyn Enumeration),
    /// Bytes.
    Blob(&'a mut Vec<u8>),
    /// A moment.
    Timestamp(&'a mut Timestamp),
    /// Items.
    List(&'a mut dyn List),
    /// Entries.
    Map(&'a mut dyn Map),
    /// Members.
    Structure(&'a mut dyn Structure),
    /// Any JSON.
    Document(&'a mut serde_json::Value),
}

/// A closed set of names.
pub trait Enumeration: Send + Sync {
    /// The present value's name.
    fn name(&self) -> &'static str;

    /// Takes the value of that name; false, and unchanged, if there is none.
    fn set(&mut self, name: &str) -> bool;
}

/// Items in order.
pub trait List: Send + Sync {
    /// How many.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at `index`, if there is one.
    fn item(&self, index: usize) -> Option<Value<'_>>;

    /// Adds an empty item and gives its place.
    fn push(&mut self) -> Slot<'_>;
}

/// Text to values, in key order.
pub trait Map: Send + Sync {
    /// How many.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the key is present.
    fn contains(&self, key: &str) -> bool;

    /// Shows every entry.
    fn each(&self, show: &mut dyn FnMut(&str, Value<'_>));

    /// Gives the place of `key`, emptied if it was present.
    fn entry(&mut self, key: &str) -> Slot<'_>;
}

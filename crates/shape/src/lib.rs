//! What an AWS type looks like, twice: as a static table ([`schema`]) and as a
//! typed Rust value, with one accessor pair between them ([`Structure::get`]
//! and [`Structure::slot`]).
//!
//! Everything that must treat all types alike (wire codecs, constraint
//! checks, redaction, audit) walks values through that pair and the table;
//! handlers use plain Rust fields and never see either.
//!
//! The generated crates under `api/` contain tables and types in these terms
//! and nothing else.

pub mod check;
pub mod field;
pub mod fill;
pub mod pattern;
pub mod schema;
pub mod value;

pub use check::{Path, Violations};
pub use field::{Blob, Boxed, Field, Unit};
pub use pattern::Pattern;
pub use schema::{
    ErrorShape, Kind, Location, Member, OperationShape, Protocol, ServiceShape, Shape, StructureShape,
    TimestampFormat,
};
pub use value::{Enumeration, List, Map, Slot, Structure, Value};

/// One API operation: its types and its row in the service's table.
///
/// Implemented by an empty generated type named as the operation.
pub trait Operation: Send + Sync + 'static {
    /// What the caller sends.
    type Input: Structure + Default + 'static;
    /// What the caller gets; [`Unit`] when the operation answers nothing.
    type Output: Structure + 'static;
    /// The static description.
    const SHAPE: &'static OperationShape;
}

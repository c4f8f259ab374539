//! What the fuzz targets share: a text form of requests, the way from a request
//! to its typed input, and the fixed keys and journal that seeds are made with.
//!
//! A target proves two things of a parser: no input makes it panic, loop or
//! take memory without end, and whatever it accepts it has understood (it spells
//! the same again, opens only what was sealed, verifies only what was signed).
//!
//! Linked into nothing that ships.

pub mod decoding;
pub mod fixed;
pub mod record;
pub mod request;

pub use request::TextRequest;

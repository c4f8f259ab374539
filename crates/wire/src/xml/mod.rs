//! XML: the answers of query services, and both ways of restXml.
//!
//! Documents with a DTD are refused, entities other than the five that XML
//! itself has are refused, and nesting is bounded.

pub(crate) mod read;
pub(crate) mod write;

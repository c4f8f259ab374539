//! REST protocols: members in the URI, the query string, headers and the status.

pub(crate) mod read;
pub(crate) mod uri;
pub(crate) mod write;

use shape::{Kind, Member, StructureShape};

/// The payload member, if one is the whole body.
pub(crate) fn payload(shape: &StructureShape) -> Option<(usize, &'static Member)> {
    let at = shape.payload?;
    Some((at, shape.members.get(at)?))
}

/// Whether the body is a stream of bytes rather than a document.
pub(crate) fn is_streamed(shape: &StructureShape) -> bool {
    payload(shape)
        .is_some_and(|(_, member)| member.streaming || matches!(member.shape.kind, Kind::Blob { .. }))
}

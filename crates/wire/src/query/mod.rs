//! The query protocol of IAM, STS and their like, and EC2's dialect of it:
//! forms in, XML out.

pub(crate) mod read;
pub(crate) mod write;

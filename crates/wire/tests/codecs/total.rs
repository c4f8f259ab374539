//! Decoders are total: whatever the bytes, they answer.

//! Bad input in AWS's words.

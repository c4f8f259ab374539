//! `application/x-www-form-urlencoded`: query strings and the bodies of query services.

use std::borrow::Cow;

use crate::limits::{FORM_NAME_BYTES_MAX, FORM_PAIRS_MAX};

/// Parameters in the order they came.
#[derive(Debug, Default)]
pub struct Form<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Why bytes are not a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadForm {
    /// A percent sign without two hexadecimal digits.
    #[error("a percent sign is not followed by two hexadecimal digits")]
    Escape,
    /// A name longer than [`FORM_NAME_BYTES_MAX`].
    #[error("the name of a parameter is longer than {FORM_NAME_BYTES_MAX} bytes")]
    LongName,
    /// More parameters than [`FORM_PAIRS_MAX`].
    #[error("there are more than {FORM_PAIRS_MAX} parameters")]
    TooMany,
    /// Bytes that are not UTF-8.
    #[error("the text is not valid UTF-8")]
    Utf8,
}

impl<'a> Form<'a> {
    /// Reads a form. A parameter without an equals sign has an empty value.
    ///
    /// # Errors
    ///
    /// [`BadForm`] for broken escapes, text that is not UTF-8, and more than the limits.
    pub fn parse(bytes: &'a [u8]) -> Result<Form<'a>, BadForm> {
        let mut form = Form::default();
        form.add(bytes)?;
        Ok(form)
    }

    /// Reads further parameters behind those already here.
    ///
    /// # Errors
    ///
    /// As [`Form::parse`].
    pub fn add(&mut self, bytes: &'a [u8]) -> Result<(), BadForm> {
        for pair in raw_pairs(bytes) {
            if self.pairs.len() == FORM_PAIRS_MAX {
                return Err(BadForm::TooMany);
            }
            let (name, value) = split(pair);
            if name.len() > FORM_NAME_BYTES_MAX {
                return Err(BadForm::LongName);
            }
            self.pairs.push((decode(name, true)?, decode(value, true)?));
        }
        Ok(())
    }

    /// Every parameter, in order.
    pub fn pairs(&self) -> &[(Cow<'a, str>, Cow<'a, str>)] {
        &self.pairs
    }

    /// Every parameter, in order, taken.
    pub fn into_pairs(self) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
        self.pairs
    }

    /// The first parameter of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.pairs.iter().find(|(given, _)| given == name)?;
        Some(value)
    }
}

/// The first parameter of that name, found without reading the others. The
/// name is compared as it came: no client escapes `Action` or `Version`.
pub fn find<'a>(bytes: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    raw_pairs(bytes)
        .map(split)
        .find(|(given, _)| *given == name.as_bytes())
        .and_then(|(_, value)| decode(value, true).ok())
}

/// Takes percent-escapes away; a plus is a space where `plus` says so.
///
/// # Errors
///
/// [`BadForm`] for a broken escape, or bytes that are not UTF-8.
pub fn decode(bytes: &[u8], plus: bool) -> Result<Cow<'_, str>, BadForm> {
    let plain = !bytes.iter().any(|&byte| byte == b'%' || (plus && byte == b'+'));
    if plain {
        return std::str::from_utf8(bytes)
            .map(Cow::Borrowed)
            .map_err(|_| BadForm::Utf8);
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        match first {
            b'+' if plus => decoded.push(b' '),
            b'%' => {
                let [high, low, behind @ ..] = behind else {
                    return Err(BadForm::Escape);
                };
                let (high, low) = (digit(*high)?, digit(*low)?);
                decoded.push(high << 4 | low);
                rest = behind;
            }
            byte => decoded.push(byte),
        }
    }
    String::from_utf8(decoded)
        .map(Cow::Owned)
        .map_err(|_| BadForm::Utf8)
}

fn digit(byte: u8) -> Result<u8, BadForm> {
    let digit = char::from(byte).to_digit(16).ok_or(BadForm::Escape)?;
    Ok(digit.to_le_bytes()[0])
}

fn raw_pairs(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty())
}

fn split(pair: &[u8]) -> (&[u8], &[u8]) {
    match pair.iter().position(|&byte| byte == b'=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_values() {
        let form = Form::parse(b"Action=ListUsers&Path=%2Fa%20b+c&Flag&=x&&E=a=b").unwrap();
        let pairs: Vec<(&str, &str)> = form
            .pairs()
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        assert_eq!(
            pairs,
            [
                ("Action", "ListUsers"),
                ("Path", "/a b c"),
                ("Flag", ""),
                ("", "x"),
                ("E", "a=b")
            ]
        );
        assert_eq!(form.get("Path"), Some("/a b c"));
        assert_eq!(find(b"A=1&Action=X%41&Action=Y", "Action").as_deref(), Some("XA"));
    }

    #[test]
    fn refuses_what_is_not_a_form() {
        assert_eq!(Form::parse(b"a=%4").unwrap_err(), BadForm::Escape);
        assert_eq!(Form::parse(b"a=%zz").unwrap_err(), BadForm::Escape);
        assert_eq!(Form::parse(b"a=%ff").unwrap_err(), BadForm::Utf8);
        assert_eq!(Form::parse(b"\xff=1").unwrap_err(), BadForm::Utf8);
        let long = "n".repeat(FORM_NAME_BYTES_MAX + 1);
        assert_eq!(Form::parse(long.as_bytes()).unwrap_err(), BadForm::LongName);
        let many = "a=1&".repeat(FORM_PAIRS_MAX + 1);
        assert_eq!(Form::parse(many.as_bytes()).unwrap_err(), BadForm::TooMany);
    }
}

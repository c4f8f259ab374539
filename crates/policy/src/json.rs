//! Reading JSON so that nothing in a policy is overlooked.
//!
//! The usual readers keep the last of two equal keys, so that a policy could
//! show one `Effect` to a person and another to the evaluator. This one
//! refuses duplicate keys, keeps numbers as they are written, and remembers
//! where each object stands, which the policy simulator reports.
//!
//! Absent by design: writing, and any leniency beyond RFC 8259.

use std::collections::HashSet;

use crate::limits::JSON_DEPTH_MAX;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// As written: `1`, `1.50`, `1e3`.
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Object),
}

/// An object: its members in the order written, no key twice.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object {
    pub(crate) members: Vec<(String, Json)>,
    /// Offset in bytes of `{`.
    pub(crate) start: usize,
    /// Offset in bytes just behind `}`.
    pub(crate) end: usize,
}

/// Why the text is not the JSON wanted, and the offset in bytes where that showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JsonError {
    Syntax { at: usize },
    DuplicateKey { key: String, at: usize },
    TooDeep { at: usize },
}

/// Reads one value and nothing after it but white space.
pub(crate) fn read(text: &str) -> Result<Json, JsonError> {
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        at: 0,
    };
    reader.skip_white_space();
    let value = reader.value(JSON_DEPTH_MAX)?;
    reader.skip_white_space();
    if reader.at < reader.bytes.len() {
        return Err(reader.syntax());
    }
    Ok(value)
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn syntax(&self) -> JsonError {
        JsonError::Syntax { at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(self.syntax());
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, JsonError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.syntax());
        }
        self.at += word.len();
        Ok(value)
    }

    fn value(&mut self, depth_left: usize) -> Result<Json, JsonError> {
        match self.peek() {
            Some(b'{') => self.object(depth_left),
            Some(b'[') => self.list(depth_left),
            Some(b'"') => self.text().map(Json::Text),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number().map(Json::Number),
            _ => Err(self.syntax()),
        }
    }

    fn object(&mut self, depth_left: usize) -> Result<Json, JsonError> {
        let start = self.at;
        let depth_left = depth_left
            .checked_sub(1)
            .ok_or(JsonError::TooDeep { at: start })?;
        self.at += 1;
        let mut members: Vec<(String, Json)> = Vec::new();
        let mut seen: HashSet<String> = HashSet::new();
        self.skip_white_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(Object {
                members,
                start,
                end: self.at,
            }));
        }
        loop {
            self.skip_white_space();
            let key_at = self.at;
            let key = self.text()?;
            if !seen.insert(key.clone()) {
                return Err(JsonError::DuplicateKey { key, at: key_at });
            }
            self.skip_white_space();
            self.expect(b':')?;
            self.skip_white_space();
            let value = self.value(depth_left)?;
            members.push((key, value));
            self.skip_white_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Json::Object(Object {
                        members,
                        start,
                        end: self.at,
                    }));
                }
                _ => return Err(self.syntax()),
            }
        }
    }

    fn list(&mut self, depth_left: usize) -> Result<Json, JsonError> {
        let depth_left = depth_left
            .checked_sub(1)
            .ok_or(JsonError::TooDeep { at: self.at })?;
        self.at += 1;
        let mut items = Vec::new();
        self.skip_white_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::List(items));
        }
        loop {
            self.skip_white_space();
            items.push(self.value(depth_left)?);
            self.skip_white_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Json::List(items));
                }
                _ => return Err(self.syntax()),
            }
        }
    }

    fn number(&mut self) -> Result<String, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.syntax()),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(self.text[start..self.at].to_owned())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.syntax());
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn text(&mut self) -> Result<String, JsonError> {
        self.expect(b'"')?;
        let mut out = String::new();
        loop {
            let run = self.at;
            while self
                .peek()
                .is_some_and(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\')
            {
                self.at += 1;
            }
            // Both ends stand beside ASCII bytes or the end, so they are character boundaries.
            out.push_str(&self.text[run..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                _ => return Err(self.syntax()),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let character = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.syntax()),
        };
        self.at += 1;
        Ok(character)
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.four_hex()?;
        let code = if (0xD800..0xDC00).contains(&first) {
            self.expect(b'\\')?;
            self.expect(b'u')?;
            let second = self.four_hex()?;
            if !(0xDC00..0xE000).contains(&second) {
                return Err(self.syntax());
            }
            0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.syntax())
    }

    fn four_hex(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self
                .peek()
                .and_then(|byte| char::from(byte).to_digit(16))
                .ok_or_else(|| self.syntax())?;
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn as_serde(json: &Json) -> serde_json::Value {
        match json {
            Json::Null => serde_json::Value::Null,
            Json::Bool(flag) => (*flag).into(),
            Json::Number(text) => serde_json::from_str(text).unwrap(),
            Json::Text(text) => text.clone().into(),
            Json::List(items) => items.iter().map(as_serde).collect(),
            Json::Object(object) => serde_json::Value::Object(
                object
                    .members
                    .iter()
                    .map(|(key, value)| (key.clone(), as_serde(value)))
                    .collect(),
            ),
        }
    }

    #[test]
    fn refuses_a_key_given_twice_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"\u0061":2}}]"#] {
            assert!(
                matches!(read(text), Err(JsonError::DuplicateKey { key, .. }) if key == "a"),
                "{text}"
            );
        }
    }

    #[test]
    fn bounds_the_depth() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(read(&nested(JSON_DEPTH_MAX)).is_ok());
        assert!(matches!(
            read(&nested(JSON_DEPTH_MAX + 1)),
            Err(JsonError::TooDeep { .. })
        ));
        assert!(matches!(
            read(&"[".repeat(100_000)),
            Err(JsonError::TooDeep { .. })
        ));
    }

    #[test]
    fn keeps_numbers_as_written_and_places_objects() {
        let Json::List(items) = read(" [1.50, {\"a\":-0e+2}]").unwrap() else {
            panic!("a list was written");
        };
        assert_eq!(items[0], Json::Number("1.50".into()));
        let Json::Object(object) = &items[1] else {
            panic!("an object was written");
        };
        assert_eq!((object.start, object.end), (8, 19));
    }

    #[test]
    fn agrees_with_serde_json_on_what_is_json() {
        for text in [
            "",
            " ",
            "{",
            "}",
            "{}",
            "[]",
            "[1,]",
            "{\"a\":}",
            "{\"a\"}",
            "{a:1}",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "tru",
            "nul",
            "\"\\u12\"",
            "\"\\ud800\"",
            "\"\\ud83d\\ude00\"",
            "\"\\udc00\"",
            "\"\n\"",
            "\"\\x\"",
            "1 2",
            "[1 2]",
            "\u{feff}{}",
            "\"é\\n\"",
            "{\"a\":1,}",
            "null",
            "-0.5E-3",
            "[[],[{}]]",
            "'a'",
            "\"\u{7f}\"",
        ] {
            let theirs = serde_json::from_str::<serde_json::Value>(text);
            match (read(text), theirs) {
                (Ok(ours), Ok(theirs)) => assert_eq!(as_serde(&ours), theirs, "{text}"),
                (Err(_), Err(_)) => {}
                (ours, theirs) => panic!("{text:?}: we say {ours:?}, serde_json says {theirs:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_random_text(text in r#"[\[\]{}",:a\\u0-9. \-etrufalsn]{0,24}"#) {
            if let Ok(ours) = read(&text) {
                prop_assert_eq!(as_serde(&ours), serde_json::from_str::<serde_json::Value>(&text).unwrap());
            }
        }

        #[test]
        fn never_panics(text in "\\PC{0,64}") {
            let _ = read(&text);
        }
    }
}

//! XML written straight into bytes.

use shape::{Kind, Location, Member, Shape, Structure, TimestampFormat, Value};

use crate::scalar::{self, Spelling};

/// A growing document. Element names come from static tables and are trusted;
/// text is escaped.
#[derive(Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// A document that begins as S3's and EC2's do.
    pub(crate) fn with_declaration() -> Writer {
        Writer {
            out: b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_vec(),
        }
    }

    /// The document.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// `<name>`
    pub(crate) fn open(&mut self, name: &str) {
        self.open_in(name, "");
    }

    /// `<name xmlns="…">`, or without namespace if it is empty.
    pub(crate) fn open_in(&mut self, name: &str, namespace: &str) {
        self.out.push(b'<');
        self.out.extend_from_slice(name.as_bytes());
        if !namespace.is_empty() {
            self.attribute("xmlns", namespace);
        }
        self.out.push(b'>');
    }

    /// `</name>`
    pub(crate) fn close(&mut self, name: &str) {
        self.out.extend_from_slice(b"</");
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'>');
    }

    /// `<name>text</name>`
    pub(crate) fn leaf(&mut self, name: &str, text: &str) {
        self.open(name);
        self.text(text, false);
        self.close(name);
    }

    /// A JSON value as elements: a fault's further member.
    pub(crate) fn json(&mut self, name: &str, value: &serde_json::Value) {
        match value {
            serde_json::Value::Null => {}
            serde_json::Value::String(text) => self.leaf(name, text),
            serde_json::Value::Bool(_) | serde_json::Value::Number(_) => self.leaf(name, &value.to_string()),
            serde_json::Value::Array(items) => {
                self.open(name);
                for item in items {
                    self.json("member", item);
                }
                self.close(name);
            }
            serde_json::Value::Object(members) => {
                self.open(name);
                for (name, item) in members {
                    self.json(name, item);
                }
                self.close(name);
            }
        }
    }

    /// A structure's members that travel in the body, each as its element.
    pub(crate) fn members(&mut self, structure: &dyn Structure) {
        for (at, member) in structure.shape().members.iter().enumerate() {
            if member.location != Location::Body || member.xml_attribute {
                continue;
            }
            if let Some(value) = structure.get(at) {
                self.member(member, value);
            }
        }
    }

    /// One member under its wire name.
    pub(crate) fn member(&mut self, member: &Member, value: Value<'_>) {
        self.any(
            member.wire_name,
            member.shape,
            member.timestamp,
            member.xml_namespace.unwrap_or(""),
            value,
        );
    }

    fn any(
        &mut self,
        name: &str,
        shape: &Shape,
        format: Option<TimestampFormat>,
        namespace: &str,
        value: Value<'_>,
    ) {
        match value {
            Value::Structure(structure) => {
                self.begin(name, namespace, structure);
                self.members(structure);
                self.close(name);
            }
            Value::List(list) => {
                let Kind::List {
                    item,
                    item_name,
                    flattened,
                    ..
                } = shape.kind
                else {
                    return;
                };
                let item_element = if flattened {
                    item_name.unwrap_or(name)
                } else {
                    item_name.unwrap_or("member")
                };
                if !flattened {
                    self.open_in(name, namespace);
                }
                for value in (0..list.len()).filter_map(|at| list.item(at)) {
                    self.any(item_element, item, None, "", value);
                }
                if !flattened {
                    self.close(name);
                }
            }
            Value::Map(map) => {
                let Kind::Map {
                    key,
                    value: item,
                    key_name,
                    value_name,
                    flattened,
                    ..
                } = shape.kind
                else {
                    return;
                };
                let entry = if flattened { name } else { "entry" };
                if !flattened {
                    self.open_in(name, namespace);
                }
                map.each(&mut |text, value| {
                    self.open(entry);
                    self.any(key_name.unwrap_or("key"), key, None, "", Value::String(text));
                    self.any(value_name.unwrap_or("value"), item, None, "", value);
                    self.close(entry);
                });
                if !flattened {
                    self.close(name);
                }
            }
            Value::Document(document) => self.json(name, document),
            scalar => {
                if let Some(text) = scalar::text(shape, Spelling::TEXT.of(format), scalar) {
                    self.open_in(name, namespace);
                    self.text(&text, false);
                    self.close(name);
                }
            }
        }
    }

    /// `<name xmlns="…" attribute="…">`; the attributes are the structure's members marked so.
    pub(crate) fn begin(&mut self, name: &str, namespace: &str, structure: &dyn Structure) {
        let shape = structure.shape();
        self.out.push(b'<');
        self.out.extend_from_slice(name.as_bytes());
        let own = shape.xml_namespace.unwrap_or("");
        let mut prefixed = false;
        for (at, member) in shape.members.iter().enumerate() {
            if !member.xml_attribute {
                continue;
            }
            let Some(value) = structure.get(at) else { continue };
            let Some(text) = scalar::text(member.shape, Spelling::TEXT.of(member.timestamp), value) else {
                continue;
            };
            // `xsi:type`: the structure's namespace belongs to the attribute's prefix.
            if let Some((prefix, _)) = member.wire_name.split_once(':')
                && !prefixed
            {
                prefixed = true;
                let name = format!("xmlns:{prefix}");
                self.attribute(&name, if own.is_empty() { namespace } else { own });
            }
            self.attribute(member.wire_name, &text);
        }
        if !prefixed {
            let namespace = if namespace.is_empty() { own } else { namespace };
            if !namespace.is_empty() {
                self.attribute("xmlns", namespace);
            }
        }
        self.out.push(b'>');
    }

    fn attribute(&mut self, name: &str, value: &str) {
        self.out.push(b' ');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"=\"");
        self.text(value, true);
        self.out.push(b'"');
    }

    /// Escapes text. Characters that XML cannot hold become U+FFFD, since a
    /// document that no client can read would lose the rest of the answer too.
    pub(crate) fn text(&mut self, text: &str, attribute: bool) {
        let mut done = 0;
        for (at, letter) in text.char_indices() {
            let escape = match letter {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '"' if attribute => "&quot;",
                // Readers turn these into line feeds or spaces unless escaped.
                '\r' => "&#xD;",
                '\n' if attribute => "&#xA;",
                '\t' if attribute => "&#x9;",
                letter if is_xml(letter) => continue,
                _ => "\u{fffd}",
            };
            self.out.extend_from_slice(&text.as_bytes()[done..at]);
            self.out.extend_from_slice(escape.as_bytes());
            done = at + letter.len_utf8();
        }
        self.out.extend_from_slice(&text.as_bytes()[done..]);
    }
}

/// Whether XML 1.0 has the character at all (section 2.2, `Char`).
pub(crate) fn is_xml(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

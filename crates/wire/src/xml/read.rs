//! XML read straight into typed structures.

use std::borrow::Cow;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use shape::fill::Seen;
use shape::{
    Kind, List, Location, Map, Member, Path, Shape, Slot, Structure, StructureShape, Value, Violations, check,
};

use crate::decode::Malformed;
use crate::limits::{DEPTH_MAX, echo};
use crate::scalar::{self, Spelling};
use crate::xml::write::is_xml;

/// Reads a document whose root element holds the members of `into` that travel
/// in the body. The root must be named `root`, where a name is given.
pub(crate) fn document(
    bytes: &[u8],
    root: Option<&str>,
    into: &mut dyn Structure,
    path: &Path<'_>,
    seen: &mut Seen,
    violations: &mut Violations,
) -> Result<(), Malformed> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Malformed::syntax("The request body is not valid UTF-8".to_owned()))?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut reading = Reading { reader, violations };
    let start = loop {
        match reading.next()? {
            Token::Open(start) => break start,
            Token::Text(text) if is_blank(&text) => {}
            Token::Text(_) | Token::Close | Token::End => return Err(unexpected("a root element")),
        }
    };
    if let Some(root) = root
        && start.local_name().as_ref() != root
    {
        return Err(unexpected(root));
    }
    reading.structure(into, &start, path, 0, seen)?;
    loop {
        match reading.next()? {
            Token::Text(text) if is_blank(&text) => {}
            Token::End => return Ok(()),
            Token::Text(_) | Token::Open(_) | Token::Close => return Err(unexpected("the document's end")),
        }
    }
}

/// What the shape of a document depends on; comments and the like are gone.
enum Token<'a> {
    Open(BytesStart<'a>),
    Close,
    Text(Cow<'a, str>),
    End,
}

struct Reading<'a, 'v> {
    reader: Reader<&'a [u8]>,
    violations: &'v mut Violations,
}

fn unexpected(expected: &str) -> Malformed {
    Malformed::mismatch(format!(
        "The document does not have {} where it must",
        echo(expected)
    ))
}

fn is_blank(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

impl<'a> Reading<'a, '_> {
    fn next(&mut self) -> Result<Token<'a>, Malformed> {
        loop {
            let event = self
                .reader
                .read_event()
                .map_err(|error| Malformed::syntax(format!("The request body is not valid XML: {error}")))?;
            return Ok(match event {
                Event::Start(start) => Token::Open(start),
                Event::End(_) => Token::Close,
                Event::Text(text) => Token::Text(legal(text.xml10_content())?),
                Event::CData(text) => Token::Text(legal(text.xml10_content())?),
                Event::GeneralRef(reference) => {
                    let letter = match reference.resolve_char_ref() {
                        Ok(Some(letter)) => letter,
                        Ok(None) => named(&reference)?,
                        Err(_) => {
                            return Err(Malformed::syntax("A character reference is broken".to_owned()));
                        }
                    };
                    Token::Text(legal(Cow::Owned(letter.to_string()))?)
                }
                Event::Comment(_) | Event::PI(_) | Event::Decl(_) => continue,
                Event::DocType(_) => {
                    return Err(Malformed::syntax("A document type is not allowed".to_owned()));
                }
                Event::Empty(_) => return Err(Malformed::syntax("An element is not closed".to_owned())),
                Event::Eof => Token::End,
            });
        }
    }

    /// The content of an element that holds a structure, up to its end.
    fn structure(
        &mut self,
        into: &mut dyn Structure,
        start: &BytesStart<'_>,
        path: &Path<'_>,
        depth: usize,
        seen: &mut Seen,
    ) -> Result<(), Malformed> {
        let shape = into.shape();
        self.attributes(into, start, path, seen)?;
        // Elements without an envelope come again; others may not.
        let mut given = Seen::default();
        loop {
            let start = match self.next()? {
                Token::Open(start) => start,
                Token::Close => break,
                Token::Text(text) if is_blank(&text) => continue,
                Token::Text(_) => return Err(unexpected("elements only")),
                Token::End => return Err(unexpected("an end tag")),
            };
            let Some(at) = member_named(shape, start.local_name().as_ref()) else {
                self.skip(depth + 1)?;
                continue;
            };
            let member = &shape.members[at];
            seen.mark(at);
            let again = given.mark(at);
            let member_path = path.member(member.name);
            match (&member.shape.kind, is_flattened(member.shape)) {
                (Kind::List { item, .. }, true) => {
                    let Slot::List(list) = into.slot(at) else {
                        return Err(unexpected(member.name));
                    };
                    self.item(list, item, &start, &member_path, depth + 1)?;
                }
                (Kind::Map { .. }, true) => {
                    let Slot::Map(map) = into.slot(at) else {
                        return Err(unexpected(member.name));
                    };
                    self.entry(map, member.shape, &member_path, depth + 1)?;
                }
                _ if again => return Err(unexpected(&format!("a single {}", member.wire_name))),
                _ => self.value(
                    into.slot(at),
                    member.shape,
                    Spelling::TEXT.of(member.timestamp),
                    &start,
                    &member_path,
                    depth + 1,
                )?,
            }
        }
        for (at, member) in shape.members.iter().enumerate() {
            if given.has(at) && is_flattened(member.shape) {
                shape::fill::size(into, at, &path.member(member.name), self.violations);
            }
        }
        Ok(())
    }

    /// Members that are attributes of the element.
    fn attributes(
        &mut self,
        into: &mut dyn Structure,
        start: &BytesStart<'_>,
        path: &Path<'_>,
        seen: &mut Seen,
    ) -> Result<(), Malformed> {
        let shape = into.shape();
        if !shape.members.iter().any(|member| member.xml_attribute) {
            return Ok(());
        }
        // The check for duplicates compares each with all before it; the first wins instead.
        let mut attributes = start.attributes();
        for attribute in attributes.with_checks(false) {
            let attribute = attribute
                .map_err(|error| Malformed::syntax(format!("The request body is not valid XML: {error}")))?;
            let name: &str = attribute.key.as_ref();
            let found = shape.members.iter().position(|member| {
                let modelled = member.wire_name.split_once(':');
                member.xml_attribute
                    && match (modelled, name.split_once(':')) {
                        // The prefix is the client's choice, the namespace's name is not.
                        (Some((_, modelled)), Some((prefix, given))) => {
                            modelled == given && prefix != "xmlns"
                        }
                        (None, None) => member.wire_name == name,
                        _ => false,
                    }
            });
            let Some(at) = found.filter(|&at| !seen.has(at)) else {
                continue;
            };
            let text = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| Malformed::syntax(format!("The request body is not valid XML: {error}")))?;
            let member = &shape.members[at];
            seen.mark(at);
            scalar::fill(
                into.slot(at),
                member.shape,
                Spelling::TEXT.of(member.timestamp),
                &text,
                &path.member(member.name),
                self.violations,
            )
            .map_err(|error| Malformed::mismatch(error.to_string()))?;
        }
        Ok(())
    }

    /// The content of an element that holds any value, up to its end.
    fn value(
        &mut self,
        slot: Slot<'_>,
        shape: &Shape,
        spelling: Spelling,
        start: &BytesStart<'_>,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<(), Malformed> {
        if depth > DEPTH_MAX {
            return Err(deep());
        }
        match (&shape.kind, slot) {
            (Kind::Structure(shape), Slot::Structure(into)) => {
                let mut seen = Seen::default();
                self.structure(into, start, path, depth, &mut seen)?;
                seen.require(shape, path, self.violations);
                if shape.union && seen.count() != 1 {
                    return Err(unexpected(&format!("exactly one member of {}", shape.name)));
                }
                Ok(())
            }
            (Kind::List { item, item_name, .. }, Slot::List(list)) => {
                let item_name = item_name.unwrap_or("member");
                loop {
                    match self.next()? {
                        Token::Open(start) if start.local_name().as_ref() == item_name => {
                            self.item(list, item, &start, path, depth + 1)?;
                        }
                        Token::Close => break,
                        Token::Text(text) if is_blank(&text) => {}
                        Token::Open(_) | Token::Text(_) | Token::End => return Err(unexpected(item_name)),
                    }
                }
                check::value(shape, Value::List(list), path, self.violations);
                Ok(())
            }
            (Kind::Map { .. }, Slot::Map(map)) => {
                loop {
                    match self.next()? {
                        Token::Open(start) if start.local_name().as_ref() == "entry" => {
                            self.entry(map, shape, path, depth + 1)?;
                        }
                        Token::Close => break,
                        Token::Text(text) if is_blank(&text) => {}
                        Token::Open(_) | Token::Text(_) | Token::End => return Err(unexpected("entry")),
                    }
                }
                check::value(shape, Value::Map(map), path, self.violations);
                Ok(())
            }
            (_, slot) => {
                let text = self.text()?;
                let text = match shape.kind {
                    Kind::String { .. } => &*text,
                    // White space around numbers and base64 means nothing in XML Schema.
                    _ => text.trim_matches([' ', '\t', '\r', '\n']),
                };
                scalar::fill(slot, shape, spelling, text, path, self.violations)
                    .map_err(|error| Malformed::mismatch(error.to_string()))
            }
        }
    }

    /// The content of an element that holds an item of a list, up to its end.
    fn item(
        &mut self,
        list: &mut dyn List,
        shape: &Shape,
        start: &BytesStart<'_>,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<(), Malformed> {
        let item_path = path.item(list.len());
        let scalar = check::is_scalar(shape);
        if scalar {
            self.violations.mute();
        }
        self.value(list.push(), shape, Spelling::TEXT, start, &item_path, depth)?;
        if scalar {
            self.violations.unmute();
        }
        Ok(())
    }

    /// The content of an element that holds a key and a value, up to its end.
    fn entry(
        &mut self,
        map: &mut dyn Map,
        shape: &Shape,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<(), Malformed> {
        let Kind::Map {
            value,
            key_name,
            value_name,
            ..
        } = shape.kind
        else {
            return Err(unexpected("a map"));
        };
        let (key_name, value_name) = (key_name.unwrap_or("key"), value_name.unwrap_or("value"));
        let mut key: Option<String> = None;
        let mut filled = false;
        loop {
            match self.next()? {
                Token::Open(start) if start.local_name().as_ref() == key_name && key.is_none() => {
                    key = Some(self.text()?);
                }
                // The key comes first in what every client writes and every model shows.
                Token::Open(start) if start.local_name().as_ref() == value_name && !filled => {
                    let Some(key) = &key else {
                        return Err(unexpected(key_name));
                    };
                    if map.contains(key) {
                        return Err(unexpected("each key once"));
                    }
                    filled = true;
                    let entry_path = path.key(key);
                    let scalar = check::is_scalar(value);
                    if scalar {
                        self.violations.mute();
                    }
                    self.value(map.entry(key), value, Spelling::TEXT, &start, &entry_path, depth)?;
                    if scalar {
                        self.violations.unmute();
                    }
                }
                Token::Close if filled => return Ok(()),
                Token::Text(text) if is_blank(&text) => {}
                Token::Open(_) | Token::Close | Token::Text(_) | Token::End => {
                    return Err(unexpected("a key and a value"));
                }
            }
        }
    }

    /// The text of an element without children, up to its end.
    fn text(&mut self) -> Result<String, Malformed> {
        let mut whole = String::new();
        loop {
            match self.next()? {
                Token::Text(text) => whole.push_str(&text),
                Token::Close => return Ok(whole),
                Token::Open(_) | Token::End => return Err(unexpected("text only")),
            }
        }
    }

    /// The rest of an element that means nothing to us.
    fn skip(&mut self, depth: usize) -> Result<(), Malformed> {
        let mut open = 1;
        while open > 0 {
            match self.next()? {
                Token::Open(_) if depth + open > DEPTH_MAX => return Err(deep()),
                Token::Open(_) => open += 1,
                Token::Close => open -= 1,
                Token::Text(_) => {}
                Token::End => return Err(unexpected("an end tag")),
            }
        }
        Ok(())
    }
}

fn deep() -> Malformed {
    Malformed::mismatch(format!(
        "The request body has more than {DEPTH_MAX} values inside one another"
    ))
}

/// One of XML's own five entities; there are no others without a document type.
fn named(name: &str) -> Result<char, Malformed> {
    match name {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(Malformed::syntax(format!(
            "The entity '{}' is not known",
            echo(name)
        ))),
    }
}

fn legal(text: Cow<'_, str>) -> Result<Cow<'_, str>, Malformed> {
    if text.chars().all(is_xml) {
        Ok(text)
    } else {
        Err(Malformed::syntax("A character is not allowed in XML".to_owned()))
    }
}

fn is_flattened(shape: &Shape) -> bool {
    matches!(
        shape.kind,
        Kind::List { flattened: true, .. } | Kind::Map { flattened: true, .. }
    )
}

/// The element's name of a member: a flattened list is known by its items' name.
fn element_name(member: &Member) -> &'static str {
    match member.shape.kind {
        Kind::List {
            flattened: true,
            item_name: Some(name),
            ..
        } => name,
        _ => member.wire_name,
    }
}

fn member_named(shape: &StructureShape, name: &str) -> Option<usize> {
    shape.members.iter().position(|member| {
        member.location == Location::Body && !member.xml_attribute && element_name(member) == name
    })
}

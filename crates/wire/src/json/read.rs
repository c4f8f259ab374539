//! JSON read straight into typed structures.

use std::borrow::Cow;
use std::fmt;

use base64_simd::STANDARD as BASE64;
use ground::Timestamp;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use shape::fill::{self, Seen};
use shape::{
    Kind, List, Location, Map, Path, Shape, Slot, Structure, StructureShape, TimestampFormat, Violations,
    check,
};

use crate::decode::Malformed;
use crate::limits::DEPTH_MAX;

/// Reads an object into the members of `into` that travel in the body.
///
/// Bytes of nothing count as an empty object. Members seen are marked in `seen`;
/// the caller asks it for the missing ones.
pub(crate) fn body(
    bytes: &[u8],
    into: &mut dyn Structure,
    path: &Path<'_>,
    seen: &mut Seen,
    violations: &mut Violations,
) -> Result<(), Malformed> {
    if bytes.is_empty() {
        return Ok(());
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Malformed::syntax("The request body is not valid UTF-8".to_owned()))?;
    let mut reading = Reading {
        violations,
        fault: None,
    };
    let mut json = serde_json::Deserializer::from_str(text);
    let read = Members {
        into,
        path,
        depth: 0,
        seen,
        reading: &mut reading,
    }
    .deserialize(&mut json)
    .and_then(|()| json.end());
    match (read, reading.fault) {
        (_, Some(fault)) => Err(fault),
        (Ok(()), None) => Ok(()),
        // AWS gives no message for text that is not JSON; ours does no harm and helps.
        (Err(error), None) => Err(Malformed::syntax(format!(
            "The request body is not valid JSON: {error}"
        ))),
    }
}

/// What all levels of one reading share.
struct Reading<'v> {
    violations: &'v mut Violations,
    fault: Option<Malformed>,
}

impl Reading<'_> {
    fn fail<E: serde::de::Error>(&mut self, message: String) -> E {
        self.fault = Some(Malformed::mismatch(message));
        E::custom("")
    }

    fn deep<E: serde::de::Error>(&mut self) -> E {
        self.fail(format!(
            "The request body has more than {DEPTH_MAX} values inside one another"
        ))
    }
}

/// An object that must become the members of a structure.
struct Members<'a, 'v> {
    into: &'a mut dyn Structure,
    path: &'a Path<'a>,
    depth: usize,
    seen: &'a mut Seen,
    reading: &'a mut Reading<'v>,
}

impl<'de> DeserializeSeed<'de> for Members<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Members<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        Err(self.reading.fail("Expected map or null".to_owned()))
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        Err(self.reading.fail("Expected map or null".to_owned()))
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        Err(self.reading.fail("Expected map or null".to_owned()))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        Err(self.reading.fail("Expected map or null".to_owned()))
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        Err(self.reading.fail("Expected map or null".to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _seq: A) -> Result<(), A::Error> {
        Err(self
            .reading
            .fail("Start of list found where not expected".to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let shape = self.into.shape();
        let mut given = Seen::default();
        // Clients mostly send members in the model's order, so the search begins behind the last.
        let mut next = 0;
        while let Some(found) = map.next_key_seed(MemberName { shape, next })? {
            let Some(at) = found else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            next = at + 1;
            let member = &shape.members[at];
            if given.mark(at) {
                let message = format!("Duplicate field '{}'", member.wire_name);
                return Err(self.reading.fail(message));
            }
            let present = map.next_value_seed(Item {
                place: Place::Member(self.into, at),
                shape: member.shape,
                format: member.timestamp,
                path: &self.path.member(member.name),
                depth: self.depth + 1,
                reading: self.reading,
            })?;
            if present {
                self.seen.mark(at);
            }
        }
        Ok(())
    }
}

/// The index of the member that a key names, if any.
struct MemberName {
    shape: &'static StructureShape,
    next: usize,
}

impl<'de> DeserializeSeed<'de> for MemberName {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberName {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        let members = self.shape.members;
        let matches = |at: &usize| {
            let member = &members[*at];
            member.wire_name == name && member.location == Location::Body
        };
        let (before, behind) = (0..self.next, self.next..members.len());
        Ok(behind.chain(before).find(matches))
    }
}

/// Where a value goes. The place is made only when the value is not null.
enum Place<'a> {
    Member(&'a mut dyn Structure, usize),
    Item(&'a mut dyn List),
    Entry(&'a mut dyn Map, &'a str),
}

impl<'a> Place<'a> {
    fn slot(self) -> Slot<'a> {
        match self {
            Place::Member(structure, at) => structure.slot(at),
            Place::Item(list) => list.push(),
            Place::Entry(map, key) => map.entry(key),
        }
    }
}

/// One value; answers whether it was there, that is not null.
struct Item<'a, 'v> {
    place: Place<'a>,
    shape: &'static Shape,
    format: Option<TimestampFormat>,
    path: &'a Path<'a>,
    depth: usize,
    reading: &'a mut Reading<'v>,
}

impl Item<'_, '_> {
    /// The JSON value is not of the kind that the model has here.
    fn mismatch<E: serde::de::Error>(self, token: &str) -> E {
        let message = match self.shape.kind {
            Kind::List { .. } => "Expected list or null".to_owned(),
            Kind::Map { .. } | Kind::Structure(_) => "Expected map or null".to_owned(),
            Kind::Boolean => cannot(token, "a Boolean"),
            Kind::Integer { .. } => cannot(token, "an Integer"),
            Kind::Long { .. } => cannot(token, "a Long"),
            Kind::Float => cannot(token, "a Float"),
            Kind::Double => cannot(token, "a Double"),
            Kind::String { .. } => cannot(token, "a String"),
            Kind::Blob { .. } => cannot(token, "a Blob"),
            Kind::Timestamp { .. } => cannot(token, "a Timestamp"),
            Kind::Document => cannot(token, "a Document"),
        };
        self.reading.fail(message)
    }

    fn timestamp_format(&self) -> TimestampFormat {
        let own = match self.shape.kind {
            Kind::Timestamp { format } => format,
            _ => None,
        };
        self.format.or(own).unwrap_or(TimestampFormat::UnixTimestamp)
    }

    fn moment<E: serde::de::Error>(self, seconds: f64) -> Result<bool, E> {
        let millis = (seconds * 1000.0).round();
        // Exact whole numbers of an f64 reach 2^53.
        if self.timestamp_format() != TimestampFormat::UnixTimestamp || millis.abs() > 9_007_199_254_740_992.0
        {
            return Err(self.mismatch("NUMBER_VALUE"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole and within 2^53, checked above"
        )]
        let moment = Timestamp(millis as i64);
        match self.place.slot() {
            Slot::Timestamp(place) => {
                *place = moment;
                Ok(true)
            }
            _ => Err(E::custom("")),
        }
    }
}

fn cannot(token: &str, kind: &str) -> String {
    format!("{token} can not be converted to {kind}")
}

impl<'de> DeserializeSeed<'de> for Item<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        if self.depth > DEPTH_MAX {
            return Err(self.reading.deep());
        }
        if matches!(self.shape.kind, Kind::Document) {
            let value = <serde_json::Value as serde::Deserialize>::deserialize(deserializer)?;
            if value.is_null() {
                return Ok(false);
            }
            return match self.place.slot() {
                Slot::Document(place) => {
                    *place = value;
                    Ok(true)
                }
                _ => Err(D::Error::custom("")),
            };
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Item<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(fill::expected(self.shape))
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<bool, E> {
        if !matches!(self.shape.kind, Kind::Boolean) {
            return Err(self.mismatch(if value { "TRUE_VALUE" } else { "FALSE_VALUE" }));
        }
        let filled = fill::boolean(self.place.slot(), self.shape, value, self.path);
        filled.map(|()| true).map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<bool, E> {
        match self.shape.kind {
            Kind::Timestamp { .. } if value.unsigned_abs() <= (1 << 53) / 1000 => {
                if self.timestamp_format() != TimestampFormat::UnixTimestamp {
                    return Err(self.mismatch("NUMBER_VALUE"));
                }
                let moment = Timestamp::from_seconds(value);
                let filled = fill::moment(self.place.slot(), self.shape, moment, self.path);
                filled.map(|()| true).map_err(E::custom)
            }
            Kind::Integer { .. } if i32::try_from(value).is_err() => Err(self.mismatch("NUMBER_VALUE")),
            Kind::Integer { .. } | Kind::Long { .. } | Kind::Float | Kind::Double => {
                let slot = self.place.slot();
                let filled = fill::whole_number(slot, self.shape, value, self.path, self.reading.violations);
                filled.map(|()| true).map_err(E::custom)
            }
            _ => Err(self.mismatch("NUMBER_VALUE")),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<bool, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            #[expect(
                clippy::cast_precision_loss,
                reason = "only floats take a number of this size, with their own precision"
            )]
            Err(_) => self.visit_f64(value as f64),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<bool, E> {
        let fits = match self.shape.kind {
            Kind::Timestamp { .. } => return self.moment(value),
            Kind::Float | Kind::Double => true,
            Kind::Integer { .. } => value.fract() == 0.0 && value.abs() <= f64::from(i32::MAX),
            Kind::Long { .. } => value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0,
            _ => false,
        };
        if !fits {
            return Err(self.mismatch("NUMBER_VALUE"));
        }
        let slot = self.place.slot();
        let filled = fill::fraction(slot, self.shape, value, self.path, self.reading.violations);
        filled.map(|()| true).map_err(E::custom)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<bool, E> {
        match self.shape.kind {
            Kind::String { .. } => {
                let slot = self.place.slot();
                let filled = fill::text(slot, self.shape, text, self.path, self.reading.violations);
                filled.map(|()| true).map_err(E::custom)
            }
            Kind::Blob { .. } => {
                let Ok(bytes) = BASE64.decode_to_vec(text) else {
                    return Err(self.mismatch("STRING_VALUE"));
                };
                let slot = self.place.slot();
                let filled = fill::bytes(slot, self.shape, bytes, self.path, self.reading.violations);
                filled.map(|()| true).map_err(E::custom)
            }
            Kind::Timestamp { .. } => {
                let moment = match self.timestamp_format() {
                    TimestampFormat::Iso8601 => Timestamp::parse_iso8601(text),
                    TimestampFormat::Rfc822 => Timestamp::parse_http_date(text),
                    TimestampFormat::UnixTimestamp => return Err(self.mismatch("STRING_VALUE")),
                };
                let Ok(moment) = moment else {
                    return Err(self.mismatch("STRING_VALUE"));
                };
                let filled = fill::moment(self.place.slot(), self.shape, moment, self.path);
                filled.map(|()| true).map_err(E::custom)
            }
            // Smithy spells what JSON numbers cannot be as these names, and nothing else in quotes.
            Kind::Float | Kind::Double => {
                let value = match text {
                    "NaN" => f64::NAN,
                    "Infinity" => f64::INFINITY,
                    "-Infinity" => f64::NEG_INFINITY,
                    _ => return Err(self.mismatch("STRING_VALUE")),
                };
                let slot = self.place.slot();
                let filled = fill::fraction(slot, self.shape, value, self.path, self.reading.violations);
                filled.map(|()| true).map_err(E::custom)
            }
            _ => Err(self.mismatch("STRING_VALUE")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        let Kind::List { item: shape, .. } = self.shape.kind else {
            return Err(self
                .reading
                .fail("Start of list found where not expected".to_owned()));
        };
        let Slot::List(list) = self.place.slot() else {
            return Err(A::Error::custom(""));
        };
        let scalar = check::is_scalar(shape);
        for index in 0.. {
            let path = self.path.item(index);
            if scalar {
                self.reading.violations.mute();
            }
            let item = seq.next_element_seed(Item {
                place: Place::Item(list),
                shape,
                format: None,
                path: &path,
                depth: self.depth + 1,
                reading: self.reading,
            })?;
            if scalar {
                self.reading.violations.unmute();
            }
            match item {
                Some(true) => {}
                Some(false) => self.reading.violations.missing(&path),
                None => break,
            }
        }
        check::value(
            self.shape,
            shape::Value::List(list),
            self.path,
            self.reading.violations,
        );
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        match self.shape.kind {
            Kind::Structure(shape) => {
                let Slot::Structure(into) = self.place.slot() else {
                    return Err(A::Error::custom(""));
                };
                let mut seen = Seen::default();
                Members {
                    into,
                    path: self.path,
                    depth: self.depth,
                    seen: &mut seen,
                    reading: self.reading,
                }
                .visit_map(map)?;
                seen.require(shape, self.path, self.reading.violations);
                if shape.union && seen.count() != 1 {
                    let message = format!("Exactly one member of '{}' must be given", self.path);
                    return Err(self.reading.fail(message));
                }
                Ok(true)
            }
            Kind::Map { value: shape, .. } => {
                let Slot::Map(entries) = self.place.slot() else {
                    return Err(A::Error::custom(""));
                };
                let scalar = check::is_scalar(shape);
                while let Some(key) = map.next_key_seed(Key)? {
                    if entries.contains(&key) {
                        let message = format!("Duplicate key in '{}'", self.path);
                        return Err(self.reading.fail(message));
                    }
                    let path = self.path.key(&key);
                    if scalar {
                        self.reading.violations.mute();
                    }
                    let present = map.next_value_seed(Item {
                        place: Place::Entry(entries, &key),
                        shape,
                        format: None,
                        path: &path,
                        depth: self.depth + 1,
                        reading: self.reading,
                    })?;
                    if scalar {
                        self.reading.violations.unmute();
                    }
                    if !present {
                        self.reading.violations.missing(&path);
                    }
                }
                check::value(
                    self.shape,
                    shape::Value::Map(entries),
                    self.path,
                    self.reading.violations,
                );
                Ok(true)
            }
            _ => Err(self
                .reading
                .fail("Start of structure or map found where not expected.".to_owned())),
        }
    }
}

/// A map's key, borrowed where it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

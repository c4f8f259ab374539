//! CBOR read straight into typed structures.

use std::borrow::Cow;

use ground::Timestamp;
use minicbor::Decoder;
use minicbor::data::{Tag, Type};
use shape::fill::{self, Seen};
use shape::{Kind, Location, Path, Shape, Slot, Structure, Value, Violations, check};

use crate::decode::Malformed;
use crate::limits::DEPTH_MAX;

/// Reads a map into the members of `into` that travel in the body.
///
/// Bytes of nothing count as an empty map. Members seen are marked in `seen`;
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
    let mut reading = Reading {
        cbor: Decoder::new(bytes),
        violations,
    };
    reading.members(into, path, 0, seen)?;
    if reading.cbor.position() == bytes.len() {
        Ok(())
    } else {
        Err(Malformed::syntax(
            "There are bytes behind the request body".to_owned(),
        ))
    }
}

struct Reading<'b, 'v> {
    cbor: Decoder<'b>,
    violations: &'v mut Violations,
}

/// A head that says how many entries follow, or that a break will end them.
struct Entries(Option<u64>);

impl<'b> Reading<'b, '_> {
    fn members(
        &mut self,
        into: &mut dyn Structure,
        path: &Path<'_>,
        depth: usize,
        seen: &mut Seen,
    ) -> Result<(), Malformed> {
        let shape = into.shape();
        let mut entries = self.map()?;
        let mut given = Seen::default();
        while self.next(&mut entries)? {
            let name = self.text()?;
            let members = shape.members.iter();
            let at = members
                .clone()
                .position(|member| member.wire_name == name && member.location == Location::Body);
            let Some(at) = at else {
                self.cbor.skip().map_err(|error| syntax(&error))?;
                continue;
            };
            let member = &shape.members[at];
            if given.mark(at) {
                return Err(Malformed::mismatch(format!("Duplicate field '{name}'")));
            }
            let path = path.member(member.name);
            if self.null()? {
                continue;
            }
            self.value(into.slot(at), member.shape, &path, depth + 1)?;
            seen.mark(at);
        }
        Ok(())
    }

    /// Any value but null.
    fn value(
        &mut self,
        slot: Slot<'_>,
        shape: &'static Shape,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<(), Malformed> {
        if depth > DEPTH_MAX {
            return Err(Malformed::mismatch(format!(
                "The request body has more than {DEPTH_MAX} values inside one another"
            )));
        }
        let filled = match &shape.kind {
            Kind::Boolean => {
                let value = self.cbor.bool().map_err(|error| wrong(path, shape, &error))?;
                fill::boolean(slot, shape, value, path)
            }
            Kind::Integer { .. } | Kind::Long { .. } => {
                let value = self.whole(path, shape)?;
                if matches!(shape.kind, Kind::Integer { .. }) && i32::try_from(value).is_err() {
                    return Err(mismatch(path, shape));
                }
                fill::whole_number(slot, shape, value, path, self.violations)
            }
            Kind::Float | Kind::Double => {
                let value = self.number(path, shape)?;
                fill::fraction(slot, shape, value, path, self.violations)
            }
            Kind::String { .. } => {
                let text = self.text_of(path, shape)?;
                fill::text(slot, shape, &text, path, self.violations)
            }
            Kind::Blob { .. } => {
                let bytes = self.bytes(path, shape)?;
                fill::bytes(slot, shape, bytes, path, self.violations)
            }
            Kind::Timestamp { .. } => {
                let moment = self.moment(path, shape)?;
                fill::moment(slot, shape, moment, path)
            }
            Kind::Document => return Err(mismatch(path, shape)),
            Kind::List { item, .. } => return self.list(slot, shape, item, path, depth),
            Kind::Map { value, .. } => return self.entries(slot, shape, value, path, depth),
            Kind::Structure(of) => {
                let Slot::Structure(into) = slot else {
                    return Err(mismatch(path, shape));
                };
                let mut seen = Seen::default();
                self.members(into, path, depth, &mut seen)?;
                seen.require(of, path, self.violations);
                if of.union && seen.count() != 1 {
                    let message = format!("Exactly one member of '{path}' must be given");
                    return Err(Malformed::mismatch(message));
                }
                return Ok(());
            }
        };
        filled.map_err(|wrong| Malformed::mismatch(wrong.to_string()))
    }

    fn list(
        &mut self,
        slot: Slot<'_>,
        shape: &'static Shape,
        item: &'static Shape,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<(), Malformed> {
        let Slot::List(list) = slot else {
            return Err(mismatch(path, shape));
        };
        let mut items = Entries(self.cbor.array().map_err(|error| wrong(path, shape, &error))?);
        let scalar = check::is_scalar(item);
        let mut index = 0;
        while self.next(&mut items)? {
            let path = path.item(index);
            index += 1;
            if self.null()? {
                self.violations.missing(&path);
                continue;
            }
            self.muted(scalar, |reading| {
                reading.value(list.push(), item, &path, depth + 1)
            })?;
        }
        check::value(shape, Value::List(list), path, self.violations);
        Ok(())
    }

    fn entries(
        &mut self,
        slot: Slot<'_>,
        shape: &'static Shape,
        value: &'static Shape,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<(), Malformed> {
        let Slot::Map(entries) = slot else {
            return Err(mismatch(path, shape));
        };
        let mut given = Entries(self.cbor.map().map_err(|error| wrong(path, shape, &error))?);
        let scalar = check::is_scalar(value);
        while self.next(&mut given)? {
            let key = self.text()?;
            if entries.contains(&key) {
                return Err(Malformed::mismatch(format!("Duplicate key in '{path}'")));
            }
            let path = path.key(&key);
            if self.null()? {
                self.violations.missing(&path);
                continue;
            }
            self.muted(scalar, |reading| {
                reading.value(entries.entry(&key), value, &path, depth + 1)
            })?;
        }
        check::value(shape, Value::Map(entries), path, self.violations);
        Ok(())
    }

    /// Reads without telling violations, if the whole is checked afterwards.
    fn muted<T>(
        &mut self,
        mute: bool,
        read: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<T, Malformed> {
        if mute {
            self.violations.mute();
        }
        let value = read(self);
        if mute {
            self.violations.unmute();
        }
        value
    }

    fn map(&mut self) -> Result<Entries, Malformed> {
        match self.cbor.map() {
            Ok(entries) => Ok(Entries(entries)),
            Err(error) => Err(syntax(&error)),
        }
    }

    /// Whether another entry follows.
    fn next(&mut self, entries: &mut Entries) -> Result<bool, Malformed> {
        match &mut entries.0 {
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None if self.kind()? == Type::Break => {
                self.cbor.skip().map_err(|error| syntax(&error))?;
                Ok(false)
            }
            None => Ok(true),
        }
    }

    fn kind(&self) -> Result<Type, Malformed> {
        self.cbor.datatype().map_err(|error| syntax(&error))
    }

    /// Takes a null, or the undefined that some encoders write for it.
    fn null(&mut self) -> Result<bool, Malformed> {
        if !matches!(self.kind()?, Type::Null | Type::Undefined) {
            return Ok(false);
        }
        self.cbor.skip().map_err(|error| syntax(&error))?;
        Ok(true)
    }

    /// A name.
    fn text(&mut self) -> Result<Cow<'b, str>, Malformed> {
        if self.kind()? == Type::String {
            return self.cbor.str().map(Cow::Borrowed).map_err(|error| syntax(&error));
        }
        let pieces = self.cbor.str_iter().map_err(|error| syntax(&error))?;
        pieces
            .collect::<Result<String, _>>()
            .map(Cow::Owned)
            .map_err(|error| syntax(&error))
    }

    fn text_of(&mut self, path: &Path<'_>, shape: &Shape) -> Result<Cow<'b, str>, Malformed> {
        match self.kind()? {
            Type::String | Type::StringIndef => self.text(),
            _ => Err(mismatch(path, shape)),
        }
    }

    fn bytes(&mut self, path: &Path<'_>, shape: &Shape) -> Result<Vec<u8>, Malformed> {
        match self.kind()? {
            Type::Bytes => {
                let bytes = self.cbor.bytes().map_err(|error| syntax(&error))?;
                Ok(bytes.to_vec())
            }
            Type::BytesIndef => {
                let pieces = self.cbor.bytes_iter().map_err(|error| syntax(&error))?;
                let mut bytes = Vec::new();
                for piece in pieces {
                    bytes.extend_from_slice(piece.map_err(|error| syntax(&error))?);
                }
                Ok(bytes)
            }
            _ => Err(mismatch(path, shape)),
        }
    }

    fn whole(&mut self, path: &Path<'_>, shape: &Shape) -> Result<i64, Malformed> {
        match self.kind()? {
            Type::F16 | Type::F32 | Type::F64 => {
                let number = self.number(path, shape)?;
                // Exact whole numbers of an f64 reach 2^53.
                if number.fract() != 0.0 || number.abs() > 9_007_199_254_740_992.0 {
                    return Err(mismatch(path, shape));
                }
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "whole and within 2^53, checked above"
                )]
                Ok(number as i64)
            }
            _ => {
                let number = self.cbor.int().map_err(|error| wrong(path, shape, &error))?;
                i64::try_from(number).map_err(|_| mismatch(path, shape))
            }
        }
    }

    fn number(&mut self, path: &Path<'_>, shape: &Shape) -> Result<f64, Malformed> {
        match self.kind()? {
            Type::F16 => self.cbor.f16().map(f64::from).map_err(|error| syntax(&error)),
            Type::F32 => self.cbor.f32().map(f64::from).map_err(|error| syntax(&error)),
            Type::F64 => self.cbor.f64().map_err(|error| syntax(&error)),
            _ => {
                let number = self.cbor.int().map_err(|error| wrong(path, shape, &error))?;
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a float takes it with its own precision"
                )]
                Ok(i128::from(number) as f64)
            }
        }
    }

    fn moment(&mut self, path: &Path<'_>, shape: &Shape) -> Result<Timestamp, Malformed> {
        let tag = self.cbor.tag().map_err(|error| wrong(path, shape, &error))?;
        if tag != Tag::new(1) {
            return Err(mismatch(path, shape));
        }
        let millis = (self.number(path, shape)? * 1000.0).round();
        if millis.is_nan() || millis.abs() > 9_007_199_254_740_992.0 {
            return Err(mismatch(path, shape));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole and within 2^53, checked above"
        )]
        Ok(Timestamp(millis as i64))
    }
}

/// The bytes are not CBOR, or not where they must be.
fn syntax(error: &minicbor::decode::Error) -> Malformed {
    Malformed::syntax(format!("The request body is not valid CBOR: {error}"))
}

/// The value is of another type, or cut off.
fn wrong(path: &Path<'_>, shape: &Shape, error: &minicbor::decode::Error) -> Malformed {
    if error.is_type_mismatch() {
        mismatch(path, shape)
    } else {
        syntax(error)
    }
}

fn mismatch(path: &Path<'_>, shape: &Shape) -> Malformed {
    Malformed::mismatch(fill::WrongType::at(path, fill::expected(shape)).to_string())
}

//! CBOR written straight into bytes.

use ground::Timestamp;
use minicbor::Encoder;
use minicbor::data::Tag;
use serde_json::Value as Json;
use shape::{Location, Structure, Value};

/// Seconds since the epoch (RFC 8949, 3.4.2).
const EPOCH: u64 = 1;

/// A structure's members, as a map.
pub(crate) fn body(output: &dyn Structure) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    structure(&mut Encoder::new(&mut out), output);
    out
}

/// A value that has no shape, such as a fault's members.
pub(crate) fn document(value: &Json) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    json(&mut Encoder::new(&mut out), value);
    out
}

type Out<'a> = Encoder<&'a mut Vec<u8>>;

/// Nothing that is written here can fail: a `Vec` takes everything.
fn done<T, E>(written: &Result<T, E>) {
    debug_assert!(written.is_ok(), "a Vec takes everything");
}

fn structure(out: &mut Out<'_>, value: &dyn Structure) {
    let members = value.shape().members.iter().enumerate();
    let body = members.filter(|(_, member)| member.location == Location::Body);
    let given = body.filter_map(|(at, member)| Some((member.wire_name, value.get(at)?)));
    // The number of members stands before them.
    let given: Vec<_> = given.collect();
    done(&out.map(given.len() as u64));
    for (name, value) in given {
        done(&out.str(name));
        any(out, value);
    }
}

fn any(out: &mut Out<'_>, value: Value<'_>) {
    match value {
        Value::Boolean(it) => done(&out.bool(it)),
        Value::Integer(it) => done(&out.i32(it)),
        Value::Long(it) => done(&out.i64(it)),
        Value::Float(it) => done(&out.f32(it)),
        Value::Double(it) => done(&out.f64(it)),
        Value::String(it) => done(&out.str(it)),
        Value::Blob(it) => done(&out.bytes(it)),
        Value::Timestamp(it) => timestamp(out, it),
        Value::Structure(it) => structure(out, it),
        Value::Document(it) => json(out, it),
        Value::List(list) => {
            done(&out.array(list.len() as u64));
            for at in 0..list.len() {
                match list.item(at) {
                    Some(item) => any(out, item),
                    None => done(&out.null()),
                }
            }
        }
        Value::Map(map) => {
            let mut count = 0;
            map.each(&mut |_, _| count += 1);
            done(&out.map(count));
            map.each(&mut |key, item| {
                done(&out.str(key));
                any(out, item);
            });
        }
    }
}

/// Whole seconds as an integer, others as a double.
fn timestamp(out: &mut Out<'_>, value: Timestamp) {
    done(&out.tag(Tag::new(EPOCH)));
    if value.0 % 1000 == 0 {
        done(&out.i64(value.0 / 1000));
    } else {
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds of any moment that a calendar has are exact in a double"
        )]
        done(&out.f64(value.0 as f64 / 1000.0));
    }
}

fn json(out: &mut Out<'_>, value: &Json) {
    match value {
        Json::Null => done(&out.null()),
        Json::Bool(it) => done(&out.bool(*it)),
        Json::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(it), _, _) => done(&out.u64(it)),
            (None, Some(it), _) => done(&out.i64(it)),
            (None, None, it) => done(&out.f64(it.unwrap_or(f64::NAN))),
        },
        Json::String(it) => done(&out.str(it)),
        Json::Array(items) => {
            done(&out.array(items.len() as u64));
            for item in items {
                json(out, item);
            }
        }
        Json::Object(members) => {
            done(&out.map(members.len() as u64));
            for (name, member) in members {
                done(&out.str(name));
                json(out, member);
            }
        }
    }
}

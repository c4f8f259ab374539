//! REST requests read into typed structures.

use std::borrow::Cow;

use http::HeaderValue;
use shape::fill::{Seen, WrongType};
use shape::{
    Kind, Location, Member, OperationShape, Path, Protocol, Shape, Slot, Structure, Violations, check,
};

use crate::decode::Malformed;
use crate::form::{self, Form};
use crate::head::RequestHead;
use crate::rest::{is_streamed, payload, uri};
use crate::scalar::{self, Spelling};
use crate::{json, xml};

pub(crate) fn request(
    operation: &OperationShape,
    head: &RequestHead<'_>,
    body: &[u8],
    into: &mut dyn Structure,
    seen: &mut Seen,
    violations: &mut Violations,
) -> Result<(), Malformed> {
    labels(operation, head, into, seen, violations)?;
    query(operation, head, into, seen, violations)?;
    headers(operation, head, into, seen, violations)?;
    match payload(operation.input) {
        Some((at, member)) => whole_body(operation, head, body, (at, member), into, seen, violations),
        None if body.is_empty() => Ok(()),
        None => members_in_body(operation, head, body, into, seen, violations),
    }
}

fn wrong(error: &WrongType) -> Malformed {
    Malformed::argument(error.to_string())
}

fn labels(
    operation: &OperationShape,
    head: &RequestHead<'_>,
    into: &mut dyn Structure,
    seen: &mut Seen,
    violations: &mut Violations,
) -> Result<(), Malformed> {
    let mut outcome = Ok(());
    uri::labels(operation.uri, head.path, |label, text| {
        if outcome.is_err() {
            return;
        }
        let found = operation
            .input
            .members
            .iter()
            .position(|member| member.location == Location::Uri && member.wire_name == label);
        // A label without a member is part of the address only (S3 Outposts hosts and the like).
        let Some(at) = found.filter(|_| !text.is_empty()) else {
            return;
        };
        seen.mark(at);
        outcome = form::decode(text.as_bytes(), false)
            .map_err(|error| Malformed::argument(format!("The path is not valid: {error}")))
            .and_then(|text| scalar_member(into, at, Spelling::TEXT, &text, violations));
    });
    outcome
}

fn scalar_member(
    into: &mut dyn Structure,
    at: usize,
    place: Spelling,
    text: &str,
    violations: &mut Violations,
) -> Result<(), Malformed> {
    let member = &into.shape().members[at];
    let path = Path::ROOT.member(member.name);
    scalar::fill(
        into.slot(at),
        member.shape,
        place.of(member.timestamp),
        text,
        &path,
        violations,
    )
    .map_err(|error| wrong(&error))
}

fn query(
    operation: &OperationShape,
    head: &RequestHead<'_>,
    into: &mut dyn Structure,
    seen: &mut Seen,
    violations: &mut Violations,
) -> Result<(), Malformed> {
    let form = Form::parse(head.query.as_bytes())
        .map_err(|error| Malformed::argument(format!("The query string is not valid: {error}")))?;
    let members = operation.input.members;
    let in_query = |member: &Member| member.location == Location::Query;
    for (name, value) in form.pairs() {
        let found = members
            .iter()
            .position(|member| in_query(member) && member.wire_name == name && !is_map(member));
        if let Some(at) = found {
            let member = &members[at];
            let path = Path::ROOT.member(member.name);
            let again = seen.mark(at);
            if let Kind::List { item, .. } = member.shape.kind {
                push(into.slot(at), item, Spelling::TEXT, value, &path, violations)?;
            } else if again {
                return Err(Malformed::argument(format!(
                    "The parameter '{}' is given twice",
                    member.wire_name
                )));
            } else {
                scalar_member(into, at, Spelling::TEXT, value, violations)?;
            }
            continue;
        }
        // A map takes the parameters that nothing else does.
        let Some(at) = members
            .iter()
            .position(|member| in_query(member) && is_map(member))
        else {
            continue;
        };
        let member = &members[at];
        let path = Path::ROOT.member(member.name);
        let (Kind::Map { value: shape, .. }, Slot::Map(map)) = (&member.shape.kind, into.slot(at)) else {
            continue;
        };
        seen.mark(at);
        if map.contains(name) {
            return Err(Malformed::argument(format!("A key of '{path}' is given twice")));
        }
        let key_path = path.key(name);
        match (&shape.kind, map.entry(name)) {
            (Kind::List { item, .. }, slot @ Slot::List(_)) => {
                push(slot, item, Spelling::TEXT, value, &key_path, violations)?;
            }
            (_, slot) => {
                violations.mute();
                scalar::fill(slot, shape, Spelling::TEXT, value, &key_path, violations)
                    .map_err(|error| wrong(&error))?;
                violations.unmute();
            }
        }
    }
    for (at, member) in members.iter().enumerate() {
        if in_query(member) && seen.has(at) && !check::is_scalar(member.shape) {
            shape::fill::size(into, at, &Path::ROOT.member(member.name), violations);
        }
    }
    Ok(())
}

fn is_map(member: &Member) -> bool {
    matches!(member.shape.kind, Kind::Map { .. })
}

/// Adds an item to a list of scalars, which is checked when it is full.
fn push(
    slot: Slot<'_>,
    item: &Shape,
    place: Spelling,
    text: &str,
    path: &Path<'_>,
    violations: &mut Violations,
) -> Result<(), Malformed> {
    let Slot::List(list) = slot else {
        return Err(Malformed::argument(format!("'{path}' is not a list")));
    };
    let item_path = path.item(list.len());
    violations.mute();
    scalar::fill(list.push(), item, place, text, &item_path, violations).map_err(|error| wrong(&error))?;
    violations.unmute();
    Ok(())
}

fn headers(
    operation: &OperationShape,
    head: &RequestHead<'_>,
    into: &mut dyn Structure,
    seen: &mut Seen,
    violations: &mut Violations,
) -> Result<(), Malformed> {
    for (at, member) in operation.input.members.iter().enumerate() {
        let path = Path::ROOT.member(member.name);
        match member.location {
            Location::Header => {
                let mut values = head.headers.get_all(member.wire_name).iter();
                let Some(first) = values.next() else { continue };
                seen.mark(at);
                let Kind::List { item, .. } = member.shape.kind else {
                    if values.next().is_some() {
                        return Err(Malformed::argument(format!(
                            "The header '{}' is given twice",
                            member.wire_name
                        )));
                    }
                    let text = readable(first, member.wire_name)?;
                    scalar_member(into, at, Spelling::HEADER, text, violations)?;
                    continue;
                };
                for value in std::iter::once(first).chain(values) {
                    for text in listed(readable(value, member.wire_name)?) {
                        push(into.slot(at), item, Spelling::HEADER, &text, &path, violations)?;
                    }
                }
                shape::fill::size(into, at, &path, violations);
            }
            Location::HeaderPrefix => {
                let Kind::Map { value: shape, .. } = member.shape.kind else {
                    continue;
                };
                for (name, value) in head.headers {
                    // Header names are in lower case here; the model's prefixes may not be.
                    let Some(key) = strip_prefix(name.as_str(), member.wire_name) else {
                        continue;
                    };
                    let text = readable(value, name.as_str())?;
                    seen.mark(at);
                    let Slot::Map(map) = into.slot(at) else { break };
                    if map.contains(key) {
                        return Err(Malformed::argument(format!("The header '{name}' is given twice")));
                    }
                    violations.mute();
                    scalar::fill(
                        map.entry(key),
                        shape,
                        Spelling::HEADER,
                        text,
                        &path.key(key),
                        violations,
                    )
                    .map_err(|error| wrong(&error))?;
                    violations.unmute();
                }
                if seen.has(at) {
                    shape::fill::size(into, at, &path, violations);
                }
            }
            Location::Body | Location::Uri | Location::Query | Location::Status => {}
        }
    }
    Ok(())
}

fn readable<'h>(value: &'h HeaderValue, name: &str) -> Result<&'h str, Malformed> {
    std::str::from_utf8(value.as_bytes())
        .map_err(|_| Malformed::argument(format!("The header '{name}' is not valid UTF-8")))
}

fn strip_prefix<'n>(name: &'n str, prefix: &str) -> Option<&'n str> {
    let (head, rest) = name.split_at_checked(prefix.len())?;
    (head.eq_ignore_ascii_case(prefix) && !rest.is_empty()).then_some(rest)
}

/// The items of a header with a comma between them; those in quotes may hold commas.
fn listed(value: &str) -> Vec<Cow<'_, str>> {
    let mut items = Vec::new();
    let mut rest = value.trim();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut item = String::new();
            let mut letters = quoted.char_indices();
            let mut end = quoted.len();
            while let Some((at, letter)) = letters.next() {
                match letter {
                    '\\' => item.extend(letters.next().map(|(_, letter)| letter)),
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    letter => item.push(letter),
                }
            }
            items.push(Cow::Owned(item));
            rest = quoted[end..].trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        } else {
            let (item, behind) = rest.split_once(',').unwrap_or((rest, ""));
            items.push(Cow::Borrowed(item.trim()));
            rest = behind.trim_start();
        }
    }
    items
}

/// The body is one member and nothing else.
fn whole_body(
    operation: &OperationShape,
    head: &RequestHead<'_>,
    body: &[u8],
    (at, member): (usize, &'static Member),
    into: &mut dyn Structure,
    seen: &mut Seen,
    violations: &mut Violations,
) -> Result<(), Malformed> {
    let path = Path::ROOT.member(member.name);
    match (&member.shape.kind, body) {
        // An empty body is an empty stream, and no document at all.
        (Kind::Blob { .. }, body) if member.streaming || member.required || !body.is_empty() => {
            seen.mark(at);
            shape::fill::bytes(into.slot(at), member.shape, body.to_vec(), &path, violations)
                .map_err(|error| Malformed::mismatch(error.to_string()))
        }
        (Kind::Structure(_), []) if member.required && operation.service.protocol == Protocol::RestXml => {
            Err(Malformed::missing_body())
        }
        (_, []) => Ok(()),
        (Kind::String { .. }, body) => {
            let text = std::str::from_utf8(body)
                .map_err(|_| Malformed::syntax("The request body is not valid UTF-8".to_owned()))?;
            seen.mark(at);
            shape::fill::text(into.slot(at), member.shape, text, &path, violations)
                .map_err(|error| Malformed::mismatch(error.to_string()))
        }
        (Kind::Structure(shape), body) => {
            let Slot::Structure(inner) = into.slot(at) else {
                return Err(Malformed::mismatch(format!("'{path}' is not a structure")));
            };
            seen.mark(at);
            let mut inner_seen = Seen::default();
            if operation.service.protocol == Protocol::RestJson {
                json_type(head)?;
                json::read::body(body, inner, &path, &mut inner_seen, violations)?;
                inner_seen.require(shape, &path, violations);
                return Ok(());
            }
            valid_document(|violations| {
                xml::read::document(
                    body,
                    Some(member.wire_name),
                    inner,
                    &path,
                    &mut inner_seen,
                    violations,
                )?;
                inner_seen.require(shape, &path, violations);
                Ok(())
            })
        }
        (Kind::Document, body) => {
            json_type(head)?;
            let value = serde_json::from_slice(body)
                .map_err(|error| Malformed::syntax(format!("The request body is not valid JSON: {error}")))?;
            if let Slot::Document(place) = into.slot(at) {
                *place = value;
                seen.mark(at);
            }
            Ok(())
        }
        _ => Err(Malformed::mismatch(format!(
            "'{path}' cannot be read from a body"
        ))),
    }
}

fn members_in_body(
    operation: &OperationShape,
    head: &RequestHead<'_>,
    body: &[u8],
    into: &mut dyn Structure,
    seen: &mut Seen,
    violations: &mut Violations,
) -> Result<(), Malformed> {
    debug_assert!(!is_streamed(operation.input), "a streamed body is a payload");
    if operation.service.protocol == Protocol::RestJson {
        json_type(head)?;
        json::read::body(body, into, &Path::ROOT, seen, violations)
    } else if operation
        .input
        .members
        .iter()
        .any(|member| member.location == Location::Body)
    {
        valid_document(|violations| xml::read::document(body, None, into, &Path::ROOT, seen, violations))
    } else {
        // S3 takes no notice of a body where the operation has none.
        Ok(())
    }
}

/// Reads a document in which a broken constraint is no better than broken XML:
/// the schema is what S3 says it validates against.
fn valid_document(read: impl FnOnce(&mut Violations) -> Result<(), Malformed>) -> Result<(), Malformed> {
    let mut violations = Violations::default();
    read(&mut violations)?;
    if violations.is_empty() {
        Ok(())
    } else {
        Err(Malformed::mismatch(violations.message()))
    }
}

fn json_type(head: &RequestHead<'_>) -> Result<(), Malformed> {
    let types = [
        "application/json",
        "application/x-amz-json-1.1",
        "application/x-amz-json-1.0",
    ];
    if head.media_type_is(&types) {
        Ok(())
    } else {
        Err(Malformed::media_type(head, types[0]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_in_headers_may_quote_commas() {
        assert_eq!(listed("a, b,c"), ["a", "b", "c"]);
        assert_eq!(listed(r#""a,b", "c\"d",e"#), ["a,b", "c\"d", "e"]);
        assert_eq!(listed(r#""open"#), ["open"]);
        assert!(listed("  ").is_empty());
    }

    #[test]
    fn prefixes_leave_a_key() {
        assert_eq!(strip_prefix("x-amz-meta-colour", "X-Amz-Meta-"), Some("colour"));
        assert_eq!(strip_prefix("x-amz-meta-", "x-amz-meta-"), None);
        assert_eq!(strip_prefix("é", "x"), None);
    }
}

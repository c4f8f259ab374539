//! Forms read straight into typed structures.
//!
//! `Tags.member.1.Key=…`: parameters are sorted by the steps of their names,
//! so that everything under one name stands together; nothing is ever sized by
//! an index that a client wrote. Gaps between indices close up. Parameters
//! that name no member are skipped, as AWS does, but under a list or map every
//! parameter must make sense.

use std::borrow::Cow;
use std::cmp::Ordering;

use shape::fill::{Seen, WrongType};
use shape::{
    Kind, List, Location, Map, Member, Path, Shape, Slot, Structure, StructureShape, Value, Violations, check,
};

use crate::decode::Malformed;
use crate::form::Form;
use crate::head::RequestHead;
use crate::limits::{DEPTH_MAX, echo};
use crate::scalar::{self, Spelling};

/// Reads the query string and the form in the body into `into`.
pub(crate) fn request(
    ec2: bool,
    head: &RequestHead<'_>,
    body: &[u8],
    into: &mut dyn Structure,
    seen: &mut Seen,
    violations: &mut Violations,
) -> Result<(), Malformed> {
    if !body.is_empty() && !head.media_type_is(&["application/x-www-form-urlencoded"]) {
        return Err(Malformed::media_type(head, "application/x-www-form-urlencoded"));
    }
    let syntax = |error: crate::form::BadForm| Malformed::syntax(error.to_string());
    let mut form = Form::parse(head.query.as_bytes()).map_err(syntax)?;
    form.add(body).map_err(syntax)?;
    let mut parameters = form.into_pairs();
    parameters.sort_by(|(a, _), (b, _)| by_steps(a, b));
    if let Some(pair) = parameters.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let name = echo(&pair[0].0);
        return Err(Malformed::mismatch(format!(
            "The parameter '{name}' is given twice"
        )));
    }
    let mut reading = Reading { ec2, violations };
    reading.structure(&parameters, 0, into, &Path::ROOT, 0, seen)
}

type Parameter<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Orders names step by step, so that `A.1` and `A.1.B` come before `A-1`.
fn by_steps(a: &str, b: &str) -> Ordering {
    a.split('.').cmp(b.split('.'))
}

/// The step of a name that begins at `from`; `None` at the name's end.
fn step(name: &str, from: usize) -> Option<&str> {
    let rest = name.get(from..)?;
    Some(rest.split_once('.').map_or(rest, |(step, _)| step))
}

/// Parameters with the same step at `from`, group by group. Those that end before are left out.
fn groups<'p, 'a>(
    parameters: &'p [Parameter<'a>],
    from: usize,
) -> impl Iterator<Item = (&'p str, &'p [Parameter<'a>])> {
    parameters
        .chunk_by(move |(a, _), (b, _)| step(a, from) == step(b, from))
        .filter_map(move |group| Some((step(&group[0].0, from)?, group)))
}

/// The value of the parameter that ends where a name of this length does.
fn own_value<'p>(parameters: &'p [Parameter<'_>], end: usize) -> Option<&'p str> {
    let (name, value) = parameters.first()?;
    (name.len() == end).then_some(&**value)
}

struct Reading<'v> {
    ec2: bool,
    violations: &'v mut Violations,
}

impl Reading<'_> {
    /// Parameters whose steps from `from` on name members of a structure.
    fn structure(
        &mut self,
        parameters: &[Parameter<'_>],
        from: usize,
        into: &mut dyn Structure,
        path: &Path<'_>,
        depth: usize,
        seen: &mut Seen,
    ) -> Result<(), Malformed> {
        let shape = into.shape();
        for (name, group) in groups(parameters, from) {
            let Some(at) = self.member_named(shape, name) else {
                continue;
            };
            let member = &shape.members[at];
            seen.mark(at);
            self.value(
                group,
                from + name.len(),
                into.slot(at),
                member.shape,
                Spelling::TEXT.of(member.timestamp),
                &path.member(member.name),
                depth + 1,
            )?;
        }
        Ok(())
    }

    /// Parameters whose first `end` bytes name one value.
    #[expect(
        clippy::too_many_arguments,
        reason = "one story told in one place; each is a different thing"
    )]
    fn value(
        &mut self,
        parameters: &[Parameter<'_>],
        end: usize,
        slot: Slot<'_>,
        shape: &Shape,
        spelling: Spelling,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<(), Malformed> {
        if depth > DEPTH_MAX {
            return Err(Malformed::mismatch(format!(
                "A parameter has more than {DEPTH_MAX} values inside one another"
            )));
        }
        let own = own_value(parameters, end);
        let below = if own.is_some() {
            &parameters[1..]
        } else {
            parameters
        };
        let filled = match (&shape.kind, slot) {
            (Kind::Structure(shape), Slot::Structure(into)) => {
                empty(own, "structure", path)?;
                let mut seen = Seen::default();
                self.structure(below, end + 1, into, path, depth, &mut seen)?;
                seen.require(shape, path, self.violations);
                Ok(())
            }
            (
                Kind::List {
                    item,
                    item_name,
                    flattened,
                    ..
                },
                Slot::List(list),
            ) => {
                empty(own, "list", path)?;
                let inner = (!flattened && !self.ec2).then(|| item_name.unwrap_or("member"));
                let (below, end) = enveloped(below, end, inner, path)?;
                self.items(below, end + 1, list, item, path, depth)?;
                check::value(shape, Value::List(list), path, self.violations);
                Ok(())
            }
            (Kind::Map { flattened, .. }, Slot::Map(map)) => {
                empty(own, "map", path)?;
                let inner = (!flattened).then_some("entry");
                let (below, end) = enveloped(below, end, inner, path)?;
                self.entries(below, end + 1, map, shape, path, depth)?;
                check::value(shape, Value::Map(map), path, self.violations);
                Ok(())
            }
            (_, slot) => match (own, below) {
                (Some(text), []) => scalar::fill(slot, shape, spelling, text, path, self.violations),
                _ => Err(WrongType::at(path, shape::fill::expected(shape))),
            },
        };
        filled.map_err(|error| Malformed::mismatch(error.to_string()))
    }

    fn items(
        &mut self,
        parameters: &[Parameter<'_>],
        from: usize,
        list: &mut dyn List,
        shape: &Shape,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<(), Malformed> {
        let scalar = check::is_scalar(shape);
        for (end, group) in numbered(parameters, from, path)? {
            let item_path = path.item(list.len());
            if scalar {
                self.violations.mute();
            }
            self.value(
                group,
                end,
                list.push(),
                shape,
                Spelling::TEXT,
                &item_path,
                depth + 1,
            )?;
            if scalar {
                self.violations.unmute();
            }
        }
        Ok(())
    }

    fn entries(
        &mut self,
        parameters: &[Parameter<'_>],
        from: usize,
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
            return Err(Malformed::mismatch(format!("'{path}' is not a map")));
        };
        let (key_name, value_name) = (key_name.unwrap_or("key"), value_name.unwrap_or("value"));
        let scalar = check::is_scalar(value);
        for (end, group) in numbered(parameters, from, path)? {
            let mut key = None;
            let mut value_group = None;
            for (name, group) in groups(group, end + 1) {
                if name == key_name {
                    key = own_value(group, end + 1 + name.len());
                } else if name == value_name {
                    value_group = Some((group, end + 1 + name.len()));
                } else {
                    return Err(Malformed::mismatch(format!(
                        "An entry of '{path}' has an unknown part '{}'",
                        echo(name)
                    )));
                }
            }
            let (Some(key), Some((group, end))) = (key, value_group) else {
                return Err(Malformed::mismatch(format!(
                    "An entry of '{path}' lacks its {key_name} or {value_name}"
                )));
            };
            if map.contains(key) {
                return Err(Malformed::mismatch(format!("A key of '{path}' is given twice")));
            }
            let entry_path = path.key(key);
            if scalar {
                self.violations.mute();
            }
            self.value(
                group,
                end,
                map.entry(key),
                value,
                Spelling::TEXT,
                &entry_path,
                depth + 1,
            )?;
            if scalar {
                self.violations.unmute();
            }
        }
        Ok(())
    }

    fn member_named(&self, shape: &StructureShape, name: &str) -> Option<usize> {
        shape.members.iter().position(|member| {
            member.location == Location::Body
                && if self.ec2 {
                    is_ec2_name(member, name)
                } else {
                    query_name(member) == name
                }
        })
    }
}

/// A member's name in a query: a flattened list is known by its items' name, if they have one.
fn query_name(member: &Member) -> &'static str {
    match member.shape.kind {
        Kind::List {
            flattened: true,
            item_name: Some(name),
            ..
        } => name,
        _ => member.wire_name,
    }
}

/// EC2 capitalises the wire name, unless the model gives a name for queries.
fn is_ec2_name(member: &Member, name: &str) -> bool {
    if let Some(query_name) = member.query_name {
        return query_name == name;
    }
    let (Some(modelled), Some(given)) = (member.wire_name.chars().next(), name.chars().next()) else {
        return false;
    };
    modelled.to_ascii_uppercase() == given
        && member.wire_name[modelled.len_utf8()..] == name[given.len_utf8()..]
}

/// A structure, list or map has no text of its own, but an empty one may be named: `Tags=`.
fn empty(own: Option<&str>, what: &str, path: &Path<'_>) -> Result<(), Malformed> {
    match own {
        None | Some("") => Ok(()),
        Some(_) => Err(Malformed::mismatch(format!(
            "the value at '{path}' is not a {what}"
        ))),
    }
}

/// Steps over the `member` or `entry` between a list or map and its indices.
fn enveloped<'p, 'a>(
    parameters: &'p [Parameter<'a>],
    end: usize,
    inner: Option<&str>,
    path: &Path<'_>,
) -> Result<(&'p [Parameter<'a>], usize), Malformed> {
    let Some(inner) = inner else {
        return Ok((parameters, end));
    };
    match parameters
        .iter()
        .find(|(name, _)| step(name, end + 1) != Some(inner))
    {
        Some((name, _)) => Err(Malformed::mismatch(format!(
            "The parameter '{}' does not name an item of '{path}': '{inner}' and a number must follow",
            echo(name)
        ))),
        None => Ok((parameters, end + 1 + inner.len())),
    }
}

/// Groups by index, in numeric order, with the end of each index in the names.
fn numbered<'p, 'a>(
    parameters: &'p [Parameter<'a>],
    from: usize,
    path: &Path<'_>,
) -> Result<Vec<(usize, &'p [Parameter<'a>])>, Malformed> {
    let not_a_number = |name: &str| {
        Malformed::mismatch(format!(
            "The parameter '{}' does not name an item of '{path}': a number must follow",
            echo(name)
        ))
    };
    // A name that ends at the envelope (`Tags.member=x`) is in no group.
    if let Some((name, _)) = parameters.iter().find(|(name, _)| name.len() < from) {
        return Err(not_a_number(name));
    }
    let mut found: Vec<(u32, usize, &'p [Parameter<'a>])> = Vec::new();
    for (digits, group) in groups(parameters, from) {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let index = digits.parse().ok().filter(|&index| plain && index > 0);
        let index = index.ok_or_else(|| not_a_number(&group[0].0))?;
        found.push((index, from + digits.len(), group));
    }
    found.sort_by_key(|(index, _, _)| *index);
    if let Some(pair) = found.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(Malformed::mismatch(format!(
            "The index {} of '{path}' is given twice",
            pair[0].0
        )));
    }
    Ok(found.into_iter().map(|(_, end, group)| (end, group)).collect())
}

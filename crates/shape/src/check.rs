//! The model's constraints, and AWS's words for breaking them.

use std::fmt;

use crate::value::{List, Map, Structure, Value};
use crate::{Kind, Shape};

/// Where in the input a value stands: `tags.1.member.tagKey`.
///
/// A chain of borrowed links, spelled only when something is wrong.
#[derive(Clone, Copy)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Member(&'a str),
    /// Counted from 1, as AWS does.
    Item(usize),
    Key(&'a str),
}

impl<'a> Path<'a> {
    /// The input itself.
    pub const ROOT: Path<'static> = Path {
        parent: None,
        step: Step::Root,
    };

    /// A member of this structure.
    pub fn member(&'a self, name: &'a str) -> Path<'a> {
        Path {
            parent: Some(self),
            step: Step::Member(name),
        }
    }

    /// An item of this list, counted from 0.
    pub fn item(&'a self, index: usize) -> Path<'a> {
        Path {
            parent: Some(self),
            step: Step::Item(index + 1),
        }
    }

    /// The value of a key of this map.
    pub fn key(&'a self, key: &'a str) -> Path<'a> {
        Path {
            parent: Some(self),
            step: Step::Key(key),
        }
    }

    /// Links from the root to here.
    pub fn depth(&self) -> usize {
        self.parent.map_or(0, |parent| parent.depth() + 1)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
            if !matches!(parent.step, Step::Root) {
                f.write_str(".")?;
            }
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Member(name) => {
                let mut letters = name.chars();
                if let Some(first) = letters.next() {
                    write!(f, "{}{}", first.to_ascii_lowercase(), letters.as_str())?;
                }
                Ok(())
            }
            Step::Item(number) => write!(f, "{number}.member"),
            Step::Key(key) => write!(f, "{}.value", clip(key)),
        }
    }
}

/// Constraints found broken, in the order found.
#[derive(Debug, Default)]
pub struct Violations {
    found: Vec<String>,
    more: usize,
    first_missing: Option<String>,
    muted: usize,
}

impl Violations {
    /// Most violations spelled out; AWS stops at ten.
    pub const SPELLED_MAX: usize = 10;

    /// Whether the input satisfies the model.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// AWS's message: `2 validation errors detected: Value null at 'keyId' failed …; Value …`.
    pub fn message(&self) -> String {
        let count = self.found.len() + self.more;
        let errors = if count == 1 { "error" } else { "errors" };
        format!("{count} validation {errors} detected: {}", self.found.join("; "))
    }

    /// Where the first absent required member was looked for.
    pub fn first_missing(&self) -> Option<&str> {
        self.first_missing.as_deref()
    }

    /// Adds nothing until [`Violations::unmute`]: AWS reports the scalars in a
    /// list or map once, at the list or map, which [`value`] does when it is full.
    pub fn mute(&mut self) {
        self.muted += 1;
    }

    /// Ends the innermost [`Violations::mute`].
    pub fn unmute(&mut self) {
        self.muted = self.muted.saturating_sub(1);
    }

    /// A name that an enumeration in a list or map does not have. The list or
    /// map cannot show it once it is read, so it is told here, in its place.
    pub fn unknown_name(&mut self, path: &Path<'_>, shape: &Shape, name: &str) {
        let (Some(container), true) = (path.parent, self.muted > 0) else {
            return;
        };
        let (what, shown) = match path.step {
            Step::Item(_) => ("Member", format!("[{}]", clip(name))),
            Step::Key(key) => ("Map value", format!("{{{}={}}}", clip(key), clip(name))),
            Step::Root | Step::Member(_) => return,
        };
        let constraint = format!("{what} must satisfy constraint: {}", constraints(shape));
        let muted = std::mem::take(&mut self.muted);
        self.broken(container, shape, Some(&shown), &constraint);
        self.muted = muted;
    }

    /// A required member is absent.
    pub fn missing(&mut self, path: &Path<'_>) {
        if self.first_missing.is_none() && self.muted == 0 {
            self.first_missing = Some(path.to_string());
        }
        self.add(|| format!("Value null at '{path}' failed to satisfy constraint: Member must not be null"));
    }

    /// The value at `path` breaks `constraint`; a sensitive value is not shown.
    pub fn broken(&mut self, path: &Path<'_>, shape: &Shape, value: Option<&str>, constraint: &str) {
        self.add(|| match value {
            Some(value) if !shape.sensitive => {
                format!(
                    "Value '{}' at '{path}' failed to satisfy constraint: {constraint}",
                    clip(value)
                )
            }
            _ => format!("Value at '{path}' failed to satisfy constraint: {constraint}"),
        });
    }

    fn add(&mut self, spell: impl FnOnce() -> String) {
        if self.muted > 0 {
            return;
        }
        if self.found.len() < Self::SPELLED_MAX {
            self.found.push(spell());
        } else {
            self.more += 1;
        }
    }
}

/// Characters of a value that an error message shows at most.
pub const SHOWN_CHARS_MAX: usize = 1024;

fn clip(value: &str) -> &str {
    value
        .char_indices()
        .nth(SHOWN_CHARS_MAX)
        .map_or(value, |(at, _)| &value[..at])
}

/// Checks one value against its shape: lengths, bounds, pattern and set. Scalars
/// directly inside a list or map are checked with it; structures, lists and maps
/// inside are not (the filler checks them when it comes there).
pub fn value(shape: &Shape, value: Value<'_>, path: &Path<'_>, violations: &mut Violations) {
    match (&shape.kind, value) {
        (
            Kind::String {
                min,
                max,
                pattern,
                values,
            },
            Value::String(text),
        ) => {
            if !values.is_empty() {
                if !values.contains(&text) {
                    let set = format!("Member must satisfy enum value set: [{}]", values.join(", "));
                    violations.broken(path, shape, Some(text), &set);
                }
                return;
            }
            if min.is_some() || max.is_some() {
                length(
                    shape,
                    text.chars().count(),
                    *min,
                    *max,
                    Some(text),
                    path,
                    violations,
                );
            }
            if let Some(pattern) = pattern
                && !pattern.matches(text)
            {
                let constraint = format!("Member must satisfy regular expression pattern: {}", pattern.text);
                violations.broken(path, shape, Some(text), &constraint);
            }
        }
        (Kind::Blob { min, max }, Value::Blob(bytes)) => {
            length(shape, bytes.len(), *min, *max, None, path, violations);
        }
        (Kind::Integer { min, max }, Value::Integer(number)) => {
            bounds(shape, i64::from(number), *min, *max, path, violations);
        }
        (Kind::Long { min, max }, Value::Long(number)) => bounds(shape, number, *min, *max, path, violations),
        (Kind::List { item, min, max, .. }, Value::List(list)) => {
            length(shape, list.len(), *min, *max, None, path, violations);
            let broken = is_scalar(item)
                && (0..list.len()).any(|at| list.item(at).is_some_and(|value| !holds(item, value)));
            if broken {
                let shown = shown_list(list, item);
                let constraint = format!("Member must satisfy constraint: {}", constraints(item));
                violations.broken(path, shape, shown.as_deref(), &constraint);
            }
        }
        (
            Kind::Map {
                key,
                value: item,
                min,
                max,
                ..
            },
            Value::Map(map),
        ) => {
            length(shape, map.len(), *min, *max, None, path, violations);
            let (mut keys_hold, mut values_hold) = (true, true);
            map.each(&mut |name, value| {
                keys_hold &= holds(key, Value::String(name));
                values_hold &= !is_scalar(item) || holds(item, value);
            });
            for (hold, what, part) in [(keys_hold, "keys", key), (values_hold, "value", item)] {
                if !hold {
                    let constraint = format!("Map {what} must satisfy constraint: {}", constraints(part));
                    violations.broken(path, shape, shown_map(map, key, item).as_deref(), &constraint);
                }
            }
        }
        _ => {}
    }
}

/// Checks a structure that is there already, with everything inside it, as the
/// filler checks one that is being read: for inputs that were made in the
/// process and came over no wire.
pub fn structure(value: &dyn Structure, path: &Path<'_>, violations: &mut Violations) {
    for (at, member) in value.shape().members.iter().enumerate() {
        let path = path.member(member.name);
        match value.get(at) {
            Some(found) => whole(member.shape, found, &path, violations),
            None if member.required => violations.missing(&path),
            None => {}
        }
    }
}

/// Checks one value and everything inside it.
fn whole(shape: &Shape, found: Value<'_>, path: &Path<'_>, violations: &mut Violations) {
    value(shape, found, path, violations);
    match (&shape.kind, found) {
        (Kind::List { item, .. }, Value::List(list)) if !is_scalar(item) => {
            for at in 0..list.len() {
                if let Some(inner) = list.item(at) {
                    whole(item, inner, &path.item(at), violations);
                }
            }
        }
        (Kind::Map { value: item, .. }, Value::Map(map)) if !is_scalar(item) => {
            map.each(&mut |key, inner| whole(item, inner, &path.key(key), violations));
        }
        (_, Value::Structure(inner)) => structure(inner, path, violations),
        _ => {}
    }
}

/// Whether a value of this shape has nothing inside it.
pub fn is_scalar(shape: &Shape) -> bool {
    !matches!(
        shape.kind,
        Kind::List { .. } | Kind::Map { .. } | Kind::Structure(_) | Kind::Document
    )
}

fn holds(shape: &Shape, scalar: Value<'_>) -> bool {
    let mut violations = Violations::default();
    value(shape, scalar, &Path::ROOT, &mut violations);
    violations.is_empty()
}

/// Every constraint of a scalar, as AWS lists them for the items of a list:
/// `[Member must have length less than or equal to 256, …]`.
fn constraints(shape: &Shape) -> String {
    let mut all = Vec::new();
    match &shape.kind {
        Kind::String {
            min,
            max,
            pattern,
            values,
        } => {
            all.extend(max.map(|max| format!("Member must have length less than or equal to {max}")));
            all.extend(min.map(|min| format!("Member must have length greater than or equal to {min}")));
            all.extend(
                pattern.map(|pattern| {
                    format!("Member must satisfy regular expression pattern: {}", pattern.text)
                }),
            );
            if !values.is_empty() {
                all.push(format!(
                    "Member must satisfy enum value set: [{}]",
                    values.join(", ")
                ));
            }
        }
        Kind::Blob { min, max } => {
            all.extend(max.map(|max| format!("Member must have length less than or equal to {max}")));
            all.extend(min.map(|min| format!("Member must have length greater than or equal to {min}")));
        }
        Kind::Integer { min, max } | Kind::Long { min, max } => {
            all.extend(max.map(|max| format!("Member must have value less than or equal to {max}")));
            all.extend(min.map(|min| format!("Member must have value greater than or equal to {min}")));
        }
        _ => {}
    }
    format!("[{}]", all.join(", "))
}

/// `[a, b]`, as Java shows a list; nothing where an item may not be shown.
fn shown_list(list: &dyn List, item: &Shape) -> Option<String> {
    if item.sensitive {
        return None;
    }
    let items: Vec<String> = (0..list.len())
        .filter_map(|at| list.item(at))
        .map(shown)
        .collect();
    Some(format!("[{}]", items.join(", ")))
}

/// `{a=1, b=2}`, as Java shows a map; nothing where a part may not be shown.
fn shown_map(map: &dyn Map, key: &Shape, item: &Shape) -> Option<String> {
    if key.sensitive || item.sensitive || !is_scalar(item) {
        return None;
    }
    let mut entries = Vec::new();
    map.each(&mut |name, value| entries.push(format!("{name}={}", shown(value))));
    Some(format!("{{{}}}", entries.join(", ")))
}

fn shown(value: Value<'_>) -> String {
    match value {
        Value::Boolean(it) => it.to_string(),
        Value::Integer(it) => it.to_string(),
        Value::Long(it) => it.to_string(),
        Value::Float(it) => it.to_string(),
        Value::Double(it) => it.to_string(),
        Value::String(it) => it.to_owned(),
        Value::Timestamp(it) => it.to_string(),
        Value::Blob(_) | Value::List(_) | Value::Map(_) | Value::Structure(_) | Value::Document(_) => {
            "...".to_owned()
        }
    }
}

fn length(
    shape: &Shape,
    length: usize,
    min: Option<usize>,
    max: Option<usize>,
    shown: Option<&str>,
    path: &Path<'_>,
    violations: &mut Violations,
) {
    if let Some(min) = min
        && length < min
    {
        let constraint = format!("Member must have length greater than or equal to {min}");
        violations.broken(path, shape, shown, &constraint);
    }
    if let Some(max) = max
        && length > max
    {
        let constraint = format!("Member must have length less than or equal to {max}");
        violations.broken(path, shape, shown, &constraint);
    }
}

fn bounds(
    shape: &Shape,
    number: i64,
    min: Option<i64>,
    max: Option<i64>,
    path: &Path<'_>,
    violations: &mut Violations,
) {
    if let Some(min) = min
        && number < min
    {
        let constraint = format!("Member must have value greater than or equal to {min}");
        violations.broken(path, shape, Some(&number.to_string()), &constraint);
    }
    if let Some(max) = max
        && number > max
    {
        let constraint = format!("Member must have value less than or equal to {max}");
        violations.broken(path, shape, Some(&number.to_string()), &constraint);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    static NAME: Shape = Shape {
        name: "Name",
        sensitive: false,
        kind: Kind::String {
            min: Some(1),
            max: Some(4),
            pattern: None,
            values: &[],
        },
    };
    static NAMES: Shape = Shape {
        name: "Names",
        sensitive: false,
        kind: Kind::List {
            item: &NAME,
            item_name: None,
            flattened: false,
            min: None,
            max: Some(2),
        },
    };
    static LABELS: Shape = Shape {
        name: "Labels",
        sensitive: false,
        kind: Kind::Map {
            key: &NAME,
            value: &NAME,
            key_name: None,
            value_name: None,
            flattened: false,
            min: None,
            max: None,
        },
    };

    #[test]
    fn scalars_in_a_list_are_reported_once_at_the_list() {
        let names = vec!["ab".to_owned(), "abcde".to_owned(), String::new()];
        let mut violations = Violations::default();
        value(
            &NAMES,
            Value::List(&names),
            &Path::ROOT.member("TagKeys"),
            &mut violations,
        );
        assert_eq!(
            violations.message(),
            "2 validation errors detected: Value at 'tagKeys' failed to satisfy constraint: Member must have length \
             less than or equal to 2; Value '[ab, abcde, ]' at 'tagKeys' failed to satisfy constraint: Member must \
             satisfy constraint: [Member must have length less than or equal to 4, Member must have length greater \
             than or equal to 1]"
        );
    }

    #[test]
    fn an_unknown_name_in_a_list_is_told_at_the_list() {
        static KIND: Shape = Shape {
            name: "Kind",
            sensitive: false,
            kind: Kind::String {
                min: None,
                max: None,
                pattern: None,
                values: &["A", "B"],
            },
        };
        let mut violations = Violations::default();
        let list = Path::ROOT.member("Kinds");
        violations.mute();
        violations.unknown_name(&list.item(0), &KIND, "C");
        violations.unmute();
        assert_eq!(
            violations.message(),
            "1 validation error detected: Value '[C]' at 'kinds' failed to satisfy constraint: Member must satisfy \
             constraint: [Member must satisfy enum value set: [A, B]]"
        );
    }

    #[test]
    fn keys_and_values_of_a_map_are_reported_at_the_map() {
        let labels = BTreeMap::from([
            ("a".to_owned(), String::new()),
            ("abcde".to_owned(), "b".to_owned()),
        ]);
        let mut violations = Violations::default();
        value(
            &LABELS,
            Value::Map(&labels),
            &Path::ROOT.member("Labels"),
            &mut violations,
        );
        let message = violations.message();
        assert!(
            message.contains("Value '{a=, abcde=b}' at 'labels' failed to satisfy constraint: Map keys must satisfy constraint: ["),
            "{message}"
        );
        assert!(
            message.contains("Map value must satisfy constraint: ["),
            "{message}"
        );
    }
}

//! The model's constraints, and AWS's words for breaking them.

use std::fmt;

use crate::value::Value;
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

    /// A required member is absent.
    pub fn missing(&mut self, path: &Path<'_>) {
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

/// Checks one value against its shape: lengths, bounds, pattern and set, but
/// not what is inside it (the filler checks that when it comes there).
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
        (Kind::List { min, max, .. }, Value::List(list)) => {
            length(shape, list.len(), *min, *max, None, path, violations);
        }
        (Kind::Map { min, max, .. }, Value::Map(map)) => {
            length(shape, map.len(), *min, *max, None, path, violations);
        }
        _ => {}
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

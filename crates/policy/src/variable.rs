//! Policy variables: `${aws:username}`, `${key, 'default'}`, `${*}`.
//!
//! They exist in documents of version 2012-10-17 alone; before that the same
//! characters stand for themselves. What a variable brings in is always
//! literal: a tag whose value is `*` does not become a wildcard. A variable
//! whose key is absent or has several values does not resolve, and what holds
//! it cannot match.

use std::borrow::Cow;

use crate::context::{Key, Scope, Seen};
use crate::pattern::{Glob, Token, literal_tokens, wild_tokens};

/// Part of a text that may hold variables.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    Text(Box<str>),
    /// `${*}`, `${?}` or `${$}`: the character itself.
    Escaped(char),
    Variable(Variable),
}

/// `${key}` or `${key, 'default'}`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variable {
    pub(crate) key: Key,
    default: Option<Box<str>>,
}

/// A `${…}` that is neither a key, nor a key with a default, nor an escape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadVariable(pub(crate) String);

/// The variable that had no single value.
pub(crate) type Unresolved<'a> = &'a Variable;

impl Variable {
    fn read(inner: &str) -> Option<Variable> {
        let (key, default) = match inner.split_once(',') {
            None => (inner, None),
            Some((key, quoted)) => {
                let default = quoted
                    .trim_start_matches(' ')
                    .strip_prefix('\'')?
                    .strip_suffix('\'')?;
                (key, Some(default))
            }
        };
        let acceptable = !key.is_empty() && !key.contains(['$', '{', '*', '?', '\'', ' ']);
        acceptable.then(|| Variable {
            key: Key::new(key),
            default: default.map(Into::into),
        })
    }

    /// Its value in this request.
    pub(crate) fn resolve<'a>(&'a self, scope: Scope<'a>) -> Result<Cow<'a, str>, Unresolved<'a>> {
        match scope.look_up(&self.key) {
            Some(Seen::One(single)) => Ok(single.text()),
            Some(Seen::Many([only])) => Ok(Cow::Borrowed(only)),
            Some(Seen::Many(_)) => Err(self),
            None => self.default.as_deref().map(Cow::Borrowed).ok_or(self),
        }
    }
}

/// Cuts `text` at its variables. An unclosed `${` is text.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece>, BadVariable> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, inside, after)) = next_variable(rest) {
        if !before.is_empty() {
            pieces.push(Piece::Text(before.into()));
        }
        pieces.push(match inside {
            "*" => Piece::Escaped('*'),
            "?" => Piece::Escaped('?'),
            "$" => Piece::Escaped('$'),
            inside => Piece::Variable(Variable::read(inside).ok_or_else(|| BadVariable(inside.to_owned()))?),
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.into()));
    }
    Ok(pieces)
}

fn next_variable(text: &str) -> Option<(&str, &str, &str)> {
    let start = text.find("${")?;
    let inside = &text[start + 2..];
    // The closing brace is the first one outside quotes, since a default may hold any other character.
    let mut quoted = false;
    let end = inside.bytes().position(|byte| match byte {
        b'\'' => {
            quoted = !quoted;
            false
        }
        b'}' => !quoted,
        _ => false,
    })?;
    Some((&text[..start], &inside[..end], &inside[end + 1..]))
}

/// Resolves `pieces` into the elements of a pattern.
pub(crate) fn resolve_tokens<'a>(
    pieces: &'a [Piece],
    scope: Scope<'a>,
) -> Result<Vec<Token>, Unresolved<'a>> {
    let mut tokens = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => tokens.extend(wild_tokens(text)),
            Piece::Escaped(character) => tokens.push(Token::Character(*character)),
            Piece::Variable(variable) => tokens.extend(literal_tokens(&variable.resolve(scope)?)),
        }
    }
    Ok(tokens)
}

/// The elements of a pattern without variables, or `None` if it has some.
fn fixed_tokens(pieces: &[Piece]) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => tokens.extend(wild_tokens(text)),
            Piece::Escaped(character) => tokens.push(Token::Character(*character)),
            Piece::Variable(_) => return None,
        }
    }
    Some(tokens)
}

/// The first variable among `pieces` that does not resolve.
pub(crate) fn first_unresolved<'a>(pieces: &'a [Piece], scope: Scope<'a>) -> Option<Unresolved<'a>> {
    pieces.iter().find_map(|piece| match piece {
        Piece::Variable(variable) => variable.resolve(scope).err(),
        Piece::Text(_) | Piece::Escaped(_) => None,
    })
}

/// A text with live wildcards, and variables if the version has them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Pattern {
    Fixed(Glob),
    Varying(Box<[Piece]>),
}

impl Pattern {
    pub(crate) fn new(text: &str, with_variables: bool) -> Result<Pattern, BadVariable> {
        if !with_variables || !text.contains("${") {
            return Ok(Pattern::Fixed(Glob::new(text)));
        }
        let pieces = pieces(text)?;
        Ok(match fixed_tokens(&pieces) {
            Some(tokens) => Pattern::Fixed(Glob::from_tokens(tokens)),
            None => Pattern::Varying(pieces.into()),
        })
    }

    #[inline]
    pub(crate) fn matches<'a>(&'a self, text: &str, scope: Scope<'a>) -> Result<bool, Unresolved<'a>> {
        match self {
            Pattern::Fixed(glob) => Ok(glob.matches(text)),
            Pattern::Varying(pieces) => matches_resolved(pieces, text, scope),
        }
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        match self {
            Pattern::Fixed(_) => &[],
            Pattern::Varying(pieces) => pieces,
        }
    }
}

/// Out of line, so that patterns without variables are compared in place.
#[inline(never)]
fn matches_resolved<'a>(pieces: &'a [Piece], text: &str, scope: Scope<'a>) -> Result<bool, Unresolved<'a>> {
    Ok(Glob::from_tokens(resolve_tokens(pieces, scope)?).matches(text))
}

/// A text without wildcards, and with variables if the version has them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Template {
    Fixed(Box<str>),
    Varying(Box<[Piece]>),
}

impl Template {
    pub(crate) fn new(text: &str, with_variables: bool) -> Result<Template, BadVariable> {
        if !with_variables || !text.contains("${") {
            return Ok(Template::Fixed(text.into()));
        }
        let pieces = pieces(text)?;
        let fixed: Option<String> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => Some(text.to_string()),
                Piece::Escaped(character) => Some(character.to_string()),
                Piece::Variable(_) => None,
            })
            .collect();
        Ok(match fixed {
            Some(text) => Template::Fixed(text.into()),
            None => Template::Varying(pieces.into()),
        })
    }

    pub(crate) fn resolve<'a>(&'a self, scope: Scope<'a>) -> Result<Cow<'a, str>, Unresolved<'a>> {
        match self {
            Template::Fixed(text) => Ok(Cow::Borrowed(text)),
            Template::Varying(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(part) => text.push_str(part),
                        Piece::Escaped(character) => text.push(*character),
                        Piece::Variable(variable) => text.push_str(&variable.resolve(scope)?),
                    }
                }
                Ok(Cow::Owned(text))
            }
        }
    }

    /// Whether it resolves to `text`.
    pub(crate) fn is<'a>(&'a self, text: &str, scope: Scope<'a>) -> Result<bool, Unresolved<'a>> {
        let pieces = match self {
            Template::Fixed(fixed) => return Ok(**fixed == *text),
            Template::Varying(pieces) => pieces,
        };
        // Every variable is resolved, also behind the first difference: one
        // that does not resolve is another answer than `false`.
        let mut rest = Some(text);
        for piece in pieces {
            rest = match piece {
                Piece::Text(part) => rest.and_then(|rest| rest.strip_prefix(&**part)),
                Piece::Escaped(character) => rest.and_then(|rest| rest.strip_prefix(*character)),
                Piece::Variable(variable) => {
                    let value = variable.resolve(scope)?;
                    rest.and_then(|rest| rest.strip_prefix(&*value))
                }
            };
        }
        Ok(rest == Some(""))
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        match self {
            Template::Fixed(_) => &[],
            Template::Varying(pieces) => pieces,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Principal, Value};

    fn check(pattern: &str, text: &str, with_variables: bool) -> Option<bool> {
        let principal = Principal::anonymous();
        let mut context = Context::new();
        context
            .insert("x:star", "*")
            .insert("x:name", "bob")
            .insert("x:several", ["a", "b"].into_iter().collect::<Value<'_>>());
        let scope = Scope {
            principal: &principal,
            context: &context,
        };
        let pattern = Pattern::new(pattern, with_variables).unwrap();
        pattern.matches(text, scope).ok()
    }

    #[test]
    fn variables_bring_in_literal_text() {
        assert_eq!(check("home/${x:name}/*", "home/bob/file", true), Some(true));
        assert_eq!(check("home/${X:NAME}/*", "home/eve/file", true), Some(false));
        assert_eq!(check("home/${x:star}/f", "home/bob/f", true), Some(false));
        assert_eq!(check("home/${x:star}/f", "home/*/f", true), Some(true));
    }

    #[test]
    fn absent_and_multivalued_keys_do_not_resolve_unless_defaulted() {
        assert_eq!(check("${x:absent}", "", true), None);
        assert_eq!(check("${x:several}", "a", true), None);
        assert_eq!(check("${x:absent, 'every}one'}", "every}one", true), Some(true));
        assert_eq!(check("${x:absent,'*'}", "bob", true), Some(false));
        assert_eq!(check("${x:name, 'eve'}", "bob", true), Some(true));
    }

    #[test]
    fn escapes_are_characters() {
        assert_eq!(check("a${*}b${?}c${$}{x}", "a*b?c${x}", true), Some(true));
        assert_eq!(check("a${*}b", "axxb", true), Some(false));
    }

    #[test]
    fn the_old_version_has_no_variables() {
        assert_eq!(check("${x:name}", "${x:name}", false), Some(true));
        assert_eq!(check("${x:name}", "bob", false), Some(false));
        assert_eq!(check("${*}", "${anything}", false), Some(true));
    }

    #[test]
    fn refuses_what_is_no_variable_and_takes_an_unclosed_one_as_text() {
        for text in ["${}", "${a b}", "${a, default}", "${,'x'}", "${${a}}", "${a*}"] {
            assert!(pieces(text).is_err(), "{text}");
        }
        assert_eq!(pieces("${a,'b}").unwrap(), [Piece::Text("${a,'b}".into())]);
        assert_eq!(pieces("${open").unwrap(), [Piece::Text("${open".into())]);
    }
}

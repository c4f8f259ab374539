//! Whether one part of a policy takes in another: every request the other
//! applies to, it applies to as well.
//!
//! The answer errs on one side: a yes is certain, a no may be a yes that was
//! too hard to see. So what is called dead is dead.

use std::collections::BTreeSet;

use crate::condition::Condition;
use crate::named::{Named, NamedClause};
use crate::statement::{Clause, Resources, Statement};
use crate::variable::{Piece, pieces};

/// One element of a pattern as text, with a variable as one indivisible element.
#[derive(Debug, Clone, PartialEq)]
enum Symbol {
    Character(char),
    One,
    Many,
    Variable(String),
}

fn symbols(text: &str, with_variables: bool) -> Vec<Symbol> {
    let wild = |text: &str| -> Vec<Symbol> {
        text.chars()
            .map(|character| match character {
                '*' => Symbol::Many,
                '?' => Symbol::One,
                other => Symbol::Character(other),
            })
            .collect()
    };
    let Some(pieces) = with_variables.then(|| pieces(text).ok()).flatten() else {
        return wild(text);
    };
    let mut symbols = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => symbols.extend(wild(&text)),
            Piece::Escaped(character) => symbols.push(Symbol::Character(character)),
            Piece::Variable(variable) => symbols.push(Symbol::Variable(format!("{variable:?}"))),
        }
    }
    symbols
}

/// Whether every text of `inner` is one of `outer`: as if `inner` were a text
/// whose wildcards and variables are letters that only a star takes in.
fn covers(outer: &[Symbol], inner: &[Symbol]) -> bool {
    let takes = |outer: &Symbol, inner: &Symbol| match (outer, inner) {
        (Symbol::One, Symbol::Character(_) | Symbol::One) => true,
        (outer, inner) => outer == inner,
    };
    // The usual walk with one star to come back to.
    let (mut at, mut inner_at) = (0, 0);
    let mut star = None;
    while inner_at < inner.len() {
        match outer.get(at) {
            Some(Symbol::Many) => {
                star = Some((at, inner_at));
                at += 1;
            }
            Some(symbol) if takes(symbol, &inner[inner_at]) => {
                at += 1;
                inner_at += 1;
            }
            Some(_) | None => {
                let Some((star_at, taken)) = star else {
                    return false;
                };
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                inner_at = taken + 1;
            }
        }
    }
    outer[at..].iter().all(|symbol| *symbol == Symbol::Many)
}

/// Whether the action pattern `outer` takes in `inner`.
pub(super) fn action(outer: &str, inner: &str) -> bool {
    let fold = |text: &str| symbols(&text.to_ascii_lowercase(), false);
    covers(&fold(outer), &fold(inner))
}

/// Whether the resource pattern `outer` takes in `inner`.
pub(super) fn resource(outer: &str, inner: &str, with_variables: bool) -> bool {
    if outer == "*" {
        return true;
    }
    if inner == "*" {
        return false;
    }
    let (outer, inner) = (fields(outer), fields(inner));
    outer
        .iter()
        .zip(inner.iter())
        .enumerate()
        .all(|(number, (outer, inner))| {
            // Variables live in the last field alone.
            let with_variables = with_variables && number == 5;
            covers(&symbols(outer, with_variables), &symbols(inner, with_variables))
        })
}

/// Whether the pattern of a string operator takes in `text`; `literal` if the
/// latter's wildcards stand for themselves.
pub(super) fn text(outer: &str, inner: &str, literal: bool) -> bool {
    let outer = symbols(outer, true);
    let inner = if literal {
        inner.chars().map(Symbol::Character).collect()
    } else {
        symbols(inner, true)
    };
    covers(&outer, &inner)
}

/// The six fields of an ARN; those left out are stars.
fn fields(text: &str) -> [&str; 6] {
    let mut fields = ["*"; 6];
    for (field, part) in fields.iter_mut().zip(text.splitn(6, ':')) {
        *field = part;
    }
    fields
}

/// Whether `outer` applies wherever `inner` does; their effects do not matter.
pub(super) fn statement(outer: &Statement, inner: &Statement, with_variables: bool) -> bool {
    let (Some(outer_actions), Some(inner_actions)) = (&outer.actions, &inner.actions) else {
        return false;
    };
    clause(outer_actions, inner_actions, |outer, inner| {
        action(&outer.text, &inner.text)
    }) && resources(&outer.resources, &inner.resources, with_variables)
        && principals(&outer.named, &inner.named)
        && conditions(&outer.conditions, &inner.conditions)
}

fn clause<T>(outer: &Clause<T>, inner: &Clause<T>, covers: impl Fn(&T, &T) -> bool) -> bool {
    let (wide, narrow) = match (outer.negated, inner.negated) {
        (false, false) => (outer, inner),
        // What is left out shrinks as what applies grows.
        (true, true) => (inner, outer),
        // All, or nothing certain.
        (false, true) | (true, false) => return false,
    };
    narrow
        .patterns
        .iter()
        .all(|narrow| wide.patterns.iter().any(|wide| covers(wide, narrow)))
}

fn resources(outer: &Resources, inner: &Resources, with_variables: bool) -> bool {
    match (outer, inner) {
        (Resources::Implied, Resources::Implied) => true,
        (Resources::Listed(outer), Resources::Listed(inner)) => {
            let everything = !outer.negated && outer.patterns.iter().any(|pattern| &*pattern.text == "*");
            everything
                || clause(outer, inner, |outer, inner| {
                    resource(&outer.text, &inner.text, with_variables)
                })
        }
        _ => false,
    }
}

fn principals(outer: &NamedClause, inner: &NamedClause) -> bool {
    match (outer, inner) {
        (NamedClause::Absent, NamedClause::Absent) => true,
        (NamedClause::Principal(outer), NamedClause::Principal(inner)) => {
            outer.contains(&Named::Everyone) || inner.iter().all(|inner| outer.contains(inner))
        }
        (outer, inner) => outer == inner,
    }
}

/// Whether all that `outer` asks, `inner` asks too.
fn conditions(outer: &[Condition], inner: &[Condition]) -> bool {
    outer
        .iter()
        .all(|outer| inner.iter().any(|inner| same_condition(outer, inner)))
}

fn same_condition(one: &Condition, other: &Condition) -> bool {
    let texts =
        |condition: &'_ Condition| -> BTreeSet<Box<str>> { condition.texts.iter().cloned().collect() };
    one.operator == other.operator && one.key.is_named(&other.key) && texts(one) == texts(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_pattern_takes_in_a_narrower_one_and_not_the_reverse() {
        for (outer, inner) in [
            ("*", "kms:Encrypt"),
            ("kms:*", "KMS:Enc*"),
            ("kms:*crypt", "kms:En*crypt"),
            ("kms:?ncrypt", "kms:encrypt"),
            ("s3:Get*", "s3:GetObject*"),
        ] {
            assert!(action(outer, inner), "{outer} {inner}");
            assert!(!action(inner, outer), "{inner} {outer}");
        }
        assert!(action("kms:a?*", "kms:a?b*"));
        assert!(!action("kms:a?", "kms:a*"));
        assert!(!action("kms:Encrypt", "kms:Decrypt"));
    }

    #[test]
    fn resources_are_taken_in_field_by_field() {
        let yes = |outer, inner| assert!(resource(outer, inner, true), "{outer} {inner}");
        let no = |outer, inner| assert!(!resource(outer, inner, true), "{outer} {inner}");
        yes("*", "arn:aws:s3:::b");
        no("arn:aws:s3:::*", "*");
        yes("arn:aws:s3:::*", "arn:aws:s3:::b/x:y");
        yes("arn:aws:sqs", "arn:aws:sqs:eu-west-1:1:q");
        no("arn:aws:kms:*:1:*", "arn:aws:kms:eu-west-1:*:key/1");
        yes("arn:aws:s3:::b/*", "arn:aws:s3:::b/${aws:username}");
        yes("arn:aws:s3:::${aws:username}/*", "arn:aws:s3:::${aws:username}/a");
        no("arn:aws:s3:::b/???????????????", "arn:aws:s3:::b/${aws:username}");
        no("arn:aws:s3:::b/*}", "arn:aws:s3:::b/${aws:username}");
        no("arn:aws:s3:::b/${aws:username}", "arn:aws:s3:::b/x");
        no("arn:aws:s3:::b/a*", "arn:aws:s3:::b/*");
        yes("arn:aws:s3:::b/?", "arn:aws:s3:::b/${*}");
    }
}

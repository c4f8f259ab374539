//! Tag policies: what one may say, and what those on the way from root to
//! account say together.
//!
//! A policy sets values by operators: `@@assign` replaces what the levels above
//! say, `@@append` adds to it, `@@remove` takes away. A level may take
//! operators from those below it by `@@operators_allowed_for_child_policies`,
//! on a value, on a tag or on all tags; nobody below can give them back, and
//! what uses one all the same is passed over (Organizations User Guide,
//! "Understanding policy inheritance", "Policy syntax and inheritance for
//! management policy types").
//!
//! Policies of one level are taken in the order of their ids. Pure, and public
//! for its fuzz target.
//! Absent by design: enforcement; a tag policy is kept and computed here.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The text is no tag policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

const ASSIGN: &str = "@@assign";
const APPEND: &str = "@@append";
const REMOVE: &str = "@@remove";
const ALLOWED: &str = "@@operators_allowed_for_child_policies";

/// What a tag policy says of a tag, and whether it is a single word.
const FIELDS: [(&str, bool); 4] = [
    ("enforced_for", false),
    ("report_required_tag_for", false),
    ("tag_key", true),
    ("tag_value", false),
];

/// The operators that levels below may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Operators {
    assign: bool,
    append: bool,
    remove: bool,
}

impl Operators {
    const NONE: Operators = Operators {
        assign: false,
        append: false,
        remove: false,
    };
    const ALL: Operators = Operators {
        assign: true,
        append: true,
        remove: true,
    };

    fn parse(value: &Value) -> Result<Operators, Malformed> {
        let mut allowed = Operators::NONE;
        for name in words(value)? {
            match name {
                "@@all" => allowed = Operators::ALL,
                "@@none" => {}
                ASSIGN => allowed.assign = true,
                APPEND => allowed.append = true,
                REMOVE => allowed.remove = true,
                _ => return Err(Malformed),
            }
        }
        Ok(allowed)
    }

    fn and(self, other: Operators) -> Operators {
        Operators {
            assign: self.assign && other.assign,
            append: self.append && other.append,
            remove: self.remove && other.remove,
        }
    }
}

/// One value as a policy sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting {
    assign: Option<Vec<String>>,
    append: Vec<String>,
    remove: Vec<String>,
}

/// A policy, read: by tag and field; and what it takes from those below, by
/// path (no tag: all of them; no field: all of the tag's).
#[derive(Debug, Default)]
struct Read {
    settings: BTreeMap<(String, &'static str), Setting>,
    allowed: Vec<(Option<String>, Option<&'static str>, Operators)>,
}

/// Whether the text is a tag policy.
///
/// # Errors
///
/// [`Malformed`] if it is none.
pub fn check(content: &str) -> Result<(), Malformed> {
    read(content).map(|_| ())
}

fn read(content: &str) -> Result<Read, Malformed> {
    let whole: Value = serde_json::from_str(content).map_err(|_| Malformed)?;
    let whole = whole.as_object().ok_or(Malformed)?;
    let mut read = Read::default();
    for (name, tags) in whole {
        if name != "tags" {
            return Err(Malformed);
        }
        for (tag, fields) in tags.as_object().ok_or(Malformed)? {
            if tag == ALLOWED {
                read.allowed.push((None, None, Operators::parse(fields)?));
                continue;
            }
            if tag.starts_with("@@") || tag.is_empty() {
                return Err(Malformed);
            }
            for (field, operators) in fields.as_object().ok_or(Malformed)? {
                if field == ALLOWED {
                    let allowed = Operators::parse(operators)?;
                    read.allowed.push((Some(tag.clone()), None, allowed));
                    continue;
                }
                let known = FIELDS.iter().find(|(known, _)| known == field);
                let (field, single) = *known.ok_or(Malformed)?;
                let operators = operators.as_object().ok_or(Malformed)?;
                let setting = setting(operators, single)?;
                if let Some(allowed) = operators.get(ALLOWED) {
                    let allowed = Operators::parse(allowed)?;
                    read.allowed.push((Some(tag.clone()), Some(field), allowed));
                }
                read.settings.insert((tag.clone(), field), setting);
            }
        }
    }
    Ok(read)
}

fn setting(operators: &Map<String, Value>, single: bool) -> Result<Setting, Malformed> {
    let mut setting = Setting {
        assign: None,
        append: Vec::new(),
        remove: Vec::new(),
    };
    for (operator, value) in operators {
        let values = || -> Result<Vec<String>, Malformed> {
            Ok(words(value)?.into_iter().map(str::to_owned).collect())
        };
        match (operator.as_str(), single) {
            (ASSIGN, true) => setting.assign = Some(vec![value.as_str().ok_or(Malformed)?.to_owned()]),
            (ASSIGN, false) => setting.assign = Some(values()?),
            (APPEND, false) => setting.append = values()?,
            (REMOVE, false) => setting.remove = values()?,
            (ALLOWED, _) => {}
            _ => return Err(Malformed),
        }
    }
    Ok(setting)
}

fn words(value: &Value) -> Result<Vec<&str>, Malformed> {
    let words = value.as_array().ok_or(Malformed)?.iter();
    words.map(|word| word.as_str().ok_or(Malformed)).collect()
}

/// What the policies of `levels`, from the root down, say together; `None` if
/// there is no policy.
///
/// # Errors
///
/// [`Malformed`] if one is no tag policy.
pub fn effective(levels: &[Vec<&str>]) -> Result<Option<Value>, Malformed> {
    if levels.iter().all(Vec::is_empty) {
        return Ok(None);
    }
    let mut values: BTreeMap<(String, &'static str), Vec<String>> = BTreeMap::new();
    let mut above: Vec<(Option<String>, Option<&'static str>, Operators)> = Vec::new();
    for level in levels {
        let mut taken = Vec::new();
        for content in level {
            let read = read(content)?;
            for (key, setting) in read.settings {
                let allowed = allowed(&above, &key);
                apply(&mut values, &key, setting, allowed);
            }
            taken.extend(read.allowed);
        }
        above.extend(taken);
    }
    let mut tags: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for ((tag, field), values) in values {
        let single = FIELDS.iter().any(|(known, single)| *known == field && *single);
        let told = match (single, values.first()) {
            (true, Some(word)) => json!(word),
            (true, None) => continue,
            (false, _) => json!(values),
        };
        tags.entry(tag).or_default().insert(field.to_owned(), told);
    }
    Ok(Some(json!({ "tags": tags })))
}

fn allowed(
    above: &[(Option<String>, Option<&'static str>, Operators)],
    key: &(String, &'static str),
) -> Operators {
    let bears = |tag: &Option<String>, field: &Option<&'static str>| {
        tag.as_ref().is_none_or(|tag| *tag == key.0) && field.is_none_or(|field| field == key.1)
    };
    above
        .iter()
        .filter(|(tag, field, _)| bears(tag, field))
        .fold(Operators::ALL, |all, (_, _, operators)| all.and(*operators))
}

fn apply(
    values: &mut BTreeMap<(String, &'static str), Vec<String>>,
    key: &(String, &'static str),
    setting: Setting,
    allowed: Operators,
) {
    if let Some(assigned) = setting.assign
        && allowed.assign
    {
        values.insert(key.clone(), assigned);
    }
    if allowed.append && !setting.append.is_empty() {
        let known = values.entry(key.clone()).or_default();
        for value in setting.append {
            if !known.contains(&value) {
                known.push(value);
            }
        }
    }
    if allowed.remove
        && let Some(known) = values.get_mut(key)
    {
        known.retain(|value| !setting.remove.contains(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colours(operators: &str) -> String {
        format!(r#"{{"tags":{{"color":{{"tag_key":{{"@@assign":"Color"}},"tag_value":{operators}}}}}}}"#)
    }

    fn values(levels: &[&[String]]) -> Value {
        let levels: Vec<Vec<&str>> = levels
            .iter()
            .map(|level| level.iter().map(String::as_str).collect())
            .collect();
        effective(&levels).unwrap().unwrap()["tags"]["color"]["tag_value"].clone()
    }

    #[test]
    fn levels_below_replace_add_and_take_away() {
        let root = [colours(r#"{"@@assign":["red","green"]}"#)];
        assert_eq!(values(&[&root]), json!(["red", "green"]));
        let replace = [colours(r#"{"@@assign":["blue"]}"#)];
        assert_eq!(values(&[&root, &replace]), json!(["blue"]));
        let add = [colours(r#"{"@@append":["blue","red"]}"#)];
        assert_eq!(values(&[&root, &[], &add]), json!(["red", "green", "blue"]));
        let remove = [colours(r#"{"@@remove":["red"]}"#)];
        assert_eq!(values(&[&root, &add, &remove]), json!(["green", "blue"]));
    }

    #[test]
    fn what_a_level_takes_nobody_below_gives_back() {
        let only_append = [colours(
            r#"{"@@assign":["red"],"@@operators_allowed_for_child_policies":["@@append"]}"#,
        )];
        let replace = [colours(
            r#"{"@@assign":["blue"],"@@append":["green"],"@@operators_allowed_for_child_policies":["@@all"]}"#,
        )];
        assert_eq!(values(&[&only_append, &replace]), json!(["red", "green"]));
        assert_eq!(
            values(&[&only_append, &replace, &replace]),
            json!(["red", "green"])
        );
        let closed =
            [r#"{"tags":{"@@operators_allowed_for_child_policies":["@@none"],"color":{"tag_value":{"@@assign":["red"]}}}}"#
                .to_owned()];
        assert_eq!(values(&[&closed, &replace]), json!(["red"]));
    }

    #[test]
    fn the_whole_is_told_without_operators() {
        let one = colours(r#"{"@@assign":["red"]}"#);
        let told = effective(&[vec![&one]]).unwrap().unwrap();
        assert_eq!(
            told,
            json!({"tags": {"color": {"tag_key": "Color", "tag_value": ["red"]}}})
        );
        assert_eq!(effective(&[vec![], vec![]]), Ok(None));
    }

    #[test]
    fn what_is_no_tag_policy_is_refused() {
        for text in [
            "",
            "[]",
            r#"{"backup":{}}"#,
            r#"{"tags":[]}"#,
            r#"{"tags":{"color":{"tag_value":["red"]}}}"#,
            r#"{"tags":{"color":{"tag_value":{"@@assign":"red"}}}}"#,
            r#"{"tags":{"color":{"tag_key":{"@@append":["Color"]}}}}"#,
            r#"{"tags":{"color":{"unknown":{"@@assign":["red"]}}}}"#,
            r#"{"tags":{"color":{"tag_value":{"@@operators_allowed_for_child_policies":["@@some"]}}}}"#,
        ] {
            assert_eq!(check(text), Err(Malformed), "{text}");
        }
        assert_eq!(check(r#"{"tags":{}}"#), Ok(()));
    }
}

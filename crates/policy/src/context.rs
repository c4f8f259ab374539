//! The facts about a request that conditions and variables ask for.
//!
//! Keys compare without regard to case, also in the part after the slash
//! (`aws:RequestTag/Team`). Absent means absent: a key that AWS would leave out
//! must not be given an empty value, or `Null` and the negated operators turn
//! round.
//!
//! Absent by design: the keys that follow from who asks (`aws:PrincipalArn`
//! and kin). [`crate::Principal`] answers those, and nothing put here can
//! contradict it.

use std::borrow::Cow;
use std::net::IpAddr;

use ground::Timestamp;

use crate::principal::{OwnKey, Principal};

/// The value of one condition key in one request.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Text: also ARNs, and numbers or dates that arrived as text.
    Text(Cow<'a, str>),
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A moment: seen by the date operators, as epoch seconds by the numeric
    /// ones, and as ISO 8601 in whole seconds by the string ones.
    Date(Timestamp),
    /// A network address.
    Ip(IpAddr),
    /// The values of a multivalued key (`aws:TagKeys`); empty is as absent.
    Many(Vec<Cow<'a, str>>),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Value<'a> {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Value::Bool(flag)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Integer(number)
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(moment: Timestamp) -> Self {
        Value::Date(moment)
    }
}

impl From<IpAddr> for Value<'_> {
    fn from(address: IpAddr) -> Self {
        Value::Ip(address)
    }
}

impl<'a, T: Into<Cow<'a, str>>> FromIterator<T> for Value<'a> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Value<'a> {
        Value::Many(values.into_iter().map(Into::into).collect())
    }
}

/// Condition keys and their values, as the door and the service found them.
///
/// A few dozen at most, so they are kept in a row and searched in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Context<'a> {
    entries: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> Context<'a> {
    /// A context that says nothing.
    pub const fn new() -> Context<'a> {
        Context { entries: Vec::new() }
    }

    /// A context with room for `keys` keys.
    pub fn with_capacity(keys: usize) -> Context<'a> {
        Context {
            entries: Vec::with_capacity(keys),
        }
    }

    /// States `key`, in place of what was said of it before.
    ///
    /// A key that is already in lower case costs nothing to take.
    pub fn insert(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Value<'a>>) -> &mut Context<'a> {
        let key = fold(key.into());
        let value = value.into();
        match self.entries.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => self.entries.push((key, value)),
        }
        self
    }

    /// States `key` if there is a value; says nothing otherwise.
    pub fn insert_if_known(
        &mut self,
        key: impl Into<Cow<'a, str>>,
        value: Option<impl Into<Value<'a>>>,
    ) -> &mut Context<'a> {
        if let Some(value) = value {
            self.insert(key, value);
        }
        self
    }

    /// What is said of `key`, in any case.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.get_folded(&fold(Cow::Borrowed(key)))
    }

    /// Every key, in lower case, and its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.entries.iter().map(|(key, value)| (&**key, value))
    }

    pub(crate) fn get_folded(&self, folded: &str) -> Option<&Value<'a>> {
        self.entries
            .iter()
            .find(|(key, _)| key == folded)
            .map(|(_, value)| value)
    }
}

/// The spelling in which keys are compared.
fn fold(key: Cow<'_, str>) -> Cow<'_, str> {
    if key
        .bytes()
        .all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase())
    {
        key
    } else {
        Cow::Owned(key.to_lowercase())
    }
}

/// A condition key as a policy names it, ready to be looked up.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) text: Box<str>,
    folded: Box<str>,
    own: Option<OwnKey>,
}

impl Key {
    pub(crate) fn new(text: &str) -> Key {
        let folded = fold(Cow::Borrowed(text));
        Key {
            text: text.into(),
            own: OwnKey::named(&folded),
            folded: folded.into(),
        }
    }
}

/// All that can be known while one request is judged.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) context: &'a Context<'a>,
}

impl<'a> Scope<'a> {
    /// The value of `key`: as the principal has it, else as the request has it.
    pub(crate) fn look_up(self, key: &Key) -> Option<Seen<'a>> {
        let seen = match key.own {
            Some(own) => self.principal.own(own)?,
            None => match self.principal.keys().get_folded(&key.folded) {
                Some(value) => Seen::of(value),
                None => Seen::of(self.context.get_folded(&key.folded)?),
            },
        };
        match seen {
            Seen::Many([]) => None,
            seen => Some(seen),
        }
    }
}

/// A borrowed [`Value`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Seen<'a> {
    One(Single<'a>),
    Many(&'a [Cow<'a, str>]),
}

/// A value that is not a list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Single<'a> {
    Text(&'a str),
    Bool(bool),
    Integer(i64),
    Date(Timestamp),
    Ip(IpAddr),
}

impl<'a> Seen<'a> {
    fn of(value: &'a Value<'_>) -> Seen<'a> {
        match value {
            Value::Text(text) => Seen::One(Single::Text(text)),
            Value::Bool(flag) => Seen::One(Single::Bool(*flag)),
            Value::Integer(number) => Seen::One(Single::Integer(*number)),
            Value::Date(moment) => Seen::One(Single::Date(*moment)),
            Value::Ip(address) => Seen::One(Single::Ip(*address)),
            Value::Many(values) => Seen::Many(values),
        }
    }

    /// The values, one after the other.
    pub(crate) fn singles(self) -> impl Iterator<Item = Single<'a>> {
        let (one, many) = match self {
            Seen::One(single) => (Some(single), [].as_slice()),
            Seen::Many(values) => (None, values),
        };
        one.into_iter().chain(many.iter().map(|text| Single::Text(text)))
    }

    /// Whether nothing but empty text is here, which set operators and `Null` take as absent.
    pub(crate) fn is_blank(self) -> bool {
        self.singles().all(|single| single == Single::Text(""))
    }
}

impl<'a> Single<'a> {
    /// As the string operators and variables see it.
    pub(crate) fn text(self) -> Cow<'a, str> {
        match self {
            Single::Text(text) => Cow::Borrowed(text),
            Single::Bool(true) => Cow::Borrowed("true"),
            Single::Bool(false) => Cow::Borrowed("false"),
            Single::Integer(number) => Cow::Owned(number.to_string()),
            Single::Date(moment) => Cow::Owned(moment.iso8601_seconds()),
            Single::Ip(address) => Cow::Owned(address.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_compare_without_case_and_the_last_word_counts() {
        let mut context = Context::new();
        context
            .insert("aws:RequestTag/Équipe", "a")
            .insert("AWS:requesttag/équipe", "b");
        assert_eq!(context.get("aws:requestTAG/ÉQUIPE"), Some(&"b".into()));
        assert_eq!(context.iter().count(), 1);
        assert_eq!(context.get("aws:requesttag/other"), None);
    }

    #[test]
    fn an_empty_list_is_absent() {
        let mut context = Context::new();
        context.insert(
            "aws:TagKeys",
            Vec::<String>::new().into_iter().collect::<Value<'_>>(),
        );
        let principal = Principal::anonymous();
        let scope = Scope {
            principal: &principal,
            context: &context,
        };
        assert_eq!(scope.look_up(&Key::new("aws:TagKeys")), None);
    }
}

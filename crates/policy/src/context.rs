//! The facts about a request that conditions and variables ask for.
//!
//! Keys compare without regard to case, also in the part after the slash
//! (`aws:RequestTag/Team`). Absent means absent: a key that AWS would leave out
//! must not be given an empty value, or `Null` and the negated operators turn
//! round.
//!
//! A context is made for every call, mostly to be asked two or three things. So
//! making it costs one allocation for all keys: names that are constants are
//! borrowed, and a value is turned into text only when a statement reads it.
//!
//! Absent by design: the keys that follow from who asks (`aws:PrincipalArn`
//! and kin). [`crate::Principal`] answers those, and nothing put here can
//! contradict it.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use ground::{AccountId, Region, Timestamp};

use crate::limits::CONTEXT_KEYS_EXPECTED;
use crate::principal::{OwnKey, Principal};

/// The value of one condition key in one request.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Text: also ARNs, and numbers or dates that arrived as text.
    Text(Cow<'a, str>),
    /// Text that others hold too, such as the user agent of the connection.
    Shared(Arc<str>),
    /// Where the key is a region.
    Region(Region),
    /// Where the key is an account: its twelve digits.
    Account(AccountId),
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

impl Value<'_> {
    /// Every value as the string operators see it.
    pub fn texts(&self) -> impl Iterator<Item = Cow<'_, str>> {
        Seen::of(self).singles().map(Single::text)
    }
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

impl From<Arc<str>> for Value<'_> {
    fn from(text: Arc<str>) -> Self {
        Value::Shared(text)
    }
}

impl From<Region> for Value<'_> {
    fn from(region: Region) -> Self {
        Value::Region(region)
    }
}

impl From<AccountId> for Value<'_> {
    fn from(account: AccountId) -> Self {
        Value::Account(account)
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
/// A few dozen at most, so they are kept in a row. Each has a [`Tag`], and the
/// [`Register`] says where the first of a tag stands: a key is mostly found,
/// or known to be absent, at once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Context<'a> {
    /// What many requests have in common; an entry of its own goes before it.
    facts: Option<Arc<Context<'static>>>,
    entries: Vec<Entry<'a>>,
    register: Register,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry<'a> {
    tag: Tag,
    key: Cow<'a, str>,
    value: Value<'a>,
}

impl<'a> Context<'a> {
    /// A context that says nothing.
    pub const fn new() -> Context<'a> {
        Context {
            facts: None,
            entries: Vec::new(),
            register: Register::EMPTY,
        }
    }

    /// Adds what is known of a resource, say, and shared by many requests. What
    /// this context states of the same key itself goes before it.
    pub fn rest_on(&mut self, facts: Arc<Context<'static>>) -> &mut Context<'a> {
        // There is one level of shared facts; whatever was below becomes this context's own.
        let own = self.facts.take().into_iter().chain(facts.facts.clone());
        for below in own {
            for (key, value) in below.iter() {
                if self.get(key).is_none() && facts.get(key).is_none() {
                    self.insert(key.to_owned(), value.clone());
                }
            }
        }
        self.facts = Some(facts);
        self
    }

    /// A context with room for `keys` keys.
    pub fn with_capacity(keys: usize) -> Context<'a> {
        Context {
            facts: None,
            entries: Vec::with_capacity(keys),
            register: Register::EMPTY,
        }
    }

    /// States `key`, in place of what was said of it before.
    ///
    /// A [`KeyName`] that is a constant costs nothing to take, and a key that is
    /// already in lower case little.
    pub fn insert(&mut self, key: impl Into<KeyName<'a>>, value: impl Into<Value<'a>>) -> &mut Context<'a> {
        let KeyName { tag, key } = key.into();
        let value = value.into();
        if let Some(at) = self.position(tag, &key) {
            self.entries[at].value = value;
            return self;
        }
        if self.entries.is_empty() {
            self.entries.reserve(CONTEXT_KEYS_EXPECTED);
        }
        self.register.add(tag, self.entries.len());
        self.entries.push(Entry { tag, key, value });
        self
    }

    /// States `key` if there is a value; says nothing otherwise.
    pub fn insert_if_known(
        &mut self,
        key: impl Into<KeyName<'a>>,
        value: Option<impl Into<Value<'a>>>,
    ) -> &mut Context<'a> {
        if let Some(value) = value {
            self.insert(key, value);
        }
        self
    }

    /// What is said of `key`, in any case.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        let key = fold(Cow::Borrowed(key));
        self.find(Tag::of(&key), &key)
    }

    /// Every key, in lower case, and its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        let facts = self.facts.iter().flat_map(|facts| facts.entries.iter());
        let unchanged = facts.filter(|fact| self.position(fact.tag, &fact.key).is_none());
        self.entries
            .iter()
            .chain(unchanged)
            .map(|entry| (&*entry.key, &entry.value))
    }

    fn find(&self, tag: Tag, folded: &str) -> Option<&Value<'a>> {
        match self.position(tag, folded) {
            Some(at) => Some(&self.entries[at].value),
            None => self.facts.as_ref()?.find(tag, folded),
        }
    }

    pub(crate) fn look_up(&self, key: &Key) -> Option<&Value<'a>> {
        self.find(key.tag, &key.folded)
    }

    fn position(&self, tag: Tag, folded: &str) -> Option<usize> {
        let first = self.register.first(tag)?;
        let is_meant = |entry: &Entry<'a>| entry.tag == tag && *entry.key == *folded;
        let found = self.entries[first..].iter().position(is_meant)?;
        Some(first + found)
    }
}

/// The name of a condition key, ready to be stated: in lower case, and measured.
///
/// ```
/// const REGION: policy::KeyName<'static> = policy::KeyName::new("aws:requestedregion");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct KeyName<'a> {
    tag: Tag,
    key: Cow<'a, str>,
}

impl KeyName<'static> {
    /// The name of a key, for a constant.
    ///
    /// # Panics
    ///
    /// If it is not in lower case, and ASCII; where it is a constant, it does not compile.
    pub const fn new(name: &'static str) -> KeyName<'static> {
        let bytes = name.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            assert!(
                bytes[at].is_ascii() && !bytes[at].is_ascii_uppercase(),
                "the name of a key is in lower case"
            );
            at += 1;
        }
        KeyName {
            tag: Tag::of(name),
            key: Cow::Borrowed(name),
        }
    }
}

impl<'a> From<Cow<'a, str>> for KeyName<'a> {
    fn from(name: Cow<'a, str>) -> KeyName<'a> {
        let key = fold(name);
        KeyName {
            tag: Tag::of(&key),
            key,
        }
    }
}

impl<'a> From<&'a str> for KeyName<'a> {
    fn from(name: &'a str) -> KeyName<'a> {
        Cow::Borrowed(name).into()
    }
}

impl<'a> From<&'a String> for KeyName<'a> {
    fn from(name: &'a String) -> KeyName<'a> {
        name.as_str().into()
    }
}

impl From<String> for KeyName<'_> {
    fn from(name: String) -> Self {
        Cow::<str>::Owned(name).into()
    }
}

/// A number that two names seldom share: their length and their last four
/// bytes, which cost nothing to find. Equal names have equal tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tag(u64);

impl Tag {
    const fn of(folded: &str) -> Tag {
        let end = match folded.as_bytes().last_chunk::<4>() {
            Some(end) => u32::from_le_bytes(*end),
            None => 0,
        };
        Tag((folded.len() as u64) << 32 | end as u64)
    }
}

/// Where in a row of entries the first one stands whose tag falls into a
/// place; others of that place stand behind it.
#[derive(Debug, Clone, PartialEq)]
struct Register([u8; 64]);

impl Default for Register {
    fn default() -> Register {
        Register::EMPTY
    }
}

impl Register {
    const EMPTY: Register = Register([Register::NOTHING; 64]);

    /// Of a place that no tag fell into.
    const NOTHING: u8 = u8::MAX;

    /// The last position that is told apart: what stands there or behind is searched for from there.
    const LAST: usize = 254;

    /// The upper bits of a product by an odd constant depend on every bit of the tag.
    fn place(tag: Tag) -> usize {
        (tag.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58) as usize
    }

    fn add(&mut self, tag: Tag, position: usize) {
        let first = &mut self.0[Register::place(tag)];
        if *first == Register::NOTHING {
            *first = u8::try_from(position.min(Register::LAST)).unwrap_or(Register::NOTHING);
        }
    }

    /// Where to begin the search for a tag, if it can be there at all.
    fn first(&self, tag: Tag) -> Option<usize> {
        let first = self.0[Register::place(tag)];
        (first != Register::NOTHING).then_some(usize::from(first))
    }
}

/// The spelling in which keys are compared.
fn fold(key: Cow<'_, str>) -> Cow<'_, str> {
    // Without an early end, so that many bytes are looked at together.
    let differs = key.bytes().fold(false, |differs, byte| {
        differs | !byte.is_ascii() | byte.is_ascii_uppercase()
    });
    if differs {
        Cow::Owned(key.to_lowercase())
    } else {
        key
    }
}

/// A condition key as a policy names it, ready to be looked up.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) text: Box<str>,
    folded: Box<str>,
    tag: Tag,
    own: Option<OwnKey>,
}

impl Key {
    pub(crate) fn new(text: &str) -> Key {
        let folded = fold(Cow::Borrowed(text));
        Key {
            text: text.into(),
            own: OwnKey::named(&folded),
            tag: Tag::of(&folded),
            folded: folded.into(),
        }
    }

    /// Its name in lower case.
    pub(crate) fn folded(&self) -> &str {
        &self.folded
    }

    /// Whether it follows from who asks.
    pub(crate) fn is_principals(&self) -> bool {
        self.own.is_some()
    }

    /// Whether both name one key.
    pub(crate) fn is_named(&self, other: &Key) -> bool {
        self.folded == other.folded
    }
}

/// All that can be known while one request is judged.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) context: &'a Context<'a>,
}

impl<'a> Scope<'a> {
    /// What was said of a key that does not follow from who asks. Out of line:
    /// what is asked again and again is remembered.
    #[inline(never)]
    pub(crate) fn said(self, key: &Key) -> Option<&'a Value<'a>> {
        if key.own.is_some() {
            return None;
        }
        let of_principal = self.principal.keys();
        match of_principal.entries.is_empty() && of_principal.facts.is_none() {
            true => self.context.look_up(key),
            false => of_principal.look_up(key).or_else(|| self.context.look_up(key)),
        }
    }

    /// The value of `key`: as the principal has it, else as the request has it.
    pub(crate) fn look_up(self, key: &Key) -> Option<Seen<'a>> {
        let seen = match key.own {
            Some(own) => self.principal.own(own)?,
            None => Seen::of(self.said(key)?),
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
    Account(AccountId),
    Bool(bool),
    Integer(i64),
    Date(Timestamp),
    Ip(IpAddr),
}

impl<'a> Seen<'a> {
    fn of(value: &'a Value<'_>) -> Seen<'a> {
        match value {
            Value::Text(text) => Seen::One(Single::Text(text)),
            Value::Shared(text) => Seen::One(Single::Text(text)),
            Value::Region(region) => Seen::One(Single::Text(region.as_str())),
            Value::Account(account) => Seen::One(Single::Account(*account)),
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
            Single::Account(account) => Cow::Owned(account.to_string()),
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

    /// Names of one length and one ending share a tag and must still be told apart.
    #[test]
    fn keys_with_the_same_tag_are_different_keys() {
        assert_eq!(Tag::of("x:one/team"), Tag::of("x:two/team"));
        let mut context = Context::new();
        context.insert("x:one/team", "a").insert("x:two/team", "b");
        assert_eq!(context.get("X:One/Team"), Some(&"a".into()));
        assert_eq!(context.get("x:two/team"), Some(&"b".into()));
        assert_eq!(context.get("x:six/team"), None);
        assert_eq!(context.get("abc"), None);
    }

    fn seen_in(context: &Context<'_>, key: &str) -> Option<String> {
        let principal = Principal::anonymous();
        let scope = Scope {
            principal: &principal,
            context,
        };
        match scope.look_up(&Key::new(key))? {
            Seen::One(single) => Some(single.text().into_owned()),
            Seen::Many(_) => None,
        }
    }

    #[test]
    fn what_is_stated_takes_the_place_of_a_shared_fact() {
        let mut facts = Context::new();
        facts
            .insert("kms:keyspec", "SYMMETRIC_DEFAULT")
            .insert("kms:keyusage", "X");
        let facts = Arc::new(facts);
        let mut context = Context::new();
        context
            .insert("aws:sourceip", "10.0.0.1")
            .rest_on(Arc::clone(&facts));
        context.insert("KMS:KeyUsage", "SIGN_VERIFY");
        assert_eq!(context.get("kms:KeySpec"), Some(&"SYMMETRIC_DEFAULT".into()));
        assert_eq!(context.get("kms:keyusage"), Some(&"SIGN_VERIFY".into()));
        assert_eq!(context.get("kms:other"), None);
        let mut all: Vec<_> = context.iter().map(|(key, _)| key).collect();
        all.sort_unstable();
        assert_eq!(all, ["aws:sourceip", "kms:keyspec", "kms:keyusage"]);
        assert_eq!(seen_in(&context, "kms:KeySpec"), Some("SYMMETRIC_DEFAULT".into()));
        assert_eq!(seen_in(&context, "kms:KeyUsage"), Some("SIGN_VERIFY".into()));
        let mut others = Context::new();
        others.insert("aws:viaawsservice", false);
        context.rest_on(Arc::new(others));
        assert_eq!(context.iter().count(), 4);
        assert_eq!(seen_in(&context, "kms:KeySpec"), Some("SYMMETRIC_DEFAULT".into()));
    }

    /// More keys than the register tells apart.
    #[test]
    fn every_key_of_a_long_context_is_found() {
        let mut context = Context::new();
        for number in 0..1_000i64 {
            context.insert(format!("x:key{number}"), number);
        }
        for number in 0..1_000i64 {
            let key = format!("X:Key{number}");
            assert_eq!(context.get(&key), Some(&number.into()));
            context.insert(key, -number);
        }
        assert_eq!(context.iter().count(), 1_000);
        assert_eq!(context.get("x:key999"), Some(&(-999i64).into()));
        assert_eq!(context.get("x:key1000"), None);
    }

    #[test]
    fn every_value_has_its_text() {
        let account = AccountId::parse("012345678901").unwrap();
        let text = |value: Value<'_>| match Seen::of(&value) {
            Seen::One(single) => single.text().into_owned(),
            Seen::Many(_) => panic!("one value was given"),
        };
        assert_eq!(text(account.into()), "012345678901");
        assert_eq!(text(Region::parse("eu-west-1").unwrap().into()), "eu-west-1");
        assert_eq!(text(Arc::<str>::from("agent/1").into()), "agent/1");
        assert_eq!(text(Timestamp(0).into()), "1970-01-01T00:00:00Z");
        assert_eq!(text(true.into()), "true");
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

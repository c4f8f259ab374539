//! ARNs as policies name them: six fields, each compared by itself.
//!
//! A star never reaches over one of the first five colons, so that
//! `arn:aws:s3:::*` cannot swallow another service. The sixth field keeps
//! whatever further colons it has.

use crate::context::Scope;
use crate::memory::{Answers, Slot};
use crate::pattern::{Glob, Token};
use crate::variable::{BadVariable, Pattern, Piece, Template, Unresolved, resolve_tokens};
use crate::word::Word;

/// Fields of an ARN.
const FIELDS: usize = 6;

/// An ARN cut into its fields, once for many comparisons.
#[derive(Clone, Copy)]
pub(crate) struct ArnText<'a> {
    fields: Option<[&'a str; FIELDS]>,
}

impl<'a> ArnText<'a> {
    pub(crate) fn new(text: &'a str) -> ArnText<'a> {
        let mut fields = [""; FIELDS];
        let (mut found, mut begin) = (0, 0);
        // The first colons stand close together: a search that begins anew behind each costs more.
        for (at, _) in text.bytes().enumerate().filter(|(_, byte)| *byte == b':') {
            fields[found] = &text[begin..at];
            (found, begin) = (found + 1, at + 1);
            if found == FIELDS - 1 {
                fields[found] = &text[begin..];
                return ArnText { fields: Some(fields) };
            }
        }
        ArnText { fields: None }
    }
}

/// Parts of an ARN between `arn` and the last field: partition with service,
/// region, account. They hold no variables.
const HEAD: usize = 3;

/// The ARN of the resource asked for, made ready to be compared with the
/// resources of many statements.
pub(crate) struct AskedArn<'a> {
    /// The parts before the last field, and that; `None` if it is no ARN.
    parts: Option<([&'a str; HEAD], &'a str)>,
    words: [Word; HEAD],
}

impl<'a> AskedArn<'a> {
    pub(crate) fn new(text: &'a str) -> AskedArn<'a> {
        let parts = ArnText::new(text).fields.and_then(|fields| {
            let [scheme, partition, service, region, account, rest] = fields;
            let after_scheme = text.strip_prefix("arn:").filter(|_| scheme == "arn")?;
            let first = &after_scheme[..partition.len() + 1 + service.len()];
            Some(([first, region, account], rest))
        });
        let mut words = [Word::LONG; HEAD];
        if let Some((head, _)) = &parts {
            words = head.map(Word::new);
        }
        AskedArn { parts, words }
    }
}

/// What a pattern wants of the parts before the last field.
///
/// Nearly all are short texts or lone stars, and are compared all together:
/// what differs, and matters.
#[derive(Debug, Clone, PartialEq)]
struct Head {
    words: [Word; HEAD],
    /// All ones where the word decides.
    matters: [u128; HEAD],
    /// Those that no word can tell, each with its place.
    others: Box<[(usize, Glob)]>,
}

impl Head {
    fn new(partition: &str, service: &str, region: &str, account: &str) -> Head {
        let mut head = Head {
            words: [Word::LONG; HEAD],
            matters: [0; HEAD],
            others: Box::default(),
        };
        let first = format!("{partition}:{service}");
        let mut others = Vec::new();
        for (place, part) in [&first, region, account].into_iter().enumerate() {
            let glob = Glob::new(part);
            let word = glob.literal().map(Word::new);
            match word {
                Some(word) if word != Word::LONG => {
                    head.words[place] = word;
                    head.matters[place] = u128::MAX;
                }
                _ if glob.matches_all() => {}
                _ => others.push((place, glob)),
            }
        }
        head.others = others.into();
        head
    }

    /// Out of line, since it is asked once of many patterns that begin alike.
    #[inline(never)]
    fn matches(&self, words: &[Word; HEAD], parts: &[&str; HEAD]) -> bool {
        let mut different = 0;
        for ((wanted, matters), word) in self.words.iter().zip(&self.matters).zip(words) {
            different |= wanted.differs(*word) & matters;
        }
        different == 0 && (self.others.is_empty() || self.others_match(parts))
    }

    fn others_match(&self, parts: &[&str; HEAD]) -> bool {
        self.others
            .iter()
            .all(|(place, glob)| glob.matches(parts[*place]))
    }
}

/// The `Resource` and `NotResource` elements: `*`, or an ARN with wildcards,
/// and with variables behind the fifth colon.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ResourcePattern {
    pub(crate) text: Box<str>,
    form: ResourceForm,
}

#[derive(Debug, Clone, PartialEq)]
enum ResourceForm {
    Every,
    Arn {
        head: Head,
        /// Of statements of one document most begin alike.
        head_slot: Slot,
        tail: Pattern,
    },
}

/// Why a text is no resource, for the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadResource {
    NotAnArn,
    Partition(String),
    WildVendor,
    IamRegion,
    Variable(String),
}

impl ResourcePattern {
    /// Reads a resource. Missing trailing fields are taken as `*`.
    ///
    /// Source: IAM User Guide, "IAM JSON policy elements: Resource", incomplete ARNs.
    pub(crate) fn new(text: &str, with_variables: bool) -> Result<ResourcePattern, BadResource> {
        if text == "*" {
            return Ok(ResourcePattern {
                text: text.into(),
                form: ResourceForm::Every,
            });
        }
        let mut fields = ["*"; FIELDS];
        let mut found = 0;
        for (field, part) in fields.iter_mut().zip(text.splitn(FIELDS, ':')) {
            *field = part;
            found += 1;
        }
        let [scheme, partition, service, region, account, tail] = fields;
        if scheme != "arn" || found < 3 {
            return Err(BadResource::NotAnArn);
        }
        if !partition_is_possible(partition) {
            return Err(BadResource::Partition(partition.to_owned()));
        }
        if service.is_empty() || service.contains(['*', '?']) {
            return Err(BadResource::WildVendor);
        }
        if service == "iam" && !region.bytes().all(|byte| byte == b'*') {
            return Err(BadResource::IamRegion);
        }
        let head = Head::new(partition, service, region, account);
        let tail = Pattern::new(tail, with_variables)
            .map_err(|BadVariable(inside)| BadResource::Variable(inside))?;
        Ok(ResourcePattern {
            text: text.into(),
            form: ResourceForm::Arn {
                head,
                head_slot: Slot::NONE,
                tail,
            },
        })
    }

    /// `heads` are those of this document and this resource that are known.
    #[inline]
    pub(crate) fn matches<'a>(
        &'a self,
        resource: &AskedArn<'_>,
        scope: Scope<'a>,
        heads: &mut Answers,
    ) -> Result<bool, Unresolved<'a>> {
        match &self.form {
            ResourceForm::Every => Ok(true),
            ResourceForm::Arn {
                head,
                head_slot,
                tail,
            } => {
                let Some((parts, rest)) = &resource.parts else {
                    return Ok(false);
                };
                let fits = match heads.known(*head_slot) {
                    Some(fits) => fits,
                    None => heads.learn(*head_slot, head.matches(&resource.words, parts)),
                };
                if !fits {
                    return Ok(false);
                }
                tail.matches(rest, scope)
            }
        }
    }

    /// What it says before the fifth colon; `None` if it has none of its own.
    pub(crate) fn head(&self) -> Option<&str> {
        match &self.form {
            ResourceForm::Every => None,
            ResourceForm::Arn { .. } => {
                let end = self.text.match_indices(':').nth(FIELDS - 2);
                Some(end.map_or(&*self.text, |(end, _)| &self.text[..end]))
            }
        }
    }

    /// Has what it says before the fifth colon remembered in this slot.
    pub(crate) fn remember_head(&mut self, slot: Slot) {
        if let ResourceForm::Arn { head_slot, .. } = &mut self.form {
            *head_slot = slot;
        }
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        match &self.form {
            ResourceForm::Every => &[],
            ResourceForm::Arn { tail, .. } => tail.pieces(),
        }
    }
}

/// `aws`, its sisters (`aws-cn`, `aws-us-gov`, `aws-iso-b`, …), or wildcards.
fn partition_is_possible(partition: &str) -> bool {
    partition == "aws" || partition.starts_with("aws-") || partition.contains(['*', '?'])
}

/// The value of an ARN condition operator: six fields with wildcards, and
/// variables anywhere. Anything else is kept and matches nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ArnCondition {
    Fixed(Option<Box<[Glob; FIELDS]>>),
    Varying(Box<[Piece]>),
}

impl ArnCondition {
    pub(crate) fn new(text: &str, with_variables: bool) -> Result<ArnCondition, BadVariable> {
        Ok(match Template::new(text, with_variables)? {
            Template::Varying(pieces) => ArnCondition::Varying(pieces),
            // Escapes alone leave no variable, but their characters must stay literal.
            Template::Fixed(_) if with_variables && text.contains("${") => {
                ArnCondition::Varying(crate::variable::pieces(text)?.into())
            }
            Template::Fixed(text) => {
                ArnCondition::Fixed(six_globs(crate::pattern::wild_tokens(&text)).map(Box::new))
            }
        })
    }

    pub(crate) fn matches<'a>(
        &'a self,
        value: ArnText<'_>,
        scope: Scope<'a>,
    ) -> Result<bool, Unresolved<'a>> {
        let resolved;
        let globs = match self {
            ArnCondition::Fixed(globs) => globs.as_deref(),
            ArnCondition::Varying(pieces) => {
                resolved = six_globs(resolve_tokens(pieces, scope)?);
                resolved.as_ref()
            }
        };
        let fits = |(globs, fields): (&[Glob; FIELDS], [&str; FIELDS])| {
            globs.iter().zip(fields).all(|(glob, field)| glob.matches(field))
        };
        Ok(globs.zip(value.fields).is_some_and(fits))
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        match self {
            ArnCondition::Fixed(_) => &[],
            ArnCondition::Varying(pieces) => pieces,
        }
    }
}

/// Cuts a pattern at its first five colons; those a variable brought in count too.
fn six_globs(tokens: impl IntoIterator<Item = Token>) -> Option<[Glob; FIELDS]> {
    let mut fields: Vec<Vec<Token>> = vec![Vec::new()];
    for token in tokens {
        if token == Token::Character(':') && fields.len() < FIELDS {
            fields.push(Vec::new());
        } else if let Some(field) = fields.last_mut() {
            field.push(token);
        }
    }
    let globs: Vec<Glob> = fields.into_iter().map(Glob::from_tokens).collect();
    globs.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Principal};

    fn resource(pattern: &str, text: &str) -> Option<bool> {
        let principal = Principal::anonymous();
        let mut context = Context::new();
        context
            .insert("x:name", "bob")
            .insert("x:arn", "arn:aws:iam::1:role/*");
        let scope = Scope {
            principal: &principal,
            context: &context,
        };
        ResourcePattern::new(pattern, true)
            .unwrap()
            .matches(&AskedArn::new(text), scope, &mut Answers::default())
            .ok()
    }

    fn arn(pattern: &str, text: &str) -> Option<bool> {
        let principal = Principal::anonymous();
        let mut context = Context::new();
        context
            .insert("x:account", "1")
            .insert("x:arn", "arn:aws:iam::1:role/*");
        let scope = Scope {
            principal: &principal,
            context: &context,
        };
        ArnCondition::new(pattern, true)
            .unwrap()
            .matches(ArnText::new(text), scope)
            .ok()
    }

    #[test]
    fn stars_stay_in_their_field_but_cross_slashes_and_late_colons() {
        assert_eq!(
            resource("arn:aws:s3:::*", "arn:aws:s3:::bucket/a/b:c"),
            Some(true)
        );
        assert_eq!(
            resource("arn:aws:s3:::*", "arn:aws:sqs:eu-west-1:1:queue"),
            Some(false)
        );
        assert_eq!(
            resource("arn:aws:kms:*:1:key/*", "arn:aws:kms:eu-west-1:1:key/2"),
            Some(true)
        );
        assert_eq!(
            resource("arn:aws:kms:*:key/*", "arn:aws:kms:eu-west-1:1:key/2"),
            Some(false)
        );
        assert_eq!(
            resource("arn:aws:iam::*:role/app-?", "arn:aws:iam::1:role/app-1"),
            Some(true)
        );
        assert_eq!(resource("*", "*"), Some(true));
        assert_eq!(resource("arn:aws:kms:*:*:*", "*"), Some(false));
        assert_eq!(
            resource("arn:aws:s3:::Bucket", "arn:aws:s3:::bucket"),
            Some(false)
        );
    }

    /// One field on each side of the length that fits a word.
    #[test]
    fn long_fields_compare_as_short_ones_do() {
        for service in ["fifteen-letters", "sixteen--letters", "elasticloadbalancing"] {
            let name = |service: &str| format!("arn:aws:{service}:eu-west-1:1:thing/2");
            let other = format!("{}x", &service[..service.len() - 1]);
            assert_eq!(resource(&name(service), &name(service)), Some(true));
            assert_eq!(resource(&name(service), &name(&other)), Some(false));
            assert_eq!(resource(&name(&other), &name(service)), Some(false));
            assert_eq!(
                resource(&name(service), &name(&format!("{service}x"))),
                Some(false)
            );
        }
    }

    #[test]
    fn missing_fields_are_stars() {
        assert_eq!(
            resource("arn:aws:sqs", "arn:aws:sqs:eu-west-1:1:queue"),
            Some(true)
        );
        assert_eq!(
            resource("arn:aws:sqs:us-east-1", "arn:aws:sqs:eu-west-1:1:queue"),
            Some(false)
        );
    }

    #[test]
    fn variables_live_behind_the_fifth_colon_only() {
        assert_eq!(
            resource("arn:aws:s3:::b/${x:name}/*", "arn:aws:s3:::b/bob/x"),
            Some(true)
        );
        assert_eq!(
            resource("arn:aws:s3:::b/${x:nobody}/*", "arn:aws:s3:::b/bob/x"),
            None
        );
        assert_eq!(
            resource("arn:aws:iam::${x:name}:role/r", "arn:aws:iam::bob:role/r"),
            Some(false)
        );
    }

    #[test]
    fn refuses_what_is_no_resource() {
        for (text, expected) in [
            ("", BadResource::NotAnArn),
            ("bucket", BadResource::NotAnArn),
            ("**", BadResource::NotAnArn),
            ("arn:aws", BadResource::NotAnArn),
            ("arn:amazon:s3:::b", BadResource::Partition("amazon".into())),
            ("arn:aws:s*:::b", BadResource::WildVendor),
            ("arn:aws::::b", BadResource::WildVendor),
            ("arn:aws:iam:eu-west-1:1:role/r", BadResource::IamRegion),
            ("arn:aws:s3:::${}", BadResource::Variable(String::new())),
        ] {
            assert_eq!(ResourcePattern::new(text, true).unwrap_err(), expected, "{text}");
        }
    }

    /// IAM User Guide, "Amazon Resource Name (ARN) condition operators".
    #[test]
    fn condition_arns_compare_field_by_field() {
        assert_eq!(arn("arn:aws:s:*:1:x", "arn:aws:s:r:1:x"), Some(true));
        assert_eq!(arn("arn:aws:s:*:x", "arn:aws:s:r:1:x"), Some(false));
        assert_eq!(arn("*", "arn:aws:s:r:1:x"), Some(false));
        assert_eq!(
            arn("arn:aws:iam::${x:account}:role/*", "arn:aws:iam::1:role/a/b"),
            Some(true)
        );
        assert_eq!(arn("${x:arn}", "arn:aws:iam::1:role/*"), Some(true));
        assert_eq!(arn("${x:arn}", "arn:aws:iam::1:role/a"), Some(false));
        assert_eq!(arn("arn:aws:s:::a${*}", "arn:aws:s:::ab"), Some(false));
        assert_eq!(arn("arn:aws:s:::a${*}", "arn:aws:s:::a*"), Some(true));
        assert_eq!(arn("arn:aws:s:::*", "no arn"), Some(false));
    }
}

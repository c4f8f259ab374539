//! Policies that a simulation leaves out (`PolicyExclusionList`).
//!
//! What an identifier means is read before anything is looked at: one that is
//! malformed is refused, one that fits nothing is ignored. Resource control
//! policies are not simulated, so leaving them out changes nothing.
//!
//! Absent by design: wildcards in the names of users, groups and roles, which
//! the API Reference speaks of and the model's own pattern refuses.

use ground::Arn;
use iam_api::{PolicyIdentifier, PolicyIdentifierPolicyType as Kind};
use policy::{Attached, Holder, Level};

use crate::error::Error;

/// What AWS's own managed policies are called.
const OF_AWS: &str = "arn:aws:iam::aws:policy/";

/// The policies to be left out.
pub(crate) struct Exclusions(Vec<Excluded>);

enum Excluded {
    Kind(Kind),
    /// An ARN whose last part may be a pattern.
    Arn(String),
    Inline {
        name: String,
        /// `user`, `group` or `role`.
        kind: String,
        holder: String,
    },
}

impl Exclusions {
    /// Reads the identifiers of a request.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for a malformed ARN and for wildcards where none may stand.
    pub(crate) fn new(identifiers: Option<Vec<PolicyIdentifier>>) -> Result<Exclusions, Error> {
        let read = identifiers.unwrap_or_default().into_iter().map(Excluded::read);
        Ok(Exclusions(read.collect::<Result<_, _>>()?))
    }

    /// Leaves out those of the policies that stand on a user, role or group.
    pub(crate) fn without(&self, policies: Vec<Attached>) -> Vec<Attached> {
        let is_kept = |policy: &Attached| !self.0.iter().any(|excluded| excluded.fits(policy));
        policies.into_iter().filter(is_kept).collect()
    }

    /// The boundary, unless it is left out.
    pub(crate) fn boundary(&self, boundary: Option<Attached>) -> Option<Attached> {
        boundary.filter(|_| !self.leaves_out(Kind::PermissionBoundary))
    }

    /// Service control policies without those left out; `None` if all of them are.
    pub(crate) fn service_control(&self, levels: Option<&[Level]>) -> Option<Vec<Level>> {
        if self.leaves_out(Kind::Scp) {
            return None;
        }
        let without = |level: &Level| Level {
            target: level.target.clone(),
            policies: self.without(level.policies.clone()),
        };
        Some(levels?.iter().map(without).collect())
    }

    fn leaves_out(&self, kind: Kind) -> bool {
        let is = |excluded: &Excluded| matches!(excluded, Excluded::Kind(known) if *known == kind);
        self.0.iter().any(is)
    }
}

impl Excluded {
    fn read(identifier: PolicyIdentifier) -> Result<Excluded, Error> {
        let invalid = |what: String| Error::InvalidInput(format!("Invalid policy identifier: {what}."));
        match (
            identifier.policy_type,
            identifier.policy_arn,
            identifier.inline_policy_identifier,
        ) {
            (Some(kind), None, None) => Ok(Excluded::Kind(kind)),
            (None, Some(arn), None) => {
                let parsed = Arn::parse(&arn).map_err(|_| invalid(arn.clone()))?;
                let (place, name) = arn.rsplit_once('/').ok_or_else(|| invalid(arn.clone()))?;
                let known = ["iam", "organizations"].contains(&parsed.service.as_str());
                if !known || place.contains(['*', '?']) || !is_pattern(name) {
                    return Err(invalid(arn));
                }
                Ok(Excluded::Arn(arn))
            }
            (None, None, Some(inline)) => Ok(Excluded::Inline {
                name: inline.policy_name,
                kind: inline.attachment_type.as_str().to_owned(),
                holder: inline.attachment_name,
            }),
            _ => Err(invalid("exactly one of its members must be given".to_owned())),
        }
    }

    fn fits(&self, policy: &Attached) -> bool {
        match (self, &policy.arn) {
            (Excluded::Kind(Kind::Inline), arn) => arn.is_none(),
            (Excluded::Kind(Kind::AwsManaged), Some(arn)) => arn.starts_with(OF_AWS),
            (Excluded::Kind(Kind::UserManaged), Some(arn)) => {
                !arn.starts_with(OF_AWS) && !matches!(policy.holder, Holder::Target(_))
            }
            (Excluded::Arn(pattern), Some(arn)) => matches_pattern(pattern, arn),
            (Excluded::Inline { name, kind, holder }, None) => {
                let (standing, on) = match &policy.holder {
                    Holder::User(on) => ("user", on),
                    Holder::Group(on) => ("group", on),
                    Holder::Role(on) => ("role", on),
                    _ => return false,
                };
                *name == *policy.name && kind == standing && *holder == **on
            }
            _ => false,
        }
    }
}

/// At most one star, and any number of question marks.
fn is_pattern(text: &str) -> bool {
    !text.is_empty() && text.matches('*').count() <= 1
}

/// Whether `text` is what a pattern with at most one star stands for.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let same = |pattern: &str, text: &str| {
        pattern.chars().count() == text.chars().count()
            && pattern
                .chars()
                .zip(text.chars())
                .all(|(wanted, found)| wanted == '?' || wanted == found)
    };
    let Some((before, after)) = pattern.split_once('*') else {
        return same(pattern, text);
    };
    let letters: Vec<char> = text.chars().collect();
    let (head, tail) = (before.chars().count(), after.chars().count());
    if letters.len() < head + tail {
        return false;
    }
    let begin: String = letters[..head].iter().collect();
    let end: String = letters[letters.len() - tail..].iter().collect();
    same(before, &begin) && same(after, &end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_one_star_and_any_question_marks() {
        for (pattern, text, wanted) in [
            ("Read", "Read", true),
            ("Read", "Reads", false),
            ("Re?d", "Read", true),
            ("Re?d", "Red", false),
            ("*", "", true),
            ("A*Z", "AZ", true),
            ("A*Z", "A", false),
            ("A*?Z", "AZ", false),
            ("A*?Z", "AbcZ", true),
        ] {
            assert_eq!(matches_pattern(pattern, text), wanted, "{pattern} {text}");
        }
        assert!(!is_pattern("a*b*") && !is_pattern("") && is_pattern("?a?*"));
    }

    #[test]
    fn identifiers_that_make_no_sense_are_refused() {
        let arn = |arn: &str| {
            Excluded::read(PolicyIdentifier {
                policy_arn: Some(arn.to_owned()),
                ..PolicyIdentifier::default()
            })
        };
        assert!(arn("arn:aws:iam::aws:policy/Read*").is_ok());
        for wrong in [
            "not an arn, for certain",
            "arn:aws:iam::*:policy/Read",
            "arn:aws:iam::aws:policy/R*a*",
            "arn:aws:iam::aws:policy/t?am/Read",
            "arn:aws:s3:::bucket/key",
        ] {
            assert!(arn(wrong).is_err(), "{wrong}");
        }
        assert!(Excluded::read(PolicyIdentifier::default()).is_err());
    }
}

//! What a grant allows: its operations and constraints, and which wishes they cover.
//!
//! Invariant: what is made under a grant allows no more than that grant.

use std::collections::BTreeMap;

use kms_api::{GrantConstraints, GrantOperation};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::limits::{GRANT_CONTEXT_PAIRS_MAX, GRANT_CONTEXT_VALUE_CHARACTERS_MAX};
use crate::model::{EncryptionContext, Family, KeyUsage, Purpose};

/// What a grant allows: operations, and under which constraints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    operations: Operations,
    #[serde(default, skip_serializing_if = "Constraints::is_empty")]
    constraints: Constraints,
}

/// Operations, each once, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
struct Operations(Vec<GrantOperation>);

impl TryFrom<Vec<String>> for Operations {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Operations, String> {
        let read = |name: &String| GrantOperation::parse(name).ok_or("unknown grant operation");
        let operations = names.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Operations(operations))
    }
}

impl From<Operations> for Vec<String> {
    fn from(operations: Operations) -> Vec<String> {
        let names = operations.0.iter().map(|operation| operation.as_str().to_owned());
        names.collect()
    }
}

/// What must hold of a request, all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Constraints {
    /// The encryption context is this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    equals: Option<BTreeMap<String, String>>,
    /// The encryption context has these pairs, and may have more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subset: Option<BTreeMap<String, String>>,
    /// The request is made by a service for this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_arn: Option<String>,
}

/// What a caller wants to do with a key, as far as grants look at it.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The operation.
    pub operation: GrantOperation,
    /// Its encryption context; `None` if it has none to give.
    pub context: Option<&'a EncryptionContext>,
    /// `aws:SourceArn`.
    pub source_arn: Option<&'a str>,
    /// The terms of the grant to be made, if one is.
    pub making: Option<&'a Terms>,
}

impl Terms {
    /// The terms of a grant on a key for `purpose`.
    ///
    /// # Errors
    ///
    /// [`Error::GrantOperation`] for what such a key does not do,
    /// [`Error::GrantConstraint`] for a constraint that no request could be
    /// held to, or that is beyond its limits.
    ///
    /// Source: KMS API Reference, `CreateGrant`, `Operations`, `Constraints`.
    pub fn new(
        purpose: Purpose,
        operations: &[GrantOperation],
        constraints: Option<GrantConstraints>,
    ) -> Result<Terms, Error> {
        if let Some(operation) = operations.iter().find(|it| !fits(purpose, **it)) {
            return Err(Error::GrantOperation {
                operation: operation.as_str(),
                spec: purpose.spec().as_str(),
                usage: purpose.usage().as_str(),
            });
        }
        let mut operations = operations.to_vec();
        operations.sort_unstable_by_key(|operation| operation.as_str());
        operations.dedup();
        if operations.is_empty() {
            return Err(Error::GrantConstraint("a grant needs at least one operation"));
        }
        Ok(Terms {
            operations: Operations(operations),
            constraints: Constraints::new(purpose, constraints.unwrap_or_default())?,
        })
    }

    /// What it allows.
    pub fn operations(&self) -> &[GrantOperation] {
        &self.operations.0
    }

    /// The constraints in the API's terms, if there are any.
    pub fn constraints(&self) -> Option<GrantConstraints> {
        let Constraints {
            equals,
            subset,
            source_arn,
        } = self.constraints.clone();
        (!self.constraints.is_empty()).then_some(GrantConstraints {
            encryption_context_equals: equals,
            encryption_context_subset: subset,
            source_arn,
        })
    }

    /// The resource that a service must act for, if one is named.
    pub fn source_arn(&self) -> Option<&str> {
        self.constraints.source_arn.as_deref()
    }

    /// The names of the constraints: `kms:GrantConstraintType`.
    pub fn constraint_types(&self) -> Vec<&'static str> {
        let Constraints {
            equals,
            subset,
            source_arn,
        } = &self.constraints;
        let types = [
            equals.as_ref().map(|_| "EncryptionContextEquals"),
            subset.as_ref().map(|_| "EncryptionContextSubset"),
            source_arn.as_ref().map(|_| "SourceArn"),
        ];
        types.into_iter().flatten().collect()
    }

    /// The pairs of encryption context that a constraint names.
    pub fn context_pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let maps = [&self.constraints.equals, &self.constraints.subset];
        let pairs = maps.into_iter().flatten().flatten();
        pairs.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether these terms let the grantee do it.
    pub fn cover(&self, wish: &Wish<'_>) -> bool {
        if !self.operations.0.contains(&wish.operation) {
            return false;
        }
        let Constraints {
            equals,
            subset,
            source_arn,
        } = &self.constraints;
        if let Some(wanted) = source_arn
            && wish.source_arn != Some(wanted)
        {
            return false;
        }
        if wish.operation == GrantOperation::CreateGrant {
            // What is handed on is no more than what was received.
            return wish.making.is_some_and(|making| making.is_within(self));
        }
        if !has_context(wish.operation) {
            return true;
        }
        let none = EncryptionContext::default();
        let context = wish.context.unwrap_or(&none);
        let equal = equals.as_ref().is_none_or(|wanted| context.is(wanted));
        equal && subset.as_ref().is_none_or(|wanted| context.contains(wanted))
    }

    /// Whether these terms allow nothing that `other` does not.
    ///
    /// Source: KMS Developer Guide, "Creating grants", "Granting CreateGrant permission".
    fn is_within(&self, other: &Terms) -> bool {
        let allowed = |operation: &GrantOperation| other.operations.0.contains(operation);
        if !self.operations.0.iter().all(allowed) {
            return false;
        }
        let (own, outer) = (&self.constraints, &other.constraints);
        let has = |map: &Option<BTreeMap<String, String>>, wanted: &BTreeMap<String, String>| {
            map.as_ref()
                .is_some_and(|map| wanted.iter().all(|(name, value)| map.get(name) == Some(value)))
        };
        let equal = outer.equals.is_none() || own.equals == outer.equals;
        let subset = outer
            .subset
            .as_ref()
            .is_none_or(|wanted| has(&own.equals, wanted) || has(&own.subset, wanted));
        let source = outer.source_arn.is_none() || own.source_arn == outer.source_arn;
        equal && subset && source
    }
}

impl Constraints {
    fn new(purpose: Purpose, given: GrantConstraints) -> Result<Constraints, Error> {
        let constraints = Constraints {
            equals: given.encryption_context_equals,
            // No pairs to have is nothing to hold a request to.
            subset: given.encryption_context_subset.filter(|pairs| !pairs.is_empty()),
            source_arn: given.source_arn,
        };
        for pairs in [&constraints.equals, &constraints.subset].into_iter().flatten() {
            if purpose.family() != Family::Symmetric {
                return Err(Error::GrantConstraint(
                    "only symmetric encryption keys have an encryption context",
                ));
            }
            if pairs.len() > GRANT_CONTEXT_PAIRS_MAX {
                return Err(Error::GrantConstraint(
                    "a grant constraint has at most 8 encryption context pairs",
                ));
            }
            let too_long = |text: &String| text.chars().count() > GRANT_CONTEXT_VALUE_CHARACTERS_MAX;
            if pairs
                .iter()
                .any(|(name, value)| too_long(name) || too_long(value))
            {
                return Err(Error::GrantConstraint(
                    "names and values of a grant constraint have at most 384 characters",
                ));
            }
        }
        Ok(constraints)
    }

    fn is_empty(&self) -> bool {
        *self == Constraints::default()
    }
}

/// Whether the operation has an encryption context that a grant may be bound to.
fn has_context(operation: GrantOperation) -> bool {
    match operation {
        GrantOperation::Decrypt
        | GrantOperation::Encrypt
        | GrantOperation::GenerateDataKey
        | GrantOperation::GenerateDataKeyWithoutPlaintext
        | GrantOperation::GenerateDataKeyPair
        | GrantOperation::GenerateDataKeyPairWithoutPlaintext
        | GrantOperation::ReEncryptFrom
        | GrantOperation::ReEncryptTo => true,
        GrantOperation::Sign
        | GrantOperation::Verify
        | GrantOperation::GetPublicKey
        | GrantOperation::CreateGrant
        | GrantOperation::RetireGrant
        | GrantOperation::DescribeKey
        | GrantOperation::GenerateMac
        | GrantOperation::VerifyMac
        | GrantOperation::DeriveSharedSecret
        | GrantOperation::Encapsulate
        | GrantOperation::Decapsulate => false,
    }
}

/// Whether a key for `purpose` can be granted for the operation.
///
/// Source: KMS Developer Guide, "Grants in AWS KMS", "Grant operations".
fn fits(purpose: Purpose, operation: GrantOperation) -> bool {
    let symmetric = purpose.family() == Family::Symmetric;
    let asymmetric = purpose.family() == Family::Asymmetric;
    match operation {
        GrantOperation::CreateGrant | GrantOperation::RetireGrant | GrantOperation::DescribeKey => true,
        GrantOperation::Decrypt
        | GrantOperation::Encrypt
        | GrantOperation::ReEncryptFrom
        | GrantOperation::ReEncryptTo => purpose.usage() == KeyUsage::EncryptDecrypt,
        GrantOperation::GenerateDataKey
        | GrantOperation::GenerateDataKeyWithoutPlaintext
        | GrantOperation::GenerateDataKeyPair
        | GrantOperation::GenerateDataKeyPairWithoutPlaintext => symmetric,
        GrantOperation::Sign | GrantOperation::Verify => purpose.usage() == KeyUsage::SignVerify,
        GrantOperation::GetPublicKey => asymmetric,
        GrantOperation::GenerateMac | GrantOperation::VerifyMac => {
            purpose.usage() == KeyUsage::GenerateVerifyMac
        }
        GrantOperation::DeriveSharedSecret => purpose.usage() == KeyUsage::KeyAgreement,
        GrantOperation::Encapsulate | GrantOperation::Decapsulate => {
            purpose.usage() == KeyUsage::EncapsulateDecapsulate
        }
    }
}

#[cfg(test)]
mod tests {
    use crypto::key::KeySpec;
    use proptest::prelude::*;

    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        owned.collect()
    }

    fn constraint(
        equals: Option<BTreeMap<String, String>>,
        subset: Option<BTreeMap<String, String>>,
    ) -> Option<GrantConstraints> {
        Some(GrantConstraints {
            encryption_context_equals: equals,
            encryption_context_subset: subset,
            source_arn: None,
        })
    }

    fn terms(operations: &[GrantOperation], constraints: Option<GrantConstraints>) -> Terms {
        Terms::new(Purpose::SYMMETRIC, operations, constraints).unwrap()
    }

    fn wish(operation: GrantOperation, context: &EncryptionContext) -> Wish<'_> {
        Wish {
            operation,
            context: Some(context),
            source_arn: None,
            making: None,
        }
    }

    fn context(pairs: BTreeMap<String, String>) -> EncryptionContext {
        EncryptionContext::parse(Some(pairs)).unwrap()
    }

    fn any_pairs() -> impl Strategy<Value = BTreeMap<String, String>> {
        proptest::collection::btree_map("[ab]", "[xy]", 0..3)
    }

    fn any_terms() -> impl Strategy<Value = Terms> {
        let operations = proptest::sample::subsequence(
            vec![
                GrantOperation::Decrypt,
                GrantOperation::Encrypt,
                GrantOperation::CreateGrant,
            ],
            1..=3,
        );
        let maps = (
            proptest::option::of(any_pairs()),
            proptest::option::of(any_pairs()),
        );
        (operations, maps)
            .prop_map(|(operations, (equals, subset))| terms(&operations, constraint(equals, subset)))
    }

    proptest! {
        /// What may be made under a grant never covers what that grant does not.
        #[test]
        fn a_grant_made_under_a_grant_gives_no_more(
            outer in any_terms(),
            inner in any_terms(),
            asked in any_pairs(),
        ) {
            let making = Wish {
                operation: GrantOperation::CreateGrant,
                context: None,
                source_arn: None,
                making: Some(&inner),
            };
            if outer.cover(&making) {
                let asked = context(asked);
                for operation in [GrantOperation::Decrypt, GrantOperation::Encrypt] {
                    let wish = wish(operation, &asked);
                    prop_assert!(!inner.cover(&wish) || outer.cover(&wish));
                }
            }
        }

        #[test]
        fn terms_are_read_back(terms in any_terms()) {
            let stored = serde_json::to_string(&terms).unwrap();
            prop_assert_eq!(serde_json::from_str::<Terms>(&stored).unwrap(), terms);
        }
    }

    #[test]
    fn constraints_bind_the_context_and_nothing_else() {
        use GrantOperation::{Decrypt, DescribeKey, Encrypt};
        let pairs = map(&[("a", "x")]);
        let more = context(map(&[("a", "x"), ("b", "y")]));
        let same = context(pairs.clone());
        let equals = terms(&[Decrypt, DescribeKey], constraint(Some(pairs.clone()), None));
        let subset = terms(&[Decrypt, DescribeKey], constraint(None, Some(pairs)));
        for (terms, given, covered) in [
            (&equals, &same, true),
            (&equals, &more, false),
            (&subset, &same, true),
            (&subset, &more, true),
            (&subset, &context(map(&[("a", "y")])), false),
            (&equals, &EncryptionContext::default(), false),
        ] {
            assert_eq!(terms.cover(&wish(Decrypt, given)), covered, "{terms:?} {given:?}");
            assert!(terms.cover(&wish(DescribeKey, given)));
            assert!(!terms.cover(&wish(Encrypt, given)));
        }
    }

    #[test]
    fn a_source_is_held_to() {
        let given = GrantConstraints {
            source_arn: Some("arn:aws:s3:::a".to_owned()),
            ..GrantConstraints::default()
        };
        let terms = terms(&[GrantOperation::Decrypt], Some(given));
        let none = EncryptionContext::default();
        for (source_arn, covered) in [
            (None, false),
            (Some("arn:aws:s3:::a"), true),
            (Some("arn:aws:s3:::b"), false),
        ] {
            let wish = Wish {
                source_arn,
                ..wish(GrantOperation::Decrypt, &none)
            };
            assert_eq!(terms.cover(&wish), covered);
        }
    }

    /// KMS API Reference, `CreateGrant`: at most 8 pairs of at most 384 characters.
    #[test]
    fn limits_are_kept() {
        let pairs = |count: usize, length: usize| -> BTreeMap<String, String> {
            (0..count)
                .map(|number| (number.to_string(), "v".repeat(length)))
                .collect()
        };
        let new = |pairs| {
            Terms::new(
                Purpose::SYMMETRIC,
                &[GrantOperation::Decrypt],
                constraint(Some(pairs), None),
            )
        };
        assert!(new(pairs(8, 384)).is_ok());
        assert!(matches!(new(pairs(9, 1)), Err(Error::GrantConstraint(_))));
        assert!(matches!(new(pairs(1, 385)), Err(Error::GrantConstraint(_))));
    }

    #[test]
    fn operations_fit_the_key() {
        let new = |spec, usage, operation| {
            Terms::new(Purpose::new(spec, Some(usage)).unwrap(), &[operation], None).is_ok()
        };
        use GrantOperation::{Decrypt, GenerateDataKey, GenerateMac, GetPublicKey, RetireGrant, Sign};
        let (rsa, mac) = (KeySpec::Rsa2048, KeySpec::Hmac256);
        for (spec, usage, operation, fits) in [
            (rsa, KeyUsage::EncryptDecrypt, Decrypt, true),
            (rsa, KeyUsage::EncryptDecrypt, GenerateDataKey, false),
            (rsa, KeyUsage::EncryptDecrypt, Sign, false),
            (rsa, KeyUsage::SignVerify, Sign, true),
            (rsa, KeyUsage::SignVerify, GetPublicKey, true),
            (rsa, KeyUsage::SignVerify, Decrypt, false),
            (mac, KeyUsage::GenerateVerifyMac, GenerateMac, true),
            (mac, KeyUsage::GenerateVerifyMac, GetPublicKey, false),
            (mac, KeyUsage::GenerateVerifyMac, RetireGrant, true),
            (
                KeySpec::SymmetricDefault,
                KeyUsage::EncryptDecrypt,
                GenerateDataKey,
                true,
            ),
            (
                KeySpec::SymmetricDefault,
                KeyUsage::EncryptDecrypt,
                GetPublicKey,
                false,
            ),
        ] {
            assert_eq!(new(spec, usage, operation), fits, "{spec} {operation:?}");
        }
    }
}

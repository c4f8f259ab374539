//! The names of the condition operators.

/// A condition operator with its qualifiers, such as `ForAllValues:StringLikeIfExists`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operator {
    pub(crate) test: Test,
    pub(crate) quantifier: Option<Quantifier>,
    pub(crate) if_exists: bool,
}

/// The set operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantifier {
    /// `ForAllValues:`
    All,
    /// `ForAnyValue:`
    Any,
}

/// What is compared, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Test {
    String {
        negated: bool,
    },
    StringIgnoreCase {
        negated: bool,
    },
    StringLike {
        negated: bool,
    },
    Numeric(Relation),
    Date(Relation),
    Bool,
    Binary,
    IpAddress {
        negated: bool,
    },
    /// `ArnEquals` and `ArnLike` are the same.
    Arn {
        negated: bool,
    },
    Null,
}

/// How two ordered values must stand to each other: the request's first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    /// Reads an operator's name, which is spelled exactly.
    pub(crate) fn parse(name: &str) -> Option<Operator> {
        let (quantifier, rest) = match name.split_once(':') {
            Some(("ForAllValues", rest)) => (Some(Quantifier::All), rest),
            Some(("ForAnyValue", rest)) => (Some(Quantifier::Any), rest),
            Some(_) => return None,
            None => (None, name),
        };
        let (base, if_exists) = match rest.strip_suffix("IfExists") {
            Some(base) => (base, true),
            None => (rest, false),
        };
        let test = Test::parse(base)?;
        if test == Test::Null && (if_exists || quantifier.is_some()) {
            return None;
        }
        Some(Operator {
            test,
            quantifier,
            if_exists,
        })
    }
}

impl Test {
    fn parse(name: &str) -> Option<Test> {
        Some(match name {
            "StringEquals" => Test::String { negated: false },
            "StringNotEquals" => Test::String { negated: true },
            "StringEqualsIgnoreCase" => Test::StringIgnoreCase { negated: false },
            "StringNotEqualsIgnoreCase" => Test::StringIgnoreCase { negated: true },
            "StringLike" => Test::StringLike { negated: false },
            "StringNotLike" => Test::StringLike { negated: true },
            "Bool" => Test::Bool,
            "BinaryEquals" => Test::Binary,
            "IpAddress" => Test::IpAddress { negated: false },
            "NotIpAddress" => Test::IpAddress { negated: true },
            "ArnEquals" | "ArnLike" => Test::Arn { negated: false },
            "ArnNotEquals" | "ArnNotLike" => Test::Arn { negated: true },
            "Null" => Test::Null,
            _ => {
                if let Some(relation) = name.strip_prefix("Numeric") {
                    Test::Numeric(Relation::parse(relation)?)
                } else {
                    Test::Date(Relation::parse(name.strip_prefix("Date")?)?)
                }
            }
        })
    }

    /// Whether it asks that the values differ. Such a test holds for an absent key.
    pub(crate) fn negated(self) -> bool {
        match self {
            Test::String { negated }
            | Test::StringIgnoreCase { negated }
            | Test::StringLike { negated }
            | Test::IpAddress { negated }
            | Test::Arn { negated } => negated,
            Test::Numeric(relation) | Test::Date(relation) => relation == Relation::NotEqual,
            Test::Bool | Test::Binary | Test::Null => false,
        }
    }
}

impl Relation {
    fn parse(name: &str) -> Option<Relation> {
        Some(match name {
            "Equals" => Relation::Equal,
            "NotEquals" => Relation::NotEqual,
            "LessThan" => Relation::Less,
            "LessThanEquals" => Relation::LessOrEqual,
            "GreaterThan" => Relation::Greater,
            "GreaterThanEquals" => Relation::GreaterOrEqual,
            _ => return None,
        })
    }

    /// Whether the relation holds. `NotEqual` answers as `Equal`; the caller turns it round.
    pub(crate) fn holds<T: Ord>(self, request: &T, policy: &T) -> bool {
        match self {
            Relation::Equal | Relation::NotEqual => request == policy,
            Relation::Less => request < policy,
            Relation::LessOrEqual => request <= policy,
            Relation::Greater => request > policy,
            Relation::GreaterOrEqual => request >= policy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_with_their_qualifiers() {
        let operator = Operator::parse("ForAllValues:StringLikeIfExists").unwrap();
        assert_eq!(operator.test, Test::StringLike { negated: false });
        assert_eq!(operator.quantifier, Some(Quantifier::All));
        assert!(operator.if_exists);
        assert_eq!(Operator::parse("ArnEquals"), Operator::parse("ArnLike"));
        assert_eq!(
            Operator::parse("DateLessThanEquals").unwrap().test,
            Test::Date(Relation::LessOrEqual)
        );
    }

    #[test]
    fn refuses_every_other_name() {
        for name in [
            "",
            "stringEquals",
            "StringEqual",
            "NullIfExists",
            "ForAnyValue:Null",
            "ForAllValue:StringEquals",
            "StringLikeIgnoreCase",
            "BinaryNotEquals",
            "BoolNotEquals",
            "Numeric",
            "Date",
            "StringEqualsIfExistsIfExists",
            "ForAllValues:ForAnyValue:StringEquals",
        ] {
            assert_eq!(Operator::parse(name), None, "{name}");
        }
    }
}

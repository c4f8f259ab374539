//! A policy document: one text in the IAM policy language, read and compiled.
//!
//! The document does not keep its text; whoever stores it keeps it byte for
//! byte, since clients compare what they get back. It is immutable once bound
//! and cheap to share.

use std::collections::HashSet;

use crate::action::{ActionPattern, AskedAction};
use crate::arn_pattern::ResourcePattern;
use crate::index::{About, Index};
use crate::json::{Json, JsonError, Object, read};
use crate::limits::{DOCUMENT_BYTES_MAX, STATEMENTS_MAX};
use crate::malformed::{Malformed, Reason, Refusal};
use crate::memory::{self, Slot};
use crate::named::{Named, NamedClause};
use crate::statement::{
    Clause, Effect, NO_ACTION, NO_RESOURCE, Position, Resources, Statement, StatementReader,
};
use crate::variable::Piece;

/// What a document is for, which decides what it may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum DocumentKind {
    /// Attached to a user, group or role.
    Identity,
    /// A managed policy used as permissions boundary.
    Boundary,
    /// Passed to `AssumeRole` or `GetFederationToken`.
    Session,
    /// A service control policy (SCP).
    ServiceControl,
    /// A resource control policy (RCP).
    ResourceControl,
    /// The trust policy of a role.
    RoleTrust,
    /// The key policy of a KMS key.
    KmsKey,
    /// Any other resource's policy: bucket, secret, queue, topic, endpoint.
    Resource,
}

impl DocumentKind {
    /// Whether statements name principals: all do, or none may.
    pub(crate) fn names_principals(self) -> bool {
        match self {
            DocumentKind::Identity
            | DocumentKind::Boundary
            | DocumentKind::Session
            | DocumentKind::ServiceControl => false,
            DocumentKind::ResourceControl
            | DocumentKind::RoleTrust
            | DocumentKind::KmsKey
            | DocumentKind::Resource => true,
        }
    }

    /// Whether Sids are alphanumeric and unique, as IAM and Organizations want them.
    pub(crate) fn is_strict_about_sids(self) -> bool {
        !matches!(self, DocumentKind::KmsKey | DocumentKind::Resource)
    }
}

/// The version of the language a document is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Version {
    /// `2008-10-17`, also when nothing is said: no variables.
    #[serde(rename = "2008-10-17")]
    V2008,
    /// `2012-10-17`.
    #[serde(rename = "2012-10-17")]
    V2012,
}

/// A policy, ready to be weighed.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    kind: DocumentKind,
    version: Version,
    id: Option<Box<str>>,
    statements: Box<[Statement]>,
    index: Index,
}

impl Document {
    /// Reads and compiles a document.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the text is longer than [`DOCUMENT_BYTES_MAX`], is not
    /// JSON, gives a key twice, or is not a policy of this kind. Unknown
    /// actions and condition keys are accepted, unknown elements and condition
    /// operators are not.
    pub fn parse(text: &str, kind: DocumentKind) -> Result<Document, Malformed> {
        let refuse = Refusal {
            kind,
            statement: None,
        };
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(refuse.because(
                Reason::TooLarge,
                "",
                format!("the document has {} bytes", text.len()),
            ));
        }
        let Json::Object(object) = read(text).map_err(|error| refuse_json(refuse, &error))? else {
            return Err(refuse.because(Reason::Syntax, "", "the document is not an object"));
        };
        let mut version = Version::V2008;
        let mut id = None;
        let mut statements = None;
        for (name, value) in &object.members {
            match (name.as_str(), value) {
                ("Version", Json::Text(text)) if text == "2012-10-17" => version = Version::V2012,
                ("Version", Json::Text(text)) if text == "2008-10-17" => version = Version::V2008,
                ("Version", _) => {
                    return Err(refuse.because(
                        Reason::Version,
                        "",
                        "Version is neither 2012-10-17 nor 2008-10-17",
                    ));
                }
                ("Id", Json::Text(text)) => id = Some(Box::from(text.as_str())),
                ("Statement", Json::Object(one)) => statements = Some(vec![one]),
                ("Statement", Json::List(list)) => statements = Some(statement_objects(list, refuse)?),
                (name, _) => {
                    let detail = format!("there is no element {name:?}, or it has the wrong type");
                    return Err(refuse.because(Reason::Syntax, name, detail));
                }
            }
        }
        let statements = statements.unwrap_or_default();
        if statements.is_empty() {
            return Err(refuse.because(Reason::Syntax, "", "there is no statement"));
        }
        let places = Places::new(text);
        let mut reader = StatementReader::new(kind, version == Version::V2012);
        let mut statements: Box<[Statement]> = statements
            .into_iter()
            .enumerate()
            .map(|(index, object)| reader.read(index, object, |offset| places.of(offset)))
            .collect::<Result<_, _>>()?;
        if kind.is_strict_about_sids() {
            refuse_repeated_sids(&statements, refuse)?;
        }
        memory::share(&mut statements);
        Ok(Document {
            kind,
            version,
            id,
            index: Index::new(&statements),
            statements,
        })
    }

    /// AWS's own `RCPFullAWSAccess`: the one resource control policy that allows.
    pub fn full_resource_control() -> Document {
        let position = Position { line: 1, column: 1 };
        let action = ActionPattern::new("*").expect("a lone star is an action");
        let resource = ResourcePattern::new("*", true).expect("a lone star is a resource");
        let statement = Statement {
            index: 0,
            sid: None,
            effect: Effect::Allow,
            named: NamedClause::Principal(Box::new([Named::Everyone])),
            actions: Some(Clause {
                negated: false,
                patterns: Box::new([action]),
            }),
            actions_slot: Slot::NONE,
            resources_slot: Slot::NONE,
            resources: Resources::Listed(Clause {
                negated: false,
                patterns: Box::new([resource]),
            }),
            conditions: Box::default(),
            start: position,
            end: position,
        };
        let statements = Box::new([statement]);
        Document {
            kind: DocumentKind::ResourceControl,
            version: Version::V2012,
            id: None,
            index: Index::new(&*statements),
            statements,
        }
    }

    /// The size IAM's quotas count: characters, without white space.
    pub fn size_without_white_space(text: &str) -> usize {
        text.chars()
            .filter(|character| !matches!(character, ' ' | '\t' | '\n' | '\r'))
            .count()
    }

    /// What the document is for.
    pub fn kind(&self) -> DocumentKind {
        self.kind
    }

    /// The version of the language it is written in.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Its `Id`, which only some services use.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Its statements, in the order written.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// Which statements may be about the action, as [`Index::about`] tells it.
    pub(crate) fn about<'i>(
        &'i self,
        action: &'i AskedAction<'_>,
    ) -> impl Iterator<Item = (usize, About)> + 'i {
        self.index.about(action)
    }

    /// Checks that every statement says what it is about. A key policy is read without
    /// that, such a statement being inert; whoever writes one anew must say it.
    ///
    /// # Errors
    ///
    /// [`Malformed`] for the first statement with neither `Action` nor `NotAction`, or
    /// neither `Resource` nor `NotResource`, unless the kind of policy implies it.
    ///
    /// Source: IAM User Guide, "Grammar of the IAM JSON policy language".
    pub fn check_whole(&self) -> Result<(), Malformed> {
        for (index, statement) in self.statements.iter().enumerate() {
            let refuse = Refusal {
                kind: self.kind,
                statement: Some(index),
            };
            if statement.actions.is_none() {
                return Err(refuse.because(Reason::Action, "", NO_ACTION));
            }
            match statement.resources {
                Resources::Missing => return Err(refuse.because(Reason::Resource, "", NO_RESOURCE)),
                Resources::Listed(_) | Resources::Implied => {}
            }
        }
        Ok(())
    }

    /// The ARNs of users and roles it names, each once: those that must exist
    /// when the document is written, and whose unique ids [`Document::bind`] wants.
    pub fn entities(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        let named = self.statements.iter().flat_map(|statement| statement.named.all());
        named
            .filter_map(|named| match named {
                Named::Entity { arn, .. } if seen.insert(&**arn) => Some(&**arn),
                _ => None,
            })
            .collect()
    }

    /// The bare unique ids (`AIDA…`, `AROA…`) it names, each once. Like those
    /// of [`Document::entities`], whoever has them must exist when the document
    /// is written; [`Document::bind`] leaves them as they are.
    pub fn unique_ids(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        let named = self.statements.iter().flat_map(|statement| statement.named.all());
        named
            .filter_map(|named| match named {
                Named::UniqueId(id) if seen.insert(&**id) => Some(&**id),
                _ => None,
            })
            .collect()
    }

    /// Every value of the `AWS` key it names, as written, once per mention:
    /// account ids, ARNs of any kind, unique ids, and `*`.
    pub fn principals(&self) -> impl Iterator<Item = &str> {
        let named = self.statements.iter().flat_map(|statement| statement.named.all());
        named.filter_map(|named| match named {
            Named::Federated(_) | Named::Service(_) | Named::CanonicalUser(_) => None,
            Named::Everyone
            | Named::EveryCredential
            | Named::Account { .. }
            | Named::Entity { .. }
            | Named::UniqueId(_)
            | Named::Session(_) => Some(named.text()),
        })
    }

    /// Binds every user and role it names to a unique id, so that a deleted and
    /// recreated namesake does not inherit what was granted to the first.
    ///
    /// `resolve` maps an ARN to `AIDA…` or `AROA…`: when the document is
    /// written, from the principals that exist; when it is loaded, from what
    /// was kept at writing.
    ///
    /// # Errors
    ///
    /// [`Malformed`] in the service's words for an unknown principal where
    /// `resolve` says `None`.
    pub fn bind(&mut self, mut resolve: impl FnMut(&str) -> Option<String>) -> Result<(), Malformed> {
        let kind = self.kind;
        for statement in &mut self.statements {
            let refuse = Refusal {
                kind,
                statement: Some(statement.index),
            };
            for named in statement.named.all_mut() {
                let Named::Entity { arn, id } = named else {
                    continue;
                };
                let Some(unique_id) = resolve(arn) else {
                    let subject = format!("\"AWS\":\"{arn}\"");
                    let detail = format!("no principal has the ARN {arn}");
                    return Err(refuse.because(Reason::PrincipalInvalid, &subject, detail));
                };
                *id = Some(unique_id.into());
            }
        }
        Ok(())
    }

    /// Every condition key its conditions and variables ask for, as written,
    /// each once whatever its case (`GetContextKeysForCustomPolicy`).
    pub fn context_keys(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        let mut keys = Vec::new();
        let mut add = |key: &'_ str| seen.insert(key.to_lowercase());
        for statement in &self.statements {
            if let Resources::Listed(clause) = &statement.resources {
                for pattern in &clause.patterns {
                    keys.extend(variable_keys(pattern.pieces()).filter(|key| add(key)));
                }
            }
            for condition in statement.conditions_as_written() {
                if add(&condition.key.text) {
                    keys.push(&*condition.key.text);
                }
                for pieces in condition.pieces() {
                    keys.extend(variable_keys(pieces).filter(|key| add(key)));
                }
            }
        }
        keys
    }
}

fn variable_keys(pieces: &[Piece]) -> impl Iterator<Item = &str> {
    pieces.iter().filter_map(|piece| match piece {
        Piece::Variable(variable) => Some(&*variable.key.text),
        Piece::Text(_) | Piece::Escaped(_) => None,
    })
}

fn statement_objects(list: &[Json], refuse: Refusal) -> Result<Vec<&Object>, Malformed> {
    if list.len() > STATEMENTS_MAX {
        return Err(refuse.because(
            Reason::TooLarge,
            "",
            format!("{} statements in one document", list.len()),
        ));
    }
    let objects = list.iter().map(|item| match item {
        Json::Object(object) => Ok(object),
        _ => Err(refuse.because(Reason::Syntax, "", "Statement holds something else than objects")),
    });
    objects.collect()
}

fn refuse_repeated_sids(statements: &[Statement], refuse: Refusal) -> Result<(), Malformed> {
    let mut seen = HashSet::new();
    for statement in statements {
        if let Some(sid) = &statement.sid
            && !seen.insert(&**sid)
        {
            let refuse = Refusal {
                statement: Some(statement.index),
                ..refuse
            };
            return Err(refuse.with_message(
                Reason::Sid,
                "Statement IDs (SID) in a single policy must be unique.",
                format!("Sid {sid:?} is given twice"),
            ));
        }
    }
    Ok(())
}

fn refuse_json(refuse: Refusal, error: &JsonError) -> Malformed {
    match error {
        JsonError::Syntax { at } => refuse.because(Reason::Json, "", format!("not JSON at byte {at}")),
        JsonError::TooDeep { at } => {
            refuse.because(Reason::Json, "", format!("nested too deeply at byte {at}"))
        }
        JsonError::DuplicateKey { key, at } => refuse.because(
            Reason::DuplicateKey,
            key,
            format!("key {key:?} is given twice, again at byte {at}"),
        ),
    }
}

/// Turns offsets into lines and columns.
struct Places<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
}

impl Places<'_> {
    fn new(text: &str) -> Places<'_> {
        let breaks = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        Places {
            text,
            line_starts: std::iter::once(0).chain(breaks).collect(),
        }
    }

    fn of(&self, offset: usize) -> Position {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line - 1];
        Position {
            line,
            column: self.text[start..offset].chars().count() + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, kind: DocumentKind) -> (Reason, String) {
        let malformed = Document::parse(text, kind).expect_err(text);
        (malformed.reason(), malformed.to_string())
    }

    fn statement(elements: &str) -> String {
        format!(r#"{{"Version":"2012-10-17","Statement":[{{{elements}}}]}}"#)
    }

    const PLAIN: &str = r#""Effect":"Allow","Action":"s3:*","Resource":"*""#;

    #[test]
    fn accepts_single_values_and_lists_alike() {
        let single = Document::parse(&statement(PLAIN), DocumentKind::Identity).unwrap();
        let listed =
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["s3:*"],"Resource":["*"]}}"#;
        let listed = Document::parse(listed, DocumentKind::Identity).unwrap();
        assert_eq!(single.statements()[0].actions, listed.statements()[0].actions);
        assert_eq!(single.statements()[0].resources, listed.statements()[0].resources);
    }

    #[test]
    fn speaks_in_the_words_clients_know() {
        use DocumentKind::{Identity, KmsKey, RoleTrust, ServiceControl};
        let trust = |principal: &str| {
            statement(&format!(
                r#""Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRole""#
            ))
        };
        for (text, kind, reason, message) in [
            (
                "{".to_owned(),
                RoleTrust,
                Reason::Json,
                "This policy contains invalid Json",
            ),
            (
                "[]".to_owned(),
                Identity,
                Reason::Syntax,
                "Syntax errors in policy.",
            ),
            (
                "{}".to_owned(),
                Identity,
                Reason::Syntax,
                "Syntax errors in policy.",
            ),
            (
                r#"{"Statement":[]}"#.to_owned(),
                Identity,
                Reason::Syntax,
                "Syntax errors in policy.",
            ),
            (
                r#"{"Version":"2020-01-01","Statement":[]}"#.to_owned(),
                Identity,
                Reason::Version,
                "Policy document must be version 2012-10-17 or greater.",
            ),
            (
                statement(r#""Effect":"allow","Action":"s3:*","Resource":"*""#),
                Identity,
                Reason::Effect,
                "The policy failed legacy parsing",
            ),
            (
                statement(&format!(r#"{PLAIN},"Effect":"Deny""#)),
                Identity,
                Reason::DuplicateKey,
                "The policy failed legacy parsing",
            ),
            (
                statement(&format!(r#"{PLAIN},"Principal":"*""#)),
                Identity,
                Reason::PrincipalNotAllowed,
                "Policy document should not specify a principal.",
            ),
            (
                statement(r#""Effect":"Allow","Resource":"*""#),
                Identity,
                Reason::Action,
                "Policy statement must contain actions.",
            ),
            (
                statement(r#""Effect":"Allow","Action":"s3:*""#),
                Identity,
                Reason::Resource,
                "Policy statement must contain resources.",
            ),
            (
                statement(r#""Effect":"Allow","Action":"GetObject","Resource":"*""#),
                Identity,
                Reason::Action,
                "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
            ),
            (
                statement(r#""Effect":"Allow","Action":"s3:Get:Object","Resource":"*""#),
                Identity,
                Reason::Action,
                "Actions/Condition can contain only one colon.",
            ),
            (
                statement(r#""Effect":"Allow","Action":"s3:GetObject","Resource":"bucket""#),
                Identity,
                Reason::Resource,
                "Resource bucket must be in ARN format or \"*\".",
            ),
            (
                statement(r#""Effect":"Allow","Action":"s3:GetObject","Resource":"arn:amazon:s3:::b""#),
                Identity,
                Reason::Resource,
                "Partition \"amazon\" is not valid for resource \"arn:amazon:s3:::b\".",
            ),
            (
                statement(&format!(r#"{PLAIN},"Sid":"a b""#)),
                Identity,
                Reason::Sid,
                "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression \
                 [0-9A-Za-z]*",
            ),
            (
                format!(r#"{{"Statement":[{{"Sid":"A",{PLAIN}}},{{"Sid":"A",{PLAIN}}}]}}"#),
                Identity,
                Reason::Sid,
                "Statement IDs (SID) in a single policy must be unique.",
            ),
            (
                trust(r#"{"AWS":"arn:aws:iam::123456789012:group/g"}"#),
                RoleTrust,
                Reason::PrincipalInvalid,
                "Invalid principal in policy: \"AWS\":\"arn:aws:iam::123456789012:group/g\"",
            ),
            (
                trust(r#"{"Service":"*"}"#),
                RoleTrust,
                Reason::PrincipalInvalid,
                "Invalid principal in policy: \"SERVICE\":\"*\"",
            ),
            (
                statement(r#""Effect":"Allow","Action":"sts:AssumeRole""#),
                RoleTrust,
                Reason::PrincipalMissing,
                "Missing required field Principal",
            ),
            (
                statement(r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject""#),
                RoleTrust,
                Reason::Action,
                "AssumeRole policy may only specify STS AssumeRole actions.",
            ),
            (
                statement(r#""Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*""#),
                RoleTrust,
                Reason::ResourceNotAllowed,
                "Has prohibited field Resource",
            ),
            (
                statement(r#""Effect":"Allow","Principal":{"AWS":"bob"},"Action":"kms:*","Resource":"*""#),
                KmsKey,
                Reason::PrincipalInvalid,
                "Policy contains a statement with one or more invalid principals.",
            ),
            (
                statement(r#""Effect":"Allow""#),
                ServiceControl,
                Reason::Action,
                "The provided policy document does not meet the requirements of the specified policy type.",
            ),
        ] {
            assert_eq!(refused(&text, kind), (reason, message.to_owned()), "{text}");
        }
    }

    #[test]
    fn refuses_wrong_shapes_everywhere() {
        for elements in [
            r#""Effect":1,"Action":"s3:*","Resource":"*""#,
            r#""Effect":"Allow","Action":1,"Resource":"*""#,
            r#""Effect":"Allow","Action":[["s3:*"]],"Resource":"*""#,
            r#""Effect":"Allow","Action":[],"Resource":"*""#,
            r#""Effect":"Allow","Action":"s3:*","Resource":[]"#,
            r#""Effect":"Allow","Action":"s3:*","NotAction":"s3:*","Resource":"*""#,
            r#""Effect":"Allow","Action":"s3:*","Resource":"*","NotResource":"*""#,
            r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":[]"#,
            r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"Bool":"x"}"#,
            r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"Bool":{"nocolon":"x"}}"#,
            r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"Bool":{"a:b":null}}"#,
            r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"Bool":{"a:b":{}}}"#,
            r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"Boolean":{"a:b":"true"}}"#,
            r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringLike":{"a:b":"${}"}}"#,
            r#""Effect":"Allow","Action":"s3:*","Resource":"*","Extra":1"#,
            r#""effect":"Allow","Action":"s3:*","Resource":"*""#,
            r#""Sid":1,"Effect":"Allow","Action":"s3:*","Resource":"*""#,
        ] {
            refused(&statement(elements), DocumentKind::Identity);
        }
        refused(
            &format!(r#"{{"Statement":[{{{PLAIN}}}],"Extra":1}}"#),
            DocumentKind::Identity,
        );
        refused(r#"{"Statement":["x"]}"#, DocumentKind::Identity);
    }

    #[test]
    fn a_key_policy_keeps_inert_statements_and_free_sids() {
        let text =
            statement(r#""Sid":"Allow use of the key","Effect":"Allow","Principal":{"AWS":"123456789012"}"#);
        let document = Document::parse(&text, DocumentKind::KmsKey).unwrap();
        assert_eq!(document.statements()[0].sid(), Some("Allow use of the key"));
        assert!(document.statements()[0].actions.is_none());
    }

    #[test]
    fn a_statement_that_is_whole_says_what_it_is_about() {
        let whole = |elements: &str, kind| Document::parse(&statement(elements), kind).unwrap().check_whole();
        const TO: &str = r#""Effect":"Allow","Principal":"*""#;
        for said in [
            r#""Action":"kms:*","Resource":"*""#,
            r#""NotAction":"kms:*","NotResource":"*""#,
        ] {
            assert_eq!(whole(&format!("{TO},{said}"), DocumentKind::KmsKey), Ok(()));
        }
        for (said, reason) in [
            (r#""Sid":"x""#, Reason::Action),
            (r#""Resource":"*""#, Reason::Action),
            (r#""Action":"kms:*""#, Reason::Resource),
            (r#""NotAction":"kms:*""#, Reason::Resource),
        ] {
            let refused = whole(&format!("{TO},{said}"), DocumentKind::KmsKey).unwrap_err();
            assert_eq!(
                (refused.reason(), refused.statement()),
                (reason, Some(0)),
                "{said}"
            );
        }
        let trust = format!(r#"{TO},"Action":"sts:AssumeRole""#);
        assert_eq!(whole(&trust, DocumentKind::RoleTrust), Ok(()));
    }

    #[test]
    fn control_policies_follow_their_own_rules() {
        let rcp = |elements: &str| Document::parse(&statement(elements), DocumentKind::ResourceControl);
        assert!(rcp(r#""Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*""#).is_ok());
        for elements in [
            r#""Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*""#,
            r#""Effect":"Deny","Principal":"*","Action":"*","Resource":"*""#,
            r#""Effect":"Deny","Principal":"*","NotAction":"s3:*","Resource":"*""#,
            r#""Effect":"Deny","NotPrincipal":"*","Action":"s3:*","Resource":"*""#,
            r#""Effect":"Deny","Principal":{"AWS":"123456789012"},"Action":"s3:*","Resource":"*""#,
            r#""Effect":"Deny","Action":"s3:*","Resource":"*""#,
        ] {
            assert!(rcp(elements).is_err(), "{elements}");
        }
        let scp = r#""Effect":"Allow","NotAction":"s3:*","NotResource":"arn:aws:s3:::b","Condition":{"Bool":{"a:b":true}}"#;
        assert!(Document::parse(&statement(scp), DocumentKind::ServiceControl).is_ok());
    }

    #[test]
    fn bounds_what_it_reads() {
        let too_long = format!(r#"{{"Id":"{}"}}"#, "x".repeat(DOCUMENT_BYTES_MAX));
        assert_eq!(refused(&too_long, DocumentKind::Identity).0, Reason::TooLarge);
        let one = format!("{{{PLAIN}}}");
        let many = |count: usize| format!(r#"{{"Statement":[{}]}}"#, vec![one.as_str(); count].join(","));
        assert!(Document::parse(&many(STATEMENTS_MAX), DocumentKind::Identity).is_ok());
        assert_eq!(
            refused(&many(STATEMENTS_MAX + 1), DocumentKind::Identity).0,
            Reason::TooLarge
        );
        let actions = vec![r#""a:b""#; crate::limits::VALUES_MAX].join(",");
        let wide = statement(&format!(
            r#""Effect":"Allow","Action":[{actions}],"Resource":"*""#
        ));
        assert_eq!(refused(&wide, DocumentKind::Identity).0, Reason::TooLarge);
    }

    #[test]
    fn says_where_statements_stand_and_which_keys_they_ask_for() {
        let text = "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n    {\"Effect\": \"Allow\", \"Action\": \"s3:*\",\
                    \n     \"Resource\": \"arn:aws:s3:::b/${aws:username}\",\n     \"Condition\": {\"StringLike\": \
                    {\"aws:PrincipalTag/T\": \"${AWS:UserName}-${x:y}\"}}}\n  ]\n}";
        let document = Document::parse(text, DocumentKind::Identity).unwrap();
        let (start, end) = document.statements()[0].span();
        assert_eq!((start.line, start.column), (4, 5));
        assert_eq!(end.line, 6);
        assert_eq!(
            document.context_keys(),
            ["aws:username", "aws:PrincipalTag/T", "x:y"]
        );
    }

    #[test]
    fn binds_entities_to_ids_and_refuses_unknown_ones() {
        let text = statement(
            r#""Effect":"Allow","Principal":{"AWS":["arn:aws:iam::123456789012:role/r","123456789012","AIDAQEAAAAAEXAMPLE234"]},"Action":"sts:AssumeRole""#,
        );
        let mut document = Document::parse(&text, DocumentKind::RoleTrust).unwrap();
        assert_eq!(document.entities(), ["arn:aws:iam::123456789012:role/r"]);
        assert_eq!(document.principals().count(), 3);
        assert_eq!(document.unique_ids(), ["AIDAQEAAAAAEXAMPLE234"]);
        document.bind(|_| Some("AROAEXAMPLEEXAMPLE1AB".into())).unwrap();
        let unknown = document.bind(|_| None).unwrap_err();
        assert_eq!(
            unknown.to_string(),
            "Invalid principal in policy: \"AWS\":\"arn:aws:iam::123456789012:role/r\""
        );
    }

    #[test]
    fn white_space_is_not_counted() {
        assert_eq!(Document::size_without_white_space("{ \"a\" :\n\t1 }\r\n"), 7);
    }
}

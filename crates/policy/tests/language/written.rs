//! Cases written as text: policies by their place, and questions about them.

use std::collections::BTreeMap;
use std::sync::Arc;

use policy::{
    Attached, Change, Context, Document, DocumentKind, Holder, Level, Policies, PolicyType, Principal,
    Request, ResourcePolicy, ResourcePolicyKind, Value,
};
use serde_json::{Value as Json, json};

use crate::scenario::{CALLER, OWNER, account, caller};

/// The word a policy begins with, and what it is.
const PLACES: [(&str, DocumentKind); 9] = [
    ("identity", DocumentKind::Identity),
    ("added", DocumentKind::Identity),
    ("boundary", DocumentKind::Boundary),
    ("session", DocumentKind::Session),
    ("resource", DocumentKind::Resource),
    ("key", DocumentKind::KmsKey),
    ("trust", DocumentKind::RoleTrust),
    ("scp", DocumentKind::ServiceControl),
    ("rcp", DocumentKind::ResourceControl),
];

/// The organisation's root, at which control policies of a case stand.
const ROOT: &str = "r-root";

/// The policies of a case, by the word they begin with.
#[derive(Clone)]
pub(crate) struct Written {
    documents: BTreeMap<&'static str, String>,
}

impl Written {
    /// Reads the policies of a case: each ends before the next line that
    /// begins with a place or one of `others`.
    pub(crate) fn read(case: &str, others: &[&str]) -> Written {
        let mut documents: BTreeMap<&'static str, String> = BTreeMap::new();
        let mut open = None;
        for line in case.lines() {
            let begun = PLACES
                .iter()
                .find_map(|(word, _)| Some((*word, line.strip_prefix(word)?.strip_prefix(':')?)));
            if let Some((word, text)) = begun {
                documents.insert(word, text.to_owned());
                open = Some(word);
            } else if others.iter().any(|other| line.starts_with(other)) {
                open = None;
            } else if let Some(text) = open.and_then(|word| documents.get_mut(word)) {
                text.push_str(line);
            }
        }
        Written { documents }
    }

    /// Asks about a caller, an action, a resource, and what the request's context says.
    pub(crate) fn ask<T>(&self, question: &str, answer: impl FnOnce(&Request<'_>, &Policies<'_>) -> T) -> T {
        let mut words = question.split_whitespace();
        let principal = asker(words.next().unwrap());
        let (action, resource) = (words.next().unwrap(), words.next().unwrap());
        let mut owner = CALLER;
        let mut context = Context::new();
        for word in words {
            match word.split_once('=') {
                None => {
                    assert_eq!(word, "across", "{question}");
                    owner = OWNER;
                }
                Some((key, list)) if list.starts_with('[') => {
                    let values = list.trim_matches(['[', ']']).split(',').collect::<Value<'_>>();
                    context.insert(key, values);
                }
                Some((key, value)) => {
                    context.insert(key, value);
                }
            }
        }
        let request = Request::new(&principal, action, resource, Some(account(owner)), &context);
        self.with(&principal, |policies| answer(&request, policies))
    }

    fn with<T>(&self, principal: &Principal, use_them: impl FnOnce(&Policies<'_>) -> T) -> T {
        let attached = |place: &str| self.attached(place, principal);
        let identity: Vec<Attached> = ["identity", "added"].into_iter().filter_map(attached).collect();
        let (boundary, session) = (attached("boundary"), attached("session"));
        let resource = [
            ("resource", ResourcePolicyKind::Ordinary),
            ("key", ResourcePolicyKind::KmsKey),
            ("trust", ResourcePolicyKind::RoleTrust),
        ]
        .into_iter()
        .find_map(|(place, kind)| Some((attached(place)?, kind)));
        let level = |policies| {
            vec![Level {
                target: ROOT.into(),
                policies,
            }]
        };
        let service_control = attached("scp").map(|policy| level(vec![policy]));
        let resource_control = attached("rcp").map(|policy| {
            let full = Arc::new(Document::full_resource_control());
            level(vec![
                policy,
                Attached::inline("RCPFullAWSAccess", Holder::Target(ROOT.into()), full),
            ])
        });
        use_them(&Policies {
            identity: &identity,
            boundary: boundary.as_ref(),
            session: session.as_ref().map(std::slice::from_ref),
            resource: resource
                .as_ref()
                .map(|(policy, kind)| ResourcePolicy { policy, kind: *kind }),
            service_control: service_control.as_deref(),
            resource_control: resource_control.as_deref(),
            ..Policies::default()
        })
    }

    fn attached(&self, place: &str, principal: &Principal) -> Option<Attached> {
        let text = self.documents.get(place)?;
        let (_, kind) = PLACES.iter().find(|(word, _)| *word == place).unwrap();
        let document = Document::parse(text, *kind);
        let document = Arc::new(document.unwrap_or_else(|error| panic!("{}: {text}", error.detail())));
        let name = name_of(place);
        let holder = match place {
            "session" => Holder::Session,
            "scp" | "rcp" => Holder::Target(ROOT.into()),
            "identity" | "added" | "boundary" => {
                // user/staff/bob, role/app/Deploy; the federated user is bob's.
                let arn = principal.principal_arn().unwrap_or(principal.arn());
                let own = arn.rsplit('/').next().unwrap_or_default();
                if arn.contains(":role/") {
                    Holder::Role(own.into())
                } else {
                    Holder::User(own.to_lowercase().into())
                }
            }
            _ => Holder::Resource,
        };
        Some(if name.starts_with("arn:") {
            Attached::managed(name, holder, document)
        } else {
            Attached::inline(name, holder, document)
        })
    }

    /// Does what a change advises.
    pub(crate) fn change(&mut self, change: &Change) {
        match change {
            Change::Except {
                policy, statement, ..
            } => {
                let place = PLACES.iter().find(|(word, _)| name_of(word) == policy);
                let (place, _) = place.unwrap_or_else(|| panic!("there is no policy {policy}"));
                self.edit(place, |statements| {
                    statements.remove(*statement);
                });
            }
            Change::Allow {
                policy_type,
                statement,
                ..
            } => {
                let place = match policy_type {
                    PolicyType::Identity => "added",
                    PolicyType::Boundary => "boundary",
                    PolicyType::Session => "session",
                    PolicyType::RoleTrust => "trust",
                    PolicyType::ServiceControl => "scp",
                    PolicyType::Resource if self.documents.contains_key("key") => "key",
                    PolicyType::Resource => "resource",
                    PolicyType::ResourceControl | PolicyType::Endpoint => {
                        panic!("no case wants a {policy_type}")
                    }
                };
                self.edit(place, |statements| statements.push(statement.clone()));
            }
        }
    }

    /// Changes the statements of a policy, which is made if it is not there.
    fn edit(&mut self, place: &'static str, edit: impl FnOnce(&mut Vec<Json>)) {
        let empty = || json!({ "Version": "2012-10-17", "Statement": [] });
        let text = self.documents.get(place);
        let mut document: Json = text.map_or_else(empty, |text| serde_json::from_str(text).unwrap());
        let mut statements = match document["Statement"].take() {
            Json::Array(statements) => statements,
            one => vec![one],
        };
        edit(&mut statements);
        if statements.is_empty() {
            self.documents.remove(place);
            return;
        }
        document["Statement"] = statements.into();
        self.documents.insert(place, document.to_string());
    }
}

/// What messages call the policy of a place.
fn name_of(place: &str) -> &str {
    match place {
        "boundary" => "arn:aws:iam::111111111111:policy/Boundary",
        "scp" => "arn:aws:organizations::222222222222:policy/o-example123/service_control_policy/p-example1",
        "rcp" => "arn:aws:organizations::222222222222:policy/o-example123/resource_control_policy/p-example2",
        place => place,
    }
}

/// A caller by kind, a user by `user/NAME`, or a session by `role/ROLE/SESSION`.
fn asker(name: &str) -> Principal {
    let own = account(CALLER);
    match name.split('/').collect::<Vec<_>>()[..] {
        ["user", name] => Principal::user(own, "AIDAEXAMPLENAMED12345", "/", name),
        ["role", role, session] => Principal::assumed_role(own, "AROAEXAMPLENAMED12345", "/", role, session),
        _ => caller(name),
    }
}

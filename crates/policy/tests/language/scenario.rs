//! One small world that the tables of cases are played in: one action, one
//! resource, one caller of each kind.

use std::sync::Arc;

use ground::AccountId;
use policy::{
    Attached, Context, Document, DocumentKind, GrantAllow, Holder, Level, Parent, Policies, Principal,
    Request, ResourcePolicy, ResourcePolicyKind,
};

pub(crate) const CALLER: &str = "111111111111";
pub(crate) const OWNER: &str = "222222222222";
pub(crate) const USER_ID: &str = "AIDAQAAAAAAAEXAMPLE23";
pub(crate) const ROLE_ID: &str = "AROAQAAAAAAAEXAMPLE23";

pub(crate) fn account(digits: &str) -> AccountId {
    AccountId::parse(digits).unwrap()
}

pub(crate) fn caller(name: &str) -> Principal {
    let own = account(CALLER);
    match name {
        "user" => Principal::user(own, USER_ID, "/staff/", "bob"),
        "role" => Principal::assumed_role(own, ROLE_ID, "/app/", "Deploy", "ci"),
        "linked" => {
            Principal::assumed_role(own, ROLE_ID, "/aws-service-role/x.amazonaws.com/", "Linked", "x")
        }
        "federated" => {
            let parent = Parent {
                id: USER_ID.into(),
                arn: format!("arn:aws:iam::{CALLER}:user/staff/bob"),
            };
            Principal::federated_user(own, "Bob", Some(parent))
        }
        "root" => Principal::root(own),
        "service" => Principal::service("events.amazonaws.com"),
        "web" => Principal::web_identity("arn:aws:iam::222222222222:oidc-provider/id.example.com"),
        "anonymous" => Principal::anonymous(),
        other => panic!("there is no caller {other:?}"),
    }
}

/// How the resource policy's element names someone; behind `!` whom it leaves out.
pub(crate) fn principal_element(name: &str) -> String {
    match name {
        "account" => format!(r#"{{"AWS":"{CALLER}"}}"#),
        "user" | "parent" => format!(r#"{{"AWS":"arn:aws:iam::{CALLER}:user/staff/bob"}}"#),
        "other" => format!(r#"{{"AWS":"arn:aws:iam::{CALLER}:user/staff/eve"}}"#),
        "user-id" => format!(r#"{{"AWS":"{USER_ID}"}}"#),
        "role" => format!(r#"{{"AWS":"arn:aws:iam::{CALLER}:role/app/Deploy"}}"#),
        "role-id" => format!(r#"{{"AWS":"{ROLE_ID}"}}"#),
        "session" => format!(r#"{{"AWS":"arn:aws:sts::{CALLER}:assumed-role/Deploy/ci"}}"#),
        "federated" => format!(r#"{{"AWS":"arn:aws:sts::{CALLER}:federated-user/Bob"}}"#),
        "service" => r#"{"Service":"events.amazonaws.com"}"#.to_owned(),
        "web" => r#"{"Federated":"arn:aws:iam::222222222222:oidc-provider/id.example.com"}"#.to_owned(),
        "everyone" | "nobody" | "deny" => r#""*""#.to_owned(),
        "star" => r#"{"AWS":"*"}"#.to_owned(),
        // Everyone but eve; a deny to all but bob, and the account behind him.
        "not-other" => format!("!{}", principal_element("other")),
        "deny-not-user" => {
            format!(r#"!{{"AWS":["arn:aws:iam::{CALLER}:user/staff/bob","{CALLER}"]}}"#)
        }
        other => panic!("nobody is named {other:?}"),
    }
}

/// What a table is about: action, resource, kinds of document.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) action: &'static str,
    pub(crate) resource: &'static str,
    pub(crate) kind: ResourcePolicyKind,
    pub(crate) owner: &'static str,
}

pub(crate) const BUCKET: Setting = Setting {
    action: "s3:GetObject",
    resource: "arn:aws:s3:::bucket/file",
    kind: ResourcePolicyKind::Ordinary,
    owner: CALLER,
};

pub(crate) const KEY: Setting = Setting {
    action: "kms:Encrypt",
    resource: "arn:aws:kms:eu-west-1:222222222222:key/1",
    kind: ResourcePolicyKind::KmsKey,
    owner: CALLER,
};

pub(crate) const ROLE: Setting = Setting {
    action: "sts:AssumeRole",
    resource: "arn:aws:iam::222222222222:role/Target",
    kind: ResourcePolicyKind::RoleTrust,
    owner: CALLER,
};

impl Setting {
    pub(crate) fn foreign(self) -> Setting {
        Setting { owner: OWNER, ..self }
    }

    /// An action of the same service that is never asked for.
    fn other_action(self) -> &'static str {
        match self.kind {
            ResourcePolicyKind::Ordinary => "s3:ListBucket",
            ResourcePolicyKind::KmsKey => "kms:DescribeKey",
            ResourcePolicyKind::RoleTrust => "sts:TagSession",
        }
    }

    fn parse(self, verdict: &str, kind: DocumentKind, principal: Option<&str>) -> Arc<Document> {
        let (effect, action) = match verdict {
            "allow" => ("Allow", self.action),
            "miss" => ("Allow", self.other_action()),
            "deny" => ("Deny", self.action),
            other => panic!("there is no verdict {other:?}"),
        };
        let principal = principal.map_or_else(String::new, |element| match element.strip_prefix('!') {
            Some(element) => format!(r#""NotPrincipal":{element},"#),
            None => format!(r#""Principal":{element},"#),
        });
        let resource = if kind == DocumentKind::RoleTrust {
            ""
        } else {
            r#","Resource":"*""#
        };
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}",{principal}"Action":"{action}"{resource}}}}}"#
        );
        Arc::new(Document::parse(&text, kind).expect(&text))
    }
}

/// Policies of one case, owned.
pub(crate) struct Scenario {
    setting: Setting,
    principal: Principal,
    identity: Vec<Attached>,
    boundary: Option<Attached>,
    session: Option<Vec<Attached>>,
    resource: Option<Attached>,
    grants: Vec<GrantAllow<'static>>,
    endpoint: Option<Attached>,
    service_control: Option<Vec<Level>>,
    resource_control: Option<Vec<Level>>,
    pub(crate) same_organization: bool,
}

impl Scenario {
    /// Columns that are not given are absent.
    pub(crate) fn new(setting: Setting, columns: &[(&str, &str)]) -> Scenario {
        let column = |name: &str| {
            columns
                .iter()
                .find(|(column, _)| *column == name)
                .map_or("absent", |(_, value)| value)
        };
        let held = |verdict: &str, kind, name: &str| match verdict {
            "absent" | "empty" => None,
            verdict => {
                let arn = format!("arn:aws:iam::{CALLER}:policy/{name}");
                Some(Attached::managed(
                    &arn,
                    Holder::User("bob".into()),
                    setting.parse(verdict, kind, None),
                ))
            }
        };
        let levels = |verdicts: &str, kind, principal: Option<&str>, name: &str| match verdicts {
            "absent" => None,
            verdicts => {
                let level = |(number, verdict): (usize, &str)| {
                    // Two policies per level: the one asked for, and AWS's own where nothing else is wanted.
                    let document = match (verdict, kind) {
                        ("empty", _) => None,
                        ("allow", DocumentKind::ResourceControl) => {
                            Some(Arc::new(Document::full_resource_control()))
                        }
                        ("miss", DocumentKind::ResourceControl) => None,
                        (verdict, kind) => Some(setting.parse(verdict, kind, principal)),
                    };
                    let arn =
                        format!("arn:aws:organizations::{OWNER}:policy/o-example123/{name}/p-level{number}");
                    let policies = document
                        .map(|document| Attached::managed(&arn, Holder::Target("level".into()), document));
                    Level {
                        target: format!("level-{number}").into(),
                        policies: policies.into_iter().collect(),
                    }
                };
                Some(verdicts.split('/').enumerate().map(level).collect())
            }
        };
        let document_kind = match setting.kind {
            ResourcePolicyKind::Ordinary => DocumentKind::Resource,
            ResourcePolicyKind::KmsKey => DocumentKind::KmsKey,
            ResourcePolicyKind::RoleTrust => DocumentKind::RoleTrust,
        };
        let resource = match column("resource") {
            "absent" => None,
            named => {
                let verdict = match named {
                    "nobody" => "miss",
                    "deny" | "deny-not-user" => "deny",
                    _ => "allow",
                };
                let element = principal_element(named);
                let document = setting.parse(verdict, document_kind, Some(&element));
                Some(Attached::inline("default", Holder::Resource, document))
            }
        };
        Scenario {
            setting,
            principal: caller(column("caller")),
            identity: held(column("I"), DocumentKind::Identity, "identity")
                .into_iter()
                .collect(),
            boundary: held(column("B"), DocumentKind::Boundary, "boundary"),
            session: (column("S") != "absent").then(|| {
                held(column("S"), DocumentKind::Session, "session")
                    .into_iter()
                    .collect()
            }),
            resource,
            grants: if column("grant") == "yes" {
                vec![GrantAllow { id: "grant-1" }]
            } else {
                Vec::new()
            },
            endpoint: (column("E") != "absent").then(|| {
                let document = setting.parse(column("E"), DocumentKind::Resource, Some(r#""*""#));
                Attached::inline("endpoint", Holder::Resource, document)
            }),
            service_control: levels(
                column("SCP"),
                DocumentKind::ServiceControl,
                None,
                "service_control_policy",
            ),
            resource_control: levels(
                column("RCP"),
                DocumentKind::ResourceControl,
                Some(r#""*""#),
                "resource_control_policy",
            ),
            same_organization: false,
        }
    }

    pub(crate) fn with<T>(&self, use_it: impl FnOnce(&Request<'_>, &Policies<'_>) -> T) -> T {
        let context = Context::new();
        let mut request = Request::new(
            &self.principal,
            self.setting.action,
            self.setting.resource,
            Some(account(self.setting.owner)),
            &context,
        );
        request.same_organization = self.same_organization;
        let policies = Policies {
            identity: &self.identity,
            boundary: self.boundary.as_ref(),
            session: self.session.as_deref(),
            resource: self.resource.as_ref().map(|policy| ResourcePolicy {
                policy,
                kind: self.setting.kind,
            }),
            grants: &self.grants,
            endpoint: self.endpoint.as_ref(),
            service_control: self.service_control.as_deref(),
            resource_control: self.resource_control.as_deref(),
        };
        use_it(&request, &policies)
    }
}

//! Doors that a resource or trust policy leaves open: to everyone, to other
//! accounts, to a service acting for someone else.

use ground::AccountId;

use crate::document::{Document, DocumentKind};
use crate::lint::condition::{is_kept_from_strangers_by, is_narrowed_by};
use crate::lint::{Report, Severity};
use crate::named::{Named, NamedClause};
use crate::statement::Statement;

/// Keys of which certain values keep strangers out.
///
/// Source: S3 User Guide, "The meaning of public", names `aws:PrincipalOrgID`,
/// `aws:SourceIp`, `aws:SourceArn`, `aws:SourceVpc`, `aws:SourceVpce`,
/// `aws:SourceOwner`, `aws:SourceAccount`, `aws:userid` and the two of access
/// points. It is our own judgement that the other keys that say to which
/// account or organisation the caller, its network or the resource behind a
/// service belongs do as well (their descriptions: IAM User Guide, "AWS global
/// condition context keys"; KMS Developer Guide, `kms:CallerAccount`).
///
/// Absent on purpose: `aws:PrincipalTag` and `aws:UserAgent`, which every
/// account or caller sets as it likes; `aws:Referer`, of which that page warns
/// the same; `aws:VpcSourceIp`, which may be an address in anyone's network; and
/// `s3:x-amz-server-side-encryption-aws-kms-key-id`, which S3 counts and which
/// says what is written, not by whom.
const KEEPS_STRANGERS_OUT: [&str; 20] = [
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpcarn",
    "aws:sourcevpce",
    "aws:userid",
    "aws:vpceaccount",
    "aws:vpceorgid",
    "aws:vpceorgpaths",
    "kms:calleraccount",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
];

/// Keys that say for whom a service acts.
///
/// Source: IAM User Guide, "AWS global condition context keys", the four that
/// are there when a service principal calls; `aws:SourceOwner` is their elder.
const SAYS_FOR_WHOM: [&str; 5] = [
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourceowner",
];

/// Keys that keep a trusted account's outsiders from using its trust.
///
/// Source: IAM User Guide, "The confused deputy problem", for `sts:ExternalId`;
/// the others, which say who of that account may come, are our own judgement.
const TRUST_LIMITS: [&str; 5] = [
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:userid",
    "sts:externalid",
];

pub(super) fn find(document: &Document, account: Option<AccountId>, report: &mut Report) {
    let kind = document.kind();
    match kind {
        DocumentKind::RoleTrust | DocumentKind::KmsKey | DocumentKind::Resource => {}
        // An RCP speaks of everyone, and only denies.
        DocumentKind::ResourceControl
        | DocumentKind::Identity
        | DocumentKind::Boundary
        | DocumentKind::Session
        | DocumentKind::ServiceControl => return,
    }
    for statement in document.statements().iter().filter(|it| it.allows()) {
        match &statement.named {
            NamedClause::Absent => {}
            NamedClause::NotPrincipal(_) => report.add(
                ("allow-not-principal", Severity::Error),
                statement,
                "NotPrincipal",
                "Allow with NotPrincipal lets in everyone who is not listed, also without credentials.",
                "List in Principal whom you mean.",
            ),
            NamedClause::Principal(named) => {
                for one in named {
                    doors(kind, statement, one, account, report);
                }
            }
        }
    }
}

fn doors(
    kind: DocumentKind,
    statement: &Statement,
    named: &Named,
    account: Option<AccountId>,
    report: &mut Report,
) {
    match named {
        Named::Everyone | Named::EveryCredential => {
            if !is_kept_from_strangers_by(statement, &KEEPS_STRANGERS_OUT) {
                report.add(
                    ("public-access", Severity::Error),
                    statement,
                    "Principal",
                    "It lets everyone in, from any account.",
                    "Name principals, or add a condition such as aws:PrincipalOrgID or aws:SourceArn.",
                );
            }
        }
        Named::Service(service) => service_door(kind, statement, service, report),
        Named::Federated(provider) if kind == DocumentKind::RoleTrust => {
            federated_door(statement, provider, report);
        }
        Named::Account { .. } | Named::Entity { .. } | Named::Session(_) => {
            account_door(kind, statement, named, account, report);
        }
        Named::Federated(_) | Named::UniqueId(_) | Named::CanonicalUser(_) => {}
    }
}

fn service_door(kind: DocumentKind, statement: &Statement, service: &str, report: &mut Report) {
    // Our own judgement: AWS has no list of the services that send no source. An instance gets
    // its role through an instance profile of its own account, and nothing is known to hold
    // for EC2's calls with a condition on a source.
    const WITHOUT_SOURCE: [&str; 1] = ["ec2.amazonaws.com"];
    if is_kept_from_strangers_by(statement, &SAYS_FOR_WHOM)
        || (kind == DocumentKind::RoleTrust && WITHOUT_SOURCE.contains(&service))
    {
        return;
    }
    let severity = if kind == DocumentKind::RoleTrust {
        Severity::Note
    } else {
        Severity::Warning
    };
    report.add(
        ("confused-deputy", severity),
        statement,
        "Principal.Service",
        format!("{service} may use it for any customer: nothing says for whom it acts."),
        "Add a condition on aws:SourceArn or aws:SourceAccount.",
    );
}

/// A provider's tokens are for many applications and people: which ones is for conditions to say.
fn federated_door(statement: &Statement, provider: &str, report: &mut Report) {
    let saml = provider.contains(":saml-provider/");
    let wanted: &[&str] = if saml {
        &["saml:aud", "saml:sub", "saml:iss"]
    } else {
        &[":sub", ":aud", ":oaud", ":amr", ":app_id", ":user_id"]
    };
    let said = statement.conditions.iter().any(|condition| {
        let key = condition.key.folded();
        let wild = condition
            .texts
            .iter()
            .any(|text| text.chars().all(|letter| letter == '*'));
        condition.is_firm() && !wild && wanted.iter().any(|end| key.ends_with(end))
    });
    if !said {
        report.add(
            ("any-token-of-provider", Severity::Error),
            statement,
            "Principal.Federated",
            format!("Any token or assertion of {provider} assumes the role, whomever and whatever it was made for."),
            if saml {
                "Add a condition on SAML:aud."
            } else {
                "Add conditions on the provider's aud and sub."
            },
        );
    } else if provider.ends_with("oidc-provider/token.actions.githubusercontent.com")
        && !is_narrowed_by(statement, &["token.actions.githubusercontent.com:sub"])
    {
        report.add(
            ("any-token-of-provider", Severity::Error),
            statement,
            "Principal.Federated",
            "The audience is the same for every repository of GitHub: a workflow of any of them assumes the role.",
            "Add a condition on token.actions.githubusercontent.com:sub.",
        );
    }
}

fn account_door(
    kind: DocumentKind,
    statement: &Statement,
    named: &Named,
    account: Option<AccountId>,
    report: &mut Report,
) {
    let Some(own) = account else { return };
    let theirs = match named {
        Named::Account { id, .. } => Some(*id),
        named => named
            .text()
            .split(':')
            .nth(4)
            .and_then(|id| AccountId::parse(id).ok()),
    };
    let Some(theirs) = theirs.filter(|theirs| *theirs != own) else {
        return;
    };
    let whole = matches!(named, Named::Account { .. });
    if kind == DocumentKind::RoleTrust && whole && !is_narrowed_by(statement, &TRUST_LIMITS) {
        report.add(
            ("trusts-whole-account", Severity::Warning),
            statement,
            "Principal.AWS",
            format!("Account {theirs} lets in whom it likes; a third party that serves others can be made to come for them."),
            "Name a role, or add a condition on sts:ExternalId or aws:PrincipalArn.",
        );
        return;
    }
    report.add(
        ("cross-account-access", Severity::Note),
        statement,
        "Principal.AWS",
        format!("{} belongs to another account, {theirs}.", named.text()),
        "Nothing, if that account is meant.",
    );
}

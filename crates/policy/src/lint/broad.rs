//! Grants that reach further than anyone can have meant.

use crate::document::{Document, DocumentKind};
use crate::lint::condition::is_narrowed_by;
use crate::lint::{Report, Severity, grants_to_holder};
use crate::statement::{Resources, Statement};

/// Actions that read secrets, or hand out access: with `Resource: "*"` they
/// reach every one of the account.
///
/// Those that hand out access have the access level "Permissions management" in
/// the Service Authorization Reference (seen in the lists that iam-floyd 0.737
/// and Policy Sentry generate from it: KMS, Lambda, S3, Secrets Manager, SNS and
/// SQS; for `iam:PassRole` in the latter only). `sqs:SetQueueAttributes` has the
/// level "Write" and is here because the policy is one of the attributes.
///
/// Which reads are of secrets is our own judgement: what KMS, Secrets Manager,
/// Parameter Store and S3 give out, `kms:ReEncryptFrom`, which brings any
/// ciphertext under a key of the caller's, and three of Policy Sentry's list of
/// actions that return credentials. So is `kms:ScheduleKeyDeletion`, which takes
/// every key away. The many actions of IAM are told as ways to more permissions.
const SENSITIVE: [&str; 29] = [
    "ec2:getpassworddata",
    "iam:passrole",
    "kms:creategrant",
    "kms:decrypt",
    "kms:putkeypolicy",
    "kms:reencryptfrom",
    "kms:schedulekeydeletion",
    "lambda:addlayerversionpermission",
    "lambda:addpermission",
    "rds-db:connect",
    "redshift:getclustercredentials",
    "s3:getobject",
    "s3:getobjectversion",
    "s3:putaccountpublicaccessblock",
    "s3:putbucketacl",
    "s3:putbucketpolicy",
    "s3:putbucketpublicaccessblock",
    "s3:putobjectacl",
    "s3:putobjectversionacl",
    "secretsmanager:getsecretvalue",
    "secretsmanager:putresourcepolicy",
    "sns:addpermission",
    "sns:settopicattributes",
    "sqs:addpermission",
    "sqs:setqueueattributes",
    "ssm:getparameter",
    "ssm:getparameterhistory",
    "ssm:getparameters",
    "ssm:getparametersbypath",
];

/// Keys by which a grant over every resource is meant for some of them. Our own
/// judgement, by what each key is about.
const PICK_RESOURCES: [&str; 8] = [
    "aws:resourcetag/*",
    "aws:resourceaccount",
    "aws:resourceorgid",
    "iam:passedtoservice",
    "iam:resourcetag/*",
    "kms:encryptioncontext:*",
    "kms:resourcealiases",
    "kms:viaservice",
];

pub(super) fn find(document: &Document, report: &mut Report) {
    for statement in document.statements().iter().filter(|it| it.allows()) {
        negations(document.kind(), statement, report);
        if grants_to_holder(document.kind()) {
            everything(statement, report);
        }
    }
}

/// `NotAction` and `NotResource` with Allow grant what does not exist yet.
fn negations(kind: DocumentKind, statement: &Statement, report: &mut Report) {
    // An SCP or boundary that allows all but a few is how such policies are written.
    let limits_only = matches!(
        kind,
        DocumentKind::Boundary | DocumentKind::ServiceControl | DocumentKind::Session
    );
    if limits_only {
        return;
    }
    if statement.actions.as_ref().is_some_and(|clause| clause.negated) {
        report.add(
            ("allow-not-action", Severity::Warning),
            statement,
            "NotAction",
            "Allow with NotAction grants every action not listed, of every service, also those that come later.",
            "List the actions that are meant, or deny the ones that are not.",
        );
    }
    if matches!(&statement.resources, Resources::Listed(clause) if clause.negated) {
        report.add(
            ("allow-not-resource", Severity::Warning),
            statement,
            "NotResource",
            "Allow with NotResource grants every resource not listed, also those that come later.",
            "List the resources that are meant, or deny the ones that are not.",
        );
    }
}

fn everything(statement: &Statement, report: &mut Report) {
    let Some(actions) = statement.actions.as_ref().filter(|clause| !clause.negated) else {
        return;
    };
    if !statement.is_about_every_resource() {
        return;
    }
    if actions.patterns.iter().any(|pattern| &*pattern.text == "*") {
        report.add(
            ("allow-everything", Severity::Error),
            statement,
            "Action",
            "It allows every action on every resource.",
            "List the actions and resources that are needed.",
        );
        return;
    }
    if is_narrowed_by(statement, &PICK_RESOURCES) {
        return;
    }
    let whole = actions
        .patterns
        .iter()
        .find(|pattern| pattern.text.ends_with(":*"));
    if let Some(service) = whole.and_then(|pattern| pattern.vendor()) {
        report.add(
            ("allow-whole-service", Severity::Warning),
            statement,
            "Action",
            format!("It allows every action of {service} on every resource."),
            "List the actions and resources that are needed.",
        );
        return;
    }
    let sensitive: Vec<&str> = SENSITIVE
        .into_iter()
        .filter(|action| statement.is_about(action))
        .collect();
    if !sensitive.is_empty() {
        report.add(
            ("sensitive-on-every-resource", Severity::Warning),
            statement,
            "Resource",
            format!(
                "It allows {} on every resource of the account.",
                sensitive.join(", ")
            ),
            "Name the resources, or pick them by a condition such as aws:ResourceTag.",
        );
    }
}

//! Ways from the permissions given to more of them.
//!
//! A way is a set of actions; it is open if the document allows all of them
//! and denies none of them outright. A condition on a key that says which
//! policy, boundary, service or role is meant closes it; a condition on who
//! asks (MFA, address) does not.
//!
//! Sources, all read: Rhino Security Labs, "AWS IAM Privilege Escalation
//! Methods" (1 to 28); Hacking the Cloud, "AWS IAM Privilege Escalation
//! Techniques"; Bishop Fox, "IAM Vulnerable" (31 paths). Every way of theirs is
//! here but those through CodeStar (Rhino 23 to 25), a service that has ended.
//! Where a source asks for a further action that only makes the way shorter
//! (invoking a function that something else may invoke, a session on an
//! instance that may call home by itself), it is left out here.
//! `iam:UpdateAssumeRolePolicy` is a way by itself: a trust policy that names
//! its caller needs no identity policy in the same account.
//!
//! Our own judgement: service-specific credentials, second factors, groups'
//! own policies, instance profile associations, ECS, Automation and Step
//! Functions; and which conditions close a way ([`CLOSES`]).

use crate::document::Document;
use crate::lint::condition::is_narrowed_by;
use crate::lint::{Report, Severity, grants_to_holder};
use crate::statement::{Effect, Resources, Statement};

struct Way {
    code: &'static str,
    /// All in lower case, all needed; the finding points at the statement of the first.
    actions: &'static [&'static str],
    /// Whether only a grant over many resources opens it: keys for oneself are not more permissions.
    needs_others: bool,
    how: &'static str,
}

const fn way(
    code: &'static str,
    actions: &'static [&'static str],
    needs_others: bool,
    how: &'static str,
) -> Way {
    Way {
        code,
        actions,
        needs_others,
        how,
    }
}

const POLICIES: &str = "escalation-by-policy";
const CREDENTIALS: &str = "escalation-by-credentials";
const TRUST: &str = "escalation-by-trust";
const BOUNDARY: &str = "escalation-by-boundary";
const PASSED_ROLE: &str = "escalation-by-passed-role";
const RUNNING: &str = "escalation-by-running-role";

const WAYS: &[Way] = &[
    way(
        POLICIES,
        &["iam:createpolicyversion"],
        false,
        "a new version of an attached policy can allow everything",
    ),
    way(
        POLICIES,
        &["iam:setdefaultpolicyversion"],
        false,
        "an older, wider version of an attached policy can be made the default",
    ),
    way(
        POLICIES,
        &["iam:attachuserpolicy"],
        false,
        "any managed policy can be attached to a user",
    ),
    way(
        POLICIES,
        &["iam:attachgrouppolicy"],
        false,
        "any managed policy can be attached to a group",
    ),
    way(
        POLICIES,
        &["iam:attachrolepolicy"],
        false,
        "any managed policy can be attached to a role",
    ),
    way(
        POLICIES,
        &["iam:putuserpolicy"],
        false,
        "any inline policy can be given to a user",
    ),
    way(
        POLICIES,
        &["iam:putgrouppolicy"],
        false,
        "any inline policy can be given to a group",
    ),
    way(
        POLICIES,
        &["iam:putrolepolicy"],
        false,
        "any inline policy can be given to a role",
    ),
    way(
        POLICIES,
        &["iam:deleteuserpolicy"],
        false,
        "an inline policy that denies can be taken from a user",
    ),
    way(
        POLICIES,
        &["iam:detachuserpolicy"],
        false,
        "a managed policy that denies can be taken from a user",
    ),
    way(
        POLICIES,
        &["iam:deleterolepolicy"],
        false,
        "an inline policy that denies can be taken from a role",
    ),
    way(
        POLICIES,
        &["iam:detachrolepolicy"],
        false,
        "a managed policy that denies can be taken from a role",
    ),
    way(
        POLICIES,
        &["iam:deletegrouppolicy"],
        false,
        "an inline policy that denies can be taken from a group",
    ),
    way(
        POLICIES,
        &["iam:detachgrouppolicy"],
        false,
        "a managed policy that denies can be taken from a group",
    ),
    way(
        POLICIES,
        &["iam:addusertogroup"],
        true,
        "a user can be put into a group with more permissions",
    ),
    way(
        CREDENTIALS,
        &["iam:createaccesskey"],
        true,
        "access keys can be made for any user",
    ),
    way(
        CREDENTIALS,
        &["iam:createloginprofile"],
        true,
        "a password can be set for any user that has none",
    ),
    way(
        CREDENTIALS,
        &["iam:updateloginprofile"],
        true,
        "the password of any user can be changed",
    ),
    way(
        CREDENTIALS,
        &["iam:createservicespecificcredential"],
        true,
        "credentials can be made for any user",
    ),
    way(
        CREDENTIALS,
        &["iam:deactivatemfadevice"],
        true,
        "the second factor of any user can be removed",
    ),
    way(
        TRUST,
        &["iam:updateassumerolepolicy"],
        true,
        "any role can be made to trust the caller",
    ),
    way(
        TRUST,
        &["sts:assumerole"],
        true,
        "any role that trusts the account can be assumed",
    ),
    way(
        BOUNDARY,
        &["iam:deleteuserpermissionsboundary"],
        false,
        "the boundary that limits a user can be removed",
    ),
    way(
        BOUNDARY,
        &["iam:deleterolepermissionsboundary"],
        false,
        "the boundary that limits a role can be removed",
    ),
    way(
        BOUNDARY,
        &["iam:putuserpermissionsboundary"],
        false,
        "the boundary that limits a user can be replaced by a wider one",
    ),
    way(
        BOUNDARY,
        &["iam:putrolepermissionsboundary"],
        false,
        "the boundary that limits a role can be replaced by a wider one",
    ),
    way(
        PASSED_ROLE,
        &["iam:passrole", "ec2:runinstances"],
        true,
        "an instance can be started with any role",
    ),
    way(
        PASSED_ROLE,
        &["iam:passrole", "ec2:associateiaminstanceprofile"],
        true,
        "a running instance can be given any role",
    ),
    way(
        PASSED_ROLE,
        &["iam:passrole", "lambda:createfunction"],
        true,
        "a function can be made that runs as any role",
    ),
    way(
        PASSED_ROLE,
        &["iam:passrole", "cloudformation:createstack"],
        true,
        "a stack can be made as any role",
    ),
    way(
        PASSED_ROLE,
        &["iam:passrole", "codebuild:createproject"],
        true,
        "a build can run as any role",
    ),
    way(
        PASSED_ROLE,
        &["iam:passrole", "datapipeline:putpipelinedefinition"],
        true,
        "a pipeline can run as any role",
    ),
    way(
        PASSED_ROLE,
        &["iam:passrole", "ecs:runtask"],
        true,
        "a task can run as any role",
    ),
    way(
        PASSED_ROLE,
        &["iam:passrole", "ecs:registertaskdefinition"],
        true,
        "a task can be made to run as any role",
    ),
    way(
        PASSED_ROLE,
        &["iam:passrole", "glue:createdevendpoint"],
        true,
        "a development endpoint can run as any role",
    ),
    way(
        PASSED_ROLE,
        &["iam:passrole", "glue:createjob"],
        true,
        "a job can run as any role",
    ),
    way(
        PASSED_ROLE,
        &["iam:passrole", "sagemaker:createnotebookinstance"],
        true,
        "a notebook can run as any role",
    ),
    way(
        PASSED_ROLE,
        &["iam:passrole", "ssm:startautomationexecution"],
        true,
        "an automation can run as any role",
    ),
    way(
        PASSED_ROLE,
        &["iam:passrole", "states:createstatemachine"],
        true,
        "a state machine can run as any role",
    ),
    way(
        PASSED_ROLE,
        &[
            "iam:passrole",
            "autoscaling:createlaunchconfiguration",
            "autoscaling:createautoscalinggroup",
        ],
        true,
        "a group can start instances with any role",
    ),
    way(
        PASSED_ROLE,
        &[
            "iam:passrole",
            "autoscaling:createlaunchconfiguration",
            "autoscaling:updateautoscalinggroup",
        ],
        true,
        "a group can start instances with any role",
    ),
    way(
        PASSED_ROLE,
        &[
            "iam:passrole",
            "ec2:createlaunchtemplate",
            "autoscaling:createautoscalinggroup",
        ],
        true,
        "a group can start instances with any role",
    ),
    way(
        PASSED_ROLE,
        &[
            "iam:passrole",
            "ec2:createlaunchtemplate",
            "autoscaling:updateautoscalinggroup",
        ],
        true,
        "a group can start instances with any role",
    ),
    way(
        PASSED_ROLE,
        &["iam:passrole", "glue:updatejob"],
        true,
        "a job can be made to run as any role",
    ),
    way(
        PASSED_ROLE,
        &["iam:passrole", "sagemaker:createprocessingjob"],
        true,
        "a processing job can run as any role",
    ),
    way(
        PASSED_ROLE,
        &["iam:passrole", "sagemaker:createtrainingjob"],
        true,
        "a training job can run as any role",
    ),
    way(
        RUNNING,
        &["cloudformation:updatestack"],
        true,
        "a stack can be changed, and acts as the role it was made with",
    ),
    way(
        RUNNING,
        &["ec2-instance-connect:sendsshpublickey"],
        true,
        "an instance can be entered, and its role used",
    ),
    way(
        RUNNING,
        &["glue:updatedevendpoint"],
        true,
        "a development endpoint can be entered, and its role used",
    ),
    way(
        RUNNING,
        &["lambda:updatefunctioncode"],
        true,
        "the code of a function can be replaced, and runs as its role",
    ),
    way(
        RUNNING,
        &["lambda:updatefunctionconfiguration"],
        true,
        "a layer can be put under a function, and runs as its role",
    ),
    way(
        RUNNING,
        &["sagemaker:createpresignednotebookinstanceurl"],
        true,
        "a notebook can be entered, and its role used",
    ),
    way(
        RUNNING,
        &["ssm:sendcommand"],
        true,
        "commands can be run on an instance, as its role",
    ),
    way(
        RUNNING,
        &["ssm:startsession"],
        true,
        "an instance can be entered, and its role used",
    ),
];

/// Keys that say which policy, boundary, service or resource is meant.
const CLOSES: [&str; 10] = [
    "aws:principaltag/*",
    "aws:resourcetag/*",
    "ec2:resourcetag/*",
    "iam:associatedresourcearn",
    "iam:passedtoservice",
    "iam:permissionsboundary",
    "iam:policyarn",
    "iam:resourcetag/*",
    "ssm:resourcetag/*",
    "sts:externalid",
];

/// The code and the actions of every way, for the tests.
#[cfg(test)]
pub(super) fn ways() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    WAYS.iter().map(|way| (way.code, way.actions))
}

pub(super) fn find(document: &Document, report: &mut Report) {
    if !grants_to_holder(document.kind()) {
        return;
    }
    for way in WAYS {
        let opened: Option<Vec<&Statement>> = way
            .actions
            .iter()
            .enumerate()
            .map(|(place, action)| opens(document, way, place == 0, action))
            .collect();
        let Some(first) = opened.and_then(|opened| opened.first().copied()) else {
            continue;
        };
        // Where everything is allowed, there is nothing to escalate to; it is told once, by itself.
        let everything = report
            .findings
            .iter()
            .any(|finding| finding.code == "allow-everything" && finding.statement == Some(first.index));
        if !everything {
            report.add(
                (way.code, Severity::Error),
                first,
                "Action",
                format!("With {} {}.", way.actions.join(" and "), way.how),
                "Name the resources that are meant, add a condition on the policy, boundary or service, or remove the action.",
            );
        }
    }
}

/// The statement that allows `action`, unless the document denies it on every resource.
fn opens<'d>(document: &'d Document, way: &Way, first: bool, action: &str) -> Option<&'d Statement> {
    let statements = document.statements();
    let denied = statements.iter().any(|statement| {
        statement.effect == Effect::Deny
            && statement.conditions.is_empty()
            && statement.is_about_every_resource()
            && statement.is_about(action)
    });
    statements.iter().find(|statement| {
        !denied
            && statement.allows()
            && statement.is_about(action)
            && !(first && is_narrowed_by(statement, &CLOSES))
            && !(first && way.needs_others && !reaches_many(statement))
    })
}

/// Whether a resource listed is a whole class of them: `*`, `arn:aws:iam::*:role/*`,
/// `arn:aws:lambda:*:*:function:*`.
fn reaches_many(statement: &Statement) -> bool {
    let Resources::Listed(clause) = &statement.resources else {
        return false;
    };
    clause.negated
        || clause.patterns.iter().any(|pattern| {
            let name = pattern.text.splitn(6, ':').nth(5).unwrap_or("*");
            let class = name.trim_end_matches(['*', '/', ':']);
            name.ends_with('*') && !class.contains(['/', ':'])
        })
}

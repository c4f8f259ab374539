//! Statements and parts of statements that change no decision.

use crate::condition::Condition;
use crate::document::{Document, Version};
use crate::limits::COMPARISONS_MAX;
use crate::lint::condition::{contradict, never_holds};
use crate::lint::{Finding, Report, Severity, called, cover};
use crate::statement::{Effect, Resources, Statement};

pub(super) fn find(document: &Document, known_actions: &[&str], report: &mut Report) {
    for statement in document.statements() {
        inert(statement, report);
        foreign_resources(statement, report);
        unknown_actions(statement, known_actions, report);
        conditions(statement, report);
        old_variables(document, statement, report);
    }
    covered(document, report);
}

fn inert(statement: &Statement, report: &mut Report) {
    let missing = match (&statement.actions, &statement.resources) {
        (None, _) => "Action",
        (Some(_), Resources::Missing) => "Resource",
        (Some(_), Resources::Listed(_) | Resources::Implied) => return,
    };
    report.add(
        ("inert-statement", Severity::Warning),
        statement,
        "",
        format!("The statement has no {missing} and so matches no request."),
        format!("Give it a {missing}, or remove it."),
    );
}

/// Services whose actions are about resources of their own service alone.
///
/// Source: Service Authorization Reference, the resource types of each.
const SELF_CONTAINED: [&str; 6] = ["iam", "kms", "s3", "secretsmanager", "sns", "sqs"];

fn foreign_resources(statement: &Statement, report: &mut Report) {
    let (Some(actions), Resources::Listed(resources)) = (&statement.actions, &statement.resources) else {
        return;
    };
    if actions.negated || resources.negated {
        return;
    }
    let vendors: Option<Vec<String>> = actions
        .patterns
        .iter()
        .map(|pattern| pattern.vendor().map(str::to_ascii_lowercase))
        .collect();
    let Some(vendors) =
        vendors.filter(|vendors| vendors.iter().all(|it| SELF_CONTAINED.contains(&it.as_str())))
    else {
        return;
    };
    let elsewhere = resources.patterns.iter().all(|pattern| {
        let service = pattern.text.split(':').nth(2);
        service.is_some_and(|service| !vendors.iter().any(|vendor| vendor == service))
    });
    if elsewhere {
        report.add(
            ("resource-of-another-service", Severity::Warning),
            statement,
            "Resource",
            format!(
                "No resource listed belongs to {}, so the statement matches nothing.",
                vendors.join(" or ")
            ),
            "Name resources of the service whose actions are listed.",
        );
    }
}

fn unknown_actions(statement: &Statement, known: &[&str], report: &mut Report) {
    let Some(clause) = &statement.actions else { return };
    let known: Vec<String> = known.iter().map(|action| action.to_ascii_lowercase()).collect();
    for pattern in &clause.patterns {
        let Some(vendor) = pattern.vendor().map(str::to_ascii_lowercase) else {
            continue;
        };
        let mut of_vendor = known
            .iter()
            .filter(|action| {
                action
                    .split_once(':')
                    .is_some_and(|(prefix, _)| *prefix == *vendor)
            })
            .peekable();
        if of_vendor.peek().is_some() && !of_vendor.any(|action| pattern.names(action)) {
            report.add(
                ("unknown-action", Severity::Warning),
                statement,
                if clause.negated { "NotAction" } else { "Action" },
                format!("{:?} names no action of {vendor}.", pattern.text),
                "Correct the name, or remove it.",
            );
        }
    }
}

fn condition_path(condition: &Condition) -> String {
    format!("Condition.{}.{}", condition.operator_name, condition.key.text)
}

fn conditions(statement: &Statement, report: &mut Report) {
    let code = ("impossible-condition", Severity::Warning);
    let written = statement.conditions_as_written();
    for condition in &written {
        if let Some(why) = never_holds(condition) {
            report.add(
                code,
                statement,
                &condition_path(condition),
                format!("The condition never holds, because {why}; so the statement never applies."),
                "Write a value the operator can read.",
            );
        } else if let Some(value) = condition.unreadable().next() {
            report.add(
                ("unreadable-value", Severity::Warning),
                statement,
                &condition_path(condition),
                format!(
                    "{} cannot read {value:?}, which therefore compares with nothing.",
                    condition.operator_name
                ),
                "Write a value the operator can read.",
            );
        }
        if is_unknown_key(condition.key.folded()) {
            report.add(
                ("unknown-global-key", Severity::Warning),
                statement,
                &condition_path(condition),
                format!(
                    "There is no global condition key {:?}, so no request has it.",
                    condition.key.text
                ),
                "Correct the name of the key.",
            );
        }
    }
    // Sixty-four conditions in one statement are past any real one.
    let few = &written[..written.len().min(64)];
    for one in few {
        if let Some(other) = few.iter().find(|other| contradict(one, other)) {
            report.add(
                code,
                statement,
                &condition_path(one),
                format!(
                    "It never holds together with {} on the same key; so the statement never applies.",
                    other.operator_name
                ),
                "Remove one of the two, or split the statement.",
            );
            break;
        }
    }
}

/// Source: the table of keys that begins the page "AWS global condition context
/// keys" of the IAM User Guide, as of 2026 (the page with `aws:SignInSessionArn`
/// and `aws:CalledViaAWSMCP`); without the keys of its [`TAGS`], and without the
/// cross-service keys, which have other prefixes: `ec2:SourceInstanceArn`,
/// `ssm:SourceInstanceArn`. `sts:RoleSessionName` is sometimes written with
/// `aws:`, also by AWS, and is no global key.
///
/// `aws:SourceOwner` is not on that page: it is older than `aws:SourceAccount`,
/// stands in the default policy of SNS topics and is named by the S3 User
/// Guide, "The meaning of public".
const GLOBAL_KEYS: [&str; 50] = [
    "aws:assumedroot",
    "aws:calledvia",
    "aws:calledviaawsmcp",
    "aws:calledviafirst",
    "aws:calledvialast",
    "aws:chatbotsourcearn",
    "aws:currenttime",
    "aws:ec2instancesourceprivateipv4",
    "aws:ec2instancesourcevpc",
    "aws:epochtime",
    "aws:federatedprovider",
    "aws:ismcpserviceaction",
    "aws:multifactorauthage",
    "aws:multifactorauthpresent",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalisawsservice",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principalservicename",
    "aws:principalservicenameslist",
    "aws:principaltype",
    "aws:referer",
    "aws:requestedregion",
    "aws:resourceaccount",
    "aws:resourceorgid",
    "aws:resourceorgpaths",
    "aws:securetransport",
    "aws:signinsessionarn",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceidentity",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpcarn",
    "aws:sourcevpce",
    "aws:tagkeys",
    "aws:tokenissuetime",
    "aws:useragent",
    "aws:userid",
    "aws:username",
    "aws:viaawsmcpservice",
    "aws:viaawsservice",
    "aws:vpceaccount",
    "aws:vpceorgid",
    "aws:vpceorgpaths",
    "aws:vpcsourceip",
];

/// The keys of that page that go on with the key of a tag.
const TAGS: [&str; 3] = ["aws:principaltag/", "aws:requesttag/", "aws:resourcetag/"];

/// Whether it looks like a global key, in lower case, and is none.
pub(crate) fn is_unknown_key(folded: &str) -> bool {
    folded.starts_with("aws:") && !is_global_key(folded)
}

fn is_global_key(folded: &str) -> bool {
    GLOBAL_KEYS.contains(&folded) || TAGS.iter().any(|start| folded.starts_with(start))
}

/// `${aws:username}` stands for itself in documents of the old version.
fn old_variables(document: &Document, statement: &Statement, report: &mut Report) {
    if document.version() == Version::V2012 {
        return;
    }
    let (_, resources) = statement.resources();
    let in_resource = resources.iter().any(|text| text.contains("${"));
    let in_condition = statement
        .conditions_as_written()
        .into_iter()
        .find(|condition| condition.texts.iter().any(|text| text.contains("${")));
    let path = match (in_resource, in_condition) {
        (true, _) => "Resource".to_owned(),
        (false, Some(condition)) => condition_path(condition),
        (false, None) => return,
    };
    report.add(
        ("variable-in-old-version", Severity::Warning),
        statement,
        &path,
        "A document without Version 2012-10-17 has no variables: the text is compared letter by letter.",
        "Write \"Version\": \"2012-10-17\".",
    );
}

/// Statements that another one takes in.
fn covered(document: &Document, report: &mut Report) {
    let statements = document.statements();
    let with_variables = document.version() == Version::V2012;
    let mut left = COMPARISONS_MAX;
    for inner in statements {
        let mut shadow = None;
        let mut wider = None;
        for outer in statements {
            if outer.index == inner.index {
                continue;
            }
            if left == 0 {
                report.findings.push(unfinished());
                return;
            }
            left -= 1;
            if !cover::statement(outer, inner, with_variables) {
                continue;
            }
            if outer.effect == Effect::Deny && inner.effect == Effect::Allow {
                shadow = shadow.or(Some(outer));
            } else if outer.effect == inner.effect {
                let alike = cover::statement(inner, outer, with_variables);
                // Of two alike, the later one is told.
                if !alike || outer.index < inner.index {
                    wider = wider.or(Some((outer, alike)));
                }
            }
        }
        if let Some(outer) = shadow {
            report.add(
                ("shadowed-by-deny", Severity::Warning),
                inner,
                "",
                format!("All it allows is denied by {}.", called(outer)),
                "Remove it, or narrow the Deny.",
            );
        } else if let Some((outer, alike)) = wider {
            let (code, says) = if alike {
                ("duplicate-statement", "says the same")
            } else {
                ("subsumed-statement", "says all of it and more")
            };
            report.add(
                (code, Severity::Note),
                inner,
                "",
                format!("It adds nothing: {} {says}.", called(outer)),
                "Remove it.",
            );
        }
    }
}

fn unfinished() -> Finding {
    Finding {
        code: "search-unfinished",
        severity: Severity::Note,
        statement: None,
        sid: None,
        position: None,
        path: "Statement".to_owned(),
        problem: format!(
            "The search for statements that add nothing ended after {COMPARISONS_MAX} comparisons."
        ),
        advice: "Split the document.".to_owned(),
    }
}

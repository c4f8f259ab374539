//! Every finding twice: a document that has it, and a near twin that has not.

use super::*;

const OWN: &str = "111111111111";
const KNOWN: [&str; 4] = [
    "kms:Encrypt",
    "kms:Decrypt",
    "kms:ReEncryptFrom",
    "sts:AssumeRole",
];

/// The codes found in a document of these statements.
fn codes(kind: DocumentKind, statements: &str) -> Vec<&'static str> {
    codes_of(
        kind,
        &format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#),
    )
}

fn codes_of(kind: DocumentKind, text: &str) -> Vec<&'static str> {
    let surroundings = Surroundings {
        account: Some(AccountId::parse(OWN).unwrap()),
        actions: &KNOWN,
    };
    lint(text, kind, surroundings)
        .into_iter()
        .map(|finding| finding.code)
        .collect()
}

#[track_caller]
fn check(kind: DocumentKind, code: &str, has: &str, has_not: &str) {
    let found = codes(kind, has);
    assert!(found.contains(&code), "{found:?} in {has}");
    let found = codes(kind, has_not);
    assert!(!found.contains(&code), "{found:?} in {has_not}");
    assert!(!found.contains(&"malformed"), "{has_not}");
}

/// A statement of an identity policy.
fn allow(rest: &str) -> String {
    format!(r#"{{"Effect":"Allow",{rest}}}"#)
}

fn conditioned(condition: &str) -> String {
    format!(
        r#"{{"Effect":"Allow","Action":"kms:Encrypt","Resource":"arn:aws:kms:*:111111111111:key/1","Condition":{condition}}}"#
    )
}

#[test]
fn a_clean_document_has_no_finding() {
    assert_eq!(
        codes(
            DocumentKind::Identity,
            &conditioned(
                r#"{"Bool":{"aws:SecureTransport":"true"},"StringLike":{"aws:PrincipalTag/team":"b*"}}"#
            )
        ),
        Vec::<&str>::new()
    );
}

#[test]
fn what_is_refused_is_one_finding() {
    let text = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Maybe","Action":"*","Resource":"*"}]}"#;
    let findings = lint(text, DocumentKind::Identity, Surroundings::default());
    assert_eq!(findings.len(), 1);
    assert_eq!(
        (findings[0].code, findings[0].severity, findings[0].statement),
        ("malformed", Severity::Error, Some(0))
    );
    assert!(findings[0].problem.contains("Effect"), "{}", findings[0].problem);
}

#[test]
fn a_finding_says_where() {
    let text = "{\n \"Version\": \"2012-10-17\",\n \"Statement\": [\n  {\"Sid\": \"All\", \"Effect\": \"Allow\", \
                \"Action\": \"*\", \"Resource\": \"*\"}]}";
    let findings = lint(text, DocumentKind::Identity, Surroundings::default());
    let finding = findings
        .iter()
        .find(|finding| finding.code == "allow-everything")
        .unwrap();
    assert_eq!(finding.position, Some(Position { line: 4, column: 3 }));
    assert_eq!(
        (finding.sid.as_deref(), &*finding.path),
        (Some("All"), "Statement[0].Action")
    );
}

#[test]
fn statements_that_add_nothing() {
    let kind = DocumentKind::Identity;
    let one = r#"{"Effect":"Allow","Action":"kms:Encrypt","Resource":"arn:aws:kms:*:1:key/a"}"#;
    let wide = r#"{"Effect":"Allow","Action":["kms:E*"],"Resource":"arn:aws:kms:*:1:key/*"}"#;
    let other = r#"{"Effect":"Allow","Action":"kms:Encrypt","Resource":"arn:aws:kms:*:2:key/a"}"#;
    let deny = r#"{"Effect":"Deny","Action":"kms:*","Resource":"*"}"#;
    let deny_by_mfa = r#"{"Effect":"Deny","Action":"kms:*","Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"false"}}}"#;
    check(
        kind,
        "duplicate-statement",
        &format!("{one},{one}"),
        &format!("{one},{other}"),
    );
    check(
        kind,
        "subsumed-statement",
        &format!("{one},{wide}"),
        &format!("{other},{wide}"),
    );
    check(
        kind,
        "shadowed-by-deny",
        &format!("{one},{deny}"),
        &format!("{one},{deny_by_mfa}"),
    );
    assert_eq!(
        codes(kind, &format!("{one},{one}")).len(),
        1,
        "the first of two alike is not told"
    );
}

#[test]
fn not_action_covers_by_what_it_leaves_out() {
    let deny = |left_out: &str| format!(r#"{{"Effect":"Deny","NotAction":[{left_out}],"Resource":"*"}}"#);
    check(
        DocumentKind::Identity,
        "subsumed-statement",
        &format!("{},{}", deny(r#""kms:*""#), deny(r#""kms:Encrypt""#)),
        &format!("{},{}", deny(r#""kms:Decrypt""#), deny(r#""kms:Encrypt""#)),
    );
}

#[test]
fn the_search_for_dead_statements_is_bounded_and_says_so() {
    let many = |count: usize| -> String {
        let one = |number| format!(r#"{{"Effect":"Allow","Action":"s{number}:Get","Resource":"*"}}"#);
        (0..count).map(one).collect::<Vec<_>>().join(",")
    };
    check(
        DocumentKind::Identity,
        "search-unfinished",
        &many(310),
        &many(290),
    );
}

#[test]
fn statements_that_match_nothing() {
    let key = |rest: &str| format!(r#"{{"Effect":"Allow","Principal":{{"AWS":"{OWN}"}}{rest}}}"#);
    check(
        DocumentKind::KmsKey,
        "inert-statement",
        &key(r#","Action":"kms:*""#),
        &key(r#","Action":"kms:*","Resource":"*""#),
    );
    check(
        DocumentKind::Identity,
        "resource-of-another-service",
        &allow(r#""Action":"kms:Encrypt","Resource":"arn:aws:s3:::b""#),
        &allow(r#""Action":["kms:Encrypt","s3:GetObject"],"Resource":"arn:aws:s3:::b""#),
    );
    check(
        DocumentKind::Identity,
        "unknown-action",
        &allow(r#""Action":"kms:Encrpyt","Resource":"arn:aws:kms:*:1:key/a""#),
        &allow(
            r#""Action":["KMS:encrypt","kms:ReEncrypt*","other:Thing"],"Resource":"arn:aws:kms:*:1:key/a""#,
        ),
    );
}

#[test]
fn conditions_that_never_hold() {
    let kind = DocumentKind::Identity;
    for (has, has_not) in [
        (
            r#"{"NumericLessThan":{"aws:MultiFactorAuthAge":"ten"}}"#,
            r#"{"NumericLessThanIfExists":{"aws:MultiFactorAuthAge":"ten"}}"#,
        ),
        (
            r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}}"#,
            r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/32"}}"#,
        ),
        (
            r#"{"Bool":{"aws:SecureTransport":"yes"}}"#,
            r#"{"Bool":{"aws:SecureTransport":"TRUE"}}"#,
        ),
        (
            r#"{"StringEquals":{"aws:userid":[]}}"#,
            r#"{"StringNotEquals":{"aws:userid":[]}}"#,
        ),
        (
            r#"{"ArnLike":{"aws:SourceArn":"*"}}"#,
            r#"{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::*"}}"#,
        ),
        (
            r#"{"Null":{"aws:userid":"true"},"StringEquals":{"aws:UserId":"a"}}"#,
            r#"{"Null":{"aws:userid":"true"},"StringEqualsIfExists":{"aws:UserId":"a"}}"#,
        ),
        (
            r#"{"StringEquals":{"x:k":["a","b"]},"StringNotEquals":{"x:k":["b","a"]}}"#,
            r#"{"StringEquals":{"x:k":["a","c"]},"StringNotEquals":{"x:k":["b","a"]}}"#,
        ),
        (
            r#"{"StringLike":{"x:k":"ab*"},"StringNotLike":{"x:k":"a*"}}"#,
            r#"{"StringLike":{"x:k":"a*"},"StringNotLike":{"x:k":"ab*"}}"#,
        ),
        (
            r#"{"StringEquals":{"x:k":"*"},"StringNotLike":{"x:k":"?"}}"#,
            r#"{"StringLike":{"x:k":"*"},"StringNotLike":{"x:k":"?"}}"#,
        ),
        (
            r#"{"DateGreaterThan":{"aws:CurrentTime":"2026-02-01"},"DateLessThan":{"aws:CurrentTime":"2026-01-01"}}"#,
            r#"{"DateGreaterThan":{"aws:CurrentTime":"2026-01-01"},"DateLessThan":{"aws:CurrentTime":"2026-02-01"}}"#,
        ),
    ] {
        check(
            kind,
            "impossible-condition",
            &conditioned(has),
            &conditioned(has_not),
        );
    }
    check(
        kind,
        "unreadable-value",
        &conditioned(r#"{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","10.0.0.0/33"]}}"#),
        &conditioned(r#"{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","11.0.0.0/8"]}}"#),
    );
    check(
        kind,
        "unknown-global-key",
        &conditioned(r#"{"IpAddress":{"aws:SourceIP4":"10.0.0.0/8"}}"#),
        &conditioned(
            r#"{"IpAddress":{"AWS:sourceip":"10.0.0.0/8"},"StringEquals":{"aws:ResourceTag/a":"b"}}"#,
        ),
    );
}

/// Names that are no global keys although they look like some, beside one that is.
#[test]
fn keys_with_another_prefix() {
    for wrong in ["aws:RoleSessionName", "aws:SourceInstanceArn", "aws:SsoOidcToken"] {
        check(
            DocumentKind::Identity,
            "unknown-global-key",
            &conditioned(&format!(r#"{{"StringEquals":{{"{wrong}":"x"}}}}"#)),
            &conditioned(r#"{"StringEquals":{"aws:CalledViaAWSMCP":"x"}}"#),
        );
    }
}

#[test]
fn variables_of_the_old_version() {
    let text = |version: &str| {
        format!(
            r#"{{{version}"Statement":{{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${{aws:username}}"}}}}"#
        )
    };
    let code = "variable-in-old-version";
    assert!(codes_of(DocumentKind::Identity, &text("")).contains(&code));
    assert!(!codes_of(DocumentKind::Identity, &text(r#""Version":"2012-10-17","#)).contains(&code));
}

#[test]
fn broad_grants() {
    let kind = DocumentKind::Identity;
    let key = r#""Resource":"arn:aws:kms:*:1:key/a""#;
    check(
        kind,
        "allow-everything",
        &allow(r#""Action":"*","Resource":"*""#),
        &allow(r#""Action":"*","Resource":"arn:aws:s3:::b""#),
    );
    check(
        kind,
        "allow-whole-service",
        &allow(r#""Action":"kms:*","Resource":"*""#),
        &allow(&format!(r#""Action":"kms:*",{key}"#)),
    );
    check(
        kind,
        "allow-not-action",
        &allow(r#""NotAction":"kms:*","Resource":"arn:aws:s3:::b""#),
        r#"{"Effect":"Deny","NotAction":"kms:*","Resource":"arn:aws:s3:::b"}"#,
    );
    check(
        kind,
        "allow-not-resource",
        &allow(r#""Action":"kms:Encrypt","NotResource":"arn:aws:kms:*:1:key/a""#),
        &allow(&format!(r#""Action":"kms:Encrypt",{key}"#)),
    );
    let code = "sensitive-on-every-resource";
    check(
        kind,
        code,
        &allow(r#""Action":"kms:Dec*","Resource":"*""#),
        &allow(r#""Action":"kms:Encrypt","Resource":"*""#),
    );
    check(
        kind,
        code,
        &allow(r#""Action":"kms:Decrypt","Resource":"*","Condition":{"StringLike":{"kms:ViaService":"*"}}"#),
        &allow(
            r#""Action":"kms:Decrypt","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/a":"b"}}"#,
        ),
    );
    // What only limits begins with everything.
    let everything = allow(r#""Action":"*","Resource":"*""#);
    for kind in [
        DocumentKind::ServiceControl,
        DocumentKind::Boundary,
        DocumentKind::Session,
    ] {
        assert_eq!(codes(kind, &everything), Vec::<&str>::new());
    }
}

/// Every way: open with its actions on every resource, closed without one of them or with a deny.
#[test]
fn ways_to_more_permissions() {
    for way in escalation::ways() {
        let (code, actions) = way;
        let list = |actions: &[&str]| -> String {
            actions
                .iter()
                .map(|it| format!("{it:?}"))
                .collect::<Vec<_>>()
                .join(",")
        };
        let open = allow(&format!(r#""Action":[{}],"Resource":"*""#, list(actions)));
        let (last, others) = actions.split_last().unwrap();
        let closed =
            allow(&format!(r#""Action":["x:Y",{}],"Resource":"*""#, list(others)).replace(",]", "]"));
        check(DocumentKind::Identity, code, &open, &closed);
        let deny = format!(r#"{{"Effect":"Deny","Action":"{last}","Resource":"*"}}"#);
        check(DocumentKind::Identity, code, &open, &format!("{open},{deny}"));
    }
}

#[test]
fn ways_that_are_closed_by_resource_or_condition() {
    let kind = DocumentKind::Identity;
    check(
        kind,
        "escalation-by-credentials",
        &allow(r#""Action":"iam:CreateAccessKey","Resource":"arn:aws:iam::*:user/*""#),
        &allow(r#""Action":"iam:CreateAccessKey","Resource":"arn:aws:iam::*:user/${aws:username}""#),
    );
    check(
        kind,
        "escalation-by-policy",
        &allow(r#""Action":"iam:AttachUserPolicy","Resource":"arn:aws:iam::*:user/${aws:username}""#),
        &allow(
            r#""Action":"iam:AttachUserPolicy","Resource":"*","Condition":{"ArnEquals":{"iam:PolicyARN":"arn:aws:iam::1:policy/p"}}"#,
        ),
    );
    check(
        kind,
        "escalation-by-passed-role",
        &allow(
            r#""Action":["iam:PassRole","lambda:CreateFunction"],"Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}"#,
        ),
        &allow(
            r#""Action":["iam:PassRole","lambda:CreateFunction"],"Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":"ecs-tasks.amazonaws.com"}}"#,
        ),
    );
    check(
        kind,
        "escalation-by-trust",
        &allow(r#""Action":"sts:AssumeRole","Resource":"*""#),
        &allow(r#""Action":"sts:AssumeRole","Resource":"arn:aws:iam::1:role/one""#),
    );
    let everything = codes(kind, &allow(r#""Action":"*","Resource":"*""#));
    assert_eq!(everything, ["allow-everything"]);
}

fn bucket(principal: &str, condition: &str) -> String {
    format!(
        r#"{{"Effect":"Allow","Principal":{principal},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*","Condition":{condition}}}"#
    )
}

fn trust(principal: &str, condition: &str) -> String {
    format!(
        r#"{{"Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRole","Condition":{condition}}}"#
    )
}

#[test]
fn doors_open_to_everyone() {
    let organization = r#"{"StringEquals":{"aws:PrincipalOrgID":"o-example123"}}"#;
    for (open, narrow) in [
        ("{}", organization),
        (
            r#"{"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-example123"}}"#,
            organization,
        ),
        (
            r#"{"StringNotEquals":{"aws:PrincipalOrgID":"o-example123"}}"#,
            organization,
        ),
        (
            r#"{"ForAllValues:StringLike":{"aws:PrincipalOrgPaths":"o-a/*"}}"#,
            r#"{"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":"o-a/*"}}"#,
        ),
        (
            r#"{"StringLike":{"aws:PrincipalArn":"*"}}"#,
            r#"{"StringLike":{"aws:PrincipalArn":"arn:aws:iam::1:role/*"}}"#,
        ),
        (
            r#"{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:*:*"}}"#,
            r#"{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:1:*"}}"#,
        ),
        (
            r#"{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#,
            r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#,
        ),
        // One range too wide leaves the statement open; so do two that make up all.
        (
            r#"{"IpAddress":{"aws:SourceIp":["0.0.0.0/1","128.0.0.0/1"]}}"#,
            r#"{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","192.0.2.7"]}}"#,
        ),
        (
            r#"{"IpAddress":{"aws:SourceIp":"2000::/3"}}"#,
            r#"{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}"#,
        ),
        // The S3 User Guide's own example of what is public.
        (
            r#"{"StringLike":{"aws:SourceVpc":"vpc-*"}}"#,
            r#"{"StringEquals":{"aws:SourceVpc":"vpc-91237329"}}"#,
        ),
        (
            r#"{"StringLike":{"aws:PrincipalOrgID":"o-*"}}"#,
            r#"{"StringLike":{"aws:PrincipalOrgID":"o-example123"}}"#,
        ),
        // What any account can have, by its name alone.
        (
            r#"{"ArnLike":{"aws:SourceArn":"arn:aws:sns:eu-west-1:*:topic"}}"#,
            r#"{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::bucket"}}"#,
        ),
        (
            r#"{"StringLike":{"aws:PrincipalArn":"*:role/admin"}}"#,
            r#"{"StringLike":{"s3:DataAccessPointArn":"arn:aws:s3:eu-west-1:1:accesspoint/*"}}"#,
        ),
        // What the caller fills in is no limit; what the resource does is.
        (
            r#"{"StringEquals":{"aws:PrincipalOrgID":"${aws:PrincipalOrgID}"}}"#,
            r#"{"StringEquals":{"aws:PrincipalOrgID":"${aws:ResourceOrgID}"}}"#,
        ),
        (
            r#"{"StringEquals":{"aws:PrincipalTag/team":"blue"}}"#,
            r#"{"StringEquals":{"aws:SourceVpce":"vpce-1"}}"#,
        ),
        (
            r#"{"Bool":{"aws:SecureTransport":"true"}}"#,
            r#"{"StringEquals":{"aws:SourceAccount":"111111111111"}}"#,
        ),
    ] {
        for principal in [r#""*""#, r#"{"AWS":"*"}"#] {
            check(
                DocumentKind::Resource,
                "public-access",
                &bucket(principal, open),
                &bucket(principal, narrow),
            );
        }
        check(
            DocumentKind::RoleTrust,
            "public-access",
            &trust(r#"{"AWS":"*"}"#, open),
            &trust(r#"{"AWS":"*"}"#, narrow),
        );
    }
    check(
        DocumentKind::Resource,
        "allow-not-principal",
        r#"{"Effect":"Allow","NotPrincipal":{"AWS":"111111111111"},"Action":"s3:GetObject","Resource":"*"}"#,
        r#"{"Effect":"Deny","NotPrincipal":{"AWS":"111111111111"},"Action":"s3:GetObject","Resource":"*"}"#,
    );
}

#[test]
fn doors_open_to_other_accounts() {
    let (foreign, own) = (r#"{"AWS":"222222222222"}"#, r#"{"AWS":"111111111111"}"#);
    check(
        DocumentKind::Resource,
        "cross-account-access",
        &bucket(foreign, "{}"),
        &bucket(own, "{}"),
    );
    check(
        DocumentKind::Resource,
        "cross-account-access",
        &bucket(r#"{"AWS":"arn:aws:iam::222222222222:role/r"}"#, "{}"),
        &bucket(r#"{"AWS":"arn:aws:iam::111111111111:role/r"}"#, "{}"),
    );
    check(
        DocumentKind::RoleTrust,
        "trusts-whole-account",
        &trust(foreign, "{}"),
        &trust(foreign, r#"{"StringEquals":{"sts:ExternalId":"x"}}"#),
    );
    check(
        DocumentKind::RoleTrust,
        "trusts-whole-account",
        &trust(foreign, "{}"),
        &trust(own, "{}"),
    );
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":{}}}"#,
        bucket(foreign, "{}")
    );
    assert!(
        lint(&text, DocumentKind::Resource, Surroundings::default()).is_empty(),
        "no account is foreign"
    );
}

#[test]
fn services_and_providers_that_act_for_anyone() {
    let service = r#"{"Service":"sns.amazonaws.com"}"#;
    let source = r#"{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:111111111111:topic"}}"#;
    check(
        DocumentKind::Resource,
        "confused-deputy",
        &bucket(service, "{}"),
        &bucket(service, source),
    );
    check(
        DocumentKind::RoleTrust,
        "confused-deputy",
        &trust(service, "{}"),
        &trust(service, source),
    );
    check(
        DocumentKind::RoleTrust,
        "confused-deputy",
        &trust(service, "{}"),
        &trust(r#"{"Service":"ec2.amazonaws.com"}"#, "{}"),
    );
    let web = |provider: &str, condition: &str| {
        trust(
            &format!(r#"{{"Federated":"arn:aws:iam::111111111111:{provider}"}}"#),
            condition,
        )
        .replace("sts:AssumeRole", "sts:AssumeRoleWithWebIdentity")
    };
    let code = "any-token-of-provider";
    check(
        DocumentKind::RoleTrust,
        code,
        &web("oidc-provider/id.example.com", "{}"),
        &web(
            "oidc-provider/id.example.com",
            r#"{"StringEquals":{"id.example.com:aud":"app"}}"#,
        ),
    );
    check(
        DocumentKind::RoleTrust,
        code,
        &web("saml-provider/p", r#"{"StringLike":{"SAML:aud":"*"}}"#),
        &web(
            "saml-provider/p",
            r#"{"StringEquals":{"SAML:aud":"https://signin.aws.amazon.com/saml"}}"#,
        ),
    );
    let github = "oidc-provider/token.actions.githubusercontent.com";
    let audience = r#""token.actions.githubusercontent.com:aud":"sts.amazonaws.com""#;
    check(
        DocumentKind::RoleTrust,
        code,
        &web(github, &format!(r#"{{"StringEquals":{{{audience}}}}}"#)),
        &web(
            github,
            &format!(
                r#"{{"StringEquals":{{{audience}}},"StringLike":{{"token.actions.githubusercontent.com:sub":"repo:a/b:*"}}}}"#
            ),
        ),
    );
}

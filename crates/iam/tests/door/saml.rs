//! Roles for the bearers of SAML responses, which a real provider signs.

use serde_json::{Value, json};
use testkit::client::Answer;
use testkit::saml::{Response, SamlProvider, posted};

use crate::world::{HOME, NOBODY, World, leaf};

const ROLE: &str = "arn:aws:iam::111122223333:role/Staff";
const PROVIDER: &str = "arn:aws:iam::111122223333:saml-provider/Idp";

struct Stage {
    world: World,
    provider: SamlProvider,
}

impl Stage {
    async fn new() -> Stage {
        let world = World::new().await;
        let provider = SamlProvider::new("https://idp.example.com/saml");
        let metadata = provider.metadata();
        let given = &[("Name", "Idp"), ("SAMLMetadataDocument", metadata.as_str())];
        world.ok("root", "iam", "CreateSAMLProvider", given).await;
        let stage = Stage { world, provider };
        let actions = json!(["sts:AssumeRoleWithSAML", "sts:TagSession"]);
        stage
            .trust(
                actions,
                json!({"StringEquals": {"saml:aud": "https://signin.aws.amazon.com/saml"}}),
                "CreateRole",
            )
            .await;
        stage
    }

    async fn trust(&self, actions: Value, condition: Value, operation: &str) {
        let trust = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow",
            "Principal": {"Federated": PROVIDER}, "Action": actions, "Condition": condition}})
        .to_string();
        let name = if operation == "CreateRole" {
            "AssumeRolePolicyDocument"
        } else {
            "PolicyDocument"
        };
        let role = &[("RoleName", "Staff"), (name, trust.as_str())];
        self.world.ok("root", "iam", operation, role).await;
    }

    /// What the provider says of alice, who may become `Staff`.
    fn response(&self) -> Response {
        Response::new(self.world.now())
            .with(
                "Role",
                &[
                    "arn:aws:iam::111122223333:role/Other,arn:aws:iam::111122223333:saml-provider/Idp",
                    &format!("{PROVIDER}, {ROLE}"),
                ],
            )
            .with("RoleSessionName", &["alice@example.com"])
    }

    async fn post(&mut self, xml: &str, more: &[(&str, &str)]) -> Answer {
        let assertion = posted(xml);
        self.world.keep_secret(&assertion);
        let mut parameters = vec![
            ("RoleArn", ROLE),
            ("PrincipalArn", PROVIDER),
            ("SAMLAssertion", assertion.as_str()),
        ];
        parameters.extend_from_slice(more);
        self.world
            .call(NOBODY, "sts", "AssumeRoleWithSAML", &parameters)
            .await
    }

    async fn refused(&mut self, response: &Response, code: &str, words: &str) {
        let xml = self.provider.respond(response);
        let answer = self.post(&xml, &[]).await;
        assert_eq!(answer.code(), code, "{}", answer.text());
        assert!(answer.text().contains(words), "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_of_a_trusted_provider_opens_a_role() {
    let mut stage = Stage::new().await;
    for sign_response in [false, true] {
        let response = Response {
            sign_response,
            ..stage.response()
        };
        let answer = stage.post(&stage.provider.respond(&response), &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = answer.text();
        for (name, value) in [
            ("Subject", "alice"),
            ("SubjectType", "persistent"),
            ("Issuer", "https://idp.example.com/saml"),
            ("Audience", "https://signin.aws.amazon.com/saml"),
            (
                "Arn",
                "arn:aws:sts::111122223333:assumed-role/Staff/alice@example.com",
            ),
            ("Expiration", "2026-01-02T04:04:05Z"),
        ] {
            assert_eq!(leaf(&text, name), value);
        }
        stage.world.remember("session", &text);
    }
    let policy = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iam:ListRoles",
        "Resource": "*", "Condition": {"StringEquals": {"aws:FederatedProvider": PROVIDER, "saml:sub": "alice",
            "saml:sub_type": "persistent"}, "Null": {"saml:aud": "true"}}}})
    .to_string();
    let put = &[
        ("RoleName", "Staff"),
        ("PolicyName", "p"),
        ("PolicyDocument", policy.as_str()),
    ];
    stage
        .world
        .fails("session", "iam", "ListRoles", &[], "AccessDenied")
        .await;
    stage.world.ok("root", "iam", "PutRolePolicy", put).await;
    stage.world.ok("session", "iam", "ListRoles", &[]).await;

    let records = stage.world.records();
    let record = records
        .iter()
        .rfind(|record| record["eventName"] == "AssumeRoleWithSAML")
        .unwrap();
    let identity = &record["userIdentity"];
    assert_eq!(
        (identity["type"].as_str(), identity["userName"].as_str()),
        (Some("SAMLUser"), Some("alice"))
    );
    let qualifier = identity["identityProvider"].as_str().unwrap();
    assert_eq!(identity["principalId"], format!("{qualifier}:alice"));
    assert_eq!(record["recipientAccountId"], HOME);
    assert_eq!(record["additionalEventData"]["sAMLAssertionID"], "_assertion");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_that_proves_nothing_is_refused_and_not_recorded() {
    let mut stage = Stage::new().await;
    let before = stage.world.records().len();
    let good = stage.response();
    let invalid = "InvalidIdentityToken";
    for (response, code, words) in [
        (
            Response {
                lasts_seconds: 0,
                ..good.clone()
            },
            "ExpiredTokenException",
            "within 5 minutes",
        ),
        (
            Response {
                audience: "https://other.example.com".into(),
                ..good.clone()
            },
            invalid,
            "not for AWS",
        ),
        (
            Response {
                issuer: Some("https://other.example.com".into()),
                ..good.clone()
            },
            invalid,
            "Issuer not present in specified provider",
        ),
        (
            Response {
                status: "urn:oasis:names:tc:SAML:2.0:status:Responder".into(),
                ..good.clone()
            },
            "IDPRejectedClaim",
            "success",
        ),
    ] {
        stage.refused(&response, code, words).await;
    }
    let signed = stage.provider.respond(&good);
    let forged = SamlProvider::new("https://idp.example.com/saml").respond(&good);
    for xml in [&signed.replace("alice<", "mallory<"), &forged] {
        let answer = stage.post(xml, &[]).await;
        assert_eq!(answer.code(), invalid);
        assert!(
            answer.text().contains("Response signature invalid"),
            "{}",
            answer.text()
        );
    }
    for other in [
        "arn:aws:iam::111122223333:saml-provider/None",
        "arn:aws:iam::444455556666:saml-provider/Idp",
    ] {
        let assertion = posted(&signed);
        let parameters = [
            ("RoleArn", ROLE),
            ("PrincipalArn", other),
            ("SAMLAssertion", assertion.as_str()),
        ];
        stage
            .world
            .fails(NOBODY, "sts", "AssumeRoleWithSAML", &parameters, invalid)
            .await;
    }
    let parameters = [
        ("RoleArn", ROLE),
        ("PrincipalArn", PROVIDER),
        ("SAMLAssertion", "not base64 at all!"),
    ];
    stage
        .world
        .fails(NOBODY, "sts", "AssumeRoleWithSAML", &parameters, invalid)
        .await;
    assert_eq!(stage.world.records().len(), before);
    assert_eq!(stage.post(&signed, &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn assertion_and_trust_policy_must_both_name_the_role() {
    let mut stage = Stage::new().await;
    let denied = "Not authorized to perform sts:AssumeRoleWithSAML";
    let nameless = Response::new(stage.world.now()).with("RoleSessionName", &["alice"]);
    stage.refused(&nameless, "AccessDenied", denied).await;
    for pair in [
        ROLE.to_owned(),
        format!("{ROLE},arn:aws:iam::111122223333:saml-provider/Other"),
        format!("arn:aws:iam::111122223333:role/Other,{PROVIDER}"),
    ] {
        stage
            .refused(&nameless.clone().with("Role", &[&pair]), "AccessDenied", denied)
            .await;
    }
    let eager = Response {
        ..stage.response().with("SourceIdentity", &["alice"])
    };
    stage
        .refused(
            &eager,
            "AccessDenied",
            "Not authorized to perform sts:SetSourceIdentity",
        )
        .await;
    stage
        .trust(
            json!("sts:AssumeRoleWithSAML"),
            json!({"ForAnyValue:StringEquals": {"saml:eduPersonAffiliation": "staff"},
                "StringEquals": {"saml:doc": "111122223333/Idp", "saml:iss": "https://idp.example.com/saml"}}),
            "UpdateAssumeRolePolicy",
        )
        .await;
    let mut student = stage.response();
    let affiliation = "urn:oid:1.3.6.1.4.1.5923.1.1.1.1".to_owned();
    student
        .attributes
        .push((affiliation.clone(), vec!["student".to_owned()]));
    stage.refused(&student, "AccessDenied", denied).await;
    let mut staff = stage.response();
    staff
        .attributes
        .push((affiliation, vec!["student".to_owned(), "staff".to_owned()]));
    let answer = stage.post(&stage.provider.respond(&staff), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let records = stage.world.records();
    assert_eq!(
        records
            .iter()
            .filter(|record| record["errorCode"] == "AccessDenied")
            .count(),
        6
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_tags_and_durations_come_from_the_assertion() {
    let mut stage = Stage::new().await;
    let tagged = stage
        .response()
        .with("PrincipalTag:Team", &["blue"])
        .with("TransitiveTagKeys", &["Team"])
        .with("SessionDuration", &["1800"]);
    let answer = stage.post(&stage.provider.respond(&tagged), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(leaf(&answer.text(), "Expiration"), "2026-01-02T03:34:05Z");
    assert_eq!(leaf(&answer.text(), "PackedPolicySize"), "1");
    // The shorter of what is asked, what is said, and what is left of the provider's session.
    for (asked, expected) in [("900", "2026-01-02T03:19:05Z"), ("3600", "2026-01-02T03:34:05Z")] {
        let answer = stage
            .post(&stage.provider.respond(&tagged), &[("DurationSeconds", asked)])
            .await;
        assert_eq!(leaf(&answer.text(), "Expiration"), expected);
    }
    let ends = |seconds: i64| {
        Some(ground::Timestamp::from_seconds(
            stage.world.now().seconds() + seconds,
        ))
    };
    let brief = Response {
        session_ends: ends(60),
        ..stage.response()
    };
    let over = Response {
        session_ends: ends(0),
        ..stage.response()
    };
    let answer = stage.post(&stage.provider.respond(&brief), &[]).await;
    assert_eq!(leaf(&answer.text(), "Expiration"), "2026-01-02T03:05:05Z");
    stage
        .refused(&over, "ExpiredTokenException", "SessionNotOnOrAfter")
        .await;

    let base = Response::new(stage.world.now()).with("Role", &[&format!("{PROVIDER},{ROLE}")]);
    let invalid = "InvalidIdentityToken";
    stage
        .refused(&base, invalid, "RoleSessionName is required in AuthnResponse")
        .await;
    for name in ["a", "with space", &"a".repeat(65)] {
        let named = base.clone().with("RoleSessionName", &[name]);
        stage
            .refused(&named, invalid, "RoleSessionName in AuthnResponse must match")
            .await;
    }
    let good = stage.response();
    for (name, values) in [
        ("SessionDuration", &["899"][..]),
        ("SessionDuration", &["x"]),
        ("SessionDuration", &["900", "1800"]),
        ("PrincipalTag:Team", &["a", "b"]),
        ("PrincipalTag:aws:x", &["a"]),
        ("TransitiveTagKeys", &["None"]),
        ("SourceIdentity", &["a"]),
    ] {
        stage.refused(&good.clone().with(name, values), invalid, "").await;
    }
}

/// Metadata may be changed, and run out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_provider_is_as_its_metadata_says_now() {
    let mut stage = Stage::new().await;
    let next = SamlProvider::new("https://idp.example.com/saml");
    let dated = next
        .metadata()
        .replace(" entityID", " validUntil=\"2026-01-02T04:00:00Z\" entityID");
    let update = &[
        ("SAMLProviderArn", PROVIDER),
        ("SAMLMetadataDocument", dated.as_str()),
    ];
    stage.world.ok("root", "iam", "UpdateSAMLProvider", update).await;
    let response = stage.response();
    stage
        .refused(&response, "InvalidIdentityToken", "Response signature invalid")
        .await;
    let xml = next.respond(&response);
    assert_eq!(stage.post(&xml, &[]).await.status, 200);
    stage.world.advance(3_600);
    let xml = next.respond(&stage.response());
    let answer = stage.post(&xml, &[]).await;
    assert_eq!(answer.code(), "InvalidIdentityToken");
    assert!(
        answer.text().contains("Specified provider doesn"),
        "{}",
        answer.text()
    );
}

//! Roles for the bearers of OpenID Connect tokens, from a real issuer.

use std::collections::HashMap;
use std::sync::Arc;

use federation::jwt::Keys;
use iam::Issuers;
use outbound::Outbound;
use serde_json::{Value, json};
use testkit::issuer::{Certificates, HttpsServer, TokenKey, key_set};

use crate::world::{AWAY, HOME, NOBODY, World, leaf};

const ROLE: &str = "arn:aws:iam::111122223333:role/Deploy";

/// An issuer, and a world that trusts it.
struct Stage {
    world: World,
    server: HttpsServer,
    key: TokenKey,
}

fn way_out(certificates: &Certificates) -> Outbound {
    let networks = ["127.0.0.0/8", "::1/128"].map(|text| text.parse().unwrap());
    let authority = certificates.authority.clone();
    Outbound::new(
        networks.to_vec(),
        Box::new(move || vec![authority.clone().into()]),
    )
}

/// Lets `sub` alice of the audience `app` in, and no one else.
fn trust(provider: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow",
        "Principal": {"Federated": format!("arn:aws:iam::{HOME}:oidc-provider/{provider}")},
        "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"],
        "Condition": {"StringEquals": {format!("{provider}:aud"): "app", format!("{provider}:sub"): "alice"}}}})
    .to_string()
}

impl Stage {
    async fn new() -> Stage {
        let certificates = Certificates::new();
        let server = HttpsServer::new(&certificates).await;
        let key = TokenKey::new("one");
        server.show(&[&key]);
        let world = World::with(Issuers::new(HashMap::new(), Some(way_out(&certificates)))).await;
        let stage = Stage { world, server, key };
        let url = stage.server.url();
        let provider = &[("Url", url.as_str()), ("ClientIDList.member.1", "app")];
        stage
            .world
            .ok("root", "iam", "CreateOpenIDConnectProvider", provider)
            .await;
        let trust = trust(stage.provider().as_str());
        let role = &[
            ("RoleName", "Deploy"),
            ("AssumeRolePolicyDocument", trust.as_str()),
        ];
        stage.world.ok("root", "iam", "CreateRole", role).await;
        stage
    }

    /// The issuer's address without scheme.
    fn provider(&self) -> String {
        format!("localhost:{}", self.server.address.port())
    }

    fn now(&self) -> i64 {
        self.world.now().seconds()
    }

    /// Good claims, with some changed; null takes one away.
    fn claims(&self, changes: &Value) -> Value {
        let now = self.now();
        let mut claims =
            json!({"iss": self.server.url(), "sub": "alice", "aud": "app", "iat": now, "exp": now + 600});
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        claims
    }

    async fn assume(&mut self, token: &str, more: &[(&str, &str)]) -> testkit::client::Answer {
        if token.len() > 40 {
            self.world.keep_secret(token);
        }
        let mut parameters = vec![
            ("RoleArn", ROLE),
            ("RoleSessionName", "ci"),
            ("WebIdentityToken", token),
        ];
        parameters.extend_from_slice(more);
        self.world
            .call(NOBODY, "sts", "AssumeRoleWithWebIdentity", &parameters)
            .await
    }

    async fn refused(&mut self, token: &str, code: &str, words: &str) {
        let answer = self.assume(token, &[]).await;
        assert_eq!(answer.code(), code, "{}", answer.text());
        assert!(answer.text().contains(words), "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_a_trusted_issuer_opens_a_role() {
    let mut stage = Stage::new().await;
    let token = stage.key.token(&stage.claims(&json!({"amr": ["authenticated"]})));
    let answer = stage.assume(&token, &[("DurationSeconds", "900")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let provider = stage.provider();
    let provider_arn = format!("arn:aws:iam::{HOME}:oidc-provider/{provider}");
    for (name, value) in [
        ("SubjectFromWebIdentityToken", "alice"),
        ("Audience", "app"),
        ("Provider", &provider_arn),
        ("Arn", "arn:aws:sts::111122223333:assumed-role/Deploy/ci"),
        ("Expiration", "2026-01-02T03:19:05Z"),
    ] {
        assert_eq!(leaf(&text, name), value);
    }
    // The session is the role's, and knows who vouched for it.
    stage.world.remember("session", &text);
    stage
        .world
        .fails("session", "iam", "ListRoles", &[], "AccessDenied")
        .await;
    let policy = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iam:ListRoles",
        "Resource": "*", "Condition": {"StringEquals": {"aws:FederatedProvider": provider_arn,
            format!("{provider}:sub"): "alice", format!("{provider}:aud"): "app"}}}})
    .to_string();
    let put = &[
        ("RoleName", "Deploy"),
        ("PolicyName", "p"),
        ("PolicyDocument", policy.as_str()),
    ];
    stage.world.ok("root", "iam", "PutRolePolicy", put).await;
    stage.world.ok("session", "iam", "ListRoles", &[]).await;

    let records = stage.world.records();
    let named = |name: &str| {
        records
            .iter()
            .rfind(|record| record["eventName"] == name)
            .unwrap()
    };
    let record = named("AssumeRoleWithWebIdentity");
    assert_eq!(
        record["userIdentity"],
        json!({"type": "WebIdentityUser", "principalId": format!("{provider_arn}:app:alice"), "userName": "alice",
            "identityProvider": provider_arn})
    );
    assert_eq!(record["recipientAccountId"], HOME);
    assert_eq!(record["requestParameters"]["roleSessionName"], "ci");
    assert_eq!(
        named("ListRoles")["userIdentity"]["sessionContext"]["webIdFederationData"],
        json!({"federatedProvider": provider_arn,
            "attributes": {format!("{provider}:aud"): "app", format!("{provider}:sub"): "alice"}})
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_proves_nothing_opens_nothing_and_is_not_recorded() {
    let mut stage = Stage::new().await;
    let before = stage.world.records().len();
    let invalid = "InvalidIdentityToken";
    let now = stage.now();
    for (changes, code, words) in [
        (
            json!({"exp": now}),
            "ExpiredTokenException",
            "Token expired: current date/time",
        ),
        (json!({"nbf": now + 301}), invalid, "not yet valid"),
        (json!({"iat": now + 301}), invalid, "not yet valid"),
        (json!({"aud": "other"}), invalid, "Incorrect token audience"),
        (json!({"aud": ["x", "y"]}), invalid, "Incorrect token audience"),
        (json!({"azp": "other"}), invalid, "Incorrect token audience"),
        (json!({"aud": null}), invalid, "Missing a required claim: aud"),
        (json!({"sub": null}), invalid, "Missing a required claim: sub"),
        (json!({"exp": null}), invalid, "Missing a required claim: exp"),
        (json!({"exp": "soon"}), invalid, "Missing a required claim: exp"),
        (json!({"iat": null}), invalid, "Missing a required claim: iat"),
        (
            json!({"iss": "https://other.example.com"}),
            invalid,
            "No OpenIDConnect provider found in your account for https://other.example.com",
        ),
        (
            json!({"iss": "https://accounts.google.com"}),
            invalid,
            "is built into AWS and not into Palisade",
        ),
    ] {
        let token = stage.key.token(&stage.claims(&changes));
        stage.refused(&token, code, words).await;
    }
    // Signed by another key of the same name, altered, or not signed at all.
    let good = stage.key.token(&stage.claims(&json!({})));
    let forged = TokenKey::new("one").token(&stage.claims(&json!({})));
    stage.refused(&forged, invalid, "signature is not valid").await;
    let parts: Vec<&str> = good.split('.').collect();
    let other = stage.key.token(&stage.claims(&json!({"sub": "mallory"})));
    let payload = other.split('.').nth(1).unwrap();
    stage
        .refused(
            &format!("{}.{payload}.{}", parts[0], parts[2]),
            invalid,
            "signature is not valid",
        )
        .await;
    // {"alg":"none","kid":"one"} and {"alg":"HS256","kid":"one"}
    for head in [
        "eyJhbGciOiJub25lIiwia2lkIjoib25lIn0",
        "eyJhbGciOiJIUzI1NiIsImtpZCI6Im9uZSJ9",
    ] {
        for signature in ["", parts[2]] {
            let token = format!("{head}.{}.{signature}", parts[1]);
            stage.refused(&token, invalid, "algorithm is not supported").await;
        }
    }
    for nonsense in ["nonsense", "a.b.c", "....", "e30.e30.e30"] {
        stage.refused(nonsense, invalid, "").await;
    }
    stage.refused("abc", "ValidationError", "").await;
    // The account of the role decides which providers are trusted.
    let elsewhere = [
        ("RoleArn", "arn:aws:iam::444455556666:role/Deploy"),
        ("RoleSessionName", "ci"),
        ("WebIdentityToken", &good),
    ];
    stage
        .world
        .fails(NOBODY, "sts", "AssumeRoleWithWebIdentity", &elsewhere, invalid)
        .await;
    assert_eq!(stage.world.records().len(), before);
    // The last word: it was the tokens that were bad.
    assert_eq!(stage.assume(&good, &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_the_trust_policy_does_not_let_in_is_refused_and_recorded() {
    let mut stage = Stage::new().await;
    let provider = format!("arn:aws:iam::{HOME}:oidc-provider/{}", stage.provider());
    stage
        .world
        .ok(
            "root",
            "iam",
            "AddClientIDToOpenIDConnectProvider",
            &[
                ("OpenIDConnectProviderArn", provider.as_str()),
                ("ClientID", "other"),
            ],
        )
        .await;
    let words = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
    for changes in [json!({"sub": "mallory"}), json!({"aud": "other"})] {
        let token = stage.key.token(&stage.claims(&changes));
        stage.refused(&token, "AccessDenied", words).await;
    }
    let token = stage.key.token(&stage.claims(&json!({})));
    let missing = [
        ("RoleArn", "arn:aws:iam::111122223333:role/None"),
        ("RoleSessionName", "ci"),
        ("WebIdentityToken", &token),
    ];
    stage
        .world
        .fails(
            NOBODY,
            "sts",
            "AssumeRoleWithWebIdentity",
            &missing,
            "AccessDenied",
        )
        .await;
    // To be a source identity takes another permission.
    let named = stage
        .key
        .token(&stage.claims(&json!({"https://aws.amazon.com/source_identity": "alice"})));
    stage
        .refused(
            &named,
            "AccessDenied",
            "Not authorized to perform sts:SetSourceIdentity",
        )
        .await;
    let records = stage.world.records();
    let denied = records
        .iter()
        .filter(|record| record["errorCode"] == "AccessDenied");
    assert_eq!(denied.count(), 4);
    // A user who signs gains nothing by it, and loses nothing.
    stage.world.user("root", "bob").await;
    let parameters = [
        ("RoleArn", ROLE),
        ("RoleSessionName", "ci"),
        ("WebIdentityToken", token.as_str()),
    ];
    stage
        .world
        .ok("bob", "sts", "AssumeRoleWithWebIdentity", &parameters)
        .await;
    // A provider that is deleted vouches for nobody.
    stage
        .world
        .ok(
            "root",
            "iam",
            "DeleteOpenIDConnectProvider",
            &[("OpenIDConnectProviderArn", provider.as_str())],
        )
        .await;
    stage
        .refused(&token, "InvalidIdentityToken", "No OpenIDConnect provider found")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_brings_tags_and_limits_hold() {
    let mut stage = Stage::new().await;
    let tags = json!({"https://aws.amazon.com/tags":
        {"principal_tags": {"Team": ["blue"], "Cost": ["7"]}, "transitive_tag_keys": ["Team"]}});
    let token = stage.key.token(&stage.claims(&tags));
    let answer = stage.assume(&token, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(leaf(&answer.text(), "PackedPolicySize"), "1");
    stage.world.remember("session", &answer.text());
    let policy = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iam:ListRoles",
        "Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalTag/Team": "blue", "aws:PrincipalTag/Cost": "7"}}}})
    .to_string();
    let put = &[
        ("RoleName", "Deploy"),
        ("PolicyName", "p"),
        ("PolicyDocument", policy.as_str()),
    ];
    stage.world.ok("root", "iam", "PutRolePolicy", put).await;
    stage.world.ok("session", "iam", "ListRoles", &[]).await;

    let key = "https://aws.amazon.com/tags";
    for bad in [
        json!({key: {"principal_tags": {"Team": ["a", "b"]}}}),
        json!({key: {"principal_tags": {"Team": 1}}}),
        json!({key: {"principal_tags": {"aws:x": ["a"]}}}),
        json!({key: {"principal_tags": {"A": ["a"], "a": ["a"]}}}),
        json!({key: {"principal_tags": {"A": ["a".repeat(257)]}}}),
        json!({key: {"principal_tags": {"A": ["<a>"]}}}),
        json!({key: {"transitive_tag_keys": ["Other"]}}),
        json!({"https://aws.amazon.com/source_identity": "aws:me"}),
    ] {
        let token = stage.key.token(&stage.claims(&bad));
        stage.refused(&token, "InvalidIdentityToken", "").await;
    }
    let token = stage.key.token(&stage.claims(&json!({})));
    for (name, value, words) in [
        ("DurationSeconds", "3601", "exceeds the MaxSessionDuration"),
        ("ProviderId", "www.amazon.com", "not supported"),
    ] {
        let answer = stage.assume(&token, &[(name, value)]).await;
        assert_eq!(answer.code(), "ValidationError");
        assert!(answer.text().contains(words), "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_kept_and_asked_for_again() {
    let mut stage = Stage::new().await;
    let token = stage.key.token(&stage.claims(&json!({})));
    for _ in 0..3 {
        assert_eq!(stage.assume(&token, &[]).await.status, 200);
    }
    assert_eq!(stage.server.asked().len(), 2, "once each: configuration and keys");
    // A key that is not known yet is not asked for at once, however often it is named.
    let second = TokenKey::new("two");
    stage.server.show(&[&stage.key, &second]);
    let token = second.token(&stage.claims(&json!({})));
    for _ in 0..3 {
        stage
            .refused(&token, "InvalidIdentityToken", "names no key of its issuer")
            .await;
    }
    assert_eq!(stage.server.asked().len(), 2);
    stage.world.advance(30);
    assert_eq!(stage.assume(&token, &[]).await.status, 200);
    assert_eq!(stage.server.asked().len(), 4);
    // A key that was taken back is believed no longer than keys are kept.
    stage.server.show(&[&stage.key]);
    stage.world.advance(601);
    let token = second.token(&stage.claims(&json!({})));
    stage
        .refused(&token, "InvalidIdentityToken", "names no key of its issuer")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_tells_no_keys_is_told_so() {
    let mut stage = Stage::new().await;
    let token = stage.key.token(&stage.claims(&json!({})));
    let none = "retrieve verification key from your identity provider";
    let other =
        json!({"issuer": "https://other.example.com", "jwks_uri": format!("{}/keys", stage.server.url())});
    let plain = json!({"issuer": stage.server.url(), "jwks_uri": "http://localhost/keys"});
    for configuration in ["", "{}", "[]", &other.to_string(), &plain.to_string()] {
        stage
            .server
            .answer("/.well-known/openid-configuration", configuration);
        stage.world.advance(16);
        stage.refused(&token, "InvalidIdentityToken", none).await;
    }
    // What failed a moment ago is not tried again.
    let asked = stage.server.asked().len();
    stage.server.show(&[&stage.key]);
    stage.refused(&token, "InvalidIdentityToken", none).await;
    assert_eq!(stage.server.asked().len(), asked);
    stage.world.advance(16);
    assert_eq!(stage.assume(&token, &[]).await.status, 200);

    // Nobody listens there.
    let silent = "https://localhost:1";
    stage
        .world
        .ok(
            "root",
            "iam",
            "CreateOpenIDConnectProvider",
            &[("Url", silent), ("ClientIDList.member.1", "app")],
        )
        .await;
    let token = stage.key.token(&stage.claims(&json!({"iss": silent})));
    stage
        .refused(&token, "IDPCommunicationError", "could not be reached")
        .await;
}

/// Without a way out, the keys that the operator gave are known, and no others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn given_keys_need_no_network() {
    let key = TokenKey::new("one");
    let keys = Keys::parse(key_set(&[&key]).as_bytes()).unwrap();
    let given = HashMap::from([("idp.example.com".to_owned(), Arc::new(keys))]);
    let world = World::with(Issuers::new(given, None)).await;
    let now = world.now().seconds();
    for (account, who) in [(HOME, "root"), (AWAY, "away")] {
        for url in ["https://idp.example.com", "https://other.example.com"] {
            let provider = &[("Url", url), ("ClientIDList.member.1", "app")];
            world
                .ok(who, "iam", "CreateOpenIDConnectProvider", provider)
                .await;
        }
        let provider = format!("arn:aws:iam::{account}:oidc-provider/idp.example.com");
        let trust = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow",
            "Principal": {"Federated": provider}, "Action": "sts:AssumeRoleWithWebIdentity"}})
        .to_string();
        let role = &[
            ("RoleName", "Deploy"),
            ("AssumeRolePolicyDocument", trust.as_str()),
        ];
        world.ok(who, "iam", "CreateRole", role).await;
    }
    let claims =
        |issuer: &str| json!({"iss": issuer, "sub": "alice", "aud": "app", "iat": now, "exp": now + 600});
    for account in [HOME, AWAY] {
        let role = format!("arn:aws:iam::{account}:role/Deploy");
        for (issuer, status) in [
            ("https://idp.example.com", 200),
            ("https://other.example.com", 400),
        ] {
            let token = key.token(&claims(issuer));
            let parameters = [
                ("RoleArn", role.as_str()),
                ("RoleSessionName", "ci"),
                ("WebIdentityToken", token.as_str()),
            ];
            let answer = world
                .call(NOBODY, "sts", "AssumeRoleWithWebIdentity", &parameters)
                .await;
            assert_eq!(answer.status, status, "{}", answer.text());
        }
    }
}

//! Tokens that an account vouches with, believed by whoever reads its keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use federation::jwt::{Claims, Keys, Unproven};
use serde_json::{Value, json};

use crate::world::{HOME, World, leaf};

const ENABLE: &str = "EnableOutboundWebIdentityFederation";
const INFO: &str = "GetOutboundWebIdentityFederationInfo";
const DISABLE: &str = "DisableOutboundWebIdentityFederation";
const TOKEN: &str = "GetWebIdentityToken";
const NAMESPACE: &str = "https://sts.amazonaws.com/";

/// A service that relies on an issuer, by what it publishes alone.
struct Relying<'a> {
    world: &'a World,
    issuer: String,
}

impl Relying<'_> {
    async fn document(&self, url: &str) -> Value {
        let path = url.strip_prefix(&self.world.url()).unwrap();
        let answer = self.world.get(path).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    async fn keys(&self) -> Value {
        let found = self
            .document(&format!("{}/.well-known/openid-configuration", self.issuer))
            .await;
        assert_eq!(found["issuer"], self.issuer);
        assert_eq!(
            found["id_token_signing_alg_values_supported"],
            json!(["RS256", "ES384"])
        );
        self.document(found["jwks_uri"].as_str().unwrap()).await
    }

    /// The claims of a token, once its signature is proven.
    async fn believe(&self, token: &str) -> (Claims, Value) {
        let keys = Keys::parse(self.keys().await.to_string().as_bytes()).unwrap();
        let unproven = Unproven::parse(token).unwrap();
        assert_eq!(unproven.issuer, self.issuer);
        let claims = unproven.prove(&keys).unwrap();
        (claims, part(token, 1))
    }
}

/// A part of a token that is JSON.
fn part(token: &str, at: usize) -> Value {
    let text = token.split('.').nth(at).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

async fn allow(world: &World, user: &str, statements: &str) {
    let document = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    let own = [
        ("UserName", user),
        ("PolicyName", "own"),
        ("PolicyDocument", document.as_str()),
    ];
    world.ok("root", "iam", "PutUserPolicy", &own).await;
}

const ASK: [(&str, &str); 2] = [
    ("Audience.member.1", "https://api.example.com"),
    ("SigningAlgorithm", "ES384"),
];

/// Bob, who may have tokens; and the issuer.
async fn stage() -> (World, String) {
    let mut world = World::new().await;
    world.user("root", "bob").await;
    let may = r#"{"Effect":"Allow","Action":"sts:GetWebIdentityToken","Resource":"*"}"#;
    allow(&world, "bob", may).await;
    let issuer = leaf(&world.ok("root", "iam", ENABLE, &[]).await, "IssuerIdentifier");
    (world, issuer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_believed_by_those_who_read_the_issuers_keys() {
    let (mut world, issuer) = stage().await;
    let tags = [
        ("UserName", "bob"),
        ("Tags.member.1.Key", "Team"),
        ("Tags.member.1.Value", "Red"),
    ];
    world.ok("root", "iam", "TagUser", &tags).await;
    for (algorithm, key) in [("RS256", 0), ("ES384", 1)] {
        let asked = [
            ASK[0],
            ("SigningAlgorithm", algorithm),
            ("DurationSeconds", "600"),
        ];
        let answer = world.ok("bob", "sts", TOKEN, &asked).await;
        let token = leaf(&answer, "WebIdentityToken");
        world.keep_secret(&token);
        let relying = Relying {
            world: &world,
            issuer: issuer.clone(),
        };
        let (claims, told) = relying.believe(&token).await;
        let head = part(&token, 0);
        let keys = relying.keys().await;
        assert_eq!(
            (&head["alg"], &head["kid"]),
            (&json!(algorithm), &keys["keys"][key]["kid"])
        );
        assert_eq!(claims.audiences, ["https://api.example.com"]);
        assert_eq!(told["aud"], "https://api.example.com");
        assert_eq!(claims.subject, format!("arn:aws:iam::{HOME}:user/bob"));
        let now = world.now().seconds();
        assert_eq!((claims.issued, claims.expires), (now, now + 600));
        assert_eq!(told["jti"].as_str().unwrap().len(), 36);
        let expected = json!({
            "aws_account": HOME, "source_region": "us-east-1",
            "principal_id": format!("arn:aws:iam::{HOME}:user/bob"), "principal_tags": {"Team": "Red"},
        });
        assert_eq!(told[NAMESPACE], expected);
    }
    // No private number is published, and no token recorded.
    let relying = Relying {
        world: &world,
        issuer,
    };
    for key in relying.keys().await["keys"].as_array().unwrap() {
        let members: Vec<&String> = key.as_object().unwrap().keys().collect();
        assert!(
            members == ["alg", "e", "kid", "kty", "n", "use"]
                || members == ["alg", "crv", "kid", "kty", "use", "x", "y"],
            "{members:?}"
        );
    }
    world.records();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_a_role_is_told_by_its_role() {
    let (mut world, issuer) = stage().await;
    let trust = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},
        "Action":["sts:AssumeRole","sts:TagSession"]}}"#;
    let role = [
        ("RoleName", "Worker"),
        ("Path", "/deep/"),
        ("AssumeRolePolicyDocument", trust),
    ];
    world.ok("root", "iam", "CreateRole", &role).await;
    let all = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:*","Resource":"*"}}"#;
    let policy = [
        ("RoleName", "Worker"),
        ("PolicyName", "own"),
        ("PolicyDocument", all),
    ];
    world.ok("root", "iam", "PutRolePolicy", &policy).await;
    allow(
        &world,
        "bob",
        r#"{"Effect":"Allow","Action":"sts:*","Resource":"*"}"#,
    )
    .await;
    let assume = [
        ("RoleArn", "arn:aws:iam::111122223333:role/deep/Worker"),
        ("RoleSessionName", "night"),
        ("DurationSeconds", "900"),
        ("Tags.member.1.Key", "Shift"),
        ("Tags.member.1.Value", "late"),
        ("TransitiveTagKeys.member.1", "Shift"),
    ];
    let answer = world.ok("bob", "sts", "AssumeRole", &assume).await;
    world.remember("worker", &answer);
    let asked = [
        ASK[0],
        ("Audience.member.2", "two"),
        ASK[1],
        ("Tags.member.1.Key", "job-id"),
        ("Tags.member.1.Value", "7"),
    ];
    let answer = world.ok("worker", "sts", TOKEN, &asked).await;
    let relying = Relying {
        world: &world,
        issuer,
    };
    let (claims, told) = relying.believe(&leaf(&answer, "WebIdentityToken")).await;
    assert_eq!(claims.subject, "arn:aws:iam::111122223333:role/deep/Worker");
    assert_eq!(told["aud"], json!(["https://api.example.com", "two"]));
    let own = &told[NAMESPACE];
    assert_eq!(own["request_tags"], json!({"job-id": "7"}));
    assert_eq!(own["principal_tags"], json!({"Shift": "late"}));
    assert!(own["original_session_exp"].as_str().unwrap().ends_with('Z'));
    // It does not outlive the session.
    let long = [ASK[0], ASK[1], ("DurationSeconds", "901")];
    let code = "SessionDurationEscalationException";
    world.fails("worker", "sts", TOKEN, &long, code).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_those_who_may_have_tokens_of_the_kind_they_may_have() {
    let (mut world, _) = stage().await;
    world.user("root", "eve").await;
    world.fails("eve", "sts", TOKEN, &ASK, "AccessDenied").await;
    // Tags need a permission of their own.
    let tagged = [
        ASK[0],
        ASK[1],
        ("Tags.member.1.Key", "k"),
        ("Tags.member.1.Value", "v"),
    ];
    let answer = world.call("bob", "sts", TOKEN, &tagged).await;
    assert_eq!(answer.code(), "AccessDenied");
    assert!(
        answer.text().contains("sts:TagGetWebIdentityToken"),
        "{}",
        answer.text()
    );
    // Whom a token is for, how it is signed and how long it is good for are conditions.
    let only = r#"{"Effect":"Allow","Action":"sts:GetWebIdentityToken","Resource":"*","Condition":{
        "ForAllValues:StringEquals":{"sts:IdentityTokenAudience":["https://api.example.com"]},
        "StringEquals":{"sts:SigningAlgorithm":"ES384"},
        "NumericLessThanEquals":{"sts:DurationSeconds":"300"}}}"#;
    allow(&world, "eve", only).await;
    world.ok("eve", "sts", TOKEN, &ASK).await;
    for asked in [
        [ASK[0], ("SigningAlgorithm", "RS256"), ("DurationSeconds", "300")],
        [
            ("Audience.member.1", "elsewhere"),
            ASK[1],
            ("DurationSeconds", "300"),
        ],
        [ASK[0], ASK[1], ("DurationSeconds", "301")],
    ] {
        world.fails("eve", "sts", TOKEN, &asked, "AccessDenied").await;
    }
    for asked in [
        [ASK[0], ("SigningAlgorithm", "HS256"), ("DurationSeconds", "300")],
        [ASK[0], ("SigningAlgorithm", "none1"), ("DurationSeconds", "300")],
        [ASK[0], ASK[1], ("DurationSeconds", "59")],
        [ASK[0], ASK[1], ("DurationSeconds", "3601")],
    ] {
        world.fails("bob", "sts", TOKEN, &asked, "ValidationError").await;
    }
    // Sessions of users get no tokens, as they get nothing else of STS.
    let answer = world.ok("bob", "sts", "GetSessionToken", &[]).await;
    world.remember("bob's session", &answer);
    world
        .fails("bob's session", "sts", TOKEN, &ASK, "AccessDenied")
        .await;
    // Claims have a bound.
    let all = r#"{"Effect":"Allow","Action":"sts:*","Resource":"*"}"#;
    allow(&world, "bob", all).await;
    let many: Vec<(String, String)> = (1..=50)
        .flat_map(|at| {
            [
                (format!("Tags.member.{at}.Key"), format!("key{at}")),
                (format!("Tags.member.{at}.Value"), "v".repeat(256)),
            ]
        })
        .collect();
    let mut asked: Vec<(&str, &str)> = ASK.to_vec();
    asked.extend(many.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    world
        .fails("bob", "sts", TOKEN, &asked, "JWTPayloadSizeExceededException")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feature_is_enabled_and_disabled() {
    let mut world = World::new().await;
    world.user("root", "eve").await;
    for operation in [ENABLE, INFO, DISABLE] {
        world.fails("eve", "iam", operation, &[], "AccessDenied").await;
    }
    world.fails("root", "iam", INFO, &[], "FeatureDisabled").await;
    world.fails("root", "iam", DISABLE, &[], "FeatureDisabled").await;
    let code = "OutboundWebIdentityFederationDisabledException";
    world.fails("root", "sts", TOKEN, &ASK, code).await;

    let issuer = leaf(&world.ok("root", "iam", ENABLE, &[]).await, "IssuerIdentifier");
    assert!(
        issuer.starts_with(&format!("{}/_palisade/issuer/", world.url())),
        "{issuer}"
    );
    world.fails("root", "iam", ENABLE, &[], "FeatureEnabled").await;
    let told = world.ok("root", "iam", INFO, &[]).await;
    assert_eq!(leaf(&told, "IssuerIdentifier"), issuer);
    assert_eq!(leaf(&told, "JwtVendingEnabled"), "true");
    let token = leaf(&world.ok("root", "sts", TOKEN, &ASK).await, "WebIdentityToken");

    world.ok("root", "iam", DISABLE, &[]).await;
    world.fails("root", "iam", INFO, &[], "FeatureDisabled").await;
    world.fails("root", "sts", TOKEN, &ASK, code).await;
    // What was given out is good to its end.
    let relying = Relying {
        world: &world,
        issuer: issuer.clone(),
    };
    let (claims, _) = relying.believe(&token).await;
    assert_eq!(claims.subject, format!("arn:aws:iam::{HOME}:root"));
    let again = leaf(&world.ok("root", "iam", ENABLE, &[]).await, "IssuerIdentifier");
    assert_eq!(again, issuer);
    // Another account is another issuer, with other keys.
    let other = leaf(&world.ok("away", "iam", ENABLE, &[]).await, "IssuerIdentifier");
    let others = Relying {
        world: &world,
        issuer: other,
    };
    let keys = Keys::parse(others.keys().await.to_string().as_bytes()).unwrap();
    assert!(Unproven::parse(&token).unwrap().prove(&keys).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_of_issuers_tell_nothing_else() {
    let (world, issuer) = stage().await;
    let path = issuer.strip_prefix(&world.url()).unwrap();
    let unknown = format!("/_palisade/issuer/{}", "0".repeat(36));
    for missing in [
        path.to_owned(),
        format!("{path}/"),
        format!("{path}/.well-known/other.json"),
        format!("{path}x/.well-known/jwks.json"),
        format!("{path}/../.well-known/jwks.json"),
        format!("{unknown}/.well-known/jwks.json"),
        format!("/_palisade/issuer/{}/.well-known/jwks.json", "a".repeat(5_000)),
        "/_palisade/issuer//.well-known/jwks.json".to_owned(),
    ] {
        assert_eq!(world.get(&missing).await.status, 404, "{missing}");
    }
}

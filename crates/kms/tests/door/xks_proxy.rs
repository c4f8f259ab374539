//! AWS KMS as a caller: what its published specification lets it ask of an
//! external key store's proxy, and what it must not get.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gate::{XksCredential, XksCredentials};
use ground::{Secret, Timestamp};
use serde_json::{Value, json};
use testkit::client::{Answer, Signer, exchange, send, signed};

use crate::clusters::{FIRST, Modules};
use crate::hsm_stores;
use crate::world::{REGION, Who, World, text};

const ID: &str = "HGIE2BUAFNDMBCMSQVWLGCEXAMPLE";
const SECRET: &str = "VU6W2byoiBrhDqNGbx703oL0syCAmhlQgwNUT123456";
/// Good below `/stores/two` alone.
const OTHER_ID: &str = "MUBSXM6K3KMXHN6RRCXI7TWQH4";
/// Of nobody.
const LOST_ID: &str = "AKIAI2SFODNN7EXAMPLE";

/// The credentials that the world of these tests knows.
pub(crate) fn credentials() -> Arc<XksCredentials> {
    let made = |id: &str, principal: String, prefix: &str| {
        let secret = Secret::new(SECRET.to_owned());
        XksCredential::new(id.to_owned(), secret, principal, prefix.to_owned(), None).unwrap()
    };
    let lost = "arn:aws:iam::111122223333:role/gone".to_owned();
    let all = vec![
        made(ID, Who::Bob.arn(), ""),
        made(OTHER_ID, Who::Bob.arn(), "/stores/two"),
        made(LOST_ID, lost, ""),
    ];
    Arc::new(XksCredentials::new(all).unwrap())
}

pub(crate) async fn world() -> World {
    let options = kms::Options {
        xks_proxy: true,
        ..kms::Options::default()
    };
    World::with(options).await
}

fn may(world: &World, actions: &[&str]) {
    world.people.grant(
        Who::Bob,
        &[json!({"Effect": "Allow", "Action": actions, "Resource": "*"})],
    );
}

fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn signer(world: &World) -> Signer {
    let mut signer = Signer::new(ID, SECRET);
    signer.time = Some(world.now());
    signer.region = REGION.to_owned();
    signer
}

fn metadata() -> Value {
    json!({
        "awsPrincipalArn": "arn:aws:iam::123456789012:user/Alice",
        "kmsKeyArn": "arn:aws:kms:us-east-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "kmsOperation": "Encrypt",
        "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae",
        "kmsViaService": "ebs",
        "somethingNew": {"of": ["AWS"]},
    })
}

async fn ask_as(world: &World, signer: Option<&Signer>, path: &str, body: &Value) -> Answer {
    let headers = vec![("content-type", "application/json".to_owned())];
    let call = (headers, body.to_string().into_bytes());
    send(world.address(), "POST", path, "kms-xks-proxy", signer, call).await
}

pub(crate) async fn ask(world: &World, key: &str, operation: &str, body: Value) -> Answer {
    let path = format!("/kms/xks/v1/keys/{key}/{operation}");
    ask_as(world, Some(&signer(world)), &path, &body).await
}

/// Name and status of a refusal, which must be spelled as the specification has it.
fn refused(answer: &Answer) -> (String, u16) {
    let told = answer.json();
    let members = told.as_object().unwrap_or_else(|| panic!("{}", answer.text()));
    assert_eq!(members.len(), 2, "{told}");
    let message = text(&told, "errorMessage");
    assert!(message.len() < 512 && message.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
    (text(&told, "errorName"), answer.status)
}

#[track_caller]
fn expect(answer: &Answer, name: &str, status: u16) {
    assert_eq!(refused(answer), (name.to_owned(), status), "{}", answer.text());
}

pub(crate) fn to_encrypt(plaintext: &[u8], additional: Option<&[u8]>) -> Value {
    let mut body = json!({
        "requestMetadata": metadata(),
        "plaintext": b64(plaintext),
        "encryptionAlgorithm": "AES_GCM",
    });
    if let Some(additional) = additional {
        body["additionalAuthenticatedData"] = b64(additional).into();
    }
    body
}

/// What `Decrypt` is asked of what `Encrypt` answered.
pub(crate) fn to_decrypt(sealed: &Value, additional: Option<&[u8]>) -> Value {
    let mut body = sealed.clone();
    let members = body.as_object_mut().unwrap();
    members.remove("ciphertextDataIntegrityValue");
    members.insert("requestMetadata".into(), metadata());
    members.insert("encryptionAlgorithm".into(), "AES_GCM".into());
    if let Some(additional) = additional {
        body["additionalAuthenticatedData"] = b64(additional).into();
    }
    body
}

async fn encrypted(world: &World, key: &str, plaintext: &[u8], additional: Option<&[u8]>) -> Value {
    let answer = ask(world, key, "encrypt", to_encrypt(plaintext, additional)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn decrypted(world: &World, key: &str, sealed: &Value, additional: Option<&[u8]>) -> Vec<u8> {
    let answer = ask(world, key, "decrypt", to_decrypt(sealed, additional)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    STANDARD.decode(text(&answer.json(), "plaintext")).unwrap()
}

async fn new_key(world: &World) -> String {
    text(&world.key(json!({})).await, "KeyId")
}

fn bytes_of(answer: &Value, member: &str) -> Vec<u8> {
    STANDARD.decode(text(answer, member)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_encrypted_is_decrypted_and_has_the_lengths_that_aws_wants() {
    let world = world().await;
    may(&world, &["kms:Encrypt", "kms:Decrypt"]);
    let key = new_key(&world).await;
    let most = vec![7; 4300];
    let additional = vec![9; 8192];
    for (plaintext, additional) in [
        (&b"Hello World!"[..], None),
        (&b""[..], Some(&b""[..])),
        (&most, Some(&additional[..])),
    ] {
        let mut body = to_encrypt(plaintext, additional);
        body["ciphertextDataIntegrityValueAlgorithm"] = "SHA_256".into();
        let answer = ask(&world, &key, "encrypt", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.headers["content-type"], "application/json");
        let sealed = answer.json();
        let [ciphertext, iv, tag, own] = [
            "ciphertext",
            "initializationVector",
            "authenticationTag",
            "ciphertextMetadata",
        ]
        .map(|member| bytes_of(&sealed, member));
        let lengths = (ciphertext.len(), iv.len(), tag.len(), own.len());
        assert_eq!(lengths, (plaintext.len(), 12, 16, 20));
        let value = crypto::sha256(&[additional.unwrap_or_default(), &own, &iv, &ciphertext, &tag]);
        assert_eq!(bytes_of(&sealed, "ciphertextDataIntegrityValue"), value);
        assert_eq!(decrypted(&world, &key, &sealed, additional).await, plaintext);
    }
    // Nobody asked for the value, and it is not there.
    let sealed = encrypted(&world, &key, b"x", None).await;
    assert_eq!(sealed.as_object().unwrap().len(), 4);
    for (member, body) in [
        ("plaintext", to_encrypt(&[0; 4301], None)),
        ("additional", to_encrypt(b"", Some(&[0; 8193]))),
    ] {
        let answer = ask(&world, &key, "encrypt", body).await;
        expect(&answer, "UnsupportedOperationException", 501);
        assert!(answer.text().contains(member));
    }
    let mut long = to_decrypt(&sealed, None);
    long["ciphertext"] = b64(&[0; 4301]).into();
    let answer = ask(&world, &key, "decrypt", long).await;
    expect(&answer, "UnsupportedOperationException", 501);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_changed_does_not_open() {
    let world = world().await;
    may(&world, &["kms:Encrypt", "kms:Decrypt"]);
    let (key, other) = (new_key(&world).await, new_key(&world).await);
    let sealed = encrypted(&world, &key, b"attack at dawn", Some(b"project=nile")).await;
    for member in [
        "ciphertext",
        "ciphertextMetadata",
        "initializationVector",
        "authenticationTag",
    ] {
        let whole = bytes_of(&sealed, member);
        let mut flipped = whole.clone();
        flipped[0] ^= 1;
        for bytes in [
            flipped,
            whole[1..].to_vec(),
            [&whole[..], b"x"].concat(),
            Vec::new(),
        ] {
            let mut body = to_decrypt(&sealed, Some(b"project=nile"));
            body[member] = b64(&bytes).into();
            let answer = ask(&world, &key, "decrypt", body).await;
            expect(&answer, "InvalidCiphertextException", 400);
        }
    }
    for additional in [None, Some(&b"project=Nile"[..])] {
        let answer = ask(&world, &key, "decrypt", to_decrypt(&sealed, additional)).await;
        expect(&answer, "InvalidCiphertextException", 400);
    }
    let mut without = to_decrypt(&sealed, Some(b"project=nile"));
    without.as_object_mut().unwrap().remove("ciphertextMetadata");
    let answer = ask(&world, &key, "decrypt", without).await;
    expect(&answer, "InvalidCiphertextException", 400);
    let answer = ask(
        &world,
        &other,
        "decrypt",
        to_decrypt(&sealed, Some(b"project=nile")),
    )
    .await;
    expect(&answer, "InvalidCiphertextException", 400);
    assert_eq!(
        decrypted(&world, &key, &sealed, Some(b"project=nile")).await,
        b"attack at dawn"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn earlier_material_decrypts_and_an_alias_is_a_name() {
    let world = world().await;
    may(&world, &["kms:*"]);
    let key = new_key(&world).await;
    let alias = json!({"AliasName": "alias/aws-kms_1", "TargetKeyId": key});
    world.ok(Who::Root, "CreateAlias", alias).await;
    let before = encrypted(&world, "aws-kms_1", b"before", None).await;
    world
        .ok(Who::Root, "RotateKeyOnDemand", json!({"KeyId": key}))
        .await;
    let after = encrypted(&world, &key, b"after", None).await;
    // The hints of two random materials are the same once in 2^24.
    assert_ne!(
        bytes_of(&before, "ciphertextMetadata")[..4],
        bytes_of(&after, "ciphertextMetadata")[..4]
    );
    assert_eq!(decrypted(&world, &key, &before, None).await, b"before");
    assert_eq!(decrypted(&world, "aws-kms_1", &after, None).await, b"after");
    for name in ["nobody", "aws.kms", "00000000-0000-0000-0000-000000000000"] {
        for operation in ["encrypt", "metadata"] {
            let answer = ask(&world, name, operation, to_encrypt(b"x", None)).await;
            expect(&answer, "KeyNotFoundException", 404);
        }
    }
    // A key of another region is none of this one's.
    let mut elsewhere = signer(&world);
    elsewhere.region = "eu-west-1".to_owned();
    let path = format!("/kms/xks/v1/keys/{key}/encrypt");
    let answer = ask_as(&world, Some(&elsewhere), &path, &to_encrypt(b"x", None)).await;
    expect(&answer, "KeyNotFoundException", 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_tells_what_a_key_is_and_a_key_of_another_kind_or_state_refuses() {
    let world = world().await;
    may(&world, &["kms:*"]);
    let told = async |key: &str| {
        let answer = ask(&world, key, "metadata", json!({"requestMetadata": metadata()})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let key = new_key(&world).await;
    let good = json!({"keySpec": "AES_256", "keyUsage": ["ENCRYPT", "DECRYPT"], "keyStatus": "ENABLED"});
    assert_eq!(told(&key).await, good);
    let sealed = encrypted(&world, &key, b"x", None).await;

    for (change, back) in [
        ("DisableKey", "EnableKey"),
        ("ScheduleKeyDeletion", "CancelKeyDeletion"),
    ] {
        world.ok(Who::Root, change, json!({"KeyId": key})).await;
        assert_eq!(told(&key).await["keyStatus"], "DISABLED");
        let answer = ask(&world, &key, "encrypt", to_encrypt(b"x", None)).await;
        expect(&answer, "InvalidStateException", 400);
        let answer = ask(&world, &key, "decrypt", to_decrypt(&sealed, None)).await;
        expect(&answer, "InvalidStateException", 400);
        world.ok(Who::Root, back, json!({"KeyId": key})).await;
    }
    world.ok(Who::Root, "EnableKey", json!({"KeyId": key})).await;
    assert_eq!(decrypted(&world, &key, &sealed, None).await, b"x");

    for (spec, usage, words) in [
        ("HMAC_256", "GENERATE_VERIFY_MAC", json!(["SIGN", "VERIFY"])),
        ("ECC_NIST_P256", "KEY_AGREEMENT", json!(["DERIVE"])),
        ("RSA_2048", "ENCRYPT_DECRYPT", json!(["ENCRYPT", "DECRYPT"])),
    ] {
        let made = world.key(json!({"KeySpec": spec, "KeyUsage": usage})).await;
        let made = text(&made, "KeyId");
        let other = made.as_str();
        let expected = json!({"keySpec": spec, "keyUsage": words, "keyStatus": "ENABLED"});
        assert_eq!(told(other).await, expected);
        let answer = ask(&world, other, "encrypt", to_encrypt(b"x", None)).await;
        expect(&answer, "InvalidKeyUsageException", 400);
        let answer = ask(&world, other, "decrypt", to_decrypt(&sealed, None)).await;
        expect(&answer, "InvalidKeyUsageException", 400);
    }
    let waiting = world.key(json!({"Origin": "EXTERNAL"})).await;
    assert_eq!(told(&text(&waiting, "KeyId")).await["keyStatus"], "DISABLED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_in_custom_key_stores_are_not_for_it() {
    let modules = Modules::new();
    let clusters: Arc<dyn kms::hsm::Clusters> = Arc::clone(&modules) as _;
    let world = World::with(kms::Options {
        xks_proxy: true,
        hsm_clusters: Some(clusters),
        ..kms::Options::default()
    })
    .await;
    may(&world, &["kms:*"]);
    let store = hsm_stores::store(&world, "store", FIRST).await;
    let key = text(&world.key(hsm_stores::key_in(&store)).await, "KeyId");
    let described = ask(&world, &key, "metadata", json!({"requestMetadata": metadata()})).await;
    expect(&described, "UnsupportedOperationException", 501);
    let sealed = ask(&world, &key, "encrypt", to_encrypt(b"x", None)).await;
    expect(&sealed, "UnsupportedOperationException", 501);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_decide_and_can_ask_what_aws_tells() {
    let world = world().await;
    let (key, other) = (new_key(&world).await, new_key(&world).await);
    may(&world, &["kms:Encrypt"]);
    let sealed = encrypted(&world, &key, b"x", None).await;
    let denied = ask(&world, &key, "decrypt", to_decrypt(&sealed, None)).await;
    expect(&denied, "AccessDeniedException", 403);
    assert!(denied.text().contains("kms:Decrypt"), "{}", denied.text());
    let answer = ask(&world, &key, "metadata", json!({"requestMetadata": metadata()})).await;
    expect(&answer, "AccessDeniedException", 403);
    may(&world, &["kms:DescribeKey"]);
    let answer = ask(&world, &key, "encrypt", to_encrypt(b"x", None)).await;
    expect(&answer, "AccessDeniedException", 403);

    // Only for one KMS key of AWS, one principal, one service and one operation.
    let only = json!({"StringEquals": {
        "palisade:XksKmsKeyArn": metadata()["kmsKeyArn"],
        "palisade:XksAwsPrincipalArn": metadata()["awsPrincipalArn"],
        "palisade:XksKmsOperation": "Encrypt",
        "palisade:XksKmsViaService": "ebs",
    }});
    let statement = |condition: &Value| json!({"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*", "Condition": condition});
    world.people.grant(Who::Bob, &[statement(&only)]);
    encrypted(&world, &key, b"x", None).await;
    for member in ["kmsKeyArn", "awsPrincipalArn", "kmsOperation", "kmsViaService"] {
        let mut body = to_encrypt(b"x", None);
        body["requestMetadata"][member] = "another".into();
        let answer = ask(&world, &key, "encrypt", body).await;
        expect(&answer, "AccessDeniedException", 403);
    }
    let mut bare = to_encrypt(b"x", None);
    bare["requestMetadata"]
        .as_object_mut()
        .unwrap()
        .remove("kmsKeyArn");
    let answer = ask(&world, &key, "encrypt", bare).await;
    expect(&answer, "AccessDeniedException", 403);

    // The key's policy too.
    may(&world, &["kms:*"]);
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "kms:*", "Resource": "*"},
        {"Effect": "Deny", "Principal": {"AWS": Who::Bob.arn()}, "Action": "kms:Encrypt", "Resource": "*"},
    ]});
    let body = json!({"KeyId": key, "PolicyName": "default", "Policy": policy.to_string()});
    world.ok(Who::Root, "PutKeyPolicy", body).await;
    let answer = ask(&world, &key, "encrypt", to_encrypt(b"x", None)).await;
    expect(&answer, "AccessDeniedException", 403);
    encrypted(&world, &other, b"x", None).await;

    // And a grant lets in whom no policy does.
    world.people.grant(Who::Bob, &[]);
    let answer = ask(&world, &other, "encrypt", to_encrypt(b"x", None)).await;
    expect(&answer, "AccessDeniedException", 403);
    let grant = json!({"KeyId": other, "GranteePrincipal": Who::Bob.arn(), "Operations": ["Encrypt"]});
    world.ok(Who::Root, "CreateGrant", grant).await;
    encrypted(&world, &other, b"x", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_sign_as_agreed_is_nobody() {
    let world = world().await;
    may(&world, &["kms:*"]);
    let key = new_key(&world).await;
    let path = format!("/kms/xks/v1/keys/{key}/encrypt");
    let body = to_encrypt(b"x", None);
    let good = signer(&world);
    let with = |change: &dyn Fn(&mut Signer)| {
        let mut signer = good.clone();
        change(&mut signer);
        signer
    };
    assert_eq!(ask_as(&world, Some(&good), &path, &body).await.status, 200);
    for (what, seconds, taken) in [
        ("five minutes late", 300, true),
        ("five minutes early", -300, true),
        ("later", 301, false),
        ("earlier", -301, false),
    ] {
        let moved = with(&|signer| signer.time = Some(Timestamp(world.now().0 + seconds * 1000)));
        let answer = ask_as(&world, Some(&moved), &path, &body).await;
        assert_eq!(answer.status == 200, taken, "{what}: {}", answer.text());
        if !taken {
            expect(&answer, "AuthenticationFailedException", 401);
        }
    }
    let strangers = [
        with(&|signer| signer.secret = format!("{SECRET}x")),
        with(&|signer| signer.access_key_id = "HGIE2BUAFNDMBCMSQVWLGCEXAMPLF".into()),
        // Good, but below another path.
        with(&|signer| signer.access_key_id = OTHER_ID.into()),
        // Of a principal that is gone.
        with(&|signer| signer.access_key_id = LOST_ID.into()),
        with(&|signer| signer.region = "nowhere!".into()),
        with(&|signer| signer.session_token = Some("token".into())),
        // A root user's access key opens nothing here.
        with(&|signer| signer.access_key_id = Who::Root.access_key().into()),
    ];
    for signer in strangers.iter().map(Some).chain([None]) {
        let answer = ask_as(&world, signer, &path, &body).await;
        expect(&answer, "AuthenticationFailedException", 401);
        let answer = ask_as(&world, signer, "/kms/xks/v1/health", &json!({})).await;
        expect(&answer, "AuthenticationFailedException", 401);
    }
    let headers = || vec![("content-type", "application/json".to_owned())];
    // For another service.
    let call = (headers(), body.to_string().into_bytes());
    let answer = send(world.address(), "POST", &path, "kms", Some(&good), call).await;
    expect(&answer, "AuthenticationFailedException", 401);
    // Another body, path or host than was signed.
    let host = world.address().to_string();
    let make = |host: &str, path: &str, body: &Value| {
        let call = (headers(), body.to_string().into_bytes());
        signed(host, "POST", path, "kms-xks-proxy", Some(&good), call)
    };
    let mut other_body = make(&host, &path, &body);
    *other_body.body_mut() = to_encrypt(b"y", None).to_string().into_bytes().into();
    let mut other_path = make(&host, &path, &body);
    *other_path.uri_mut() = format!("/kms/xks/v1/keys/{key}/metadata").parse().unwrap();
    let mut other_host = make("kms.example", &path, &body);
    other_host.headers_mut().insert("host", host.parse().unwrap());
    for request in [other_body, other_path, other_host] {
        let answer = exchange(world.address(), request).await.unwrap();
        expect(&answer, "AuthenticationFailedException", 401);
    }
    // Below its own path the other credential is good, and this one is not.
    let below = format!("/stores/two{path}");
    let other = with(&|signer| signer.access_key_id = OTHER_ID.into());
    assert_eq!(ask_as(&world, Some(&other), &below, &body).await.status, 200);
    let answer = ask_as(&world, Some(&good), &below, &body).await;
    expect(&answer, "AuthenticationFailedException", 401);
    // And it is no credential of KMS.
    let listed = testkit::client::json_call("TrentService.ListKeys", &json!({}));
    let answer = testkit::client::post(world.address(), "kms", Some(&good), listed).await;
    assert_eq!(answer.code(), "UnrecognizedClientException", "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_methods_and_bodies_that_are_not_of_the_api() {
    let world = world().await;
    may(&world, &["kms:*"]);
    let key = new_key(&world).await;
    let good = signer(&world);
    for path in [
        "/kms/xks/v1",
        "/kms/xks/v1/",
        "/kms/xks/v1/keys",
        &format!("/kms/xks/v1/keys/{key}"),
        &format!("/kms/xks/v1/keys/{key}/sign"),
        &format!("/kms/xks/v1/keys/{key}/encrypt/"),
        &format!("/kms/xks/v1/keys/../keys/{key}/encrypt"),
        &format!("/kms/xks/v1/keys/alias%2F{key}/encrypt"),
        &format!("/stores.two/kms/xks/v1/keys/{key}/encrypt"),
    ] {
        let answer = ask_as(&world, Some(&good), path, &to_encrypt(b"x", None)).await;
        expect(&answer, "InvalidUriPathException", 404);
    }
    for path in ["/kms/xks/v1/health", &format!("/kms/xks/v1/keys/{key}/encrypt")] {
        for method in ["GET", "PUT", "DELETE"] {
            let call = (Vec::new(), Vec::new());
            let answer = send(world.address(), method, path, "kms-xks-proxy", Some(&good), call).await;
            assert_eq!(
                (answer.status, answer.headers["allow"].to_str().unwrap()),
                (405, "POST")
            );
        }
    }
    let without = |member: &str| {
        let mut body = to_encrypt(b"x", None);
        body.as_object_mut().unwrap().remove(member);
        body
    };
    let with = |member: &str, value: Value| {
        let mut body = to_encrypt(b"x", None);
        body[member] = value;
        body
    };
    let in_metadata = |member: &str, value: Value| {
        let mut body = to_encrypt(b"x", None);
        body["requestMetadata"][member] = value;
        body
    };
    for body in [
        json!([]),
        json!({}),
        json!("text"),
        without("requestMetadata"),
        without("plaintext"),
        without("encryptionAlgorithm"),
        with("encryptionAlgorithm", "AES_CBC".into()),
        with("encryptionAlgorithm", 1.into()),
        with("ciphertextDataIntegrityValueAlgorithm", "MD5".into()),
        with("plaintext", "!".into()),
        with("plaintext", json!({})),
        with("additionalAuthenticatedData", json!([1])),
        in_metadata("kmsRequestId", Value::Null),
        in_metadata("kmsOperation", Value::Null),
        in_metadata("awsPrincipalArn", Value::Null),
        in_metadata("awsPrincipalArn", "a".repeat(2049).into()),
    ] {
        let answer = ask(&world, &key, "encrypt", body).await;
        expect(&answer, "ValidationException", 400);
    }
    let longest = in_metadata("awsPrincipalArn", "a".repeat(2048).into());
    assert_eq!(ask(&world, &key, "encrypt", longest).await.status, 200);
    for body in [&b"{"[..], &b"\xff"[..], "[".repeat(5000).as_bytes()] {
        let call = (Vec::new(), body.to_vec());
        let path = format!("/kms/xks/v1/keys/{key}/decrypt");
        let answer = send(world.address(), "POST", &path, "kms-xks-proxy", Some(&good), call).await;
        expect(&answer, "ValidationException", 400);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_told_to_aws_and_asks_no_policy() {
    let world = world().await;
    let body = json!({"requestMetadata": {"kmsRequestId": "r", "kmsOperation": "CreateCustomKeyStore"}});
    let answer = ask_as(&world, Some(&signer(&world)), "/kms/xks/v1/health", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json();
    assert_eq!(told["xksProxyFleetSize"], 1);
    for member in ["xksProxyVendor", "xksProxyModel", "ekmVendor"] {
        assert!(!text(&told, member).is_empty());
    }
    let fleet = told["ekmFleetDetails"].as_array().unwrap();
    assert_eq!(fleet.len(), 1);
    assert_eq!(fleet[0]["healthStatus"], "ACTIVE");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_use_is_recorded_for_its_principal_without_what_it_was_of() {
    let world = world().await;
    may(&world, &["kms:Encrypt"]);
    let key = new_key(&world).await;
    let sealed = encrypted(&world, &key, b"nobody may see this", None).await;
    let denied = ask(&world, &key, "decrypt", to_decrypt(&sealed, None)).await;
    expect(&denied, "AccessDeniedException", 403);
    let why = denied.request_id();
    let used = world
        .ok(Who::Root, "GetKeyLastUsage", json!({"KeyId": key}))
        .await;
    assert_eq!(used["KeyLastUsage"]["Operation"], "Encrypt");

    let records = world.records().await;
    let of = |name: &str| {
        let found: Vec<&Value> = records
            .iter()
            .filter(|record| record["eventName"] == name)
            .collect();
        assert_eq!(found.len(), 1, "{name}");
        found[0].clone()
    };
    let record = of("Encrypt");
    assert_eq!(record["eventSource"], "kms.amazonaws.com");
    assert_eq!(record["userIdentity"]["arn"], Who::Bob.arn());
    assert_eq!(record["userIdentity"]["accessKeyId"], ID);
    let parameters = &record["requestParameters"];
    assert_eq!(parameters["externalKeyId"], key);
    assert_eq!(
        parameters["requestMetadata"]["kmsRequestId"],
        metadata()["kmsRequestId"]
    );
    assert!(
        text(&record["resources"][0], "ARN").ends_with(&key),
        "{}",
        record["resources"]
    );
    let all = record.to_string();
    for secret in [
        b64(b"nobody may see this"),
        text(&sealed, "ciphertext"),
        SECRET.to_owned(),
    ] {
        assert!(!all.contains(&secret));
    }
    let record = of("Decrypt");
    assert_eq!(record["errorCode"], "AccessDeniedException");
    assert_eq!(record["requestID"], why);
    assert!(record["palisade"]["decisions"].is_array(), "{record}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_credentials_there_is_no_proxy() {
    let world = World::new().await;
    let answer = ask_as(&world, Some(&signer(&world)), "/kms/xks/v1/health", &json!({})).await;
    assert_ne!(answer.status, 200);
    assert!(answer.json()["errorName"].is_null(), "{}", answer.text());
}

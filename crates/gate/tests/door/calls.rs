//! Calls that a service makes: one in the place of STS that calls one in the
//! place of KMS, for its caller and for itself.

use gate::{AtHand, Guardrails, Membership, Standing};
use policy::{Level, ResourcePolicyKind};
use serde_json::Value;
use shape::{Operation as _, OperationShape};
use testkit::sample;

use super::*;

/// One user, allowed what the test says.
struct OneUser {
    identity: String,
}

/// An organisation of the user's account, if there is any policy, with those that the test says.
#[derive(Default)]
struct OneRoot {
    service_control: Option<String>,
    resource_control: Option<String>,
}

impl Guardrails for OneRoot {
    fn over(&self, _account: AccountId) -> AtHand<'_, Result<Arc<Standing>, StoreError>> {
        let level = |documents: Vec<Document>| {
            let attached = |document| {
                let holder = Holder::Target("r-root".into());
                Attached::inline("given", holder, Arc::new(document))
            };
            vec![Level {
                target: "r-root".into(),
                policies: documents.into_iter().map(attached).collect(),
            }]
        };
        let parsed = |text: &String, kind| Document::parse(text, kind).unwrap();
        let (service, resource) = (self.service_control.as_ref(), self.resource_control.as_ref());
        let standing = Standing {
            membership: service.or(resource).map(|_| Membership {
                organization: "o-example0001".to_owned(),
                path: "o-example0001/r-root/ou-root-unit/".to_owned(),
                management: AccountId::parse("999988887777").unwrap(),
            }),
            service_control: service.map(|text| level(vec![parsed(text, DocumentKind::ServiceControl)])),
            resource_control: resource.map(|text| {
                let given = parsed(text, DocumentKind::ResourceControl);
                level(vec![Document::full_resource_control(), given])
            }),
        };
        AtHand::Later(Box::pin(std::future::ready(Ok(Arc::new(standing)))))
    }
}

impl Directory for OneUser {
    fn credential<'a>(
        &'a self,
        presented: Presented<'a>,
    ) -> AtHand<'a, Result<Arc<Credential>, CredentialFault>> {
        let id = presented.access_key_id.to_owned();
        AtHand::Later(Box::pin(async move {
            let principal = Principal::user(account(), "AIDAEXAMPLE", "/", "bob");
            let caller = Arc::new(Caller::new(principal, account(), id.clone(), None));
            Ok(Arc::new(Credential::new(
                id,
                Secret::new(SECRET.to_owned()),
                caller,
            )))
        }))
    }

    fn policies<'a>(&'a self, _caller: &'a Caller) -> AtHand<'a, Result<Arc<CallerPolicies>, StoreError>> {
        let document = Document::parse(&self.identity, DocumentKind::Identity).unwrap();
        let holder = Holder::User("bob".into());
        let policies = CallerPolicies {
            identity: vec![Attached::inline("given", holder, Arc::new(document))],
            ..CallerPolicies::default()
        };
        AtHand::Later(Box::pin(async move { Ok(Arc::new(policies)) }))
    }

    fn principal_id<'a>(&'a self, _arn: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn principal_arn<'a>(
        &'a self,
        _account: AccountId,
        _id: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn account_exists(&self, wanted: AccountId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move { Ok(wanted == account()) })
    }

    fn create_account<'a>(
        &'a self,
        _tx: &'a WriteTx,
        _new: NewAccount<'a>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        unreachable!("no account is made here")
    }

    fn close_account<'a>(
        &'a self,
        _tx: &'a WriteTx,
        _account: AccountId,
        _now: Timestamp,
        _generation: [u8; 16],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        unreachable!("no account is closed here")
    }
}

#[derive(Debug, thiserror::Error)]
enum OuterError {
    #[error(transparent)]
    Authorize(#[from] gate::AuthorizeError),
    #[error("the other service refused")]
    Inside(#[from] Fault),
}

impl From<&OuterError> for Fault {
    fn from(error: &OuterError) -> Fault {
        match error {
            OuterError::Authorize(error) => error.fault("InternalFailure"),
            OuterError::Inside(fault) => fault.clone(),
        }
    }
}

struct Outer;

fn encrypting(key: &str) -> EncryptInput {
    EncryptInput {
        key_id: key.to_owned(),
        plaintext: Secret::new(b"never to be seen".to_vec().into()),
        ..EncryptInput::default()
    }
}

/// Encrypts for its caller.
async fn get_session_token(
    _outer: &Outer,
    cx: &Cx,
    _input: sts_api::GetSessionTokenInput,
) -> Result<sts_api::GetSessionTokenOutput, OuterError> {
    cx.authorize(Access::to((), "*")).await?;
    let sealed = cx.call::<kms_api::Encrypt>(encrypting("k")).await?;
    assert_eq!(sealed.key_id.as_deref(), Some("k"));
    Ok(sts_api::GetSessionTokenOutput::default())
}

/// Encrypts for itself, for a thing of its own that the request names.
async fn get_access_key_info(
    _outer: &Outer,
    cx: &Cx,
    input: sts_api::GetAccessKeyInfoInput,
) -> Result<sts_api::GetAccessKeyInfoOutput, OuterError> {
    cx.authorize(Access::to((), "*")).await?;
    let on_behalf = gate::OnBehalf {
        arn: format!("arn:aws:sts::{}:thing/{}", cx.account(), input.access_key_id),
        account: cx.account(),
    };
    let key = match input.access_key_id.as_str() {
        "ORGANIZEDORGANIZED" => "organized",
        _ => "guarded",
    };
    cx.call_as_service::<kms_api::Encrypt>(on_behalf, encrypting(key))
        .await?;
    Ok(sts_api::GetAccessKeyInfoOutput::default())
}

/// Calls itself, for ever if it could.
async fn get_caller_identity(
    _outer: &Outer,
    cx: &Cx,
    input: sts_api::GetCallerIdentityInput,
) -> Result<sts_api::GetCallerIdentityOutput, OuterError> {
    cx.authorize(Access::to((), "*")).await?;
    Ok(cx.call::<sts_api::GetCallerIdentity>(input).await?)
}

/// Enables the key that the message names.
async fn decode_authorization_message(
    _outer: &Outer,
    cx: &Cx,
    input: sts_api::DecodeAuthorizationMessageInput,
) -> Result<sts_api::DecodeAuthorizationMessageOutput, OuterError> {
    cx.authorize(Access::to((), "*")).await?;
    let key_id = input.encoded_message;
    cx.call::<kms_api::EnableKey>(kms_api::EnableKeyInput { key_id })
        .await?;
    Ok(sts_api::DecodeAuthorizationMessageOutput::default())
}

/// What the policy of the key called so asks of the service that it lets in:
/// `guarded` one thing, `organized` an organisation.
fn guard(key: &str) -> Option<Value> {
    match key {
        "guarded" => Some(json!({
            "ArnEquals": {"aws:SourceArn": format!("arn:aws:sts::{}:thing/GOODGOODGOODGOOD", account())},
            "StringEquals": {"aws:SourceAccount": account()},
            "ForAnyValue:StringEquals": {"aws:PrincipalServiceNamesList": "sts.amazonaws.com"},
            "Bool": {"aws:ViaAWSService": "false", "aws:PrincipalIsAWSService": "true"}})),
        "organized" => Some(json!({
            "StringEquals": {"aws:SourceOrgID": "o-example0001"},
            "ForAnyValue:StringLike": {"aws:SourceOrgPaths": "o-example0001/r-root/ou-*"},
            "Null": {"aws:PrincipalOrgID": "true", "aws:PrincipalOrgPaths": "true"}})),
        _ => None,
    }
}

/// The keys that have a guard let in the service alone, for a thing of its own.
async fn encrypt(_service: &Service, cx: &Cx, input: EncryptInput) -> Result<EncryptOutput, Error> {
    let arn = format!("arn:aws:kms:us-east-1:{}:key/{}", cx.account(), input.key_id);
    let mut access = Access::to((), arn)
        .owned_by(account())
        .key("kms:viaservice", cx.via_service());
    if let Some(condition) = guard(&input.key_id) {
        let text = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow",
            "Principal": {"Service": "sts.amazonaws.com"}, "Action": "kms:Encrypt", "Resource": "*",
            "Condition": condition}});
        let document = Document::parse(&text.to_string(), DocumentKind::KmsKey).unwrap();
        let policy = Attached::inline("key policy", Holder::Resource, Arc::new(document));
        access = access.with_policy(Arc::new(policy), ResourcePolicyKind::KmsKey);
    }
    cx.authorize(access).await?;
    Ok(EncryptOutput {
        key_id: Some(input.key_id),
        ..EncryptOutput::default()
    })
}

fn document(statements: &Value) -> String {
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

/// A door with both services, for a user whom these statements bind.
async fn inside(identity: &Value, service_control: Option<&Value>) -> World {
    let organisation = OneRoot {
        service_control: service_control.map(document),
        resource_control: None,
    };
    within(identity, organisation).await
}

/// The same, in this organisation.
async fn within(identity: &Value, organisation: OneRoot) -> World {
    let outer = Table::new(&sts_api::SERVICE, Outer)
        .on::<sts_api::GetSessionToken>(get_session_token)
        .on::<sts_api::GetAccessKeyInfo>(get_access_key_info)
        .on::<sts_api::GetCallerIdentity>(get_caller_identity)
        .on::<sts_api::DecodeAuthorizationMessage>(decode_authorization_message);
    let inner = Table::new(&kms_api::SERVICE, Service::default())
        .on::<kms_api::Encrypt>(encrypt)
        .on::<kms_api::EnableKey>(enable_key);
    let directory = tempfile::tempdir().unwrap();
    let door = Door::open(Parts {
        services: vec![outer.done(), inner.done()],
        directory: Arc::new(OneUser {
            identity: document(identity),
        }),
        guardrails: Arc::new(organisation),
        ..parts(&directory.path().join("journal")).await
    })
    .await
    .unwrap();
    World {
        address: serve(&door).await,
        door,
        _directory: directory,
    }
}

impl World {
    async fn outer(&self, operation: &'static OperationShape, input: Value) -> Answer {
        let call = sample::encode(operation, &input);
        post(self.address, "sts", Some(&user()), call).await
    }

    async fn why(&self, request_id: &str) -> Value {
        let path = format!("/_palisade/why/{request_id}");
        let nothing = (Vec::new(), Vec::new());
        send(self.address, "GET", &path, "palisade", Some(&user()), nothing)
            .await
            .json()
    }
}

fn allow(actions: &[&str]) -> Value {
    json!({"Effect": "Allow", "Action": actions, "Resource": "*"})
}

/// Allows to encrypt by way of STS alone.
fn by_way_of_sts() -> Value {
    json!({"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*", "Condition": {
        "Bool": {"aws:ViaAWSService": "true", "aws:SecureTransport": "true", "aws:PrincipalIsAWSService": "false"},
        "Null": {"aws:SourceIp": "true"},
        "ForAllValues:StringEquals": {"aws:CalledVia": "sts.amazonaws.com"},
        "StringEquals": {
            "aws:CalledViaFirst": "sts.amazonaws.com",
            "aws:CalledViaLast": "sts.amazonaws.com",
            "kms:ViaService": "sts.us-east-1.amazonaws.com"}}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_acts_for_its_caller_who_must_be_allowed_that_too() {
    let world = inside(&json!([allow(&["sts:*"]), by_way_of_sts()]), None).await;
    let answer = world.outer(sts_api::GetSessionToken::SHAPE, json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let records = world.records();
    let [inner, outer] = &records[..] else {
        panic!("{records:?}");
    };
    assert_eq!(outer["requestID"], answer.request_id());
    assert_eq!(outer["userIdentity"]["invokedBy"], Value::Null);
    assert_eq!(outer["palisade"]["calls"], json!([inner["requestID"]]));
    assert_ne!(outer["requestID"], inner["requestID"]);
    assert_eq!(inner["eventName"], "Encrypt");
    assert_eq!(inner["eventSource"], "kms.amazonaws.com");
    assert_eq!(inner["requestParameters"], json!({"keyId": "k"}));
    assert_eq!(inner["userIdentity"]["userName"], "bob");
    assert_eq!(inner["palisade"]["decisions"][0]["allowed"], true);
    for place in [
        &inner["userIdentity"]["invokedBy"],
        &inner["sourceIPAddress"],
        &inner["userAgent"],
    ] {
        assert_eq!(place, "sts.amazonaws.com");
    }
    // What is allowed by way of the service is not allowed without it.
    let direct = json!({"KeyId": "k", "Plaintext": "YQ=="});
    let answer = world.call(Some(&user()), "Encrypt", direct).await;
    assert_eq!(answer.code(), "AccessDeniedException");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_not_do_the_inner_operation_is_refused_and_told_why() {
    let elsewhere = json!({"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*",
        "Condition": {"StringEquals": {"kms:ViaService": "ssm.us-east-1.amazonaws.com"}}});
    let may_explain = allow(&["sts:*", "palisade:Explain"]);
    for statements in [json!([may_explain]), json!([may_explain, elsewhere])] {
        let world = inside(&statements, None).await;
        let answer = world.outer(sts_api::GetSessionToken::SHAPE, json!({})).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "AccessDenied"));
        assert!(
            answer.text().contains(
                "is not authorized to perform: kms:Encrypt on resource: arn:aws:kms:us-east-1:123456789012:key/k \
                 because no identity-based policy allows the kms:Encrypt action"
            ),
            "{}",
            answer.text()
        );
        let header = answer.headers["x-palisade-decision"].to_str().unwrap();
        assert!(
            header.contains("kms:Encrypt") || header.contains("identity"),
            "{header}"
        );
        let records = world.records();
        assert_eq!(
            [&records[0]["errorCode"], &records[1]["errorCode"]],
            ["AccessDeniedException", "AccessDenied"]
        );
        let why = world.why(&answer.request_id()).await;
        assert_eq!(why["decisions"][0]["allowed"], true);
        assert_eq!(why["decisions"][1]["action"], "kms:Encrypt");
        assert_eq!(why["decisions"][1]["allowed"], false);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_binds_the_callers_account_binds_calls_on_its_behalf() {
    let all = json!([allow(&["*"])]);
    let without_kms = json!([{"Effect": "Allow", "NotAction": "kms:*", "Resource": "*"}]);
    let world = inside(&all, Some(&without_kms)).await;
    let answer = world.outer(sts_api::GetSessionToken::SHAPE, json!({})).await;
    assert_eq!(answer.status, 403);
    assert!(
        answer
            .text()
            .contains("because no service control policy allows the kms:Encrypt action"),
        "{}",
        answer.text()
    );
    let world = inside(&all, Some(&all)).await;
    let answer = world.outer(sts_api::GetSessionToken::SHAPE, json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// What binds the resource's account binds calls for the caller, and those of a
/// service for itself, whom no service control policy binds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_binds_the_resource_binds_calls_of_services() {
    let all = json!([allow(&["*"])]);
    let good = json!({"AccessKeyId": "GOODGOODGOODGOOD"});
    for (denied, lets_in) in [("kms:Encrypt", false), ("kms:Decrypt", true)] {
        let statements = json!([{"Effect": "Deny", "Principal": "*", "Action": denied, "Resource": "*"}]);
        let organisation = OneRoot {
            resource_control: Some(document(&statements)),
            ..OneRoot::default()
        };
        let world = within(&all, organisation).await;
        let answers = [
            world.outer(sts_api::GetSessionToken::SHAPE, json!({})).await,
            world.outer(sts_api::GetAccessKeyInfo::SHAPE, good.clone()).await,
        ];
        for answer in answers {
            assert_eq!(answer.status == 200, lets_in, "{denied}: {}", answer.text());
            let words = "with an explicit deny in a resource control policy";
            assert_eq!(answer.text().contains(words), !lets_in, "{}", answer.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_for_itself_is_let_in_by_the_resources_policy_alone() {
    // The caller may do anything in KMS; that is not what counts.
    let world = inside(&json!([allow(&["*"])]), None).await;
    let thing = |id: &str| json!({"AccessKeyId": id});
    let answer = world
        .outer(sts_api::GetAccessKeyInfo::SHAPE, thing("EVILEVILEVILEVIL"))
        .await;
    assert_eq!(
        answer.status,
        403,
        "for a thing that the key does not know: {}",
        answer.text()
    );
    let answer = world
        .outer(sts_api::GetAccessKeyInfo::SHAPE, thing("GOODGOODGOODGOOD"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let inner = &world.records()[2];
    assert_eq!(inner["eventName"], "Encrypt");
    assert_eq!(
        inner["userIdentity"],
        json!({"type": "AWSService", "invokedBy": "sts.amazonaws.com"})
    );
    assert_eq!(inner["recipientAccountId"], json!(account()));
    // Nor is the caller let in where the service is.
    let direct = json!({"KeyId": "guarded", "Plaintext": "YQ=="});
    let answer = world.call(Some(&user()), "Encrypt", direct).await;
    assert_eq!(answer.code(), "AccessDeniedException");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_tells_the_organisation_of_the_resource_and_has_none_itself() {
    let all = json!([allow(&["*"])]);
    let thing = json!({"AccessKeyId": "ORGANIZEDORGANIZED"});
    let outside = inside(&all, None).await;
    let answer = outside
        .outer(sts_api::GetAccessKeyInfo::SHAPE, thing.clone())
        .await;
    assert_eq!(answer.status, 403, "in no organisation: {}", answer.text());
    // Nor do service control policies bind the service.
    let not_kms = json!([allow(&["*"]), {"Effect": "Deny", "Action": "kms:*", "Resource": "*"}]);
    for service_control in [all.clone(), not_kms] {
        let member = inside(&all, Some(&service_control)).await;
        let answer = member
            .outer(sts_api::GetAccessKeyInfo::SHAPE, thing.clone())
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// A call for the caller tells the caller's organisation, not a source's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forwarded_call_is_of_the_callers_organisation() {
    let all = json!([allow(&["*"])]);
    let asking = |id: &str| {
        json!([allow(&["sts:*"]), {"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*", "Condition": {
            "StringEquals": {"aws:PrincipalOrgID": id},
            "ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-example0001/*"},
            "Null": {"aws:SourceOrgID": "true", "aws:SourceOrgPaths": "true"}}}])
    };
    for (identity, service_control, status) in [
        (asking("o-example0001"), Some(&all), 200),
        (asking("o-example0002"), Some(&all), 403),
        (asking("o-example0001"), None, 403),
    ] {
        let world = inside(&identity, service_control).await;
        let answer = world.outer(sts_api::GetSessionToken::SHAPE, json!({})).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_call_one_another_in_a_circle_are_stopped() {
    let world = inside(&json!([allow(&["*"])]), None).await;
    let answer = world.outer(sts_api::GetCallerIdentity::SHAPE, json!({})).await;
    assert_eq!((answer.status, answer.code().as_str()), (500, "InternalFailure"));
    assert!(!answer.text().contains("circle"), "{}", answer.text());
    let records = world.records();
    assert_eq!(records.len(), 5, "one from outside, four inside: {records:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inner_input_is_held_to_the_model_and_inner_conflicts_run_the_outer_again() {
    let world = inside(&json!([allow(&["*"])]), None).await;
    let enable = |key: String| json!({"EncodedMessage": key});
    let decode = sts_api::DecodeAuthorizationMessage::SHAPE;
    let answer = world.outer(decode, enable("x".repeat(2049))).await;
    assert_eq!(answer.code(), "ValidationException", "{}", answer.text());
    assert_eq!(world.records()[0]["errorCode"], "ValidationException");
    // The inner handler is overtaken by another writer once.
    let answer = world.outer(decode, enable("k".to_owned())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told: Vec<_> = world.records()[2..]
        .iter()
        .map(|record| (record["eventName"].clone(), record["errorCode"].clone()))
        .collect();
    assert_eq!(
        told,
        [
            (json!("EnableKey"), Value::Null),
            (json!("DecodeAuthorizationMessage"), Value::Null)
        ]
    );
}

#[test]
fn a_typed_input_is_checked_to_its_depth() {
    let mut violations = shape::Violations::default();
    let tag = |key: &str| kms_api::Tag {
        tag_key: key.to_owned(),
        tag_value: String::new(),
    };
    let input = kms_api::TagResourceInput {
        key_id: "k".to_owned(),
        tags: vec![tag("a"), tag("")],
    };
    shape::check::structure(&input, &shape::Path::ROOT, &mut violations);
    let told = violations.message();
    assert!(told.starts_with("1 validation error detected"), "{told}");
    assert!(told.contains("'tags.2.member.tagKey'"), "{told}");
}

//! What an operation needs to exist before it can succeed.
//!
//! Everything here is made anew for every operation, so that one sweep's
//! deletions do not starve the next.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::Random;
use crypto::key::{BackingKey, EncryptionAlgorithm, KeySpec, PublicKey};
use crypto::totp::{self, STEP_SECONDS};
use serde_json::{Map, Value, json};
use shape::OperationShape;
use std::sync::OnceLock;
use testkit::saml::SamlProvider;
use testkit::server::{Server, server};

use crate::world::{HOME, World, leaf, message, operation};

type Given = Map<String, Value>;

/// A statement that allows everything.
pub(crate) fn allow_all() -> Value {
    json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}])
}

fn identity_policy() -> String {
    json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}})
        .to_string()
}

/// Trusts everyone of the account whom a policy of the account lets.
pub(crate) fn trust_policy() -> String {
    let principal = format!("arn:aws:iam::{HOME}:root");
    json!({"Version": "2012-10-17", "Statement":
        {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": ["sts:AssumeRole", "sts:TagSession"]}})
    .to_string()
}

/// Makes what `operation` needs, and gives the members that name it.
pub(crate) async fn prepare(world: &World, operation: &'static OperationShape) -> Given {
    match operation.service.name {
        "iam" => iam(world, operation).await,
        "kms" => kms(world, operation).await,
        "organizations" => crate::stage_organizations::prepare(world, operation).await,
        "sts" => sts(world, operation).await,
        // A new service stands here when its operations need something.
        _ => Given::new(),
    }
}

fn has(operation: &OperationShape, member: &str) -> bool {
    operation.input.member(member).is_some()
}

async fn iam(world: &World, operation: &'static OperationShape) -> Given {
    let name = operation.name;
    if name.contains("Organizations") {
        return crate::stage_organizations::root_access(world, operation).await;
    }
    if name.contains("OutboundWebIdentityFederation") {
        outbound_federation(world, !name.starts_with("Enable")).await;
        return Given::new();
    }
    let mut given = Given::new();
    for (member, noun, create) in [
        ("UserName", "user", "CreateUser"),
        ("GroupName", "group", "CreateGroup"),
        ("RoleName", "role", "CreateRole"),
    ] {
        if !has(operation, member) {
            continue;
        }
        let fresh = world.name(noun);
        given.insert(member.to_owned(), json!(fresh));
        if name != create && name != "DeleteServiceLinkedRole" {
            let mut input = json!({member: fresh});
            if noun == "role" {
                input["AssumeRolePolicyDocument"] = json!(trust_policy());
            }
            world.ok(&format!("iam:{create}"), input).await;
        }
    }
    if name == "CreatePolicy" {
        given.insert("PolicyName".into(), json!(world.name("policy")));
    }
    let boundary = name.ends_with("PermissionsBoundary");
    if has(operation, "PolicyArn") || boundary {
        let input = json!({"PolicyName": world.name("policy"), "PolicyDocument": identity_policy()});
        let arn = leaf(&world.ok("iam:CreatePolicy", input).await, "Arn");
        let member = if boundary {
            "PermissionsBoundary"
        } else {
            "PolicyArn"
        };
        given.insert(member.into(), json!(arn));
    }
    if has(operation, "VersionId") {
        let input = json!({"PolicyArn": given["PolicyArn"], "PolicyDocument": identity_policy()});
        world.ok("iam:CreatePolicyVersion", input).await;
        given.insert("VersionId".into(), json!("v2"));
    }
    for member in ["PolicyDocument", "AssumeRolePolicyDocument"] {
        if has(operation, member) {
            let trusts = member.starts_with("AssumeRole") || name == "UpdateAssumeRolePolicy";
            let document = if trusts { trust_policy() } else { identity_policy() };
            given.insert(member.into(), json!(document));
        }
    }
    if has(operation, "AccessKeyId") {
        let user = match given.get("UserName") {
            Some(user) => user.clone(),
            None => {
                let fresh = json!(world.name("user"));
                world.ok("iam:CreateUser", json!({"UserName": fresh})).await;
                fresh
            }
        };
        let input = json!({"UserName": user});
        let made = world.ok("iam:CreateAccessKey", input).await;
        given.insert("AccessKeyId".into(), json!(leaf(&made, "AccessKeyId")));
    }
    ssh_key(world, operation, &mut given).await;
    signing_certificate(world, operation, &mut given).await;
    server_certificate(world, operation, &mut given).await;
    service_credential(world, operation, &mut given).await;
    service_linked_role(world, operation, &mut given).await;
    account(world, operation, &mut given).await;
    instance_profile(world, operation, &mut given).await;
    second_factor(world, operation, &mut given).await;
    simulation(world, operation, &mut given).await;
    access_report(world, operation, &mut given).await;
    providers(world, operation, &mut given).await;
    // What is taken away or read must have been put there.
    let put = match name {
        "DeleteUserPolicy" | "GetUserPolicy" => Some("iam:PutUserPolicy"),
        "DeleteGroupPolicy" | "GetGroupPolicy" => Some("iam:PutGroupPolicy"),
        "DeleteRolePolicy" | "GetRolePolicy" => Some("iam:PutRolePolicy"),
        "DetachUserPolicy" => Some("iam:AttachUserPolicy"),
        "DetachGroupPolicy" => Some("iam:AttachGroupPolicy"),
        "DetachRolePolicy" => Some("iam:AttachRolePolicy"),
        "RemoveUserFromGroup" => Some("iam:AddUserToGroup"),
        "DeleteUserPermissionsBoundary" => Some("iam:PutUserPermissionsBoundary"),
        "DeleteRolePermissionsBoundary" => Some("iam:PutRolePermissionsBoundary"),
        _ => None,
    };
    if name.ends_with("Policy") && has(operation, "PolicyName") && !given.contains_key("PolicyName") {
        given.insert("PolicyName".into(), json!("inline"));
    }
    if let Some(put) = put {
        let mut input = Value::Object(given.clone());
        if put.starts_with("iam:Put") && put.ends_with("Policy") {
            input["PolicyDocument"] = json!(identity_policy());
        }
        world.ok(put, input).await;
        if name.starts_with("Delete") && boundary {
            given.remove("PermissionsBoundary");
        }
    }
    given
}

/// A public key of the user, or what one is made of.
async fn ssh_key(world: &World, operation: &'static OperationShape, given: &mut Given) {
    static KEY: OnceLock<String> = OnceLock::new();
    let key = KEY.get_or_init(|| {
        let key =
            BackingKey::generate(KeySpec::Rsa2048, &Random::seeded(1)).expect("the provider makes keys");
        let der = key.public_key_der().expect("an RSA key has a public half");
        let body = STANDARD.encode(der);
        format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
    });
    if operation.name == "UploadSSHPublicKey" {
        given.insert("SSHPublicKeyBody".into(), json!(key));
    } else if has(operation, "SSHPublicKeyId") {
        let input = json!({"UserName": given["UserName"], "SSHPublicKeyBody": key});
        let made = world.ok("iam:UploadSSHPublicKey", input).await;
        given.insert("SSHPublicKeyId".into(), json!(leaf(&made, "SSHPublicKeyId")));
    }
}

/// A signing certificate of the user, or what one is.
async fn signing_certificate(world: &World, operation: &'static OperationShape, given: &mut Given) {
    let uploads = operation.name == "UploadSigningCertificate";
    if !uploads && !has(operation, "CertificateId") {
        return;
    }
    let made = rcgen::generate_simple_self_signed(vec!["signer.example.com".to_owned()]);
    let body = made.expect("the provider makes certificates").cert.pem();
    if uploads {
        given.insert("CertificateBody".into(), json!(body));
        return;
    }
    let input = json!({"UserName": given["UserName"], "CertificateBody": body});
    let made = world.ok("iam:UploadSigningCertificate", input).await;
    given.insert("CertificateId".into(), json!(leaf(&made, "CertificateId")));
}

/// A server certificate, or what one is made of. An account has twenty at
/// most, so the one that the last operation left goes first.
async fn server_certificate(world: &World, operation: &'static OperationShape, given: &mut Given) {
    static SERVER: OnceLock<Server> = OnceLock::new();
    if !has(operation, "ServerCertificateName") {
        return;
    }
    let listed = world.ok("iam:ListServerCertificates", json!({})).await.text();
    for left in listed.split("<ServerCertificateName>").skip(1) {
        let name = left.split('<').next();
        let input = json!({"ServerCertificateName": name});
        world.ok("iam:DeleteServerCertificate", input).await;
    }
    let server = SERVER.get_or_init(server);
    let name = world.name("server");
    given.insert("ServerCertificateName".into(), json!(name));
    let mut input = given.clone();
    input.insert("CertificateBody".into(), json!(server.certificate));
    input.insert("PrivateKey".into(), json!(server.key));
    if operation.name == "UploadServerCertificate" {
        *given = input;
    } else {
        world
            .ok("iam:UploadServerCertificate", Value::Object(input))
            .await;
    }
}

/// A credential of the user for one service, or the service.
async fn service_credential(world: &World, operation: &'static OperationShape, given: &mut Given) {
    let service = json!("codecommit.amazonaws.com");
    if operation.name.contains("ServiceSpecificCredential") && has(operation, "ServiceName") {
        given.insert("ServiceName".into(), service);
    } else if has(operation, "ServiceSpecificCredentialId") {
        let input = json!({"UserName": given["UserName"], "ServiceName": service});
        let made = world.ok("iam:CreateServiceSpecificCredential", input).await;
        let id = leaf(&made, "ServiceSpecificCredentialId");
        given.insert("ServiceSpecificCredentialId".into(), json!(id));
    }
}

/// Roles of services; those of one service may be told apart by a suffix.
async fn service_linked_role(world: &World, operation: &'static OperationShape, given: &mut Given) {
    let service = "autoscaling.amazonaws.com";
    let suffix = world.name("suffix");
    let asked = json!({"AWSServiceName": service, "CustomSuffix": suffix});
    match operation.name {
        "CreateServiceLinkedRole" => {
            given.insert("AWSServiceName".into(), json!(service));
            given.insert("CustomSuffix".into(), json!(suffix));
        }
        "DeleteServiceLinkedRole" | "GetServiceLinkedRoleDeletionStatus" => {
            let made = world.ok("iam:CreateServiceLinkedRole", asked).await;
            let role = json!(leaf(&made, "RoleName"));
            if operation.name == "DeleteServiceLinkedRole" {
                given.insert("RoleName".into(), role);
                return;
            }
            let task = world
                .ok("iam:DeleteServiceLinkedRole", json!({"RoleName": role}))
                .await;
            given.insert("DeletionTaskId".into(), json!(leaf(&task, "DeletionTaskId")));
        }
        _ => {}
    }
}

/// What an account has one of, and passwords.
async fn account(world: &World, operation: &'static OperationShape, given: &mut Given) {
    match operation.name {
        "CreateAccountAlias" | "DeleteAccountAlias" => {
            let alias = json!({"AccountAlias": world.name("alias")});
            if operation.name == "DeleteAccountAlias" {
                world.ok("iam:CreateAccountAlias", alias.clone()).await;
            }
            given.insert("AccountAlias".into(), alias["AccountAlias"].clone());
        }
        "GetAccountPasswordPolicy" | "DeleteAccountPasswordPolicy" => {
            world.ok("iam:UpdateAccountPasswordPolicy", json!({})).await;
        }
        "GetCredentialReport" => {
            world.ok("iam:GenerateCredentialReport", json!({})).await;
            // The job that makes it runs before the clock's answer.
            world.advance(1).await;
        }
        "CreateLoginProfile" => {
            given.insert("Password".into(), json!("Sweep-pass-1"));
        }
        "GetLoginProfile" | "UpdateLoginProfile" | "DeleteLoginProfile" => {
            let input = json!({"UserName": given["UserName"], "Password": "Sweep-pass-1"});
            world.ok("iam:CreateLoginProfile", input).await;
        }
        _ => {}
    }
}

async fn instance_profile(world: &World, operation: &'static OperationShape, given: &mut Given) {
    if !has(operation, "InstanceProfileName") {
        return;
    }
    let profile = world.name("profile");
    given.insert("InstanceProfileName".into(), json!(profile));
    if operation.name != "CreateInstanceProfile" {
        let input = json!({"InstanceProfileName": profile});
        world.ok("iam:CreateInstanceProfile", input).await;
    }
    if operation.name == "RemoveRoleFromInstanceProfile" {
        let input = json!({"InstanceProfileName": profile, "RoleName": given["RoleName"]});
        world.ok("iam:AddRoleToInstanceProfile", input).await;
    }
}

/// A device, assigned where the operation is about one that is, and codes.
async fn second_factor(world: &World, operation: &'static OperationShape, given: &mut Given) {
    let name = operation.name;
    if name == "CreateVirtualMFADevice" {
        given.insert("VirtualMFADeviceName".into(), json!(world.name("device")));
    }
    if !has(operation, "SerialNumber") {
        return;
    }
    let input = json!({"VirtualMFADeviceName": world.name("device")});
    let made = world.ok("iam:CreateVirtualMFADevice", input).await;
    let serial_number = leaf(&made, "SerialNumber");
    given.insert("SerialNumber".into(), json!(serial_number));
    let shown = STANDARD.decode(leaf(&made, "Base32StringSeed")).unwrap();
    let seed = seed(&String::from_utf8(shown).unwrap());
    let step = world.now().seconds() / STEP_SECONDS.cast_signed();
    let code = |off: i64| json!(totp::code(&seed, (step + off).cast_unsigned()));
    if ["ResyncMFADevice", "DeactivateMFADevice", "GetMFADevice"].contains(&name) {
        let input = json!({
            "UserName": given["UserName"], "SerialNumber": serial_number,
            "AuthenticationCode1": code(-10), "AuthenticationCode2": code(-9),
        });
        world.ok("iam:EnableMFADevice", input).await;
    }
    if has(operation, "AuthenticationCode1") {
        given.insert("AuthenticationCode1".into(), code(-1));
        given.insert("AuthenticationCode2".into(), code(0));
    }
}

/// The bytes behind a seed in base32.
fn seed(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for eight in text.as_bytes().chunks(8) {
        let number = eight.iter().fold(0u64, |number, letter| {
            let mut letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter();
            let at = letters.position(|known| known == letter).unwrap();
            (number << 5) | u64::try_from(at).unwrap()
        });
        bytes.extend_from_slice(&number.to_be_bytes()[3..]);
    }
    bytes
}

/// A report about a user, asked for by the one who then reads it.
async fn access_report(world: &World, operation: &'static OperationShape, given: &mut Given) {
    let name = operation.name;
    if [
        "GenerateServiceLastAccessedDetails",
        "ListPoliciesGrantingServiceAccess",
    ]
    .contains(&name)
    {
        let input = json!({"UserName": world.name("user")});
        let arn = leaf(&world.ok("iam:CreateUser", input).await, "Arn");
        given.insert("Arn".into(), json!(arn));
    }
    if name == "ListPoliciesGrantingServiceAccess" {
        given.insert("ServiceNamespaces".into(), json!(["kms"]));
    }
}

/// A foreign identity provider.
async fn providers(world: &World, operation: &'static OperationShape, given: &mut Given) {
    static METADATA: OnceLock<String> = OnceLock::new();
    let metadata = || METADATA.get_or_init(|| SamlProvider::new("https://idp.example.com/saml").metadata());
    let url = || format!("https://{}.example.com", world.name("issuer"));
    match operation.name {
        "CreateOpenIDConnectProvider" => {
            given.insert("Url".into(), json!(url()));
        }
        "CreateSAMLProvider" => {
            given.insert("Name".into(), json!(world.name("idp")));
        }
        _ if has(operation, "OpenIDConnectProviderArn") => {
            let made = world
                .ok("iam:CreateOpenIDConnectProvider", json!({"Url": url()}))
                .await;
            let arn = leaf(&made, "OpenIDConnectProviderArn");
            given.insert("OpenIDConnectProviderArn".into(), json!(arn));
        }
        _ if has(operation, "SAMLProviderArn") => {
            let input = json!({"Name": world.name("idp"), "SAMLMetadataDocument": metadata()});
            let arn = leaf(
                &world.ok("iam:CreateSAMLProvider", input).await,
                "SAMLProviderArn",
            );
            given.insert("SAMLProviderArn".into(), json!(arn));
        }
        _ => {}
    }
    if has(operation, "SAMLMetadataDocument") {
        given.insert("SAMLMetadataDocument".into(), json!(metadata()));
    }
    if operation.name == "UpdateOpenIDConnectProviderThumbprint" {
        given.insert("ThumbprintList".into(), json!(["0".repeat(40)]));
    }
}

/// Outbound federation of this account, on or off; of the other account off.
async fn outbound_federation(world: &World, on: bool) {
    let disable = operation("iam:DisableOutboundWebIdentityFederation");
    for actor in [&world.root, &world.away] {
        let answer = world.call(actor, disable, &json!({})).await;
        assert!(answer.status == 200 || answer.code() == "FeatureDisabled");
    }
    if on {
        world
            .ok("iam:EnableOutboundWebIdentityFederation", json!({}))
            .await;
    }
}

async fn simulation(world: &World, operation: &'static OperationShape, given: &mut Given) {
    if has(operation, "PolicySourceArn") {
        let input = json!({"UserName": world.name("user")});
        let arn = leaf(&world.ok("iam:CreateUser", input).await, "Arn");
        given.insert("PolicySourceArn".into(), json!(arn));
    }
    if has(operation, "PolicyInputList") {
        given.insert("PolicyInputList".into(), json!([identity_policy()]));
    }
    if has(operation, "ActionNames") {
        given.insert("ActionNames".into(), json!(["s3:GetObject"]));
    }
}

async fn kms(world: &World, operation: &'static OperationShape) -> Given {
    if operation.name.contains("CustomKeyStore") {
        return custom_key_store(world, operation.name).await;
    }
    let mut given = Given::new();
    let name = operation.name;
    let (spec, usage) = match name {
        "Sign" | "Verify" | "GetPublicKey" => ("ECC_NIST_P256", "SIGN_VERIFY"),
        "GenerateMac" | "VerifyMac" => ("HMAC_256", "GENERATE_VERIFY_MAC"),
        "DeriveSharedSecret" => ("ECC_NIST_P256", "KEY_AGREEMENT"),
        "Encapsulate" | "Decapsulate" => ("ML_KEM_512", "ENCAPSULATE_DECAPSULATE"),
        _ => ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"),
    };
    match name {
        "Sign" | "Verify" => given.insert("SigningAlgorithm".into(), json!("ECDSA_SHA_256")),
        "GenerateMac" | "VerifyMac" => given.insert("MacAlgorithm".into(), json!("HMAC_SHA_256")),
        "GenerateDataKey" | "GenerateDataKeyWithoutPlaintext" => {
            given.insert("KeySpec".into(), json!("AES_256"))
        }
        "GenerateRandom" => given.insert("NumberOfBytes".into(), json!(32)),
        _ => None,
    };
    let needs_key = ["KeyId", "TargetKeyId", "DestinationKeyId"];
    if !needs_key.iter().any(|member| has(operation, member)) && !has(operation, "AliasName") {
        if name == "ListRetirableGrants" {
            kms_grant(world, name, "", &mut given).await;
        }
        return given;
    }
    let origin = match name {
        "GetParametersForImport" | "ImportKeyMaterial" | "DeleteImportedKeyMaterial" => "EXTERNAL",
        _ => "AWS_KMS",
    };
    let multi_region = matches!(name, "ReplicateKey" | "UpdatePrimaryRegion");
    let made = json!({"KeySpec": spec, "KeyUsage": usage, "Origin": origin, "MultiRegion": multi_region});
    let made = world.ok("kms:CreateKey", made).await;
    let arn = leaf(&made, "Arn");
    for member in needs_key {
        // ListAliases with a key is another operation than without; both name what they list.
        if has(operation, member) {
            given.insert(member.to_owned(), json!(arn));
        }
    }
    if has(operation, "AliasName") {
        let alias = format!("alias/{}", world.name("alias"));
        given.insert("AliasName".into(), json!(alias));
        if name != "CreateAlias" {
            let input = json!({"AliasName": alias, "TargetKeyId": arn});
            world.ok("kms:CreateAlias", input).await;
        }
    }
    if has(operation, "CiphertextBlob") {
        let input = json!({"KeyId": arn, "Plaintext": world.marker()});
        let sealed = leaf(&world.ok("kms:Encrypt", input).await, "CiphertextBlob");
        given.insert("CiphertextBlob".into(), json!(sealed));
    }
    if name == "Verify" || name == "VerifyMac" {
        given.insert("Message".into(), world.marker());
        let (make, member) = match name {
            "Verify" => ("kms:Sign", "Signature"),
            _ => ("kms:GenerateMac", "Mac"),
        };
        let made = leaf(&world.ok(make, Value::Object(given.clone())).await, member);
        given.insert(member.into(), json!(made));
    }
    match name {
        "DeriveSharedSecret" => {
            let public = world.ok("kms:GetPublicKey", json!({"KeyId": arn})).await;
            given.insert("PublicKey".into(), json!(leaf(&public, "PublicKey")));
        }
        "Decapsulate" => {
            let input = json!({"KeyId": arn, "EncapsulationAlgorithm": "ML_KEM"});
            let made = world.ok("kms:Encapsulate", input).await;
            let blob = leaf(&made, "SharedSecretCiphertextBlob");
            given.insert("SharedSecretCiphertextBlob".into(), json!(blob));
        }
        "ReplicateKey" => {
            given.insert("ReplicaRegion".into(), json!("ap-south-1"));
        }
        "UpdatePrimaryRegion" => {
            let input = json!({"KeyId": arn, "ReplicaRegion": "ap-south-1"});
            world.ok("kms:ReplicateKey", input).await;
            given.insert("PrimaryRegion".into(), json!("ap-south-1"));
        }
        "GetParametersForImport" => {
            given.insert("WrappingAlgorithm".into(), json!("RSAES_OAEP_SHA_256"));
            given.insert("WrappingKeySpec".into(), json!("RSA_2048"));
        }
        "ImportKeyMaterial" => kms_import(world, &arn, &mut given).await,
        "CreateGrant" | "RetireGrant" | "RevokeGrant" => {
            kms_grant(world, name, &arn, &mut given).await;
        }
        "CancelKeyDeletion" => {
            world.ok("kms:ScheduleKeyDeletion", json!({"KeyId": arn})).await;
        }
        "PutKeyPolicy" => {
            let principal = format!("arn:aws:iam::{HOME}:root");
            let policy = json!({"Version": "2012-10-17", "Statement":
                {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "kms:*", "Resource": "*"}});
            given.insert("Policy".into(), json!(policy.to_string()));
        }
        _ => {}
    }
    given
}

/// Material wrapped for a key.
async fn kms_import(world: &World, key: &str, given: &mut Given) {
    let asked =
        json!({"KeyId": key, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"});
    let told = world.ok("kms:GetParametersForImport", asked).await;
    let public = STANDARD
        .decode(leaf(&told, "PublicKey"))
        .expect("a key is base64");
    let public = PublicKey::from_der(KeySpec::Rsa2048, &public).expect("it is an RSA key");
    let wrapped = public.encrypt(EncryptionAlgorithm::RsaesOaepSha256, &[7; 32]);
    let wrapped = STANDARD.encode(wrapped.expect("a material fits"));
    given.insert("ImportToken".into(), json!(leaf(&told, "ImportToken")));
    given.insert("EncryptedKeyMaterial".into(), json!(wrapped));
    given.insert("ExpirationModel".into(), json!("KEY_MATERIAL_DOES_NOT_EXPIRE"));
}

/// A grant to be listed or ended, or what one is made of.
async fn kms_grant(world: &World, name: &str, key: &str, given: &mut Given) {
    let root = format!("arn:aws:iam::{HOME}:root");
    match name {
        "CreateGrant" => {
            given.insert("GranteePrincipal".into(), json!(root));
            given.insert("Operations".into(), json!(["Encrypt"]));
        }
        "ListRetirableGrants" => {
            given.insert("RetiringPrincipal".into(), json!(root));
        }
        _ => {
            let input = json!({"KeyId": key, "GranteePrincipal": root, "Operations": ["Encrypt"]});
            let made = leaf(&world.ok("kms:CreateGrant", input).await, "GrantId");
            given.insert("GrantId".into(), json!(made));
        }
    }
}

async fn sts(world: &World, operation: &'static OperationShape) -> Given {
    let mut given = Given::new();
    match operation.name {
        "AssumeRole" => {
            let input = json!({"RoleName": world.name("role"), "AssumeRolePolicyDocument": trust_policy()});
            let arn = leaf(&world.ok("iam:CreateRole", input).await, "Arn");
            given.insert("RoleArn".into(), json!(arn));
        }
        "AssumeRoot" => return crate::stage_organizations::root_access(world, operation).await,
        "GetWebIdentityToken" => {
            outbound_federation(world, true).await;
            given.insert("SigningAlgorithm".into(), json!("ES384"));
        }
        "GetAccessKeyInfo" => {
            given.insert("AccessKeyId".into(), json!("ASIAY34FZKBOKMUTVV7A"));
        }
        _ => {}
    }
    given
}

/// Tells an answer in a message.
pub(crate) fn told(answer: &testkit::client::Answer) -> String {
    format!("{} {} {}", answer.status, answer.code(), message(answer))
}

/// A custom key store before a proxy that is well, or what one is made of.
async fn custom_key_store(world: &World, name: &str) -> Given {
    let mut given = Given::new();
    if name == "DescribeCustomKeyStores" {
        return given;
    }
    let path = format!("/{}/kms/xks/v1", world.name("store"));
    let health = json!({"xksProxyFleetSize": 1, "xksProxyVendor": "v", "xksProxyModel": "m", "ekmVendor": "e",
        "ekmFleetDetails": [{"id": "1", "model": "m", "healthStatus": "ACTIVE"}]});
    world.proxy.answer(&format!("{path}/health"), &health.to_string());
    let wanted = json!({
        "CustomKeyStoreName": world.name("store"),
        "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
        "XksProxyUriEndpoint": "https://localhost",
        "XksProxyUriPath": path,
        "XksProxyConnectivity": "PUBLIC_ENDPOINT",
        "XksProxyAuthenticationCredential": {
            "AccessKeyId": "ABCDEFGHIJKLMNOPQRST",
            "RawSecretAccessKey": "the-secret-of-a-proxy/that+nobody=may/see/at/all".replace('-', "+"),
        },
    });
    if name == "CreateCustomKeyStore" {
        given.extend(wanted.as_object().cloned().unwrap_or_default());
        return given;
    }
    let made = world.ok("kms:CreateCustomKeyStore", wanted).await;
    let id = json!({"CustomKeyStoreId": leaf(&made, "CustomKeyStoreId")});
    if name == "DisconnectCustomKeyStore" {
        world.ok("kms:ConnectCustomKeyStore", id.clone()).await;
    }
    if name == "UpdateCustomKeyStore" {
        given.insert("NewCustomKeyStoreName".into(), json!(world.name("renamed")));
    }
    given.insert("CustomKeyStoreId".into(), id["CustomKeyStoreId"].clone());
    given
}

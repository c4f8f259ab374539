//! From a request to an operation's typed input, and from any fault to its answer.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use shape::{Operation, OperationShape, ServiceShape, Structure};
use wire::{RequestHead, RouteFault, Router, encode_fault};

use crate::TextRequest;

/// Every generated API.
pub const SERVICES: &[&ServiceShape] = &[
    &kms_api::SERVICE,
    &iam_api::SERVICE,
    &sts_api::SERVICE,
    &s3_api::SERVICE,
    &guardduty_api::SERVICE,
    &ec2_api::SERVICE,
];

static ROUTER: LazyLock<Router> = LazyLock::new(|| Router::new(SERVICES));

type MakeInput = fn() -> Box<dyn Structure>;

/// Makers of empty inputs, by service and operation.
static INPUTS: LazyLock<HashMap<(&str, &str), MakeInput>> = LazyLock::new(inputs);

fn entry<O: Operation>() -> ((&'static str, &'static str), MakeInput) {
    let key = (O::SHAPE.service.name, O::SHAPE.name);
    (key, || Box::new(O::Input::default()))
}

/// Operations that between them have every kind of member: nested, recursive,
/// lists, maps, blobs, timestamps, headers, labels, streams, unions.
#[rustfmt::skip]
fn inputs() -> HashMap<(&'static str, &'static str), MakeInput> {
    HashMap::from([
        entry::<kms_api::CreateAlias>(),
        entry::<kms_api::CreateCustomKeyStore>(),
        entry::<kms_api::CreateGrant>(),
        entry::<kms_api::CreateKey>(),
        entry::<kms_api::Decrypt>(),
        entry::<kms_api::DeriveSharedSecret>(),
        entry::<kms_api::Encrypt>(),
        entry::<kms_api::GenerateDataKeyPair>(),
        entry::<kms_api::ImportKeyMaterial>(),
        entry::<kms_api::ListAliases>(),
        entry::<kms_api::PutKeyPolicy>(),
        entry::<kms_api::ReEncrypt>(),
        entry::<kms_api::ScheduleKeyDeletion>(),
        entry::<kms_api::Sign>(),
        entry::<kms_api::TagResource>(),
        entry::<kms_api::VerifyMac>(),
        entry::<iam_api::CreateOpenIDConnectProvider>(),
        entry::<iam_api::CreatePolicy>(),
        entry::<iam_api::CreateRole>(),
        entry::<iam_api::CreateUser>(),
        entry::<iam_api::GetAccountAuthorizationDetails>(),
        entry::<iam_api::ListUsers>(),
        entry::<iam_api::PutUserPolicy>(),
        entry::<iam_api::SimulateCustomPolicy>(),
        entry::<iam_api::TagRole>(),
        entry::<iam_api::UpdateAccountPasswordPolicy>(),
        entry::<iam_api::UploadServerCertificate>(),
        entry::<sts_api::AssumeRole>(),
        entry::<sts_api::AssumeRoleWithWebIdentity>(),
        entry::<sts_api::GetCallerIdentity>(),
        entry::<sts_api::GetFederationToken>(),
        entry::<s3_api::CreateBucket>(),
        entry::<s3_api::DeleteObject>(),
        entry::<s3_api::GetObject>(),
        entry::<s3_api::ListObjectsV2>(),
        entry::<s3_api::PutObject>(),
        entry::<s3_api::PutObjectTagging>(),
        entry::<guardduty_api::CreateDetector>(),
        entry::<guardduty_api::GetDetector>(),
        entry::<guardduty_api::ListFindings>(),
        entry::<guardduty_api::UpdateDetector>(),
        entry::<ec2_api::CreateTags>(),
        entry::<ec2_api::CreateVolume>(),
        entry::<ec2_api::DescribeVolumes>(),
    ])
}

/// Routes a request, decodes it if its operation is among those above, and
/// spells the fault if there is one.
pub fn route_and_decode(scope_service: Option<&str>, request: &TextRequest<'_>) {
    let head = request.head();
    let operation = match ROUTER.route(&head, scope_service, request.body) {
        Ok(operation) => operation,
        Err(RouteFault {
            protocol,
            service,
            fault,
        }) => {
            let answer = encode_fault(service, protocol, &fault, "id", false);
            assert!(answer.status.is_client_error(), "{:?}", answer.status);
            return;
        }
    };
    if let Some(make) = INPUTS.get(&(operation.service.name, operation.name)) {
        decode(operation, make(), request);
    }
}

/// Decodes rpcv2Cbor: the first byte chooses an operation of KMS, the rest is its body.
pub fn decode_cbor(data: &[u8]) {
    let Some((&choice, body)) = data.split_first() else {
        return;
    };
    let operations = kms_api::SERVICE.operations;
    let operation = operations[usize::from(choice) % operations.len()];
    let Some(make) = INPUTS.get(&("kms", operation.name)) else {
        return;
    };
    let spoken = [
        ("smithy-protocol", "rpc-v2-cbor"),
        ("content-type", "application/cbor"),
    ]
    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let headers = HeaderMap::from_iter(spoken);
    let head = RequestHead {
        method: "POST",
        path: "/",
        query: "",
        headers: &headers,
    };
    let mut input = make();
    match wire::decode(operation, &head, body, &mut *input) {
        Ok(()) => {
            // What was understood is understood again when it is spelled anew.
            let spelled = wire::encode_cbor(&as_output(operation), &*input).body;
            let mut again = make();
            wire::decode(operation, &head, &spelled, &mut *again).expect("what we spell can be read");
            assert_eq!(Shown(&*input).to_string(), Shown(&*again).to_string());
        }
        Err(fault) => {
            let service = operation.service;
            let fault = fault.to_fault(operation);
            let answer = encode_fault(Some(service), service.protocol, &fault, "id", false);
            let answer = wire::as_cbor(answer);
            assert!(answer.status.is_client_error(), "{:?}", answer.status);
        }
    }
}

/// The operation with its input in the place of its output.
fn as_output(operation: &OperationShape) -> OperationShape {
    OperationShape {
        output: operation.input,
        ..*operation
    }
}

fn decode(operation: &OperationShape, mut input: Box<dyn Structure>, request: &TextRequest<'_>) {
    match wire::decode(operation, &request.head(), request.body, &mut *input) {
        Ok(()) => {
            // Walks everything that was read, as redaction and the journal do.
            std::hint::black_box(Shown(&*input).to_string());
        }
        Err(fault) => {
            let fault = fault.to_fault(operation);
            let answer = encode_fault(
                Some(operation.service),
                operation.service.protocol,
                &fault,
                "id",
                false,
            );
            assert!(answer.status.is_client_error(), "{:?}", answer.status);
            assert!(
                std::str::from_utf8(&answer.body).is_ok(),
                "an answer that is not text"
            );
        }
    }
}

struct Shown<'a>(&'a dyn Structure);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shape::field::debug(self.0, f)
    }
}

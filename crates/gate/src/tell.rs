//! How faults are told: the code, status and words of the operation's own
//! protocol and model.

use ground::Timestamp;
use shape::{OperationShape, Protocol, ServiceShape};
use wire::sigv4::{Manner, SignatureFault};
use wire::{Answer, WireFault};

use crate::authenticate::Refused;
use crate::directory::CredentialFault;
use crate::fault::{Fault, FaultKind};

/// A fault in the operation's protocol.
pub(crate) fn tell(operation: &'static OperationShape, fault: &WireFault, request_id: &str) -> Answer {
    let service = operation.service;
    wire::encode_fault(
        Some(service),
        service.protocol,
        fault,
        request_id,
        operation.method == "HEAD",
    )
}

/// The refusal of an operation that the API has and we do not.
pub(crate) fn unimplemented(operation: &'static OperationShape) -> Fault {
    let code = match operation.service.protocol {
        Protocol::Json10 | Protocol::Json11 | Protocol::RestJson => "UnknownOperationException",
        Protocol::Query | Protocol::Ec2 => "InvalidAction",
        Protocol::RestXml => "NotImplemented",
    };
    let message = format!(
        "The operation {} of {} is not implemented; `palisade coverage` lists those that are",
        operation.name, operation.service.service_id
    );
    Fault::client(code, message)
}

/// How a refused signature or credential is told, by protocol.
pub(crate) fn refusal(
    refused: &Refused,
    operation: &'static OperationShape,
    now: Timestamp,
    request_id: &str,
) -> WireFault {
    let known;
    let fault = match refused {
        Refused::Signature(fault) => fault,
        Refused::Credential(CredentialFault::Invalid) => {
            known = SignatureFault::KeyUnknown {
                access_key_id: String::new(),
            };
            &known
        }
        Refused::Credential(CredentialFault::Expired) => {
            known = SignatureFault::TokenExpired;
            &known
        }
        Refused::Credential(CredentialFault::Store(error)) => {
            tracing::error!(request_id, %error, "the caller's credential cannot be read");
            return wire_fault(&Fault::server("InternalFailure", error), operation);
        }
    };
    let manner = manner_of(operation.service);
    let (status, code, message) = fault.code_and_message(manner, now);
    let mut told = WireFault::client(status, code, message.into_owned());
    if manner == Manner::S3 {
        for (name, value) in fault.s3_details(now) {
            told = told.with(name, value);
        }
    }
    told
}

/// How a service tells authentication faults.
fn manner_of(service: &ServiceShape) -> Manner {
    match service.protocol {
        Protocol::Json10 | Protocol::Json11 => Manner::Json,
        Protocol::RestJson => Manner::RestJson,
        Protocol::Query => Manner::Query,
        Protocol::Ec2 => Manner::Ec2,
        Protocol::RestXml => Manner::S3,
    }
}

/// A fault as the operation's protocol and model tell it.
pub(crate) fn wire_fault(fault: &Fault, operation: &'static OperationShape) -> WireFault {
    let protocol = operation.service.protocol;
    let (code, status) = match fault.kind {
        FaultKind::Denied => match protocol {
            Protocol::Json10 | Protocol::Json11 => ("AccessDeniedException", 400),
            Protocol::RestJson => ("AccessDeniedException", 403),
            Protocol::Query | Protocol::RestXml => ("AccessDenied", 403),
            Protocol::Ec2 => ("UnauthorizedOperation", 403),
        },
        FaultKind::Client | FaultKind::Server | FaultKind::Conflict => {
            let modelled = operation
                .error(&fault.code)
                .map(|error| (error.code, error.status));
            let (code, status) = modelled.unwrap_or((fault.code(), 400));
            (code, status)
        }
    };
    let server = matches!(fault.kind, FaultKind::Server | FaultKind::Conflict);
    let status = fault.status.unwrap_or(if server { 500 } else { status });
    let message = match fault.kind {
        FaultKind::Server | FaultKind::Conflict => Some("An internal error occurred".to_owned()),
        FaultKind::Client | FaultKind::Denied => fault.message.clone(),
    };
    let told = WireFault {
        sender: !server,
        ..WireFault::client(status, code.to_owned(), message)
    };
    fault
        .members
        .iter()
        .fold(told, |told, (name, value)| told.with(name, value.clone()))
}

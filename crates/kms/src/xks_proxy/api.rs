//! The API of an external key store's proxy, as its specification has it.
//!
//! Written by hand: there is no model that it could be generated from.
//! `GetHealthStatus` is not here: the door answers it, for it asks of no key.
//! Members that the specification does not name are passed over, as it wants
//! them to be: AWS may send more.
//!
//! Source: AWS KMS External Key Store Proxy API Specification, "API operations".

use ground::Secret;
use shape::{
    Blob, ErrorShape, Field, Kind, Location, Member, Operation, OperationShape, Protocol, ServiceShape,
    Shape, Slot, Structure, StructureShape, Value,
};

/// A structure: its fields, and the table that numbers its members alike.
macro_rules! structure {
    ($(#[$doc:meta])* $name:ident = $shape:ident { $($at:literal: $(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Structure for $name {
            fn shape(&self) -> &'static StructureShape {
                &$shape
            }

            fn get(&self, member: usize) -> Option<Value<'_>> {
                match member {
                    $($at => Field::value(&self.$field),)*
                    _ => None,
                }
            }

            fn slot(&mut self, member: usize) -> Slot<'_> {
                match member {
                    $($at => Field::slot(&mut self.$field),)*
                    _ => unreachable!("the table has no member {member}"),
                }
            }
        }

        impl Field for $name {
            fn value(&self) -> Option<Value<'_>> {
                Some(Value::Structure(self))
            }

            fn slot(&mut self) -> Slot<'_> {
                Slot::Structure(self)
            }
        }
    };
}

const fn text(name: &'static str, max: usize, values: &'static [&'static str]) -> Shape {
    let kind = Kind::String {
        min: None,
        max: Some(max),
        pattern: None,
        values,
    };
    Shape {
        name,
        sensitive: false,
        kind,
    }
}

const fn bytes(name: &'static str, sensitive: bool) -> Shape {
    let kind = Kind::Blob { min: None, max: None };
    Shape {
        name,
        sensitive,
        kind,
    }
}

const fn members(name: &'static str, members: &'static [Member]) -> StructureShape {
    StructureShape {
        name,
        members,
        payload: None,
        union: false,
        xml_namespace: None,
    }
}

/// An ARN, or another text of `requestMetadata`. "The XKS Proxy MUST support
/// ARN lengths of up to 2048 characters"; of the others nothing is said.
static METADATA_TEXT: Shape = text("MetadataText", 2048, &[]);
static EXTERNAL_KEY_ID: Shape = text("ExternalKeyId", 128, &[]);
static ALGORITHM: Shape = text("EncryptionAlgorithm", 64, &["AES_GCM"]);
static INTEGRITY_ALGORITHM: Shape = text("CiphertextDataIntegrityValueAlgorithm", 64, &["SHA_256"]);
static WORD: Shape = text("Word", 64, &[]);
static WORDS: Shape = Shape {
    name: "Words",
    sensitive: false,
    kind: Kind::List {
        item: &WORD,
        item_name: None,
        flattened: false,
        min: None,
        max: None,
    },
};
static PLAINTEXT: Shape = bytes("Plaintext", true);
static BYTES: Shape = bytes("Bytes", false);
static REQUEST_METADATA: Shape = Shape {
    name: "RequestMetadata",
    sensitive: false,
    kind: Kind::Structure(&REQUEST_METADATA_MEMBERS),
};

static REQUEST_METADATA_MEMBERS: StructureShape = members(
    "RequestMetadata",
    &[
        Member::new("awsPrincipalArn", &METADATA_TEXT).required(),
        Member::new("awsSourceVpc", &METADATA_TEXT),
        Member::new("awsSourceVpce", &METADATA_TEXT),
        Member::new("kmsKeyArn", &METADATA_TEXT),
        Member::new("kmsOperation", &METADATA_TEXT).required(),
        Member::new("kmsRequestId", &METADATA_TEXT).required(),
        Member::new("kmsViaService", &METADATA_TEXT),
    ],
);

static GET_KEY_METADATA_INPUT: StructureShape = members(
    "GetKeyMetadataRequest",
    &[
        Member::new("externalKeyId", &EXTERNAL_KEY_ID)
            .required()
            .at(Location::Uri),
        Member::new("requestMetadata", &REQUEST_METADATA).required(),
    ],
);

static GET_KEY_METADATA_OUTPUT: StructureShape = members(
    "GetKeyMetadataResponse",
    &[
        Member::new("keySpec", &WORD),
        Member::new("keyUsage", &WORDS),
        Member::new("keyStatus", &WORD),
    ],
);

static ENCRYPT_INPUT: StructureShape = members(
    "EncryptRequest",
    &[
        Member::new("externalKeyId", &EXTERNAL_KEY_ID)
            .required()
            .at(Location::Uri),
        Member::new("requestMetadata", &REQUEST_METADATA).required(),
        Member::new("additionalAuthenticatedData", &BYTES),
        Member::new("plaintext", &PLAINTEXT).required(),
        Member::new("encryptionAlgorithm", &ALGORITHM).required(),
        Member::new("ciphertextDataIntegrityValueAlgorithm", &INTEGRITY_ALGORITHM),
    ],
);

static ENCRYPT_OUTPUT: StructureShape = members(
    "EncryptResponse",
    &[
        Member::new("ciphertext", &BYTES),
        Member::new("ciphertextMetadata", &BYTES),
        Member::new("initializationVector", &BYTES),
        Member::new("authenticationTag", &BYTES),
        Member::new("ciphertextDataIntegrityValue", &BYTES),
    ],
);

static DECRYPT_INPUT: StructureShape = members(
    "DecryptRequest",
    &[
        Member::new("externalKeyId", &EXTERNAL_KEY_ID)
            .required()
            .at(Location::Uri),
        Member::new("requestMetadata", &REQUEST_METADATA).required(),
        Member::new("additionalAuthenticatedData", &BYTES),
        Member::new("ciphertext", &BYTES).required(),
        Member::new("ciphertextMetadata", &BYTES),
        Member::new("encryptionAlgorithm", &ALGORITHM).required(),
        Member::new("initializationVector", &BYTES).required(),
        Member::new("authenticationTag", &BYTES).required(),
    ],
);

static DECRYPT_OUTPUT: StructureShape = members("DecryptResponse", &[Member::new("plaintext", &PLAINTEXT)]);

structure! {
    /// What AWS KMS tells of the call that made it ask.
    RequestMetadata = REQUEST_METADATA_MEMBERS {
        0: /// Who called KMS.
           aws_principal_arn: String,
        1: /// From which VPC.
           aws_source_vpc: Option<String>,
        2: /// By which endpoint of it.
           aws_source_vpce: Option<String>,
        3: /// The KMS key there; not while it is being created.
           kms_key_arn: Option<String>,
        4: /// `GenerateDataKey`
           kms_operation: String,
        5: /// The call's id in CloudTrail.
           kms_request_id: String,
        6: /// The service that called for a customer.
           kms_via_service: Option<String>,
    }
}

structure! {
    /// What `GetKeyMetadata` is asked.
    GetKeyMetadataInput = GET_KEY_METADATA_INPUT {
        0: /// The key.
           external_key_id: String,
        1: /// Why it is asked.
           request_metadata: RequestMetadata,
    }
}

structure! {
    /// What `GetKeyMetadata` answers.
    GetKeyMetadataOutput = GET_KEY_METADATA_OUTPUT {
        0: /// `AES_256`
           key_spec: String,
        1: /// `ENCRYPT`, `DECRYPT`
           key_usage: Vec<String>,
        2: /// `ENABLED` or `DISABLED`
           key_status: String,
    }
}

structure! {
    /// What `Encrypt` is asked.
    EncryptInput = ENCRYPT_INPUT {
        0: /// The key.
           external_key_id: String,
        1: /// Why it is asked.
           request_metadata: RequestMetadata,
        2: /// What is to be bound to the ciphertext.
           additional_authenticated_data: Option<Blob>,
        3: /// What is to be encrypted.
           plaintext: Secret<Blob>,
        4: /// `AES_GCM`
           encryption_algorithm: String,
        5: /// `SHA_256`, if a value is wanted.
           ciphertext_data_integrity_value_algorithm: Option<String>,
    }
}

structure! {
    /// What `Encrypt` answers.
    EncryptOutput = ENCRYPT_OUTPUT {
        0: /// As long as the plaintext.
           ciphertext: Blob,
        1: /// What `Decrypt` wants back.
           ciphertext_metadata: Blob,
        2: /// 12 bytes.
           initialization_vector: Blob,
        3: /// 16 bytes.
           authentication_tag: Blob,
        4: /// 32 bytes, if they were asked for.
           ciphertext_data_integrity_value: Option<Blob>,
    }
}

structure! {
    /// What `Decrypt` is asked.
    DecryptInput = DECRYPT_INPUT {
        0: /// The key.
           external_key_id: String,
        1: /// Why it is asked.
           request_metadata: RequestMetadata,
        2: /// What was bound to the ciphertext.
           additional_authenticated_data: Option<Blob>,
        3: /// What is to be decrypted.
           ciphertext: Blob,
        4: /// As `Encrypt` answered it.
           ciphertext_metadata: Option<Blob>,
        5: /// `AES_GCM`
           encryption_algorithm: String,
        6: /// As `Encrypt` answered it.
           initialization_vector: Blob,
        7: /// As `Encrypt` answered it.
           authentication_tag: Blob,
    }
}

structure! {
    /// What `Decrypt` answers.
    DecryptOutput = DECRYPT_OUTPUT {
        0: /// What was encrypted.
           plaintext: Secret<Blob>,
    }
}

const fn error(name: &'static str, status: u16) -> ErrorShape {
    ErrorShape {
        name,
        code: name,
        status,
        sender: status < 500,
    }
}

static INVALID_CIPHERTEXT: ErrorShape = error("InvalidCiphertextException", 400);
static INVALID_KEY_USAGE: ErrorShape = error("InvalidKeyUsageException", 400);
static INVALID_STATE: ErrorShape = error("InvalidStateException", 400);
static KEY_NOT_FOUND: ErrorShape = error("KeyNotFoundException", 404);
static THROTTLING: ErrorShape = error("ThrottlingException", 429);
static UNSUPPORTED: ErrorShape = error("UnsupportedOperationException", 501);
static VALIDATION: ErrorShape = error("ValidationException", 400);

static ERRORS: &[&ErrorShape] = &[
    &INVALID_CIPHERTEXT,
    &INVALID_KEY_USAGE,
    &INVALID_STATE,
    &KEY_NOT_FOUND,
    &THROTTLING,
    &UNSUPPORTED,
    &VALIDATION,
];

/// What requests are signed for.
const NAME: &str = "kms-xks-proxy";

/// The service. Its calls are recorded as KMS's.
pub static SERVICE: ServiceShape = ServiceShape {
    name: NAME,
    service_id: "KMS XKS Proxy",
    api_version: "2022-11-10",
    protocol: Protocol::RestJson,
    signing_name: NAME,
    endpoint_prefix: NAME,
    event_source: "kms.amazonaws.com",
    target_prefix: "",
    xml_namespace: "",
    global: false,
    operations: &[&DECRYPT, &ENCRYPT, &GET_KEY_METADATA],
};

const fn operation(
    name: &'static str,
    action: &'static str,
    uri: &'static str,
    input: &'static StructureShape,
    output: &'static StructureShape,
) -> OperationShape {
    OperationShape {
        name,
        action,
        service: &SERVICE,
        method: "POST",
        uri,
        status: 200,
        input,
        output,
        result_wrapper: "",
        errors: ERRORS,
        read_only: true,
        unsigned: false,
    }
}

static DECRYPT: OperationShape = operation(
    "Decrypt",
    "kms:Decrypt",
    "/kms/xks/v1/keys/{externalKeyId}/decrypt",
    &DECRYPT_INPUT,
    &DECRYPT_OUTPUT,
);
static ENCRYPT: OperationShape = operation(
    "Encrypt",
    "kms:Encrypt",
    "/kms/xks/v1/keys/{externalKeyId}/encrypt",
    &ENCRYPT_INPUT,
    &ENCRYPT_OUTPUT,
);
static GET_KEY_METADATA: OperationShape = operation(
    "GetKeyMetadata",
    "kms:DescribeKey",
    "/kms/xks/v1/keys/{externalKeyId}/metadata",
    &GET_KEY_METADATA_INPUT,
    &GET_KEY_METADATA_OUTPUT,
);

/// Decrypts with an external key.
pub struct Decrypt;

impl Operation for Decrypt {
    type Input = DecryptInput;
    type Output = DecryptOutput;
    const SHAPE: &'static OperationShape = &DECRYPT;
}

/// Encrypts with an external key.
pub struct Encrypt;

impl Operation for Encrypt {
    type Input = EncryptInput;
    type Output = EncryptOutput;
    const SHAPE: &'static OperationShape = &ENCRYPT;
}

/// Tells what an external key is.
pub struct GetKeyMetadata;

impl Operation for GetKeyMetadata {
    type Input = GetKeyMetadataInput;
    type Output = GetKeyMetadataOutput;
    const SHAPE: &'static OperationShape = &GET_KEY_METADATA;
}

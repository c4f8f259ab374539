//! The static description of a service: what its API model says, and nothing
//! of what it documents.

use crate::Pattern;

/// One service's API.
#[derive(Debug)]
pub struct ServiceShape {
    /// The name of our crates for it, which is its IAM prefix: `kms`.
    pub name: &'static str,
    /// The service id clients know it by: `KMS`, `IAM`, `EC2`.
    pub service_id: &'static str,
    /// `2014-11-01`; the `Version` parameter of query requests.
    pub api_version: &'static str,
    /// How it speaks.
    pub protocol: Protocol,
    /// The service name in the credential scope.
    pub signing_name: &'static str,
    /// First label of its host name: `kms`, `iam`.
    pub endpoint_prefix: &'static str,
    /// Who CloudTrail says was called: `kms.amazonaws.com`.
    pub event_source: &'static str,
    /// `TrentService` of `X-Amz-Target: TrentService.Encrypt`; empty for other protocols.
    pub target_prefix: &'static str,
    /// Namespace of XML answers; empty for JSON services.
    pub xml_namespace: &'static str,
    /// A global service signs and records in `us-east-1` whatever the client's region.
    pub global: bool,
    /// Every operation of the API, sorted by name, implemented or not.
    pub operations: &'static [&'static OperationShape],
}

impl ServiceShape {
    /// The operation of that exact name.
    pub fn operation(&self, name: &str) -> Option<&'static OperationShape> {
        let at = self
            .operations
            .binary_search_by(|operation| operation.name.cmp(name))
            .ok()?;
        Some(self.operations[at])
    }
}

/// A wire protocol of the AWS API models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `application/x-amz-json-1.0`
    Json10,
    /// `application/x-amz-json-1.1`
    Json11,
    /// Form-encoded request, XML answer.
    Query,
    /// EC2's dialect of query.
    Ec2,
    /// REST with JSON bodies.
    RestJson,
    /// REST with XML bodies.
    RestXml,
}

/// One operation's row.
#[derive(Debug)]
pub struct OperationShape {
    /// `CreateAlias`
    pub name: &'static str,
    /// The IAM action it needs, unless its handler asks for another: `kms:CreateAlias`.
    pub action: &'static str,
    /// The service it belongs to.
    pub service: &'static ServiceShape,
    /// HTTP method.
    pub method: &'static str,
    /// URI template of REST protocols: `/detector/{detectorId}/findings`; `/` otherwise.
    pub uri: &'static str,
    /// HTTP status of success.
    pub status: u16,
    /// What the caller sends.
    pub input: &'static StructureShape,
    /// What the caller gets.
    pub output: &'static StructureShape,
    /// Element around a query answer's members: `CreateUserResult`.
    pub result_wrapper: &'static str,
    /// The modelled errors.
    pub errors: &'static [&'static ErrorShape],
    /// Whether CloudTrail calls it read-only.
    pub read_only: bool,
    /// Whether callers may come without a signature (`AssumeRoleWithWebIdentity`).
    pub unsigned: bool,
}

impl OperationShape {
    /// The modelled error with this wire code.
    pub fn error(&self, code: &str) -> Option<&'static ErrorShape> {
        self.errors
            .iter()
            .copied()
            .find(|error| error.code == code || error.name == code)
    }
}

/// A modelled error.
#[derive(Debug)]
pub struct ErrorShape {
    /// The shape's name: `NoSuchEntityException`.
    pub name: &'static str,
    /// The code on the wire: `NoSuchEntity`.
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
    /// Whether the caller is at fault.
    pub sender: bool,
}

/// A named type of the model.
#[derive(Debug)]
pub struct Shape {
    /// The model's name for it.
    pub name: &'static str,
    /// Whether the model marks it as not to be shown.
    pub sensitive: bool,
    /// What it is made of.
    pub kind: Kind,
}

/// What a type is made of, with its constraints.
#[derive(Debug)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// 32 bits, signed, within the bounds given.
    Integer {
        /// Least value allowed.
        min: Option<i64>,
        /// Greatest value allowed.
        max: Option<i64>,
    },
    /// 64 bits, signed, within the bounds given.
    Long {
        /// Least value allowed.
        min: Option<i64>,
        /// Greatest value allowed.
        max: Option<i64>,
    },
    /// 32-bit floating point.
    Float,
    /// 64-bit floating point.
    Double,
    /// Text: lengths in characters, a pattern, a closed set of values.
    String {
        /// Fewest characters allowed.
        min: Option<usize>,
        /// Most characters allowed.
        max: Option<usize>,
        /// What the whole text must match.
        pattern: Option<&'static Pattern>,
        /// The values allowed; empty when open.
        values: &'static [&'static str],
    },
    /// Bytes: lengths in bytes.
    Blob {
        /// Fewest bytes allowed.
        min: Option<usize>,
        /// Most bytes allowed.
        max: Option<usize>,
    },
    /// A moment; the spelling is the shape's own or its place's.
    Timestamp {
        /// The spelling, where the model overrides the protocol's.
        format: Option<TimestampFormat>,
    },
    /// Values of one type, in order.
    List {
        /// The items.
        item: &'static Shape,
        /// The element name of an item, where it is not `member`.
        item_name: Option<&'static str>,
        /// Whether items stand without an enclosing element.
        flattened: bool,
        /// Fewest items allowed.
        min: Option<usize>,
        /// Most items allowed.
        max: Option<usize>,
    },
    /// Text to values of one type.
    Map {
        /// The keys.
        key: &'static Shape,
        /// The values.
        value: &'static Shape,
        /// The element name of a key, where it is not `key`.
        key_name: Option<&'static str>,
        /// The element name of a value, where it is not `value`.
        value_name: Option<&'static str>,
        /// Whether entries stand without an enclosing element.
        flattened: bool,
        /// Fewest entries allowed.
        min: Option<usize>,
        /// Most entries allowed.
        max: Option<usize>,
    },
    /// Named members.
    Structure(&'static StructureShape),
    /// Any JSON.
    Document,
}

/// A structure's members, in the model's order.
#[derive(Debug)]
pub struct StructureShape {
    /// The model's name for it.
    pub name: &'static str,
    /// The members; a typed value numbers its fields the same way.
    pub members: &'static [Member],
    /// The member that is the whole HTTP body, if one is.
    pub payload: Option<usize>,
    /// Whether exactly one member must be present.
    pub union: bool,
    /// XML namespace of the element, where the model gives one.
    pub xml_namespace: Option<&'static str>,
}

impl StructureShape {
    /// Most members any structure may have; [`crate::fill`] keeps a bit for each.
    pub const MEMBERS_MAX: usize = 256;

    /// The shape of what has no members.
    pub const EMPTY: &'static StructureShape = &StructureShape {
        name: "Unit",
        members: &[],
        payload: None,
        union: false,
        xml_namespace: None,
    };

    /// The index of the member with this model name.
    pub fn member(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|member| member.name == name)
    }
}

/// One member of a structure.
#[derive(Debug)]
pub struct Member {
    /// The model's name: `KeyId`.
    pub name: &'static str,
    /// Its type.
    pub shape: &'static Shape,
    /// Whether it must be present.
    pub required: bool,
    /// Where on the wire it travels.
    pub location: Location,
    /// Its name there.
    pub wire_name: &'static str,
    /// Its name in an EC2 query, where it differs.
    pub query_name: Option<&'static str>,
    /// The spelling of a timestamp, where the place overrides the shape.
    pub timestamp: Option<TimestampFormat>,
    /// Whether an absent value is filled with a random token.
    pub idempotency_token: bool,
    /// Whether it is an attribute of the enclosing XML element.
    pub xml_attribute: bool,
    /// Whether it is a stream of bytes.
    pub streaming: bool,
    /// Whether its items stand without an enclosing element here, whatever the list's shape says.
    pub flattened: bool,
    /// XML namespace of its element, where the model gives one.
    pub xml_namespace: Option<&'static str>,
}

impl Member {
    /// An optional member of the body under its own name.
    pub const fn new(name: &'static str, shape: &'static Shape) -> Member {
        Member {
            name,
            shape,
            required: false,
            location: Location::Body,
            wire_name: name,
            query_name: None,
            timestamp: None,
            idempotency_token: false,
            xml_attribute: false,
            streaming: false,
            flattened: false,
            xml_namespace: None,
        }
    }

    /// The same member, required.
    #[must_use]
    pub const fn required(self) -> Member {
        Member {
            required: true,
            ..self
        }
    }

    /// The same member under another name on the wire.
    #[must_use]
    pub const fn named(self, wire_name: &'static str) -> Member {
        Member { wire_name, ..self }
    }

    /// The same member elsewhere in the message.
    #[must_use]
    pub const fn at(self, location: Location) -> Member {
        Member { location, ..self }
    }

    /// The same member with its name in EC2 queries.
    #[must_use]
    pub const fn query_named(self, query_name: &'static str) -> Member {
        Member {
            query_name: Some(query_name),
            ..self
        }
    }

    /// The same member with a timestamp spelling of its own.
    #[must_use]
    pub const fn spelled(self, format: TimestampFormat) -> Member {
        Member {
            timestamp: Some(format),
            ..self
        }
    }

    /// The same member, filled by clients with a random token when absent.
    #[must_use]
    pub const fn token(self) -> Member {
        Member {
            idempotency_token: true,
            ..self
        }
    }

    /// The same member as an XML attribute.
    #[must_use]
    pub const fn attribute(self) -> Member {
        Member {
            xml_attribute: true,
            ..self
        }
    }

    /// The same member with its items directly in the enclosing element.
    #[must_use]
    pub const fn flat(self) -> Member {
        Member {
            flattened: true,
            ..self
        }
    }

    /// The same member in an XML namespace.
    #[must_use]
    pub const fn within(self, namespace: &'static str) -> Member {
        Member {
            xml_namespace: Some(namespace),
            ..self
        }
    }

    /// The same member as a stream of bytes.
    #[must_use]
    pub const fn stream(self) -> Member {
        Member {
            streaming: true,
            ..self
        }
    }
}

/// Where in an HTTP message a member travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// In the body.
    Body,
    /// In the URI template.
    Uri,
    /// In the query string.
    Query,
    /// In a header.
    Header,
    /// In all headers with the member's wire name as prefix.
    HeaderPrefix,
    /// It is the HTTP status.
    Status,
}

/// The spelling of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampFormat {
    /// `2026-01-02T03:04:05Z`
    Iso8601,
    /// Seconds since the epoch, as a number.
    UnixTimestamp,
    /// `Fri, 02 Jan 2026 03:04:05 GMT`
    Rfc822,
}

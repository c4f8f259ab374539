//! From a request's head to the operation it asks for.
//!
//! awsJson by `X-Amz-Target`, rpcv2Cbor by the path it gives, query and EC2 by `Action` and `Version`, REST by
//! method, path and query string among the operations of the service in the
//! credential scope. S3 is addressed by path; buckets in the host name are not
//! read here.

use std::borrow::Cow;
use std::collections::HashMap;

use http::HeaderName;
use shape::{Location, OperationShape, Protocol, ServiceShape};

use crate::cbor;
use crate::fault::WireFault;
use crate::form;
use crate::head::RequestHead;
use crate::limits::echo;
use crate::rest::uri::{Segment, Template, steps};

/// The tables of all services, ready to be searched.
#[derive(Debug, Default)]
pub struct Router {
    services: HashMap<&'static str, &'static ServiceShape>,
    targets: HashMap<String, &'static OperationShape>,
    target_services: HashMap<&'static str, &'static ServiceShape>,
    actions: HashMap<&'static str, Vec<&'static OperationShape>>,
    trees: HashMap<&'static str, Node>,
}

/// No operation was found; the fault can be encoded in the protocol named.
#[derive(Debug)]
pub struct RouteFault {
    /// The protocol that the caller most likely speaks.
    pub protocol: Protocol,
    /// The service, if it is known.
    pub service: Option<&'static ServiceShape>,
    /// What to answer.
    pub fault: WireFault,
}

impl Router {
    /// A router over these services. Where two share a signing name, the first gives the
    /// protocol of errors.
    pub fn new(services: &[&'static ServiceShape]) -> Router {
        let mut router = Router::default();
        for &service in services {
            router.services.entry(service.signing_name).or_insert(service);
            for &operation in service.operations {
                match service.protocol {
                    Protocol::Json10 | Protocol::Json11 => {
                        router.target_services.insert(service.target_prefix, service);
                        let target = format!("{}.{}", service.target_prefix, operation.name);
                        router.targets.insert(target, operation);
                    }
                    Protocol::Query | Protocol::Ec2 => {
                        router.actions.entry(operation.name).or_default().push(operation);
                    }
                    Protocol::RestJson | Protocol::RestXml => {
                        router
                            .trees
                            .entry(service.signing_name)
                            .or_default()
                            .add(operation);
                    }
                }
            }
        }
        router
    }

    /// Finds the operation. `scope_service` is the service in the credential
    /// scope of the signature; `None` for a request without one.
    ///
    /// # Errors
    ///
    /// [`RouteFault`] for an operation or service that is not in the tables.
    pub fn route(
        &self,
        head: &RequestHead<'_>,
        scope_service: Option<&str>,
        body: &[u8],
    ) -> Result<&'static OperationShape, RouteFault> {
        let mut targets = head.headers.get_all(&TARGET).iter();
        if let Some(target) = targets.next() {
            let only = targets.next().is_none();
            let target = std::str::from_utf8(target.as_bytes()).ok().filter(|_| only);
            return self.by_target(head, target.unwrap_or(""), scope_service);
        }
        if cbor::spoken(head.headers) {
            return self.by_cbor_path(head, scope_service);
        }
        let service = scope_service.and_then(|name| self.services.get(name).copied());
        match (service, scope_service) {
            (Some(service), _) => match service.protocol {
                Protocol::Query | Protocol::Ec2 => self.by_action(head, Some(service), body),
                Protocol::RestJson | Protocol::RestXml => self.by_path(head, service),
                protocol @ (Protocol::Json10 | Protocol::Json11) => Err(RouteFault {
                    protocol,
                    service: Some(service),
                    fault: WireFault::client(
                        400,
                        "UnknownOperationException",
                        "The header X-Amz-Target is missing".to_owned(),
                    ),
                }),
            },
            (None, Some(name)) => Err(unknown_service(head, name, body)),
            (None, None) if parameter(head, body, "Action").is_some() => self.by_action(head, None, body),
            (None, None) => match self.services.get("s3") {
                Some(service) => self.by_path(head, service),
                None => Err(RouteFault {
                    protocol: guess(head, body),
                    service: None,
                    fault: WireFault::client(
                        404,
                        "UnknownOperationException",
                        "The request names no operation".to_owned(),
                    ),
                }),
            },
        }
    }

    fn by_target(
        &self,
        head: &RequestHead<'_>,
        target: &str,
        scope_service: Option<&str>,
    ) -> Result<&'static OperationShape, RouteFault> {
        if let Some(&operation) = self.targets.get(target)
            && head.method == "POST"
            && is_root(head.path)
        {
            return Ok(operation);
        }
        let prefix = target.rsplit_once('.').map_or("", |(prefix, _)| prefix);
        let service = self
            .target_services
            .get(prefix)
            .or_else(|| self.services.get(scope_service?))
            .copied();
        if let (None, Some(name)) = (service, scope_service) {
            return Err(unknown_service(head, name, &[]));
        }
        Err(RouteFault {
            protocol: service.map_or_else(|| guess(head, &[]), |service| service.protocol),
            service,
            // AWS sends the code alone.
            fault: WireFault::client(400, "UnknownOperationException", None),
        })
    }

    /// `/service/SERVICE/operation/OPERATION`, behind whatever prefix.
    fn by_cbor_path(
        &self,
        head: &RequestHead<'_>,
        scope_service: Option<&str>,
    ) -> Result<&'static OperationShape, RouteFault> {
        let mut steps = head.path.rsplit('/');
        let named = match (steps.next(), steps.next(), steps.next(), steps.next()) {
            (Some(operation), Some("operation"), Some(service), Some("service")) => {
                Some((service, operation))
            }
            _ => None,
        };
        let found =
            named.and_then(|(service, operation)| self.targets.get(&format!("{service}.{operation}")));
        if let Some(&operation) = found
            && head.method == "POST"
        {
            return Ok(operation);
        }
        let service = named
            .and_then(|(service, _)| self.target_services.get(service))
            .or_else(|| self.services.get(scope_service?))
            .copied();
        Err(RouteFault {
            protocol: Protocol::Json11,
            service,
            fault: WireFault::client(404, "UnknownOperationException", None),
        })
    }

    fn by_action(
        &self,
        head: &RequestHead<'_>,
        service: Option<&'static ServiceShape>,
        body: &[u8],
    ) -> Result<&'static OperationShape, RouteFault> {
        let fault = |fault| RouteFault {
            protocol: service.map_or(Protocol::Query, |service| service.protocol),
            service,
            fault,
        };
        let ec2 = service.is_some_and(|service| service.protocol == Protocol::Ec2);
        if !matches!(head.method, "GET" | "POST") || !is_root(head.path) {
            return Err(fault(WireFault::client(
                404,
                "InvalidAction",
                "The request is neither GET nor POST of the path '/'".to_owned(),
            )));
        }
        let Some(action) = parameter(head, body, "Action") else {
            let message = if body.is_empty() || head.media_type_is(&[FORM]) {
                "The request is missing an action or a required parameter.".to_owned()
            } else {
                format!("The request is missing an action: its body is not {FORM}.")
            };
            return Err(fault(WireFault::client(400, "MissingAction", message)));
        };
        let version = parameter(head, body, "Version");
        let version = version.as_deref();
        let mut found = self
            .actions
            .get(&*action)
            .map_or(&[][..], Vec::as_slice)
            .iter()
            .copied()
            .filter(|operation| {
                Some(operation.service.api_version) == version
                    && service.is_none_or(|service| service.signing_name == operation.service.signing_name)
            });
        match (found.next(), found.next()) {
            (Some(operation), None) => Ok(operation),
            _ if ec2 => Err(fault(WireFault::client(
                400,
                "InvalidAction",
                format!("The action {} is not valid for this web service.", echo(&action)),
            ))),
            _ => Err(fault(WireFault::client(
                400,
                "InvalidAction",
                format!(
                    "Could not find operation {} for version {}",
                    echo(&action),
                    version.map_or("NO_VERSION_SPECIFIED", echo)
                ),
            ))),
        }
    }

    fn by_path(
        &self,
        head: &RequestHead<'_>,
        service: &'static ServiceShape,
    ) -> Result<&'static OperationShape, RouteFault> {
        let found = self
            .trees
            .get(service.signing_name)
            .and_then(|tree| tree.find(head));
        found.ok_or_else(|| RouteFault {
            protocol: service.protocol,
            service: Some(service),
            fault: if service.protocol == Protocol::RestXml {
                WireFault::client(
                    405,
                    "MethodNotAllowed",
                    "The specified method is not allowed against this resource.".to_owned(),
                )
                .with("Method", echo(head.method))
            } else {
                WireFault::client(404, "UnknownOperationException", None)
            },
        })
    }
}

/// The header in which awsJson names the operation.
static TARGET: HeaderName = HeaderName::from_static("x-amz-target");

const FORM: &str = "application/x-www-form-urlencoded";

/// A parameter of the query string, or of a form in the body.
fn parameter<'a>(head: &RequestHead<'a>, body: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    form::find(head.query.as_bytes(), name).or_else(|| {
        head.media_type_is(&[FORM])
            .then(|| form::find(body, name))
            .flatten()
    })
}

fn is_root(path: &str) -> bool {
    path.bytes().all(|byte| byte == b'/')
}

fn unknown_service(head: &RequestHead<'_>, name: &str, body: &[u8]) -> RouteFault {
    let protocol = guess(head, body);
    let message = format!("The service '{}' is not served here", echo(name));
    let (status, code) = match protocol {
        Protocol::Query | Protocol::Ec2 => (400, "InvalidAction"),
        Protocol::Json10 | Protocol::Json11 => (400, "UnknownOperationException"),
        Protocol::RestJson | Protocol::RestXml => (404, "UnknownOperationException"),
    };
    RouteFault {
        protocol,
        service: None,
        fault: WireFault::client(status, code, message),
    }
}

/// The protocol that a request looks like.
fn guess(head: &RequestHead<'_>, body: &[u8]) -> Protocol {
    match head.media_type() {
        Some("application/x-amz-json-1.0") => Protocol::Json10,
        Some("application/x-amz-json-1.1") => Protocol::Json11,
        _ if head.headers.contains_key(&TARGET) => Protocol::Json11,
        _ if parameter(head, body, "Action").is_some() => Protocol::Query,
        _ => Protocol::RestJson,
    }
}

/// A step in the tree of a service's URI templates.
#[derive(Debug, Default)]
struct Node {
    literals: HashMap<&'static str, Node>,
    label: Option<Box<Node>>,
    /// Greedy labels, each with the steps that follow it.
    greedy: Vec<(Vec<Segment>, Vec<Leaf>)>,
    leaves: Vec<Leaf>,
}

/// An operation at the end of its path.
#[derive(Debug)]
struct Leaf {
    operation: &'static OperationShape,
    literals: Vec<(&'static str, &'static str)>,
}

impl Node {
    fn add(&mut self, operation: &'static OperationShape) {
        let template = Template::parse(operation.uri);
        let leaf = Leaf {
            operation,
            literals: template.literals,
        };
        let mut node = self;
        for (at, segment) in template.segments.iter().enumerate() {
            node = match *segment {
                Segment::Literal(text) => node.literals.entry(text).or_default(),
                Segment::Label(_) => node.label.get_or_insert_with(Box::default),
                Segment::Greedy(_) => {
                    let tail = &template.segments[at + 1..];
                    match node.greedy.iter_mut().find(|(known, _)| same_steps(known, tail)) {
                        Some((_, leaves)) => leaves.push(leaf),
                        None => node.greedy.push((tail.to_vec(), vec![leaf])),
                    }
                    return;
                }
            };
        }
        node.leaves.push(leaf);
    }

    fn find(&self, head: &RequestHead<'_>) -> Option<&'static OperationShape> {
        let steps = steps(head.path);
        self.descend(&steps, head)
    }

    /// The most literal path wins; a label is tried where no literal leads to an operation.
    /// The tree is as deep as the longest template, whatever the path.
    fn descend(&self, steps: &[&str], head: &RequestHead<'_>) -> Option<&'static OperationShape> {
        let Some((step, rest)) = steps.split_first() else {
            return best(&self.leaves, head);
        };
        if let Some(node) = self.literals.get(step)
            && let Some(found) = node.descend(rest, head)
        {
            return Some(found);
        }
        if let Some(node) = &self.label
            && !step.is_empty()
            && let Some(found) = node.descend(rest, head)
        {
            return Some(found);
        }
        self.greedy
            .iter()
            .filter(|(tail, _)| ends_with(steps, tail))
            .find_map(|(_, leaves)| best(leaves, head))
    }
}

fn same_steps(a: &[Segment], b: &[Segment]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|pair| match pair {
            (Segment::Literal(a), Segment::Literal(b)) => a == b,
            (Segment::Label(_), Segment::Label(_)) | (Segment::Greedy(_), Segment::Greedy(_)) => true,
            _ => false,
        })
}

/// Whether at least one step is left for the label before the tail.
fn ends_with(steps: &[&str], tail: &[Segment]) -> bool {
    steps.len() > tail.len()
        && steps[steps.len() - tail.len()..]
            .iter()
            .zip(tail)
            .all(|(step, segment)| match segment {
                Segment::Literal(text) => step == text,
                Segment::Label(_) | Segment::Greedy(_) => !step.is_empty(),
            })
}

/// Among operations with one path, the one whose query literals and required
/// parameters and headers are most of what the request has: this tells S3's
/// `UploadPart`, `CopyObject` and `PutObject` apart.
fn best(leaves: &[Leaf], head: &RequestHead<'_>) -> Option<&'static OperationShape> {
    let has = |name: &str| {
        head.query
            .split('&')
            .any(|pair| pair.split('=').next() == Some(name))
    };
    leaves
        .iter()
        .filter(|leaf| leaf.operation.method == head.method)
        .filter(|leaf| {
            leaf.literals.iter().all(|(name, value)| {
                if value.is_empty() {
                    has(name)
                } else {
                    form::find(head.query.as_bytes(), name).as_deref() == Some(*value)
                }
            })
        })
        .max_by_key(|leaf| {
            let required = leaf.operation.input.members.iter().filter(|member| {
                member.required && matches!(member.location, Location::Query | Location::Header)
            });
            let (mut present, mut absent) = (0_usize, false);
            for member in required {
                let given = if member.location == Location::Query {
                    has(member.wire_name)
                } else {
                    head.headers.contains_key(member.wire_name)
                };
                present += usize::from(given);
                absent |= !given;
            }
            (leaf.literals.len(), !absent, present)
        })
        .map(|leaf| leaf.operation)
}

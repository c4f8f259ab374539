//! A type that contains itself, to the limit and one past it, in every protocol.

use http::{HeaderMap, HeaderValue};
use shape::{
    Boxed, Field, Kind, Member, OperationShape, Protocol, ServiceShape, Shape, Slot, Structure,
    StructureShape, Value,
};
use wire::limits::DEPTH_MAX;
use wire::{DecodeFault, RequestHead, decode, encode};

#[derive(Default)]
struct Nest {
    inner: Option<Boxed<Nest>>,
}

static NEST_MEMBERS: StructureShape = StructureShape {
    name: "Nest",
    payload: None,
    union: false,
    xml_namespace: None,
    members: &[Member::new("Inner", &NEST)],
};

static NEST: Shape = Shape {
    name: "Nest",
    sensitive: false,
    kind: Kind::Structure(&NEST_MEMBERS),
};

impl Structure for Nest {
    fn shape(&self) -> &'static StructureShape {
        &NEST_MEMBERS
    }

    fn get(&self, _member: usize) -> Option<Value<'_>> {
        self.inner.value()
    }

    fn slot(&mut self, _member: usize) -> Slot<'_> {
        Field::slot(&mut self.inner)
    }
}

impl Field for Nest {
    fn value(&self) -> Option<Value<'_>> {
        Some(Value::Structure(self))
    }

    fn slot(&mut self) -> Slot<'_> {
        Slot::Structure(self)
    }
}

macro_rules! service {
    ($service:ident, $operation:ident, $protocol:expr) => {
        static $service: ServiceShape = ServiceShape {
            name: "nests",
            service_id: "Nests",
            api_version: "2026-01-01",
            protocol: $protocol,
            signing_name: "nests",
            endpoint_prefix: "nests",
            event_source: "test",
            target_prefix: "Nests",
            xml_namespace: "https://nests/",
            global: false,
            operations: &[&$operation],
        };
        static $operation: OperationShape = OperationShape {
            name: "Build",
            action: "test",
            service: &$service,
            method: "POST",
            uri: "/",
            status: 200,
            input: &NEST_MEMBERS,
            output: &NEST_MEMBERS,
            result_wrapper: "BuildResult",
            errors: &[],
            read_only: false,
            unsigned: false,
        };
    };
}

service!(JSON, JSON_BUILD, Protocol::Json11);
service!(QUERY, QUERY_BUILD, Protocol::Query);
service!(EC2, EC2_BUILD, Protocol::Ec2);
service!(REST_JSON, REST_JSON_BUILD, Protocol::RestJson);
service!(REST_XML, REST_XML_BUILD, Protocol::RestXml);

fn body(protocol: Protocol, depth: usize) -> String {
    match protocol {
        Protocol::Json10 | Protocol::Json11 | Protocol::RestJson => {
            format!("{}{{}}{}", "{\"Inner\":".repeat(depth), "}".repeat(depth))
        }
        Protocol::Query | Protocol::Ec2 => format!("{}=", vec!["Inner"; depth].join(".")),
        Protocol::RestXml => {
            format!(
                "<Nest>{}{}</Nest>",
                "<Inner>".repeat(depth),
                "</Inner>".repeat(depth)
            )
        }
    }
}

fn depth(nest: &Nest) -> usize {
    nest.inner.as_ref().map_or(0, |inner| depth(inner) + 1)
}

#[test]
fn values_nest_to_the_limit_and_no_further() {
    for operation in [
        &JSON_BUILD,
        &QUERY_BUILD,
        &EC2_BUILD,
        &REST_JSON_BUILD,
        &REST_XML_BUILD,
    ] {
        let protocol = operation.service.protocol;
        let mut headers = HeaderMap::new();
        if matches!(protocol, Protocol::Query | Protocol::Ec2) {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert("content-type", form);
        }
        let head = RequestHead {
            method: "POST",
            path: "/",
            query: "",
            headers: &headers,
        };
        let mut nest = Nest::default();
        decode(operation, &head, body(protocol, DEPTH_MAX).as_bytes(), &mut nest).unwrap();
        assert_eq!(depth(&nest), DEPTH_MAX, "{protocol:?}");
        assert!(encode(operation, &nest, "id").body.len() > DEPTH_MAX);

        let past = body(protocol, DEPTH_MAX + 1);
        let fault = decode(operation, &head, past.as_bytes(), &mut Nest::default()).unwrap_err();
        assert!(matches!(fault, DecodeFault::Malformed(_)), "{protocol:?}");
    }
}

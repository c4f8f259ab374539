//! Manners of the protocols that no generated API has yet: maps in forms and
//! XML, flattened ones, attributes, unions, lists in headers and query strings.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue};
use serde_json::{Value as Json, json};
use shape::{
    Field, Kind, Location, Member, OperationShape, Protocol, ServiceShape, Shape, Slot, Structure,
    StructureShape, TimestampFormat, Value,
};
use wire::{RequestHead, decode, encode};

use super::canonical::{say, says};

macro_rules! structure {
    ($type:ident, $members:ident, $($at:literal $field:ident: $kind:ty),*) => {
        #[derive(Default)]
        struct $type {
            $($field: Option<$kind>,)*
        }

        impl Structure for $type {
            fn shape(&self) -> &'static StructureShape {
                &$members
            }

            fn get(&self, member: usize) -> Option<Value<'_>> {
                match member {
                    $($at => self.$field.value(),)*
                    _ => None,
                }
            }

            fn slot(&mut self, member: usize) -> Slot<'_> {
                match member {
                    $($at => Field::slot(&mut self.$field),)*
                    _ => unreachable!(),
                }
            }
        }

        impl Field for $type {
            fn value(&self) -> Option<Value<'_>> {
                Some(Value::Structure(self))
            }

            fn slot(&mut self) -> Slot<'_> {
                Slot::Structure(self)
            }
        }
    };
}

const fn scalar(name: &'static str, kind: Kind) -> Shape {
    Shape {
        name,
        sensitive: false,
        kind,
    }
}

const fn map(key_name: Option<&'static str>, value_name: Option<&'static str>, flattened: bool) -> Shape {
    scalar(
        "Map",
        Kind::Map {
            key: &TEXT,
            value: &TEXT,
            key_name,
            value_name,
            flattened,
            min: None,
            max: Some(2),
        },
    )
}

const fn list(item: &'static Shape, item_name: Option<&'static str>, flattened: bool) -> Shape {
    scalar(
        "List",
        Kind::List {
            item,
            item_name,
            flattened,
            min: None,
            max: Some(3),
        },
    )
}

static TEXT: Shape = scalar(
    "Text",
    Kind::String {
        min: None,
        max: Some(5),
        pattern: None,
        values: &[],
    },
);
static NUMBER: Shape = scalar(
    "Number",
    Kind::Integer {
        min: None,
        max: Some(99),
    },
);
static MOMENT: Shape = scalar("Moment", Kind::Timestamp { format: None });
static MAP: Shape = map(None, None, false);
static FLAT_MAP: Shape = map(Some("Name"), Some("Is"), true);
static NAMED_LIST: Shape = list(&NUMBER, Some("N"), false);
static FLAT_LIST: Shape = list(&TEXT, Some("Flat"), true);
static LIST_OF_LISTS: Shape = list(&NAMED_LIST, None, false);
static CHOICE: Shape = scalar("Choice", Kind::Structure(&CHOICE_MEMBERS));
static KIND: Shape = scalar("Kind", Kind::Structure(&KIND_MEMBERS));

static CHOICE_MEMBERS: StructureShape = StructureShape {
    name: "Choice",
    payload: None,
    union: true,
    xml_namespace: None,
    members: &[Member::new("A", &TEXT), Member::new("B", &NUMBER)],
};
structure!(Choice, CHOICE_MEMBERS, 0 a: String, 1 b: i32);

static KIND_MEMBERS: StructureShape = StructureShape {
    name: "Kind",
    payload: None,
    union: false,
    xml_namespace: Some("http://www.w3.org/2001/XMLSchema-instance"),
    members: &[
        Member::new("Type", &TEXT).named("xsi:type").attribute(),
        Member::new("Id", &TEXT),
    ],
};
structure!(Grantee, KIND_MEMBERS, 0 kind: String, 1 id: String);

static BODY_MEMBERS: StructureShape = StructureShape {
    name: "Body",
    payload: None,
    union: false,
    xml_namespace: None,
    members: &[
        Member::new("Map", &MAP),
        Member::new("FlatMap", &FLAT_MAP).named("Entry"),
        Member::new("List", &NAMED_LIST),
        Member::new("FlatList", &FLAT_LIST),
        Member::new("Lists", &LIST_OF_LISTS),
        Member::new("Choice", &CHOICE),
        Member::new("Grantee", &KIND),
        Member::new("Moment", &MOMENT).spelled(TimestampFormat::UnixTimestamp),
    ],
};
structure!(
    Body, BODY_MEMBERS,
    0 map: BTreeMap<String, String>, 1 flat_map: BTreeMap<String, String>, 2 list: Vec<i32>, 3 flat_list: Vec<String>,
    4 lists: Vec<Vec<i32>>, 5 choice: Choice, 6 grantee: Grantee, 7 moment: ground::Timestamp
);

static HEAD_MEMBERS: StructureShape = StructureShape {
    name: "Head",
    payload: None,
    union: false,
    xml_namespace: None,
    members: &[
        Member::new("Words", &FLAT_LIST)
            .named("X-Words")
            .at(Location::Header),
        Member::new("Numbers", &NAMED_LIST).named("n").at(Location::Query),
        Member::new("Rest", &MAP).named("rest").at(Location::Query),
        Member::new("Since", &MOMENT)
            .named("X-Since")
            .at(Location::Header),
        Member::new("Status", &NUMBER).at(Location::Status),
    ],
};
structure!(
    Head, HEAD_MEMBERS,
    0 words: Vec<String>, 1 numbers: Vec<i32>, 2 rest: BTreeMap<String, String>, 3 since: ground::Timestamp, 4 status: i32
);

macro_rules! service {
    ($service:ident, $operation:ident, $protocol:expr, $members:ident) => {
        static $service: ServiceShape = ServiceShape {
            name: "manners",
            service_id: "Manners",
            api_version: "2026-01-01",
            protocol: $protocol,
            signing_name: "manners",
            endpoint_prefix: "manners",
            event_source: "test",
            target_prefix: "Manners",
            xml_namespace: "",
            global: false,
            operations: &[&$operation],
        };
        static $operation: OperationShape = OperationShape {
            name: "Behave",
            action: "test",
            service: &$service,
            method: "POST",
            uri: "/",
            status: 200,
            input: &$members,
            output: &$members,
            result_wrapper: "BehaveResult",
            errors: &[],
            read_only: false,
            unsigned: false,
        };
    };
}

service!(QUERY, QUERY_BEHAVE, Protocol::Query, BODY_MEMBERS);
service!(XML, XML_BEHAVE, Protocol::RestXml, BODY_MEMBERS);
service!(JSON, JSON_BEHAVE, Protocol::Json11, BODY_MEMBERS);
service!(HEADS, HEADS_BEHAVE, Protocol::RestJson, HEAD_MEMBERS);

fn read<S: Structure + Default>(
    operation: &OperationShape,
    query: &str,
    headers: &HeaderMap,
    body: &str,
) -> Result<Json, String> {
    let head = RequestHead {
        method: "POST",
        path: "/",
        query,
        headers,
    };
    let mut input = S::default();
    match decode(operation, &head, body.as_bytes(), &mut input) {
        Ok(()) => Ok(says(&input)),
        Err(fault) => Err(fault.to_fault(operation).message.unwrap_or_default()),
    }
}

fn body(operation: &OperationShape, body: &str) -> Result<Json, String> {
    read::<Body>(operation, "", &HeaderMap::new(), body)
}

fn everything() -> Json {
    json!({
        "Map": { "a": "1", "b": "2" },
        "FlatMap": { "c": "3" },
        "List": [1, 2],
        "FlatList": ["x", "y"],
        "Lists": [[1], [2, 3]],
        "Choice": { "B": 7 },
        "Grantee": { "Type": "user", "Id": "i" },
        "Moment": 1_767_323_045_500_i64,
    })
}

#[test]
fn forms() {
    let form = "Map.entry.1.key=a&Map.entry.1.value=1&Map.entry.2.key=b&Map.entry.2.value=2&Entry.1.Name=c&Entry.1.Is=3\
        &List.N.1=1&List.N.2=2&Flat.1=x&Flat.2=y&Lists.member.1.N.1=1&Lists.member.2.N.1=2&Lists.member.2.N.2=3\
        &Choice.B=7&Grantee.xsi:type=user&Grantee.Id=i&Moment=1767323045.5";
    assert_eq!(body(&QUERY_BEHAVE, form).unwrap(), everything());
    for (form, message) in [
        ("Map.entry.1.key=a", "An entry of 'map' lacks its key or value"),
        ("Map.entry.1.value=a", "An entry of 'map' lacks its key or value"),
        (
            "Map.1.key=a",
            "The parameter 'Map.1.key' does not name an item of 'map': 'entry' and a number must follow",
        ),
        (
            "Entry.1.Name=a&Entry.1.Is=1&Entry.1.Was=2",
            "An entry of 'flatMap' has an unknown part 'Was'",
        ),
        (
            "Entry.1.Name=a&Entry.1.Is=1&Entry.2.Name=a&Entry.2.Is=1",
            "A key of 'flatMap' is given twice",
        ),
        (
            "Entry.1.Name=a&Entry.1.Is=toolong",
            "1 validation error detected: Value '{a=toolong}' at 'flatMap' failed to satisfy constraint: Map value must \
             satisfy constraint: [Member must have length less than or equal to 5]",
        ),
        (
            "List.N.1=100&List.N.2=1",
            "1 validation error detected: Value '[100, 1]' at 'list' failed to satisfy constraint: Member must satisfy \
             constraint: [Member must have value less than or equal to 99]",
        ),
        (
            "Flat.1=a&Flat.2=b&Flat.3=c&Flat.4=d",
            "1 validation error detected: Value at 'flatList' failed to satisfy constraint: Member must have length \
             less than or equal to 3",
        ),
    ] {
        assert_eq!(body(&QUERY_BEHAVE, form).unwrap_err(), message, "{form}");
    }
}

const DOCUMENT: &str = "<Map><entry><key>a</key><value>1</value></entry><entry><key>b</key><value>2</value></entry></Map>\
    <Entry><Name>c</Name><Is>3</Is></Entry><List><N>1</N><N>2</N></List><Flat>x</Flat><Flat>y</Flat>\
    <Lists><member><N>1</N></member><member><N>2</N><N>3</N></member></Lists><Choice><B>7</B></Choice>\
    <Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"user\"><Id>i</Id></Grantee>\
    <Moment>1767323045.5</Moment>";

#[test]
fn documents() {
    assert_eq!(
        body(&XML_BEHAVE, &format!("<Body>{DOCUMENT}</Body>")).unwrap(),
        everything()
    );
    let mut output = Body::default();
    say(&mut output, &everything());
    let answer = encode(&XML_BEHAVE, &output, "id");
    let text = std::str::from_utf8(&answer.body).unwrap();
    assert!(
        text.ends_with(&format!("<BehaveResult>{DOCUMENT}</BehaveResult>")),
        "{text}"
    );
    for broken in [
        "<Map><entry><key>a</key></entry></Map>",
        "<Map><entry><value>a</value></entry></Map>",
        "<Map><entry><key>a</key><value>1</value></entry><entry><key>a</key><value>1</value></entry></Map>",
        "<Entry><Name>a</Name><Is>toolong</Is></Entry>",
        "<Flat>1</Flat><Flat>2</Flat><Flat>3</Flat><Flat>4</Flat>",
        "<Choice><A>a</A><B>1</B></Choice>",
        "<Choice/>",
        "<List><M>1</M></List>",
        "<Moment>now</Moment>",
    ] {
        assert!(
            body(&XML_BEHAVE, &format!("<Body>{broken}</Body>")).is_err(),
            "{broken}"
        );
    }
}

#[test]
fn unions_have_one_member() {
    assert_eq!(
        body(&JSON_BEHAVE, r#"{"Choice":{"A":"a","B":null}}"#).unwrap(),
        json!({ "Choice": { "A": "a" } })
    );
    for choice in [r#"{"A":"a","B":1}"#, "{}", r#"{"C":1}"#, r#"{"A":null}"#] {
        assert_eq!(
            body(&JSON_BEHAVE, &format!("{{\"Choice\":{choice}}}")).unwrap_err(),
            "Exactly one member of 'choice' must be given"
        );
    }
}

#[test]
fn lists_in_heads() {
    let mut headers = HeaderMap::new();
    headers.append("x-words", HeaderValue::from_static("a, \"b,c\""));
    headers.append("x-words", HeaderValue::from_static("d"));
    headers.append(
        "x-since",
        HeaderValue::from_static("Fri, 02 Jan 2026 03:04:05 GMT"),
    );
    let said = json!({
        "Words": ["a", "b,c", "d"],
        "Numbers": [1, 2],
        "Rest": { "x": "y", "z": "" },
        "Since": 1_767_323_045_000_i64,
    });
    assert_eq!(
        read::<Head>(&HEADS_BEHAVE, "n=1&x=y&n=2&z", &headers, "").unwrap(),
        said
    );
    assert_eq!(
        read::<Head>(&HEADS_BEHAVE, "n=1&n=2&n=3&n=4", &HeaderMap::new(), "").unwrap_err(),
        "1 validation error detected: Value at 'numbers' failed to satisfy constraint: Member must have length less \
         than or equal to 3"
    );
    assert_eq!(
        read::<Head>(&HEADS_BEHAVE, "x=1&x=2", &HeaderMap::new(), "").unwrap_err(),
        "A key of 'rest' is given twice"
    );

    let mut output = Head::default();
    say(
        &mut output,
        &json!({ "Words": ["a", "b,c"], "Since": 1_767_323_045_000_i64, "Status": 42 }),
    );
    output.status = Some(207);
    let answer = encode(&HEADS_BEHAVE, &output, "id");
    assert_eq!(answer.status, 207);
    assert_eq!(answer.headers["x-words"], "a,\"b,c\"");
    assert_eq!(answer.headers["x-since"], "Fri, 02 Jan 2026 03:04:05 GMT");
    assert_eq!(answer.body, "{}");
}

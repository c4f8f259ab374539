//! Answers, byte for byte, and what cannot be smuggled through them.

use std::collections::BTreeMap;

use ground::Timestamp;
use http::HeaderMap;
use proptest::prelude::*;
use shape::{Blob, Operation, Protocol, Structure, Unit};
use wire::{Answer, WireFault, encode, encode_fault};

const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000000";

fn answer<O: Operation>(output: &dyn Structure) -> Answer {
    encode(O::SHAPE, output, REQUEST_ID)
}

fn header(answer: &Answer, name: &str) -> String {
    headers(answer)[name].to_str().unwrap().to_owned()
}

/// As they are sent.
fn headers(answer: &Answer) -> HeaderMap {
    let response = answer
        .clone()
        .into_response(REQUEST_ID.to_owned(), HeaderMap::new());
    response.headers().clone()
}

#[test]
fn json_services_answer_members_or_nothing() {
    let output = kms_api::EncryptOutput {
        ciphertext_blob: Some(Blob(vec![0, 1, 2, 255])),
        key_id: Some("a \"key\"\n".to_owned()),
        encryption_algorithm: Some(kms_api::EncryptionAlgorithmSpec::SymmetricDefault),
    };
    let answer = answer::<kms_api::Encrypt>(&output);
    assert_eq!(answer.status, 200);
    assert_eq!(header(&answer, "content-type"), "application/x-amz-json-1.1");
    assert_eq!(header(&answer, "x-amzn-requestid"), REQUEST_ID);
    assert_eq!(
        answer.body,
        r#"{"CiphertextBlob":"AAEC/w==","KeyId":"a \"key\"\n","EncryptionAlgorithm":"SYMMETRIC_DEFAULT"}"#
    );
    assert_eq!(
        self::answer::<kms_api::Encrypt>(&kms_api::EncryptOutput::default()).body,
        "{}"
    );
    // The model gives EnableKey no output at all.
    assert!(self::answer::<kms_api::EnableKey>(&Unit).body.is_empty());
}

#[test]
fn query_services_answer_a_result_and_metadata() {
    let mut output = iam_api::ListUsersOutput::default();
    output.users.push(iam_api::User {
        path: "/".to_owned(),
        user_name: "bob".to_owned(),
        user_id: "AIDAEXAMPLE".to_owned(),
        arn: "arn:aws:iam::123456789012:user/bob".to_owned(),
        create_date: Timestamp(1_767_323_045_000),
        ..iam_api::User::default()
    });
    output.is_truncated = Some(false);
    let answer = answer::<iam_api::ListUsers>(&output);
    assert_eq!(header(&answer, "content-type"), "text/xml");
    assert_eq!(
        answer.body,
        "<ListUsersResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ListUsersResult><Users><member>\
         <Path>/</Path><UserName>bob</UserName><UserId>AIDAEXAMPLE</UserId>\
         <Arn>arn:aws:iam::123456789012:user/bob</Arn><CreateDate>2026-01-02T03:04:05Z</CreateDate></member></Users>\
         <IsTruncated>false</IsTruncated></ListUsersResult><ResponseMetadata>\
         <RequestId>00000000-0000-4000-8000-000000000000</RequestId></ResponseMetadata></ListUsersResponse>"
    );
    assert_eq!(
        self::answer::<iam_api::DeleteUser>(&Unit).body,
        "<DeleteUserResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ResponseMetadata>\
         <RequestId>00000000-0000-4000-8000-000000000000</RequestId></ResponseMetadata></DeleteUserResponse>"
    );
}

#[test]
fn ec2_answers_its_own_way() {
    assert_eq!(
        answer::<ec2_api::DescribeVolumes>(&ec2_api::DescribeVolumesOutput {
            volumes: Some(Vec::new()),
            ..ec2_api::DescribeVolumesOutput::default()
        })
        .body,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <DescribeVolumesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
         <requestId>00000000-0000-4000-8000-000000000000</requestId><volumeSet></volumeSet></DescribeVolumesResponse>"
    );
}

#[test]
fn s3_answers_documents_headers_and_bytes() {
    let mut list = s3_api::ListObjectsV2Output {
        name: Some("b".to_owned()),
        key_count: Some(1),
        ..s3_api::ListObjectsV2Output::default()
    };
    list.contents = Some(vec![s3_api::Object {
        key: Some("a & b".to_owned()),
        size: Some(5),
        ..s3_api::Object::default()
    }]);
    let answer = answer::<s3_api::ListObjectsV2>(&list);
    assert_eq!(header(&answer, "x-amz-request-id"), REQUEST_ID);
    assert_eq!(header(&answer, "x-amz-id-2"), REQUEST_ID);
    assert_eq!(
        answer.body,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Contents><Key>a &amp; b</Key>\
         <Size>5</Size></Contents><Name>b</Name><KeyCount>1</KeyCount></ListBucketResult>"
    );

    let put = self::answer::<s3_api::PutObject>(&s3_api::PutObjectOutput {
        e_tag: Some("\"abc\"".to_owned()),
        ..s3_api::PutObjectOutput::default()
    });
    assert_eq!((put.status.as_u16(), put.body.len()), (200, 0));
    assert_eq!(header(&put, "etag"), "\"abc\"");
    let deleted = self::answer::<s3_api::DeleteObject>(&s3_api::DeleteObjectOutput::default());
    assert_eq!((deleted.status.as_u16(), deleted.body.len()), (204, 0));
}

#[test]
fn rest_json_answers_camel_case() {
    let output = guardduty_api::ListFindingsOutput {
        finding_ids: vec!["f1".to_owned()],
        ..guardduty_api::ListFindingsOutput::default()
    };
    let answer = answer::<guardduty_api::ListFindings>(&output);
    assert_eq!(header(&answer, "content-type"), "application/json");
    assert_eq!(answer.body, r#"{"findingIds":["f1"]}"#);
}

#[test]
fn faults_are_told_in_every_protocol() {
    let fault = WireFault::client(403, "AccessDenied", "no & never".to_owned()).with("BucketName", "b");
    let told = |service, protocol| {
        let answer = encode_fault(service, protocol, &fault, REQUEST_ID, false);
        assert_eq!(answer.status, 403);
        (
            header(&answer, "content-type").to_owned(),
            String::from_utf8(answer.body.to_vec()).unwrap(),
        )
    };
    let json = r#"{"__type":"AccessDenied","message":"no & never","BucketName":"b"}"#;
    for (service, protocol, media_type, body) in [
        (
            Some(&kms_api::SERVICE),
            Protocol::Json11,
            "application/x-amz-json-1.1",
            json,
        ),
        (None, Protocol::Json10, "application/x-amz-json-1.0", json),
        (
            Some(&guardduty_api::SERVICE),
            Protocol::RestJson,
            "application/json",
            r#"{"message":"no & never","BucketName":"b"}"#,
        ),
        (
            Some(&sts_api::SERVICE),
            Protocol::Query,
            "text/xml",
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
             <Code>AccessDenied</Code><Message>no &amp; never</Message><BucketName>b</BucketName></Error>\
             <RequestId>00000000-0000-4000-8000-000000000000</RequestId></ErrorResponse>",
        ),
        (
            Some(&ec2_api::SERVICE),
            Protocol::Ec2,
            "text/xml;charset=UTF-8",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>AccessDenied</Code>\
             <Message>no &amp; never</Message><BucketName>b</BucketName></Error></Errors>\
             <RequestID>00000000-0000-4000-8000-000000000000</RequestID></Response>",
        ),
        (
            Some(&s3_api::SERVICE),
            Protocol::RestXml,
            "application/xml",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code>\
             <Message>no &amp; never</Message><BucketName>b</BucketName>\
             <RequestId>00000000-0000-4000-8000-000000000000</RequestId>\
             <HostId>00000000-0000-4000-8000-000000000000</HostId></Error>",
        ),
    ] {
        assert_eq!(
            told(service, protocol),
            (media_type.to_owned(), body.to_owned()),
            "{protocol:?}"
        );
    }
    let head = encode_fault(
        Some(&s3_api::SERVICE),
        Protocol::RestXml,
        &fault,
        REQUEST_ID,
        true,
    );
    assert!(head.body.is_empty() && !head.headers.contains_key("content-type"));
    let silent = WireFault::client(400, "InvalidCiphertextException", None);
    let silent = encode_fault(
        Some(&kms_api::SERVICE),
        Protocol::Json11,
        &silent,
        REQUEST_ID,
        false,
    );
    assert_eq!(silent.body, r#"{"__type":"InvalidCiphertextException"}"#);
}

/// The text of the first element of this name.
fn text_of(xml: &[u8], name: &str) -> String {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(std::str::from_utf8(xml).unwrap());
    let mut text = None;
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) if start.name().as_ref() == name => text = Some(String::new()),
            Event::End(end) if end.name().as_ref() == name => return text.unwrap(),
            Event::Text(part) => {
                if let Some(text) = &mut text {
                    text.push_str(&part.xml10_content());
                }
            }
            Event::GeneralRef(part) => {
                let letter = part.resolve_char_ref().unwrap().unwrap_or_else(|| match &*part {
                    "amp" => '&',
                    "lt" => '<',
                    "gt" => '>',
                    other => panic!("entity {other}"),
                });
                if let Some(text) = &mut text {
                    text.push(letter);
                }
            }
            Event::Eof => panic!("no {name}"),
            _ => {}
        }
    }
}

proptest! {
    /// Text comes back from XML as it went in, but for characters that XML does not have.
    #[test]
    fn text_survives_xml(name in "(.|\\r|\\n|\\PC){0,40}") {
        let mut output = iam_api::GetUserOutput::default();
        output.user.user_name.clone_from(&name);
        let answer = answer::<iam_api::GetUser>(&output);
        let expected: String = name
            .chars()
            .map(|letter| match letter {
                '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'.. => letter,
                _ => '\u{fffd}',
            })
            .collect();
        prop_assert_eq!(text_of(&answer.body, "UserName"), expected);
    }

    /// Nothing stored can add a header or break a line, and nothing panics.
    #[test]
    fn headers_are_not_injected(value in "(.|\\r\\n|\\x00){0,20}", key in "(.|\\r\\n){0,8}") {
        let output = s3_api::GetObjectOutput {
            cache_control: Some(value.clone()),
            metadata: Some(BTreeMap::from([(key, value)])),
            ..s3_api::GetObjectOutput::default()
        };
        let answer = answer::<s3_api::GetObject>(&output);
        for (name, value) in &headers(&answer) {
            let known = ["cache-control", "x-amz-request-id", "x-amz-id-2"].contains(&name.as_str());
            prop_assert!(known || name.as_str().starts_with("x-amz-meta-"));
            prop_assert!(value.as_bytes().iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')));
        }
    }
}

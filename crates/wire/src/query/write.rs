//! Answers of query services.

use shape::{OperationShape, Structure};

use crate::xml::write::Writer;

/// `<XResponse><XResult>…</XResult><ResponseMetadata>…`
pub(crate) fn answer(operation: &OperationShape, output: &dyn Structure, request_id: &str) -> Vec<u8> {
    let mut xml = Writer::default();
    let root = format!("{}Response", operation.name);
    xml.open_in(&root, operation.service.xml_namespace);
    if !operation.result_wrapper.is_empty() {
        xml.open(operation.result_wrapper);
        xml.members(output);
        xml.close(operation.result_wrapper);
    }
    xml.open("ResponseMetadata");
    xml.leaf("RequestId", request_id);
    xml.close("ResponseMetadata");
    xml.close(&root);
    xml.into_bytes()
}

/// `<XResponse><requestId>…</requestId>…`
pub(crate) fn ec2_answer(operation: &OperationShape, output: &dyn Structure, request_id: &str) -> Vec<u8> {
    let mut xml = Writer::with_declaration();
    let root = format!("{}Response", operation.name);
    // The model leaves out the slash that EC2 sends.
    xml.open_in(
        &root,
        &format!("{}/", operation.service.xml_namespace.trim_end_matches('/')),
    );
    xml.leaf("requestId", request_id);
    xml.members(output);
    xml.close(&root);
    xml.into_bytes()
}

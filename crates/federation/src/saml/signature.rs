//! XML signatures, of the one kind that SAML needs: enveloped, over the very
//! element that holds it, exclusive canonicalization, one reference.
//!
//! Hardened against signature wrapping: a signature counts for its parent
//! element alone, which it must name by an id that no other element has;
//! other transforms, references, objects and key hints are refused or ignored.
//!
//! Sources: XML Signature Syntax and Processing; SAML 2.0 Core, 5.4.

use crypto::foreign::{Digest, Signature};
use roxmltree::{Document, Node};

use super::{SIGNATURE, unbroken_base64};
use crate::xml::{canonical, children, only, text};

const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";

/// The signature does not prove the element that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadSignature;

/// Whether `element` holds a signature.
pub(super) fn is_signed(element: Node<'_, '_>) -> bool {
    children(element, SIGNATURE, "Signature").next().is_some()
}

/// Proves that the holder of one of `keys` signed `element` as it stands.
pub(super) fn prove(element: Node<'_, '_>, keys: &[Vec<u8>]) -> Result<(), BadSignature> {
    proven(element, keys).ok_or(BadSignature)
}

fn proven(element: Node<'_, '_>, keys: &[Vec<u8>]) -> Option<()> {
    let signature = only(element, SIGNATURE, "Signature")?;
    let known = ["SignedInfo", "SignatureValue", "KeyInfo"];
    let foreign = |part: Node<'_, '_>| !known.iter().any(|name| part.has_tag_name((SIGNATURE, *name)));
    if signature.children().filter(Node::is_element).any(foreign) {
        return None;
    }
    let signed_info = only(signature, SIGNATURE, "SignedInfo")?;
    let canonicalization = only(signed_info, SIGNATURE, "CanonicalizationMethod")?;
    let inclusive = exclusive_prefixes(canonicalization)?;
    let method = signature_method(only(signed_info, SIGNATURE, "SignatureMethod")?)?;
    let reference = only(signed_info, SIGNATURE, "Reference")?;
    refers_to(reference, element)?;

    let prefixes = transforms(only(reference, SIGNATURE, "Transforms")?)?;
    let digest = digest_method(only(reference, SIGNATURE, "DigestMethod")?)?;
    let wanted = unbroken_base64(&text(only(reference, SIGNATURE, "DigestValue")?)?)?;
    let found = digest.of(&canonical(element, Some(signature.id()), &prefixes));
    if !crypto::constant_time_eq(&found, &wanted) {
        return None;
    }

    let value = unbroken_base64(&text(only(signature, SIGNATURE, "SignatureValue")?)?)?;
    let message = canonical(signed_info, None, &inclusive);
    keys.iter()
        .any(|key| method.is_of(&message, key, &value))
        .then_some(())
}

/// The reference names `element`, by an id that is nobody else's.
fn refers_to(reference: Node<'_, '_>, element: Node<'_, '_>) -> Option<()> {
    let id = element.attribute("ID").filter(|id| !id.is_empty())?;
    if reference.attribute("URI")?.strip_prefix('#')? != id {
        return None;
    }
    let is_id = |name: &str| name.eq_ignore_ascii_case("id");
    let holders = document_of(element)
        .descendants()
        .flat_map(|node| node.attributes())
        .filter(|attribute| is_id(attribute.name()) && attribute.value() == id)
        .count();
    (holders == 1).then_some(())
}

fn document_of<'a, 'input>(node: Node<'a, 'input>) -> &'a Document<'input> {
    node.document()
}

/// Enveloped signature and exclusive canonicalization, each once and no other;
/// gives the prefixes that the latter lists.
fn transforms<'a>(transforms: Node<'a, '_>) -> Option<Vec<&'a str>> {
    let mut all = transforms.children().filter(Node::is_element);
    let (enveloped, exclusive) = (all.next()?, all.next()?);
    let is_transform = |node: Node<'_, '_>| node.has_tag_name((SIGNATURE, "Transform"));
    if all.next().is_some() || !is_transform(enveloped) || !is_transform(exclusive) {
        return None;
    }
    if enveloped.attribute("Algorithm")? != ENVELOPED || enveloped.first_element_child().is_some() {
        return None;
    }
    exclusive_prefixes(exclusive)
}

/// The `PrefixList` of a method that must be exclusive canonicalization.
fn exclusive_prefixes<'a>(method: Node<'a, '_>) -> Option<Vec<&'a str>> {
    if method.attribute("Algorithm")? != EXCLUSIVE {
        return None;
    }
    let mut parameters = method.children().filter(Node::is_element);
    let Some(list) = parameters.next() else {
        return Some(Vec::new());
    };
    if parameters.next().is_some() || !list.has_tag_name((EXCLUSIVE, "InclusiveNamespaces")) {
        return None;
    }
    Some(list.attribute("PrefixList")?.split_ascii_whitespace().collect())
}

fn signature_method(method: Node<'_, '_>) -> Option<Signature> {
    if method.first_element_child().is_some() {
        return None;
    }
    Some(match method.attribute("Algorithm")? {
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256" => Signature::Rsa(Digest::Sha256),
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384" => Signature::Rsa(Digest::Sha384),
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512" => Signature::Rsa(Digest::Sha512),
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256" => Signature::Ecdsa(Digest::Sha256),
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384" => Signature::Ecdsa(Digest::Sha384),
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512" => Signature::Ecdsa(Digest::Sha512),
        _ => return None,
    })
}

fn digest_method(method: Node<'_, '_>) -> Option<Digest> {
    if method.first_element_child().is_some() {
        return None;
    }
    Some(match method.attribute("Algorithm")? {
        "http://www.w3.org/2001/04/xmlenc#sha256" => Digest::Sha256,
        "http://www.w3.org/2001/04/xmldsig-more#sha384" => Digest::Sha384,
        "http://www.w3.org/2001/04/xmlenc#sha512" => Digest::Sha512,
        _ => return None,
    })
}

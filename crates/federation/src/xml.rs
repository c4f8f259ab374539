//! XML documents of strangers: a tree without DTD, entities of its own, or
//! bottomless nesting; and exclusive canonicalization, over which signatures
//! are made.

mod canonical;

use roxmltree::{Document, Node, ParsingOptions};

use crate::limits::{ATTRIBUTES_MAX, DOCUMENT_BYTES_MAX, DOCUMENT_DEPTH_MAX, DOCUMENT_NODES_MAX};

pub(crate) use canonical::canonical;

/// The text is no document that is read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadXml {
    /// It nests too deeply.
    #[error("elements nest more than {DOCUMENT_DEPTH_MAX} deep")]
    Deep,
    /// It is longer than any that is read.
    #[error("the document has more than {DOCUMENT_BYTES_MAX} bytes")]
    Long,
    /// It is not well formed, has a DTD, or too many nodes.
    #[error("the document is not well-formed XML without a DTD")]
    Malformed,
}

/// Reads a document.
pub(crate) fn parse(text: &str) -> Result<Document<'_>, BadXml> {
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err(BadXml::Long);
    }
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: DOCUMENT_NODES_MAX,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options).map_err(|_| BadXml::Malformed)?;
    for node in document.descendants().filter(Node::is_element) {
        // The root of the tree is an ancestor too.
        if node.ancestors().nth(DOCUMENT_DEPTH_MAX + 1).is_some() {
            return Err(BadXml::Deep);
        }
        if node.attributes().len() > ATTRIBUTES_MAX || node.namespaces().len() > ATTRIBUTES_MAX {
            return Err(BadXml::Malformed);
        }
    }
    Ok(document)
}

/// The child elements with this name.
pub(crate) fn children<'a, 'input>(
    node: Node<'a, 'input>,
    namespace: &'a str,
    name: &'a str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children()
        .filter(move |child| child.has_tag_name((namespace, name)))
}

/// The one child element with this name; `None` if there is none, or another.
pub(crate) fn only<'a, 'input>(
    node: Node<'a, 'input>,
    namespace: &'a str,
    name: &'a str,
) -> Option<Node<'a, 'input>> {
    let mut found = children(node, namespace, name);
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// The whole text of an element without the white space around it; `None` if
/// it holds other elements.
pub(crate) fn text(node: Node<'_, '_>) -> Option<String> {
    if node.children().any(|child| child.is_element()) {
        return None;
    }
    let whole: String = node
        .children()
        .filter(Node::is_text)
        .filter_map(|child| child.text())
        .collect();
    Some(whole.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_expand_or_never_end_is_refused() {
        assert!(parse("<a><b/></a>").is_ok());
        let doctype = "<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>";
        for text in [
            doctype,
            "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
            "<a>&e;</a>",
            "<a>",
            "",
            "a",
        ] {
            assert_eq!(parse(text).unwrap_err(), BadXml::Malformed, "{text}");
        }
        let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(parse(&nested(DOCUMENT_DEPTH_MAX)).is_ok());
        assert_eq!(parse(&nested(DOCUMENT_DEPTH_MAX + 1)).unwrap_err(), BadXml::Deep);
        assert!(parse(&nested(10_000)).is_err());
        let many = format!("<a>{}</a>", "<b/>".repeat(20_001));
        assert_eq!(parse(&many).unwrap_err(), BadXml::Malformed);
        let long = format!("<a>{}</a>", " ".repeat(DOCUMENT_BYTES_MAX));
        assert_eq!(parse(&long).unwrap_err(), BadXml::Long);
    }

    /// A comment must not cut a text in two, of which one is read.
    #[test]
    fn texts_are_read_whole() {
        let document = parse("<a> admin<!-- -->.evil<![CDATA[ &]]> </a>").unwrap();
        assert_eq!(text(document.root_element()).unwrap(), "admin.evil &");
        let document = parse("<a>x<b/></a>").unwrap();
        assert_eq!(text(document.root_element()), None);
    }
}

//! Exclusive XML Canonicalization 1.0 without comments (W3C, 18 July 2002), of
//! one element and what is in it.
//!
//! Absent by design: processing instructions, which no signed document that is
//! read here has, and document subsets other than "all but one element".

use std::collections::BTreeMap;

use roxmltree::{Node, NodeId, NodeType};

/// The canonical form of `apex`, without the element `left_out` (a signature,
/// which cannot sign itself). `inclusive` are the prefixes of the
/// `InclusiveNamespaces` list, with `#default` for none.
pub(crate) fn canonical(apex: Node<'_, '_>, left_out: Option<NodeId>, inclusive: &[&str]) -> Vec<u8> {
    let mut writer = Writer {
        out: String::new(),
        left_out,
        inclusive,
    };
    writer.element(apex, &BTreeMap::new());
    writer.out.into_bytes()
}

struct Writer<'a> {
    out: String,
    left_out: Option<NodeId>,
    inclusive: &'a [&'a str],
}

/// The prefix in a qualified name, empty if there is none.
fn prefix_of(qualified: &str) -> &str {
    qualified.split_once(':').map_or("", |(prefix, _)| prefix)
}

/// The name in a start tag, as it is written.
fn qualified_name<'a>(node: Node<'a, '_>) -> &'a str {
    let source = node.document().input_text();
    let tag = source.get(node.range().start + 1..).unwrap_or_default();
    let end = tag
        .find(|letter: char| letter.is_ascii_whitespace() || letter == '/' || letter == '>')
        .unwrap_or(tag.len());
    &tag[..end]
}

impl Writer<'_> {
    /// Depth is bounded where documents are read. `rendered` are the
    /// namespaces that the elements around have told.
    fn element(&mut self, node: Node<'_, '_>, rendered: &BTreeMap<String, String>) {
        let name = qualified_name(node);
        let source = node.document().input_text();
        let mut attributes: Vec<_> = node
            .attributes()
            .map(|attribute| {
                let written = source.get(attribute.range_qname()).unwrap_or_default();
                let sorted_by = (attribute.namespace().unwrap_or_default(), attribute.name());
                (sorted_by, written, attribute.value())
            })
            .collect();
        attributes.sort_unstable_by_key(|(sorted_by, ..)| *sorted_by);

        let used = attributes
            .iter()
            .map(|(_, written, _)| prefix_of(written))
            .filter(|prefix| !prefix.is_empty())
            .chain([prefix_of(name)]);
        let listed = self
            .inclusive
            .iter()
            .map(|prefix| if *prefix == "#default" { "" } else { prefix });
        let mut in_scope = rendered.clone();
        let mut told: BTreeMap<&str, &str> = BTreeMap::new();
        for prefix in used.chain(listed).filter(|prefix| *prefix != "xml") {
            let wanted = (!prefix.is_empty()).then_some(prefix);
            let found = node.lookup_namespace_uri(wanted);
            if found.is_none() && !prefix.is_empty() {
                continue;
            }
            let uri = found.unwrap_or_default();
            if rendered.get(prefix).map_or("", String::as_str) != uri {
                told.insert(prefix, uri);
                in_scope.insert(prefix.to_owned(), uri.to_owned());
            }
        }

        self.out.push('<');
        self.out.push_str(name);
        for (prefix, uri) in told {
            self.out
                .push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
            self.out.push_str(prefix);
            self.value(uri);
        }
        for (_, written, value) in attributes {
            self.out.push(' ');
            self.out.push_str(written);
            self.value(value);
        }
        self.out.push('>');
        let left_out = self.left_out;
        for child in node.children().filter(|child| Some(child.id()) != left_out) {
            match child.node_type() {
                NodeType::Element => self.element(child, &in_scope),
                NodeType::Text => self.text(child.text().unwrap_or_default()),
                NodeType::Comment | NodeType::PI | NodeType::Root => {}
            }
        }
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    fn value(&mut self, value: &str) {
        self.out.push_str("=\"");
        for letter in value.chars() {
            match letter {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '"' => self.out.push_str("&quot;"),
                '\t' => self.out.push_str("&#x9;"),
                '\n' => self.out.push_str("&#xA;"),
                '\r' => self.out.push_str("&#xD;"),
                letter => self.out.push(letter),
            }
        }
        self.out.push('"');
    }

    fn text(&mut self, text: &str) {
        for letter in text.chars() {
            match letter {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '\r' => self.out.push_str("&#xD;"),
                letter => self.out.push(letter),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::xml::parse;

    use super::*;

    fn of(text: &str, name: &str, inclusive: &[&str]) -> String {
        let document = parse(text).unwrap();
        let apex = document
            .descendants()
            .find(|node| node.tag_name().name() == name)
            .unwrap();
        String::from_utf8(canonical(apex, None, inclusive)).unwrap()
    }

    /// The specification's own examples (sections 2.1 and 2.2): the same
    /// element in two surroundings has one canonical form.
    #[test]
    fn surroundings_do_not_matter() {
        let alone = "<n1:elem1 xmlns:n1=\"http://b.example\">\n  content\n</n1:elem1>";
        let within = "<n0:pdu xmlns:n0=\"http://a.example\">\n<n1:elem1 xmlns:n1=\"http://b.example\">\n  content\n\
            </n1:elem1>\n</n0:pdu>";
        assert_eq!(of(alone, "elem1", &[]), alone);
        assert_eq!(of(within, "elem1", &[]), alone);

        let first = "<n0:local xmlns:n0=\"foo:bar\" xmlns:n3=\"ftp://example.org\"><n1:elem2 \
            xmlns:n1=\"http://example.net\" xml:lang=\"en\"><n3:stuff xmlns:n3=\"ftp://example.org\"/></n1:elem2></n0:local>";
        let second = "<n2:pdu xmlns:n1=\"http://example.com\" xmlns:n2=\"http://foo.example\" \
            xml:lang=\"fr\" xml:space=\"retain\"><n1:elem2 xmlns:n1=\"http://example.net\" xml:lang=\"en\"><n3:stuff \
            xmlns:n3=\"ftp://example.org\"/></n1:elem2></n2:pdu>";
        let expected = "<n1:elem2 xmlns:n1=\"http://example.net\" xml:lang=\"en\"><n3:stuff \
            xmlns:n3=\"ftp://example.org\"></n3:stuff></n1:elem2>";
        assert_eq!(of(first, "elem2", &[]), expected);
        assert_eq!(of(second, "elem2", &[]), expected);
    }

    /// Canonical XML 1.0, examples 3.2 to 3.4, as far as there is no DTD.
    #[test]
    fn white_space_tags_and_letters_follow_the_examples() {
        let tags = "<doc><e1   /><e2   ></e2><e3   name = \"elem3\"   id=\"elem3\"   />\
            <e5 a:attr=\"out\" b:attr=\"sorted\" attr2=\"all\" attr=\"I'm\" xmlns:b=\"http://www.ietf.org\" \
            xmlns:a=\"http://www.w3.org\" xmlns=\"http://example.org\"/><e6 xmlns=\"\" \
            xmlns:a=\"http://www.w3.org\"><e7 xmlns=\"http://www.ietf.org\"><e8 xmlns=\"\" \
            xmlns:a=\"http://www.w3.org\"><e9 xmlns=\"\" xmlns:a=\"http://www.ietf.org\" a:x=\"1\"/></e8></e7></e6></doc>";
        assert_eq!(
            of(tags, "doc", &[]),
            "<doc><e1></e1><e2></e2><e3 id=\"elem3\" name=\"elem3\"></e3>\
            <e5 xmlns=\"http://example.org\" xmlns:a=\"http://www.w3.org\" xmlns:b=\"http://www.ietf.org\" \
            attr=\"I'm\" attr2=\"all\" b:attr=\"sorted\" a:attr=\"out\"></e5><e6><e7 xmlns=\"http://www.ietf.org\">\
            <e8 xmlns=\"\"><e9 xmlns:a=\"http://www.ietf.org\" a:x=\"1\"></e9></e8></e7></e6></doc>"
        );
        let letters = "<doc><text>First line&#x0d;&#10;Second line</text><value>&#x32;</value>\
            <compute><![CDATA[value>\"0\" && value<\"10\" ?\"valid\":\"error\"]]></compute>\
            <compute expr='value>\"0\" &amp;&amp; value&lt;\"10\" ?\"valid\":\"error\"'>valid</compute>\
            <norm attr=' &apos;   &#x20;&#13;&#xa;&#9;   &apos; '/></doc>";
        assert_eq!(
            of(letters, "doc", &[]),
            "<doc><text>First line&#xD;\nSecond line</text><value>2</value>\
            <compute>value&gt;\"0\" &amp;&amp; value&lt;\"10\" ?\"valid\":\"error\"</compute>\
            <compute expr=\"value>&quot;0&quot; &amp;&amp; value&lt;&quot;10&quot; ?&quot;valid&quot;:&quot;error&quot;\">\
            valid</compute><norm attr=\" '    &#xD;&#xA;&#x9;   ' \"></norm></doc>"
        );
        assert_eq!(of("<a>x<!-- y -->z</a>", "a", &[]), "<a>xz</a>");
    }

    #[test]
    fn listed_prefixes_are_told_where_they_begin_to_mean_something() {
        let text = "<o xmlns:xs=\"urn:x\" xmlns=\"urn:d\"><p:i xmlns:p=\"urn:p\"><p:j/></p:i></o>";
        assert_eq!(of(text, "i", &[]), "<p:i xmlns:p=\"urn:p\"><p:j></p:j></p:i>");
        assert_eq!(
            of(text, "i", &["xs", "#default", "unknown"]),
            "<p:i xmlns=\"urn:d\" xmlns:p=\"urn:p\" xmlns:xs=\"urn:x\"><p:j></p:j></p:i>"
        );
    }

    #[test]
    fn one_element_may_be_left_out() {
        let document = parse("<a>1<b>2</b>3</a>").unwrap();
        let root = document.root_element();
        let left_out = root.first_element_child().map(|child| child.id());
        assert_eq!(canonical(root, left_out, &[]), b"<a>13</a>");
    }
}

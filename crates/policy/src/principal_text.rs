//! Replaces principals within the text of a policy and touches nothing else:
//! services keep a policy byte for byte, and show who the principals it names
//! are today.
//!
//! The text was accepted by the policy reader before, so it is JSON; whatever
//! is not is copied as it stands.

use std::collections::BTreeMap;

/// `text` with every string inside a `Principal` or `NotPrincipal` element that
/// is a key of `replaced` exchanged for its value.
pub fn replace_principals(text: &str, replaced: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut depth = 0usize;
    // The depth at which the Principal element stands, while inside of it.
    let mut inside: Option<usize> = None;
    let mut rest = text;
    while let Some(at) = rest.find(['"', '{', '}', '[', ']', ',']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if !rest.starts_with('"') {
            let mark = rest.as_bytes()[0];
            match mark {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            // The element ends with the comma or bracket behind it.
            if matches!(mark, b',' | b'}' | b']')
                && inside.is_some_and(|start| depth < start || (mark == b',' && depth == start))
            {
                inside = None;
            }
            out.push(char::from(mark));
            rest = &rest[1..];
            continue;
        }
        let length = string_length(rest);
        let (token, behind) = rest.split_at(length);
        let is_key = behind.trim_start().starts_with(':');
        let value = serde_json::from_str::<String>(token).unwrap_or_default();
        if is_key && inside.is_none() && matches!(value.as_str(), "Principal" | "NotPrincipal") {
            inside = Some(depth);
        }
        match replaced.get(&value) {
            Some(other) if inside.is_some() && !is_key => {
                out.push('"');
                out.push_str(other);
                out.push('"');
            }
            _ => out.push_str(token),
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Bytes of the JSON string that `text` begins with, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLD: &str = "arn:aws:iam::123456789012:user/bob";

    fn replaced() -> BTreeMap<String, String> {
        BTreeMap::from([(OLD.to_owned(), "AIDAEXAMPLE".to_owned())])
    }

    #[test]
    fn only_principals_are_replaced() {
        let text = format!(
            r#"{{ "Statement": [ {{"Sid":"{OLD}","Principal" : {{ "AWS" : [ "{OLD}", "x" ] }},
            "Condition":{{"ArnEquals":{{"aws:PrincipalArn":"{OLD}"}}}},"Effect":"Allow"}},
            {{"Principal":{{"AWS":"arn:aws:iam:\u003a123456789012:user/bob"}},"Action":"{OLD}"}} ] }}"#
        );
        let wanted = format!(
            r#"{{ "Statement": [ {{"Sid":"{OLD}","Principal" : {{ "AWS" : [ "AIDAEXAMPLE", "x" ] }},
            "Condition":{{"ArnEquals":{{"aws:PrincipalArn":"{OLD}"}}}},"Effect":"Allow"}},
            {{"Principal":{{"AWS":"AIDAEXAMPLE"}},"Action":"{OLD}"}} ] }}"#
        );
        assert_eq!(replace_principals(&text, &replaced()), wanted);
    }

    #[test]
    fn an_element_behind_a_lone_star_is_not_a_principal() {
        let text = format!(r#"{{"Statement":{{"Principal":"*","Sid":"{OLD}"}}}}"#);
        assert_eq!(replace_principals(&text, &replaced()), text);
    }

    proptest! {
        /// Whatever the text, nothing is lost when there is nothing to replace.
        #[test]
        fn anything_is_copied(text in "[\\PC\"{}:,\\[\\]\\\\]{0,60}") {
            prop_assert_eq!(replace_principals(&text, &BTreeMap::new()), text);
        }
    }
}

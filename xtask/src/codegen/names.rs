//! Rust's spellings of the model's names.

/// `KeyId` → `key_id`, `SSEAlgorithm` → `sse_algorithm`, `type` → `r#type`.
pub(crate) fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut spelled = String::new();
    for (at, letter) in letters.iter().enumerate() {
        if !letter.is_ascii_alphanumeric() {
            spelled.push('_');
            continue;
        }
        if letter.is_ascii_uppercase() && at > 0 {
            let before = letters[at - 1];
            let next_is_lower = letters.get(at + 1).is_some_and(char::is_ascii_lowercase);
            let starts_word = before.is_ascii_lowercase()
                || before.is_ascii_digit()
                || (before.is_ascii_uppercase() && next_is_lower);
            if starts_word && !spelled.ends_with('_') {
                spelled.push('_');
            }
        }
        spelled.push(letter.to_ascii_lowercase());
    }
    const KEYWORDS: &[&str] = &[
        "as", "async", "await", "break", "const", "continue", "dyn", "else", "enum", "extern", "false", "fn",
        "for", "gen", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "override", "pub",
        "ref", "return", "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe", "use",
        "where", "while", "yield",
    ];
    if KEYWORDS.contains(&spelled.as_str()) {
        format!("r#{spelled}")
    } else {
        spelled
    }
}

/// `keyIdType` → `KEY_ID_TYPE`.
pub(crate) fn screaming(name: &str) -> String {
    snake(name).trim_start_matches("r#").to_ascii_uppercase()
}

/// `statusType` → `StatusType`.
pub(crate) fn pascal(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_ascii_uppercase().to_string() + letters.as_str()
    })
}

/// A value of an enumeration: `RSA_2048` → `Rsa2048`, `aws:kms` → `AwsKms`, `2.0` → `V20`.
pub(crate) fn variant(value: &str) -> String {
    let mut spelled = String::new();
    for word in value
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        let shouting = word.chars().all(|letter| !letter.is_ascii_lowercase());
        let mut letters = word.chars();
        if let Some(first) = letters.next() {
            spelled.push(first.to_ascii_uppercase());
            let rest = letters.as_str();
            spelled.push_str(&if shouting {
                rest.to_ascii_lowercase()
            } else {
                rest.to_owned()
            });
        }
    }
    if spelled.is_empty() {
        return "Empty".to_owned();
    }
    match spelled.as_str() {
        "Self" => "Self_".to_owned(),
        _ if spelled.starts_with(|first: char| first.is_ascii_digit()) => format!("V{spelled}"),
        _ => spelled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_names_as_rust_does() {
        assert_eq!(snake("KeyId"), "key_id");
        assert_eq!(snake("SSEKMSKeyId"), "ssekms_key_id");
        assert_eq!(snake("SAMLMetadataDocument"), "saml_metadata_document");
        assert_eq!(snake("MFADevices"), "mfa_devices");
        assert_eq!(snake("Type"), "r#type");
        assert_eq!(screaming("existingUserNameType"), "EXISTING_USER_NAME_TYPE");
        assert_eq!(variant("RSA_2048"), "Rsa2048");
        assert_eq!(variant("SYMMETRIC_DEFAULT"), "SymmetricDefault");
        assert_eq!(variant("aws:kms"), "AwsKms");
        assert_eq!(variant("ForceDelete"), "ForceDelete");
        assert_eq!(variant("2012-10-17"), "V20121017");
    }
}

//! Which key of KMS becomes of which key of a file, and what is told of it.

use bridge::exports::{Found, Usage, Version};
use crypto::key::KeySpec;
use serde_json::{Value, json};

/// A key to be made.
pub(crate) struct Plan {
    pub(crate) row: Row,
    pub(crate) spec: KeySpec,
    pub(crate) usage: Usage,
    /// At least one; several for symmetric encryption alone, where KMS keeps the
    /// old ones to decrypt.
    pub(crate) versions: Vec<Version>,
    /// What the file fixes beside; the parts of a seed.
    pub(crate) fixed: Option<bridge::exports::Fixed>,
}

/// What is told of a key.
pub(crate) struct Row {
    /// As the file calls it.
    pub(crate) name: String,
    pub(crate) versions: String,
    pub(crate) kind: String,
    pub(crate) alias: String,
    pub(crate) state: State,
    pub(crate) key_id: Option<String>,
}

/// What became of a key.
pub(crate) enum State {
    /// Nothing yet.
    Planned,
    /// It was brought in.
    Imported,
    /// All of it was there.
    AlreadyThere,
    /// It stands in the seed.
    Written,
    /// Why not.
    Refused(String),
}

impl State {
    pub(crate) fn text(&self) -> &'static str {
        match self {
            State::Planned => "would be imported",
            State::Imported => "imported",
            State::AlreadyThere => "already there",
            State::Written => "written",
            State::Refused(_) => "REFUSED",
        }
    }
}

impl Row {
    /// For `--json`.
    pub(crate) fn json(&self) -> Value {
        json!({
            "name": self.name,
            "versions": self.versions,
            "kind": self.kind,
            "alias": self.alias,
            "keyId": self.key_id,
            "state": self.state.text(),
            "reason": self.reason(),
        })
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        match &self.state {
            State::Refused(reason) => Some(reason),
            _ => None,
        }
    }

    /// The same, with what became of it.
    pub(crate) fn became(mut self, state: State) -> Row {
        self.state = state;
        self
    }
}

impl Row {
    /// Of a file that cannot be read, so that nobody knows which keys are in it.
    pub(crate) fn of_unread(file: String, reason: String) -> Row {
        Row {
            name: file,
            versions: String::new(),
            kind: String::new(),
            alias: String::new(),
            state: State::Refused(reason),
            key_id: None,
        }
    }
}

/// Characters of an alias (KMS API Reference, CreateAlias, `AliasName`).
const ALIAS_CHARACTERS_MAX: usize = 256;

/// What is to be made of a key of a file: one key, or one of each version where
/// a key of KMS has but one material. `prefix` stands before the names.
pub(crate) fn plan(found: Found, prefix: &str) -> Result<Vec<Plan>, Box<Row>> {
    let name = found.name;
    let row = |alias: String| Row {
        name: name.clone(),
        versions: String::new(),
        kind: String::new(),
        alias,
        state: State::Planned,
        key_id: None,
    };
    let alias = format!("alias/{prefix}{name}");
    let key = match found.key {
        Ok(key) => key,
        Err(reason) => return Err(Box::new(row(String::new()).became(State::Refused(reason)))),
    };
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-');
    // A version's ending must have room.
    if alias.len() + 12 > ALIAS_CHARACTERS_MAX
        || !alias.bytes().all(letter)
        || alias.starts_with("alias/aws/")
    {
        let reason = "its name cannot be that of an alias: say --name";
        return Err(Box::new(
            row(String::new()).became(State::Refused(reason.to_owned())),
        ));
    }
    let kind = format!("{} {}", key.spec, key.usage.as_str());
    let together = key.spec == KeySpec::SymmetricDefault || key.versions.len() == 1;
    if together {
        // A seed makes the aliases of the file, and no other.
        let alias = key.fixed.as_ref().map_or(alias, |fixed| fixed.aliases.join(","));
        let numbers: Vec<String> = key
            .versions
            .iter()
            .map(|version| version.number.to_string())
            .collect();
        let row = Row {
            versions: numbers.join(","),
            kind,
            ..row(alias)
        };
        return Ok(vec![Plan {
            row,
            spec: key.spec,
            usage: key.usage,
            versions: key.versions,
            fixed: key.fixed,
        }]);
    }
    let newest = key.versions.last().map(|version| version.number);
    let plans = key.versions.into_iter().map(|version| {
        let alias = match Some(version.number) == newest {
            true => alias.clone(),
            false => format!("{alias}-v{}", version.number),
        };
        let row = Row {
            versions: version.number.to_string(),
            kind: kind.clone(),
            ..row(alias)
        };
        Plan {
            row,
            spec: key.spec,
            usage: key.usage,
            versions: vec![version],
            fixed: None,
        }
    });
    Ok(plans.collect())
}

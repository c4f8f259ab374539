//! The rules of the house that neither compiler nor clippy knows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::codegen::names::snake;

/// The floors, lowest first: a crate may depend on floors below its own, and
/// within a floor only where `SAME_FLOOR` says so. `api/*` counts as generated.
const FLOORS: &[(&str, &[&str])] = &[
    ("ground", &["ground"]),
    ("shape", &["shape"]),
    ("pure", &["bridge", "crypto", "federation", "policy", "wire"]),
    ("foreign", &["cloudhsm"]),
    ("keeping", &["store", "journal", "outbound"]),
    ("door", &["gate"]),
    ("services", &["iam", "kms", "organizations"]),
    ("roof", &["palisade"]),
];

/// Arrows between neighbours that are wanted, and why.
const SAME_FLOOR: &[(&str, &str)] = &[
    // Signatures are cryptography, and `crypto` alone meets a provider.
    ("wire", "crypto"),
    ("federation", "crypto"),
    ("bridge", "crypto"),
];

/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &["common", "core", "helpers", "misc", "util", "utils"];

/// Lines beyond which a file most likely holds two ideas.
const FILE_LINES_MAX: usize = 800;

/// Checks everything and reports all that is wrong.
#[expect(clippy::print_stdout, reason = "a build tool reports")]
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut wrong = Vec::new();
    arrows(root, &mut wrong)?;
    files(root, &mut wrong)?;
    operations(root, &mut wrong)?;
    changelog(root, &mut wrong)?;
    if !wrong.is_empty() {
        bail!("the house is not in order:\n  {}", wrong.join("\n  "));
    }
    println!("the house is in order");
    Ok(())
}

/// Each change has a number of its own: `NNNN-name.md`.
fn changelog(root: &Path, wrong: &mut Vec<String>) -> Result<()> {
    let entries = std::fs::read_dir(root.join("changelog"))?.collect::<std::io::Result<Vec<_>>>()?;
    let mut names: Vec<String> = entries.iter().map(|entry| file_name(&entry.path())).collect();
    names.sort();
    wrong.extend(numbering(&names));
    Ok(())
}

/// What is wrong with the names of changelog files.
fn numbering(names: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for name in names {
        let number = name.split_once('-').map(|(number, _)| number);
        let Some(number) = number.filter(|it| it.len() == 4 && it.bytes().all(|byte| byte.is_ascii_digit()))
        else {
            wrong.push(format!("changelog/{name} is not named NNNN-name.md"));
            continue;
        };
        if let Some(other) = taken.insert(number, name) {
            wrong.push(format!("changelog/{name} and changelog/{other} have one number"));
        }
    }
    wrong
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    dependencies: toml::Table,
}

/// Arrows point down only.
fn arrows(root: &Path, wrong: &mut Vec<String>) -> Result<()> {
    let floor = |name: &str| FLOORS.iter().position(|(_, crates)| crates.contains(&name));
    for directory in directories(&root.join("crates"))? {
        let name = file_name(&directory);
        if name == "testkit" {
            continue;
        }
        let Some(own) = floor(&name) else {
            wrong.push(format!(
                "crate {name} has no floor; give it one in xtask/src/check.rs"
            ));
            continue;
        };
        let manifest: Manifest = toml::from_str(&read(&directory.join("Cargo.toml"))?)?;
        for dependency in manifest.dependencies.keys() {
            if dependency == "testkit" {
                wrong.push(format!("{name} links testkit, which is for tests only"));
            }
            let Some(other) = floor(dependency) else { continue };
            let neighbours = SAME_FLOOR.contains(&(name.as_str(), dependency.as_str()));
            // The journal is hashed, so it needs the floor below like everyone else.
            if other > own || (other == own && !neighbours) {
                wrong.push(format!("{name} depends on {dependency}: arrows point down only"));
            }
        }
    }
    Ok(())
}

/// Names and sizes of files.
fn files(root: &Path, wrong: &mut Vec<String>) -> Result<()> {
    for file in sources(&root.join("crates"))?
        .into_iter()
        .chain(sources(&root.join("xtask"))?)
    {
        let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        let stem = file
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        if EMPTY_NAMES.contains(&stem.as_str()) {
            wrong.push(format!("{shown}: the name says nothing"));
        }
        let lines = read(&file)?.lines().count();
        if lines > FILE_LINES_MAX && !shown.contains("/tests/") {
            wrong.push(format!(
                "{shown}: {lines} lines; give the second idea its own file"
            ));
        }
    }
    Ok(())
}

/// Every operation file is registered, and no member of its input is ignored:
/// it is named in the file, or destructured, or listed as refused.
fn operations(root: &Path, wrong: &mut Vec<String>) -> Result<()> {
    for service in ["kms", "iam", "organizations", "sts"] {
        let types = read(&root.join("api").join(service).join("src/types.rs"))?;
        let home = if service == "sts" { "iam" } else { service };
        let source = root.join("crates").join(home).join("src");
        let mut all = String::new();
        for file in sources(&source)? {
            all.push_str(&read(&file)?);
        }
        for line in read(&root.join("api").join(service).join("src/operations.rs"))?.lines() {
            let Some(operation) = line
                .strip_prefix("pub struct ")
                .and_then(|rest| rest.strip_suffix(';'))
            else {
                continue;
            };
            let row = format!("::{operation}>(");
            if !all
                .lines()
                .any(|line| line.contains(".on::<") && line.contains(&row))
            {
                continue;
            }
            let handler = snake(operation);
            let Some(body) = function(&source, &handler)? else {
                wrong.push(format!(
                    "{service}: {operation} is registered but {handler} is not found"
                ));
                continue;
            };
            for member in members(&types, operation) {
                let used = body.contains(&format!(".{member}")) || body.contains(&format!(" {member}"));
                if !used && !all.contains(&format!("\"{operation}\", \"{}\"", pascal(&member))) {
                    wrong.push(format!("{service}: {operation} ignores its input's {member}"));
                }
            }
        }
    }
    Ok(())
}

/// The text of the file that defines `async fn name(`.
fn function(source: &Path, name: &str) -> Result<Option<String>> {
    for file in sources(source)? {
        let text = read(&file)?;
        if text.contains(&format!("async fn {name}(")) {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// The fields of an operation's input.
fn members(types: &str, operation: &str) -> Vec<String> {
    let Some((_, rest)) = types.split_once(&format!("pub struct {operation}Input {{\n")) else {
        return Vec::new();
    };
    let body = rest.split_once("\n}").map_or(rest, |(body, _)| body);
    body.lines()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("pub ")?
                .split(':')
                .next()
                .map(str::to_owned)
        })
        .collect()
}

/// `key_id` → `KeyId`: good enough to look a member up in a list of refusals.
fn pascal(member: &str) -> String {
    member
        .trim_start_matches("r#")
        .split('_')
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_ascii_uppercase().to_string() + letters.as_str()
            })
        })
        .collect()
}

/// Every Rust file below a directory.
fn sources(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in
            std::fs::read_dir(&directory).with_context(|| format!("listing {}", directory.display()))?
        {
            let path = entry?.path();
            if path.is_dir() && file_name(&path) != "target" {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn directories(parent: &Path) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(parent)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    Ok(found)
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "a build tool reads files")]
fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_have_numbers_of_their_own() {
        let wrong = |names: &[&str]| numbering(&names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        assert!(wrong(&["0001-a.md", "0002-a.md"]).is_empty());
        assert_eq!(
            wrong(&["0001-a.md", "0001-b.md"]),
            ["changelog/0001-b.md and changelog/0001-a.md have one number"]
        );
        assert_eq!(wrong(&["001-a.md", "x.md"]).len(), 2);
    }
}

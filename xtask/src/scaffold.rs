//! New operations and services with everything in its place.
//!
//! A new operation does not compile until somebody has said what it does: the
//! template ends in a `compile_error!`, never in an answer.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::codegen::names::snake;

/// Adds one operation to a service's crate.
pub(crate) fn operation(root: &Path, service: &str, operation: &str) -> Result<()> {
    let crate_root = root.join("crates").join(service);
    ensure!(
        crate_root.is_dir(),
        "there is no crate {service}; `cargo xtask service {service}` makes one"
    );
    let shapes = read(&root.join("api").join(service).join("src/operations.rs"))?;
    ensure!(
        shapes.contains(&format!("pub struct {operation};")),
        "the API of {service} has no operation {operation}"
    );
    let module = snake(operation);
    let file = crate_root.join("src/ops").join(format!("{module}.rs"));
    ensure!(!file.exists(), "{} exists already", file.display());

    let state = state_type(service);
    let output = if shapes.contains(&format!("type Output = types::{operation}Output;")) {
        format!("{service}_api::{operation}Output")
    } else {
        "shape::Unit".to_owned()
    };
    write(
        &file,
        &format!(
            "//! `{operation}`.\n\nuse gate::Cx;\nuse {service}_api::{operation}Input;\n\nuse crate::{state};\n\
             use crate::error::Error;\n\ncompile_error!(\"say what {operation} does: parse, find, authorize, decide, \
             write, answer\");\n\n/// Handles `{operation}`.\npub async fn {module}(_{service}: &{state}, cx: &Cx, \
             input: {operation}Input) -> Result<{output}, Error> {{\n}}\n"
        ),
    )?;
    let list = [crate_root.join("src/ops.rs"), crate_root.join("src/ops/mod.rs")];
    let list = list
        .iter()
        .find(|path| path.exists())
        .context("the crate has no list of its operations")?;
    insert_sorted(list, "pub mod ", &format!("pub mod {module};"))?;
    add_row(&crate_root.join("src/lib.rs"), operation, &module)
}

/// Adds the row behind the last one of the table, spelled as that one is: the
/// table's author moves it where it reads best.
fn add_row(path: &Path, operation: &str, module: &str) -> Result<()> {
    let text = read(path)?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let last = lines.iter().rposition(|line| line.contains(".on::<"));
    let (at, before) = match last {
        Some(last) => (
            last + 1,
            lines[last]
                .split("::<")
                .nth(1)
                .and_then(|rest| rest.split("::").next()),
        ),
        None => (
            lines
                .iter()
                .position(|line| line.trim() == ".done()")
                .context("there is no table")?,
            None,
        ),
    };
    let api = before.unwrap_or("api").to_owned();
    lines.insert(
        at,
        format!("        .on::<{api}::{operation}>(ops::{module}::{module})"),
    );
    write(path, &(lines.join("\n") + "\n"))
}

/// Adds a service's API and crate.
pub(crate) fn service(root: &Path, name: &str) -> Result<()> {
    let crate_root = root.join("crates").join(name);
    ensure!(!crate_root.exists(), "{} exists already", crate_root.display());
    let config = root.join("xtask/codegen.toml");
    let text = read(&config)?;
    if !text.contains(&format!("name = \"{name}\"")) {
        write(
            &config,
            &format!("{text}\n[[service]]\nname = \"{name}\"\nmodel = \"{name}\"\n"),
        )?;
    }
    crate::codegen::run(root, false)?;

    let manifest = root.join("Cargo.toml");
    let api = format!("{name}-api = {{ path = \"api/{name}\" }}");
    if !read(&manifest)?.contains(&api) {
        insert_sorted(&manifest, "-api = { path", &api)?;
    }
    insert_sorted(
        &manifest,
        " = { path = \"crates/",
        &format!("{name} = {{ path = \"crates/{name}\" }}"),
    )?;
    let state = state_type(name);
    let rooms = [
        ("Cargo.toml", manifest_of(name)),
        (
            "src/lib.rs",
            format!(
                "//! The {name} service.\n//!\n//! Say here what it promises and what is absent by design.\n\n\
                 pub mod access;\npub mod error;\npub mod limits;\npub mod model;\npub mod ops;\npub mod store;\n\n\
                 /// What the handlers share.\npub struct {state};\n\n/// The table of operations.\npub fn service() -> \
                 gate::Service {{\n    use {name}_api as api;\n\n    gate::Table::new(&api::SERVICE, {state})\n        \
                 .done()\n}}\n"
            ),
        ),
        (
            "src/access.rs",
            "//! From inputs to permissions: ARNs, resource policies, condition keys.\n".to_owned(),
        ),
        (
            "src/error.rs",
            "//! What can go wrong, and how AWS calls it.\n".to_owned(),
        ),
        (
            "src/limits.rs",
            "//! Every limit of the service, with its source.\n".to_owned(),
        ),
        (
            "src/model.rs",
            "//! The nouns and their state machines, without I/O.\n".to_owned(),
        ),
        (
            "src/ops/mod.rs",
            "//! The operations, one file each.\n".to_owned(),
        ),
        (
            "src/store.rs",
            "//! The tables and the functions that read and write them.\n".to_owned(),
        ),
    ];
    for (path, text) in rooms {
        write(&crate_root.join(path), &text)?;
    }
    Ok(())
}

fn manifest_of(name: &str) -> String {
    format!(
        "[package]\nname = \"{name}\"\ndescription = \"The {name} service\"\nversion.workspace = true\n\
         edition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n\n\
         [lints]\nworkspace = true\n\n[dependencies]\ngate.workspace = true\nground.workspace = true\n\
         {name}-api.workspace = true\nserde.workspace = true\nshape.workspace = true\nstore.workspace = true\n\
         thiserror.workspace = true\n"
    )
}

/// The type that a service's handlers share: `kms` → `Kms`.
fn state_type(service: &str) -> String {
    let mut letters = service.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_ascii_uppercase().to_string() + letters.as_str()
    })
}

/// Puts a line among those that contain `like`, in their order.
fn insert_sorted(path: &Path, like: &str, line: &str) -> Result<()> {
    let text = read(path)?;
    let mut lines: Vec<&str> = text.lines().collect();
    let kin: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].contains(like)).collect();
    let at = match (kin.iter().find(|at| lines[**at].trim() > line.trim()), kin.last()) {
        (Some(at), _) => *at,
        (None, Some(last)) => last + 1,
        // The first of its kind: before the end of the table, or at the end of the file.
        (None, None) => lines
            .iter()
            .position(|line| line.trim() == ".done()")
            .unwrap_or(lines.len()),
    };
    lines.insert(at, line);
    write(path, &(lines.join("\n") + "\n"))
}

#[expect(clippy::disallowed_methods, reason = "a build tool reads files")]
fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a build tool writes files and says so"
)]
fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::create_dir_all(path.parent().context("a file has a directory")?)?;
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}

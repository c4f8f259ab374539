//! The form of a backup: a directory with a copy of every file of a data
//! directory, the store as it stood at one moment, and a manifest.
//!
//! `MANIFEST` is written last. Its first line is JSON: the version of this
//! form, and every file with its length and SHA-256; the second line is the
//! SHA-256 of the first. So a copy that was cut off has no manifest, and a
//! byte that changed anywhere is found.
//!
//! The sums find accidents, not enemies: who may write the backup may write
//! the manifest. Against those stand the seals of rows and journal.
//!
//! Absent by design: symbolic links and special files, which are refused;
//! encryption, since rows and key slots are sealed as they are in the store.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use crypto::Sha256;
use ground::Timestamp;
use serde::{Deserialize, Serialize};

use crate::files;

/// The manifest's name.
const MANIFEST: &str = "MANIFEST";

/// The form that this release writes, and the newest that it reads.
const FORM: u32 = 1;

/// Longest manifest read, in bytes: about a hundred thousand files.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;

/// Directories inside directories that are walked; a data directory has one.
const DEPTH_MAX: usize = 8;

/// Bytes copied between two words of progress.
const PROGRESS_BYTES: u64 = 256 << 20;

/// What a backup says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// [`FORM`]
    form: u32,
    /// The release that made it.
    pub(crate) made_by: String,
    /// When.
    pub(crate) made_at: Timestamp,
    /// Records in the journal.
    pub(crate) records: u64,
    /// Every other file, by its path inside the backup.
    files: BTreeMap<String, Sum>,
}

/// A file's length and digest.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sum {
    bytes: u64,
    sha256: String,
}

impl Manifest {
    /// Sums every file in `directory` and writes the manifest.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or the manifest cannot be written.
    pub(crate) fn write(directory: &Path, records: u64, now: Timestamp) -> Result<Manifest> {
        let mut sums = BTreeMap::new();
        for name in regular_files(directory)? {
            let path = directory.join(&name);
            sums.insert(name, sum(&path)?);
        }
        let manifest = Manifest {
            form: FORM,
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
            made_at: now,
            records,
            files: sums,
        };
        let text = serde_json::to_string(&manifest)?;
        let text = format!("{text}\n{}\n", hex(&crypto::sha256(&[text.as_bytes()])));
        files::write_private(&directory.join(MANIFEST), text.as_bytes())?;
        Ok(manifest)
    }

    /// Reads the manifest of a backup.
    ///
    /// # Errors
    ///
    /// If there is none, if it was changed, or if a newer release made it.
    pub(crate) fn read(directory: &Path) -> Result<Manifest> {
        let path = directory.join(MANIFEST);
        let length = fs::symlink_metadata(&path)
            .with_context(|| {
                format!(
                    "{} is no whole backup: it has no {MANIFEST}, which is written last",
                    directory.display()
                )
            })?
            .len();
        ensure!(
            length <= MANIFEST_BYTES_MAX,
            "{} is longer than {MANIFEST_BYTES_MAX} bytes",
            path.display()
        );
        let text = String::from_utf8(read_whole(&path)?);
        let text = text.with_context(|| format!("{} was changed: it is not text", path.display()))?;
        let (json, digest) = text.split_once('\n').unwrap_or((&text, ""));
        ensure!(
            digest.strip_suffix('\n') == Some(hex(&crypto::sha256(&[json.as_bytes()])).as_str()),
            "{} was changed: its own sum does not fit",
            path.display()
        );
        #[derive(Deserialize)]
        struct Form {
            form: u32,
        }
        let Form { form } = serde_json::from_str(json)?;
        ensure!(
            form <= FORM,
            "{} was made by a newer release (form {form}, known up to {FORM})",
            directory.display()
        );
        serde_json::from_str(json).with_context(|| format!("{} cannot be read", path.display()))
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.values().map(|sum| sum.bytes).sum()
    }

    /// Copies the files of a backup to `to`, each held to its sum.
    ///
    /// # Errors
    ///
    /// If a file is missing, superfluous, or not as it was.
    pub(crate) fn copy_out(&self, from: &Path, to: &Path, progress: &dyn Fn(u64)) -> Result<()> {
        for name in regular_files(from)? {
            ensure!(
                name == MANIFEST || self.files.contains_key(&name),
                "{} is not of this backup",
                from.join(name).display()
            );
        }
        let mut copier = Copier::new(progress);
        for (name, wanted) in &self.files {
            ensure!(
                is_plain(name),
                "the manifest names {name:?}, which leads out of the backup"
            );
            let source = from.join(name);
            let copied = copier.copy(&source, &to.join(name))?;
            ensure!(
                copied == *wanted,
                "{} was changed: its sum does not fit the manifest",
                source.display()
            );
        }
        sync_directories(to)
    }
}

/// Copies every regular file below `from` but those called `except`.
///
/// # Errors
///
/// If a file cannot be copied, or is no regular file.
pub(crate) fn copy_in(from: &Path, to: &Path, except: &str, progress: &dyn Fn(u64)) -> Result<()> {
    let mut copier = Copier::new(progress);
    for name in regular_files(from)? {
        if name != except {
            copier.copy(&from.join(&name), &to.join(&name))?;
        }
    }
    Ok(())
}

/// Makes everything below a directory outlive a loss of power, then gives the
/// directory its name. From then on it is there, and before it is not.
///
/// # Errors
///
/// If the name is taken by anything but an empty directory.
pub(crate) fn publish(partial: &Path, name: &Path) -> Result<()> {
    sync_directories(partial)?;
    fs::rename(partial, name)
        .with_context(|| format!("{} cannot become {}", partial.display(), name.display()))?;
    sync(parent_of(name))
}

/// A fresh directory beside `name` to be [`publish`]ed under it.
///
/// # Errors
///
/// If `name` is taken, or something was left there by a command that was cut off.
pub(crate) fn partial(name: &Path, taken: &str) -> Result<PathBuf> {
    let file_name = name
        .file_name()
        .with_context(|| format!("{} is no name for a directory", name.display()))?;
    let is_empty = |path: &Path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    if fs::symlink_metadata(name).is_ok() && !is_empty(name) {
        bail!("{} {taken}", name.display());
    }
    let mut beside = file_name.to_owned();
    beside.push(".partial");
    let partial = name.with_file_name(beside);
    if fs::symlink_metadata(&partial).is_ok() {
        bail!(
            "{} was left by a command that was cut off; remove it and try again",
            partial.display()
        );
    }
    files::private_directory(&partial)?;
    Ok(partial)
}

/// Removes what [`partial`] made, after a failure.
pub(crate) fn discard(partial: &Path) {
    if let Err(error) = fs::remove_dir_all(partial) {
        tracing::warn!(path = %partial.display(), %error, "cannot remove");
    }
}

/// The paths of all files below a directory, in order.
fn regular_files(directory: &Path) -> Result<Vec<String>> {
    fn walk(directory: &Path, inside: &str, depth: usize, found: &mut Vec<String>) -> Result<()> {
        ensure!(depth <= DEPTH_MAX, "{} is too deep", directory.display());
        let entries =
            fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read {}", directory.display()))?;
            let path = entry.path();
            let name = entry.file_name();
            let name = name
                .to_str()
                .with_context(|| format!("{} has no name in UTF-8", path.display()))?;
            let kind = entry.file_type()?;
            let name = format!("{inside}{name}");
            if kind.is_dir() {
                walk(&path, &format!("{name}/"), depth + 1, found)?;
            } else if kind.is_file() {
                found.push(name);
            } else {
                bail!("{} is neither file nor directory", path.display());
            }
        }
        Ok(())
    }

    let mut found = Vec::new();
    walk(directory, "", 0, &mut found)?;
    found.sort();
    Ok(found)
}

/// Whether a path of a manifest stays inside the backup.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && Path::new(name)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// Copies files and tells how far it is.
struct Copier<'a> {
    progress: &'a dyn Fn(u64),
    bytes: u64,
    told: u64,
}

impl<'a> Copier<'a> {
    fn new(progress: &'a dyn Fn(u64)) -> Copier<'a> {
        Copier {
            progress,
            bytes: 0,
            told: 0,
        }
    }

    /// Copies one file, for its owner alone, onto the disk.
    fn copy(&mut self, from: &Path, to: &Path) -> Result<Sum> {
        files::private_directory(parent_of(to))?;
        let mut write = || -> std::io::Result<Sum> {
            let mut reading = open(from)?;
            let mut writing = create(to)?;
            let sum = each_chunk(&mut reading, |chunk| {
                writing.write_all(chunk)?;
                self.bytes += chunk.len() as u64;
                if self.bytes >= self.told + PROGRESS_BYTES {
                    self.told = self.bytes;
                    (self.progress)(self.bytes);
                }
                Ok(())
            })?;
            writing.sync_all()?;
            Ok(sum)
        };
        write().with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
    }
}

fn sum(path: &Path) -> Result<Sum> {
    open(path)
        .and_then(|mut file| each_chunk(&mut file, |_| Ok(())))
        .with_context(|| format!("cannot read {}", path.display()))
}

fn each_chunk(
    file: &mut fs::File,
    mut take: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::io::Result<Sum> {
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    let mut chunk = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        bytes += read as u64;
        hasher.update(&chunk[..read]);
        take(&chunk[..read])?;
    }
    Ok(Sum {
        bytes,
        sha256: hex(&hasher.finish()),
    })
}

fn read_whole(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)
        .and_then(|file| file.take(MANIFEST_BYTES_MAX).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes)
}

#[expect(clippy::disallowed_methods, reason = "a backup copies files as they are")]
fn open(path: &Path) -> std::io::Result<fs::File> {
    fs::File::open(path)
}

/// A new file for its owner alone.
#[expect(clippy::disallowed_methods, reason = "a backup copies files as they are")]
fn create(path: &Path) -> std::io::Result<fs::File> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Flushes the names in a directory and in those below it.
fn sync_directories(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_directories(&entry.path())?;
        }
    }
    sync(directory)
}

fn sync(path: &Path) -> Result<()> {
    open(path)
        .and_then(|file| file.sync_all())
        .with_context(|| format!("cannot flush {}", path.display()))
}

/// The directory a path is in; that of a bare name is spelled as nothing.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_are_no_names() {
        for name in ["a", "a/b", "journal/0.seg"] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["", "/a", "../a", "a/../../b", "."] {
            assert!(!is_plain(name), "{name}");
        }
    }

    #[test]
    fn a_manifest_fits_its_files_and_no_others() {
        let home = tempfile::tempdir().unwrap();
        let from = home.path().join("backup");
        files::private_directory(&from.join("journal")).unwrap();
        for (name, text) in [("store", "rows"), ("journal/1", "records")] {
            files::write_private(&from.join(name), text.as_bytes()).unwrap();
        }
        Manifest::write(&from, 7, Timestamp(1)).unwrap();
        let manifest = Manifest::read(&from).unwrap();
        assert_eq!((manifest.records, manifest.bytes()), (7, 11));
        manifest
            .copy_out(&from, &home.path().join("one"), &|_| {})
            .unwrap();

        files::write_private(&from.join("more"), b"").unwrap();
        let out = manifest.copy_out(&from, &home.path().join("two"), &|_| {});
        assert!(out.unwrap_err().to_string().contains("is not of this backup"));
        files::remove_if_present(&from.join("more"));

        std::os::unix::fs::symlink("/etc/passwd", from.join("link")).unwrap();
        let out = manifest.copy_out(&from, &home.path().join("three"), &|_| {});
        assert!(
            out.unwrap_err()
                .to_string()
                .contains("neither file nor directory")
        );
        files::remove_if_present(&from.join("link"));

        files::remove_if_present(&from.join("store"));
        assert!(
            manifest
                .copy_out(&from, &home.path().join("four"), &|_| {})
                .is_err()
        );
    }
}

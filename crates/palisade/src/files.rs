//! The files the roof itself reads and writes: configuration, certificates,
//! key files. Data belongs to `store` and `journal`.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context, Result, bail};
use ground::Secret;

/// Longest file read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads a text file of reasonable size.
///
/// # Errors
///
/// If it cannot be read, or is longer than a mebibyte.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read_bytes(path)?).with_context(|| format!("{} is not UTF-8", path.display()))
}

/// Reads a file of reasonable size.
///
/// # Errors
///
/// As [`read_text`].
#[expect(clippy::disallowed_methods, reason = "the roof reads its own configuration")]
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let length = fs::metadata(path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .len();
    if length > FILE_BYTES_MAX {
        bail!("{} is longer than {FILE_BYTES_MAX} bytes", path.display());
    }
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// What a file is known by, and a copy of it is not: it stays the same however
/// often the file is read, moved within its file system or given other permissions.
///
/// # Errors
///
/// If there is no such file.
pub(crate) fn identity(path: &Path) -> Result<String> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    let made = metadata
        .created()
        .ok()
        .and_then(|made| made.duration_since(std::time::UNIX_EPOCH).ok())
        .unwrap_or_default();
    Ok(format!("{}-{}", metadata.ino(), made.as_nanos()))
}

/// Reads the bytes of a secret file; nobody but its owner may be able to.
///
/// # Errors
///
/// If it cannot be read, is too long, or others may read it.
#[expect(
    clippy::disallowed_methods,
    reason = "the roof reads the key file for its slot"
)]
pub(crate) fn read_secret(path: &Path) -> Result<Secret<Vec<u8>>> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    if metadata.len() > FILE_BYTES_MAX {
        bail!("{} is longer than {FILE_BYTES_MAX} bytes", path.display());
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        bail!(
            "{} may be read by others than its owner; run `chmod 600 {0}`",
            path.display()
        );
    }
    Ok(Secret::new(
        fs::read(path).with_context(|| format!("cannot read {}", path.display()))?,
    ))
}

/// Writes a file that only its owner may read, whole or not at all.
///
/// # Errors
///
/// If the directory cannot be written.
#[expect(
    clippy::disallowed_methods,
    reason = "the roof writes its own key and slot files"
)]
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let fresh = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        // The parent of a bare name is spelled as nothing at all.
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::File::open(directory)?.sync_all()?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Makes a directory that only its owner may enter.
///
/// # Errors
///
/// If it cannot be made.
pub(crate) fn private_directory(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make the directory {}", path.display()))
}

/// Removes a file if it is there.
#[expect(
    clippy::disallowed_methods,
    reason = "the roof removes the file it wrote for `palisade env`"
)]
pub(crate) fn remove_if_present(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "cannot remove");
        }
        _ => {}
    }
}

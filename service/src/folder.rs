//! Folders that outlive a power cut: a name in a folder is durable only when the folder is.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Makes a folder, and those above it that are missing, each synced in the one above it. One that is there is left alone: what
/// is above it may be closed to this process.
///
/// # Errors
/// It cannot be made, or there is a file of that name.
pub fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(Path::new(""));
    if !above.as_os_str().is_empty() {
        make(above)?;
    }
    match fs::create_dir(folder) {
        // Somebody else made it meanwhile.
        Err(_) if folder.is_dir() => {}
        other => other?,
    }
    sync(above)
}

/// Makes the names in a folder durable; the empty path is the current folder.
///
/// # Errors
/// It cannot be opened or synced.
pub fn sync(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    File::open(folder)?.sync_all()
}

/// Makes the name of a file durable.
///
/// # Errors
/// As [`sync`].
pub fn sync_above(path: &Path) -> io::Result<()> {
    sync(path.parent().unwrap_or(Path::new("")))
}

/// Writes a file whole, of these parts: synced as `unfinished`, another name in the same folder, and then put in its place, which is
/// durable, too. A power cut leaves what was there before, or all of it.
///
/// # Errors
/// It cannot be written. What was written of it may be left under the other name.
pub fn write(path: &Path, unfinished: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = File::create(unfinished)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()?;
    fs::rename(unfinished, path)?;
    sync_above(path)
}

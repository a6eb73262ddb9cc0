//! Files of this machine: whole or not at all, secrets readable by their owner only.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use zeroize::Zeroizing;

use super::error::{CommandError, CommandResult, Exit};

/// No text that a command reads is larger (conditions, parameters, actions, keystores): 1 MiB, as the ledger's records.
pub const TEXT_LIMIT: u64 = 1 << 20;

/// Who may read a file that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// 0600: keys and passwords.
    Owner,
    /// 0644: everything else.
    Everyone,
}

/// Writes a file under a temporary name beside it, syncs, and renames: a reader sees the old one, the new one, or none.
///
/// # Errors
/// The folder cannot be written; nothing is left behind.
pub fn write(path: &Path, bytes: &[u8], access: Access) -> CommandResult {
    let failed = |error: std::io::Error| {
        CommandError::io(format!("could not write {}", path.display()), &error)
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let name = path
        .file_name()
        .ok_or_else(|| CommandError::usage(format!("{} names no file", path.display())))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.part", std::process::id()));
    let temporary = folder.join(temporary);
    let result = (|| {
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mode = match access {
            Access::Owner => 0o600,
            Access::Everyone => 0o644,
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(&folder)?.sync_all()
    })();
    result.map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        failed(error)
    })
}

/// Refuses a path that holds something already.
///
/// # Errors
/// There is something.
pub fn refuse_existing(path: &Path) -> CommandResult {
    if path.exists() {
        return Err(CommandError::new(
            Exit::Usage,
            "io.exists",
            format!("{} exists already", path.display()),
        )
        .because("nothing is overwritten: it may guard stake")
        .next("choose another name, or move the old one away"));
    }
    Ok(())
}

/// Reads a file, or standard input for `-`, refusing more than `limit` bytes.
///
/// # Errors
/// It is not there, cannot be read, or is too large.
pub fn read(path: &Path, limit: u64) -> CommandResult<Vec<u8>> {
    let what = || format!("could not read {}", path.display());
    let source: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).map_err(|error| CommandError::io(what(), &error))?)
    };
    let mut bytes = Vec::new();
    source
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| CommandError::io(what(), &error))?;
    if bytes.len() as u64 > limit {
        return Err(CommandError::new(
            Exit::Usage,
            "io.too_large",
            format!("{} is too large", path.display()),
        )
        .because(format!("at most {limit} bytes are read")));
    }
    Ok(bytes)
}

/// Reads a UTF-8 file.
///
/// # Errors
/// As [`read`], or it is not text.
pub fn read_text(path: &Path, limit: u64) -> CommandResult<String> {
    String::from_utf8(read(path, limit)?).map_err(|_| {
        CommandError::new(
            Exit::Usage,
            "io.not_text",
            format!("{} is not a text file", path.display()),
        )
    })
}

/// Reads a JSON file.
///
/// # Errors
/// As [`read`], or it is not JSON.
pub fn read_json(path: &Path) -> CommandResult<Value> {
    serde_json::from_slice(&read(path, TEXT_LIMIT)?).map_err(|error| {
        CommandError::new(
            Exit::Usage,
            "io.not_json",
            format!("{} is not JSON", path.display()),
        )
        .because(error.to_string())
    })
}

/// A password: the first line of a file, or what is typed at a prompt. Never an argument: other users of the machine can read
/// those.
///
/// # Errors
/// No file is given and nobody sits at a terminal; the file is missing or empty; a new password was typed differently the second
/// time.
pub fn password(file: Option<&Path>, prompt: &str, new: bool) -> CommandResult<Zeroizing<String>> {
    let empty = || CommandError::new(Exit::Usage, "keys.password_empty", "the password is empty");
    if let Some(path) = file {
        let text = Zeroizing::new(read_text(path, 4096)?);
        let line = text.lines().next().unwrap_or_default();
        if line.is_empty() {
            return Err(empty().next(format!(
                "write it into the first line of {}",
                path.display()
            )));
        }
        return Ok(Zeroizing::new(line.to_owned()));
    }
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt)
            .map(Zeroizing::new)
            .map_err(|error| {
                CommandError::new(
                    Exit::Usage,
                    "keys.password_missing",
                    "no password was given",
                )
                .because(error.to_string())
                .next("run it in a terminal, or name a file with --password-file")
            })
    };
    let first = ask(&format!("{prompt}: "))?;
    if first.is_empty() {
        return Err(empty());
    }
    if new && *ask("Once more: ")? != *first {
        return Err(CommandError::new(
            Exit::Usage,
            "keys.password_mismatch",
            "the two passwords differ",
        ));
    }
    Ok(first)
}

/// Fresh random bytes from the operating system.
///
/// # Errors
/// It has none to give.
pub fn random<const N: usize>() -> CommandResult<[u8; N]> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        CommandError::new(
            Exit::Failure,
            "os.random",
            "the operating system gave no random bytes",
        )
        .because(error.to_string())
    })?;
    Ok(bytes)
}

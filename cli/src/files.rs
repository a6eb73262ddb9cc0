//! Files of this machine: whole or not at all, secrets readable by their owner only.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use zeroize::Zeroizing;

use crate::error::{CliError, CliResult, Exit};

/// No text that a person writes for us is larger (conditions, parameters, actions, keystores): 1 MiB, as the ledger's records.
pub const TEXT_LIMIT: u64 = 1 << 20;

/// Who may read a file that we write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// 0600: keys and passwords.
    Owner,
    /// 0644: everything else.
    Everyone,
}

/// Writes `bytes` beside `path` under a temporary name, syncs, and renames: a reader sees the old file, the new file or
/// no file, never a part of it.
///
/// # Errors
/// The folder cannot be written; nothing is left behind.
pub fn write_atomically(path: &Path, bytes: &[u8], access: Access) -> CliResult {
    let what = || format!("could not write {}", path.display());
    let folder = parent(path);
    let name = path
        .file_name()
        .ok_or_else(|| CliError::usage(format!("{} names no file", path.display())))?;
    let mut temporary_name = std::ffi::OsString::from(".");
    temporary_name.push(name);
    temporary_name.push(format!(".{}.part", std::process::id()));
    let temporary = folder.join(temporary_name);

    let result = (|| {
        let mode = match access {
            Access::Owner => 0o600,
            Access::Everyone => 0o644,
        };
        // A left-over of a process with our id that was killed: it is nobody's.
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        // The rename itself must survive a power cut as well.
        ashlar_service::folder::sync(&folder)
    })();
    if let Err(error) = result {
        let _ = std::fs::remove_file(&temporary);
        return Err(CliError::io(what(), &error));
    }
    Ok(())
}

/// The folder of a path, `.` for a bare name.
fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Creates a folder and those above it.
///
/// # Errors
/// It cannot be created.
pub fn create_folder(path: &Path) -> CliResult {
    std::fs::create_dir_all(path)
        .map_err(|error| CliError::io(format!("could not create {}", path.display()), &error))
}

/// A path for a configuration: it holds in any working directory.
///
/// # Errors
/// It is empty, or there is no working directory.
pub fn absolute(path: &Path) -> CliResult<PathBuf> {
    std::path::absolute(path)
        .map_err(|error| CliError::io(format!("could not use {}", path.display()), &error))
}

/// Refuses a path that holds something already.
///
/// # Errors
/// There is something.
pub fn refuse_existing(path: &Path) -> CliResult {
    if path.exists() {
        return Err(CliError::new(
            Exit::Usage,
            "io.exists",
            format!("{} exists already", path.display()),
        )
        .because("nothing is overwritten: it may guard stake")
        .next("choose another name, or move the old one away"));
    }
    Ok(())
}

/// Reads a file whole, or standard input for `-`; at most `limit` bytes.
///
/// # Errors
/// It is not there, cannot be read, or is too large.
pub fn read(path: &Path, limit: u64) -> CliResult<Vec<u8>> {
    let failed =
        |error: std::io::Error| CliError::io(format!("could not read {}", path.display()), &error);
    let source: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(std::io::stdin().lock()),
        false => Box::new(File::open(path).map_err(failed)?),
    };
    let mut bytes = Vec::new();
    source
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limit {
        let what = format!("{} is too large", path.display());
        return Err(CliError::new(Exit::Usage, "io.too_large", what)
            .because(format!("the limit is {}", crate::ui::bytes(limit))));
    }
    Ok(bytes)
}

/// Reads a JSON file.
///
/// # Errors
/// As [`read`], or it is not JSON.
pub fn read_json(path: &Path) -> CliResult<Value> {
    serde_json::from_slice(&read(path, TEXT_LIMIT)?).map_err(|error| {
        CliError::new(
            Exit::Usage,
            "io.not_json",
            format!("{} is not JSON", path.display()),
        )
        .because(error.to_string())
    })
}

/// Reads a UTF-8 file.
///
/// # Errors
/// As [`read`], or it is not text.
pub fn read_text(path: &Path, limit: u64) -> CliResult<String> {
    String::from_utf8(read(path, limit)?).map_err(|_| {
        CliError::new(
            Exit::Usage,
            "io.not_text",
            format!("{} is not a text file", path.display()),
        )
    })
}

/// The environment's password, and the file that it names one in.
const PASSWORD: &str = "ASHLAR_PASSWORD";
const PASSWORD_FILE: &str = "ASHLAR_PASSWORD_FILE";

/// A password: the first line of a file that is named; else of the environment; else, at a terminal, from a prompt. Never from an
/// argument: other users of the machine can read those.
///
/// # Errors
/// No file is given and nobody sits at a terminal; the file is missing or empty; a new password was typed differently
/// the second time.
pub fn password(file: Option<&Path>, prompt: &str, new: bool) -> CliResult<Zeroizing<String>> {
    match given_password(file)? {
        Some(password) => Ok(password),
        None => ask_password(prompt, new),
    }
}

/// The password of a file that is named, else of the environment.
fn given_password(file: Option<&Path>) -> CliResult<Option<Zeroizing<String>>> {
    match file {
        Some(path) => password_in(path).map(Some),
        None => password_of_environment(),
    }
}

/// A second password beside [`password`]: not the environment's.
///
/// # Errors
/// As [`password`].
pub fn other_password(
    file: Option<&Path>,
    prompt: &str,
    new: bool,
) -> CliResult<Zeroizing<String>> {
    match file {
        Some(path) => password_in(path),
        None => ask_password(prompt, new),
    }
}

/// As [`password`]; before anybody is asked, a file that a configuration names is looked for.
///
/// # Errors
/// As [`password`].
pub fn password_or_configured(
    file: Option<&Path>,
    configured: &Path,
    prompt: &str,
) -> CliResult<Zeroizing<String>> {
    match given_password(file)? {
        Some(password) => Ok(password),
        None if configured.exists() => password_in(configured),
        None => ask_password(prompt, false),
    }
}

fn password_in(path: &Path) -> CliResult<Zeroizing<String>> {
    let text = Zeroizing::new(read_text(path, 4096)?);
    let line = text.lines().next().unwrap_or("");
    if line.is_empty() {
        return Err(CliError::new(
            Exit::Usage,
            "keys.password_empty",
            format!("{} is empty", path.display()),
        )
        .next("write the password into its first line"));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

fn password_of_environment() -> CliResult<Option<Zeroizing<String>>> {
    let value = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (value(PASSWORD), value(PASSWORD_FILE)) {
        (Some(password), None) => Ok(Some(Zeroizing::new(password))),
        (None, Some(path)) => password_in(Path::new(&path)).map(Some),
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(CliError::usage(format!(
            "both {PASSWORD} and {PASSWORD_FILE} are set"
        ))
        .next("unset one of them")),
    }
}

fn ask_password(prompt: &str, new: bool) -> CliResult<Zeroizing<String>> {
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt)
            .map(Zeroizing::new)
            .map_err(|error| {
                CliError::new(
                    Exit::Usage,
                    "keys.password_missing",
                    "no password was given",
                )
                .because(error.to_string())
                .next(format!(
                    "run it in a terminal, name a file with --password-file or in {PASSWORD_FILE}, or set {PASSWORD}"
                ))
            })
    };
    let first = ask(&format!("{prompt}: "))?;
    if first.is_empty() {
        return Err(CliError::new(
            Exit::Usage,
            "keys.password_empty",
            "the password is empty",
        ));
    }
    if new && *ask("Once more: ")? != *first {
        return Err(CliError::new(
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
/// The operating system has none to give.
pub fn random<const N: usize>() -> CliResult<[u8; N]> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        CliError::new(
            Exit::Failure,
            "os.random",
            "the operating system gave no random bytes",
        )
        .because(error.to_string())
    })?;
    Ok(bytes)
}

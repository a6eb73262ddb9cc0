//! The file that says which drive of which set a folder is.
//!
//! ```text
//! /mnt/1/ashlar/drive.json   {"version": 1, "set": "5e0c…", "position": 0, "drives": 5, "parity": 2}
//! /mnt/1/ashlar/db/          the database of this drive
//! ```

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::database::{parse_versioned, read_small, write_atomically};

const VERSION: u16 = 1;
const NAME: &str = "drive.json";
/// What a file system makes by itself.
const LOST_AND_FOUND: &str = "lost+found";

/// The name of a set of drives, random, made with it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct SetId(pub(super) [u8; 16]);

impl From<SetId> for String {
    fn from(id: SetId) -> Self {
        hex::encode(id.0)
    }
}

impl TryFrom<String> for SetId {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut id = [0; 16];
        hex::decode_to_slice(text, &mut id)?;
        Ok(Self(id))
    }
}

impl std::fmt::Debug for SetId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from(*self))
    }
}

/// Which drive of which set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Label {
    version: u16,
    pub(super) set: SetId,
    /// Place in the configuration, from 0.
    pub(super) position: usize,
    pub(super) drives: usize,
    pub(super) parity: usize,
}

impl Label {
    pub(super) fn new(set: SetId, position: usize, drives: usize, parity: usize) -> Self {
        Self {
            version: VERSION,
            set,
            position,
            drives,
            parity,
        }
    }

    /// Reads the label of a folder; `None` if there is no label.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, String> {
        let path = folder.join(NAME);
        let text = read_small(&path);
        text.and_then(|text| text.as_deref().map(Self::parse).transpose())
            .map_err(|why| format!("{}: {why}", path.display()))
    }

    /// From the text of the file.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        parse_versioned(text, VERSION, |label: &Self| label.version)
    }

    /// Writes the label of a folder that has none, and syncs it.
    pub(super) fn write(&self, folder: &Path) -> Result<(), String> {
        let path = folder.join(NAME);
        serde_json::to_vec(self)
            .map_err(std::io::Error::from)
            .and_then(|text| write_atomically(&path, &text))
            .map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// Where the database of a drive is.
pub(super) fn database(folder: &Path) -> PathBuf {
    folder.join("db")
}

/// Whether a folder is there and holds nothing.
pub(super) fn is_empty(folder: &Path) -> Result<bool, String> {
    let fail = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        if entry.map_err(fail)?.file_name() != LOST_AND_FOUND {
            return Ok(false);
        }
    }
    Ok(true)
}

//! How the requirements of somebody who reads certificates are written, on the command line and in a devnet's file.

use std::time::Duration;

use ashlar_proto::QuorumId;
use serde::{Deserialize, Serialize};

/// What a devnet's file says for those who read in its folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReaderDefaults {
    /// As `--required-quorums`.
    pub required_quorums: Quorums,
    /// As `--max-age`.
    pub max_age: Age,
}

impl ReaderDefaults {
    /// For blobs posted with these quorums, as long as operators have to hold them.
    pub fn devnet() -> Self {
        Self {
            required_quorums: Quorums::These(vec![0]),
            max_age: Age::Most(Duration::from_secs(14 * DAY)),
        }
    }
}

/// Quorums, or leave to choose them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Quorums {
    /// All of these; at least one.
    These(Vec<QuorumId>),
    /// Those that the blob's submitter chose.
    Any,
}

impl std::str::FromStr for Quorums {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "any" {
            return Ok(Self::Any);
        }
        let quorums = text
            .split(',')
            .map(|quorum| quorum.trim().parse::<QuorumId>())
            .collect::<Result<Vec<_>, _>>();
        quorums
            .map(Self::These)
            .map_err(|_| format!("{text:?} is no list of quorums such as 0,1, and not `any`"))
    }
}

impl std::fmt::Display for Quorums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::These(quorums) => {
                let quorums: Vec<String> = quorums.iter().map(QuorumId::to_string).collect();
                f.write_str(&quorums.join(","))
            }
            Self::Any => f.write_str("any"),
        }
    }
}

/// A longest age, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Age {
    /// At most so old, in whole seconds.
    Most(Duration),
    /// However old.
    Unbounded,
}

const DAY: u64 = 24 * 60 * 60;
/// Units, the largest first.
const UNITS: [(char, u64); 4] = [('d', DAY), ('h', 60 * 60), ('m', 60), ('s', 1)];

impl std::str::FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "unbounded" {
            return Ok(Self::Unbounded);
        }
        let malformed =
            || format!("{text:?} is no age such as 14d, 36h, 10m or 90s, and not `unbounded`");
        let (_, seconds) = UNITS
            .into_iter()
            .find(|(unit, _)| text.ends_with(*unit))
            .ok_or_else(malformed)?;
        let number = text.get(..text.len() - 1).ok_or_else(malformed)?;
        let number: u64 = number.parse().map_err(|_| malformed())?;
        let seconds = number.checked_mul(seconds).ok_or_else(malformed)?;
        Ok(Self::Most(Duration::from_secs(seconds)))
    }
}

impl std::fmt::Display for Age {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::Most(age) = self else {
            return f.write_str("unbounded");
        };
        let seconds = age.as_secs();
        for (unit, length) in UNITS {
            if seconds.is_multiple_of(length) {
                return write!(f, "{}{unit}", seconds / length);
            }
        }
        write!(f, "{seconds}s")
    }
}

macro_rules! text_in_files {
    ($type:ty) => {
        impl TryFrom<String> for $type {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.to_string()
            }
        }
    };
}

text_in_files!(Quorums);
text_in_files!(Age);

#[cfg(test)]
mod tests;

//! What is written after an option, and what it becomes in an action's JSON.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use ashlar_crypto::account::AccountSignature;
use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_proto::{Account, OperatorId};
use ashlar_restaking::Params;
use serde_json::{Value, json};

use super::error::CommandError;
use super::{files, units};

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// An amount of tokens or shares.
    Tokens,
    /// A part of a whole.
    Part,
    /// Basis points, up to this many.
    Bps(u32),
    /// An integer, up to this.
    Number(u64),
    /// Several integers.
    Numbers,
    /// An account.
    AccountKey,
    /// An operator's id.
    OperatorKey,
    /// 32 bytes.
    Hash,
    /// Text.
    Text,
    /// Text, or `@` and the file that it is in.
    TextOrFile,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// There or not.
    Flag,
    /// `OPERATOR=PART`, several.
    Profile,
    /// `STRATEGY=MULTIPLIER`, several.
    Multipliers,
    /// `STRATEGY=PART`, several.
    SlashParts,
    /// Which fault.
    FaultNumber,
    /// `classic`, `current`, either with `/N`, or a JSON file.
    ParamsOrFile,
    /// A JSON file.
    JsonFile,
    /// A file of at most so many bytes.
    BytesFile(u64),
    /// A keystore of a BLS key, which is opened.
    BlsKeystore,
    /// A keystore of a network key, of which the public part is read, or that public key.
    NetworkKeystore,
    /// A keystore of a network key, which is opened.
    NetworkSecret,
    /// The sequence of an operator's statement.
    Sequence,
    /// 65 bytes of an account's signature.
    Signature,
    /// A file with a password.
    PasswordFile,
}

/// Faults by number, as `ashlar_restaking::evidence::FaultKind` counts them.
pub const FAULTS: &[&str] = &["double-signing", "bad-attestation", "unanswered-challenge"];

impl FieldKind {
    /// What the help shows after the option.
    pub const fn value_name(self) -> &'static str {
        match self {
            Self::Tokens => "AMOUNT",
            Self::Part => "PART",
            Self::Bps(_) => "BPS",
            Self::Number(_) | Self::Numbers | Self::Sequence => "NUMBER",
            Self::AccountKey => "ACCOUNT",
            Self::OperatorKey => "OPERATOR",
            Self::Hash => "HASH",
            Self::Text => "TEXT",
            Self::TextOrFile => "TEXT|@FILE",
            Self::Choice(_) | Self::FaultNumber => "KIND",
            Self::Flag => "",
            Self::Profile => "OPERATOR=PART",
            Self::Multipliers => "STRATEGY=MULTIPLIER",
            Self::SlashParts => "STRATEGY=PART",
            Self::Signature => "0x…",
            Self::ParamsOrFile => "PRESET[/N]|FILE",
            Self::JsonFile
            | Self::BytesFile(_)
            | Self::BlsKeystore
            | Self::NetworkSecret
            | Self::PasswordFile => "FILE",
            Self::NetworkKeystore => "FILE|KEY",
        }
    }

    /// Whether the option can be given several times, and makes a list.
    pub const fn is_list(self) -> bool {
        matches!(
            self,
            Self::Numbers | Self::Profile | Self::Multipliers | Self::SlashParts
        )
    }

    /// Whether what is written goes into the action, and not only into what another key than the sender's signs.
    pub const fn is_placed(self) -> bool {
        !matches!(
            self,
            Self::BlsKeystore | Self::NetworkSecret | Self::PasswordFile | Self::Sequence
        )
    }

    /// The words that it takes, if it takes words.
    pub const fn choices(self) -> &'static [&'static str] {
        match self {
            Self::Choice(words) => words,
            Self::FaultNumber => FAULTS,
            _ => &[],
        }
    }

    /// Checks a text without touching a file: what clap does while it parses.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn check(self, text: &str) -> Result<(), units::ValueError> {
        match self {
            Self::TextOrFile
            | Self::ParamsOrFile
            | Self::JsonFile
            | Self::BytesFile(_)
            | Self::BlsKeystore
            | Self::NetworkSecret
            | Self::PasswordFile
            | Self::Text
            | Self::Flag => Ok(()),
            Self::NetworkKeystore if !text.starts_with("0x") => Ok(()),
            _ => self.pure(text).map(drop),
        }
    }

    /// The JSON of a text, reading files where it names some.
    ///
    /// # Errors
    /// The text is wrong, or a file cannot be read or is not what it should be.
    pub fn to_json(self, option: &str, text: &str) -> Result<Value, CommandError> {
        let wrong =
            |why: units::ValueError| CommandError::usage(format!("--{option} {text}")).because(why);
        match self {
            Self::TextOrFile => match text.strip_prefix('@') {
                Some(file) => files::read_text(Path::new(file), files::TEXT_LIMIT)
                    .map(|text| json!(text.trim_end())),
                None => Ok(json!(text)),
            },
            Self::ParamsOrFile => params(text).map(|params| json!(params)),
            Self::JsonFile => files::read_json(Path::new(text)),
            Self::BytesFile(max) => {
                let bytes = files::read(Path::new(text), max)?;
                Ok(json!(format!("0x{}", hex::encode(bytes))))
            }
            Self::NetworkKeystore if !text.starts_with("0x") => {
                super::keys::network_public(&PathBuf::from(text)).map(|key| json!(key))
            }
            _ => self.pure(text).map_err(wrong),
        }
    }

    fn pure(self, text: &str) -> Result<Value, units::ValueError> {
        Ok(match self {
            Self::Tokens => json!(units::amount(text)?),
            Self::Part => json!(units::wad(text)?),
            Self::Bps(max) => json!(units::basis_points(text, max)?),
            Self::Number(max) => json!(number(text, max)?),
            Self::Numbers | Self::Sequence => json!(number(text, u64::MAX)?),
            Self::AccountKey => json!(parse::<Account>(text, "account: 0x and 40 hex digits")?),
            Self::OperatorKey => {
                json!(parse::<OperatorId>(
                    text,
                    "operator id: 0x and 64 hex digits"
                )?)
            }
            Self::Hash => json!(parse::<alloy_primitives::B256>(
                text,
                "hash: 0x and 64 hex digits"
            )?),
            Self::NetworkKeystore => json!(network_key(text)?),
            Self::Profile => {
                let (operator, part) = pair(text, "OPERATOR=PART, as in 0x12…=60%")?;
                json!([
                    Self::OperatorKey.pure(operator)?,
                    units::basis_points(part, 10_000)?
                ])
            }
            Self::Multipliers => {
                let (strategy, multiplier) = pair(text, "STRATEGY=MULTIPLIER, as in 2=1.05")?;
                json!({
                    "strategy": number(strategy, u64::from(u32::MAX))?,
                    "multiplier": units::decimal(multiplier)?,
                })
            }
            Self::SlashParts => {
                let (strategy, part) = pair(text, "STRATEGY=PART, as in 2=50%")?;
                json!({
                    "strategy": number(strategy, u64::from(u32::MAX))?,
                    "wad": units::wad(part)?,
                })
            }
            Self::Signature => json!(parse::<AccountSignature>(
                text,
                "signature: 0x and 130 hex digits"
            )?),
            Self::FaultNumber => FAULTS
                .iter()
                .position(|name| *name == text)
                .map(|at| json!(at))
                .ok_or_else(|| format!("one of {}", FAULTS.join(", ")))?,
            _ => json!(text),
        })
    }
}

/// A preset's parameters, `PRESET/N` with its delays divided by N, or those of a JSON file.
///
/// # Errors
/// There is no such preset or file, or the file has something else.
pub fn params(text: &str) -> Result<Params, CommandError> {
    let (name, factor) = text.split_once('/').unwrap_or((text, "1"));
    if let Some(preset) = Params::preset(name) {
        let factor = number(factor, 1_000_000).map_err(|why| {
            CommandError::usage(format!("{text} is no preset"))
                .because(why)
                .next("write it as current/100: every delay divided by 100")
        })?;
        return Ok(preset.faster(factor.max(1)));
    }
    let value = files::read_json(Path::new(text)).map_err(|error| {
        error.next("use a preset (classic, current, current/100) or a JSON file of all parameters")
    })?;
    serde_json::from_value(value).map_err(|error| {
        CommandError::usage(format!("{text} has no parameters"))
            .because(error.to_string())
            .next("print a preset to start from: ashlar stake init --print-params --preset current")
    })
}

fn pair<'a>(text: &'a str, form: &str) -> Result<(&'a str, &'a str), units::ValueError> {
    text.split_once('=')
        .ok_or_else(|| format!("write it as {form}"))
}

fn number(text: &str, max: u64) -> Result<u64, units::ValueError> {
    match text.parse::<u64>() {
        Ok(number) if number <= max && !text.starts_with('+') => Ok(number),
        _ => Err(format!("{text:?} is no whole number from 0 to {max}")),
    }
}

fn parse<T: FromStr>(text: &str, what: &str) -> Result<T, units::ValueError> {
    text.parse().map_err(|_| format!("{text:?} is no {what}"))
}

fn network_key(text: &str) -> Result<NetworkPublicKey, units::ValueError> {
    parse(text, "network key: 0x and 64 hex digits")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_json() {
        let account = format!("0x{}", "11".repeat(20));
        let operator = format!("0x{}", "22".repeat(32));
        for (kind, text, expected) in [
            (FieldKind::Tokens, "1.5eth", json!("1500000000000000000")),
            (FieldKind::Part, "50%", json!("500000000000000000")),
            (FieldKind::Bps(10_000), "2.5%", json!(250)),
            (FieldKind::Number(255), "7", json!(7)),
            (FieldKind::AccountKey, account.as_str(), json!(account)),
            (FieldKind::FaultNumber, "bad-attestation", json!(1)),
            (
                FieldKind::Multipliers,
                "2=1.05",
                json!({"strategy": 2, "multiplier": "1050000000000000000"}),
            ),
            (
                FieldKind::SlashParts,
                "2=100%",
                json!({"strategy": 2, "wad": "1000000000000000000"}),
            ),
            (
                FieldKind::Profile,
                format!("{operator}=60%").as_str(),
                json!([operator, 6000]),
            ),
        ] {
            assert_eq!(kind.check(text), Ok(()), "{text}");
            assert_eq!(kind.to_json("option", text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn wrong_texts_say_what_is_expected() {
        for (kind, text) in [
            (FieldKind::Number(255), "256"),
            (FieldKind::Number(255), "-1"),
            (FieldKind::Number(255), "+1"),
            (FieldKind::Number(255), ""),
            (FieldKind::AccountKey, "0x12"),
            (FieldKind::OperatorKey, "alice"),
            (FieldKind::Hash, "0x"),
            (FieldKind::Profile, "60%"),
            (FieldKind::Multipliers, "2"),
            (FieldKind::SlashParts, "2=1"),
            (FieldKind::Signature, "0x12"),
            (FieldKind::FaultNumber, "rudeness"),
            (FieldKind::NetworkKeystore, "0x12"),
        ] {
            assert!(kind.check(text).is_err(), "{kind:?} {text}");
            assert!(kind.to_json("option", text).is_err(), "{kind:?} {text}");
        }
    }

    #[test]
    fn presets() {
        assert_eq!(params("current").unwrap(), Params::current());
        let fast = params("classic/100").unwrap();
        assert_eq!(fast, Params::classic().faster(100));
        fast.check().unwrap();
        assert!(params("current/x").is_err());
        assert!(params("/nowhere/params.json").is_err());
    }
}

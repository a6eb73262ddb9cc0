//! How the values of transactions are written on the command line.
//!
//! The types of the [list](ashlar_restaking::transactions) are looked up here. Where a value is written otherwise than the ledger's own type
//! reads it, this module has a type of the same name: an amount with its unit, a file in place of what it holds.

use std::path::Path;
use std::str::FromStr;

pub(super) use alloy_primitives::B256;
pub(super) use ashlar_crypto::account::AccountSignature;
use ashlar_crypto::identity::NetworkPublicKey as Key;
pub(super) use ashlar_proto::{Account, Block, OperatorId, QuorumId, TableRoot};
use ashlar_restaking as ledger;
pub(super) use ashlar_restaking::{ServiceId, StrategyId, VaultId};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser as _};
use clap::{Args, ValueEnum};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::units;
use crate::error::{CliError, CliResult, Exit};
use crate::{files, keys};

/// What is written for a value, and how it becomes one.
pub(super) trait Form {
    /// What the help shows in its place.
    const NAME: &'static str;
    /// What the help says of it, after what it is for.
    const HINT: &'static str = "";
    /// Whether it may begin with a dash.
    const IS_TEXT: bool = false;
    /// What it becomes.
    type Value;

    /// Reads the file that it names, if it names one.
    ///
    /// # Errors
    /// The file cannot be read, or is not what it should be.
    fn value(self) -> CliResult<Self::Value>;
}

impl<F: Form> Form for Option<F> {
    const NAME: &'static str = F::NAME;
    const HINT: &'static str = F::HINT;
    type Value = Option<F::Value>;

    fn value(self) -> CliResult<Self::Value> {
        self.map(F::value).transpose()
    }
}

impl<F: Form> Form for Vec<F> {
    const NAME: &'static str = F::NAME;
    const HINT: &'static str = F::HINT;
    type Value = Vec<F::Value>;

    fn value(self) -> CliResult<Self::Value> {
        self.into_iter().map(F::value).collect()
    }
}

/// The help of an option: as the list has it, or the number of what it is named after.
pub(super) fn help<F: Form>(field: &str, text: &str) -> String {
    match (text.trim(), F::NAME) {
        ("", "NUMBER") => format!("Number of the {field}"),
        ("", _) => format!("Id of the {field}"),
        (text, _) => format!("{text}{}", F::HINT),
    }
}

/// Values that are written as the ledger's own types read them.
macro_rules! plain {
    ($($type:ty: $name:literal $text:literal;)*) => {$(
        impl Form for $type {
            const NAME: &'static str = $name;
            const IS_TEXT: bool = $text;
            type Value = Self;

            fn value(self) -> CliResult<Self> {
                Ok(self)
            }
        }
    )*};
}

plain! {
    u8: "NUMBER" false;
    u16: "NUMBER" false;
    u32: "NUMBER" false;
    u64: "NUMBER" false;
    Block: "NUMBER" false;
    bool: "" false;
    String: "TEXT" true;
    Account: "ACCOUNT" false;
    OperatorId: "OPERATOR" false;
    B256: "HASH" false;
    TableRoot: "HASH" false;
    AccountSignature: "0x…" false;
}

/// Values that are read from their text alone: while the line is parsed.
macro_rules! parsed {
    ($($type:ident($value:ty): $name:literal $hint:literal, $parse:expr;)*) => {$(
        #[derive(Clone, Debug)]
        pub(super) struct $type($value);

        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                $parse(text).map(Self)
            }
        }

        impl Form for $type {
            const NAME: &'static str = $name;
            const HINT: &'static str = $hint;
            type Value = $value;

            fn value(self) -> CliResult<$value> {
                Ok(self.0)
            }
        }
    )*};
}

parsed! {
    Amount(ledger::Amount): "AMOUNT" ": 1.5eth, 20gwei, or base units", units::amount;
    Wad(ledger::Wad): "PART" ": 50% or 0.5", units::wad;
    Bps(u16): "BPS" ": 250 or 2.5%", |text| units::basis_points(text, 10_000_u16);
    ProfilePart((OperatorId, u16)): "OPERATOR=PART" "", |text| {
        let (operator, part) = pair(text, "OPERATOR=PART, as in 0x12…=60%")?;
        Ok((parse(operator, "operator id: 0x and 64 hex digits")?, units::basis_points(part, 10_000)?))
    };
    QuorumStrategy(ledger::QuorumStrategy): "STRATEGY=MULTIPLIER" "", |text| {
        let (strategy, multiplier) = pair(text, "STRATEGY=MULTIPLIER, as in 2=1.05")?;
        let (strategy, multiplier) = (strategy_number(strategy)?, units::decimal(multiplier)?);
        Ok(ledger::QuorumStrategy { strategy, multiplier })
    };
    SlashPart(ledger::SlashPart): "STRATEGY=PART" "", |text| {
        let (strategy, part) = pair(text, "STRATEGY=PART, as in 2=50%")?;
        Ok(ledger::SlashPart { strategy: strategy_number(strategy)?, wad: units::wad(part)? })
    };
}

/// Values that a file may hold: read when they are needed.
macro_rules! read {
    ($($type:ident($value:ty): $name:literal $text:literal, $read:expr;)*) => {$(
        #[derive(Clone, Debug)]
        pub(super) struct $type(String);

        impl From<String> for $type {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl Form for $type {
            const NAME: &'static str = $name;
            const IS_TEXT: bool = $text;
            type Value = $value;

            fn value(self) -> CliResult<$value> {
                $read(&self.0)
            }
        }
    )*};
}

read! {
    Text(String): "TEXT|@FILE" true, |text: &str| match text.strip_prefix('@') {
        Some(file) => files::read_text(Path::new(file), files::TEXT_LIMIT).map(|text| text.trim_end().to_owned()),
        None => Ok(text.to_owned()),
    };
    Encoded(Vec<u8>): "FILE" false, |file: &str| files::read(Path::new(file), files::TEXT_LIMIT);
    RewardClaim(ledger::distribution::RewardClaim): "FILE" false, |file: &str| {
        decode(files::read_json(Path::new(file))?, &format!("{file} holds no claim"))
    };
    Params(ledger::Params): "PRESET[/N]|FILE" false, params;
    NetworkPublicKey(Key): "FILE|KEY" false, |text: &str| match text.starts_with("0x") {
        true => parse(text, "network key: 0x and 64 hex digits").map_err(CliError::usage),
        false => keys::network_public(Path::new(text)),
    };
}

/// Values that are one of a few words.
macro_rules! words {
    ($($type:ident { $($word:ident),* })*) => {$(
        #[derive(Clone, Copy, Debug)]
        pub(super) struct $type(ledger::$type);

        impl ValueEnum for $type {
            fn value_variants<'a>() -> &'a [Self] {
                &[$(Self(ledger::$type::$word)),*]
            }

            fn to_possible_value(&self) -> Option<PossibleValue> {
                match self.0 {
                    // One that is not offered does not compile.
                    $(ledger::$type::$word)|* => Some(self.0.name().into()),
                }
            }
        }

        impl Form for $type {
            const NAME: &'static str = "KIND";
            type Value = ledger::$type;

            fn value(self) -> CliResult<ledger::$type> {
                Ok(self.0)
            }
        }
    )*};
}

words! {
    StrategyKind { NativeEth, Lst, LpEth, LpLst, Other }
    RewardKind { Fee, Bounty, Incentive, Points }
}

/// Values that are several options. A field of the ledger's type that none of them fills does not compile.
macro_rules! groups {
    ($($type:ident { $($(#[doc = $help:literal])+ #[arg($($arg:tt)*)] $field:ident: $form:ty,)* })*) => {$(
        #[derive(Clone, Debug, Args)]
        pub(super) struct $type {
            $(
                #[arg(value_name = <$form as Form>::NAME, help = help::<$form>("", concat!($($help),+)), $($arg)*)]
                $field: $form,
            )*
        }

        impl Form for $type {
            const NAME: &'static str = "";
            type Value = ledger::$type;

            fn value(self) -> CliResult<ledger::$type> {
                Ok(ledger::$type { $($field: self.$field.value()?),* })
            }
        }
    )*};
}

groups! {
    DisperserTerms {
        /// Token of the bonds of its dispersers
        #[arg(id = "dispersers.token", long = "disperser-token")]
        token: Account,
        /// The least bond of a disperser
        #[arg(id = "dispersers.min_bond", long = "disperser-bond")]
        min_bond: Amount,
        /// Most dispersers with a bond at a time
        #[arg(id = "dispersers.max", long = "max-dispersers", default_value = "1024")]
        max: u32,
    }
    // All of them or none.
    CustodyTerms {
        /// Token of the bonds of custody challenges. With this and the other terms of custody its operators can be challenged;
        /// without, they cannot
        #[arg(id = "custody.token", long = "custody-token", required = false)]
        token: Account,
        /// The least bond of a challenge
        #[arg(id = "custody.min_bond", long = "custody-bond", required = false)]
        min_bond: Amount,
        /// What an operator that does not answer loses of each allocation
        #[arg(id = "custody.wad", long = "custody-slash", required = false)]
        wad: Wad,
        /// Most challenges open at a time
        #[arg(id = "custody.max_open", long = "custody-open", required = false)]
        max_open: u32,
        /// Most of them to one operator
        #[arg(id = "custody.max_open_per_operator", long = "custody-open-per-operator", required = false)]
        max_open_per_operator: u32,
    }
    PaymentTerms {
        /// Token of deposits, vouchers and reservations
        #[arg(id = "terms.token", long = "payment-token")]
        token: Account,
        /// Of every payment, so much goes to operators and stakers
        #[arg(id = "terms.operators_bps", long = "operators-share")]
        operators_bps: Bps,
        /// What a reserved row a second costs a block
        #[arg(id = "terms.row_price", long = "row-price")]
        row_price: Amount,
        /// Rows a second that can be reserved, with all dispersers together
        #[arg(id = "terms.capacity", long = "capacity")]
        capacity: u32,
        /// Blocks from the announcement of a refund until it can be taken
        #[arg(id = "terms.notice", long = "notice")]
        notice: u64,
    }
    QuorumConfig {
        /// What counts, and how much a share of it weighs; several times, strategies rising
        #[arg(id = "config.strategies", long = "multiplier", required = true)]
        strategies: Vec<QuorumStrategy>,
        /// The least weight of an operator
        #[arg(id = "config.minimum_weight", long = "minimum-weight", default_value = "0")]
        minimum_weight: Amount,
        /// How many fit in
        #[arg(id = "config.maximum_operators", long = "maximum-operators", default_value = "128")]
        maximum_operators: u32,
        /// Share of the smallest operator's weight that gets one in when it is full, 10000 at least
        #[arg(id = "config.churn_bps", long = "churn", default_value = "11000")]
        churn_bps: Churn,
        /// Of the quorum's weight, as much can be ejected in a window
        #[arg(id = "config.ejection_bps", long = "ejection", default_value = "10%")]
        ejection_bps: Bps,
        /// The window, in blocks
        #[arg(id = "config.ejection_window", long = "ejection-window", default_value = "7200")]
        ejection_window: u64,
        /// Blocks before an ejected operator can come back
        #[arg(id = "config.ejection_cooldown", long = "ejection-cooldown", default_value = "50400")]
        ejection_cooldown: u64,
        /// Who gets what is slashed; burnt if nobody is named
        #[arg(id = "config.redistribute_to", long = "redistribute-to")]
        redistribute_to: Option<Account>,
    }
    FaultRecord {
        /// Whose fault
        #[arg(id = "fault.operator", long = "operator")]
        operator: OperatorId,
        /// What it was
        #[arg(id = "fault.kind", long = "fault-kind", value_parser = fault())]
        kind: Fault,
        /// Name of the fault, the same for every proof of it
        #[arg(id = "fault.evidence_hash", long = "evidence-hash")]
        evidence_hash: B256,
    }
}

parsed! {
    Churn(u32): "BPS" ": 250 or 2.5%", |text| units::basis_points(text, 100_000);
}

/// The kind of an operator's fault, by its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault(u8);

impl Form for Fault {
    const NAME: &'static str = "KIND";
    type Value = u8;

    fn value(self) -> CliResult<u8> {
        Ok(self.0)
    }
}

fn fault() -> impl clap::builder::TypedValueParser<Value = Fault> {
    use ashlar_restaking::evidence::FaultKind::{
        BadAttestation, DoubleSigning, UnansweredChallenge,
    };
    PossibleValuesParser::new(["double-signing", "bad-attestation", "unanswered-challenge"]).map(
        |word| {
            Fault(match word.as_str() {
                "double-signing" => DoubleSigning.number(),
                "bad-attestation" => BadAttestation.number(),
                _ => UnansweredChallenge.number(),
            })
        },
    )
}

/// A part of a transaction out of its JSON.
///
/// # Errors
/// It is none: `what`.
pub(super) fn decode<T: DeserializeOwned>(value: Value, what: &str) -> CliResult<T> {
    serde_json::from_value(value).map_err(|error| {
        CliError::new(Exit::Usage, "tx.action", what)
            .because(error.to_string())
            .next("see each kind with its fields: ashlar stake tx --list")
    })
}

/// A preset's parameters, `PRESET/N` with its delays divided by N, or those of a JSON file.
///
/// # Errors
/// There is no such preset or file, or the file has something else.
pub(super) fn params(text: &str) -> CliResult<ledger::Params> {
    let (name, factor) = text.split_once('/').unwrap_or((text, "1"));
    if let Some(preset) = ledger::Params::preset(name) {
        return match factor.parse() {
            Ok(factor @ 1..=1_000_000) => Ok(preset.faster(factor)),
            _ => Err(CliError::usage(format!("{text} is no preset"))
                .because(format!("{factor:?} is no whole number from 1 to 1000000"))
                .next("write it as current/100: every delay divided by 100")),
        };
    }
    let value = files::read_json(Path::new(text)).map_err(|error| {
        error.next("use a preset (classic, current, current/100) or a JSON file of all parameters")
    })?;
    serde_json::from_value(value).map_err(|error| {
        CliError::usage(format!("{text} has no parameters"))
            .because(error.to_string())
            .next("print a preset to start from: ashlar stake init --print-params --preset current")
    })
}

fn pair<'a>(text: &'a str, form: &str) -> Result<(&'a str, &'a str), String> {
    text.split_once('=')
        .ok_or_else(|| format!("write it as {form}"))
}

fn strategy_number(text: &str) -> Result<StrategyId, String> {
    parse(text, "number of a strategy")
}

fn parse<T: FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no {what}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;

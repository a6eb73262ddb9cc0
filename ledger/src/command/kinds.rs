//! Every kind of transaction with its options: one table, from which the commands, their help and `tx --list` are made.
//!
//! An option fills one place of the action's JSON; the ledger's own decoder reads the result, so that an option that does not
//! fit its action cannot get past the first test.

mod rewards;
mod services;
mod staking;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::value::FieldKind::{self, *};

/// Who sends a kind, for the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Sets the ledger up.
    Admin,
    /// Reports what assets are worth.
    Oracle,
    /// Stakes.
    Staker,
    /// Runs nodes.
    Operator,
    /// Is secured.
    Service,
    /// Makes batches.
    Disperser,
    /// Pays and is paid.
    Rewards,
    /// Pools stake.
    Vault,
}

impl Group {
    /// For headings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Oracle => "oracle",
            Self::Staker => "staker",
            Self::Operator => "operator",
            Self::Service => "service",
            Self::Disperser => "disperser",
            Self::Rewards => "rewards",
            Self::Vault => "vault",
        }
    }
}

/// Whether an option has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It has.
    Required,
    /// Left out, the action goes without.
    Optional,
    /// Left out, it is this.
    Default(&'static str),
}

/// One option of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// `--option`.
    pub option: &'static str,
    /// Its place in the action, with dots; several options of one place are a list.
    pub path: &'static str,
    /// What is written there.
    pub kind: FieldKind,
    /// Whether it has to be.
    pub need: Need,
    /// One line.
    pub help: &'static str,
}

/// One kind of transaction.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The `type` in JSON. The command is the same with dashes.
    pub name: &'static str,
    /// Whose it is.
    pub group: Group,
    /// Who may send it.
    pub who: &'static str,
    /// What it does, one line.
    pub about: &'static str,
    /// Its options.
    pub fields: &'static [Field],
    /// Options of an example.
    pub example: &'static str,
}

impl Kind {
    /// The command's name.
    pub fn command(&self) -> &'static str {
        static NAMES: LazyLock<BTreeMap<&'static str, String>> = LazyLock::new(|| {
            kinds()
                .map(|kind| (kind.name, kind.name.replace('_', "-")))
                .collect()
        });
        NAMES.get(self.name).map_or(self.name, String::as_str)
    }

    /// The kind of this `type`.
    pub fn find(name: &str) -> Option<&'static Self> {
        kinds().find(|kind| kind.name == name)
    }
}

const fn field(
    option: &'static str,
    path: &'static str,
    kind: FieldKind,
    need: Need,
    help: &'static str,
) -> Field {
    Field {
        option,
        path,
        kind,
        need,
        help,
    }
}

const fn req(
    option: &'static str,
    path: &'static str,
    kind: FieldKind,
    help: &'static str,
) -> Field {
    field(option, path, kind, Need::Required, help)
}

const fn opt(
    option: &'static str,
    path: &'static str,
    kind: FieldKind,
    help: &'static str,
) -> Field {
    field(option, path, kind, Need::Optional, help)
}

const fn or(
    option: &'static str,
    path: &'static str,
    kind: FieldKind,
    default: &'static str,
    help: &'static str,
) -> Field {
    field(option, path, kind, Need::Default(default), help)
}

const U32: FieldKind = Number(u32::MAX as u64);
const U64: FieldKind = Number(u64::MAX);
const STRATEGY: Field = req("strategy", "strategy", U32, "Number of the strategy");
const SERVICE: Field = req("service", "service", U32, "Number of the service");
const QUORUM: Field = req("quorum", "quorum", Number(255), "Number of the quorum");
const DISPERSER: Field = req("disperser", "disperser", U32, "Number of the disperser");
const SIGNATURE: Field = req(
    "head-signature",
    "signature",
    Signature,
    "The signature of the head key",
);
const VAULT: Field = req("vault", "vault", U32, "Number of the vault");
const OPERATOR: Field = req("operator", "operator", OperatorKey, "Id of the operator");
const REASON: Field = req("reason", "reason", Text, "Why, for everybody to read");
const PARTS: Field = req(
    "part",
    "parts",
    SlashParts,
    "Which part of which allocation; several times, strategies rising",
);
const REQUEST: Field = req("request", "request", U64, "Number of the slash request");

const fn kind(
    name: &'static str,
    group: Group,
    who: &'static str,
    about: &'static str,
    fields: &'static [Field],
    example: &'static str,
) -> Kind {
    Kind {
        name,
        group,
        who,
        about,
        fields,
        example,
    }
}

/// All kinds, in the order of the ledger's own list.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    [staking::KINDS, services::KINDS, rewards::KINDS]
        .into_iter()
        .flatten()
}

const REWARD_KINDS: &[&str] = &["fee", "bounty", "incentive", "points"];

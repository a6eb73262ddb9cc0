//! JSON about accounts: prices, and what an account has used and owes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[cfg(feature = "openapi")]
use super::Decimal;
use super::decimal;
use crate::auth::header::SignedVoucher;
use crate::{Account, Block, Domain, QuorumId, Stake};

/// Header of the answer to an accepted post: [`AccountView::charged`] after it.
pub const CHARGED_HEADER: &str = "ashlar-charged";
/// Header of the answer to an accepted post: [`AccountView::refunded`] at that moment.
pub const REFUNDED_HEADER: &str = "ashlar-refunded";

/// Whom a disperser serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AccountMode {
    /// Everybody, signed or not. Nobody pays.
    #[default]
    Open,
    /// Accounts of a list, signed. Nobody pays.
    AllowList,
    /// Accounts that pay, by vouchers or a reservation.
    Paid,
}

impl fmt::Display for AccountMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::AllowList => "allow-list",
            Self::Paid => "paid",
        })
    }
}

impl FromStr for AccountMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let modes = [Self::Open, Self::AllowList, Self::Paid];
        let named = modes.into_iter().find(|mode| mode.to_string() == text);
        named.ok_or("it is open, allow-list or paid")
    }
}

/// Answer to `GET /v1/prices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Prices {
    /// The service whose domain is signed.
    pub domain: Domain,
    /// The number that is signed: the disperser's in the operator table.
    pub disperser_id: u32,
    /// Whom it serves.
    pub mode: AccountMode,
    /// For a row, a day begun and a quorum, in the smallest unit of the token. Decimal.
    #[serde(with = "decimal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Decimal))]
    pub row_day: Stake,
    /// How long blobs are kept, by protocol version.
    pub retention: Vec<RetentionDays>,
    /// A voucher may exceed what is owed by so much. Decimal.
    #[serde(with = "decimal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Decimal))]
    pub ahead: Stake,
}

/// How long blobs of a protocol version are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetentionDays {
    /// The version.
    pub version: u16,
    /// Days, the last one maybe not whole.
    pub days: u32,
}

impl Prices {
    /// The price of a blob. `None` for a version that is not accepted.
    pub fn of(&self, version: u16, rows: u32, quorums: &[QuorumId]) -> Option<Stake> {
        let kept = self.retention.iter().find(|kept| kept.version == version)?;
        if self.mode != AccountMode::Paid {
            return Some(Stake::ZERO);
        }
        Some(price(self.row_day, rows, kept.days, quorums.len()))
    }
}

/// `row_day` for each row, day and quorum. The most that can be said, if it is more than that.
pub fn price(row_day: Stake, rows: u32, days: u32, quorums: usize) -> Stake {
    row_day
        .saturating_mul(Stake::from(rows))
        .saturating_mul(Stake::from(days))
        .saturating_mul(Stake::from(quorums))
}

/// Answer to `GET /v1/accounts/{address}`. Everybody may ask: what is deposited and redeemed is public on the ledger, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountView {
    /// The account.
    pub account: Account,
    /// Prices of all blobs that it was charged for. Never falls. Decimal.
    #[serde(with = "decimal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Decimal))]
    pub charged: Stake,
    /// Prices of those of them that failed. Never falls. Decimal.
    #[serde(with = "decimal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Decimal))]
    pub refunded: Stake,
    /// `charged` less `refunded`: what the next voucher has to cover, with the price of its blob. Decimal.
    #[serde(with = "decimal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Decimal))]
    pub owed: Stake,
    /// The highest voucher that it has given.
    pub voucher: Option<SignedVoucher>,
    /// What it has on the ledger, as far as that can be asked now.
    pub terms: Option<TermsView>,
    /// What it used, the last days first.
    pub days: Vec<DayUse>,
}

/// What an account has with this disperser on the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TermsView {
    /// As of this block.
    pub block: Block,
    /// Vouchers up to this sum are covered. Decimal.
    #[serde(with = "decimal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Decimal))]
    pub funded: Stake,
    /// The highest voucher that was redeemed. Decimal.
    #[serde(with = "decimal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Decimal))]
    pub redeemed: Stake,
    /// The reservation, if one counts now or will.
    pub reservation: Option<ReservationView>,
}

/// Rows that an account may post without paying for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReservationView {
    /// Rows a second in the long run.
    pub rows_per_second: u32,
    /// Rows at once, at most.
    pub burst_rows: u32,
    /// The first block that it counts in.
    pub from: Block,
    /// The first block that it counts in no more.
    pub until: Block,
    /// Rows that can be posted now.
    pub rows_now: u32,
}

/// What an account used on one day (UTC).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DayUse {
    /// Days since 1970.
    pub day: u64,
    /// Blobs accepted.
    pub blobs: u64,
    /// Their rows.
    pub rows: u64,
    /// Of these, rows of the reservation.
    pub reserved_rows: u64,
    /// Payload bytes.
    pub bytes: u64,
    /// What was charged. Decimal.
    #[serde(with = "decimal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Decimal))]
    pub charged: Stake,
    /// What was refunded of it. Decimal.
    #[serde(with = "decimal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Decimal))]
    pub refunded: Stake,
}

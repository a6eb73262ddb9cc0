//! What accounts have with dispersers.

use ashlar_proto::{Account, Block};
use serde::{Deserialize, Serialize};

use crate::Amount;

/// On which terms accounts pay the dispersers of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PaymentTerms {
    /// The token of deposits, vouchers and reservations. It stays.
    pub token: Account,
    /// Of every payment, so much goes to operators and stakers: 0 to 10,000 basis points. The rest is the disperser's. It stays.
    pub operators_bps: u16,
    /// What a reserved row a second costs a block, in the smallest unit of the token. For reservations from now on.
    pub row_price: Amount,
    /// Rows a second that can be reserved with all dispersers together. Less than is reserved already only means that nothing more
    /// is sold.
    pub capacity: u32,
    /// Blocks from the announcement of a refund until it can be taken, 1 to 2^23. It stays.
    pub notice: u64,
}

/// What a service is paid for, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PaymentMarket {
    /// The terms.
    pub terms: PaymentTerms,
    /// Where the tokens are.
    pub fund: PaymentFund,
    /// Reservations that are not over.
    pub reservations: u32,
}

/// The payments of a service. Always `paid_in = held + to_operators + to_dispersers + returned`, and `held` is the sum of what its
/// accounts have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PaymentFund {
    /// Came in as deposits and for reservations.
    pub paid_in: Amount,
    /// Nobody's but the accounts' yet.
    pub held: Amount,
    /// Paid in for rewards of operators and stakers.
    pub to_operators: Amount,
    /// Paid to the accounts of dispersers.
    pub to_dispersers: Amount,
    /// Given back to accounts.
    pub returned: Amount,
}

/// What accounts have with one disperser, together, and what it was paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Payee {
    /// Deposits and reservations that are not paid yet.
    pub held: Amount,
    /// Of what accounts paid, ever: to the disperser's account.
    pub to_disperser: Amount,
    /// To operators and stakers.
    pub to_operators: Amount,
    /// It takes nothing new: it closed its accounts, or was slashed.
    pub closing: Option<Closing>,
}

/// The end of a disperser's accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Closing {
    /// The first block in which no voucher is paid any more, and accounts take what is left.
    pub ends: Block,
    /// The first block in which no reservation counts any more.
    pub cut: Block,
}

/// What an account has with one disperser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PaymentAccount {
    /// Deposited for vouchers, ever.
    pub deposited: Amount,
    /// Of that, given back, ever.
    pub returned: Amount,
    /// The highest voucher that was redeemed: paid by vouchers, ever.
    pub redeemed: Amount,
    /// Paid for reservations, ever.
    pub reserved: Amount,
    /// What it announced to take back.
    pub refund: Option<Refund>,
    /// What it bought and what is not over.
    pub reservation: Option<HeldReservation>,
}

/// A refund that was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Refund {
    /// How much, unless vouchers leave less.
    pub amount: Amount,
    /// The first block in which it can be taken.
    pub from: Block,
}

/// A reservation, which is paid block by block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeldReservation {
    /// Rows a second in the long run.
    pub rows_per_second: u32,
    /// Rows at once, at most.
    pub burst_rows: u32,
    /// The first block that it counts in.
    pub from: Block,
    /// The first block that it counts in no more.
    pub until: Block,
    /// What a block of it costs, by the price that it was bought at.
    pub per_block: Amount,
    /// Blocks before this one are paid.
    pub settled: Block,
}

/// A reservation that somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NewReservation {
    pub(crate) rows_per_second: u32,
    pub(crate) burst_rows: u32,
    pub(crate) from: Block,
    pub(crate) until: Block,
    /// It may cost so much at most: the price can change before the transaction is applied.
    pub(crate) most: Amount,
}

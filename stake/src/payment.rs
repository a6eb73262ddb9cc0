//! What accounts have deposited with a disperser, and how the disperser is paid from it.

use ashlar_crypto::account::AccountSignature;
use ashlar_proto::auth::Voucher;
use ashlar_proto::{Account, Block, Stake};

use crate::StakeError;

/// What an account has with one disperser, as of a block. An account that nobody knows has nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountTerms {
    /// The block that this is the state of.
    pub block: Block,
    /// Vouchers up to this sum are covered: everything ever deposited, less what was withdrawn or is about to be. In the smallest unit
    /// of the token. It falls only by a withdrawal, which was announced [`notice`](Self::notice) blocks before.
    pub funded: Stake,
    /// The highest voucher that was redeemed: so much of it is paid.
    pub redeemed: Stake,
    /// A withdrawal takes effect so many blocks after it was announced: the time to redeem what the account has signed.
    pub notice: u64,
    /// What was bought beforehand, if it is not over.
    pub reservation: Option<Reservation>,
}

/// Rows that an account may post without paying for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Rows a second in the long run.
    pub rows_per_second: u32,
    /// Rows at once, at most.
    pub burst_rows: u32,
    /// The first block that it counts in.
    pub from: Block,
    /// The first block that it counts in no more.
    pub until: Block,
}

/// Where a disperser learns what accounts have, and is paid: the restaking ledger.
pub trait PaymentSource: Send + Sync {
    /// What `account` has with disperser `disperser_id` of this source's service. Blocks.
    ///
    /// # Errors
    /// The source cannot be read.
    fn terms(&self, disperser_id: u32, account: Account) -> Result<AccountTerms, StakeError>;

    /// Hands a voucher in: the difference to the highest one before is paid. One that is not above it changes nothing. Blocks.
    ///
    /// # Errors
    /// The source cannot be reached, or refuses the voucher.
    fn redeem(&self, voucher: Voucher, signature: AccountSignature) -> Result<(), StakeError>;
}

//! The rules of restaking: where the stake behind the signatures comes from.
//!
//! [`State`] is a deterministic state machine: [`State::apply`] takes a block and a [`Transaction`] and gives [`Event`]s, or a
//! [`TransactionError`] and then nothing has changed. No IO, no clock, no floats, no randomness; integers of 256 bits with 512 in between.
//! What falls due with time (a withdrawal that matures, an allocation that takes effect) happens in its own block, before the
//! first transaction of a later one.
//!
//! * Stake: [`Strategy`], [`Position`], [`OperatorShares`], [`Withdrawal`]. Every share is in one counter; see [`State::check_books`].
//! * Security: [`Service`], [`QuorumConfig`], [`Allocation`]: what a quorum can slash of an operator, and nobody else.
//! * Custody: [`OpenChallenge`], [`CustodyTerms`]: an operator is asked to show what it signed for, or loses stake.
//! * Payments: [`PaymentAccount`], [`PaymentTerms`]: what accounts pay dispersers, and who gets a share of it.
//! * Rewards: [`distribution`], [`State::reward_shares`], [`State::vault_rewards`].
//! * Tables: [`State::table_at`] for any block that is over.
//! * Disk: [`log`] is the codec of the log; reading and writing is the service's.
//! * Faults: [`evidence`] says what an operator or a disperser is slashed for, and checks the proof of it.
//! * Risk: [`risk`] says whether the stake behind a set of services is enough.
//!
//! | rounding | down | up |
//! |---|---|---|
//! | strategies | shares for tokens, tokens for shares | |
//! | positions | k, what is queued, what is paid | |
//! | slashing | what a position keeps | the magnitude taken, an operator's and a queue's shares left |
//! | weights | each step | |
//! | payments | the share of operators and stakers | |
//! | vaults | shares minted, tokens paid | shares burnt for tokens, losses |

mod action;
mod admin;
mod amount;
mod book;
mod custody;
mod dispersers;
pub mod distribution;
mod error;
mod event;
pub mod evidence;
mod genesis;
mod heads;
pub mod log;
mod operators;
mod params;
mod payments;
mod rewards;
pub mod risk;
mod services;
mod signed;
mod stake;
mod state;
mod typed_data;
mod types;
mod vaults;
mod views;
mod weights;

pub use action::{Action, Bps, Encoded, ProfilePart, Text, Transaction, sol};
pub use amount::{Amount, AmountError, WAD, Wad};
pub use custody::{
    MAX_CHALLENGE_ANSWER, MAX_CHALLENGE_CERTIFICATE, MAX_CHALLENGES, MAX_CHALLENGES_PER_OPERATOR,
};
pub use dispersers::MAX_DISPERSERS;
pub use error::TransactionError;
pub use event::Event;
pub use genesis::{Genesis, Meta};
pub use operators::{DEFAULT_SPLIT_BPS, MAX_ALLOCATION_DELAY, MAX_MEMBERSHIPS};
pub use params::{Params, Timing};
pub use payments::{MAX_BURST_SECONDS, MAX_NOTICE, MAX_RESERVATION_BLOCKS, MAX_RESERVATIONS};
pub use services::{MAX_CONDITIONS, MAX_MULTIPLIER, MAX_QUORUM_STRATEGIES, MAX_VERSIONS};
pub use stake::{MAX_STRATEGIES, MAX_WITHDRAWALS, VIRTUAL_OFFSET, max_shares, validator_balance};
pub use state::{MAX_NAME, MAX_REASON, State};
pub use types::*;
pub use vaults::{
    CAP_DOWN_BPS, CAP_UP_BPS, LOCKED, MAX_FEE_BPS, MAX_FINALIZE, MAX_PROFILE, MAX_VALIDATORS,
    MIN_SEED, TOLERANCE, vault_account,
};
pub use views::{PoolSums, PositionView};
pub use weights::TableQueryError;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod testing;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod traces;

//! The restaking ledger.

mod action;
mod amount;
mod book;
pub mod distribution;
mod event;
mod execute;
pub mod log;
mod operators;
mod params;
mod refusal;
mod rewards;
mod services;
mod source;
mod stake;
mod state;
pub mod store;
mod types;
mod vaults;
mod views;
mod weights;

pub use action::{Action, Transaction};
pub use amount::{Amount, AmountError, WAD, Wad};
pub use event::Event;
pub use operators::{DEFAULT_SPLIT_BPS, MAX_ALLOCATION_DELAY, MAX_MEMBERSHIPS};
pub use params::{Params, Timing};
pub use refusal::Refusal;
pub use services::{
    MAX_CONDITIONS, MAX_DISPERSERS, MAX_MULTIPLIER, MAX_NAME, MAX_QUORUM_STRATEGIES, MAX_REASON,
};
pub use source::{LedgerStakeSource, SharedState};
pub use stake::{MAX_STRATEGIES, MAX_WITHDRAWALS, VIRTUAL_OFFSET, max_shares, validator_balance};
pub use state::State;
pub use types::*;
pub use vaults::{
    CAP_DOWN_BPS, CAP_UP_BPS, LOCKED, MAX_FEE_BPS, MAX_FINALIZE, MAX_PROFILE, MAX_VALIDATORS,
    MIN_SEED, TOLERANCE, vault_account,
};
pub use views::{PoolSums, PositionView};
pub use weights::{TableQueryError, WeightEntry};

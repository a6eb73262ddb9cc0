//! What cannot be proven and so is not slashed: signatures that did not come, or came too late.
//!
//! Over a window of blocks each operator's batches are counted: asked to sign, and signed. The share signed sets a factor on the
//! operator's rewards of that window, and below a threshold the operator is ejected for a cool-down. Pure: blocks and counts come from the caller.

use std::collections::BTreeMap;

use ashlar_crypto::Coded;
use ashlar_proto::OperatorId;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The whole in basis points.
pub const FULL_BPS: u32 = 10_000;
/// Most operators in one window: those of the largest table, and as many that replaced them.
pub const MAX_RECORDS: usize = 8192;

/// The rules of rewards and ejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerformanceParams {
    /// Blocks in a window.
    pub window_blocks: u64,
    /// With fewer batches than this in a window nothing follows: too few to judge.
    pub min_asked: u64,
    /// From this share signed on, in basis points, rewards are whole.
    pub full_bps: u32,
    /// Up to this share, in basis points, there are none. In between they rise in a straight line.
    pub zero_bps: u32,
    /// Below this share, in basis points, the operator is ejected.
    pub eject_bps: u32,
    /// Blocks after the window in which an ejected operator may not come back.
    pub cooldown_blocks: u64,
}

impl Default for PerformanceParams {
    /// A day of blocks of 12 seconds, whole rewards from 98 %, none up to 80 %, ejection below 50 %, back after 7 days.
    fn default() -> Self {
        Self {
            window_blocks: 7200,
            min_asked: 100,
            full_bps: 9_800,
            zero_bps: 8_000,
            eject_bps: 5_000,
            cooldown_blocks: 50_400,
        }
    }
}

/// Why performance is not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "performance", blame = Caller)]
pub enum PerformanceError {
    /// Thresholds out of order, or a window without blocks.
    #[error("performance rules need a window and eject <= zero < full <= 10000 basis points")]
    Params,
    /// A block outside the current window; close that first.
    #[error("block {got} is not in the window of blocks {first} to {last}")]
    Block {
        /// The block given.
        got: u64,
        /// First block of the window.
        first: u64,
        /// Last block of the window.
        last: u64,
    },
    /// The window is not over yet.
    #[error("the window ends with block {last}, now is {now}")]
    NotOver {
        /// Last block of the window.
        last: u64,
        /// The newest block.
        now: u64,
    },
    /// More operators than any table has.
    #[error("a window counts at most {MAX_RECORDS} operators")]
    TooMany,
}

impl PerformanceParams {
    /// Checks the order of the thresholds.
    ///
    /// # Errors
    /// [`PerformanceError::Params`].
    pub fn check(&self) -> Result<(), PerformanceError> {
        let ordered = self.eject_bps <= self.zero_bps
            && self.zero_bps < self.full_bps
            && self.full_bps <= FULL_BPS;
        if ordered && self.window_blocks > 0 {
            Ok(())
        } else {
            Err(PerformanceError::Params)
        }
    }
}

/// What one operator did in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Certified batches that it had chunks of.
    pub asked: u64,
    /// Those that it signed.
    pub signed: u64,
}

impl Record {
    /// Share signed in basis points, rounded down; whole if nothing was asked.
    pub fn signed_bps(&self) -> u32 {
        if self.asked == 0 {
            return FULL_BPS;
        }
        let signed = u128::from(self.signed.min(self.asked));
        // At most 10000.
        (signed * u128::from(FULL_BPS) / u128::from(self.asked)) as u32
    }

    /// The factor on the window's rewards in basis points, rounded down.
    pub fn reward_bps(&self, params: &PerformanceParams) -> u32 {
        if self.asked < params.min_asked {
            return FULL_BPS;
        }
        let share = self.signed_bps();
        if share >= params.full_bps {
            return FULL_BPS;
        }
        let above = u64::from(share.saturating_sub(params.zero_bps));
        let span = u64::from(params.full_bps.saturating_sub(params.zero_bps)).max(1);
        // Below the whole, since the share is below `full_bps`.
        (above * u64::from(FULL_BPS) / span) as u32
    }

    /// Whether it is too little to stay.
    pub fn ejects(&self, params: &PerformanceParams) -> bool {
        self.asked >= params.min_asked && self.signed_bps() < params.eject_bps
    }
}

/// What a window ends with for one operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Who.
    pub operator: OperatorId,
    /// What it did.
    pub record: Record,
    /// The factor on its rewards, in basis points.
    pub reward_bps: u32,
    /// If it is ejected: the first block at which it may come back.
    pub ejected_until: Option<u64>,
}

/// The counters of the current window, and who has to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerformanceBook {
    params: PerformanceParams,
    first: u64,
    records: BTreeMap<OperatorId, Record>,
    /// First block at which they may come back.
    ejected: BTreeMap<OperatorId, u64>,
}

impl PerformanceBook {
    /// A book whose first window begins with this block.
    ///
    /// # Errors
    /// [`PerformanceError::Params`].
    pub fn new(params: PerformanceParams, first: u64) -> Result<Self, PerformanceError> {
        params.check()?;
        Ok(Self {
            params,
            first,
            records: BTreeMap::new(),
            ejected: BTreeMap::new(),
        })
    }

    /// First and last block of the current window.
    pub fn window(&self) -> (u64, u64) {
        (
            self.first,
            self.first.saturating_add(self.params.window_blocks - 1),
        )
    }

    /// What an operator did so far in this window.
    pub fn record_of(&self, operator: &OperatorId) -> Record {
        self.records.get(operator).copied().unwrap_or(Record {
            asked: 0,
            signed: 0,
        })
    }

    /// Counts one certified batch for an operator that had chunks of it.
    ///
    /// # Errors
    /// [`PerformanceError::Block`] or [`PerformanceError::TooMany`]; nothing is counted then.
    pub fn record(
        &mut self,
        block: u64,
        operator: OperatorId,
        signed: bool,
    ) -> Result<(), PerformanceError> {
        let (first, last) = self.window();
        if block < first || block > last {
            return Err(PerformanceError::Block {
                got: block,
                first,
                last,
            });
        }
        if !self.records.contains_key(&operator) && self.records.len() >= MAX_RECORDS {
            return Err(PerformanceError::TooMany);
        }
        let record = self.records.entry(operator).or_default();
        record.asked = record.asked.saturating_add(1);
        record.signed = record.signed.saturating_add(u64::from(signed));
        Ok(())
    }

    /// Ends the window and begins the one that `now` is in; the outcomes by operator id.
    ///
    /// # Errors
    /// [`PerformanceError::NotOver`].
    pub fn close(&mut self, now: u64) -> Result<Vec<Outcome>, PerformanceError> {
        let (first, last) = self.window();
        if now <= last {
            return Err(PerformanceError::NotOver { last, now });
        }
        let params = self.params;
        let outcomes: Vec<Outcome> = std::mem::take(&mut self.records)
            .into_iter()
            .map(|(operator, record)| Outcome {
                operator,
                record,
                reward_bps: record.reward_bps(&params),
                ejected_until: record.ejects(&params).then(|| {
                    last.saturating_add(1)
                        .saturating_add(params.cooldown_blocks)
                }),
            })
            .collect();
        self.ejected.retain(|_, until| *until > now);
        for outcome in &outcomes {
            if let Some(until) = outcome.ejected_until {
                self.ejected.insert(outcome.operator, until);
            }
        }
        // Windows lie end to end, however long nobody closed one.
        self.first = now - (now - first) % params.window_blocks;
        Ok(outcomes)
    }

    /// Whether an operator may register at this block, as far as its performance goes.
    pub fn may_register(&self, operator: &OperatorId, block: u64) -> bool {
        self.ejected
            .get(operator)
            .is_none_or(|until| block >= *until)
    }
}

#[cfg(test)]
mod tests;

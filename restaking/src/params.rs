//! Delays and caps of a ledger, and the rule that ties them together.

use serde::{Deserialize, Serialize};

use super::{TransactionError, Wad};

/// Days, in seconds.
const DAY: u64 = 86_400;

/// All delays are in blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Seconds between blocks, 1 to 3600; for people, for the presets, and to compare with the times of protocol versions, which are in
    /// seconds: how long a blob may be challenged and is kept.
    pub block_seconds: u64,
    /// A withdrawal queued in block b can be slashed in b + this and completed in the block after that.
    pub withdrawal_delay: u64,
    /// A decrease of a slashable allocation made in block b holds from b + this + 1; whoever left a quorum in b can be
    /// slashed in b + this.
    pub deallocation_delay: u64,
    /// What a change of an operator's allocation delay takes.
    pub allocation_delay_change: u64,
    /// What a change of a service's slasher takes.
    pub slasher_delay: u64,
    /// What a change of an operator's fee split takes.
    pub split_delay: u64,
    /// How long a submitted reward root can be looked at before it pays.
    pub root_delay: u64,
    /// After the veto window of a slash request, it can be executed for this long.
    pub execution_window: u64,
    /// The most that one slash takes of an allocation: policy, which each service may lower for itself.
    pub slash_cap: Wad,
    /// Fewest blocks between two reports of a vault.
    pub report_interval: u64,
    /// What the faults of the data availability service take to be proven.
    pub timing: Timing,
}

/// The steps from a stored blob to an executed slash, in blocks. Their sum must not exceed the time for which stake that
/// wants to leave can still be slashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// A blob can be challenged for this long after its batch.
    pub open_to_challenges: u64,
    /// From a challenge to its inclusion.
    pub challenge: u64,
    /// An operator answers a challenge within this.
    pub response: u64,
    /// The longest veto window of a service.
    pub veto: u64,
    /// For whoever executes the slash.
    pub margin: u64,
}

impl Timing {
    /// The sum of the steps; saturating.
    pub fn total(&self) -> u64 {
        [
            self.open_to_challenges,
            self.challenge,
            self.response,
            self.veto,
            self.margin,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }
}

impl Params {
    /// The first design: 7 days of escrow, at most 50 % of an allocation a slash. Blocks of 12 seconds.
    pub fn classic() -> Self {
        Self::days(7, Wad::percent(50), [3, 1, 1, 1, 1])
    }

    /// Today's: 14 days, up to 100 %. Blocks of 12 seconds. 9 days open to challenges + 1 + 1 + 2 + 1 are the 14.
    pub fn current() -> Self {
        Self::days(14, Wad::ONE, [9, 1, 1, 2, 1])
    }

    /// The preset of this name: `classic` or `current`.
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "classic" => Some(Self::classic()),
            "current" => Some(Self::current()),
            _ => None,
        }
    }

    /// Every delay divided by `factor` (rounded down, but not to 0), for networks that live for minutes. The timing rule holds
    /// still, because its sum is of rounded-down terms; the escrow is that sum at least.
    pub fn faster(mut self, factor: u64) -> Self {
        let factor = factor.max(1);
        let shrink = |delay: &mut u64| *delay = (*delay / factor).max(1);
        for delay in [
            &mut self.allocation_delay_change,
            &mut self.slasher_delay,
            &mut self.split_delay,
            &mut self.root_delay,
            &mut self.execution_window,
            &mut self.report_interval,
            &mut self.timing.open_to_challenges,
            &mut self.timing.challenge,
            &mut self.timing.response,
            &mut self.timing.veto,
            &mut self.timing.margin,
        ] {
            shrink(delay);
        }
        let least = self.timing.total();
        for delay in [&mut self.withdrawal_delay, &mut self.deallocation_delay] {
            *delay = (*delay / factor).max(least);
        }
        self
    }

    fn days(escrow: u64, slash_cap: Wad, timing: [u64; 5]) -> Self {
        let block_seconds = 12;
        let day = DAY / block_seconds;
        let [open_to_challenges, challenge, response, veto, margin] = timing.map(|days| days * day);
        Self {
            block_seconds,
            withdrawal_delay: escrow * day,
            deallocation_delay: escrow * day,
            allocation_delay_change: 126_000,
            slasher_delay: escrow * day,
            split_delay: 7 * day,
            root_delay: 7 * day,
            execution_window: margin,
            slash_cap,
            report_interval: day,
            timing: Timing {
                open_to_challenges,
                challenge,
                response,
                veto,
                margin,
            },
        }
    }

    /// Checks the ranges and the timing rule: open to challenges + challenge + response + veto + margin ≤ min(withdrawal
    /// delay, deallocation delay).
    ///
    /// # Errors
    ///
    /// [`TransactionError::Param`], [`TransactionError::Timing`].
    pub fn check(&self) -> Result<(), TransactionError> {
        // Far more than any use, and no sum of delays and a block number can overflow.
        const LONGEST: u64 = 1 << 40;
        for (name, got, min, max) in [
            ("block_seconds", self.block_seconds, 1, 3600),
            ("withdrawal_delay", self.withdrawal_delay, 1, LONGEST),
            ("deallocation_delay", self.deallocation_delay, 1, LONGEST),
            (
                "allocation_delay_change",
                self.allocation_delay_change,
                0,
                LONGEST,
            ),
            ("slasher_delay", self.slasher_delay, 0, LONGEST),
            ("split_delay", self.split_delay, 0, LONGEST),
            ("root_delay", self.root_delay, 0, LONGEST),
            ("execution_window", self.execution_window, 1, LONGEST),
            ("slash_cap", self.slash_cap.0, 1, Wad::ONE.0),
            ("report_interval", self.report_interval, 0, LONGEST),
            // Without it nobody could answer, and with it zero a challenge would be a slash.
            ("timing.response", self.timing.response, 1, LONGEST),
        ] {
            if !(min..=max).contains(&got) {
                return Err(TransactionError::Param {
                    name,
                    got,
                    min,
                    max,
                });
            }
        }
        let expected = self.withdrawal_delay.min(self.deallocation_delay);
        let got = self.timing.total();
        if got > expected {
            return Err(TransactionError::Timing { got, expected });
        }
        Ok(())
    }
}

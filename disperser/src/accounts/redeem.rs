//! Handing in vouchers: the highest one of each account, at an interval, when it is worth it, when the account withdraws, and at the end.

use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::Coded;
use ashlar_proto::auth::Voucher;
use ashlar_proto::{Account, Stake};
use ashlar_service::Backoff;
use ashlar_stake::PaymentSource;
use tokio::time::Instant;

use super::book::AccountRecord;
use crate::compute::blocking;
use crate::durable::Durable;
use crate::health;
use crate::registry::Registry;

/// Time between two looks at what there is to redeem.
const LOOK: Duration = Duration::from_secs(10);
/// Pauses after a round that failed.
const PAUSE: Backoff = Backoff {
    base: Duration::from_secs(10),
    max: Duration::from_secs(600),
};
/// So many failures in a row end a round: the source is down.
const TOLERATED: usize = 3;
/// Time for the last round, when the disperser stops.
const LAST: Duration = Duration::from_secs(5);

/// When vouchers are handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    /// All, so often.
    pub interval: Duration,
    /// One by which so much more would be paid, at once. Zero: none.
    pub above: Stake,
}

/// Hands in vouchers.
#[derive(Clone)]
pub(crate) struct Redeemer {
    pub(crate) durable: Durable,
    pub(crate) payment: Arc<dyn PaymentSource>,
    pub(crate) when: When,
}

impl Redeemer {
    /// Until the disperser stops, and once more then. `disperser_id` says who we are, if we are somebody.
    pub(crate) async fn run(self, disperser_id: impl Fn() -> Option<u32> + Clone + Send + 'static) {
        let (mut failures, mut all_at) = (0, Instant::now() + self.when.interval);
        let mut pause = LOOK.min(self.when.interval);
        loop {
            let goes_on = self.durable.sleep(pause).await;
            let all = !goes_on || Instant::now() >= all_at;
            let (redeemer, id) = (self.clone(), disperser_id.clone());
            let round = blocking(move || redeemer.round(id(), all));
            if !goes_on {
                // It holds the database: whoever waits for that waits for it.
                let _ = tokio::time::timeout(LAST, round).await;
                return;
            }
            let Some(done) = round.await else { return };
            match done {
                Ok(()) => {
                    failures = 0;
                    pause = LOOK.min(self.when.interval);
                    self.durable.health.clear(health::PAYMENT);
                    if all {
                        all_at = Instant::now() + self.when.interval;
                    }
                }
                Err(why) => {
                    failures += 1;
                    pause = PAUSE.jittered(failures);
                    self.durable.health.raise(health::PAYMENT, why);
                }
            }
        }
    }

    /// One look at every account. Blocks. The last failure, if any.
    fn round(&self, disperser_id: Option<u32>, all: bool) -> Result<(), String> {
        let registry = &self.durable.registry;
        let accounts = registry.store().accounts();
        let accounts = accounts.map_err(|error| error.to_string())?;
        let mut unpaid = accounts
            .into_iter()
            .filter(|(_, record)| record.owed() > record.redeemed)
            .peekable();
        if unpaid.peek().is_none() {
            return Ok(());
        }
        let Some(disperser_id) = disperser_id else {
            return Err("vouchers wait: this disperser is not in the operator table".to_owned());
        };
        let (mut failed, mut in_a_row) = (None, 0);
        for (account, record) in unpaid {
            match self.look(registry, disperser_id, account, &record, all) {
                Ok(()) => in_a_row = 0,
                Err(why) => {
                    tracing::warn!(%account, "{why}");
                    failed = Some(why);
                    in_a_row += 1;
                    if in_a_row >= TOLERATED {
                        break;
                    }
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn look(
        &self,
        registry: &Registry,
        disperser_id: u32,
        account: Account,
        record: &AccountRecord,
        all: bool,
    ) -> Result<(), String> {
        let Some(signed) = record.voucher else {
            return Ok(());
        };
        let failed = |code: &str, error: &dyn std::fmt::Display| {
            format!("the voucher of {account} cannot be redeemed [{code}]: {error}")
        };
        let terms = self
            .payment
            .terms(disperser_id, account)
            .map_err(|error| failed(error.code(), &error))?;
        let more = signed.cumulative.saturating_sub(terms.redeemed);
        let worth_it = self.when.above > Stake::ZERO && more >= self.when.above;
        // It withdraws: what it has signed is covered until that takes effect.
        let withdraws = terms.funded < signed.cumulative;
        if !(all || worth_it || withdraws) {
            return Ok(());
        }
        if more > Stake::ZERO {
            let voucher = Voucher {
                account,
                disperser_id,
                cumulative: signed.cumulative,
            };
            self.payment
                .redeem(voucher, signed.signature)
                .map_err(|error| failed(error.code(), &error))?;
            tracing::info!(%account, cumulative = %signed.cumulative, %more, "voucher redeemed");
        }
        let paid = signed.cumulative.max(terms.redeemed);
        let noted = registry.store().note_redeemed(account, paid);
        noted.map_err(|error| failed(error.code(), &error))
    }
}

//! Rows that accounts have reserved.
//!
//! Reserved rows are counted for the whole service, block by block, against the capacity that it states: what is sold is there. A
//! reservation is paid when it begins and earned block by block, so that what a disperser does not live to serve goes back.

use std::ops::Range;

use ashlar_proto::Account;

use super::super::error::Outcome;
use super::super::state::inconsistent;
use super::super::types::*;
use super::super::{Amount, Event, State, TransactionError};
use super::{Key, check_payment};

/// Most reservations of a service that are not over: what the count of reserved rows costs grows with them.
pub const MAX_RESERVATIONS: u32 = 4096;
/// Blocks ahead in which a reservation ends at the latest: three years of 12 seconds.
pub const MAX_RESERVATION_BLOCKS: u64 = 1 << 23;
/// A burst has at most the rows of so many seconds.
pub const MAX_BURST_SECONDS: u32 = 600;
fn check_range(what: &'static str, got: u64, range: Range<u64>) -> Outcome {
    if range.contains(&got) {
        return Ok(());
    }
    Err(TransactionError::ReservationRange {
        what,
        got,
        min: range.start,
        max: range.end.saturating_sub(1),
    })
}

impl HeldReservation {
    fn cost(&self, blocks: u64) -> Outcome<Amount> {
        self.per_block.mul_div(blocks.into(), 1u64.into())
    }

    /// For longer: with another one that begins where it ends, of the same rows at the same price.
    fn extended(self, by: Self) -> Option<Self> {
        let longer = Self {
            until: by.until,
            ..self
        };
        let same = Self {
            from: self.from,
            settled: self.settled,
            ..by
        };
        (by.from == self.until && longer == same).then_some(longer)
    }

    /// What is not paid of it yet.
    pub fn left(&self) -> Result<Amount, TransactionError> {
        self.cost(self.until.0.saturating_sub(self.settled.0))
    }
}

impl State {
    /// Rows a second of a service that are reserved in a block.
    pub fn reserved_rows(&self, service: ServiceId, block: Block) -> u64 {
        let until = self.reserved.range((service, Block(0))..=(service, block));
        until.last().map_or(0, |(_, rows)| *rows)
    }

    pub(crate) fn buy_reservation(
        &mut self,
        account: Account,
        service: ServiceId,
        disperser: u32,
        new: &NewReservation,
    ) -> Outcome {
        let block = self.block();
        let terms = self.check_payee(service, disperser)?;
        let &NewReservation {
            rows_per_second,
            burst_rows,
            from,
            until,
            most,
        } = new;
        let last = self.after(MAX_RESERVATION_BLOCKS)?;
        let rows = u64::from(rows_per_second);
        check_range("rows a second", rows, 1..u64::from(u32::MAX) + 1)?;
        let most_burst = rows * u64::from(MAX_BURST_SECONDS);
        check_range("rows of a burst", burst_rows.into(), 1..most_burst + 1)?;
        check_range("first block", from.0, block.0..last.0)?;
        check_range("end", until.0, from.0 + 1..last.0 + 1)?;
        let key = (service, disperser, account);
        let mut record = self.payer(&key);
        let bought = HeldReservation {
            rows_per_second,
            burst_rows,
            from,
            until,
            per_block: terms.row_price.mul_div(rows.into(), 1u64.into())?,
            settled: from,
        };
        let held = match record.reservation {
            Some(open) => open
                .extended(bought)
                .ok_or(TransactionError::ReservationOpen { until: open.until })?,
            None => {
                let market = self.market_mut(service)?;
                if market.reservations >= MAX_RESERVATIONS {
                    return Err(TransactionError::ReservationsFull {
                        max: MAX_RESERVATIONS,
                    });
                }
                market.reservations += 1;
                bought
            }
        };
        let cost = bought.left()?;
        if cost > most {
            return Err(TransactionError::ReservationPrice {
                got: cost,
                expected: most,
            });
        }
        check_payment(held.left()?)?;
        self.count_rows(service, from..until, |level| {
            level
                .checked_add(rows)
                .filter(|sum| *sum <= terms.capacity.into())
                .ok_or(TransactionError::ReservationCapacity {
                    got: u64::from(terms.capacity).saturating_sub(level),
                    expected: rows,
                })
        })?;
        self.hold_payment(service, disperser, cost)?;
        record.reservation = Some(held);
        self.payment_accounts.insert(key, record);
        self.at(until, Timer::ReservationOver(service, disperser, account))?;
        self.emit(Event::ReservationBought {
            service,
            disperser,
            account,
            rows_per_second,
            burst_rows,
            from,
            until,
            cost,
        });
        Ok(())
    }

    /// Changes how many rows are reserved in each block of a range.
    fn count_rows(
        &mut self,
        service: ServiceId,
        blocks: Range<Block>,
        change: impl Fn(u64) -> Outcome<u64>,
    ) -> Outcome {
        if blocks.is_empty() {
            return Ok(());
        }
        for edge in [blocks.start, blocks.end] {
            let level = self.reserved_rows(service, edge);
            self.reserved.insert((service, edge), level);
        }
        let levels: Vec<_> = self
            .reserved
            .range((service, blocks.start)..(service, blocks.end))
            .map(|(key, level)| (*key, *level))
            .collect();
        for (key, level) in levels {
            self.reserved.insert(key, change(level)?);
        }
        Ok(())
    }

    /// Pays what a reservation has earned up to now.
    pub(super) fn settle_reservation(&mut self, key: &Key) -> Outcome {
        let (service, disperser, account) = *key;
        let block = self.block();
        let cut = self.closing(service, disperser).map(|closing| closing.cut);
        let Some(held) = self.payer(key).reservation else {
            return Ok(());
        };
        let until = cut.map_or(held.until, |cut| cut.min(held.until)).min(block);
        if until <= held.settled {
            return Ok(());
        }
        let earned = held.cost(until - held.settled)?;
        let record = self.payer_mut(key)?;
        record.reservation = Some(HeldReservation {
            settled: until,
            ..held
        });
        record.reserved = record.reserved.plus(earned)?;
        let (to_disperser, to_operators) = self.pay_out(service, disperser, earned)?;
        self.emit(Event::ReservationPaid {
            service,
            disperser,
            account,
            until,
            to_disperser,
            to_operators,
        });
        Ok(())
    }

    /// Ends a reservation, if there is one: what it has earned is paid, and what it has not is given back. Gives the latter.
    pub(super) fn end_reservation(&mut self, key: &Key) -> Outcome<Amount> {
        let (service, disperser, _) = *key;
        let block = self.block();
        self.settle_reservation(key)?;
        let Some(held) = self.payer(key).reservation else {
            return Ok(Amount::ZERO);
        };
        self.payer_mut(key)?.reservation = None;
        let market = self.market_mut(service)?;
        market.reservations = market
            .reservations
            .checked_sub(1)
            .ok_or(inconsistent("the number of reservations"))?;
        let rows = u64::from(held.rows_per_second);
        self.count_rows(service, block.max(held.from)..held.until, |level| {
            level
                .checked_sub(rows)
                .ok_or(inconsistent("the reserved rows"))
        })?;
        let rest = held.left()?;
        self.give_back(service, disperser, rest)?;
        Ok(rest)
    }

    /// The last block of a reservation is over.
    pub(crate) fn reservation_over(
        &mut self,
        service: ServiceId,
        disperser: u32,
        account: Account,
    ) -> Outcome {
        let (key, block) = ((service, disperser, account), self.block());
        // Without one it ended before, when the account took all that it had; or it was made longer.
        let held = self.payer(&key).reservation;
        if held.is_some_and(|held| held.until <= block) {
            let amount = self.end_reservation(&key)?;
            if !amount.is_zero() {
                self.emit(Event::RefundTaken {
                    service,
                    disperser,
                    account,
                    amount,
                });
            }
        }
        // What was reserved in blocks that are over is nobody's question any more.
        let now = self
            .reserved
            .range((service, Block(0))..=(service, self.block()));
        let mut over: Vec<_> = now.map(|(key, rows)| (*key, *rows)).collect();
        if over.last().is_some_and(|(_, rows)| *rows > 0) {
            over.pop();
        }
        for (key, _) in over {
            self.reserved.remove(&key);
        }
        Ok(())
    }
}

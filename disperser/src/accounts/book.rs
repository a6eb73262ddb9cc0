//! What one account has used, owes and has signed: without IO and without a clock.
//!
//! ```text
//!   owed = charged − refunded            never above the highest voucher: nothing is served on credit
//!   a blob is taken if   owed + price ≤ max(highest voucher before, voucher with the blob)
//!                 and    owed + price ≤ funded,   voucher ≤ funded,   voucher ≤ owed + price + ahead
//! ```
//!
//! Vouchers are cumulative, so those of puts at the same time may come in any order: the highest one covers all that it sums.

use ashlar_crypto::Coded;
use ashlar_proto::api::{AccountView, DayUse, ReservationView, TermsView, decimal};
use ashlar_proto::auth::header::SignedVoucher;
use ashlar_proto::{Account, Stake};
use ashlar_stake::{AccountTerms, Reservation};
use serde::{Deserialize, Serialize};

/// Days whose use is kept.
pub const DAYS: usize = 31;
const DAY_MS: u64 = 24 * 3600 * 1000;

/// What a blob cost. In its record until it is forgotten; refunded if it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// What its account was charged.
    #[serde(with = "decimal")]
    pub amount: Stake,
    /// When, in days since 1970.
    pub day: u64,
}

/// What decides whether an account may post a blob.
#[derive(Debug, Clone)]
pub struct Charging {
    /// Of the blob.
    pub price: Stake,
    /// With its submission, its signature checked.
    pub voucher: Option<SignedVoucher>,
    /// What the account has; nothing where nobody pays.
    pub terms: Option<AccountTerms>,
    /// A voucher may exceed what is owed by so much.
    pub ahead: Stake,
}

/// The size of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Rows.
    pub rows: u32,
    /// Payload bytes.
    pub bytes: u64,
}

/// An account at this disperser, as on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    /// Prices of all blobs that were charged. Never falls.
    #[serde(with = "decimal")]
    pub charged: Stake,
    /// Prices of those that failed. Never falls.
    #[serde(with = "decimal")]
    pub refunded: Stake,
    /// The highest voucher.
    pub voucher: Option<SignedVoucher>,
    /// The highest voucher that the ledger has paid, as far as we know.
    #[serde(with = "decimal")]
    pub redeemed: Stake,
    /// Until when the reservation is used up, microseconds since 1970.
    pub used_until_us: u64,
    /// By day, the newest first.
    pub days: Vec<DayUse>,
}

impl AccountRecord {
    /// What the account owes.
    pub fn owed(&self) -> Stake {
        self.charged.saturating_sub(self.refunded)
    }

    /// The sum of the highest voucher.
    pub fn signed(&self) -> Stake {
        self.voucher
            .map_or(Stake::ZERO, |voucher| voucher.cumulative)
    }

    /// Takes a blob on the account: on its reservation while that lasts, else on its deposit.
    ///
    /// # Errors
    /// Why not; then nothing changes.
    pub fn charge(
        &mut self,
        size: Size,
        charging: &Charging,
        now_ms: u64,
    ) -> Result<Charge, PayError> {
        let day = now_ms / DAY_MS;
        let mut charge = Charge {
            amount: Stake::ZERO,
            day,
        };
        let mut reserved_rows = 0;
        if let Some(terms) = &charging.terms {
            let reserved = active(terms).map(|reservation| {
                take(&reservation, self.used_until_us, size.rows, now_ms * 1000)
            });
            match reserved {
                Some(Ok(used_until_us)) => {
                    self.used_until_us = used_until_us;
                    reserved_rows = u64::from(size.rows);
                }
                // A voucher says that the account wants to pay for what the reservation does not cover.
                Some(Err(refusal)) if charging.voucher.is_none() => return Err(refusal),
                _ => charge.amount = self.prepaid(charging, terms)?,
            }
        }
        // A price is below 2^128: whoever counts beyond 2^256 has posted 2^128 blobs.
        self.charged = self.charged.saturating_add(charge.amount);
        let of_day = self.of_day(day);
        of_day.blobs += 1;
        of_day.rows += u64::from(size.rows);
        of_day.reserved_rows += reserved_rows;
        of_day.bytes = of_day.bytes.saturating_add(size.bytes);
        of_day.charged = of_day.charged.saturating_add(charge.amount);
        Ok(charge)
    }

    /// What is to be charged, with the voucher noted that covers it.
    fn prepaid(&mut self, charging: &Charging, terms: &AccountTerms) -> Result<Stake, PayError> {
        let needed = self.owed().saturating_add(charging.price);
        let given = charging.voucher.map(|voucher| voucher.cumulative);
        let most = needed.saturating_add(charging.ahead);
        if let Some(got) = given.filter(|given| *given > most) {
            return Err(PayError::VoucherTooHigh { got, most });
        }
        let covered = given.map_or(needed, |given| given.max(needed));
        if covered > terms.funded {
            return Err(PayError::Funds {
                needed: covered,
                funded: terms.funded,
                missing: covered.saturating_sub(terms.funded),
            });
        }
        let best = self.signed().max(given.unwrap_or_default());
        if best < needed {
            return Err(PayError::VoucherTooLow { got: best, needed });
        }
        if let Some(voucher) = charging.voucher
            && voucher.cumulative > self.signed()
        {
            self.voucher = Some(voucher);
        }
        Ok(charging.price)
    }

    /// A blob failed for good: less is owed, and the next voucher is asked for less.
    pub fn refund(&mut self, charge: &Charge) {
        self.refunded = self.refunded.saturating_add(charge.amount);
        if let Some(of_day) = self.days.iter_mut().find(|of| of.day == charge.day) {
            of_day.refunded = of_day.refunded.saturating_add(charge.amount);
        }
    }

    fn of_day(&mut self, day: u64) -> &mut DayUse {
        // Behind all later ones: a clock may have gone back.
        let at = self.days.partition_point(|of| of.day > day);
        if self.days.get(at).is_none_or(|of| of.day != day) {
            let new = DayUse {
                day,
                ..DayUse::default()
            };
            self.days.insert(at, new);
            self.days.truncate(DAYS.max(at + 1));
        }
        #[expect(clippy::indexing_slicing, reason = "there is one at that place")]
        &mut self.days[at]
    }

    /// Whether there is anything that a blob could be taken on: asked before its body is read, when its size may not be known.
    ///
    /// # Errors
    /// [`PayError::Funds`], for the cheapest blob.
    pub fn check(&self, terms: &AccountTerms, least_price: Stake) -> Result<(), PayError> {
        let needed = self.owed().saturating_add(least_price);
        if needed > terms.funded && active(terms).is_none() {
            return Err(PayError::Funds {
                needed,
                funded: terms.funded,
                missing: needed.saturating_sub(terms.funded),
            });
        }
        Ok(())
    }

    /// As it is shown.
    pub fn view(&self, account: Account, terms: Option<&AccountTerms>, now_ms: u64) -> AccountView {
        AccountView {
            account,
            charged: self.charged,
            refunded: self.refunded,
            owed: self.owed(),
            voucher: self.voucher,
            terms: terms.map(|terms| TermsView {
                block: terms.block,
                funded: terms.funded,
                redeemed: terms.redeemed,
                reservation: terms.reservation.map(|reservation| ReservationView {
                    rows_per_second: reservation.rows_per_second,
                    burst_rows: reservation.burst_rows,
                    from: reservation.from,
                    until: reservation.until,
                    rows_now: active(terms).map_or(0, |reservation| {
                        rows_now(&reservation, self.used_until_us, now_ms * 1000)
                    }),
                }),
            }),
            days: self.days.clone(),
        }
    }
}

/// The reservation, if it counts in the terms' block.
fn active(terms: &AccountTerms) -> Option<Reservation> {
    let counts = |of: &Reservation| (of.from..of.until).contains(&terms.block);
    terms
        .reservation
        .filter(|of| counts(of) && of.rows_per_second > 0)
}

/// Microseconds in which a reservation gives so many rows.
fn time_of(reservation: &Reservation, rows: u32) -> u64 {
    u64::from(rows) * 1_000_000 / u64::from(reservation.rows_per_second.max(1))
}

/// Takes rows out of a token bucket, which is the time at which it is full again (the "generic cell rate algorithm"): the new time.
/// A clock that went back by more than the burst's time starts a full bucket: it costs us one burst.
fn take(
    reservation: &Reservation,
    used_until_us: u64,
    rows: u32,
    now_us: u64,
) -> Result<u64, PayError> {
    if rows > reservation.burst_rows {
        return Err(PayError::ReservationTooSmall {
            got: rows,
            most: reservation.burst_rows,
        });
    }
    let burst = time_of(reservation, reservation.burst_rows);
    let full_at = match used_until_us > now_us.saturating_add(burst) {
        true => now_us,
        false => used_until_us.max(now_us),
    };
    let after = full_at.saturating_add(time_of(reservation, rows));
    let wait_us = after.saturating_sub(now_us).saturating_sub(burst);
    match wait_us {
        0 => Ok(after),
        _ => Err(PayError::ReservationExceeded {
            rows,
            rows_per_second: reservation.rows_per_second,
            retry_after_secs: wait_us.div_ceil(1_000_000),
        }),
    }
}

fn rows_now(reservation: &Reservation, used_until_us: u64, now_us: u64) -> u32 {
    let burst = time_of(reservation, reservation.burst_rows);
    let left = burst.saturating_sub(used_until_us.saturating_sub(now_us));
    let rows = u128::from(left) * u128::from(reservation.rows_per_second) / 1_000_000;
    u32::try_from(rows).map_or(reservation.burst_rows, |rows| {
        rows.min(reservation.burst_rows)
    })
}

/// Why an account cannot post a blob. Nothing was charged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "account", blame = Caller)]
pub enum PayError {
    /// The disperser serves others.
    #[error("the account {account} is not on this disperser's list")]
    NotListed {
        /// The account.
        account: Account,
    },
    /// The deposit does not cover it.
    #[error(
        "vouchers up to {needed} are needed and the account's deposit with this disperser covers {funded}: deposit {missing} more"
    )]
    Funds {
        /// What would have to be covered.
        needed: Stake,
        /// What is.
        funded: Stake,
        /// The difference.
        missing: Stake,
    },
    /// The voucher, or the highest one before, does not cover what is owed.
    #[error(
        "with this blob {needed} is owed in all, and vouchers cover {got}: sign one for {needed}"
    )]
    #[coded("voucher.too_low")]
    VoucherTooLow {
        /// The highest voucher; zero if there is none.
        got: Stake,
        /// The least that it has to be.
        needed: Stake,
    },
    /// The account signs more than it can owe: a mistake of its program.
    #[error("the voucher is for {got} in all, and at most {most} is taken: sign less")]
    #[coded("voucher.too_high")]
    VoucherTooHigh {
        /// Of the voucher.
        got: Stake,
        /// The most that it may be now.
        most: Stake,
    },
    /// The reservation's rows are used up for now.
    #[error(
        "the reservation gives {rows_per_second} rows a second, and the blob's {rows} rows are not there yet; wait, or send a voucher"
    )]
    #[coded("reservation.exceeded")]
    ReservationExceeded {
        /// Of the blob.
        rows: u32,
        /// Of the reservation.
        rows_per_second: u32,
        /// When there will be enough.
        retry_after_secs: u64,
    },
    /// The blob is larger than the reservation's burst, and will be.
    #[error(
        "the blob has {got} rows and the reservation gives {most} at once; post smaller blobs, or send a voucher"
    )]
    #[coded("reservation.too_small")]
    ReservationTooSmall {
        /// Of the blob.
        got: u32,
        /// Of the reservation.
        most: u32,
    },
}

impl PayError {
    /// The HTTP status of the refusal.
    pub fn status(&self) -> u16 {
        match self {
            Self::NotListed { .. } => 403,
            Self::Funds { .. } | Self::VoucherTooLow { .. } => 402,
            Self::VoucherTooHigh { .. } => 400,
            Self::ReservationExceeded { .. } => 429,
            Self::ReservationTooSmall { .. } => 413,
        }
    }

    /// What came and what would have been right, for programs.
    pub fn numbers(&self) -> Option<(String, String)> {
        let (got, expected) = match self {
            Self::Funds { needed, funded, .. } => (funded, needed),
            Self::VoucherTooLow { got, needed } => (got, needed),
            Self::VoucherTooHigh { got, most } => (got, most),
            _ => return None,
        };
        Some((got.to_string(), expected.to_string()))
    }
}

#[cfg(test)]
mod tests;

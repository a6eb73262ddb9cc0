//! What accounts pay dispersers, and where it goes.
//!
//! ```text
//! fund_account ─▶ DEPOSIT ── redeem_voucher ──────┬─▶ the service's share: rewards of operators and stakers
//!                   │                             └─▶ the rest: the disperser's account
//!                   └─ announce_refund ── notice ── take_refund ─▶ back to the account
//!
//! buy_reservation ─▶ HELD ── block by block ─▶ as a voucher
//! ```
//!
//! Everything is with one disperser of one service. A voucher names all that an account ever owed a disperser by vouchers, so that only the
//! highest counts, and never pays more than was deposited. A refund that is announced can still be redeemed during the notice: the time in
//! which a disperser hands in what it holds.
//!
//! A disperser whose accounts have something with it cannot leave at once. It closes them first: nothing new comes in, vouchers and
//! reservations count through the notice, and afterwards each account takes what is left. A slash closes them as well, and ends
//! reservations in its block. Nobody walks all accounts for that: each takes its own.

mod reservations;

use std::collections::BTreeMap;

use ashlar_crypto::account::AccountSignature;
use ashlar_proto::Account;
use ashlar_proto::auth::{AccountStatement as _, Voucher};
use ashlar_stake::{AccountTerms, Reservation};

use super::dispersers::check_active;
use super::error::Outcome;
use super::stake::max_shares;
use super::state::{check_amount, check_sender, inconsistent};
use super::types::*;
use super::views::expect;
use super::{Amount, Event, RewardKind, State, TransactionError};

pub use reservations::{MAX_BURST_SECONDS, MAX_RESERVATION_BLOCKS, MAX_RESERVATIONS};

/// The longest notice, in blocks.
pub const MAX_NOTICE: u64 = 1 << 23;

/// An account with a disperser of a service.
type Key = (ServiceId, u32, Account);

impl PaymentTerms {
    fn check(&self) -> Outcome {
        for (what, got, min, max) in [
            ("operators_bps", self.operators_bps.into(), 0, 10_000),
            ("notice", self.notice, 1, MAX_NOTICE),
        ] {
            if !(min..=max).contains(&got) {
                return Err(TransactionError::PaymentTerms {
                    what,
                    got,
                    min,
                    max,
                });
            }
        }
        check_amount("price of a reserved row", self.row_price)?;
        check_payment(self.row_price)
    }
}

/// A bound, so that sums fit; nobody has that much.
pub(super) fn check_payment(got: Amount) -> Outcome {
    let max = max_shares();
    if got > max {
        return Err(TransactionError::PaymentAmount { got, max });
    }
    Ok(())
}

impl PaymentAccount {
    /// Vouchers up to this sum are covered.
    pub fn covered(&self) -> Result<Amount, TransactionError> {
        self.deposited.minus(self.returned)
    }

    /// Deposited, and neither paid nor given back.
    pub fn balance(&self) -> Result<Amount, TransactionError> {
        self.covered()?.minus(self.redeemed)
    }

    /// All that the ledger holds for it.
    pub fn held(&self) -> Result<Amount, TransactionError> {
        let reserved = self
            .reservation
            .map_or(Ok(Amount::ZERO), |held| held.left());
        self.balance()?.plus(reserved?)
    }
}

impl State {
    /// What a service is paid for, and what came of it; none if it takes no payments.
    pub fn market(&self, service: ServiceId) -> Option<&PaymentMarket> {
        self.markets.get(&service)
    }

    /// Dispersers of a service that accounts paid or deposited with, by number.
    pub fn payees(&self, service: ServiceId) -> impl Iterator<Item = (u32, &Payee)> {
        self.payees
            .range((service, 0)..=(service, u32::MAX))
            .map(|((_, id), payee)| (*id, payee))
    }

    /// What accounts have with a disperser, together.
    pub fn payee(&self, service: ServiceId, disperser: u32) -> Option<&Payee> {
        self.payees.get(&(service, disperser))
    }

    /// All accounts that ever had something with a disperser.
    pub fn payment_accounts(
        &self,
        service: ServiceId,
        disperser: u32,
    ) -> impl Iterator<Item = (Account, &PaymentAccount)> {
        let (first, last) = (Account([0; 20]), Account([0xff; 20]));
        self.payment_accounts
            .range((service, disperser, first)..=(service, disperser, last))
            .map(|((_, _, account), record)| (*account, record))
    }

    /// What an account has with a disperser.
    pub fn payment_account(
        &self,
        service: ServiceId,
        disperser: u32,
        account: Account,
    ) -> Option<&PaymentAccount> {
        self.payment_accounts.get(&(service, disperser, account))
    }

    /// The same as a disperser sees it, which takes no more vouchers than will be covered when all that was announced is taken.
    ///
    /// # Errors
    ///
    /// [`TransactionError::UnknownService`], [`TransactionError::UnknownDisperser`], [`TransactionError::NoPayments`].
    pub fn account_terms(
        &self,
        service: ServiceId,
        disperser: u32,
        account: Account,
    ) -> Result<AccountTerms, TransactionError> {
        self.disperser_ref(service, disperser)?;
        let block = self.block();
        let notice = self.market_ref(service)?.terms.notice;
        let none = PaymentAccount::default();
        let key = (service, disperser, account);
        let record = self.payment_accounts.get(&key).unwrap_or(&none);
        let closing = self.closing(service, disperser);
        let leaving = match (closing, record.refund) {
            (Some(_), _) => record.balance()?,
            (None, Some(refund)) => refund.amount.min(record.balance()?),
            (None, None) => Amount::ZERO,
        };
        let reservation = record.reservation.and_then(|held| {
            let until = closing.map_or(held.until, |closing| closing.cut.min(held.until));
            (until > block.max(held.from)).then_some(Reservation {
                rows_per_second: held.rows_per_second,
                burst_rows: held.burst_rows,
                from: held.from,
                until,
            })
        });
        Ok(AccountTerms {
            block,
            funded: record.covered()?.minus(leaving)?.0,
            redeemed: record.redeemed.0,
            notice,
            reservation,
        })
    }

    fn market_ref(&self, service: ServiceId) -> Outcome<&PaymentMarket> {
        self.service_ref(service)?;
        self.markets
            .get(&service)
            .ok_or(TransactionError::NoPayments { service })
    }

    fn market_mut(&mut self, service: ServiceId) -> Outcome<&mut PaymentMarket> {
        self.markets
            .edit(&service)
            .ok_or(TransactionError::NoPayments { service })
    }

    fn payee_mut(&mut self, service: ServiceId, disperser: u32) -> Outcome<&mut Payee> {
        let key = (service, disperser);
        if !self.payees.contains(&key) {
            self.payees.insert(key, Payee::default());
        }
        self.payees
            .edit(&key)
            .ok_or(inconsistent("a payee is gone"))
    }

    fn closing(&self, service: ServiceId, disperser: u32) -> Option<Closing> {
        self.payee(service, disperser)?.closing
    }

    fn check_open(&self, service: ServiceId, disperser: u32) -> Outcome {
        match self.closing(service, disperser) {
            None => Ok(()),
            Some(Closing { ends, .. }) => Err(TransactionError::AccountsClosed { disperser, ends }),
        }
    }

    /// The account's record, which it may not have yet.
    fn payer(&self, key: &Key) -> PaymentAccount {
        self.payment_accounts.get(key).copied().unwrap_or_default()
    }

    fn payer_mut(&mut self, key: &Key) -> Outcome<&mut PaymentAccount> {
        let (_, disperser, account) = *key;
        self.payment_accounts
            .edit(key)
            .ok_or(TransactionError::UnknownPaymentAccount { account, disperser })
    }

    pub(super) fn set_payment_terms(
        &mut self,
        service: ServiceId,
        terms: &PaymentTerms,
    ) -> Outcome {
        self.service_ref(service)?;
        terms.check()?;
        let mut market = match self.markets.get(&service) {
            Some(market) => *market,
            None => PaymentMarket {
                terms: *terms,
                fund: PaymentFund::default(),
                reservations: 0,
            },
        };
        // What accounts and dispersers have agreed to stays. Prices and capacity are for whoever comes next.
        let fixed = |terms: &PaymentTerms| (terms.token, terms.operators_bps, terms.notice);
        if fixed(&market.terms) != fixed(terms) {
            return Err(TransactionError::PaymentTermsFixed { service });
        }
        market.terms = *terms;
        self.markets.insert(service, market);
        self.emit(Event::PaymentTermsSet {
            service,
            terms: *terms,
        });
        Ok(())
    }

    /// Who wants to pay a disperser: it is one, and takes payments.
    fn check_payee(&self, service: ServiceId, disperser: u32) -> Outcome<PaymentTerms> {
        let terms = self.market_ref(service)?.terms;
        check_active(self.disperser_ref(service, disperser)?, disperser)?;
        self.check_open(service, disperser)?;
        Ok(terms)
    }

    /// Takes tokens in.
    fn hold_payment(&mut self, service: ServiceId, disperser: u32, amount: Amount) -> Outcome {
        let fund = &mut self.market_mut(service)?.fund;
        fund.paid_in = fund.paid_in.plus(amount)?;
        fund.held = fund.held.plus(amount)?;
        let payee = self.payee_mut(service, disperser)?;
        payee.held = payee.held.plus(amount)?;
        Ok(())
    }

    /// Takes tokens out of what is held; the caller books what for.
    fn release_payment(&mut self, service: ServiceId, disperser: u32, amount: Amount) -> Outcome {
        let fund = &mut self.market_mut(service)?.fund;
        fund.held = fund.held.minus(amount)?;
        let payee = self.payee_mut(service, disperser)?;
        payee.held = payee.held.minus(amount)?;
        Ok(())
    }

    /// Pays out of what is held: to operators and stakers their share of all that the disperser was ever paid, rounded down, and the rest
    /// to the disperser. Gives both parts.
    fn pay_out(
        &mut self,
        service: ServiceId,
        disperser: u32,
        amount: Amount,
    ) -> Outcome<(Amount, Amount)> {
        self.release_payment(service, disperser, amount)?;
        let terms = self.market_ref(service)?.terms;
        let payee = self.payee_mut(service, disperser)?;
        let paid = payee.to_disperser.plus(payee.to_operators)?.plus(amount)?;
        // In all, so that many small vouchers share as one large one does.
        let due = paid.basis_points(terms.operators_bps)?;
        let to_operators = due.minus(payee.to_operators)?;
        let to_disperser = amount.minus(to_operators)?;
        payee.to_operators = due;
        payee.to_disperser = payee.to_disperser.plus(to_disperser)?;
        let fund = &mut self.market_mut(service)?.fund;
        fund.to_operators = fund.to_operators.plus(to_operators)?;
        fund.to_dispersers = fund.to_dispersers.plus(to_disperser)?;
        if !to_operators.is_zero() {
            self.pay_reward(service, terms.token, to_operators, RewardKind::Fee)?;
        }
        Ok((to_disperser, to_operators))
    }

    /// Gives back out of what is held.
    fn give_back(&mut self, service: ServiceId, disperser: u32, amount: Amount) -> Outcome {
        self.release_payment(service, disperser, amount)?;
        let fund = &mut self.market_mut(service)?.fund;
        fund.returned = fund.returned.plus(amount)?;
        Ok(())
    }

    pub(super) fn fund_account(
        &mut self,
        account: Account,
        service: ServiceId,
        disperser: u32,
        amount: Amount,
    ) -> Outcome {
        check_amount("deposit", amount)?;
        self.check_payee(service, disperser)?;
        let key = (service, disperser, account);
        let mut record = self.payer(&key);
        record.deposited = record.deposited.plus(amount)?;
        check_payment(record.deposited)?;
        let covered = record.covered()?;
        self.hold_payment(service, disperser, amount)?;
        self.payment_accounts.insert(key, record);
        self.emit(Event::AccountFunded {
            service,
            disperser,
            account,
            amount,
            covered,
        });
        Ok(())
    }

    /// Announces that the account takes so much back, all if none is named; in place of what it announced before. Zero takes the
    /// announcement back.
    pub(super) fn announce_refund(
        &mut self,
        account: Account,
        service: ServiceId,
        disperser: u32,
        amount: Option<Amount>,
    ) -> Outcome {
        let notice = self.market_ref(service)?.terms.notice;
        self.disperser_ref(service, disperser)?;
        self.check_open(service, disperser)?;
        let from = self.after(notice)?;
        let record = self.payer_mut(&(service, disperser, account))?;
        let balance = record.balance()?;
        let amount = match amount {
            Some(amount) => amount,
            None => {
                check_amount("balance", balance)?;
                balance
            }
        };
        if amount > balance {
            return Err(TransactionError::RefundAmount {
                got: balance,
                expected: amount,
            });
        }
        record.refund = (!amount.is_zero()).then_some(Refund { amount, from });
        self.emit(Event::RefundAnnounced {
            service,
            disperser,
            account,
            amount,
            from,
        });
        Ok(())
    }

    /// Takes what was announced and is there still; if the accounts of the disperser are closed, all that is left.
    pub(super) fn take_refund(
        &mut self,
        account: Account,
        service: ServiceId,
        disperser: u32,
    ) -> Outcome {
        let block = self.block();
        self.market_ref(service)?;
        self.disperser_ref(service, disperser)?;
        let key = (service, disperser, account);
        let closed = self.closing(service, disperser);
        let early = |expected| TransactionError::RefundEarly {
            got: block,
            expected,
        };
        let rest = match closed {
            Some(Closing { ends, .. }) if block < ends => return Err(early(ends)),
            Some(_) => self.end_reservation(&key)?,
            None => Amount::ZERO,
        };
        let record = self.payer_mut(&key)?;
        let balance = record.balance()?;
        let amount = match (closed, record.refund) {
            (Some(_), _) => balance,
            (None, Some(Refund { from, .. })) if block < from => return Err(early(from)),
            (None, Some(refund)) => refund.amount.min(balance),
            (None, None) => return Err(TransactionError::NoRefund { account }),
        };
        if closed.is_some() && amount.is_zero() && rest.is_zero() {
            return Err(TransactionError::NoRefund { account });
        }
        record.refund = None;
        record.returned = record.returned.plus(amount)?;
        self.give_back(service, disperser, amount)?;
        self.emit(Event::RefundTaken {
            service,
            disperser,
            account,
            amount: amount.plus(rest)?,
        });
        Ok(())
    }

    /// Checks that a voucher pays something, and changes nothing. Gives its account.
    ///
    /// # Errors
    ///
    /// Why [`State::apply`] would refuse it.
    pub fn check_voucher(
        &self,
        service: ServiceId,
        voucher: Voucher,
        signature: &AccountSignature,
    ) -> Result<(), TransactionError> {
        let Voucher {
            account,
            disperser_id: disperser,
            cumulative,
        } = voucher;
        self.market_ref(service)?;
        self.disperser_ref(service, disperser)?;
        if let Some(Closing { ends, .. }) = self.closing(service, disperser)
            && self.block() >= ends
        {
            return Err(TransactionError::AccountsClosed { disperser, ends });
        }
        let record = self.payer(&(service, disperser, account));
        let (got, expected) = (Amount(cumulative), record.redeemed);
        if got <= expected {
            return Err(TransactionError::VoucherBelow { got, expected });
        }
        let expected = record.covered()?;
        if got > expected {
            return Err(TransactionError::VoucherAbove { got, expected });
        }
        // Last of the checks, because it is the dearest.
        let got = voucher
            .signer(&self.domain(service), signature)
            .map_err(|source| TransactionError::VoucherSignature { source })?;
        if got != account {
            return Err(TransactionError::VoucherSigner {
                got,
                expected: account,
            });
        }
        Ok(())
    }

    pub(super) fn redeem_voucher(
        &mut self,
        service: ServiceId,
        disperser: u32,
        account: Account,
        cumulative: Amount,
        signature: &AccountSignature,
    ) -> Outcome {
        let voucher = Voucher {
            account,
            disperser_id: disperser,
            cumulative: cumulative.0,
        };
        self.check_voucher(service, voucher, signature)?;
        let key = (service, disperser, account);
        self.settle_reservation(&key)?;
        let record = self.payer_mut(&key)?;
        let amount = cumulative.minus(record.redeemed)?;
        record.redeemed = cumulative;
        let (to_disperser, to_operators) = self.pay_out(service, disperser, amount)?;
        self.emit(Event::VoucherRedeemed {
            service,
            disperser,
            account,
            cumulative,
            to_disperser,
            to_operators,
        });
        Ok(())
    }

    pub(super) fn close_accounts(
        &mut self,
        sender: Account,
        service: ServiceId,
        disperser: u32,
    ) -> Outcome {
        let record = self.disperser_ref(service, disperser)?;
        check_sender(sender, "disperser's account", record.account)?;
        let ends = self.check_payee(service, disperser)?.notice;
        let ends = self.after(ends)?;
        self.close_payee(service, disperser, Closing { ends, cut: ends })
    }

    fn close_payee(&mut self, service: ServiceId, disperser: u32, closing: Closing) -> Outcome {
        self.payee_mut(service, disperser)?.closing = Some(closing);
        self.emit(Event::AccountsClosed {
            service,
            disperser,
            ends: closing.ends,
        });
        Ok(())
    }

    /// A disperser that wants to leave: nobody has anything with it that it could still be paid from.
    pub(super) fn check_nothing_open(&self, service: ServiceId, disperser: u32) -> Outcome {
        let block = self.block();
        match self.payee(service, disperser) {
            Some(Payee {
                held,
                closing: None,
                ..
            }) if !held.is_zero() => Err(TransactionError::DepositsOpen {
                disperser,
                held: *held,
            }),
            Some(Payee {
                held,
                closing: Some(Closing { ends, .. }),
                ..
            }) if !held.is_zero() && block < *ends => Err(TransactionError::DepositsNotice {
                got: block,
                expected: *ends,
            }),
            _ => Ok(()),
        }
    }

    /// A disperser was slashed: reservations end now, and what it holds of vouchers can be handed in for the notice.
    pub(super) fn payee_slashed(&mut self, service: ServiceId, disperser: u32) -> Outcome {
        let block = self.block();
        let Some(payee) = self.payee(service, disperser) else {
            return Ok(());
        };
        let notice = self.market_ref(service)?.terms.notice;
        let closing = match payee.closing {
            Some(before) => Closing {
                cut: before.cut.min(block),
                ..before
            },
            None => Closing {
                ends: self.after(notice)?,
                cut: block,
            },
        };
        self.close_payee(service, disperser, closing)
    }

    /// Checks that every token that accounts paid in is somewhere: with an account, with operators, with a disperser, or back.
    pub(super) fn check_payments(&self) -> Outcome {
        let (mut held, mut paid) = (BTreeMap::new(), BTreeMap::new());
        let mut open = BTreeMap::new();
        for ((service, disperser, _), account) in self.payment_accounts.iter() {
            let key = (*service, *disperser);
            let sum: &mut Amount = held.entry(key).or_default();
            *sum = sum.plus(account.held()?)?;
            let sum: &mut Amount = paid.entry(key).or_default();
            *sum = sum.plus(account.redeemed)?.plus(account.reserved)?;
            *open.entry(*service).or_insert(0u32) += u32::from(account.reservation.is_some());
        }
        let mut sums: BTreeMap<ServiceId, Payee> = BTreeMap::new();
        for (key, payee) in self.payees.iter() {
            let of_accounts = held.remove(key).unwrap_or_default();
            expect(
                of_accounts == payee.held,
                "what accounts have with a disperser",
            )?;
            let of_accounts = paid.remove(key).unwrap_or_default();
            let shared = payee.to_disperser.plus(payee.to_operators)?;
            expect(of_accounts == shared, "what accounts paid a disperser")?;
            let sum = sums.entry(key.0).or_default();
            sum.held = sum.held.plus(payee.held)?;
            sum.to_disperser = sum.to_disperser.plus(payee.to_disperser)?;
            sum.to_operators = sum.to_operators.plus(payee.to_operators)?;
        }
        expect(held.is_empty(), "an account without a payee")?;
        for (service, market) in self.markets.iter() {
            let fund = &market.fund;
            let sum = sums.remove(service).unwrap_or_default();
            let parts = (sum.held, sum.to_disperser, sum.to_operators);
            let expected = (fund.held, fund.to_dispersers, fund.to_operators);
            expect(parts == expected, "the payments of a service")?;
            let gone = sum.held.plus(sum.to_disperser)?.plus(sum.to_operators)?;
            let all = gone.plus(fund.returned)?;
            expect(all == fund.paid_in, "the payments that came in")?;
            let count = open.remove(service).unwrap_or_default();
            expect(count == market.reservations, "reservations of a service")?;
        }
        expect(sums.is_empty(), "a payee without terms")
    }
}

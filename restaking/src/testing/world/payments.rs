//! Accounts, and what they pay dispersers.

use ashlar_crypto::account::AccountKey;
use ashlar_proto::auth::{AccountStatement as _, Voucher};

use super::*;

/// Keys of the accounts that pay.
fn payer_key(number: u8) -> AccountKey {
    AccountKey::from_bytes(&[0x91 + number; 32]).unwrap()
}

pub(crate) fn payer(number: u8) -> Account {
    Account(payer_key(number).address())
}

pub(crate) fn payment_terms() -> PaymentTerms {
    PaymentTerms {
        token: account(0xe6),
        operators_bps: 3333,
        row_price: 7u64.into(),
        capacity: 100,
        notice: 8,
    }
}

impl World {
    /// The voucher of payer `number`.
    pub(crate) fn voucher(
        state: &State,
        service: ServiceId,
        disperser: u32,
        number: u8,
        cumulative: Amount,
    ) -> Action {
        let account = payer(number);
        let voucher = Voucher {
            account,
            disperser_id: disperser,
            cumulative: cumulative.0,
        };
        Action::RedeemVoucher {
            service,
            disperser,
            account,
            cumulative,
            signature: voucher.sign(&state.domain(service), &payer_key(number)),
        }
    }

    pub(super) fn of_account(&mut self, state: &State) -> (Account, Action) {
        let service = 1 + self.below(2) as u32;
        if state.market(service).is_none() || self.below(25) == 0 {
            let mut terms = payment_terms();
            terms.row_price = (1 + self.below(1000)).into();
            terms.notice += u64::from(self.below(20) == 0);
            return (account(OWNER), Action::SetPaymentTerms { service, terms });
        }
        let there: Vec<_> = state
            .dispersers(service)
            .map(|(id, record)| (id, record.account))
            .collect();
        let Some((disperser, owner)) = self.pick(&there) else {
            return self.of_disperser(state, service);
        };
        let number = self.below(3) as u8;
        let sender = payer(number);
        let record = state.payment_account(service, disperser, sender);
        let record = record.copied().unwrap_or_default();
        let balance = record.balance().unwrap();
        let percent = |amount: Amount, part: u64| amount.mul_div(part.into(), 100u64.into());
        let action = match self.below(16) {
            0..=3 => Action::FundAccount {
                service,
                disperser,
                amount: some_amount(self.draw(), 100),
            },
            4 => Action::AnnounceRefund {
                service,
                disperser,
                amount: match self.below(3) {
                    0 => None,
                    _ => Some(percent(balance, self.below(110)).unwrap()),
                },
            },
            5..=6 => Action::TakeRefund { service, disperser },
            7..=11 => {
                let more = percent(balance, self.below(101)).unwrap();
                let cumulative = record.redeemed.plus(more).unwrap();
                let odd = cumulative.plus(self.below(2).into()).unwrap();
                // Anybody hands it in.
                return (
                    self.staker(),
                    Self::voucher(state, service, disperser, number, odd),
                );
            }
            12..=14 => {
                // A new one, or the open one for longer.
                let (rows_per_second, burst_rows, from) = match record.reservation {
                    Some(held) => (held.rows_per_second, held.burst_rows, held.until),
                    None => (
                        1 + self.below(60) as u32,
                        1 + self.below(600) as u32,
                        state.meta().block + self.below(6),
                    ),
                };
                Action::BuyReservation {
                    service,
                    disperser,
                    rows_per_second,
                    burst_rows,
                    from,
                    until: from + 1 + self.below(20),
                    most: Amount::ether(1),
                }
            }
            _ => return (owner, Action::CloseAccounts { service, disperser }),
        };
        (sender, action)
    }
}

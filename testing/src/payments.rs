//! What accounts have with dispersers, in memory: the ledger's side of payments, for tests of the others.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ashlar_crypto::account::AccountSignature;
use ashlar_proto::auth::{AccountStatement, Voucher};
use ashlar_proto::{Account, Block, Domain, Stake};
use ashlar_stake::{AccountTerms, PaymentSource, Reservation, StakeError};

/// Deposits and reservations of one service.
pub struct MemoryPayments {
    domain: Domain,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    block: Block,
    accounts: HashMap<(u32, Account), (Stake, Stake, Option<Reservation>)>,
    /// Every voucher that was handed in, in order.
    redeemed: Vec<Voucher>,
    down: bool,
}

impl MemoryPayments {
    /// Nobody has anything.
    pub fn new(domain: Domain) -> Self {
        Self {
            domain,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what is covered for an account: a deposit, or an announced withdrawal.
    pub fn fund(&self, disperser_id: u32, account: Account, funded: u64) {
        let mut state = self.lock();
        let entry = state.accounts.entry((disperser_id, account)).or_default();
        entry.0 = Stake::from(funded);
    }

    /// Sells a reservation.
    pub fn reserve(&self, disperser_id: u32, account: Account, reservation: Reservation) {
        let mut state = self.lock();
        let entry = state.accounts.entry((disperser_id, account)).or_default();
        entry.2 = Some(reservation);
    }

    /// The block from now on.
    pub fn set_block(&self, block: u64) {
        self.lock().block = Block(block);
    }

    /// Whether no voucher is taken. What accounts have is remembered, as a source does for a while.
    pub fn set_down(&self, down: bool) {
        self.lock().down = down;
    }

    /// Every voucher that was handed in, in order.
    pub fn redeemed(&self) -> Vec<Voucher> {
        self.lock().redeemed.clone()
    }

    /// What an account has paid.
    pub fn paid(&self, disperser_id: u32, account: Account) -> Stake {
        let state = self.lock();
        let entry = state.accounts.get(&(disperser_id, account));
        entry.map_or(Stake::ZERO, |entry| entry.1)
    }
}

fn refused(code: &'static str, reason: &str) -> StakeError {
    StakeError::Remote {
        url: "memory".to_owned(),
        code,
        reason: reason.to_owned(),
    }
}

impl PaymentSource for MemoryPayments {
    fn terms(&self, disperser_id: u32, account: Account) -> Result<AccountTerms, StakeError> {
        let state = self.lock();
        let entry = state.accounts.get(&(disperser_id, account));
        let (funded, redeemed, reservation) = entry.copied().unwrap_or_default();
        Ok(AccountTerms {
            block: state.block,
            funded,
            redeemed,
            notice: 100,
            reservation,
        })
    }

    fn redeem(&self, voucher: Voucher, signature: AccountSignature) -> Result<(), StakeError> {
        let mut state = self.lock();
        if state.down {
            return Err(refused("test.down", "nobody is answered"));
        }
        if voucher.signer(&self.domain, &signature) != Ok(voucher.account) {
            return Err(refused("test.signer", "another one signed"));
        }
        let key = (voucher.disperser_id, voucher.account);
        let entry = state.accounts.entry(key).or_default();
        entry.1 = entry.1.max(voucher.cumulative);
        state.redeemed.push(voucher);
        Ok(())
    }
}

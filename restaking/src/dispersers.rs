//! Dispersers: anybody who puts up a bond is one.
//!
//! ```text
//! register_disperser ─▶ ACTIVE ── exit_disperser ─▶ EXITING ── the deallocation delay is over ─▶ GONE, the bond is back
//!                         │                           │
//!                         └───── slash_disperser ─────┴─▶ SLASHED, the bond is burnt
//! ```
//!
//! A disperser that accounts have something with closes them before it exits (`payments.rs`).
//!
//! Tables show a disperser, and the bond that it had in their block, from the block in which it registers, and no more from the block
//! in which it exits or is slashed. A number is given once, so that whatever was signed under it is one disperser's for ever; a
//! network key can come back under another number. A slash takes the whole bond and has no veto window: two signed batches under
//! one sequence leave nothing to weigh.

use alloy_primitives::B256;
use ashlar_crypto::identity::{NetworkPublicKey, NetworkSignature};
use ashlar_proto::Account;
use ashlar_proto::registration::DisperserStatement;

use super::error::Outcome;
use super::stake::max_shares;
use super::state::{MAX_REASON, check_amount, check_sender, check_text, inconsistent, take_number};
use super::types::*;
use super::{Amount, Event, State, TransactionError};

/// Most dispersers of a service that have a bond.
pub const MAX_DISPERSERS: u32 = 4096;

impl DisperserTerms {
    /// Checks the terms that a service registers with.
    pub(super) fn check(&self) -> Outcome {
        check_amount("least bond of a disperser", self.min_bond)?;
        check_bond(self.min_bond, Amount::from(1u64))?;
        if !(1..=MAX_DISPERSERS).contains(&self.max) {
            return Err(TransactionError::DisperserTerms {
                got: self.max,
                max: MAX_DISPERSERS,
            });
        }
        Ok(())
    }
}

/// The sum of all bonds ever has to fit; nobody has as much as the upper bound.
fn check_bond(got: Amount, min: Amount) -> Outcome {
    if got < min || got > max_shares() {
        return Err(TransactionError::DisperserBond { got, min });
    }
    Ok(())
}

impl State {
    /// A disperser of a service, whatever became of it.
    pub fn disperser(&self, service: ServiceId, disperser: u32) -> Option<&Disperser> {
        self.dispersers.get(&(service, disperser))
    }

    /// All dispersers that a service ever had, by number.
    pub fn dispersers(&self, service: ServiceId) -> impl Iterator<Item = (u32, &Disperser)> {
        self.dispersers
            .range((service, 0)..=(service, u32::MAX))
            .map(|((_, id), record)| (*id, record))
    }

    pub(super) fn disperser_ref(&self, service: ServiceId, disperser: u32) -> Outcome<&Disperser> {
        self.service_ref(service)?;
        self.dispersers
            .get(&(service, disperser))
            .ok_or(TransactionError::UnknownDisperser { service, disperser })
    }

    fn disperser_mut(&mut self, service: ServiceId, disperser: u32) -> Outcome<&mut Disperser> {
        self.dispersers
            .edit(&(service, disperser))
            .ok_or(TransactionError::UnknownDisperser { service, disperser })
    }

    pub(super) fn register_disperser(
        &mut self,
        account: Account,
        service: ServiceId,
        network_key: NetworkPublicKey,
        statement: &NetworkSignature,
        bond: Amount,
    ) -> Outcome {
        let from = self.block();
        let domain = self.domain(service);
        let of = self.service_ref(service)?;
        let terms = of.dispersers;
        check_bond(bond, terms.min_bond)?;
        if of.bonded >= terms.max {
            return Err(TransactionError::DispersersFull { max: terms.max });
        }
        let refused = |source| TransactionError::DisperserStatement { source };
        network_key.check_strength().map_err(refused)?;
        if let Some(&disperser) = self.disperser_keys.get(&(service, network_key)) {
            return Err(TransactionError::DisperserKeyTaken { disperser });
        }
        // Last of the checks, because it is the dearest.
        DisperserStatement {
            domain,
            account,
            network_key,
        }
        .verify(statement)
        .map_err(refused)?;
        let of = self
            .services
            .edit(&service)
            .ok_or(TransactionError::UnknownService { service })?;
        of.bonded += 1;
        let disperser = take_number(&mut of.next_disperser)?;
        self.hold_bond(terms.token, bond)?;
        self.disperser_keys
            .insert((service, network_key), disperser);
        self.disperser_bonds
            .insert((service, disperser, from), bond);
        self.dispersers.insert(
            (service, disperser),
            Disperser {
                account,
                network_key,
                token: terms.token,
                bond,
                from,
                until: None,
                standing: Standing::Active,
            },
        );
        self.emit(Event::DisperserRegistered {
            service,
            disperser,
            account,
            network_key,
            token: terms.token,
            bond,
        });
        Ok(())
    }

    pub(super) fn top_up_disperser(
        &mut self,
        sender: Account,
        service: ServiceId,
        disperser: u32,
        amount: Amount,
    ) -> Outcome {
        check_amount("amount", amount)?;
        let record = self.disperser_ref(service, disperser)?;
        check_sender(sender, "disperser's account", record.account)?;
        check_active(record, disperser)?;
        let (token, bond) = (record.token, record.bond.plus(amount)?);
        check_bond(bond, Amount::from(1u64))?;
        self.hold_bond(token, amount)?;
        self.disperser_mut(service, disperser)?.bond = bond;
        let block = self.block();
        self.disperser_bonds
            .insert((service, disperser, block), bond);
        self.emit(Event::DisperserBondRaised {
            service,
            disperser,
            token,
            bond,
        });
        Ok(())
    }

    pub(super) fn exit_disperser(
        &mut self,
        sender: Account,
        service: ServiceId,
        disperser: u32,
    ) -> Outcome {
        let record = self.disperser_ref(service, disperser)?;
        check_sender(sender, "disperser's account", record.account)?;
        check_active(record, disperser)?;
        self.check_nothing_open(service, disperser)?;
        let slashable_until = self.after(self.meta.params.deallocation_delay)?;
        self.leave_tables(service, disperser, Standing::Exiting { slashable_until })?;
        self.at(
            slashable_until.saturating_add(1),
            Timer::DisperserGone(service, disperser),
        )?;
        self.emit(Event::DisperserExiting {
            service,
            disperser,
            slashable_until,
        });
        Ok(())
    }

    /// The time in which a disperser that left could be slashed is over.
    pub(super) fn disperser_gone(&mut self, service: ServiceId, disperser: u32) -> Outcome {
        let record = self.disperser_mut(service, disperser)?;
        if !matches!(record.standing, Standing::Exiting { .. }) {
            // It was slashed meanwhile.
            return Ok(());
        }
        record.standing = Standing::Gone;
        let (account, token) = (record.account, record.token);
        let bond = std::mem::take(&mut record.bond);
        self.free_place(service)?;
        let fund = self.pay_bond(token, bond, account)?;
        fund.returned = fund.returned.plus(bond)?;
        self.emit(Event::DisperserBondReturned {
            service,
            disperser,
            account,
            token,
            bond,
        });
        Ok(())
    }

    pub(super) fn slash_disperser(
        &mut self,
        sender: Account,
        service: ServiceId,
        disperser: u32,
        evidence_hash: B256,
        reason: &str,
    ) -> Outcome {
        let block = self.block();
        let slasher = self.service_ref(service)?.slasher.at(block);
        check_sender(sender, "service's slasher", slasher)?;
        check_text("reason", reason, MAX_REASON)?;
        let record = self.disperser_ref(service, disperser)?;
        match record.standing {
            Standing::Active | Standing::Exiting { .. } => {}
            Standing::Gone => return Err(TransactionError::DisperserGone { disperser }),
            Standing::Slashed { block } => {
                return Err(TransactionError::DisperserSlashed { disperser, block });
            }
        }
        let token = record.token;
        self.leave_tables(service, disperser, Standing::Slashed { block })?;
        self.free_place(service)?;
        let bond = std::mem::take(&mut self.disperser_mut(service, disperser)?.bond);
        let fund = self.take_bond(token, bond)?;
        fund.burnt = fund.burnt.plus(bond)?;
        self.emit(Event::DisperserSlashed {
            service,
            disperser,
            token,
            bond,
            evidence_hash,
        });
        self.payee_slashed(service, disperser)
    }

    /// From this block on tables do not show it; where they did not before, nothing changes but its standing.
    fn leave_tables(&mut self, service: ServiceId, disperser: u32, standing: Standing) -> Outcome {
        let block = self.block();
        let record = self.disperser_mut(service, disperser)?;
        record.standing = standing;
        if record.until.is_none() {
            record.until = Some(block);
            let key = (service, record.network_key);
            self.disperser_keys.remove(&key);
        }
        Ok(())
    }

    fn free_place(&mut self, service: ServiceId) -> Outcome {
        let of = self
            .services
            .edit(&service)
            .ok_or(inconsistent("a disperser without a service"))?;
        of.bonded = of
            .bonded
            .checked_sub(1)
            .ok_or(inconsistent("the number of bonded dispersers"))?;
        Ok(())
    }
}

pub(super) fn check_active(record: &Disperser, disperser: u32) -> Outcome {
    match record.standing {
        Standing::Active => Ok(()),
        Standing::Exiting { slashable_until } => Err(TransactionError::DisperserExiting {
            disperser,
            until: slashable_until,
        }),
        Standing::Gone => Err(TransactionError::DisperserGone { disperser }),
        Standing::Slashed { block } => Err(TransactionError::DisperserSlashed { disperser, block }),
    }
}

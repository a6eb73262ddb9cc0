//! What the admin does: assets, parameters, roles.

use ashlar_proto::Account;

use super::error::Outcome;
use super::state::{MAX_NAME, check_sender, check_text, take_number};
use super::types::{Strategy, StrategyKind};
use super::{Amount, Event, Params, State, TransactionError};

impl State {
    pub(super) fn check_admin(&self, sender: Account) -> Outcome {
        check_sender(sender, "admin", self.meta.admin)
    }

    pub(super) fn check_updater(&self, sender: Account) -> Outcome {
        check_sender(sender, "reward updater", self.meta.reward_updater)
    }

    pub(super) fn add_strategy(
        &mut self,
        name: &str,
        kind: StrategyKind,
        asset: Account,
        oracle: Account,
    ) -> Outcome {
        check_text("strategy's name", name, MAX_NAME)?;
        let native = kind == StrategyKind::NativeEth;
        if let Some(first) = self.meta.native.filter(|_| native) {
            return Err(TransactionError::SecondNative { first });
        }
        let strategy = take_number(&mut self.meta.next_strategy)?;
        if native {
            self.meta.native = Some(strategy);
        }
        let none = Amount::ZERO;
        self.strategies.insert(
            strategy,
            Strategy {
                name: name.to_owned(),
                kind,
                asset,
                oracle,
                shares: none,
                balance: none,
                deposited: none,
                idle: none,
                idle_queued: none,
                idle_open: 0,
                matured: none,
                paid: none,
                slashed: none,
                penalised: none,
                rounding: none,
                tokens_in: none,
                tokens_paid: none,
                tokens_burnt: none,
                tokens_redistributed: none,
                tokens_lost: none,
            },
        );
        self.emit(Event::StrategyAdded { strategy });
        Ok(())
    }

    pub(super) fn set_params(&mut self, params: &Params) -> Outcome {
        params.check()?;
        if let Some(got) = self
            .services
            .iter()
            .map(|(_, service)| service.veto_window)
            .max()
            .filter(|got| *got > params.timing.veto)
        {
            return Err(TransactionError::VetoWindow {
                got,
                max: params.timing.veto,
            });
        }
        self.meta.params = params.clone();
        self.emit(Event::ParamsSet {});
        Ok(())
    }
}

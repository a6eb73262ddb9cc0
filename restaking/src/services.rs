//! Services: registration, quorums, ejection, slashing.

use ashlar_crypto::hash::sha256;
use ashlar_proto::{Account, MAX_TABLE_OPERATORS, OperatorId, ProtocolVersion, QuorumId};

use super::error::Outcome;
use super::state::{MAX_NAME, MAX_REASON, check_sender, check_text, inconsistent, take_number};
use super::types::*;
use super::{Amount, Event, State, TransactionError, Wad};

/// Bytes of a service's conditions.
pub const MAX_CONDITIONS: usize = 16_384;
/// Strategies of a quorum.
pub const MAX_QUORUM_STRATEGIES: usize = 32;
/// Protocol versions of a service: as many as its tables name.
pub const MAX_VERSIONS: usize = ashlar_proto::table::MAX_TABLE_VERSIONS;
/// The largest multiplier: 10^27, a weight of 10^9 a share.
pub const MAX_MULTIPLIER: u128 = 10u128.pow(27);

/// What a service registers with.
pub(super) struct NewService<'a> {
    pub(super) name: &'a str,
    pub(super) conditions: &'a str,
    pub(super) slasher: Account,
    pub(super) resolver: Option<Account>,
    pub(super) veto_window: u64,
    pub(super) slash_cap: Wad,
    pub(super) ejector: Account,
    pub(super) versions: &'a [u16],
    pub(super) dispersers: DisperserTerms,
    pub(super) custody: Option<CustodyTerms>,
}

/// A slash, as it is asked for.
pub(super) struct Slash<'a> {
    pub(super) service: ServiceId,
    pub(super) quorum: QuorumId,
    pub(super) operator: OperatorId,
    pub(super) parts: &'a [SlashPart],
    pub(super) reason: &'a str,
    pub(super) fault: Option<FaultRecord>,
}

impl State {
    pub(super) fn service_ref(&self, service: ServiceId) -> Outcome<&Service> {
        self.services
            .get(&service)
            .ok_or(TransactionError::UnknownService { service })
    }

    pub(super) fn quorum_ref(&self, service: ServiceId, quorum: QuorumId) -> Outcome<&Quorum> {
        self.service_ref(service)?;
        self.quorums
            .get(&(service, quorum))
            .ok_or(TransactionError::UnknownQuorum { service, quorum })
    }

    pub(super) fn check_owner(&self, sender: Account, service: ServiceId) -> Outcome {
        check_sender(sender, "service's owner", self.service_ref(service)?.owner)
    }

    pub(super) fn register_service(&mut self, owner: Account, new: &NewService<'_>) -> Outcome {
        check_text("service's name", new.name, MAX_NAME)?;
        check_text("conditions", new.conditions, MAX_CONDITIONS)?;
        let max = self.meta.params.timing.veto;
        if new.veto_window > max {
            return Err(TransactionError::VetoWindow {
                got: new.veto_window,
                max,
            });
        }
        if (new.veto_window > 0) != new.resolver.is_some() {
            return Err(TransactionError::Resolver {
                window: new.veto_window,
            });
        }
        if new.slash_cap.is_zero() || new.slash_cap > self.meta.params.slash_cap {
            return Err(TransactionError::SlashWad {
                got: new.slash_cap,
                max: self.meta.params.slash_cap,
            });
        }
        if let Some(terms) = &new.custody {
            terms.check(new.slash_cap)?;
        }
        new.dispersers.check()?;
        let ordered = rising(
            new.versions
                .iter()
                .map(|version| StrategyId::from(*version)),
        )
        .is_ok();
        if !ordered || !(1..=MAX_VERSIONS).contains(&new.versions.len()) {
            return Err(TransactionError::Versions {
                got: new.versions.len(),
                max: MAX_VERSIONS,
            });
        }
        let from = self.block();
        let versions = new
            .versions
            .iter()
            .map(|&version| {
                known(version)?;
                Ok(ActiveVersion { version, from })
            })
            .collect::<Outcome<_>>()?;
        let service = take_number(&mut self.meta.next_service)?;
        let conditions_hash = sha256(&[new.conditions.as_bytes()]).into();
        self.services.insert(
            service,
            Service {
                owner,
                name: new.name.to_owned(),
                conditions: new.conditions.to_owned(),
                conditions_hash,
                slasher: Delayed::new(new.slasher),
                resolver: new.resolver,
                veto_window: new.veto_window,
                slash_cap: new.slash_cap,
                ejector: new.ejector,
                operators: 0,
                versions,
                dispersers: new.dispersers,
                bonded: 0,
                next_disperser: 0,
                custody: new.custody,
                challenges: 0,
            },
        );
        self.emit(Event::ServiceRegistered {
            service,
            conditions_hash,
        });
        for &version in new.versions {
            self.emit(Event::VersionActivated {
                service,
                version,
                from,
            });
        }
        Ok(())
    }

    pub(super) fn activate_version(&mut self, id: ServiceId, version: u16, from: Block) -> Outcome {
        let expected = self.after(1)?;
        let service = self.service_ref(id)?;
        if let Some(active) = service.versions.iter().find(|v| v.version == version) {
            return Err(TransactionError::VersionActive {
                version,
                from: active.from,
            });
        }
        if service.versions.len() >= MAX_VERSIONS {
            return Err(TransactionError::Versions {
                got: service.versions.len() + 1,
                max: MAX_VERSIONS,
            });
        }
        let max = known(version)?.max_operators;
        // What is over was signed under the rules of then.
        if from < expected {
            return Err(TransactionError::VersionEarly {
                got: from,
                expected,
            });
        }
        let places = self
            .quorums(id)
            .map(|(_, quorum)| quorum.config.maximum_operators);
        let got = places.fold(service.operators, u32::max);
        if got > max {
            return Err(TransactionError::VersionOperators { got, version, max });
        }
        self.services
            .edit(&id)
            .ok_or(TransactionError::UnknownService { service: id })?
            .versions
            .push(ActiveVersion { version, from });
        self.emit(Event::VersionActivated {
            service: id,
            version,
            from,
        });
        Ok(())
    }

    /// The protocol versions that a service uses at a block, in the order of their activation: none before it was registered.
    pub fn versions_at(&self, service: ServiceId, block: Block) -> impl Iterator<Item = u16> {
        self.services
            .get(&service)
            .into_iter()
            .flat_map(|service| &service.versions)
            .filter(move |active| active.from <= block)
            .map(|active| active.version)
    }

    /// The version that takes the fewest operators, of those that a service uses or is going to use, and how many it
    /// takes. More operators, in one quorum or in all together, would not get chunks.
    pub(super) fn operator_limit(&self, service: ServiceId) -> Outcome<(u16, u32)> {
        let versions = &self.service_ref(service)?.versions;
        let mut limits = Vec::with_capacity(versions.len());
        for active in versions {
            limits.push((active.version, known(active.version)?.max_operators));
        }
        let least = limits.into_iter().min_by_key(|(_, max)| *max);
        least.ok_or(inconsistent("a service without a protocol version"))
    }

    pub(super) fn add_quorum(
        &mut self,
        service: ServiceId,
        quorum: QuorumId,
        config: &QuorumConfig,
    ) -> Outcome {
        if self.quorums.contains(&(service, quorum)) {
            return Err(TransactionError::QuorumTaken { service, quorum });
        }
        let range = |what, got: u64, min: u64, max: u64| {
            if (min..=max).contains(&got) {
                Ok(())
            } else {
                Err(TransactionError::QuorumConfig {
                    what,
                    got,
                    min,
                    max,
                })
            }
        };
        let most = u64::from(MAX_TABLE_OPERATORS);
        range(
            "maximum_operators",
            config.maximum_operators.into(),
            1,
            most,
        )?;
        let (version, max) = self.operator_limit(service)?;
        if config.maximum_operators > max {
            return Err(TransactionError::VersionOperators {
                got: config.maximum_operators,
                version,
                max,
            });
        }
        range("churn_bps", config.churn_bps.into(), 10_000, 100_000)?;
        range("ejection_bps", config.ejection_bps.into(), 0, 10_000)?;
        range("ejection_window", config.ejection_window, 1, 1 << 40)?;
        range("ejection_cooldown", config.ejection_cooldown, 0, 1 << 40)?;
        let mut config = config.clone();
        config.redistribute_to = somebody(config.redistribute_to);
        self.check_strategies(&config.strategies, config.redistribute_to)?;
        self.quorums.insert((service, quorum), Quorum { config });
        self.totals
            .insert((service, quorum), QuorumTotals::default());
        self.emit(Event::QuorumAdded { service, quorum });
        Ok(())
    }

    fn check_strategies(&self, list: &[QuorumStrategy], to: Option<Account>) -> Outcome {
        let count = list.len() as u64;
        if count == 0 || list.len() > MAX_QUORUM_STRATEGIES {
            return Err(TransactionError::QuorumConfig {
                what: "number of strategies",
                got: count,
                min: 1,
                max: MAX_QUORUM_STRATEGIES as u64,
            });
        }
        rising(list.iter().map(|part| part.strategy))
            .map_err(|(first, second)| TransactionError::StrategyOrder { first, second })?;
        for part in list {
            self.strategy_ref(part.strategy)?;
            if part.multiplier > Amount::from(MAX_MULTIPLIER) {
                return Err(TransactionError::ShareLimit {
                    got: part.multiplier,
                    max: Amount::from(MAX_MULTIPLIER),
                });
            }
            if to.is_some() && self.is_native(part.strategy) {
                return Err(TransactionError::RedistributeNative {
                    strategy: part.strategy,
                });
            }
        }
        Ok(())
    }

    pub(super) fn set_multipliers(
        &mut self,
        service: ServiceId,
        quorum: QuorumId,
        list: &[QuorumStrategy],
    ) -> Outcome {
        let config = &self.quorum_ref(service, quorum)?.config;
        self.check_strategies(list, config.redistribute_to)?;
        if let Some(missing) = config
            .strategies
            .iter()
            .find(|old| !list.iter().any(|new| new.strategy == old.strategy))
        {
            return Err(TransactionError::StrategyMissing {
                strategy: missing.strategy,
            });
        }
        self.quorums
            .edit(&(service, quorum))
            .ok_or(TransactionError::UnknownQuorum { service, quorum })?
            .config
            .strategies = list.to_vec();
        let members: Vec<_> = self
            .active_members(service, quorum)
            .map(|(id, _)| id)
            .collect();
        for id in members {
            self.refresh_member(id, service, quorum)?;
        }
        self.emit(Event::MultipliersSet { service, quorum });
        Ok(())
    }

    pub(super) fn set_slasher(&mut self, service: ServiceId, slasher: Account) -> Outcome {
        let block = self.block();
        let from = self.after(self.meta.params.slasher_delay)?;
        self.services
            .edit(&service)
            .ok_or(TransactionError::UnknownService { service })?
            .slasher
            .set(block, slasher, from);
        self.emit(Event::SlasherSet {
            service,
            slasher,
            from,
        });
        Ok(())
    }

    pub(super) fn eject(
        &mut self,
        sender: Account,
        service: ServiceId,
        quorum: QuorumId,
        operator: OperatorId,
    ) -> Outcome {
        let config = self.quorum_ref(service, quorum)?.config.clone();
        check_sender(
            sender,
            "service's ejector",
            self.service_ref(service)?.ejector,
        )?;
        let member = self.member(service, quorum, operator);
        if !member.active {
            return Err(TransactionError::NotMember { service, quorum });
        }
        let block = self.block();
        let totals = self.totals_mut(service, quorum)?;
        let window_end = totals.window_start.saturating_add(config.ejection_window);
        if totals.window_start == Block(0) || block >= window_end {
            totals.window_start = block;
            totals.window_weight = totals.weight;
            totals.ejected = Amount::ZERO;
        }
        let until = totals.window_start.saturating_add(config.ejection_window);
        let got = totals.ejected.plus(member.weight)?;
        let max = totals.window_weight.basis_points(config.ejection_bps)?;
        if got > max {
            return Err(TransactionError::EjectionRate { got, max, until });
        }
        totals.ejected = got;
        let banned_until = self.after(config.ejection_cooldown)?;
        self.leave(operator, service, quorum, false)?;
        self.members
            .edit(&(service, quorum, operator))
            .ok_or(TransactionError::NotMember { service, quorum })?
            .banned_until = banned_until;
        self.emit(Event::Ejected {
            operator,
            service,
            quorum,
            weight: member.weight,
            banned_until,
        });
        Ok(())
    }

    /// Slashes, or makes a request if the service has a veto window.
    pub(super) fn slash(&mut self, sender: Account, slash: &Slash<'_>) -> Outcome {
        let block = self.block();
        self.quorum_ref(slash.service, slash.quorum)?;
        let service = self.service_ref(slash.service)?;
        check_sender(sender, "service's slasher", service.slasher.at(block))?;
        check_text("reason", slash.reason, MAX_REASON)?;
        self.check_slash(slash)?;
        if let Some(fault) = slash.fault {
            if let Some(&block) = self.faults.get(&fault) {
                return Err(TransactionError::SameFault { block });
            }
            self.faults.insert(fault, block);
        }
        self.slash_or_request(slash)
    }

    /// Slashes at once, or makes a request where the service has a veto window. The caller has checked the slash.
    pub(super) fn slash_or_request(&mut self, slash: &Slash<'_>) -> Outcome {
        let veto_window = self.service_ref(slash.service)?.veto_window;
        if veto_window == 0 {
            return self.execute_parts(slash);
        }
        let veto_until = self.after(veto_window)?;
        let execute_until = veto_until.saturating_add(self.meta.params.execution_window);
        let request = take_number(&mut self.meta.next_request)?;
        self.at(execute_until.saturating_add(1), Timer::Expired(request))?;
        self.requests.insert(
            request,
            SlashRequest {
                service: slash.service,
                quorum: slash.quorum,
                operator: slash.operator,
                parts: slash.parts.to_vec(),
                reason: slash.reason.to_owned(),
                fault: slash.fault,
                veto_until,
                execute_until,
            },
        );
        self.emit(Event::SlashRequested {
            request,
            operator: slash.operator,
            veto_until,
        });
        Ok(())
    }

    fn check_slash(&self, slash: &Slash<'_>) -> Outcome {
        if slash.parts.is_empty() {
            return Err(TransactionError::SlashEmpty { strategies: 0 });
        }
        rising(slash.parts.iter().map(|part| part.strategy))
            .map_err(|(first, second)| TransactionError::SlashOrder { first, second })?;
        let max = self
            .service_ref(slash.service)?
            .slash_cap
            .min(self.meta.params.slash_cap);
        for part in slash.parts {
            self.check_in_quorum(slash.service, slash.quorum, part.strategy)?;
            if part.wad.is_zero() || part.wad > max {
                return Err(TransactionError::SlashWad { got: part.wad, max });
            }
        }
        self.operator_ref(slash.operator)?;
        if !self.can_be_slashed(slash.operator, slash.service, slash.quorum) {
            return Err(TransactionError::NotSlashable {
                operator: slash.operator,
            });
        }
        Ok(())
    }

    fn execute_parts(&mut self, slash: &Slash<'_>) -> Outcome {
        let to = self
            .quorum_ref(slash.service, slash.quorum)?
            .config
            .redistribute_to;
        let mut any = false;
        for part in slash.parts {
            any |= self.slash_part(slash, part, to)?;
        }
        if !any {
            return Err(TransactionError::NothingToSlash {
                operator: slash.operator,
            });
        }
        self.sync_vaults_with(slash.operator)?;
        self.refresh_operator(slash.operator, None)
    }

    /// One strategy. Allocations of nothing are skipped.
    fn slash_part(
        &mut self,
        slash: &Slash<'_>,
        part: &SlashPart,
        to: Option<Account>,
    ) -> Outcome<bool> {
        let (operator, strategy) = (slash.operator, part.strategy);
        let key = (operator, strategy, slash.service, slash.quorum);
        let Some(allocation) = self
            .allocations
            .edit(&key)
            .filter(|allocation| !allocation.magnitude.is_zero())
        else {
            return Ok(false);
        };
        let slashed = allocation.magnitude.slashed_by(part.wad)?;
        allocation.magnitude = allocation.magnitude.minus(slashed)?;
        if let Some(Pending::Down { by, .. }) = &mut allocation.pending {
            *by = by.minus(by.slashed_by(part.wad)?)?;
        }
        let pool = self.pool_mut(operator, strategy)?;
        let before = *pool;
        pool.magnitude = before.magnitude.minus(slashed)?;
        pool.encumbered = before.encumbered.minus(slashed)?;
        let keep =
            |shares: Amount| shares.mul_div_up(pool.magnitude.into(), before.magnitude.into());
        let (shares_left, queued_left) = (keep(before.shares)?, keep(before.queued)?);
        pool.shares = shares_left;
        pool.queued = queued_left;
        let shares = before.shares.minus(shares_left)?;
        let queued_shares = before.queued.minus(queued_left)?;
        let lost = shares.plus(queued_shares)?;
        let record = self.strategy_mut(strategy)?;
        let tokens = record.take_out(lost)?;
        record.slashed = record.slashed.plus(lost)?;
        let counter = match to {
            Some(_) => &mut record.tokens_redistributed,
            None => &mut record.tokens_burnt,
        };
        *counter = counter.plus(tokens)?;
        self.emit(Event::Slashed {
            operator,
            service: slash.service,
            quorum: slash.quorum,
            strategy,
            magnitude: slashed,
            shares,
            queued_shares,
            tokens,
            redistributed_to: to,
        });
        Ok(true)
    }

    fn request_ref(&self, request: u64) -> Outcome<&SlashRequest> {
        self.requests
            .get(&request)
            .ok_or(TransactionError::UnknownRequest { request })
    }

    pub(super) fn veto(&mut self, sender: Account, request: u64) -> Outcome {
        let entry = self.request_ref(request)?;
        let service = self.service_ref(entry.service)?;
        check_sender(
            sender,
            "service's resolver",
            service
                .resolver
                .ok_or(inconsistent("a slash request without a resolver"))?,
        )?;
        let expected = entry.veto_until;
        if self.block() > expected {
            return Err(TransactionError::VetoLate {
                got: self.block(),
                expected,
            });
        }
        if let Some(fault) = self.requests.remove(&request).and_then(|entry| entry.fault) {
            // It may be brought up again, with more to convince the resolver.
            self.faults.remove(&fault);
        }
        self.emit(Event::SlashVetoed { request });
        Ok(())
    }

    /// A request that nobody executed is gone, and its fault can be brought up again.
    pub(super) fn expire_request(&mut self, request: u64) {
        if let Some(fault) = self.requests.remove(&request).and_then(|entry| entry.fault) {
            self.faults.remove(&fault);
        }
    }

    pub(super) fn execute_request(&mut self, sender: Account, request: u64) -> Outcome {
        let entry = self.request_ref(request)?.clone();
        let block = self.block();
        check_sender(
            sender,
            "service's slasher",
            self.service_ref(entry.service)?.slasher.at(block),
        )?;
        if block <= entry.veto_until {
            return Err(TransactionError::SlashEarly {
                got: block,
                expected: entry.veto_until.saturating_add(1),
            });
        }
        let slash = Slash {
            service: entry.service,
            quorum: entry.quorum,
            operator: entry.operator,
            parts: &entry.parts,
            reason: &entry.reason,
            fault: entry.fault,
        };
        self.check_slash(&slash)?;
        self.execute_parts(&slash)?;
        self.requests.remove(&request);
        Ok(())
    }
}

fn known(version: u16) -> Outcome<&'static ProtocolVersion> {
    ashlar_proto::version(version).map_err(|_| TransactionError::VersionUnknown { version })
}

/// The first two neighbours that do not rise strictly.
fn rising(ids: impl Iterator<Item = StrategyId>) -> Result<(), (StrategyId, StrategyId)> {
    let mut previous = None;
    for id in ids {
        if let Some(previous) = previous.filter(|previous| *previous >= id) {
            return Err((previous, id));
        }
        previous = Some(id);
    }
    Ok(())
}

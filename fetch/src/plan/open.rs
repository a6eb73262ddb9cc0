//! What may be asked for at one moment, and in which order it is looked for.

use std::collections::BTreeSet;

use ashlar_proto::ChunkIndex;

use super::Plan;

/// Which holders and indices one walk looks at.
pub(super) struct Round {
    pub(super) avoided: bool,
    /// Indices that are on their way from an operator that is stalled.
    pub(super) again: bool,
    pub(super) signer: bool,
    /// Only those that are, or are not; none for any.
    pub(super) systematic: Option<bool>,
}

/// What may still be asked for at one moment.
pub(super) struct Open {
    /// Indices to find: those missing, less those that are on their way from operators that are not stalled.
    pub(super) wanted: u32,
    /// In flight from anybody.
    pub(super) in_flight: BTreeSet<ChunkIndex>,
    /// Not to be looked for any more: on their way from operators that are not stalled, or chosen in this round.
    pub(super) claimed: BTreeSet<ChunkIndex>,
    /// Indices that the budget still allows.
    pub(super) room: u64,
    /// Indices that the budget allows to be asked for twice.
    pub(super) room_again: u64,
    /// Indices that the limit of bytes in flight still allows.
    pub(super) window: u64,
    /// Indices that operators which have not proven themselves may be asked for.
    pub(super) at_risk: usize,
    pub(super) requests: usize,
}

impl Open {
    pub(super) fn count(plan: &Plan, stalled: &[bool]) -> Self {
        let mut in_flight = BTreeSet::new();
        let mut claimed = BTreeSet::new();
        let mut in_flight_indices = 0u64;
        let mut at_risk = 0;
        for (position, holder) in plan.holders.iter().enumerate() {
            in_flight_indices += holder.in_flight.len() as u64;
            let missing = holder.in_flight.difference(&plan.good);
            if stalled.get(position).copied().unwrap_or(false) {
                in_flight.extend(missing);
            } else {
                if !holder.proven {
                    at_risk += holder.in_flight.len();
                }
                for index in missing {
                    in_flight.insert(*index);
                    claimed.insert(*index);
                }
            }
        }
        let needed = plan.config.needed;
        let spare = u64::from(plan.spare());
        let used = plan.requested - plan.failed;
        // Requested and neither good nor in flight for the first time: asked for twice.
        let twice = used.saturating_sub((plan.good.len() + in_flight.len()) as u64);
        let on_the_way = u32::try_from(claimed.len()).unwrap_or(u32::MAX);
        let limit = u64::from(plan.config.units(plan.config.max_in_flight_bytes));
        Self {
            wanted: needed
                .saturating_sub(plan.good_count())
                .saturating_sub(on_the_way),
            in_flight,
            claimed,
            room: (u64::from(needed) + spare).saturating_sub(used),
            room_again: spare.saturating_sub(twice),
            window: limit.saturating_sub(in_flight_indices),
            at_risk: (spare as usize).max(1).saturating_sub(at_risk),
            requests: plan.config.max_requests.saturating_sub(plan.pending.len()),
        }
    }

    /// How many of `count` indices may be asked for now; they are booked.
    pub(super) fn afford(&mut self, count: usize, again: bool) -> usize {
        let mut units = (count as u64).min(self.room).min(self.window);
        if again {
            units = units.min(self.room_again);
            self.room_again -= units;
        }
        self.room -= units;
        self.window -= units;
        usize::try_from(units).unwrap_or(0)
    }
}

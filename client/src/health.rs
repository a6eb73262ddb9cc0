//! Which disperser to ask first: those that worked last, in the order in which they are configured. No IO and no clock.

use std::time::{Duration, Instant};

use ashlar_service::Backoff;

/// So many failures in a row, and a disperser rests.
const TOLERATED: u32 = 3;
/// The rest of one that is in trouble.
const TROUBLE: Backoff = Backoff {
    base: Duration::from_secs(5),
    max: Duration::from_secs(300),
};
/// The rest of one that sent what does not verify.
const LIE: Duration = Duration::from_secs(3600);

/// What a disperser did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It refused, was silent, or was not reached.
    Trouble,
    /// It sent a certificate, or an id, that is not the blob's.
    Lie,
}

/// How a disperser does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Failures since it last worked.
    pub failures: u32,
    /// Until when it is asked only if nobody else works.
    pub rests_until: Option<Instant>,
    /// Code of its last failure.
    pub last: Option<&'static str>,
}

/// One entry for each disperser.
pub(crate) struct Book(Vec<Health>);

impl Book {
    pub(crate) fn new(dispersers: usize) -> Self {
        Self(vec![Health::default(); dispersers])
    }

    pub(crate) fn all(&self) -> &[Health] {
        &self.0
    }

    /// All dispersers, the best first: those without a recent failure, those with a few, and those that rest, which come
    /// last and not never: a rollup with one disperser goes on asking it.
    pub(crate) fn order(&self, now: Instant) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.0.len()).collect();
        order.sort_by_key(|index| {
            let health = self.0.get(*index);
            let rest = health.and_then(|health| health.rests_until);
            let failures = health.map_or(0, |health| health.failures);
            (rest.filter(|until| *until > now), failures)
        });
        order
    }

    /// `random` is any number.
    pub(crate) fn failed(
        &mut self,
        index: usize,
        fault: Fault,
        code: &'static str,
        now: Instant,
        random: u64,
    ) {
        let Some(health) = self.0.get_mut(index) else {
            return;
        };
        health.failures = health.failures.saturating_add(1);
        health.last = Some(code);
        let rest = match fault {
            Fault::Lie => LIE,
            Fault::Trouble if health.failures < TOLERATED => return,
            Fault::Trouble => TROUBLE.delay(health.failures - TOLERATED, random),
        };
        health.rests_until = health.rests_until.max(Some(now + rest));
    }

    pub(crate) fn works(&mut self, index: usize) {
        if let Some(health) = self.0.get_mut(index) {
            *health = Health::default();
        }
    }
}

#[cfg(test)]
mod tests;

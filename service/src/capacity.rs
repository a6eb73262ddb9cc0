//! Capacity that callers share, each network its part: [`Shares`] as handlers of HTTP want them.
//!
//! Whoever is alone may have all of it. Whoever comes later gets its part back: the youngest request of whoever has most is told
//! so ([`Held::wanted`]), and ends. Nobody waits for what goes beyond its part: it is refused.

use std::sync::Arc;
use std::time::Duration;

use ashlar_net::{Claim, Lease, Shares, Subnet, User};
use tokio::time::Instant;

use crate::ApiError;

/// How long a request within its part waits for what others have to give back.
const PATIENCE: Duration = Duration::from_secs(1);

/// See the module's documentation.
#[derive(Debug, Clone)]
pub struct Capacity {
    name: &'static str,
    shares: Shares,
    retry_after_secs: u64,
}

/// What a request has of it. Goes back when this is dropped.
#[derive(Debug)]
pub struct Held {
    of: Capacity,
    claim: Arc<Claim>,
    leases: Vec<Lease>,
}

impl Capacity {
    /// So much of it. Refusals have the codes `NAME.full` and `NAME.share`, and this `Retry-After`.
    pub fn new(name: &'static str, total: u64, retry_after_secs: u64) -> Self {
        Self {
            name,
            shares: Shares::new(total),
            retry_after_secs,
        }
    }

    /// Nothing yet, for a request of this network.
    pub fn open(&self, network: Subnet) -> Held {
        Held {
            of: self.clone(),
            claim: Claim::new(User::Strangers(network)),
            leases: Vec::new(),
        }
    }

    /// Takes a part for a request of this network.
    ///
    /// # Errors
    /// 429 if the network has its share, 503 if all is taken.
    pub async fn take(&self, network: Subnet, amount: u64) -> Result<Held, ApiError> {
        let mut held = self.open(network);
        held.more(amount).await?;
        Ok(held)
    }

    /// How much is taken.
    pub fn used(&self) -> u64 {
        self.shares.used()
    }

    fn beyond_share(&self) -> ApiError {
        let code = format!("{}.share", self.name);
        let detail = "others want what your network has beyond its share; try again later";
        ApiError::new(429, &code, detail).retry_after(self.retry_after_secs)
    }
}

impl Held {
    /// Takes more for the same request.
    ///
    /// # Errors
    /// As [`Capacity::take`], and 429 if others [want](Self::wanted) it back.
    pub async fn more(&mut self, amount: u64) -> Result<(), ApiError> {
        let (of, deadline) = (&self.of, Instant::now() + PATIENCE);
        let lease = tokio::select! {
            biased;
            () = self.claim.revoked() => return Err(of.beyond_share()),
            lease = of.shares.take(&self.claim, amount, false, deadline) => lease,
        };
        self.leases.push(lease.map_err(|_| {
            if of.shares.is_beyond(&self.claim.user(), amount) {
                return of.beyond_share();
            }
            let code = format!("{}.full", of.name);
            let detail = "too much is under way already; try again later";
            ApiError::busy(&code, detail, of.retry_after_secs)
        })?);
        Ok(())
    }

    /// Returns when others want it back, with what to tell the caller.
    pub async fn wanted(&self) -> ApiError {
        self.claim.revoked().await;
        self.of.beyond_share()
    }

    /// From now on nothing is taken back: all that is left is our own work.
    pub fn settle(&self) {
        self.claim.settle();
    }
}

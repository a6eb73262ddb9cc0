//! Memory for data from outside, counted before it is allocated.

use std::sync::Arc;

use bytes::Bytes;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::{NetError, Phase, shares::Lease};

/// Bytes in one unit of the semaphore, whose permits are counted in 32 bits.
const UNIT: u64 = 4096;

/// A number of bytes shared by everybody who holds data from outside. Reservations are granted in the order of asking,
/// so a large one is not starved by small ones.
#[derive(Debug, Clone)]
pub struct Budget {
    semaphore: Arc<Semaphore>,
    total: u64,
}

impl Budget {
    /// A budget of this many bytes, rounded up to 4 KiB.
    pub fn new(bytes: u64) -> Self {
        let units = bytes.div_ceil(UNIT).min(u64::from(u32::MAX));
        Self {
            semaphore: Arc::new(Semaphore::new(
                usize::try_from(units).unwrap_or(usize::MAX >> 3),
            )),
            total: units * UNIT,
        }
    }

    /// Bytes not reserved at the moment.
    pub fn available(&self) -> u64 {
        self.semaphore.available_permits() as u64 * UNIT
    }

    /// Bytes reserved at the moment.
    pub fn used(&self) -> u64 {
        self.total.saturating_sub(self.available())
    }

    /// Takes so many bytes if they are free now.
    pub fn try_reserve(&self, bytes: u64) -> Option<Reservation> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
        let permit = Arc::clone(&self.semaphore).try_acquire_many_owned(units);
        Some(Reservation::new(permit.ok()?))
    }

    /// Waits until so many bytes are free and takes them.
    ///
    /// # Errors
    /// [`NetError::TooLarge`] if there are never so many; [`NetError::Timeout`] if not before the deadline.
    pub async fn reserve(&self, bytes: u64, deadline: Instant) -> Result<Reservation, NetError> {
        let too_large = NetError::TooLarge {
            what: "data",
            got: bytes,
            max: self.total,
        };
        if bytes > self.total {
            return Err(too_large);
        }
        let units = u32::try_from(bytes.div_ceil(UNIT)).map_err(|_| too_large)?;
        let started = Instant::now();
        match timeout_at(
            deadline,
            Arc::clone(&self.semaphore).acquire_many_owned(units),
        )
        .await
        {
            Ok(Ok(permit)) => Ok(Reservation::new(permit)),
            Ok(Err(_)) => Err(NetError::Closed),
            Err(_) => Err(NetError::timeout(Phase::Memory, started.elapsed())),
        }
    }
}

/// Memory that is taken. It goes back when this and everything [attached](Self::attach) to it is dropped.
#[derive(Debug, Clone)]
pub struct Reservation {
    _held: Arc<dyn Hold>,
}

/// Whatever gives memory back when it is dropped.
pub(crate) trait Hold: std::fmt::Debug + Send + Sync {}

impl Hold for OwnedSemaphorePermit {}
impl Hold for Lease {}

struct Held<T> {
    data: T,
    _memory: Reservation,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Held<T> {
    fn as_ref(&self) -> &[u8] {
        self.data.as_ref()
    }
}

impl Reservation {
    pub(crate) fn new(hold: impl Hold + 'static) -> Self {
        Self {
            _held: Arc::new(hold),
        }
    }

    /// Makes the data hold the reservation: it lasts until the last clone or slice of the bytes is dropped, which for
    /// an answer is when the peer has acknowledged them.
    pub fn attach(&self, data: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        if data.as_ref().is_empty() {
            return Bytes::new();
        }
        Bytes::from_owner(Held {
            data,
            _memory: self.clone(),
        })
    }
}

#[cfg(test)]
mod tests;

//! A daemon at work, in the hands of whoever started it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::{HealthReport, Supervisor};

/// A daemon at work. Dropping it without [`shutdown`](Self::shutdown) stops it as a crash would.
#[derive(Debug)]
pub struct Running {
    http_addr: SocketAddr,
    health_addr: Option<SocketAddr>,
    supervisor: Supervisor,
    patience: Duration,
}

impl Running {
    /// One that answers at these addresses, and whose tasks have so long to stop.
    pub fn new(
        http_addr: SocketAddr,
        health_addr: Option<SocketAddr>,
        supervisor: Supervisor,
        patience: Duration,
    ) -> Self {
        Self {
            http_addr,
            health_addr,
            supervisor,
            patience,
        }
    }

    /// Where HTTP listens.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Where health answers on its own, if it does.
    pub fn health_addr(&self) -> Option<SocketAddr> {
        self.health_addr
    }

    /// As `GET /v1/health` says it.
    pub fn health(&self) -> HealthReport {
        self.supervisor.health().report()
    }

    /// Waits until a part ends that the daemon cannot live without, and says why it did: the process should stop then.
    pub async fn failed(&self) -> String {
        self.supervisor.failed().await
    }

    /// Stops: no new requests, those under way are answered, and tasks end what they are at.
    pub async fn shutdown(self) {
        self.supervisor.health().stopping();
        self.supervisor.shutdown(self.patience).await;
    }
}

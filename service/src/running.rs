//! A daemon at work, in the hands of whoever started it.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;

use crate::{HealthReport, Supervisor};

/// Where a daemon listens.
#[derive(Debug)]
pub struct Addresses {
    http: SocketAddr,
    health: Option<SocketAddr>,
}

/// A daemon at work. Dropping it without [`shutdown`](Self::shutdown) stops it as a crash would.
/// `A` is where it is asked: at its addresses, or, inside of this process, by the API itself.
#[derive(Debug)]
pub struct Running<A = Addresses> {
    asked: A,
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
            asked: Addresses {
                http: http_addr,
                health: health_addr,
            },
            supervisor,
            patience,
        }
    }

    /// Where HTTP listens.
    pub fn http_addr(&self) -> SocketAddr {
        self.asked.http
    }

    /// Where health answers on its own, if it does.
    pub fn health_addr(&self) -> Option<SocketAddr> {
        self.asked.health
    }
}

impl Running<Router> {
    /// One that listens nowhere, and whose tasks have so long to stop.
    pub fn embedded(api: Router, supervisor: Supervisor, patience: Duration) -> Self {
        Self {
            asked: api,
            supervisor,
            patience,
        }
    }

    /// Its API, pages and metrics, for clients in this process ([`LocalApi`](crate::http::LocalApi)), and to be nested in a server of theirs.
    pub fn api(&self) -> Router {
        self.asked.clone()
    }
}

impl<A> Running<A> {
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

//! A proxy without a socket, over a network in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ashlar_client::memory::MemoryNetwork;
use ashlar_client::{Age, Policy, RequiredQuorums, Trust};
use ashlar_proto::{Block, Domain};
use ashlar_service::Health;
use ashlar_service::listener::Sender;
use ashlar_stake::{OperatorTable, StakeError, StakeSource};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use bytes::Bytes;
use tower::ServiceExt as _;

use crate::arbitrum::Arbitrum;
use crate::config::ProxyConfig;
use crate::core::{AllStores, Core};
use crate::metrics::Metrics;
use crate::server::apps;

/// The table of a network in memory, which can be taken away.
pub(super) struct Tables {
    table: Arc<OperatorTable>,
    pub(super) broken: AtomicBool,
}

impl StakeSource for Tables {
    fn domain(&self) -> Domain {
        self.table.domain()
    }

    fn head(&self) -> Result<Block, StakeError> {
        Ok(self.table.reference_block())
    }

    fn table_at(&self, block: Block) -> Result<Arc<OperatorTable>, StakeError> {
        let head = self.table.reference_block();
        match !self.broken.load(Ordering::Relaxed) && block == head {
            true => Ok(Arc::clone(&self.table)),
            false => Err(StakeError::UnknownBlock { block, head }),
        }
    }
}

pub(super) struct World {
    pub(super) network: MemoryNetwork,
    pub(super) tables: Arc<Tables>,
    pub(super) core: Arc<Core>,
    app: Router,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn ok(self) -> Bytes {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        assert_eq!(self.status, 200, "{text}");
        self.body
    }
}

pub(super) fn config() -> ProxyConfig {
    let mut config = ProxyConfig::default();
    config.policy.required_quorums = vec![0];
    config.proxy.dispersers = vec!["http://127.0.0.1:1".to_owned()];
    config
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut ProxyConfig)) -> Self {
        Self::over(MemoryNetwork::new(4), change)
    }

    /// Another proxy on the same network: after a restart, or on another machine.
    pub(super) fn over(network: MemoryNetwork, change: impl FnOnce(&mut ProxyConfig)) -> Self {
        let mut config = config();
        change(&mut config);
        config.validate().unwrap();
        let Trust::Table(table) = network.trust() else {
            panic!("a network in memory has one table")
        };
        let tables = Arc::new(Tables {
            table: Arc::clone(&table),
            broken: AtomicBool::new(false),
        });
        let trust = Trust::Source(Arc::clone(&tables) as _);
        let quorums = RequiredQuorums::all(config.quorums());
        let policy = Policy::new(trust, quorums, Age::Within(Duration::MAX));
        let stores = AllStores::open(&config).unwrap();
        let health = Arc::new(Health::default());
        health.opened();
        let core = Arc::new(Core::new(
            config,
            Arc::new(network.client(policy)),
            Some(Arc::clone(&tables) as _),
            stores,
            (health, Arc::new(Metrics::default())),
        ));
        let app = {
            let arbitrum = Arbitrum::open(&core.config.arbitrum.jwt_secret).unwrap();
            apps(Arc::clone(&core), Some(network.clone()), Some(arbitrum)).api
        };
        Self {
            network,
            tables,
            core,
            app,
        }
    }

    pub(super) async fn send(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder().method(method).uri(path);
        self.answer(request.body(body.into()).unwrap()).await
    }

    pub(super) async fn answer(&self, mut request: Request<Body>) -> Answer {
        let here = Sender("127.0.0.1".parse().unwrap());
        request.extensions_mut().insert(here);
        let answer = self.app.clone().oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: to_bytes(body, usize::MAX).await.unwrap(),
        }
    }

    pub(super) async fn put(&self, payload: &[u8]) -> Answer {
        self.send("POST", "/put", payload.to_vec()).await
    }

    pub(super) async fn get(&self, commitment: &[u8]) -> Answer {
        self.ask(commitment, "").await
    }

    pub(super) async fn ask(&self, commitment: &[u8], query: &str) -> Answer {
        let path = format!("/get/0x{}{query}", hex::encode(commitment));
        self.send("GET", &path, Body::empty()).await
    }

    pub(super) fn metrics(&self) -> String {
        self.core.metrics.text()
    }
}

/// A payload that is no other's.
pub(super) fn payload(seed: u8, len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at as u8).wrapping_mul(31) ^ seed)
        .collect()
}

/// A certificate whose signature is over something else.
pub(super) fn forged(commitment: &[u8]) -> Vec<u8> {
    let mut certificate = ashlar_proto::Certificate::from_bytes(&commitment[3..]).unwrap();
    certificate.batch_header.created_at_ms += 1;
    crate::commitment::generic(&certificate.to_bytes())
}

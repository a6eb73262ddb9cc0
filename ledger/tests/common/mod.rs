//! What the service's tests share: a devnet's ledger in a folder, and its keys.

#![allow(dead_code, unreachable_pub)] // each test file uses its own part
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_primitives::B256;
use ashlar_crypto::bls::SecretKey;
use ashlar_crypto::identity::{NetworkKey, NetworkPublicKey};
use ashlar_ledger::client::{ClientConfig, ClientError, LedgerClient};
use ashlar_ledger::devnet::{
    Devnet, DevnetOperator, DevnetRoles, DevnetSpec, SERVICE, devnet_genesis, devnet_key,
    devnet_params,
};
use ashlar_ledger::{LedgerConfig, LedgerService, RunningLedger, ServiceError, account_of};
use ashlar_proto::{Account, BatchHeader, OperatorId, operator_id};
use ashlar_stake::evidence::{DoubleSigning, Fault, SignedBatch};
use ashlar_stake::ledger::store::Store;
use ashlar_stake::ledger::{Action, Amount, Disperser, Transaction};

pub const NETWORK: &str = "test";
pub const DISPERSER: u32 = 3;
pub const PATIENCE: Duration = Duration::from_secs(20);
/// No block within any test.
pub const NO_BLOCKS: u64 = 3_600_000;

pub fn bls(index: u8) -> SecretKey {
    SecretKey::from_ikm(&[index; 32])
}

pub fn operator(index: u8) -> OperatorId {
    operator_id(&bls(index).public_key().to_bytes())
}

pub fn operator_key(index: u8) -> NetworkKey {
    devnet_key(&[0; 32], &format!("operator {index}"))
}

pub fn staker_key(index: u8) -> NetworkKey {
    devnet_key(&[0; 32], &format!("staker {index}"))
}

pub fn role_key() -> NetworkKey {
    devnet_key(&[0; 32], "roles")
}

pub fn stranger_key() -> NetworkKey {
    devnet_key(&[0; 32], "stranger")
}

pub fn account(key: &NetworkKey) -> Account {
    account_of(&key.public())
}

pub fn public(key: &NetworkKey) -> NetworkPublicKey {
    key.public()
}

pub fn spec(stakes: &[u64]) -> DevnetSpec {
    DevnetSpec {
        network: NETWORK.into(),
        block: 0,
        params: devnet_params(1, 1000),
        roles: DevnetRoles::all(account(&role_key())),
        dispersers: vec![Disperser {
            id: DISPERSER,
            network_key: public(&devnet_key(&[0; 32], "disperser")),
            account: account(&devnet_key(&[0; 32], "disperser")),
        }],
        operators: (1u8..)
            .zip(stakes)
            .map(|(index, stake)| {
                let bls = bls(index);
                DevnetOperator {
                    account: account(&operator_key(index)),
                    staker: account(&staker_key(index)),
                    bls_public_key: bls.public_key().to_bytes(),
                    proof_of_possession: bls.prove_possession().to_bytes(),
                    network_key: public(&operator_key(index)),
                    address: format!("127.0.0.1:{}", 7000 + u16::from(index)),
                    stakes: vec![*stake; 2],
                }
            })
            .collect(),
    }
}

/// A ledger's folder, and the configuration of its service.
pub struct Home {
    folder: tempfile::TempDir,
    pub config: LedgerConfig,
    pub devnet: Devnet,
}

impl Home {
    pub fn new(interval_ms: u64) -> Self {
        Self::with(&spec(&[10, 20, 5, 1]), interval_ms)
    }

    pub fn with(spec: &DevnetSpec, interval_ms: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let devnet = devnet_genesis(spec).unwrap();
        let mut config = LedgerConfig::default();
        config.paths.data = folder.path().join("data");
        config.paths.genesis = folder.path().join("genesis.json");
        config.blocks.interval_ms = interval_ms;
        devnet.configure(&mut config);
        LedgerService::found(&config.paths.data, &devnet.genesis, &devnet.transactions).unwrap();
        Self {
            folder,
            config,
            devnet,
        }
    }

    pub fn data(&self) -> &Path {
        &self.config.paths.data
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.data().join(name)
    }

    pub async fn start(&self) -> RunningLedger {
        self.start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Waits until the one before has let go of the folder: after a crash its thread may still be at work.
    pub async fn start_at(&self, address: SocketAddr) -> RunningLedger {
        let end = Instant::now() + PATIENCE;
        loop {
            match LedgerService::start(self.config.clone(), address).await {
                Ok(running) => return running,
                Err(
                    ServiceError::Store(ashlar_stake::ledger::store::StoreError::Locked { .. })
                    | ServiceError::Bind { .. },
                ) if Instant::now() < end => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The state root of what is on disk. Nobody else may have it open.
    pub fn root_on_disk(&self) -> B256 {
        let (mut store, _) = Store::open(self.data(), &self.devnet.genesis).unwrap();
        store.root()
    }
}

/// A client with every key of the devnet.
pub fn client(running: &RunningLedger) -> LedgerClient {
    let client = LedgerClient::parse(&running.url()).unwrap();
    client.add_key(role_key());
    client.add_key(stranger_key());
    for index in 1..=4 {
        client.add_key(operator_key(index));
        client.add_key(staker_key(index));
    }
    client
}

/// One attempt, so that a refusal which could pass is seen.
pub fn hasty(running: &RunningLedger) -> LedgerClient {
    let config = ClientConfig {
        attempts: 1,
        ..ClientConfig::default()
    };
    LedgerClient::with_config(running.url().parse().unwrap(), config).unwrap()
}

/// stETH.
pub fn deposit(key: &NetworkKey, ether: u64) -> Transaction {
    Transaction {
        sender: account(key),
        action: Action::Deposit {
            strategy: 2,
            amount: Amount::ether(ether),
        },
    }
}

pub fn code<T: std::fmt::Debug>(result: Result<T, ClientError>) -> String {
    result.unwrap_err().code().to_owned()
}

pub fn batch(reference_block: u64, sequence: u64, created_at_ms: u64) -> BatchHeader {
    BatchHeader {
        version: 1,
        batch_root: [4; 32],
        blobs: 1,
        rows: 1,
        reference_block,
        disperser_id: DISPERSER,
        sequence,
        created_at_ms,
    }
}

/// An operator signs two batches under one sequence.
pub fn double_signing(index: u8, sequence: u64, times: [u64; 2]) -> Fault {
    let [one, other] = times
        .map(|time| SignedBatch::sign(&bls(index), batch(0, sequence, 1_700_000_000_000 + time)));
    Fault::DoubleSigning(DoubleSigning::new(operator(index), one, other))
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The newest block that is over, when there is one after `block`.
pub async fn block_after(client: &LedgerClient, block: u64) -> u64 {
    let end = Instant::now() + PATIENCE;
    loop {
        let wait = Duration::from_secs(5);
        let head = client
            .table_head(SERVICE, Some((block, wait)))
            .await
            .unwrap();
        if head.block > block {
            return head.block;
        }
        assert!(Instant::now() < end, "no block after {block}");
    }
}

/// A weight of an operator in a table of the service.
pub async fn weight(client: &LedgerClient, block: u64, index: u8, quorum: u8) -> Amount {
    let table = Arc::new(client.table(SERVICE, block).await.unwrap());
    table
        .find(&operator(index))
        .and_then(|index| table.operators().get(index as usize))
        .map(|entry| Amount(entry.stake(quorum)))
        .unwrap_or_default()
}

//! What the service's tests share: a devnet's ledger in a folder, and its keys.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_primitives::B256;
use ashlar_crypto::account::AccountKey;
use ashlar_crypto::bls::SecretKey;
use ashlar_crypto::identity::NetworkKey;
use ashlar_ledger::client::{ClientConfig, ClientError, LedgerClient};
use ashlar_ledger::devnet::{
    Devnet, DevnetDisperser, DevnetOperator, DevnetRoles, DevnetSpec, SERVICE, devnet_account,
    devnet_genesis, devnet_key, devnet_params,
};
use ashlar_ledger::service::signing_floor::SigningFloor;
use ashlar_ledger::store::Store;
use ashlar_ledger::{HeadKeys, LedgerConfig, LedgerService, RunningLedger, ServiceError};
use ashlar_proto::{
    Account, BatchHeader, Block, Domain, Network, OperatorId, Sequence, SignedHead, TableAccess,
    TableRoot, operator_id,
};
use ashlar_restaking::evidence::{DoubleSigning, Fault, SignedBatch};
use ashlar_restaking::{
    Action, Amount, CustodyTerms, DisperserTerms, QuorumConfig, QuorumStrategy, ServiceId,
    Transaction, Wad,
};
use ashlar_stake::{TableLocation, TableSource};

pub mod proxy;

pub const NETWORK: &str = "test";
/// The first that the ledger gives a number.
pub const DISPERSER: u32 = 0;
pub const PATIENCE: Duration = Duration::from_secs(20);
/// No block within any test.
pub const NO_BLOCKS: u64 = 3_600_000;

pub fn bls(index: u8) -> SecretKey {
    SecretKey::from_ikm(&[index; 32])
}

pub fn operator(index: u8) -> OperatorId {
    operator_id(&bls(index).public_key().to_bytes())
}

pub fn operator_key(index: u8) -> AccountKey {
    devnet_account(&[0; 32], &format!("operator {index}"))
}

pub fn staker_key(index: u8) -> AccountKey {
    devnet_account(&[0; 32], &format!("staker {index}"))
}

pub fn role_key() -> AccountKey {
    devnet_account(&[0; 32], "roles")
}

pub fn stranger_key() -> AccountKey {
    devnet_account(&[0; 32], "stranger")
}

pub fn account(key: &AccountKey) -> Account {
    Account(key.address())
}

pub fn node_key(index: u8) -> NetworkKey {
    devnet_key(&[0; 32], &format!("node {index}"))
}

pub fn disperser_key() -> NetworkKey {
    devnet_key(&[0; 32], "disperser")
}

/// The key of an account that pays.
pub fn payer_key() -> AccountKey {
    devnet_account(&[0; 32], "payer")
}

/// The key that signs heads.
pub fn head_key() -> AccountKey {
    devnet_account(&[0; 32], "heads")
}

/// The one that may come after it.
pub fn next_head_key() -> AccountKey {
    devnet_account(&[0; 32], "next heads")
}

pub fn spec(stakes: &[u64]) -> DevnetSpec {
    DevnetSpec {
        network: NETWORK.into(),
        salt: B256::repeat_byte(1),
        head_key: account(&head_key()),
        block: Block(0),
        params: devnet_params(1, 1000),
        roles: DevnetRoles::all(account(&role_key())),
        dispersers: vec![DevnetDisperser {
            account: account(&devnet_account(&[0; 32], "disperser")),
            network: disperser_key(),
        }],
        payers: vec![account(&payer_key())],
        operators: (1u8..)
            .zip(stakes)
            .map(|(index, stake)| DevnetOperator {
                account: account(&operator_key(index)),
                staker: account(&staker_key(index)),
                bls: bls(index),
                network_key: node_key(index).public(),
                address: format!("127.0.0.1:{}", 7000 + u16::from(index)),
                stakes: vec![*stake; 2],
            })
            .collect(),
    }
}

/// The network of every ledger made by [`spec`].
pub fn network() -> Network {
    spec(&[1]).genesis().id()
}

/// The domain of a service of such a ledger.
pub fn domain(service: ServiceId) -> Domain {
    network().domain(u64::from(service))
}

/// A ledger's folder, and the configuration of its service.
pub struct Home {
    _folder: tempfile::TempDir,
    pub config: LedgerConfig,
    pub devnet: Devnet,
    pub keys: HeadKeys,
}

impl Home {
    pub fn new(interval_ms: u64) -> Self {
        Self::with(&spec(&[10, 20, 5, 1]), interval_ms)
    }

    /// As [`Home::new`], with a genesis of its own.
    pub fn salted(salt: u8, interval_ms: u64) -> Self {
        let mut spec = spec(&[10, 20, 5, 1]);
        spec.salt = B256::repeat_byte(salt);
        Self::with(&spec, interval_ms)
    }

    pub fn with(spec: &DevnetSpec, interval_ms: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let devnet = devnet_genesis(spec).unwrap();
        let mut config = LedgerConfig::default();
        config.paths.data = folder.path().join("data");
        config.paths.genesis = folder.path().join("genesis.json");
        config.paths.signed = folder.path().join("signed");
        SigningFloor::create(&config.paths.signed, devnet.genesis.hash(), Block(0)).unwrap();
        config.blocks.interval_ms = interval_ms;
        devnet.configure(&mut config);
        LedgerService::found(&config.paths.data, &devnet.genesis, &devnet.transactions).unwrap();
        Self {
            _folder: folder,
            config,
            devnet,
            keys: HeadKeys::new([head_key()]),
        }
    }

    pub fn domain(&self) -> Domain {
        self.devnet.genesis.id().domain(u64::from(SERVICE))
    }

    /// What a follower is told: these ledgers, and the head key.
    pub fn source(&self, urls: &[&str]) -> TableSource {
        TableSource {
            tables: urls
                .iter()
                .map(|url| TableLocation::Ledger {
                    url: (*url).to_owned(),
                    service: SERVICE,
                    network: self.devnet.genesis.id(),
                })
                .collect(),
            head_keys: vec![account(&head_key())],
            ca: PathBuf::new(),
        }
    }

    pub fn data(&self) -> &Path {
        &self.config.paths.data
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.data().join(name)
    }

    pub async fn start(&self) -> RunningLedger {
        self.start_at(SocketAddr::from((ashlar_testing::loopback(), 0)))
            .await
    }

    /// Waits until the one before has let go of the folder: after a crash its thread may still be at work.
    pub async fn start_at(&self, address: SocketAddr) -> RunningLedger {
        let end = Instant::now() + PATIENCE;
        loop {
            match LedgerService::start(self.config.clone(), self.keys.clone(), address).await {
                Ok(running) => return running,
                Err(
                    ServiceError::Store(ashlar_ledger::store::StoreError::Locked { .. })
                    | ServiceError::Bind { .. },
                ) if Instant::now() < end => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Makes all blocks up to this one at once. Nobody else may have the ledger open.
    pub fn advance(&self, block: Block) {
        let (mut store, _) = Store::open(self.data(), &self.devnet.genesis).unwrap();
        store.advance(block).unwrap();
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
pub fn deposit(key: &AccountKey, ether: u64) -> Transaction {
    Transaction {
        sender: account(key),
        action: Action::Deposit {
            strategy: 2,
            amount: Amount::ether(ether),
        },
    }
}

/// The number of what [`second_service`] founds.
pub const SECOND_SERVICE: ServiceId = 2;

/// Founds a service beside the devnet's, with the same owner and slasher; `resolver` may veto for a block. Its quorum 0 counts rETH, of which operator 1 has none
/// yet: it deposits 100, allocates all of it, and joins.
pub fn second_service(
    resolver: Option<Account>,
    slash_cap: Wad,
    custody: Option<CustodyTerms>,
) -> [Transaction; 5] {
    let (service, quorum, strategy) = (SECOND_SERVICE, 0, 3);
    let owner = account(&role_key());
    let operator = account(&operator_key(1));
    let of = |sender, action| Transaction { sender, action };
    let config = QuorumConfig {
        strategies: vec![QuorumStrategy {
            strategy,
            multiplier: Amount::WAD,
        }],
        minimum_weight: Amount::ZERO,
        maximum_operators: 10,
        churn_bps: 11_000,
        ejection_bps: 0,
        ejection_window: 1,
        ejection_cooldown: 0,
        redistribute_to: None,
    };
    [
        of(
            owner,
            Action::RegisterService {
                name: "second".into(),
                conditions: "as the first".into(),
                slasher: owner,
                resolver,
                veto_window: u64::from(resolver.is_some()),
                slash_cap,
                ejector: owner,
                versions: vec![1],
                dispersers: DisperserTerms {
                    token: owner,
                    min_bond: Amount::ether(1),
                    max: 1,
                },
                custody,
            },
        ),
        of(
            owner,
            Action::AddQuorum {
                service,
                quorum,
                config,
            },
        ),
        of(
            operator,
            Action::Deposit {
                strategy,
                amount: Amount::ether(100),
            },
        ),
        of(
            operator,
            Action::Allocate {
                service,
                quorum,
                strategy,
                magnitude: Wad::ONE,
            },
        ),
        of(operator, Action::OptIn { service, quorum }),
    ]
}

pub fn code<T: std::fmt::Debug>(result: Result<T, ClientError>) -> String {
    result.unwrap_err().code().to_owned()
}

pub fn batch(reference_block: Block, sequence: u64, created_at_ms: u64) -> BatchHeader {
    BatchHeader {
        domain: domain(SERVICE),
        table_root: TableRoot([0x77; 32]),
        version: 1,
        batch_root: [4; 32],
        blobs: 1,
        rows: 1,
        reference_block,
        disperser_id: DISPERSER,
        sequence: Sequence(sequence),
        created_at_ms,
    }
}

/// An operator signs two batches under one sequence.
pub fn double_signing(index: u8, sequence: u64, times: [u64; 2]) -> Fault {
    let [one, other] = times.map(|time| {
        SignedBatch::sign(
            &bls(index),
            batch(Block(0), sequence, 1_700_000_000_000 + time),
        )
    });
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

/// The newest signed head, once there is one.
pub async fn newest_head(client: &LedgerClient) -> SignedHead {
    until("a signed head", async || {
        client.table_head(SERVICE, None).await.is_ok()
    })
    .await;
    client.table_head(SERVICE, None).await.unwrap().signed
}

/// The newest block that is over, when there is one after `block`.
pub async fn block_after(client: &LedgerClient, block: Block) -> Block {
    let end = Instant::now() + PATIENCE;
    loop {
        let wait = Duration::from_secs(5);
        let told = client.table_head(SERVICE, Some((block, wait))).await;
        match told.map(|head| head.block()) {
            Ok(newest) if newest > block => return newest,
            Err(error) if error.code() != "table.unsigned" => panic!("{error}"),
            _ => {}
        }
        assert!(Instant::now() < end, "no block after {block}");
    }
}

/// A weight of an operator in a table of the service.
pub async fn weight(client: &LedgerClient, block: Block, index: u8, quorum: u8) -> Amount {
    let table = Arc::new(client.table(network(), SERVICE, block).await.unwrap());
    table
        .find(&operator(index))
        .and_then(|index| table.operator(index))
        .map(|entry| Amount(entry.stake(quorum)))
        .unwrap_or_default()
}

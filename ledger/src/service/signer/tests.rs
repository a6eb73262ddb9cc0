#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::bls::SecretKey;
use ashlar_crypto::identity::NetworkKey;
use ashlar_restaking::log::Entry;

use super::*;
use crate::LedgerService;
use crate::devnet::{
    Devnet, DevnetOperator, DevnetRoles, DevnetSpec, SERVICE, devnet_genesis, devnet_params,
};

const DAY_MS: u64 = 86_400_000;
const BEGIN_MS: u64 = 1_700_000_000_000;

fn key() -> AccountKey {
    AccountKey::from_bytes(&[71; 32]).unwrap()
}

fn devnet() -> Devnet {
    let bls = SecretKey::from_ikm(&[1; 32]);
    let network = NetworkKey::from_seed([1; 32]).public();
    devnet_genesis(&DevnetSpec {
        network: "signer".into(),
        block: Block(0),
        params: devnet_params(1, 60),
        roles: DevnetRoles::all(Account([7; 20])),
        head_key: Account(key().address()),
        salt: B256::ZERO,
        dispersers: Vec::new(),
        payers: Vec::new(),
        operators: vec![DevnetOperator {
            account: Account([8; 20]),
            staker: Account([9; 20]),
            bls,
            network_key: network,
            address: "127.0.0.1:7400".into(),
            stakes: vec![1],
        }],
    })
    .unwrap()
}

/// A ledger in block 1, and what signs for it.
struct World {
    config: LedgerConfig,
    devnet: Devnet,
    store: Option<RwLock<Store>>,
    signer: Option<Signer>,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let devnet = devnet();
        let mut config = LedgerConfig::default();
        config.paths.data = folder.path().join("data");
        config.paths.signed = folder.path().join("signed");
        SigningFloor::create(&config.paths.signed, devnet.genesis.hash(), Block(0)).unwrap();
        LedgerService::found(&config.paths.data, &devnet.genesis, &devnet.transactions).unwrap();
        let mut world = Self {
            config,
            devnet,
            store: None,
            signer: None,
            _folder: folder,
        };
        world.open();
        world
    }

    /// As after a crash: what was not written is forgotten.
    fn open(&mut self) {
        (self.store, self.signer) = (None, None);
        let genesis = &self.devnet.genesis;
        let (store, _) = Store::open(&self.config.paths.data, genesis).unwrap();
        let keys = HeadKeys::new([key()]);
        let signer = Signer::open(&self.config, keys, genesis.hash(), store.state());
        self.signer = Some(signer.unwrap());
        self.store = Some(RwLock::new(store));
    }

    fn store(&self) -> &RwLock<Store> {
        self.store.as_ref().unwrap()
    }

    /// Blocks go by.
    fn blocks(&self, count: u64) {
        let mut store = self.store().write().unwrap();
        let block = store.state().meta().block;
        let entries = (1..=count).map(|later| Entry::Block(block + later));
        for result in store.apply_all(entries).unwrap() {
            result.unwrap();
        }
    }

    /// Signs at a moment, both clocks in seconds since the begin.
    fn sign(&mut self, wall: u64, monotonic: u64) -> Result<Option<ClockFault>, SignFault> {
        let reading = Reading {
            wall_ms: BEGIN_MS + wall * 1000,
            monotonic: Duration::from_secs(monotonic),
            head_ms: None,
        };
        let store = self.store.as_ref().unwrap();
        self.signer.as_mut().unwrap().sign(store, reading)
    }

    fn heads(&self) -> SignedHeads {
        self.signer.as_ref().unwrap().heads()
    }

    /// The newest head's block, and its time in seconds since the begin.
    fn newest(&self) -> (u64, u64) {
        let heads = self.heads();
        let block = heads.newest(SERVICE).unwrap();
        let signed = heads.get(SERVICE, block).unwrap().unwrap();
        (block.0, (signed.head.time_ms - BEGIN_MS) / 1000)
    }
}

#[test]
fn every_block_that_is_over_is_signed_once() {
    let mut world = World::new();
    assert_eq!(world.heads().newest(SERVICE), None);
    world.sign(0, 0).unwrap();
    assert_eq!(world.newest(), (0, 0));
    // Nothing new.
    world.sign(1, 1).unwrap();
    assert_eq!(world.newest(), (0, 0));
    world.blocks(3);
    world.sign(2, 2).unwrap();
    assert_eq!(world.newest(), (3, 2));
    let heads = world.heads();
    let first = heads.get(SERVICE, Block(1)).unwrap().unwrap();
    let domain = domain(&Network::ledger(&world.devnet.genesis.hash().0), SERVICE);
    first.verify(&domain, &Account(key().address())).unwrap();
    // The block that is being made has none.
    assert_eq!(heads.get(SERVICE, Block(4)).unwrap(), None);
    world.open();
    world.sign(3, 0).unwrap();
    assert_eq!(world.newest(), (3, 2));
    assert_eq!(world.heads().get(SERVICE, Block(1)).unwrap(), Some(first));
}

/// The right to sign was given up, and then there was a crash: those blocks stay without a head.
#[test]
fn a_crash_before_the_heads_are_written_costs_them() {
    let mut world = World::new();
    world.sign(0, 0).unwrap();
    world.blocks(2);
    let mut high =
        SigningFloor::open(&world.config.paths.signed, world.devnet.genesis.hash()).unwrap();
    high.raise(Block(3)).unwrap();
    drop(high);
    world.open();
    world.sign(5, 0).unwrap();
    assert_eq!(world.newest(), (0, 0));
    world.blocks(1);
    world.sign(6, 1).unwrap();
    assert_eq!(world.newest(), (3, 6));
    for block in [1, 2].map(Block) {
        assert_eq!(world.heads().get(SERVICE, block).unwrap(), None);
    }
}

#[test]
fn a_ledger_behind_its_keys_signs_nothing() {
    let mut world = World::new();
    let mut high =
        SigningFloor::open(&world.config.paths.signed, world.devnet.genesis.hash()).unwrap();
    high.raise(Block(5)).unwrap();
    drop(high);
    world.open();
    for block in 1..5 {
        let fault = world.sign(block, block).unwrap_err();
        assert_eq!(
            fault,
            SignFault::Restored {
                next: Block(5),
                block: Block(block)
            }
        );
        assert_eq!(fault.code(), "heads.restored");
        world.blocks(1);
    }
    world.sign(5, 5).unwrap();
    assert_eq!(world.heads().newest(SERVICE), None);
    world.blocks(1);
    world.sign(6, 6).unwrap();
    assert_eq!(world.newest(), (5, 6));
}

#[test]
fn only_so_many_blocks_are_made_up_for() {
    let mut world = World::new();
    world.blocks(CATCH_UP + 10);
    world.sign(0, 0).unwrap();
    let heads = world.heads();
    let block = Block(CATCH_UP + 11);
    assert_eq!(heads.newest(SERVICE), Some(block.saturating_sub(1)));
    assert_eq!(
        heads
            .get(SERVICE, block.saturating_sub(CATCH_UP + 1))
            .unwrap(),
        None
    );
    assert!(
        heads
            .get(SERVICE, block.saturating_sub(CATCH_UP))
            .unwrap()
            .is_some()
    );
}

#[test]
fn a_clock_that_jumps_ahead_does_not_move_the_heads() {
    let mut world = World::new();
    world.sign(0, 0).unwrap();
    world.blocks(1);
    let twenty_days = 20 * DAY_MS / 1000;
    let fault = world.sign(twenty_days, 10).unwrap().unwrap();
    assert_eq!(fault.code(), "clock.disagrees");
    assert_eq!(world.newest(), (1, 10));
    // Not at a start either.
    world.blocks(1);
    world.open();
    let fault = world.sign(twenty_days, 0).unwrap().unwrap();
    assert_eq!(fault.code(), "clock.disagrees");
    assert_eq!(world.newest(), (2, 10));
    // It is set right again.
    world.blocks(1);
    assert_eq!(world.sign(40, 20).unwrap(), None);
    assert_eq!(world.newest(), (3, 30));
}

#[test]
fn a_stop_of_an_hour_is_credited_and_a_longer_one_accepted_by_a_person() {
    let mut world = World::new();
    world.sign(0, 0).unwrap();
    world.blocks(1);
    world.open();
    assert_eq!(world.sign(3600, 0).unwrap(), None);
    assert_eq!(world.newest(), (1, 3600));
    world.blocks(1);
    world.open();
    let fault = world.sign(3600 + 3601, 0).unwrap().unwrap();
    assert_eq!(fault.code(), "clock.disagrees");
    assert_eq!(world.newest(), (2, 3600));

    accept_clock(&world.config.paths.data, BEGIN_MS + 7201 * 1000).unwrap();
    world.blocks(1);
    world.open();
    assert_eq!(world.sign(7300, 0).unwrap(), None);
    assert_eq!(world.newest(), (3, 7300));
    // An old acceptance changes nothing.
    accept_clock(&world.config.paths.data, BEGIN_MS).unwrap();
    world.blocks(1);
    world.open();
    assert_eq!(world.sign(7310, 0).unwrap(), None);
    assert_eq!(world.newest(), (4, 7310));
    // What is no time is not passed over.
    std::fs::write(accepted_path(&world.config.paths.data.join(HEADS)), "soon").unwrap();
    (world.store, world.signer) = (None, None);
    let (store, _) = Store::open(&world.config.paths.data, &world.devnet.genesis).unwrap();
    let keys = HeadKeys::new([key()]);
    let genesis = world.devnet.genesis.hash();
    let error = Signer::open(&world.config, keys, genesis, store.state()).unwrap_err();
    assert_eq!(error.code(), "heads.io");
}

#[test]
fn a_clock_that_falls_behind_stops_the_heads() {
    let mut world = World::new();
    world.sign(3600, 0).unwrap();
    world.blocks(1);
    let fault = world.sign(0, 1).unwrap_err();
    assert_eq!(fault.code(), "clock.behind");
    assert_eq!(world.newest(), (0, 3600));
    world.open();
    assert_eq!(world.sign(0, 0).unwrap_err().code(), "clock.behind");
    // A little is nothing: heads never go back in time.
    world.sign(3590, 1).unwrap();
    assert_eq!(world.newest(), (1, 3600));
}

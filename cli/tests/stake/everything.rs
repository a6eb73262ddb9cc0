//! `ashlar stake tx` and `show` against a service at work: every kind of transaction is sent and applied, everything is shown, what
//! is refused says why, and the log of all of it replays to the same root.

mod pay;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use alloy_primitives::B256;
use ashlar_crypto::account::AccountKey;
use ashlar_crypto::bls::SecretKey;
use ashlar_crypto::keystore::KeyKind;
use ashlar_ledger::HeadKeys;
use ashlar_ledger::LedgerClient;
use ashlar_ledger::service::signing_floor::SigningFloor;
use ashlar_ledger::service::{LedgerConfig, LedgerService, RunningLedger};
use ashlar_ledger::store::Store;
use ashlar_proto::head::{Head, HeadKeySuccession};
use ashlar_proto::{
    Account, BatchHeader, Block, Network, OperatorId, Sequence, TableRoot, operator_id,
};
use ashlar_restaking::distribution::Distribution;
use ashlar_restaking::evidence::{DoubleSigning, Fault, SignedBatch};
use ashlar_restaking::{Action, Amount, Genesis, Params};
use serde_json::{Value, json};

use ashlar_testing::custody;

use crate::{Failure, keystores, run};

const DEADLINE: Duration = Duration::from_secs(60);
const VETO: u64 = 80;

/// Delays that pass while somebody waits, and a veto window that a busy machine does not miss.
fn params() -> Params {
    let mut params = Params::current().faster(1_000_000);
    params.timing.open_to_challenges = 200;
    params.timing.response = 200;
    params.timing.veto = VETO;
    params.execution_window = 100_000;
    params.root_delay = 20;
    params.withdrawal_delay = params.timing.total();
    params.deallocation_delay = params.timing.total();
    params
}

fn key(seed: u8) -> AccountKey {
    AccountKey::from_bytes(&[seed; 32]).unwrap()
}

fn account(seed: u8) -> Account {
    Account(key(seed).address())
}

fn bls(seed: u8) -> SecretKey {
    SecretKey::from_ikm(&[seed; 32])
}

fn operator(seed: u8) -> OperatorId {
    operator_id(&bls(seed).public_key().to_bytes())
}

const ADMIN: u8 = 1;
const OTTO: u8 = 2;
const OLGA: u8 = 3;
const RITA: u8 = 4;
const ALICE: u8 = 5;
const BOB: u8 = 6;
const HEADS: u8 = 7;

struct World {
    folder: tempfile::TempDir,
    genesis: Genesis,
    config: LedgerConfig,
    runtime: tokio::runtime::Runtime,
    service: Option<RunningLedger>,
    url: String,
    /// Records with events that the ledger told before it was stopped: it keeps events in memory.
    told: usize,
    sent: BTreeSet<String>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("password"), keystores::PASSWORD).unwrap();
        for seed in [ADMIN, OTTO, OLGA, RITA, ALICE, BOB] {
            keystores::write(&file(&format!("{seed}.json")), KeyKind::Account, seed);
            keystores::write(
                &file(&format!("network-{seed}.json")),
                KeyKind::Network,
                seed,
            );
            keystores::write(&file(&format!("bls-{seed}.json")), KeyKind::Bls, seed);
        }
        let genesis = Genesis {
            network: "everything".into(),
            salt: B256::repeat_byte(1),
            head_key: account(HEADS),
            block: Block(1),
            admin: account(ADMIN),
            reward_updater: account(ADMIN),
            params: params(),
        };
        std::fs::write(file("genesis.json"), serde_json::to_vec(&genesis).unwrap()).unwrap();
        std::fs::write(file("params.json"), serde_json::to_vec(&params()).unwrap()).unwrap();
        let mut config = LedgerConfig::default();
        config.start_at(folder.path());
        config.blocks.interval_ms = 25;
        config.access.open = true;
        config.evidence.slasher = account(ADMIN);
        SigningFloor::create(&config.paths.signed, genesis.hash(), Block(0)).unwrap();
        let mut world = Self {
            url: String::new(),
            folder,
            genesis,
            config,
            runtime: tokio::runtime::Runtime::new().unwrap(),
            service: None,
            told: 0,
            sent: BTreeSet::new(),
        };
        world.start();
        world
    }

    fn start(&mut self) {
        let keys = HeadKeys::new([key(HEADS)]);
        let address = "127.0.0.1:0".parse().unwrap();
        let starting = LedgerService::start(self.config.clone(), keys, address);
        let service = self.runtime.block_on(starting).unwrap();
        self.url = service.url();
        self.service = Some(service);
    }

    fn stop(&mut self) {
        self.told += self.show(&["events"])["items"].as_array().unwrap().len();
        let service = self.service.take().unwrap();
        self.runtime.block_on(service.shutdown());
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn run(&self, line: &[&str]) -> Result<String, Failure> {
        let mut words = vec!["stake", "--ledger", &self.url];
        words.extend(line);
        run(self.folder.path(), &words)
    }

    /// Sends a kind with its options, separated by spaces, and gives the receipt's events.
    fn try_tx(&self, seed: u8, text: &str) -> Result<Vec<Value>, Failure> {
        let (key, password) = (self.file(&format!("{seed}.json")), self.file("password"));
        let mut line = vec!["tx", "--json", "--key", &key, "--password-file", &password];
        line.extend(text.split_whitespace());
        let receipt: Value = serde_json::from_str(&self.run(&line)?).unwrap();
        assert!(receipt["record"].as_u64().unwrap() > 0);
        Ok(receipt["events"].as_array().unwrap().clone())
    }

    fn tx(&mut self, seed: u8, text: &str) -> Vec<Value> {
        let events = self
            .try_tx(seed, text)
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        let kind = text.split_whitespace().next().unwrap();
        self.sent.insert(kind.replace('-', "_"));
        events
    }

    /// A field of the event of this type.
    fn number(events: &[Value], event: &str, field: &str) -> u64 {
        let found = events.iter().find(|value| value["type"] == event);
        found.unwrap_or_else(|| panic!("no {event} in {events:?}"))[field]
            .as_u64()
            .unwrap()
    }

    fn show(&self, line: &[&str]) -> Value {
        let mut words = vec!["show", "--json"];
        words.extend(line);
        let text = self
            .run(&words)
            .unwrap_or_else(|error| panic!("{line:?}: {error}"));
        // The same for people.
        let mut words = vec!["show"];
        words.extend(line);
        assert!(!self.run(&words).unwrap().trim().is_empty(), "{line:?}");
        serde_json::from_str(&text).unwrap()
    }

    fn block(&self) -> u64 {
        self.show(&["head"])["block"].as_u64().unwrap()
    }

    /// The ledger makes most of the blocks while it is stopped: all at once.
    fn wait_until(&mut self, block: Block) {
        if block.0 > self.block() + 10 {
            self.stop();
            let (mut store, _) = Store::open(&self.config.paths.data, &self.genesis).unwrap();
            store.advance(Block(block.0 - 2)).unwrap();
            drop(store);
            self.start();
        }
        let begin = Instant::now();
        while self.block() < block.0 {
            assert!(begin.elapsed() < DEADLINE, "the ledger makes no blocks");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait(&mut self, blocks: u64) {
        self.wait_until(Block(self.block() + blocks));
    }
}

fn market(world: &mut World) {
    let (admin, me) = (ADMIN, account(ADMIN));
    let params = world.file("params.json");
    world.tx(admin, &format!("set-params --params {params}"));
    world.tx(admin, &format!("set-reward-updater --account {me}"));
    for (name, kind, asset) in [("ETH", "native_eth", "00"), ("stETH", "lst", "e1")] {
        let asset = format!("0x{}", asset.repeat(20));
        world.tx(
            admin,
            &format!("add-strategy --name {name} --kind {kind} --asset {asset} --oracle {me}"),
        );
    }
    let service = format!(
        "register-service --name da --conditions all --slasher {me} --ejector {me} --disperser-token {me} --disperser-bond 1eth"
    );
    let custody = format!(
        "--custody-token {me} --custody-bond 0.01eth --custody-slash 10% --custody-open 100 --custody-open-per-operator 10"
    );
    world.tx(admin, &format!("{service} {custody}"));
    world.tx(
        admin,
        &format!("{service} --resolver {me} --veto-window {VETO} --slash-cap 50%"),
    );
    for service in 1..=2 {
        world.tx(
            admin,
            &format!(
                "add-quorum --service {service} --quorum 0 --multiplier 1=1 --multiplier 2=1 --ejection 100% --ejection-cooldown 1"
            ),
        );
    }
    world.tx(
        admin,
        "set-multipliers --service 1 --quorum 0 --multiplier 1=1 --multiplier 2=1.05",
    );
    world.tx(admin, &format!("set-slasher --service 1 --slasher {me}"));
    let from = world.block() + 1000;
    world.tx(
        admin,
        &format!("activate-version --service 1 --version 2 --from {from}"),
    );
    for seed in [OTTO, OLGA, RITA] {
        let (bls, network) = (
            world.file(&format!("bls-{seed}.json")),
            world.file(&format!("network-{seed}.json")),
        );
        let password = world.file("password");
        world.tx(
            seed,
            &format!(
                "register-operator --bls-key {bls} --bls-password-file {password} --network-key {network} --address 10.0.0.{seed}:7400"
            ),
        );
    }
    world.tx(RITA, "retire-operator");
    let (bls, password) = (
        world.file(&format!("bls-{OTTO}.json")),
        world.file("password"),
    );
    world.tx(
        OTTO,
        &format!(
            "update-operator --bls-key {bls} --bls-password-file {password} --address 10.1.1.1:7400"
        ),
    );
    world.tx(OTTO, "set-allocation-delay --blocks 0");
    world.tx(OTTO, "set-fee-split --service 1 --split 5%");
}

/// Bob runs two dispersers: one leaves, one is slashed.
fn disperse(world: &mut World) {
    let password = world.file("password");
    for seed in [ALICE, BOB] {
        let network = world.file(&format!("network-{seed}.json"));
        world.tx(
            BOB,
            &format!(
                "register-disperser --service 1 --network-key {network} --network-password-file {password} --bond 1eth"
            ),
        );
    }
    world.tx(
        BOB,
        "top-up-disperser --service 1 --disperser 1 --amount 2eth",
    );
    let service = world.show(&["service", "1"]);
    assert_eq!(service["dispersers"][1]["bond"], "3000000000000000000");
    let hash = format!("0x{}", "22".repeat(32));
    world.tx(
        ADMIN,
        &format!("slash-disperser --service 1 --disperser 1 --evidence-hash {hash} --reason test"),
    );
    let error = world
        .try_tx(BOB, "exit-disperser --service 1 --disperser 1")
        .unwrap_err();
    assert_eq!(error.code, "disperser.slashed");
}

/// The source signs a head that is not the ledger's, and hands its key on.
fn heads(world: &mut World) {
    let head = world.show(&["head"]);
    let block = head["table_block"].as_u64().unwrap();
    let genesis: Genesis =
        serde_json::from_slice(&std::fs::read(world.file("genesis.json")).unwrap()).unwrap();
    let false_head = Head {
        domain: genesis.id().domain(1),
        block: Block(block),
        time_ms: 1_700_000_000_000,
        table_root: TableRoot([3; 32]),
    };
    let signed = false_head.sign(&key(HEADS));
    world.tx(
        ALICE,
        &format!(
            "submit-head --service 1 --block {block} --time-ms {} --table-root {} --head-signature {}",
            signed.head.time_ms, signed.head.table_root, signed.signature
        ),
    );
    let succession = HeadKeySuccession::sign(
        &key(HEADS),
        genesis.id(),
        account(HEADS + 1),
        Block(block + 1000),
    );
    world.tx(
        ALICE,
        &format!(
            "rotate-head-key --successor {} --from-block {} --head-signature {}",
            succession.successor, succession.from_block, succession.signature
        ),
    );
}

/// A wallet that holds Alice's key signs a document, and somebody else sends it.
fn by_wallet(world: &World) {
    let line = "donate --strategy 2 --amount 1eth";
    let sender = account(ALICE).to_string();
    let run = |more: &[&str]| {
        let mut words = vec!["tx"];
        words.extend(line.split(' '));
        words.extend(["--sender", &sender]);
        words.extend(more);
        world.run(&words)
    };
    let document: Value = serde_json::from_str(&run(&["--typed-data"]).unwrap()).unwrap();
    assert_eq!(document["primaryType"], "Donate");
    assert_eq!(document["domain"]["name"], "Ashlar");
    let nonce = document["message"]["nonce"].as_str().unwrap();
    let genesis: Genesis =
        serde_json::from_slice(&std::fs::read(world.file("genesis.json")).unwrap()).unwrap();
    let donate = Action::Donate {
        strategy: 2,
        amount: Amount::ether(1),
    };
    let hash = donate.signing_hash(genesis.id(), nonce.parse().unwrap());
    let signature = key(ALICE).sign_prehash(&hash).to_string();
    run(&["--signature", &signature, "--nonce", nonce]).unwrap();
    let error = run(&["--signature", &signature, "--nonce", "1000000"]).unwrap_err();
    assert_eq!(error.code, "transaction.sender");
}

fn stake(world: &mut World) {
    world.tx(OTTO, "deposit --strategy 2 --amount 100eth");
    world.tx(OLGA, "deposit --strategy 2 --amount 100eth");
    world.tx(ALICE, "deposit --strategy 2 --amount 50eth");
    world.tx(BOB, "deposit --strategy 2 --amount 7eth");
    world.tx(ALICE, "add-validator --strategy 1 --validator 7");
    for staker in [ALICE, BOB] {
        world.tx(staker, &format!("delegate --operator {}", operator(OTTO)));
    }
    world.tx(ADMIN, "rebase --strategy 2 --balance 270eth");
    world.tx(BOB, "donate --strategy 2 --amount 1eth");
    world.tx(
        ADMIN,
        &format!(
            "beacon-balance --strategy 1 --staker {} --balance 31.5eth",
            account(ALICE)
        ),
    );
    for (operator, service, part) in [(OTTO, 1, 40), (OTTO, 2, 20), (OLGA, 1, 50)] {
        world.tx(
            operator,
            &format!("allocate --service {service} --quorum 0 --strategy 2 --magnitude {part}%"),
        );
        world.tx(operator, &format!("opt-in --service {service} --quorum 0"));
    }
}

/// Otto and Olga signed for a blob; Otto is asked for an element of it, and somebody with the payload answers for him.
fn challenge(world: &mut World) {
    let otto = operator(OTTO);
    world.wait(2);
    let table = world.runtime.block_on(async {
        let client = LedgerClient::parse(&world.url).unwrap();
        let head = client.head().await.unwrap();
        let network = Network::ledger(&head.genesis.0);
        client.table(network, 1, head.table_block).await.unwrap()
    });
    let blob = custody::blob(1);
    let certificate = custody::certificate(&table, &blob.header, &[bls(OTTO), bls(OLGA)]).unwrap();
    let [file, payload, answer] =
        ["blob.cert", "payload.bin", "answer.bin"].map(|name| world.file(name));
    std::fs::write(&file, certificate.to_bytes()).unwrap();
    std::fs::write(&payload, &blob.payload).unwrap();
    assert_eq!(world.show(&["challenges"])["items"], json!([]));
    let ask =
        format!("open-challenge --service 1 --operator {otto} --certificate {file} --bond 0.02eth");
    let events = world.tx(BOB, &ask);
    let id = World::number(&events, "challenge_opened", "challenge").to_string();
    let list = world.show(&["challenges", "--operator", &otto.to_string()]);
    let one = world.show(&["challenge", &id]);
    assert_eq!(list["items"][0]["element"], one["challenge"]["element"]);
    let make = |payload: &str, more: &[&str]| {
        let mut line = vec![
            "evidence",
            "answer",
            "--challenge",
            &id,
            "--payload",
            payload,
        ];
        line.extend(["--out", answer.as_str()]);
        line.extend(more);
        world.run(&line)
    };
    let error = make(&file, &[]).unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.exit),
        ("evidence.other_payload", 3)
    );
    make(&payload, &["--slice"]).unwrap();
    assert!(std::fs::metadata(&answer).unwrap().len() > 4096);
    make(&payload, &[]).unwrap();
    assert!(std::fs::metadata(&answer).unwrap().len() < 1024);
    let events = world.tx(
        ALICE,
        &format!("answer-challenge --challenge {id} --answer {answer}"),
    );
    assert_eq!(events[0]["account"], json!(account(OTTO)));
    let error = world.run(&["show", "challenge", &id]).unwrap_err();
    assert_eq!(error.exit, 4, "{error}");
}

fn slash(world: &mut World) {
    let otto = operator(OTTO);
    world.tx(
        ADMIN,
        &format!("slash --service 1 --quorum 0 --operator {otto} --part 2=50% --reason test"),
    );
    let hash = format!("0x{}", "22".repeat(32));
    world.tx(
        ADMIN,
        &format!(
            "slash-by-evidence --service 1 --quorum 0 --operator {otto} --part 2=10% --fault-kind double-signing --evidence-hash {hash} --reason test"
        ),
    );
    let ask = format!("slash --service 2 --quorum 0 --operator {otto} --part 2=50% --reason test");
    let request = |events: &[Value]| World::number(events, "slash_requested", "request");
    let first = request(&world.tx(ADMIN, &ask));
    assert_eq!(world.show(&["slash-requests"])["items"][0]["id"], first);
    world.tx(ADMIN, &format!("veto-slash --request {first}"));
    let events = world.tx(ADMIN, &ask);
    let error = world
        .try_tx(
            ADMIN,
            &format!("execute-slash --request {}", request(&events)),
        )
        .unwrap_err();
    assert_eq!((error.code.as_str(), error.exit), ("slash.early", 3));
    world.wait_until(Block(
        World::number(&events, "slash_requested", "veto_until") + 1,
    ));
    world.tx(
        ADMIN,
        &format!("execute-slash --request {}", request(&events)),
    );
}

/// Vault 1, its stake on the way back, and a reward root that waits.
fn vault(world: &mut World) -> u64 {
    let (otto, me) = (operator(OTTO), account(ADMIN));
    world.tx(
        ADMIN,
        &format!(
            "create-vault --name ashETH --strategy 2 --seed 1eth --fee-recipient {me} --to {otto}=100%"
        ),
    );
    world.tx(ADMIN, &format!("set-profile --vault 1 --to {otto}=100%"));
    world.tx(ALICE, "vault-deposit --vault 1 --amount 2eth");
    world.tx(
        ALICE,
        &format!(
            "vault-transfer --vault 1 --to {} --shares 0.1eth",
            account(BOB)
        ),
    );
    world.tx(ADMIN, "vault-stake --vault 1");
    world.tx(ALICE, "vault-request-withdrawal --vault 1 --amount 0.2eth");
    let error = world.try_tx(BOB, "vault-finalize --vault 1").unwrap_err();
    assert_eq!(error.code, "vault.buffer");
    let events = world.tx(
        ADMIN,
        &format!("vault-unstake --vault 1 --operator {otto} --shares 0.5eth"),
    );
    let (source, token) = (
        format!("0x{}", "77".repeat(32)),
        format!("0x{}", "e5".repeat(20)),
    );
    world.tx(
        ADMIN,
        &format!(
            "vault-source --vault 1 --source {source} --kind points --token {token} --amount 500eth"
        ),
    );
    World::number(&events, "withdrawal_queued", "withdrawal")
}

fn leave(world: &mut World) -> (u64, u64) {
    let queued = |events: &[Value]| World::number(events, "withdrawal_queued", "withdrawal");
    let tokens = queued(&world.tx(ALICE, "queue-withdrawal --strategy 2 --shares 10eth"));
    let moved = queued(&world.tx(ALICE, &format!("redelegate --operator {}", operator(OLGA))));
    world.tx(BOB, "undelegate");
    world.tx(OTTO, "opt-out --service 2 --quorum 0");
    world.tx(
        ADMIN,
        &format!("eject --service 1 --quorum 0 --operator {}", operator(OLGA)),
    );
    let error = world
        .try_tx(ALICE, &format!("complete-withdrawal --withdrawal {tokens}"))
        .unwrap_err();
    assert_eq!((error.code.as_str(), error.exit), ("withdrawal.early", 3));
    assert!(error.next.is_some());
    (tokens, moved)
}

fn rewards(world: &mut World) -> Distribution {
    let token = Account([0xe5; 20]);
    world.tx(
        ADMIN,
        &format!("pay-reward --service 1 --token {token} --amount 100eth --kind bounty"),
    );
    let mut all = Distribution::default();
    all.add(account(ALICE), token, Amount::ether(60)).unwrap();
    all.add(account(BOB), token, Amount::ether(40)).unwrap();
    world.tx(ADMIN, &format!("submit-root --root {}", all.root()));
    world.tx(ADMIN, &format!("submit-root --root 0x{}", "99".repeat(32)));
    world.tx(ADMIN, "disable-root --root 2");
    all
}

fn show_everything(world: &World) {
    let (alice, otto, token) = (
        account(ALICE).to_string(),
        operator(OTTO).to_string(),
        Account([0xe5; 20]).to_string(),
    );
    assert_eq!(world.show(&["head"])["network"], "everything");
    assert_eq!(world.show(&["params"])["params"], json!(params()));
    assert_eq!(world.show(&["strategies"])["items"][1]["name"], "stETH");
    let operators = world.show(&["operators"]);
    assert_eq!(operators["items"].as_array().unwrap().len(), 3);
    let one = world.show(&["operator", &otto]);
    assert_eq!(one["operator"]["address"], "10.1.1.1:7400");
    let staker = world.show(&["staker", &alice]);
    assert_eq!(staker["staker"]["pod"]["factor"], "984375000000000000");
    assert_eq!(staker["withdrawals"].as_array().unwrap().len(), 3);
    let withdrawals = world.show(&["withdrawals", &alice]);
    assert_eq!(withdrawals["items"], staker["withdrawals"]);
    let first = &withdrawals["items"][0];
    assert_eq!(
        &world.show(&["withdrawal", &first["id"].to_string()]),
        first
    );
    assert_eq!(world.show(&["health"])["status"], "ready");
    assert_eq!(world.show(&["services"])["items"][0]["name"], "da");
    let service = world.show(&["service", "1"]);
    assert_eq!(service["dispersers"][0]["id"], 0);
    let quorums = world.show(&["quorums"]);
    assert_eq!(quorums["items"].as_array().unwrap().len(), 2);
    let quorums = world.show(&["quorums", "--service", "1"]);
    assert_eq!(quorums["items"][0]["service"], 1);
    let members = world.show(&["members", "1", "0"]);
    assert_eq!(members["items"].as_array().unwrap().len(), 2);
    world.show(&["slash-requests"]);
    assert_eq!(world.show(&["vaults"])["items"][0]["name"], "ashETH");
    let vault = world.show(&["vault", "1"]);
    assert_eq!(vault["requests"][0]["asked"], "200000000000000000");
    assert_eq!(vault["pots"][0]["kind"], "points");
    let holder = world.show(&["vault", "1", "--holder", &account(BOB).to_string()]);
    assert_eq!(holder["shares"], "100000000000000000");
    let roots = world.show(&["rewards"]);
    assert_eq!(roots["items"][1]["disabled"], true);
    assert_eq!(roots, world.show(&["rewards", "roots"]));
    let fund = world.show(&["rewards", "fund", &token]);
    assert_eq!(fund["paid_in"], "100000000000000000000");
    world.show(&["rewards", "claimed", &alice, &token]);
    let shares = world.show(&["rewards", "shares", "1", "0", "3eth"]);
    assert!(!shares["items"].as_array().unwrap().is_empty());
    let table = world.show(&["table", "--service", "1"]);
    let block = table["table"]["block"].as_u64().unwrap().to_string();
    let witness = world.show(&["table", "--block", &block, "--witness", &otto]);
    assert_eq!(witness["root"], table["root"]);
    assert_eq!(witness["weights"][0][0], 0);
    // As the service gives it, too.
    let client = LedgerClient::parse(&world.url).unwrap();
    let path = format!("v1/services/1/tables/{block}/operators/{otto}");
    let answer: Value = world.runtime.block_on(client.query(&path)).unwrap();
    for (field, value) in answer.as_object().unwrap() {
        assert_eq!(&witness[field], value, "{field}");
    }
    let events = world.show(&["events"]);
    assert!(world.told + events["items"].as_array().unwrap().len() > 40);
    let since = events["items"][0]["record"].as_u64().unwrap();
    let later = world.show(&["events", "--since", &since.to_string()]);
    assert_eq!(later["items"][0], events["items"][1]);
    assert!(later["items"][0].is_object());
    let one = world.show(&["account", &alice]);
    assert!(one["nonce"].as_u64().unwrap() > 0 && one["allowed"] == true);
    world.show(&["root"]);

    let error = world
        .run(&["show", "operator", &operator(BOB).to_string()])
        .unwrap_err();
    assert_eq!(error.exit, 4, "{error}");
    let rita = operator(RITA).to_string();
    let error = world
        .run(&["show", "table", "--witness", &rita])
        .unwrap_err();
    assert_eq!((error.code.as_str(), error.exit), ("table.no_operator", 4));
    let error = world
        .run(&["show", "table", "--block", "99999999"])
        .unwrap_err();
    assert_eq!(error.code, "table.future");
}

fn risk(world: &World) {
    let error = world.run(&["risk"]).unwrap_err();
    assert!(error.next.as_ref().unwrap().contains("--profit"), "{error}");
    let error = world.run(&["risk", "--profit", "9=1eth"]).unwrap_err();
    assert!(error.next.as_ref().unwrap().contains("1, 2"), "{error}");
    let svg = world.file("risk.svg");
    let text = world
        .run(&["risk", "--profit", "1=1eth", "--svg", &svg, "--json"])
        .unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["certified"], true, "{report}");
    assert!(std::fs::read_to_string(svg).unwrap().starts_with("<svg"));
    let text = world.run(&["risk", "--profit", "1=100000eth"]).unwrap();
    assert!(text.contains("not certified"), "{text}");
    assert!(text.contains("an attack pays"), "{text}");
}

fn evidence(world: &World) {
    let genesis: alloy_primitives::B256 = world.show(&["head"])["genesis"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let domain = Network::ledger(&genesis.0).domain(1);
    let batch = |byte: u8| {
        let header = BatchHeader {
            domain,
            table_root: TableRoot([0x77; 32]),
            version: 1,
            batch_root: [byte; 32],
            blobs: 1,
            rows: 1,
            reference_block: Block(world.show(&["head"])["table_block"].as_u64().unwrap()),
            disperser_id: 0,
            sequence: Sequence(9),
            created_at_ms: 1,
        };
        SignedBatch::sign(&bls(OTTO), header)
    };
    let fault = Fault::DoubleSigning(DoubleSigning::new(operator(OTTO), batch(1), batch(2)));
    let (binary, hex) = (world.file("fault.bin"), world.file("fault.hex"));
    std::fs::write(&binary, fault.to_bytes()).unwrap();
    let digits: String = fault
        .to_bytes()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    std::fs::write(&hex, format!("0x{digits}\n")).unwrap();
    let shown = |file: &str| -> Value {
        let text = world.run(&["evidence", "show", file, "--json"]).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    assert_eq!(shown(&binary), shown(&hex));
    assert_eq!(shown(&binary)["accused"]["operator"], json!(operator(OTTO)));
    // Both batches are the same: shows something, proves nothing.
    let same = batch(1);
    let nothing = Fault::DoubleSigning(DoubleSigning::new(operator(OTTO), same.clone(), same));
    let bad = world.file("bad.bin");
    std::fs::write(&bad, nothing.to_bytes()).unwrap();
    let error = world.run(&["evidence", "submit", &bad]).unwrap_err();
    assert_eq!(error.exit, 3, "{error}");
    let text = world.run(&["evidence", "submit", &binary]).unwrap();
    assert!(text.contains("slashed"), "{text}");
    let error = world.run(&["evidence", "submit", &hex]).unwrap_err();
    assert_eq!((error.code.as_str(), error.exit), ("slash.same_fault", 3));
    let error = world
        .run(&["evidence", "show", &world.file("password")])
        .unwrap_err();
    assert_eq!(error.exit, 2, "{error}");
}

#[test]
fn everything_can_be_sent_and_shown() {
    let mut world = World::new();
    market(&mut world);
    stake(&mut world);
    disperse(&mut world);
    pay::pay(&mut world);
    challenge(&mut world);
    slash(&mut world);
    let collect = vault(&mut world);
    let all = rewards(&mut world);
    risk(&world);
    world.wait(2);
    heads(&mut world);
    by_wallet(&world);
    evidence(&world);
    let (tokens, moved) = leave(&mut world);
    show_everything(&world);

    let claim = world.file("claim.json");
    let one = all.claim(1, account(ALICE)).unwrap();
    std::fs::write(&claim, serde_json::to_vec(&one).unwrap()).unwrap();
    world.wait(params().withdrawal_delay + 1);
    world.tx(ALICE, &format!("complete-withdrawal --withdrawal {tokens}"));
    world.tx(
        ALICE,
        &format!("complete-withdrawal --withdrawal {moved} --as-shares"),
    );
    world.tx(BOB, &format!("claim-reward --claim {claim}"));
    let error = world
        .try_tx(BOB, &format!("claim-reward --claim {claim}"))
        .unwrap_err();
    assert_eq!(error.code, "reward.not_rising");
    world.tx(
        BOB,
        &format!("vault-collect --vault 1 --withdrawal {collect}"),
    );
    world.tx(BOB, "vault-report --vault 1");
    world.tx(BOB, "vault-finalize --vault 1 --count 5");
    world.tx(ALICE, "vault-claim-withdrawal --vault 1 --request 1");
    world.tx(BOB, "exit-disperser --service 1 --disperser 0");
    let token = Account([0xe5; 20]);
    world.tx(
        ADMIN,
        &format!("vault-distribute --vault 1 --token {token}"),
    );

    let every: BTreeSet<String> = Action::NAMES
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    let missing: Vec<_> = every.difference(&world.sent).collect();
    assert!(missing.is_empty(), "never sent: {missing:?}");
    assert_eq!(every.len(), 63);

    // Signed for another network, or by nobody: refused, and nothing changes.
    let error = world
        .try_tx(
            BOB,
            &format!(
                "--network 0x{} donate --strategy 2 --amount 1eth",
                "55".repeat(32)
            ),
        )
        .unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.exit),
        ("transaction.network", 3)
    );

    // Whoever has the log comes to the same root, at any record that the service named.
    let root = world.show(&["root"]);
    let data = world.file("data");
    let (records, link, hash) = (
        root["records"].as_u64().unwrap().to_string(),
        root["link"].as_str().unwrap(),
        root["root"].as_str().unwrap(),
    );
    let verify = |hash: &str| {
        let line = [
            "verify-log",
            &data,
            "--records",
            &records,
            "--link",
            link,
            "--root",
            hash,
            "--json",
        ];
        world.run(&line)
    };
    let replayed: Value = serde_json::from_str(&verify(hash).unwrap()).unwrap();
    assert_eq!(replayed["network"], "everything");
    let error = verify(&format!("0x{}", "00".repeat(32))).unwrap_err();
    assert_eq!((error.code.as_str(), error.exit), ("log.mismatch", 3));

    world.stop();
    damaged_log(&world, Path::new(&data));
}

/// One bit of the log changed: the replay says where.
fn damaged_log(world: &World, data: &Path) {
    let path = data.join("ledger.log");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = world
        .run(&["verify-log", &data.display().to_string()])
        .unwrap_err();
    assert_eq!(error.exit, 3, "{error}");
    let error = world
        .run(&["verify-log", &world.file("nowhere")])
        .unwrap_err();
    assert_eq!((error.code.as_str(), error.exit), ("log.none", 4));
}

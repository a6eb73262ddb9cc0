//! A put that goes on from one disperser to another, where both want to be paid: what the account hears before, and what was paid to whom
//! in the end, is what the rollup guide says under "Several dispersers".

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ashlar_client::{
    Certified, Dispersers, DispersersConfig, Failover, Held, Pays, PutOptions, Submitted,
    UnverifiedCertificate,
};
use ashlar_crypto::account::AccountKey;
use ashlar_disperser::{Disperser, DisperserConfig};
use ashlar_ledger::LedgerClient;
use ashlar_ledger::devnet::SERVICE;
use ashlar_proto::registration::DisperserStatement;
use ashlar_proto::{Account, Stake};
use ashlar_restaking::{Action, Amount, Transaction};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::paid::{FIRST, Payer, ROW, fund, payees, runtime};
use crate::support::{Devnet, Outcome, PATIENCE, evil, get_json, http_get, wait_for};

/// The number of the disperser that registers second, and what it asks more.
const SECOND: u32 = 1;
const DEARER: u64 = 3;

struct Stage {
    devnet: Devnet,
    runtime: tokio::runtime::Runtime,
    ledger: LedgerClient,
    payer: Payer,
    first: String,
    second: String,
    second_pid: u32,
    said: Arc<Mutex<Vec<Failover>>>,
}

impl Stage {
    /// A devnet with two dispersers that want to be paid, and an account that has a deposit with each.
    fn new() -> Self {
        let mut devnet = Devnet::start_with(&["--operators", "3", "--accounts", "paid"]);
        let runtime = runtime();
        let ledger = LedgerClient::parse(&devnet.file.ledger.as_ref().unwrap().url).unwrap();
        let payer = Payer::of_devnet(&devnet);
        ledger.add_key(AccountKey::from_bytes(payer.key.secret()).unwrap());

        let from = devnet.file.disperser.dir.clone();
        let dir = devnet.folder().join("second");
        std::fs::create_dir(&dir).unwrap();
        let password = dir.join("password");
        std::fs::copy(from.join("password"), &password).unwrap();
        let mut new = devnet.command(["keys", "new", "network", "--json", "--out"]);
        new.arg(dir.join("network.json")).arg("--password-file");
        Outcome::of(new.arg(&password)).success();
        let file = dir.join("disperser.toml");
        std::fs::copy(from.join("disperser.toml"), &file).unwrap();
        let mut config = DisperserConfig::load(&file).unwrap();
        let address = format!("{}:19011", ashlar_testing::loopback());
        config.listen.http = address.parse().unwrap();
        config.accounts.row_day_price *= DEARER;
        std::fs::write(&file, config.to_toml().unwrap()).unwrap();

        let owner = || AccountKey::from_bytes(&[8; 32]).unwrap();
        let account = Account(owner().address());
        ledger.add_key(owner());
        let network = evil::network_key(&dir);
        let domain = runtime.block_on(ledger.network()).unwrap();
        let statement = DisperserStatement {
            domain: domain.domain(u64::from(SERVICE)),
            account,
            network_key: network.public(),
        };
        let transaction = Transaction {
            sender: account,
            action: Action::RegisterDisperser {
                service: SERVICE,
                network_key: network.public(),
                statement: statement.sign(&network),
                bond: Amount::ether(10),
            },
        };
        runtime.block_on(ledger.submit(&transaction)).unwrap();
        fund(&payer, SECOND, &ledger, &runtime);
        let second = format!("http://{address}");
        let command = ["disperser", "run"];
        let second_pid = devnet.restart(&command, &dir, "disperser.toml", true, &second);
        wait_for("the table with the second disperser", || {
            get_json(&format!("{second}/v1/prices"))["disperser_id"] == SECOND
        });
        Self {
            first: devnet.file.disperser_url.clone(),
            devnet,
            runtime,
            ledger,
            payer,
            second,
            second_pid,
            said: Arc::default(),
        }
    }

    /// Both, the first one first; nobody's health is known.
    fn pool(&self) -> Dispersers {
        let said = Arc::clone(&self.said);
        Dispersers::new(DispersersConfig {
            urls: vec![self.first.clone(), self.second.clone()],
            account: Some(self.payer.paying()),
            request_timeout: Duration::from_secs(2),
            failover_after: Duration::from_secs(1),
            before_failover: Some(Arc::new(move |failover: &Failover| {
                said.lock().unwrap().push(failover.clone());
                true
            })),
            ..DispersersConfig::default()
        })
        .unwrap()
    }

    fn put(&self, pool: &Dispersers, payload: &str) -> Submitted {
        let put = pool.put(payload.to_owned(), PutOptions::default());
        self.runtime.block_on(put).unwrap()
    }

    fn wait(&self, pool: &Dispersers, put: &Submitted) -> Certified<UnverifiedCertificate> {
        let certified = pool.wait_unverified(put, PATIENCE, |_| {});
        self.runtime.block_on(certified).unwrap()
    }

    /// What was said before the only failover since the last look.
    fn said(&self, submitted: &Submitted, held: Held, already: u64) {
        let said = std::mem::take(&mut *self.said.lock().unwrap());
        let [failover] = said.as_slice() else {
            panic!("one failover is expected: {said:?}")
        };
        assert_eq!(failover.id, submitted.id, "it is the same blob");
        let way = (
            failover.from.trim_end_matches('/'),
            failover.to.trim_end_matches('/'),
        );
        assert_eq!(way, (self.first.as_str(), self.second.as_str()));
        let pays = Pays {
            price: rows(DEARER),
            already: rows(already),
        };
        assert_eq!((failover.held, failover.pays), (held, Some(pays)));
    }

    fn owed(&self, disperser: &str) -> Stake {
        self.payer.at(disperser).owed
    }

    fn signal_first(&self, signal: Signal) {
        let pid = i32::try_from(self.devnet.file.disperser.pid).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }
}

/// What so many rows cost at the first disperser.
fn rows(count: u64) -> Stake {
    Stake::from(count * ROW)
}

/// By which disperser a certificate is.
fn by(certified: &Certified<UnverifiedCertificate>) -> u32 {
    certified.certificate.unverified().batch_header.disperser_id
}

#[test]
fn a_put_that_goes_on_is_paid_where_it_was_taken() {
    let mut stage = Stage::new();

    // The first one answers 202, and dies: both have charged. It is the same blob.
    let pool = stage.pool();
    let both = stage.put(&pool, "taken by both");
    stage.devnet.kill_disperser();
    let certified = stage.wait(&pool, &both);
    stage.said(&both, Held::Yes, 1);
    assert_eq!(by(&certified), SECOND);
    assert_eq!(stage.owed(&stage.second), rows(DEARER));

    // The first one is not reached: the second one alone charges.
    let pool = stage.pool();
    let one = stage.put(&pool, "taken by the second");
    stage.said(&one, Held::No, 0);
    stage.wait(&pool, &one);
    assert_eq!(stage.owed(&stage.second), rows(2 * DEARER));

    // The first one comes back, and keeps its promise: it certifies what it was paid for, and nothing else.
    stage.devnet.restart_disperser();
    let key = both_certified(&stage, &both);
    assert_eq!(key, certified.status.key.unwrap().to_string());
    assert_eq!(stage.owed(&stage.first), rows(1));
    let unknown = http_get(&format!("{}/v1/blobs/{}/status", stage.first, one.id));
    assert_eq!(unknown.unwrap().0, 404);

    // It gets the blob, and no answer comes: it may have charged, and then it certifies as well.
    let pool = stage.pool();
    let before = stage.put(&pool, "taken by the first");
    assert_eq!(by(&stage.wait(&pool, &before)), FIRST);
    stage.signal_first(Signal::SIGSTOP);
    let perhaps = stage.put(&pool, "perhaps taken by both");
    stage.said(&perhaps, Held::Maybe, 1);
    stage.wait(&pool, &perhaps);
    stage.signal_first(Signal::SIGCONT);
    // It reads what lies in its sockets, if it still wants to.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(stage.owed(&stage.second), rows(3 * DEARER));

    // Each is paid what it has charged, out of its own deposit.
    stage.devnet.stop(stage.devnet.file.disperser.pid);
    stage.devnet.stop(stage.second_pid);
    let config = stage.devnet.file.disperser.dir.join("disperser.toml");
    let store = Disperser::open_stopped(&DisperserConfig::load(&config).unwrap()).unwrap();
    let arrived = store.blob(&perhaps.id).unwrap().is_some();
    let owed = rows(2 + u64::from(arrived));
    let paid = payees(&stage.ledger, &stage.runtime);
    for (disperser, owed) in [(FIRST, owed), (SECOND, rows(3 * DEARER))] {
        let account = stage.payer.account();
        let detail = stage.ledger.payment_account(SERVICE, disperser, account);
        let record = stage.runtime.block_on(detail).unwrap().record;
        let payee = paid[&disperser].payee;
        let sum = payee.to_disperser.plus(payee.to_operators).unwrap();
        assert_eq!(
            (record.redeemed.0, sum.0),
            (owed, owed),
            "disperser {disperser}"
        );
    }
    println!(
        "paid: {owed} wei to disperser {FIRST}, {} wei to disperser {SECOND}; the blob without an answer had arrived: {arrived}",
        rows(3 * DEARER)
    );
}

/// The key of a blob, when the first disperser has certified it.
fn both_certified(stage: &Stage, blob: &Submitted) -> String {
    let url = format!("{}/v1/blobs/{}/status", stage.first, blob.id);
    let mut key = None;
    wait_for("the first disperser to certify", || {
        let status = get_json(&url);
        key = status["key"].as_str().map(str::to_owned);
        status["state"] == "certified"
    });
    key.unwrap()
}

//! What accounts pay. The disperser is killed at random moments under load of an account that pays: every blob that it accepted is charged
//! once, every other one not at all, what failed is refunded; and what the disperser says, what the account counts and what the ledger
//! paid out agree to the wei.
//!
//! The seed is printed; `ASHLAR_SEED=…` repeats a run as far as processes allow. `make test-long` kills 100 times, `make test` 5 times.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ashlar_client::{Dispersers, DispersersConfig, PayingAccount, PutOptions, Submitted};
use ashlar_crypto::account::AccountKey;
use ashlar_crypto::{Coded, Encoding, rows_for, sha256};
use ashlar_disperser::{Disperser, DisperserConfig};
use ashlar_ledger::LedgerClient;
use ashlar_ledger::devnet::{DEPOSIT, SERVICE};
use ashlar_ledger::types::{Page, PayeeView};
use ashlar_proto::api::{AccountView, BlobState, PUT_BLOB_TYPE, Prices};
use ashlar_proto::auth::header::{
    AUTHORIZATION_HEADER, SignedAuthorization, SignedVoucher, VOUCHER_HEADER,
};
use ashlar_proto::auth::{Authorization, Voucher};
use ashlar_proto::{Account, BlobId, Stake, Submission};
use ashlar_restaking::{Action, Amount, Transaction};

use crate::support::random::{Random, payload};
use crate::support::{Devnet, PATIENCE, get_json, http_get, http_request, load, wait_for};
use crate::two_services::account_key;

/// Posts under way at a time, and what each waits before the next one.
const POSTERS: usize = 3;
const PAUSE_MS: u64 = 150;
/// Longest time between two kills.
const BETWEEN_MS: u64 = 4000;
/// One put in so many is given up by its poster before it is answered, perhaps.
const GIVEN_UP: u64 = 8;
/// What a row costs: 14 days in one quorum.
pub const ROW: u64 = 14 * 100_000_000_000;
/// The devnet's disperser.
pub const FIRST: u32 = 0;

/// A price that is above what any of these tests pays.
fn any_price() -> Stake {
    Amount::ether(DEPOSIT).0
}

/// An account, and what it posts by itself.
pub struct Payer {
    pub key: AccountKey,
}

impl Payer {
    /// The devnet's, which has a deposit.
    pub fn of_devnet(devnet: &Devnet) -> Self {
        let dir = devnet.file.account.key.parent().unwrap();
        Self {
            key: account_key(dir, "account.json"),
        }
    }

    pub fn account(&self) -> Account {
        Account(self.key.address())
    }

    /// For the SDK.
    pub fn paying(&self) -> PayingAccount {
        let key = AccountKey::from_bytes(self.key.secret()).unwrap();
        PayingAccount::new(key).max_price(any_price())
    }

    /// What a disperser says of it.
    pub fn at(&self, disperser: &str) -> AccountView {
        let url = format!("{disperser}/v1/accounts/{}", self.account());
        serde_json::from_value(get_json(&url)).unwrap()
    }

    fn submission(&self, payload: &[u8], salt: u64) -> Submission {
        Submission {
            version: ashlar_proto::DEFAULT_VERSION,
            encoding: Encoding::Packed31,
            payload_len: payload.len() as u64,
            quorums: vec![0],
            account: self.account(),
            salt,
            payload_sha256: sha256(&[payload]),
        }
    }
}

pub fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

/// A blob that was posted.
struct Post {
    id: BlobId,
    rows: u32,
    /// The disperser said that it has it.
    accepted: bool,
}

/// Posts of an account that pays, and what became of them.
struct Load {
    payer: Payer,
    pool: Dispersers,
    /// Where the account counts what it has signed.
    count: PathBuf,
    ended: AtomicBool,
    posts: Mutex<Vec<Post>>,
    /// Answers that were none, or refusals, by their code.
    refusals: Mutex<BTreeMap<String, u64>>,
}

impl Load {
    fn new(devnet: &Devnet) -> Self {
        let payer = Payer::of_devnet(devnet);
        let count = devnet.folder().join("vouchers.json");
        let account = payer.paying().counted_in(&count).unwrap();
        let config = DispersersConfig {
            account: Some(account),
            ..DispersersConfig::new(&devnet.file.disperser_url)
        };
        Self {
            payer,
            pool: Dispersers::new(config).unwrap(),
            count,
            ended: AtomicBool::new(false),
            posts: Mutex::default(),
            refusals: Mutex::default(),
        }
    }

    async fn run(self: Arc<Self>, mut random: Random) {
        let mut before: Option<Submitted> = None;
        while !self.ended.load(Ordering::SeqCst) {
            let (seed, len) = (random.next(), 1 + random.below(150_000) as usize);
            let put = self.put(seed, len);
            let submitted = match random.below(GIVEN_UP) {
                0 => {
                    let patience = Duration::from_millis(random.below(300));
                    tokio::time::timeout(patience, put).await.ok()
                }
                _ => Some(put.await),
            };
            self.note(seed, len, submitted.is_some());
            // Two of each poster are open at most: more would only be encoded anew after each start.
            if let Some(before) = before.take() {
                let certified = self.pool.wait_unverified(&before, PATIENCE, |_| {});
                certified.await.unwrap();
            }
            before = submitted;
            tokio::time::sleep(Duration::from_millis(random.below(2 * PAUSE_MS))).await;
        }
    }

    fn note(&self, seed: u64, len: usize, accepted: bool) {
        let submission = self.payer.submission(&payload(seed, len), seed);
        let post = Post {
            id: submission.id(),
            rows: rows_for(Encoding::Packed31, len as u64).unwrap(),
            accepted,
        };
        self.posts.lock().unwrap().push(post);
    }

    /// Until it is accepted.
    async fn put(&self, seed: u64, len: usize) -> Submitted {
        let until = Instant::now() + PATIENCE;
        let options = PutOptions {
            salt: Some(seed),
            ..PutOptions::default()
        };
        loop {
            let error = match self.pool.put(payload(seed, len), options.clone()).await {
                Ok(submitted) => return submitted,
                Err(error) => error,
            };
            let code = error
                .problem()
                .map_or(error.code(), |problem| &problem.code);
            // What another put, of which nothing is known yet, has used up is signed for again.
            let again = error.retryable() || code == "voucher.too_low";
            assert!(again && Instant::now() < until, "{error}");
            *self
                .refusals
                .lock()
                .unwrap()
                .entry(code.to_owned())
                .or_default() += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The highest sum that the account signed, by its own count.
    fn signed(&self) -> Stake {
        let lines: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&self.count).unwrap()).unwrap();
        let [line] = lines.as_array().unwrap().as_slice() else {
            panic!("one disperser, one line: {lines}")
        };
        line["signed"].as_str().unwrap().parse().unwrap()
    }
}

/// Posts blobs that fail: it claims commitments of something else.
struct Liar {
    payer: Payer,
    base: String,
    prices: Prices,
    lies: Vec<BlobId>,
}

impl Liar {
    /// With a deposit.
    fn new(devnet: &Devnet, ledger: &LedgerClient, runtime: &tokio::runtime::Runtime) -> Self {
        let key = || AccountKey::from_bytes(&[7; 32]).unwrap();
        ledger.add_key(key());
        let payer = Payer { key: key() };
        fund(&payer, FIRST, ledger, runtime);
        let base = devnet.file.disperser_url.clone();
        let prices = get_json(&format!("{base}/v1/prices"));
        Self {
            payer,
            prices: serde_json::from_value(prices).unwrap(),
            base,
            lies: Vec::new(),
        }
    }

    fn lie(&mut self, salt: u64) {
        let (account, price) = (self.payer.account(), Stake::from(ROW));
        let mut put = load::blob(salt, 1000);
        put.payload = load::blob(salt + 1, 1000).payload;
        (put.account, put.salt) = (account, salt);
        let submission = self.payer.submission(&put.payload, salt).id();
        let Prices {
            domain,
            disperser_id,
            ..
        } = self.prices;
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let authorization = Authorization {
            disperser_id,
            submission,
            deadline: now + 600,
        };
        let authorization = SignedAuthorization::sign(domain, authorization, &self.payer.key);
        let voucher = Voucher {
            account,
            disperser_id,
            cumulative: self.payer.at(&self.base).owed + price,
        };
        let voucher = SignedVoucher::sign(domain, voucher, &self.payer.key);
        let headers = [
            ("content-type", PUT_BLOB_TYPE),
            (AUTHORIZATION_HEADER, &authorization.to_string()),
            (VOUCHER_HEADER, &voucher.to_string()),
        ];
        let url = format!("{}/v1/blobs", self.base);
        let (status, _, body) = http_request("POST", &url, &headers, &put.encode()).unwrap();
        match status {
            202 => self.lies.push(submission),
            // One lie is enough for a while.
            429 => {}
            _ => panic!("{status}: {}", String::from_utf8_lossy(&body)),
        }
    }
}

/// Deposits.
pub fn fund(
    payer: &Payer,
    disperser: u32,
    ledger: &LedgerClient,
    runtime: &tokio::runtime::Runtime,
) {
    let transaction = Transaction {
        sender: payer.account(),
        action: Action::FundAccount {
            service: SERVICE,
            disperser,
            amount: Amount::ether(DEPOSIT),
        },
    };
    runtime.block_on(ledger.submit(&transaction)).unwrap();
}

/// Posts and pays one row at a time until all that an account has signed is owed, too: vouchers of posts that never arrived, or failed,
/// are above that. Gives how many there were.
async fn use_up(payer: &Payer, pool: &Dispersers, base: &str, signed: impl Fn() -> Stake) -> u32 {
    for count in 0.. {
        let view = payer.at(base);
        let highest = view
            .voucher
            .map_or(Stake::ZERO, |voucher| voucher.cumulative);
        if view.owed == highest.max(signed()) {
            return count;
        }
        let put = pool.put_raw(
            format!("the last {count}").into_bytes(),
            PutOptions::default(),
        );
        let submitted = put.await.unwrap();
        let certified = pool.wait_unverified(&submitted, PATIENCE, |_| {});
        certified.await.unwrap();
    }
    unreachable!("there are not so many vouchers")
}

fn state(base: &str, id: &BlobId) -> Option<String> {
    let url = format!("{base}/v1/blobs/{id}/status");
    let (status, body) = http_get(&url)?;
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    let state = answer["state"].as_str().map(str::to_owned);
    assert!(state.is_some() || status == 404, "{status}: {body}");
    Some(state.unwrap_or_else(|| "unknown".to_owned()))
}

fn kills(test: &str, times: u64) {
    let started = Instant::now();
    let mut random = Random::from_env(test);
    let mut devnet = Devnet::start_with(&["--operators", "4", "--accounts", "paid"]);
    let runtime = runtime();
    let ledger = LedgerClient::parse(&devnet.file.ledger.as_ref().unwrap().url).unwrap();
    let base = devnet.file.disperser_url.clone();
    // Vouchers are handed in again and again while it is killed.
    let config = devnet.file.disperser.dir.join("disperser.toml");
    let mut changed = DisperserConfig::load(&config).unwrap();
    changed.accounts.redeem_interval_secs = 1;
    std::fs::write(&config, changed.to_toml().unwrap()).unwrap();
    devnet.kill_disperser();
    devnet.restart_disperser();

    let load = Arc::new(Load::new(&devnet));
    let mut liar = Liar::new(&devnet, &ledger, &runtime);
    let posters: Vec<_> = (0..POSTERS)
        .map(|_| runtime.spawn(Arc::clone(&load).run(Random::new(random.next()))))
        .collect();
    for _ in 0..times {
        let pause = random.below(BETWEEN_MS);
        std::thread::sleep(Duration::from_millis(pause / 2));
        if random.coin() {
            liar.lie(random.next());
        }
        std::thread::sleep(Duration::from_millis(pause / 2));
        devnet.kill_disperser();
        devnet.restart_disperser();
    }
    load.ended.store(true, Ordering::SeqCst);
    for poster in posters {
        runtime.block_on(poster).unwrap();
    }

    // What was accepted is certified; of what was given up, what has arrived.
    let (mut rows, mut given_up, mut arrived) = (0, 0, 0);
    let posts = std::mem::take(&mut *load.posts.lock().unwrap());
    for post in &posts {
        wait_for("a blob to be certified", || {
            match state(&base, &post.id).as_deref() {
                Some("certified") => true,
                Some("unknown") if !post.accepted => true,
                Some("failed" | "unknown") => panic!("{} was accepted, and is lost", post.id),
                _ => false,
            }
        });
        let certified = state(&base, &post.id).as_deref() == Some("certified");
        given_up += u32::from(!post.accepted);
        arrived += u32::from(!post.accepted && certified);
        rows += if certified { u64::from(post.rows) } else { 0 };
    }
    for lie in &liar.lies {
        wait_for("a false claim to fail", || {
            state(&base, lie).as_deref() == Some("failed")
        });
    }
    let more = runtime.block_on(use_up(&load.payer, &load.pool, &base, || load.signed()));
    let config_of_liar = DispersersConfig {
        account: Some(liar.payer.paying()),
        ..DispersersConfig::new(&base)
    };
    let pool = Dispersers::new(config_of_liar).unwrap();
    let of_liar = runtime.block_on(use_up(&liar.payer, &pool, &base, || Stake::ZERO));

    // The prices of the certified blobs are what is owed, what was signed, and what the ledger has paid.
    let views = [load.payer.at(&base), liar.payer.at(&base)];
    devnet.stop(devnet.file.disperser.pid);
    let owed = [rows + u64::from(more), u64::from(of_liar)].map(|rows| Stake::from(rows * ROW));
    assert_eq!(load.signed(), owed[0], "the account's count");
    let lies = Stake::from(liar.lies.len() as u64 * ROW);
    assert_eq!(
        views.each_ref().map(|view| view.refunded),
        [Stake::ZERO, lies]
    );
    let mut redeemed = Stake::ZERO;
    for (view, owed) in views.iter().zip(owed) {
        assert_eq!((view.owed, view.charged - view.refunded), (owed, owed));
        let voucher = view.voucher.map(|voucher| voucher.cumulative);
        assert_eq!(voucher.unwrap_or_default(), owed);
        let detail = ledger.payment_account(SERVICE, FIRST, view.account);
        let record = runtime.block_on(detail).unwrap().record;
        assert_eq!((record.redeemed.0, record.reserved), (owed, Amount::ZERO));
        redeemed += owed;
    }
    let payee = payees(&ledger, &runtime)[&FIRST].payee;
    let paid = payee.to_disperser.plus(payee.to_operators).unwrap();
    assert_eq!(paid.0, redeemed);
    let deposits = Amount::ether(2 * DEPOSIT).0;
    assert_eq!(payee.held.0, deposits - redeemed);

    // Blob by blob, in the disperser's database.
    let store = Disperser::open_stopped(&DisperserConfig::load(&config).unwrap()).unwrap();
    let charge = |id: &BlobId| {
        let record = store.blob(id).unwrap()?;
        Some((record.state, record.charge.unwrap().amount))
    };
    let mut charged = Stake::ZERO;
    for post in &posts {
        let price = Stake::from(u64::from(post.rows) * ROW);
        match charge(&post.id) {
            Some(found) => assert_eq!(found, (BlobState::Certified, price)),
            None => assert!(!post.accepted),
        }
        charged += charge(&post.id).map_or(Stake::ZERO, |(_, price)| price);
    }
    assert_eq!(charged + Stake::from(u64::from(more) * ROW), owed[0]);
    for lie in &liar.lies {
        assert_eq!(charge(lie), Some((BlobState::Failed, Stake::from(ROW))));
    }
    println!(
        "{test}: {times} kills, {} blobs accepted and charged once, {given_up} given up, of which {arrived} had arrived and were charged once and the others not at all; {} failed and refunded; {redeemed} wei = charged − refunded = vouchers = redeemed; not accepted at once: {:?}; {:.0?}",
        posts.len() as u32 - given_up + more,
        liar.lies.len(),
        load.refusals.lock().unwrap(),
        started.elapsed()
    );
    assert!(posts.len() as u64 >= times, "hardly anything was posted");
}

/// Who was paid, by the disperser's number.
pub fn payees(
    ledger: &LedgerClient,
    runtime: &tokio::runtime::Runtime,
) -> BTreeMap<u32, PayeeView> {
    let path = format!("v1/state/services/{SERVICE}/payees");
    let page: Page<PayeeView> = runtime.block_on(ledger.query(&path)).unwrap();
    let items = page.items.into_iter();
    items.map(|payee| (payee.disperser, payee)).collect()
}

#[test]
fn a_disperser_that_is_paid_is_killed_five_times() {
    kills("five_paid_kills", 5);
}

#[test]
#[ignore = "minutes; run by `make test-long`"]
fn a_disperser_that_is_paid_is_killed_a_hundred_times() {
    kills("hundred_paid_kills", 100);
}

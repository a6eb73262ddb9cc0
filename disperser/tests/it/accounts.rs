//! Accounts over HTTP, with the real database: every refusal, one charge for one blob, refunds, and vouchers that become money.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::account::AccountKey;
use ashlar_crypto::{Encoding, sha256};
use ashlar_disperser::kv::{Kv, RocksKv, RocksOptions};
use ashlar_disperser::{Disperser, DisperserConfig, Sources};
use ashlar_proto::api::{AccountMode, AccountView, BlobState, BlobStatus, Prices};
use ashlar_proto::auth::header::{
    AUTHORIZATION_HEADER, SignedAuthorization, SignedVoucher, VOUCHER_HEADER,
};
use ashlar_proto::auth::{AccountStatement, Authorization, KeyGrant, Voucher};
use ashlar_proto::wire::PutBlob;
use ashlar_proto::{Account, Block, Domain, Stake, Submission};
use ashlar_stake::Reservation;
use ashlar_testing::payments::MemoryPayments;

use crate::support::{DOMAIN, Running, Temper, World, config, problem, until};

/// Of a blob of one row: ten for each of 14 days.
const PRICE: u64 = 140;
/// The disperser's number.
const ID: u32 = 5;

struct Bank {
    world: World,
    payments: Arc<MemoryPayments>,
    folder: tempfile::TempDir,
}

impl Bank {
    fn new() -> Self {
        Self {
            world: World::new(&[(Temper::Honest, 1)]),
            payments: Arc::new(MemoryPayments::new(DOMAIN)),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    async fn start(&self, settings: DisperserConfig) -> Running {
        let sources = Sources {
            stake: self.world.stake.clone(),
            payment: Some(self.payments.clone()),
        };
        let (key, wall) = (
            ashlar_crypto::NetworkKey::from_seed(**self.world.key.seed()),
            self.world.wall_clock(),
        );
        let path = self.folder.path().to_owned();
        let open = move || {
            let kv = RocksKv::open(Path::new(&path), RocksOptions::default())?;
            Ok(Arc::new(kv) as Arc<dyn Kv>)
        };
        let started = Disperser::start_with(settings, key, sources, wall, open).await;
        Running::new(started.unwrap())
    }

    fn paid(&self) -> Stake {
        self.payments.paid(ID, me())
    }
}

fn paid() -> DisperserConfig {
    let mut settings = config();
    settings.accounts.mode = AccountMode::Paid;
    settings.accounts.row_day_price = 10;
    settings.accounts.ahead_rows = 100;
    settings
}

fn key(n: u8) -> AccountKey {
    AccountKey::from_bytes(&[n; 32]).unwrap()
}

fn me() -> Account {
    Account(key(1).address())
}

fn submission(payload: &[u8], salt: u64) -> Submission {
    Submission {
        version: 1,
        encoding: Encoding::Packed31,
        payload_len: payload.len() as u64,
        quorums: vec![0],
        account: me(),
        salt,
        payload_sha256: sha256(&[payload]),
    }
}

fn now() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    since.as_secs()
}

fn authorization(salt: u64) -> Authorization {
    Authorization {
        disperser_id: ID,
        submission: submission(&payload(salt), salt).id(),
        deadline: now() + 60,
    }
}

fn payload(salt: u64) -> Vec<u8> {
    format!("payload {salt}").into_bytes()
}

fn voucher(sum: u64) -> SignedVoucher {
    let voucher = Voucher {
        account: me(),
        disperser_id: ID,
        cumulative: Stake::from(sum),
    };
    SignedVoucher::sign(DOMAIN, voucher, &key(1))
}

/// Posts the payload of this number with whatever is signed.
async fn send(
    running: &Running,
    salt: u64,
    signed: Option<String>,
    voucher: Option<SignedVoucher>,
) -> reqwest::Response {
    let url = running.url(&format!("/v1/blobs?account={}&salt={salt}", me()));
    let mut request = running.http.post(url).body(payload(salt));
    if let Some(signed) = signed {
        request = request.header(AUTHORIZATION_HEADER, signed);
    }
    if let Some(voucher) = voucher {
        request = request.header(VOUCHER_HEADER, voucher.to_string());
    }
    request.send().await.unwrap()
}

/// Posts with a good authorisation.
async fn put(running: &Running, salt: u64, sum: Option<u64>) -> reqwest::Response {
    let signed = SignedAuthorization::sign(DOMAIN, authorization(salt), &key(1));
    send(running, salt, Some(signed.to_string()), sum.map(voucher)).await
}

async fn accepted(answer: reqwest::Response) -> BlobStatus {
    let status = answer.status().as_u16();
    assert!(
        matches!(status, 200 | 202),
        "{}",
        answer.text().await.unwrap()
    );
    answer.json().await.unwrap()
}

async fn refused(answer: reqwest::Response, status: u16, code: &str) {
    let told = problem(answer).await;
    assert_eq!(
        (told.status, told.code.as_str()),
        (status, code),
        "{told:?}"
    );
}

async fn account(running: &Running) -> AccountView {
    let answer = running.get(&format!("/v1/accounts/{}", me())).await;
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_its_code_and_charges_nothing() {
    let bank = Bank::new();
    let running = bank.start(paid()).await;
    let good = authorization(1);
    let sign = |authorization, key: &AccountKey, domain: Domain| {
        Some(SignedAuthorization::sign(domain, authorization, key).to_string())
    };
    let with = |change: fn(&mut Authorization)| {
        let mut changed = good;
        change(&mut changed);
        sign(changed, &key(1), DOMAIN)
    };
    let mine = sign(good, &key(1), DOMAIN);
    let not_theirs = {
        let foreign = SignedAuthorization::sign(Domain([1; 32]), good, &key(1));
        Some(
            SignedAuthorization {
                domain: DOMAIN,
                ..foreign
            }
            .to_string(),
        )
    };
    // Before the account has anything, and with an unsigned account field.
    for (signed, status, code) in [
        (None, 401, "auth.missing"),
        (Some("nonsense".to_owned()), 400, "auth.malformed"),
        (with(|of| of.deadline = 1000), 401, "auth.expired"),
        (with(|of| of.deadline += 1_000_000), 401, "auth.too_far"),
        (with(|of| of.disperser_id = 6), 403, "auth.disperser"),
        (sign(good, &key(1), Domain([1; 32])), 403, "auth.domain"),
        (not_theirs, 403, "auth.signer"),
        (mine.clone(), 402, "account.funds"),
    ] {
        refused(
            send(&running, 1, signed, Some(voucher(PRICE))).await,
            status,
            code,
        )
        .await;
    }

    bank.payments.fund(ID, me(), 1000);
    bank.payments.fund(ID, Account(key(2).address()), 1000);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for (signed, sum, status, code) in [
        // Another's submission: neither in its own name nor in mine.
        (sign(good, &key(2), DOMAIN), None, 403, "auth.account"),
        (
            sign(authorization(2), &key(1), DOMAIN),
            None,
            403,
            "auth.submission",
        ),
        (mine.clone(), None, 402, "voucher.too_low"),
        (mine.clone(), Some(PRICE - 1), 402, "voucher.too_low"),
        (mine.clone(), Some(1001), 402, "account.funds"),
        (mine.clone(), Some(PRICE + 14_001), 400, "voucher.too_high"),
    ] {
        refused(
            send(&running, 1, signed, sum.map(voucher)).await,
            status,
            code,
        )
        .await;
    }
    // What is missing is said, in words and in numbers.
    let told = problem(put(&running, 1, Some(1001)).await).await;
    let numbers = (told.got.as_deref(), told.expected.as_deref());
    assert_eq!(numbers, (Some("1000"), Some("1001")));
    assert!(told.detail.contains("deposit 1 more"), "{told:?}");
    let theirs = SignedVoucher {
        cumulative: Stake::from(PRICE),
        ..voucher(PRICE + 1)
    };
    let answer = send(&running, 1, mine.clone(), Some(theirs)).await;
    refused(answer, 403, "voucher.signer").await;
    let answer = put(&running, 1, Some(1)).await;
    let told = problem(answer).await;
    let numbers = (told.got.as_deref(), told.expected.as_deref());
    assert_eq!(numbers, (Some("1"), Some("140")), "what is owed is said");

    let view = account(&running).await;
    assert_eq!((view.charged, view.voucher), (Stake::ZERO, None));
    assert!(view.days.is_empty());
    assert_eq!(running.metric("accepted_blobs_total").await, 0);
    // And with all of it right.
    accepted(send(&running, 1, mine, Some(voucher(PRICE))).await).await;
    assert_eq!(account(&running).await.charged, Stake::from(PRICE));
    assert_eq!(running.metric("charged_total").await, PRICE);
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_is_charged_once_whatever_is_repeated_and_restarted() {
    let bank = Bank::new();
    bank.payments.fund(ID, me(), 10_000);
    let running = bank.start(paid()).await;
    let answer = put(&running, 1, Some(PRICE)).await;
    assert_eq!(answer.headers()["ashlar-charged"], "140");
    assert_eq!(answer.headers()["ashlar-refunded"], "0");
    let id = accepted(answer).await.id;
    // A repetition needs no voucher, and one that is too high is none.
    accepted(put(&running, 1, None).await).await;
    accepted(put(&running, 1, Some(9999)).await).await;
    running.certified(&id).await;
    assert_eq!(accepted(put(&running, 1, None).await).await.id, id);
    // Later vouchers come first: the highest one sums all.
    for (salt, sum) in [(4, 4 * PRICE), (2, 2 * PRICE), (3, 3 * PRICE)] {
        accepted(put(&running, salt, Some(sum)).await).await;
    }
    refused(put(&running, 5, None).await, 402, "voucher.too_low").await;
    running.disperser.shutdown().await;
    assert_eq!(bank.paid(), Stake::from(4 * PRICE), "redeemed at the end");

    let running = bank.start(paid()).await;
    accepted(put(&running, 1, None).await).await;
    let view = account(&running).await;
    assert_eq!(view.owed, Stake::from(4 * PRICE));
    assert_eq!(view.voucher.unwrap().cumulative, Stake::from(4 * PRICE));
    assert_eq!(view.days.iter().map(|of| of.blobs).sum::<u64>(), 4);
    assert_eq!(view.terms.unwrap().funded, Stake::from(10_000));
    running.disperser.shutdown().await;
    let vouchers = bank.payments.redeemed();
    assert!(vouchers.is_sorted_by(|a, b| a.cumulative <= b.cumulative));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_refunded_and_the_next_voucher_asks_less() {
    let bank = Bank::new();
    bank.payments.fund(ID, me(), 10_000);
    let running = bank.start(paid()).await;
    // False commitments: the blob fails for a fault of its own.
    let lie = PutBlob {
        version: 1,
        encoding: Encoding::Packed31,
        quorums: vec![0],
        account: me(),
        salt: 7,
        commitments: vec![a_commitment()],
        payload: payload(7).into(),
    };
    let signed = SignedAuthorization::sign(DOMAIN, authorization(7), &key(1));
    let request = running
        .http
        .post(running.url("/v1/blobs"))
        .header("content-type", ashlar_proto::api::PUT_BLOB_TYPE)
        .header(AUTHORIZATION_HEADER, signed.to_string())
        .header(VOUCHER_HEADER, voucher(PRICE).to_string())
        .body(lie.encode());
    let id = accepted(request.send().await.unwrap()).await.id;
    let status = running.until(&id, |status| status.state.is_final()).await;
    assert_eq!(status.state, BlobState::Failed);
    let view = account(&running).await;
    assert_eq!(view.refunded, Stake::from(PRICE));
    assert_eq!(view.owed, Stake::ZERO);
    let sums = [
        running.metric("charged_total").await,
        running.metric("refunded_total").await,
    ];
    assert_eq!(sums, [PRICE, PRICE]);
    // What was signed for it covers the next one.
    let next = accepted(put(&running, 8, None).await).await.id;
    running.certified(&next).await;
    running.disperser.shutdown().await;
    let running = bank.start(paid()).await;
    let view = account(&running).await;
    assert_eq!(view.refunded, Stake::from(PRICE));
    assert_eq!(view.owed, Stake::from(PRICE));
    // The failed one, posted again without its lie, is charged again.
    let again = accepted(put(&running, 7, Some(2 * PRICE)).await).await;
    assert_eq!(again.id, id);
    running.certified(&id).await;
    assert_eq!(account(&running).await.owed, Stake::from(2 * PRICE));
    running.disperser.shutdown().await;
    assert_eq!(bank.paid(), Stake::from(2 * PRICE));
}

/// A point that commits to something else.
fn a_commitment() -> ashlar_crypto::CommitmentBytes {
    use ashlar_crypto::{Rows, Setup, commit_rows};
    let rows = Rows::from_payload(b"something else", Encoding::Packed31).unwrap();
    commit_rows(Setup::ethereum(), &rows)[0].to_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn vouchers_are_redeemed_when_it_is_worth_it_and_when_an_account_withdraws() {
    let bank = Bank::new();
    bank.payments.fund(ID, me(), 10_000);
    let mut settings = paid();
    settings.accounts.redeem_interval_secs = 1;
    let running = bank.start(settings.clone()).await;
    accepted(put(&running, 1, Some(PRICE)).await).await;
    until("the interval is over", async || {
        bank.paid() == Stake::from(PRICE)
    })
    .await;
    // The ledger does not answer: health says so, and nothing is lost.
    bank.payments.set_down(true);
    accepted(put(&running, 2, Some(2 * PRICE)).await).await;
    until("health complains", async || {
        running.complaints().contains(&"payment".to_owned())
    })
    .await;
    bank.payments.set_down(false);
    until("it is redeemed after all", async || {
        bank.paid() == Stake::from(2 * PRICE)
            && !running.complaints().contains(&"payment".to_owned())
    })
    .await;
    assert_eq!(running.metric("redeemed_total").await, 2 * PRICE);
    running.disperser.shutdown().await;
    // Nothing is handed in twice.
    let sums: Vec<_> = bank
        .payments
        .redeemed()
        .iter()
        .map(|of| of.cumulative)
        .collect();
    assert_eq!(sums, [Stake::from(PRICE), Stake::from(2 * PRICE)]);

    settings.accounts.redeem_interval_secs = 3600;
    let running = bank.start(settings).await;
    accepted(put(&running, 3, Some(3 * PRICE)).await).await;
    // It announces a withdrawal of nearly all.
    bank.payments.fund(ID, me(), 3 * PRICE - 1);
    until("it is redeemed before", async || {
        bank.paid() == Stake::from(3 * PRICE)
    })
    .await;
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_is_free_until_it_is_used_up() {
    let bank = Bank::new();
    bank.payments.set_block(10);
    let reservation = Reservation {
        rows_per_second: 1,
        burst_rows: 3,
        from: Block(5),
        until: Block(20),
    };
    bank.payments.reserve(ID, me(), reservation);
    let mut settings = paid();
    settings.accounts.row_day_price = 10;
    let running = bank.start(settings.clone()).await;
    let mut free = 0;
    let exceeded = loop {
        let answer = put(&running, free, None).await;
        if answer.status() == 429 {
            break answer;
        }
        accepted(answer).await;
        free += 1;
        assert!(free < 50);
    };
    assert!(free >= 3);
    let wait = exceeded.headers()["retry-after"].to_str().unwrap();
    assert_eq!(wait, "1");
    refused(exceeded, 429, "reservation.exceeded").await;
    assert_eq!(account(&running).await.charged, Stake::ZERO);
    // It is kept over a restart: no second burst.
    running.disperser.shutdown().await;
    let running = bank.start(settings).await;
    let mut again = 0;
    while put(&running, 100 + again, None).await.status() == 202 {
        again += 1;
        assert!(again < 50);
    }
    // A blob of more rows than the burst never fits.
    let large = vec![1; 5 * 127 * 1024];
    let of_large = submission(&large, 0);
    let authorization = Authorization {
        submission: of_large.id(),
        ..authorization(0)
    };
    let signed = SignedAuthorization::sign(DOMAIN, authorization, &key(1));
    let request = running
        .http
        .post(running.url(&format!("/v1/blobs?account={}&salt=0", me())))
        .header(AUTHORIZATION_HEADER, signed.to_string())
        .body(large);
    refused(request.send().await.unwrap(), 413, "reservation.too_small").await;
    // Its time is over.
    bank.payments.set_block(20);
    tokio::time::sleep(Duration::from_secs(11)).await;
    refused(put(&running, 999, None).await, 402, "account.funds").await;
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_names_who_is_served_and_another_key_may_sign() {
    let bank = Bank::new();
    let mut settings = config();
    settings.accounts.mode = AccountMode::AllowList;
    settings.accounts.allow = vec![Account([9; 20])];
    let running = bank.start(settings.clone()).await;
    refused(put(&running, 1, None).await, 403, "account.not_listed").await;
    running.disperser.shutdown().await;
    settings.accounts.allow.push(me());
    let running = bank.start(settings).await;
    accepted(put(&running, 1, None).await).await;
    let granted = |until| {
        let grant = KeyGrant {
            key: Account(key(2).address()),
            until,
        };
        let signed = SignedAuthorization {
            account: me(),
            grant: Some((grant, grant.sign(&DOMAIN, &key(1)))),
            ..SignedAuthorization::sign(DOMAIN, authorization(2), &key(2))
        };
        Some(signed.to_string())
    };
    refused(
        send(&running, 2, granted(1000), None).await,
        401,
        "auth.grant_expired",
    )
    .await;
    accepted(send(&running, 2, granted(now() + 60), None).await).await;
    let view = account(&running).await;
    assert_eq!((view.charged, view.days[0].blobs), (Stake::ZERO, 2));
    let prices: Prices = running.get("/v1/prices").await.json().await.unwrap();
    assert_eq!(
        (prices.mode, prices.disperser_id),
        (AccountMode::AllowList, ID)
    );
    assert_eq!(prices.of(1, 7, &[0]), Some(Stake::ZERO));
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_everybody_is_served_what_is_signed_has_to_be_right_all_the_same() {
    let world = World::new(&[(Temper::Honest, 1)]);
    let running = world.start(config()).await;
    accepted(put(&running, 1, None).await).await;
    let other = SignedAuthorization::sign(DOMAIN, authorization(1), &key(1));
    refused(
        send(&running, 2, Some(other.to_string()), None).await,
        403,
        "auth.submission",
    )
    .await;
    accepted(send(&running, 2, None, None).await).await;
    let prices: Prices = running.get("/v1/prices").await.json().await.unwrap();
    assert_eq!((prices.mode, prices.domain), (AccountMode::Open, DOMAIN));
    refused(running.get("/v1/accounts/0x12").await, 400, "id.malformed").await;
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_wants_to_be_paid_needs_a_ledger() {
    let world = World::new(&[(Temper::Honest, 1)]);
    let sources: Arc<dyn ashlar_stake::StakeSource> = world.stake.clone();
    let key = ashlar_crypto::NetworkKey::from_seed([1; 32]);
    let error = Disperser::start(paid(), key, sources).await.err().unwrap();
    assert_eq!(ashlar_crypto::Coded::code(&error), "disperser.nobody_pays");
}

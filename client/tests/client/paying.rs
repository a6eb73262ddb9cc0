//! An account that signs and pays: prices before signatures, vouchers that sum, answers that get lost, and a second disperser.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ashlar_client::memory::Switches;
use ashlar_client::{
    ClientError, DaClient, Dispersers, DispersersConfig, Failover, Held, PayingAccount, Pays,
    PutOptions,
};
use ashlar_crypto::Coded;
use ashlar_crypto::account::AccountKey;
use ashlar_proto::api::AccountMode;
use ashlar_proto::{Account, Domain, Stake};
use futures::future::join_all;

use crate::memory::network;
use crate::support::{Disperser, Orders, config, salted, start, start_in, world};

/// Of a small blob.
const PRICE: u64 = 7;

fn key() -> AccountKey {
    AccountKey::from_bytes(&[1; 32]).unwrap()
}

fn me() -> Account {
    Account(key().address())
}

fn payer() -> PayingAccount {
    PayingAccount::new(key()).max_price(Stake::from(PRICE))
}

fn paid() -> Orders {
    Orders {
        row_day: PRICE,
        ..Orders::default()
    }
}

fn pool(url: &str, account: PayingAccount) -> Dispersers {
    let config = DispersersConfig {
        account: Some(account),
        ..config(url)
    };
    Dispersers::new(config).unwrap()
}

fn with_salt(salt: u64) -> PutOptions {
    PutOptions {
        salt: Some(salt),
        ..PutOptions::default()
    }
}

fn charged(disperser: &Disperser) -> Stake {
    disperser.till.lock().unwrap().charged
}

fn times(count: u64) -> Stake {
    Stake::from(count * PRICE)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_price_is_asked_and_nothing_above_the_limit_is_signed() {
    let (disperser, url) = start(paid()).await;
    let pool = pool(&url, payer());
    let quotes = pool.quotes(10, &PutOptions::default()).await.unwrap();
    assert_eq!(quotes.len(), 1);
    assert_eq!(
        (quotes[0].mode, quotes[0].price),
        (AccountMode::Paid, times(1))
    );
    let submitted = pool.put(b"one".to_vec(), salted()).await.unwrap();
    assert_eq!(submitted.submission.account, me());
    assert_eq!(submitted.price, times(1));
    // The same once more is the same.
    pool.put(b"one".to_vec(), salted()).await.unwrap();
    assert_eq!(charged(&disperser), times(1));

    let large = vec![1; 200_000];
    let refused = pool.put(large, salted()).await.unwrap_err();
    assert!(matches!(refused, ClientError::PriceAboveLimit { price, .. } if price == times(2)));
    let posts = disperser.posts.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(posts, 2, "it was not even sent");
    // Without a limit nothing is paid.
    let poor = self::pool(&url, PayingAccount::new(key()));
    let refused = poor.put(b"two".to_vec(), salted()).await.unwrap_err();
    assert_eq!(refused.problem().unwrap().code, "voucher.too_low");
    let other = PutOptions {
        account: Account([3; 20]),
        ..salted()
    };
    let refused = pool.put(b"three".to_vec(), other).await.unwrap_err();
    assert_eq!(refused.code(), "client.other_account");
    assert_eq!(charged(&disperser), times(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn puts_at_the_same_time_are_each_paid_once() {
    let (disperser, url) = start(paid()).await;
    let pool = pool(&url, payer());
    let puts = (0..12).map(|salt| pool.put(b"same".to_vec(), with_salt(salt)));
    for put in join_all(puts).await {
        put.unwrap();
    }
    pool.put(b"last".to_vec(), salted()).await.unwrap();
    let till = disperser.till.lock().unwrap().clone();
    assert_eq!(till.charged, times(13));
    // Nothing was signed beyond what was owed, and what was under way beside it.
    assert!(till.voucher.unwrap().cumulative >= times(13));
    assert!(till.sums.iter().all(|sum| *sum <= (13 + 12) * PRICE));
    // A process that starts anew goes on from what the disperser shows of it, and so does another program with the account.
    let again = self::pool(&url, payer());
    again.put(b"new".to_vec(), with_salt(100)).await.unwrap();
    pool.put(b"old".to_vec(), with_salt(101)).await.unwrap();
    assert_eq!(charged(&disperser), times(15));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disperser_that_overstates_gets_nothing_and_one_of_another_service_neither() {
    let orders = Orders {
        overstates: 1,
        ..paid()
    };
    let (disperser, url) = start(orders).await;
    let refused = pool(&url, payer()).put(b"one".to_vec(), salted()).await;
    assert_eq!(refused.unwrap_err().code(), "client.account_disagrees");
    let config = DispersersConfig {
        account: Some(payer()),
        domain: Some(Domain([8; 32])),
        ..config(&url)
    };
    let elsewhere = Dispersers::new(config).unwrap();
    let refused = elsewhere.put(b"one".to_vec(), salted()).await.unwrap_err();
    assert_eq!(refused.code(), "client.other_service");
    assert!(disperser.bodies.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn before_a_second_disperser_is_paid_it_is_said_what_that_costs() {
    let world = world();
    let stuck = Orders {
        stuck: true,
        ..paid()
    };
    let (first, one) = start_in(&world, stuck).await;
    let (second, two) = start_in(&world, paid()).await;
    for allowed in [false, true] {
        let said: Arc<Mutex<Vec<Failover>>> = Arc::default();
        let heard = Arc::clone(&said);
        let mut config = config(&one);
        config.urls.push(two.clone());
        config.account = Some(payer());
        config.failover_after = Duration::from_millis(300);
        config.before_failover = Some(Arc::new(move |failover: &Failover| {
            heard.lock().unwrap().push(failover.clone());
            allowed
        }));
        let pool = Dispersers::new(config).unwrap();
        let submitted = pool.put(b"x".to_vec(), salted()).await.unwrap();
        let waited = pool.wait_unverified(&submitted, Duration::from_secs(3), |_| {});
        // The certificate is for another account than ours: this fake knows none.
        waited.await.unwrap_err();
        let said = said.lock().unwrap();
        let pays = Some(Pays {
            price: times(1),
            already: times(1),
        });
        assert_eq!((said[0].held, said[0].pays), (Held::Yes, pays));
        assert_eq!(charged(&first), times(1));
        assert_eq!(charged(&second), times(u64::from(allowed)));
    }
}

#[tokio::test]
async fn the_twin_charges_as_a_disperser_does() {
    let (network, client) = network();
    network.set(|switches: &mut Switches| switches.row_price = Stake::from(PRICE));
    let refused = client.put("unsigned".into(), salted()).await.unwrap_err();
    assert_eq!(refused.problem().unwrap().code, "auth.missing");
    let refused = client
        .clone()
        .paying(PayingAccount::new(key()).max_price(Stake::from(1)))
        .put("dear".into(), salted())
        .await;
    assert_eq!(refused.unwrap_err().code(), "client.price_above_limit");
    let client = client.paying(payer());
    let certified = client.put_and_wait("one".into(), salted()).await.unwrap();
    let account = certified.certificate.blob_header().account;
    assert_eq!(account, me());
    client.put("one".into(), salted()).await.unwrap();
    assert_eq!(network.account(me()).owed, times(1));
    // One whose answer is lost is charged once; one that fails is refunded.
    network.set(|switches| switches.lose_answers = 1);
    client.put("two".into(), salted()).await.unwrap_err();
    client.put("two".into(), salted()).await.unwrap();
    assert_eq!(network.account(me()).owed, times(2));
    network.set(|switches| switches.fail_blobs = 1);
    client
        .put_and_wait("three".into(), salted())
        .await
        .unwrap_err();
    let view = network.account(me());
    assert_eq!((view.charged, view.refunded), (times(3), times(1)));
    client.put_and_wait("three".into(), salted()).await.unwrap();
    let view = network.account(me());
    assert_eq!(view.owed, times(3));
    // It was signed before the account had heard of the refund.
    assert_eq!(view.voucher.unwrap().cumulative, times(4));
}

//! A process that ends at any durable step: every blob is charged once, or not at all, and refunded if it failed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ashlar_crypto::account::AccountKey;
use ashlar_proto::api::BlobState;
use ashlar_proto::auth::Voucher;
use ashlar_proto::auth::header::SignedVoucher;
use ashlar_proto::{Account, Block, Stake};
use ashlar_stake::AccountTerms;

use super::book::Charging;
use crate::intake::OpenLimits;
use crate::kv::{Kv, MemoryKv, RocksKv, RocksOptions};
use crate::metrics::Metrics;
use crate::registry::{AcceptError, Posted, Registry};
use crate::store::{Store, StoreError};
use crate::testing::{domain, owner, posted};

const CHILD: &str = "ASHLAR_TEST_ACCOUNTS_CHILD";
const PRICE: u64 = 7;
const ACCOUNTS: u8 = 3;

fn key(n: u8) -> AccountKey {
    AccountKey::from_bytes(&[n + 1; 32]).unwrap()
}

fn open(kv: Arc<dyn Kv>) -> Result<Registry, StoreError> {
    let store = Store::open(kv, &owner().public())?;
    let limits = OpenLimits {
        blobs: 10_000,
        bytes: 1 << 30,
        memory: 1 << 20,
        retry_after_secs: 1,
    };
    Registry::open(store, limits, Arc::new(Metrics::default()))
}

/// A blob of an account, and a voucher for it that covers `ahead` blobs more.
fn paid(registry: &Registry, of: u8, salt: u64, ahead: u64) -> Result<Posted, StoreError> {
    let account = Account(key(of).address());
    let owed = registry.store().account(account)?.owed();
    let voucher = Voucher {
        account,
        disperser_id: 5,
        cumulative: owed + Stake::from(PRICE * (1 + ahead)),
    };
    let mut posted = posted(b"payload", salt);
    posted.submission.account = account;
    posted.charging = Some(Charging {
        price: Stake::from(PRICE),
        voucher: Some(SignedVoucher::sign(domain(), voucher, &key(of))),
        terms: Some(AccountTerms {
            block: Block(1),
            funded: Stake::MAX,
            redeemed: Stake::ZERO,
            notice: 1,
            reservation: None,
        }),
        ahead: Stake::from(1000 * PRICE),
    });
    Ok(posted)
}

/// Accepts blobs, repeats some, and fails some; `say` hears what is promised.
fn work(registry: &Registry, round: u64, say: &mut dyn FnMut(String)) -> Result<(), AcceptError> {
    for step in 0..12u64 {
        let of = u8::try_from(step % u64::from(ACCOUNTS)).unwrap();
        let salt = round * 100 + step;
        let posted = paid(registry, of, salt, step % 3)?;
        let (record, new) = registry.accept(posted.clone(), 1000, u64::MAX)?;
        assert!(new);
        say(format!("accepted {}", record.id));
        // The same once more costs nothing.
        assert!(!registry.accept(posted.clone(), 1001, u64::MAX)?.1);
        if step % 4 == 1 {
            let change =
                |_, record: &mut crate::record::BlobRecord| record.go(BlobState::Failed, 2);
            registry.transition(&[record.id], change, |store, blobs| {
                store.failed(blobs, false)
            })?;
            say(format!("failed {}", record.id));
            // And one that failed is charged again, if it is posted again.
            if step % 8 == 1 {
                let again = paid(registry, of, salt, 0)?;
                assert!(registry.accept(again, 1002, u64::MAX)?.1);
                say(format!("accepted {}", record.id));
            }
        }
    }
    Ok(())
}

/// The accounts are what their blobs say, and what was said holds.
fn check(registry: &Registry, kv: &dyn Kv, said: &str) {
    let mut owed = vec![Stake::ZERO; usize::from(ACCOUNTS)];
    let all = kv.scan(crate::kv::Table::Blobs, &[], 100_000).unwrap();
    for (_, bytes) in &all {
        let blob: crate::record::BlobRecord = serde_json::from_slice(bytes).unwrap();
        let of = (0..ACCOUNTS).position(|n| key(n).address() == blob.account.0);
        let charge = blob.charge.expect("it was charged");
        assert_eq!(charge.amount, Stake::from(PRICE));
        if blob.state != BlobState::Failed {
            owed[of.unwrap()] += charge.amount;
        }
    }
    for (n, owed) in (0..ACCOUNTS).zip(owed) {
        let account = Account(key(n).address());
        let record = registry.store().account(account).unwrap();
        assert_eq!(record.owed(), owed, "account {n}");
        assert!(record.owed() <= record.signed(), "credit");
        if let Some(voucher) = record.voucher {
            let verified = voucher.verify(domain(), account, 5);
            verified.expect("the voucher kept is one that was signed");
        }
    }
    // What was said to be accepted is there, failed or not.
    for line in said.lines() {
        if let Some(("accepted" | "failed", id)) = line.split_once(' ') {
            let id = id.parse().unwrap();
            let blob = registry.store().blob(&id).unwrap();
            blob.expect("a promise");
        }
    }
}

#[test]
fn between_any_two_writes_the_power_may_go() {
    let mut writes = 0;
    loop {
        let kv = MemoryKv::new();
        let mut said = String::new();
        let registry = open(Arc::new(kv.clone())).unwrap();
        kv.fail_after(Some(writes));
        let ended = work(&registry, 0, &mut |line| {
            said.push_str(&format!("{line}\n"))
        });
        kv.fail_after(None);
        kv.cut_power();
        let next = kv.next_life();
        let registry = open(Arc::new(next.clone())).unwrap();
        check(&registry, &next, &said);
        // And it goes on from there.
        work(&registry, 1, &mut |line| {
            said.push_str(&format!("{line}\n"))
        })
        .unwrap();
        check(&registry, &next, &said);
        if ended.is_ok() {
            break;
        }
        writes += 1;
    }
    assert!(writes > 12, "{writes}");
}

#[test]
fn a_write_that_fails_or_ends_in_a_panic_leaves_the_account_as_the_disk_has_it() {
    use crate::kv::{PanicAt, Table};
    let kv = MemoryKv::new();
    let registry = open(Arc::new(kv.clone())).unwrap();
    let mut said = String::new();
    work(&registry, 0, &mut |line| {
        said.push_str(&format!("{line}\n"))
    })
    .unwrap();
    let mut salt = 5000;
    for at in [PanicAt::Before, PanicAt::After] {
        kv.panic_writes(Table::Accounts, &[], at, 1);
        let posted = paid(&registry, 0, salt, 0).unwrap();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            registry.accept(posted.clone(), 1000, u64::MAX)
        }));
        assert!(panicked.is_err());
        check(&registry, &kv, &said);
        // Posted once more it is charged, or was already: once.
        registry.accept(posted, 1000, u64::MAX).unwrap();
        check(&registry, &kv, &said);
        salt += 1;
    }
    kv.fail_writes(1);
    let posted = paid(&registry, 0, salt, 0).unwrap();
    registry.accept(posted.clone(), 1000, u64::MAX).unwrap_err();
    check(&registry, &kv, &said);
    registry.accept(posted, 1000, u64::MAX).unwrap();
    check(&registry, &kv, &said);
}

#[test]
fn puts_at_the_same_time_are_all_charged() {
    let kv = MemoryKv::new();
    let registry = open(Arc::new(kv.clone())).unwrap();
    // One voucher sums all; the others come too late, in any order.
    std::thread::scope(|scope| {
        for n in 0..8u64 {
            let registry = &registry;
            scope.spawn(move || {
                for step in 0..10 {
                    let posted = paid(registry, 0, n * 10 + step, 80).unwrap();
                    registry.accept(posted, 1000, u64::MAX).unwrap();
                }
            });
        }
    });
    check(&registry, &kv, "");
    let account = registry.store().account(Account(key(0).address())).unwrap();
    assert_eq!(account.charged, Stake::from(80 * PRICE));
}

fn rocks(folder: &Path) -> Arc<RocksKv> {
    Arc::new(RocksKv::open(folder, RocksOptions::default()).unwrap())
}

/// Works until it is done or the failpoint ends it, and says on standard error what it promised.
#[test]
#[ignore = "the child of another test"]
fn child() {
    let Ok(orders) = std::env::var(CHILD) else {
        return;
    };
    let orders: Vec<&str> = orders.split('|').collect();
    let [folder, point, hit, round] = orders.as_slice() else {
        panic!("{orders:?}");
    };
    let registry = open(rocks(Path::new(folder))).unwrap();
    let left = AtomicU64::new(hit.parse().unwrap());
    fail::cfg_callback(*point, move || {
        if left.fetch_sub(1, Ordering::SeqCst) == 0 {
            std::process::abort();
        }
    })
    .unwrap();
    work(&registry, round.parse().unwrap(), &mut |line| {
        eprintln!("{line}")
    })
    .unwrap();
}

#[test]
fn a_process_that_ends_around_any_write_has_charged_every_blob_once() {
    let folder = tempfile::tempdir().unwrap();
    let (mut said, mut round, mut ended) = (String::new(), 0, 0);
    for hit in 0..17 {
        for point in ["rocks.write", "rocks.written"] {
            round += 1;
            let orders = format!("{}|{point}|{hit}|{round}", folder.path().display());
            let (aborted, text) =
                ashlar_testing::process::child("accounts::tests::child", CHILD, &orders);
            ended += u32::from(aborted);
            said.push_str(&text);
            let kv = rocks(folder.path());
            let registry = open(Arc::clone(&kv) as Arc<dyn Kv>).unwrap();
            check(&registry, kv.as_ref(), &said);
        }
    }
    assert!(ended > 25, "{ended} children ended at their point");
}

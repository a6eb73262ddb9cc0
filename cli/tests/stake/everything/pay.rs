//! Alice pays Bob's disperser, and takes the rest back when it closes.

use ashlar_proto::auth::{AccountStatement as _, Voucher};
use ashlar_proto::{Network, Stake};

use super::*;

/// Blocks of 25 ms: more than two commands take on a busy machine.
const NOTICE: u64 = 200;

/// `ashlar account …` of Alice's, as JSON.
fn of_alice(world: &World, text: &str) -> Result<Value, Failure> {
    let key = world.file(&format!("{ALICE}.json"));
    let password = world.file("password");
    let mut words = vec!["account", "--json", "--ledger", &world.url];
    words.extend(["--key", &key, "--password-file", &password]);
    words.extend(text.split_whitespace());
    let text = run(world.folder.path(), &words)?;
    Ok(serde_json::from_str(&text).unwrap())
}

/// The same, of which a person sees something too.
fn told(world: &World, text: &str) -> Value {
    let key = world.file(&format!("{ALICE}.json"));
    let mut words = vec!["account", "--ledger", &world.url, "--key", &key];
    words.extend(text.split_whitespace());
    assert!(!run(world.folder.path(), &words).unwrap().trim().is_empty());
    of_alice(world, text).unwrap()
}

fn redeem(world: &World, cumulative: u64) -> String {
    let voucher = Voucher {
        account: account(ALICE),
        disperser_id: 0,
        cumulative: Stake::from(cumulative),
    };
    let domain = Network::ledger(&world.genesis.hash().0).domain(1);
    let signature = voucher.sign(&domain, &key(ALICE));
    let alice = account(ALICE);
    format!(
        "redeem-voucher --service 1 --disperser 0 --account {alice} --cumulative {cumulative} --voucher-signature {signature}"
    )
}

pub(super) fn pay(world: &mut World) {
    let of = "--service 1 --disperser 0";
    let error = of_alice(world, "deposit 1eth").unwrap_err();
    assert_eq!(error.code, "payment.not_taken");
    let me = account(ADMIN);
    world.tx(
        ADMIN,
        &format!(
            "set-payment-terms --service 1 --payment-token {me} --operators-share 20% --row-price 1000gwei --capacity 100 --notice {NOTICE}"
        ),
    );
    world.tx(ALICE, &format!("fund-account {of} --amount 1000"));
    let told_of = of_alice(world, "deposit 500").unwrap();
    assert_eq!(told_of["account"]["terms"]["funded"], "1500");
    world.tx(BOB, &redeem(world, 100));
    let error = world.try_tx(BOB, &redeem(world, 1501)).unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.exit),
        ("payment.voucher_above", 3)
    );
    let error = world.try_tx(BOB, &redeem(world, 99)).unwrap_err();
    assert_eq!(error.code, "payment.voucher_below");

    // Price and capacity are the service's: 3 rows for 1,000 blocks at 1,000 gwei.
    let reserved = of_alice(world, "reserve --rows-per-second 3 --blocks 1000").unwrap();
    assert_eq!(reserved["receipt"]["events"][0]["cost"], "3000000000000000");
    assert_eq!(
        reserved["account"]["terms"]["reservation"]["burst_rows"],
        180
    );
    // As many rows again make it longer; others wait for its end.
    let longer = of_alice(world, "reserve --rows-per-second 3 --blocks 10").unwrap();
    let end = &reserved["account"]["terms"]["reservation"]["until"];
    assert_eq!(&longer["receipt"]["events"][0]["from"], end);
    let now = &longer["account"]["terms"]["reservation"]["until"];
    assert_eq!(now.as_u64().unwrap(), end.as_u64().unwrap() + 10);
    let error = of_alice(world, "reserve --rows-per-second 4 --blocks 10").unwrap_err();
    assert_eq!(error.code, "reservation.open");
    let until = world.block() + 1000;
    let bob = format!("buy-reservation {of} --rows-per-second 98 --burst-rows 98");
    let error = world
        .try_tx(
            BOB,
            &format!("{bob} --from {} --until {until} --most 1eth", until - 10),
        )
        .unwrap_err();
    assert_eq!(error.code, "reservation.capacity");
    let bob = format!("buy-reservation {of} --rows-per-second 97 --burst-rows 97");
    world.tx(
        BOB,
        &format!("{bob} --from {} --until {until} --most 1eth", until - 10),
    );

    world.tx(ALICE, &format!("announce-refund {of} --amount 300"));
    let error = of_alice(world, "withdraw --take").unwrap_err();
    assert_eq!(error.code, "payment.refund_early");
    world.wait(NOTICE + 1);
    world.tx(ALICE, &format!("take-refund {of}"));
    assert_eq!(told(world, "show")["record"]["returned"], "300");
    let payments = told(world, "payments");
    assert_eq!(payments["payees"][0]["to_operators"].as_str(), Some("20"));
    assert_eq!(payments["payees"][0]["to_disperser"].as_str(), Some("80"));
    let accounts = told(world, "vouchers");
    assert_eq!(accounts.as_array().unwrap().len(), 2);

    // A disperser that wants to leave says so, and accounts take what is left.
    let error = world
        .try_tx(BOB, &format!("exit-disperser {of}"))
        .unwrap_err();
    assert_eq!(error.code, "disperser.deposits_open");
    world.tx(BOB, &format!("close-accounts {of}"));
    let error = of_alice(world, "deposit 1").unwrap_err();
    assert_eq!(error.code, "payment.closed");
    world.wait(NOTICE + 1);
    of_alice(world, "withdraw --take").unwrap();
    let shown = told(world, "show");
    assert!(shown["terms"]["reservation"].is_null());
    assert_eq!(shown["record"]["returned"], "1400");
}
